"""What a webhook asks for: every event worth looking into leaves a wake-up for the worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pt4al_backend.errors import PT4ALError, StoreError
from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.store.tables import Project
from pt4al_backend.web import projects, refusal_log
from pt4al_backend.web.bodies import Event, EventProject
from pt4al_backend.web.context import Context
from pt4al_backend.web.refusals import RefusedError, reason_phrase

START_TRAINING = "START_TRAINING"
"""The button of the same name in Label Studio."""

JUDGED = "judged"
"""The key under which `validation` leaves an `Event` in the body that the SDK hands to `fit`."""

TRAIN_EVENTS = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATION_DELETED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
    START_TRAINING,
)
"""Events after which the queue may have to change (fact 15)."""


def judged(event: str, data: Mapping[str, Any]) -> Event | None:
    """The event as `/webhook` has judged it already, or as it is judged here for who calls `fit` without a request."""
    found = data.get(JUDGED)
    if isinstance(found, Event):
        return found
    try:
        return Event.of({"action": event, "project": data.get("project")})
    except RefusedError:
        return None


def take(context: Context, event: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Wake the worker for the event's project, taking the project in first where it is not known.

    The answer is JSON-ready and, where the event is ignored, says why.
    """
    if event not in TRAIN_EVENTS:
        return {"event": event, "ignored": "PT4AL does not learn from this event."}
    asked = judged(event, data)
    if asked is None:
        return {"event": event, "ignored": "The event names no project."}
    project = asked.project
    try:
        found = projects.find(context.store, context.settings, project.name) or [_take_in(context, project)]
    except StoreError:
        raise
    except PT4ALError as error:
        refusal_log.tell(200, f"{event} is ignored. {reason_phrase(str(error))}")
        return {"event": event, "ignored": str(error)}
    context.store.wake([known.id for known in found], train=event == START_TRAINING)
    return {"event": event, "project": project.id, "woken": len(found)}


def _take_in(context: Context, project: EventProject) -> Project:
    """An event may come before `/setup`: after a reset, or when the data directory is new.

    Label Studio sends events for models that were removed, too, and anybody may send some: the worker asks it whether
    the project is connected, and forgets it otherwise.
    """
    if not context.settings.label_studio_url:
        raise PT4ALError("This project is not connected yet: press Save on its model in Label Studio's settings.")
    if project.label_config:
        parse_config(project.label_config)
    return projects.register(
        context.store, context.settings, project.name, label_config=project.label_config, ask=False
    )
