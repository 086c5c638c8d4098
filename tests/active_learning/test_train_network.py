"""When the main network is trained, on what, and what it starts from."""

from __future__ import annotations

import pytest
import torchvision
from safetensors.torch import save_file
from support.rig import Rig, label_half

from pt4al_backend.active_learning import loop
from pt4al_backend.errors import PT4ALError


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
    rig.sync()
    while rig.loop.busy_with != "training":
        rig.step()
    rig.step()
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


def test_labels_on_unreadable_images_do_not_make_it_train_for_ever(rig):
    for task in range(1, 31):
        rig.platform.label(task)
        if task > 18:
            rig.platform.show(task, "nowhere")
    rig.settle()
    assert rig.project.main_labels == 18
    rig.settle()
    assert rig.project.main_generation == 1


def test_start_training_does_not_wait_for_features_that_nobody_waits_for(rig, monkeypatch):
    monkeypatch.setattr(loop, "AT_ONCE", 10)
    rig.settle()
    rig.platform.label(rig.platform.queue[0])
    rig.sync()

    def missing():
        return len(rig.loop.workspace.networks.embeddings(rig.project).missing(rig.pool().row))

    before = missing()
    while missing() == before:
        rig.step()
    rig.store.wake([rig.id], train=True)
    while rig.loop.busy_with != "training":
        rig.sync()
        rig.step()
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
        rig.sync()
        rig.loop.work(0.5)
    monkeypatch.undo()
    for _ in range(20):
        rig.sync()
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


def train(tmp_path, **settings):
    rig = Rig(tmp_path / "data", n=20, pretext_epochs=1, main_epochs=1, **settings)
    rig.settle()
    for task in rig.platform.queue[:6]:
        rig.platform.label(task)
    try:
        rig.settle()
        return rig.workspace.networks.weights("main-1").spec
    finally:
        rig.close()


def test_the_main_network_can_start_from_imagenet_weights_in_a_file(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    save_file(torchvision.models.resnet18().state_dict(), path)
    spec = train(tmp_path, image_size=0, init="imagenet", imagenet_weights=str(path))
    assert (spec["network"], spec["kernel"], spec["image_size"]) == ("resnet18", 7, 32)


def test_imagenet_weights_that_are_not_there_are_asked_for(tmp_path):
    with pytest.raises(PT4ALError, match="cannot be read as a safetensors file"):
        train(tmp_path, init="imagenet", imagenet_weights=str(tmp_path / "missing.safetensors"))


def test_imagenet_weights_are_not_downloaded_offline(tmp_path):
    with pytest.raises(PT4ALError, match="PT4AL_OFFLINE forbids to download them"):
        train(tmp_path, init="imagenet", offline=True)


@pytest.mark.parametrize(("init", "network"), [("pretext", "resnet9"), ("scratch", "resnet9")])
def test_or_from_the_pretext_network_or_from_scratch(tmp_path, init, network):
    assert train(tmp_path, init=init)["network"] == network
