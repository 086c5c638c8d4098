"""Segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.single import error_of_one
from pt4al_backend.sampling.uncertainty import Floats


def of_pixels(logits: Floats, measure: Callable[[Floats], NDArray[np.float64]]) -> NDArray[np.float64]:
    """(n,) of logits (n, height, width, classes): the mean of `measure` over the pixels."""
    return measure(logits.reshape(-1, logits.shape[-1])).reshape(len(logits), -1).mean(axis=1)


def error_of_pixels(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mean over the pixels of images (n, G, G, classes)."""
    errors = error_of_one(logits.reshape(-1, logits.shape[-1]))
    return errors.reshape(len(logits), -1, logits.shape[-1]).mean(axis=1)
