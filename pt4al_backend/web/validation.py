"""Validates requests before the SDK sees them: a wrong body gets a 4xx and a sentence.

The SDK's handlers rely on the shape of a body. After these checks they may: the parsed body, which Flask keeps for the
request, holds only the fields that the handlers read, in one form (`bodies`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import BadRequest

from pt4al_backend.web import events, header_checks
from pt4al_backend.web.bodies import TRAIN_EVENTS, Event, Predict, Setup, Versions, Webhook
from pt4al_backend.web.context import context, require_store
from pt4al_backend.web.json_size import holds_too_much
from pt4al_backend.web.refusals import RefusedError, refusal

_parsing = threading.Lock()
"""Held while a large body is parsed: two at once take twice the memory and no less time."""

Body = dict[str, Any]


def check() -> Response | None:
    """Flask's `before_request`: returns a refusal, or None to continue."""
    admitted = header_checks.ADMITTED in request.environ
    refused = None if admitted else header_checks.refused(request, context().settings) or _hold_large_body()
    if refused is None and request.endpoint != "pt4al.static":
        require_store()  # also if the response does not need it: a backend without its store does not work
    check_body = _CHECKS.get(request.path) if request.method == "POST" else None
    if refused is not None or check_body is None:
        return refused
    try:
        with _parsing if header_checks.is_large(request) else nullcontext():
            check_body(json_object())
    except RefusedError as error:
        return refusal(error.code, str(error))
    return None


def leave(_error: BaseException | None) -> None:
    """Flask's `teardown_request`: releases what `check` acquired."""
    if g.pop("holds_large_body", False):
        header_checks.LARGE_BODIES.release()


def _setup(body: Body) -> None:
    g.setup_body = Setup.of(body)


def _predict(body: Body) -> None:
    valid = Predict.of(body)
    _replace(body, project=str(valid.project), tasks=valid.tasks, label_config=valid.label_config, params={})


def _webhook(body: Body) -> None:
    event = Webhook.of(body).action
    if event not in TRAIN_EVENTS:
        return
    valid = Event.of(body)
    project = {"id": valid.project.id, "label_config": valid.project.label_config}
    _replace(body, action=event, project=project, **{events.VALIDATED: valid})


def _versions(body: Body) -> None:
    Versions.of(body)


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
    """Limit how many large bodies are read at a time: most servers read a body only on demand."""
    if not header_checks.is_large(request):
        return None
    g.holds_large_body = header_checks.LARGE_BODIES.acquire(blocking=False)
    return None if g.holds_large_body else header_checks.busy()


def json_object() -> Body:
    """The body of the request.

    Raises:
        RefusedError: It is not a JSON object, or holds too much.
    """
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
