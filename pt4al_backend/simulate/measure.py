"""How good the networks of a simulated project are, on images that are never labelled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend import learning
from pt4al_backend.active_learning.fit_probes import fit_heads
from pt4al_backend.active_learning.workspace import Workspace, questions
from pt4al_backend.datasets.known_images import KnownImages, LabelledImages, SegmentedImages
from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.pixels import PixelStore

Figures = dict[str, float]


@dataclass(frozen=True)
class Measure:
    """Test images, decoded: row k of `pixels` shows the image at `positions[k]` of `test`."""

    test: KnownImages
    positions: NDArray[np.int64]
    pixels: PixelStore

    @property
    def metric(self) -> str:
        """The figure that curves show."""
        return METRICS[type(self.test)]

    def figures(self, workspace: Workspace) -> Figures:
        """All shares, 0 to 1: of what the backend would answer (refitted heads), and of the network itself."""
        if isinstance(self.test, LabelledImages):
            return self._classes(self.test, workspace)
        return self._masks(self.test, workspace)

    def _classes(self, test: LabelledImages, workspace: Workspace) -> Figures:
        truth = test.targets[self.positions]
        weights, head = _newest(workspace)
        heads = head, learning.network_head(weights, 0)
        predicted = np.empty((len(heads), len(truth)), dtype=np.int64)
        for rows, features, _ in learning.extract_features(
            weights, self.pixels, np.arange(len(truth)), device=workspace.device
        ):
            for k, each in enumerate(heads):
                predicted[k, rows] = each.logits(features).argmax(axis=1)
        right = predicted == truth
        return {
            "accuracy": float(right[0].mean()),
            "balanced_accuracy": float(np.mean([right[0][truth == target].mean() for target in np.unique(truth)])),
            "network_accuracy": float(right[1].mean()),
        }

    def _masks(self, test: SegmentedImages, workspace: Workspace) -> Figures:
        weights, head = _newest(workspace)
        rows = np.arange(len(self.positions))
        heads = {"mean_iou": head, "network_mean_iou": learning.network_head(weights, 0)}
        told = {}
        for name, each in heads.items():
            found = learning.segment(weights, each, self.pixels, rows, device=workspace.device)
            told[name] = mean_iou(test, ((self.positions[chunk], logits) for chunk, logits in found))
        return told


METRICS: dict[type, str] = {LabelledImages: "accuracy", SegmentedImages: "mean_iou"}


def _newest(workspace: Workspace) -> tuple[learning.Weights, learning.Head]:
    """The main network, and the head that the newest answers were refitted to on its features."""
    project = workspace.project()
    name = f"main-{project.main_generation}"
    heads = fit_heads(workspace.store.pool(project), questions(project), workspace.sources(project, name))
    if not heads:
        raise PT4ALError("The masks labelled so far have no labelled pixel, so nothing is learnt: leave such out.")
    return workspace.networks.weights(name), next(iter(heads.values()))


def mean_iou(test: SegmentedImages, found: Iterable[tuple[NDArray[np.int64], NDArray[np.float16]]]) -> float:
    """Over the classes that occur, at the masks' own resolution; pixels that are not labelled do not count.

    `found`: positions (k,) in `test` and logits (k, m, m, classes).
    """
    classes = len(test.classes)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for positions, logits in found:
        for position, image in zip(positions.tolist(), logits, strict=True):
            truth = test.mask(position)
            known = truth < classes
            guess = _enlarged(image[..., :classes], height=truth.shape[0], width=truth.shape[1]).argmax(axis=0)
            pairs = classes * truth[known].astype(np.int64) + guess[known]
            confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both, either = confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1) - confusion.diagonal()
    occurs = confusion.sum(axis=1) > 0
    if not occurs.any():
        raise PT4ALError("No pixel of the test masks is labelled, so there is nothing to measure: give others.")
    return float((both[occurs] / either[occurs]).mean())


def _enlarged(logits: NDArray[np.float16], *, height: int, width: int) -> NDArray[np.float32]:
    """Logits (m, m, classes) as (classes, height, width), linearly between their middles."""
    planes = map(Image.fromarray, np.moveaxis(logits, -1, 0).astype(np.float32))
    return np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes])


def effort(mask: NDArray[np.uint8], *, classes: int) -> tuple[int, int]:
    """What a mask cost a person: its labelled pixels, and the length of the borders between classes, in pixels."""
    labelled = mask < classes
    down = (mask[1:] != mask[:-1]) & labelled[1:] & labelled[:-1]
    across = (mask[:, 1:] != mask[:, :-1]) & labelled[:, 1:] & labelled[:, :-1]
    return int(labelled.sum()), int(down.sum() + across.sum())
