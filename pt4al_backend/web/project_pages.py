"""The pages of one project, below `/dashboard/<id>`: what a page shows is also JSON, below `/api/projects/<id>`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from pt4al_backend import __version__
from pt4al_backend.errors import PT4ALError
from pt4al_backend.net.addresses import without_userinfo
from pt4al_backend.reports.duplicates_report import duplicates_report
from pt4al_backend.reports.map_report import losses_report, map_report
from pt4al_backend.reports.project_report import labels_report, metric_title, overview, queue_report
from pt4al_backend.reports.status import Health, effective, health
from pt4al_backend.sampling import strategies
from pt4al_backend.settings import OF_PROJECT, Settings
from pt4al_backend.store.findings import MAP
from pt4al_backend.store.tables import Project
from pt4al_backend.web import charts, csrf
from pt4al_backend.web.action_bodies import BODIES, Nothing
from pt4al_backend.web.actions import ACTIONS
from pt4al_backend.web.bodies import LARGEST_TASK
from pt4al_backend.web.context import context
from pt4al_backend.web.downloads import DOWNLOADS, download
from pt4al_backend.web.projects import LARGEST_NUMBER
from pt4al_backend.web.refusals import RefusedError, refusal
from pt4al_backend.web.responses import Done
from pt4al_backend.web.thumbnails import thumbnail
from pt4al_backend.web.validation import json_object

project_pages = Blueprint("project", __name__)

TABS = {
    "overview": "Overview",
    "queue": "Queue",
    "images": "Images",
    "labels": "Labels to check",
    "settings": "Settings",
}
"""Pages by the name of their route."""

OF_EVERY_FORM = ("token", "page")
"""Fields that all forms have: what proves that it is ours, and the page to show then."""


@project_pages.route("/dashboard/<int:project_id>")
def overview_page(project_id: int) -> str:
    """What it does now, how good it is, and how much more there is to label."""
    project, now = _found(project_id), health(context().store)
    return _page(
        "overview", project, now, report=overview(context().store, effective(context().settings, project), project, now)
    )


@project_pages.route("/dashboard/<int:project_id>/queue")
def queue_page(project_id: int) -> str:
    """The next images in the order in which annotators get them, each with the reason."""
    project = _found(project_id)
    return _page("queue", project, health(context().store), report=queue_report(context().store, project))


@project_pages.route("/dashboard/<int:project_id>/images")
def images_page(project_id: int) -> str:
    """A map of the pool, near-duplicates in it, and how hard its images are."""
    project, store = _found(project_id), context().store
    shown = {
        "report": losses_report(store, project),
        "has_map": store.finding(project.id, MAP) is not None,
        "duplicates": duplicates_report(store, effective(context().settings, project), project),
    }
    return _page("images", project, health(store), **shown)


@project_pages.route("/dashboard/<int:project_id>/labels")
def labels_page(project_id: int) -> str:
    """Labels that look wrong, and who labelled how many."""
    project = _found(project_id)
    report = labels_report(context().store, project, truth=request.args.get("label"), guess=request.args.get("model"))
    return _page("labels", project, health(context().store), report=report)


@project_pages.route("/dashboard/<int:project_id>/settings")
def settings_page(project_id: int) -> str:
    """What people chose for this project, beside the backend's values."""
    project, settings = _found(project_id), context().settings
    entries = [
        {
            "name": name,
            "own": project.own_settings.get(name),
            "usual": getattr(settings, name),
            "description": Settings.model_fields[name].description,
            "choices": _choices(name),
        }
        for name in OF_PROJECT
    ]
    return _page("settings", project, health(context().store), entries=entries)


def act(project_id: int, action: str) -> AnyResponse:
    """Do what a form of our pages asks for, and show the page again with what came of it."""
    project = _found(project_id)
    fields = {name: value for name, value in request.form.items() if name not in OF_EVERY_FORM}
    try:
        csrf.require(request.form.get("token", ""))
        said = ACTIONS[action](context().store, context().settings, project, fields)
    except RefusedError as error:
        page = _page(request.form.get("page", "overview"), project, health(context().store), trouble=str(error))
        return Response(page, error.code, mimetype="text/html")
    project = (context().store.find(project.number) or [project])[0] if action == "start_over" else project
    page = request.form.get("page", "overview")
    where = f"project.{page if page in TABS else 'overview'}_page"
    return redirect(url_for(where, project_id=project.id, said=said), 303)


