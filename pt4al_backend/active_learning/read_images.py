"""Read many images of a project at the same time: fetch them from the platform, and decode them."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from pt4al_backend.active_learning.workspace import Progress, Workspace, threads
from pt4al_backend.errors import LabelStudioError, PT4ALError, UnreadableImageError
from pt4al_backend.store.decoders import DecodedImage, Decoders

logger = logging.getLogger(__name__)

T = TypeVar("T")
Image = tuple[int, str]
"""Task id and image value."""
Arrived = list[tuple[Image, "T | UnreadableImageError | LabelStudioError"]]
Failing = dict[Image, LabelStudioError]
"""Images that the platform itself fails at."""

IN_FLIGHT = 64  # images read at a time
PATIENCE = 60.0  # seconds for which an image that the platform itself fails at is tried again
AT_A_TIME = 0.1  # seconds for which arriving images are collected, to be stored in one transaction


@dataclass(frozen=True)
class ImageReader:
    """The threads and decoders of one job. No other project shares them, so bad images do not delay others."""

    workspace: Workspace
    threads: ThreadPoolExecutor
    decoders: Decoders

    def decode(self, task: int, value: str, *, size: int, others: tuple[int, ...] = ()) -> Future[DecodedImage]:
        """Fetch and decode the image of a task, as `Decoders.decode` does."""
        limit = int(self.workspace.settings.max_image_megapixels * 1e6)
        return self._read(
            task, value, lambda data: self.decoders.decode(data, size=size, others=others, max_pixels=limit)
        )

    def shorter_side(self, task: int, value: str) -> Future[int]:
        """The shorter side of the upright image, in pixels."""
        return self._read(task, value, lambda data: min(self.decoders.probe_size(data)))

    def _read(self, task: int, value: str, use: Callable[[bytes], T]) -> Future[T]:
        platform = self.workspace.platform

        def read() -> T:
            data = platform.image(task, value)
            try:
                return use(data)
            except UnreadableImageError as error:
                name = platform.image_name(task, value)
                raise UnreadableImageError(f"{name}: {error}" if name else str(error)) from error

        return self.threads.submit(read)

    def concurrently(self, images: Iterator[Image], read: Callable[[int, str], Future[T]]) -> Iterator[Arrived[T]]:
        """Read all images, a limited number at a time.

        Args:
            images: the images.
            read: starts to read one.

        Yields:
            What arrived, every `AT_A_TIME` seconds or sooner. An image that cannot be read arrives as its error,
            whatever the code raised for it, and so does an image that the platform fails at although it answers other
            requests.

        Raises:
            PT4ALError: Something else failed. What arrived is yielded before.
        """
        pending: dict[Future[T], Image] = {}
        try:
            while True:
                for image in itertools.islice(images, IN_FLIGHT - len(pending)):
                    pending[read(*image)] = image
                if not pending:
                    return
                with self.workspace.unlocked():
                    finished, _ = wait(pending, timeout=AT_A_TIME)
                arrived: Arrived[T] = []
                failed: Arrived[T] = []
                broken: BaseException | None = None
                for future in finished:
                    image, error = pending.pop(future), future.exception()
                    if error is None:
                        arrived.append((image, future.result()))
                    elif isinstance(error, UnreadableImageError):
                        arrived.append((image, error))
                    elif isinstance(error, LabelStudioError):
                        failed.append((image, error))
                    elif isinstance(error, Exception) and not isinstance(error, PT4ALError):
                        logger.error("task %d: its image cannot be read", image[0], exc_info=error)
                        arrived.append((image, UnreadableImageError(f"It cannot be read ({type(error).__name__}).")))
                    else:
                        broken = error
                yield arrived
                if broken is not None:
                    raise broken
                if failed:
                    self.workspace.platform.project()  # raises if the whole platform fails, not only at these images
                    yield failed
        finally:
            for future in pending:
                future.cancel()

    def given_up(self, failing: Failing) -> Generator[Progress, None, Failing]:
        """Those images of `failing` that the platform has failed at for long, if it can read other images."""
        late = self.late(failing)
        readable = self.workspace.store.readable_image(self.workspace.project_id, besides=failing) if late else None
        if not readable:
            return {}
        read = self.threads.submit(self.workspace.platform.image, *readable)
        while not read.done():
            with self.workspace.unlocked():
                wait([read], timeout=AT_A_TIME)
            yield Progress(0.0, "checking whether other images can be read")
        if read.exception() is not None:
            return {}
        for image in late:
            del self.workspace.failing_since[image]
        return late

    def late(self, failing: Failing) -> Failing:
        """Those images of `failing` that the platform has failed at for `PATIENCE` seconds."""
        now, since = time.monotonic(), self.workspace.failing_since
        for image in since.keys() - failing.keys():
            del since[image]
        for image in failing:
            since.setdefault(image, now)
        return {image: error for image, error in failing.items() if now - since[image] >= PATIENCE}


@contextmanager
def image_reader(workspace: Workspace) -> Iterator[ImageReader]:
    """The threads and decoders of one job."""
    with threads(workspace.settings.fetch_workers) as executor, Decoders() as decoders:
        yield ImageReader(workspace, executor, decoders)


def platform_failures(arrived: Arrived[T]) -> Failing:
    """The images that the platform itself fails at."""
    return {image: outcome for image, outcome in arrived if isinstance(outcome, LabelStudioError)}
