"""Charts."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from support.filled_store import add_ranked

from pt4al_backend.store.store import Store
from pt4al_backend.web import charts

POINTS = [{"labels": labels, "value": 0.5, "low": 0.4, "high": 0.6, "held_out": labels > 20} for labels in (10, 20, 30)]


def test_the_learning_curve_as_a_picture(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    assert client.get(f"/dashboard/{project.id}/curve.svg").status_code == 404
    for labels in (10, 20, 40):
        columns = {"model_version": "v", "round": 0, "labels": labels, "held_out": labels == 40, "images": 20}
        store.add_measurement(project.id, **columns, value=0.5, low=0.4, high=0.6)
    picture = client.get(f"/dashboard/{project.id}/curve.svg?theme=dark")
    assert picture.mimetype == "image/svg+xml" and b"held-out images" in picture.data
    assert client.get(f"/dashboard/{project.id}/curve.png").data.startswith(b"\x89PNG")
    assert client.get(f"/dashboard/{project.id}/curve.exe").status_code == 404
    page = client.get(f"/dashboard/{project.id}").get_data(as_text=True)
    assert "50.0 % (40 to 60)" in page


@pytest.mark.parametrize("theme", [*charts.THEMES, "unknown"])
def test_the_same_points_give_the_same_picture(theme: str) -> None:
    first, second = (charts.learning_curve(POINTS, metric="accuracy", theme=theme, target=90) for _ in range(2))
    assert first == second
    assert b"target, 90 %" in first and b"accuracy, %" in first


def test_the_histogram_shows_the_borders() -> None:
    without = charts.histogram([0.1, 0.2, 1.5], borders=[])
    assert len(charts.histogram([0.1, 0.2, 1.5], borders=[0.15, 1.0])) > len(without)
    assert b"pretext loss" in without
