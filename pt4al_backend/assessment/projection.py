"""Places of images on a map: similar ones close together.

First the plane of the two main principal components, which takes a second or two. Then t-SNE (van der Maaten & Hinton,
"Visualizing Data using t-SNE", JMLR 2008), which keeps neighbours together; it takes a minute, so it belongs in the
background. Of a large pool only landmarks are arranged by t-SNE. Every other image is placed among the landmarks that
it resembles, and so are images that are added later: nothing that is on the map moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.assessment.neighbours import nearest_among
from pt4al_backend.assessment.principal_components import PrincipalComponents

Places = NDArray[np.float32]
"""(n, 2)"""

DIMENSIONS = 50
"""Principal components that t-SNE sees."""
LANDMARKS = 5_000
PERPLEXITY = 30.0
AMONG = 10
"""Landmarks that an image is placed among."""
OUTLYING = 0.001
"""Share of the images on either side that the edges of the map leave out."""
MARGIN = 0.03
"""Of the map, beyond those edges."""
SIDE = 65_535
"""Of the map."""


class Projection(Protocol):
    """Something that gives images their places."""

    def place(self, embeddings: NDArray[np.floating]) -> Places:
        """Places of images with embeddings (n, D), each independent of the others."""


@dataclass(frozen=True)
class Plane:
    """The plane of the two main principal components."""

    components: PrincipalComponents

    @classmethod
    def of(cls, embeddings: NDArray[np.floating]) -> Plane:
        """That of embeddings (n, D)."""
        return cls(PrincipalComponents.of(embeddings, 2))

    def place(self, embeddings: NDArray[np.floating]) -> Places:
        """See `Projection.place`."""
        return self.components(embeddings)


@dataclass(frozen=True)
class Neighbourhoods:
    """What t-SNE arranged, and what it takes to place others among it."""

    components: PrincipalComponents
    landmarks: NDArray[np.float32]
    """(m, d) directions in the space of the components."""
    places: Places
    """(m, 2) theirs."""

    @classmethod
    def of(cls, embeddings: NDArray[np.floating], *, seed: int = 0) -> Neighbourhoods:
        """Arrange images by their embeddings (n, D), n at least 4; the same for the same seed."""
        from sklearn.manifold import TSNE

        components = PrincipalComponents.of(embeddings, DIMENSIONS)
        n = len(embeddings)
        chosen = np.sort(np.random.default_rng(seed).permutation(n)[:LANDMARKS])
        landmarks = _directions(components, embeddings[chosen])
        start = landmarks[:, :2] * np.float32(1e-4) / max(float(landmarks[:, 0].std()), 1e-12)
        places = TSNE(
            perplexity=min(PERPLEXITY, (len(chosen) - 1) / 3),
            init=start,
            learning_rate="auto",
            random_state=seed,
            n_jobs=1,
        ).fit_transform(landmarks)
        return cls(components, landmarks, places.astype(np.float32))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Neighbourhoods:
        """From `arrays`."""
        components = PrincipalComponents(arrays["mean"], arrays["axes"], arrays["variances"])
        return cls(components, arrays["landmarks"], arrays["landmark_places"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that there is, to be kept."""
        return {**vars(self.components), "landmarks": self.landmarks, "landmark_places": self.places}

    def place(self, embeddings: NDArray[np.floating]) -> Places:
        """See `Projection.place`. A landmark is where t-SNE put it."""
        directions = _directions(self.components, embeddings)
        near, similarity = nearest_among(directions, self.landmarks, min(AMONG, len(self.landmarks)))
        return _among(self.places[near], np.maximum(2 - 2 * similarity, 0))


def on_map(places: Places, edges: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Places (n, 2) as integers 0 to `SIDE`, given the edges of the map; what lies beyond is put on them."""
    low, high = edges
    return np.clip((places - low) / (high - low) * SIDE, 0, SIDE).round().astype(np.uint16)


def edges_of(places: Places) -> NDArray[np.float32]:
    """(2, 2) the lower and upper edges of a square map of these places, without the outermost ones.

    Keep them, and images that are added later do not move the others.
    """
    low, high = np.quantile(places, [OUTLYING, 1 - OUTLYING], axis=0)
    half = max(float((high - low).max()) / 2, 1e-6) * (1 + 2 * MARGIN)
    middle = (low + high) / 2
    return np.stack([middle - half, middle + half]).astype(np.float32)


def _directions(components: PrincipalComponents, embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    values = components(embeddings)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _among(places: NDArray[np.float32], distances: NDArray[np.float32]) -> Places:
    """(n, 2) given places (n, k, 2) of neighbours and their squared distances (n, k), the nearest first."""
    width = np.maximum(distances[:, 1:].mean(axis=1, keepdims=True) - distances[:, :1], 1e-12) / 3
    weights = np.exp(-(distances - distances[:, :1]) / width)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("nk,nkd->nd", weights, places)
