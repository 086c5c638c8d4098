"""The loop against a platform that answers by itself; real networks, real images, a real store."""

import contextlib
import shutil
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from support.known_labels import QUESTION
from support.outsiders import install
from support.rig import Rig

from pt4al_backend import learning
from pt4al_backend.active_learning import fetch_images, loop
from pt4al_backend.active_learning.publish import RECENT
from pt4al_backend.active_learning.rank_pool import OPENED
from pt4al_backend.errors import LabelStudioUnavailableError, PT4ALError
from pt4al_backend.learning import network_head
from pt4al_backend.sampling import queue
from pt4al_backend.sampling.uncertainty import confidence
from pt4al_backend.settings import METHODS


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("settled"))
    rig.settle()
    yield rig
    rig.close()


@pytest.mark.parametrize(
    "strategy", ["pt4al", "random", "confidence", "margin", "entropy", "badge", "bandit", "coreset", "typiclust"]
)
def test_every_strategy_gives_queries_until_all_is_labelled(tmp_path, strategy):
    rig = Rig(tmp_path, n=30, strategy=strategy, diversity="coverage", train_growth=0)
    rig.settle()
    first = list(rig.platform.queue)
    assert len(set(first)) == 6 + 5
    result = []
    while queue := rig.platform.queue[:4]:
        result += queue
        for task in queue:
            rig.platform.label(task)
        rig.settle()
    assert sorted(result) == list(range(1, 31))
    rounds = [int(window.version.split("-")[1][1:]) for window in rig.platform.published]
    assert rounds == sorted(rounds)
    assert rounds[-1] == 4
    rig.close()


def test_a_strategy_of_another_package_chooses(tmp_path, monkeypatch):
    source = (
        "def query(candidates, n):\n    ranks = candidates.rank.argsort()\n    return ranks[candidates.open[ranks]][:n]"
    )
    install(tmp_path / "package", monkeypatch, "hardest_10", source)
    rig = Rig(tmp_path, n=30, strategy="hardest_10", train_growth=0)
    rig.settle()
    for labels in range(3):
        pool = rig.pool()
        hardest = [task for task in pool.task[np.argsort(pool.rank)].tolist() if task in set(pool.task[~pool.labelled])]
        assert rig.platform.queue == hardest[: 6 + 5 - labels]
        rig.platform.label(rig.platform.queue[0])
        rig.look()
    rig.close()


def test_a_query_that_is_chosen_as_a_whole_stays_while_it_is_labelled(tmp_path):
    rig = Rig(tmp_path, strategy="typiclust", train_growth=0)
    rig.settle()
    before = list(rig.platform.queue)
    rig.platform.label(before[0])
    rig.look()
    assert rig.platform.queue[:5] == before[1:6]
    rig.close()


def test_a_large_query_is_chosen_as_a_whole_and_published_in_parts(tmp_path, monkeypatch):
    rig = Rig(tmp_path / "whole", strategy="typiclust", train_growth=0)
    rig.settle()
    whole = rig.platform.queue[:6]
    rig.close()
    monkeypatch.setattr(queue, "MOST_PUBLISHED", 5)
    rig = Rig(tmp_path / "parts", strategy="typiclust", train_growth=0)
    rig.settle()
    assert rig.platform.queue == whole[:5]
    for task in whole:
        assert rig.platform.queue[0] == task
        rig.platform.label(task)
        rig.look()
    rig.close()


def test_a_query_is_chosen_anew_when_it_was_chosen_without_all_features(tmp_path):
    fresh = Rig(tmp_path / "fresh", strategy="typiclust", train_growth=0)
    fresh.settle()
    fresh.close()
    rig = Rig(tmp_path / "switched", train_growth=0)
    rig.settle()  # with pt4al, which knows two of the four batches
    rig.close()
    switched = Rig(tmp_path / "switched", strategy="typiclust", train_growth=0)
    switched.settle()
    assert switched.platform.queue[:6] == fresh.platform.queue[:6]
    switched.close()


def test_first_queue_is_the_cold_start_of_batch_0(settled):
    pool, window = settled.pool(), settled.platform.published[0]
    members = np.flatnonzero(pool.batch == 0)
    by_rank = members[np.argsort(pool.rank[members])]
    assert [pick.task for pick in window.picks[:6]] == pool.task[by_rank[::5]].tolist()
    assert len(window.picks) == 6 + 5
    assert np.diff([pick.score for pick in window.picks]).min() > 0


