"""timm's smallest networks, with random weights in a file: nothing is downloaded."""

import sys

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from support.networks import noise

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import Head, make_encoder

IMAGES = noise(3, size=32)
NETWORKS = {"test_resnet": 5, "test_vit": 10, "test_efficientnet.r160_in1k": 5, "test_convnext": 5}
"""Names of networks, and the side of their last maps."""


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    return request.param, timm.create_model(request.param).eval()


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_file(network[1].state_dict(), path)  # with its classifier
    return path


def encoder(name, file=None, *, dense=False):
    return make_encoder(f"timm:{name}" + (f"@{file}" if file else ""), stored=NotImplemented, dense=dense)


def test_images_are_embedded_as_timm_pools_them(network, file):
    name, model = network
    found = encoder(name, file)
    ((rows, vectors, cells),) = found.embed(IMAGES, np.arange(3), device="cpu")
    pixels = torch.from_numpy(IMAGES.pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(model.pretrained_cfg[each]).view(3, 1, 1) for each in ("mean", "std"))
    inputs = F.interpolate((pixels - mean) / std, size=160, mode="bilinear", antialias=True)
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(inputs), pre_logits=True).numpy()
    assert rows.tolist() == [0, 1, 2] and cells is None
    assert (found.name, found.input_size, found.grid) == (f"timm:{name}@{file}", 160, None)
    assert vectors.shape == expected.shape == (3, found.dimension)
    np.testing.assert_allclose(vectors, expected, rtol=5e-3, atol=5e-3)


def test_patch_embeddings_are_those_of_all_stages_or_the_last_tokens(network, file):
    name, model = network
    found = encoder(name, file, dense=True)
    ((_, vectors, cells),) = found.embed(IMAGES, np.arange(3), device="cpu")
    ((_, plain, _),) = encoder(name, file).embed(IMAGES, np.arange(3), device="cpu")
    side, width = found.grid
    assert cells.shape == (3, side, side, width)
    assert side == (24 if NETWORKS[name] == 5 else 10)
    np.testing.assert_allclose(vectors, plain, rtol=5e-3, atol=5e-3)
    if name == "test_vit":
        assert width == model.num_features
    head = Head(np.zeros((width, 2), dtype=np.float32), np.array([1, 2], dtype=np.float32))
    ((_, logits),) = found.segment(head, IMAGES, np.arange(3), device="cpu")
    assert logits.shape == (3, 16, 16, 2) and (logits == [1, 2]).all()


def test_the_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    with pytest.raises(LearningError, match="does not hold the weights of test_vit: cls_token is missing"):
        encoder("test_vit", path)
    save_file(timm.create_model("test_vit").state_dict() | {"cls_token": torch.zeros(1, 1, 8)}, path)
    with pytest.raises(LearningError, match="does not hold the weights of test_vit as safetensors"):
        encoder("test_vit", path)


def test_a_file_of_another_kind_or_none_is_refused(tmp_path):
    pickled = tmp_path / "model.safetensors"
    pickled.write_bytes(b"PK\x03\x04 not safetensors at all")
    for path in (pickled, tmp_path / "missing.safetensors"):
        with pytest.raises(LearningError, match="does not hold the weights"):
            encoder("test_vit", path)


@pytest.mark.parametrize("name", ["nonsense", "test_vit.nonsense"])
def test_a_network_that_timm_does_not_know_is_refused(name):
    with pytest.raises(LearningError, match=f"timm has no network '{name}'"):
        encoder(name)


def test_without_a_connection_the_error_asks_for_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LearningError, match=r"cannot be fetched .*use a file as timm:test_vit@FILE"):
        encoder("test_vit")


def test_the_error_asks_for_a_file_if_timm_publishes_no_weights():
    with pytest.raises(LearningError, match=r"publishes no weights .*use timm:convnext_atto_rms@FILE"):
        encoder("convnext_atto_rms")


def test_without_timm_the_error_asks_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(LearningError, match="pip install timm"):
        encoder("test_vit")
