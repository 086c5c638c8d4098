import time

import numpy as np
import pytest
from support.stored import QUESTIONS, state

from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.labelling.questions import Prediction
from pt4al_backend.store.pool_scores import PredictionArrays, RankingArrays

QUESTIONS_ASKED = questions_of(QUESTIONS)


def test_connecting_twice_is_one_project_and_keeps_the_token(store, project):
    again = store.connect(url="http://x", number=7, created="99", access_token="t", label_config="")
    third = store.connect(url="http://x", number=7, created="99", access_token="", label_config="")
    assert again.id == project.id == third.id
    assert store.project(project.id).access_token == "t"
    assert store.project(project.id).label_config == "<View/>"


def test_a_name_without_the_time_is_the_same_project(store, project):
    def connect(created, url="http://x", number=7):
        return store.connect(url=url, number=number, created=created, access_token="", label_config="")

    assert connect("").id == project.id
    assert store.project(project.id).created == "99"
    assert connect("", url="http://other").id != project.id
    bare = connect("", number=8)
    assert connect("5", number=8).id == bare.id
    assert store.project(bare.id).created == "5"
    later = connect("6", number=8)
    assert later.id != bare.id
    assert connect("", number=8).id == later.id


def test_a_reused_number_is_another_project(store, project):
    other = store.connect(url="http://x", number=7, created="100", access_token="", label_config="")
    assert other.id != project.id
    assert {found.id for found in store.find(7)} == {project.id, other.id}
    assert [found.id for found in store.find(7, "99")] == [project.id]


def test_many_wake_ups_merge_into_one(store, project):
    store.wake([project.id])
    store.wake([project.id], train=True)
    woken = store.project(project.id)
    assert store.wake_times() == {project.id: woken.wake_at}
    assert woken.train_requested_at == woken.wake_at


def test_a_ranking_replaces_the_one_before(store, project):
    assert store.ranking(project.id) is None
    for score in (0.5, 0.25):
        kinds = PredictionArrays(np.array([0.9, np.nan], np.float32), np.array([1, 0], np.int32))
        tags = PredictionArrays(np.array([0.8, 0.7], np.float32), np.array([[1, 1], [0, 0]], np.uint8))
        mask = PredictionArrays(np.full(2, np.nan, np.float32), np.zeros(0, np.uint8))
        arrays = RankingArrays(np.array([4, 9]), np.array([score, 1.0]), (kinds, tags, mask))
        store.save_ranking(project.id, arrays, questions=QUESTIONS, ranked_revision=3)
    found, questions = store.ranking(project.id)
    assert found.score.tolist() == [0.25, 1.0]
    assert questions == QUESTIONS_ASKED
    first, second = (found.predictions_at(place, questions) for place in (0, 1))
    assert first == {
        "kind": Prediction("dog", pytest.approx(0.9)),
        "tags": Prediction(("small", "wet"), pytest.approx(0.8)),
    }
    assert second == {"tags": Prediction((), pytest.approx(0.7))}
    assert found.find(np.array([9, 5, 4, 100])).tolist() == [1, -1, 0, -1]
    assert store.project(project.id).ranked_revision == 3


def test_forgetting_a_project_removes_rows_and_directories(store, project):
    store.apply(project.id, [state(1)])
    for directory in (store.pixels_dir(project.id), store.models_dir(project.id)):
        directory.mkdir(parents=True)
    store.forget(project.id)
    assert store.projects() == []
    assert store.task_ids(project.id) == []
    assert not store.pixels_dir(project.id).exists() and not store.models_dir(project.id).exists()


def test_a_project_follows_the_only_label_studio_to_another_address(store, project):
    def connect(url, created=project.created, only=True):
        return store.connect(
            url=url, number=project.number, created=created, access_token="", label_config="", only=only
        )

    assert connect("http://other", only=False).id != project.id  # two Label Studios may count alike
    assert connect("http://other").id != project.id
    assert connect("http://new", created="2").id != project.id
    store.connect(url="http://x", number=7, created="99", access_token="t", label_config="")
    moved = connect("http://new")
    assert (moved.id, moved.label_studio_url, moved.access_token) == (project.id, "http://new", "")
    assert len(store.projects()) == 3


def test_how_many_tasks_are_announced(store, project):
    def announced():
        return store.overviews([project])[project.id].announced

    assert announced() == 0
    for tasks in (70, 60):
        store.announce(project.id, tasks=tasks)
        assert announced() == tasks
    store.forget(project.id)
    store.announce(project.id, tasks=5)  # by a worker that has not noticed
    assert announced() == 0


def test_wake_ups_go_forward_when_the_clock_is_set_back(store, project, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    store.wake([project.id], train=True)
    woken = store.project(project.id)
    assert woken.wake_at > project.wake_at > 1000
    assert woken.train_requested_at > project.train_requested_at
