"""The networks of a project as they are stored, and the features that were computed with each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.training_data import output
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.store.checkpoints import load_arrays
from pt4al_backend.store.feature_file import FeatureFile
from pt4al_backend.store.tables import Project


class StoredNetworks:
    """The networks of one project, by name: `pretext-2` is its second pretext network, `main-3` its third main."""

    def __init__(self, project_id: int, models_dir: Path) -> None:
        self._project_id = project_id
        self._dir = models_dir
        self._shapes: dict[str, tuple[int, tuple[int, int] | None]] = {}  # of each network's features
        self._heads: dict[str, list[tuple[Any, learning.Head]]] = {}  # of each network, by its question

    @staticmethod
    def current(project: Project) -> str:
        """Name of the network whose features are used now."""
        if project.main_generation:
            return f"main-{project.main_generation}"
        return f"pretext-{project.pretext_generation}"

    def path(self, name: str) -> Path:
        """A file in the project's directory of networks."""
        return self._dir / name

    def weights(self, name: str) -> learning.Weights:
        """A stored network."""
        loaded = load_arrays(self.path(f"{name}.safetensors"))
        if loaded is None:
            raise PT4ALError(
                f"The network {name} of project {self._project_id} is gone from the data directory: "
                "everything is learnt anew. Label Studio keeps the labels."
            )
        return learning.Weights(*loaded)

    def features(self, name: str) -> FeatureFile:
        """Features of a stored network, a vector per image."""
        if name not in self._shapes:
            weights = self.weights(name)
            self._shapes[name] = learning.feature_size(weights), learning.grid_shape(weights)
        return FeatureFile(self.path(f"features-{name}.bin"), width=self._shapes[name][0])

    def grid(self, name: str) -> tuple[FeatureFile, tuple[int, int]] | None:
        """Features of a stored network, a vector per cell of a grid over the image: (G, F). None if it has no such."""
        self.features(name)
        shape = self._shapes[name][1]
        if shape is None:
            return None
        side, width = shape
        return FeatureFile(self.path(f"grid-{name}.bin"), width=side * side * width), shape

    def missing(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `rows` whose features by a stored network are not there."""
        grid = self.grid(name)
        there = self.features(name).has(rows)
        return rows[~there] if grid is None else rows[~(there & grid[0].has(rows))]

    def heads(self, project: Project, name: str, *, background: bool) -> dict[str, learning.Head]:
        """Heads by name of the question that were trained with a stored network, of what is still asked that way."""
        if name not in self._heads:
            weights = self.weights(name)
            asked = weights.spec.get("questions", [])  # a pretext network was asked nothing
            learnt = weights.spec.get(
                "answered", [True] * len(asked)
            )  # a head that nobody had an answer for says anything
            self._heads[name] = [
                (question, learning.network_head(weights, k))
                for k, (question, answered) in enumerate(zip(asked, learnt, strict=True))
                if answered
            ]
        given = {asks.name: output(asks, background=background).classes for asks in questions_of(project.questions)}
        return {
            asks["name"]: head
            for asks, head in self._heads[name]
            if asks in project.questions and len(head.bias) == given[asks["name"]]
        }

    def tidy(self, project: Project) -> None:
        """Delete superseded networks and their features."""
        current = {f"pretext-{project.pretext_generation}", f"main-{project.main_generation}"}
        keep = {f"{name}.safetensors" for name in current}
        keep |= {f"{what}-{self.current(project)}.bin" for what in ("features", "grid")}
        for path in self._dir.iterdir():
            if path.name not in keep:
                path.unlink()

    def forget(self) -> None:
        """Delete all networks and their features."""
        shutil.rmtree(self._dir, ignore_errors=True)
        self._shapes.clear()
        self._heads.clear()
