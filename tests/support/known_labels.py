"""A labelling platform that lives in memory and knows every answer: scikit-learn's handwritten digits."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image
from sklearn.datasets import load_digits

from pt4al_backend.errors import LabelStudioUnavailableError, ProjectGoneError, UnreadableImageError
from pt4al_backend.labelling.platform import Drawing, ProjectInfo, TaskState, Window
from pt4al_backend.labelling.questions import Judgement, Question
from pt4al_backend.labelling.single import SINGLE

DIGITS = load_digits()
CLASSES = tuple("0123456789")
QUESTION = "digit"


def digit_png(index: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray((DIGITS.images[index] * 15.9).astype("uint8")).resize((32, 32)).save(file, "PNG")
    return file.getvalue()


@dataclass
class KnownLabels:
    """Tasks 1..n show digits 0..n-1. Tests change it as people would change a project."""

    n: int
    classes: tuple[str, ...] = CLASSES
    down: bool = False
    gone: bool = False
    connected: bool = True
    overlap: int = 1
    page: int = 100
    published: list[Window] = field(default_factory=list)
    model_version: str = ""
    full_listings: int = 0
    compared: int = 0  # image values that were asked for
    versions: list[str] = field(default_factory=list)  # that have not been deleted
    closed: int = 0
    deletes: float = math.inf  # how many versions at a time; none: it fails

    def __post_init__(self) -> None:
        self._clock = 0
        self._changed: dict[int, int] = {}
        self.states: dict[int, TaskState] = {}
        self.add(range(1, self.n + 1))

    def add(self, ids: Sequence[int]) -> None:
        for task in ids:
            self._set(TaskState(task, f"digit:{task - 1}", "", {}, False, 0, 0))

    def truth(self, task: int) -> str:
        return str(DIGITS.target[task - 1])

    def label(self, task: int, answer: str | None = None) -> None:
        self._set(replace(self.states[task], answers={QUESTION: answer or self.truth(task)}, annotations=1))

    def judge(self, task: int, *judgements: Judgement) -> None:
        self._set(replace(self.states[task], judgements=judgements))

    def unlabel(self, task: int) -> None:
        self._set(replace(self.states[task], answers={}, annotations=0))

    def skip(self, task: int) -> None:
        self._set(replace(self.states[task], skipped=True, cancelled=1))

    def show(self, task: int, image: str) -> None:
        self._set(replace(self.states[task], image=image))

    def show_without_a_trace(self, task: int, image: str) -> None:
        self.states[task] = replace(self.states[task], image=image)

    def delete(self, task: int) -> None:
        del self.states[task], self._changed[task]

    @property
    def queue(self) -> list[int]:
        """What would be served: the published window less what was answered since."""
        if not self.published:
            return []
        states = [self.states.get(pick.task) for pick in self.published[-1].picks]
        return [state.id for state in states if state and not state.answers and not state.skipped]

    # LabellingPlatform

    def is_connected(self) -> bool:
        return self.connected

    def project(self) -> ProjectInfo:
        if self.down:
            raise LabelStudioUnavailableError("The platform is down; it is tried again.")
        if self.gone:
            raise ProjectGoneError("Project 1 does not exist any more.")
        states = self.states.values()
        return ProjectInfo(
            title="digits",
            label_config="/".join(self.classes),
            questions=(Question(QUESTION, SINGLE, self.classes),),
            tasks=len(states),
            annotations=sum(state.annotations for state in states),
            skipped=sum(state.cancelled for state in states),
            model_version=self.model_version,
            overlap=self.overlap,
        )

    def tasks(self, since: str | None) -> Iterator[tuple[list[TaskState], str]]:
        self.full_listings += since is None
        after = int(since or 0)
        changed = sorted((at, task) for task, at in self._changed.items() if at > after)
        for start in range(0, len(changed), self.page):
            page = changed[start : start + self.page]
            yield [self._known(task) for _, task in page], str(page[-1][0])

    def missing(self, known: Sequence[int]) -> set[int]:
        return set(known) - self.states.keys()

    def images_behind(self, task: int) -> dict[int, str]:
        behind = sorted(other for other in self.states if other > task)
        return self.images_of(behind[: self.page])

    def images_of(self, tasks: Sequence[int]) -> dict[int, str]:
        self.compared += len(tasks)
        return {task: self.states[task].image for task in tasks if task in self.states}

    def image(self, task: int, value: str) -> bytes:
        if not value.startswith("digit:"):
            raise UnreadableImageError(f"{value}: 404 Not Found")
        return digit_png(int(value.removeprefix("digit:")))

    def image_name(self, task: int, value: str) -> str:
        return value

    def drawing(
        self, question: Question, regions: Sequence[dict[str, Any]], *, side: int, size: tuple[int, int]
    ) -> Drawing:
        raise AssertionError("digits have no regions")

    def publish(self, window: Window) -> None:
        if self.down:
            raise LabelStudioUnavailableError("The platform is down; it is tried again.")
        self.published.append(window)
        self.versions = [*dict.fromkeys([*self.versions, window.version])]
        self.model_version = window.version

    def sweep(self, keep: Collection[str]) -> bool:
        if not self.deletes:
            raise LabelStudioUnavailableError("504 Gateway Timeout")
        out = [version for version in self.versions if version not in keep]
        for version in out[: int(min(self.deletes, len(out)))]:
            self.versions.remove(version)
        return len(out) <= self.deletes

    def close(self) -> None:
        self.closed += 1

    def _known(self, task: int) -> TaskState:
        state = self.states[task]
        answers = {name: answer for name, answer in state.answers.items() if answer in self.classes}
        return replace(state, answers=answers, skipped=not answers and state.annotations + state.cancelled > 0)

    def _set(self, state: TaskState) -> None:
        self._clock += 1
        self._changed[state.id] = self._clock
        self.states[state.id] = replace(state, version=str(self._clock))
