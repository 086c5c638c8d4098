"""The linear probe: a linear classifier on frozen embeddings, fitted in well under a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.devices import one_thread
from pt4al_backend.learning.losses import class_weights
from pt4al_backend.learning.networks import embedding_size, for_inference
from pt4al_backend.learning.output_types import Probe, type_of
from pt4al_backend.learning.targets import check_targets
from pt4al_backend.learning.temperature import temperature
from pt4al_backend.learning.types import Output, Weights

_FLOPS_PER_SECOND = 30e9
"""Throughput of L-BFGS on two cores, with a margin for a busy machine."""
_LEAST_ITERATIONS, _MOST_ITERATIONS = 20, 100
_SECONDS = 0.7
"""Intended time of a fit on two cores."""
FOLDS = 5
"""Parts of the labelled images in a cross-validation."""
_ENOUGH = 300
"""So many held-out labels say enough about a head's temperature."""
_PIXEL_FLOPS_PER_SECOND = 10e9
"""Throughput on one core, since cells are many and classes few. A sample is drawn if there are too many cells."""
_MASKS_AT_ONCE = 16


class PixelProbe(NamedTuple):
    """How a segmentation's linear probe is fitted."""

    prior: float
    """Strength of the L2 penalty, relative to the sum of the images' mean losses."""
    iterations: int
    seconds: float
    """Intended time on one core, from which the number of cells follows."""

    def most_cells(self, width: int, classes: int) -> int:
        """How many cells are taken into account; `width` is the length F of a patch embedding."""
        return max(1, int(self.seconds * _PIXEL_FLOPS_PER_SECOND / (6 * width * classes * self.iterations)))


OWN_PATCHES = PixelProbe(prior=0.1, iterations=40, seconds=1.5)
"""On a project's own networks. The prior is the best of 0.01 to 10 on 3 to 62 images of CamVid."""
PRETRAINED_PATCHES = PixelProbe(prior=1.0, iterations=25, seconds=3.75)
"""On a pretrained encoder, measured on CamVid's validation frames (`benchmarks/decisions/pixel_probe.py`)."""

LossAndGradient = Callable[[Tensor], tuple[float, Tensor]]
"""Logits (n, classes) -> their mean loss, and its gradient (n, classes)."""


