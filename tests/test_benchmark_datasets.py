"""The readers of benchmark data: on small files of the same form, and on the data itself where it is."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import datasets
from benchmarks.accuracy import images
from benchmarks.accuracy_tables import TABLES
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.settings import Settings
from pt4al_backend.simulate import parse

SIZES = {"neu_det": (1508, 292, 6), "brain_mri": (2451, 419, 4), "rsscn7": (2240, 560, 7)}
"""Training images, test images and classes."""
HERE = datasets.data_dir()
SLOW_TO_READ = {table.data for table in TABLES.values() if "cifar10" in table.data or "tuning-thinned" in table.data}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PT4AL_BENCH_DATA", str(tmp_path))
    return tmp_path


def write(archive: Path, names: list[str]) -> None:
    """Images whose red value is their position in `names`."""
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as packed:
        for k, name in enumerate(names):
            file = io.BytesIO()
            Image.new("RGB", (4, 4), (k, 0, 0)).save(file, "WEBP", lossless=True)
            packed.writestr(name, file.getvalue())


def reds(part: LabelledImages) -> list[int]:
    """The red values of the images."""
    return [Image.open(io.BytesIO(part.read(k))).convert("RGB").getpixel((0, 0))[0] for k in range(len(part))]


def test_defects_are_read_in_the_order_of_their_numbers(directory: Path) -> None:
    names = [
        "scratches/scratches_1.webp",
        "crazing/crazing_10.webp",
        "crazing/crazing_9.webp",
        "crazing/crazing_1.webp",
    ]
    write(directory / "neu_det" / "neu_det_200.zip", names)
    entries = [{"file": name, "split": "test" if name.endswith("_9.webp") else "train"} for name in names]
    (directory / "neu_det" / "annotations.json").write_text(json.dumps({"images": entries}))
    pool, test = datasets.neu_det()
    assert pool.classes == test.classes == ("crazing", "scratches")
    assert (pool.targets.tolist(), reds(pool)) == ([0, 0, 1], [3, 1, 0])
    assert (test.targets.tolist(), reds(test)) == ([0], [2])


@pytest.mark.parametrize(("name", "archive"), [("brain_mri", "brain_mri_224.zip"), ("rsscn7", "rsscn7_224.zip")])
def test_an_index_has_the_splits(directory: Path, name: str, archive: str) -> None:
    names = ["b/z002.webp", "a/x002.webp", "a/x001.webp", "b/z001.webp"]
    write(directory / name / archive, names)
    with (directory / name / "index.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "class", "split", "source_file"])
        table.writerows([each, each[0], "test" if "002" in each else "train", ""] for each in names)
    pool, test = datasets.IN_BLOCKS[name][0]()
    assert (pool.targets.tolist(), reds(pool)) == ([0, 1], [2, 3])
    assert (test.targets.tolist(), reds(test)) == ([0, 1], [1, 0])


def test_missing_data_is_one_sentence(directory: Path) -> None:
    with pytest.raises(SystemExit, match=r"has no rsscn7: see benchmarks/datasets\.py"):
        datasets.rsscn7()


def noise(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("copied", "measured"), [((), [6, 7, 15]), ((7,), [6, 15]), ((3,), [6, 7, 15])])
def test_every_fourth_block_of_a_class_is_for_measuring(copied: tuple[int, ...], measured: list[int]) -> None:
    """`copied` look like image 0, which is to be labelled."""
    targets = np.repeat([0, 1], [9, 7])
    files = [noise(0 if k in copied else k) for k in range(16)]
    names = "image {}".format
    part, held = datasets.for_tuning(LabelledImages(("a", "b"), targets, lambda k: files[k], name=names), block=2)
    assert [held.name(k) for k in range(len(held))] == [names(k) for k in measured]
    assert len(part) + len(held) == 16
    assert held.targets.tolist() == [int(k > 8) for k in measured]


@pytest.mark.skipif(not (HERE / "neu_det").exists(), reason="the data sets of the benchmarks are not here")
@pytest.mark.parametrize("name", SIZES)
def test_the_sets_themselves(name: str) -> None:
    pool_size, test_size, classes = SIZES[name]
    pool, test = datasets.IN_BLOCKS[name][0]()
    assert (len(pool), len(test), len(pool.classes)) == (pool_size, test_size, classes)
    for part in (pool, test):
        assert set(part.targets) == set(range(classes))
        Image.open(io.BytesIO(part.read(len(part) - 1))).load()


@pytest.mark.skipif(not (HERE / "caltech101").exists(), reason="the data sets of the benchmarks are not here")
@pytest.mark.parametrize("data", sorted({table.data for table in TABLES.values()} - SLOW_TO_READ))
def test_tables_fit_their_images(data: str) -> None:
    """A simulation takes `query_size` images from each of `cycles` batches."""
    pool, test = images(data)
    assert pool.classes == test.classes and pool.digest != test.digest and len(test) > 0
    assert all(table.query_size * table.cycles <= len(pool) for table in TABLES.values() if table.data == data)


@pytest.mark.parametrize("name", TABLES)
def test_tables_have_settings_and_strategies_that_exist(name: str) -> None:
    table = TABLES[name]
    settings = Settings(preset=table.preset, cycles=table.cycles, **table.settings)
    for variant in parse(table.strategies, settings):
        assert variant.applied_to(settings).cycles == table.cycles
