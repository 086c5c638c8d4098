"""A labelling platform in memory that knows every answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from pt4al_backend.datasets.known_images import KnownImages
from pt4al_backend.labelling.platform import Drawing, ProjectInfo, TaskState, Window
from pt4al_backend.labelling.questions import Question


class KnownLabels:
    """A `LabellingPlatform` with one project, whose task `k + 1` shows image `k`."""

    def __init__(self, images: KnownImages) -> None:
        self.window: Window | None = None
        self._images = images
        self._log: list[int] = list(range(1, len(images) + 1))  # the task of every change
        self._answered: set[int] = set()

    def answer(self, tasks: Iterable[int]) -> None:
        """Label `tasks` with the truth."""
        new = [task for task in tasks if task not in self._answered]
        self._log += new
        self._answered.update(new)

    @property
    def queue(self) -> list[int]:
        """The tasks of the published window that have not been answered since."""
        picks = self.window.picks if self.window else ()
        return [pick.task for pick in picks if pick.task not in self._answered]

    # LabellingPlatform

    def is_connected(self) -> bool:
        return True

    def project(self) -> ProjectInfo:
        return ProjectInfo(
            title="simulation",
            label_config="",
            questions=(self._images.question,),
            tasks=len(self._images),
            annotations=len(self._answered),
            skipped=0,
            model_version=self.window.version if self.window else "",
        )

    def tasks(self, since: str | None) -> Iterator[tuple[list[TaskState], str]]:
        for start in range(int(since or 0), len(self._log), 1000):
            page = dict.fromkeys(self._log[start : start + 1000])
            yield [self._state(task) for task in page], str(min(start + 1000, len(self._log)))

    def missing(self, known: Sequence[int]) -> set[int]:
        return set()

    def images_behind(self, task: int) -> dict[int, str]:
        return {}  # they never change

    def images_of(self, tasks: Sequence[int]) -> dict[int, str]:
        return {}

    def image(self, task: int, value: str) -> bytes:
        return self._images.read(task - 1)

    def image_name(self, task: int, value: str) -> str:
        return self._images.name(task - 1)

    def drawing(
        self, question: Question, regions: Sequence[dict[str, Any]], *, side: int, size: tuple[int, int]
    ) -> Drawing:
        (region,) = regions
        return Drawing(self._images.drawing(region, side))

    def publish(self, window: Window) -> None:
        self.window = window

    def sweep(self, keep: Collection[str]) -> bool:
        return True

    def close(self) -> None:
        """There are no connections."""

    def _state(self, task: int) -> TaskState:
        answered = task in self._answered
        return TaskState(
            id=task,
            image=str(task),
            version=str(int(answered)),
            answers=self._images.answers(task - 1) if answered else {},
            skipped=False,
            annotations=int(answered),
            cancelled=0,
        )
