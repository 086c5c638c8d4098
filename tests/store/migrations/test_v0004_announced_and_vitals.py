"""Tables that early builds of 0.2.0 have and 0.1.0 lacks."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.old_databases import tables_of, write_old

from pt4al_backend.store.store import Store


@pytest.mark.parametrize(("name", "has_them"), [("last_0_1_0", False), ("before_migrations", True)])
def test_the_migration_adds_them_and_keeps_everything_else(name: str, has_them: bool, tmp_path: Path) -> None:
    file = write_old(name, tmp_path)
    before = tables_of(file)
    assert ("vitals" in before, "announced" in before) == (has_them, has_them)
    with closing(Store(tmp_path)) as store:
        assert store.overviews(store.projects())[1].announced == (24 if has_them else 0)
        assert store.vitals().trouble == ""
        assert (store.totals(1).tasks, store.totals(1).labelled) == (24, 4)
        assert store.ranking(1) is not None
    after = tables_of(file)
    for table, columns in before.items():
        assert columns.items() <= after[table].items()  # later migrations add some
