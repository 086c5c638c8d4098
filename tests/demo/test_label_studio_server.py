from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.processes import free_port, wait_until

from pt4al_backend.demo import label_studio_server
from pt4al_backend.demo.label_studio_server import COMPLETE, USER, LabelStudio
from pt4al_backend.errors import PT4ALError

pytestmark = pytest.mark.xdist_group("the demo's Label Studio")


def launched(directory: Path, monkeypatch: pytest.MonkeyPatch) -> LabelStudio:
    """A program in Label Studio's place that prints its arguments and its environment, after it has ended."""
    program = directory / "label-studio-program"
    program.write_text('#!/bin/sh\necho "$@"\nenv\n')
    program.chmod(0o700)
    monkeypatch.setenv("PT4AL_LABEL_STUDIO", str(program))
    server = label_studio_server.launch(
        directory, host="127.0.0.1", port=8081, document_root=directory / "images", token="s3cret"
    )
    wait_until("the program to end", lambda: server.child.exit_code() is not None, seconds=30)
    return server


def test_the_program_is_chosen_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PT4AL_LABEL_STUDIO", sys.executable)
    assert label_studio_server.find_executable() == sys.executable


def test_a_missing_program_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PT4AL_LABEL_STUDIO", "/nowhere/label-studio")
    with pytest.raises(PT4ALError, match="PT4AL_LABEL_STUDIO is /nowhere/label-studio"):
        label_studio_server.find_executable()


def test_it_gets_its_settings_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABEL_STUDIO_HOST", "DJANGO_DB", "PT4AL_SEED", "PORT", "DATABASE_NAME"):
        monkeypatch.setenv(name, "of-somebody-else")
    monkeypatch.setenv("NO_PROXY", "intranet")
    server = launched(tmp_path, monkeypatch)
    arguments, *variables = server.log.read_text().splitlines()
    assert arguments.startswith(f"start --no-browser --data-dir {server.data} ")
    assert "--port 8081" in arguments and "s3cret" not in arguments
    assert not [line for line in variables if line.endswith("of-somebody-else")]
    assert "LABEL_STUDIO_USER_TOKEN=s3cret" in variables
    assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={tmp_path / 'images'}" in variables
    assert "NO_PROXY=intranet,localhost,127.0.0.1" in variables
    assert server.url == "http://localhost:8081"


def test_only_state_of_a_complete_first_start_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "label-studio" / "label_studio.sqlite3"
    database.parent.mkdir()
    for complete in (True, False):
        database.touch()
        marker = database.with_name(COMPLETE)
        marker.touch() if complete else marker.unlink()
        launched(tmp_path, monkeypatch)
        assert database.exists() == complete


def test_a_running_server_knows_its_user(demo_label_studio: LabelStudio) -> None:
    marker = demo_label_studio.data / COMPLETE
    marker.unlink()
    label_studio_server.wait_until_up(demo_label_studio, lambda: None)
    assert marker.exists()
    with label_studio_server.client(demo_label_studio) as api:
        assert api.get("/api/current-user/whoami").json()["email"] == USER


def test_a_server_of_another_user_is_reported(demo_label_studio: LabelStudio) -> None:
    with pytest.raises(PT4ALError, match=r"does not know its user \(401\)"):
        label_studio_server.wait_until_up(replace(demo_label_studio, token="b" * 40), lambda: None)


def test_waiting_ends_with_the_time_or_an_error(
    demo_label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(demo_label_studio, url=f"http://127.0.0.1:{free_port()}")

    def ended() -> None:
        raise PT4ALError("Label Studio has ended.")

    with pytest.raises(PT4ALError, match="has ended"):
        label_studio_server.wait_until_up(absent, ended)
    monkeypatch.setattr(label_studio_server, "FIRST_START", 0.0)
    with pytest.raises(PT4ALError, match="did not start within 0 s: see its log"):
        label_studio_server.wait_until_up(absent, lambda: None)
