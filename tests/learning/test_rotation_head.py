"""A rotation head on a frozen encoder gives the losses that a rotation network would."""

from __future__ import annotations

import numpy as np
import pytest
from support.colour_encoder import colour_encoder
from support.networks import ArrayImages, finish, same

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import head_encoder, rotation_head, rotation_head_losses, train_rotation_head

ENCODER = colour_encoder("colour-2", dense=False, size=8, parts=2)
ROWS = np.arange(3, 63)


@pytest.fixture(scope="module")
def images() -> ArrayImages:
    """The sky is above, but for every tenth image, which is upside down."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 100, (70, 8, 8, 3), dtype=np.uint8)
    pixels[:, :4] += 100
    pixels[::10] = pixels[::10, ::-1]
    return ArrayImages(pixels)


def test_images_that_stand_on_their_heads_are_hard(images: ArrayImages) -> None:
    weights = finish(train_rotation_head(ENCODER, images, ROWS, seed=0, device="cpu"))
    losses = finish(rotation_head_losses(weights, ENCODER, images, ROWS, device="cpu"))
    assert losses.shape == (60,) and losses.dtype == np.float64
    assert losses[ROWS % 10 == 0].min() > np.log(4) > losses[ROWS % 10 != 0].max()
    assert head_encoder(weights.spec) == "colour-2"


def test_a_seed_decides_everything(images: ArrayImages) -> None:
    first, again, other = (
        finish(train_rotation_head(ENCODER, images, ROWS, seed=seed, device="cpu")) for seed in (0, 0, 1)
    )
    assert same(first, again) and not same(first, other)


def test_no_loss_is_by_a_head_that_was_fitted_on_the_image(
    images: ArrayImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation_head, "_MOST", 10)
    weights = finish(train_rotation_head(ENCODER, images, ROWS, seed=0, device="cpu"))
    seen = weights.arrays["seen"]
    assert len(seen) == 10
    weights.arrays["bias"][1] = [0, 0, 0, 50.0]  # the second head says 270 degrees
    losses = finish(rotation_head_losses(weights, ENCODER, images, ROWS, device="cpu"))
    assert ((losses > 30) == np.isin(ROWS, seen)).all()


def test_progress_is_told_and_parts_make_no_difference(images: ArrayImages, monkeypatch: pytest.MonkeyPatch) -> None:
    def losses() -> np.ndarray:
        weights = finish(train_rotation_head(ENCODER, images, ROWS, seed=0, device="cpu"))
        return finish(rotation_head_losses(weights, ENCODER, images, ROWS, device="cpu"))

    whole = losses()
    monkeypatch.setattr(rotation_head, "_AT_ONCE", 7)
    np.testing.assert_allclose(losses(), whole, rtol=1e-3)
    weights = finish(train_rotation_head(ENCODER, images, ROWS, seed=0, device="cpu"))
    done = [progress.done for progress in rotation_head_losses(weights, ENCODER, images, ROWS, device="cpu")]
    assert done == sorted(done) and len(done) == 9 and done[-1] == 1


def test_tiny_pools(images: ArrayImages) -> None:
    weights = finish(train_rotation_head(ENCODER, images, ROWS[:1], seed=0, device="cpu"))
    assert np.isfinite(finish(rotation_head_losses(weights, ENCODER, images, ROWS[:2], device="cpu"))).all()
    with pytest.raises(LearningError, match="no images"):
        finish(train_rotation_head(ENCODER, images, ROWS[:0], seed=0, device="cpu"))