@project_pages.route("/dashboard/<int:project_id>/curve.<format>")
def curve(project_id: int, format: str = "svg") -> Response:
    """The learning curve as a picture."""
    project = _found(project_id)
    points = [vars(point) for point in context().store.measurements(project.id)]
    if format not in charts.FORMATS or not points:
        abort(404)
    settings, theme = effective(context().settings, project), request.args.get("theme", "light")
    metric = metric_title(project)
    image = charts.learning_curve(points, metric=metric, theme=theme, format=format, target=settings.target)
    return _picture(image, charts.FORMATS[format])


@project_pages.route("/dashboard/<int:project_id>/report.html")
def report(project_id: int) -> Response:
    """A page to keep or to send, complete in one file."""
    project, store = _found(project_id), context().store
    settings = effective(context().settings, project)
    points = [vars(point) for point in store.measurements(project.id)]
    curve = charts.learning_curve(points, metric=metric_title(project), target=settings.target) if points else b""
    page = render_template(
        "report.html",
        title=project.title or f"Project {project.number}",
        date=datetime.now().astimezone().strftime("%Y-%m-%d"),
        version=__version__,
        report=overview(store, settings, project, health(store)),
        curve="".join(curve.decode().partition("<svg")[1:]),
        annotators=labels_report(store, project, truth=None, guess=None)["annotators"],
    )
    response = Response(page, mimetype="text/html")
    response.headers["Content-Disposition"] = f'attachment; filename="project-{project.number}.html"'
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response


@project_pages.route("/dashboard/<int:project_id>/download/<name>")
def download_of(project_id: int, name: str) -> Response:
    """Labels or batches as a file."""
    project = _found(project_id)
    if name not in DOWNLOADS:
        abort(404)
    try:
        response = Response(download(context().store, project, name), mimetype="application/octet-stream")
    except PT4ALError as error:
        page = _page("overview", project, health(context().store), trouble=str(error))
        return Response(page, 409, mimetype="text/html")
    response.headers["Content-Disposition"] = f'attachment; filename="project-{project.number}-{name}"'
    return response


@project_pages.route("/dashboard/<int:project_id>/losses.svg")
def losses(project_id: int) -> Response:
    """The histogram of the pretext losses as a picture."""
    report = losses_report(context().store, _found(project_id))
    if report is None:
        abort(404)
    image = charts.histogram(report["losses"], borders=report["borders"], theme=request.args.get("theme", "light"))
    return _picture(image, charts.FORMATS["svg"])


@project_pages.route("/dashboard/<int:project_id>/thumbnails/<int:task>")
def thumbnail_of(project_id: int, task: int) -> Response:
    """A task's image, small."""
    project = _found(project_id)
    found = thumbnail(context().store, project, task) if task <= LARGEST_TASK else None
    if found is None:
        abort(404, f"There is no image of task {task} here.")
    image, tag = found
    response = Response(image, mimetype="image/webp")
    response.set_etag(tag)
    response.headers["Cache-Control"] = "private, max-age=300"
    response.make_conditional(request)
    return response


@project_pages.route("/api/projects/<int:project_id>")
def api_overview(project_id: int) -> Response:
    """The figures of the overview as JSON."""
    project = _found(project_id)
    return jsonify(overview(context().store, effective(context().settings, project), project, health(context().store)))


@project_pages.route("/api/projects/<int:project_id>/queue")
def api_queue(project_id: int) -> Response:
    """The next images and their reasons as JSON."""
    return jsonify(queue_report(context().store, _found(project_id)))


