"""Sort the pool by pretext loss and cut it into batches (PT4AL, section 3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.orders import Order


def hardest_first(losses: NDArray[np.floating], ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Positions that sort by loss, highest first, as numbers; equal losses by id.

    `losses` and `ids` are (n,); the answer is an (n,) permutation. `ValueError` if a
    loss is not a number: such an image has no place in the order.
    """
    if not np.isfinite(losses).all():
        raise ValueError("a pretext loss is not a finite number")
    return np.lexsort((ids, -np.asarray(losses, dtype=np.float64))).astype(np.int64)


def cut(n: int, *, cycles: int, order: Order, seed: int) -> NDArray[np.int64]:
    """The batch of each rank: (n,) values in [0, cycles), for ranks counted hardest first.

    `hard_first` is the paper's: batch 0 holds the hardest `n / cycles`. `easy_first`
    turns that round. `round_robin` gives batch k every `cycles`-th image, so that each batch
    spans all losses; `shuffled` ignores the losses. Sizes differ by one at most.
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
    """The batch each late image belongs to: (m,) from its loss, given the (n,) images already in batches.

    Sorted orders: the batch of the image just above it in the sorted list. `round_robin` and
    `shuffled`, where a loss belongs to every batch: the smallest batches, hardest image first.
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
    """A fifth of a batch, as on CIFAR-10 in the paper (1,000 of 5,000), but 10 to 1,000."""
    return int(np.clip(pool // (5 * cycles), 10, 1000))
