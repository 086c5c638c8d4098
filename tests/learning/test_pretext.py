import threading

import numpy as np
import pytest
import torch
from support.networks import ArrayImages, MemoryCheckpoint, finish, noise, same, small

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import pretext_losses, train_pretext
from pt4al_backend.learning.inputs import normalised
from pt4al_backend.learning.networks import for_inference

IMAGES, ROWS = noise(60), np.arange(5, 55)


def training(checkpoint=None, *, seed=3, rows=ROWS, recipe=None):
    return train_pretext(
        IMAGES,
        rows,
        recipe=recipe or small().pretext,
        seed=seed,
        device="cpu",
        checkpoint=checkpoint or MemoryCheckpoint(),
        save_seconds=0,
    )


@pytest.fixture(scope="module")
def undisturbed():
    return finish(training())


def test_a_seed_decides_everything(undisturbed):
    torch.manual_seed(99)  # the global state does not matter
    state = torch.get_rng_state()
    assert same(undisturbed, finish(training()))
    assert torch.equal(state, torch.get_rng_state())
    assert not same(undisturbed, finish(training(seed=4)))


@pytest.mark.parametrize("steps", [1, 3, 4, 7])
def test_a_killed_and_resumed_training_ends_like_an_undisturbed_one(undisturbed, steps):
    checkpoint = MemoryCheckpoint()
    work = training(checkpoint)
    for _ in range(steps):
        next(work)
    work.close()
    assert checkpoint.saved is not None and checkpoint.saved[1]["step"] == steps
    again = training(checkpoint)
    first = next(again)
    assert first.done == pytest.approx((steps + 1) / 8, abs=0.02)
    assert same(undisturbed, finish(again))


def test_resume_inside_a_step_that_is_computed_in_parts(monkeypatch):
    monkeypatch.setattr("pt4al_backend.learning.pretext.images_per_step", lambda *_, **__: 5)
    whole, checkpoint = finish(training()), MemoryCheckpoint()
    work = training(checkpoint)
    for _ in range(6):
        next(work)
    work.close()
    assert checkpoint.saves == 2  # batches of 12 or 13 in three parts each
    assert same(whole, finish(training(checkpoint)))


@pytest.mark.parametrize("change", [{"seed": 4}, {"rows": ROWS[:-1]}, {"recipe": small(epochs=3).pretext}])
def test_a_checkpoint_of_another_training_is_ignored(change):
    checkpoint = MemoryCheckpoint()
    next(training(checkpoint))
    other = training(checkpoint, **change)
    assert same(finish(other), finish(training(**change)))


def test_checkpoints_are_as_rare_as_asked():
    checkpoint = MemoryCheckpoint()
    finish(
        train_pretext(
            IMAGES, ROWS, recipe=small().pretext, seed=0, device="cpu", checkpoint=checkpoint, save_seconds=60
        )
    )
    assert checkpoint.saves == 0


def test_progress_grows_to_one():
    seen = list(training())
    assert len(seen) == 8
    assert [p.done for p in seen] == sorted(p.done for p in seen) and seen[-1].done == 1
    assert [p.epoch for p in seen] == [1, 1, 1, 2, 2, 2, 2, 2] and seen[0].epochs == 2
    assert seen[0].eta_seconds > 0 == seen[-1].eta_seconds and seen[0].images_per_second > 0


def test_an_abandoned_training_leaves_no_thread_and_no_mode():
    before = threading.active_count()
    work = training()
    next(work)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    work.close()
    assert threading.active_count() == before


def test_losses_do_not_depend_on_other_images(undisturbed):
    together = finish(pretext_losses(undisturbed, IMAGES, ROWS, device="cpu"))
    assert together.shape == (50,) and together.dtype == np.float64
    shuffled = np.random.default_rng(0).permutation(50)
    other = finish(pretext_losses(undisturbed, IMAGES, ROWS[shuffled], device="cpu"))
    alone = np.concatenate(
        [finish(pretext_losses(undisturbed, IMAGES, ROWS[i : i + 1], device="cpu")) for i in range(5)]
    )
    np.testing.assert_allclose(other, together[shuffled], atol=1e-5)
    np.testing.assert_allclose(alone, together[:5], atol=1e-5)


def test_loss_is_the_mean_cross_entropy_over_four_rotations(undisturbed):
    network = for_inference(undisturbed, "cpu")
    image = normalised(torch.from_numpy(IMAGES.pixels[5:6]))
    with torch.inference_mode():
        log_probabilities = [network(torch.rot90(image, k, (2, 3)))[0].log_softmax(1)[0, k].item() for k in range(4)]
    (loss,) = finish(pretext_losses(undisturbed, IMAGES, ROWS[:1], device="cpu"))
    assert loss == pytest.approx(-np.mean(log_probabilities), abs=1e-5)


def test_a_last_batch_of_one_and_a_pool_of_one():
    for n in (1, 17):
        weights = finish(training(rows=ROWS[:n]))
        assert np.isfinite(finish(pretext_losses(weights, IMAGES, ROWS[:n], device="cpu"))).all()


def test_an_empty_pool_is_refused():
    with pytest.raises(LearningError, match="no images"):
        next(training(rows=ROWS[:0]))
    weights = finish(training())
    assert finish(pretext_losses(weights, IMAGES, ROWS[:0], device="cpu")).shape == (0,)


def test_divergence_is_an_error_not_a_result():
    recipe = small(learning_rate=1e18).pretext
    with pytest.raises(LearningError, match="diverged"):
        finish(training(recipe=recipe))


def test_an_upside_down_picture_is_easy_to_learn():
    ramp = np.broadcast_to(np.linspace(0, 255, 16, dtype=np.uint8)[:, None, None], (40, 16, 16, 3))
    images, rows = ArrayImages(ramp), np.arange(40)
    work = train_pretext(
        images, rows, recipe=small(epochs=20).pretext, seed=0, device="cpu", checkpoint=MemoryCheckpoint()
    )
    assert finish(pretext_losses(finish(work), images, rows, device="cpu")).max() < 0.1


def test_a_dense_network_resumes_as_well(undisturbed):
    recipe, checkpoint = small(dense=True).pretext, MemoryCheckpoint()
    whole = finish(training(recipe=recipe))
    assert whole.spec["dense"] and not same(whole, undisturbed)
    work = training(checkpoint, recipe=recipe)
    for _ in range(3):
        next(work)
    work.close()
    assert same(whole, finish(training(checkpoint, recipe=recipe)))
