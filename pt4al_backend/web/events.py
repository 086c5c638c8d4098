"""Webhooks: every event that may change the queue leaves a wake-up for the worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pt4al_backend.errors import PT4ALError, StoreError
from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.store.tables import Project
from pt4al_backend.web import projects, refusal_log
from pt4al_backend.web.bodies import START_TRAINING, TRAIN_EVENTS, Event, EventProject
from pt4al_backend.web.context import Context
from pt4al_backend.web.refusals import RefusedError, reason_phrase
from pt4al_backend.web.responses import Ignored, Woken

VALIDATED = "validated"
"""The key under which `validation` puts an `Event` into the body that the SDK passes to `fit`."""


def validated(event: str, data: Mapping[str, Any]) -> Event | None:
    """The event that `/webhook` has validated; without a request, `fit` validates it here. None if it is wrong."""
    known = data.get(VALIDATED)
    if isinstance(known, Event):
        return known
    try:
        return Event.of({"action": event, "project": data.get("project")})
    except RefusedError:
        return None


def take(context: Context, event: str, data: Mapping[str, Any]) -> Woken | Ignored:
    """Wake the worker for the event's project, which is registered first if it is not known.

    Returns:
        The JSON of the response; if the event is ignored, it says why.

    Raises:
        StoreError: The store cannot be used right now.
    """
    if event not in TRAIN_EVENTS:
        return {"event": event, "ignored": "PT4AL does not learn from this event."}
    valid = validated(event, data)
    if valid is None:
        return {"event": event, "ignored": "The event names no project."}
    project = valid.project
    try:
        rows = projects.find(context.store, context.settings, project.name) or [_register(context, project)]
    except StoreError:
        raise
    except PT4ALError as error:
        refusal_log.log(200, f"{event} is ignored. {reason_phrase(str(error))}")
        return {"event": event, "ignored": str(error)}
    context.store.wake([row.id for row in rows], train=event == START_TRAINING)
    return {"event": event, "project": project.id, "woken": len(rows)}


def _register(context: Context, project: EventProject) -> Project:
    """Register a project whose event arrives before `/setup`: after a reset, or with a new data directory.

    Label Studio also sends events for models that were removed, and anybody may send some: the worker asks Label Studio
    whether the project is connected, and forgets it if not.
    """
    if not context.settings.label_studio_url:
        raise PT4ALError("This project is not connected yet: press Save on its model in Label Studio's settings.")
    if project.label_config:
        parse_config(project.label_config)
    return projects.register(
        context.store, context.settings, project.name, label_config=project.label_config, ask=False
    )
