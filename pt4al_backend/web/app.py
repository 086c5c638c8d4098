"""The HTTP app: the routes of the SDK and our own."""

from __future__ import annotations

import json
from collections.abc import Callable

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from pt4al_backend.errors import StoreError
from pt4al_backend.settings import Settings, load_settings
from pt4al_backend.web import pages, project_pages, security
from pt4al_backend.web.context import open_context
from pt4al_backend.web.refusals import refusal
from pt4al_backend.web.sdk import create_sdk_app, load_sdk

_WENT_WRONG = "Something went wrong inside pt4al-backend: see its log."


def create_app(load_model: Callable[[], type], settings: Settings | None = None) -> Flask:
    """Create the app that serves the store of `settings`.

    The SDK keeps one app per process: a second call returns the same one, which then serves the new settings.

    Args:
        load_model: Imports the model class, which needs the SDK; called after the SDK is loaded.
        settings: By default those of the environment.

    Raises:
        PT4ALError: The settings or the data directory cannot be used.
    """
    settings = settings or load_settings()
    security.check_settings(settings)
    open_context(settings)
    load_sdk(settings.data_dir)
    app = create_sdk_app(load_model())
    if "pt4al" not in app.extensions:
        app.extensions["pt4al"] = True
        _add_routes(app)
    return app


def _add_routes(app: Flask) -> None:
    from pt4al_backend.web import validation
    from pt4al_backend.web.setup import setup

    app.register_blueprint(pages.pages)
    app.register_blueprint(project_pages.project_pages)
    app.view_functions[_endpoint(app, "/setup")] = setup
    app.view_functions["metrics"] = pages.metrics_page
    app.view_functions.pop("get_version", None)
    app.add_url_rule("/versions", "get_version", pages.versions, methods=["GET", "POST"])
    # In front of the SDK's own hooks, which read the body: they must not read a refused one.
    app.before_request_funcs.setdefault(None, []).insert(0, validation.check)
    app.register_error_handler(StoreError, _store_trouble)
    app.register_error_handler(HTTPException, _for_its_reader)
    app.after_request(_finish)
    app.teardown_request(validation.leave)


def _endpoint(app: Flask, path: str) -> str:
    return next(rule.endpoint for rule in app.url_map.iter_rules() if rule.rule == path)


def _store_trouble(error: StoreError) -> Response:
    """503 with the error as a sentence: trying again later may help."""
    response = refusal(503, str(error))
    if request.path == "/dashboard":
        return Response(pages.trouble_page(str(error)), 503, mimetype="text/html")
    return response


def _for_its_reader(error: HTTPException) -> HTTPException | AnyResponse:
    """What Flask refuses itself, such as an unknown address: as a page for people, as JSON for programs."""
    if request.path.startswith("/dashboard"):
        return error
    response = error.get_response()
    response.data, response.content_type = json.dumps({"error": error.description}), "application/json"
    return response


def _finish(response: Response) -> Response:
    """Replace the tracebacks that the SDK sends for errors by a sentence; the log has the details."""
    if response.status_code == 500:
        response = _store_trouble(g.trouble) if "trouble" in g else refusal(500, _WENT_WRONG)
    response.direct_passthrough = False  # the SDK's hook, which runs next, reads every body, even files
    return security.add_headers(response)
