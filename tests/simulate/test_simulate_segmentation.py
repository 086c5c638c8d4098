"""Simulations whose answers are masks: small drawings, of which every pixel is known but for a strip at the left."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from support.coloured_shapes import SHAPES, png, shape_mask, shape_png
from support.interrupting import assert_interruptions_change_nothing
from support.served import NOT_INHERITED

from pt4al_backend import cli, learning
from pt4al_backend.datasets.known_images import SegmentedImages, mask_effort
from pt4al_backend.datasets.mask_folders import read_masks
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.settings import Settings
from pt4al_backend.simulate.oracle import KnownLabels
from pt4al_backend.simulate.simulation import Replay, Simulation
from pt4al_backend.store.checkpoints import load_arrays
from pt4al_backend.store.feature_file import FeatureFile
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store

CLASSES = (*SHAPES, "background")
UNKNOWN = 255
HEIGHT, WIDTH = 48, 64
QUICK = {
    "PT4AL_PRETEXT_EPOCHS": "1",
    "PT4AL_MAIN_EPOCHS": "2",
    "PT4AL_IMAGE_SIZE": "32",
    "PT4AL_UNLABELLED_PIXELS": "background",  # masks say themselves what is background
    "OMP_NUM_THREADS": "1",
}
SMALL = ("--cycles", 2, "--query-size", 3, "--seeds", 1, "--device", "cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These networks are as fast on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def truth(index: int) -> NDArray[np.uint8]:
    mask = shape_mask(index)[:HEIGHT].copy()
    mask[:, :4] = UNKNOWN
    return mask


def write_shapes(root: Path, n: int) -> Path:
    """`images` and `masks` of the first n shapes, cut to a landscape."""
    for directory in ("images", "masks"):
        (root / directory).mkdir(parents=True)
    for index in range(n):
        pixels = np.array(Image.open(io.BytesIO(shape_png(index))))[:HEIGHT]
        (root / "images" / f"{index:02}.png").write_bytes(png(pixels))
        (root / "masks" / f"{index:02}.png").write_bytes(png(truth(index)))
    (root / "masks" / "classes.txt").write_text("\n".join(CLASSES))
    return root


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty of them."""
    return write_shapes(tmp_path_factory.mktemp("drawings") / "shapes", 20)


def all_of(root: Path) -> SegmentedImages:
    return read_masks(root / "images", root / "masks")


def settings_in(data_dir: Path, **changes: Any) -> Settings:
    quick = {
        "pretext_epochs": 1,
        "main_epochs": 2,
        "image_size": 32,
        "train_growth": 0,
        "device": "cpu",
        "unlabelled_pixels": "ignore",
    }
    return Settings(**{**quick, "data_dir": data_dir, **changes})


# Figures worked out by hand


def mean_iou(guesses: list[NDArray[np.integer]], truths: list[NDArray[np.uint8]]) -> float:
    """Of each class: pixels that are right, of those that are it or are said to be. Only of pixels that are known."""
    shares = []
    for number in range(len(CLASSES)):
        both = either = 0
        for guess, true in zip(guesses, truths, strict=True):
            known = true != UNKNOWN
            both += int(((guess == number) & (true == number) & known).sum())
            either += int((((guess == number) | (true == number)) & known).sum())
        if any((true == number).any() for true in truths):
            shares.append(both / either)
    return sum(shares) / len(shares)


