import numpy as np
import torch
from support.networks import ArrayImages, noise

from pt4al_backend.learning.inputs import (
    Crop,
    Pixels,
    cut,
    generator,
    normalised,
    random_colours,
    random_crop,
    recoloured,
    rotated,
    rotation_labels,
)


def test_rotations_of_a_hand_made_image():
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 3, 2, 2)
    turned = rotated(image)[:, 0].tolist()
    assert turned == [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    assert rotation_labels(1, device="cpu").tolist() == [0, 1, 2, 3]


def test_rotations_of_several_images_match_their_labels():
    images = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    turned, labels = rotated(images), rotation_labels(2, device="cpu").tolist()
    for i, label in enumerate(labels):
        assert torch.equal(turned[i], torch.rot90(images[i % 2], label, (1, 2)))


def test_normalised_keeps_red_first():
    red = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    red[..., 0] = 255
    x = normalised(red)
    assert x.shape == (1, 3, 2, 2)
    np.testing.assert_allclose(x[0, :, 0, 0], [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-5)


def test_augmented_images_are_shifted_and_flipped_copies():
    pixels = torch.from_numpy(noise(20, size=16).pixels)
    crops = cut(pixels, random_crop(20, 16, generator=generator(3)))
    assert torch.equal(crops, cut(pixels, random_crop(20, 16, generator=generator(3))))
    flips = set()
    for image, crop in zip(pixels, crops, strict=True):
        found = [
            (f, dy, dx) for f in (False, True) for dy in range(5) for dx in range(5) if _is(image, crop, f, dy, dx)
        ]
        assert len(found) == 1
        flips.add(found[0][0])
    assert flips == {False, True}


def test_masks_are_cropped_like_the_images():
    masks = torch.from_numpy(noise(20, size=8).pixels[..., 0])
    pixels = masks.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    crop = random_crop(20, 16, generator=generator(3))
    same_side = cut(pixels, crop, outside=255)
    assert torch.equal(cut(masks, crop, outside=255), same_side[:, 1::2, 1::2])
    assert (cut(torch.zeros_like(masks), crop, outside=255) == 255).any()


def test_pixels_outside_an_image_get_the_given_value():
    image = torch.tensor([[[1, 2], [3, 4]]])
    moved = Crop(torch.tensor([[-1, 0]]), torch.tensor([[2, 1]]))
    assert cut(image, moved, outside=9).tolist() == [[[9, 9], [9, 2]]]


def test_recoloured_images_change_in_contrast_and_in_each_channel():
    inputs = torch.zeros(50, 3, 2, 2)
    inputs[..., 1] = 1  # a black and a white column
    changed = recoloured(inputs, random_colours(len(inputs), strength=0.3, generator=generator(3)))
    offset, contrast = changed[..., 0, 0], changed[..., 0, 1] - changed[..., 0, 0]
    assert torch.equal(changed[..., 0, :], changed[..., 1, :])
    assert (offset.abs() <= 0.3).all() and ((contrast - 1).abs() <= 0.3 + 1e-6).all()
    assert torch.allclose(contrast, contrast[:, :1].expand_as(contrast), atol=1e-6)  # the same for all channels
    for drawn in (offset, contrast[:, 0] - 1):
        assert drawn.min() < -0.2 and drawn.max() > 0.2  # of all strengths
        assert len(drawn.flatten().unique()) > 45  # each image has its own
    assert torch.equal(inputs[..., 1], torch.ones(50, 3, 2))  # the input is not changed in place


def test_the_generator_determines_recolouring():
    a, b, c = (random_colours(50, strength=0.3, generator=generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(a.contrast, b.contrast) and torch.equal(a.offset, b.offset)
    assert not torch.equal(a.contrast, c.contrast) and not torch.equal(a.offset, c.offset)


def test_recolouring_by_nothing_changes_nothing():
    inputs = normalised(torch.from_numpy(noise(4).pixels))
    assert torch.equal(recoloured(inputs, random_colours(len(inputs), strength=0.0, generator=generator(3))), inputs)


def test_recoloured_inputs_stay_channels_last():
    inputs = normalised(torch.from_numpy(noise(4).pixels))
    changed = recoloured(inputs, random_colours(len(inputs), strength=0.3, generator=generator(3)))
    assert changed.shape == inputs.shape and changed.dtype == torch.float32
    assert changed.stride() == inputs.stride()
    assert changed.is_contiguous(memory_format=torch.channels_last)


def _is(image: torch.Tensor, crop: torch.Tensor, flip: bool, dy: int, dx: int) -> bool:
    padded = torch.nn.functional.pad(image, (0, 0, 2, 2, 2, 2))
    moved = padded[dy : dy + 16, dx : dx + 16]
    return torch.equal(moved.flip(1) if flip else moved, crop)


def test_pixels_are_read_by_position_even_from_read_only_memory():
    images = noise(10)
    images.pixels.flags.writeable = False
    pixels = Pixels(ArrayImages(images.pixels), np.array([7, 3, 5]), "cpu")
    assert np.array_equal(pixels(np.array([2, 0])), images.pixels[[5, 7]])


def test_generators_differ_by_seed_and_by_path():
    draws = {torch.rand(1, generator=generator(*path)).item() for path in [(0,), (1,), (0, 1), (0, 1, 0), (-1,)]}
    assert len(draws) == 5
