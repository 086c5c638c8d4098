from __future__ import annotations

import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from pt4al_backend.demo import servers
from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes import supervisor
from pt4al_backend.settings import Settings, load_settings
from pt4al_backend.store.store import Store

HERE = "127.0.0.1"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    for name in ("PORT", "PT4AL_PORT"):
        monkeypatch.delenv(name, raising=False)
    return load_settings(data_dir=tmp_path)


def test_a_port_that_was_asked_for_is_used_or_rejected(settings: Settings) -> None:
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PT4ALError, match=f"Port {port} on {HERE} is in use"):
            servers.choose_ports(settings, host=HERE, label_studio=port)
        with pytest.raises(PT4ALError, match=f"Port {port} on {HERE} is in use"):
            servers.choose_ports(load_settings(port=port), host=HERE, label_studio=None)
    assert servers.choose_ports(load_settings(port=port), host=HERE, label_studio=None).backend == port
    with pytest.raises(PT4ALError, match="cannot both have port"):
        servers.choose_ports(load_settings(port=port), host=HERE, label_studio=port)


def test_a_default_port_in_use_gives_way_to_the_next_free_one(settings: Settings) -> None:
    first = servers.choose_ports(settings, host=HERE, label_studio=None)
    with socket.create_server((HERE, first.label_studio)), socket.create_server((HERE, first.backend)):
        second = servers.choose_ports(settings, host=HERE, label_studio=None)
    assert second.label_studio > first.label_studio
    assert second.backend > first.backend


def test_the_demo_touches_no_state_but_its_own(tmp_path: Path) -> None:
    mine = load_settings(data_dir=tmp_path, database_url="postgresql://production/db", label_studio_url="http://mine")
    ports = servers.Ports(label_studio=8085, backend=9095)
    own = servers.demo_settings(mine, tmp_path / "demo", host=HERE, ports=ports, token="t")
    assert own.data_dir == tmp_path / "demo" / "backend"
    assert own.database_url == ""
    assert own.label_studio_url == "http://localhost:8085"
    assert own.port == 9095
    assert own.query_size == 20
    assert own.image_size == 0


def test_digits_are_small_in_training_unless_a_size_is_set(tmp_path: Path) -> None:
    ports = servers.Ports(label_studio=8085, backend=9095)
    for mine, size in ((load_settings(data_dir=tmp_path), 32), (load_settings(data_dir=tmp_path, image_size=64), 64)):
        own = servers.demo_settings(mine, tmp_path, host=HERE, ports=ports, token="t", image_size=32)
        assert own.image_size == size


def test_state_of_a_newer_version_is_deleted(tmp_path: Path) -> None:
    mine = load_settings(data_dir=tmp_path / "backend")
    Store(mine.data_dir).close()
    kept = mine.data_dir / "kept"
    kept.touch()
    servers.delete_unusable_state(mine)
    assert kept.exists()
    with closing(sqlite3.connect(mine.data_dir / "pt4al.db")) as database:
        database.executescript("UPDATE alembic_version SET version_num = '9999'")
    servers.delete_unusable_state(mine)
    assert not kept.exists()
    supervisor.require_usable_store(mine)


def test_the_token_is_kept_and_private(tmp_path: Path) -> None:
    token = servers.user_token(tmp_path)
    assert len(token) == 40
    assert servers.user_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
