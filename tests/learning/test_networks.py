import numpy as np
import pytest
import torch
import torchvision
from support.networks import SHAPES, multiple, single

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import SEGMENTATION, Output, Weights
from pt4al_backend.learning.inputs import generator
from pt4al_backend.learning.networks import (
    build,
    embedding_size,
    for_inference,
    forward_flops,
    initialised,
    load_arrays,
    network_spec,
    pixel_shape,
    to_weights,
)
from pt4al_backend.learning.recipes import DENSE_SIZES, SIZES

SPECS = [
    network_spec("resnet9", width=8, image_size=48, outputs=[single(5)]),
    network_spec("resnet18", width=64, image_size=32, outputs=[single(5)]),
    network_spec("resnet18", width=64, image_size=32, outputs=[single(5)], kernel=7),
    network_spec("resnet18", width=64, image_size=96, outputs=[single(5)], kernel=7),
    network_spec("resnet9", width=8, image_size=32, outputs=[]),
    network_spec("resnet9", width=8, image_size=48, outputs=[single(5), multiple(2), SHAPES]),
    network_spec("resnet9", width=8, image_size=32, outputs=[SHAPES], dense=True),
    network_spec("resnet9", width=8, image_size=224, outputs=[SHAPES, single(2)], dense=True),
    network_spec("resnet18", width=64, image_size=64, outputs=[SHAPES], dense=True),
]


def _shape(output, spec):
    masks = (spec["image_size"] // 2,) * 2 if output["kind"] == SEGMENTATION else ()
    return (2, output["classes"], *masks)


@pytest.mark.parametrize("spec", SPECS)
def test_weights_rebuild_the_same_network(spec):
    network = initialised(spec, generator=generator(1)).eval()
    again = for_inference(to_weights(network, spec), "cpu")
    x = torch.rand(2, 3, spec["image_size"], spec["image_size"], generator=generator(2))
    with torch.inference_mode():
        torch.testing.assert_close(again(x), network(x))
        assert [logits.shape for logits in network(x)] == [_shape(output, spec) for output in spec["outputs"]]
        maps = network.backbone(x)
        assert [stage.shape[1] for stage in maps] == list(network.backbone.channels)
        assert embedding_size(spec) == network.pooled(maps).shape[1]
        side, features = pixel_shape(spec)
        assert network.pixel_features(maps).shape == (2, features, side, side)


def test_initial_values_come_from_the_generator_alone():
    state = torch.get_rng_state()
    first = to_weights(initialised(SPECS[0], generator=generator(7)), SPECS[0])
    second = to_weights(initialised(SPECS[0], generator=generator(7)), SPECS[0])
    other = to_weights(initialised(SPECS[0], generator=generator(8)), SPECS[0])
    name = "backbone.stem.0.weight"
    assert np.array_equal(first.arrays[name], second.arrays[name])
    assert not np.array_equal(first.arrays[name], other.arrays[name])
    assert torch.equal(state, torch.get_rng_state())


def test_resnet9_costs_about_the_same_at_every_size():
    flops = [forward_flops(network_spec("resnet9", width=16, image_size=size, outputs=[single(4)])) for size in SIZES]
    assert max(flops) < 2 * flops[0]


@pytest.mark.parametrize("size", DENSE_SIZES)
def test_a_dense_network_sees_every_fourth_pixel_or_finer_up_to_256(size):
    side, _ = pixel_shape(network_spec("resnet9", width=16, image_size=size, outputs=[SHAPES], dense=True))
    assert side == size // (2 if size <= 96 else 4 if size <= 192 else 8)


def test_resnet18_has_the_names_of_torchvision():
    ours = build(SPECS[3]).backbone.state_dict()
    theirs = torchvision.models.resnet18().state_dict()
    expected = {name: value.shape for name, value in theirs.items() if not name.startswith("fc.")}
    assert {name: value.shape for name, value in ours.items()} == expected


def test_values_of_another_network_are_refused():
    wide = network_spec("resnet9", width=16, image_size=48, outputs=[single(5)])
    arrays = to_weights(initialised(wide, generator=generator(0)), wide).arrays
    with pytest.raises(LearningError, match="does not fit"):
        load_arrays(initialised(SPECS[0], generator=generator(0)), arrays)


def test_unknown_network_is_refused():
    with pytest.raises(LearningError, match="choose resnet9 or resnet18"):
        build(SPECS[0] | {"network": "vit"})


def test_a_network_of_an_older_version_is_refused():
    older = Weights({}, {"network": "resnet9", "width": 8, "kernel": 3, "image_size": 32, "outputs": 5})
    with pytest.raises(LearningError, match="Train it again"):
        for_inference(older, "cpu")


def test_unknown_output_is_refused():
    with pytest.raises(LearningError, match="choose single, multiple or segmentation"):
        build(network_spec("resnet9", width=8, image_size=32, outputs=[Output("boxes", 3)]))


def test_a_second_segmentation_is_refused():
    with pytest.raises(LearningError, match="only one segmentation"):
        build(network_spec("resnet9", width=8, image_size=32, outputs=[SHAPES, SHAPES]))
