"""What people can do with a project on its pages: each action is a function, and a line in `ACTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from pt4al_backend.web.action_bodies import Confirm
from pt4al_backend.web.refusals import RefusedError

Form = Mapping[str, Any]
"""What was sent, by the names of fields: the texts of a form, or a JSON object."""


def pause(store: Store, settings: Settings, project: Project, form: Form) -> str:
    """Leave the project alone until it is resumed."""
    store.update(project.id, paused=True)
    store.wake([project.id])
    return "Paused. Labels are safe in Label Studio; they count when you resume."


def resume(store: Store, settings: Settings, project: Project, form: Form) -> str:
    """Go on with a paused project."""
    store.update(project.id, paused=False)
    store.wake([project.id])
    return "Resumed."


def train(store: Store, settings: Settings, project: Project, form: Form) -> str:
    """What "Start Training" in Label Studio does: also tries excluded images again."""
    store.wake([project.id], train=True)
    return "The worker trains on all labels and tries excluded images again."


def retry(store: Store, settings: Settings, project: Project, form: Form) -> str:
    """Fetch excluded images again."""
    store.retry_unreadable(project.id)
    store.wake([project.id])
    return "Excluded images are fetched again."


def start_over(store: Store, settings: Settings, project: Project, form: Form) -> str:
    """Forget everything learned about the project, and begin again."""
    if str(form.get("confirm")) != str(project.number):
        raise RefusedError(400, f"To start over, type the project's number, {project.number}.")
    store.forget(project.id)
    store.connect(
        url=project.label_studio_url,
        number=project.number,
        created=project.created,
        access_token=project.access_token,
        label_config=project.label_config,
    )
    return "Everything learned was forgotten; the worker begins again. Labels are safe in Label Studio."


def change_settings(store: Store, settings: Settings, project: Project, form: Form) -> str:
    """Keep what the form says about each of `OF_PROJECT`; an empty field, or null, means the backend's value."""
    given = {name: value.strip() if isinstance(value, str) else value for name, value in form.items()}
    own = {name: value for name, value in given.items() if value not in ("", None)}
    try:
        chosen = settings.of_project(own)
    except PT4ALError as error:
        raise RefusedError(400, f"Nothing was changed. {error}") from error
    store.update(project.id, own_settings={name: getattr(chosen, name) for name in own})
    store.wake([project.id])
    return "Saved. The next order is chosen with these settings."


def confirm(store: Store, settings: Settings, project: Project, form: Form) -> str:
    """Call a label right that looked wrong."""
    label = Confirm.of(form)
    store.confirm(project.id, label.task, label.question, label.answer)
    return f"Task {label.task} is no longer listed."


ACTIONS: dict[str, Callable[[Store, Settings, Project, Form], str]] = {
    "pause": pause,
    "resume": resume,
    "train": train,
    "retry": retry,
    "start_over": start_over,
    "settings": change_settings,
    "confirm": confirm,
}
"""By the last part of their address. Each returns a sentence for people, or raises `RefusedError`."""
