"""Shares with their confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Estimate:
    """A share, 0 to 1, with its 95 % confidence interval."""

    value: float
    low: float
    high: float
    n: int
    """How many images it is estimated from."""


def wilson(right: int, n: int) -> Estimate:
    """The share `right` / n with its 95 % interval; n > 0.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927). It holds for few
    labels and for shares near 0 and 1, too.
    """
    share, z2 = right / n, _Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n**2)) ** 0.5
    low, high = min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))  # whatever is rounded
    return Estimate(share, low, high, n)
