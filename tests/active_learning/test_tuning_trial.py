"""The comparison of a fine-tuned encoder with the encoder as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.tiny_encoder import tiny_encoder

from pt4al_backend.active_learning.tuning_trial import Trial
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.learning import embed_maps
from pt4al_backend.learning.fine_tuning import TuningRecipe, frozen_blocks
from pt4al_backend.store.checkpoints import CheckpointFile

N, SIDE = 60, 32
KIND, SEEN = Question("kind", SINGLE, ("thin", "thick")), Question("seen", MULTIPLE, ("stripes", "dots"))


def images() -> np.ndarray:
    random = np.random.default_rng(0)
    stripes = np.stack([np.arange(SIDE) // width % 2 * 120 for width in (2, 6)])[np.arange(N) % 2]
    return (random.integers(0, 130, (N, SIDE, SIDE, 3)) + stripes[:, :, None, None]).astype(np.uint8)


def kinds() -> np.ndarray:
    return np.arange(N) % 2


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    return frozen_blocks("frozen-tiny", tiny_encoder(size=SIDE)).embed_pixels(images(), device="cpu")[0]


def trial_of(
    path: Path, maps: np.ndarray, asked: Sequence[Question] = (KIND,), targets: Sequence[np.ndarray] = (), n: int = N
) -> Trial:
    encoder = tiny_encoder(size=SIDE)
    vectors = np.concatenate([*embed_maps(encoder, {}, maps[:n], device="cpu")])
    return Trial(
        encoder,
        CheckpointFile(path / "trial.safetensors"),
        {"questions": ["kind"]},
        0,
        "cpu",
        np.arange(n),
        tuple(asked),
        [*targets] or [kinds()[:n]],
        maps[:n],
        vectors,
        vectors,
        np.full((n, 2), np.nan),
        [np.full((n, len(question.classes)), np.nan, np.float32) for question in asked],
    )


@pytest.mark.parametrize(
    ("before", "after", "better", "decided"),
    [
        ([], [], False, False),
        ([0, 1] * 5, [1, 1] * 5, True, False),
        ([0, 1] * 50, [0, 1] * 50, False, True),  # no difference
        ([0, 1] * 10, [0, 1] * 10, False, False),  # too early to say
        ([1] * 60, [0, 1, 1] * 20, False, True),
        ([0] * 30 + [1] * 30, [1] * 4 + [0] * 26 + [0] * 3 + [1] * 27, False, False),  # may be chance
        ([0] * 250 + [1] * 250, [1] * 500, True, True),
    ],
)
def test_it_is_better_by_more_than_a_standard_error(
    tmp_path: Path, maps: np.ndarray, before: list[int], after: list[int], better: bool, decided: bool
) -> None:
    trial = trial_of(tmp_path, maps, n=10)
    trial = Trial(**{**vars(trial), "right": np.array([before, after], float).T.reshape(-1, 2)})
    assert (trial.is_better, trial.is_decided) == (better, decided)


def test_both_predict_images_that_they_have_not_seen(tmp_path: Path, maps: np.ndarray) -> None:
    trial = trial_of(tmp_path, maps)
    assert list(trial.cross_validate())[-1].done == 1.0
    assert not np.isnan(trial.right).any()
    before, after = trial.accuracies
    assert before > 0.6 and after > 0.6
    assert (trial.logits[0].argmax(axis=1) == kinds()).mean() == pytest.approx(after)
    assert 0.05 <= trial.temperatures["kind"] <= 20
    arrays, settings = trial.checkpoint.load() or ({}, {})
    assert np.array_equal(arrays["right"], trial.right) and settings == {"questions": ["kind"]}


def test_images_that_do_not_answer_a_question_do_not_count_for_it(
    tmp_path: Path, maps: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TuningRecipe, "epochs_for", lambda recipe, images: 2)
    seen = np.stack([kinds(), 1 - kinds()], axis=1).astype(np.int8)
    seen[:12] = -1
    some = np.where(np.arange(N) < 30, kinds(), -1)
    some[:6] = -1
    trial = trial_of(tmp_path, maps, (KIND, SEEN), [some, seen])
    list(trial.cross_validate())
    assert np.isnan(trial.right).all(axis=1).tolist() == [k < 6 for k in range(N)]
    assert set(np.unique(trial.right[30:])) <= {0, 0.5, 1}
    assert set(trial.temperatures) == {"kind", "seen"}
