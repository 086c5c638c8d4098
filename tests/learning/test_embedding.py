from dataclasses import replace

import numpy as np
import pytest
import torch
from support.colour_encoder import colour_encoder
from support.networks import ArrayImages, noise

from pt4al_backend.learning import Head, PatchLayout

IMAGES = noise(9, size=8)


def embedded(encoder, images=IMAGES, rows=None):
    chunks = list(encoder.embed(images, np.arange(len(images.pixels)) if rows is None else rows, device="cpu"))
    return np.concatenate([vectors for _, vectors, _ in chunks])


def test_chunks_name_their_rows_in_order():
    rows = np.array([8, 0, 3, 2, 5, 1])
    encoder = replace(colour_encoder("colour", dense=False), step=4)
    chunks = list(encoder.embed(IMAGES, rows, device="cpu"))
    assert [chunk.tolist() for chunk, _, _ in chunks] == [[8, 0, 3, 2], [5, 1]]
    assert [cells for _, _, cells in chunks] == [None, None]
    assert np.array_equal(np.concatenate([vectors for _, vectors, _ in chunks]), embedded(encoder)[rows])
    assert list(encoder.embed(IMAGES, rows[:0], device="cpu")) == []


def test_one_chunk_is_embedded_alone_too():
    encoder = colour_encoder("colour", dense=True)
    ((_, vectors, cells),) = encoder.embed(IMAGES, np.arange(9), device="cpu")
    found = encoder.embed_pixels(IMAGES.pixels, device="cpu")
    assert np.array_equal(found[0], vectors) and np.array_equal(found[1], cells)
    assert found[0].dtype == found[1].dtype == np.float16


def test_images_of_another_size_are_resized():
    quarters = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    quarters[0, :16, :16, 0] = quarters[0, 16:, 16:, 1] = 255
    encoder = colour_encoder("colour", dense=True)
    ((_, vectors, cells),) = encoder.embed(ArrayImages(quarters), np.arange(1), device="cpu")
    np.testing.assert_allclose(vectors, [[0.25, 0.25, 0]], atol=0.01)
    cells = cells.reshape(1, 4, 4, 3)
    np.testing.assert_allclose(cells[0, 0, 0], [1, 0, 0], atol=0.01)
    np.testing.assert_allclose(cells[0, 3, 3], [0, 1, 0], atol=0.01)
    np.testing.assert_allclose(cells[0, 0, 3], [0, 0, 0], atol=0.01)


def test_patch_embeddings_are_the_means_of_their_cells():
    encoder = replace(colour_encoder("colour", dense=True), patches=PatchLayout(((2, 3),)))
    ((_, _, cells),) = encoder.embed(IMAGES, np.arange(9), device="cpu")
    expected = IMAGES.pixels.reshape(9, 2, 4, 2, 4, 3).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(cells, expected.reshape(9, -1), rtol=2e-3)


def test_values_that_float16_cannot_hold_are_its_largest():
    vectors = embedded(replace(colour_encoder("colour", dense=False), scale=1e9))
    assert (vectors == np.finfo(np.float16).max).all()


def test_a_head_on_patch_embeddings_predicts_every_pixel():
    left_red = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    left_red[:, :, :4, 0] = left_red[:, :, 4:, 2] = 255
    encoder = colour_encoder("colour", dense=True)
    head = Head(np.array([[4, 0], [0, 0], [0, 4]], dtype=np.float32), np.array([1, 0], dtype=np.float32))
    ((rows, logits),) = encoder.segment(head, ArrayImages(left_red), np.array([1, 0]), device="cpu")
    assert rows.tolist() == [1, 0] and logits.shape == (2, 4, 4, 2) and logits.dtype == np.float16
    assert logits[0, 0].tolist() == [[5, 0], [5, 0], [1, 4], [1, 4]]


def test_embedding_needs_no_gradients():
    assert torch.is_grad_enabled()
    for _ in colour_encoder("colour", dense=False).embed(IMAGES, np.arange(9), device="cpu"):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()  # and it restores both modes


@pytest.mark.parametrize("dense", [False, True])
def test_it_is_a_module_for_whoever_exports_it(dense):
    encoder = colour_encoder("colours", dense=dense)
    pixels = torch.randint(256, (2, 8, 8, 3), dtype=torch.uint8)
    embeddings, maps = encoder.load("cpu")(pixels)
    found = encoder.module()(pixels)
    assert isinstance(encoder.module(), torch.nn.Module) and len(found) == 1 + dense
    assert all(torch.equal(*pair) for pair in zip(found, [embeddings, *(maps or [])], strict=True))
