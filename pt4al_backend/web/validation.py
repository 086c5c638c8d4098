"""What arrives, checked before the SDK sees it: a wrong body is a 4xx and a sentence.

The SDK's handlers take a body's shape for granted. After these checks they may: the parsed
body, which Flask keeps for the request, holds only what the handlers read, in one form.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import BadRequest

from pt4al_backend.errors import PT4ALError, StoreError
from pt4al_backend.label_studio.label_config.config import MOST_TEXT, parse_config
from pt4al_backend.web import events, gate, projects
from pt4al_backend.web.context import context, require_store
from pt4al_backend.web.json_size import holds_too_much
from pt4al_backend.web.projects import ProjectName
from pt4al_backend.web.refusals import RefusedError, refusal

logger = logging.getLogger(__name__)

MOST_TASKS = 50_000
_LARGEST_TASK = 2**63 - 1

_parsing = threading.Lock()
"""One body is taken apart at a time: two at once take twice the memory and no less time."""

Body = dict[str, Any]


def check() -> Response | None:
    """Flask's `before_request`: a refusal, or None to go on."""
    refused = (
        None if gate.ADMITTED in request.environ else gate.refused(request, context().settings) or _hold_large_body()
    )
    if refused is None and request.endpoint != "pt4al.static":
        require_store()  # also where the answer needs nothing of it: it would be none of a backend that works
    checks = _CHECKS.get(request.path) if request.method == "POST" else None
    if refused is not None or checks is None:
        return refused
    try:
        with _parsing if gate.is_large(request) else nullcontext():
            checks(_body())
    except RefusedError as error:
        return refusal(error.code, str(error))
    except StoreError:
        raise  # for the app's handler
    except PT4ALError as error:
        return refusal(422, str(error))
    return None


def leave(_error: BaseException | None) -> None:
    """Flask's `teardown_request`: what `check` took is given back."""
    if g.pop("holds_large_body", False):
        gate.LARGE_BODIES.release()


def add_notes(response: Response) -> Response:
    """Flask's `after_request`: the answer to a /setup says what of the label config is not learnt."""
    answer = response.get_json(silent=True) if g.get("notes") and response.status_code == 200 else None
    if isinstance(answer, dict):
        response.set_data(json.dumps(answer | {"notes": list(g.notes)}))
    return response


def project_name(value: object) -> ProjectName:
    """Of a body's or a query's `project`."""
    try:
        return ProjectName.parse(value)
    except ValueError:
        raise RefusedError(
            400, 'The project is missing or wrong: send it as "id.created", for example "12.1700000000".'
        ) from None


def _setup(body: Body) -> None:
    """Check the label config and take the project in; the SDK's handler then answers the published version."""
    name = project_name(body.get("project"))
    label_config = _label_config(body, "schema")
    if not label_config:
        raise RefusedError(400, "The schema is missing: send the project's label config.")
    g.notes = parse_config(label_config).ignored
    hostname, access_token = _text(body, "hostname"), _text(body, "access_token")
    projects.register(
        context().store,
        context().settings,
        name,
        label_config=label_config,
        hostname=hostname,
        access_token=access_token,
    )
    _replace(body, project=str(name), schema=label_config, hostname="", access_token="")


def _predict(body: Body) -> None:
    name, label_config = project_name(body.get("project")), _label_config(body, "label_config")
    tasks = body.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and _is_id(task.get("id")) for task in tasks):
        raise RefusedError(400, "The tasks are missing or wrong: send a list of objects, each with an integer id.")
    if len(tasks) > MOST_TASKS:
        raise RefusedError(413, f"There are more than {MOST_TASKS:,} tasks: send fewer at a time.")
    _replace(body, project=str(name), tasks=[_outline(task) for task in tasks], label_config=label_config, params={})


def _outline(task: dict[str, Any]) -> dict[str, Any]:
    """Of a task what `predict` reads; the rest, masks and all, is let go."""
    annotations = task.get("annotations")
    told = [one for one in annotations if isinstance(one, dict)] if isinstance(annotations, list) else []
    cancelled = [{"was_cancelled": bool(one.get("was_cancelled"))} for one in told]
    return {"id": task["id"], "project": task.get("project"), "annotations": cancelled}


def _webhook(body: Body) -> None:
    event, project = _text(body, "action"), body.get("project")
    if not event:
        raise RefusedError(400, "The action is missing: send the name of an event, for example START_TRAINING.")
    if event not in events.TRAIN_EVENTS:
        return
    try:
        project = project if isinstance(project, dict) else {}
        name = ProjectName.of(project)
    except ValueError:
        raise RefusedError(400, "The project is missing or wrong: send an object with an integer id.") from None
    label_config = _label_config(project, "label_config")
    known = {"id": name.number, "created_at": project.get("created_at"), "label_config": label_config}
    _replace(body, action=event, project=known)


def _versions(body: Body) -> None:
    project_name(body.get("project"))


def _train(_body: Body) -> None:
    raise RefusedError(
        410, "Label Studio before 1.4.1 trained this way: update it, or POST START_TRAINING to /webhook."
    )


_CHECKS: dict[str, Callable[[Body], None]] = {
    "/setup": _setup,
    "/predict": _predict,
    "/webhook": _webhook,
    "/versions": _versions,
    "/train": _train,
}


def _hold_large_body() -> Response | None:
    """Most servers read a body only when it is asked for: what is large may be one of a few."""
    if not gate.is_large(request):
        return None
    g.holds_large_body = gate.LARGE_BODIES.acquire(blocking=False)
    return None if g.holds_large_body else gate.busy()


def _body() -> Body:
    try:
        if holds_too_much(request.get_data()):
            raise RefusedError(413, "There are too many values in the body: send fewer tasks at a time.")
        body = request.get_json(force=True)
    except (BadRequest, ValueError, RecursionError):
        raise RefusedError(400, "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "The body is not a JSON object.")
    return body


def _replace(body: Body, **values: object) -> None:
    body.clear()
    body.update(values)


def _label_config(body: Body, key: str) -> str:
    """A label config of a size that may be parsed and kept."""
    text = _text(body, key)
    if len(text) > MOST_TEXT:
        raise RefusedError(413, f"The label config has more than {MOST_TEXT:,} characters: make it shorter.")
    return text


def _text(body: Body, key: str) -> str:
    """A string the database can hold; "" where there is none."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value or not _is_unicode(value):
        raise RefusedError(400, f"The {key} is wrong: send it as text.")
    return value


def _is_unicode(text: str) -> bool:
    """JSON can spell half of a surrogate pair, which is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_TASK
