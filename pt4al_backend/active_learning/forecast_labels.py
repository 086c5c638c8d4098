"""How many more labels are needed, from the project's learning curve so far."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.assessment.forecast import Curve, fit
from pt4al_backend.store.tables import Project

COLUMNS = ("labels", "value", "images")
"""Of a measurement."""


def forecast_labels(workspace: Workspace, project: Project, *, pool: int) -> dict[str, Any] | None:
    """What the curve promises, ready for JSON; None with too few points.

    Cross-validated points are biased unless labels are drawn at random, and the forecast allows for that; those on
    held-out images are not.

    Args:
        workspace: the project's.
        project: the project.
        pool: images that can be labelled, those with labels included.
    """
    points, settings = workspace.store.measurements(project.id), workspace.settings
    if not points:
        return None
    labels, values, images = (np.array([getattr(each, name) for each in points], np.float64) for name in COLUMNS)
    at_random = settings.strategy_for(dense=project.dense, pretrained=bool(project.encoder)) == "random"
    chosen = np.array([not (point.held_out or at_random) for point in points])
    forecast = fit(Curve.of_answers(labels, values, images, pool, chosen))
    if forecast is None:
        return None
    target = settings.target / 100
    needed = forecast.labels_for(target) if target else None
    query_size = settings.query_size or project.query_size
    return {
        "labels": forecast.labels,
        "pool": forecast.pool,
        "with_all": asdict(forecast.accuracy_at(forecast.pool)),
        "target": target,
        "needed": asdict(needed) if needed else None,
        "levelled_off": forecast.has_levelled_off(query_size),
    }
