"""C9: a token is in files that no other user reads, whatever the data directory was like."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import requests
from support.filled_store import CONFIG
from support.processes import wait_until
from support.served import Backend

from pt4al_backend.store.store import Store

TOKEN = "the-t0ken-of-setup"


def test_every_file_and_directory_is_for_this_user_only(start_backend: Callable[..., Backend], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    with closing(Store(data)):  # an older run, with the usual umask
        (data / "pt4al.db").chmod(0o644)
    (data / "pt4al.toml").write_text(f'# label_studio_api_key = "{TOKEN}"')
    (data / "pt4al.toml").chmod(0o644)
    backend = start_backend(None, data_dir=data)
    wait_until("the worker to live", lambda: backend.status()["worker"]["alive"], seconds=120)
    setup = {"project": "3.1700000000", "schema": CONFIG, "hostname": "http://127.0.0.1:1", "access_token": TOKEN}
    assert requests.post(f"{backend.url}/setup", json=setup, timeout=10).status_code == 200
    with closing(sqlite3.connect(data / "pt4al.db")) as database:
        assert database.execute("SELECT access_token FROM project").fetchall() == [(TOKEN,)]
    made = [path for path in data.rglob("*") if path.name != "pt4al.toml"]
    assert {"pt4al.db", "pt4al.db-wal", "worker.lock"} <= {path.name for path in made}
    assert [path for path in made if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []
    told = backend.log.read_text()
    assert told.count(f"Every user of this machine can read {data / 'pt4al.toml'}") == 1
    assert TOKEN not in told
