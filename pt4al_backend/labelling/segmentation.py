"""Segmentation: a class for every pixel.

An answer is a list of regions; later ones cover earlier ones. Each has `"label"`, `"width"` and `"height"` (of the
image, in pixels; a polygon may lack them), and either `"rle"` (Label Studio's brush format in base64) or `"points"`
(corners of a polygon, in per cent of width and height). A region whose `"label"` is None was excluded: its pixels are
ignored in training. If it has neither `"rle"` nor `"points"`, all pixels outside the other regions are ignored.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_type import Drawings, Floats, LabelType, MaskStore, Measure
from pt4al_backend.labelling.questions import Answers, Prediction, Question
from pt4al_backend.labelling.single import error_of_one
from pt4al_backend.sampling.uncertainty import softmax

UNKNOWN = 255
"""In a mask: the label of this pixel is unknown, so training ignores it."""

SURE = 0.7
"""From this probability on, the model is not called uncertain about a part of an image."""


class Segmentation(LabelType):
    """A class for every pixel."""

    name = "segmentation"
    title = "segmentation"
    dense = True
    has_regions = True
    usual_uncertainty = "entropy"
    metric, metric_title = "mean_iou", "mean IoU"

    def output_names(self, question: Question, *, background: bool) -> tuple[str, ...]:
        return (*question.classes, _outside(question.classes)) if background else question.classes

    def targets(self, question: Question, answers: Sequence[Answers], drawings: Drawings) -> DrawnMasks:
        """The masks that have been drawn."""
        masks, rows = drawings.masks, drawings.rows
        assert masks is not None
        drawn = drawn_masks(question, answers, rows, masks)
        return DrawnMasks(masks, rows, drawn, None if drawings.background else len(question.classes))

    def uncertainty(self, logits: Floats, measure: Measure) -> NDArray[np.float64]:
        return of_pixels(logits, measure)

    def errors(self, logits: Floats) -> NDArray[np.float64]:
        return error_of_pixels(logits)

    def doubt(self, question: Question, logits: Floats) -> str:
        probability = softmax(logits.reshape(-1, logits.shape[-1])).max(axis=1)
        return f"uncertain about {100 * (probability < SURE).mean():.0f} % of its area"

    def seen(self, logits: Floats) -> Prediction:
        """A mask."""
        shares = softmax(logits.reshape(-1, logits.shape[-1])).reshape(logits.shape)
        return Prediction(shares.argmax(axis=-1).astype(np.uint8), float(shares.max(axis=-1).mean()))

    def figures(self, classes: int, results: Iterable[tuple[NDArray[np.uint8], Floats]]) -> dict[str, Any]:
        """The mean IoU, and the IoU of each class.

        True labels are masks (height, width); other values than class numbers mean unlabelled pixels.
        """
        pixels, ious = class_ious(classes, results)
        return {
            "mean_iou": float(ious[pixels > 0].mean()),
            "by_class": [
                {"test_pixels": count, **({"iou": iou} if count else {})}
                for count, iou in zip(pixels.tolist(), ious.tolist(), strict=True)
            ],
        }


class DrawnMasks:
    """Training targets that are masks."""

    def __init__(
        self, masks: MaskStore, rows: NDArray[np.int64], drawn: NDArray[np.bool_], ignored: int | None
    ) -> None:
        """Training ignores images without a mask, and pixels of one class.

        Args:
            masks: the store of the masks.
            rows: (n,) in the store.
            drawn: (n,) whether each image has a mask.
            ignored: the class whose pixels are ignored; None: no class.
        """
        self.drawn = drawn
        self._masks, self._rows, self._ignored = masks, rows, ignored

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Class numbers (k, side, side), `UNKNOWN` for pixels to ignore."""
        side = self._masks.side
        classes = np.full((len(positions), side, side), UNKNOWN, dtype=np.uint8)
        drawn = self.drawn[positions]
        classes[drawn] = self._masks.read(self._rows[positions[drawn]])
        if self._ignored is not None:
            classes[classes == self._ignored] = UNKNOWN
        return classes


def drawn_masks(
    question: Question, answers: Sequence[Answers], rows: NDArray[np.int64], masks: MaskStore
) -> NDArray[np.bool_]:
    """(n,) whether each image has regions that have been drawn; `answers` hold their digests."""
    digests = [answer.get(question.name) for answer in answers]
    drawn = np.array([digest is not None for digest in digests], dtype=bool)
    drawn[drawn] = masks.has(rows[drawn], [digest for digest in digests if digest is not None])
    return drawn


def of_pixels(logits: Floats, measure: Measure) -> NDArray[np.float64]:
    """The mean uncertainty (n,) of the pixels, given logits (n, height, width, classes)."""
    return measure(logits.reshape(-1, logits.shape[-1])).reshape(len(logits), -1).mean(axis=1)


def error_of_pixels(logits: Floats) -> NDArray[np.float64]:
    """`LabelType.errors` (n, classes), the mean over the cells, given logits (n, G, G, classes)."""
    errors = error_of_one(logits.reshape(-1, logits.shape[-1]))
    return errors.reshape(len(logits), -1, logits.shape[-1]).mean(axis=1)


def class_ious(
    classes: int, results: Iterable[tuple[NDArray[np.uint8], Floats]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Intersection over union of each class, at the masks' resolution; unlabelled pixels do not count.

    Args:
        classes: number of classes.
        results: the true mask (height, width) and the logits (m, m, classes or more) of each image.

    Returns:
        The number of pixels (classes,) of each class, and its IoU (classes,), which means nothing without pixels.

    Raises:
        PT4ALError: no pixel is labelled.
    """
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for truth, logits in results:
        known = truth < classes
        predicted = _enlarged(logits[..., :classes], height=truth.shape[0], width=truth.shape[1]).argmax(axis=0)
        pairs = classes * truth[known].astype(np.int64) + predicted[known]
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both, pixels = confusion.diagonal(), confusion.sum(axis=1)
    if not pixels.any():
        raise PT4ALError("No pixel of the test masks is labelled, so there is nothing to measure: use other masks.")
    return pixels, both / np.maximum(1, confusion.sum(axis=0) + pixels - both)


def _outside(classes: Sequence[str]) -> str:
    """A name for the pixels outside all regions that is no class."""
    names = itertools.chain(("background", "no region"), (f"no region {k}" for k in itertools.count(2)))
    return next(name for name in names if name not in classes)


def _enlarged(logits: Floats, *, height: int, width: int) -> NDArray[np.float32]:
    """Logits (m, m, classes) as (classes, height, width), by bilinear interpolation."""
    planes = map(Image.fromarray, np.moveaxis(logits, -1, 0).astype(np.float32))
    return np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes])


SEGMENTATION = Segmentation()
