"""The linear probe: a linear classifier on frozen embeddings, fitted in well under a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
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
_FOLDS = 5
_ENOUGH = 300
"""So many held-out labels say enough about a head's temperature."""
_PIXEL_PRIOR = 0.1
"""Strength of the L2 penalty, relative to the sum of the images' mean losses.

Best of 0.01 to 10 on 3 to 62 images of CamVid.
"""
_PIXEL_ITERATIONS = 40
_PIXEL_FLOPS_PER_SECOND = 10e9
"""Throughput on one core, since cells are many and classes few. A sample is drawn if there are too many cells."""
_MASKS_AT_ONCE = 16

LossOf = Callable[[Tensor], Tensor]
"""Logits (n, classes) -> their mean loss."""


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


def fit_head(
    features: npt.NDArray[np.floating],
    targets: npt.NDArray[np.integer],
    output: Output,
    *,
    pool: npt.NDArray[np.floating] | None = None,
    seconds: float = 0.7,
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
    check_targets(targets, output, images=len(features))
    if (targets < 0).any():
        raise LearningError("Some images have no label for this output: leave out the images without one.")
    labels = torch.from_numpy(targets)

    probe = _probe_of(output)
    prior, on_bias = probe.prior, probe.bias_prior

    loss = _loss_of(probe, labels)
    n, width = features.shape
    affordable = seconds * _FLOPS_PER_SECOND / (6 * n * width * output.classes)
    iterations = max(_LEAST_ITERATIONS, min(_MOST_ITERATIONS, int(affordable)))
    scaling = _scaling_of_labels(features) if pool is None else _scaling_of_pool(pool)
    head = _fitted(
        features,
        loss,
        output.classes,
        scaling=scaling,
        iterations=iterations,
        penalty=prior / n,
        on_bias=on_bias / prior,
    )
    if pool is None:
        return head
    logits, held_out = _held_out(features, labels, output, scaling=scaling, iterations=iterations)
    t = temperature(logits, held_out, probe.loss)
    return Head(head.weight / t, head.bias / t)


@one_thread()
def fit_pixel_head(
    grid: npt.NDArray[np.floating], shares: npt.NDArray[np.float32], *, balance: float = 0.0, seconds: float = 0.7
) -> Head:
    """Like `fit_head`, for the cells of segmented images.

    Args:
        grid: float (n, G, G, F), the cells' patch embeddings.
        shares: float32 (n, G, G, classes), each class's fraction of a cell's pixels (`mask_shares`); a cell whose
            fractions are all 0 is unlabelled and ignored.
        balance: how much more a rare class counts, as in training (`MainRecipe.balance`).
        seconds: intended time on one CPU core.

    Raises:
        LearningError: no cell is labelled.
    """
    classes, width = shares.shape[-1], grid.shape[-1]
    labelled = np.flatnonzero(shares.any(axis=-1))
    if len(labelled) == 0:
        raise LearningError("There is nothing to learn from yet: label at least one image.")
    most = int(seconds * _PIXEL_FLOPS_PER_SECOND / (6 * width * classes * _PIXEL_ITERATIONS))
    if len(labelled) > most:
        labelled = np.sort(np.random.default_rng(0).permutation(labelled)[:most])
    weights = torch.from_numpy(shares.reshape(-1, classes)[labelled])
    weights = weights / weights.sum()
    weights = weights * class_weights(weights.sum(dim=0), balance=balance)

    def loss(logits: Tensor) -> Tensor:
        return -(weights * logits.log_softmax(dim=1)).sum()

    cells = grid.reshape(-1, width)[labelled]
    scaling = _scaling_of_labels(cells)
    return _fitted(
        cells, loss, classes, scaling=scaling, iterations=_PIXEL_ITERATIONS, penalty=_PIXEL_PRIOR / len(grid)
    )


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


def out_of_fold(
    features: npt.NDArray[np.floating], targets: npt.NDArray[np.integer], output: Output
) -> npt.NDArray[np.integer]:
    """Cross-validated predictions, shaped like `targets`: each from a head that did not see the image's label.

    All -1 if there are too few labels to leave some out.
    """
    predictions = np.full_like(targets, -1)
    if len(targets) < _FOLDS:
        return predictions
    fold = np.random.default_rng(0).permutation(len(targets)) % _FOLDS
    for k in range(_FOLDS):
        train = fold != k
        logits = fit_head(features[train], targets[train], output).logits(features[~train])
        predictions[~train] = _probe_of(output).predict(logits)
    return predictions


def network_head(weights: Weights, k: int) -> Head:
    """The network's own head for output k, as a `Head` on the network's embeddings (patch embeddings if dense)."""
    head: Any = for_inference(weights, "cpu").heads[k]
    last, bias = (values.detach().numpy().copy() for values in head.classifier())
    dense = type_of(Output(**weights.spec["outputs"][k])).dense
    size = last.shape[1] if dense else embedding_size(weights.spec)
    weight = np.zeros((size, len(bias)), dtype=np.float32)
    weight[-last.shape[1] :] = last.T
    return Head(weight, bias)


def _probe_of(output: Output) -> Probe:
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


def _fitted(
    features: npt.NDArray[np.floating],
    loss: LossOf,
    classes: int,
    *,
    scaling: Scaling,
    iterations: int,
    penalty: float,
    on_bias: float = 1.0,
) -> Head:
    """The head that minimises the loss plus an L2 penalty on standardised features (n, D).

    `on_bias` is the penalty on the bias relative to that on the weights.
    """
    x = scaling(features)
    weight, bias = _minimised(x, loss, classes, iterations=iterations, penalty=penalty, on_bias=on_bias)
    unscaled = weight / scaling.scale.expand(x.shape[1])[:, None]
    return Head(unscaled.numpy(), (bias - scaling.mean @ unscaled).numpy())


def _minimised(
    x: Tensor, loss: LossOf, classes: int, *, iterations: int, penalty: float, on_bias: float
) -> tuple[Tensor, Tensor]:
    """The weights (D, classes) and the bias (classes,) that minimise the loss plus an L2 penalty; x is (n, D)."""
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser: torch.optim.Optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, max_eval=2 * iterations, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimiser.zero_grad()
        total = loss(x @ weight + bias) + penalty * (weight.square().sum() + on_bias * bias.square().sum()) / 2
        torch.autograd.backward(total)
        return total.item()

    optimiser.step(closure)
    return weight.detach(), bias.detach()


def _loss_of(probe: Probe, labels: Tensor) -> LossOf:
    return lambda logits: probe.loss(logits, labels)


def _held_out(
    features: npt.NDArray[np.floating], labels: Tensor, output: Output, *, scaling: Scaling, iterations: int
) -> tuple[Tensor, Tensor]:
    """Logits (h, classes) of some labelled images, from heads fitted without them, and their labels (h, ...)."""
    probe = _probe_of(output)
    x = scaling(features)
    if len(x) < x.shape[1]:
        x = torch.linalg.qr(x.T).R.T  # the same inner products, and so the same logits, in fewer dimensions
    fold = torch.from_numpy(np.random.default_rng(0).permutation(len(x)) % _FOLDS)
    logits, held_out = torch.empty(0, output.classes), labels[:0]
    for k in range(_FOLDS):
        train = fold != k
        if not train.any() or train.all() or len(logits) >= _ENOUGH:
            break
        weight, bias = _minimised(
            x[train],
            _loss_of(probe, labels[train]),
            output.classes,
            iterations=iterations,
            penalty=probe.prior / int(train.sum()),
            on_bias=probe.bias_prior / probe.prior,
        )
        logits = torch.cat([logits, x[~train] @ weight + bias])
        held_out = torch.cat([held_out, labels[~train]])
    return logits, held_out
