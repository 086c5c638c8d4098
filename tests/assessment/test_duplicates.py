"""Groups of near-duplicates, and which of each is asked."""

from __future__ import annotations

import numpy as np

from pt4al_backend.assessment.duplicates import asked, near_duplicates


def test_images_with_the_same_embedding_are_a_group() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(40, 64)).astype(np.float32)
    pixels = rng.integers(0, 255, (40, 32, 32, 3)).astype(np.uint8)
    embeddings[[7, 9]], pixels[[7, 9]] = embeddings[3], pixels[3]
    middle = near_duplicates(embeddings, lambda positions: pixels[positions])
    assert len(set(middle[[3, 7, 9]].tolist())) == 1
    alone = np.setdiff1d(np.arange(40), [3, 7, 9])
    assert (middle[alone] == alone).all()


def test_one_of_a_group_is_asked() -> None:
    middle = np.array([0, 0, 0, 3, 4, 4])
    nothing = np.zeros(6, dtype=bool)
    assert asked(middle, labelled=nothing, skipped=nothing).waits.tolist() == [False, True, True, False, False, True]
    labelled = np.array([False, True, False, False, False, False])
    with_label = asked(middle, labelled=labelled, skipped=nothing)
    assert with_label.instead[:3].tolist() == [1, 1, 1]
    assert with_label.waits.tolist() == [True, False, True, False, False, True]
    skipped = np.array([True, False, False, False, False, False])
    assert asked(middle, labelled=nothing, skipped=skipped).instead[:3].tolist() == [1, 1, 1]
