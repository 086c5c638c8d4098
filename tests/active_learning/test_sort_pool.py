"""Whether batches are cut as the settings ask; `test_loop.py` has the training and the cutting itself."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from support.rig import Rig

from pt4al_backend import learning
from pt4al_backend.active_learning.sort_pool import cut_as_wanted
from pt4al_backend.settings import Settings
from pt4al_backend.store.tables import Project


@pytest.mark.parametrize(
    ("stored", "wanted", "cut"),
    [
        ("round_robin", {"order": "round_robin"}, True),
        ("round_robin", {"order": "hard_first"}, False),
        ("dealt", {"order": "round_robin"}, True),  # what releases up to 0.1.0 called it
        ("dealt", {"order": "dealt"}, True),
        ("dealt", {"order": "easy_first"}, False),
        ("bandit", {"strategy": "bandit"}, True),
        ("bandit", {"order": "bandit"}, True),
        ("bandit", {}, False),
        ("round_robin", {"cycles": 5}, False),
    ],
)
def test_batches_are_cut_again_only_where_the_settings_ask_for_others(
    stored: str, wanted: dict[str, object], cut: bool
) -> None:
    project = Project(cycles=4, order=stored, pretext_pool=100)
    assert cut_as_wanted(project, Settings(**{"cycles": 4} | wanted)) == cut


def test_a_pool_smaller_than_the_cycles_has_as_many_batches_as_images() -> None:
    assert cut_as_wanted(Project(cycles=3, order="round_robin", pretext_pool=3), Settings(cycles=4))


def train_until_a_checkpoint(rig, monkeypatch):
    """Into the pretext training until it has saved itself once; returns the checkpoint and the file of its pool."""
    with monkeypatch.context() as patched:
        patched.setattr(learning, "train_pretext", partial(learning.train_pretext, save_seconds=0.0))
        files = [rig.store.models_dir(rig.id) / f"pretext-1.{kind}.safetensors" for kind in ("checkpoint", "pool")]
        while not files[0].exists():
            rig.loop.sync()
            rig.step()
    assert rig.loop.busy_with == "pretext"
    return files


def test_batches_are_taken_in_turn_from_the_sorted_losses(settled):
    pool = settled.pool()
    hardest_first = np.argsort(pool.rank)
    assert np.diff(pool.loss[hardest_first]).max() <= 0
    assert (pool.batch[hardest_first] == np.arange(120) % 4).all()


@pytest.mark.parametrize("order", ["round_robin", "hard_first", "easy_first", "shuffled"])
def test_a_fully_replaced_pool_is_cut_again_and_then_learned(tmp_path, order):
    rig = Rig(tmp_path, n=20, order=order)
    rig.settle()
    published = len(rig.platform.published)
    for task in range(1, 21):
        rig.platform.delete(task)
    rig.platform.add(range(101, 104))  # fewer than batches
    while len(rig.platform.published) == published:
        rig.sync()
        rig.step()
    assert rig.project.pretext_generation == 1, "nobody waits for another training"
    for _ in range(2):
        pool = rig.pool()
        assert pool.task.tolist() == [101, 102, 103]
        assert len(set(pool.batch.tolist())) == 3
        assert sorted(rig.platform.queue) == [101, 102, 103]
        rig.settle()
    assert (rig.project.pretext_generation, rig.project.pretext_pool) == (2, 3)
    rig.close()


@pytest.mark.parametrize("gone, generations", [(5, 1), (10, 2)])
def test_a_mostly_replaced_pool_is_learned_again(tmp_path, gone, generations):
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
def test_a_pool_replaced_during_training_is_learned_again(tmp_path, killed, left):
    rig = Rig(tmp_path, n=40)
    while rig.loop.busy_with != "pretext":
        rig.loop.sync()
        rig.step()
    for task in range(left + 1, 41):
        rig.platform.delete(task)
    rig.platform.add(range(101, 131))
    if killed:
        rig.loop = rig.new_loop()
    rig.settle()
    assert rig.project.pretext_pool == len(rig.pool()) == 30 + left
    assert (rig.pool().batch >= 0).all()
    rig.close()


def test_batches_are_cut_again_once_if_the_pool_shrinks_below_their_number(tmp_path):
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


def test_an_outgrown_pretext_network_is_trained_again(rig):
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


def test_a_killed_pretext_training_restarts_if_its_images_have_changed(tmp_path, monkeypatch):
    rig = Rig(tmp_path, n=40, pretext_epochs=10)
    checkpoint, pool = train_until_a_checkpoint(rig, monkeypatch)
    began = pool.stat().st_mtime_ns
    rig.loop = rig.new_loop()
    rig.platform.show(1, "digit:100")
    while rig.loop.busy_with != "pretext":
        rig.loop.sync()
        rig.step()
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
