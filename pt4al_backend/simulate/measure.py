"""Measures the networks of a simulated project on test images, which are never labelled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.fit_probes import fit_probes
from pt4al_backend.active_learning.workspace import Workspace, questions
from pt4al_backend.datasets.known_images import KnownImages
from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.pixels import PixelStore

Figures = dict[str, float]
Chunks = Iterable[tuple[NDArray[np.int64], NDArray[np.floating]]]
"""Rows (k,) and their logits (k, ...), a chunk at a time."""


@dataclass(frozen=True)
class Measure:
    """Decoded test images."""

    test: KnownImages
    positions: NDArray[np.int64]
    """Position in `test` of the image in each row of `pixels`."""
    pixels: PixelStore

    def figures(self, workspace: Workspace) -> Figures:
        """Figures from 0 to 1, of the backend's predictions (linear probe) and of the main network itself."""
        label_type, classes = self.test.question.label_type, len(self.test.classes)
        encoder, heads = _newest(workspace)
        rows, device = np.arange(len(self.positions)), workspace.device
        predict = _predict_pixels if label_type.dense else _predict_images
        figures, network_figures = (
            label_type.figures(classes, self._with_truth(chunks))
            for chunks in predict(encoder, heads, self.pixels, rows, device)
        )
        return figures | {f"network_{label_type.metric}": network_figures[label_type.metric]}

    def _with_truth(self, chunks: Chunks) -> Iterator[tuple[Any, NDArray[np.floating]]]:
        """The truth about each image, and its logits."""
        for rows, logits in chunks:
            for position, image_logits in zip(self.positions[rows].tolist(), logits, strict=True):
                yield self.test.truth(position), image_logits


def _predict_images(
    encoder: learning.Encoder,
    heads: Sequence[learning.Head],
    pixels: PixelStore,
    rows: NDArray[np.int64],
    device: str,
) -> list[Chunks]:
    """The predictions of each head for images; the images are embedded only once."""
    chunks = [(chunk, vectors) for chunk, vectors, _ in encoder.embed(pixels, rows, device=device)]
    return [[(chunk, head.logits(vectors)) for chunk, vectors in chunks] for head in heads]


def _predict_pixels(
    encoder: learning.Encoder,
    heads: Sequence[learning.Head],
    pixels: PixelStore,
    rows: NDArray[np.int64],
    device: str,
) -> list[Chunks]:
    """The predictions of each head for pixels. The images are embedded for each head, as embeddings are too large."""
    return [encoder.segment(head, pixels, rows, device=device) for head in heads]


def _newest(workspace: Workspace) -> tuple[learning.Encoder, tuple[learning.Head, learning.Head]]:
    """The main network as an encoder, with two heads: the linear probe fitted to all labels, and the network's own."""
    project = workspace.project()
    name = f"main-{project.main_generation}"
    heads = fit_probes(workspace.store.pool(project), questions(project), workspace.probe_inputs(project, name))
    if not heads:
        raise PT4ALError("No mask labelled so far has a labelled pixel: remove such masks from the images.")
    weights = workspace.networks.weights(name)
    return workspace.networks.encoder(project, name), (next(iter(heads.values())), learning.network_head(weights, 0))
