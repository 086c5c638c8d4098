"""Sort the pool by pretext loss and cut it into batches (PT4AL, section 3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.orders import Order


def hardest_first(losses: NDArray[np.floating], ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Sort by loss, highest first, as numbers; equal losses by id.

    Args:
        losses: (n,)
        ids: (n,)

    Returns:
        The sorted positions, a permutation (n,).

    Raises:
        ValueError: a loss is not a finite number, so its image has no place in the order.
    """
    if not np.isfinite(losses).all():
        raise ValueError("a pretext loss is not a finite number")
    return np.lexsort((ids, -np.asarray(losses, dtype=np.float64))).astype(np.int64)


def cut(n: int, *, cycles: int, order: Order, seed: int) -> NDArray[np.int64]:
    """The batch of each rank: (n,) values in [0, cycles), for ranks counted from the hardest image.

    Sizes differ by one at most.

    Args:
        n: number of images.
        cycles: number of batches.
        order: `hard_first`, as in the paper: batch 0 holds the hardest `n / cycles`; `easy_first`: the reverse;
            `round_robin`: batch k holds every `cycles`-th image, so that each batch spans all losses; `shuffled`:
            independent of the losses.
        seed: for `shuffled`.
    """
    ranks = np.arange(n)
    if order == "round_robin":
        return ranks % cycles
    slices = ranks * cycles // max(n, 1)
    if order == "easy_first":
        return cycles - 1 - slices
    if order == "shuffled":
        return np.random.default_rng(seed).permutation(slices)
    return slices


def join(
    new_losses: NDArray[np.floating],
    losses: NDArray[np.floating],
    batches: NDArray[np.integer],
    *,
    cycles: int,
    order: Order,
) -> NDArray[np.int64]:
    """The batch of each image that arrives after the pool was cut.

    In sorted orders it joins the batch of the image just above it in the sorted list. In `round_robin` and `shuffled`,
    where any loss fits any batch, the hardest image joins the smallest batch first.

    Args:
        new_losses: (m,) of the new images.
        losses: (n,) of the images already in batches.
        batches: (n,) the batch of each of these.
        cycles: number of batches.
        order: how the batches were cut.

    Returns:
        (m,) values in [0, cycles).
    """
    if order in ("round_robin", "shuffled"):
        return _fill_smallest(new_losses, np.bincount(batches, minlength=cycles))
    hardest = np.argsort(-losses, kind="stable")
    above = np.searchsorted(-losses[hardest], -np.asarray(new_losses), side="right") - 1
    return np.asarray(batches)[hardest[np.clip(above, 0, None)]].astype(np.int64)


def _fill_smallest(new_losses: NDArray[np.floating], sizes: NDArray[np.integer]) -> NDArray[np.int64]:
    sizes = sizes.copy()
    joined = np.empty(len(new_losses), dtype=np.int64)
    for position in np.argsort(-np.asarray(new_losses), kind="stable"):
        joined[position] = batch = int(sizes.argmin())
        sizes[batch] += 1
    return joined


def query_size_for(pool: int, *, cycles: int) -> int:
    """A fifth of a batch, as on CIFAR-10 in the paper (1,000 of 5,000), but at least 10 and at most 1,000."""
    return int(np.clip(pool // (5 * cycles), 10, 1000))
