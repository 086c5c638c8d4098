from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.drawn_masks import CLASSES, HEIGHT, UNKNOWN, WIDTH, mask_settings, read_all, truth
from support.simulated_store import Stored
from support.simulating import settings_in, write_digits

from pt4al_backend import learning
from pt4al_backend.active_learning.embedding_files import file_names
from pt4al_backend.datasets.folders import read_folder
from pt4al_backend.simulate.simulation import Replay, Simulation
from pt4al_backend.store.checkpoints import load_arrays
from pt4al_backend.store.embedding_file import EmbeddingFile
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store


def test_accuracies_worked_out_by_hand(tmp_path: Path) -> None:
    """Measured on six zeros, three ones and one two: of two models, both after the last round's training."""
    images = read_folder(write_digits(tmp_path / "images", 14, 11, 9))
    zeros, ones, twos = (np.flatnonzero(images.targets == digit) for digit in range(3))
    test = images.take(np.concatenate([zeros[-6:], ones[-3:], twos[-1:]]))
    pool = images.take(np.concatenate([zeros[:8], ones[:8], twos[:8]]))
    settings = settings_in(tmp_path / "data", cycles=2, query_size=5, strategy="random", main_epochs=6)
    with closing(Simulation(Replay(pool, test, rounds=2, query_size=5, answers=5), settings, print)) as simulation:
        simulation.fetch()
        simulation.prepare()
        last = simulation.play(lambda _: None)[-1]

    weights, head, _ = Stored(tmp_path / "data").model()
    tests = PixelStore(tmp_path / "data" / "test", size=settings.image_size)
    [(_, features, _)] = list(learning.network_encoder(weights).embed(tests, np.arange(10), device="cpu"))
    right = (head.logits(features).argmax(axis=1) == [0] * 6 + [1] * 3 + [2]).tolist()
    assert last["accuracy"] == pytest.approx(sum(right) / 10)
    assert last["balanced_accuracy"] == pytest.approx((sum(right[:6]) / 6 + sum(right[6:9]) / 3 + right[9]) / 3)
    network = learning.network_head(weights, 0).logits(features).argmax(axis=1).tolist()
    assert last["network_accuracy"] == pytest.approx(
        sum(choice == label for choice, label in zip(network, [0] * 6 + [1] * 3 + [2], strict=True)) / 10
    )
    _, _, labelled = Stored(tmp_path / "data").read()
    assert last["classes_labelled"] == len({int(pool.targets[task - 1]) for task in labelled})


def mean_iou(predictions: list[NDArray[np.integer]], truths: list[NDArray[np.uint8]]) -> float:
    """Of each class: pixels that are right, of those that are it or are said to be. Only of pixels that are known."""
    shares = []
    for number in range(len(CLASSES)):
        both = either = 0
        for guess, true in zip(predictions, truths, strict=True):
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
    images = read_all(drawings)
    pool, test = images.take(np.arange(12)), images.take(np.arange(12, 20))
    settings = mask_settings(tmp_path / "data", cycles=2, query_size=4, strategy="random", main_epochs=8)
    with closing(Simulation(Replay(pool, test, rounds=2, query_size=4, answers=4), settings, print)) as simulation:
        assert simulation.fetch() == []
        simulation.prepare()
        first, last = simulation.play(lambda _: None)

    with closing(Store(tmp_path / "data")) as store:
        [project] = store.projects()
        arrays = store.pool(project)
        models = store.models_dir(project.id)
    loaded = load_arrays(models / f"main-{project.main_generation}.safetensors")
    assert loaded
    weights = learning.Weights(*loaded)
    assert weights.spec["outputs"] == [{"kind": "segmentation", "classes": 3}]
    layout = learning.network_encoder(weights).patches
    assert layout
    ((cells, width),) = layout.stages
    grid = EmbeddingFile(models / f"patches-main-{project.main_generation}.bin", width=cells * cells * width)
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
        predictions = [enlarged(image).argmax(axis=-1) for image in logits]
        assert last[name] == pytest.approx(mean_iou(predictions, truths), abs=1e-3)
        assert 0.3 < last[name] < 1

    assert [entry["labels"] for entry in (first, last)] == [4, 8]
    assert sorted(last["images"]) == sorted(labelled) and set(first["images"]) < set(labelled)
    assert last["labelled_pixels"] == 8 * HEIGHT * (WIDTH - 4)
    assert "classes_labelled" not in last and "accuracy" not in last


def test_the_probe_on_a_pretrained_encoder_is_measured(tmp_path: Path, colours: None) -> None:
    images = read_folder(write_digits(tmp_path / "images", 14, 11, 9))
    zeros, ones, twos = (np.flatnonzero(images.targets == digit) for digit in range(3))
    test = images.take(np.concatenate([zeros[-6:], ones[-3:], twos[-1:]]))
    pool = images.take(np.concatenate([zeros[:8], ones[:8], twos[:8]]))
    settings = settings_in(tmp_path / "data", cycles=2, query_size=5, strategy="random", encoder="colour-4")
    with closing(Simulation(Replay(pool, test, rounds=2, query_size=5, answers=5), settings, print)) as simulation:
        simulation.fetch()
        simulation.prepare()
        last = simulation.play(lambda _: None)[-1]

    with closing(Store(tmp_path / "data")) as store:
        [project] = store.projects()
        arrays = store.pool(project)
        models = store.models_dir(project.id)
    name, _ = file_names("colour-4", input_size=128)
    stored = EmbeddingFile(models / name, width=48)
    known = arrays.labelled
    output = learning.Output(learning.SINGLE, 3)
    head = learning.fit_head(
        stored.read(arrays.row[known]),
        pool.targets[arrays.task[known] - 1],
        output,
        pool=stored.read(arrays.row),
    )
    tests = EmbeddingFile(tmp_path / "data" / "test" / name, width=48)
    right = head.logits(tests.read(np.arange(10))).argmax(axis=1) == [0] * 6 + [1] * 3 + [2]
    assert last["accuracy"] == pytest.approx(right.mean())
    assert "network_accuracy" not in last


def test_masks_are_measured_on_a_pretrained_encoder(drawings: Path, tmp_path: Path, colours: None) -> None:
    images = read_all(drawings)
    pool, test = images.take(np.arange(12)), images.take(np.arange(12, 20))
    settings = mask_settings(tmp_path / "data", cycles=2, query_size=4, strategy="random", encoder="colour-1")
    with closing(Simulation(Replay(pool, test, rounds=2, query_size=4, answers=4), settings, print)) as simulation:
        assert simulation.fetch() == []
        simulation.prepare()
        first, last = simulation.play(lambda _: None)
    assert 0.2 < last["mean_iou"] < 1 and "network_mean_iou" not in last  # the shapes have colours of their own
    assert [entry["labels"] for entry in (first, last)] == [4, 8]
