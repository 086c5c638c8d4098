"""The types of output: for each its head, its loss, the check of its targets, and its linear probe.

A new type is a line in `OUTPUT_TYPES`, under the name of its label type, which `labelling` defines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import losses
from pt4al_backend.learning.heads import ClassHead, MaskHead
from pt4al_backend.learning.types import MULTIPLE, SEGMENTATION, SINGLE, Array, Output

_PRIOR = 15.0
"""Strength of the L2 penalty relative to the sum of the labels' losses: it fades as labels come in.

Chosen from a grid of penalties on CIFAR-10 pretext embeddings: 0.2 to 0.5 was best at 100 labels, 0.02 to 0.05 at
1,000, 0.003 at 5,000 (one seed).
"""
_MULTIPLE_PRIOR, _MULTIPLE_BIAS_PRIOR = 7.5, 1.0
"""For one regression per class: half, since a softmax of two classes spreads one difference over two logits.

Most classes are absent from most images, and the bias must be free to express that: with one prior for both,
a linear probe fitted on 20 labels of ten classes predicted 83 % of the labels correctly, with these 93 % (digits,
one seed).
"""


class Probe(NamedTuple):
    """How a linear probe is fitted on labels of whole images."""

    loss: Callable[[Tensor, Tensor], Tensor]
    """Logits (n, classes) and targets (n, ...) -> their mean loss."""
    prior: float
    """Strength of the L2 penalty on the weights."""
    bias_prior: float
    """Strength of the L2 penalty on the bias."""
    predict: Callable[[Array], Array]
    """Logits (n, classes) -> the most likely labels (n, ...)."""
    closed_form: Callable[[Tensor, Tensor], tuple[float, Tensor]] | None = None
    """As `loss`, with its gradient with respect to the logits (n, classes). None: by autograd, which takes longer."""

    def loss_and_gradient(self, logits: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        """The mean loss of logits (n, classes) and targets (n, ...), and its gradient (n, classes)."""
        if self.closed_form is not None:
            return self.closed_form(logits, targets)
        logits = logits.detach().requires_grad_()
        total = self.loss(logits, targets)
        return total.item(), torch.autograd.grad(total, logits)[0]


def _of_exclusive_classes(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1)


@dataclass(frozen=True)
class OutputType:
    """One type of output."""

    head: Callable[..., ClassHead | MaskHead]
    """(channels of the stages, classes, side of masks) -> a module from the stages' maps to logits."""
    losses: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    """Logits, targets and weights (classes,) or None -> the losses (n,), 0 for unlabelled images."""
    dtype: type[np.generic]
    """The data type of targets that the losses expect."""
    flaw: Callable[[Array, int], str] = lambda targets, classes: "Labels must be masks."
    """(targets as an array (n, ...), number of classes) -> a sentence saying what is wrong; "" if nothing is."""
    probe: Probe | None = None
    """None for pixel-level outputs, whose linear probe is fitted on the cells of a grid (`fit_pixel_head`)."""
    probabilities: Callable[[Tensor], Tensor] = _of_exclusive_classes
    """Logits (n, classes, ...) -> probabilities."""

    @property
    def dense(self) -> bool:
        """Whether the output is at pixel level: its targets are masks."""
        return self.probe is None


def _flaw_of_class_numbers(targets: Array, classes: int) -> str:
    if targets.ndim != 1 or targets.min() < -1 or targets.max() >= classes:
        return f"Labels must be class indices from 0 to {classes - 1}, or -1 for none."
    return ""


def _flaw_of_chosen_classes(targets: Array, classes: int) -> str:
    shape = (len(targets), classes)
    if targets.shape != shape or not (np.isin(targets, (0, 1)).all(axis=1) | (targets == -1).all(axis=1)).all():
        return f"Labels must be rows of {classes} zeros and ones, or of -1 for none."
    return ""


def _binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="sum") / len(logits)


def _cross_entropy_and_gradient(logits: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    n, log_probabilities = len(logits), logits.log_softmax(dim=1)
    rows = torch.arange(n)
    gradient = log_probabilities.exp()
    gradient[rows, targets] -= 1
    return -float(log_probabilities[rows, targets].mean()), gradient / n


def _binary_cross_entropy_and_gradient(logits: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    return float(_binary_cross_entropy(logits, targets)), (logits.sigmoid() - targets) / len(logits)


def _most_likely(logits: Array) -> Any:
    return logits.argmax(axis=1)


OUTPUT_TYPES = {
    SINGLE: OutputType(
        ClassHead,
        losses.of_one_class,
        np.int64,
        _flaw_of_class_numbers,
        Probe(F.cross_entropy, _PRIOR, _PRIOR, _most_likely, _cross_entropy_and_gradient),
    ),
    MULTIPLE: OutputType(
        ClassHead,
        losses.of_any_classes,
        np.float32,
        _flaw_of_chosen_classes,
        Probe(
            _binary_cross_entropy,
            _MULTIPLE_PRIOR,
            _MULTIPLE_BIAS_PRIOR,
            lambda logits: logits > 0,
            _binary_cross_entropy_and_gradient,
        ),
        torch.sigmoid,
    ),
    SEGMENTATION: OutputType(MaskHead, losses.of_pixels, np.int64),
}


def type_of(output: Output) -> OutputType:
    """The type of an output.

    Raises:
        LearningError: there is no such type.
    """
    if output.kind not in OUTPUT_TYPES:
        *names, last = OUTPUT_TYPES
        raise LearningError(f"The output {output.kind!r} is unknown: choose {', '.join(names)} or {last}.")
    return OUTPUT_TYPES[output.kind]


def head_for(output: Output, channels: Sequence[int], *, side: int) -> ClassHead | MaskHead:
    """The head for an output on stages with these `channels`; masks are `side` pixels wide."""
    return type_of(output).head(channels, output.classes, side=side)


def image_losses(
    outputs: Iterable[Output],
    logits: Iterable[Tensor],
    targets: Iterable[Tensor],
    weights: Iterable[Tensor | None],
) -> Tensor:
    """The losses (n,) of n images, summed over the outputs that each is labelled for.

    Args:
        outputs: what the network predicts.
        logits: of each output.
        targets: of each output.
        weights: (classes,) of each dense output, the weights of its pixels by class; None: all count alike.
    """
    each = zip(outputs, logits, targets, weights, strict=True)
    losses = [type_of(output).losses(predicted, target, weight) for output, predicted, target, weight in each]
    return torch.stack(losses).sum(dim=0)
