from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.colour_encoder import colour_encoders
from support.simulating import settings_in, write_digits

from pt4al_backend import learning
from pt4al_backend.active_learning.embedding_files import file_names
from pt4al_backend.datasets.folders import read_folder
from pt4al_backend.demo.random_annotator import DRAWS, Curves, compare, curves, lines
from pt4al_backend.simulate.simulation import Replay, Simulation
from pt4al_backend.store.embedding_file import EmbeddingFile
from pt4al_backend.store.store import Store

FAR = np.repeat(np.eye(3), [16, 3, 1], axis=0) * 5
"""(20, 3) embeddings of three classes, one of them with a single image."""
TARGETS = np.repeat([0, 1, 2], [16, 3, 1])


def test_an_order_that_sees_every_class_is_right_everywhere() -> None:
    found = compare(FAR, TARGETS, [0, 16, 19, 1], [1, 3, 4])
    assert found is not None
    assert found.labels == (1, 3, 4) and found.images == 20
    assert found.ours.tolist() == [0.8, 1.0, 1.0]  # of one class only, all are said to be of it
    assert found.random.shape == (DRAWS, 3)
    assert found.random[:, 1].max() <= 1.0 and found.random[:, 1].mean() < 1.0


def test_labelled_images_count_as_right() -> None:
    same = np.zeros((10, 2))
    targets = np.array([0] * 6 + [1] * 4)
    found = compare(same, targets, [6, 7, 8, 9], [4])
    assert found is not None
    assert found.ours.tolist() == [0.4]  # all look alike, and are said to be of the class that was labelled


def test_long_curves_are_measured_at_few_points() -> None:
    found = compare(FAR, TARGETS, list(range(20)), [*range(0, 20), 90])
    assert found is not None
    assert found.labels == (1, 5, 9, 12, 16, 20)
    assert compare(FAR, TARGETS, [], [1, 2]) is None


def test_a_line_for_each_order() -> None:
    random = np.array([[0.5, 0.7]] * 5 + [[0.6, 0.9]] * 5)
    heading, ours, other = lines(Curves((10, 20), np.array([0.5, 0.8]), random, 1797))
    assert "1,797 images" in heading and heading.endswith("after 10, 20 labels:")
    assert ours.split() == ["this", "order", "50.0", "80.0"]
    assert other.startswith("random order   55.0 ±  5.3  80.0 ± 10.5  (mean ± standard deviation, n = 10 draws; 5 of")
    assert ours.index("80.0") + 4 == other.index("80.0 ± 10.5") + 11


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a backend that has learnt the pretext task on 24 digits of three classes: tasks 1 to 24."""
    base = tmp_path_factory.mktemp("data")
    images = read_folder(write_digits(base / "images", 10, 10, 10))
    pool, test = images.split(0.2, seed=0)
    settings = settings_in(base / "backend", cycles=2, query_size=3)
    with closing(Simulation(Replay(pool, test, rounds=2, query_size=3, answers=3), settings, lambda _: None)) as each:
        each.prepare()
    return base / "backend"


def test_the_embeddings_are_those_of_the_backend(data_dir: Path) -> None:
    truth = {task: str((task - 1) // 8) for task in range(1, 25)}
    del truth[24]  # an image that is none of the demo's
    found = curves(data_dir, 1, truth, [1, 9, 17, 24, 2], [3, 5])
    assert found is not None
    assert (found.labels, found.images) == ((3, 4), 23)
    assert found.ours.min() > 1 / 3


def test_without_embeddings_there_are_no_curves(data_dir: Path, tmp_path: Path) -> None:
    assert curves(tmp_path / "none", 1, {1: "a"}, [1], [1]) is None
    assert not (tmp_path / "none").exists()
    assert curves(data_dir, 2, {1: "a"}, [1], [1]) is None


def test_with_a_pretrained_encoder_probes_are_fitted_as_the_backend_fits_them(tmp_path: Path) -> None:
    pool, test = read_folder(write_digits(tmp_path / "images", 10, 10, 10)).split(0.2, seed=0)
    settings = settings_in(tmp_path / "backend", cycles=2, query_size=3, encoder="colour-4", strategy="balanced")
    replay = Replay(pool, test, rounds=2, query_size=3, answers=3)
    with (
        colour_encoders(),
        closing(Simulation(replay, settings, lambda _: None, learns_pretext=False)) as each,
    ):
        each.prepare()
        found = curves(settings.data_dir, 1, {task: str((task - 1) // 8) for task in range(1, 25)}, [1, 9, 17, 2], [4])
    assert found is not None and found.images == 24
    [path] = (settings.data_dir / "models").rglob(file_names("colour-4", input_size=128)[0])
    with closing(Store(settings.data_dir)) as store:
        [project] = store.projects()
        pool_arrays = store.pool(project)
    vectors = EmbeddingFile(path, width=48).read(pool_arrays.row[pool_arrays.task.argsort()])
    targets, labelled = np.repeat([0, 1, 2], 8), [0, 8, 16, 1]
    output = learning.Output(learning.SINGLE, 3)
    right = [
        learning.fit_head(vectors[labelled], targets[labelled], output, pool=scaled_by).logits(vectors).argmax(axis=1)
        == targets
        for scaled_by in (vectors, None)
    ]
    shares = [np.mean(each | np.isin(np.arange(24), labelled)) for each in right]
    assert found.ours.tolist() == [shares[0]]
    assert shares[0] != shares[1]
