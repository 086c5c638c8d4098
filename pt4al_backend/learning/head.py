"""The refit: a linear classifier on frozen features, fitted in well under a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.learning.networks import feature_size
from pt4al_backend.learning.types import Weights, check_targets

_FLOPS_PER_SECOND = 30e9
"""What L-BFGS gets out of two cores, with room for a busy machine."""
_MOST_ITERATIONS = 100
_FOLDS = 5
_PRIOR = 15.0
"""Strength of the L2 penalty beside the sum of the labels' losses: it fades as labels come in.

Fits a grid of penalties tried on CIFAR-10 pretext features: 0.2 to 0.5 did best at 100 labels,
0.02 to 0.05 at 1,000, 0.003 at 5,000 (one seed).
"""


@dataclass(frozen=True)
class Head:
    """A linear classifier: features (n, D) -> logits (n, classes)."""

    weight: npt.NDArray[np.float32]
    """(D, classes)"""
    bias: npt.NDArray[np.float32]
    """(classes,)"""

    def logits(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Logits float32 (n, classes) of features (n, D)."""
        return features.astype(np.float32) @ self.weight + self.bias


def fit_head(
    features: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], classes: int, *, seconds: float = 0.7
) -> Head:
    """Multinomial logistic regression with an L2 penalty on standardised features, by L-BFGS.

    The number of iterations follows from the size of the problem and `seconds` on two CPU cores, not
    from a clock: the same labels give the same head on a busy machine.

    Args:
        features: float (n, D).
        targets: int64 (n,), each in [0, classes).

    Raises:
        LearningError: no or impossible targets.
    """
    check_targets(targets, classes, images=len(features))
    x = torch.from_numpy(features.astype(np.float32))
    mean, scale = x.mean(dim=0), x.std(dim=0, correction=0).clamp(min=1e-6)
    x = (x - mean) / scale
    n, width = x.shape
    affordable = seconds * _FLOPS_PER_SECOND / (6 * n * width * classes)
    weight, bias = _minimised(
        x, torch.from_numpy(targets), classes, iterations=max(1, min(_MOST_ITERATIONS, int(affordable)))
    )
    weight = weight / scale[:, None]
    return Head(weight.numpy(), (bias - mean @ weight).numpy())


def out_of_fold(
    features: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """What heads that did not see an image's label say it is: int64 (n,), by cross-validation.

    -1 where there are too few labels to leave some out.
    """
    guessed = np.full(len(targets), -1, dtype=np.int64)
    if len(targets) < _FOLDS:
        return guessed
    fold = np.random.default_rng(0).permutation(len(targets)) % _FOLDS
    for k in range(_FOLDS):
        seen = fold != k
        head = fit_head(features[seen], targets[seen], classes)
        guessed[~seen] = head.logits(features[~seen]).argmax(axis=1)
    return guessed


def network_head(weights: Weights) -> Head:
    """The network's own classifier, as a head on the features of the same network."""
    last, bias = weights.arrays["fc.weight"].T, weights.arrays["fc.bias"]
    weight = np.zeros((feature_size(weights), len(bias)), dtype=np.float32)
    weight[-len(last) :] = last
    return Head(weight, bias)


def _minimised(x: Tensor, targets: Tensor, classes: int, *, iterations: int) -> tuple[Tensor, Tensor]:
    """Weight (D, classes) and bias (classes,) of the least penalised cross-entropy."""
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser: torch.optim.Optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, max_eval=2 * iterations, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimiser.zero_grad()
        penalty = _PRIOR / len(x) * (weight.square().sum() + bias.square().sum()) / 2
        loss = F.cross_entropy(x @ weight + bias, targets) + penalty
        torch.autograd.backward(loss)
        return loss.item()

    optimiser.step(closure)
    return weight.detach(), bias.detach()
