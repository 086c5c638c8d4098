import threading
import time
from contextlib import closing

import numpy as np
import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.labelling.platform import TaskState
from pt4al_backend.labelling.questions import Prediction
from pt4al_backend.store.pool_scores import PredictionArrays, RankingArrays
from pt4al_backend.store.store import Store

QUESTIONS = [
    {"name": "kind", "kind": "single", "classes": ["cat", "dog"]},
    {"name": "tags", "kind": "multiple", "classes": ["small", "wet"]},
    {"name": "where", "kind": "segmentation", "classes": ["cat", "dog"]},
]
QUESTIONS_ASKED = questions_of(QUESTIONS)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def project(store):
    project = store.connect(url="http://x", number=7, created="99", access_token="", label_config="<View/>")
    store.update(project.id, questions=QUESTIONS)
    return project


def state(task, *, version="1", label=None, image=None, skipped=False):
    answers = {} if label is None else {"kind": label}
    return TaskState(task, image or f"/{task}.png", version, answers, skipped, int(label is not None), int(skipped))


def fetch(store, project, ids):
    rows = store.reserve_rows(project.id, ids)
    store.images_done(project.id, ready={i: (f"/{i}.png", 40, 30) for i in ids}, failed={})
    return rows


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


def test_only_what_changed_counts_as_change(store, project):
    assert store.apply(project.id, [state(1), state(2)])
    revision = store.project(project.id).labels_revision
    assert not store.apply(project.id, [state(1), state(2)])
    assert store.project(project.id).labels_revision == revision
    assert store.apply(project.id, [state(1, version="2", label="cat")])
    assert store.project(project.id).labels_revision == revision + 1


def test_a_changed_image_is_fetched_again_into_its_old_row(store, project):
    store.apply(project.id, [state(1), state(2)])
    fetch(store, project, [1, 2])
    assert store.waiting_images(project.id) == []
    store.apply(project.id, [state(2, version="2", image="/new.png")])
    assert store.waiting_images(project.id) == [(2, "/new.png")]
    assert store.reserve_rows(project.id, [2]).tolist() == [1]
    assert store.pool(store.project(project.id)).task.tolist() == [1]


def test_an_image_that_changed_while_it_was_fetched_stays_to_be_fetched(store, project):
    store.apply(project.id, [state(1)])
    store.reserve_rows(project.id, [1])
    store.apply(project.id, [state(1, version="2", image="/new.png")])
    store.images_done(project.id, ready={1: ("/1.png", 40, 30)}, failed={})
    assert store.waiting_images(project.id) == [(1, "/new.png")]
    store.images_done(project.id, ready={}, failed={1: ("/1.png", "404")})
    assert store.waiting_images(project.id) == [(1, "/new.png")]


def test_an_unreadable_image_is_kept_with_its_reason_until_its_task_changes(store, project):
    store.apply(project.id, [state(1)])
    store.images_done(project.id, ready={}, failed={1: ("/1.png", "truncated")})
    assert store.unreadable(project.id) == [(1, "truncated")]
    assert store.totals(project.id).unreadable == 1
    store.apply(project.id, [state(1, version="2")])
    assert store.waiting_images(project.id) == [(1, "/1.png")]


def test_the_pool_as_arrays(store, project):
    store.apply(project.id, [state(3), state(1, label="dog"), state(2, skipped=True), state(4)])
    fetch(store, project, [1, 2, 3, 4])
    store.save_batches(project.id, task=np.array([1, 2]), loss=np.array([0.5, 1e-5]), batch=np.array([0, 1]))
    pool = store.pool(store.project(project.id))
    assert pool.task.tolist() == [1, 2, 3, 4]
    assert pool.labelled.tolist() == [True, False, False, False]
    assert pool.skipped.tolist() == [False, True, False, False]
    assert pool.batch.tolist() == [0, 1, -1, -1]
    assert pool.loss[:2].tolist() == [0.5, 1e-5]
    assert pool.in_batches().task.tolist() == [1, 2]


def test_a_task_is_open_until_as_many_people_as_are_wanted_have_annotated_it(store, project):
    store.apply(project.id, [state(1), state(2, label="cat"), state(3, skipped=True)])
    assert store.still_open(project.id, [1, 2, 3, 4]) == {1}
    assert store.still_open(project.id, [1, 2, 3, 4], overlap=2) == {1, 2, 3}
    assert store.still_open(project.id, []) == set()


def test_removed_tasks_are_gone_and_batches_of_a_removed_task_are_no_error(store, project):
    store.apply(project.id, [state(1), state(2)])
    store.remove_tasks(project.id, {1})
    store.save_batches(project.id, task=np.array([1, 2]), loss=np.ones(2), batch=np.zeros(2, int))
    assert store.task_ids(project.id) == [2]
    assert store.reserve_rows(project.id, [1, 2]).tolist() == [-1, 0]


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


def test_web_and_worker_write_at_the_same_time(tmp_path, store, project):
    other = Store(tmp_path)

    def wake_often():
        for _ in range(50):
            other.wake([project.id])

    thread = threading.Thread(target=wake_often)
    thread.start()
    for number in range(50):
        store.apply(project.id, [state(number)])
        store.update(project.id, stage="images")
    thread.join()
    other.close()
    assert store.totals(project.id).tasks == 50
    assert store.project(project.id).wake_at > 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "is not an address of a database: write it like postgresql"),
        ("postgresql://me:hidden@here:port/x", "is not an address of a database: write it like postgresql"),
        ("oracle+nothing://me:hidden@here/x", "is not an address of a database: write it like postgresql"),
        ("mysql+pymysql://me:hidden@here/x", "needs the Python package pymysql, which is not installed"),
    ],
)
def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path, url, says):
    with pytest.raises(PT4ALError, match=says) as caught:
        Store(tmp_path, url)
    assert "hidden" not in str(caught.value)


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


def test_a_directory_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PT4ALError, match="cannot be written"):
        Store(tmp_path / "file")


def test_how_many_tasks_are_announced(store, project):
    assert store.announced(project.id) == 0
    for tasks in (70, 60):
        store.announce(project.id, tasks=tasks)
        assert store.announced(project.id) == tasks
    store.forget(project.id)
    store.announce(project.id, tasks=5)  # by a worker that has not noticed
    assert store.announced(project.id) == 0


@pytest.mark.parametrize("damage_at", [0, 4096])
def test_a_damaged_database_is_named_and_how_to_begin_anew_is_told(tmp_path, damage_at):
    data_dir = tmp_path / "data"
    file = data_dir / "pt4al.db"
    with closing(Store(data_dir)) as store:
        store.connect(url="http://x", number=7, created="99", access_token="", label_config="<View/>")
    with file.open("r+b") as opened:
        opened.seek(damage_at)
        opened.write(b"\xff" * (file.stat().st_size - damage_at))
    with pytest.raises(PT4ALError, match="is damaged") as told:
        Store(data_dir).projects()
    assert str(file) in str(told.value) and "safe in Label Studio" in str(told.value)
    data_dir.rename(tmp_path / "away")
    with closing(Store(data_dir)) as store:
        assert store.projects() == []


def test_wake_ups_go_forward_when_the_clock_is_set_back(store, project, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    store.wake([project.id], train=True)
    woken = store.project(project.id)
    assert woken.wake_at > project.wake_at > 1000
    assert woken.train_requested_at > project.train_requested_at
