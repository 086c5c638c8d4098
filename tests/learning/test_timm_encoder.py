"""timm's smallest networks, with random weights in a file: nothing is downloaded."""

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from support.networks import noise

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import Head, make_encoder
from pt4al_backend.learning.timm_encoder import pretrained_config

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


def encoder(name, file, *, dense=False, size=0):
    return make_encoder(f"{name}@{file}", stored=NotImplemented, dense=dense, input_size=size)


def test_images_are_embedded_as_timm_pools_them_with_length_1(network, file):
    name, model = network
    found = encoder(name, file)
    images = noise(3, size=160)
    ((rows, vectors, cells),) = found.embed(images, np.arange(3), device="cpu")
    pixels = torch.from_numpy(images.pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(model.pretrained_cfg[each]).view(3, 1, 1) for each in ("mean", "std"))
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features((pixels - mean) / std), pre_logits=True)
        expected = F.normalize(expected, dim=1).numpy()
    assert rows.tolist() == [0, 1, 2] and cells is None
    assert (found.name, found.input_size, found.patches) == (f"{name}@{file}", 160, None)
    assert vectors.shape == expected.shape == (3, found.dimension)
    np.testing.assert_allclose(vectors, expected, rtol=5e-3, atol=5e-4)


def test_patch_embeddings_are_those_of_all_stages_or_the_last_tokens(network, file):
    name, model = network
    found = encoder(name, file, dense=True)
    ((_, vectors, cells),) = found.embed(IMAGES, np.arange(3), device="cpu")
    ((_, plain, _),) = encoder(name, file).embed(IMAGES, np.arange(3), device="cpu")
    layout = found.patches
    assert cells.shape == (3, layout.size)
    assert layout.side == (40 if NETWORKS[name] == 5 else 10) and layout.stages[-1][0] == NETWORKS[name]
    np.testing.assert_allclose(vectors, plain, rtol=5e-3, atol=5e-3)
    if name == "test_vit":
        assert layout.stages == ((10, model.num_features),)
    head = Head(np.zeros((layout.channels, 2), dtype=np.float32), np.array([1, 2], dtype=np.float32))
    ((_, logits),) = found.segment(head, IMAGES, np.arange(3), device="cpu")
    assert logits.shape == (3, 16, 16, 2) and (logits == [1, 2]).all()


@pytest.mark.parametrize(("wanted", "given"), [(128, 128), (100, 96), (10, 32), (320, 320)])
def test_the_side_of_the_inputs_is_one_that_the_network_can_see(network, file, wanted, given):
    name, _ = network
    found = encoder(name, file, dense=True, size=wanted)
    given = 16 * round(wanted / 16) if name == "test_vit" else given
    assert found.input_size == given
    ((_, vectors, cells),) = found.embed(IMAGES, np.arange(3), device="cpu")
    assert vectors.shape == (3, found.dimension) and cells.shape == (3, found.patches.size)
    assert np.isfinite(vectors).all() and np.isfinite(cells).all()


def test_all_networks_are_computed_by_openvino(network, file, caplog):
    for dense in (False, True):
        encoder(network[0], file, dense=dense).load("cpu")
    assert caplog.text == ""


def test_the_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    with pytest.raises(LearningError, match="weights are not those of test_vit: cls_token is missing"):
        encoder("test_vit", path)
    save_file(timm.create_model("test_vit").state_dict() | {"cls_token": torch.zeros(1, 1, 8)}, path)
    with pytest.raises(LearningError, match=r"weights are not those of test_vit: .*cls_token"):
        encoder("test_vit", path)


@pytest.mark.parametrize("name", ["nonsense", "test_vit.nonsense"])
def test_a_network_that_timm_does_not_know_is_refused(name, file):
    with pytest.raises(LearningError, match=f"timm has no network '{name}'"):
        encoder(name, file)
    with pytest.raises(LearningError, match=f"timm has no network '{name}'"):
        pretrained_config(name)
