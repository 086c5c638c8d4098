"""A segmentation from end to end: a trained network and a linear probe find shapes on noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.networks import (
    SHAPES,
    ArrayMasks,
    MemoryCheckpoint,
    embeddings_of,
    finish,
    multiple,
    patches_of,
    same,
    segmented,
    shapes,
    single,
    small,
)

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import (
    IGNORE,
    fit_pixel_head,
    mask_shares,
    network_encoder,
    network_head,
    train_main,
    train_pretext,
)
from pt4al_backend.learning.inputs import normalised
from pt4al_backend.learning.networks import for_inference

IMAGES, MASKS = shapes(120)
TAUGHT, REST = np.arange(80), np.arange(80, 120)


def training(masks, *, outputs=(SHAPES,), others=(), images=IMAGES, seed=0, init=None, **changes):
    short = {"dense": True, "width": 8} | changes
    return train_main(
        images,
        np.arange(len(masks)),
        outputs,
        [*others, ArrayMasks(masks)],
        recipe=small(images.size, **short).main,
        init=init,
        seed=seed,
        device="cpu",
    )


def accuracy(weights, head, rows=REST):
    return (segmented(weights, head, IMAGES, rows) == MASKS[rows]).mean()


@pytest.fixture(scope="module")
def trained():
    return finish(training(MASKS[TAUGHT], epochs=12))


def test_shapes_on_noise_are_found(trained):
    background = (MASKS[REST] == 2).mean()
    assert accuracy(trained, network_head(trained, 0)) > 0.95 > background + 0.1


def test_a_network_learns_from_mixed_masks():
    recipe = replace(small(64, dense=True, epochs=12).main, mixup=True)
    work = train_main(IMAGES, TAUGHT, [SHAPES], [ArrayMasks(MASKS)], recipe=recipe, init=None, seed=0, device="cpu")
    weights = finish(work)
    assert accuracy(weights, network_head(weights, 0)) > 0.9


def test_half_the_pixels_are_enough(trained):
    half = MASKS[TAUGHT].copy()
    half[np.random.default_rng(0).random(half.shape) < 0.5] = IGNORE
    weights = finish(training(half, epochs=12))
    assert accuracy(weights, network_head(weights, 0)) > 0.95


def test_a_seed_decides_everything(trained):
    first = finish(training(MASKS[:10], epochs=1))
    assert same(first, finish(training(MASKS[:10], epochs=1)))
    assert not same(first, finish(training(MASKS[:10], epochs=1, seed=1)))


def test_masks_move_with_their_pixels():
    """Left is class 0 and right class 1, in colour and in the mask: a mask left behind would blur the border."""
    images, masks = shapes(40, size=32)
    images.pixels[:, :, :16], images.pixels[:, :, 16:] = (255, 0, 0), (0, 255, 0)
    masks[:, :, :8], masks[:, :, 8:] = 0, 1
    weights = finish(training(masks, images=images, epochs=12))
    found = segmented(weights, network_head(weights, 0), images, np.arange(4))
    assert (found == masks[:4]).mean() > 0.98
    mirrored = type(images)(images.pixels[:, :, ::-1])
    found = segmented(weights, network_head(weights, 0), mirrored, np.arange(4))
    assert (found == 1 - masks[:4]).mean() > 0.98


def test_a_linear_probe_on_more_masks_is_better(trained):
    few = finish(training(MASKS[:4], epochs=1))
    size = network_encoder(few).patches.side
    grid = patches_of(few, IMAGES, TAUGHT)
    assert grid.shape[:3] == (80, size, size) and grid.dtype == np.float16
    shares = mask_shares(MASKS[TAUGHT], 3, size)
    found = [accuracy(few, fit_pixel_head(grid[:n], shares[:n])) for n in (2, 80)]
    assert found[1] > found[0] and found[1] > accuracy(few, network_head(few, 0))


def test_a_linear_probe_on_a_trained_network_is_as_good(trained):
    size = network_encoder(trained).patches.side
    head = fit_pixel_head(patches_of(trained, IMAGES, TAUGHT), mask_shares(MASKS[TAUGHT], 3, size))
    assert accuracy(trained, head) > 0.93


def test_a_rotation_network_serves_a_linear_probe_and_an_initialisation():
    recipe = small(64, dense=True, epochs=2).pretext
    pretext = finish(train_pretext(IMAGES, TAUGHT, recipe=recipe, seed=0, device="cpu", checkpoint=MemoryCheckpoint()))
    size = network_encoder(pretext).patches.side
    assert network_encoder(pretext).patches.channels == (2 + 4 + 8) * 8
    head = fit_pixel_head(patches_of(pretext, IMAGES, TAUGHT), mask_shares(MASKS[TAUGHT], 3, size))
    assert accuracy(pretext, head) > 0.9
    main = finish(training(MASKS[:2], init=pretext, learning_rate=0.0, epochs=1))
    assert np.array_equal(main.arrays["backbone.stage3.0.0.weight"], pretext.arrays["backbone.stage3.0.0.weight"])


def test_a_coarse_network_has_no_grid_and_starts_no_dense_one():
    coarse = finish(training(MASKS[:2], dense=False, epochs=1))
    assert network_encoder(coarse).patches is None
    assert [grid for _, _, grid in network_encoder(coarse).embed(IMAGES, REST, device="cpu")] == [None]
    with pytest.raises(LearningError, match="does not fit"):
        next(training(MASKS[:2], init=coarse))


def test_a_network_segments_as_it_was_trained_to(trained):
    inputs = normalised(torch.from_numpy(IMAGES.pixels[:3]))
    with torch.inference_mode():
        (expected,) = for_inference(trained, "cpu")(inputs)
    ((rows, logits),) = network_encoder(trained).segment(network_head(trained, 0), IMAGES, np.arange(3), device="cpu")
    assert rows.tolist() == [0, 1, 2] and logits.dtype == np.float16 and logits.shape == (3, 32, 32, 3)
    np.testing.assert_allclose(logits, expected.permute(0, 2, 3, 1).numpy(), rtol=1e-2, atol=0.02)


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        (np.full((2, 32, 32), 3, np.uint8), "0 to 2, or 255"),
        (np.zeros((2, 64, 64), np.uint8), "must be 32 x 32"),
        (np.zeros((0, 32, 32), np.uint8), "label at least one"),
    ],
)
def test_invalid_masks_are_refused(masks, says):
    with pytest.raises(LearningError, match=says):
        next(training(masks))


def test_unlabelled_masks_do_no_harm():
    weights = finish(training(np.full((4, 32, 32), IGNORE, np.uint8), epochs=1))
    assert all(np.isfinite(array).all() for array in weights.arrays.values())


def test_several_questions_are_learned_together_from_partial_labels():
    present = np.stack([(MASKS == 0).any(axis=(1, 2)), (MASKS == 1).any(axis=(1, 2))], axis=1)
    more = ((MASKS == 0).mean(axis=(1, 2)) > (MASKS == 1).mean(axis=(1, 2))).astype(np.int64)
    targets = [more[TAUGHT], present[TAUGHT].astype(np.int8), MASKS[TAUGHT].copy()]
    for k, nothing in enumerate((-1, -1, IGNORE)):
        targets[k][k::3] = nothing  # every image is labelled for two of three outputs
    outputs = (single(2), multiple(2), SHAPES)
    weights = finish(training(targets[2], outputs=outputs, others=targets[:2], epochs=15, recolour=0.0))
    features = embeddings_of(weights, IMAGES, REST)
    assert (network_head(weights, 0).logits(features).argmax(axis=1) == more[REST]).mean() > 0.8
    assert ((network_head(weights, 1).logits(features) > 0) == present[REST]).mean() > 0.85
    assert accuracy(weights, network_head(weights, 2)) > 0.93
