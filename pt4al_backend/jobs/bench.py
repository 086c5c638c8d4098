"""What every job works with, and how it says how far it is."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pt4al_backend import learning
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling_platform import LabellingPlatform
from pt4al_backend.settings import Settings
from pt4al_backend.store.checkpoints import load_arrays
from pt4al_backend.store.features import FeatureFile
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """How far a job is."""

    done: float  # 0..1
    detail: str
    eta_seconds: float | None = None


Job = Generator[Step, None, None]


@dataclass(frozen=True)
class Bench:
    """What a project's jobs work with."""

    project_id: int
    store: Store
    platform: LabellingPlatform
    settings: Settings
    device: str
    threads: ThreadPoolExecutor
    _widths: dict[str, int] = field(default_factory=dict)  # features per image of each network

    def project(self) -> Project:
        """The project's row now."""
        project = self.store.project(self.project_id)
        if project is None:
            raise PT4ALError(f"Project {self.project_id} was reset while it was worked on.")
        return project

    def pixels(self, project: Project) -> PixelStore:
        """The project's decoded images."""
        return PixelStore(self.store.pixels_dir(self.project_id), size=project.image_size)

    def model_path(self, name: str) -> Path:
        """A file in the project's directory of networks."""
        return self.store.models_dir(self.project_id) / name

    def weights(self, name: str) -> learning.Weights:
        """A stored network."""
        loaded = load_arrays(self.model_path(f"{name}.safetensors"))
        if loaded is None:
            raise PT4ALError(
                f"The network {name} of project {self.project_id} is gone from the data directory. "
                "`pt4al-backend reset` forgets the project; Label Studio keeps its labels."
            )
        return learning.Weights(*loaded)

    def features(self, name: str) -> FeatureFile:
        """Features of a stored network."""
        if name not in self._widths:
            self._widths[name] = learning.feature_size(self.weights(name))
        return FeatureFile(self.model_path(f"features-{name}.bin"), width=self._widths[name])

    def recipe(self, project: Project, *, pool: int) -> learning.Recipe:
        """How this project's networks are trained."""
        settings = self.settings
        recipe = learning.recipes(settings.preset, device=self.device, pool=pool, image_size=project.image_size)
        if settings.pretext_epochs:
            pretext = replace(recipe.pretext, epochs=settings.pretext_epochs, least_steps=0, most_steps=2**31)
            recipe = replace(recipe, pretext=pretext)
        if settings.main_epochs:
            main = replace(recipe.main, epochs=settings.main_epochs, least_steps=0, most_steps=2**31)
            recipe = replace(recipe, main=main)
        return recipe


def backbone(project: Project) -> str:
    """Name of the network whose features are used now."""
    if project.main_generation:
        return f"main-{project.main_generation}"
    return f"pretext-{project.pretext_generation}"


def follow(
    work: Generator[learning.Progress, None, T], what: str, *, since: float = 0.0, until: float = 1.0
) -> Generator[Step, None, T]:
    """Hand on the progress of a computation in ``learning``, and return its result."""
    try:
        while True:
            try:
                progress = next(work)
            except StopIteration as end:
                return end.value
            detail = what
            if progress.epochs > 1:
                detail += f", epoch {progress.epoch} of {progress.epochs}"
            detail += f", {progress.images_per_second:.0f} images/s"
            yield Step(since + (until - since) * progress.done, detail, progress.eta_seconds)
    finally:
        work.close()


def tidy(bench: Bench) -> None:
    """Delete networks and features of generations that are out of office."""
    project = bench.project()
    current = {f"pretext-{project.pretext_generation}", f"main-{project.main_generation}"}
    keep = {f"{name}.safetensors" for name in current} | {f"features-{backbone(project)}.bin"}
    for path in bench.store.models_dir(bench.project_id).iterdir():
        if path.name not in keep:
            path.unlink()
