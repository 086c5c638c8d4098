import time

import numpy as np
import pytest
import torch
from support.features import clusters, of_pool, several
from support.networks import embeddings_of, finish, multiple, noise, single, small

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import (
    IGNORE,
    OWN_PATCHES,
    fit_head,
    fit_pixel_head,
    mask_shares,
    network_head,
    train_main,
)
from pt4al_backend.learning.inputs import normalised
from pt4al_backend.learning.networks import for_inference
from pt4al_backend.sampling.uncertainty import softmax


def test_separable_classes_are_separated():
    features, targets = clusters(400, 10)
    head = fit_head(features[:200], targets[:200], single(10))
    logits = head.logits(features[200:])
    assert logits.dtype == np.float32 and logits.shape == (200, 10)
    assert (logits.argmax(axis=1) == targets[200:]).mean() > 0.95


def test_the_same_labels_give_the_same_head():
    features, targets = clusters(100, 5)
    a, b = fit_head(features, targets, single(5)), fit_head(features, targets, single(5))
    assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)


@pytest.mark.parametrize(("targets", "classes"), [([0], 1), ([0], 3), ([0, 1], 2), ([0, 999], 1000)])
def test_few_labels_and_many_classes(targets, classes):
    features, _ = clusters(len(targets), classes)
    logits = fit_head(features, np.array(targets), single(classes)).logits(features)
    assert np.isfinite(logits).all() and logits.argmax(axis=1).tolist() == targets


def test_constant_features_do_no_harm():
    features, targets = clusters(50, 2)
    features[:, 3] = 7
    assert np.isfinite(fit_head(features, targets, single(2)).logits(features)).all()


def test_ten_thousand_labels_of_a_thousand_classes_take_bounded_time():
    features, targets = clusters(10_000, 1000, width=224)
    start = time.process_time()
    matrix = np.zeros((224, 1000), np.float32)
    for _ in range(10):
        features.astype(np.float32) @ matrix
    products, start = time.process_time() - start, time.process_time()
    head = fit_head(features, targets, single(1000))
    assert time.process_time() - start < 40 * products  # about 17 times as much on one thread, whatever the machine
    assert (head.logits(features[:1000]).argmax(axis=1) == targets[:1000]).mean() > 0.9


@pytest.mark.parametrize(("targets", "says"), [([], "label at least one"), ([2], "0 to 1")])
def test_invalid_targets_are_refused(targets, says):
    with pytest.raises(LearningError, match=says):
        fit_head(np.zeros((len(targets), 4), np.float16), np.array(targets, dtype=np.int64), single(2))


# Embeddings of a pretrained encoder


def test_the_scale_of_pretrained_features_helps_where_labels_are_few():
    features, targets = of_pool(600, 4)
    plain, scaled = (fit_head(features[:8], targets[:8], single(4), pool=pool) for pool in (None, features[8:]))
    correct = [(head.logits(features[8:]).argmax(axis=1) == targets[8:]).mean() for head in (plain, scaled)]
    assert correct[1] > correct[0] + 0.05


def test_probabilities_of_pretrained_features_are_about_as_high_as_predictions_are_right():
    features, targets = of_pool(1200, 4, noise=8.0)
    flipped = np.random.default_rng(0).random(1200) < 0.3  # so that nobody can be sure
    targets = np.where(flipped, (targets + 1) % 4, targets)
    head = fit_head(features[:200], targets[:200], single(4), pool=features)
    logits = head.logits(features[200:])
    probability = softmax(logits).max(axis=1)
    assert probability.mean() == pytest.approx((logits.argmax(axis=1) == targets[200:]).mean(), abs=0.08)


@pytest.mark.parametrize("n", [1, 2, 4, 7, 400])
def test_any_number_of_pretrained_features(n):
    features, targets = of_pool(400, 3)
    assert np.isfinite(fit_head(features[:n], targets[:n], single(3), pool=features).logits(features)).all()
    several = (targets[:n, None] == np.arange(3)).astype(np.int8)
    assert np.isfinite(fit_head(features[:n], several, multiple(3), pool=features).logits(features)).all()


def test_a_pool_of_one_image_does_no_harm():
    features, targets = of_pool(1, 3)
    assert np.isfinite(fit_head(features, targets, single(3), pool=features).logits(features)).all()


# The network's own head


