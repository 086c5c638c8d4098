"""Query strategies by name: the values of `PT4AL_STRATEGY`. All train the same networks; only the choice differs.

A strategy is a function `query(candidates, n) -> positions`: which `n` of these images should be labelled next? A new
one is a file here and a line in `STRATEGIES`.

Strategies of other packages come in by the entry-point group `pt4al.strategies`. In that package's `pyproject.toml`:

    [project.entry-points."pt4al.strategies"]
    hardest = "my_package:query"

and in `my_package.py`:

    def query(candidates, n):
        by_loss = candidates.rank.argsort()
        return by_loss[candidates.open[by_loss]][:n]

`PT4AL_STRATEGY=hardest` then chooses it. The entry point names

* such a function. It is asked for the whole pool in every round, again after every label, and not before the embeddings
  of the pool are computed; or
* a `pt4al_backend.sampling.strategy.Strategy`, whose fields say otherwise: `at_once` where a query should stay as
  it was chosen (a slow strategy, or one that draws at random), `batches` where it should choose within PT4AL's
  batches, `first` where another function chooses in round 0.

A function may read these of `candidates` (m images, labelled ones too): `open`, `uncertainty`, `rank`, `batch`,
`random_key`, each (m,); `embeddings` (m, D), `known`, `gradients`, `labelled_embeddings`, `out_of_fold_errors`, which
are computed when they are read; `query_size`, `round`, `seed`; `len(candidates)`; `candidates[positions]`, these images
alone. `Candidates` says what each is. It returns positions (0 to m - 1) of open images, none twice, the first to be
labelled first: `n` of them, fewer where it cannot tell more apart, or more. Whatever it leaves out follows, most
uncertain first. What is drawn at random should follow from `candidates.seed` or `candidates.random_key`, so that a run
can be repeated.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from pt4al_backend.sampling import (
    badge,
    bandit,
    coreset,
    pt4al,
    random_sampling,
    typiclust,
    uncertainty_sampling,
)
from pt4al_backend.sampling.strategy import Strategy, Variants

GROUP = "pt4al.strategies"

STRATEGIES: dict[str, Strategy | Variants] = {
    "pt4al": pt4al.variant,
    "random": Strategy(random_sampling.query),
    "confidence": Strategy(uncertainty_sampling.query, first=random_sampling.query, uncertainty="confidence"),
    "margin": Strategy(uncertainty_sampling.query, first=random_sampling.query, uncertainty="margin"),
    "entropy": Strategy(uncertainty_sampling.query, first=random_sampling.query, uncertainty="entropy"),
    "badge": Strategy(badge.query, first=random_sampling.query, at_once=True),
    "bandit": bandit.variant,
    "coreset": Strategy(coreset.query, first=random_sampling.query, at_once=True, library="skactiveml"),
    "typiclust": Strategy(typiclust.query, at_once=True, needs_embeddings=True, library="skactiveml"),
}


PACKAGES = {"skactiveml": "scikit-activeml"}
"""What to install for a module of another name."""


class StrategyError(Exception):
    """A strategy cannot be used; the text says why and what to do."""


def names() -> tuple[str, ...]:
    """All there are: ours, then those of other packages."""
    return (*STRATEGIES, *sorted(_of_others().keys() - STRATEGIES))


def find(name: str, *, diversity: str, dense: bool) -> Strategy:
    """The strategy of that name, in the variant for the setting `diversity`; `dense`: where pixels are told apart.

    Raises:
        StrategyError: there is none, or what it needs is not installed or fails.
    """
    entry = STRATEGIES.get(name) or _loaded(name)
    chosen = entry if isinstance(entry, Strategy) else entry(diversity, dense)
    if chosen.library and importlib.util.find_spec(chosen.library) is None:
        package = PACKAGES.get(chosen.library, chosen.library)
        raise StrategyError(
            f"The strategy {name} needs {package}, which is not installed: pip install {package}, or choose another "
            "with PT4AL_STRATEGY."
        )
    return chosen


def _of_others() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@cache
def _loaded(name: str) -> Strategy:
    """The strategy of another package."""
    entry = _of_others().get(name)
    if entry is None:
        raise StrategyError(f"There is no strategy {name}: choose one of {', '.join(names())} with PT4AL_STRATEGY.")
    package = entry.dist.name if entry.dist else entry.module
    try:
        loaded = entry.load()
    except Exception as error:  # whatever a stranger's module does when it is imported
        raise StrategyError(
            f"The strategy {name} of the package {package} cannot be imported "
            f"({type(error).__name__}: {error}): repair that package, or choose another with PT4AL_STRATEGY."
        ) from error
    if isinstance(loaded, Strategy):
        return loaded
    if callable(loaded):
        return Strategy(loaded, needs_embeddings=True)
    raise StrategyError(
        f"The strategy {name} of the package {package} is neither a function query(candidates, n) nor a Strategy "
        f"({entry.value}): repair that package, or choose another with PT4AL_STRATEGY."
    )
