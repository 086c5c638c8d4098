"""Tasks of older releases are counted by the new indices."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.old_databases import write_old

from pt4al_backend.store.store import Store


@pytest.mark.parametrize("name", ["last_0_1_0", "schema_4"])
def test_tasks_of_older_releases_are_counted(name: str, tmp_path: Path) -> None:
    write_old(name, tmp_path)
    with closing(Store(tmp_path)) as store:
        overviews = store.overviews(store.projects())
        assert (overviews[1].totals.tasks, overviews[1].totals.labelled) == (24, 4)
        for project_id, overview in overviews.items():
            assert overview.totals.tasks == len(store.task_ids(project_id))
            assert overview.totals.labelled == len(store.answers(project_id))
