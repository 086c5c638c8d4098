"""The map of a pool, as `static/map.js` reads it: where each image is, and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.labelling.questions import Question
from pt4al_backend.reports.answers import MapOfPool
from pt4al_backend.store.findings import MAP
from pt4al_backend.store.pool_scores import RankingArrays
from pt4al_backend.store.store import PoolArrays, Store
from pt4al_backend.store.tables import Project

SCALE = 1000
"""Uncertainties and losses are sent as whole numbers from 0 to this."""
EXAMPLES = 8
"""Images that are shown of the hardest, the median and the easiest ones."""


def map_report(store: Store, project: Project, *, link: str, thumbnail: str) -> MapOfPool | None:
    """The map; None before the images have places.

    Args:
        store: what is known.
        project: the project.
        link: the address of a task, with `{task}` for its id.
        thumbnail: likewise that of its thumbnail.
    """
    found = store.finding(project.id, MAP, arrays=True)
    if found is None:
        return None
    pool, ranking = store.pool(project), store.ranking(project.id)
    placed, here = _matched(pool.task, found.arrays["task"])
    pool = PoolArrays(**{name: array[placed] for name, array in vars(pool).items()})
    losses, loss_range = _scaled(pool.loss)
    unsure, unsure_range = _scaled(_uncertainty(ranking[0] if ranking else None, pool.task))
    question = next((each for each in questions_of(project.questions) if each.label_type.one_class), None)
    queue = {task: place for place, task in enumerate(reason["task"] for reason in store.reasons(project.id))}
    positions = {task: position for position, task in enumerate(pool.task.tolist()) if task in queue}
    return {
        "task": pool.task.tolist(),
        "x": found.arrays["x"][here].tolist(),
        "y": found.arrays["y"][here].tolist(),
        "class": _classes(question, store.answers(project.id), ranking, pool.task).tolist(),
        "batch": pool.batch.tolist(),
        "uncertainty": unsure.tolist(),
        "pretext_loss": losses.tolist(),
        "labelled": pool.labelled.astype(int).tolist(),
        "queue": [positions[task] for task in queue if task in positions],
        "classes": list(question.classes) if question else [],
        "batches": int(pool.batch.max(initial=-1)) + 1,
        "ranges": {"uncertainty": unsure_range, "pretext_loss": loss_range},
        "link": link,
        "thumbnail": thumbnail,
    }


def losses_report(store: Store, project: Project) -> dict[str, Any] | None:
    """The pretext losses, where the batches begin, and the hardest, median and easiest images; None without losses."""
    pool = store.pool(project).in_batches()
    if not len(pool):
        return None
    order = pool.task[np.argsort(pool.rank)]
    middle = max(0, len(order) // 2 - EXAMPLES // 2)
    hardest = [
        pool.loss[pool.batch == batch].max()
        for batch in range(int(pool.batch.max()) + 1)
        if (pool.batch == batch).any()
    ]
    in_order = hardest == sorted(hardest, reverse=True)
    return {
        "losses": pool.loss.tolist(),
        "borders": [float(loss) for loss in hardest[1:]] if in_order else [],
        "examples": {
            "The hardest": order[:EXAMPLES].tolist(),
            "In the middle": order[middle : middle + EXAMPLES].tolist(),
            "The easiest": order[::-1][:EXAMPLES].tolist(),
        },
    }


def _matched(pool: NDArray[np.int64], mapped: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the tasks that are in both, in each of the two."""
    _, in_pool, in_map = np.intersect1d(pool, mapped, assume_unique=True, return_indices=True)
    return in_pool, in_map


def _scaled(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], tuple[float, float]]:
    """(n,) whole numbers from 0 to `SCALE`, -1 for NaN; and the values that they stand for at both ends."""
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), -1), (0.0, 0.0)
    low, high = float(values[known].min()), float(values[known].max())
    scaled = np.full(len(values), -1)
    scaled[known] = np.round(SCALE * (values[known] - low) / max(high - low, 1e-12))
    return scaled, (round(low, 4), round(high, 4))


def _uncertainty(ranking: RankingArrays | None, tasks: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) one minus the probability of the first question's prediction; NaN without one."""
    unsure = np.full(len(tasks), np.nan)
    if ranking is not None and ranking.predictions:
        at = ranking.find(tasks)
        unsure[at >= 0] = 1 - ranking.predictions[0].probability[at[at >= 0]]
    return unsure


def _classes(
    question: Question | None,
    answers: Mapping[int, Mapping[str, Any]],
    ranking: tuple[RankingArrays, Sequence[Question]] | None,
    tasks: NDArray[np.int64],
) -> NDArray[np.int64]:
    """(n,) each image's label or, without one, its predicted class; -1: neither."""
    found = np.full(len(tasks), -1)
    if question is None:
        return found
    if ranking is not None:
        arrays, asked = ranking
        place = next((k for k, each in enumerate(asked) if each.name == question.name), None)
        if place is not None and len(arrays.predictions[place].chosen):
            at = arrays.find(tasks)
            predicted = arrays.predictions[place]
            known = (at >= 0) & np.isfinite(predicted.probability[np.maximum(at, 0)])
            found[known] = predicted.chosen[at[known]]
    number = {name: k for k, name in enumerate(question.classes)}
    for position, task in enumerate(tasks.tolist()):
        answer = answers.get(task, {}).get(question.name)
        if answer in number:
            found[position] = number[answer]
    return found
