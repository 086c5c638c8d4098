"""The loss of each type of output, per image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.learning.types import IGNORE


def class_weights(shares: Tensor, *, balance: float) -> Tensor:
    """Weights (classes,) of pixels by class: share ** -balance, normalised to 1 on average.

    A class that does not occur gets the weight of the rarest.

    Args:
        shares: (classes,) each class's fraction of all pixels.
        balance: 0: all pixels count alike; 1: all classes count alike.
    """
    weights = torch.where(shares > 0, shares, shares[shares > 0].min()) ** -balance
    return weights / (shares * weights).sum()


# Each returns the losses (n,) of one output, 0 for unlabelled images


def of_one_class(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Cross-entropy of logits (n, classes) and targets (n,)."""
    return F.cross_entropy(logits, targets, reduction="none", ignore_index=-1)


def of_any_classes(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Binary cross-entropy of logits and targets (n, classes), summed over the classes."""
    each = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0), reduction="none")
    return each.sum(dim=1) * (targets[:, 0] >= 0)


def of_pixels(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Cross-entropy of logits (n, classes, m, m) and targets (n, m, m), averaged over the labelled pixels."""
    each = F.cross_entropy(logits, targets, weights, reduction="none", ignore_index=IGNORE)
    return each.sum(dim=(1, 2)) / (targets != IGNORE).sum(dim=(1, 2)).clamp(min=1)