def enlarged(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(side, side, k) as (HEIGHT, WIDTH, k): between the middles of pixels along straight lines."""
    for axis, length in enumerate((HEIGHT, WIDTH)):
        side = image.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * side / length - 0.5, 0, side - 1)
        before = np.minimum(at.astype(int), side - 2)
        part = np.expand_dims(at - before, axis=(1 - axis, 2))
        image = image.take(before, axis) * (1 - part) + image.take(before + 1, axis) * part
    return image


def test_mean_iou_worked_out_by_hand(drawings: Path, tmp_path: Path) -> None:
    images = all_of(drawings)
    pool, test = images.take(np.arange(12)), images.take(np.arange(12, 20))
    settings = settings_in(tmp_path / "data", cycles=2, query_size=4, strategy="random", main_epochs=8)
    with closing(Simulation(Replay(pool, test, rounds=2, query_size=4, answers=4), settings, print)) as simulation:
        assert simulation.prepare() == []
        first, last = simulation.play(lambda _: None)

    with closing(Store(tmp_path / "data")) as store:
        [project] = store.projects()
        arrays = store.pool(project)
        models = store.models_dir(project.id)
    loaded = load_arrays(models / f"main-{project.main_generation}.safetensors")
    assert loaded
    weights = learning.Weights(*loaded)
    assert weights.spec["outputs"] == [{"kind": "segmentation", "classes": 3}]
    shape = learning.network_encoder(weights).grid
    assert shape
    cells, width = shape
    grid = FeatureFile(models / f"patches-main-{project.main_generation}.bin", width=cells * cells * width)
    features = grid.read(arrays.row[arrays.labelled]).reshape(-1, cells, cells, width)

    labelled = (arrays.task[arrays.labelled] - 1).tolist()
    side = 16
    across, down = (np.arange(side) * 2 + 1) * WIDTH // (2 * side), (np.arange(side) * 2 + 1) * HEIGHT // (2 * side)
    small = np.stack([truth(index)[np.ix_(down, across)] for index in labelled])
    parts = small.reshape(len(small), cells, side // cells, cells, side // cells)
    shares = np.stack([(parts == number).mean(axis=(2, 4)) for number in range(3)], axis=-1).astype(np.float32)
    head = learning.fit_pixel_head(features, shares, balance=0.5)  # as `fast` does

    tests = PixelStore(tmp_path / "data" / "test", size=32)
    truths = [truth(index) for index in range(12, 20)]
    for name, each in (("mean_iou", head), ("network_mean_iou", learning.network_head(weights, 0))):
        logits = np.concatenate(
            [part for _, part in learning.network_encoder(weights).segment(each, tests, np.arange(8), device="cpu")]
        ).astype(np.float32)
        guesses = [enlarged(image).argmax(axis=-1) for image in logits]
        assert last[name] == pytest.approx(mean_iou(guesses, truths), abs=1e-3)
        assert 0.3 < last[name] < 1

    assert [entry["labels"] for entry in (first, last)] == [4, 8]
    assert sorted(last["images"]) == sorted(labelled) and set(first["images"]) < set(labelled)
    assert last["labelled_pixels"] == 8 * HEIGHT * (WIDTH - 4)
    assert "classes_labelled" not in last and "accuracy" not in last


@pytest.mark.parametrize(
    ("mask", "pixels", "borders"),
    [
        ([[0, 0], [0, 0]], 4, 0),
        ([[0, 1], [0, 1]], 4, 2),
        ([[0, 0, 0], [1, 1, 1], [1, 1, 1]], 9, 3),
        ([[255, 255], [255, 255]], 0, 0),
        ([[0, 0, 255]], 2, 0),
    ],
)
def test_effort_by_hand(mask: list[list[int]], pixels: int, borders: int) -> None:
    assert mask_effort(np.array(mask, dtype=np.uint8), classes=2) == (pixels, borders)


# The platform that knows the masks


def test_known_masks_are_drawn(drawings: Path) -> None:
    platform = KnownLabels(all_of(drawings).take(np.array([7, 3])))
    assert platform.project().questions == (Question("mask", SEGMENTATION, CLASSES),)
    platform.answer([2])
    states = {state.id: state for page, _ in platform.tasks(None) for state in page}
    assert states[1].answers == {} and list(states[2].answers) == ["mask"]
    question = platform.project().questions[0]
    for side in (16, 64, 100):
        drawn = platform.drawing(question, states[2].answers["mask"], side=side, size=(0, 0)).mask
        expected = Image.fromarray(truth(3)).resize((side, side), Image.Resampling.NEAREST)
        assert drawn.tolist() == np.array(expected).tolist()
    one = Question("mask", SEGMENTATION, CLASSES[:1])
    assert platform.drawing(one, states[2].answers["mask"], side=64, size=(0, 0)).mask.max() == 255
    drawn = platform.drawing(question, states[2].answers["mask"], side=64, size=(0, 0)).mask
    assert set(np.unique(drawn)) == {*np.unique(truth(3))}


# Kills


def test_an_interruption_at_any_moment_changes_nothing(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between an answer and its mask."""
    pool, test = all_of(drawings).split(0.2, seed=0)
    replay = Replay(pool, test, rounds=2, query_size=6, answers=6)  # more answers than are drawn on the way
    rounds = assert_interruptions_change_nothing(
        replay, lambda data_dir: settings_in(data_dir, cycles=2, query_size=6), tmp_path, monkeypatch
    )
    assert [entry["labels"] for entry in rounds] == [6, 12]


# The command line


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    error: str


Simulate = Callable[..., Done]


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Simulate:
    """`pt4al-backend simulate` in this process, which has the libraries loaded."""
    for name in os.environ:
        if name.startswith(NOT_INHERITED):
            monkeypatch.delenv(name)
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["pt4al-backend", "simulate", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return call


def test_masks_are_replayed(drawings: Path, tmp_path: Path, simulate: Simulate) -> None:
    given = (drawings / "images", "--masks", drawings / "masks", *SMALL, "--out", tmp_path / "out")
    done = simulate(*given)
    assert done.code == 0, done
    assert "images: mean IoU on 4 test images" in done.out
    assert "pt4al, seed 0: round 2, 6 labels, mean IoU" in done.out
    saved = json.loads((tmp_path / "out" / "results.json").read_text())
    expected = {"pool": 16, "test": 4, "classes": 3, "image_size": 32}
    assert expected.items() <= saved["config"].items()
    assert saved["config"]["recipe"]["main"]["dense"]
    assert [run["strategy"] for run in saved["runs"]] == ["pt4al", "random"]
    for run in saved["runs"]:
        for number, entry in enumerate(run["rounds"]):
            assert (entry["round"], entry["labels"]) == (number, 3 * (number + 1))
            assert 0 <= entry["mean_iou"] <= 1 and 0 <= entry["network_mean_iou"] <= 1
            assert entry["labelled_pixels"] == entry["labels"] * HEIGHT * (WIDTH - 4)
            assert 0 < entry["border_length"] < entry["labelled_pixels"]
            assert len(set(entry["images"])) == entry["labels"]
    assert saved["summary"]["pt4al"]["final"] == 100 * saved["runs"][0]["rounds"][-1]["mean_iou"]
    assert "mean IoU" in (tmp_path / "out" / "curves.svg").read_text()

    before = (tmp_path / "out" / "results.json").read_bytes()
    assert simulate(*given).code == 0
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_other_masks_may_be_measured_on(drawings: Path, tmp_path: Path, simulate: Simulate) -> None:
    test = write_shapes(tmp_path / "test", 5)
    given = (drawings / "images", "--masks", drawings / "masks", "--test", test / "images", *SMALL)
    out = tmp_path / "out"
    done = simulate(*given, "--test-masks", test / "masks", "--strategies", "random", "--out", out)
    assert done.code == 0, done
    config = json.loads((out / "results.json").read_text())["config"]
    assert (config["pool"], config["test"]) == (20, 5)


def test_wrong_masks_are_one_sentence(drawings: Path, tmp_path: Path, simulate: Simulate) -> None:
    mine = write_shapes(tmp_path / "mine", 4)
    images, masks = mine / "images", mine / "masks"

    def refused(*given: object) -> str:
        """What is said before anything is done."""
        done = simulate(*given, *SMALL, "--out", tmp_path / "out")
        assert done.code == 1, done
        assert "Traceback" not in done.error and done.error.count("\n") == 1 and done.out == ""
        assert not (tmp_path / "out").exists()
        return done.error

    assert f"{tmp_path / 'none'} does not exist" in refused(images, "--masks", tmp_path / "none")
    assert f"{tmp_path / 'none'} does not exist" in refused(tmp_path / "none", "--masks", masks)
    (tmp_path / "empty").mkdir()
    assert "No image in" in refused(images, "--masks", tmp_path / "empty")
    assert "not in directories named by their classes" in refused(images)  # --masks was forgotten

    theirs = ("--test", drawings / "images")
    both = "answered as the others are: give --test-masks where --masks is given"
    classes = tmp_path / "classes"
    for name, image in zip(("disc", "square"), sorted(images.iterdir()), strict=False):
        (classes / name).mkdir(parents=True)
        (classes / name / "1.png").write_bytes(image.read_bytes())
    assert both in refused(images, "--masks", masks, "--test", classes)
    assert both in refused(classes, *theirs, "--test-masks", drawings / "masks")
    assert "--test-masks needs --test" in refused(images, "--masks", masks, "--test-masks", masks)
    (masks / "classes.txt").write_text("disc\nsquare\nnothing")
    other = refused(images, "--masks", masks, *theirs, "--test-masks", drawings / "masks")
    assert "other classes than the training images: annotate both" in other
    assert "3 images from each of 2 batches are more than the 3" in refused(images, "--masks", masks)

    for path in sorted(images.iterdir())[1:]:
        path.unlink()
    assert "too few images to leave out one to measure on" in refused(images, "--masks", masks).lower()
    (masks / "00.png").write_bytes((images / "00.png").read_bytes())
    assert f"{masks / '00.png'} is not a mask: its pixels have to be class numbers" in refused(images, "--masks", masks)
    (masks / "00.png").write_bytes(b"torn")
    assert f"{masks / '00.png'} cannot be read as a PNG file" in refused(images, "--masks", masks)
