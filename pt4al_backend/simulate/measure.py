"""Measures the model of a simulated project on test images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.fit_probes import fit_probes
from pt4al_backend.active_learning.segment import segment
from pt4al_backend.active_learning.training_data import CHUNK
from pt4al_backend.active_learning.workspace import Workspace, questions
from pt4al_backend.errors import PT4ALError
from pt4al_backend.simulate.held_out import HeldOut
from pt4al_backend.store.tables import Project

Figures = dict[str, float]
Chunks = Iterable[tuple[NDArray[np.int64], NDArray[np.floating]]]
"""Rows (k,) and their logits (k, ...), a chunk at a time."""


@dataclass(frozen=True)
class Measure:
    """What a simulated project knows after a round."""

    held_out: HeldOut
    workspace: Workspace

    def figures(self) -> Figures:
        """Figures from 0 to 1 of the backend's predictions: those of the linear probe on the encoder in use.

        With the project's own networks, figures of the main network itself come along, as `network_...`.
        """
        project = self.workspace.project()
        label_type, classes = self.held_out.images.question.label_type, len(self.held_out.images.classes)
        heads = [self._probe(project)]
        if not project.encoder:
            network = self.workspace.networks.newest(project)
            heads.append(learning.network_head(self.workspace.networks.weights(network), 0))
        predict = self._predict_pixels if label_type.dense else self._predict_images
        figures, *of_network = (
            label_type.figures(classes, self._with_truth(chunks)) for chunks in predict(project, heads)
        )
        return figures | {f"network_{label_type.metric}": each[label_type.metric] for each in of_network}

    def _probe(self, project: Project) -> learning.Head:
        """The linear probe, fitted to all labels."""
        workspace = self.workspace
        inputs = workspace.probe_inputs(project)
        heads = fit_probes(workspace.store.pool(project), questions(project), inputs)
        if not heads:
            raise PT4ALError("No mask labelled so far has a labelled pixel: remove such masks from the images.")
        return next(iter(heads.values()))

    def _predict_images(self, project: Project, heads: list[learning.Head]) -> list[Chunks]:
        """The predictions of each head for images, which are embedded only once."""
        vectors = [*self._vectors(project)]
        return [[(rows, head.logits(each)) for rows, each in vectors] for head in heads]

    def _vectors(self, project: Project) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        rows, workspace = np.arange(len(self.held_out.positions)), self.workspace
        if project.encoder:
            file = self.held_out.embeddings(workspace).vectors
            yield from ((chunk, file.read(chunk)) for chunk in np.split(rows, range(CHUNK, len(rows), CHUNK)))
        else:
            encoder, pixels = workspace.networks.encoder(project), self.held_out.pixels(workspace)
            for chunk, vectors, _ in encoder.embed(pixels, rows, device=workspace.device):
                yield chunk, vectors

    def _predict_pixels(self, project: Project, heads: list[learning.Head]) -> list[Chunks]:
        """The predictions of each head for pixels. Own networks compute maps for each head, as these are too large."""
        rows, workspace, side = (
            np.arange(len(self.held_out.positions)),
            self.workspace,
            learning.mask_side(project.image_size),
        )
        files, pixels = self.held_out.embeddings(workspace), self.held_out.pixels(workspace)
        return [segment(head, files, pixels, rows, side=side, device=workspace.device) for head in heads]

    def _with_truth(self, chunks: Chunks) -> Iterator[tuple[Any, NDArray[np.floating]]]:
        """The truth about each image, and its logits."""
        positions = self.held_out.positions
        for rows, logits in chunks:
            for position, image_logits in zip(positions[rows].tolist(), logits, strict=True):
                yield self.held_out.images.truth(position), image_logits
