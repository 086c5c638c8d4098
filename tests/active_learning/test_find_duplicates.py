"""Near-duplicates: when they are sought, how they wait in the queue, and that all of them are served at last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.rig import Rig
from support.tiny_encoder import NAME, tiny_encoders

from pt4al_backend.active_learning import hold_out
from pt4al_backend.store.findings import DUPLICATES, Found

N = 24
COPIES = {101: 5, 102: 5, 103: 5, 104: 20}
"""Task -> the task that shows the same."""
GROUPS = [{5, 101, 102, 103}, {20, 104}]


def opened(directory: Path, **settings: object) -> Rig:
    rig = Rig(directory, n=N, encoder=NAME, **{"strategy": "margin", "fine_tune": False} | settings)
    rig.workspace.learns_pretext = False
    rig.platform.add(list(COPIES))
    for copy, task in COPIES.items():
        rig.platform.show(copy, f"digit:{task - 1}")
    return rig


@pytest.fixture(autouse=True)
def tiny() -> Iterator[None]:
    with tiny_encoders():
        yield


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = opened(tmp_path)
    rig.settle()
    yield rig
    rig.close()


def found(rig: Rig) -> Found:
    finding = rig.store.finding(rig.id, DUPLICATES, arrays=True)
    assert finding is not None
    return finding


def groups(rig: Rig) -> list[set[int]]:
    together: dict[int, set[int]] = {}
    arrays = found(rig).arrays
    for task, middle in zip(arrays["task"].tolist(), arrays["middle"].tolist(), strict=True):
        together.setdefault(middle, set()).add(task)
    return sorted(together.values(), key=min)


def label_all(rig: Rig) -> list[int]:
    """Label what is served until nothing is left, and return the order."""
    order = []
    while rig.platform.queue:
        order.append(rig.platform.queue[0])
        rig.platform.label(order[-1], rig.platform.truth(COPIES.get(order[-1], order[-1])))
        rig.sync()
    return order


def test_copies_are_found_once_and_again_when_images_are_added(rig: Rig) -> None:
    assert groups(rig) == GROUPS
    stamp = found(rig).stamp
    rig.platform.label(rig.platform.queue[0])
    rig.platform.delete(N)
    rig.settle()
    assert found(rig).stamp == stamp
    rig.platform.add([105])
    rig.platform.show(105, "digit:7")
    rig.settle()
    assert groups(rig) == [GROUPS[0], {8, 105}, GROUPS[1]]


@pytest.mark.parametrize("strategy", ["margin", "balanced"])
def test_copies_wait_until_nothing_else_is_left_and_are_served_then(tmp_path: Path, strategy: str) -> None:
    rig = opened(tmp_path, strategy=strategy)
    rig.settle()
    order = label_all(rig)
    last = len(COPIES)
    assert sorted(order) == sorted([*range(1, N + 1), *COPIES])
    assert all(len(set(order[:-last]) & group) == 1 for group in GROUPS)
    rig.close()


def test_the_same_labels_give_the_same_order(tmp_path: Path) -> None:
    orders = []
    for name in ("one", "other"):
        rig = opened(tmp_path / name)
        rig.settle()
        orders.append(label_all(rig))
        rig.close()
    assert orders[0] == orders[1]


def test_the_others_of_a_labelled_image_wait(rig: Rig) -> None:
    rig.platform.label(104, "0")
    rig.sync()
    ranking = rig.store.ranking(rig.id)
    assert ranking is not None
    arrays, _ = ranking
    by_score = arrays.task[arrays.score.argsort(kind="stable")].tolist()
    waiting = set(by_score[-len(COPIES) - 1 : -1])  # the last one is labelled
    assert 20 in waiting and len(waiting & GROUPS[0]) == 3


def test_a_skipped_image_is_replaced_by_a_copy(rig: Rig) -> None:
    served = label_in_order(rig, until=GROUPS[0])
    rig.platform.skip(served)
    rig.sync()
    again = label_in_order(rig, until=GROUPS[0] - {served})
    assert again in GROUPS[0] - {served}


def label_in_order(rig: Rig, until: set[int]) -> int:
    """Label what is served until one of these is."""
    while (task := rig.platform.queue[0]) not in until:
        rig.platform.label(task, rig.platform.truth(COPIES.get(task, task)))
        rig.sync()
    return task


def test_the_reason_says_how_many_wait(rig: Rig) -> None:
    label_in_order(rig, until=GROUPS[0])
    reason, *_ = rig.store.reasons(rig.id)
    assert reason["why"][-1] == "3 near-duplicates of it wait"


def test_none_waits_where_people_want_all(rig: Rig) -> None:
    rig.settings = rig.settings.model_copy(update={"collapse_duplicates": False})
    rig.restart()
    rig.settle()
    assert groups(rig) == GROUPS
    assert not any("wait" in why for reason in rig.store.reasons(rig.id) for why in reason["why"])
    order = label_all(rig)
    assert sorted(order) == sorted([*range(1, N + 1), *COPIES])


def test_no_copy_of_a_held_out_image_is_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_out, "SINCE", 10)
    monkeypatch.setattr(hold_out, "LEAST", 11)
    rig = opened(tmp_path)
    rig.settle()
    for task in range(7, 17):
        rig.platform.label(task)
    rig.sync()
    held_out = set(rig.pool().task[rig.pool().held_out].tolist())
    assert all(group <= held_out or not group & held_out for group in GROUPS) and any(g <= held_out for g in GROUPS)
    assert len(held_out) == 11 + sum(len(group) - 1 for group in GROUPS if group <= held_out)  # a group counts once
    order = label_all(rig)
    assert len(order) == N + len(COPIES) - 10
    assert not set(rig.pool().task[rig.pool().training].tolist()) & held_out
    rig.close()
