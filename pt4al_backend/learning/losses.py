"""What an image's answers cost: its loss is the sum over the outputs that it answers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.learning.types import IGNORE, MULTIPLE, SINGLE, Output


def image_losses(
    outputs: Iterable[Output],
    logits: Iterable[Tensor],
    answers: Iterable[Tensor],
    weights: Iterable[Tensor | None],
) -> Tensor:
    """The losses (n,) of n images, given each output's logits and answers.

    `weights` (classes,) of a segmentation are its pixels', by class; None: all alike.
    """
    return torch.stack([_losses(*each) for each in zip(outputs, logits, answers, weights, strict=True)]).sum(dim=0)


def class_weights(shares: Tensor, *, balance: float) -> Tensor:
    """(classes,) weights of pixels whose classes have these shares (classes,) of all: share ** -balance, 1 on average.

    A class that does not occur weighs as much as the rarest.
    """
    weights = torch.where(shares > 0, shares, shares[shares > 0].min()) ** -balance
    return weights / (shares * weights).sum()


def _losses(output: Output, logits: Tensor, answers: Tensor, weights: Tensor | None) -> Tensor:
    """One output's losses (n,), 0 where it is unanswered."""
    if output.kind == SINGLE:
        return F.cross_entropy(logits, answers, reduction="none", ignore_index=-1)
    if output.kind == MULTIPLE:
        each = F.binary_cross_entropy_with_logits(logits, answers.clamp(min=0), reduction="none")
        return each.sum(dim=1) * (answers[:, 0] >= 0)
    each = F.cross_entropy(logits, answers, weights, reduction="none", ignore_index=IGNORE)
    return each.sum(dim=(1, 2)) / (answers != IGNORE).sum(dim=(1, 2)).clamp(min=1)
