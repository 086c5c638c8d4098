"""A workspace whose own networks are small, for tests in which it does not matter what they learn."""

from __future__ import annotations

from dataclasses import replace

from pt4al_backend import learning
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.store.tables import Project


class NarrowWorkspace(Workspace):
    """Its networks have a quarter of the usual channels, and so take a small part of the time."""

    def recipe(self, project: Project, *, pool: int) -> learning.Recipe:
        recipe = super().recipe(project, pool=pool)
        return replace(recipe, pretext=replace(recipe.pretext, width=4), main=replace(recipe.main, width=4))
