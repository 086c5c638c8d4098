"""Names of projects, and which project is meant."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from support.filled_store import CREATED, add_project, settings_in

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.store import Store
from pt4al_backend.web import projects
from pt4al_backend.web.projects import ProjectName


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("12.1700000000", ProjectName(12, CREATED)),
        ("12@1700000000", ProjectName(12, CREATED)),
        ("12", ProjectName(12)),
        (12, ProjectName(12)),
    ],
)
def test_names(text: object, name: ProjectName) -> None:
    assert ProjectName.parse(text) == name
    assert ProjectName.parse(str(name)) == name
    assert "." not in str(name), "SDK 2.x cuts there"


def test_find(client: FlaskClient, store: Store) -> None:
    settings = settings_in(store.data_dir)
    elsewhere = add_project(store, url="http://elsewhere.example")
    nameless = add_project(store, 13, created="")

    def found(name: str) -> list[int]:
        return [project.id for project in projects.find(store, settings, ProjectName.parse(name))]

    assert found("12") == [elsewhere.id]
    ours, newer = add_project(store), add_project(store, created="1800000000")
    assert found(f"12.{CREATED}") == [ours.id], "LABEL_STUDIO_URL goes before other addresses"
    assert found("12") == [newer.id, ours.id]
    assert found("12.5") == []
    assert found("13.5") == [nameless.id]


@pytest.mark.parametrize(
    "hostname",
    ["ftp://ls", "ls:8080", "http://", "http://u:p@ls", "http://ls?x=1", "http://ls#x", "http://[ls", "javascript:x"],
)
def test_addresses_that_get_no_token(client: FlaskClient, store: Store, hostname: str) -> None:
    settings = settings_in(store.data_dir, label_studio_url="", label_studio_api_key="")
    with pytest.raises(PT4ALError, match="not an http"):
        projects.register(store, settings, ProjectName(1), label_config="", hostname=hostname, access_token="t")


def test_an_address_may_have_a_path(client: FlaskClient, store: Store) -> None:
    settings = settings_in(store.data_dir, label_studio_url="", label_studio_api_key="")
    project = projects.register(
        store, settings, ProjectName(1), label_config="", hostname="https://host/label-studio/", access_token="t"
    )
    assert project.label_studio_url == "https://host/label-studio"
