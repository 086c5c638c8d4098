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
from pt4al_backend.active_learning.sort_pool import begin_training_anew
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, is_dense, threads
from pt4al_backend.errors import LabelStudioError, PT4ALError, UnreadableImageError
from pt4al_backend.store.decoders import DecodedImage, Decoders
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

T = TypeVar("T")
IN_FLIGHT = 64  # images asked for at a time
SAMPLE = 64  # images that decide at which size the project's images are learnt
PATIENCE = 60.0  # seconds for which an image is tried that the platform itself fails at
AT_A_TIME = 0.1  # seconds for which images that arrive are gathered, to be kept in one transaction


@dataclass(frozen=True)
class Fetchers:
    """What one project's images are fetched and decoded with. Its own: bad images hold up no other project's."""

    workspace: Workspace
    threads: ThreadPoolExecutor
    decoders: Decoders

    def decoded(self, task: int, value: str, *, size: int) -> DecodedImage:
        """An image of a task."""
        limit = int(self.workspace.settings.max_image_megapixels * 1e6)
        return self._read(task, value, lambda data: self.decoders.decode(data, size=size, max_pixels=limit))

    def shorter_side(self, task: int, value: str) -> int:
        """Of the upright image, in pixels."""
        return self._read(task, value, lambda data: min(self.decoders.probe_size(data)))

    def _read(self, task: int, value: str, read: Callable[[bytes], T]) -> T:
        data = self.workspace.platform.image(task, value)
        try:
            return read(data)
        except UnreadableImageError as error:
            name = self.workspace.platform.image_name(task, value)
            raise UnreadableImageError(f"{name}: {error}" if name else str(error)) from error


def fetch_images(workspace: Workspace) -> Job:
    """Fetch and decode every image that is waiting; set aside, with the reason, what cannot be read."""
    with threads(workspace.settings.fetch_workers) as executor, Decoders() as decoders:
        yield from _fetch_all(Fetchers(workspace, executor, decoders))


def _fetch_all(fetchers: Fetchers) -> Job:
    workspace = fetchers.workspace
    project = workspace.project()
    if not project.image_size:
        _remove_files(workspace)  # of an older release, where its database was migrated
        yield from _choose_size(fetchers)
        project = workspace.project()
        if not project.image_size:
            return  # nothing can be read: all is set aside now
    failing: dict[tuple[int, str], LabelStudioError] = {}
    done, started = 0, time.monotonic()
    total = workspace.store.totals(workspace.project_id).waiting
    for arrived in _concurrently(fetchers, _waiting(workspace), partial(fetchers.decoded, size=project.image_size)):
        failing |= {item: outcome for item, outcome in arrived if isinstance(outcome, LabelStudioError)}
        if arrived:
            _keep(workspace, project, arrived)
        done += len(arrived)
        seconds = time.monotonic() - started
        yield Progress(
            min(done / total, 1.0),
            f"{done} of {total} images, {done / seconds:.0f} images/s",
            max(total - done, 0) * seconds / max(done, 1),
        )
    yield from _set_aside(fetchers, failing)


def start_anew(workspace: Workspace, why: str) -> Job:
    """Fetch all images again: the project asks for something that needs them in another size, or they are gone."""
    yield Progress(0.0, f"starting anew: {why}")
    _remove_files(workspace)
    workspace.store.fetch_again(workspace.project_id)


def _remove_files(workspace: Workspace) -> None:
    workspace.networks.forget()
    workspace.pixels(workspace.project()).remove()


def asks_otherwise(project: Project) -> bool:
    """Whether the images and networks there are do not suit what the project asks now."""
    return bool(project.image_size) and project.dense != is_dense(project)


def _waiting(workspace: Workspace) -> Iterator[tuple[int, str]]:
    """(task id, image value) of what is to be fetched. A page at a time: a value may be an image in itself (data:)."""
    after = -1
    while page := workspace.store.waiting_images(workspace.project_id, after=after):
        yield from page
        after = page[-1][0]


