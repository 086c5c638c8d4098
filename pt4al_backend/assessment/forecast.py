"""How accurate a model will be with more labels, and how many labels an accuracy needs: PALM, fitted to few points.

PALM (Machnio, Nielsen, Mehdipour Ghazi, "To Label or Not to Label: PALM - A Predictive Model for Evaluating Sample
Efficiency in Active Learning Models", ICCV 2025, section 3) says of the accuracy A after B labels

    A = Amax (1 - (1 - d)^((B/b + a)^beta))

with the achievable accuracy Amax, the efficiency d, the head start a, and beta, which says how fast the gain fades.
Here b is not the labels of a round but those of the last point; the curve is the same, and the parameters mean the same
for pools of any size. Four things are not in the paper, and let a curve of few points say what it knows and no more:

* Each parameter has a weak prior, so that four points do for four parameters. Curves are drawn from the prior, weighted
  by how likely they make the points, and drawn again by weight: a bootstrap that needs no optimiser (Smith and Gelfand,
  "Bayesian Statistics without Tears: A Sampling-Resampling Perspective", The American Statistician, 1992). That is done
  three times, from where the likely ones were (Cappé et al., "Population Monte Carlo", JCGS, 2004).
* A cross-validation on images that a query strategy chose is too pessimistic, as these are harder than the others. By
  how much has a prior, too; points on random images narrow it down.
* No curve is as smooth as PALM. Its own unrest, which labels come next and what a training makes of them, has a prior,
  and what is forecast is the accuracy with that unrest, not the smooth curve.
* Points that were measured on the same images err together.

`benchmarks/forecast.py` measures how often the intervals hold, on other data sets than those on which the constants
were chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.floating[Any]]

LEAST_POINTS = 4
"""PALM has four parameters."""
COVERAGE = 0.8
"""Of the intervals."""
PRIOR_MEAN = np.array([1.5, 0.0, -2.5, -1.1, -1.4, -3.0])
"""Of logit Amax, log -log(1 - d), log a, log beta, the bias of chosen images in logits, and the log of the unrest.

The unrest is a standard deviation, relative to that of one answer, sqrt(A (1 - A)). The bias is about what ten
simulated curves of chosen images had at 50 to 200 labels: -1.5, with a standard deviation of 0.7.
"""
PRIOR_SD = np.array([1.5, 1.0, 1.5, 0.5, 0.75, 0.5])
UNREST_GROWTH = 0.5
"""By this share the unrest's variance grows each time the labels double."""
SHARED = 0.9
"""Correlation of the errors of two models on the same images."""
DRAWS, KEPT = 8_000, 400
"""Curves that are drawn in each of the rounds, and those of the last that are kept."""
POWERS, WIDER = (0.2, 0.6, 1.0), 2.0
"""What the likelihood counts in each round, and by how much the variance of the next draws is larger than found."""
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
    """(k,) of each accuracy, as it was measured on some answers; None if there are so many that it is nil."""
    chosen: NDArray[np.bool_] | None = None
    """(k,) whether a point was measured on images that a query strategy chose, not on random ones; None: none was."""

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
    def of_answers(
        cls, labels: Floats, accuracy: Floats, answers: Floats, pool: int, chosen: NDArray[np.bool_] | None = None
    ) -> Curve:
        """A curve whose points were measured on `answers` (k,) answers each, at least one.

        The standard errors are those of Agresti and Coull ("Approximate Is Better than Exact", 1998, section 3), as
        the textbook's are 0 where all answers are right.
        """
        answers = np.asarray(answers, np.float64)
        share = (np.asarray(accuracy) * answers + 2) / (answers + 4)
        return cls(labels, accuracy, pool, np.sqrt(share * (1 - share) / (answers + 4)), chosen)


