"""A Label Studio started as the demo starts it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from support.processes import free_port
from support.studio_database import PROGRAM

from pt4al_backend.demo import label_studio_server
from pt4al_backend.demo.images import ImageFolder, read_folder
from pt4al_backend.demo.label_studio_server import LabelStudio
from pt4al_backend.processes.child import stop_all


@pytest.fixture(scope="session")
def demo_label_studio(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[LabelStudio]:
    """Its database has its tables already, which saves most of a minute."""
    directory = tmp_path_factory.mktemp("demo")
    data = directory / "label-studio"
    data.mkdir()
    shutil.copyfile(empty_database, data / "label_studio.sqlite3")
    (data / label_studio_server.COMPLETE).touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PT4AL_LABEL_STUDIO", str(PROGRAM))
        server = label_studio_server.launch(
            directory, host="127.0.0.1", port=free_port(), document_root=directory / "images", token="a" * 40
        )
    try:
        label_studio_server.wait_until_up(server, lambda: None)
        yield server
    finally:
        stop_all([server.child])


@pytest.fixture
def api(demo_label_studio: LabelStudio) -> Iterator[httpx.Client]:
    with label_studio_server.client(demo_label_studio) as client:
        yield client


@pytest.fixture
def pets(demo_label_studio: LabelStudio, tmp_path: Path) -> ImageFolder:
    """Two cats and two dogs, where the server can read them."""
    root = tmp_path / "pets"
    for number, label in enumerate(("cat", "cat", "dog", "dog")):
        (root / label).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(root / label / f"{number}.png")
    return read_folder(root, demo_label_studio.data.parent / "images")