def test_batches_are_taken_in_turn_from_the_sorted_losses(settled):
    pool = settled.pool()
    hardest_first = np.argsort(pool.rank)
    assert np.diff(pool.loss[hardest_first]).max() <= 0
    assert (pool.batch[hardest_first] == np.arange(120) % 4).all()


def broken(platform, *tasks):
    """The platform now fails at these images, all by default. The way it was before."""
    healthy = platform.image

    def image(task, value):
        if not tasks or task in tasks:
            raise LabelStudioUnavailableError("502 Bad Gateway")
        return healthy(task, value)

    platform.image = image
    return healthy


def test_an_image_whose_reading_raises_anything_costs_itself_alone(tmp_path):
    rig = Rig(tmp_path, n=20)
    healthy = rig.platform.image

    def image(task, value):
        if task in (3, 7):
            raise RecursionError if task == 3 else ZeroDivisionError("of a decoder")
        return healthy(task, value)

    rig.platform.image = image
    rig.settle()
    assert (len(rig.pool()), rig.project.error) == (18, "")
    told = rig.store.unreadable(rig.id)
    assert told == [(3, "It cannot be read (RecursionError)."), (7, "It cannot be read (ZeroDivisionError).")]
    rig.close()


def work_on(rig):
    """Until there is nothing to do, or an error."""
    rig.look()
    while rig.loop.work(0.5):
        pass


def test_an_image_that_the_platform_fails_at_for_long_is_set_aside(rig, monkeypatch):
    monkeypatch.setattr(fetch_images, "PATIENCE", 0.5)
    healthy = broken(rig.platform, 7)
    began = time.monotonic()
    with pytest.raises(LabelStudioUnavailableError, match="502"):
        work_on(rig)
    totals = rig.store.totals(rig.id)
    assert (totals.pool, totals.waiting, totals.unreadable) == (119, 1, 0)
    while rig.store.totals(rig.id).waiting:
        with contextlib.suppress(LabelStudioUnavailableError):
            work_on(rig)
    assert time.monotonic() - began > 0.5
    assert rig.store.unreadable(rig.id) == [(7, "502 Bad Gateway")]
    rig.settle()
    assert len(rig.pool()) == 119
    rig.store.wake([rig.id], train=True)  # Start Training tries it again, as long
    with pytest.raises(LabelStudioUnavailableError, match="502"):
        work_on(rig)
    assert rig.store.totals(rig.id).waiting == 1
    rig.platform.image = healthy
    rig.settle()
    assert len(rig.pool()) == 120


def test_a_project_starts_although_the_platform_fails_at_its_first_images(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_images, "PATIENCE", 0.5)
    rig = Rig(tmp_path, n=fetch_images.SAMPLE + 90, image_size=0)
    failing = range(1, fetch_images.SAMPLE + 71)
    broken(rig.platform, *failing)
    with pytest.raises(LabelStudioUnavailableError, match="502"):
        work_on(rig)
    assert rig.project.image_size == 0
    time.sleep(0.5)
    with pytest.raises(LabelStudioUnavailableError, match="502"):  # some have not failed for long
        work_on(rig)
    assert rig.project.image_size == 32
    time.sleep(0.5)
    rig.settle()
    assert [task for task, _ in rig.store.unreadable(rig.id, limit=200)] == list(failing)
    assert len(rig.pool()) == 20
    rig.close()


def test_the_size_is_that_of_the_first_images_that_can_be_read(tmp_path):
    rig = Rig(tmp_path, n=2 * fetch_images.SAMPLE + 10, image_size=0)
    for task in range(1, 2 * fetch_images.SAMPLE + 1):
        rig.platform.show(task, "gone")
    rig.settle()
    assert (rig.project.image_size, len(rig.pool())) == (32, 10)
    rig.close()


@pytest.mark.parametrize("some", [0, 30])
def test_no_image_is_set_aside_while_the_platform_fails_at_all(tmp_path, monkeypatch, some):
    monkeypatch.setattr(fetch_images, "PATIENCE", 0.0)
    rig = Rig(tmp_path, n=some, image_size=0)
    if some:
        rig.settle()
        rig.platform.add(range(some + 1, 101))
    else:
        rig.platform.add(range(1, 101))
    healthy = broken(rig.platform)
    for _ in range(5):
        with pytest.raises(LabelStudioUnavailableError, match="502"):
            work_on(rig)
    assert rig.project.image_size == (32 if some else 0)
    rig.platform.image = healthy
    rig.settle()
    assert (len(rig.pool()), rig.project.image_size) == (100, 32)
    rig.close()