def test_the_network_head_agrees_with_the_network():
    images, rows = noise(8), np.arange(8)
    outputs, targets = [single(3), multiple(2)], [rows % 3, np.stack([rows % 2, rows // 4], axis=1)]
    weights = finish(train_main(images, rows, outputs, targets, recipe=small().main, init=None, seed=0, device="cpu"))
    with torch.inference_mode():
        expected = for_inference(weights, "cpu")(normalised(torch.from_numpy(images.pixels)))
    for k, logits in enumerate(expected):
        found = network_head(weights, k).logits(embeddings_of(weights, images, rows))
        np.testing.assert_allclose(found, logits.numpy(), atol=0.02)  # embeddings are stored as float16


def test_any_number_of_classes_is_found():
    features, targets = several(400, 4)
    head = fit_head(features[:300], targets[:300], multiple(4))
    logits = head.logits(features[300:])
    assert logits.shape == (100, 4)
    assert ((logits > 0) == targets[300:]).mean() > 0.95


def test_a_class_of_several_is_fitted_as_if_alone():
    features, targets = several(100, 4)
    together = fit_head(features, targets, multiple(4))
    alone = fit_head(features, targets[:, 2:3], multiple(1))
    np.testing.assert_allclose(together.logits(features)[:, 2], alone.logits(features)[:, 0], atol=0.05)


def test_classes_that_are_never_or_always_present():
    features, _ = clusters(20, 2)
    logits = fit_head(features, np.tile(np.array([[0, 1]], np.int8), (20, 1)), multiple(2)).logits(features)
    assert (logits[:, 0] < 0).all() and (logits[:, 1] > 0).all() and np.isfinite(logits).all()


def test_unlabelled_images_are_refused():
    features, _ = clusters(2, 2)
    for targets, output in ((np.array([0, -1]), single(2)), (np.array([[0, 1], [-1, -1]]), multiple(2))):
        with pytest.raises(LearningError, match="leave out the images without one"):
            fit_head(features, targets, output)


def test_heads_take_features_of_any_shape():
    features, targets = clusters(60, 3)
    head = fit_head(features, targets, single(3))
    grid = features.reshape(3, 4, 5, 60)
    np.testing.assert_allclose(head.logits(grid).reshape(60, 3), head.logits(features), rtol=1e-5, atol=1e-5)


def test_shares_are_those_of_a_cells_pixels():
    mask = np.array([[0, 0, 1, 1], [0, 2, 1, 1], [IGNORE, IGNORE, 2, 0], [IGNORE, IGNORE, IGNORE, 1]], np.uint8)
    shares = mask_shares(np.stack([mask, mask.T]), 3, 2)
    expected = [[[0.75, 0, 0.25], [0, 1, 0]], [[0, 0, 0], [0.25, 0.25, 0.25]]]
    assert shares.dtype == np.float32
    assert shares[0].tolist() == expected and shares[1].tolist() == np.swapaxes(expected, 0, 1).tolist()


def test_shares_of_cells_that_do_not_divide_the_mask():
    shares = mask_shares(np.arange(50, dtype=np.uint8).reshape(2, 5, 5) % 3, 3, 2)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-6)


def cells(n: int) -> tuple[np.ndarray, np.ndarray]:
    features, which = clusters(n * 36, 4)
    return features.reshape(n, 6, 6, 60), np.eye(4, dtype=np.float32)[which].reshape(n, 6, 6, 4)


def test_a_pixel_head_classifies_cells():
    grid, shares = cells(20)
    head = fit_pixel_head(grid[:10], shares[:10])
    assert (head.logits(grid[10:]).argmax(axis=-1) == shares[10:].argmax(axis=-1)).mean() > 0.95


def test_rare_classes_may_count_more():
    random = np.random.default_rng(0)
    rare = random.random((20, 6, 6)) < 0.1
    grid = random.normal(loc=2.0 * rare)[..., None]  # two overlapping bells
    shares = np.stack([~rare, rare], axis=-1).astype(np.float32)
    heads = [fit_pixel_head(grid, shares, balance=balance) for balance in (0.0, 0.5, 1.0)]
    found = [(head.logits(grid).argmax(axis=-1) == 1).mean() for head in heads]
    assert found[0] < 0.1 < found[1] < found[2]


def test_unlabelled_cells_have_no_weight():
    grid, shares = cells(4)
    changed = grid.copy()
    shares[:, :3], changed[:, :3] = 0, 7
    a, b = fit_pixel_head(grid, shares), fit_pixel_head(changed, shares)
    assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
    with pytest.raises(LearningError, match="label at least one"):
        fit_pixel_head(grid, np.zeros_like(shares))


def test_many_cells_are_sampled_the_same_way_each_time():
    grid, shares = cells(20)
    a, b = (fit_pixel_head(grid, shares, how=OWN_PATCHES._replace(seconds=1e-4)) for _ in range(2))
    assert np.array_equal(a.weight, b.weight)
    assert not np.array_equal(a.weight, fit_pixel_head(grid, shares).weight)
    assert (a.logits(grid).argmax(axis=-1) == shares.argmax(axis=-1)).mean() > 0.7
