"""Fine-tuning of a tiny network of timm, on images whose classes are patterns of pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from pt4al_backend import learning
from pt4al_backend.errors import LearningError
from pt4al_backend.learning.encoders import NetworkEncoder
from pt4al_backend.learning.fine_tuning import TUNING, TuningRecipe, embed_maps, fine_tune, is_tunable
from pt4al_backend.learning.timm_encoder import timm_encoder
from pt4al_backend.learning.types import Weights

CLASSES, N, SIDE = 3, 45, 64
RECIPE = replace(TUNING, epochs=15, least_steps=0)


def network(name: str) -> learning.Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = timm.create_model(name, num_classes=0).state_dict()
    return timm_encoder("tiny", name, lambda: tensors, dense=False, input_size=SIDE)


@pytest.fixture(scope="module")
def encoder() -> learning.Encoder:
    return network("test_efficientnet")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """(N, SIDE, SIDE, 3): stripes of three widths."""
    random = np.random.default_rng(0)
    stripes = np.stack([np.arange(SIDE) // width % 2 * 100 for width in (2, 5, 16)])
    noise = random.integers(0, 100, (N, SIDE, SIDE, 3))
    return (noise + stripes[labels()][:, :, None, None]).astype(np.uint8)


def labels() -> np.ndarray:
    return np.arange(N) % CLASSES


@pytest.fixture(scope="module")
def maps(encoder: learning.Encoder, pixels: np.ndarray) -> np.ndarray:
    return frozen(encoder).embed_pixels(pixels, device="cpu")[0]


def frozen(encoder: learning.Encoder) -> learning.Encoder:
    return made("frozen-tiny", encoder)


def made(name: str, encoder: learning.Encoder, weights: Weights | None = None) -> learning.Encoder:
    def stored(_: str) -> Weights:
        assert weights is not None
        return weights

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(learning.ENCODERS, "tiny", lambda wanted: encoder)
        return learning.make_encoder(name, stored=stored, dense=False)


def tuned(encoder: learning.Encoder, maps: np.ndarray, targets: list[np.ndarray], outputs: list[learning.Output]):
    training = fine_tune(encoder, maps, targets, outputs, seed=0, device="cpu", recipe=RECIPE)
    progress = []
    while True:
        try:
            progress.append(next(training))
        except StopIteration as end:
            assert progress[-1].done == 1.0
            return end.value


@pytest.fixture(scope="module")
def arrays(encoder: learning.Encoder, maps: np.ndarray) -> learning.Arrays:
    return tuned(encoder, maps, [labels()], [learning.Output("single", CLASSES)])


def test_frozen_and_last_blocks_together_are_the_encoder(
    encoder: learning.Encoder, pixels: np.ndarray, maps: np.ndarray
) -> None:
    expected, _ = encoder.embed_pixels(pixels, device="cpu")
    found = np.concatenate([*embed_maps(encoder, {}, maps, device="cpu")])
    assert np.abs(found.astype(np.float32) - expected).max() < 2e-3
    mirrored, _ = frozen(encoder).embed_pixels(pixels[:, :, ::-1], device="cpu")
    width = maps.shape[1] // 2
    assert np.abs(mirrored[:, :width].astype(np.float32) - maps[:, width:]).max() < 2e-2


def test_a_fine_tuned_encoder_separates_the_classes_better(
    encoder: learning.Encoder, pixels: np.ndarray, maps: np.ndarray, arrays: learning.Arrays
) -> None:
    def separation(vectors: np.ndarray) -> float:
        x = vectors.astype(np.float64)
        centres = np.stack([x[labels() == k].mean(axis=0) for k in range(CLASSES)])
        within = np.linalg.norm(x - centres[labels()], axis=1).mean()
        return float(np.linalg.norm(centres[0] - centres[1]) / within)

    before = np.concatenate([*embed_maps(encoder, {}, maps, device="cpu")])
    after = np.concatenate([*embed_maps(encoder, arrays, maps, device="cpu")])
    assert separation(after) > 1.2 * separation(before)
    weights = Weights(arrays, {"encoder": "tiny"})
    whole, _ = made("tuned-1", encoder, weights).embed_pixels(pixels, device="cpu")
    assert np.abs(whole.astype(np.float32) - after).max() < 2e-3


def test_only_the_last_blocks_are_trained_and_statistics_stay(
    encoder: learning.Encoder, arrays: learning.Arrays
) -> None:
    before = encoder.tensors()  # type: ignore[attr-defined]
    layers = {name.split(".")[0] for name in arrays}
    assert layers == {"blocks", "conv_head", "bn2"}
    assert len({name.split(".")[1] for name in arrays if name.startswith("blocks")}) == 1
    changed = {name for name, array in arrays.items() if not np.array_equal(array, before[name].numpy())}
    assert "conv_head.weight" in changed and not any("running" in name for name in changed)


def test_the_seed_determines_the_result(encoder: learning.Encoder, maps: np.ndarray, arrays: learning.Arrays) -> None:
    again = tuned(encoder, maps, [labels()], [learning.Output("single", CLASSES)])
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


def test_questions_without_labels_are_left_out(encoder: learning.Encoder, maps: np.ndarray) -> None:
    several = np.stack([labels() == 0, labels() > 0], axis=1).astype(np.int8)
    several[:5] = -1
    nobody = np.full(N, -1)
    outputs = [learning.Output("single", 2), learning.Output("multiple", 2)]
    assert tuned(encoder, maps, [nobody, several], outputs)
    with pytest.raises(LearningError, match="nothing to learn from"):
        tuned(encoder, maps, [nobody], outputs[:1])


def test_which_encoders_can_be_fine_tuned(encoder: learning.Encoder) -> None:
    assert is_tunable(encoder)
    assert not is_tunable(network("test_resnet"))
    spec = {"network": "resnet9", "width": 8, "kernel": 3, "image_size": 32, "dense": False, "outputs": []}
    own = NetworkEncoder(name="main-1", dimension=8, patches=None, input_size=32, spec=spec, weights=lambda: None)  # type: ignore
    assert not is_tunable(own)
    with pytest.raises(LearningError, match=r"main-1 cannot be fine-tuned"):
        made("frozen-tiny", own)


@pytest.mark.parametrize(("images", "epochs"), [(10, 150), (160, 20), (1600, 15), (160_000, 1)])
def test_small_sets_are_seen_more_often(images: int, epochs: int) -> None:
    assert TuningRecipe().epochs_for(images) == epochs
