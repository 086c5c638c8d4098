"""Which encoder a project uses, and how it changes to another."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.rig import Rig

from pt4al_backend import learning
from pt4al_backend.active_learning import choose_encoder
from pt4al_backend.active_learning.embedding_files import file_names
from pt4al_backend.errors import LearningError


@pytest.fixture
def rig(tmp_path: Path, colours: set[str]) -> Iterator[Rig]:
    rig = Rig(tmp_path, n=40, encoder="colour-1", pretext_epochs=1)
    yield rig
    rig.close()


def label_a_query(rig: Rig) -> None:
    for task in rig.platform.queue[:6]:
        rig.platform.label(task)
    rig.settle()


def embeddings(rig: Rig) -> set[str]:
    """The files of embeddings."""
    return {path.name for path in rig.store.models_dir(rig.id).glob("embeddings-*")}


def files_of(name: str, input_size: int = 128) -> set[str]:
    return {file_names(name, input_size=input_size)[0]}


def test_a_new_project_uses_the_wanted_encoder_at_a_side_that_suits_its_images(rig: Rig) -> None:
    rig.settle()
    assert (rig.project.encoder, rig.project.input_size, rig.project.encoder_note) == ("colour-1", 128, "")
    assert embeddings(rig) == files_of("colour-1")


def test_an_encoder_that_cannot_be_had_is_noted_and_tried_again(
    rig: Rig, colours: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "DEFAULT_ENCODER", "colour-2")
    rig.encoder = "colour-1"
    colours.add("colour-1")
    rig.restart()
    rig.settle()
    sentence = "The weights of colour-1 cannot be fetched: connect this machine."
    assert (rig.project.encoder, rig.project.encoder_note) == ("colour-2", sentence)
    assert len(rig.platform.queue) == 11 and rig.project.error == ""
    assert rig.loop.work(0.1) is False
    rig.workspace.retry_encoder_at = time.monotonic()  # five minutes later
    rig.settle()
    assert (rig.project.encoder, rig.project.encoder_note) == ("colour-2", sentence)
    colours.clear()
    rig.workspace.retry_encoder_at = time.monotonic()
    rig.settle()
    assert (rig.project.encoder, rig.project.encoder_note) == ("colour-1", "")
    assert embeddings(rig) == files_of("colour-1")


def test_without_any_pretrained_encoder_a_project_learns_from_its_own_images(
    rig: Rig, colours: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "DEFAULT_ENCODER", "colour-2")
    colours |= {"colour-1", "colour-2"}
    rig.settle()
    assert (rig.project.encoder, rig.project.pretext_generation) == ("", 1)
    assert "colour-1 cannot be fetched" in rig.project.encoder_note
    assert len(rig.platform.queue) == 11


def test_another_encoder_takes_over_once_it_has_embedded_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_encoder, "AT_ONCE", 15)
    rig.settle()
    label_a_query(rig)
    rig.encoder = "colour-2"
    rig.restart()
    rig.turn_until(lambda: files_of("colour-2") <= embeddings(rig))
    published = len(rig.platform.published)
    rig.platform.label(rig.platform.queue[0])
    rig.sync()
    assert (rig.project.encoder, len(rig.platform.published)) == ("colour-1", published + 1)  # the old one serves
    rig.settle()
    assert (rig.project.encoder, rig.store.totals(rig.id).labelled) == ("colour-2", 7)
    assert embeddings(rig) == files_of("colour-2")
    files = rig.workspace.networks.embeddings(rig.project)
    assert files.vectors.width == 12 and not len(files.missing(rig.pool().row))
    assert rig.platform.published[-1].version.split("-")[2] == "n7"


def test_the_images_are_fetched_again_and_the_stored_pixels_stay(rig: Rig) -> None:
    rig.settle()
    before = rig.workspace.pixels(rig.project).read(rig.pool().row)
    rig.encoder = "colour-2"
    rig.restart()
    rig.settle()
    assert np.array_equal(rig.workspace.pixels(rig.project).read(rig.pool().row), before)
    expected, _ = rig.workspace.networks.encoder(rig.project).embed_pixels(before, device="cpu")
    found = rig.workspace.networks.embeddings(rig.project).vectors.read(rig.pool().row)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_a_kill_in_the_middle_loses_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_encoder, "AT_ONCE", 10)
    rig.settle()
    rig.encoder = "colour-2"
    rig.restart()
    rig.turn_until(lambda: files_of("colour-2") <= embeddings(rig))
    rig.restart()
    read: list[int] = []
    image = rig.platform.image
    monkeypatch.setattr(rig.platform, "image", lambda task, value: (read.append(task), image(task, value))[1])
    rig.settle()
    assert rig.project.encoder == "colour-2"
    assert 0 < len(read) < 40 and len(set(read)) == len(read)


def test_an_image_that_is_gone_meanwhile_is_embedded_from_its_stored_pixels(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.settle()
    for task in (3, 7):
        rig.platform.label(task)
    rig.settle()
    monkeypatch.setattr(rig.platform, "image", _gone_at(rig, 3, 9))
    rig.encoder = "colour-2"
    rig.restart()
    rig.settle()
    assert (rig.project.encoder, len(rig.pool()), rig.store.totals(rig.id).labelled) == ("colour-2", 40, 2)


def _gone_at(rig: Rig, *tasks: int) -> object:
    image = rig.platform.image
    return lambda task, value: image(task, "nowhere" if task in tasks else value)


def test_an_image_that_changes_meanwhile_is_embedded_as_it_is_now(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_encoder, "AT_ONCE", 10)
    rig.settle()
    rig.encoder = "colour-2"
    rig.restart()
    rig.turn_until(lambda: files_of("colour-2") <= embeddings(rig))
    rig.platform.show(1, "digit:99")
    rig.settle()
    assert rig.project.encoder == "colour-2"
    pool = rig.pool()
    row = pool.row[pool.task == 1]
    expected, _ = rig.workspace.networks.encoder(rig.project).embed_pixels(
        rig.workspace.pixels(rig.project).read(row), device="cpu"
    )
    np.testing.assert_allclose(rig.workspace.networks.embeddings(rig.project).vectors.read(row), expected, atol=0.05)


def test_own_networks_give_way_to_a_pretrained_encoder_and_come_back(rig: Rig) -> None:
    rig.settings = rig.settings.model_copy(update={"strategy": "pt4al"})
    rig.encoder = None
    rig.restart()
    rig.settle()
    label_a_query(rig)
    assert (rig.project.encoder, rig.project.main_generation) == ("", 1)
    batches = rig.pool().batch.tolist()

    rig.encoder = "colour-1"
    rig.restart()
    published = len(rig.platform.published)
    rig.turn_until(lambda: embeddings(rig) > {file_names("main-1")[0]})
    rig.platform.label(rig.platform.queue[0])
    rig.sync()
    assert (rig.project.encoder, len(rig.platform.published)) == ("", published + 1)  # the old network serves
    rig.settle()
    assert (rig.project.encoder, rig.project.pretext_generation) == ("colour-1", 1)
    assert embeddings(rig) == files_of("colour-1")
    label_a_query(rig)
    assert (rig.project.main_generation, rig.pool().batch.tolist()) == (1, batches)  # nothing is trained or cut again

    rig.encoder = None
    rig.restart()
    rig.settle()
    assert (rig.project.encoder, rig.project.input_size) == ("", 0)
    assert rig.project.main_generation == 2 and rig.project.main_labels == 13


def test_a_project_without_own_networks_learns_them_before_it_uses_them(rig: Rig) -> None:
    rig.settings = rig.settings.model_copy(update={"strategy": "random"})
    rig.restart()
    rig.workspace.learns_pretext = False
    rig.settle()
    assert (rig.project.encoder, rig.project.pretext_generation) == ("colour-1", 0)
    rig.encoder = None
    rig.restart()
    rig.turn_until(lambda: rig.project.pretext_generation)
    assert rig.project.encoder == "colour-1"
    rig.settle()
    assert rig.project.encoder == ""
    rig.settle()
    assert embeddings(rig) == {file_names("pretext-1")[0]}


def test_a_head_on_the_encoder_in_use_learns_the_rotations_and_a_network_where_that_is_to_be_used(rig: Rig) -> None:
    def learned_on() -> str:
        return rig.workspace.networks.pretext_encoder(rig.project)

    rig.settle()
    assert (rig.project.pretext_generation, learned_on()) == (1, "colour-1")
    rig.platform.add(range(201, 204))
    rig.settle()
    assert np.isfinite(rig.pool().loss).all() and rig.project.pretext_generation == 1
    rig.encoder = "colour-2"
    rig.restart()
    rig.settle()
    assert (rig.project.pretext_generation, learned_on()) == (2, "colour-2")
    rig.encoder = None
    rig.restart()
    rig.turn_until(lambda: rig.project.pretext_generation == 3)
    assert rig.project.encoder == "colour-2" and learned_on() == ""
    rig.settle()
    assert rig.project.encoder == ""
    assert embeddings(rig) == {file_names("pretext-3")[0]}


def test_a_rotation_head_is_no_network_of_the_project(
    rig: Rig, colours: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no encoder can be had any more, a network learns the pretext task again."""
    rig.settle()
    monkeypatch.setattr(learning, "DEFAULT_ENCODER", "colour-2")
    colours |= {"colour-1", "colour-2"}
    rig.restart()
    published = len(rig.platform.published)
    for _ in range(200):
        rig.loop.sync()
        with contextlib.suppress(LearningError):  # shown until the network has taken its place
            rig.loop.update_queue()
        rig.loop.work(0.5)
        if rig.project.pretext_generation and len(rig.platform.published) > published:
            break
    assert (rig.project.encoder, rig.workspace.networks.pretext_encoder(rig.project)) == ("", "")
    assert np.isfinite(rig.pool().loss).all()


