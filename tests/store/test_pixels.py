from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.pixels import PixelStore

SIZE = 4


@pytest.fixture
def store(tmp_path: Path) -> PixelStore:
    return PixelStore(tmp_path / "pixels" / "1", size=SIZE)


def images(count: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def test_rows_are_read_in_the_requested_order(store: PixelStore) -> None:
    rows, pixels = np.random.default_rng(1).permutation(35), images(35)
    store.write(rows, pixels)
    asked = np.array([34, 0, 9, 10, 0, 20])
    by_row = np.empty_like(pixels)
    by_row[rows] = pixels
    np.testing.assert_array_equal(store.read(asked), by_row[asked])


def test_no_rows_give_no_images(store: PixelStore) -> None:
    none = np.array([], dtype=np.int64)
    store.write(none, images(0))
    assert store.read(none).shape == (0, SIZE, SIZE, 3)


def test_rewriting_a_row_and_the_last_of_two_equal_rows_wins(store: PixelStore) -> None:
    pixels = images(4)
    store.write(np.array([3, 5]), pixels[:2])
    store.write(np.array([3, 3]), pixels[2:])
    np.testing.assert_array_equal(store.read(np.array([3, 5])), pixels[[3, 1]])


def test_views_of_any_layout_can_be_written(store: PixelStore) -> None:
    pixels = images(6)
    store.write(np.arange(3, dtype=np.int32), pixels[::-2].transpose(0, 2, 1, 3))
    np.testing.assert_array_equal(store.read(np.arange(3)), pixels[::-2].transpose(0, 2, 1, 3))


def test_rows_without_a_place_are_an_index_error(store: PixelStore) -> None:
    with pytest.raises(IndexError, match="No image of 4 px is stored at row 0: fetch it again"):
        store.read(np.array([0]))
    store.write(np.array([25]), images(1))
    assert store.lacks(np.array([3, 26])) and not store.lacks(np.array([3, 25])) and not store.lacks(np.array([], int))
    with pytest.raises(IndexError, match="row 27"):
        store.read(np.array([25, 27]))
    assert not store.read(np.array([21])).any()
    with pytest.raises(IndexError, match="from 0 up"):
        store.read(np.array([-1]))


def test_another_image_size_shares_no_rows(store: PixelStore, tmp_path: Path) -> None:
    store.write(np.array([0]), images(1))
    larger = PixelStore(tmp_path / "pixels" / "1", size=8)
    with pytest.raises(IndexError, match="of 8 px"):
        larger.read(np.array([0]))


def test_wrong_pixels_are_rejected(store: PixelStore) -> None:
    for wrong in (images(1).astype(np.float32), images(2), images(1)[:, :2]):
        with pytest.raises(ValueError, match="pixels must be uint8 of shape"):
            store.write(np.array([0]), wrong)


def test_remove_deletes_everything_and_can_be_repeated(store: PixelStore, tmp_path: Path) -> None:
    store.write(np.array([0]), images(1))
    store.remove()
    store.remove()
    assert not (tmp_path / "pixels" / "1").exists()


def test_the_file_is_sparse(tmp_path: Path) -> None:
    store = PixelStore(tmp_path, size=64)
    store.write(np.array([1000]), np.full((1, 64, 64, 3), 7, np.uint8))
    [file] = tmp_path.iterdir()
    assert file.stat().st_size == 1001 * 64 * 64 * 3
    assert file.stat().st_blocks * 512 < file.stat().st_size / 10


def test_images_that_are_cut_off_are_lacking(store: PixelStore, tmp_path: Path) -> None:
    store.write(np.array([0, 1]), images(2))
    [file] = (tmp_path / "pixels" / "1").iterdir()
    os.truncate(file, file.stat().st_size - 1)
    assert store.lacks(np.array([1])) and not store.lacks(np.array([0]))
    with pytest.raises(IndexError, match="row 1: fetch it again"):
        store.read(np.array([0, 1]))


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_files_of_earlier_releases_are_converted(tmp_path: Path, interrupted: bool) -> None:
    """They had 1,024 images each; in them, too, rows that were never written are black."""
    pixels = images(3)
    for shard, places in ((0, [5, 1023]), (2, [0])):
        content = np.zeros((1024, SIZE, SIZE, 3), np.uint8)
        content[places] = pixels[:2] if not shard else pixels[2:]
        np.save(tmp_path / f"{SIZE}px-{shard:05d}.npy", content)
    if interrupted:
        (tmp_path / f"{SIZE}px.tmp").write_bytes(b"half")
    store = PixelStore(tmp_path, size=SIZE)
    np.testing.assert_array_equal(store.read(np.array([5, 1023, 2048])), pixels)
    assert not store.read(np.array([6, 3071])).any() and store.lacks(np.array([3072]))
    assert [path.name for path in tmp_path.iterdir()] == [f"{SIZE}px.bin"]


def test_a_directory_that_cannot_be_created_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PT4ALError, match=r"Cannot write to .*: free some disk space"):
        PixelStore(tmp_path / "file", size=SIZE).write(np.array([0]), images(1))


def test_threads_may_write_at_once(store: PixelStore) -> None:
    pixels = images(80)

    def write(part: int) -> None:
        for row in range(part, 80, 4):
            store.write(np.array([row]), pixels[row : row + 1])

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(store.read(np.arange(80)), pixels)


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.pixels import PixelStore

store = PixelStore(Path(sys.argv[1]), size=4)
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
try:
    store.write(np.array([0, 9]), np.ones((2, 4, 4, 3), np.uint8))
except PT4ALError as error:
    print(error)
"""


def test_a_file_that_cannot_grow_is_an_error(tmp_path: Path) -> None:
    said = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], check=True, capture_output=True, text=True)
    assert said.stdout.startswith(f"Cannot write to {tmp_path / '4px.bin'} (File too large): free some disk space")
    assert PixelStore(tmp_path, size=4).lacks(np.array([9]))


WRITER = """
import sys
import numpy as np
from pathlib import Path
from pt4al_backend.store.pixels import PixelStore

store = PixelStore(Path(sys.argv[1]), size=4)
for row in range(100_000):
    store.write(np.array([row]), np.full((1, 4, 4, 3), row % 255 + 1, np.uint8))
    print(row, flush=True)
"""


def test_another_process_killed_while_writing_loses_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(57):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().splitlines()
    written = np.arange(57 + len([line for line in rest if line]))
    store = PixelStore(tmp_path, size=4)
    np.testing.assert_array_equal(store.read(written)[:, 0, 0, 0], written % 255 + 1)
    store.write(written, images(len(written)))
    np.testing.assert_array_equal(store.read(written), images(len(written)))
