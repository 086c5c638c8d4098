"""What people answered, as the networks learn it: class numbers, zeros and ones per class, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.labelling.multiple import chosen_classes
from pt4al_backend.labelling.questions import MULTIPLE, SEGMENTATION, SINGLE, Answers, Question
from pt4al_backend.labelling.single import class_numbers
from pt4al_backend.store.feature_file import FeatureFile
from pt4al_backend.store.mask_file import MaskFile

CHUNK = 4096
"""Images whose features are in memory at a time ..."""
IN_MEMORY = 32_000_000
"""... or fewer, so that they are not more values than these."""
Rows = NDArray[np.int64]


def output(question: Question, *, background: bool) -> learning.Output:
    """What a network has to give for a question. `background`: pixels outside all regions are a class."""
    own_class = background and question.kind == SEGMENTATION
    return learning.Output(question.kind, len(question.classes) + own_class)


class Drawn:
    """Answers of a `segmentation` question that have been drawn: `learning.Masks`."""

    def __init__(self, masks: MaskFile, rows: NDArray[np.int64], drawn: NDArray[np.bool_], ignored: int | None) -> None:
        """`rows` (n,) of the mask file; those not `drawn` teach nothing, nor do pixels of the class `ignored`."""
        self.drawn = drawn
        self._masks, self._rows, self._ignored = masks, rows, ignored

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(k, side, side) class numbers, `learning.IGNORE` where there is nothing to learn."""
        side = self._masks.side
        found = np.full((len(positions), side, side), learning.IGNORE, dtype=np.uint8)
        drawn = self.drawn[positions]
        found[drawn] = self._masks.read(self._rows[positions[drawn]])
        if self._ignored is not None:
            found[found == self._ignored] = learning.IGNORE
        return found


def targets(
    question: Question,
    answers: Sequence[Answers],
    rows: NDArray[np.int64],
    *,
    masks: MaskFile | None,
    background: bool,
) -> learning.Targets:
    """Answers (n of them) to a question about the images in `rows` (n,)."""
    if question.kind == SINGLE:
        return class_numbers(question, answers)
    if question.kind == MULTIPLE:
        return chosen_classes(question, answers)
    assert masks is not None
    drawn = drawn_masks(question, answers, rows, masks)
    return Drawn(masks, rows, drawn, None if background else len(question.classes))


def drawn_masks(
    question: Question, answers: Sequence[Answers], rows: NDArray[np.int64], masks: MaskFile
) -> NDArray[np.bool_]:
    """(n,) whether the segmentation of each image was answered and drawn."""
    digests = [answer.get(question.name) for answer in answers]
    drawn = np.array([digest is not None for digest in digests], dtype=bool)
    drawn[drawn] = masks.has(rows[drawn], [digest for digest in digests if digest is not None])
    return drawn


def answered(targets: learning.Targets) -> NDArray[np.bool_]:
    """(n,) which images answer the question."""
    if isinstance(targets, Drawn):
        return targets.drawn
    assert isinstance(targets, np.ndarray)
    return np.asarray((targets >= 0) if targets.ndim == 1 else (targets >= 0).all(axis=1))


@dataclass(frozen=True)
class ProbeInputs:
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
