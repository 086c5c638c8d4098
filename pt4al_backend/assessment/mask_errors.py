"""Masks that are likely wrong, worst first.

Lad and Mueller, "Estimating Label Quality and Errors in Semantic Segmentation Data via Any Model", ICML workshop on
Data-centric Machine Learning Research (2023), section 3: a mask is as good as the soft minimum over its pixels of the
probability of the given class. A few pixels that are certainly wrong count more than many that are a little doubtful.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.assessment.confident_learning import Floats, class_thresholds, confident_classes

TEMPERATURE = 0.1
"""Of the soft minimum, as in the paper."""


@dataclass(frozen=True)
class MaskErrors:
    """Segmented images, those first whose mask is most likely wrong. All arrays are in this order."""

    positions: NDArray[np.int64]
    """(s,) in the arrays that were judged; images without a labelled cell are left out."""
    quality: NDArray[np.float64]
    """(s,) of the mask, from 0 (wrong) to 1; it says which of two masks is worse, and is no probability."""
    contradicted: NDArray[np.float64]
    """(s,) the share of the labelled area where the model contradicts the mask with confidence, 0 to 1."""
    given: NDArray[np.int64]
    """(s,) the class that is contradicted most, or -1."""
    instead: NDArray[np.int64]
    """(s,) the class that the model sees there most, or -1."""


def errors_of_masks(shares: Floats, probabilities: Floats) -> MaskErrors:
    """Judge masks by the cells of a grid.

    A class is predicted with confidence in a cell where it is the most likely of those whose probability is at least
    their mean probability in cells that have them (the thresholds of confident learning, eq. 2).

    Args:
        shares: (l, ..., classes) each class's fraction of a cell's pixels, as `learning.mask_shares` counts them; of
            pixels whose class is unknown nothing counts.
        probabilities: (l, ..., classes) of the same cells, out-of-fold.
    """
    classes = shares.shape[-1]
    known = np.flatnonzero(shares.any(axis=tuple(range(1, shares.ndim))))
    flat = (len(known), math.prod(shares.shape[1:-1]), classes)
    of_mask, of_model = (each[known].reshape(flat).astype(np.float64) for each in (shares, probabilities))
    area = of_mask.sum(axis=2)
    agreement = (of_mask * of_model).sum(axis=2)  # (s, cells), each times its labelled area
    confidence = agreement / np.maximum(area, 1e-12)
    weights = area * np.exp((1 - confidence) / TEMPERATURE)
    quality = (weights * confidence).sum(axis=1) / weights.sum(axis=1)
    pairs = _contradictions(of_mask, of_model)
    contradicted = pairs.sum(axis=(1, 2)) / area.sum(axis=1)
    given, instead = np.divmod(pairs.reshape(len(pairs), classes**2).argmax(axis=1), classes)
    order = np.argsort(quality, kind="stable")
    return MaskErrors(
        known[order],
        quality[order],
        contradicted[order],
        np.where(contradicted > 0, given, -1)[order],
        np.where(contradicted > 0, instead, -1)[order],
    )


def _contradictions(of_mask: NDArray[np.float64], of_model: NDArray[np.float64]) -> NDArray[np.float64]:
    """(s, given, predicted) the area in cells where another class is predicted with confidence."""
    images, cells, classes = of_mask.shape
    flat = of_model.reshape(-1, classes)
    predicted = confident_classes(flat, class_thresholds(of_mask.reshape(-1, classes), flat))
    one_hot = (predicted[:, None] == np.arange(classes)).reshape(images, cells, classes)
    pairs: NDArray[np.float64] = np.matmul(of_mask.transpose(0, 2, 1), one_hot.astype(np.float64))
    pairs[:, np.arange(classes), np.arange(classes)] = 0.0
    return pairs