def test_no_image_is_set_aside_while_the_platform_is_down(rig):
    def image(task, value):
        raise LabelStudioUnavailableError("The platform is down; it is tried again.")

    rig.look()
    healthy, rig.platform.image, rig.platform.down = rig.platform.image, image, True
    for _ in range(10):
        with pytest.raises(LabelStudioUnavailableError):
            while rig.loop.work(0.5):
                pass
    rig.platform.image, rig.platform.down = healthy, False
    rig.settle()
    assert len(rig.pool()) == 120


def test_annotating_goes_through_the_rounds_and_ends_in_one_pool(rig):
    rig.settle()
    rounds = []
    for _ in range(60):
        task = rig.platform.queue[0]
        assert rig.pool().batch[rig.pool().task == task][0] == min(rig.project.round, 3) or rig.project.round >= 4
        rig.platform.label(task)
        rig.look()
        rounds.append(rig.project.round)
        assert rig.project.model_version == rig.platform.model_version
    assert rounds == sorted(rounds)
    assert rounds[5] == 1 and rounds[23] == 4 and rounds[-1] > 4
    rig.settle()
    assert rig.project.main_labels == 60
    assert rig.platform.published[-1].picks[0].guesses[QUESTION].value in "0123456789"


def test_labels_skips_and_deletions_end_in_the_right_queue(settled):
    first, second, third = settled.platform.queue[:3]
    settled.platform.skip(first)
    settled.platform.delete(second)
    settled.look()
    assert not {first, second} & set(settled.platform.queue)
    assert second not in settled.pool().task
    settled.platform.label(third)
    settled.look()
    assert third not in settled.platform.queue
    settled.platform.unlabel(third)
    settled.look()
    assert third in settled.platform.queue


def test_late_images_join_and_a_broken_one_is_set_aside_and_tried_again(settled):
    new = range(500, 510)
    settled.platform.add(new)
    settled.platform.show(505, "nowhere")
    settled.settle()
    pool = settled.pool()
    assert set(new) - set(pool.task.tolist()) == {505}
    assert (pool.batch[np.isin(pool.task, list(new))] >= 0).all()
    assert settled.store.unreadable(settled.id) == [(505, "nowhere: 404 Not Found")]
    assert settled.project.pretext_generation == 1
    settled.platform.show(505, "digit:504")
    settled.settle()
    assert 505 in settled.pool().task
    assert settled.store.unreadable(settled.id) == []


@pytest.mark.parametrize("order", ["round_robin", "hard_first", "easy_first", "shuffled"])
def test_a_pool_that_is_replaced_as_a_whole_is_cut_anew_and_then_learnt(tmp_path, order):
    rig = Rig(tmp_path, n=20, order=order)
    rig.settle()
    published = len(rig.platform.published)
    for task in range(1, 21):
        rig.platform.delete(task)
    rig.platform.add(range(101, 104))  # fewer than batches
    while len(rig.platform.published) == published:
        rig.look()
        rig.loop.work(0.01)
    assert rig.project.pretext_generation == 1, "nobody waits for the network to be trained anew"
    for _ in range(2):
        pool = rig.pool()
        assert pool.task.tolist() == [101, 102, 103]
        assert len(set(pool.batch.tolist())) == 3
        assert sorted(rig.platform.queue) == [101, 102, 103]
        rig.settle()
    assert (rig.project.pretext_generation, rig.project.pretext_pool) == (2, 3)
    rig.close()


@pytest.mark.parametrize("gone, generations", [(5, 1), (10, 2)])
def test_a_pool_of_which_much_is_replaced_is_learnt_anew(tmp_path, gone, generations):
    rig = Rig(tmp_path, n=20)
    rig.settle()
    for task in range(1, gone + 1):
        rig.platform.delete(task)
    rig.platform.add(range(101, 101 + gone))
    rig.settle()
    assert rig.project.pretext_generation == generations
    assert rig.project.pretext_pool == (20 if generations > 1 else 15)
    rig.close()


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("left", [0, 20])
def test_a_pool_that_is_replaced_while_it_is_learnt_is_learnt_anew(tmp_path, killed, left):
    rig = Rig(tmp_path, n=40)
    while rig.loop.busy_with != "pretext":
        rig.loop.look()
        rig.loop.work(0.01)
    for task in range(left + 1, 41):
        rig.platform.delete(task)
    rig.platform.add(range(101, 131))
    if killed:
        rig.loop = rig.new_loop()
    rig.settle()
    assert rig.project.pretext_pool == len(rig.pool()) == 30 + left
    assert (rig.pool().batch >= 0).all()
    rig.close()


