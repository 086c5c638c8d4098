"""What the main network starts from."""

import pytest
import torchvision
from safetensors.torch import save_file
from support.rig import Rig

from pt4al_backend.errors import PT4ALError


def train(tmp_path, **settings):
    rig = Rig(tmp_path / "data", n=20, pretext_epochs=1, main_epochs=1, **settings)
    rig.settle()
    for task in rig.platform.queue[:6]:
        rig.platform.label(task)
    try:
        rig.settle()
        return rig.workspace.networks.weights("main-1").spec
    finally:
        rig.close()


def test_the_main_network_can_start_from_imagenet_weights_in_a_file(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    save_file(torchvision.models.resnet18().state_dict(), path)
    spec = train(tmp_path, init="imagenet", imagenet_weights=str(path))
    assert (spec["network"], spec["kernel"], spec["image_size"]) == ("resnet18", 7, 32)


def test_imagenet_weights_that_are_not_there_are_asked_for(tmp_path):
    with pytest.raises(PT4ALError, match="cannot be read as a safetensors file"):
        train(tmp_path, init="imagenet", imagenet_weights=str(tmp_path / "missing.safetensors"))


@pytest.mark.parametrize(("init", "network"), [("pretext", "resnet9"), ("scratch", "resnet9")])
def test_or_from_the_pretext_network_or_from_scratch(tmp_path, init, network):
    assert train(tmp_path, init=init)["network"] == network
