"""How accurate a model will be with more labels, and how many labels an accuracy needs: PALM, fitted to few points.

PALM (Machnio, Nielsen, Mehdipour Ghazi, "To Label or Not to Label: PALM - A Predictive Model for Evaluating Sample
Efficiency in Active Learning Models", ICCV 2025, section 3) says of the accuracy A after B labels

    A = Amax (1 - (1 - d)^((B/b + a)^beta))

with the achievable accuracy Amax, the efficiency d, the head start a, and beta, which says how fast the gain fades.
Here b is not the labels of a round but those of the last point; the curve is the same, and the parameters mean the same
for pools of any size. Four things are not in the paper, and let a curve of few points say what it knows and no more:

* Each parameter has a weak prior, so that four points do for four parameters.
* A bootstrap gives the intervals: the points are drawn again within their errors and the means of the priors within the
  priors, and PALM is fitted again. (With a linear model these fits would be draws from the posterior: Bardsley et al.,
  "Randomize-then-optimize", SIAM Journal on Scientific Computing, 2014.)
* No curve is as smooth as PALM. Its own unrest, which labels come next and what a training makes of them, is estimated
  from the residuals, and what is forecast is the accuracy with that unrest, not the smooth curve.
* Points that were measured on the same held-out images err together.

The constants were chosen on CIFAR-10, Brain MRI and digits; `benchmarks/forecast.py` measures the intervals on others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import leastsq
from scipy.special import expit

Floats = NDArray[np.floating[Any]]

LEAST_POINTS = 4
"""PALM has four parameters."""
COVERAGE = 0.8
"""Of the intervals."""
PRIOR_MEAN = np.array([1.5, 0.0, -2.5, -1.1])
"""Of logit Amax, log -log(1 - d), log a, log beta."""
PRIOR_SD = np.array([1.5, 1.0, 1.5, 0.5])
PRIOR_UNREST = 1 / 400
"""A curve's own variance, as a share of A (1 - A): before its points are seen, as much as if 400 images were drawn."""
UNREST_POINTS = 4
"""How many points the prior of the unrest counts for."""
UNREST_GROWTH = 0.5
"""By this share the unrest's variance grows each time the labels double."""
SHARED = 0.6
"""Correlation of the errors of two models on the same images: 0.49 to 0.67 in `benchmarks/whole_pools.py`."""
REFITS = 200
GRID = 512
"""Numbers of labels between the first point and the pool at which `labels_for` looks."""
LITTLE, LITTLE_LEFT = 0.01, 0.02
"""See `Forecast.has_levelled_off`."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A learning curve: what was measured so far, and how many images there are to label.

    Raises:
        ValueError: The arrays differ in length, an accuracy is not in 0..1, labels or standard errors are negative, or
            something is not finite.
    """

    labels: Floats
    """(k,) labels behind each point, in any order."""
    accuracy: Floats
    """(k,) 0..1; or another mean of what is right, such as the mean IoU."""
    pool: int
    """Images that can be labelled, those with labels included."""
    standard_error: Floats | None = None
    """(k,) of each accuracy, as it was measured on some held-out answers; None if there are so many that it is nil."""

    def __post_init__(self) -> None:
        parts = [np.asarray(self.labels), np.asarray(self.accuracy)]
        parts += [] if self.standard_error is None else [np.asarray(self.standard_error)]
        if any(part.shape != (len(parts[0]),) or not np.isfinite(part).all() or (part < 0).any() for part in parts):
            raise ValueError(
                "A learning curve has as many labels as accuracies and errors, all of them finite and not negative."
            )
        if (parts[1] > 1).any():
            raise ValueError("An accuracy is a share: 0.9, not 90.")

    @classmethod
    def of_answers(cls, labels: Floats, accuracy: Floats, answers: Floats, pool: int) -> Curve:
        """A curve whose points were measured on `answers` (k,) held-out answers each, at least one.

        The standard errors are those of Agresti and Coull ("Approximate Is Better than Exact", 1998, section 3), as
        the textbook's are 0 where all answers are right.
        """
        answers = np.asarray(answers, np.float64)
        share = (np.asarray(accuracy) * answers + 2) / (answers + 4)
        return cls(labels, accuracy, pool, np.sqrt(share * (1 - share) / (answers + 4)))