@dataclass(frozen=True)
class Interval:
    """An estimate, and between what it lies in `COVERAGE` of the cases."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels in all, those given included, at which an accuracy is reached."""

    estimate: int | None
    """None: as likely as not it is more than the pool has."""
    low: int
    high: int | None
    """None: it may be more than the pool has."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """Learning curves that may be behind what was measured, each as likely as the others."""

    curve: Curve
    parameters: NDArray[np.float64]
    """(n, 6) as in `PRIOR_MEAN`, B in units of the last point's labels."""
    unrest: NDArray[np.float64]
    """(n,) how far the accuracy is from each curve, in standard deviations of one answer."""

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
        """Labels in all that an accuracy, 0..1, needs; None if even the interval's low end is more than the pool."""
        labels = np.geomspace(max(float(np.min(self.curve.labels)), 1), self.pool, GRID)
        reached = np.maximum.accumulate(self._accuracies(labels), axis=1) >= accuracy
        needed = np.where(reached.any(axis=1), labels[reached.argmax(axis=1)], math.inf)
        low, estimate, high = _quantiles(needed[:, None], method="nearest")[:, 0].tolist()
        if math.isinf(low):
            return None
        return LabelsNeeded(_whole(estimate), math.ceil(low), _whole(high))

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
    random = np.random.default_rng(0)
    mean, covariance = PRIOR_MEAN, np.diag(PRIOR_SD**2)
    for power in POWERS:
        normal = random.standard_normal((DRAWS, len(mean)))
        drawn = mean + normal @ np.linalg.cholesky(covariance).T
        prior = -(((drawn - PRIOR_MEAN) / PRIOR_SD) ** 2).sum(axis=1) / 2
        log = power * _log_likelihood(curve, drawn) + prior + (normal**2).sum(axis=1) / 2
        weight = np.exp(log - log.max())
        weight /= weight.sum()
        mean = weight @ drawn
        covariance = WIDER * (weight * (drawn - mean).T) @ (drawn - mean)
    kept = drawn[random.choice(DRAWS, KEPT, p=weight)]
    return Forecast(curve, kept, np.exp(kept[:, 5]) * random.standard_normal(KEPT))


def _log_likelihood(curve: Curve, parameters: Floats) -> NDArray[np.float64]:
    """(n,) of parameters (n, 6), up to a constant.

    With the accuracies in units of one answer's standard deviation, unrest adds the same to each eigenvalue of their
    covariance.
    """
    accuracy = np.asarray(curve.accuracy, np.float64)
    expected = _palm(parameters, np.asarray(curve.labels) / np.max(curve.labels))
    if curve.chosen is not None:
        at = np.flatnonzero(curve.chosen)
        expected[:, at] = expit(logit(np.clip(expected[:, at], 1e-6, 1 - 1e-6)) + parameters[:, 4:5])
    unit = np.sqrt(_binomial(accuracy))
    values, vectors = np.linalg.eigh(_covariance(curve) / np.outer(unit, unit))
    variance = np.maximum(values, 0) + np.exp(2 * parameters[:, 5:])
    off = ((accuracy - expected) / unit) @ vectors
    return np.asarray(-(off**2 / variance + np.log(variance)).sum(axis=1) / 2)


def _covariance(curve: Curve) -> NDArray[np.float64]:
    """(k, k) of the errors with which the points were measured: those on the same images are correlated.

    Of n and m answers, n < m, the n are taken to be among the m, as images are added and none is taken away.
    """
    k = len(curve.labels)
    if curve.standard_error is None:
        return np.zeros((k, k))
    error = np.asarray(curve.standard_error)
    answers = _binomial(np.asarray(curve.accuracy)) / np.maximum(error, 1e-6) ** 2
    shared = SHARED * np.sqrt(np.minimum.outer(answers, answers) / np.maximum.outer(answers, answers))
    if curve.chosen is not None:
        shared *= np.equal.outer(curve.chosen, curve.chosen)
    np.fill_diagonal(shared, 1)
    return shared * np.outer(error, error)


def _palm(parameters: Floats, share: Floats) -> NDArray[np.float64]:
    """(n, m) the accuracy of (n, 4 or more) parameters with (m,) labels in units of the last point's."""
    achievable, efficiency, start, beta = parameters[:, :4].T[:, :, None]
    exponent = np.exp(np.minimum(efficiency + np.exp(beta) * np.log(share + np.exp(start)), 6))  # e^6: all is learned
    return -expit(achievable) * np.expm1(-exponent)


def _binomial(accuracy: Floats) -> NDArray[np.float64]:
    """The variance of one answer, A (1 - A), and not nil where all are right."""
    clipped = np.clip(accuracy, 0.01, 0.99)
    return clipped * (1 - clipped)


def _whole(labels: float) -> int | None:
    return None if math.isinf(labels) else math.ceil(labels)


def _quantiles(values: Floats, method: Literal["linear", "nearest"] = "linear") -> NDArray[np.float64]:
    """(3, m) low end, median and high end of (n, m) values."""
    return np.quantile(values, [(1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2], axis=0, method=method)
