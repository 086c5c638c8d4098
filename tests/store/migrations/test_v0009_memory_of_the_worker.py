"""Nobody knows how much memory a worker of an older release used."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.old_databases import write_old

from pt4al_backend.store.store import Store


@pytest.mark.parametrize("name", ["last_0_1_0", "schema_4"])
def test_it_is_unknown_until_a_worker_says_it(name: str, tmp_path: Path) -> None:
    write_old(name, tmp_path)
    with closing(Store(tmp_path)) as store:
        assert store.vitals().memory is None
        store.beat(device="cpu", busy_with="", memory=2**33)
        assert store.vitals().memory == 2**33
