"""Segmentation: a class for every pixel.

An answer is a list of regions, a later one on top of those before it, each `{"label", "width", "height"}` (of the
image, in pixels; a polygon may have none) with `"rle"` (Label Studio's brush format in base64) or `"points"` (corners
of a polygon, in per cent of width and height). The `"label"` of a region that was left out is None: its pixels teach
nothing. Where it has neither `"rle"` nor `"points"` nothing is known of those outside the other regions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_type import Drawings, Floats, LabelType, MaskStore, Measure
from pt4al_backend.labelling.questions import Answers, Prediction, Question
from pt4al_backend.labelling.single import error_of_one
from pt4al_backend.sampling.uncertainty import softmax

UNKNOWN = 255
"""In a mask: nothing is known of this pixel, and nothing to be learnt."""


class Segmentation(LabelType):
    """A class for every pixel."""

    name = "segmentation"
    title = "segmentation"
    dense = True
    has_regions = True
    usual_uncertainty = "entropy"
    metric, metric_title = "mean_iou", "mean IoU"

    def outputs(self, question: Question, *, background: bool) -> int:
        return len(question.classes) + background

    def targets(self, question: Question, answers: Sequence[Answers], drawings: Drawings) -> DrawnMasks:
        """Those that have been drawn."""
        masks, rows = drawings.masks, drawings.rows
        assert masks is not None
        drawn = drawn_masks(question, answers, rows, masks)
        return DrawnMasks(masks, rows, drawn, None if drawings.background else len(question.classes))

    def uncertainty(self, logits: Floats, measure: Measure) -> NDArray[np.float64]:
        return of_pixels(logits, measure)

    def errors(self, logits: Floats) -> NDArray[np.float64]:
        return error_of_pixels(logits)

    def seen(self, logits: Floats) -> Prediction:
        """A mask."""
        shares = softmax(logits.reshape(-1, logits.shape[-1])).reshape(logits.shape)
        return Prediction(shares.argmax(axis=-1).astype(np.uint8), float(shares.max(axis=-1).mean()))

    def figures(self, classes: int, found: Iterable[tuple[NDArray[np.uint8], Floats]]) -> dict[str, float]:
        """The truth are masks (height, width); what is none of the classes is not known."""
        return {"mean_iou": mean_iou(classes, found)}


class DrawnMasks:
    """Answers that have been drawn, as a network learns them."""

    def __init__(
        self, masks: MaskStore, rows: NDArray[np.int64], drawn: NDArray[np.bool_], ignored: int | None
    ) -> None:
        """`rows` (n,) of the mask file; those not `drawn` teach nothing, nor do pixels of the class `ignored`."""
        self.drawn = drawn
        self._masks, self._rows, self._ignored = masks, rows, ignored

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(k, side, side) class numbers, `UNKNOWN` where there is nothing to learn."""
        side = self._masks.side
        found = np.full((len(positions), side, side), UNKNOWN, dtype=np.uint8)
        drawn = self.drawn[positions]
        found[drawn] = self._masks.read(self._rows[positions[drawn]])
        if self._ignored is not None:
            found[found == self._ignored] = UNKNOWN
        return found


def drawn_masks(
    question: Question, answers: Sequence[Answers], rows: NDArray[np.int64], masks: MaskStore
) -> NDArray[np.bool_]:
    """(n,) whether the regions of each image were answered and drawn; their digests stand in `answers`."""
    digests = [answer.get(question.name) for answer in answers]
    drawn = np.array([digest is not None for digest in digests], dtype=bool)
    drawn[drawn] = masks.has(rows[drawn], [digest for digest in digests if digest is not None])
    return drawn


def of_pixels(logits: Floats, measure: Measure) -> NDArray[np.float64]:
    """(n,) of logits (n, height, width, classes): the mean of `measure` over the pixels."""
    return measure(logits.reshape(-1, logits.shape[-1])).reshape(len(logits), -1).mean(axis=1)


def error_of_pixels(logits: Floats) -> NDArray[np.float64]:
    """The mean over the pixels of images (n, G, G, classes)."""
    errors = error_of_one(logits.reshape(-1, logits.shape[-1]))
    return errors.reshape(len(logits), -1, logits.shape[-1]).mean(axis=1)


def mean_iou(classes: int, found: Iterable[tuple[NDArray[np.uint8], Floats]]) -> float:
    """Over the classes that occur, at the masks' own resolution; pixels that are not labelled do not count.

    Args:
        found: of each image the true mask (height, width) and logits (m, m, classes or more).

    Raises:
        PT4ALError: no pixel is labelled.
    """
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for truth, logits in found:
        known = truth < classes
        guess = _enlarged(logits[..., :classes], height=truth.shape[0], width=truth.shape[1]).argmax(axis=0)
        pairs = classes * truth[known].astype(np.int64) + guess[known]
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both, either = confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1) - confusion.diagonal()
    occurs = confusion.sum(axis=1) > 0
    if not occurs.any():
        raise PT4ALError("No pixel of the test masks is labelled, so there is nothing to measure: give others.")
    return float((both[occurs] / either[occurs]).mean())


def _enlarged(logits: Floats, *, height: int, width: int) -> NDArray[np.float32]:
    """Logits (m, m, classes) as (classes, height, width), linearly between their middles."""
    planes = map(Image.fromarray, np.moveaxis(logits, -1, 0).astype(np.float32))
    return np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes])


SEGMENTATION = Segmentation()
