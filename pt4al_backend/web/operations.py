"""Every route of the web process: what it takes, what it answers, and how it refuses. `openapi` writes it down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pt4al_backend.reports.answers import Duplicates, LabelsToCheck, MapOfPool, Overview, Queue, Status
from pt4al_backend.web.action_bodies import BODIES, Nothing
from pt4al_backend.web.bodies import LARGEST_TASK, NAME_SCHEMA, Event, Predict, Setup, Versions, Webhook
from pt4al_backend.web.charts import FORMATS
from pt4al_backend.web.downloads import DOWNLOADS
from pt4al_backend.web.projects import LARGEST_NUMBER
from pt4al_backend.web.responses import (
    Connected,
    Done,
    Health,
    Predictions,
    PublishedVersions,
    Taken,
    Training,
)

JSON, HTML, FORM = "application/json", "text/html", "application/x-www-form-urlencoded"

TAGS = {
    "api": "For programs: what the pages show, as JSON, and what people can do there.",
    "label-studio": "What Label Studio asks of an ML backend, served by label-studio-ml.",
    "monitoring": "For load balancers and Prometheus.",
    "pages": "For browsers.",
}
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "project_id": {"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER},
    "task": {"type": "integer", "minimum": 0, "maximum": LARGEST_TASK},
    "format": {"enum": list(FORMATS)},
    "name": {"enum": list(DOWNLOADS)},
}
REFUSALS = {
    400: "The request is wrong: the sentence says what to send instead.",
    401: "The password is missing or wrong.",
    403: "The request comes from elsewhere: from outside the private networks although there is no password, for a "
    "host name that is not ours, or from a page of another site.",
    404: "There is no such thing.",
    409: "There is nothing to write yet.",
    410: "Label Studio before 1.4.1 trained this way.",
    411: "The body has no Content-Length.",
    413: "The body, or something in it, is too large.",
    415: "The body is not marked as what it has to be.",
    422: "PT4AL cannot work with this project: the sentence, which is also the reason phrase, says why.",
    500: "Something went wrong; the log says what.",
    503: "The database or the disk cannot be used, or other large requests are being read: try again later.",
}
_ALWAYS = (400, 401, 403, 411, 413, 500, 503)


@dataclass(frozen=True)
class Answer:
    """A response that is expected."""

    description: str
    content: Mapping[str, Any] = field(default_factory=dict)
    """Media type -> the type of its JSON; None for what is no JSON."""
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A method of a route."""

    method: str
    path: str
    """With its parameters in braces, each one of `PATH_PARAMETERS`."""
    tag: str
    summary: str
    description: str = ""
    answers: Mapping[int, Answer]
    refusals: Mapping[int, Sequence[str]]
    """Status, described in `REFUSALS` -> media types that the refusal may have."""
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Name of a parameter, none of which is required -> its schema."""
    body: tuple[str, tuple[Any, ...]] | None = None
    """Media type, and the types or schemas of which the body is one."""
    body_required: bool = True
    open: bool = False
    """Whether it needs no password."""


def _operation(
    method: str, path: str, tag: str, summary: str, *, refuses: Mapping[int, Sequence[str]] | None = None, **more: Any
) -> Operation:
    """An operation with the refusals that all have; `refuses` has more of them."""
    usual = dict.fromkeys((*_ALWAYS, *((415,) if method == "post" else ())), (JSON,))
    refusals: dict[int, Sequence[str]] = {**usual, **({404: (JSON,)} if "{" in path else {}), **(refuses or {})}
    if more.get("open"):
        del refusals[401]
    return Operation(method=method, path=path, tag=tag, summary=summary, refusals=refusals, **more)


def _get(path: str, summary: str, kind: Any, *, tag: str = "api", **more: Any) -> Operation:
    return _operation("get", path, tag, summary, answers={200: Answer(summary, {JSON: kind})}, **more)


def _page(path: str, summary: str, **more: Any) -> Operation:
    return _operation("get", path, "pages", summary, answers={200: Answer(summary, {HTML: None})}, **more)


def _page_of_project(name: str, summary: str, **query: Any) -> Operation:
    said = {"said": _text("What an action said, shown on the page.")}
    return _page(f"/dashboard/{{project_id}}{name}", summary, refuses={404: (HTML,)}, query=said | query)


def _file(path: str, summary: str, *media: str, also: Mapping[int, Answer] | None = None, **more: Any) -> Operation:
    answers = {200: Answer(summary, dict.fromkeys(media)), **(also or {})}
    refuses = {404: (HTML,)} | more.pop("refuses", {})
    return _operation("get", path, "pages", summary, answers=answers, refuses=refuses, **more)


def _post(path: str, summary: str, kind: Any, *bodies: Any, tag: str = "label-studio", **more: Any) -> Operation:
    more = {"answers": {200: Answer(summary, {JSON: kind})}} | more
    return _operation("post", path, tag, summary, body=(JSON, bodies), **more)


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


_THEME = {"theme": _text("`dark`, or else `light`."), "of": _text("Ignored: another address for another picture.")}
_CELL = {
    "label": _text("Only with `model`: a class that people gave."),
    "model": _text("A class that the model takes images of it for."),
}
_ACTIONS = {
    "pause": "Leave the project alone until it is resumed",
    "resume": "Go on with a paused project",
    "train": "Train on all labels, and try excluded images again",
    "retry": "Fetch excluded images again",
    "start_over": "Forget everything learned; the project then has another `project_id`",
    "settings": "Keep these settings for the project; those that are not named follow the backend",
    "confirm": "Call a label right that looked wrong",
}


def _form(action: str) -> dict[str, Any]:
    """The schema of the form on our pages: all its values are text."""
    of_every_form = {"token": _text("From the page."), "page": _text("The page to show then.")}
    fields = BODIES[action].model_fields
    return {
        "type": "object",
        "properties": of_every_form | {name: {"type": "string"} for name in fields},
        "required": ["token", *(name for name, field in fields.items() if field.is_required())],
    }


def _actions() -> list[Operation]:
    found = []
    for action, summary in _ACTIONS.items():
        path = f"/api/projects/{{project_id}}/{action}"
        required = BODIES[action] is not Nothing
        found.append(_post(path, summary, Done, BODIES[action], tag="api", body_required=required))
        found.append(
            _operation(
                "post",
                f"/dashboard/{{project_id}}/{action}",
                "pages",
                f"{summary}: the form on our pages",
                answers={303: Answer("The page that says what was done.", {HTML: None}, ("Location",))},
                refuses={400: (JSON, HTML), 403: (JSON, HTML), 404: (HTML,)},
                body=(FORM, (_form(action),)),
            )
        )
    return found


OPERATIONS: tuple[Operation, ...] = (
    _get("/api/status", "All projects, the worker and the disk", Status),
    _get("/api/projects/{project_id}", "What a project does, how good it is, and how much more to label", Overview),
    _get("/api/projects/{project_id}/queue", "The next images, each with the reason", Queue),
    _get("/api/projects/{project_id}/map", "The map of the images; 404 until all are embedded", MapOfPool),
    _get("/api/projects/{project_id}/duplicates", "Near-duplicates; 404 until they were sought", Duplicates),
    _get("/api/projects/{project_id}/labels", "Labels that look wrong, and annotators", LabelsToCheck, query=_CELL),
    *_actions(),
    _get("/api/openapi.json", "This description", dict[str, Any]),
    _get("/health", "That the web process runs", Health, tag="monitoring", open=True),
    _get("/", "The same, behind the password", Health, tag="monitoring"),
    _operation(
        "get",
        "/metrics",
        "monitoring",
        "The figures of `/api/status` for Prometheus",
        answers={200: Answer("Prometheus' text format", {"text/plain": None})},
    ),
    _post(
        "/setup",
        "Connect a project",
        Connected,
        Setup,
        refuses={422: (JSON,)},
        description="Label Studio sends it when a model is connected, and before it asks for predictions.",
    ),
    _post(
        "/predict",
        "Predict exactly once per task",
        Predictions,
        Predict,
        description="Waits a little for the newest labels to count (`PT4AL_PREDICT_WAIT`). An unknown project or task "
        "gets no pre-annotation, and the last place in the queue.",
    ),
    _post(
        "/webhook",
        "Take an event of Label Studio",
        Taken,
        Event,
        Webhook,
        answers={
            200: Answer("An event that changes no queue, with label-studio-ml 2.x", {JSON: Taken}),
            201: Answer("The worker looks at the project, or the event is ignored", {JSON: Taken}),
        },
    ),
    _get(
        "/versions",
        "The published versions of all projects, or of one",
        PublishedVersions,
        tag="label-studio",
        query={"project": {**NAME_SCHEMA, "anyOf": [*NAME_SCHEMA["anyOf"], {"type": "string", "maxLength": 0}]}},
    ),
    _post("/versions", "The published version of a project", PublishedVersions, Versions),
    _get(
        "/is_training",
        "With label-studio-ml 1.0.9: always false, because nobody has to wait",
        Training,
        tag="label-studio",
        query={"project": _text("Ignored.")},
    ),
    _operation(
        "post",
        "/train",
        "label-studio",
        "With label-studio-ml 1.0.9: always refused",
        answers={},
        body=(JSON, ({"type": "object"},)),
        refuses={410: (JSON,)},
    ),
    _page("/dashboard", "All projects", refuses={503: (JSON, HTML)}),
    _page_of_project("", "Overview"),
    _page_of_project("/queue", "Queue"),
    _page_of_project("/images", "Images"),
    _page_of_project("/labels", "Labels to check", **_CELL),
    _page_of_project("/settings", "Settings"),
    _file("/dashboard/{project_id}/report.html", "A report of one page", HTML),
    _file(
        "/dashboard/{project_id}/download/{name}",
        "Labels or batches as a file",
        "application/octet-stream",
        refuses={409: (HTML,)},
    ),
    _file("/dashboard/{project_id}/curve.{format}", "The learning curve", *FORMATS.values(), query=_THEME),
    _file("/dashboard/{project_id}/losses.svg", "Histogram of the pretext losses", FORMATS["svg"], query=_THEME),
    _file(
        "/dashboard/{project_id}/thumbnails/{task}",
        "A task's image, small",
        "image/webp",
        also={304: Answer("The image that the client has is the newest.")},
    ),
)
"""In the order of the document."""
