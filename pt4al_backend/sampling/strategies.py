"""Query strategies by name. All of them train the same networks: only the choice of images differs."""

from __future__ import annotations

from dataclasses import dataclass

from pt4al_backend.sampling import badge, bandit, baselines, candidates, coverage, scikit_activeml
from pt4al_backend.sampling.candidates import Order
from pt4al_backend.sampling.names import Name


@dataclass(frozen=True)
class Strategy:
    """How queries are chosen."""

    first: Order
    """In round 0."""
    later: Order
    batches: bool = False
    """Whether each round has a batch of its own, sorted by pretext loss; else every round has the whole pool."""
    uncertainty: str = ""
    """What makes an image uncertain, where the strategy is named for it."""
    at_once: bool = False
    """A query is chosen as a whole: it is not made anew for every label."""
    needs_features: bool = False
    """Even for the first query."""
    library: str = ""
    """The module it comes from, where that is an optional one."""


def strategy(name: Name, *, order: str, diversity: str, dense: bool) -> Strategy:
    """The strategy of that name.

    PT4AL has variants: `order` where it is `bandit`, and `diversity`, how queries avoid images like one
    another (`off`, `coverage`, `gradients`). The others are what they are.

    `dense`: pixels are told apart. There typical images are no better a start than the paper's, which is there
    sooner (`benchmarks/first_queries.py`).
    """
    if name != "pt4al":
        return _OTHERS[name]
    typical = diversity != "off" and not dense
    first = coverage.typical if typical else baselines.evenly_spaced
    later = {"off": candidates.uncertain, "coverage": coverage.coverage, "gradients": badge.gradients}[diversity]
    if order == "bandit":  # the batch is drawn anew for each query, which therefore is chosen as a whole
        return Strategy(bandit.bandit(first), bandit.bandit(later), at_once=True, needs_features=typical)
    return Strategy(first, later, batches=True, needs_features=typical)


_OTHERS: dict[str, Strategy] = {
    "random": Strategy(baselines.random_sampling, baselines.random_sampling),
    "confidence": Strategy(baselines.random_sampling, candidates.uncertain, uncertainty="confidence"),
    "margin": Strategy(baselines.random_sampling, candidates.uncertain, uncertainty="margin"),
    "entropy": Strategy(baselines.random_sampling, candidates.uncertain, uncertainty="entropy"),
    "badge": Strategy(baselines.random_sampling, scikit_activeml.badge, at_once=True, library="skactiveml"),
    "coreset": Strategy(baselines.random_sampling, scikit_activeml.coreset, at_once=True, library="skactiveml"),
    "typiclust": Strategy(
        scikit_activeml.typiclust, scikit_activeml.typiclust, at_once=True, needs_features=True, library="skactiveml"
    ),
}
