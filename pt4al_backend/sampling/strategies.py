"""Query strategies by name: the values of `PT4AL_STRATEGY`. All use the same networks; only the choice differs.

A strategy is a function `query(candidates, n) -> positions` that chooses `n` of these images to label next. To add
one, write a file here and a line in `STRATEGIES`.

Other packages register strategies in the entry-point group `pt4al.strategies`. In that package's `pyproject.toml`:

    [project.entry-points."pt4al.strategies"]
    hardest = "my_package:query"

and in `my_package.py`:

    def query(candidates, n):
        by_loss = candidates.rank.argsort()
        return by_loss[candidates.open[by_loss]][:n]

`PT4AL_STRATEGY=hardest` then selects it. The entry point refers to one of these:

* Such a function. The backend calls it in every round, and again after every label, with all images that can be ranked:
  with a pretrained encoder those that are embedded so far, otherwise all in batches, once they are embedded.
* A `pt4al_backend.sampling.strategy.Strategy`, whose fields change that: `at_once` keeps a query as it was chosen (for
  a slow or a random strategy), `batches` restricts it to PT4AL's batches, `first` is another function for round 0,
  `ranks` says that it uses `rank` or `batch`, as is assumed of a function.

`rank` and `batch` are -1 everywhere until the pretext task is learned and, with a pretrained encoder, for a `Strategy`
that has neither `batches` nor `ranks`.

A function may use these attributes of `candidates` (m images, including labelled ones): `open`, `uncertainty`, `rank`,
`batch`, `random_key`, each (m,); `embeddings` (m, D), `known`, `gradients`, `labelled_embeddings`,
`out_of_fold_errors`, which are computed on first access; `query_size`, `round`, `seed`; `len(candidates)`; and
`candidates[positions]`, a subset. The class `Candidates` documents each of them.

A function returns distinct positions (0 to m - 1) of open images in the order in which to label them: `n`, or fewer if
it cannot distinguish more, or more. All other open images follow, most uncertain first. Random choices should derive
from `candidates.seed` or `candidates.random_key`, so that a run can be repeated.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from pt4al_backend.sampling import (
    badge,
    balanced,
    bandit,
    coreset,
    coverage,
    dropquery,
    pt4al,
    random_sampling,
    typical,
    typiclust,
    uncertainty_sampling,
)
from pt4al_backend.sampling.strategy import Strategy, Variants

GROUP = "pt4al.strategies"

STRATEGIES: dict[str, Strategy | Variants] = {
    "pt4al": pt4al.variant,
    "balanced": Strategy(balanced.query, needs_embeddings=True),
    "coverage": Strategy(coverage.query, first=typical.query, needs_embeddings=True),
    "random": Strategy(random_sampling.query),
    "confidence": Strategy(uncertainty_sampling.query, first=random_sampling.query, uncertainty="confidence"),
    "margin": Strategy(uncertainty_sampling.query, first=random_sampling.query, uncertainty="margin"),
    "entropy": Strategy(uncertainty_sampling.query, first=random_sampling.query, uncertainty="entropy"),
    "badge": Strategy(badge.query, first=random_sampling.query, at_once=True),
    "bandit": bandit.variant,
    "coreset": Strategy(coreset.query, first=random_sampling.query, at_once=True, library="skactiveml"),
    "maxherding": Strategy(typical.query, needs_embeddings=True),
    "dropquery": Strategy(dropquery.query, at_once=True, needs_embeddings=True),
    "typiclust": Strategy(typiclust.query, at_once=True, needs_embeddings=True, library="skactiveml"),
    "tcm": Strategy(
        uncertainty_sampling.query,
        first=typiclust.query,
        uncertainty="margin",
        needs_embeddings=True,
        library="skactiveml",
    ),
}


PACKAGES = {"skactiveml": "scikit-activeml"}
"""Module -> package that contains it, if the names differ."""


class StrategyError(Exception):
    """A strategy is unusable; the text says why and what to do."""


def names() -> tuple[str, ...]:
    """All strategies: first our own, then those of other packages."""
    return (*STRATEGIES, *sorted(_of_others().keys() - STRATEGIES))


def find(name: str, *, diversity: str, dense: bool) -> Strategy:
    """The strategy of that name.

    Args:
        name: one of `names()`.
        diversity: the setting of that name.
        dense: whether labels are at pixel level.

    Raises:
        StrategyError: there is no such strategy, or its package is not installed or cannot be imported.
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
    except Exception as error:  # importing another package may raise anything
        raise StrategyError(
            f"The strategy {name} of the package {package} cannot be imported "
            f"({type(error).__name__}: {error}): fix it, or choose another with PT4AL_STRATEGY."
        ) from error
    if isinstance(loaded, Strategy):
        return loaded
    if callable(loaded):
        return Strategy(loaded, ranks=True, needs_embeddings=True)
    raise StrategyError(
        f"The strategy {name} of the package {package} is neither a function query(candidates, n) nor a Strategy "
        f"({entry.value}): fix it, or choose another with PT4AL_STRATEGY."
    )
