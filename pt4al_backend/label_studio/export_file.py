"""Label Studio's JSON exports: images and what people answered about them.

An export does not hold the label config, so the questions and the image are found in the tasks themselves.
"""

from __future__ import annotations

import json
import mimetypes
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError

from pt4al_backend.errors import PT4ALError
from pt4al_backend.label_studio.config import UNNAMED_KEY, LabelConfig
from pt4al_backend.label_studio.export_images import ADDRESSES, ExportImages, location
from pt4al_backend.label_studio.regions import KINDS, RegionControl, draw, regions_question
from pt4al_backend.labelled_images import ENDINGS, KnownImages, LabelledImages, SegmentedImages, digest_of
from pt4al_backend.labelling_platform import MULTIPLE, SEGMENTATION, SINGLE, Answers, Question
from pt4al_backend.settings import Settings

MASK_SIDE = 512
"""In pixels: regions are drawn at this size to be compared with."""
IN_EVERY_MIN_ROW = {"id", "annotation_id"}
NO_ANSWER = {*IN_EVERY_MIN_ROW, "annotator", "created_at", "updated_at", "lead_time", "agreement"}


class _Annotation(BaseModel):
    id: int | None = None
    result: list[dict[str, Any]] | None = None
    was_cancelled: bool | None = None
    created_at: str | None = None
    updated_at: str | None = None


class _Task(BaseModel):
    id: int = 0
    data: dict[str, Any]
    annotations: list[_Annotation] = []


@dataclass(frozen=True)
class Export:
    """Images of a project that were labelled."""

    questions: tuple[Question, ...]
    answers: tuple[Answers, ...]
    """One entry per image; a question at least is answered in each."""
    read: Callable[[int], bytes]
    """The image file at a position. Thread-safe. May raise ``UnreadableImageError``."""
    notes: tuple[str, ...]
    """A sentence for whatever could not be used."""
    digest: str = ""
    """Changes with the images' addresses and with the answers."""

    def __len__(self) -> int:
        return len(self.answers)

    def images(self, *, background: bool) -> KnownImages:
        """The images with the class of each, or of each pixel. ``PT4ALError`` where they do not have just one.

        ``background``: pixels outside all regions are a class of their own; else nothing is known of them.
        """
        if len(self.questions) > 1:
            names = ", ".join(question.name for question in self.questions)
            raise PT4ALError(
                f"The export answers several questions ({names}): one single choice can be replayed, so keep only "
                "the results of one of them."
            )
        (question,) = self.questions
        if question.kind == SEGMENTATION:
            return self._segmented(question, background=background)
        if question.kind != SINGLE:
            raise PT4ALError(
                f"{question.name} lets people choose several classes: only single choices and segmentations can be "
                "replayed."
            )
        return self._labelled(question)

    def _labelled(self, question: Question) -> LabelledImages:
        number = {label: k for k, label in enumerate(question.classes)}
        targets = np.array([number[answer[question.name]] for answer in self.answers], dtype=np.int64)
        if len(set(targets.tolist())) < 2:
            raise PT4ALError(
                "The export holds images of only one class: label images of two classes at least, and export the "
                "project again."
            )
        return LabelledImages(question.classes, targets, self.read, self.digest)

    def _segmented(self, question: Question, *, background: bool) -> SegmentedImages:
        classes = question.classes
        if background:
            classes += (next(name for name in ("background", "no region", "(none)") if name not in classes),)

        def mask(position: int) -> NDArray[np.uint8]:
            regions = self.answers[position].get(question.name, [])
            return draw(regions, question.classes, side=MASK_SIDE, background=background)

        names = tuple(str(position) for position in range(len(self)))
        return SegmentedImages(classes, names, self.read, mask, self.digest)


def read_export(path: Path, settings: Settings) -> Export:
    """The labelled images of an export in Label Studio's JSON format, or JSON-MIN where its meaning is plain.

    A Choices control of which an annotation chose several is a ``multiple`` question, any other is ``single``.
    Images are read from the export's directory, or else fetched from where their addresses point.

    Raises:
        PT4ALError: the file is no such export, or does not say which image is meant.
    """
    path = path.expanduser().resolve()
    tasks = _tasks(_rows(path))
    config = _config(tasks)
    answers, images = [], []
    notes: dict[str, None] = {}
    for task in tasks:
        faults: list[str] = []
        answer = config.answers([annotation.model_dump() for annotation in task.annotations], faults)
        notes |= {f"Task {task.id}: {fault}": None for fault in faults}
        image = config.image_of(task.data).strip()
        if answer and image:
            answers.append(answer)
            images.append((task.id, image))
    if not answers:
        raise PT4ALError("The export holds no labelled image: label some images, and export the project again.")
    source = ExportImages.beside(path.parent, images, settings)
    return Export(config.questions, tuple(answers), source.read, tuple(notes), digest_of(images, answers))


