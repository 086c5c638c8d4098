"""Fetch and decode the images of a project's tasks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.jobs.bench import Bench, Job, Step, backbone
from pt4al_backend.store.decode import decode, probe_size
from pt4al_backend.store.tables import Project

T = TypeVar("T")
IN_FLIGHT = 128  # images asked for at a time
SAMPLE = 64  # images that decide at which size the project's images are learnt


def fetch_images(bench: Bench) -> Job:
    """Fetch and decode every image that is waiting; set aside, with the reason, what cannot be read."""
    project = bench.project()
    waiting = bench.store.waiting_images(bench.project_id)
    if not project.image_size:
        yield from _choose_size(bench, waiting[:SAMPLE])
        project = bench.project()
        if not project.image_size:
            return  # nothing readable yet; what failed is set aside, the rest comes next time
    limit = int(bench.settings.max_image_megapixels * 1e6)

    def pixels_of(task: int, value: str) -> NDArray[np.uint8]:
        return decode(bench.platform.image(task, value), size=project.image_size, max_pixels=limit)

    done, started = 0, time.monotonic()
    for arrived in _concurrently(bench.threads, waiting, pixels_of):
        _keep(bench, project, arrived)
        done += len(arrived)
        seconds = time.monotonic() - started
        yield Step(
            done / len(waiting),
            f"{done} of {len(waiting)} images, {done / seconds:.0f} images/s",
            (len(waiting) - done) * seconds / max(done, 1),
        )


def _choose_size(bench: Bench, sample: Sequence[tuple[int, str]]) -> Job:
    if bench.settings.image_size:
        bench.store.update(bench.project_id, image_size=bench.settings.image_size)
        return
    sides: list[int] = []
    for arrived in _concurrently(
        bench.threads, sample, lambda task, value: min(probe_size(bench.platform.image(task, value)))
    ):
        failed = {}
        for (task, _), outcome in arrived:
            if isinstance(outcome, UnreadableImageError):
                failed[task] = str(outcome)
            else:
                sides.append(outcome)
        bench.store.images_done(bench.project_id, ready=[], failed=failed)
        yield Step(0.0, "looking at the first images")
    if sides:
        size = learning.choose_image_size(int(np.median(sides)), preset=bench.settings.preset, device=bench.device)
        bench.store.update(bench.project_id, image_size=size)


Arrived = list[tuple[tuple[int, str], "T | UnreadableImageError"]]


def _concurrently(
    threads: ThreadPoolExecutor, waiting: Sequence[tuple[int, str]], work: Callable[[int, str], T]
) -> Iterator[Arrived[T]]:
    """Run ``work(task, value)`` for all, a bounded number at a time; yield what arrived every 0.3 s or sooner.

    An unreadable image arrives as its error; any other error ends it, after what arrived was yielded.
    """
    items = iter(waiting)
    pending: dict[Future[T], tuple[int, str]] = {}
    try:
        while True:
            for item in itertools.islice(items, IN_FLIGHT - len(pending)):
                pending[threads.submit(work, *item)] = item
            if not pending:
                return
            finished, _ = wait(pending, timeout=0.3)
            arrived: Arrived[T] = []
            broken: BaseException | None = None
            for future in finished:
                item, error = pending.pop(future), future.exception()
                if isinstance(error, UnreadableImageError):
                    arrived.append((item, error))
                elif error is not None:
                    broken = error
                else:
                    arrived.append((item, future.result()))
            yield arrived
            if broken is not None:
                raise broken
    finally:
        for future in pending:
            future.cancel()


def _keep(bench: Bench, project: Project, arrived: Arrived[NDArray[np.uint8]]) -> None:
    failed = {task: str(outcome) for (task, _), outcome in arrived if isinstance(outcome, UnreadableImageError)}
    ready = [(item, outcome) for item, outcome in arrived if not isinstance(outcome, UnreadableImageError)]
    ready.sort(key=lambda entry: entry[0][0])
    if ready:
        rows = bench.store.reserve_rows(bench.project_id, [task for (task, _), _ in ready])
        there = rows >= 0  # a task may have been deleted meanwhile
        bench.pixels(project).write(rows[there], np.stack([image for _, image in ready])[there])
        if project.pretext_generation:
            bench.features(backbone(project)).forget(rows[there])
    bench.store.images_done(bench.project_id, ready=[item for item, _ in ready], failed=failed)
