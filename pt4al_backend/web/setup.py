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


def setup() -> Response:
    """Take the project in, and answer the published version and what of the label config is not learnt.

    In place of the SDK's, which is not told of address and token by 2.x. `validation` has judged the body.
    """
    asked: Setup = g.asked
    try:
        notes = parse_config(asked.label_config).ignored
        project = projects.register(
            context().store,
            context().settings,
            asked.project,
            label_config=asked.label_config,
            hostname=asked.hostname,
            access_token=asked.access_token,
        )
    except StoreError:
        raise  # for the app's handler
    except PT4ALError as error:
        return refusal(422, str(error))
    answer = {"model_version": project.model_version or PREPARING}
    return jsonify(answer | ({"notes": list(notes)} if notes else {}))
