"""Label Studio's JSON exports: images and their labels.

An export does not contain the label config, so the questions and the image's key are inferred from the tasks.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.datasets.export_images import ExportImages
from pt4al_backend.datasets.export_keys import frequent, image_key, is_rare
from pt4al_backend.datasets.export_tasks import Row, Task, read_tasks
from pt4al_backend.datasets.known_images import KnownImages, LabelledImages, SegmentedImages, digest_of
from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.label_studio.label_config.choices import CHOICES
from pt4al_backend.label_studio.label_config.class_control import ClassQuestion
from pt4al_backend.label_studio.label_config.config import LabelConfig
from pt4al_backend.label_studio.label_config.control import Control
from pt4al_backend.label_studio.label_config.region_control import Regions
from pt4al_backend.label_studio.label_config.regions import KINDS, RegionControl, draw, misfits
from pt4al_backend.labelling.label_types import LABEL_TYPES
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.labelling.single import SINGLE, class_numbers
from pt4al_backend.settings import Settings
from pt4al_backend.store.decode import probe_size

logger = logging.getLogger(__name__)

MASK_SIDE = 512
"""Side in pixels of the masks that predictions are compared with."""
PIXELS = "\0"  # stands for all region controls, which together ask one question; no control has this name
NOT_FLAT = "PT4AL learns flat lists of choices"


@dataclass(frozen=True)
class Export:
    """The labelled images of a project."""

    questions: tuple[Question, ...]
    answers: tuple[Answers, ...]
    """One entry per image, with an answer to at least one question."""
    read: Callable[[int], bytes]
    """The image file at a position. Thread-safe. May raise `UnreadableImageError`."""
    notes: tuple[str, ...]
    """One sentence for everything that could not be used."""
    digest: str = ""
    """Changes when the images' addresses or the answers change."""
    name: Callable[[int], str] = "image {}".format
    """The name by which people know the image at a position."""

    def __len__(self) -> int:
        return len(self.answers)

    def images(self, *, background: bool) -> KnownImages:
        """The images with the class of each image or pixel.

        Args:
            background: whether pixels outside all regions are a class of their own; otherwise their class is unknown.

        Raises:
            PT4ALError: the export answers several questions, or one that cannot be replayed.
        """
        if len(self.questions) > 1:
            names = ", ".join(question.name for question in self.questions)
            raise PT4ALError(
                f"The export answers several questions ({names}): one single choice can be replayed, so keep only "
                "the results of one of them."
            )
        (question,) = self.questions
        if question.label_type.name not in REPLAYED:
            raise PT4ALError(
                f"{question.name} asks for {question.label_type.title}: only "
                f"{' and '.join(LABEL_TYPES[name].title for name in REPLAYED)} can be replayed."
            )
        return REPLAYED[question.label_type.name](self, question, background)

    def labelled(self, question: Question, background: bool) -> LabelledImages:
        """The images with one class each."""
        targets = class_numbers(question, self.answers)
        if len(set(targets.tolist())) < 2:
            raise PT4ALError(
                "The export contains images of only one class: label images of at least two classes, and export the "
                "project again."
            )
        return LabelledImages(question.classes, targets, self.read, self.digest, self.name)

    def segmented(self, question: Question, background: bool) -> SegmentedImages:
        """The images with the class of each pixel."""
        classes = question.label_type.output_names(question, background=background)

        @cache
        def size(position: int) -> tuple[int, int]:
            try:
                return probe_size(self.read(position))
            except UnreadableImageError:
                return 0, 0  # decoding it reports the reason

        def mask(position: int) -> NDArray[np.uint8]:
            regions = self.answers[position].get(question.name, [])
            painted_on = size(position) if any("rle" in region for region in regions) else (0, 0)
            for misfit in misfits(regions, painted_on) if position not in reported else ():
                logger.warning("%s: %s", self.name(position), misfit)
            reported.add(position)
            return draw(regions, question.classes, side=MASK_SIDE, background=background, size=painted_on)

        reported: set[int] = set()
        names = tuple(str(position) for position in range(len(self)))
        return SegmentedImages(classes, names, self.read, mask, self.digest, self.name)


REPLAYED: dict[str, Callable[[Export, Question, bool], KnownImages]] = {
    "single": Export.labelled,
    "segmentation": Export.segmented,
}
"""By name of the label type: makes the images that a simulation takes its labels from."""


def read_export(path: Path, settings: Settings) -> Export:
    """The labelled images of an export in the format JSON, or JSON-MIN if its meaning is unambiguous.

    A Choices control is a `multiple` question if an annotation chose several of its choices, otherwise a `single` one.
    Images are read from the export's directory, or fetched from their addresses if they are not there.

    Raises:
        PT4ALError: the file is not such an export, or it is not clear which key is the image.
    """
    path = path.expanduser().resolve()
    tasks, faults = read_tasks(path)
    tasks = [_counted(task, faults) for task in tasks]
    config = _config(tasks, faults)
    answers, images = [], []
    for task in tasks:
        flaws: list[str] = []
        answer = config.answers(task.annotations, flaws)
        image = config.image_of(task.data).strip()
        if answer and not image:
            flaws.append(f"its answers are left out: it has no image under {config.image_key}.")
        elif answer:
            answers.append(answer)
            images.append((task.id, image))
        faults += [f"{task.name}: {flaw}" for flaw in flaws]
    if not answers:
        raise PT4ALError("The export contains no labelled image: label some images, and export the project again.")
    source = ExportImages.beside(path.parent, images, settings)
    notes, digest = tuple(dict.fromkeys(faults)), digest_of(images, answers)
    return Export(config.questions, tuple(answers), source.read, notes, digest, source.name)


