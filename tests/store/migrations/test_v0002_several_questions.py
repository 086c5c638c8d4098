"""Several questions per project: projects are kept, everything else is synced and learned again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.known_labels import KnownLabels
from support.old_databases import connected, tables_of, write_old

from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.settings import Settings
from pt4al_backend.store.migrate import run_scripts
from pt4al_backend.store.store import Store


def test_the_tables_are_those_that_its_builds_made(tmp_path: Path) -> None:
    file = write_old("release_0_1_0", tmp_path)
    with connected(file) as connection:
        run_scripts(connection, "0001", until="0002")
    migrated = tables_of(file)
    del migrated["alembic_version"]
    assert migrated == tables_of(write_old("schema_2", tmp_path / "old"))


@pytest.fixture
def migrated(tmp_path: Path) -> Workspace:
    """The project of 0.1.0, with files where it had them, and its platform."""
    write_old("release_0_1_0", tmp_path)
    for name in ("models/1/pretext-1.safetensors", "models/1/features-pretext-1.bin", "pixels/1/32px-00000.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("of an older release")
    settings = Settings(
        data_dir=tmp_path, cycles=4, query_size=6, slack=5, pretext_epochs=1, device="cpu", diversity="off"
    )
    platform = KnownLabels(24)
    with closing(Store(tmp_path)) as store:
        yield Workspace(1, store, platform, settings, "cpu")


def test_the_project_goes_on_with_what_it_published(migrated: Workspace) -> None:
    project, platform = migrated.project(), migrated.platform
    platform.model_version = version = project.model_version
    platform.versions = [version]
    for task in (1, 2, 3, 4):
        platform.label(task)
    loop = ProjectLoop(migrated)
    for _ in range(200):
        loop.sync()
        loop.update_queue()
        if not loop.work(0.5):
            break
    project = migrated.project()
    assert (project.stage, project.error, project.pretext_generation) == ("ready", "", 1)
    assert migrated.store.totals(1).labelled == 4
    assert project.model_version == platform.published[-1].version != version
    assert version in [entry["version"] for entry in project.retired]  # somebody may have its images open
    files = [path for path in migrated.store.data_dir.glob("*/1/*") if path.is_file()]
    assert len(files) == 3
    assert not any(path.read_bytes().startswith(b"of an older release") for path in files)
