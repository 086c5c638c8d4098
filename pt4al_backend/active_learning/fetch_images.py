"""Fetch and decode the images of a project's tasks."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from pt4al_backend import learning
from pt4al_backend.active_learning.sort_pool import invalidate_training
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, is_dense, threads
from pt4al_backend.errors import LabelStudioError, PT4ALError, UnreadableImageError
from pt4al_backend.store.decoders import DecodedImage, Decoders
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

T = TypeVar("T")
IN_FLIGHT = 64  # images fetched at a time
SAMPLE = 64  # images that decide at which size the networks see the project's images
PATIENCE = 60.0  # seconds for which an image that the platform itself fails at is tried again
AT_A_TIME = 0.1  # seconds for which arriving images are collected, to be stored in one transaction


@dataclass(frozen=True)
class Fetchers:
    """The threads and decoders of one project. No other project shares them, so bad images do not delay others."""

    workspace: Workspace
    threads: ThreadPoolExecutor
    decoders: Decoders

    def decoded(self, task: int, value: str, *, size: int) -> DecodedImage:
        """Fetch and decode the image of a task."""
        limit = int(self.workspace.settings.max_image_megapixels * 1e6)
        return self._read(task, value, lambda data: self.decoders.decode(data, size=size, max_pixels=limit))

    def shorter_side(self, task: int, value: str) -> int:
        """The shorter side of the upright image, in pixels."""
        return self._read(task, value, lambda data: min(self.decoders.probe_size(data)))

    def _read(self, task: int, value: str, read: Callable[[bytes], T]) -> T:
        data = self.workspace.platform.image(task, value)
        try:
            return read(data)
        except UnreadableImageError as error:
            name = self.workspace.platform.image_name(task, value)
            raise UnreadableImageError(f"{name}: {error}" if name else str(error)) from error


def fetch_images(workspace: Workspace) -> Job:
    """Fetch and decode all waiting images; those that cannot be read are excluded, with the reason."""
    with threads(workspace.settings.fetch_workers) as executor, Decoders() as decoders:
        yield from _fetch_all(Fetchers(workspace, executor, decoders))


def _fetch_all(fetchers: Fetchers) -> Job:
    workspace = fetchers.workspace
    project = workspace.project()
    if not project.image_size:
        _remove_files(workspace)  # files of an older release whose database was migrated
        yield from _choose_size(fetchers)
        project = workspace.project()
        if not project.image_size:
            return  # no image can be read, and all are excluded now
    failing: dict[tuple[int, str], LabelStudioError] = {}
    done, started = 0, time.monotonic()
    total = workspace.store.totals(workspace.project_id).waiting
    for arrived in _concurrently(fetchers, _waiting(workspace), partial(fetchers.decoded, size=project.image_size)):
        failing |= {item: outcome for item, outcome in arrived if isinstance(outcome, LabelStudioError)}
        if arrived:
            _store_images(workspace, project, arrived)
        done += len(arrived)
        seconds = time.monotonic() - started
        yield Progress(
            min(done / total, 1.0),
            f"{done} of {total} images, {done / seconds:.0f} images/s",
            max(total - done, 0) * seconds / max(done, 1),
        )
    yield from _exclude(fetchers, failing)


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


def _waiting(workspace: Workspace) -> Iterator[tuple[int, str]]:
    """Task id and image value of all waiting images, read page by page: a value may contain an image (data:)."""
    after = -1
    while page := workspace.store.waiting_images(workspace.project_id, after=after):
        yield from page
        after = page[-1][0]


def _choose_size(fetchers: Fetchers) -> Job:
    """Choose the size of the stored images from the project's first images, which are the same ones after a kill.

    If none of them can be read, or the platform has failed at them for long, the next ones are used.
    """
    workspace = fetchers.workspace
    dense = is_dense(workspace.project())
    if workspace.settings.image_size:
        workspace.store.update(workspace.project_id, image_size=workspace.settings.image_size, dense=dense)
        return
    sides, failing = yield from _sides(fetchers, workspace.store.first_images(workspace.project_id, SAMPLE))
    others = (image for image in _waiting(workspace) if image not in failing)
    try_others = not sides and (not failing or bool(_late(workspace, failing)))
    while try_others and not sides and (sample := list(itertools.islice(others, SAMPLE))):
        sides, more = yield from _sides(fetchers, sample)
        failing |= more
    if sides:
        size = learning.choose_image_size(
            int(np.median(sides)), preset=workspace.settings.preset, device=workspace.device, dense=dense
        )
        workspace.store.update(workspace.project_id, image_size=size, dense=dense)
    elif failing:
        raise next(iter(failing.values()))


def _sides(
    fetchers: Fetchers, sample: Sequence[tuple[int, str]]
) -> Generator[Progress, None, tuple[list[int], dict[tuple[int, str], LabelStudioError]]]:
    """The shorter sides of readable images, and the images that the platform itself fails at."""
    workspace = fetchers.workspace
    sides: list[int] = []
    failing: dict[tuple[int, str], LabelStudioError] = {}
    images = iter(sample)
    for arrived in _concurrently(fetchers, images, fetchers.shorter_side):
        sides += [outcome for _, outcome in arrived if not isinstance(outcome, PT4ALError)]
        failing |= {item: outcome for item, outcome in arrived if isinstance(outcome, LabelStudioError)}
        workspace.store.images_done(workspace.project_id, ready={}, failed=_failed(arrived))
        yield Progress(0.0, "measuring the first images")
    return sides, failing


Arrived = list[tuple[tuple[int, str], "T | UnreadableImageError | LabelStudioError"]]


def _concurrently(
    fetchers: Fetchers, items: Iterator[tuple[int, str]], work: Callable[[int, str], T]
) -> Iterator[Arrived[T]]:
    """Run `work(task, value)` for all items, a limited number at a time.

    Yields:
        What arrived, every `AT_A_TIME` seconds or sooner. An image that cannot be read arrives as its error, whatever
        the code raised for it, and so does an image that the platform fails at although it answers other requests.

    Raises:
        PT4ALError: Something else failed. What arrived is yielded before.
    """
    pending: dict[Future[T], tuple[int, str]] = {}
    try:
        while True:
            for item in itertools.islice(items, IN_FLIGHT - len(pending)):
                pending[fetchers.threads.submit(work, *item)] = item
            if not pending:
                return
            with fetchers.workspace.unlocked():
                finished, _ = wait(pending, timeout=AT_A_TIME)
            arrived: Arrived[T] = []
            failed: Arrived[T] = []
            broken: BaseException | None = None
            for future in finished:
                item, error = pending.pop(future), future.exception()
                if error is None:
                    arrived.append((item, future.result()))
                elif isinstance(error, UnreadableImageError):
                    arrived.append((item, error))
                elif isinstance(error, LabelStudioError):
                    failed.append((item, error))
                elif isinstance(error, Exception) and not isinstance(error, PT4ALError):
                    logger.error("task %d: its image cannot be read", item[0], exc_info=error)
                    arrived.append((item, UnreadableImageError(f"It cannot be read ({type(error).__name__}).")))
                else:
                    broken = error
            yield arrived
            if broken is not None:
                raise broken
            if failed:
                fetchers.workspace.platform.project()  # raises if the whole platform fails, not only at these images
                yield failed
    finally:
        for future in pending:
            future.cancel()


def _exclude(fetchers: Fetchers, failed: dict[tuple[int, str], LabelStudioError]) -> Job:
    """Exclude images that the platform has failed at for long, if it can read other images; else raise the error."""
    workspace = fetchers.workspace
    late = _late(workspace, failed)
    readable = workspace.store.readable_image(workspace.project_id) if late else None
    if readable:
        read = fetchers.threads.submit(workspace.platform.image, *readable)
        while not read.done():
            with workspace.unlocked():
                wait([read], timeout=AT_A_TIME)
            yield Progress(0.0, "checking whether other images can be read")
        if read.exception() is None:
            workspace.store.images_done(
                workspace.project_id, ready={}, failed={task: (value, str(late[task, value])) for task, value in late}
            )
            for image in late:
                del workspace.failing_since[image], failed[image]
    for error in failed.values():
        raise error


def _late(
    workspace: Workspace, failed: dict[tuple[int, str], LabelStudioError]
) -> dict[tuple[int, str], LabelStudioError]:
    """Those images of `failed` that the platform has failed at for `PATIENCE` seconds."""
    now, since = time.monotonic(), workspace.failing_since
    for image in since.keys() - failed.keys():
        del since[image]
    for image in failed:
        since.setdefault(image, now)
    return {image: error for image, error in failed.items() if now - since[image] >= PATIENCE}


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
        if (rows[exists] < project.next_row).any():  # they replace other images
            invalidate_training(workspace)
        workspace.pixels(project).write(rows[exists], np.stack([image.pixels for _, image in images])[exists])
        masks = workspace.masks(project)
        if masks is not None:
            masks.forget(rows[exists])  # they were drawn for images of other sizes
        if project.pretext_generation:
            workspace.networks.embeddings(project).forget(rows[exists])
    notes = {task: image.note for (task, _), image in images if image.note}
    for task, note in notes.items():
        logger.warning("project %d, task %d: %s", project.number, task, note)
    ready = {task: (value, image.width, image.height) for (task, value), image in images}
    workspace.store.images_done(workspace.project_id, ready=ready, failed=_failed(arrived), notes=notes)
