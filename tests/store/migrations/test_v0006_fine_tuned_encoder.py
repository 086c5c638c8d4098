"""No project of an older release has a fine-tuned encoder."""

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
            assert (project.tuned_generation, project.tuned_trials, project.tuned_labels) == (0, 0, 0)
            assert (project.tuned_accuracy, project.probe_accuracy) == (None, None)
