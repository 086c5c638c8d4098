"""Features of images, and what they show."""

from __future__ import annotations

import numpy as np


def clusters(n: int, classes: int, width: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Features around one centre for each class, on axes of very different scale, and the classes."""
    targets = np.arange(n) % classes
    centres = np.random.default_rng(1).normal(size=(classes, width))
    around = 0.3 * np.random.default_rng(n).normal(size=(n, width))
    features = (centres[targets] + around) * np.geomspace(0.01, 100, width) + 5
    return features.astype(np.float16), targets


def of_pool(n: int, classes: int, *, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings far from 0, in which a few directions tell the classes and many tell nothing."""
    random = np.random.default_rng(n)
    targets = random.permutation(np.arange(n) % classes)
    centres = np.random.default_rng(1).normal(size=(classes, 8))
    features = np.concatenate([centres[targets] + 0.3 * random.normal(size=(n, 8)), np.zeros((n, 200))], axis=1)
    features[:, 8:] = 0.05 * noise * random.normal(size=(n, 200))
    return (features + 3).astype(np.float16), targets


def several(n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and rows of 0 and 1: each class is present in one of `classes` + 1 images."""
    features, which = clusters(n, 3 * classes)
    return features, (which[:, None] % (classes + 1) == np.arange(classes)).astype(np.int8)
