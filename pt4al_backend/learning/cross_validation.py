"""Cross-validation of a linear probe: what it says of labelled images whose labels it did not see."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
import numpy.typing as npt
import torch

from pt4al_backend.learning.devices import one_thread
from pt4al_backend.learning.linear_probe import (
    FOLDS,
    HeadFit,
    calibrated_temperature,
    fit_head,
    folds,
    predicted_labels,
)
from pt4al_backend.learning.output_types import type_of
from pt4al_backend.learning.training import Meter
from pt4al_backend.learning.types import Output, Progress


def out_of_fold(
    features: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    output: Output,
    *,
    pool: npt.NDArray[np.floating] | None = None,
) -> npt.NDArray[np.integer]:
    """Cross-validated predictions, shaped like `targets`: each from a head that did not see the image's label.

    All -1 if there are too few labels to leave some out. Arguments and errors are those of `fit_head`.
    """
    predictions = np.full_like(targets, -1)
    for held_out, logits in _parts(features, targets, output, pool):
        predictions[held_out] = predicted_labels(logits, output)
    return predictions


def out_of_fold_probabilities(
    features: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    output: Output,
    *,
    pool: npt.NDArray[np.floating] | None = None,
) -> Generator[Progress, None, npt.NDArray[np.float64]]:
    """Cross-validated probabilities: each row from a head that did not see the image's label.

    One temperature, fitted to all these labels, makes them as high as the predictions are right. Arguments and errors
    are those of `fit_head`; progress is yielded after each of the `FOLDS` heads.

    Returns:
        (n, classes), of classes that exclude one another or, if the output is `multiple`, of each for itself. All NaN
        if there are too few labels to leave some out.
    """
    everything = np.full((len(targets), output.classes), np.nan, np.float32)
    meter = Meter(images=max(1, len(targets)), epochs=1)
    for held_out, logits in _parts(features, targets, output, pool):
        everything[held_out] = logits
        yield meter.add(len(logits))
    if len(targets) < FOLDS:
        return everything.astype(np.float64)
    cooled = everything / calibrated_temperature(everything, targets, output)
    return type_of(output).probabilities(torch.from_numpy(cooled).double()).numpy()


def _parts(
    features: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    output: Output,
    pool: npt.NDArray[np.floating] | None,
) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]]:
    """Masks (n,) of the images that are held out in turn, and their logits; none if there are too few labels."""
    if len(targets) < FOLDS:
        return
    fold = folds(len(targets))
    masks = [fold == k for k in range(FOLDS)]
    if pool is None:
        # held-out features take no part in the scaling: of a few images, each is far from the mean of the others
        for held_out in masks:
            head = fit_head(features[~held_out], targets[~held_out], output)
            yield held_out, head.logits(features[held_out])
        return
    with one_thread():
        fit = HeadFit.of(features, targets, output, pool=pool)
    for held_out in masks:
        with one_thread():
            logits = fit.logits_of(torch.from_numpy(held_out)).numpy()
        yield held_out, logits
