"""Label Studio's JSON exports: images whose classes are what people answered.

An export does not hold the label config, so the question and the image are found in the tasks themselves.
"""

from __future__ import annotations

import json
import mimetypes
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.config import UNNAMED_KEY, Question
from pt4al_backend.label_studio.images import STORAGE_SCHEMES, ImageFetcher
from pt4al_backend.label_studio.project import fetch_limits
from pt4al_backend.labelled_images import ENDINGS, LabelledImages
from pt4al_backend.settings import Settings

ADDRESSES = ("http://", "https://", "/", *(f"{scheme}://" for scheme in STORAGE_SCHEMES))
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


def read_export(path: Path, settings: Settings) -> LabelledImages:
    """The labelled images of an export in Label Studio's JSON format, or JSON-MIN where its meaning is plain.

    Images are read from the export's directory, or else fetched from where their addresses point.

    Raises:
        PT4ALError: the file is no such export, or does not say which question or image is meant.
    """
    path = path.expanduser().resolve()
    tasks = _tasks(_rows(path))
    control, classes = _answers(tasks)
    question = Question(control, "", _image_key([task.data for task in tasks]), classes)
    number = {label: k for k, label in enumerate(classes)}
    targets, images = [], []
    for task in tasks:
        label = question.label([annotation.model_dump() for annotation in task.annotations])
        image = question.image_of(task.data).strip()
        if label is not None and image:
            targets.append(number[label])
            images.append((task.id, image))
    if len(set(targets)) < 2:
        raise PT4ALError(
            f"The export holds {'images of only one class' if targets else 'no labelled image'}: "
            "label images of two classes at least, and export the project again."
        )
    files = _Files.below(path.parent, [image for _, image in images])
    source = _Source(tuple(images), files, _fetcher(settings), bool(settings.label_studio_url))
    return LabelledImages(classes, np.array(targets, dtype=np.int64), source.read)


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


# The question


def _answers(tasks: Iterable[_Task]) -> tuple[str, tuple[str, ...]]:
    """The one control that asks about whole images, and all its choices, sorted."""
    chosen: dict[str, list[Any]] = {}
    single = True
    for region in _choices(tasks):
        choices = region["value"]["choices"]
        chosen.setdefault(str(region.get("from_name")), []).extend(choices)
        single &= len(choices) < 2 and all(isinstance(choice, str) for choice in choices)
    if not chosen:
        raise PT4ALError(
            "The export holds no choices about whole images: label images of a project with a Choices tag, "
            "and export it again."
        )
    if len(chosen) > 1:
        raise PT4ALError(
            f"The export answers several questions ({', '.join(sorted(chosen))}): PT4AL learns one, so keep only the "
            "results of one of them."
        )
    ((control, choices),) = chosen.items()
    if not single:
        raise PT4ALError(f"{control} has several choices for one image: PT4AL learns flat, single choices only.")
    return control, tuple(sorted(set(choices)))


def _choices(tasks: Iterable[_Task]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        for annotation in task.annotations:
            for region in annotation.result or ():
                if region.get("type") != "choices" or annotation.was_cancelled:
                    continue
                value = region.get("value")
                if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
                    raise PT4ALError(
                        f"Task {task.id} of the export has choices without a list of them: export the project again."
                    )
                if value.keys() == {"choices"}:  # those of a region say where it is
                    yield region


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
    kind = mimetypes.guess_type(PurePosixPath(_location(value)).name)[0] or ""
    return value.lower().startswith(ADDRESSES) and not kind.startswith(("text/", "audio/", "video/"))


def _is_file_name(value: str) -> bool:
    return PurePosixPath(value).suffix.lower() in ENDINGS


# The images


@dataclass(frozen=True)
class _Files:
    """Looks below ``directory`` only, symbolic links included."""

    directory: Path
    sharing: Mapping[str, int]
    """How many of the export's locations end so."""

    @classmethod
    def below(cls, directory: Path, images: Iterable[str]) -> _Files:
        locations = {_location(image) for image in images}
        return cls(directory, Counter(end for location in locations for end in _ends(location)))

    def find(self, location: str) -> Path | None:
        """The file that a location, or an end of it that belongs to no other, names here or in ``images``."""
        for place, end in enumerate(_ends(location)):
            if place and self.sharing[end] > 1:
                continue
            for path in (self.directory / end, self.directory / "images" / end):
                try:
                    path = path.resolve()
                    if path.is_relative_to(self.directory) and path.is_file():
                        return path
                except (OSError, ValueError, RuntimeError):  # too long, a null character, links in a circle
                    continue
        return None


@dataclass(frozen=True)
class _Source:
    images: tuple[tuple[int, str], ...]
    """Number of the task, and its image's address."""
    files: _Files
    fetcher: ImageFetcher
    has_home: bool

    def read(self, position: int) -> bytes:
        task, image = self.images[position]
        location = _location(image)
        path = self.files.find(location)
        if path:
            try:
                return path.read_bytes()
            except OSError as error:
                raise UnreadableImageError(f"{path} cannot be read: {error.strerror}.") from None
        if self.has_home or image.lower().startswith(("http://", "https://", "data:")):
            return self.fetcher.fetch(image, task_id=task)
        raise UnreadableImageError(
            f"There is no {location[:200]!r} in {self.files.directory}: put the images beside the export, "
            "or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."
        )


def _fetcher(settings: Settings) -> ImageFetcher:
    """Sends the settings' token, where there is one, to the settings' Label Studio only."""
    url, token = settings.label_studio_url, settings.label_studio_api_key.get_secret_value()
    authorization = LabelStudioClient(url, token).authorization if url and token else lambda: None
    return ImageFetcher(label_studio_url=url, authorization=authorization, limits=fetch_limits(settings))


def _location(image: str) -> str:
    """The path an address ends in, "" for a data: URI: ``pets/1 b.png`` for ``/data/local-files/?d=pets/1%20b.png``."""
    if image[:5].lower() == "data:":
        return ""
    if not image.lower().startswith(ADDRESSES):
        return image
    try:
        address = urlsplit(image)
    except ValueError:
        return ""
    if address.path.rstrip("/").endswith("/data/local-files"):
        return parse_qs(address.query).get("d", [""])[0].strip("/")
    return unquote(address.path).strip("/")


def _ends(location: str) -> list[str]:
    """``a/b/c``, ``b/c`` and ``c``."""
    parts = PurePosixPath(location).parts
    return ["/".join(parts[begin:]) for begin in range(len(parts))]
