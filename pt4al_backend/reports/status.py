"""The status that `/api/status`, the dashboard and `pt4al-backend status` show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from pt4al_backend.encoder_catalogue import ROTATION
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_types import LABEL_TYPES, questions_of
from pt4al_backend.net.addresses import without_userinfo
from pt4al_backend.reports.answers import ProjectStatus, Status, WorkerStatus
from pt4al_backend.settings import Settings
from pt4al_backend.store.findings import LATENCY, SUSPECTS
from pt4al_backend.store.latencies import as_json
from pt4al_backend.store.overviews import Overview
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import ERROR, IMAGES, PRETEXT, READY_STAGE, TRAINING, Measurement, Project, Worker

NOTES = 5
"""How many tasks with unusable annotations a project's status lists."""
ALIVE_FOR = 15.0
"""Seconds after its last heartbeat for which a worker counts as running."""
STARTING_FOR = 60.0
"""Seconds for which it counts as starting: on a busy machine a new process is silent for so long."""
COMPUTING = (IMAGES, PRETEXT, TRAINING)
"""Stages in which the worker computes something; when it is ready, it may learn the pretext task."""
STARVED_BELOW = 1 / 3
"""A worker is starved if it gets less than this share of the processor time that it wants …"""
LEAST_WANTED = 0.5
"""… and wants at least this much of a processor."""


@dataclass(frozen=True)
class Health:
    """The state of the disk and the worker, which concerns all projects."""

    disk_error: str
    """Why the disk or the database cannot be used, so that all work waits; "" if they can."""
    starved: str
    """How much processor time the worker gets, in words, if that is too little; otherwise ""."""
    worker: WorkerStatus
    """The worker's entry in `/api/status`."""


def status(store: Store, settings: Settings) -> Status:
    """All projects and the worker, as `GET /api/status` answers: ready for JSON, and without secrets."""
    now = health(store)
    return {
        "projects": project_statuses(store, settings, store.projects(), now),
        "worker": now.worker,
        "disk": {"error": now.disk_error},
    }


def health(store: Store) -> Health:
    """The current state of the disk and the worker. `cpu_share` counts processors: 0.12 is 12 % of one."""
    worker, vitals = store.worker(), store.vitals()
    alive = is_alive(worker)
    busy_with = worker.busy_with if worker is not None and alive else ""
    starved = starvation(vitals.cpu_got, vitals.cpu_wanted) if busy_with else ""  # an idle worker lacks nothing
    entry: WorkerStatus = {
        "alive": alive,
        "starting": not alive and time.time() - vitals.starting_at < STARTING_FOR,
        "device": worker.device if worker is not None else "",
        "busy_with": busy_with,
        "cpu_share": round(vitals.cpu_got, 3) if alive and vitals.cpu_got is not None else None,
        "memory_bytes": vitals.memory if alive else None,
        "starved": starved,
    }
    return Health(store.disk_trouble() or (vitals.trouble if alive else ""), starved, entry)


def starvation(got: float | None, wanted: float | None) -> str:
    """How much processor time a starved worker gets, in words; "" for a worker that gets enough.

    Args:
        got: Processors that it gets, as in `CpuUse`; None if unknown.
        wanted: Processors that it wants.
    """
    if got is None or wanted is None or wanted < LEAST_WANTED or got >= STARVED_BELOW * wanted:
        return ""
    share = f"{got:.0%} of a core" if got < 1 else f"{got:.1f} of {wanted:.0f} cores"
    return f"the worker gets {share}: other processes, or a limit, take the rest"


def project_statuses(store: Store, settings: Settings, projects: Sequence[Project], now: Health) -> list[ProjectStatus]:
    """Of each project its stage, its counts, and what is published."""
    overviews = store.overviews(projects, kinds=(SUSPECTS, LATENCY), notes=NOTES)
    return [_project_status(effective(settings, project), project, overviews[project.id], now) for project in projects]


def _project_status(settings: Settings, project: Project, overview: Overview, now: Health) -> ProjectStatus:
    totals, measured = overview.totals, overview.measured
    suspects = overview.findings.get(SUSPECTS)
    computing = project.stage in COMPUTING or (project.stage == READY_STAGE and bool(project.stage_detail))
    starved = now.starved if computing else ""
    encoder = project.encoder or (None if project.image_size else settings.pretrained)  # chosen with the image size
    return {
        "label_studio_url": without_userinfo(project.label_studio_url),
        "id": project.id,
        "project": project.number,
        "title": project.title,
        "task_type": task_type(project),
        "stage": ERROR if now.disk_error else project.stage,
        "stage_progress": project.stage_progress,
        "stage_detail": ", ".join(filter(None, (project.stage_detail, starved))),
        "eta_seconds": None if starved else project.eta_seconds,  # an estimate would depend on other programs
        "round": project.round,
        "cycles": project.cycles or settings.cycles,
        "query_size": settings.query_size or project.query_size,
        "tasks": max(totals.tasks, overview.announced),
        "pool": totals.pool,
        "unreadable": totals.unreadable,
        "labelled": totals.labelled,
        "model_version": project.model_version,
        "ranked": project.ranked_pool,
        "encoder": encoder or ROTATION,
        "strategy": settings.strategy_for(dense=project.dense, pretrained=bool(encoder)),
        "fine_tuned": bool(project.tuned_generation),
        "fine_tuned_accuracy": project.tuned_accuracy,
        "probe_accuracy": project.probe_accuracy,
        "pretext_learned": bool(project.pretext_generation),
        "queue_length": overview.queue_length,
        "error": now.disk_error or project.error,
        "paused": project.paused,
        "estimate": _estimate(measured),
        "labels_to_check": len(suspects["labels"]) if suspects else None,
        "order_latency": as_json(overview.findings.get(LATENCY)),
        "notes": [
            *filter(None, [project.encoder_note]),
            *project.notes,
            *(f"Task {task}: {note}" for task, note in overview.notes),
        ],
        "updated_at": _iso(project.updated_at),
    }


def _estimate(measured: Measurement | None) -> float | None:
    """How good the model probably is: see `quality_words`."""
    if measured is None:
        return None
    sure = None if measured.held_out else measured.confidence
    return measured.value if sure is None else sure


def effective(settings: Settings, project: Project) -> Settings:
    """The project's settings; the backend's if those that people chose cannot be used any more, which is an error."""
    try:
        return settings.of_project(project.own_settings)
    except PT4ALError:
        return settings


def task_type(project: Project) -> str:
    """Titles of the questions' label types, joined by " + "; "classification" before the questions are known."""
    titles = dict.fromkeys(question.label_type.title for question in questions_of(project.questions))
    return " + ".join(titles) or next(iter(LABEL_TYPES.values())).title


def is_alive(worker: Worker | None) -> bool:
    """Whether the last heartbeat is recent."""
    return worker is not None and time.time() - worker.heartbeat_at < ALIVE_FOR


def _iso(seconds: float) -> str | None:
    """ISO 8601 in UTC; None for never."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
