"""Pages of other sites, names that lead here, and what Label Studio itself sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Request
from support.filled_store import CONFIG, settings_in
from support.odd_servers import Asked, Reply, answering
from support.processes import wait_until
from support.served import Backend
from support.strangers import ask
from support.studio import Studio, choices_config
from werkzeug.test import EnvironBuilder

from pt4al_backend.web import header_checks

SETUP = {"project": "1.1700000000", "schema": CONFIG, "hostname": "http://evil.example", "access_token": "t"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/plain; charset=application/json"}, 415),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
    ],
)
def test_a_page_of_another_site_connects_no_project(web: Backend, headers: dict[str, str], code: int) -> None:
    assert ask(web, "POST", "/setup", SETUP, **headers)[0] == code
    assert web.status()["projects"] == []


def test_every_path_asks_for_the_name(web: Backend) -> None:
    for path in ("/health", "/dashboard", "/api/status", "/metrics", "/versions", "/nothing"):
        code, reason, _ = ask(web, "GET", path, Host="evil.example:9090")
        assert (code, "PT4AL_ALLOWED_HOSTS" in reason) == (403, True)
        assert ask(web, "GET", path, Host="pt4al")[0] in (200, 404)


def test_a_proxy_that_tells_of_a_stranger(web: Backend) -> None:
    code, reason, _ = ask(web, "GET", "/health", **{"X-Forwarded-For": "203.0.113.7"})
    assert code == 403
    assert "BASIC_AUTH_USER" in reason


def test_what_label_studio_itself_sends_is_answered(label_studio: Studio, tmp_path: Path) -> None:
    """It says that bodies are JSON, and nothing of origins or sites."""

    def answer(asked: Asked) -> Reply:
        return Reply.json({"status": "UP", "model_version": "v1", "results": [{"result": [], "score": 0.5}]})

    project = label_studio.create_project("What is sent", choices_config("cat", "dog"))
    [task] = label_studio.import_images(project, ["https://images.example/1.png"])
    with answering(answer) as backend:
        label_studio.start_training(label_studio.connect_backend(project, backend.url))
        chosen = {"selectedItems": {"all": True, "excluded": []}}
        label_studio.api(
            "POST",
            f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}",
            json={**chosen, "project": project},
        )
        label_studio.annotate(task, "cat")
        posts = ("/setup", "/predict", "/webhook")
        wait_until(
            "Label Studio to send them all",
            lambda: {"/health", *posts} <= {asked.path for asked in backend.asked},
            seconds=30,
        )
    for asked in backend.asked:
        if asked.path in posts:
            assert asked.headers["content-type"] == "application/json"
        assert not {"origin", "sec-fetch-site"} & set(asked.headers)
        headers = {name: value for name, value in asked.headers.items() if name != "content-length"}
        environ = EnvironBuilder(asked.path, method=asked.method, headers=headers, data=asked.body).get_environ()
        assert header_checks.refused(Request(environ | {"REMOTE_ADDR": "127.0.0.1"}), settings_in(tmp_path)) is None
