"""Fetch and decode the images of a project's tasks, and embed them on the way with a pretrained encoder."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.choose_encoder import choose_encoder
from pt4al_backend.active_learning.embed_decoded import EmbeddedImage, Embedder, stacked
from pt4al_backend.active_learning.read_images import (
    Arrived,
    Failing,
    Image,
    ImageReader,
    T,
    image_reader,
    platform_failures,
)
from pt4al_backend.active_learning.sort_pool import invalidate_training
from pt4al_backend.active_learning.tuning_trial import invalidate_trial
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, is_dense, threads
from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.store.decoders import DecodedImage
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

SAMPLE = 64  # images that decide at which size the networks see the project's images


def fetch_images(workspace: Workspace) -> Job:
    """Fetch and decode all waiting images; those that cannot be read are excluded, with the reason."""
    with image_reader(workspace) as reader, threads(1) as embedding:
        yield from _choose_sizes(reader)
        project = workspace.project()
        if not project.image_size:
            return  # no image can be read, and all are excluded now
        embedder = None
        if project.encoder:
            encoder = workspace.networks.encoder(project)
            embedder = Embedder(encoder, device=workspace.device, thread=embedding)
        yield from _fetch_all(reader, project, embedder)


def _fetch_all(reader: ImageReader, project: Project, embedder: Embedder | None) -> Job:
    workspace = reader.workspace
    failing: Failing = {}
    done, started = 0, time.monotonic()
    total = workspace.store.totals(workspace.project_id).waiting
    for arrived in reader.concurrently(_waiting(workspace), _reading(reader, project, embedder)):
        failing |= platform_failures(arrived)
        if arrived:
            _store_images(workspace, project, arrived)
        done += len(arrived)
        seconds = time.monotonic() - started
        yield Progress(
            min(done / total, 1.0),
            f"{done} of {total} images, {done / seconds:.0f} images/s",
            max(total - done, 0) * seconds / max(done, 1),
        )
    late = yield from reader.given_up(failing)
    workspace.store.images_done(
        workspace.project_id, ready={}, failed={task: (value, str(late[task, value])) for task, value in late}
    )
    for image, error in failing.items():
        if image not in late:
            raise error


def _reading(
    reader: ImageReader, project: Project, embedder: Embedder | None
) -> Callable[[int, str], Future[DecodedImage]]:
    """What reads an image, and embeds it if there is an embedder."""
    size = project.image_size
    if embedder is None:
        return partial(reader.decode, size=size)
    others = () if embedder.input_size == size else (embedder.input_size,)
    return lambda task, value: embedder.embed(reader.decode(task, value, size=size, others=others))


def start_over(workspace: Workspace, reason: str) -> Job:
    """Fetch all images again, because the project needs them at another size or their files are missing."""
    yield Progress(0.0, f"starting again: {reason}")
    _remove_files(workspace)
    workspace.store.fetch_again(workspace.project_id)


def _remove_files(workspace: Workspace) -> None:
    workspace.networks.forget()
    workspace.pixels(workspace.project()).remove()


def needs_other_images(project: Project) -> bool:
    """Whether the stored images and networks do not suit the project's current questions."""
    return bool(project.image_size) and project.dense != is_dense(project)


def _waiting(workspace: Workspace) -> Iterator[Image]:
    """Task id and image value of all waiting images, read page by page: a value may contain an image (data:)."""
    after = -1
    while page := workspace.store.waiting_images(workspace.project_id, after=after):
        yield from page
        after = page[-1][0]


