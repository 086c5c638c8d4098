"""`/setup`: a project is connected."""

from __future__ import annotations

from flask import Response, g, jsonify

from pt4al_backend.errors import PT4ALError, StoreError
from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.web import projects
from pt4al_backend.web.bodies import Setup
from pt4al_backend.web.context import context
from pt4al_backend.web.predictions import PREPARING
from pt4al_backend.web.refusals import refusal
from pt4al_backend.web.responses import Connected


def setup() -> Response:
    """Register the project, and return its published version and notes on the label config.

    Replaces the SDK's handler: 2.x does not pass the address and the token on. `validation` has checked the body.
    """
    body: Setup = g.setup_body
    try:
        notes = parse_config(body.label_config).ignored
        project = projects.register(
            context().store,
            context().settings,
            body.project,
            label_config=body.label_config,
            hostname=body.hostname,
            access_token=body.access_token,
        )
    except StoreError:
        raise  # for the app's handler
    except PT4ALError as error:
        return refusal(422, str(error))
    response: Connected = {"model_version": project.model_version or PREPARING}
    if notes:
        response["notes"] = list(notes)
    return jsonify(response)