def test_batches_are_cut_anew_once_where_the_pool_has_become_smaller_than_their_number(tmp_path):
    rig = Rig(tmp_path, n=20)
    rig.settle()
    for task in range(4, 21):
        rig.platform.delete(task)
    rig.settle()
    rig.close()
    rig = Rig(tmp_path, n=3, order="easy_first")
    rig.settle()
    assert rig.project.order == "easy_first"
    rig.close()


def test_paper_serves_what_the_network_as_trained_is_unsure_of_for_a_whole_round(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "fast", METHODS["paper"])  # its network takes minutes
    rig = Rig(tmp_path, n=60)
    rig.settle()
    for task in rig.platform.queue[:6]:
        rig.platform.label(task)
    rig.settle()
    assert (rig.project.round, rig.project.main_generation) == (1, 1)
    pool = rig.pool()
    logits = network_head(rig.workspace.networks.weights("main-1"), 0).logits(
        rig.workspace.networks.embeddings(rig.project, "main-1").vectors.read(pool.row)
    )
    answers = dict(zip(pool.task.tolist(), logits.argmax(axis=1).astype(str).tolist(), strict=True))
    batch = np.flatnonzero(pool.batch == 1)
    unsure = pool.task[batch[np.argsort(-confidence(logits)[batch], kind="stable")]].tolist()
    assert rig.platform.queue[:6] == unsure[:6]
    assert [pick.guesses[QUESTION].value for pick in rig.platform.published[-1].picks] == [
        answers[task] for task in rig.platform.queue
    ]
    for k in range(1, 4):
        rig.platform.label(rig.platform.queue[0])
        rig.look()
        assert rig.platform.queue[: 6 - k] == unsure[k:6]
    rig.close()


def test_paper_asks_a_refit_where_the_network_learnt_other_questions(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "fast", METHODS["paper"])
    rig = Rig(tmp_path, n=60)
    label_half(rig)
    rig.settle()
    assert rig.workspace.sources(rig.project, "main-1").own[QUESTION].bias.shape == (10,)
    assert rig.workspace.sources(rig.project, "pretext-1").own == {}
    rig.platform.classes = rig.platform.classes[:6]
    rig.look()
    assert rig.workspace.sources(rig.project, "main-1").own == {}
    assert {pick.guesses[QUESTION].value for pick in rig.platform.published[-1].picks} <= set("012345")
    rig.close()


def label_half(rig):
    """Tasks 1 to 30, when the first queue is there."""
    rig.settle()
    for task in range(1, 31):
        rig.platform.label(task)


def test_other_classes_are_trained_from_the_start(tmp_path):
    rig = Rig(tmp_path, n=60)
    label_half(rig)
    rig.settle()
    trained = rig.project.main_generation
    assert rig.project.main_labels == 30
    rig.platform.classes = rig.platform.classes[:6]
    rig.settle()
    left = int(rig.pool().labelled.sum())
    assert 10 < left < 24
    assert rig.project.main_generation == trained + 1
    assert rig.project.main_labels == left
    rig.close()


def test_a_training_that_learns_what_was_asked_before_is_given_up(tmp_path):
    rig = Rig(tmp_path, n=60, main_epochs=60)
    label_half(rig)
    rig.look()
    while rig.loop.busy_with != "training":
        rig.loop.work(0.01)
    rig.loop.work(0.1)
    rig.platform.classes = rig.platform.classes[:6]
    rig.settle()
    left = int(rig.pool().labelled.sum())
    assert (rig.project.main_generation, rig.project.main_labels) == (1, left)
    rig.close()


