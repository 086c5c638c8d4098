"""The network that is trained, and the encoder in use: the same, or a pretrained one."""

from pathlib import Path

import numpy as np
import pytest
from support.known_labels import QUESTION
from support.question_rig import EMPTY, PRESENT, QuestionRig
from support.rig import Rig, label_half

from pt4al_backend import learning
from pt4al_backend.active_learning.embedding_files import file_names
from pt4al_backend.active_learning.stored_networks import StoredNetworks
from pt4al_backend.errors import PT4ALError
from pt4al_backend.learning import network_head
from pt4al_backend.sampling.uncertainty import confidence
from pt4al_backend.settings import METHODS


def stored(rig):
    return {path.name for path in rig.store.models_dir(rig.id).iterdir()}


def label_a_round(rig):
    for task in rig.platform.queue[:6]:
        rig.platform.label(task)
    rig.settle()


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("settled"), n=60)
    rig.settle()
    label_a_round(rig)
    yield rig
    rig.close()


def test_the_newest_network_is_the_encoder_in_use(settled):
    networks, project = settled.workspace.networks, settled.project
    assert networks.newest(project) == networks.encoder_name(project) == "main-1"
    assert networks.encoder(project) is networks.encoder(project, "main-1")
    assert networks.encoder(project, "pretext-1").name == "pretext-1"
    assert networks.embeddings(project).encoder is networks.encoder(project)


def test_superseded_networks_and_embeddings_are_deleted(settled):
    (settled.store.models_dir(settled.id) / file_names("pretext-1")[0]).write_bytes(b"")
    settled.workspace.networks.tidy(settled.project)
    assert stored(settled) == {"pretext-1.safetensors", "main-1.safetensors", "embeddings-main-1.bin"}


def test_a_network_that_is_gone_is_said_to_be(settled):
    with pytest.raises(PT4ALError, match="The network main-7 of project 1 is missing"):
        settled.workspace.networks.weights("main-7")


def test_an_update_embeds_nothing_twice(settled):
    """A data directory of 0.1.0 names embeddings `features`."""
    rows, directory = settled.pool().row, settled.store.models_dir(settled.id)
    before = settled.workspace.networks.embeddings(settled.project).vectors.read(rows)
    (directory / "embeddings-main-1.bin").rename(directory / "features-main-1.bin")
    networks = StoredNetworks(settled.id, directory)
    assert stored(settled) == {"pretext-1.safetensors", "main-1.safetensors", "embeddings-main-1.bin"}
    assert np.array_equal(networks.embeddings(settled.project).vectors.read(rows), before)


def test_networks_that_are_forgotten_leave_nothing(tmp_path):
    networks = StoredNetworks(1, tmp_path / "models")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "main-1.safetensors").write_bytes(b"")
    networks.forget()
    networks.forget()
    assert not (tmp_path / "models").exists()


def test_a_pretrained_encoder_is_used_beside_the_projects_own_networks(tmp_path, colours):
    rig = Rig(tmp_path, n=40, encoder="colour-4", diversity="coverage", pretext_epochs=1)
    rig.settle()
    label_a_round(rig)
    networks, project = rig.workspace.networks, rig.project
    assert (networks.newest(project), networks.encoder_name(project)) == ("pretext-1", "colour-4")
    assert networks.encoder(project) is networks.encoder(project, "colour-4")
    assert networks.encoder(project).input_size == 128
    assert networks.make("colour-2", 64, dense=False).input_size == 64
    assert stored(rig) == {"pretext-1.safetensors", file_names("colour-4", input_size=128)[0]}
    files, pool = networks.embeddings(project), rig.pool()
    assert not len(files.missing(pool.row)) and files.vectors.width == 48
    probe = learning.fit_head(  # what people see is what a probe on these embeddings predicts
        files.vectors.read(pool.row[pool.labelled]),
        np.array([int(rig.platform.truth(task)) for task in pool.task[pool.labelled].tolist()]),
        learning.Output(learning.SINGLE, 10),
        pool=files.vectors.read(pool.row),
    )
    answers = dict(zip(pool.task.tolist(), probe.logits(files.vectors.read(pool.row)).argmax(axis=1), strict=True))
    window = rig.platform.published[-1]
    assert [pick.predictions[QUESTION].value for pick in window.picks] == [
        str(answers[pick.task]) for pick in window.picks
    ]
    rig.close()