def _counted(task: Task, faults: list[str]) -> Task:
    """A task without cancelled annotations, and without answers that are not flat lists of choices."""
    annotations = []
    for annotation in task.annotations:
        if not annotation["was_cancelled"]:
            results = [_with_flat_choices(result) for result in annotation["result"]]
            for original, result in zip(annotation["result"], results, strict=True):
                if result is None:
                    faults.append(f'{task.name}: an answer to "{_control(original)}" is left out: {NOT_FLAT}.')
            annotations.append(annotation | {"result": [result for result in results if result is not None]})
    return replace(task, annotations=tuple(annotations))


def _with_flat_choices(result: Row) -> Row | None:
    """A result with its choices as a list of strings; None if they are not a flat list."""
    if result.get("type") != "choices":
        return result
    value = result.get("value")
    if not isinstance(value, dict) or (choices := _flat(value.get("choices"))) is None:
        return None
    return result | {"value": value | {"choices": choices}}


def _flat(choices: Any) -> list[str] | None:
    """Choices as strings. A single one may come without a list, and one of a nested Choices as a path of one step."""
    if not isinstance(choices, list):
        choices = [choices]
    steps = [choice[0] if isinstance(choice, list) and len(choice) == 1 else choice for choice in choices]
    return [str(step) for step in steps] if all(isinstance(step, (str, int, float)) for step in steps) else None


# The questions


def _config(tasks: Sequence[Task], faults: list[str]) -> LabelConfig:
    """The label config as far as the results reveal it; classes are sorted.

    Rare results are outliers and left out: a control that few images answer, several choices where nearly all have one.
    """
    results = [(task, result) for task in tasks for annotation in task.annotations for result in annotation["result"]]
    about_images = [(task, result) for task, result in results if _is_about_image(result)]
    about_parts = [(task, result) for task, result in results if result.get("type") in KINDS]
    answered = Counter(name for _, name in {(id(task), _control(result)) for task, result in about_images})
    answered[PIXELS] = len({id(task) for task, _ in about_parts})
    kept = frequent(+answered)
    for name in sorted(+answered - Counter({name: answered[name] for name in kept})):
        faults.append(
            f"{'A segmentation' if name == PIXELS else name} is answered in {answered[name]} of {len(tasks)} images "
            "only: it is left out."
        )
    controls = _choices([(task, result) for task, result in about_images if _control(result) in kept], faults)
    regions = _regions([result for _, result in about_parts]) if PIXELS in kept else ()
    if regions:
        controls.append(Regions.with_tags(regions))
    if not controls:
        because = f" ({faults[0].rstrip('.')})" if faults else ""
        raise PT4ALError(
            "The export contains no choices about whole images, and no brush or polygon regions"
            f"{because}: label images of a project that asks for one of these, and export it again."
        )
    return LabelConfig(
        image="",
        image_key=image_key([task.data for task in tasks], asked={str(result.get("to_name")) for _, result in results}),
        controls=tuple(controls),
    )


def _is_about_image(result: Row) -> bool:
    """Whether a result is choices about the whole image; those about a region also say where it is."""
    if result.get("type") != "choices":
        return False
    return bool(result["value"].keys() == {"choices"} and result["value"]["choices"])


def _control(result: Row) -> str:
    return str(result.get("from_name"))


def _choices(results: Sequence[tuple[Task, Row]], faults: list[str]) -> list[Control]:
    """The controls that ask about whole images."""
    by_control: dict[str, list[tuple[Task, list[str]]]] = {}
    for task, result in results:
        by_control.setdefault(_control(result), []).append((task, result["value"]["choices"]))
    controls: list[Control] = []
    for name, answers in sorted(by_control.items()):
        several = [(task, choices) for task, choices in answers if len(choices) > 1]
        is_single = not several or is_rare(len(several), len(answers))
        counted = [choices for _, choices in answers if not is_single or len(choices) == 1]
        classes = tuple(sorted({label for choices in counted for label in choices}))
        controls.append(ClassQuestion(Question(name, SINGLE if is_single else MULTIPLE, classes), CHOICES))
        if is_single:
            faults += [
                f"{task.name}: an answer to {name} is left out: it has {len(choices)} choices, others have one."
                for task, choices in several
            ]
    return controls


def _regions(results: Iterable[Row]) -> tuple[RegionControl, ...]:
    """The controls whose regions occur, with all labels that occur."""
    labels: dict[tuple[str, str], set[str]] = {}
    for result in results:
        kind, value = result["type"], result.get("value")
        chosen = value.get(kind) if isinstance(value, dict) else None
        of_control = labels.setdefault((_control(result), kind), set())
        if isinstance(chosen, list):
            of_control.update(label for label in chosen if isinstance(label, str))
    return tuple(RegionControl(name, kind, tuple(sorted(every))) for (name, kind), every in sorted(labels.items()))
