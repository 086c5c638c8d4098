"""Many tasks are taken in by many looks, against a platform that gives few at a time."""

import pytest
from support.known_labels import QUESTION, KnownLabels

from pt4al_backend.active_learning import sync
from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.errors import LabelStudioUnavailableError
from pt4al_backend.reports.status import status
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

PAGE, PAGES = 10, 6


class Rig:
    """A loop over a project with some labels, which takes in a page at a look."""

    def __init__(self, directory):
        self.settings = Settings(
            data_dir=directory, cycles=3, query_size=4, slack=4, pretext_epochs=1, main_epochs=1, device="cpu"
        )
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
        self.loop.look()
        self.loop.steer()
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
def rig(tmp_path, monkeypatch):
    monkeypatch.setattr(sync, "AT_A_TIME", 0.0)
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def test_all_tasks_are_counted_from_the_start(rig):
    rig.turn()
    assert rig.known() < PAGE * PAGES
    (shown,) = status(rig.store, rig.settings)["projects"]
    assert (shown["tasks"], shown["pool"]) == (PAGE * PAGES, 0)
    rig.settle()
    (shown,) = status(rig.store, rig.settings)["projects"]
    assert (shown["tasks"], shown["pool"]) == (PAGE * PAGES, PAGE * PAGES)


def test_nothing_is_made_of_a_part_of_the_tasks(rig):
    said = []
    while rig.known() < PAGE * PAGES:
        assert rig.turn()  # there is more to do
        said.append((rig.project.stage, round(rig.project.stage_progress, 2), rig.project.stage_detail))
        assert rig.store.totals(rig.id).waiting == rig.known()
    assert said[3] == ("images", 0.5, "30 of 60 tasks listed")
    rig.settle()
    assert (rig.platform.full_listings, rig.project.pretext_pool) == (1, 60)


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


def test_a_pass_goes_on_where_it_failed_or_was_killed(rig):
    fail_once(rig.platform, after=2)
    with pytest.raises(LabelStudioUnavailableError):
        while not rig.loop.has_looked:
            rig.loop.look()
    assert rig.known() == 20
    assert rig.loop.work(0.5) and not rig.project.image_size
    rig.loop.look()
    assert rig.known() == 30
    rig.restart()
    rig.loop.look()
    assert rig.known() == 40
    assert not rig.loop.has_looked
    rig.settle()
    assert (rig.platform.full_listings, rig.known(), rig.project.pretext_pool) == (1, 60, 60)


@pytest.mark.parametrize("killed", [False, True])
def test_other_questions_are_about_all_tasks_before_anything_is_made_of_them(rig, killed):
    rig.settle()
    for task in range(1, 31):
        rig.platform.label(task)
    rig.settle()
    published, trained = len(rig.platform.published), rig.project.main_generation
    rig.platform.classes = rig.platform.classes[:6]
    for _ in range(3):
        rig.turn()
    if killed:
        rig.restart()
        rig.turn()
    assert not rig.loop.has_looked
    assert len(rig.platform.published) == published
    rig.settle()
    answers = [answer[QUESTION] for answer in rig.store.answers(rig.id).values()]
    assert sorted(answers) == sorted(rig.platform.truth(k) for k in range(1, 31) if rig.platform.truth(k) in "012345")
    assert (rig.project.main_generation, rig.project.main_labels) == (trained + 1, len(answers))


def test_other_questions_are_learnt_although_the_tasks_cannot_be_listed_at_once(rig):
    rig.settings = rig.settings.model_copy(update={"main_epochs": 500})
    rig.restart()
    rig.settle()
    for task in range(1, 31):
        rig.platform.label(task)
    while rig.loop.busy_with != "training":
        rig.turn(0.001)
    rig.settings = rig.settings.model_copy(update={"main_epochs": 1})
    rig.loop.workspace.settings = rig.settings
    rig.platform.classes = rig.platform.classes[:6]
    rig.loop.look()
    fail_once(rig.platform, after=0)
    with pytest.raises(LabelStudioUnavailableError):
        rig.loop.look()
    assert rig.loop.busy_with == ""
    rig.settle()
    assert rig.project.main_labels == len(rig.store.answers(rig.id)) < 30


def test_a_task_that_was_missed_is_found_by_looking_at_all_again(rig):
    rig.settle()
    healthy = rig.platform.tasks
    rig.platform.tasks = lambda since: iter(()) if since else healthy(None)  # nothing ever seems to have changed
    rig.platform.add([501])
    for _ in range(2 + sync.PATIENCE + PAGES):
        rig.turn()
    assert rig.known() == 61


def test_a_project_in_which_nothing_happens_does_not_change(rig):
    rig.settle()
    rig.turn()
    before = rig.project.updated_at
    for _ in range(3):
        rig.turn()
    assert rig.project.updated_at == before
    rig.platform.label(1)
    rig.turn()
    assert rig.project.updated_at > before
