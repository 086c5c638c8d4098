"""A proxy that asks for a password, in front of a real Label Studio; nginx itself where it is installed."""

from __future__ import annotations

import base64
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests
from support.odd_servers import Asked, Reply, answering, below
from support.processes import free_port, running, wait_ready
from support.studio import Studio, choices_config

from pt4al_backend.errors import LabelStudioError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.project import LabelStudioProject
from pt4al_backend.settings import Settings
from pt4al_backend.store.tables import Project

USER, PASSWORD, ENCODED = "team", "p@ss:w/rd", "p%40ss:w%2Frd"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CONFIG = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; scgi_temp_path {folder}/scgi; uwsgi_temp_path {folder}/uwsgi;
  server {{
    listen 127.0.0.1:{port};
    auth_basic "Label Studio"; auth_basic_user_file {folder}/users;
    location / {{ proxy_pass {studio}; }}
  }}
}}"""


@pytest.fixture(params=["ours", pytest.param("nginx", marks=pytest.mark.skipif(not NGINX, reason="needs nginx"))])
def proxy(request: pytest.FixtureRequest, label_studio: Studio, tmp_path: Path) -> Iterator[str]:
    """Address of a proxy that asks for a password."""
    with ExitStack() as stack:
        if request.param == "ours":
            yield stack.enter_context(answering(_asking_for_password(label_studio.url))).url
            return
        port = free_port()
        digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
        (tmp_path / "users").write_text(f"{USER}:{{SHA}}{digest}\n")
        config = tmp_path / "nginx.conf"
        config.write_text(CONFIG.format(folder=tmp_path, port=port, studio=label_studio.url))
        command = [str(NGINX), "-e", str(tmp_path / "errors"), "-c", str(config)]
        log, url = tmp_path / "log", f"http://127.0.0.1:{port}"
        process = stack.enter_context(running(command, environment={}, log=log, cwd=tmp_path))
        wait_ready(process, lambda: _answers(url), log=log, seconds=30)
        yield url


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code == 401
    except requests.RequestException:
        return False


def _asking_for_password(studio: str) -> Callable[[Asked], Reply]:
    forward, wanted = below("", studio), base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def answer(asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Basic {wanted}":
            return Reply(401, b"<html>401</html>", {"WWW-Authenticate": 'Basic realm="x"', "Content-Type": "text/html"})
        return forward(asked)

    return answer


def settings_for(proxy: str, token: str, login: str = "") -> Settings:
    url = proxy.replace("://", f"://{login}@") if login else proxy
    return Settings(label_studio_url=url, label_studio_api_key=token)


def client_of(settings: Settings) -> LabelStudioClient:
    return LabelStudioClient.of(settings.label_studio_url, "", settings)


def test_a_password_in_the_address_and_a_legacy_token_work(
    proxy: str, label_studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = settings_for(proxy, label_studio.token, f"{USER}:{ENCODED}")
    assert settings.label_studio_url == proxy
    number = label_studio.create_project("behind a proxy", choices_config("cat", "dog"))
    picture = tmp_path / "a.png"
    picture.write_bytes(b"not really a picture")
    (task,) = label_studio.upload_files(number, [picture])
    row = Project(label_studio_url=settings.label_studio_url, number=number, created="", access_token="")
    with closing(LabelStudioProject.of(row, settings)) as project:
        assert project.project().tasks == 1
        ((states, _),) = project.tasks(None)
        assert project.image(task, states[0].image) == picture.read_bytes()
    assert all(secret not in caplog.text for secret in (PASSWORD, ENCODED, label_studio.token))
    assert PASSWORD not in repr(settings) and ENCODED not in repr(settings)


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ("", "asks to log in. Put a user name and password into LABEL_STUDIO_URL"),
        ("team:wrong", "rejects the user name or the password: fix"),
    ],
)
def test_the_proxy_is_named_where_it_refuses(proxy: str, label_studio: Studio, login: str, says: str) -> None:
    settings = settings_for(proxy, label_studio.token, login)
    row = Project(label_studio_url=settings.label_studio_url, number=1, created="", access_token="")
    with closing(LabelStudioProject.of(row, settings)) as project:
        for attempt in (project.project, lambda: project.image(1, "/data/upload/1/a.png")):
            with pytest.raises(LabelStudioError, match="proxy in front of Label Studio") as caught:
                attempt()
            assert says in str(caught.value) and "wrong" not in str(caught.value)


def test_a_personal_access_token_needs_a_proxy_that_asks_no_password_of_it(proxy: str, label_studio: Studio) -> None:
    personal = label_studio.sign_up(f"{proxy.rpartition(':')[2]}@example.com").personal_access_token()
    with pytest.raises(LabelStudioError, match="legacy token, or let the proxy ask for no password below /api/"):
        client_of(settings_for(proxy, personal, f"{USER}:{ENCODED}"))