def test_labels_that_are_taken_back_are_unlearnt(tmp_path):
    rig = Rig(tmp_path, n=60)
    label_half(rig)
    rig.settle()
    trained = rig.project.main_generation
    for task in range(1, 6):
        rig.platform.unlabel(task)
    rig.settle()
    assert rig.project.main_generation == trained
    for task in range(6, 16):
        rig.platform.unlabel(task)
    rig.settle()
    assert (rig.project.main_generation, rig.project.main_labels) == (trained + 1, 15)
    rig.close()


def test_a_changed_config_drops_labels_of_classes_that_are_gone(settled):
    task = settled.platform.queue[0]
    settled.platform.label(task)
    settled.look()
    settled.platform.classes = tuple(c for c in settled.platform.classes if c != settled.platform.truth(task))
    settled.look()
    assert settled.project.questions[0]["classes"] == list(settled.platform.classes)
    assert not settled.pool().labelled[settled.pool().task == task][0]


def test_a_switched_version_is_switched_back(settled):
    settled.platform.model_version = "somebody else's"
    settled.look()
    assert settled.platform.model_version == settled.project.model_version


def test_without_pre_annotations_the_order_is_published_anew(tmp_path):
    for n, preannotate in enumerate((True, False)):
        rig = Rig(tmp_path, n=20, preannotate=preannotate)
        rig.settle()
        if not n:
            platform = rig.platform
            platform.label(platform.queue[0])
        else:
            rig.workspace.platform = rig.platform = platform
        rig.settle()
        assert all(bool(pick.guesses) == preannotate for pick in platform.published[-1].picks)
        rig.close()
    with_guesses, without = (window for window in platform.published if "-n1-" in window.version)
    assert [pick.task for pick in with_guesses.picks] == [pick.task for pick in without.picks]


def test_nothing_new_means_nothing_published(settled):
    settled.settle()
    published = len(settled.platform.published)
    for _ in range(3):
        settled.look()
    assert len(settled.platform.published) == published


def test_the_pool_is_listed_whole_only_once(rig):
    rig.settle()
    for task in rig.platform.queue[:4]:
        rig.platform.label(task)
        rig.look()
    rig.platform.delete(rig.platform.queue[0])
    rig.look()
    assert rig.platform.full_listings == 1


