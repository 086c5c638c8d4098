"""When a window is chosen, and from which images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.known_labels import KnownLabels
from support.rig import Rig

from pt4al_backend.active_learning import fetch_images, loop, newest_window, read_images


class Gate:
    """Lets a platform deliver the images of the first `open_to` tasks; reading others waits."""

    def __init__(self, platform: KnownLabels, open_to: int) -> None:
        self._changed, self._open_to = threading.Condition(), open_to
        self._image: Callable[[int, str], bytes] = platform.image
        platform.image = self.image  # type: ignore[method-assign]

    def open(self, to: int = 10_000) -> None:
        with self._changed:
            self._open_to = to
            self._changed.notify_all()

    def image(self, task: int, value: str) -> bytes:
        with self._changed:
            self._changed.wait_for(lambda: task <= self._open_to, timeout=20)
        return self._image(task, value)


@pytest.fixture
def rig(tmp_path: Path, colours: set[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(newest_window, "FIRST", 30)
    monkeypatch.setattr(fetch_images, "SAMPLE", 4)
    rig = Rig(tmp_path, n=100, encoder="colour-2", pretext_epochs=1, fetch_workers=4, diversity="coverage")
    yield rig
    rig.close()


def tasks(rig: Rig) -> list[int]:
    return [pick.task for pick in rig.platform.published[-1].picks]


def fetched(rig: Rig) -> int:
    return rig.store.totals(rig.id).pool


def test_a_first_window_is_chosen_while_images_are_still_fetched_and_again_when_all_are_there(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LABELLING", 0.0)
    gate = Gate(rig.platform, 29)
    rig.turn_until(lambda: fetched(rig) == 29)
    for _ in range(5):
        rig.loop.update_queue()
        rig.loop.work(0.05)
    assert rig.platform.published == []
    gate.open(40)
    rig.turn_until(lambda: fetched(rig) == 40 and rig.platform.published)
    first = tasks(rig)
    assert max(first) <= 40 and len(first) == 6 + 5
    assert (rig.project.stage, rig.project.query_size, rig.project.round) == ("images", 10, 0)  # of the whole pool
    ranked = rig.project.ranked_pool
    assert 30 <= ranked <= 40
    gate.open(80)
    rig.turn_until(lambda: fetched(rig) == 80)
    assert rig.loop.is_awaited
    assert tasks(rig) == first and len(rig.platform.published) == 1  # it does not jump around
    gate.open()
    rig.turn_until(lambda: rig.project.ranked_pool == 100)
    assert not rig.loop.is_awaited
    assert max(tasks(rig)) > 80
    window = rig.platform.published[-1]
    assert set(first[:10]) <= {pick.task for pick in (*window.picks, *window.opened)}  # somebody may have one open


def test_on_a_slow_machine_a_first_window_is_chosen_from_fewer_images(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest_window, "LEAST", 10)
    gate = Gate(rig.platform, 9)
    rig.turn_until(lambda: fetched(rig) == 9)
    monkeypatch.setattr(newest_window, "SOON", 0.0)
    rig.loop.update_queue()
    assert rig.platform.published == []
    gate.open(10)
    rig.turn_until(lambda: fetched(rig) == 10 and rig.platform.published)
    assert rig.project.ranked_pool == 10
    gate.open()
    rig.turn_until(lambda: rig.project.ranked_pool == 100)


def test_a_label_counts_while_images_are_still_fetched(rig: Rig) -> None:
    gate = Gate(rig.platform, 40)
    rig.turn_until(lambda: fetched(rig) == 40 and rig.platform.published)
    gate.open(60)
    rig.turn_until(lambda: fetched(rig) == 60)
    task = rig.platform.queue[0]
    rig.platform.label(task)
    rig.sync()
    assert rig.platform.published[-1].version.split("-")[2] == "n1"
    assert task not in rig.platform.queue and rig.project.ranked_pool == 60
    gate.open()


def test_a_kill_while_images_are_fetched_does_no_harm(rig: Rig) -> None:
    gate = Gate(rig.platform, 40)
    rig.turn_until(lambda: fetched(rig) == 40 and rig.platform.published)
    rig.loop.close()
    rig.restart()
    rig.sync()
    assert rig.project.ranked_pool == 40
    gate.open()
    rig.settle()
    assert rig.project.ranked_pool == fetched(rig) == 100
    assert not len(rig.workspace.networks.embeddings(rig.project).missing(rig.pool().row))


def test_a_pool_smaller_than_that_is_ranked_when_all_its_images_are_there(rig: Rig) -> None:
    for task in range(21, 101):
        rig.platform.delete(task)
    gate = Gate(rig.platform, 12)
    rig.turn_until(lambda: fetched(rig) == 12)
    assert rig.platform.published == []
    gate.open()
    rig.turn_until(lambda: rig.platform.published)
    assert rig.project.ranked_pool == 20


def test_images_that_come_later_do_not_hold_up_the_next_order(rig: Rig) -> None:
    rig.settle()
    gate = Gate(rig.platform, 100)
    rig.platform.add(range(101, 111))
    rig.turn_until(lambda: rig.store.totals(rig.id).waiting == 10)
    rig.platform.label(rig.platform.queue[0])
    rig.sync()
    assert rig.platform.published[-1].version.split("-")[2] == "n1"
    rig.restart()  # a worker that knows nothing of the window
    rig.platform.label(rig.platform.queue[0])
    rig.sync()
    assert rig.platform.published[-1].version.split("-")[2] == "n2"
    gate.open()
    rig.settle()
    assert rig.project.ranked_pool == 110


def test_the_pool_is_not_read_at_every_turn_while_there_are_too_few_images(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(rig.platform, 20)
    rig.turn_until(lambda: fetched(rig) == 20)
    with monkeypatch.context() as patch:
        patch.setattr(rig.store, "pool", None)
        rig.loop.update_queue()
    gate.open()
    rig.settle()


def test_few_images_are_in_memory_at_a_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_images, "IN_FLIGHT", 8)
    known = rig.platform.image
    begun: list[int] = []

    def image(task: int, value: str) -> bytes:
        begun.append(task)
        return known(task, value)

    rig.platform.image = image  # type: ignore[method-assign]
    rig.turn_until(lambda: rig.project.image_size)
    begun.clear()
    while rig.store.totals(rig.id).waiting:
        rig.step()
        assert len(begun) - fetched(rig) <= 8
