import numpy as np
import pytest
from support.candidates import alike, candidates

from pt4al_backend.sampling import balanced, typical
from pt4al_backend.sampling.balanced import rarity


def test_the_fewer_labels_a_class_has_the_more_its_images_count() -> None:
    predicted = np.array([0] * 12 + [1] * 6 + [2] * 2)[:, None]
    weights = rarity(predicted, labelled=np.isin(np.arange(20), [*range(8), 12, 13, 14]))  # 8, 3 and 0 labels
    assert weights[[0, 12, 19]] == pytest.approx(np.sqrt(14 / np.array([9, 4, 1])))


def test_several_values_count_alike() -> None:
    one, other = np.array([0, 0, 0, 1]), np.array([1, 0, 1, 1])
    labelled = np.array([True, True, False, False])
    both = rarity(np.stack([one, other], axis=1), labelled=labelled)
    alone = [rarity(values[:, None], labelled=labelled) for values in (one, other)]
    assert both == pytest.approx((alone[0] + alone[1]) / 2)


def test_without_a_prediction_an_image_counts_nothing() -> None:
    assert rarity(np.array([[-1], [0]]), labelled=np.array([False, True])).tolist() == [0, 1]
    assert rarity(np.empty((0, 1), dtype=np.int64), labelled=np.empty(0, dtype=bool)).tolist() == []


def test_uncertain_images_of_a_class_with_few_labels_come_first() -> None:
    group = np.repeat(range(8), [30, 30, 30, 30, 10, 10, 10, 10])
    embeddings = np.concatenate([alike((group == k).sum(), seed=k) for k in range(8)])
    centres = np.stack([embeddings[group == k].mean(axis=0) for k in range(8)])

    def predict(these: np.ndarray) -> np.ndarray:
        """Groups 4 to 7 are of one class, the others of another."""
        return (((these[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1) >= 4).astype(np.int64)[:, None]

    done = [*range(20), *range(30, 50)]  # of groups 0 and 1
    images = candidates(embeddings, predict=predict, not_open=done, labelled=embeddings[done])
    assert set(group[balanced.query(images, 4)].tolist()) == {4, 5, 6, 7}
    sure = candidates(
        embeddings, predict=predict, not_open=done, labelled=embeddings[done], uncertainty=np.where(group >= 4, 0.01, 1)
    )
    assert set(group[balanced.query(sure, 2)].tolist()) == {2, 3}
    assert set(group[typical.query(images, 2)].tolist()) == {2, 3}


def test_before_the_first_label_typical_images_are_chosen() -> None:
    groups = np.repeat([0, 1, 2, 3], [25, 60, 5, 10])
    embeddings = np.concatenate([alike(size, seed=seed) for seed, size in enumerate([25, 60, 5, 10])])
    assert groups[balanced.query(candidates(embeddings), 4)].tolist() == [1, 0, 3, 2]
