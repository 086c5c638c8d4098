"""Choose images that are uncertain and unlike one another: k-means++ over gradient embeddings, as in BADGE.

"Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (Ash, Zhang, Krishnamurthy, Langford,
Agarwal, ICLR 2020): the gradient that an image would send into the last layer, if the model's own answer
were its label, is long where the model is unsure, and points elsewhere for images unlike one another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread_out(
    features: NDArray[np.floating], probabilities: NDArray[np.floating], *, wanted: int, seed: int
) -> NDArray[np.int64]:
    """``wanted`` positions (or all), in the order in which k-means++ draws them; the longest gradient first.

    Args:
        features: (m, D).
        probabilities: (m, classes).
    """
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
    inputs = features.astype(np.float64)
    # A gradient is the outer product of error and input: lengths and distances need neither written out.
    lengths = (errors**2).sum(axis=1) * (inputs**2).sum(axis=1)
    random = np.random.default_rng(seed)
    distances = lengths.copy()
    picks: list[int] = []
    while len(picks) < min(wanted, len(features)):
        total = distances.sum()
        if total <= 0:  # all that is left equals something picked
            rest = np.setdiff1d(np.arange(len(features)), picks)
            picks += random.permutation(rest)[: wanted - len(picks)].tolist()
            break
        pick = int(random.choice(len(distances), p=distances / total)) if picks else int(lengths.argmax())
        picks.append(pick)
        products = (errors @ errors[pick]) * (inputs @ inputs[pick])
        distances = np.minimum(distances, np.maximum(lengths + lengths[pick] - 2 * products, 0.0))
        distances[picks] = 0.0
    return np.array(picks, dtype=np.int64)
