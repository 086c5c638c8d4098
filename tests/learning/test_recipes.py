import pytest
from support.networks import single

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import choose_image_size, recipes
from pt4al_backend.learning.networks import network_spec
from pt4al_backend.learning.recipes import images_per_step


def test_paper_is_the_published_protocol():
    recipe = recipes("paper", device="cpu", pool=50_000, image_size=32)
    pretext, main = recipe.pretext, recipe.main
    assert (pretext.network, pretext.epochs, pretext.batch) == ("resnet18", 15, 256)
    assert (main.network, main.epochs_for(1000), main.batch, main.drops) == ("resnet18", 200, 128, (160,))
    for each in (pretext, main):
        assert (each.learning_rate, each.weight_decay, each.nesterov) == (0.1, 5e-4, False)
    assert main.augment and not pretext.augment


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_fast_gives_small_pools_more_epochs_and_large_ones_at_least_one(device):
    epochs = [
        recipes("fast", device=device, pool=pool, image_size=32).pretext.epochs
        for pool in (10, 500, 5_000, 50_000, 10_000_000)
    ]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] > 2 * epochs[2] and epochs[-1] == 1


@pytest.mark.parametrize("labels", [1, 20, 300, 10_000])
def test_fast_main_training_has_a_bounded_number_of_steps(labels):
    main = recipes("fast", device="cpu", pool=10_000, image_size=32).main
    steps = main.epochs_for(labels) * -(-labels // main.batch)
    assert 0.8 * main.least_steps <= steps <= 1.2 * main.most_steps


@pytest.mark.parametrize("size", [32, 64])
def test_a_fast_step_is_one_piece(size):
    recipe = recipes("fast", device="cpu", pool=5_000, image_size=size)
    spec = network_spec(recipe.pretext.network, width=recipe.pretext.width, image_size=size, outputs=[single(4)])
    assert images_per_step(spec, device="cpu", inputs_per_image=4, training=True) >= recipe.pretext.batch
    assert images_per_step(spec, device="cpu", inputs_per_image=1, training=True) >= recipe.main.batch


def test_a_paper_step_is_cut_on_a_cpu_and_whole_on_a_gpu():
    spec = network_spec("resnet18", width=64, image_size=32, outputs=[single(4)])
    assert images_per_step(spec, device="cpu", inputs_per_image=4, training=True) == 8
    assert images_per_step(spec, device="cuda", inputs_per_image=4, training=True) == 256


@pytest.mark.parametrize("preset, size, least, most", [("paper", 224, 40, 50), ("fast", 224, 256, 256)])
def test_a_step_of_large_images_fits_a_gpu(preset, size, least, most):
    recipe = recipes(preset, device="cuda", pool=5_000, image_size=size).pretext
    spec = network_spec(recipe.network, width=recipe.width, image_size=size, outputs=[single(4)])
    assert least <= images_per_step(spec, device="cuda", inputs_per_image=4, training=True) <= most


def test_unknown_preset_is_refused():
    with pytest.raises(LearningError, match="choose fast or paper"):
        recipes("slow", device="cpu", pool=10, image_size=32)


@pytest.mark.parametrize(
    ("median", "preset", "device", "size"),
    [
        (8, "fast", "cpu", 32),
        (28, "fast", "cpu", 32),
        (32, "fast", "cuda", 32),
        (33, "fast", "cpu", 48),
        (64, "fast", "cpu", 64),
        (200, "fast", "cpu", 64),
        (1000, "paper", "cpu", 32),
        (100, "fast", "cuda", 128),
        (4000, "paper", "cuda:1", 224),
    ],
)
def test_choose_image_size(median, preset, device, size):
    assert choose_image_size(median, preset=preset, device=device) == size


@pytest.mark.parametrize(
    ("median", "device", "size"),
    [(20, "cpu", 32), (100, "cpu", 128), (4000, "cpu", 192), (300, "cuda", 384), (4000, "cuda", 512)],
)
def test_choose_image_size_for_pixel_level_outputs(median, device, size):
    assert choose_image_size(median, preset="fast", device=device, dense=True) == size


@pytest.mark.parametrize("preset", ["fast", "paper"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_dense_recipes_say_so(preset, device):
    for dense in (False, True):
        recipe = recipes(preset, device=device, pool=100, image_size=96, dense=dense)
        assert recipe.pretext.dense == recipe.main.dense == dense


@pytest.mark.parametrize("pool", [1, 300, 100_000])
def test_a_dense_pretext_training_on_a_cpu_is_bounded(pool):
    pretext = recipes("fast", device="cpu", pool=pool, image_size=192, dense=True).pretext
    steps = pretext.epochs * -(-pool // pretext.batch)
    assert pretext.batch == 16
    assert steps <= max(1.05 * pretext.most_steps, -(-pool // pretext.batch))
