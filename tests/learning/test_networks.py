import numpy as np
import pytest
import torch
import torchvision

from pt4al_backend.learning import LearningError, feature_size
from pt4al_backend.learning.inputs import generator
from pt4al_backend.learning.networks import (
    build,
    for_inference,
    forward_flops,
    initialised,
    load_arrays,
    network_spec,
    to_weights,
)
from pt4al_backend.learning.recipes import SIZES

SPECS = [
    network_spec("resnet9", width=8, image_size=48, outputs=5),
    network_spec("resnet18", width=64, image_size=32, outputs=5),
    network_spec("resnet18", width=64, image_size=32, outputs=5, kernel=7),
    network_spec("resnet18", width=64, image_size=96, outputs=5, kernel=7),
]


@pytest.mark.parametrize("spec", SPECS)
def test_weights_rebuild_the_same_network(spec):
    network = initialised(spec, generator=generator(1)).eval()
    again = for_inference(to_weights(network, spec), "cpu")
    x = torch.rand(2, 3, spec["image_size"], spec["image_size"], generator=generator(2))
    with torch.inference_mode():
        torch.testing.assert_close(again(x), network(x))
        assert network(x).shape == (2, 5)
        widths = sum(pooled.shape[1] for pooled in network.pooled(x))
    assert feature_size(to_weights(network, spec)) == widths


def test_initial_values_come_from_the_generator_alone():
    state = torch.get_rng_state()
    first = to_weights(initialised(SPECS[0], generator=generator(7)), SPECS[0])
    second = to_weights(initialised(SPECS[0], generator=generator(7)), SPECS[0])
    other = to_weights(initialised(SPECS[0], generator=generator(8)), SPECS[0])
    name = "stem.0.weight"
    assert np.array_equal(first.arrays[name], second.arrays[name])
    assert not np.array_equal(first.arrays[name], other.arrays[name])
    assert torch.equal(state, torch.get_rng_state())


def test_resnet9_costs_about_the_same_at_every_size():
    flops = [forward_flops(network_spec("resnet9", width=16, image_size=size, outputs=4)) for size in SIZES]
    assert max(flops) < 2 * flops[0]


def test_resnet18_has_the_names_of_torchvision():
    ours = build(SPECS[3]).state_dict()
    theirs = torchvision.models.resnet18(num_classes=5).state_dict()
    assert {name: value.shape for name, value in ours.items()} == {n: v.shape for n, v in theirs.items()}


def test_values_of_another_network_are_refused():
    wide = network_spec("resnet9", width=16, image_size=48, outputs=5)
    arrays = to_weights(initialised(wide, generator=generator(0)), wide).arrays
    with pytest.raises(LearningError, match="does not fit"):
        load_arrays(initialised(SPECS[0], generator=generator(0)), arrays)


def test_unknown_network_is_refused():
    with pytest.raises(LearningError, match="choose resnet9 or resnet18"):
        build({"network": "vit"})
