"""Sends the forms of the pages as a browser does."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from pt4al_backend.store.tables import Project
from pt4al_backend.web import csrf


def post(client: FlaskClient, project: Project, action: str, **fields: Any) -> Any:
    with client.application.app_context():
        token = csrf.token()
    return client.post(f"/dashboard/{project.id}/{action}", data={"token": token, **fields})
