"""Real decoder processes: they answer as this process would, and what goes wrong in one costs one image."""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from PIL import Image
from support.processes import wait_until

from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.store import decode, decoders
from pt4al_backend.store.decoders import Decoders


@pytest.fixture
def pool() -> Iterator[Decoders]:
    with Decoders() as pool:
        yield pool


def photograph(seed: int, kind: str = "JPEG", size: tuple[int, int] = (60, 40), **options: object) -> bytes:
    blots = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(blots).resize(size, Image.Resampling.BICUBIC).save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def slow() -> bytes:
    """A progressive JPEG that repeats its last scan: decoding it takes half a minute."""
    data = photograph(0, size=(3000, 3000), progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * 3000 + b"\xff\xd9"


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "decoder_process" in " ".join(child.cmdline())]


def at_work() -> psutil.Process:
    """The only decoder, once it is busy."""
    return wait_until(
        "a decoder at work",
        lambda: next((child for child in children() if child.cpu_times().user > 1), None),
        seconds=60,
        every=0.02,
    )


def test_images_equal_those_decoded_in_this_process(pool: Decoders) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [photograph(k, kind) for k, kind in enumerate(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])]
    files += [photograph(7, exif=exif), photograph(8)[:-2]]
    for data in files:
        found = pool.decode(data, size=16)
        opened = decode.open_image(data, 16)
        (pixels,), note = opened.pixels()
        np.testing.assert_array_equal(found.pixels, pixels)
        assert (found.width, found.height, found.note, found.others) == (opened.width, opened.height, note, ())
        assert found.pixels.flags.writeable
        assert pool.probe_size(data) == decode.probe_size(data) == (found.width, found.height)
    assert (found.note, pool.decode(files[-2], size=8).note) == (note, "")
    assert pool.probe_size(files[-2]) == (40, 60)


def test_an_image_is_decoded_once_for_several_sizes(pool: Decoders) -> None:
    for data in (photograph(0, "PNG"), photograph(1)):
        found = pool.decode(data, size=16, others=(48, 8))
        assert [each.shape for each in (found.pixels, *found.others)] == [(16, 16, 3), (48, 48, 3), (8, 8, 3)]
        for pixels in (found.pixels, *found.others):  # a JPEG is decoded at a fraction of its size, by the largest
            alone = pool.decode(data, size=len(pixels)).pixels
            assert abs(pixels.astype(int) - alone).mean() < 3
    exact = pool.decode(photograph(0, "PNG"), size=16, others=(48,))
    np.testing.assert_array_equal(exact.others[0], decode.decode(photograph(0, "PNG"), size=48))


@pytest.mark.parametrize("data", [b"", b"<html>", photograph(0)[:300], photograph(0, "PNG")[:100]])
def test_reasons_equal_those_of_this_process(pool: Decoders, data: bytes) -> None:
    for _ in range(2):
        with pytest.raises(UnreadableImageError) as here:
            decode.decode(data, size=8)
        with pytest.raises(UnreadableImageError) as there:
            pool.decode(data, size=8)
        assert str(here.value) == str(there.value)
    with pytest.raises(UnreadableImageError, match="60 x 40 pixels, the limit is 2,399 pixels"):
        pool.decode(photograph(1), size=8, max_pixels=2399)
    assert pool.decode(photograph(1), size=8, max_pixels=2400).pixels.shape == (8, 8, 3)
    assert len(children()) == 1, "a refusal costs no process"


