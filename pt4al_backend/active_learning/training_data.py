"""What linear probes are fitted on: embeddings of images, and people's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.labelling.label_type import LabelType, Targets
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.store.embedding_file import EmbeddingFile
from pt4al_backend.store.mask_file import MaskFile

CHUNK = 4096
"""Most images whose embeddings are in memory at a time."""
IN_MEMORY = 32_000_000
"""Most values of embeddings in memory at a time, which may mean fewer images."""
CELLS = 24
"""At most this many cells per side say how uncertain a segmentation is."""
SAMPLE = 2000
"""So many images tell how the embeddings of a pool are distributed."""
Rows = NDArray[np.int64]


def sample(images: int) -> NDArray[np.int64]:
    """Positions (m,) of at most `SAMPLE` images, evenly spaced through all."""
    return np.arange(0, images, max(1, -(-images // SAMPLE)))


def output(question: Question, *, background: bool) -> learning.Output:
    """The output that a question needs of a network. `background`: pixels outside all regions are a class."""
    label_type = question.label_type
    return learning.Output(label_type.name, label_type.outputs(question, background=background))


def answered(targets: Targets) -> NDArray[np.bool_]:
    """(n,) which images answer the question."""
    if not isinstance(targets, np.ndarray):
        return targets.drawn
    return np.asarray((targets >= 0) if targets.ndim == 1 else (targets >= 0).all(axis=1))


@dataclass(frozen=True)
class ProbeInputs:
    """What probes are fitted on."""

    embeddings: EmbeddingFile
    """One vector per image."""
    patches: EmbeddingFile | None
    """Patch embeddings of each image; None unless a question is about pixels."""
    layout: learning.PatchLayout | None
    """How they are stored."""
    answers: dict[int, Answers]
    """By task id."""
    masks: MaskFile | None
    """The drawn answers; None unless a question is about regions."""
    background: bool
    """Whether pixels outside all regions are a class of their own."""
    balance: float = 0.0
    """How much more a pixel of a rare class counts."""
    pretrained: bool = False
    """Whether a pretrained encoder made the embeddings."""
    trained_heads: Mapping[str, learning.Head] = field(default_factory=dict)
    """Heads that were trained with the network, by name of the question: used instead of fitted ones."""
    temperatures: Mapping[str, float] = field(default_factory=dict)
    """By which to divide the logits of fitted heads, by name of the question; 1 for others."""

    def known(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,) whether an image has been embedded."""
        embedded = self.embeddings.has(rows)
        return embedded if self.patches is None else embedded & self.patches.has(rows)

    def read(self, label_type: LabelType, rows: Rows) -> NDArray[np.float16]:
        """Embeddings (n, D) or, for a dense label type, patch embeddings (n, size)."""
        if not label_type.dense:
            return self.embeddings.read(rows)
        assert self.patches is not None
        return self.patches.read(rows)

    def logits(self, label_type: LabelType, head: learning.Head, rows: Rows) -> NDArray[np.float32]:
        """Logits (n, outputs) or, for a dense label type, those of the cells of a coarse grid (n, G, G, outputs)."""
        if not label_type.dense:
            return head.logits(self.read(label_type, rows))
        assert self.layout is not None
        return self.layout.logits(self.read(label_type, rows), head, side=min(self.layout.side, CELLS))

    def of_pool(self, rows: Rows) -> NDArray[np.float16] | None:
        """Embeddings (m, D) of some of the images in `rows`; None unless a pretrained encoder made them."""
        known = rows[self.embeddings.has(rows)]
        if not self.pretrained or not len(known):
            return None
        return self.embeddings.read(known[sample(len(known))])

    def chunk(self, label_type: LabelType) -> int:
        """How many images' embeddings may be in memory at a time."""
        width = self.patches.width if label_type.dense and self.patches is not None else self.embeddings.width
        return max(1, min(CHUNK, IN_MEMORY // width))
