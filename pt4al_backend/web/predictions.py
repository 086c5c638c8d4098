"""`/predict`: wait a little for the newest labels, then answer from the newest ranking."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.label_config.config import LabelConfig, parse_config
from pt4al_backend.labelling.questions import Question
from pt4al_backend.reports.status import is_alive
from pt4al_backend.sampling.queue import LAST_PLACE
from pt4al_backend.store.pool_scores import RankingArrays
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import READY_STAGE, TRAINING, Project
from pt4al_backend.web.context import Context
from pt4al_backend.web.responses import Prediction, Region

PREPARING = "pt4al-preparing"
"""The model version before the first queue is published."""

POLL_EVERY = 0.1  # seconds between reads of the project's row while waiting
_CHUNK = 5000  # task ids per query: databases limit the number of parameters

_WAITING = threading.BoundedSemaphore(16)
"""Held by requests that wait: each occupies a thread, and some threads must stay free."""

Task = Mapping[str, Any]


def empty(version: str = PREPARING) -> Prediction:
    """The prediction for an unknown image: no result, and the last place in the queue."""
    return {"result": [], "score": LAST_PLACE, "model_version": version}


def predict(context: Context, project: Project, tasks: Sequence[Task], *, label_config: str) -> list[Prediction]:
    """Predict exactly once per task, in the order of the tasks (fact 14).

    Returns:
        Predictions as Label Studio expects them: `result`, `score` and `model_version`.
    """
    project = catch_up(context.store, project, tasks, seconds=context.settings.predict_wait)
    version = project.model_version or PREPARING
    newest = context.rankings.newest(project.id)
    if newest is None:
        return [empty(version) for _ in tasks]
    config = _config(label_config or project.label_config) if context.settings.preannotate else None
    return from_ranking(tasks, *newest, config=config, version=version)


def from_ranking(
    tasks: Sequence[Task],
    ranking: RankingArrays,
    questions: Sequence[Question],
    *,
    config: LabelConfig | None,
    version: str,
) -> list[Prediction]:
    """The ranking's score and predictions for each task; without a `config`, only the score.

    Masks are left out: they are not stored for all images, but are part of the predictions that are published.
    """
    places = ranking.find(np.array([task["id"] for task in tasks], dtype=np.int64))
    predictions = []
    for place in places.tolist():
        prediction = empty(version)
        if place >= 0:
            prediction["score"] = float(ranking.score[place])
            if config is not None:
                prediction["result"] = cast("list[Region]", config.result(ranking.predictions_at(place, questions)))
        predictions.append(prediction)
    return predictions


def catch_up(store: Store, project: Project, tasks: Sequence[Task], *, seconds: float) -> Project:
    """Wake the worker if there are labels it has not seen, and wait until the ranking includes them.

    Does not wait if that would be useless, because no worker runs or there is no model yet, or if too many requests
    wait already.

    Args:
        store: The store.
        project: The project's row, as it was read for this request.
        tasks: The tasks of the request, which may show newer annotations.
        seconds: How long to wait at most.

    Returns:
        The project's row afterwards.
    """
    if not _is_behind(store, project, tasks):
        return project
    store.wake([project.id])
    woken = store.project(project.id)
    has_order = bool(project.ranked_pool) or project.stage in (TRAINING, READY_STAGE)
    if woken is None or not has_order or not is_alive(store.worker()):
        return woken or project
    if not _WAITING.acquire(blocking=False):
        return woken
    try:
        return _wait(store, woken, seconds=seconds) or project
    finally:
        _WAITING.release()


def _wait(store: Store, woken: Project, *, seconds: float) -> Project | None:
    deadline = time.monotonic() + seconds
    current: Project | None = woken
    while current is not None and not _is_up_to_date(current, woken.wake_at) and time.monotonic() < deadline:
        time.sleep(POLL_EVERY)
        current = store.project(woken.id)
    return current


def _is_behind(store: Store, project: Project, tasks: Sequence[Task]) -> bool:
    ranked = project.ranked_revision >= 0
    if project.wake_at > project.looked_at or (ranked and project.labels_revision != project.ranked_revision):
        return True
    counts = {task["id"]: count for task in tasks if (count := _annotations(task))}
    ids = list(counts)
    for start in range(0, len(ids), _CHUNK):
        known = store.annotation_counts(project.id, ids[start : start + _CHUNK])
        if any(counts[task] > known.get(task, 0) for task in ids[start : start + _CHUNK]):
            return True
    return False


def _is_up_to_date(project: Project, woken_at: float) -> bool:
    return project.looked_at >= woken_at and project.ranked_revision == project.labels_revision


def _annotations(task: Task) -> int:
    """How many submitted annotations the request shows; skipped ones are not labels."""
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        return 0
    return sum(1 for annotation in annotations if isinstance(annotation, dict) and not annotation.get("was_cancelled"))


@lru_cache(maxsize=64)
def _config(label_config: str) -> LabelConfig | None:
    """The parsed config; None if it was changed to one that cannot be learned: predictions then have only a score."""
    try:
        return parse_config(label_config)
    except UnsupportedConfigError:
        return None
