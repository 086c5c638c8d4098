import numpy as np
import torch
from support.networks import features_of, finish, noise, single, small

from pt4al_backend.learning import extract_features, feature_size, train_main
from pt4al_backend.learning.inputs import normalised
from pt4al_backend.learning.networks import for_inference

IMAGES = noise(9)


def trained():
    rows = np.arange(4)
    return finish(
        train_main(IMAGES, rows, [single(2)], [rows % 2], recipe=small().main, init=None, seed=0, device="cpu")
    )


def test_features_are_the_pooled_stages_side_by_side():
    weights = trained()
    with torch.inference_mode():
        network = for_inference(weights, "cpu")
        maps = network.backbone(normalised(torch.from_numpy(IMAGES.pixels)))
        pooled = [stage.mean(dim=(2, 3)) for stage in maps]
    features = features_of(weights, IMAGES, np.arange(9))
    assert features.dtype == np.float16 and features.shape == (9, feature_size(weights))
    np.testing.assert_allclose(features, torch.cat(pooled, dim=1).numpy(), rtol=2e-3, atol=1e-4)


def test_chunks_name_their_rows_in_order(monkeypatch):
    monkeypatch.setattr("pt4al_backend.learning.features.images_per_step", lambda *_, **__: 4)
    rows = np.array([8, 0, 3, 2, 5, 1])
    chunks = list(extract_features(trained(), IMAGES, rows, device="cpu"))
    assert [chunk.tolist() for chunk, _, _ in chunks] == [[8, 0, 3, 2], [5, 1]]
    np.testing.assert_allclose(
        np.concatenate([pooled for _, pooled, _ in chunks]),
        features_of(trained(), IMAGES, np.arange(9))[rows],
        rtol=2e-3,
        atol=1e-4,
    )
