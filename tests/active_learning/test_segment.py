"""Masks from stored patch embeddings, or from pixels."""

from pathlib import Path

import numpy as np
import pytest
from support.colour_encoder import colour_encoder
from support.networks import SHAPES, ArrayMasks, finish, segmented, shapes, small

from pt4al_backend import learning
from pt4al_backend.active_learning import segment as segmenting
from pt4al_backend.active_learning.embedding_files import EmbeddingFiles
from pt4al_backend.active_learning.segment import segment

HEAD = learning.Head(np.eye(3, dtype=np.float32), np.zeros(3, dtype=np.float32))
"""Says how red, green and blue a cell is."""


def test_a_pretrained_encoders_masks_come_from_its_patch_embeddings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenting, "IN_MEMORY", 2 * 4 * 4 * 3)
    files = EmbeddingFiles.of(colour_encoder("colour", dense=True), tmp_path)
    patches = np.random.default_rng(0).random((5, 4 * 4 * 3)).astype(np.float16)
    files.write(np.arange(5), np.zeros((5, 3), dtype=np.float16), patches)
    rows = np.array([4, 0, 2])
    found = list(segment(HEAD, files, None, rows, side=4, device="cpu"))  # type: ignore[arg-type]  # no pixels
    assert [chunk.tolist() for chunk, _ in found] == [[4, 0], [2]]
    logits = np.concatenate([part for _, part in found])
    np.testing.assert_allclose(logits, patches[rows].reshape(3, 4, 4, 3), rtol=1e-4)
    ((_, larger),) = segment(HEAD, files, None, rows[:1], side=12, device="cpu")  # type: ignore[arg-type]
    assert larger.shape == (1, 12, 12, 3)


def test_own_networks_see_the_pixels_again(tmp_path: Path) -> None:
    images, masks = shapes(4)
    recipe = small(64, dense=True, epochs=1).main
    weights = finish(
        learning.train_main(
            images, np.arange(4), [SHAPES], [ArrayMasks(masks)], recipe=recipe, init=None, seed=0, device="cpu"
        )
    )
    head, files = learning.network_head(weights, 0), EmbeddingFiles.of(learning.network_encoder(weights), tmp_path)
    ((rows, logits),) = segment(head, files, images, np.arange(4), side=5, device="cpu")
    assert rows.tolist() == [0, 1, 2, 3] and logits.shape == (4, 32, 32, 3)
    assert np.array_equal(logits.argmax(axis=-1), segmented(weights, head, images, rows))
