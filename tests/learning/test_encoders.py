import numpy as np
import pytest
import torch
from support.colour_encoder import colour_encoder
from support.networks import SHAPES, ArrayMasks, embeddings_of, finish, noise, patches_of, shapes, single, small

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import ENCODERS, make_encoder, network_encoder, train_main
from pt4al_backend.learning.inputs import normalised
from pt4al_backend.learning.networks import for_inference

IMAGES = noise(9)


def trained():
    rows = np.arange(4)
    return finish(
        train_main(IMAGES, rows, [single(2)], [rows % 2], recipe=small().main, init=None, seed=0, device="cpu")
    )


def test_an_image_is_embedded_as_the_pooled_stages_side_by_side():
    weights = trained()
    with torch.inference_mode():
        network = for_inference(weights, "cpu")
        maps = network.backbone(normalised(torch.from_numpy(IMAGES.pixels)))
        pooled = torch.cat([stage.mean(dim=(2, 3)) for stage in maps], dim=1)
    encoder = network_encoder(weights)
    embeddings = embeddings_of(weights, IMAGES, np.arange(9))
    assert (encoder.input_size, encoder.grid, encoder.dimension) == (16, None, pooled.shape[1])
    np.testing.assert_allclose(embeddings, pooled.numpy(), rtol=2e-3, atol=1e-4)


def test_a_dense_network_gives_patch_embeddings():
    images, masks = shapes(4)
    rows, recipe = np.arange(4), small(64, dense=True, epochs=1).main
    weights = finish(
        train_main(images, rows, [SHAPES], [ArrayMasks(masks)], recipe=recipe, init=None, seed=0, device="cpu")
    )
    side, width = network_encoder(weights).grid
    assert patches_of(weights, images, rows).shape == (4, side, side, width)


@pytest.mark.parametrize("name", ["pretext-2", "main-3"])
def test_the_projects_own_networks_are_read_when_they_are_needed(name):
    weights, asked = trained(), []

    def stored(name):
        asked.append(name)
        return weights

    encoder = make_encoder(name, stored=stored, dense=True)
    assert encoder.name == name and encoder.grid is None  # a coarse network never gives patch embeddings
    ((_, vectors, _),) = encoder.embed(IMAGES, np.arange(9), device="cpu")
    assert np.array_equal(vectors, embeddings_of(weights, IMAGES, np.arange(9)))
    assert asked == [name, name]


def test_a_family_of_encoders_is_a_module_and_a_line(monkeypatch):
    monkeypatch.setitem(ENCODERS, "colour:", lambda name, stored, dense: colour_encoder(name, dense=dense))
    for dense in (False, True):
        encoder = make_encoder("colour:mean", stored=NotImplemented, dense=dense)
        ((_, vectors, cells),) = encoder.embed(IMAGES, np.arange(9), device="cpu")
        assert vectors.shape == (9, encoder.dimension)
        assert cells is None if not dense else cells.shape == (9, 4, 4, 3)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(LearningError, match="'resnet50' is unknown: write timm: and"):
        make_encoder("resnet50", stored=NotImplemented, dense=False)