@dataclass(frozen=True)
class Interval:
    """An estimate, and between what it lies in `COVERAGE` of the cases."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels in all, those given included, at which an accuracy is reached."""

    estimate: int
    low: int
    high: int | None
    """None: it may be more than the pool has."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """Learning curves that fit what was measured, each as likely as the others."""

    curve: Curve
    parameters: NDArray[np.float64]
    """(n, 4) as in `PRIOR_MEAN`, B in units of the last point's labels."""
    unrest: NDArray[np.float64]
    """(n,) how far the accuracy is from each curve, in standard deviations of A (1 - A)."""

    @property
    def labels(self) -> int:
        """Labels behind the last point."""
        return int(np.max(self.curve.labels))

    @property
    def pool(self) -> int:
        """Images that can be labelled, and at least as many as are."""
        return max(self.curve.pool, self.labels)

    def accuracy_at(self, labels: float) -> Interval:
        """The accuracy, 0..1, with so many labels in all."""
        low, estimate, high = self.band(np.array([labels]))[:, 0].tolist()
        return Interval(estimate, low, high)

    def band(self, labels: Floats) -> NDArray[np.float64]:
        """(3, n) the accuracy with (n,) labels in all: the interval's low end, the estimate, the high end."""
        return _quantiles(self._accuracies(labels))

    def labels_for(self, accuracy: float) -> LabelsNeeded | None:
        """Labels in all that an accuracy, 0..1, needs; None if the whole pool is probably not enough."""
        labels = np.geomspace(max(float(np.min(self.curve.labels)), 1), self.pool, GRID)
        reached = np.maximum.accumulate(self._accuracies(labels), axis=1) >= accuracy
        needed = np.where(reached.any(axis=1), labels[reached.argmax(axis=1)], math.inf)
        low, estimate, high = _quantiles(needed[:, None], method="nearest")[:, 0].tolist()
        if math.isinf(estimate):
            return None
        return LabelsNeeded(math.ceil(estimate), math.ceil(low), None if math.isinf(high) else math.ceil(high))

    def has_levelled_off(self, query_size: int) -> bool:
        """Whether the last two rounds changed little, and labelling on would, too.

        Little means: with the labels of two rounds less the curve would be below where it is by less than `LITTLE`, at
        the high end of the interval; and with twice the labels, or all of the pool, it is estimated to be higher by
        less than `LITTLE_LEFT`.

        Args:
            query_size: Labels of a round.
        """
        labels = np.array([max(self.labels - 2 * query_size, 0), self.labels, min(2 * self.labels, self.pool)])
        before, now, later = self._smooth(labels).T
        return bool(_quantiles((now - before)[:, None])[2, 0] < LITTLE and np.median(later - now) < LITTLE_LEFT)

    def _smooth(self, labels: Floats) -> NDArray[np.float64]:
        """(n, m) the curves at (m,) labels."""
        return _palm(self.parameters, np.asarray(labels) / self.labels)

    def _accuracies(self, labels: Floats) -> NDArray[np.float64]:
        """(n, m) the accuracies: the curves and their unrest."""
        curves = self._smooth(labels)
        growth = 1 + UNREST_GROWTH * np.log2(np.maximum(np.asarray(labels) / self.labels, 1))
        return np.clip(curves + self.unrest[:, None] * np.sqrt(_binomial(curves) * growth), 0, 1)


def fit(curve: Curve) -> Forecast | None:
    """The forecast of a curve; the same for the same curve.

    Returns:
        None if there are points at fewer than `LEAST_POINTS` different numbers of labels.
    """
    if len(np.unique(curve.labels)) < LEAST_POINTS:
        return None
    share, accuracy = curve.labels / np.max(curve.labels), np.asarray(curve.accuracy, np.float64)
    level, parameters, unrest = accuracy, PRIOR_MEAN, PRIOR_UNREST
    for _ in range(2):  # the second time with errors that the first one found
        factor = np.linalg.cholesky(_covariance(curve, level, unrest))
        parameters = _fitted(share, accuracy, factor, PRIOR_MEAN, start=parameters)
        level = _palm(parameters[None], share)[0]
        unrest = _unrest(curve, level)
    factor = np.linalg.cholesky(_covariance(curve, level, unrest))
    random = np.random.default_rng(0)
    points = accuracy + random.standard_normal((REFITS, len(accuracy))) @ factor.T
    means = PRIOR_MEAN + PRIOR_SD * random.standard_normal((REFITS, len(PRIOR_MEAN)))
    refits = [_fitted(share, *drawn, start=parameters) for drawn in zip(points, [factor] * REFITS, means, strict=True)]
    return Forecast(curve, np.array(refits), math.sqrt(unrest) * random.standard_normal(REFITS))


