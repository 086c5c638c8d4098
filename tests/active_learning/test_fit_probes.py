"""Refits on features that are made up so that the answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning import training_data
from pt4al_backend.active_learning.fit_probes import fit_and_predict, fit_probes, out_of_fold_errors
from pt4al_backend.active_learning.pool_predictions import PoolPredictions
from pt4al_backend.active_learning.training_data import ProbeInputs
from pt4al_backend.labelling.label_types import LABEL_TYPES
from pt4al_backend.labelling.multiple import MULTIPLE, of_labels
from pt4al_backend.labelling.questions import Answers, Prediction, Question
from pt4al_backend.labelling.segmentation import SEGMENTATION, of_pixels
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.sampling.uncertainty import entropy, margin, mean_rank, softmax
from pt4al_backend.store.embedding_file import EmbeddingFile
from pt4al_backend.store.mask_file import MaskFile
from pt4al_backend.store.store import PoolArrays

KIND = Question("kind", SINGLE, ("cat", "dog", "cow"))
SEEN = Question("result", MULTIPLE, ("tail", "paw"))
AREA = Question("area", SEGMENTATION, ("sky", "road"))
ALL = (KIND, SEEN, AREA)
N, CELLS = 40, 4
DIGEST = "5a" * 16


@dataclass(frozen=True)
class World:
    """Task k + 100 has row N - 1 - k. Three features say its kind, two what is seen; those of a cell say its class."""

    kind: NDArray[np.int64]
    result: NDArray[np.bool_]
    cells: NDArray[np.int64]
    """(n, CELLS, CELLS): 2 is where no region is."""
    embeddings: EmbeddingFile
    patches: EmbeddingFile
    masks: MaskFile

    def answers(self, position: int) -> Answers:
        chosen = [name for name, there in zip(SEEN.classes, self.result[position], strict=True) if there]
        return {"kind": KIND.classes[self.kind[position]], "result": chosen, "area": DIGEST}

    def sources(self, answers: dict[int, Answers], *, dense: bool = True, background: bool = True) -> ProbeInputs:
        """`answers` by position."""
        return ProbeInputs(
            embeddings=self.embeddings,
            patches=self.patches if dense else None,
            layout=learning.PatchLayout(((CELLS, 3),)) if dense else None,
            answers={position + 100: given for position, given in answers.items()},
            masks=self.masks,
            background=background,
        )

    def mask(self, position: int) -> NDArray[np.uint8]:
        return np.kron(self.cells[position], np.ones((2, 2))).astype(np.uint8)


def row(positions: Any) -> NDArray[np.int64]:
    return N - 1 - np.asarray(positions, dtype=np.int64)


@pytest.fixture
def world(tmp_path: Path) -> World:
    random = np.random.default_rng(0)
    kind, result = np.arange(N) % 3, random.random((N, 2)) < 0.4
    cells = random.integers(0, 3, (N, CELLS, CELLS))
    features = EmbeddingFile(tmp_path / "features.bin", width=5)
    values = np.concatenate([np.eye(3)[kind], result], axis=1) + random.normal(0, 0.1, (N, 5))
    features.write(row(range(N)), values.astype(np.float16))
    grid = EmbeddingFile(tmp_path / "grid.bin", width=CELLS * CELLS * 3)
    values = np.eye(3)[cells] + random.normal(0, 0.1, (N, CELLS, CELLS, 3))
    grid.write(row(range(N)), values.reshape(N, -1).astype(np.float16))
    made = World(kind, result, cells, features, grid, MaskFile(tmp_path / "masks.bin", side=2 * CELLS))
    for position in range(N):
        made.masks.write(int(row(position)), DIGEST, made.mask(position))
    return made


def pool(labelled: Any) -> PoolArrays:
    inside = np.isin(np.arange(N), list(labelled))
    nothing = np.zeros(N, dtype=np.int64)
    marks = (inside, np.zeros(N, bool), np.zeros(N, bool))
    return PoolArrays(np.arange(N) + 100, row(range(N)), np.zeros(N), nothing, nothing, *marks)


def thought(
    world: World, answers: dict[int, Answers], questions: tuple[Question, ...] = ALL, **how: Any
) -> PoolPredictions:
    return fit_and_predict(
        pool(answers),
        questions,
        world.sources(answers, **how),
        uncertainty=lambda label_type: label_type.usual_uncertainty or "margin",
    )


def test_every_question_is_answered_as_its_features_say(world: World) -> None:
    found = thought(world, {position: world.answers(position) for position in range(20)})
    assert [view.question for view in found.per_question] == list(ALL)
    kind, result, area = found.arrays
    assert kind.chosen.tolist() == world.kind.tolist()
    assert (result.chosen == world.result).mean() > 0.85
    assert len(area.chosen) == 0 and np.isnan(area.probability).all()  # masks are not kept
    assert kind.at(4, KIND) == Prediction("dog", float(kind.probability[4]))
    head = found.per_question[2].head
    logits = head.logits(world.patches.read(row(range(N))).reshape(N, CELLS, CELLS, 3))
    assert (logits.argmax(axis=-1) == world.cells).mean() > 0.98
    assert found.per_question[2].uncertainty == pytest.approx(of_pixels(logits, entropy))


def test_uncertainties_and_guesses_are_the_heads(world: World) -> None:
    found = thought(world, {position: world.answers(position) for position in range(9)})
    kind, result, area = found.per_question
    logits = kind.head.logits(world.embeddings.read(row(range(N))))
    assert kind.uncertainty == pytest.approx(margin(logits))
    assert kind.arrays.probability == pytest.approx(softmax(logits).max(axis=1), rel=1e-5)
    logits = result.head.logits(world.embeddings.read(row(range(N))))
    there = 1 / (1 + np.exp(-logits))
    assert result.uncertainty == pytest.approx(of_labels(logits, entropy))
    assert result.arrays.probability == pytest.approx(np.maximum(there, 1 - there).mean(axis=1), rel=1e-5)
    assert (result.arrays.chosen == (there > 0.5)).all()
    assert found.uncertainty == pytest.approx(mean_rank([kind.uncertainty, result.uncertainty, area.uncertainty]))


def test_probes_on_pretrained_embeddings_know_how_those_of_the_pool_are_spread(world: World) -> None:
    answers = {position: world.answers(position) for position in range(9)}
    own, pretrained = (replace(world.sources(answers), pretrained=known) for known in (False, True))
    embeddings = world.embeddings.read(row(range(N)))
    assert own.of_pool(row(range(N))) is None
    assert np.array_equal(pretrained.of_pool(row([3, 4])), embeddings[[3, 4]])
    assert pretrained.of_pool(row([])) is None
    found = fit_probes(pool(answers), (KIND,), pretrained)["kind"]
    expected = learning.fit_head(embeddings[:9], world.kind[:9], learning.Output("single", 3), pool=embeddings)
    assert np.array_equal(found.weight, expected.weight)


def test_of_a_large_pool_a_part_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_data, "SAMPLE", 7)
    part = replace(world.sources({}), pretrained=True).of_pool(row(range(N)))
    assert part is not None and 4 <= len(part) <= 7


def test_errors_are_what_is_predicted_less_the_answer(world: World) -> None:
    given = {position: world.answers(position) for position in range(9)}
    found = thought(world, given)
    some = np.array([30, 2, 17])
    errors = found.gradients(some)
    assert errors.shape == (3, 3 + 2 + 3)
    kind, result, area = np.split(errors, [3, 5], axis=1)
    features = world.embeddings.read(row(some))
    shares = softmax(found.per_question[0].head.logits(features))
    assert kind == pytest.approx(shares - np.eye(3)[shares.argmax(axis=1)])
    there = 1 / (1 + np.exp(-found.per_question[1].head.logits(features)))
    assert result == pytest.approx(2 * (there - (there > 0.5)) / np.sqrt(2), abs=1e-6)
    logits = found.per_question[2].head.logits(world.patches.read(row(some)).reshape(3, CELLS, CELLS, 3))
    pixels = softmax(logits.reshape(-1, 3))
    assert area == pytest.approx((pixels - np.eye(3)[pixels.argmax(axis=1)]).reshape(3, -1, 3).mean(axis=1))


def test_errors_are_long_where_the_model_is_unsure() -> None:
    sure, unsure = np.array([[9.0, -9.0, -9.0, -9.0]]), np.zeros((1, 4))
    for label_type in LABEL_TYPES.values():
        both = [np.tile(logits, (1, 3, 3, 1)) if label_type.dense else logits for logits in (sure, unsure)]
        short, long = (float((label_type.errors(logits) ** 2).sum()) for logits in both)
        assert short < 1e-4 and 0.7 < long <= 1


def test_a_question_that_nobody_answered_has_no_view(world: World) -> None:
    given = {position: {"result": world.answers(position)["result"]} for position in range(9)}
    given[20] = {"a question that is gone": "x"}
    found = thought(world, given)
    (view,) = found.per_question
    assert view.question == SEEN
    assert found.uncertainty.tolist() == view.uncertainty.tolist()
    kind, result, area = found.arrays
    assert kind.at(3, KIND) is None and area.at(3, AREA) is None and result.at(3, SEEN) is not None
    nothing = thought(world, {})
    assert nothing.per_question == () and np.isnan(nothing.uncertainty).all() and len(nothing.arrays) == 3


def test_partial_answers_teach_what_they_answer(world: World) -> None:
    """As if the images that do not answer a question had not been labelled."""
    full = {position: world.answers(position) for position in range(18)}
    partial = {position: {KIND.name: answers["kind"]} for position, answers in full.items() if position % 2}
    partial |= {position: {SEEN.name: answers["result"]} for position, answers in full.items() if not position % 2}
    found = {view.question.name: view for view in thought(world, partial).per_question}
    odd = thought(world, {position: full[position] for position in full if position % 2}, (KIND,)).per_question[0]
    even = thought(world, {position: full[position] for position in full if not position % 2}, (SEEN,)).per_question[0]
    for name, alone in (("kind", odd), ("result", even)):
        assert found[name].head.weight == pytest.approx(alone.head.weight)
        assert found[name].head.bias == pytest.approx(alone.head.bias)


def test_images_without_embeddings_have_no_prediction(world: World) -> None:
    given = {position: world.answers(position) for position in range(20)}
    world.embeddings.forget(row([3, 30]))
    world.patches.forget(row([31]))
    found = thought(world, given)
    unknown = np.isin(np.arange(N), [3, 30, 31])
    for view in found.per_question:
        assert (np.isnan(view.uncertainty) == unknown).all()
    assert (np.isnan(found.uncertainty) == unknown).all()
    assert (np.isnan(found.arrays[0].probability) == unknown).all()
    without = thought(world, {position: answers for position, answers in given.items() if position != 3})
    assert found.per_question[0].head.weight == pytest.approx(without.per_question[0].head.weight)
    plain = thought(world, given, (KIND,), dense=False)
    assert np.flatnonzero(np.isnan(plain.uncertainty)).tolist() == [3, 30]  # no grid is asked of it


def test_masks_that_are_not_drawn_yet_wait(world: World) -> None:
    given = {position: world.answers(position) for position in range(10)}
    given[4] |= {"area": "00" * 16}  # made again since
    head = fit_probes(pool(given), (AREA,), world.sources(given))["area"]
    del given[4]
    assert head.weight == pytest.approx(fit_probes(pool(given), (AREA,), world.sources(given))["area"].weight)
    assert fit_probes(pool([4]), (AREA,), world.sources({4: {"area": "00" * 16}})) == {}


def test_pixels_outside_all_regions_may_be_ignored(world: World) -> None:
    given = {position: world.answers(position) for position in range(20)}
    (view,) = thought(world, given, (AREA,), background=False).per_question
    assert view.head.bias.shape == (2,)
    logits = view.head.logits(world.patches.read(row(range(N))).reshape(N, CELLS, CELLS, 3))
    known = world.cells < 2
    assert (logits.argmax(axis=-1) == world.cells)[known].mean() > 0.98
    world.masks.write(int(row(0)), DIGEST, np.full((8, 8), 2, dtype=np.uint8))
    assert thought(world, {0: given[0]}, (AREA,), background=False).per_question == ()  # no pixel teaches anything
    assert len(thought(world, {0: given[0]}, (AREA,)).per_question) == 1


@pytest.mark.parametrize("limit", ["CHUNK", "IN_MEMORY"])
def test_the_pool_is_read_in_parts(world: World, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    given = {position: world.answers(position) for position in range(9)}
    whole = thought(world, given)
    read: list[int] = []
    plain: Callable[..., NDArray[np.float16]] = ProbeInputs.read
    monkeypatch.setattr(ProbeInputs, "read", lambda self, kind, rows: read.append(len(rows)) or plain(self, kind, rows))
    monkeypatch.setattr(training_data, limit, 7 if limit == "CHUNK" else 7 * 3 * CELLS**2)
    parts = thought(world, given)
    assert parts.uncertainty == pytest.approx(whole.uncertainty)
    assert parts.gradients(np.arange(N)) == pytest.approx(whole.gradients(np.arange(N)))
    assert set(read) <= ({7, N % 7, 9, 2} if limit == "CHUNK" else {7, N % 7, 9, N, 2})  # 9 to fit, of masks 7 and 2


def test_of_many_segmentations_only_some_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {position: world.answers(position) for position in range(20)}
    read: list[int] = []
    plain: Callable[..., NDArray[np.float16]] = ProbeInputs.read
    monkeypatch.setattr(ProbeInputs, "read", lambda self, kind, rows: read.append(len(rows)) or plain(self, kind, rows))
    monkeypatch.setattr("pt4al_backend.active_learning.fit_probes.MOST_MASKS", 12)
    head = fit_probes(pool(given), (AREA,), world.sources(given))["area"]
    assert read == [12]
    logits = head.logits(world.patches.read(row(range(N))).reshape(N, CELLS, CELLS, 3))
    assert (logits.argmax(axis=-1) == world.cells).mean() > 0.98


def test_out_of_fold_errors_are_shares_of_the_answers(world: World) -> None:
    """Two images are labelled otherwise than they look: one in its kind, one in one of its two labels."""
    given = {position: world.answers(position) for position in range(30)}
    given[5] |= {"kind": KIND.classes[(world.kind[5] + 1) % 3]}
    wrong = replace(world, result=world.result.copy())
    wrong.result[6, 0] ^= True
    given[6] = wrong.answers(6)
    positions, shares = out_of_fold_errors(pool(given), (KIND,), world.sources(given))
    assert positions.tolist() == list(range(30))
    assert shares[5] == 1 and shares.sum() <= 2
    _, shares = out_of_fold_errors(pool(given), (SEEN,), world.sources(given))
    assert shares[6] == 0.5 and set(shares.tolist()) <= {0, 0.5, 1}
    _, shares = out_of_fold_errors(pool(given), (KIND, SEEN), world.sources(given))
    assert shares[5] >= 0.5 and shares[6] >= 0.25
    # A mask is never quite right.
    assert (
        out_of_fold_errors(pool(given), (AREA,), world.sources(given))[1].tolist() == [0] * 30
    )  # a mask is never quite right
    del given[5]["result"]
    assert out_of_fold_errors(pool(given), (KIND, SEEN), world.sources(given))[1][5] == 1
