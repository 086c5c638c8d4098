"""_wsgi.py as real servers and label-studio-ml use it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.filled_store import CONFIG
from support.processes import free_port, running, tail, wait_ready

import pt4al_backend
from pt4al_backend.web.header_checks import LARGEST_BODY

PACKAGE = Path(pt4al_backend.__file__).resolve().parent
TOKEN = "5ecret-t0ken"


@dataclass(frozen=True)
class Server:
    """A gunicorn that serves `_wsgi:app`, and where its log goes."""

    port: int
    log: Path

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str, str]:
        """Status code, reason phrase and text, as they come over the wire."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            usual = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
            connection.request(method, path, None if body is None else json.dumps(body), {**usual, **headers})
            answer = connection.getresponse()
            return answer.status, answer.reason, answer.read().decode()
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return self.ask("GET", "/health")[0] == 200
        except OSError:
            return False


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """This one without what somebody set for a backend of his own."""
    names = ("LABEL_STUDIO_", "BASIC_AUTH_", "PT4AL_", "MODEL_DIR", "PORT", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    if "PYTHONPATH" in os.environ:  # another label-studio-ml, where the tests run on one
        kept["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return {**kept, "PT4AL_DATA_DIR": str(data_dir), **more}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Started inside the package's own directory, as the SDK's documents do, logging all it can."""
    folder, port = tmp_path_factory.mktemp("wsgi"), free_port()
    found = Server(port, folder / "log")
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "4", "_wsgi:app"]
    # gunicorn keeps a control socket in the home directory
    variables = environment(folder / "data", PT4AL_LOG_LEVEL="DEBUG", HOME=str(folder))
    with running([*command, "--log-level", "debug"], environment=variables, log=found.log, cwd=PACKAGE) as process:
        wait_ready(process, found.answers, log=found.log, seconds=30)
        yield found


def test_reason_phrases_arrive(server: Server) -> None:
    setup = {"project": "1.2", "schema": "<View/>", "hostname": "http://ls", "access_token": TOKEN}
    code, reason, text = server.ask("POST", "/setup", setup)
    assert (code, reason) == (422, 'PT4AL needs an Image tag with value="$image": the label config has none.')
    assert json.loads(text) == {"error": reason}


def test_large_bodies_are_rejected_unread(server: Server) -> None:
    for path in ("/setup", "/predict", "/webhook"):
        code, reason, _ = server.ask("POST", path, **{"Content-Length": str(LARGEST_BODY + 1)})
        assert (code, reason) == (413, "The body is larger than 64 MB: send fewer tasks at a time.")


@pytest.mark.parametrize(
    "chunks", [b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"-1\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"]
)
def test_chunked_bodies_are_rejected_unread(server: Server, chunks: bytes) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(head + b"Connection: close\r\n\r\n" + chunks)
        assert client.recv(1000).startswith(b"HTTP/1.1 411 The length of the body is missing")


def test_strangers_are_rejected_here_too(server: Server) -> None:
    setup = {"project": "1.2", "schema": CONFIG, "hostname": "http://ls", "access_token": TOKEN}
    assert server.ask("POST", "/setup", setup, Origin="http://evil.example")[0] == 403
    assert server.ask("POST", "/setup", setup, Host="evil.example")[0] == 403
    assert server.ask("POST", "/setup", setup, **{"Content-Type": "text/plain"})[0] == 415
    assert server.ask("GET", "/health", **{"X-Forwarded-For": "203.0.113.7"})[0] == 403
    assert server.ask("POST", "/health", **{"Content-Length": str(2**20), "Content-Type": "application/json"})[0] == 413


def test_the_whole_way(server: Server) -> None:
    setup = {"project": "7.1700000000", "schema": CONFIG, "hostname": "http://ls", "access_token": TOKEN}
    assert server.ask("POST", "/setup", setup)[0] == 200
    code, _, text = server.ask("POST", "/predict", {"project": "7.1700000000", "tasks": [{"id": 1}, {"id": 2}]})
    assert (code, len(json.loads(text)["results"])) == (200, 2)
    code, _, text = server.ask("POST", "/webhook", {"action": "START_TRAINING", "project": {"id": 7}})
    assert (code, json.loads(text)["result"]["woken"]) == (201, 1)
    assert server.ask("GET", "/dashboard")[0] == 200
    assert server.ask("POST", "/predict", [])[:2] == (400, "The body is not a JSON object.")


def test_no_token_in_the_log_and_no_stray_files(server: Server) -> None:
    log = server.log.read_text()
    assert "DEBUG" in log or "debug" in log
    assert TOKEN not in log, tail(server.log)
    assert not (PACKAGE / "cache.db").exists()


def script(*arguments: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    """What `label-studio-ml start pt4al_backend` runs."""
    command = [sys.executable, PACKAGE / "_wsgi.py", *arguments]
    return subprocess.run(
        command, env=environment(data_dir), cwd=data_dir, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_script_explains_what_is_wrong(tmp_path: Path) -> None:
    unknown = script("-p", "9090", "--kwargs", "cycels=3", data_dir=tmp_path)
    assert unknown.returncode == 1
    assert unknown.stderr == "cycels is not a setting: did you mean cycles?\n"
    assert "--basic-auth-user" in script("--help", data_dir=tmp_path).stdout


def test_the_sdks_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PT4AL_DATA_DIR", str(tmp_path / "data"))
    umask = os.umask(0o022)
    from pt4al_backend import _wsgi
    from pt4al_backend.web.context import context

    os.umask(umask)  # it is a server's: what it makes is for its user only
    assert _wsgi.app.test_client().get("/health").status_code == 200
    context().store.close()
    given = ["-p", "9191", "--host", "127.0.0.1", "-d", "--check", "--model-dir", str(tmp_path / "here")]
    login = ["--basic-auth-user", "u", "--basic-auth-pass", "p"]
    settings = _wsgi._settings([*given, *login, "--kwargs", "cycles=3", "order=dealt"])
    assert (settings.port, settings.host, settings.log_level) == (9191, "127.0.0.1", "DEBUG")
    assert settings.data_dir == tmp_path / "here"
    assert (settings.basic_auth_user, settings.basic_auth_pass.get_secret_value()) == ("u", "p")
    assert (settings.cycles, settings.order) == (3, "round_robin")
    assert _wsgi._settings([]).data_dir == tmp_path / "data"
