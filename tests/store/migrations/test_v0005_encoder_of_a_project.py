"""Projects of older releases use their own networks."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.old_databases import tables_of, write_old

from pt4al_backend.store.store import Store


@pytest.mark.parametrize("name", ["last_0_1_0", "before_migrations", "schema_4"])
def test_the_migration_keeps_a_project_with_its_own_networks(name: str, tmp_path: Path) -> None:
    file = write_old(name, tmp_path)
    before = tables_of(file)["project"]
    with closing(Store(tmp_path)) as store:
        digits, connected_only = store.projects()
        for project in (digits, connected_only):
            assert (project.encoder, project.input_size, project.encoder_note) == ("", 0, "")
        assert digits.pretext_generation == 1
        assert (digits.ranked_pool, connected_only.ranked_pool) == (24, 0)
        assert store.totals(digits.id).labelled == 4
    after = tables_of(file)["project"]
    assert {name: after[name] for name in before} == before


def test_images_of_a_release_without_several_questions_are_fetched_again(tmp_path: Path) -> None:
    write_old("release_0_1_0", tmp_path)
    with closing(Store(tmp_path)) as store:
        assert [project.ranked_pool for project in store.projects()] == [0, 0]
