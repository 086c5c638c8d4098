"""The task list of a real Label Studio, in small pages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from support.odd_servers import Reply, answering
from support.platform import Opener, act, new_project, read
from support.studio import LEGACY_TOKEN, Studio

from pt4al_backend.errors import LabelStudioError
from pt4al_backend.label_studio import task_list
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.task_list import TaskList, parse_time


def test_pages_lose_nothing(label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_list, "PAGE", 3)
    number, ids = new_project(label_studio, 8)
    project = opened(number)
    assert read(project)[0].keys() == set(ids)

    pages = project.tasks(None)
    seen = {state.id: state for state in next(pages)[0]}
    label_studio.annotate(ids[0], "dog")  # read already; while the rest is read it moves to the end
    label_studio.annotate(ids[6], "dog")
    for page, seen_to in pages:
        seen.update({state.id: state for state in page})
        cursor = seen_to
    assert seen.keys() == set(ids)
    assert [task for task in ids if seen[task].answers] == [ids[0], ids[6]]

    for task in ids[:5]:
        label_studio.annotate(task, "cat")
    act(label_studio, number, "delete_tasks_annotations", ids[:5])  # all at one time, more than a page
    times = {task["updated_at"] for task in label_studio.api("GET", f"/api/tasks?project={number}")["tasks"][:5]}
    assert len(times) == 1
    for since in (None, cursor):
        states, _ = read(project, since)
        assert [states[task].answers for task in ids[:5]] == [{}] * 5
    label_studio.api("PATCH", f"/api/projects/{number}", json={"evaluate_predictions_automatically": True})
    project.project()
    assert read(project)[0].keys() == set(ids)


def test_late_commits_are_seen(label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(task_list, "time", SimpleNamespace(monotonic=lambda: now))
    number, ids = new_project(label_studio, 3)
    project = opened(number)
    cursor = read(project)[1]
    assert read(project, cursor)[0].keys() == set(ids)  # something older may still be committed
    now += task_list.OVERLAP + 1
    assert read(project, cursor) == ({}, cursor)
    assert read(opened(number), cursor)[0].keys() == set(ids)  # after a restart nobody knows since when


def test_what_was_imported_at_once_is_read_again_only_once(
    label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(task_list, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(task_list, "PAGE", 3)
    number, ids = new_project(label_studio, 8)
    project = opened(number)
    cursor = read(project)[1]
    assert read(project, cursor) == ({}, cursor)
    label_studio.annotate(ids[1], "dog")
    states, labelled = read(project, cursor)
    assert states.keys() == {ids[1]}  # what is new comes at once
    now += task_list.OVERLAP + 1
    assert read(project, labelled)[0].keys() == set(ids)  # transactions of the import have ended
    for _ in range(2):
        assert read(project, labelled) == ({}, labelled)


def test_missing_tasks(label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_list, "PAGE", 4)
    number, ids = new_project(label_studio, 40)
    project = opened(number)
    assert project.missing([]) == project.missing(ids) == set()
    gone = [ids[0], ids[17], ids[18], ids[39]]
    act(label_studio, number, "delete_tasks", gone)
    assert project.missing(ids) == set(gone)
    assert project.missing(gone) == set(gone)
    assert project.missing([ids[-1] + 1000]) == {ids[-1] + 1000}


def test_addresses_that_the_data_manager_changed_without_a_trace(label_studio: Studio, opened: Opener) -> None:
    number, tasks = new_project(label_studio, 3)
    platform = opened(number)
    _, cursor = read(platform)
    selected = {"selectedItems": {"all": False, "included": tasks[1:]}, "ordering": []}
    field = {"value_name": "image", "value_type": "Expression", "value": "replace('/data/upload','https://images')"}
    action = f"/api/dm/actions?id=add_data_field&project={number}"
    label_studio.api("POST", action, json=selected | field | {"project": str(number)})
    now = {tasks[0]: "/data/upload/0.png", tasks[1]: "https://images/1.png", tasks[2]: "https://images/2.png"}
    assert platform.images_behind(0) == platform.images_behind(-1) == now
    assert platform.images_behind(tasks[0]) == {task: now[task] for task in tasks[1:]}
    assert platform.images_behind(tasks[2]) == {}
    assert platform.images_of([tasks[1], tasks[2] + 1000]) == {tasks[1]: now[tasks[1]]}
    assert platform.images_of([]) == {}
    assert read(platform, cursor)[1] == cursor, "Label Studio says that nothing has changed"


def test_a_time_far_in_the_future_becomes_now() -> None:
    """As bulk edits on Windows write it; the cursor must not skip what changes until then."""
    now = datetime.now(timezone.utc)
    for ahead, cursor in ((timedelta(hours=2), now), (timedelta(minutes=5), now + timedelta(minutes=5))):
        written = (now + ahead).isoformat().replace("+00:00", "Z")
        page = {"tasks": [{"id": 1, "updated_at": written}], "total": 1}
        ((_, seen_to),) = TaskList(lambda method, path, *, params, page=page: page, 1).changed(None)
        assert abs(parse_time(seen_to) - cursor) < timedelta(minutes=1)


def test_times_of_label_studio() -> None:
    expected = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=timezone.utc)
    assert parse_time("2024-05-06T07:08:09.123456Z") == parse_time("2024-05-06T09:08:09.123456+02:00") == expected


def test_another_form_of_list_is_an_error() -> None:
    with answering(lambda asked: Reply.json([])) as server:
        tasks = TaskList(LabelStudioClient(server.url, LEGACY_TOKEN).request, 1)
        with pytest.raises(LabelStudioError, match="lists tasks in a form that PT4AL does not know"):
            tasks.existing([1])