@project_pages.route("/api/projects/<int:project_id>/map")
def api_map(project_id: int) -> Response:
    """The map as columns of whole numbers; see `static/map.js`."""
    project = _found(project_id)
    link = f"{label_studio_address(context().settings, project)}?task={{task}}"
    thumbnail = f"/dashboard/{project.id}/thumbnails/{{task}}"
    report = map_report(context().store, project, link=link, thumbnail=thumbnail)
    if report is None:
        return refusal(404, "The map is not there yet: it is made when all images are embedded.")
    return Response(json.dumps(report, separators=(",", ":")), mimetype="application/json")


@project_pages.route("/api/projects/<int:project_id>/duplicates")
def api_duplicates(project_id: int) -> Response:
    """The groups of near-duplicates as JSON."""
    project, store = _found(project_id), context().store
    report = duplicates_report(store, effective(context().settings, project), project)
    return refusal(404, "Near-duplicates have not been sought yet.") if report is None else jsonify(report)


@project_pages.route("/api/projects/<int:project_id>/labels")
def api_labels(project_id: int) -> Response:
    """Labels that look wrong as JSON."""
    project = _found(project_id)
    return jsonify(
        labels_report(context().store, project, truth=request.args.get("label"), guess=request.args.get("model"))
    )


def api_act(project_id: int, action: str) -> Response:
    """The same actions for programs; the fields are those of the forms, as JSON."""
    project, expected = _found(project_id), BODIES[action]
    try:
        body = {} if expected is Nothing and not request.content_length else json_object()
        fields = expected.of(body, strict=True).model_dump(exclude_unset=True)
        done: Done = {"done": ACTIONS[action](context().store, context().settings, project, fields)}
    except RefusedError as error:
        return refusal(error.code, str(error))
    return jsonify(done)


for _name in ACTIONS:
    _chosen: dict[str, Any] = {"methods": ["POST"], "defaults": {"action": _name}}
    project_pages.add_url_rule(f"/dashboard/<int:project_id>/{_name}", "act", act, **_chosen)
    project_pages.add_url_rule(f"/api/projects/<int:project_id>/{_name}", "api_act", api_act, **_chosen)


def _picture(image: bytes, kind: str) -> Response:
    """An image whose address changes with what it shows, so that browsers may keep it."""
    response = Response(image, mimetype=kind)
    response.headers["Cache-Control"] = "private, max-age=3600"
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'"  # SVG has styles inside
    )
    return response


def label_studio_address(settings: Settings, project: Project) -> str:
    """The address of the project in Label Studio that a browser reaches: in Docker, that differs from ours."""
    ours = project.label_studio_url == settings.label_studio_url
    address = (settings.label_studio_link if ours else "") or without_userinfo(project.label_studio_url)
    return f"{address}/projects/{project.number}/data"


def label_stream(settings: Settings, project: Project) -> str:
    """The address at which Label Studio serves the project's tasks one after the other."""
    return f"{label_studio_address(settings, project)}?labeling=1"


def _found(project_id: int) -> Project:
    project = context().store.project(project_id) if project_id <= LARGEST_NUMBER else None
    if project is None:
        abort(404, f"There is no project {project_id} here: /api/status lists them.")
    return project


def _choices(name: str) -> list[str]:
    if name == "strategy":
        return ["auto", *strategies.names()]
    return ["true", "false"] if Settings.model_fields[name].annotation is bool else []


def _page(name: str, project: Project, now: Health, **shown: Any) -> str:
    """A page in the frame that all have in common."""
    if name not in TABS:
        name = "overview"
    if "trouble" in shown:
        return render_template("refused.html", **_frame(name, project, now), **shown)
    return render_template(f"{name}.html", **_frame(name, project, now), said=request.args.get("said", ""), **shown)


def _frame(name: str, project: Project, now: Health) -> dict[str, Any]:
    address = label_studio_address(context().settings, project)
    return {
        "project": project,
        "worker": now.worker,
        "disk_error": now.disk_error,
        "tabs": TABS,
        "tab": name,
        "token": csrf.token(),
        "label_studio": address,
        "downloads": {name: words for name, (_, _, words) in DOWNLOADS.items()},
        "label_stream": label_stream(context().settings, project),
    }