def test_many_threads_share_them(pool: Decoders) -> None:
    files = [photograph(k, kind) for k in range(25) for kind in ("JPEG", "PNG", "WEBP")]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda data: pool.decode(data, size=8).pixels, files))
    np.testing.assert_array_equal(found, [decode.decode(data, size=8) for data in files])
    assert len(children()) <= decoders.MOST


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (signal.SIGSEGV, r"The image crashes its decoder \(SIGSEGV\)\."),
        (signal.SIGABRT, r"The image crashes its decoder \(SIGABRT\)\."),
        (signal.SIGPROF, r"The image takes more than 10 s to decode\."),
        (signal.SIGKILL, r"The system ended the image's decoder, as it does when memory runs out\."),
    ],
)
def test_a_decoder_that_dies_costs_only_its_image(pool: Decoders, number: signal.Signals, says: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        dying = threads.submit(pool.decode, slow(), size=8)
        at_work().send_signal(number)
        with pytest.raises(UnreadableImageError, match=says):
            dying.result()
    assert pool.decode(photograph(1), size=8).pixels.shape == (8, 8, 3)
    assert len(children()) == 1


def test_idle_decoders_that_die_are_replaced(pool: Decoders) -> None:
    """A machine that runs out of memory kills decoders: the next image gets a new one."""
    pool.decode(photograph(1), size=8)
    (child,) = children()
    child.kill()  # it may take a moment to be gone
    assert pool.decode(photograph(1), size=8).pixels.shape == (8, 8, 3)


def test_a_decoder_that_does_not_respond_is_killed(pool: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "PATIENCE", 3.0)
    with ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(pool.decode, slow(), size=8)
        at_work().send_signal(signal.SIGSTOP)
        with pytest.raises(UnreadableImageError, match="not decoded within 3 s"):
            stopped.result()
    assert children() == []


def test_closing_also_kills_busy_decoders() -> None:
    pool = Decoders()
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(pool.decode, slow(), size=8) for _ in range(3)]
        at_work()
        began = time.monotonic()
        pool.close()
        for future in waiting:
            with pytest.raises(PT4ALError):
                future.result()
        assert time.monotonic() - began < 5
    assert children() == []
    with pytest.raises(PT4ALError, match="No more images"):
        pool.decode(photograph(0), size=8)
    pool.close()


ORPHANING = textwrap.dedent("""
    import sys, threading
    from pt4al_backend.store.decoders import Decoders
    pool, data = Decoders(), sys.stdin.buffer.read()
    threading.Thread(target=pool.decode, args=(data,), kwargs={"size": 8}, daemon=True).start()
    print("up", flush=True)
    threading.Event().wait()
""")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_they_exit_with_their_parent_even_in_the_middle_of_an_image(number: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHANING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None and parent.stdout is not None
    with parent.stdin, parent.stdout:
        parent.stdin.write(slow())
        parent.stdin.close()
        parent.stdout.readline()
        (child,) = wait_until(
            "a decoder at work",
            lambda: [each for each in psutil.Process(parent.pid).children() if each.cpu_times().user > 1],
            seconds=60,
        )
        parent.send_signal(number)
        parent.wait()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()


def test_they_ignore_the_interrupt_of_a_terminal(pool: Decoders) -> None:
    pool.decode(photograph(0), size=8)
    (child,) = children()
    child.send_signal(signal.SIGINT)
    pool.decode(photograph(0), size=8)
    assert [each.pid for each in children()] == [child.pid]


def test_they_are_light(pool: Decoders) -> None:
    pool.decode(photograph(0), size=8)
    (child,) = children()
    assert child.memory_info().rss < 150e6
    if sys.platform == "linux":
        assert not any("torch" in mapped.path for mapped in child.memory_maps())


def test_a_decoder_that_cannot_start_is_not_the_images_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false" if os.path.exists("/bin/false") else "/usr/bin/false")
    with Decoders() as pool, pytest.raises(PT4ALError, match=r"does not start \(1\)") as caught:
        pool.decode(photograph(0), size=8)
    assert not isinstance(caught.value, UnreadableImageError)


def test_large_images_are_not_all_decoded_at_once() -> None:
    budget, inside, most = decoders._PixelBudget(100), [], []

    def work(pixels: int) -> None:
        with budget.for_pixels(pixels):
            inside.append(pixels)
            most.append(sum(min(pixels, 100) for pixels in list(inside)))
            time.sleep(0.01)
            inside.remove(pixels)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [10, 60, 30, 5000, 40, 100, 20, 60] * 5))
    assert len(most) == 40
    assert 60 < max(most) <= 100
