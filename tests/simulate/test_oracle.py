"""The platform that answers simulations: tasks, what changed since, the queue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.drawn_masks import CLASSES, read_all, truth

from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.labelling.platform import LabellingPlatform, Pick, TaskState, Window
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.simulate.oracle import KnownLabels


def known(n: int = 6) -> KnownLabels:
    """Cats and dogs in turn; the bytes of an image are its position, the sixth cannot be read."""

    def read(position: int) -> bytes:
        if position == 5:
            raise UnreadableImageError("torn")
        return str(position).encode()

    return KnownLabels(LabelledImages(("cat", "dog"), np.arange(n) % 2, read))


def changed(platform: LabellingPlatform, since: str | None) -> tuple[list[TaskState], str]:
    """All states since a cursor, page by page, and the cursor behind them."""
    states: list[TaskState] = []
    for page, cursor in platform.tasks(since):
        states += page
        since = cursor
    assert since is not None
    return states, since


def test_tasks_are_numbered_from_one_and_show_the_images() -> None:
    platform = known()
    states, _ = changed(platform, None)
    assert [state.id for state in states] == [1, 2, 3, 4, 5, 6]
    assert [state.answers for state in states] == [{}] * 6
    assert [platform.image(state.id, state.image) for state in states[:5]] == [b"0", b"1", b"2", b"3", b"4"]
    with pytest.raises(UnreadableImageError, match="torn"):
        platform.image(6, states[5].image)
    assert platform.missing([1, 2, 3]) == set()


def test_answers_are_the_truth_and_are_listed_once() -> None:
    platform = known()
    _, cursor = changed(platform, None)
    before = {state.id: state.version for state in changed(platform, None)[0]}
    platform.answer([4, 1])
    platform.answer([4])  # again: nothing changes
    states, cursor = changed(platform, cursor)
    assert [(state.id, state.answers, state.annotations) for state in states] == [
        (4, {"class": "dog"}, 1),
        (1, {"class": "cat"}, 1),
    ]
    assert all(state.version != before[state.id] for state in states)
    assert changed(platform, cursor)[0] == []
    assert platform.project().annotations == 2
    assert platform.project().skipped == 0


def test_a_listing_from_the_start_shows_tasks_as_they_are_now() -> None:
    platform = known()
    platform.answer([2])
    states, _ = changed(platform, None)
    assert {state.id: state.answers.get("class") for state in states} == dict.fromkeys(range(1, 7)) | {2: "dog"}


@pytest.mark.parametrize("n", [1000, 2500])
def test_pages_hold_every_task(n: int) -> None:
    platform = known(n)
    states, cursor = changed(platform, None)
    assert [state.id for state in states] == list(range(1, n + 1))
    platform.answer(range(1, n + 1))
    states, _ = changed(platform, cursor)
    assert [state.id for state in states] == list(range(1, n + 1))
    assert all(state.answers for state in states)


def test_a_cursor_between_two_pages_leaves_nothing_out() -> None:
    platform = known(2500)
    pages = platform.tasks(None)
    first, cursor = next(pages)
    rest, _ = changed(platform, cursor)
    assert [state.id for state in first + rest] == list(range(1, 2501))


def test_the_queue_is_the_window_without_answered_tasks() -> None:
    platform = known()
    assert platform.queue == []
    assert platform.project().model_version == ""
    platform.publish(Window("pt4al-r0-n0-1", tuple(Pick(task, 0.1 * task) for task in (5, 2, 4))))
    assert platform.queue == [5, 2, 4]
    platform.answer([2])
    assert platform.queue == [5, 4]
    assert platform.project().model_version == "pt4al-r0-n0-1"
    platform.publish(Window("pt4al-r0-n1-2", (Pick(2, 0.0), Pick(1, 0.5))))
    assert platform.queue == [1]


def test_known_masks_are_drawn(drawings: Path) -> None:
    platform = KnownLabels(read_all(drawings).take(np.array([7, 3])))
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
