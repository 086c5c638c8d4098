"""Choose the batch to query by Thompson sampling instead of in a fixed order; within the batch choose as PT4AL does.

After Kim & Lee, "Interpreting pretext tasks for active learning: a reinforcement learning approach" (Scientific
Reports 14:25774, 2024): batches are the arms of a bandit, rewards are discounted. The reward differs from the paper:
an image pays if a model that did not see its label predicts it wrongly.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling import pt4al
from pt4al_backend.sampling.candidates import Candidates, Positions, Query
from pt4al_backend.sampling.strategy import Strategy


def variant(diversity: str, dense: bool) -> Strategy:
    """The bandit that chooses within a batch like PT4AL with this `diversity`."""
    within = pt4al.variant(diversity, dense)
    return Strategy(
        partial(query, within=within.query_of(1)),
        first=partial(query, within=within.query_of(0)),
        ranks=True,
        at_once=True,  # the batch is drawn again for each query
        needs_embeddings=within.needs_embeddings,
    )


def query(candidates: Candidates, n: int, *, within: Query) -> Positions:
    """The images of the drawn arm, in the order of the strategy `within`."""
    arms = np.unique(candidates.batch[candidates.open])
    if not len(arms):
        return np.empty(0, dtype=np.int64)
    seed = [candidates.seed, candidates.round]
    arm = draw(*candidates.out_of_fold_errors, arms=arms, memory=candidates.query_size, seed=seed)
    members = np.flatnonzero(candidates.batch == arm)
    return members[candidates[members].serving_order(within(candidates[members], n))]


def draw(
    batch: NDArray[np.integer],
    wrong: NDArray[np.floating],
    *,
    arms: NDArray[np.integer],
    memory: int,
    seed: list[int],
) -> int:
    """Draw one of `arms` by Beta posteriors of the error rate in each.

    The weight of a label fades as others come in, so the draw never settles for good.

    Args:
        batch: (l,) the batch of each labelled image.
        wrong: (l,) how wrong the prediction of its label is, 0 to 1.
        arms: the batches to choose from.
        memory: total weight of all labels, at most.
        seed: determines the draw.
    """
    discount = min(1.0, memory / max(len(batch), 1))
    mistakes = np.array([wrong[batch == arm].sum() for arm in arms])
    hits = np.array([(1 - wrong[batch == arm]).sum() for arm in arms])
    shares = np.random.default_rng(seed).beta(1 + discount * mistakes, 1 + discount * hits)
    return int(arms[shares.argmax()])
