from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.drawn_masks import mask_settings, read_all
from support.interrupting import assert_interruptions_change_nothing
from support.simulated_store import Stored
from support.simulating import settings_in, write_digits

from pt4al_backend.datasets.folders import read_folder
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.settings import Settings
from pt4al_backend.simulate.simulation import Replay, Round, Simulation
from pt4al_backend.store.store import Store


@pytest.mark.parametrize(
    ("order", "batches"),
    [
        # ranks, counted from the hardest image
        ("hard_first", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]),
        ("easy_first", [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]),
        ("round_robin", [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]),
    ],
)
def test_queries_worked_out_by_hand(tmp_path: Path, order: str, batches: list[list[int]]) -> None:
    """Twelve images of three classes in three batches of four, two labels a round."""
    images = read_folder(write_digits(tmp_path / "images", 6, 6, 6))
    pool, test = images.take(np.array([0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15])), images.take(np.array([4, 10, 16]))
    settings = settings_in(
        tmp_path / "data", cycles=3, query_size=2, order=order, diversity="off", uncertainty="confidence", seed=1
    )
    stored = Stored(tmp_path / "data")
    expected: list[list[int]] = []
    labelled_after: list[set[int]] = []

    with closing(Simulation(Replay(pool, test, rounds=3, query_size=2, answers=2), settings, print)) as simulation:
        assert simulation.fetch() == []
        simulation.prepare()
        published, losses, labelled = stored.read()
        assert len(losses) == len(set(losses.values())) == 12 and not labelled
        hardest_first = sorted(losses, key=lambda task: -losses[task])
        batch = [[hardest_first[rank] for rank in ranks] for ranks in batches]

        # Round 0: at even distances through its batch, which is the first and the third of four.
        expected.append([batch[0][0], batch[0][2]])
        assert published[:2] == expected[0]

        def tell(rounds: list[Round]) -> None:
            """Work out the next query: the two of the next batch that the model is most uncertain of."""
            published, _, labelled = stored.read()
            labelled_after.append(labelled)
            if len(rounds) < 3:
                _, _, uncertainty = stored.model()
                expected.append(sorted(batch[len(rounds)], key=lambda task: -uncertainty[task])[:2])
                assert published[:2] == expected[-1]

        rounds = simulation.play(tell)

    assert [entry["labels"] for entry in rounds] == [2, 4, 6]
    for k, labelled in enumerate(labelled_after):
        assert labelled == {task for query in expected[: k + 1] for task in query}
        assert all(set(expected[j]) <= set(batch[j]) for j in range(k + 1))


def test_images_that_cannot_be_read_make_the_pool_smaller(tmp_path: Path) -> None:
    images = read_folder(write_digits(tmp_path / "images", 8, 8))

    def read(position: int) -> bytes:
        if position % 4 == 0:
            raise UnreadableImageError("torn")
        return images.read(position)

    pool = LabelledImages(images.classes, images.targets, read)  # 16 images, 12 of them readable
    test = images.take(np.array([0, 15]))
    settings = settings_in(tmp_path / "data", cycles=3, query_size=5)
    with closing(Simulation(Replay(pool, test, rounds=3, query_size=5, answers=20), settings, print)) as simulation:
        simulation.fetch()
        rounds = simulation.play(lambda _: None)
    assert [entry["labels"] for entry in rounds] == [5, 10, 12]


def test_unreadable_test_images_are_left_out(tmp_path: Path) -> None:
    images = read_folder(write_digits(tmp_path / "images", 6, 6))

    def replay(*unreadable: int) -> Replay:
        def read(position: int) -> bytes:
            if position in unreadable:
                raise UnreadableImageError("torn")
            return images.read(position)

        test = LabelledImages(images.classes, images.targets, read).take(np.array([0, 11]))
        return Replay(images.take(np.arange(1, 11)), test, rounds=2, query_size=2, answers=2)

    with closing(Simulation(replay(0), settings_in(tmp_path / "one", cycles=2, query_size=2), print)) as simulation:
        (fault,) = simulation.fetch()
        assert fault.endswith(": torn")
        assert simulation.rounds_done == 0
        assert [entry["labels"] for entry in simulation.play(lambda _: None)] == [2, 4]
        assert simulation.rounds_done == 2
    nothing = Simulation(replay(0, 11), settings_in(tmp_path / "both", cycles=2, query_size=2), print)
    with closing(nothing), pytest.raises(PT4ALError, match=r"None of the test images .*: torn"):
        nothing.fetch()


def test_an_interruption_at_any_moment_changes_nothing(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While images are read, within the pretext task, among a round's labels, within a training, after it."""
    pool, test = read_folder(digits).split(0.2, seed=0)
    replay = Replay(pool, test, rounds=3, query_size=4, answers=3)
    rounds = assert_interruptions_change_nothing(
        replay, lambda data_dir: settings_in(data_dir, cycles=3, query_size=4), tmp_path, monkeypatch
    )
    assert [entry["labels"] for entry in rounds] == [4, 8, 12]


def test_an_interruption_changes_nothing_with_masks(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between an answer and its mask."""
    pool, test = read_all(drawings).split(0.2, seed=0)
    replay = Replay(pool, test, rounds=2, query_size=6, answers=6)  # more answers than are drawn on the way
    rounds = assert_interruptions_change_nothing(
        replay, lambda data_dir: mask_settings(data_dir, cycles=2, query_size=6), tmp_path, monkeypatch
    )
    assert [entry["labels"] for entry in rounds] == [6, 12]


# With a pretrained encoder


def pretrained_in(data_dir: Path, **changes: Any) -> Settings:
    return settings_in(data_dir, **{"encoder": "colour-4", "strategy": "coverage", "cycles": 3} | changes)


def test_a_strategy_without_batches_waits_for_no_pretext_task(digits: Path, tmp_path: Path, colours: None) -> None:
    pool, test = read_folder(digits).split(0.2, seed=0)
    replay = Replay(pool, test, rounds=3, query_size=4, answers=4)
    with closing(Simulation(replay, pretrained_in(tmp_path, query_size=4), print, learns_pretext=False)) as simulation:
        assert simulation.fetch() == []
        simulation.prepare()
        rounds = simulation.play(lambda _: None)
    assert [entry["labels"] for entry in rounds] == [4, 8, 12]
    assert all("accuracy" in entry and "network_accuracy" not in entry for entry in rounds)
    with closing(Store(tmp_path)) as store:
        [project] = store.projects()
        assert (project.encoder, project.pretext_generation, project.main_generation) == ("colour-4", 0, 0)


def test_an_interruption_at_any_moment_changes_nothing_with_a_pretrained_encoder(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colours: None
) -> None:
    """With batches: while images are embedded, and while the pretext task is learned, too."""
    pool, test = read_folder(digits).split(0.2, seed=0)
    replay = Replay(pool, test, rounds=3, query_size=4, answers=3)
    rounds = assert_interruptions_change_nothing(
        replay, lambda data_dir: pretrained_in(data_dir, query_size=4, strategy="pt4al"), tmp_path, monkeypatch
    )
    assert [entry["labels"] for entry in rounds] == [4, 8, 12]