def test_nothing_waits_for_an_encoder_that_serves_nothing(rig: Rig) -> None:
    """As when the settings change before the first image is embedded."""
    rig.turn_until(lambda: rig.project.encoder)
    rig.encoder = "colour-2"
    rig.restart()
    rig.settle()
    assert rig.project.encoder == "colour-2"
    assert embeddings(rig) == files_of("colour-2")


def test_an_encoder_in_use_that_is_gone_is_replaced(
    rig: Rig, colours: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.settle()
    label_a_query(rig)
    monkeypatch.setattr(learning, "DEFAULT_ENCODER", "colour-2")
    colours.add("colour-1")
    rig.restart()
    for _ in range(100):
        rig.loop.sync()
        with contextlib.suppress(LearningError):  # shown until another has taken its place
            rig.loop.update_queue()
        rig.loop.work(0.5)
    assert (rig.project.encoder, rig.store.totals(rig.id).labelled) == ("colour-2", 6)
    assert "colour-1 cannot be fetched" in rig.project.encoder_note
    assert rig.platform.published[-1].version.split("-")[2] == "n6"


def test_a_rotation_head_that_is_paused_begins_again_when_another_encoder_takes_over(
    rig: Rig, colours: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batches would be cut from losses that the encoder in use knows nothing of, and be cut again at once."""
    monkeypatch.setattr(learning, "DEFAULT_ENCODER", "colour-2")
    colours.add("colour-1")
    rig.turn_until(lambda: rig.loop.busy_with == "pretext")
    assert rig.project.encoder == "colour-2"
    colours.clear()
    rig.workspace.retry_encoder_at = time.monotonic()  # five minutes later
    rig.turn_until(lambda: rig.project.encoder == "colour-1")
    assert rig.project.pretext_generation == 0
    rig.turn_until(lambda: rig.project.pretext_generation)
    assert rig.workspace.networks.pretext_encoder(rig.project) == "colour-1"
