"""The refit: a head per question, fitted on every answer there is, and what the heads think of the pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.labelling.label_types import ERRORS
from pt4al_backend.labelling.multiple import of_labels
from pt4al_backend.labelling.questions import MULTIPLE, SEGMENTATION, SINGLE, Answers, Question
from pt4al_backend.labelling.segmentation import of_pixels
from pt4al_backend.sampling.uncertainty import UNCERTAINTIES, mean_rank, softmax
from pt4al_backend.store.feature_file import FeatureFile
from pt4al_backend.store.mask_file import MaskFile
from pt4al_backend.store.pool_scores import GuessArrays
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.targets import answered, output, targets

CHUNK = 4096
"""Images whose features are in memory at a time ..."""
IN_MEMORY = 32_000_000
"""... or fewer, so that they are not more values than these."""
MOST_MASKS = 1000
"""Segmentations that a head is fitted on at most; of their cells a random part is used in any case."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Sources:
    """What heads are fitted on."""

    features: FeatureFile
    """One vector per image."""
    grid: FeatureFile | None
    """One vector per cell of a grid over the image, where a question is about pixels."""
    grid_shape: tuple[int, int] | None
    """Cells along a side, values per cell."""
    answers: dict[int, Answers]
    """By task."""
    masks: MaskFile | None
    background: bool
    """Whether pixels outside all regions are a class of their own."""
    balance: float = 0.0
    """How much more a pixel of a rare class counts."""
    own: Mapping[str, learning.Head] = field(default_factory=dict)
    """Heads by name of the question that were trained with the network: these are asked, and none is fitted."""

    def known(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,) whether the features of an image are there."""
        there = self.features.has(rows)
        return there if self.grid is None else there & self.grid.has(rows)

    def read(self, kind: str, rows: Rows) -> NDArray[np.float16]:
        """Features (n, D) or, of a segmentation, (n, G, G, F)."""
        if kind != SEGMENTATION:
            return self.features.read(rows)
        assert self.grid is not None and self.grid_shape is not None
        side, width = self.grid_shape
        return self.grid.read(rows).reshape(len(rows), side, side, width)

    def chunk(self, kind: str) -> int:
        """Images whose features may be in memory at a time."""
        width = self.grid.width if kind == SEGMENTATION and self.grid is not None else self.features.width
        return max(1, min(CHUNK, IN_MEMORY // width))


@dataclass(frozen=True)
class View:
    """What the model thinks of one question; arrays (n,), one entry per image of the pool."""

    question: Question
    head: learning.Head
    uncertainty: NDArray[np.float64]
    """NaN where the image is not known."""
    guesses: GuessArrays


@dataclass(frozen=True)
class Opinion:
    """What the model thinks of the pool: a view on each question that was answered at all."""

    questions: tuple[Question, ...]
    views: tuple[View, ...]
    sources: Sources
    rows: Rows

    @property
    def uncertainty(self) -> NDArray[np.float64]:
        """(n,): of the only question, or the mean rank of several. NaN where there is no opinion."""
        if not self.views:
            return np.full(len(self.rows), np.nan)
        each = [view.uncertainty for view in self.views]
        return each[0] if len(each) == 1 else mean_rank(each)

    @property
    def guesses(self) -> tuple[GuessArrays, ...]:
        """One entry per question of the project."""
        by_name = {view.question.name: view.guesses for view in self.views}
        nothing = GuessArrays(np.full(len(self.rows), np.nan, np.float32), np.zeros(len(self.rows), np.int32))
        return tuple(by_name.get(question.name, nothing) for question in self.questions)

    @property
    def exclusive(self) -> bool:
        """Whether there is an opinion, and it is that an image has one class."""
        return [question.kind for question in self.questions] == [SINGLE] and bool(self.views)

    def probabilities(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of the classes of the only question, on images whose features are known: (k, classes), summing to 1."""
        (view,) = self.views
        return self._each(view, positions, softmax)

    def errors(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """What is predicted of images whose features are known, less the model's own answer: (k, outputs of all).

        Every question weighs the same: what it is least sure of is about 1 long.
        """
        parts = [self._each(view, positions, ERRORS[view.question.kind]) for view in self.views]
        return np.concatenate(parts, axis=1)

    def _each(
        self,
        view: View,
        positions: NDArray[np.int64],
        figure: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        figures = np.empty((len(positions), len(view.head.bias)))
        done = 0
        for chunk, logits in _logits(view, self, positions):
            figures[done : done + len(chunk)] = figure(logits)
            done += len(chunk)
        return figures


def refit(
    pool: PoolArrays, questions: Sequence[Question], sources: Sources, *, uncertainty: Callable[[str], str]
) -> Opinion:
    """Fit a head for each question on all answers whose features are known, and ask it about all such images.

    ``uncertainty`` names the measure for a kind of question.
    """
    known = np.flatnonzero(sources.known(pool.row))
    opinion = Opinion(tuple(questions), (), sources, pool.row)
    heads = fit_heads(pool, questions, sources)
    views = [
        _view(pool, question, heads[question.name], known, opinion, UNCERTAINTIES[uncertainty(question.kind)])
        for question in questions
        if question.name in heads
    ]
    return replace(opinion, views=tuple(views))


def fit_heads(pool: PoolArrays, questions: Sequence[Question], sources: Sources) -> dict[str, learning.Head]:
    """A head by name of each question that was answered: the network's own, or fitted on all answers with features."""
    labelled = np.flatnonzero(sources.known(pool.row) & pool.labelled)
    heads: dict[str, learning.Head] = {}
    for question in questions:
        mine = _answers(pool, question, sources, labelled)
        there = np.flatnonzero(answered(mine))
        if len(there) and question.name in sources.own:
            heads[question.name] = sources.own[question.name]
        elif len(there):
            if question.kind == SEGMENTATION:
                there = np.sort(np.random.default_rng(0).permutation(there)[:MOST_MASKS])
            features = sources.read(question.kind, pool.row[labelled[there]])
            head = _fit(features, mine, there, output(question, background=sources.background), sources.balance)
            heads |= {} if head is None else {question.name: head}
    return heads


def mistakes(
    pool: PoolArrays, questions: Sequence[Question], sources: Sources
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions (l,) of labelled images, and the share of their answers that heads which did not see them get wrong."""
    labelled = np.flatnonzero(pool.labelled & sources.known(pool.row))
    wrong, asked = np.zeros(len(labelled)), np.zeros(len(labelled))
    for question in questions:
        mine = _answers(pool, question, sources, labelled)
        there = np.flatnonzero(answered(mine))
        if question.kind == SEGMENTATION or not len(there):
            continue  # a mask is never quite right
        assert isinstance(mine, np.ndarray)
        features = sources.read(question.kind, pool.row[labelled[there]])
        guessed = learning.out_of_fold(features, mine[there], output(question, background=sources.background))
        differs = guessed != mine[there]
        wrong[there] += differs if differs.ndim == 1 else differs.mean(axis=1)
        asked[there] += 1
    return labelled, wrong / np.maximum(asked, 1)


def _answers(pool: PoolArrays, question: Question, sources: Sources, positions: NDArray[np.int64]) -> learning.Targets:
    given = [sources.answers.get(task, {}) for task in pool.task[positions].tolist()]
    return targets(question, given, pool.row[positions], masks=sources.masks, background=sources.background)


def _fit(
    features: NDArray[np.float16],
    mine: learning.Targets,
    there: NDArray[np.int64],
    wanted: learning.Output,
    balance: float,
) -> learning.Head | None:
    if isinstance(mine, np.ndarray):
        return learning.fit_head(features, mine[there], wanted)
    shares = learning.mask_shares(mine.read(there), wanted.classes, features.shape[1])
    if not shares.any():
        return None  # only pixels that are ignored
    return learning.fit_pixel_head(features, shares, balance=balance)


def _view(
    pool: PoolArrays,
    question: Question,
    head: learning.Head,
    known: NDArray[np.int64],
    opinion: Opinion,
    measure: Callable[[NDArray[np.float32]], NDArray[np.float64]],
) -> View:
    n = len(pool)
    uncertainty, probability = np.full(n, np.nan), np.full(n, np.nan, np.float32)
    chosen: NDArray[np.integer] = np.zeros(0, np.uint8)
    if question.kind == SINGLE:
        chosen = np.zeros(n, np.int32)
    elif question.kind == MULTIPLE:
        chosen = np.zeros((n, len(question.classes)), np.uint8)
    view = View(question, head, uncertainty, GuessArrays(probability, chosen))
    for chunk, logits in _logits(view, opinion, known):
        if question.kind == SINGLE:
            uncertainty[chunk], probability[chunk] = measure(logits), softmax(logits).max(axis=1)
            chosen[chunk] = logits.argmax(axis=1)
        elif question.kind == MULTIPLE:
            uncertainty[chunk] = of_labels(logits, measure)
            probability[chunk] = (1 / (1 + np.exp(-np.abs(logits)))).mean(axis=1)
            chosen[chunk] = logits > 0
        else:
            uncertainty[chunk] = of_pixels(logits, measure)
    return view


def _logits(
    view: View, opinion: Opinion, positions: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    kind, sources = view.question.kind, opinion.sources
    size = sources.chunk(kind)
    for start in range(0, len(positions), size):
        chunk = positions[start : start + size]
        yield chunk, view.head.logits(sources.read(kind, opinion.rows[chunk]))
