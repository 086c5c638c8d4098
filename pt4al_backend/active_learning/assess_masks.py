"""Measure how well the model segments, and find masks that look wrong."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.assess_classes import FEWEST, MOST_LISTED, WHAT, Assessed
from pt4al_backend.active_learning.fit_probes import MOST_MASKS, fit_probes, targets_of
from pt4al_backend.active_learning.hold_out import LEAST
from pt4al_backend.active_learning.training_data import CELLS, IN_MEMORY, ProbeInputs, answered, output
from pt4al_backend.active_learning.workspace import Progress
from pt4al_backend.assessment.mask_errors import errors_of_masks
from pt4al_backend.assessment.mask_quality import pixel_confusion, segmentation_quality
from pt4al_backend.labelling.questions import Question
from pt4al_backend.sampling.uncertainty import softmax
from pt4al_backend.store.store import PoolArrays

LEAST_CONTRADICTED = 0.1
"""A mask is listed if the model contradicts this part of its area with confidence."""
JUDGED = 8_000_000
"""Most values of masks that are judged together, which means fewer masks if there are many classes."""


@dataclass(frozen=True)
class _Compared:
    """Masks, and what a probe that was not fitted on them says: s images."""

    at: NDArray[np.int64]
    """(s,) positions in the pool."""
    confusion: NDArray[np.int64]
    """(s, label, prediction) pixels."""
    shares: NDArray[np.float32]
    """(s, G, G, classes) of each cell that the masks give each class."""
    probabilities: NDArray[np.float32]
    """(s, G, G, classes)"""

    @classmethod
    def of(cls, parts: list[_Compared]) -> _Compared:
        """All parts, one after the other."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def assess_masks(
    pool: PoolArrays, question: Question, inputs: ProbeInputs, unseen: ProbeInputs
) -> Generator[Progress, None, Assessed | None]:
    """Measure a question about pixels; None with too few masks.

    Args:
        pool: all images.
        question: asks for regions.
        inputs: patch embeddings by the encoder in use.
        unseen: patch embeddings by an encoder that has not seen the masks.
    """
    crossed = yield from _cross_validated(pool, question, unseen)
    held_out = _on_held_out(pool, question, inputs)
    measured = held_out or crossed
    found = segmentation_quality(measured.confusion) if measured is not None else None
    if found is None:
        return None
    classes = question.label_type.output_names(question, background=inputs.background)
    report = {
        "question": question.name,
        "label_type": question.label_type.name,
        "classes": classes,
        "held_out": held_out is not None,
        "estimate": asdict(found.mean_iou),
        "quality": asdict(found),
    }
    return Assessed(report, _suspects(pool, question, crossed, unseen, classes) if crossed else [])


def _cross_validated(
    pool: PoolArrays, question: Question, inputs: ProbeInputs
) -> Generator[Progress, None, _Compared | None]:
    """The masks that are learned from, in five parts; None with too few."""
    at = _drawn(pool, question, inputs, pool.training)
    most = min(MOST_MASKS, JUDGED // (_grid(inputs) ** 2 * output(question, background=inputs.background).classes))
    at = at[np.linspace(0, len(at) - 1, min(len(at), max(most, FEWEST))).astype(np.int64)]
    if len(at) < FEWEST:
        return None
    folds, parts = learning.folds(len(at)), []
    for fold in np.unique(folds):
        yield Progress(float(fold) / (folds.max() + 1), WHAT)
        part = at[folds == fold]
        without = replace(pool, held_out=pool.held_out | np.isin(pool.task, pool.task[part]))
        heads = fit_probes(without, [question], replace(inputs, trained_heads={}))
        if question.name in heads:
            parts.append(_compared(pool, part, question, inputs, heads[question.name]))
    return _Compared.of(parts) if parts else None


def _on_held_out(pool: PoolArrays, question: Question, inputs: ProbeInputs) -> _Compared | None:
    """The masks of the held-out images, and what the probe that serves says; None if there are too few."""
    at = _drawn(pool, question, inputs, pool.labelled & pool.held_out)
    heads = fit_probes(pool, [question], inputs) if len(at) >= LEAST else {}
    return _compared(pool, at, question, inputs, heads[question.name]) if question.name in heads else None


def _drawn(pool: PoolArrays, question: Question, inputs: ProbeInputs, those: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Positions of `those` (n,) images that have a mask and patch embeddings."""
    at = np.flatnonzero(those & inputs.known(pool.row))
    return at[answered(targets_of(pool, question, inputs, at))]


def _compared(
    pool: PoolArrays, at: NDArray[np.int64], question: Question, inputs: ProbeInputs, head: learning.Head
) -> _Compared:
    """The masks at these positions, and what `head` says."""
    layout, masks, classes = inputs.layout, targets_of(pool, question, inputs, at), len(head.bias)
    assert layout is not None and not isinstance(masks, np.ndarray) and inputs.masks is not None
    side, parts = inputs.masks.side, []
    size = max(1, min(inputs.chunk(question.label_type), IN_MEMORY // (side**2 * classes)))
    for start in range(0, len(at), size):
        part = np.arange(start, min(start + size, len(at)))
        given, stored = masks.read(part), inputs.read(question.label_type, pool.row[at[part]])
        predicted = layout.logits(stored, head, side=side).argmax(axis=-1)
        cells = layout.logits(stored, head, side=_grid(inputs))
        parts.append(
            _Compared(
                at[part],
                pixel_confusion(given, predicted, classes),
                learning.mask_shares(given, classes, _grid(inputs)),
                softmax(cells.reshape(-1, classes)).reshape(cells.shape).astype(np.float32),
            )
        )
    return _Compared.of(parts)


def _grid(inputs: ProbeInputs) -> int:
    """Cells per side by which masks are judged."""
    assert inputs.layout is not None
    return min(inputs.layout.side, CELLS)


def _suspects(
    pool: PoolArrays, question: Question, crossed: _Compared, inputs: ProbeInputs, classes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The masks of which much is contradicted, worst first."""
    judged = errors_of_masks(crossed.shares, crossed.probabilities)
    found = []
    for place in np.flatnonzero(judged.contradicted >= LEAST_CONTRADICTED)[:MOST_LISTED].tolist():
        task = int(pool.task[crossed.at[judged.positions[place]]])
        found.append(
            {
                "task": task,
                "question": question.name,
                "answer": json.dumps(inputs.answers[task][question.name]),
                "quality": float(judged.quality[place]),
                "drawn": classes[int(judged.given[place])],
                "instead": classes[int(judged.instead[place])],
                "share": float(judged.contradicted[place]),
            }
        )
    return found