def _choose_sizes(reader: ImageReader) -> Job:
    """Choose the side of the stored images, and the encoder and the side at which it sees them.

    Both follow from the project's first images, which are the same ones after a kill. If none of them can be read, or
    the platform has failed at them for long, the next ones are used.
    """
    workspace = reader.workspace
    project, settings = workspace.project(), workspace.settings
    if project.image_size:
        return
    _remove_files(workspace)  # files of an older release whose database was migrated
    dense, size = is_dense(project), settings.image_size
    side = size if size and not workspace.encoder else (yield from _typical_side(reader))
    if not side:
        return
    encoder = yield from choose_encoder(workspace, median_side=side, dense=dense)
    if not size:
        size = learning.choose_image_size(side, preset=settings.preset, device=workspace.device, dense=dense)
    workspace.store.update(workspace.project_id, image_size=size, dense=dense, **encoder)


def _typical_side(reader: ImageReader) -> Generator[Progress, None, int]:
    """The median of the shorter sides of some images, in pixels; 0 if none can be read."""
    workspace = reader.workspace
    sides, failing = yield from _sides(reader, workspace.store.first_images(workspace.project_id, SAMPLE))
    others = (image for image in _waiting(workspace) if image not in failing)
    try_others = not sides and (not failing or bool(reader.late(failing)))
    while try_others and not sides and (sample := list(itertools.islice(others, SAMPLE))):
        sides, more = yield from _sides(reader, sample)
        failing |= more
    if failing and not sides:
        raise next(iter(failing.values()))
    return int(np.median(sides)) if sides else 0


def _sides(reader: ImageReader, sample: Sequence[Image]) -> Generator[Progress, None, tuple[list[int], Failing]]:
    """The shorter sides of readable images, and the images that the platform itself fails at."""
    workspace = reader.workspace
    sides: list[int] = []
    failing: Failing = {}
    for arrived in reader.concurrently(iter(sample), reader.shorter_side):
        sides += [outcome for _, outcome in arrived if not isinstance(outcome, PT4ALError)]
        failing |= platform_failures(arrived)
        workspace.store.images_done(workspace.project_id, ready={}, failed=_failed(arrived))
        yield Progress(0.0, "measuring the first images")
    return sides, failing


def _failed(arrived: Arrived[T]) -> dict[int, tuple[str, str]]:
    """Image value and reason of each task whose image cannot be read."""
    return {
        task: (value, str(outcome)) for (task, value), outcome in arrived if isinstance(outcome, UnreadableImageError)
    }


def _store_images(workspace: Workspace, project: Project, arrived: Arrived[DecodedImage]) -> None:
    images = [(item, outcome) for item, outcome in arrived if not isinstance(outcome, PT4ALError)]
    images.sort(key=lambda entry: entry[0][0])
    if images:
        rows = workspace.store.reserve_rows(workspace.project_id, [task for (task, _), _ in images])
        exists = rows >= 0  # a task may have been deleted meanwhile
        _write(workspace, project, rows[exists], [image for _, image in itertools.compress(images, exists)])
    notes = {task: image.note for (task, _), image in images if image.note}
    for task, note in notes.items():
        logger.warning("project %d, task %d: %s", project.number, task, note)
    ready = {task: (value, image.width, image.height) for (task, value), image in images}
    workspace.store.images_done(workspace.project_id, ready=ready, failed=_failed(arrived), notes=notes)


def _write(workspace: Workspace, project: Project, rows: NDArray[np.int64], images: Sequence[DecodedImage]) -> None:
    """Store pixels and embeddings in `rows`."""
    if not images:
        return
    if (rows < project.next_row).any():  # they replace other images
        invalidate_training(workspace)
        invalidate_trial(workspace)
        workspace.networks.delete_unused_embeddings(project)
    workspace.pixels(project).write(rows, np.stack([image.pixels for image in images]))
    masks = workspace.masks(project)
    if masks is not None:
        masks.forget(rows)  # they were drawn for images of other sizes
    if not (project.encoder or project.pretext_generation):
        return
    files, embedded = workspace.networks.embeddings(project), [e for e in images if isinstance(e, EmbeddedImage)]
    if embedded:
        files.write(rows, *stacked(embedded))
    else:
        files.forget(rows)
