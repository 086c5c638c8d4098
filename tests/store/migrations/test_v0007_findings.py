"""Nothing was found out about the projects of older releases, and people chose nothing for them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.old_databases import write_old

from pt4al_backend.store.store import Store


@pytest.mark.parametrize("name", ["last_0_1_0", "schema_4"])
def test_projects_of_older_releases_are_as_they_were(name: str, tmp_path: Path) -> None:
    write_old(name, tmp_path)
    with closing(Store(tmp_path)) as store:
        for project in store.projects():
            assert (project.own_settings, project.paused) == ({}, False)
            assert store.reasons(project.id) == [] and store.measurements(project.id) == []
            assert not store.pool(project).held_out.any()
            assert not any(store.judgements(project.id).values())
