"""Many tasks are taken in by many looks, against a platform that gives few at a time."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from support.known_labels import QUESTION, KnownLabels
from support.question_rig import MASK, opened

from pt4al_backend.active_learning import sync
from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.errors import LabelStudioUnavailableError
from pt4al_backend.reports.status import status
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

PAGE, PAGES = 10, 6


class PagedRig:
    """A loop over a project with some labels, which takes in a page at a look."""

    def __init__(self, directory):
        quick = {"pretext_epochs": 1, "main_epochs": 1, "image_size": 16, "device": "cpu"}
        self.settings = Settings(data_dir=directory, cycles=3, query_size=4, slack=4, **quick)
        self.platform = KnownLabels(PAGE * PAGES, page=PAGE)
        self.store = Store(directory)
        self.id = self.store.connect(url="http://x", number=1, created="1", access_token="", label_config="").id
        self.restart()

    def restart(self):
        """As a worker that was killed does."""
        self.loop = ProjectLoop(Workspace(self.id, self.store, self.platform, self.settings, "cpu"))

    @property
    def project(self):
        return self.store.project(self.id)

    def known(self):
        return self.store.totals(self.id).tasks

    def turn(self, seconds=0.5):
        self.loop.sync()
        self.loop.update_queue()
        return self.loop.work(seconds)

    def settle(self):
        for _ in range(500):
            if not self.turn():
                return
        raise AssertionError("the loop does not come to rest")

    def close(self):
        self.loop.close()
        self.store.close()


@pytest.fixture
def paged(tmp_path, monkeypatch):
    monkeypatch.setattr(sync, "AT_A_TIME", 0.0)
    paged = PagedRig(tmp_path)
    yield paged
    paged.close()


def test_all_tasks_are_counted_from_the_start(paged):
    paged.turn()
    assert paged.known() < PAGE * PAGES
    (shown,) = status(paged.store, paged.settings)["projects"]
    assert (shown["tasks"], shown["pool"]) == (PAGE * PAGES, 0)
    paged.settle()
    (shown,) = status(paged.store, paged.settings)["projects"]
    assert (shown["tasks"], shown["pool"]) == (PAGE * PAGES, PAGE * PAGES)


def test_nothing_is_made_of_a_part_of_the_tasks(paged):
    said = []
    while paged.known() < PAGE * PAGES:
        assert paged.turn()  # there is more to do
        said.append((paged.project.stage, round(paged.project.stage_progress, 2), paged.project.stage_detail))
        assert paged.store.totals(paged.id).waiting == paged.known()
    assert said[3] == ("images", 0.5, "30 of 60 tasks listed")
    paged.settle()
    assert (paged.platform.full_listings, paged.project.pretext_pool) == (1, 60)


def fail_once(platform, after):
    """The platform now fails at the page behind the first `after` ones."""
    healthy = platform.tasks

    def tasks(since):
        platform.tasks = healthy
        for number, page in enumerate(healthy(since)):
            if number == after:
                raise LabelStudioUnavailableError("502 Bad Gateway")
            yield page

    platform.tasks = tasks


def test_a_pass_goes_on_where_it_failed_or_was_killed(paged):
    fail_once(paged.platform, after=2)
    with pytest.raises(LabelStudioUnavailableError):
        while not paged.loop.is_synced:
            paged.loop.sync()
    assert paged.known() == 20
    assert paged.loop.work(0.5) and not paged.project.image_size
    paged.loop.sync()
    assert paged.known() == 30
    paged.restart()
    paged.loop.sync()
    assert paged.known() == 40
    assert not paged.loop.is_synced
    paged.settle()
    assert (paged.platform.full_listings, paged.known(), paged.project.pretext_pool) == (1, 60, 60)


@pytest.mark.parametrize("killed", [False, True])
def test_other_questions_are_about_all_tasks_before_anything_is_made_of_them(paged, killed):
    paged.settle()
    for task in range(1, 31):
        paged.platform.label(task)
    paged.settle()
    published, trained = len(paged.platform.published), paged.project.main_generation
    paged.platform.classes = paged.platform.classes[:6]
    for _ in range(3):
        paged.turn()
    if killed:
        paged.restart()
        paged.turn()
    assert not paged.loop.is_synced
    assert len(paged.platform.published) == published
    paged.settle()
    answers = [answer[QUESTION] for answer in paged.store.answers(paged.id).values()]
    assert sorted(answers) == sorted(
        paged.platform.truth(k) for k in range(1, 31) if paged.platform.truth(k) in "012345"
    )
    assert (paged.project.main_generation, paged.project.main_labels) == (trained + 1, len(answers))


def test_other_questions_are_learnt_although_the_tasks_cannot_be_listed_at_once(paged):
    paged.settings = paged.settings.model_copy(update={"main_epochs": 500})
    paged.restart()
    paged.settle()
    for task in range(1, 31):
        paged.platform.label(task)
    while paged.loop.busy_with != "training":
        paged.turn(0.001)
    paged.settings = paged.settings.model_copy(update={"main_epochs": 1})
    paged.loop.workspace.settings = paged.settings
    paged.platform.classes = paged.platform.classes[:6]
    paged.loop.sync()
    fail_once(paged.platform, after=0)
    with pytest.raises(LabelStudioUnavailableError):
        paged.loop.sync()
    assert paged.loop.busy_with == ""
    paged.settle()
    assert paged.project.main_labels == len(paged.store.answers(paged.id)) < 30


def test_a_task_that_was_missed_is_found_by_looking_at_all_again(paged):
    paged.settle()
    healthy = paged.platform.tasks
    paged.platform.tasks = lambda since: iter(()) if since else healthy(None)  # nothing ever seems to have changed
    paged.platform.add([501])
    for _ in range(2 + sync.PATIENCE + PAGES):
        paged.turn()
    assert paged.known() == 61


def test_a_project_in_which_nothing_happens_does_not_change(paged):
    paged.settle()
    paged.turn()
    before = paged.project.updated_at
    for _ in range(3):
        paged.turn()
    assert paged.project.updated_at == before
    paged.platform.label(1)
    paged.turn()
    assert paged.project.updated_at > before


def test_a_changed_config_drops_labels_of_classes_that_are_gone(settled):
    task = settled.platform.queue[0]
    settled.platform.label(task)
    settled.sync()
    settled.platform.classes = tuple(c for c in settled.platform.classes if c != settled.platform.truth(task))
    settled.sync()
    assert settled.project.questions[0]["classes"] == list(settled.platform.classes)
    assert not settled.pool().labelled[settled.pool().task == task][0]


def test_the_pool_is_listed_whole_only_once(rig):
    rig.settle()
    for task in rig.platform.queue[:4]:
        rig.platform.label(task)
        rig.sync()
    rig.platform.delete(rig.platform.queue[0])
    rig.sync()
    assert rig.platform.full_listings == 1


def test_a_platform_that_is_down_loses_nothing(settled):
    settled.platform.down = True
    with pytest.raises(LabelStudioUnavailableError):
        settled.sync()
    settled.platform.down = False
    settled.sync()
    assert settled.project.model_version == settled.platform.model_version


def test_an_answer_without_a_usable_class_leaves_the_queue(settled):
    task = settled.platform.queue[0]
    settled.platform.label(task, "no such class")
    settled.sync()
    assert task not in [pick.task for pick in settled.platform.published[-1].picks]


def test_what_cannot_be_used_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = 'A region of "mask" is left out: it has no label.'
    with opened(tmp_path, MASK, n=8) as rig, caplog.at_level(logging.WARNING):
        rig.settle()
        rig.platform.note(3, said)
        for _ in range(3):
            rig.sync()
        rig.platform.questions = (replace(MASK, name="brush"),)  # every task is read again
        rig.sync()
        assert caplog.messages == [f"project 1, task 3: {said}"]
        assert rig.store.notes(rig.id) == [(3, said)]
        rig.platform.note(3)
        rig.sync()
        assert rig.store.notes(rig.id) == []


def test_notes_follow_the_config(tmp_path: Path) -> None:
    """A note may come and go without any change of the annotation."""
    with opened(tmp_path, MASK, n=8) as rig:
        rig.settle()
        rig.platform.states[3] = replace(rig.platform.states[3], notes=("It has a label that is gone.",))
        rig.platform.questions = (replace(MASK, classes=("square", "disc")),)
        rig.sync()
        assert rig.store.notes(rig.id) == [(3, "It has a label that is gone.")]
