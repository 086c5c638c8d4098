"""How alike are two pictures once one is laid over the other? Copies of a picture are, however they were cropped.

The pictures are small and grey. The first is scaled and shifted until its grey values, up to a gain and an offset,
match those of the second: Gauss-Newton steps (Lucas & Kanade, "An iterative image registration technique", IJCAI 1981)
from the best of nine shifts, at half the resolution and then at the full one. Most pairs that are no copies show it
before that, and are left there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Fit = Floats
"""(p, 4) for p pairs: scale across, shift across, scale down, shift down.

In either direction, with places from -1 to 1, `place` of the second picture shows `scale * place + shift` of the first.
"""

AT_ONCE = 500
"""Pairs that are compared at a time."""
SHIFTS = np.array([[1, across, 1, down] for across in (-0.07, 0, 0.07) for down in (-0.07, 0, 0.07)], dtype=np.float32)
"""Fits to start from."""
STARTS = 3
"""So many of them are followed, the best ones."""
STEPS = 4
"""From each start."""
LONGEST = 0.06
"""Change of a scale or shift in a step."""
LEAST = np.array([0.8, -0.25, 0.8, -0.25], dtype=np.float32)
MOST = np.array([1.25, 0.25, 1.25, 0.25], dtype=np.float32)
"""What a crop to 90 % makes of another one, and a little more."""
PROMISING = 0.7, 0.85
"""Correlations at half the resolution, at the best shift and after the steps, below which a pair is left."""
NOISE = 1.0
"""Standard deviation in grey levels that is not looked at."""
WINDOW = 7
"""Side in pixels of the windows whose correlation counts, too."""


def likeness(pictures: NDArray[np.uint8], pairs: NDArray[np.int64]) -> Floats:
    """(p,) how alike the pictures of each pair are: at most 1, for copies mostly above 0.9.

    It is the mean of their correlation, which counts twice, and of the correlation within windows: there, a frame or a
    background that two pictures share does not help.

    Args:
        pictures: (m, s, s) grey values; s is even, 16 or 32.
        pairs: (p, 2) positions of two of them.

    Returns:
        Likenesses; 0 for pairs that are left.
    """
    found = np.zeros(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), AT_ONCE):
        first, second = (pictures[these].astype(np.float32) for these in pairs[start : start + AT_ONCE].T)
        left, fit = _coarse(_halved(first), _halved(second))
        first, second = first[left], second[left]
        fit, correlation = _registered(first, second, fit)
        found[start + left] = (2 * correlation + _within_windows(*_laid(first, fit), second)) / 3
    return found


def _coarse(first: Floats, second: Floats) -> tuple[NDArray[np.int64], Fit]:
    """The positions of the pairs that are worth it, and their best fits."""
    before = np.stack([_correlation(*_laid(first, fit[None]), second) for fit in SHIFTS])
    left = np.flatnonzero(before.max(axis=0) >= PROMISING[0])
    first, second = first[left], second[left]
    starts = SHIFTS[np.argsort(-before[:, left], axis=0, kind="stable")[:STARTS]]
    fits, correlations = zip(*(_registered(first, second, start) for start in starts), strict=True)
    best = np.argmax(correlations, axis=0)[None]
    fit = np.take_along_axis(np.stack(fits), best[:, :, None], axis=0)[0]
    good = np.take_along_axis(np.stack(correlations), best, axis=0)[0] >= PROMISING[1]
    return left[good], fit[good]


def _registered(first: Floats, second: Floats, fit: Fit) -> tuple[Fit, Floats]:
    """The best of the fits that `STEPS` steps from this one lead to, and (p,) the correlation there."""
    side = first.shape[1]
    places = _places(side)
    best, found = np.full(len(first), -1, dtype=np.float32), fit.copy()
    for step in range(STEPS + 1):
        across, along, inside = _interpolation(fit[:, 0], fit[:, 1], side)
        down, downwards, inside_down = _interpolation(fit[:, 2], fit[:, 3], side)
        rows = first @ across.transpose(0, 2, 1)
        laid, seen = down @ rows, inside_down[:, :, None] * inside[:, None, :]
        correlation = _correlation(laid, seen, second)
        better = correlation > best
        best[better], found[better] = correlation[better], fit[better]
        if step == STEPS:
            break
        slope_across = down @ (first @ along.transpose(0, 2, 1))
        slope_down = downwards @ rows
        columns = (slope_across * places, slope_across, slope_down * places[:, None], slope_down, laid, 64 * seen)
        slopes = np.stack([column * seen for column in columns], axis=-1).reshape(len(first), side * side, 6)
        fit = np.clip(fit + _step(slopes, (second * seen).reshape(len(first), side * side, 1)), LEAST, MOST)
    return found, best


def _step(slopes: Floats, wanted: Floats) -> Fit:
    """The change of each fit by the linear model, given (p, pixels, 6) slopes by the fit, the gain and the offset."""
    turned = slopes.transpose(0, 2, 1)
    products, targets = turned @ slopes, turned @ wanted
    diagonal = np.einsum("pii->pi", products)
    diagonal += 1e-4 * diagonal + 1e-3  # flat pictures have no slopes
    solution = np.linalg.solve(products.astype(np.float64), targets.astype(np.float64))[:, :, 0]
    gain = np.maximum(solution[:, 4:5], 0.2)
    return np.clip(solution[:, :4] / gain, -LONGEST, LONGEST)


def _laid(pictures: Floats, fit: Fit) -> tuple[Floats, Floats]:
    """The first pictures as they lie over the second ones, and 1 where they do, both (p, s, s)."""
    side = pictures.shape[1]
    across, _, inside = _interpolation(fit[:, 0], fit[:, 1], side)
    down, _, inside_down = _interpolation(fit[:, 2], fit[:, 3], side)
    laid: Floats = (down @ pictures @ across.transpose(0, 2, 1)).astype(np.float32)
    return laid, inside_down[:, :, None] * inside[:, None, :]


def _interpolation(scale: Floats, shift: Floats, side: int) -> tuple[Floats, Floats, Floats]:
    """Matrices (p, s, s) from the values of a line of pixels to those at other places, and to their slopes there.

    Also (p, s), 1 where that place is on the line.
    """
    position = (scale[:, None] * _places(side) + shift[:, None] + 1) * (side / 2) - 0.5
    inside = (position >= -0.5) & (position <= side - 0.5)
    away = np.clip(position, 0, side - 1)[:, :, None] - np.arange(side, dtype=np.float32)
    values = np.maximum(1 - np.abs(away), 0)
    slopes = np.where((away > -1) & (away <= 0), side / 2, np.where((away > 0) & (away < 1), -side / 2, 0))
    return values, slopes.astype(np.float32), inside.astype(np.float32)


def _places(side: int) -> Floats:
    """(s,) the middles of pixels, -1 to 1."""
    return ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)


def _correlation(first: Floats, seen: Floats, second: Floats) -> Floats:
    """(p,) of the pixels (p, s, s) that are seen."""
    count = np.maximum(seen.sum(axis=(1, 2), keepdims=True), 1)
    first, second = ((each - (each * seen).sum(axis=(1, 2), keepdims=True) / count) * seen for each in (first, second))
    one, other, both = (
        np.einsum("pij,pij->p", *pair) / count[:, 0, 0] for pair in ((first, first), (second, second), (first, second))
    )
    return both / np.sqrt((one + NOISE**2) * (other + NOISE**2))


def _within_windows(first: Floats, seen: Floats, second: Floats) -> Floats:
    """(p,) the mean correlation within the windows that are seen whole; windows with more contrast count more."""
    means = [_window_means(each) for each in (first, second)]
    one, other = (
        np.maximum(_window_means(each * each) - mean**2, 0) for each, mean in zip((first, second), means, strict=True)
    )
    both = _window_means(first * second) - means[0] * means[1]
    weight = np.minimum(np.sqrt(np.maximum(one, other)), 20) * (_window_means(seen) > 0.99)
    correlation = both / np.sqrt((one + NOISE**2) * (other + NOISE**2))
    return (correlation * weight).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1e-6)


def _window_means(values: Floats) -> Floats:
    """(p, s - WINDOW + 1, s - WINDOW + 1) of values (p, s, s)."""
    for axis in (1, 2):
        sums = np.cumsum(values, axis=axis, dtype=np.float64)
        sums = np.concatenate([np.zeros_like(sums.take([0], axis=axis)), sums], axis=axis)
        ends = np.arange(WINDOW, sums.shape[axis])
        values = ((sums.take(ends, axis=axis) - sums.take(ends - WINDOW, axis=axis)) / WINDOW).astype(np.float32)
    return values


def _halved(pictures: Floats) -> Floats:
    """(p, s / 2, s / 2)"""
    p, side, _ = pictures.shape
    return pictures.reshape(p, side // 2, 2, side // 2, 2).mean(axis=(2, 4))