def _fitted(share: Floats, accuracy: Floats, factor: Floats, means: Floats, *, start: Floats) -> NDArray[np.float64]:
    """(4,) the parameters that fit (k,) accuracies best, given a factor (k, k) of their covariance and the prior."""
    whiten = np.linalg.inv(factor)

    def misfit(parameters: Floats) -> Floats:
        off = whiten @ (_palm(parameters[None], share)[0] - accuracy)
        return np.concatenate([off, (parameters - means) / PRIOR_SD])

    def slopes(parameters: Floats) -> Floats:
        return np.concatenate([_palm_slopes(parameters, share) @ whiten.T, np.diag(1 / PRIOR_SD)], axis=1)

    # full_output: an answer that is not yet exact is good enough here, and needs no warning
    best, *_ = leastsq(misfit, start, Dfun=slopes, col_deriv=True, ftol=1e-5, xtol=1e-4, full_output=True)
    return best


def _palm(parameters: Floats, share: Floats) -> NDArray[np.float64]:
    """(n, m) the accuracy of (n, 4) parameters with (m,) labels in units of the last point's."""
    achievable, efficiency, start, beta = parameters.T[:, :, None]
    return -expit(achievable) * np.expm1(-_exponent(efficiency, np.log(share + np.exp(start)), beta))


def _palm_slopes(parameters: Floats, share: Floats) -> NDArray[np.float64]:
    """(4, m) the derivatives of `_palm` by each of (4,) parameters."""
    achievable, efficiency, start, beta = parameters
    log = np.log(share + np.exp(start))
    exponent = _exponent(efficiency, log, beta)
    left = expit(achievable) * np.exp(-exponent)
    by_efficiency = left * exponent
    by_log = by_efficiency * np.exp(beta)
    return np.stack(
        [
            expit(achievable) * expit(-achievable) * -np.expm1(-exponent),
            by_efficiency,
            by_log * np.exp(start - log),
            by_log * log,
        ]
    )


def _exponent(efficiency: Floats, log: Floats, beta: Floats) -> NDArray[np.float64]:
    """-log(1 - d) (B/b + a)^beta: at most e^6, where nothing is left to learn."""
    return np.exp(np.minimum(efficiency + np.exp(beta) * log, 6))


def _covariance(curve: Curve, level: Floats, unrest: float) -> NDArray[np.float64]:
    """(k, k) of the points: their unrest, and the errors that points measured on the same images share.

    Of n and m answers, n < m, the n are taken to be among the m, as held-out images are added and none is taken away.
    """
    own = np.diag(unrest * _binomial(level))
    if curve.standard_error is None:
        return own
    error = np.asarray(curve.standard_error)
    answers = _binomial(np.asarray(curve.accuracy)) / np.maximum(error, 1e-6) ** 2
    shared = SHARED * np.sqrt(np.minimum.outer(answers, answers) / np.maximum.outer(answers, answers))
    np.fill_diagonal(shared, 1)
    return own + shared * np.outer(error, error)


def _unrest(curve: Curve, level: Floats) -> float:
    """A curve's own variance, as a share of A (1 - A), from its residuals and the prior."""
    error = np.zeros_like(level) if curve.standard_error is None else np.asarray(curve.standard_error)
    off = ((curve.accuracy - level) ** 2 - (1 - SHARED) * error**2) / _binomial(level)
    return float((UNREST_POINTS * PRIOR_UNREST + max(off.sum(), 0)) / (UNREST_POINTS + len(level)))


def _binomial(accuracy: Floats) -> NDArray[np.float64]:
    """The variance of one answer, A (1 - A), and not nil where all are right."""
    clipped = np.clip(accuracy, 0.01, 0.99)
    return clipped * (1 - clipped)


def _quantiles(values: Floats, method: Literal["linear", "nearest"] = "linear") -> NDArray[np.float64]:
    """(3, m) low end, median and high end of (n, m) values."""
    return np.quantile(values, [(1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2], axis=0, method=method)
