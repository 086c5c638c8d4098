"""`pt4al-backend check`: what it finds on this machine, and in Label Studios of both kinds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.odd_servers import Reply, answering
from support.processes import free_port
from support.studio import Studio, choices_config

from pt4al_backend.label_studio.check_project import Finding
from pt4al_backend.reports import check
from pt4al_backend.reports.check import FIND_DEVICE, run_checks
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

pytestmark = pytest.mark.xdist_group("strict_studio")
CONFIG = choices_config("cat", "dog")


@pytest.fixture(scope="module")
def strict_studio(start_studio: Callable[..., AbstractContextManager[Studio]]) -> Iterator[Studio]:
    """A Label Studio as it is installed: no legacy tokens, nothing sent to private addresses."""
    blocks = {"ML_BLOCK_LOCAL_IP": "true", "SSRF_PROTECTION_ENABLED": "true"}
    with start_studio(legacy_tokens=False, **blocks) as studio:
        yield studio


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting torch takes seconds; one test below does."""
    monkeypatch.setattr(check, "FIND_DEVICE", "print('a CPU')")


def settings_for(studio: Studio | None, tmp_path: Path, **more: Any) -> Settings:
    given = {"data_dir": tmp_path / "data", "host": "127.0.0.1", "port": free_port(), "label_studio_url": ""}
    if studio is not None:
        given |= {"label_studio_url": studio.url, "label_studio_api_key": studio.token}
    return Settings(**{"label_studio_api_key": "", **given, **more})


def found(settings: Settings, project: int | None = None) -> dict[str, Finding]:
    findings = list(run_checks(settings, project=project))
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name.partition(" http")[0]: finding for finding in findings}


def test_an_empty_machine(tmp_path: Path) -> None:
    settings = settings_for(None, tmp_path)
    findings = found(settings)
    assert {name: finding.ok for name, finding in findings.items()} == {
        "data directory": True,
        "worker": None,
        f"port {settings.port}": True,
        "encoder": True,
        "device": True,
        "Label Studio": None,
    }
    homeless = found(settings_for(None, tmp_path, label_studio_api_key="key"))["token"]
    assert homeless.ok is False and "set both" in homeless.message


@pytest.mark.parametrize(
    ("encoder", "ok", "says"),
    [
        ("auto", True, "efficientnet_lite0. Its weights are under Apache-2.0. Trained on ImageNet"),
        ("rotation", True, "trained on the project's own images"),
        ("convnextv2_tiny.fcmae", None, "which forbids commercial use"),
        ("my.safetensors", None, "is not known here"),
    ],
)
def test_the_licence_of_the_encoder_is_said(tmp_path: Path, encoder: str, ok: bool | None, says: str) -> None:
    finding = found(settings_for(None, tmp_path, encoder=encoder))["encoder"]
    assert finding.ok is ok and says in finding.message


def test_data_directory_and_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(check, "FIND_DEVICE", FIND_DEVICE)
    monkeypatch.setattr(check, "LEAST", 60.0)  # for torch to start on a busy machine
    findings = found(settings_for(None, tmp_path, data_dir=tmp_path / "file", device="cuda:99"))
    assert findings["data directory"].ok is False and "PT4AL_DATA_DIR" in findings["data directory"].message
    assert findings["device"].ok is False and "PT4AL_DEVICE" in findings["device"].message
    assert "worker" not in findings


def test_the_port_and_who_has_it(tmp_path: Path) -> None:
    alive: list[bool] = []
    with answering(lambda asked: Reply.json({"projects": [], "worker": {"alive": bool(alive)}})) as ours:
        settings = settings_for(None, tmp_path, port=int(ours.url.rpartition(":")[2]))
        findings = found(settings)
        assert findings[f"port {settings.port}"].ok is True
        assert findings["data directory"].ok is None and "--data-dir" in findings["data directory"].message
        assert "worker" not in findings and not settings.data_dir.exists()
        store = Store(settings.data_dir)
        assert "start it" in found(settings)["worker"].message
        alive.append(True)
        assert found(settings)["worker"].ok is False and "keeps its data elsewhere" in found(settings)["worker"].message
        store.beat(device="cpu", busy_with="")
        store.close()
        assert found(settings)["worker"].ok is True
    guarded = Reply(401, headers={"WWW-Authenticate": 'Basic realm="pt4al-backend"'})
    for reply, ok in ((guarded, True), (Reply(200, b"<html>"), False), (Reply.json({}), False), (Reply(0), False)):
        with answering(lambda asked, reply=reply: reply) as server:
            settings = settings_for(None, tmp_path, port=int(server.url.rpartition(":")[2]))
            assert found(settings)[f"port {settings.port}"].ok is ok
            if reply is guarded:
                old = Settings(**settings.model_dump() | {"data_dir": tmp_path / "old"})
                Store(old.data_dir).close()
                assert found(old)["worker"].ok is None
    nowhere = settings_for(None, tmp_path, host="192.0.2.1")
    assert "PT4AL_HOST" in found(nowhere)[f"port {nowhere.port}"].message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"label_studio_api_key": ""}, "no token"),
        ({"label_studio_api_key": "0" * 40}, "does not know the token"),
        ({"label_studio_url": "http://127.0.0.1:1"}, "is it running"),
    ],
)
def test_wrong_address_or_token(label_studio: Studio, tmp_path: Path, change: dict[str, str], says: str) -> None:
    finding = found(settings_for(label_studio, tmp_path, **change))["Label Studio"]
    assert finding.ok is False and says in finding.message


