"""The pages beside the SDK's: `/api/status`, `/metrics`, `/dashboard` and `/versions`."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from pt4al_backend import __version__
from pt4al_backend.label_studio.releases import TESTED_WITH
from pt4al_backend.reports.stages import STAGES, time_left, worker_words
from pt4al_backend.reports.status import health, project_statuses, status
from pt4al_backend.web import metrics, openapi, projects
from pt4al_backend.web.bodies import Versions
from pt4al_backend.web.context import context
from pt4al_backend.web.project_pages import label_stream, label_studio_address
from pt4al_backend.web.refusals import RefusedError, refusal
from pt4al_backend.web.responses import PublishedVersions

pages = Blueprint(
    "pt4al", __name__, template_folder="templates", static_folder="static", static_url_path="/dashboard/static"
)

pages.add_app_template_filter(worker_words)
pages.add_app_template_global(lambda: (__version__, TESTED_WITH), "releases")


@pages.route("/api/status")
def api_status() -> Response:
    """The status of all projects as JSON."""
    return jsonify(status(context().store, context().settings))


@pages.route("/api/openapi.json")
def api_description() -> Response:
    """What every route takes and answers, for programs."""
    return jsonify(openapi.document())


@pages.route("/dashboard")
def dashboard() -> str:
    """The same as a page."""
    store, settings = context().store, context().settings
    now, known = health(store), store.projects()
    shown = [
        {
            **fields,
            "stage_words": STAGES[fields["stage"]],
            "link": label_studio_address(settings, project),
            "label_stream": label_stream(settings, project),
            "remaining": time_left(fields["eta_seconds"]),
        }
        for project, fields in zip(known, project_statuses(store, settings, known, now), strict=True)
    ]
    return render_template(
        "dashboard.html", projects=shown, worker=now.worker, trouble=now.disk_error, address=request.host_url
    )


def trouble_page(trouble: str) -> str:
    """The page to show when the store cannot be read."""
    return render_template("dashboard.html", projects=[], worker={}, trouble=trouble, address=request.host_url)


def metrics_page() -> Response:
    """The metrics; replaces the empty page of the SDK."""
    text = metrics.render(status(context().store, context().settings))
    return Response(text, content_type=metrics.CONTENT_TYPE)


def versions() -> Response:
    """The published version of a project; of all projects if none is named, as in Label Studio's GET requests."""
    body: Any = request.get_json() if request.method == "POST" else {}
    named = body.get("project") or request.args.get("project")
    store, settings = context().store, context().settings
    try:
        name = Versions.of({"project": named}).project if named else None
    except RefusedError as error:
        return refusal(error.code, str(error))
    shown = store.projects() if name is None else projects.find(store, settings, name)[:1]
    found: PublishedVersions = {"versions": [project.model_version for project in shown if project.model_version]}
    return jsonify(found)
