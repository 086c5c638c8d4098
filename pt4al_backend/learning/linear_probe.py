"""The refit: a linear classifier on frozen features, fitted in well under a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
from pt4al_backend.learning.types import Output, Weights

_FLOPS_PER_SECOND = 30e9
"""What L-BFGS gets out of two cores, with room for a busy machine."""
_LEAST_ITERATIONS, _MOST_ITERATIONS = 20, 100
_FOLDS = 5
_PIXEL_PRIOR = 0.1
"""Tried 0.01 to 10 on 3 to 62 images of CamVid: beside the sum of the images' mean losses."""
_PIXEL_ITERATIONS = 40
_PIXEL_FLOPS_PER_SECOND = 10e9
"""Of one core, as cells are many and classes few. If there are more cells than time, some are drawn."""
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
    features: npt.NDArray[np.floating], targets: npt.NDArray[np.integer], output: Output, *, seconds: float = 0.7
) -> Head:
    """Logistic regression with an L2 penalty on standardised features, by L-BFGS.

    Multinomial for a `single` output, one regression per class for a `multiple` one. The number of
    iterations follows from the size of the problem and `seconds` on two CPU cores, not from a clock:
    the same labels give the same head on a busy machine. Large problems take longer than that: with
    fewer than some 20 iterations more labels would make it worse.

    Args:
        features: float (n, D), of answered images.
        targets: int64 (n,), each in [0, classes), or int8 (n, classes) of 0 and 1.

    Raises:
        LearningError: no or impossible targets.
    """
    check_targets(targets, output, images=len(features))
    if (targets < 0).any():
        raise LearningError("A head is fitted on answers alone: leave out the images that are unanswered.")
    answers = torch.from_numpy(targets)

    probe = _probe_of(output)
    prior, on_bias = probe.prior, probe.bias_prior

    def loss(logits: Tensor) -> Tensor:
        return probe.loss(logits, answers)

    n, width = features.shape
    affordable = seconds * _FLOPS_PER_SECOND / (6 * n * width * output.classes)
    iterations = max(_LEAST_ITERATIONS, min(_MOST_ITERATIONS, int(affordable)))
    return _fitted(features, loss, output.classes, iterations=iterations, penalty=prior / n, on_bias=on_bias / prior)


@one_thread()
def fit_pixel_head(
    grid: npt.NDArray[np.floating], shares: npt.NDArray[np.float32], *, balance: float = 0.0, seconds: float = 0.7
) -> Head:
    """As `fit_head`, for the cells of images whose pixels were classified.

    Args:
        grid: float (n, G, G, F), the cells' features.
        shares: float32 (n, G, G, classes), each class's share of a cell's pixels, as `mask_shares`
            gives them; a cell of unanswered pixels has none and is left out.
        balance: how much more a rare class counts, as in training (`MainRecipe.balance`).

    Raises:
        LearningError: no cell was answered.
    """
    classes, width = shares.shape[-1], grid.shape[-1]
    answered = np.flatnonzero(shares.any(axis=-1))
    if len(answered) == 0:
        raise LearningError("There is nothing to learn from yet: label at least one image.")
    most = int(seconds * _PIXEL_FLOPS_PER_SECOND / (6 * width * classes * _PIXEL_ITERATIONS))
    if len(answered) > most:
        answered = np.sort(np.random.default_rng(0).permutation(answered)[:most])
    weights = torch.from_numpy(shares.reshape(-1, classes)[answered])
    weights = weights / weights.sum()
    weights = weights * class_weights(weights.sum(dim=0), balance=balance)

    def loss(logits: Tensor) -> Tensor:
        return -(weights * logits.log_softmax(dim=1)).sum()

    cells = grid.reshape(-1, width)[answered]
    return _fitted(cells, loss, classes, iterations=_PIXEL_ITERATIONS, penalty=_PIXEL_PRIOR / len(grid))


@one_thread()
def mask_shares(masks: npt.NDArray[np.uint8], classes: int, grid: int) -> npt.NDArray[np.float32]:
    """Masks (n, m, m) as each class's share of a cell's pixels: float32 (n, G, G, classes), G = `grid`."""
    shares = np.empty((len(masks), grid, grid, classes), dtype=np.float32)
    every = torch.arange(classes)[:, None, None]
    for start in range(0, len(masks), _MASKS_AT_ONCE):
        chosen = torch.from_numpy(masks[start : start + _MASKS_AT_ONCE])[:, None] == every
        cells = F.adaptive_avg_pool2d(chosen.float(), grid)
        shares[start : start + _MASKS_AT_ONCE] = cells.permute(0, 2, 3, 1).numpy()
    return shares


def out_of_fold(
    features: npt.NDArray[np.floating], targets: npt.NDArray[np.integer], output: Output
) -> npt.NDArray[np.integer]:
    """What heads that did not see an image's label say it is: like `targets`, by cross-validation.

    -1 where there are too few labels to leave some out.
    """
    guessed = np.full_like(targets, -1)
    if len(targets) < _FOLDS:
        return guessed
    fold = np.random.default_rng(0).permutation(len(targets)) % _FOLDS
    for k in range(_FOLDS):
        seen = fold != k
        logits = fit_head(features[seen], targets[seen], output).logits(features[~seen])
        guessed[~seen] = _probe_of(output).answers(logits)
    return guessed


def network_head(weights: Weights, k: int) -> Head:
    """The network's own head of output k, as a head on the features of the same network.

    That is on pooled features, or, of a dense output, on the features of pixels.
    """
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
        raise LearningError(f"A head for {output.kind} is fitted on the cells of images: use fit_pixel_head.")
    return probe


def _fitted(
    features: npt.NDArray[np.floating],
    loss: LossOf,
    classes: int,
    *,
    iterations: int,
    penalty: float,
    on_bias: float = 1.0,
) -> Head:
    """The head of the least loss and L2 penalty on standardised features (n, D).

    `on_bias` is the bias' penalty relative to the weights'.
    """
    x = torch.from_numpy(features.astype(np.float32))
    mean, scale = x.mean(dim=0), x.std(dim=0, correction=0).clamp(min=1e-6)
    x = (x - mean) / scale
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
    own = weight.detach() / scale[:, None]
    return Head(own.numpy(), (bias.detach() - mean @ own).numpy())