# The file


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_bytes())
    except OSError as error:
        raise PT4ALError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise PT4ALError(f"{path} is not valid JSON: export the project again, in the format JSON.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PT4ALError(f"{path} is not a list of tasks: export the project from Label Studio in the format JSON.")
    if not rows:
        raise PT4ALError(f"{path} holds no tasks: label some images, and export the project again.")
    return rows


def _tasks(rows: list[dict[str, Any]]) -> list[_Task]:
    if not any("annotations" in row or isinstance(row.get("data"), dict) for row in rows):
        rows = _from_min(rows)
    try:
        return TypeAdapter(list[_Task]).validate_python(rows)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise PT4ALError(
            f"The file is not an export in Label Studio's JSON format ({place}: {first['msg']}): "
            "export the project again, in the format JSON."
        ) from None


def _from_min(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """JSON-MIN as JSON. It mixes data and answers in one object, so only a lone text beside the image is an answer."""
    if not all(row.keys() >= IN_EVERY_MIN_ROW for row in rows):
        raise PT4ALError("The file is not a Label Studio export: export the project again, in the format JSON.")
    rows = [row for row in rows if row["annotation_id"] is not None]
    if not rows:
        raise PT4ALError("The export holds no labels: label some images, and export the project again.")
    image = _image_key([{key: row[key] for key in row.keys() - NO_ANSWER} for row in rows])
    others = sorted({key for row in rows for key in row} - NO_ANSWER - {image, UNNAMED_KEY})
    if len(others) != 1 or not all(isinstance(row.get(others[0], ""), str) for row in rows):
        raise PT4ALError(
            f"JSON-MIN does not say which text is the answer ({', '.join(others) or 'there is none'} beside {image}): "
            "export the project in the format JSON instead."
        )
    (control,) = others
    tasks: dict[str, dict[str, Any]] = {}
    for row in rows:  # one per annotation
        data = {key: row[key] for key in (image, UNNAMED_KEY) if key in row}
        task = tasks.setdefault(str(row["id"]), {"id": row["id"], "data": data, "annotations": []})
        if control in row:
            task["annotations"].append(_annotation(row, control))
    return list(tasks.values())


def _annotation(row: Mapping[str, Any], control: str) -> dict[str, Any]:
    region = {"from_name": control, "type": "choices", "value": {"choices": [row[control]]}}
    return {"id": row["annotation_id"], "updated_at": row.get("updated_at"), "result": [region]}


# The questions


def _config(tasks: Sequence[_Task]) -> LabelConfig:
    """What the label config may have been, as far as can be told from the results; classes are sorted."""
    results = [(task, result) for task in tasks for result in _results(task)]
    questions = _choices([(task, result) for task, result in results if result.get("type") == "choices"])
    regions = _regions([result for _, result in results if result.get("type") in KINDS])
    if regions:
        questions.append(regions_question(regions))
    if not questions:
        raise PT4ALError(
            "The export holds no choices about whole images, and no brush or polygon regions: label images of a "
            "project that asks for one of these, and export it again."
        )
    return LabelConfig(
        image="",
        image_key=_image_key([task.data for task in tasks]),
        questions=tuple(questions),
        regions=regions,
    )


def _results(task: _Task) -> Iterator[dict[str, Any]]:
    for annotation in task.annotations:
        if not annotation.was_cancelled:
            yield from annotation.result or ()


def _choices(results: Iterable[tuple[_Task, dict[str, Any]]]) -> list[Question]:
    """A question for each control that asks about whole images."""
    chosen: dict[str, set[str]] = {}
    several = set()
    for task, result in results:
        value, control = result.get("value"), str(result.get("from_name"))
        if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
            raise PT4ALError(
                f"Task {task.id} of the export has choices without a list of them: export the project again."
            )
        if value.keys() != {"choices"}:  # those of a region say where it is
            continue
        if not all(isinstance(choice, str) for choice in value["choices"]):
            raise PT4ALError(f"{control} has choices inside of choices: PT4AL learns flat lists of choices only.")
        chosen.setdefault(control, set()).update(value["choices"])
        if len(value["choices"]) > 1:
            several.add(control)
    return [
        Question(control, MULTIPLE if control in several else SINGLE, tuple(sorted(chosen[control])))
        for control in sorted(chosen)
        if chosen[control]
    ]


def _regions(results: Iterable[dict[str, Any]]) -> tuple[RegionControl, ...]:
    """The controls that made regions, with all their labels."""
    labels: dict[tuple[str, str], set[str]] = {}
    for result in results:
        kind, value = result["type"], result.get("value")
        given = value.get(kind) if isinstance(value, dict) else None
        found = labels.setdefault((str(result.get("from_name")), kind), set())
        if isinstance(given, list):
            found.update(label for label in given if isinstance(label, str))
    return tuple(RegionControl(name, kind, tuple(sorted(found))) for (name, kind), found in sorted(labels.items()))


def _image_key(rows: Sequence[Mapping[str, Any]]) -> str:
    """The key whose texts are images. Bare file names count where there are no addresses."""
    for looks in (_is_address, _is_file_name):
        keys = _keys(rows, looks)
        keys = keys - {UNNAMED_KEY} or keys
        if len(keys) > 1:
            raise PT4ALError(
                f"Several keys of the tasks' data look like images ({', '.join(sorted(keys))}): "
                "remove all but one of them from the export."
            )
        if keys:
            return keys.pop()
    raise PT4ALError("No key of the tasks' data looks like an image: PT4AL needs one that holds paths or addresses.")


def _keys(rows: Iterable[Mapping[str, Any]], looks: Callable[[str], bool]) -> set[str]:
    """The keys most of whose texts look so."""
    surplus: Counter[str] = Counter()
    for row in rows:
        for key, value in row.items():
            if isinstance(value, str) and value.strip():
                surplus[key] += 1 if looks(value.strip()) else -1
    return {key for key in surplus if surplus[key] > 0}


def _is_address(value: str) -> bool:
    """Whether Label Studio could show this as an image, as far as can be told."""
    if value[:11].lower() == "data:image/":
        return True
    kind = mimetypes.guess_type(PurePosixPath(location(value)).name)[0] or ""
    return value.lower().startswith(ADDRESSES) and not kind.startswith(("text/", "audio/", "video/"))


def _is_file_name(value: str) -> bool:
    return PurePosixPath(value).suffix.lower() in ENDINGS