@pytest.mark.alone
@pytest.mark.parametrize("busy_with", ["", "project 1: training the pretext task"])
def test_a_label_studio_that_does_not_answer_does_not_delay_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy_with: str
) -> None:
    """Beside a worker that trains, everything takes longer, and so may the checks."""
    monkeypatch.setattr(check, "WHILE_BUSY", 3.0)
    more, over = check.WHILE_BUSY if busy_with else 0.0, threading.Event()

    def never(_asked: Any) -> Reply:
        over.wait(30)
        return Reply(0)

    with answering(never) as server:
        settings = settings_for(None, tmp_path, label_studio_url=server.url, label_studio_api_key="key")
        with closing(Store(settings.data_dir)) as store:
            store.beat(device="cpu", busy_with=busy_with)
        began = time.monotonic()
        finding = found(settings)["Label Studio"]
        seconds = time.monotonic() - began
        over.set()
    assert finding.ok is None and "too long" in finding.message
    assert check.LEAST + more <= seconds < check.SECONDS + more + 1


def test_another_server_at_the_address(tmp_path: Path) -> None:
    with answering(lambda asked: Reply.json({"hello": "world"})) as server:
        finding = found(settings_for(None, tmp_path, label_studio_url=server.url, label_studio_api_key="key"))
        assert finding["Label Studio"].ok is False and "is not a Label Studio" in finding["Label Studio"].message


def test_projects_that_were_connected(label_studio: Studio, tmp_path: Path) -> None:
    """With the token of their own Label Studio, and its view of the connection."""
    number = label_studio.create_project("connected", CONFIG)
    created = datetime.fromisoformat(label_studio.project(number)["created_at"].replace("Z", "+00:00"))
    with answering(lambda asked: Reply.json({"status": "UP", "model_version": "pt4al-1"})) as backend:
        label_studio.connect_backend(number, backend.url)
        settings = settings_for(None, tmp_path)
        store = Store(settings.data_dir)
        store.connect(
            url=label_studio.url,
            number=number,
            created=str(int(created.timestamp())),
            access_token=label_studio.token,
            label_config=CONFIG,
        )
        store.close()
        findings = found(settings)
        assert findings[f"project {number}: backend"].ok is True
        assert backend.url in findings[f"project {number}: webhooks"].message
    lost = found(settings)[f"project {number}: backend"]
    assert lost.ok is False and "no answer" in lost.message


def test_a_label_studio_as_installed(strict_studio: Studio, tmp_path: Path) -> None:
    number = strict_studio.create_project("strict", CONFIG)
    legacy = found(settings_for(strict_studio, tmp_path), number)
    assert legacy["Label Studio"].ok is False and "personal access token" in legacy["Label Studio"].message
    personal = strict_studio.personal_access_token()
    settings = settings_for(strict_studio, tmp_path, label_studio_api_key=personal)
    findings = found(settings, number)
    assert findings["Label Studio"].ok is True
    backend, webhooks = findings[f"project {number}: backend"], findings[f"project {number}: webhooks"]
    assert backend.ok is False and "ML_BLOCK_LOCAL_IP=false" in backend.message
    assert webhooks.ok is False and "SSRF_PROTECTION_ENABLED=false" in webhooks.message
    assert findings[f"project {number}: rights"].ok is True
    strict_studio.api("POST", "/api/token/blacklist/", json={"refresh": personal})
    revoked = found(settings, number)["Label Studio"]
    assert revoked.ok is False and "was revoked" in revoked.message
