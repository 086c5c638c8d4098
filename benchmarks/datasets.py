"""Real labelled images for the benchmarks, read in place.

They lie in ``../shared/data`` beside the project, or where ``PT4AL_BENCH_DATA`` points: CIFAR-10 as sheets of
100 x 100 lossless tiles and ``labels.npz``, Caltech-101 as one zip file with a folder per class, CamVid as one with a
folder for the images and one for the masks of each split.
"""

from __future__ import annotations

import io
import os
import threading
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.labelled_images import LabelledImages, SegmentedImages

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CAMVID_CLASSES = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign", "fence", "car", "pedestrian", "bicyclist"),
)


def data_dir() -> Path:
    return Path(os.environ.get("PT4AL_BENCH_DATA", Path(__file__).parents[2] / "shared" / "data"))


def cifar10(pool: int) -> tuple[LabelledImages, LabelledImages]:
    """The first ``pool`` training images, in the original order, and all 10,000 test images."""
    labels = np.load(data_dir() / "cifar10" / "labels.npz")
    sheets = [_sheet(f"train_{k + 1}") for k in range(-(-pool // 10_000))]
    return _from_arrays(np.concatenate(sheets)[:pool], labels["train"]), _from_arrays(_sheet("test"), labels["test"])


def cifar10_for_tuning(pool: int) -> tuple[LabelledImages, LabelledImages]:
    """Training images only: 20,000 and on to label, 5,000 others to measure on. Only the full table has them too."""
    targets = np.load(data_dir() / "cifar10" / "labels.npz")["train"]
    return (
        _from_arrays(_sheet("train_3")[:pool], targets[20_000:]),
        _from_arrays(_sheet("train_5")[:5_000], targets[40_000:]),
    )


def camvid(split: str) -> SegmentedImages:
    """CamVid's ``train`` (367 frames), ``val`` (101) or ``test`` (233), in the order of the videos."""
    archive = zipfile.ZipFile(data_dir() / "camvid" / "camvid_360x480.zip")
    lock = threading.Lock()
    names = sorted(name for name in archive.namelist() if name.startswith(f"{split}/") and name.endswith(".webp"))

    def read(name: str) -> bytes:
        with lock:
            return archive.read(name)

    def mask(position: int) -> NDArray[np.uint8]:
        png = read(names[position].replace(f"{split}/", f"{split}annot/").removesuffix(".webp") + ".png")
        return np.array(Image.open(io.BytesIO(png)))

    return SegmentedImages(CAMVID_CLASSES, tuple(names), lambda position: read(names[position]), mask)


def pixels_of(images: LabelledImages) -> NDArray[np.uint8]:
    """All images as one array (n, 32, 32, 3); for images of one size."""
    return np.stack([np.asarray(Image.open(io.BytesIO(images.read(k)))) for k in range(len(images))])


def thinned(images: LabelledImages, ratio: int) -> LabelledImages:
    """Exponentially imbalanced: the first class keeps all its images, the last ``1 / ratio`` of them."""
    last = len(images.classes) - 1
    kept = []
    for target in range(len(images.classes)):
        members = np.flatnonzero(images.targets == target)
        kept.append(members[: round(len(members) * ratio ** (-target / last))])
    return images.take(np.sort(np.concatenate(kept)))


def caltech101(test_per_class: int) -> tuple[LabelledImages, LabelledImages]:
    """All other images, and so many of each class as test images, drawn at random once and for all."""
    archive = zipfile.ZipFile(data_dir() / "caltech101" / "caltech101_224.zip")
    lock = threading.Lock()
    names = sorted(name for name in archive.namelist() if name.endswith(".webp"))
    of_class = [name.split("/")[0] for name in names]
    classes = tuple(dict.fromkeys(of_class))
    number = {name: k for k, name in enumerate(classes)}

    def read(position: int) -> bytes:
        with lock:
            return archive.read(names[position])

    images = LabelledImages(classes, np.array([number[name] for name in of_class], dtype=np.int64), read)
    random = np.random.default_rng(101)
    test = np.concatenate(
        [
            random.permutation(np.flatnonzero(images.targets == target))[:test_per_class]
            for target in range(len(classes))
        ]
    )
    return images.take(np.setdiff1d(np.arange(len(images)), test)), images.take(np.sort(test))


def _sheet(name: str) -> NDArray[np.uint8]:
    picture = Image.open(data_dir() / "cifar10" / f"{name}.webp").convert("RGB")
    tiles = np.asarray(picture).reshape(100, 32, 100, 32, 3)
    return tiles.swapaxes(1, 2).reshape(-1, 32, 32, 3)


def _from_arrays(pixels: NDArray[np.uint8], targets: NDArray[np.uint8]) -> LabelledImages:
    def read(position: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels[position]).save(file, "PNG", compress_level=1)
        return file.getvalue()

    return LabelledImages(CIFAR_CLASSES, targets[: len(pixels)].astype(np.int64), read)
