"""Many images are read at the same time, whatever happens to some of them; `test_fetch_images.py` has the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.known_labels import digit_png
from support.rig import Rig

from pt4al_backend.active_learning import read_images
from pt4al_backend.active_learning.read_images import ImageReader, image_reader, platform_failures
from pt4al_backend.errors import LabelStudioUnavailableError, PT4ALError, UnreadableImageError

IMAGES = [(task, f"digit:{task - 1}") for task in range(1, 21)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, n=20)
    yield rig
    rig.close()


@pytest.fixture
def reader(rig: Rig) -> Iterator[ImageReader]:
    with image_reader(rig.workspace) as reader:
        yield reader


def test_every_image_arrives_once(reader: ImageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_images, "IN_FLIGHT", 3)
    arrived = [each for part in reader.concurrently(iter(IMAGES), reader.shorter_side) for each in part]
    assert sorted(image for image, _ in arrived) == IMAGES
    assert {side for _, side in arrived} == {32}


def test_errors_arrive_in_place_of_images(rig: Rig, reader: ImageReader) -> None:
    def image(task: int, value: str) -> bytes:
        if task == 3:
            raise LabelStudioUnavailableError("502 Bad Gateway")
        return b"" if task == 5 else digit_png(task)

    rig.platform.image = image  # type: ignore[method-assign]
    parts = reader.concurrently(iter(IMAGES), lambda *each: reader.decode(*each, size=8, others=(16,)))
    arrived = {task: outcome for part in parts for (task, _), outcome in part}
    assert platform_failures([*((each, arrived[each[0]]) for each in IMAGES)]).keys() == {IMAGES[2]}
    assert isinstance(arrived[5], UnreadableImageError) and str(arrived[5]).startswith("digit:4: The file is empty")
    good = arrived[1]
    assert not isinstance(good, PT4ALError)
    assert [len(good.pixels), *map(len, good.others)] == [8, 16]


def test_an_image_is_given_up_only_after_long_and_if_others_can_be_read(
    rig: Rig, reader: ImageReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.settle()
    failing = {IMAGES[19]: LabelStudioUnavailableError("502 Bad Gateway")}

    def given_up() -> list[tuple[int, str]]:
        steps = reader.given_up(failing)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return [*end.value]

    assert given_up() == []
    monkeypatch.setattr(read_images, "PATIENCE", 0.0)
    asked: list[int] = []
    healthy = rig.platform.image
    monkeypatch.setattr(rig.platform, "image", lambda task, value: (asked.append(task), healthy(task, value))[1])
    assert given_up() == [IMAGES[19]] and asked == [19]  # not the image itself

    def down(task: int, value: str) -> bytes:
        raise LabelStudioUnavailableError("502 Bad Gateway")

    monkeypatch.setattr(rig.platform, "image", down)
    assert given_up() == []


def test_what_is_under_way_is_dropped_when_nobody_wants_it_any_more(rig: Rig, reader: ImageReader) -> None:
    go_on, begun = threading.Event(), list[int]()

    def image(task: int, value: str) -> bytes:
        begun.append(task)
        go_on.wait(10)
        return digit_png(task)

    rig.platform.image = image  # type: ignore[method-assign]
    parts = reader.concurrently(iter(IMAGES), reader.shorter_side)
    assert next(parts) == []
    parts.close()  # type: ignore[attr-defined]
    go_on.set()
    reader.threads.shutdown()
    assert len(begun) <= rig.settings.fetch_workers
