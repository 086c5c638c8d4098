"""Image files made to cost much: each costs seconds and itself, and no other project waits for it."""

from __future__ import annotations

import io
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import psutil
import pytest
from PIL import Image
from support.known_labels import KnownLabels
from support.processes import wait_until

from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.processes.scheduler import Worker
from pt4al_backend.settings import Settings
from pt4al_backend.store.decoder_process import MEMORY, SECONDS
from pt4al_backend.store.decoders import PATIENCE, Decoders
from pt4al_backend.store.store import Store


def file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def repeated_scans(times: int = 4000) -> bytes:
    """0.2 MB of progressive JPEG: every scan goes through all 16 million pixels again."""
    data = file(Image.new("RGB", (4000, 4000), "grey"), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * times + b"\xff\xd9"


def many_markers() -> bytes:
    """40 million empty APP segments: the header alone takes long, 10 million already take 10 s on a slow machine."""
    return b"\xff\xd8" + b"\xff\xe5\0\2" * 40_000_000 + file(Image.new("RGB", (8, 8)), "JPEG")[2:]


def zeros(count: int) -> bytes:
    """So many zeros, deflated."""
    packer, parts = zlib.compressobj(1), []
    while count > 0:
        parts.append(packer.compress(bytes(min(count, 10_000_000))))
        count -= 10_000_000
    return b"".join(parts) + packer.flush()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *, bands: int, extra: bytes = b"") -> bytes:
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    pixels = chunk(b"IDAT", zeros(height * (width * bands + 1)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + chunk(b"IEND", b"")


def bomb(name: bytes) -> bytes:
    """A chunk that unpacks to a gigabyte, three times."""
    return png(4, 4, bands=3, extra=chunk(name, b"a\0\0" + zeros(1_000_000_000)) * 3)


@pytest.fixture
def pool() -> Iterator[Decoders]:
    with Decoders() as pool:
        yield pool


def decoders() -> list[psutil.Process]:
    """Those of this process, which may have other children."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            found += [child] if "decoder_process" in " ".join(child.cmdline()) else []
    return found


def decoder() -> psutil.Process:
    (found,) = decoders()
    return found


TOO_LONG = f"more than {SECONDS:g} s to decode|not decoded within"
"""It is time of the processor: a busy machine may take longer, but not for ever."""


def test_decoding_is_bounded_in_time(pool: Decoders) -> None:
    began = time.monotonic()
    with pytest.raises(UnreadableImageError, match=TOO_LONG):
        pool.decode(repeated_scans(), size=64)
    assert time.monotonic() - began < PATIENCE + 10
    assert pool.decode(file(Image.new("RGB", (8, 8)), "PNG"), size=8).width == 8


def test_looking_at_the_size_is_bounded_too(pool: Decoders) -> None:
    with pytest.raises(UnreadableImageError, match=f"{TOO_LONG}|needs more than 1 GB"):  # whichever comes first
        pool.probe_size(many_markers())


@pytest.mark.parametrize(
    ("hostile", "readable"),
    [
        pytest.param(lambda: png(10_000, 10_000, bands=2), False, id="grey png with transparency"),
        pytest.param(lambda: png(10_000, 10_000, bands=4), True, id="png with transparency"),
        pytest.param(lambda: file(Image.new("RGB", (16_000, 6_000)), "WEBP", quality=1, method=0), False, id="webp"),
        pytest.param(lambda: bomb(b"zTXt"), False, id="text"),
        pytest.param(lambda: bomb(b"iCCP"), False, id="colour profile"),
    ],
)
def test_decoding_is_bounded_in_memory(pool: Decoders, hostile: Callable[[], bytes], readable: bool) -> None:
    """The largest images that are allowed, and what unpacks to much: read or refused, with a gigabyte at most."""
    data = hostile()
    pool.probe_size(file(Image.new("RGB", (8, 8)), "PNG"))
    process, most, over = decoder(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            most.append(process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        if readable:
            assert pool.decode(data, size=64).pixels.shape == (64, 64, 3)
        else:
            with pytest.raises(UnreadableImageError, match=r"needs more than 1 GB of memory|too large"):
                pool.decode(data, size=64)
    finally:
        over.set()
        watching.join()
    assert max(most) < MEMORY + 100e6  # libraries are in files
    assert decoder().pid == process.pid, "nothing died of it"


class Hostile(KnownLabels):
    """A project whose images are all made to cost much, or never come."""

    def __init__(self, n: int, *, never: threading.Event | None = None) -> None:
        super().__init__(n)
        self.asked = 0
        self._never = never
        self._data = repeated_scans()

    def image(self, task: int, value: str) -> bytes:
        self.asked += 1
        if self._never is not None:
            self._never.wait()
        return self._data


@pytest.mark.parametrize("kind", ["decode for long", "never come"])
def test_one_projects_bad_images_hold_up_no_other(tmp_path, kind: str) -> None:
    over = threading.Event()
    never = over if kind == "never come" else None
    settings = Settings(
        data_dir=tmp_path, encoder="rotation", cycles=3, query_size=3, slack=3, pretext_epochs=1, device="cpu"
    )
    with closing(Store(tmp_path)) as store:
        platforms = {}
        for number, platform in enumerate([Hostile(40, never=never), Hostile(40, never=never), KnownLabels(30)]):
            row = store.connect(url="http://x", number=number, created="1", access_token="", label_config="")
            platforms[row.id] = platform
        worker = Worker(settings, store, lambda project, lock: platforms[project.id])
        *bad, (good_id, good) = platforms.items()
        try:
            wait_until(
                "the bad images to be asked for",
                lambda: worker.turn() is not None and all(platform.asked >= 8 for _, platform in bad),
                seconds=60,
                every=0.01,
            )
            wait_until("a queue", lambda: worker.turn() is not None and good.published, seconds=120, every=0.01)
            assert store.totals(good_id).pool == 30
            for project_id, _ in bad:
                totals = store.totals(project_id)
                assert (totals.pool, totals.tasks) == (0, 40)
                assert totals.waiting > 20, "it did not wait for them"
        finally:
            over.set()
            worker.close()
            wait_until("all decoders to end", lambda: not decoders(), seconds=15)


def test_a_hostile_image_is_excluded_with_a_reason_and_the_others_are_read(tmp_path) -> None:
    class OneHostile(KnownLabels):
        def image(self, task: int, value: str) -> bytes:
            return png(10_000, 10_000, bands=2) if task == 3 else super().image(task, value)

    settings = Settings(data_dir=tmp_path, image_size=32, device="cpu")
    with closing(Store(tmp_path)) as store:
        store.connect(url="http://x", number=1, created="1", access_token="", label_config="")
        worker = Worker(settings, store, lambda project, lock: OneHostile(30))
        try:
            wait_until("the reason", lambda: worker.turn() is not None and store.unreadable(1), seconds=120, every=0.01)
            wait_until("the others", lambda: worker.turn() is not None and store.totals(1).pool == 29, seconds=120)
        finally:
            worker.close()
        ((task, reason),) = store.unreadable(1)
        assert (task, reason) == (3, "digit:2: The image needs more than 1 GB of memory to be decoded.")
