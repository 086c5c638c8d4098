"""How good are predicted masks, of images that the model did not learn from?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.assessment.confusion import Rows, as_rows, counted
from pt4al_backend.assessment.estimates import Estimate

RESAMPLES = 1000
"""Of a bootstrap."""


@dataclass(frozen=True)
class ClassIoU:
    """Intersection over union of one class."""

    pixels: int
    """Labelled pixels of the class."""
    iou: float | None
    """None without labelled pixels."""


@dataclass(frozen=True)
class SegmentationQuality:
    """Of a segmentation."""

    mean_iou: Estimate
    """Over the classes with labelled pixels; the interval is that of a bootstrap over images."""
    pixel_accuracy: float
    classes: tuple[ClassIoU, ...]
    confusion: Rows
    """(label, prediction) number of pixels."""


def pixel_confusion(masks: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Count pixels: (n, label, prediction) of n images.

    Args:
        masks: (n, height, width) class numbers; pixels with other numbers are unlabelled and do not count.
        predicted: (n, height, width), each in [0, classes).
        classes: their number.
    """
    confusion = np.zeros((len(masks), classes, classes), dtype=np.int64)
    for of_image, mask, guess in zip(confusion, masks, predicted, strict=True):
        known = (mask >= 0) & (mask < classes)
        of_image[:] = counted(mask[known], guess[known], classes)
    return confusion


def segmentation_quality(confusion: NDArray[np.integer], *, seed: int = 0) -> SegmentationQuality | None:
    """How good masks are.

    Args:
        confusion: (n, label, prediction) pixels of each image, as `pixel_confusion` counts them.
        seed: draws the images of the bootstrap.

    Returns:
        None if no pixel is labelled.
    """
    labelled = confusion[confusion.any(axis=(1, 2))].astype(np.int64)
    n, total = len(labelled), labelled.sum(axis=0)
    if n == 0:
        return None
    of_images = np.stack([labelled.diagonal(axis1=1, axis2=2), labelled.sum(axis=2), labelled.sum(axis=1)], axis=1)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    resampled = np.tensordot(draws.astype(np.float64), of_images.astype(np.float64), axes=1)
    low, high = np.percentile(np.nanmean(_ious(resampled), axis=1), [2.5, 97.5]).tolist()
    ious, pixels = _ious(of_images.sum(axis=0)), total.sum(axis=1)
    return SegmentationQuality(
        Estimate(float(np.nanmean(ious)), low, high, n),
        float(total.trace() / total.sum()),
        tuple(ClassIoU(int(count), float(iou) if count else None) for count, iou in zip(pixels, ious, strict=True)),
        as_rows(total),
    )


def _ious(counts: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., classes) intersection over union, NaN without labelled pixels.

    Args:
        counts: (..., 3, classes) pixels with the class as label and prediction, as label, and as prediction.
    """
    both, labelled, predicted = np.moveaxis(counts, -2, 0)
    return np.where(labelled > 0, both / np.maximum(labelled + predicted - both, 1), np.nan)
