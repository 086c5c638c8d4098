"""The files that a project's page offers."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from flask.testing import FlaskClient
from support.filled_pages import fill_pages
from support.filled_store import add_ranked

from pt4al_backend.store.store import Store
from pt4al_backend.web.downloads import DOWNLOADS


@pytest.mark.parametrize("name", DOWNLOADS)
def test_every_file_that_is_offered_can_be_had(client: FlaskClient, store: Store, name: str) -> None:
    project = fill_pages(store)
    page = client.get(f"/dashboard/{project.id}").get_data(as_text=True)
    assert f'href="/dashboard/{project.id}/download/{name}"' in page
    answer = client.get(f"/dashboard/{project.id}/download/{name}")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == f'attachment; filename="project-12-{name}"'
    if name.endswith(".json"):
        assert json.loads(answer.data)
    elif name.endswith(".zip"):
        assert zipfile.ZipFile(io.BytesIO(answer.data)).namelist() == ["cat.txt", "dog.txt"]
    else:
        assert answer.data.decode().startswith("task_id,")


def test_what_is_not_there_yet_is_said(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    answer = client.get(f"/dashboard/{project.id}/download/batches.csv")
    assert answer.status_code == 409 and "no batches yet" in answer.get_data(as_text=True)
    assert client.get(f"/dashboard/{project.id}/download/passwords.csv").status_code == 404