@dataclass(frozen=True)
class Head:
    """A linear classifier: features (..., D) -> logits (..., classes)."""

    weight: npt.NDArray[np.float32]
    """(D, classes)"""
    bias: npt.NDArray[np.float32]
    """(classes,)"""

    def logits(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Logits float32 (..., classes) of features (..., D)."""
        return features.astype(np.float32) @ self.weight + self.bias

    def cooled(self, temperature: float) -> Head:
        """The head whose logits are those of this one, divided by a temperature."""
        return Head(self.weight / np.float32(temperature), self.bias / np.float32(temperature))


@one_thread()  # PyTorch's threads and those of NumPy's BLAS wait for each other: 5 s instead of 0.4 at 120 labels
def fit_head(
    features: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    output: Output,
    *,
    pool: npt.NDArray[np.floating] | None = None,
    seconds: float = _SECONDS,
) -> Head:
    """Logistic regression with an L2 penalty on standardised features, by L-BFGS.

    Multinomial for a `single` output, one regression per class for a `multiple` one. The number of iterations
    follows from the size of the problem, not from a clock: the same labels give the same head on a busy machine.

    Args:
        features: float (n, D), of labelled images.
        targets: int64 (n,), each in [0, classes), or int8 (n, classes) of 0 and 1.
        output: what the head predicts.
        pool: float (m, D), some images of the pool, if the features are those of a pretrained encoder: standardised
            by these, a head needs far fewer labels, and its probabilities are calibrated.
        seconds: intended time on two CPU cores. Large problems take longer: with fewer than about 20 iterations,
            more labels would make the head worse.

    Raises:
        LearningError: the targets are empty or invalid.
    """
    fit = HeadFit.of(features, targets, output, pool=pool, seconds=seconds)
    weight, bias = fit.fitted(torch.ones(len(targets), dtype=torch.bool))
    head = _unscaled(weight if fit.basis is None else fit.basis @ weight, bias, fit.scaling)
    if pool is None:
        return head
    logits, labels = torch.empty(0, output.classes), fit.labels[:0]
    fold = torch.from_numpy(folds(len(targets)))
    for k in range(FOLDS):
        held_out = fold == k
        if not held_out.any() or held_out.all() or len(logits) >= _ENOUGH:
            break
        logits = torch.cat([logits, fit.logits_of(held_out)])
        labels = torch.cat([labels, fit.labels[held_out]])
    return head.cooled(temperature(logits, labels, fit.probe.loss))


@one_thread()
def fit_pixel_head(
    grid: npt.NDArray[np.floating],
    shares: npt.NDArray[np.float32],
    *,
    balance: float = 0.0,
    how: PixelProbe = OWN_PATCHES,
) -> Head:
    """Like `fit_head`, for the cells of segmented images.

    Args:
        grid: float (n, ..., F), the patch embeddings of cells of n images.
        shares: float32 (n, ..., classes), each class's fraction of a cell's pixels (`mask_shares`); a cell whose
            fractions are all 0 is unlabelled and ignored.
        balance: how much more a rare class counts, as in training (`MainRecipe.balance`).
        how: the strength of the penalty, and the time that it may take.

    Raises:
        LearningError: no cell is labelled.
    """
    classes, width = shares.shape[-1], grid.shape[-1]
    labelled = np.flatnonzero(shares.any(axis=-1))
    if len(labelled) == 0:
        raise LearningError("There is nothing to learn from yet: label at least one image.")
    most = how.most_cells(width, classes)
    if len(labelled) > most:
        labelled = np.sort(np.random.default_rng(0).permutation(labelled)[:most])
    weights = torch.from_numpy(shares.reshape(-1, classes)[labelled])
    weights = weights / weights.sum()
    weights = (weights * class_weights(weights.sum(dim=0), balance=balance)).double()
    of_cells = weights.sum(dim=1, keepdim=True)

    def objective(logits: Tensor) -> tuple[float, Tensor]:
        log_probabilities = logits.log_softmax(dim=1)
        return -float((weights * log_probabilities).sum()), of_cells * log_probabilities.exp() - weights

    cells = grid.reshape(-1, width)[labelled]
    scaling = _scaling_of_labels(cells)
    penalty = how.prior / len(grid)
    weight, bias = _minimised(scaling(cells), objective, classes, iterations=how.iterations, penalty=penalty)
    return _unscaled(weight, bias, scaling)


@one_thread()
def mask_shares(masks: npt.NDArray[np.uint8], classes: int, grid: int) -> npt.NDArray[np.float32]:
    """Each class's fraction of a cell's pixels in masks (n, m, m): float32 (n, G, G, classes), G = `grid`."""
    shares = np.empty((len(masks), grid, grid, classes), dtype=np.float32)
    numbers = torch.arange(classes)[:, None, None]
    for start in range(0, len(masks), _MASKS_AT_ONCE):
        one_hot = torch.from_numpy(masks[start : start + _MASKS_AT_ONCE])[:, None] == numbers
        cells = F.adaptive_avg_pool2d(one_hot.float(), grid)
        shares[start : start + _MASKS_AT_ONCE] = cells.permute(0, 2, 3, 1).numpy()
    return shares


def folds(n: int) -> npt.NDArray[np.int64]:
    """(n,) the part of each of n images in a cross-validation."""
    return np.random.default_rng(0).permutation(n) % FOLDS


def calibrated_temperature(logits: npt.NDArray[np.floating], targets: npt.NDArray[np.integer], output: Output) -> float:
    """The temperature by which to divide logits (h, classes), given the labels (h, ...) of images not learned from."""
    return temperature(torch.from_numpy(logits).float(), torch.from_numpy(targets), probe_of(output).loss)


def predicted_labels(logits: npt.NDArray[np.floating], output: Output) -> npt.NDArray[np.integer]:
    """The most likely labels (n, ...), from logits (n, classes)."""
    labels: npt.NDArray[np.integer] = probe_of(output).predict(logits)
    return labels


def network_head(weights: Weights, k: int) -> Head:
    """The network's own head for output k, as a `Head` on the network's embeddings (patch embeddings if dense)."""
    head: Any = for_inference(weights, "cpu").heads[k]
    last, bias = (values.detach().numpy().copy() for values in head.classifier())
    dense = type_of(Output(**weights.spec["outputs"][k])).dense
    size = last.shape[1] if dense else embedding_size(weights.spec)
    weight = np.zeros((size, len(bias)), dtype=np.float32)
    weight[-last.shape[1] :] = last.T
    return Head(weight, bias)


def probe_of(output: Output) -> Probe:
    """How a head for this output is fitted on embeddings of whole images.

    Raises:
        LearningError: the output is at pixel level.
    """
    probe = type_of(output).probe
    if probe is None:
        raise LearningError(f"A head for {output.kind} needs the cells of images: use fit_pixel_head.")
    return probe


class Scaling(NamedTuple):
    """How features are standardised."""

    mean: Tensor
    """(D,) to subtract."""
    scale: Tensor
    """(D,) or () to divide by."""

    def __call__(self, features: npt.NDArray[np.floating]) -> Tensor:
        return (torch.from_numpy(features.astype(np.float32)) - self.mean) / self.scale


@dataclass(frozen=True)
class HeadFit:
    """n labelled images, and how heads are fitted to all of them or, in a cross-validation, to some."""

    x: Tensor
    """(n, D) standardised features, or the same points in n dimensions."""
    basis: Tensor | None
    """(D, n) of these dimensions."""
    scaling: Scaling
    labels: Tensor
    """(n, ...)"""
    probe: Probe
    classes: int
    iterations: int

    @classmethod
    def of(
        cls,
        features: npt.NDArray[np.floating],
        targets: npt.NDArray[np.integer],
        output: Output,
        *,
        pool: npt.NDArray[np.floating] | None,
        seconds: float = _SECONDS,
    ) -> HeadFit:
        """What `fit_head` fits; the arguments and the errors are its own."""
        check_targets(targets, output, images=len(features))
        if (targets < 0).any():
            raise LearningError("Some images have no label for this output: leave out the images without one.")
        probe = probe_of(output)
        scaling = _scaling_of_labels(features) if pool is None else _scaling_of_pool(pool)
        x, basis = _in_their_span(scaling(features))
        affordable = int(seconds * _FLOPS_PER_SECOND / (6 * x.numel() * output.classes))
        iterations = max(_LEAST_ITERATIONS, min(_MOST_ITERATIONS, affordable))
        return cls(x, basis, scaling, torch.from_numpy(targets), probe, output.classes, iterations)

    def fitted(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The weights and the bias (classes,) of a head that is fitted to the images in a mask (n,)."""
        x, labels = self.x[rows], self.labels[rows]
        return _minimised(
            x,
            lambda logits: self.probe.loss_and_gradient(logits, labels),
            self.classes,
            iterations=self.iterations,
            penalty=self.probe.prior / len(x),
            on_bias=self.probe.bias_prior / self.probe.prior,
        )

    def logits_of(self, held_out: Tensor) -> Tensor:
        """Logits (h, classes) of the images in a mask (n,), by a head that is fitted to the others."""
        weight, bias = self.fitted(~held_out)
        return self.x[held_out] @ weight + bias


def _scaling_of_labels(features: npt.NDArray[np.floating]) -> Scaling:
    """Each feature of the labelled images (n, D) gets mean 0 and standard deviation 1."""
    x = torch.from_numpy(features.astype(np.float32))
    return Scaling(x.mean(dim=0), x.std(dim=0, correction=0).clamp(min=1e-6))


def _scaling_of_pool(features: npt.NDArray[np.floating]) -> Scaling:
    """Features of the pool (m, D) get mean 0, and together a standard deviation of 1.

    A few labelled images say too little about the scale of each feature, and pretrained features have scales that mean
    something.
    """
    x = torch.from_numpy(features.astype(np.float32))
    mean = x.mean(dim=0)
    return Scaling(mean, (x - mean).square().mean().sqrt().clamp(min=1e-6))


def _in_their_span(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The same points (n, D) in the fewest dimensions: (n, n) and the orthonormal basis (D, n) of these, if n < D.

    Inner products stay the same, and so do the logits of a head that is fitted with an L2 penalty.
    """
    if len(x) >= x.shape[1]:
        return x, None
    basis, coordinates = torch.linalg.qr(x.T)
    return coordinates.T.contiguous(), basis


def _unscaled(weight: Tensor, bias: Tensor, scaling: Scaling) -> Head:
    """The head on features as they are, from one on standardised features: (D, classes) and (classes,)."""
    unscaled = weight / scaling.scale.expand(len(weight))[:, None]
    return Head(unscaled.numpy(), (bias - scaling.mean @ unscaled).numpy())


def _minimised(
    x: Tensor, objective: LossAndGradient, classes: int, *, iterations: int, penalty: float, on_bias: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The weights (D, classes) and the bias (classes,) that minimise the loss plus an L2 penalty; x is (n, D).

    By SciPy's L-BFGS, and without autograd: with few labels, PyTorch spends most of its time between the operations.

    Args:
        on_bias: The penalty on the bias, relative to that on the weights.
    """
    width = x.shape[1]
    penalties = np.full((width + 1, 1), penalty)
    penalties[width] *= on_bias

    def value_and_gradient(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        parameters = flat.reshape(width + 1, classes)  # the last row is the bias
        weight, bias = _split(parameters)
        total, of_logits = objective((x @ weight + bias).double())  # in float32, the line search is lost at the end
        of_logits = of_logits.float()
        gradient = torch.cat([x.T @ of_logits, of_logits.sum(dim=0, keepdim=True)]).numpy() + penalties * parameters
        return total + float((penalties * parameters**2).sum()) / 2, gradient.ravel()

    options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-8, "gtol": 3e-6}
    start = np.zeros((width + 1) * classes)
    found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    return _split(found.x.reshape(width + 1, classes))


def _split(parameters: npt.NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Weights (D, classes) and bias (classes,) of (D + 1, classes)."""
    tensor = torch.from_numpy(parameters.astype(np.float32))
    return tensor[:-1], tensor[-1]