def test_an_outgrown_pretext_network_is_trained_anew(rig):
    rig.settle()
    rig.platform.add(range(300, 370))
    rig.settle()
    assert rig.project.pretext_generation == 2
    assert rig.project.pretext_pool == 190
    rig.settings = rig.settings.model_copy(update={"cycles": 5, "order": "hard_first"})
    rig.loop = rig.new_loop()
    rig.settle()
    assert (rig.pool().batch == rig.pool().rank * 5 // 190).all()
    names = {path.name for path in rig.store.models_dir(rig.id).iterdir()}
    assert names == {"pretext-2.safetensors", "embeddings-pretext-2.bin"}


def train_until_a_checkpoint(rig, monkeypatch):
    """Into the pretext training until it has saved itself once; returns the checkpoint and the file of its pool."""
    with monkeypatch.context() as patched:
        patched.setattr(learning, "train_pretext", partial(learning.train_pretext, save_seconds=0.0))
        files = [rig.store.models_dir(rig.id) / f"pretext-1.{kind}.safetensors" for kind in ("checkpoint", "pool")]
        while not files[0].exists():
            rig.loop.look()
            rig.loop.work(0.01)
    assert rig.loop.busy_with == "pretext"
    return files


def test_a_killed_pretext_training_begins_anew_where_its_images_have_changed(tmp_path, monkeypatch):
    rig = Rig(tmp_path, n=40, pretext_epochs=10)
    checkpoint, pool = train_until_a_checkpoint(rig, monkeypatch)
    began = pool.stat().st_mtime_ns
    rig.loop = rig.new_loop()
    rig.platform.show(1, "digit:100")
    while rig.loop.busy_with != "pretext":
        rig.loop.look()
        rig.loop.work(0.01)
    assert pool.stat().st_mtime_ns > began
    assert not checkpoint.exists()
    rig.settle()
    rig.close()


def test_a_killed_pretext_training_goes_on_and_gives_the_same_batches(tmp_path, monkeypatch):
    killed, undisturbed = Rig(tmp_path / "killed"), Rig(tmp_path / "undisturbed")
    train_until_a_checkpoint(killed, monkeypatch)
    killed.loop = killed.new_loop()
    for rig in (killed, undisturbed):
        rig.settle()
    assert (killed.pool().batch == undisturbed.pool().batch).all()
    assert (killed.pool().loss == undisturbed.pool().loss).all()
    for rig in (killed, undisturbed):
        rig.close()


def test_a_platform_that_is_down_loses_nothing(settled):
    settled.platform.down = True
    with pytest.raises(LabelStudioUnavailableError):
        settled.look()
    settled.platform.down = False
    settled.look()
    assert settled.project.model_version == settled.platform.model_version


def test_labels_on_unreadable_images_do_not_make_it_train_for_ever(rig):
    for task in range(1, 31):
        rig.platform.label(task)
        if task > 18:
            rig.platform.show(task, "nowhere")
    rig.settle()
    assert rig.project.main_labels == 18
    rig.settle()
    assert rig.project.main_generation == 1


def without_pool(monkeypatch, rig):
    """From now on reading the pool fails."""
    monkeypatch.setattr(rig.store, "pool", None)


def test_a_project_that_was_labelled_before_is_ready_with_nothing_to_publish(tmp_path, monkeypatch):
    rig = Rig(tmp_path, diversity="coverage")  # the features of a first queue are asked for
    for task in rig.platform.states:
        rig.platform.label(task) if task % 2 else rig.platform.skip(task)
    rig.settle()
    assert rig.platform.published == []
    assert rig.project.stage == "ready"
    rig.settle()
    without_pool(monkeypatch, rig)
    rig.loop.steer()
    assert rig.loop.work(0.1) is False
    rig.close()


def test_the_pool_is_not_read_at_every_turn_while_first_features_are_missing(tmp_path, monkeypatch):
    rig = Rig(tmp_path, strategy="typiclust")
    while not rig.project.pretext_generation:
        rig.look()
        rig.loop.work(0.5)
    rig.loop.steer()
    with monkeypatch.context() as patch:
        without_pool(patch, rig)
        rig.loop.steer()
    assert rig.platform.published == []
    rig.settle()
    assert len(rig.platform.published) == 1
    rig.close()


def test_an_answer_without_a_usable_class_leaves_the_queue(settled):
    task = settled.platform.queue[0]
    settled.platform.label(task, "no such class")
    settled.look()
    assert task not in [pick.task for pick in settled.platform.published[-1].picks]


def test_a_config_that_names_another_image_field_fetches_the_images_anew(settled):
    task = next(iter(settled.pool().task.tolist()))
    settled.platform.states[task] = replace(settled.platform.states[task], image="digit:700")
    settled.platform.classes = (*settled.platform.classes, "another")
    settled.look()
    assert (task, "digit:700") in settled.store.waiting_images(settled.id)
    settled.settle()


def test_a_version_that_may_be_open_is_kept(settled):
    before = settled.platform.model_version
    settled.platform.label(settled.platform.queue[0])
    settled.look()
    assert settled.platform.model_version != before
    assert before in settled.platform.versions


def test_a_version_is_kept_while_a_second_annotator_may_have_its_images_open(rig):
    rig.platform.overlap = 2
    rig.settle()
    versions = [rig.platform.model_version]
    for task in rig.platform.queue[:12] + list(range(1, 5)):
        rig.platform.label(task)
        rig.look()
        versions.append(rig.platform.model_version)
    assert versions[0] != versions[1]
    assert set(versions) <= set(rig.platform.versions)
    rig.platform.overlap = 1
    rig.platform.label(rig.platform.queue[0])
    rig.look()
    assert versions[0] not in rig.platform.versions


def test_a_version_that_was_served_when_a_process_was_killed_stays_a_while(settled):
    killed = replace_version(settled.platform)
    settled.platform.label(settled.platform.queue[0])
    settled.look()
    assert settled.platform.model_version != killed
    assert killed in settled.platform.versions
    assert settled.project.retired[-1]["version"] == killed


def replace_version(platform):
    """As a process leaves it that is killed between the switch and its own row."""
    platform.publish(replace(platform.published[-1], version="pt4al-r0-n99-unknown"))
    return platform.model_version


def test_versions_that_cannot_be_deleted_do_no_harm_and_go_later(settled, caplog):
    settled.platform.deletes = 0
    retired = settled.project.retired
    for entry in retired:
        entry["at"], entry["head"] = 0, []
    settled.store.update(settled.id, retired=retired)
    for task in settled.platform.queue[: RECENT + 4]:
        settled.platform.label(task)
        settled.look()
        assert settled.project.model_version == settled.platform.model_version
    assert "could not be deleted. 504" in caplog.text
    lasting = len(settled.platform.versions)
    settled.platform.deletes = 1
    settled.platform.label(settled.platform.queue[0])
    settled.look()
    assert len(settled.platform.versions) == lasting  # one came, one went
    for _ in range(lasting):
        settled.look()
    kept = {settled.project.model_version, *(entry["version"] for entry in settled.project.retired)}
    assert set(settled.platform.versions) == kept


def test_an_idle_turn_is_cheap(settled, monkeypatch):
    settled.settle()
    settled.loop.work(0.1)
    without_pool(monkeypatch, settled)
    settled.look()
    assert settled.loop.work(0.1) is False


def test_start_training_does_not_wait_for_features_that_nobody_waits_for(rig, monkeypatch):
    monkeypatch.setattr(loop, "AT_ONCE", 10)
    rig.settle()
    rig.platform.label(rig.platform.queue[0])
    rig.look()

    def missing():
        return len(rig.loop.workspace.networks.embeddings(rig.project).missing(rig.pool().row))

    before = missing()
    while missing() == before:
        rig.loop.work(0.01)
    rig.store.wake([rig.id], train=True)
    while rig.loop.busy_with != "training":
        rig.look()
        rig.loop.work(0.01)
    assert missing() > 0
    rig.settle()
    assert missing() == 0


def test_start_training_is_seen_whenever_it_comes(rig, monkeypatch):
    rig.settle()
    for task in rig.platform.queue[:2]:
        rig.platform.label(task)
    rig.settle()
    is_due = rig.loop._training_due

    def while_it_looks(project, labelled):
        due = is_due(project, labelled)
        rig.store.wake([rig.id], train=True)
        return due

    rig.platform.label(rig.platform.queue[0])
    monkeypatch.setattr(rig.loop, "_training_due", while_it_looks)
    while not rig.project.train_requested_at:
        rig.look()
        rig.loop.work(0.5)
    monkeypatch.undo()
    for _ in range(20):
        rig.look()
        rig.loop.work(0.5)
    assert rig.project.main_generation == 1


def test_start_training_without_labels_is_no_lasting_wish(rig):
    rig.settle()
    rig.store.wake([rig.id], train=True)
    rig.settle()
    rig.platform.label(rig.platform.queue[0])
    rig.settle()
    assert rig.project.main_generation == 0
    rig.store.wake([rig.id], train=True)
    rig.settle()
    assert rig.project.main_generation == 1


@pytest.mark.parametrize("lost", ["pixels", "models"])
def test_what_somebody_deleted_to_make_room_is_made_again(tmp_path, lost):
    rig = Rig(tmp_path)
    rig.settle()
    rig.platform.label(rig.platform.queue[0])
    shutil.rmtree(tmp_path / lost)
    for _ in range(2000):
        rig.loop.look()
        with contextlib.suppress(PT4ALError):  # shown until it is mended
            rig.loop.steer()
        if not rig.loop.work(0.5):
            break
    rig.settle()
    assert rig.platform.published[-1].version.split("-")[2] == "n1"
    assert rig.workspace.pixels(rig.project).read(rig.pool().row).any(axis=(1, 2, 3)).all()
    rig.close()


def test_an_image_that_may_be_open_keeps_a_prediction_behind_the_window(tmp_path):
    rig = Rig(tmp_path, n=60, train_growth=0)
    rig.settle()
    left = rig.platform.queue[0]  # somebody opens it, while others label the rest of the round as they like
    pool = rig.pool()
    for task in [task for task in pool.task[pool.batch == 0].tolist() if task != left][:6]:
        rig.platform.label(task)
    rig.look()
    window = rig.platform.published[-1]
    tasks, opened = [[pick.task for pick in picks] for picks in (window.picks, window.opened)]
    assert rig.project.round == 1
    assert left in opened and not set(tasks) & set(opened) and len(opened) <= OPENED
    assert all(pick.score == queue.LAST_PLACE and pick.guesses for pick in window.opened)
    assert rig.project.published == tasks
    published = len(rig.platform.published)
    rig.loop._stale = True
    rig.look()
    assert len(rig.platform.published) == published, "the same order is not published again"
    rig.platform.label(left)
    rig.look()
    assert left not in [pick.task for pick in rig.platform.published[-1].opened]
    rig.close()
