"""Temperature scaling: divide logits by a number, so that probabilities are as high as predictions are right.

"On Calibration of Modern Neural Networks" (Guo, Pleiss, Sun, Weinberger, ICML 2017, section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STRENGTH = 15.0
"""How much a temperature of 1 is expected, in labels or so: less and less as labels come in."""
TEMPERATURES = torch.logspace(-1.3, 1.3, 81)
"""From 0.05 to 20."""


def temperature(logits: Tensor, labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> float:
    """The temperature that makes held-out labels most likely.

    Args:
        logits: (h, classes) of images that the head was not fitted on.
        labels: (h, ...) of these images.
        loss: logits and labels -> their mean negative log-likelihood.
    """
    doubt = STRENGTH / 2 * TEMPERATURES.log().square()
    if len(logits):
        doubt += len(logits) * torch.stack([loss(logits / t, labels) for t in TEMPERATURES])
    return float(TEMPERATURES[doubt.argmin()])
