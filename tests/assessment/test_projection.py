"""Places of images on a map."""

from __future__ import annotations

import numpy as np

from pt4al_backend.assessment.projection import Neighbourhoods, Plane, edges_of, on_map

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(3, 16)) * 6
X = (CENTRES[np.arange(90) % 3] + RNG.normal(size=(90, 16))).astype(np.float32)


def test_similar_images_are_close_together() -> None:
    for projection in (Plane.of(X), Neighbourhoods.of(X)):
        places = projection.place(X)
        middles = np.stack([places[k::3].mean(axis=0) for k in range(3)])
        nearest = ((places[:, None] - middles) ** 2).sum(axis=2).argmin(axis=1)
        assert (nearest == np.arange(90) % 3).mean() > 0.95


def test_images_that_are_added_move_no_others() -> None:
    projection = Neighbourhoods.of(X)
    assert np.allclose(projection.place(X)[:30], projection.place(X[:30]), atol=1e-5)


def test_what_is_kept_places_images_as_before() -> None:
    projection = Neighbourhoods.of(X)
    assert (Neighbourhoods.of_arrays(projection.arrays()).place(X) == projection.place(X)).all()


def test_the_same_images_have_the_same_places() -> None:
    assert (Neighbourhoods.of(X).places == Neighbourhoods.of(X).places).all()


def test_the_edges_hold_nearly_all() -> None:
    places = Plane.of(X).place(X)
    scaled = on_map(places, edges_of(places))
    assert scaled.dtype == np.uint16 and scaled.min() >= 0
    assert ((scaled > 0) & (scaled < 65535)).all(axis=1).mean() > 0.9
