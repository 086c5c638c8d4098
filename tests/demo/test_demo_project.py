from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from support.odd_servers import OddServer, Reply, answering
from support.processes import free_port

from pt4al_backend.demo import demo_project
from pt4al_backend.demo.demo_project import all_tasks, call, send
from pt4al_backend.demo.images import ImageFolder, LabelledImage
from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings

pytestmark = pytest.mark.xdist_group("the demo's Label Studio")


def test_a_project_is_found_by_its_images(api: httpx.Client, pets: ImageFolder) -> None:
    assert demo_project.find(api, pets) is None
    project = demo_project.create(api, replace(pets, title="pets " + "x" * 60))
    assert len(project.title) == 50
    call(api, "PATCH", f"/api/projects/{project.id}", json={"title": "renamed"})
    earlier = demo_project.find(api, pets)
    assert earlier == replace(project, title="renamed")
    assert earlier.truth[pets.url(pets.images[0])] == "cat"
    demo_project.delete(api, project)
    assert demo_project.find(api, pets) is None


def test_tasks_are_imported_once_and_can_be_read(api: httpx.Client, pets: ImageFolder) -> None:
    project = demo_project.create(api, pets)
    urls = [pets.url(image) for image in pets.images]
    assert demo_project.fill(api, project, urls, 2) == 2
    assert demo_project.fill(api, project, urls[::-1], 3) == 3
    assert demo_project.fill(api, project, urls, 1) == 3
    tasks = list(all_tasks(api, project))
    assert [task["data"]["image"] for task in tasks] == [urls[0], urls[1], urls[3]]
    assert [task["is_labeled"] for task in tasks] == [False] * 3
    assert send(api, "GET", urls[3]).content.startswith(b"\x89PNG")


def test_tasks_come_page_by_page(api: httpx.Client, pets: ImageFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    project = demo_project.create(api, pets)
    demo_project.fill(api, project, list(pets.truth), 4)
    monkeypatch.setattr(demo_project, "CHUNK", 3)
    assert len({task["id"] for task in all_tasks(api, project)}) == 4


def test_classes_that_the_label_config_lacks(api: httpx.Client, pets: ImageFolder) -> None:
    project = demo_project.create(api, pets)
    assert demo_project.classes_not_offered(api, project, pets) == []
    newt = LabelledImage(pets.root / "newt" / "1.png", "newt")
    more = replace(pets, classes=("cat", "dog", "newt"), images=(*pets.images, newt))
    assert demo_project.classes_not_offered(api, project, more) == ["newt"]


@pytest.fixture
def backends() -> Iterator[list[OddServer]]:
    """Two servers that accept what Label Studio sends to a backend."""
    ready = Reply.json({"status": "UP", "model_version": "pt4al-1"})
    with answering(lambda asked: ready) as first, answering(lambda asked: ready) as second:
        yield [first, second]


def test_the_newest_demo_is_the_only_one_connected(
    api: httpx.Client, pets: ImageFolder, backends: list[OddServer]
) -> None:
    project = demo_project.create(api, pets)
    others = "http://somebody.example/hook"
    for backend in backends:
        settings = Settings(basic_auth_user="me", basic_auth_pass="pa55" if backend is backends[1] else "old")
        demo_project.connect(api, project, backend.url, settings)
        call(api, "POST", "/api/webhooks/", json={"project": project.id, "url": f"{backend.url}/webhook"})
        call(api, "POST", "/api/webhooks/", json={"project": project.id, "url": others})
    (model,) = call(api, "GET", "/api/ml", params={"project": project.id})
    assert (model["url"], model["basic_auth_user"]) == (backends[1].url, "me")
    webhooks = [webhook["url"] for webhook in call(api, "GET", "/api/webhooks/", params={"project": project.id})]
    assert set(webhooks) == {f"{backends[1].url}/webhook", others}
    assert any(request.path == "/setup" for request in backends[1].asked)


def test_a_rejected_request_is_reported_with_the_reason(api: httpx.Client) -> None:
    missing = "/api/projects/999999"
    with pytest.raises(PT4ALError, match=rf"rejected GET {missing} \(404\): "):
        call(api, "GET", missing)
    assert send(api, "GET", missing, allow=(404,)).status_code == 404


def test_a_server_that_does_not_answer_is_reported() -> None:
    message = re.escape("Label Studio does not answer GET /api/projects (")
    absent = httpx.Client(base_url=f"http://127.0.0.1:{free_port()}", trust_env=False)
    with absent, pytest.raises(PT4ALError, match=message):
        call(absent, "GET", "/api/projects")
