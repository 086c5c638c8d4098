"""The checks of one project, against a real Label Studio and against one that refuses."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image
from support.odd_servers import Asked, Reply, answering
from support.studio import LEGACY_TOKEN, Studio, choices_config

from pt4al_backend.errors import PT4ALError
from pt4al_backend.label_studio.check_project import Finding, probe_project, tried
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.settings import Settings

CONFIG = choices_config("cat", "dog")
BACKEND = "http://127.0.0.1:9090"


def found(url: str, token: str, project: int, **settings: str) -> dict[str, Finding]:
    """The findings by what they are about."""
    with closing(LabelStudioClient(url, token)) as client:
        findings = list(probe_project(client, project, Settings(**settings), own_url=BACKEND))
    assert all(finding.name.startswith(f"project {project}") for finding in findings)
    return {finding.name.partition(": ")[2]: finding for finding in findings}


def test_a_project_that_works_but_for_its_images(label_studio: Studio, tmp_path: Path) -> None:
    number = label_studio.create_project("checked", CONFIG)
    studio = (label_studio.url, label_studio.token)
    findings = found(*studio, number)
    assert {name: finding.ok for name, finding in findings.items()} == {
        "rights": True,
        "backend": None,
        "webhooks": True,
        "label config": True,
        "images": None,
    }
    assert label_studio.api("GET", f"/api/ml?project={number}") == []
    assert label_studio.api("GET", f"/api/storages/s3?project={number}") == []
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG no")
    label_studio.upload_files(number, [tmp_path / "good.png"])
    assert found(*studio, number)["images"].ok is True
    label_studio.upload_files(number, [tmp_path / "bad.png"])
    images = found(*studio, number)["images"]
    assert images.ok is False and images.message.startswith("Task ")
    label_studio.api("PATCH", f"/api/projects/{number}", json={"label_config": "<View></View>"})
    config = found(*studio, number)["label config"]
    assert config.ok is False and "Image" in config.message
    gone = found(*studio, 999999)[""]
    assert gone.ok is False and "404" in gone.message


def test_webhooks_that_carry_no_password(label_studio: Studio) -> None:
    number = label_studio.create_project("guarded", CONFIG)
    with answering(lambda asked: Reply.json({"status": "UP", "model_version": "pt4al-1"})) as backend:
        label_studio.connect_backend(number, backend.url, user="me", password="s3cret")
        studio = (label_studio.url, label_studio.token)
        login = {"basic_auth_user": "me", "basic_auth_pass": "s3cret"}
        assert found(*studio, number)["webhooks"].ok is True
        refused = found(*studio, number, **login)["webhooks"]
        assert refused.ok is False and "without the password" in refused.message
        (webhook,) = label_studio.api("GET", f"/api/webhooks?project={number}")
        headers = {"Authorization": "Basic bWU6czNjcmV0"}
        label_studio.api("PATCH", f"/api/webhooks/{webhook['id']}/", json={"headers": headers})
        assert found(*studio, number, **login)["webhooks"].ok is True


def test_a_token_without_rights() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.method == "GET" and "/api/projects/" in asked.path:
            return Reply.json({"id": 7, "title": "x", "label_config": CONFIG})
        return Reply.json({"detail": "You do not have permission to perform this action."}, 403)

    with answering(answer) as server:
        findings = found(server.url, LEGACY_TOKEN, 7)
    assert findings["rights"].ok is False
    assert "a user who may change the project" in findings["rights"].message
    assert findings["label config"].message == "PT4AL learns choice (single, 2 classes)."


def test_a_finding_is_the_message_of_an_attempt() -> None:
    assert tried("port", lambda: "It is free.") == Finding("port", True, "It is free.")

    def fail() -> str:
        raise PT4ALError("It is in use. Choose another.")

    assert tried("port", fail) == Finding("port", False, "It is in use. Choose another.")
    with pytest.raises(ZeroDivisionError):
        tried("port", lambda: str(1 // 0))
