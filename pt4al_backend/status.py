"""What is going on, as ``/api/status``, the dashboard and ``pt4al-backend status`` tell it."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pt4al_backend.labelling_platform import MULTIPLE, SEGMENTATION, SINGLE
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project, Worker

TASK_TYPES = {SINGLE: "classification", MULTIPLE: "multi-label classification", SEGMENTATION: "segmentation"}
NOTES = 5
"""Tasks whose unusable annotations are told of."""
ALIVE_FOR = 15.0
"""Seconds that a worker counts as running after its last heartbeat."""


def status(store: Store, settings: Settings) -> dict[str, Any]:
    """All projects and the worker, JSON-ready and without secrets: the contract of ``GET /api/status``."""
    projects = [project_status(store, settings, project) for project in store.projects()]
    return {"projects": projects, "worker": worker_status(store.worker())}


def project_status(store: Store, settings: Settings, project: Project) -> dict[str, Any]:
    """One project: its stage, its counts, and what is published."""
    totals = store.totals(project.id)
    return {
        "label_studio_url": without_userinfo(project.label_studio_url),
        "project": project.number,
        "title": project.title,
        "task_type": task_type(project),
        "stage": project.stage,
        "stage_progress": project.stage_progress,
        "stage_detail": project.stage_detail,
        "eta_seconds": project.eta_seconds,
        "round": project.round,
        "cycles": project.cycles or settings.cycles,
        "query_size": settings.query_size or project.query_size,
        "tasks": max(totals.tasks, store.announced(project.id)),
        "pool": totals.pool,
        "unreadable": totals.unreadable,
        "labelled": totals.labelled,
        "model_version": project.model_version,
        "queue_length": queue_length(store, project),
        "error": project.error,
        "notes": [*project.notes, *(f"Task {task}: {note}" for task, note in store.notes(project.id, limit=NOTES))],
        "updated_at": _iso(project.updated_at),
    }


def task_type(project: Project) -> str:
    """What is learnt: of each question, joined with " + "; "classification" before the questions are known."""
    kinds = dict.fromkeys(question["kind"] for question in project.questions)
    return " + ".join(TASK_TYPES[kind] for kind in kinds) or TASK_TYPES[SINGLE]


def queue_length(store: Store, project: Project) -> int:
    """Published tasks that still exist and have not been labelled since."""
    known = store.annotation_counts(project.id, project.published)
    return sum(1 for annotations in known.values() if not annotations)


def worker_status(worker: Worker | None) -> dict[str, Any]:
    """Whether the worker runs, and what it does."""
    alive = is_alive(worker)
    return {
        "alive": alive,
        "device": worker.device if worker is not None else "",
        "busy_with": worker.busy_with if worker is not None and alive else "",
    }


def is_alive(worker: Worker | None) -> bool:
    """Whether the last heartbeat is fresh."""
    return worker is not None and time.time() - worker.heartbeat_at < ALIVE_FOR


def without_userinfo(url: str) -> str:
    """The address without a user name and password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _iso(seconds: float) -> str | None:
    """ISO 8601 in UTC; None for never."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
