import shutil

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from support.colour_encoder import colour_encoder
from support.networks import (
    SHAPES,
    ArrayImages,
    ArrayMasks,
    embeddings_of,
    finish,
    noise,
    patches_of,
    shapes,
    single,
    small,
)

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import (
    DEFAULT_ENCODER,
    ENCODERS,
    fetch_encoder,
    make_encoder,
    network_encoder,
    train_main,
)
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
    assert (encoder.input_size, encoder.patches, encoder.dimension) == (16, None, pooled.shape[1])
    np.testing.assert_allclose(embeddings, pooled.numpy(), rtol=2e-3, atol=1e-4)


def test_a_dense_network_gives_patch_embeddings():
    images, masks = shapes(4)
    rows, recipe = np.arange(4), small(64, dense=True, epochs=1).main
    weights = finish(
        train_main(images, rows, [SHAPES], [ArrayMasks(masks)], recipe=recipe, init=None, seed=0, device="cpu")
    )
    (stage,) = network_encoder(weights).patches.stages
    assert stage[0] == 24 and patches_of(weights, images, rows).shape == (4, 24, *stage)


@pytest.mark.parametrize("name", ["pretext-2", "main-3"])
def test_the_projects_own_networks_are_read_when_they_are_needed(name):
    weights, asked = trained(), []

    def stored(name):
        asked.append(name)
        return weights

    encoder = make_encoder(name, stored=stored, dense=True)
    assert encoder.name == name and encoder.patches is None  # a coarse network never gives patch embeddings
    ((_, vectors, _),) = encoder.embed(IMAGES, np.arange(9), device="cpu")
    assert np.array_equal(vectors, embeddings_of(weights, IMAGES, np.arange(9)))
    assert asked == [name, name]


def test_a_family_of_encoders_is_a_module_and_a_line(monkeypatch):
    monkeypatch.setitem(ENCODERS, "colour-", lambda wanted: colour_encoder(wanted.name, dense=wanted.dense))
    for dense in (False, True):
        encoder = make_encoder("colour-mean", stored=NotImplemented, dense=dense)
        ((_, vectors, cells),) = encoder.embed(IMAGES, np.arange(9), device="cpu")
        assert vectors.shape == (9, encoder.dimension)
        assert cells is None if not dense else cells.shape == (9, 4 * 4 * 3)


@pytest.fixture(scope="module")
def built_in():
    return make_encoder(DEFAULT_ENCODER, stored=NotImplemented, dense=True, input_size=64)


def test_the_built_in_encoder_is_a_network_of_timm_that_needs_no_file(built_in):
    assert (built_in.name, built_in.input_size, built_in.dimension) == ("efficientnet_lite0", 64, 1280)
    assert built_in.patches.stages == ((16, 24), (8, 40), (4, 112), (2, 320))
    assert make_encoder(DEFAULT_ENCODER, stored=NotImplemented, dense=False).input_size == 224


def test_images_of_any_size_are_embedded_like_those_of_a_store(built_in):
    images = ArrayImages(noise(5, size=1).pixels.repeat(64, axis=1).repeat(64, axis=2))
    ((_, vectors, cells),) = built_in.embed(images, np.arange(5), device="cpu")
    found = built_in.embed_pixels(images.pixels, device="cpu")
    assert np.array_equal(found[0], vectors) and np.array_equal(found[1], cells)
    larger = images.pixels.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(built_in.embed_pixels(larger, device="cpu")[0], vectors, rtol=0.01, atol=0.01)


def test_a_file_says_its_network_by_its_name_or_in_front_of_it_or_beside_it(tmp_path):
    for folder in "abc":
        (tmp_path / folder).mkdir()
    named = tmp_path / "a" / "test_resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), named)
    other = tmp_path / "b" / "model.safetensors"
    hub = tmp_path / "c" / "model.safetensors"
    for copy in (other, hub):
        shutil.copy(named, copy)
    (tmp_path / "c" / "config.json").write_text('{"architecture": "test_resnet"}')
    for name in (str(named), f"test_resnet@{other}", str(hub)):
        encoder = make_encoder(name, stored=NotImplemented, dense=False)
        assert (encoder.name, encoder.dimension) == (name, 96)
        assert list(fetch_encoder(name, directory=tmp_path, offline=True)) == []
    with pytest.raises(LearningError, match=r"timm has no network 'model': .* or write NETWORK@FILE"):
        make_encoder(str(other), stored=NotImplemented, dense=False)


@pytest.mark.parametrize("name", ["pretext-1", "main-2", DEFAULT_ENCODER])
def test_most_encoders_need_no_download(name, tmp_path):
    assert list(fetch_encoder(name, directory=tmp_path, offline=True)) == []


def test_an_encoder_that_was_not_downloaded_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LearningError, match="weights of test_vit are not on this machine: download them first"):
        make_encoder("test_vit", stored=NotImplemented, dense=False, directory=tmp_path)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(LearningError, match="timm has no network 'resnet5000'"):
        make_encoder("resnet5000", stored=NotImplemented, dense=False)
