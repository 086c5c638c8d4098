"""Stores with projects in them, as the worker would leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pt4al_backend.labelling.platform import TaskState
from pt4al_backend.settings import Settings
from pt4al_backend.store.pool_scores import PredictionArrays, RankingArrays
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

LABEL_STUDIO = "http://label-studio.example"
CREATED = "1700000000"
CREATED_AT = "2023-11-14T22:13:20.654321Z"  # the same moment, as webhooks tell it
QUESTIONS = [{"name": "kind", "kind": "single", "classes": ["cat", "dog"]}]
CONFIG = """<View><Image name="image" value="$image"/><Choices name="kind" toName="image">
<Choice value="cat"/><Choice value="dog"/></Choices></View>"""


def settings_in(data_dir: Path, **changes: Any) -> Settings:
    """Settings that name a Label Studio, unless `changes` say otherwise."""
    values = {"label_studio_url": LABEL_STUDIO, "label_studio_api_key": "the-api-key", "predict_wait": 2.0}
    return Settings(**{**values, "data_dir": data_dir, **changes})


def add_project(store: Store, number: int = 12, *, created: str = CREATED, url: str = LABEL_STUDIO) -> Project:
    """A connected project without tasks, which the worker has looked at."""
    project = store.connect(url=url, number=number, created=created, access_token="", label_config=CONFIG)
    store.update(project.id, questions=QUESTIONS, looked_at=project.wake_at)
    return reread(store, project)


def add_ranked(store: Store, number: int = 12, *, tasks: int = 10, **more: Any) -> Project:
    """A ready project with tasks 1..n: task k has score k/1000; even tasks are dogs with probability 0.75."""
    project = add_project(store, number, **more)
    store.apply(project.id, [state(task) for task in range(1, tasks + 1)])
    project = reread(store, project)
    rank(store, project, tasks)
    published = list(range(1, min(tasks, 5) + 1))
    store.update(
        project.id,
        stage="ready",
        model_version=f"pt4al-r0-n0-p{number}",
        published=published,
        looked_at=project.wake_at,
    )
    return reread(store, project)


def rank(store: Store, project: Project, tasks: int, *, shift: float = 0.0) -> None:
    """The ranking after a refit: it knows all labels there are."""
    ids = np.arange(1, tasks + 1)
    dogs = PredictionArrays(np.where(ids % 2 == 0, 0.75, np.nan).astype(np.float32), np.ones(tasks, np.int32))
    arrays = RankingArrays(task=ids, score=ids / 1000 + shift, predictions=(dogs,))
    revision = reread(store, project).labels_revision
    store.save_ranking(project.id, arrays, questions=QUESTIONS, ranked_revision=revision)


def state(task: int, label: str | None = None, **more: Any) -> TaskState:
    """A task as Label Studio shows it."""
    values = {
        "image": f"/data/upload/{task}.png",
        "version": "1",
        "answers": {} if label is None else {"kind": label},
        "skipped": False,
        "annotations": int(label is not None),
        "cancelled": 0,
    }
    return TaskState(id=task, **{**values, **more})


def reread(store: Store, project: Project) -> Project:
    """The project's row as it is now."""
    now = store.project(project.id)
    assert now is not None
    return now


def webhook(event: str, number: int = 12, **project: Any) -> dict[str, Any]:
    """An event's body as Label Studio sends it, as far as anybody reads it."""
    known = {"id": number, "created_at": CREATED_AT, "label_config": CONFIG, "title": "Pets"}
    return json.loads(json.dumps({"action": event, "project": {**known, **project}}))
