"""What an image's answers to one output cost."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.learning.types import IGNORE


def class_weights(shares: Tensor, *, balance: float) -> Tensor:
    """(classes,) weights of pixels whose classes have these shares (classes,) of all: share ** -balance, 1 on average.

    A class that does not occur weighs as much as the rarest.
    """
    weights = torch.where(shares > 0, shares, shares[shares > 0].min()) ** -balance
    return weights / (shares * weights).sum()


# The losses (n,) of one output, 0 where it is unanswered


def of_one_class(logits: Tensor, answers: Tensor, weights: Tensor | None) -> Tensor:
    """Logits (n, classes), answers (n,)."""
    return F.cross_entropy(logits, answers, reduction="none", ignore_index=-1)


def of_any_classes(logits: Tensor, answers: Tensor, weights: Tensor | None) -> Tensor:
    """Logits and answers (n, classes): the sum over the classes, each there or not."""
    each = F.binary_cross_entropy_with_logits(logits, answers.clamp(min=0), reduction="none")
    return each.sum(dim=1) * (answers[:, 0] >= 0)


def of_pixels(logits: Tensor, answers: Tensor, weights: Tensor | None) -> Tensor:
    """Logits (n, classes, m, m), answers (n, m, m): the mean over the pixels."""
    each = F.cross_entropy(logits, answers, weights, reduction="none", ignore_index=IGNORE)
    return each.sum(dim=(1, 2)) / (answers != IGNORE).sum(dim=(1, 2)).clamp(min=1)
