import numpy as np
import pytest
import torch
from support.networks import finish, noise, single, small
from torch import nn

from pt4al_backend.learning import recipes, train_main
from pt4al_backend.learning.backbones import BACKBONES
from pt4al_backend.learning.networks import network_spec


class _OneStage(nn.Module):
    """The smallest backbone."""

    channels = (4,)

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Conv2d(3, 4, 3, padding=1, bias=False)

    def forward(self, x):
        return [self.stage(x)]


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", BACKBONES)
def test_maps_have_the_declared_width_and_halve_in_size(name, dense):
    spec = network_spec(name, width=8, image_size=64, outputs=[], dense=dense)
    with torch.device("meta"):
        backbone = BACKBONES[name](spec).eval()
        maps = backbone(torch.empty(2, 3, 64, 64))
    assert [each.shape[:2] for each in maps] == [(2, channels) for channels in backbone.channels]
    sides = [each.shape[-1] for each in maps]
    assert sides == [sides[0] // 2**k for k in range(len(sides))]


@pytest.mark.parametrize("preset", ["fast", "paper"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("dense", [False, True])
def test_every_recipe_names_one(preset, device, dense):
    recipe = recipes(preset, device=device, pool=100, image_size=64, dense=dense)
    assert {recipe.pretext.network, recipe.main.network} <= set(BACKBONES)


def test_a_backbone_is_a_class_and_a_line(monkeypatch):
    monkeypatch.setitem(BACKBONES, "one_stage", lambda spec: _OneStage())
    rows, recipe = np.arange(4), small(network="one_stage").main
    weights = finish(
        train_main(noise(4), rows, [single(2)], [rows % 2], recipe=recipe, init=None, seed=0, device="cpu")
    )
    assert weights.arrays["backbone.stage.weight"].shape == (4, 3, 3, 3)
