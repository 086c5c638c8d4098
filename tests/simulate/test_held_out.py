"""Test images are decoded and embedded once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.colour_encoder import colour_encoders
from support.drawn_masks import read_all
from support.rig import Rig
from support.simulating import write_digits

from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.datasets.folders import read_folder
from pt4al_backend.datasets.known_images import KnownImages, LabelledImages
from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.simulate import held_out
from pt4al_backend.simulate.held_out import HeldOut
from pt4al_backend.store.decode import decode


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Of a project that has chosen its sizes."""
    with colour_encoders(), closing(Rig(tmp_path / "data", n=4, encoder="colour-2")) as rig:
        rig.turn_until(lambda: rig.project.image_size)
        yield rig.workspace


@pytest.fixture
def images(tmp_path: Path) -> KnownImages:
    return read_folder(write_digits(tmp_path / "images", 5, 6))


def nothing(_: str) -> None: ...


def test_a_pretrained_encoder_embeds_them_from_their_full_size(
    workspace: Workspace, images: KnownImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "CHUNK", 4)
    tests = HeldOut(images, tmp_path / "test")
    said: list[str] = []
    assert tests.store(workspace, said.append) == []
    assert said == [f"test images: {n} of 11" for n in (4, 8, 11)]
    assert tests.positions.tolist() == list(range(11))
    files = tests.embeddings(workspace)
    full = np.stack([decode(images.read(position), size=128) for position in range(11)])
    expected, _ = files.encoder.embed_pixels(full, device="cpu")
    assert np.array_equal(files.vectors.read(np.arange(11)), expected)
    assert len(list((tmp_path / "test").iterdir())) == 2  # no pixels


def test_the_projects_own_networks_get_them_as_the_pool_is_stored(
    workspace: Workspace, images: KnownImages, tmp_path: Path
) -> None:
    workspace.store.update(workspace.project_id, encoder="", input_size=0)
    tests = HeldOut(images, tmp_path / "test")
    tests.store(workspace, nothing)
    assert np.array_equal(tests.pixels(workspace).read(np.array([3]))[0], decode(images.read(3), size=16))


def test_for_masks_patches_are_embedded_too(workspace: Workspace, drawings: Path, tmp_path: Path) -> None:
    workspace.store.update(workspace.project_id, dense=True)
    tests = HeldOut(read_all(drawings).take(np.arange(3)), tmp_path / "test")
    tests.store(workspace, nothing)
    assert tests.embeddings(workspace).has(np.arange(3)).all()
    assert {path.name.split("-")[0] for path in (tmp_path / "test").glob("*.bin")} == {"embeddings", "patches"}


def test_those_that_cannot_be_read_are_left_out(workspace: Workspace, images: KnownImages, tmp_path: Path) -> None:
    assert isinstance(images, LabelledImages)

    def read(position: int) -> bytes:
        if position in (0, 4):
            raise UnreadableImageError("torn")
        return images.read(position)

    torn = LabelledImages(images.classes, images.targets, read)
    tests = HeldOut(torn, tmp_path / "test")
    assert tests.store(workspace, nothing) == ["image 0: torn", "image 4: torn"]
    assert tests.positions.tolist() == [1, 2, 3, *range(5, 11)]
    with pytest.raises(PT4ALError, match=r"None of the test images could be read. The first: image 0: torn"):
        HeldOut(torn.take(np.array([0, 4])), tmp_path / "none").store(workspace, nothing)
