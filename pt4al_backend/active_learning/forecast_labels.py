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

    Points on held-out images count alone once there are enough of them, as they are not biased.

    Args:
        workspace: the project's.
        project: the project.
        pool: images that can be labelled, those with labels included.
    """
    points = workspace.store.measurements(project.id)
    for some in ([point for point in points if point.held_out], [point for point in points if not point.held_out]):
        labels, values, images = (np.array([getattr(each, name) for each in some], np.float64) for name in COLUMNS)
        forecast = fit(Curve.of_answers(labels, values, images, pool)) if len(some) else None
        if forecast is not None:
            break
    else:
        return None
    target = workspace.settings.target / 100
    needed = forecast.labels_for(target) if target else None
    query_size = workspace.settings.query_size or project.query_size
    return {
        "labels": forecast.labels,
        "pool": forecast.pool,
        "with_twice": asdict(forecast.accuracy_at(min(2 * forecast.labels, forecast.pool))),
        "with_all": asdict(forecast.accuracy_at(forecast.pool)),
        "target": target,
        "needed": asdict(needed) if needed else None,
        "levelled_off": forecast.has_levelled_off(query_size),
    }
