"""What linear probes are fitted on: answers, and the features of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.labelling.label_type import LabelType, Targets
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.store.feature_file import FeatureFile
from pt4al_backend.store.mask_file import MaskFile

CHUNK = 4096
"""Images whose features are in memory at a time ..."""
IN_MEMORY = 32_000_000
"""... or fewer, so that they are not more values than these."""
Rows = NDArray[np.int64]


def output(question: Question, *, background: bool) -> learning.Output:
    """What a network has to give for a question. `background`: pixels outside all regions are a class."""
    label_type = question.label_type
    return learning.Output(label_type.name, label_type.outputs(question, background=background))


def answered(targets: Targets) -> NDArray[np.bool_]:
    """(n,) which images answer the question."""
    if not isinstance(targets, np.ndarray):
        return targets.drawn
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

    def read(self, label_type: LabelType, rows: Rows) -> NDArray[np.float16]:
        """Features (n, D) or, of a dense label type, (n, G, G, F)."""
        if not label_type.dense:
            return self.features.read(rows)
        assert self.grid is not None and self.grid_shape is not None
        side, width = self.grid_shape
        return self.grid.read(rows).reshape(len(rows), side, side, width)

    def chunk(self, label_type: LabelType) -> int:
        """Images whose features may be in memory at a time."""
        width = self.grid.width if label_type.dense and self.grid is not None else self.features.width
        return max(1, min(CHUNK, IN_MEMORY // width))
