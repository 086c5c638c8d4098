"""Tasks that a real Label Studio fails to list, and the search for them in a list that is made up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace

import pytest
from support.odd_servers import Reply, answering
from support.platform import CAT, CHOSEN, Opener, act, new_project, read
from support.studio import LEGACY_TOKEN, Studio, StudioError

from pt4al_backend.errors import (
    LabelStudioError,
    LabelStudioRefusedError,
    LabelStudioUnavailableError,
    ProjectGoneError,
)
from pt4al_backend.label_studio import faulty_tasks
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.faulty_tasks import (
    FaultyTasks,
    Filter,
    Row,
    between,
    greater,
    is_failure,
    number_filter,
)
from pt4al_backend.label_studio.task_list import TaskList


def test_tasks_at_which_label_studio_itself_fails(
    label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that one of them is in is answered with 500."""
    now = 1000.0
    monkeypatch.setattr(faulty_tasks, "PAGE", 4)
    monkeypatch.setattr(faulty_tasks, "time", SimpleNamespace(monotonic=lambda: now))
    number, ids = new_project(label_studio, 9)
    project = opened(number)
    project.project()
    cursor = read(project)[1]
    for task, data in ((ids[2], 5), (ids[4], {"image": "\ud800"})):
        with suppress(StudioError):
            label_studio.api("PATCH", f"/api/tasks/{task}/", json={"data": data})
    half = [{"data": {"image": "x"}, "annotations": [{"result": [CHOSEN | {"meta": "\ud800"}]}]}]
    ids += label_studio.import_images(number, half)
    label_studio.annotate(ids[3], "cat")
    with pytest.raises(StudioError):
        label_studio.api("GET", f"/api/tasks?project={number}")

    faulty = {ids[2], ids[4], ids[-1]}
    for since, expected in ((None, set(ids)), (cursor, faulty | {ids[3]})):
        states, after = read(project, since)
        assert states.keys() >= expected
        assert states[ids[3]].answers == CAT
        assert {task for task in states if states[task].notes} == faulty
        assert all(f"[{task}]" in states[task].notes[0] for task in faulty)
    assert project.missing(sorted(ids)) == opened(number).missing(sorted(ids)) == set()

    with suppress(StudioError):
        act(label_studio, number, "delete_tasks", [ids[2]])
    label_studio.api("PATCH", f"/api/tasks/{ids[4]}/", json={"data": {"image": "repaired"}})
    now += faulty_tasks.AGAIN + 1
    states, _ = read(project, after)
    assert states[ids[4]].image == "repaired" and states[ids[4]].notes == () and ids[2] not in states
    assert states[ids[-1]].notes != ()
    assert project.missing(sorted(ids)) == {ids[2]}


def test_a_label_studio_that_fails_at_everything_is_not_searched() -> None:
    with answering(lambda asked: Reply.json({"detail": "disk full"}, 500)) as server:
        tasks = TaskList(LabelStudioClient(server.url, LEGACY_TOKEN).request, 1)
        with pytest.raises(LabelStudioUnavailableError, match="disk full"):
            list(tasks.changed(None))
        assert len(server.asked) == 2


class Listing:
    """A list of tasks that fails if it contains a faulty one, as Label Studio's does."""

    def __init__(self, tasks: range, faulty: set[int]) -> None:
        self.tasks = list(tasks)
        self.faulty = faulty
        self.requests = 0

    def __call__(self, filters: Sequence[Filter], page: int) -> list[Row]:
        self.requests += 1
        rows = [number for number in self.tasks if all(self._passes(number, each) for each in filters)][:page]
        if self.faulty & set(rows):
            raise LabelStudioUnavailableError("Label Studio cannot answer now (HTTP 500).", status=500)
        return [{"id": number} for number in rows]

    def _passes(self, number: int, each: Filter) -> bool:
        value = each["value"]
        match each["operator"]:
            case "in":
                return bool(value["min"] <= number <= value["max"])
            case "greater":
                return bool(number > value)
            case "not_in_list":
                return number not in value
        raise AssertionError(each)


@pytest.mark.parametrize("faulty", [set(), {1}, {2000}, {1, 2, 3}, {7, 256, 257, 258, 1999}])
def test_the_search_finds_exactly_the_faulty_tasks(faulty: set[int]) -> None:
    listing = Listing(range(1, 2001), faulty)
    tasks = FaultyTasks(listing)
    assert tasks.find()
    assert tasks.numbers == faulty
    assert tasks.exclusion == ([number_filter("not_in_list", sorted(faulty))] if faulty else [])
    assert listing.requests < 20 + 40 * len(faulty)


def test_many_faulty_tasks_are_another_kind_of_trouble() -> None:
    tasks = FaultyTasks(Listing(range(1, 100), set(range(1, 100, 4))))
    assert not tasks.find()
    assert tasks.numbers == set()


def test_repaired_tasks_come_back_and_deleted_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(faulty_tasks, "time", SimpleNamespace(monotonic=lambda: now))
    listing = Listing(range(1, 10), {3, 5, 7})
    tasks = FaultyTasks(listing)
    assert tasks.find()
    listing.faulty = {7}
    listing.tasks.remove(5)
    assert tasks.repaired() == [], "too early to ask again"
    now += faulty_tasks.AGAIN
    assert tasks.repaired() == [{"id": 3}]
    assert tasks.numbers == {7}


def test_only_an_answer_of_500_or_nonsense_is_a_failure() -> None:
    assert is_failure(LabelStudioUnavailableError("x", status=500))
    assert is_failure(LabelStudioError("The server does not answer like Label Studio."))
    for error in (
        LabelStudioUnavailableError("x", status=503),
        LabelStudioUnavailableError("x"),
        LabelStudioRefusedError("x", status=400),
        ProjectGoneError("x"),
    ):
        assert not is_failure(error)


def test_filters_are_those_of_the_data_manager() -> None:
    assert between(3, 7) == {
        "filter": "filter:tasks:id",
        "operator": "in",
        "type": "Number",
        "value": {"min": 3, "max": 7},
    }
    assert (greater(3)["operator"], greater(3)["value"]) == ("greater", 3)
