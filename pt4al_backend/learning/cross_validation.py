"""Cross-validation of a linear probe: what it says of labelled images whose labels it did not see."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pt4al_backend.learning.devices import one_thread
from pt4al_backend.learning.linear_probe import FOLDS, HeadFit, predicted_labels, probe_of
from pt4al_backend.learning.temperature import temperature
from pt4al_backend.learning.training import Meter
from pt4al_backend.learning.types import Output, Progress

_SECONDS = 0.7
"""Intended time of each head on two CPU cores, as in `fit_head`."""


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
        predictions[held_out.numpy()] = predicted_labels(logits.numpy(), output)
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
    everything = torch.full((len(targets), output.classes), torch.nan)
    meter = Meter(images=max(1, len(targets)), epochs=1)
    for held_out, logits in _parts(features, targets, output, pool):
        everything[held_out] = logits
        yield meter.add(len(logits))
    if len(targets) < FOLDS:
        return everything.double().numpy()
    probe = probe_of(output)
    cooled = everything / temperature(everything, torch.from_numpy(targets), probe.loss)
    return probe.probabilities(cooled.double()).numpy()


def _parts(
    features: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    output: Output,
    pool: npt.NDArray[np.floating] | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Masks (n,) of the images that are held out in turn, and their logits; none if there are too few labels."""
    if len(targets) < FOLDS:
        return
    with one_thread():
        fit = HeadFit.of(features, targets, output, pool=pool, seconds=_SECONDS)
    for held_out in fit.folds():
        with one_thread():
            logits = fit.logits_of(held_out)
        yield held_out, logits
