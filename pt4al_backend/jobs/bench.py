"""What every job works with, and how it says how far it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.platform import LabellingPlatform
from pt4al_backend.labelling.questions import SEGMENTATION, Question, questions_of
from pt4al_backend.opinion import Sources
from pt4al_backend.settings import Settings
from pt4al_backend.store.checkpoints import load_arrays
from pt4al_backend.store.feature_file import FeatureFile
from pt4al_backend.store.mask_file import MaskFile
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from pt4al_backend.targets import output

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """How far a job is."""

    done: float  # 0..1
    detail: str
    eta_seconds: float | None = None


Job = Generator[Step, None, None]


@dataclass
class Bench:
    """What a project's jobs work with. Only ``platform`` changes: with the project's address or token."""

    project_id: int
    store: Store
    platform: LabellingPlatform
    settings: Settings
    device: str
    unlocked: Callable[[], AbstractContextManager[None]] = nullcontext
    """Held while something is waited for, so that other projects can work."""
    failing_since: dict[tuple[int, str], float] = field(default_factory=dict)  # images that the platform fails at
    _shapes: dict[str, tuple[int, tuple[int, int] | None]] = field(default_factory=dict)  # of each network's features
    _heads: dict[str, list[tuple[Any, learning.Head]]] = field(default_factory=dict)  # of each network, by its question

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

    def has_lost_files(self, project: Project) -> bool:
        """Whether images or networks are gone that the database tells of: somebody made room on the disk."""
        if not project.image_size:
            return False
        networks = [f"pretext-{project.pretext_generation}", f"main-{project.main_generation}"]
        stored = [name for name in networks if not name.endswith("-0")]
        if not all(self.model_path(f"{name}.safetensors").exists() for name in stored):
            return True
        return self.pixels(project).lacks(self.store.pool(project).row)

    def weights(self, name: str) -> learning.Weights:
        """A stored network."""
        loaded = load_arrays(self.model_path(f"{name}.safetensors"))
        if loaded is None:
            raise PT4ALError(
                f"The network {name} of project {self.project_id} is gone from the data directory: "
                "everything is learnt anew. Label Studio keeps the labels."
            )
        return learning.Weights(*loaded)

    def features(self, name: str) -> FeatureFile:
        """Features of a stored network, a vector per image."""
        if name not in self._shapes:
            weights = self.weights(name)
            self._shapes[name] = learning.feature_size(weights), learning.grid_shape(weights)
        return FeatureFile(self.model_path(f"features-{name}.bin"), width=self._shapes[name][0])

    def grid(self, name: str) -> tuple[FeatureFile, tuple[int, int]] | None:
        """Features of a stored network, a vector per cell of a grid over the image: (G, F). None if it has no such."""
        self.features(name)
        shape = self._shapes[name][1]
        if shape is None:
            return None
        side, width = shape
        return FeatureFile(self.model_path(f"grid-{name}.bin"), width=side * side * width), shape

    def missing(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of ``rows`` whose features by a stored network are not there."""
        grid = self.grid(name)
        there = self.features(name).has(rows)
        return rows[~there] if grid is None else rows[~(there & grid[0].has(rows))]

    def masks(self, project: Project) -> MaskFile | None:
        """The drawn answers to the project's segmentation question, None if it has none."""
        question = segmentation(project)
        if question is None:
            return None
        kind = hashlib.blake2b(json.dumps(question.classes).encode(), digest_size=6).hexdigest()
        side = learning.mask_side(project.image_size)
        return MaskFile(self.store.pixels_dir(self.project_id) / f"masks-{side}px-{kind}.bin", side=side)

    def sources(self, project: Project, name: str) -> Sources:
        """What heads on the features of a stored network are fitted on."""
        grid, shape = self.grid(name) or (None, None)
        return Sources(
            features=self.features(name),
            grid=grid,
            grid_shape=shape,
            answers=self.store.answers(project.id),
            masks=self.masks(project),
            background=self.background,
            balance=self.recipe(project, pool=project.pretext_pool).main.balance,
            own={} if self.settings.method.refits else self._own_heads(project, name),
        )

    def _own_heads(self, project: Project, name: str) -> dict[str, learning.Head]:
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
        given = {asks.name: output(asks, background=self.background).classes for asks in questions(project)}
        return {
            asks["name"]: head
            for asks, head in self._heads[name]
            if asks in project.questions and len(head.bias) == given[asks["name"]]
        }

    @property
    def background(self) -> bool:
        """Whether pixels outside all regions are a class of their own."""
        return self.settings.unlabelled_pixels == "background"

    def forget_networks(self) -> None:
        """Delete all networks and their features."""
        shutil.rmtree(self.store.models_dir(self.project_id), ignore_errors=True)
        self._shapes.clear()
        self._heads.clear()

    def recipe(self, project: Project, *, pool: int) -> learning.Recipe:
        """How this project's networks are trained."""
        settings = self.settings
        recipe = learning.recipes(
            settings.preset,
            device=self.device,
            pool=pool,
            image_size=project.image_size,
            dense=segmentation(project) is not None,
        )
        if settings.pretext_epochs:
            pretext = replace(recipe.pretext, epochs=settings.pretext_epochs, least_steps=0, most_steps=2**31)
            recipe = replace(recipe, pretext=pretext)
        if settings.main_epochs:
            main = replace(recipe.main, epochs=settings.main_epochs, least_steps=0, most_steps=2**31)
            recipe = replace(recipe, main=main)
        return recipe


def questions(project: Project) -> tuple[Question, ...]:
    """What the project asks."""
    return questions_of(project.questions)


def segmentation(project: Project) -> Question | None:
    """The question about pixels, if the project has one."""
    return next((question for question in questions(project) if question.kind == SEGMENTATION), None)


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


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A job's own threads: what they wait for holds up no other project. At the end nobody waits for them."""
    executor = ThreadPoolExecutor(count)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def tidy(bench: Bench) -> None:
    """Delete networks and features of generations that are out of office."""
    project = bench.project()
    current = {f"pretext-{project.pretext_generation}", f"main-{project.main_generation}"}
    keep = {f"{name}.safetensors" for name in current}
    keep |= {f"{what}-{backbone(project)}.bin" for what in ("features", "grid")}
    for path in bench.store.models_dir(bench.project_id).iterdir():
        if path.name not in keep:
            path.unlink()
