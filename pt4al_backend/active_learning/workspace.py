"""What every job works with, and how it reports its progress."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from pt4al_backend import learning
from pt4al_backend.active_learning.stored_networks import StoredNetworks
from pt4al_backend.active_learning.training_data import ProbeInputs
from pt4al_backend.errors import ProjectResetError
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.labelling.platform import LabellingPlatform
from pt4al_backend.labelling.questions import Question
from pt4al_backend.settings import Settings
from pt4al_backend.store.mask_file import MaskFile
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    done: float
    """0 to 1."""
    detail: str
    """What it is doing, for people."""
    eta_seconds: float | None = None


Job = Generator[Progress, None, None]


@dataclass
class Workspace:
    """What a project's jobs work with. Only `platform` changes, with the project's address or token."""

    project_id: int
    store: Store
    platform: LabellingPlatform
    settings: Settings
    device: str
    unlocked: Callable[[], AbstractContextManager[None]] = nullcontext
    """A context in which to wait: other projects work meanwhile."""
    encoder: str | None = None
    """Name of the pretrained encoder that the project is to use, as in `learning.ENCODERS`. None: its own networks.

    The one in use is in the project's row: it may be another one until this one has embedded the images."""
    learns_pretext: bool = True
    """Whether the pretext task is learned even if the query strategy does not use it, for people to see its losses."""
    fine_tunes: bool = True
    """Whether the pretrained encoder may be fine-tuned on the labels."""
    assesses: bool = True
    """Whether the model is measured on its labels, for people to see."""
    retry_encoder_at: float = 0.0
    """When `encoder` may be tried again after it could not be had, by the monotonic clock."""
    failing_since: dict[tuple[int, str], float] = field(default_factory=dict)
    """(task, image) -> since when the platform has failed to deliver it, by the monotonic clock."""
    networks: StoredNetworks = field(init=False)

    def __post_init__(self) -> None:
        self.networks = StoredNetworks(self.project_id, self.store.models_dir(self.project_id))

    @classmethod
    def to_read(cls, project_id: int, store: Store, settings: Settings) -> Workspace:
        """What is stored of a project, for somebody who asks no platform: there is none."""
        return cls(project_id, store, cast(LabellingPlatform, None), settings, "cpu")

    def project(self) -> Project:
        """The project's row now."""
        project = self.store.project(self.project_id)
        if project is None:
            raise ProjectResetError(self.project_id)
        return project

    def pixels(self, project: Project) -> PixelStore:
        """The project's decoded images."""
        return PixelStore(self.store.pixels_dir(self.project_id), size=project.image_size)

    def has_lost_files(self, project: Project) -> bool:
        """Whether images or networks that the database knows are missing: somebody made room on the disk."""
        if not project.image_size:
            return False
        networks = [f"pretext-{project.pretext_generation}", f"main-{project.main_generation}"]
        stored = [name for name in networks if not name.endswith("-0")]
        if not all(self.networks.path(f"{name}.safetensors").exists() for name in stored):
            return True
        return self.pixels(project).lacks(self.store.pool(project).row)

    def masks(self, project: Project) -> MaskFile | None:
        """The drawn answers to the project's question about regions, None if it has none."""
        question = region_question(project)
        if question is None:
            return None
        kind = hashlib.blake2b(json.dumps(question.classes).encode(), digest_size=6).hexdigest()
        side = learning.mask_side(project.image_size)
        return MaskFile(self.store.pixels_dir(self.project_id) / f"masks-{side}px-{kind}.bin", side=side)

    def probe_inputs(self, project: Project, name: str | None = None) -> ProbeInputs:
        """What linear probes are fitted on: the embeddings by the encoder in use, or by another."""
        embeddings, heads, tuned = self.networks.embeddings(project, name), {}, self.networks.tuned(project)
        if not self.settings.method.refits:
            heads = self.networks.heads(project, embeddings.encoder.name, background=self.background)
        return ProbeInputs(
            embeddings=embeddings.vectors,
            patches=embeddings.patches,
            layout=embeddings.encoder.patches,
            answers=self.store.answers(project.id),
            masks=self.masks(project),
            background=self.background,
            balance=self.recipe(project, pool=project.pretext_pool).main.balance,
            pretrained=embeddings.encoder.pretrained,
            trained_heads=heads,
            temperatures=self.networks.temperatures(project) if embeddings.encoder.name == tuned else {},
        )

    @property
    def background(self) -> bool:
        """Whether pixels outside all regions are a class of their own."""
        return self.settings.unlabelled_pixels == "background"

    def recipe(self, project: Project, *, pool: int) -> learning.Recipe:
        """How this project's networks are trained."""
        settings = self.settings
        recipe = learning.recipes(
            settings.preset,
            device=self.device,
            pool=pool,
            image_size=project.image_size,
            dense=is_dense(project),
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


def is_dense(project: Project) -> bool:
    """Whether the project has a question about parts of an image."""
    return any(question.label_type.dense for question in questions(project))


def region_question(project: Project) -> Question | None:
    """The question whose answers are regions, if the project has one."""
    return next((question for question in questions(project) if question.label_type.has_regions), None)


def follow(
    work: Generator[learning.Progress, None, T], what: str, *, since: float = 0.0, until: float = 1.0
) -> Generator[Progress, None, T]:
    """Pass on the progress of a computation in `learning`, and return its result."""
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
            yield Progress(since + (until - since) * progress.done, detail, progress.eta_seconds)
    finally:
        work.close()


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for one job, so that what they wait for delays no other project. Nobody waits for them at the end."""
    executor = ThreadPoolExecutor(count)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
