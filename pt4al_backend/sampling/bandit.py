"""Which batch to query next, by Thompson sampling instead of in a fixed order.

After Kim & Lee, "Interpreting pretext tasks for active learning: a reinforcement learning approach"
(Scientific Reports 14:25774, 2024): batches are a bandit's arms, rewards are discounted. The reward here
is our own choice: an image pays where the model that did not see its label is wrong about it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Candidates, Order, Positions, then_the_rest


def bandit(order: Order) -> Order:
    """The images of the arm that is drawn, in this order."""

    def of_an_arm(lane: Candidates, wanted: int) -> Positions:
        arms = np.unique(lane.batch[lane.open])
        if not len(arms):
            return np.empty(0, dtype=np.int64)
        arm = draw(*lane.mistakes(), arms=arms, memory=lane.query_size, seed=[lane.seed, lane.round])
        members = np.flatnonzero(lane.batch == arm)
        return then_the_rest(members[order(lane.part(members), wanted)], lane)

    return of_an_arm


def draw(
    batch: NDArray[np.integer],
    wrong: NDArray[np.floating],
    *,
    arms: NDArray[np.integer],
    memory: int,
    seed: list[int],
) -> int:
    """One of `arms`, drawn from Beta posteriors of the share of mistakes in each.

    `batch` and `wrong` (0 to 1) are (l,), one entry per label. All evidence together weighs as much as `memory`
    labels at most: what each tells fades as others come in, and the draw never settles for good.
    """
    discount = min(1.0, memory / max(len(batch), 1))
    mistakes = np.array([wrong[batch == arm].sum() for arm in arms])
    hits = np.array([(1 - wrong[batch == arm]).sum() for arm in arms])
    shares = np.random.default_rng(seed).beta(1 + discount * mistakes, 1 + discount * hits)
    return int(arms[shares.argmax()])
