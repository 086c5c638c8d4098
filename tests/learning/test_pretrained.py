import numpy as np
import pytest
import torchvision
from safetensors.torch import save_file
from support.networks import embeddings_of, finish, noise, single, small

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import load_imagenet, train_main


@pytest.fixture(scope="module")
def state():
    return torchvision.models.resnet18().state_dict()


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("imagenet") / "resnet18.safetensors"
    save_file(state, path)
    return path


@pytest.mark.parametrize("size", [32, 96])
def test_the_main_network_starts_from_the_file(file, state, size):
    weights = load_imagenet(file)
    images, rows = noise(2, size=size), np.arange(2)
    recipe = small(size, learning_rate=0.0, epochs=1).main
    main = finish(train_main(images, rows, [single(2)], [rows], recipe=recipe, init=weights, seed=0, device="cpu"))
    assert main.spec["network"] == "resnet18" and main.spec["image_size"] == size
    assert np.array_equal(main.arrays["backbone.layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
    assert embeddings_of(main, images, rows).shape == (2, 896)


def test_a_file_without_classifier_in_half_precision_is_accepted(state, tmp_path):
    path = tmp_path / "backbone.safetensors"
    save_file({name: value.half() for name, value in state.items() if not name.startswith("fc.")}, path)
    assert load_imagenet(path).arrays["backbone.conv1.weight"].dtype == np.float32


def test_another_network_is_refused(state, tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({name: value for name, value in state.items() if name != "layer3.0.downsample.0.weight"}, path)
    with pytest.raises(LearningError, match=r"not a ResNet-18: layer3\.0\.downsample\.0\.weight"):
        load_imagenet(path)


def test_a_file_of_another_kind_or_none_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"PK\x03\x04 not safetensors at all")
    for wrong in (path, tmp_path / "missing.safetensors"):
        with pytest.raises(LearningError, match="cannot be read"):
            load_imagenet(wrong)
