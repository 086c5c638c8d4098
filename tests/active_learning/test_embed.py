import numpy as np
import pytest
from support.rig import Rig

from pt4al_backend.active_learning.embed import embed, embed_into
from pt4al_backend.active_learning.embedding_files import EmbeddingFiles


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("embed"), n=40)
    rig.settle()
    yield rig
    rig.close()


def test_images_are_embedded_with_the_encoder_in_use(rig):
    files, rows = rig.workspace.networks.embeddings(rig.project), rig.pool().row
    files.forget(rows)
    steps = list(embed(rig.workspace, rows[:30]))
    assert files.missing(rows).tolist() == rows[30:].tolist()
    assert (steps[-1].done, steps[-1].detail) == (1, "embedding images, 30 of 30")
    ((_, vectors, _),) = files.encoder.embed(rig.workspace.pixels(rig.project), rows[:30], device="cpu")
    assert np.array_equal(files.vectors.read(rows[:30]), vectors)


def test_or_with_another_one_from_the_middle_of_a_longer_job(rig, tmp_path):
    files = EmbeddingFiles.of(rig.workspace.networks.encoder(rig.project, "pretext-1"), tmp_path)
    rows = rig.pool().row
    (step,) = embed_into(rig.workspace, files, rows, since=0.9)
    assert step.done == 1 and not len(files.missing(rows))
    assert list(embed_into(rig.workspace, files, rows[:0])) == []