def _choose_size(fetchers: Fetchers) -> Job:
    """Choose at which size the project is learnt, from its first images; always the same ones, killed or not.

    Where none of those can be read, or the platform has failed at them for long, the next ones stand for them.
    """
    workspace = fetchers.workspace
    dense = is_dense(workspace.project())
    if workspace.settings.image_size:
        workspace.store.update(workspace.project_id, image_size=workspace.settings.image_size, dense=dense)
        return
    sides, failing = yield from _sides(fetchers, workspace.store.first_images(workspace.project_id, SAMPLE))
    others = (image for image in _waiting(workspace) if image not in failing)
    at_others = not sides and (not failing or bool(_late(workspace, failing)))
    while at_others and not sides and (sample := list(itertools.islice(others, SAMPLE))):
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
    """The shorter sides of those that can be read, and those that the platform itself fails at."""
    workspace = fetchers.workspace
    sides: list[int] = []
    failing: dict[tuple[int, str], LabelStudioError] = {}
    images = iter(sample)
    for arrived in _concurrently(fetchers, images, fetchers.shorter_side):
        sides += [outcome for _, outcome in arrived if not isinstance(outcome, PT4ALError)]
        failing |= {item: outcome for item, outcome in arrived if isinstance(outcome, LabelStudioError)}
        workspace.store.images_done(workspace.project_id, ready={}, failed=_failed(arrived))
        yield Progress(0.0, "looking at the first images")
    return sides, failing


Arrived = list[tuple[tuple[int, str], "T | UnreadableImageError | LabelStudioError"]]


def _concurrently(
    fetchers: Fetchers, items: Iterator[tuple[int, str]], work: Callable[[int, str], T]
) -> Iterator[Arrived[T]]:
    """Run `work(task, value)` for all, a bounded number at a time; yield what arrived, every 0.1 s or sooner.

    An unreadable image arrives as its error, whatever it makes us raise, and so does one that the platform itself fails
    at although it answers otherwise. What is not the image's fault ends all, after what arrived was yielded.
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
                fetchers.workspace.platform.project()  # raises where it is not the images that are in trouble
                yield failed
    finally:
        for future in pending:
            future.cancel()


def _set_aside(fetchers: Fetchers, failed: dict[tuple[int, str], LabelStudioError]) -> Job:
    """Set aside what the platform has failed at for long, if it can still read other images; else raise the error."""
    workspace = fetchers.workspace
    late = _late(workspace, failed)
    readable = workspace.store.readable_image(workspace.project_id) if late else None
    if readable:
        read = fetchers.threads.submit(workspace.platform.image, *readable)
        while not read.done():
            with workspace.unlocked():
                wait([read], timeout=AT_A_TIME)
            yield Progress(0.0, "looking whether other images can be read")
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
    """Those of `failed` that the platform has failed at for long."""
    now, since = time.monotonic(), workspace.failing_since
    for image in since.keys() - failed.keys():
        del since[image]
    for image in failed:
        since.setdefault(image, now)
    return {image: error for image, error in failed.items() if now - since[image] >= PATIENCE}


def _failed(arrived: Arrived[T]) -> dict[int, tuple[str, str]]:
    """Task id -> image value and reason, of what cannot be read."""
    return {
        task: (value, str(outcome)) for (task, value), outcome in arrived if isinstance(outcome, UnreadableImageError)
    }


def _keep(workspace: Workspace, project: Project, arrived: Arrived[DecodedImage]) -> None:
    found = [(item, outcome) for item, outcome in arrived if not isinstance(outcome, PT4ALError)]
    found.sort(key=lambda entry: entry[0][0])
    if found:
        rows = workspace.store.reserve_rows(workspace.project_id, [task for (task, _), _ in found])
        there = rows >= 0  # a task may have been deleted meanwhile
        if (rows[there] < project.next_row).any():  # in place of other images
            begin_training_anew(workspace)
        workspace.pixels(project).write(rows[there], np.stack([image.pixels for _, image in found])[there])
        masks = workspace.masks(project)
        if masks is not None:
            masks.forget(rows[there])  # they were drawn for images of the old ones' sizes
        if project.pretext_generation:
            workspace.networks.embeddings(project).forget(rows[there])
    notes = {task: image.note for (task, _), image in found if image.note}
    for task, note in notes.items():
        logger.warning("project %d, task %d: %s", project.number, task, note)
    ready = {task: (value, image.width, image.height) for (task, value), image in found}
    workspace.store.images_done(workspace.project_id, ready=ready, failed=_failed(arrived), notes=notes)
