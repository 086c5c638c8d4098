"""How good the networks of a simulated project are, on images that are never labelled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.fit_probes import fit_heads
from pt4al_backend.active_learning.workspace import Workspace, questions
from pt4al_backend.datasets.known_images import KnownImages
from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.pixels import PixelStore

Figures = dict[str, float]
Found = Iterable[tuple[NDArray[np.int64], NDArray[np.floating]]]
"""Rows (k,) and their logits (k, ...), a chunk at a time."""


@dataclass(frozen=True)
class Measure:
    """Test images, decoded: row k of `pixels` shows the image at `positions[k]` of `test`."""

    test: KnownImages
    positions: NDArray[np.int64]
    pixels: PixelStore

    def figures(self, workspace: Workspace) -> Figures:
        """All shares, 0 to 1: of what the backend would answer (refitted heads), and of the network itself."""
        label_type, classes = self.test.question.label_type, len(self.test.classes)
        encoder, heads = _newest(workspace)
        rows, device = np.arange(len(self.positions)), workspace.device
        ask = _of_pixels if label_type.dense else _of_images
        figures, of_network = (
            label_type.figures(classes, self._with_truth(found))
            for found in ask(encoder, heads, self.pixels, rows, device)
        )
        return figures | {f"network_{label_type.metric}": of_network[label_type.metric]}

    def _with_truth(self, found: Found) -> Iterator[tuple[Any, NDArray[np.floating]]]:
        """The truth about each image, and its logits."""
        for rows, logits in found:
            for position, each in zip(self.positions[rows].tolist(), logits, strict=True):
                yield self.test.truth(position), each


def _of_images(
    encoder: learning.Encoder,
    heads: Sequence[learning.Head],
    pixels: PixelStore,
    rows: NDArray[np.int64],
    device: str,
) -> list[Found]:
    """What each head says of the images as they are embedded once."""
    chunks = [(chunk, vectors) for chunk, vectors, _ in encoder.embed(pixels, rows, device=device)]
    return [[(chunk, head.logits(vectors)) for chunk, vectors in chunks] for head in heads]


def _of_pixels(
    encoder: learning.Encoder,
    heads: Sequence[learning.Head],
    pixels: PixelStore,
    rows: NDArray[np.int64],
    device: str,
) -> list[Found]:
    """What each head says of the images' pixels: too much to keep."""
    return [encoder.segment(head, pixels, rows, device=device) for head in heads]


def _newest(workspace: Workspace) -> tuple[learning.Encoder, tuple[learning.Head, learning.Head]]:
    """The main network as an encoder; the probe fitted to the newest answers on its embeddings, and its own head."""
    project = workspace.project()
    name = f"main-{project.main_generation}"
    heads = fit_heads(workspace.store.pool(project), questions(project), workspace.sources(project, name))
    if not heads:
        raise PT4ALError("The masks labelled so far have no labelled pixel, so nothing is learnt: leave such out.")
    weights = workspace.networks.weights(name)
    return workspace.networks.encoder(project, name), (next(iter(heads.values())), learning.network_head(weights, 0))
