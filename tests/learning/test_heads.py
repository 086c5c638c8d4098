import pytest
import torch
import torch.nn.functional as F
from support.networks import SHAPES, single
from torchvision.models.segmentation.lraspp import LRASPPHead

from pt4al_backend.learning.heads import MaskHead, side_by_side, upsampled
from pt4al_backend.learning.inputs import generator
from pt4al_backend.learning.networks import initialised, network_spec
from pt4al_backend.learning.output_types import head_for

SPEC = network_spec("resnet9", width=8, image_size=32, outputs=[single(4), SHAPES], dense=True)


@pytest.fixture(scope="module")
def network():
    return initialised(SPEC, generator=generator(1)).eval()


@pytest.fixture(scope="module")
def maps(network):
    with torch.inference_mode():
        return network.backbone(torch.rand(2, 3, 32, 32, generator=generator(2)))


def test_the_mask_head_agrees_with_torchvisions(network, maps):
    head = network.heads[1]
    with torch.inference_mode():
        theirs = LRASPPHead.forward(head, {"low": maps[0], "high": maps[-1]})
        torch.testing.assert_close(head(maps), theirs)  # the first stage has the masks' side here


@pytest.mark.parametrize("k", [0, 1])
def test_a_heads_classifier_is_linear_on_its_features(network, maps, k):
    head = network.heads[k]
    with torch.inference_mode():
        weight, bias = head.classifier()
        features = head.features(maps) if isinstance(head, MaskHead) else maps[-1].mean(dim=(2, 3))
        logits = torch.einsum("nf...,cf->nc...", features, weight) + bias.view(-1, *[1] * (features.ndim - 2))
        torch.testing.assert_close(logits, head(maps))


def test_masks_have_the_requested_side(maps, network):
    head = head_for(SHAPES, network.backbone.channels, side=40).eval()
    with torch.inference_mode():
        assert head(maps).shape == (2, 3, 40, 40)


@pytest.mark.parametrize("side", [6, 9, 12, 24])
def test_upsampling_is_pytorchs(side):
    small = torch.rand(2, 3, 6, 6, generator=generator(3))
    torch.testing.assert_close(upsampled(small, side), F.interpolate(small, size=side, mode="bilinear"))


def test_maps_side_by_side_keep_their_values():
    fine, coarse = torch.rand(1, 2, 8, 8), torch.rand(1, 3, 2, 2)
    both = side_by_side([fine, coarse])
    assert torch.equal(both[:, :2], fine)
    torch.testing.assert_close(both[:, 2:], F.interpolate(coarse, size=8, mode="bilinear"))
