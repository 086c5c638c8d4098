"""Commands use the settings of the running backend, but never a secret that is for another place."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.filled_store import add_ranked
from support.processes import wait_until
from support.served import NOT_INHERITED, serve

from pt4al_backend.demo import servers
from pt4al_backend.reports import check
from pt4al_backend.reports.check import run_checks
from pt4al_backend.reports.running_backend import DEMO, Presence, find_backend
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

URL, TOKEN = "http://label-studio.example", "t0p-s3cret-token"


def command(*arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell that has only these variables set."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return subprocess.run(
        [sys.executable, "-m", "pt4al_backend.cli", *map(str, arguments)],
        env=inherited | variables,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def settings_of(data_dir: Path, **more: Any) -> Settings:
    data_dir.mkdir(parents=True, exist_ok=True)
    return Settings(data_dir=data_dir, **{"label_studio_url": "", "label_studio_api_key": "", **more})


def test_the_record_is_private_and_holds_no_secret(tmp_path: Path) -> None:
    theirs = settings_of(
        tmp_path,
        label_studio_url=URL,
        label_studio_api_key=TOKEN,
        basic_auth_user="me",
        basic_auth_pass="pa55",
        database_url="postgresql+psycopg://me:pa55@host/name",
        imagenet_weights="https://me:pa55@host/weights",
        query_size=20,
    )
    (tmp_path / "web.running.json").touch(mode=0o644)
    presence = Presence(theirs, "web")
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "pa55" not in file.read_text() and TOKEN not in file.read_text()
    found = find_backend(settings_of(tmp_path, query_size=10))
    assert (found.alive, found.settings.query_size, found.settings.basic_auth_user) == (True, 20, "me")
    assert found.differences(settings_of(tmp_path, query_size=10, cycles=10)) == [
        "PT4AL_LABEL_STUDIO_URL",
        "PT4AL_QUERY_SIZE",
    ]
    presence.close()
    left = find_backend(settings_of(tmp_path))
    assert (left.alive, left.settings.query_size) == (False, 20)


def test_a_token_is_used_for_its_own_label_studio_only(tmp_path: Path) -> None:
    presence = Presence(settings_of(tmp_path, label_studio_url=URL, label_studio_api_key=TOKEN), "worker")
    for url, known in ((URL, "mine"), ("http://elsewhere.example", ""), ("", "")):
        found = find_backend(settings_of(tmp_path, label_studio_url=url, label_studio_api_key="mine"))
        assert found.settings.label_studio_api_key.get_secret_value() == known
        assert found.running is not None
        assert found.running.missing == (() if known else ("label_studio_api_key",))
    presence.close()


def test_check_does_not_miss_a_token_that_start_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard input, for example, where it cannot be read again; whether the backend runs or has ended."""
    monkeypatch.setattr(check, "FIND_DEVICE", "print('a CPU')")  # torch takes seconds
    presence = Presence(settings_of(tmp_path, label_studio_url=URL, label_studio_api_key=TOKEN), "web")
    for says in ("The backend has one", "it was given to `start`"):
        findings = {one.name: one for one in run_checks(settings_of(tmp_path), project=None)}
        token = findings["LABEL_STUDIO_API_KEY"]
        assert token.ok is None and says in token.message, token
        assert "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY here too" in token.message
        assert not any(name.startswith("Label Studio") for name in findings)
        presence.close()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1}', '{"pid": 1, "settings": [], "withheld": 5}'])
def test_records_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "web.running.json").write_text(text)
    own = settings_of(tmp_path)
    assert find_backend(own).settings == own
    Presence(settings_of(tmp_path, cycles=7), "worker").close()
    assert find_backend(own).settings.cycles == 7


def test_the_record_of_another_release(tmp_path: Path) -> None:
    Presence(settings_of(tmp_path, cycles=7), "web").close()
    file = tmp_path / "web.running.json"
    record = json.loads(file.read_text())
    record["settings"]["unheard_of"] = record["settings"].pop("slack")
    file.write_text(json.dumps(record))
    assert find_backend(settings_of(tmp_path)).settings.cycles == 7


def test_the_demo_is_found_if_there_is_nothing_else(tmp_path: Path) -> None:
    own = settings_of(tmp_path)
    ports = servers.Ports(label_studio=8081, backend=9091)
    demo = servers.demo_settings(own, tmp_path / "demo", host="127.0.0.1", ports=ports, token=TOKEN)
    assert demo.data_dir == tmp_path / DEMO
    demo.data_dir.mkdir(parents=True)
    presence = Presence(demo, "web")
    assert (find_backend(own).is_demo, find_backend(own).settings.port) == (True, 9091)
    mine = Presence(own, "web")
    assert not find_backend(own).is_demo
    mine.close()
    assert find_backend(own).is_demo, "it runs, and the other does not"
    presence.close()
    assert not find_backend(own).is_demo


def test_status_is_that_of_the_backend_not_of_the_shell(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    store = Store(data_dir)
    add_ranked(store)
    store.close()
    shell = {"PT4AL_QUERY_SIZE": "10", "PT4AL_DATA_DIR": str(data_dir), "PT4AL_PORT": "1"}
    login = {"basic_auth_user": "me", "basic_auth_pass": "pa55"}
    with serve(None, data_dir=data_dir, command="web", query_size=20, **login) as backend:
        asked = command("status", cwd=tmp_path, **shell)
        assert "query of 20" in asked.stdout, asked
        backend.process.kill()
        wait_until("it to be gone", lambda: not find_backend(settings_of(data_dir)).alive, seconds=10)
        assert "query of 20" in command("status", cwd=tmp_path, **shell).stdout


def test_check_uses_the_settings_of_the_backend(tmp_path: Path) -> None:
    """Including its token, which only that process has."""
    (tmp_path / "pt4al-data").mkdir()
    secrets = {"PT4AL_LABEL_STUDIO_URL": "http://127.0.0.1:1", "LABEL_STUDIO_API_KEY": TOKEN}
    with serve(None, data_dir=tmp_path / "pt4al-data" / "demo" / "backend", command="web", environment=secrets) as web:
        port = int(web.url.rpartition(":")[2])
        findings = {one.name: one for one in run_checks(settings_of(tmp_path / "pt4al-data"), project=None)}
    assert findings["demo"].ok is True
    assert findings[f"port {port}"].ok is True
    unreachable = findings["Label Studio http://127.0.0.1:1"]
    if sys.platform == "linux":
        assert unreachable.ok is False and "is it running" in unreachable.message
    assert "PT4AL_LABEL_STUDIO_URL" in findings["settings"].message, "the shell says there is none"


def test_export_and_reset_are_not_about_the_demo(tmp_path: Path) -> None:
    store = Store(tmp_path / "pt4al-data" / DEMO)
    add_ranked(store)
    Presence(settings_of(store.data_dir), "web").close()
    store.close()
    refused = command("reset", "--project", 12, "--yes", cwd=tmp_path)
    assert refused.returncode == 1 and f"--data-dir {store.data_dir}" in refused.stderr
    shown = command("status", cwd=tmp_path)
    assert shown.returncode == 0 and "12 untitled" in shown.stdout and "the demo" in shown.stderr
