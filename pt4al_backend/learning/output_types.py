"""What a network has for an output of each type: a head, a loss, and how its answers are checked and fitted.

A new type is a line in `OUTPUT_TYPES`, under the name of its label type. The rest of that is in `labelling`.
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
"""Strength of the L2 penalty beside the sum of the labels' losses: it fades as labels come in.

Fits a grid of penalties tried on CIFAR-10 pretext features: 0.2 to 0.5 did best at 100 labels,
0.02 to 0.05 at 1,000, 0.003 at 5,000 (one seed).
"""
_MULTIPLE_PRIOR, _MULTIPLE_BIAS_PRIOR = 7.5, 1.0
"""For one regression per class: half, as a softmax of two classes spreads one difference over two logits.

Most classes are absent from most images, and the bias has to be free to say so: with one prior for both,
a refit on 20 labels of ten classes was right in 83 % of its answers, with these in 93 % (digits, one seed).
"""


class Probe(NamedTuple):
    """How a linear probe is fitted on answers about whole images."""

    loss: Callable[[Tensor, Tensor], Tensor]
    """Logits (n, classes) and answers (n, ...) -> their mean loss."""
    prior: float
    """Strength of the L2 penalty on the weights ..."""
    bias_prior: float
    """... and on the bias."""
    answers: Callable[[Array], Array]
    """Logits (n, classes) -> the likeliest answers (n, ...)."""


@dataclass(frozen=True)
class OutputType:
    """One type of output."""

    head: Callable[..., ClassHead | MaskHead]
    """(channels of the stages, classes, side of masks) -> a module from the stages' maps to logits."""
    losses: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    """Logits, answers and weights (classes,) or None -> the losses (n,), 0 where it is unanswered."""
    dtype: type[np.generic]
    """Of answers, as the losses take them."""
    flaw: Callable[[Array, int], str] = lambda answers, classes: "Labels must be masks."
    """What answers to so many classes that come as an array (n, ...) should be and are not; "" if nothing is wrong."""
    probe: Probe | None = None
    """None where the parts of an image are told apart: there cells of a grid are fitted (`fit_pixel_head`)."""

    @property
    def dense(self) -> bool:
        """Whether the parts of an image are told apart: its answers are masks."""
        return self.probe is None


def _no_class_numbers(answers: Array, classes: int) -> str:
    if answers.ndim != 1 or answers.min() < -1 or answers.max() >= classes:
        return f"Labels must be class indices from 0 to {classes - 1}, or -1 for none."
    return ""


def _no_chosen_classes(answers: Array, classes: int) -> str:
    shape = (len(answers), classes)
    if answers.shape != shape or not (np.isin(answers, (0, 1)).all(axis=1) | (answers == -1).all(axis=1)).all():
        return f"Labels must be rows of {classes} zeros and ones, or of -1 for none."
    return ""


def _each_class(logits: Tensor, answers: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, answers.float(), reduction="sum") / len(logits)


def _likeliest(logits: Array) -> Any:
    return logits.argmax(axis=1)


OUTPUT_TYPES = {
    SINGLE: OutputType(
        ClassHead, losses.of_one_class, np.int64, _no_class_numbers, Probe(F.cross_entropy, _PRIOR, _PRIOR, _likeliest)
    ),
    MULTIPLE: OutputType(
        ClassHead,
        losses.of_any_classes,
        np.float32,
        _no_chosen_classes,
        Probe(_each_class, _MULTIPLE_PRIOR, _MULTIPLE_BIAS_PRIOR, lambda logits: logits > 0),
    ),
    SEGMENTATION: OutputType(MaskHead, losses.of_pixels, np.int64),
}


def type_of(output: Output) -> OutputType:
    """Raises `LearningError` where there is no such type."""
    if output.kind not in OUTPUT_TYPES:
        *names, last = OUTPUT_TYPES
        raise LearningError(f"The output {output.kind!r} is unknown: choose {', '.join(names)} or {last}.")
    return OUTPUT_TYPES[output.kind]


def head_for(output: Output, channels: Sequence[int], *, side: int) -> ClassHead | MaskHead:
    """The head for an output on stages of so many `channels`; masks are `side` pixels wide."""
    return type_of(output).head(channels, output.classes, side=side)


def image_losses(
    outputs: Iterable[Output],
    logits: Iterable[Tensor],
    answers: Iterable[Tensor],
    weights: Iterable[Tensor | None],
) -> Tensor:
    """The losses (n,) of n images: the sum over the outputs that each answers, given the logits and answers of each.

    `weights` (classes,) of a dense output are its pixels', by class; None: all alike.
    """
    each = zip(outputs, logits, answers, weights, strict=True)
    return torch.stack([type_of(output).losses(said, truth, weight) for output, said, truth, weight in each]).sum(dim=0)