def test_unused_embeddings_are_deleted(tmp_path, colours):
    rig = Rig(tmp_path, n=20, encoder="colour-2", pretext_epochs=1)
    rig.settle()
    left = rig.store.models_dir(rig.id) / file_names("colour-1", input_size=128)[0]
    left.write_bytes(b"")
    before = stored(rig) - {left.name}
    rig.workspace.networks.delete_unused_embeddings(rig.project)
    assert stored(rig) == before
    rig.close()


def test_the_heads_of_a_main_network_are_not_asked_about_a_pretrained_encoders_embeddings(
    tmp_path, colours, monkeypatch
):
    monkeypatch.setitem(METHODS, "fast", METHODS["paper"])
    rig = Rig(tmp_path, n=40, pretext_epochs=1, main_epochs=1)
    rig.settle()
    label_a_round(rig)
    rig.encoder = "colour-2"
    rig.restart()
    rig.settle()
    assert rig.project.encoder == "colour-2"
    assert list(rig.workspace.probe_inputs(rig.project, "main-1").trained_heads) == [QUESTION]
    assert rig.workspace.probe_inputs(rig.project).trained_heads == {}
    rig.close()


def test_an_image_that_changes_is_embedded_again(tmp_path, colours):
    rig = Rig(tmp_path, n=40, encoder="colour-4", pretext_epochs=1)
    rig.settle()
    row = rig.pool().row[rig.pool().task == 7]
    before = rig.workspace.networks.embeddings(rig.project).vectors.read(row)
    rig.platform.show(7, "digit:99")
    rig.settle()
    after = rig.workspace.networks.embeddings(rig.project).vectors.read(row)
    assert not np.array_equal(before, after)
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
    assert [pick.predictions[QUESTION].value for pick in rig.platform.published[-1].picks] == [
        answers[task] for task in rig.platform.queue
    ]
    for k in range(1, 4):
        rig.platform.label(rig.platform.queue[0])
        rig.sync()
        assert rig.platform.queue[: 6 - k] == unsure[k:6]
    rig.close()


def test_paper_asks_a_refit_where_the_network_learnt_other_questions(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "fast", METHODS["paper"])
    rig = Rig(tmp_path, n=60)
    label_half(rig)
    rig.settle()
    assert rig.workspace.probe_inputs(rig.project, "main-1").trained_heads[QUESTION].bias.shape == (10,)
    assert rig.workspace.probe_inputs(rig.project, "pretext-1").trained_heads == {}
    rig.platform.classes = rig.platform.classes[:6]
    rig.sync()
    assert rig.workspace.probe_inputs(rig.project, "main-1").trained_heads == {}
    assert {pick.predictions[QUESTION].value for pick in rig.platform.published[-1].picks} <= set("012345")
    rig.close()


def test_paper_asks_a_refit_what_its_network_had_no_answer_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "fast", METHODS["paper"])
    rig = QuestionRig(tmp_path, EMPTY, PRESENT)
    rig.settle()
    rig.platform.answer(*range(1, 13), only=[EMPTY.name])
    rig.settle()
    rig.platform.answer(*range(1, 13))
    rig.settle()
    assert rig.project.main_generation == 1
    assert list(rig.workspace.probe_inputs(rig.project, "main-1").trained_heads) == [EMPTY.name]
    assert set(next(iter(rig.picks.values())).predictions) == {EMPTY.name, PRESENT.name}
    rig.train()
    assert list(rig.workspace.probe_inputs(rig.project, "main-2").trained_heads) == [EMPTY.name, PRESENT.name]
    rig.close()
