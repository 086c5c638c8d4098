"""The labels of a project as COCO (https://cocodataset.org/#format-data).

Regions are annotations with `segmentation`, `bbox`, `area` and `iscrowd`: polygons as they were outlined, painted ones
as uncompressed run lengths, which pycocotools reads. Labels of whole images are annotations with an image and a
category alone, as tools for classification read them (Datumaro's `coco_labels`, for one).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import __version__
from pt4al_backend.label_studio.label_config.regions import is_drawn, painted_pixels
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.reports.exported_labels import ExportedImage, classes_of, exported_images
from pt4al_backend.reports.output_files import write_json
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

Json = dict[str, Any]


def export_coco(store: Store, project: Project, output: Path) -> str:
    """Export the labelled images, the classes of all questions (`supercategory`: the question), and the labels."""
    writer = _Coco(store, project)
    lengths = write_json(
        output,
        {
            "info": {"description": project.title, "contributor": f"pt4al-backend {__version__}"},
            "licenses": [],
            "categories": writer.categories,
        },
        {"images": writer.images(), "annotations": writer.annotations()},
    )
    left_out = f"; {writer.left_out:,} regions are left out, as they do not fit their images" if writer.left_out else ""
    return f"{lengths['images']:,} labels{left_out}: {output}"


class _Coco:
    """What the file consists of. Images are read once for each of its lists."""

    def __init__(self, store: Store, project: Project) -> None:
        self._store, self._project = store, project
        self._asked = questions_of(project.questions)
        pairs = [(question.name, name) for question in self._asked for name in question.classes]
        self._numbers = {pair: number for number, pair in enumerate(pairs, 1)}
        self.categories = [
            {"id": number, "name": name, "supercategory": question}
            for (question, name), number in self._numbers.items()
        ]
        self.left_out = 0

    def images(self) -> Iterator[Json]:
        for image in exported_images(self._store, self._project):
            width, height = _size(image)
            yield {"id": image.task, "file_name": image.file, "width": width, "height": height}

    def annotations(self) -> Iterator[Json]:
        images = exported_images(self._store, self._project)
        for number, annotation in enumerate((each for image in images for each in self._of_image(image)), 1):
            yield {"id": number} | annotation

    def _of_image(self, image: ExportedImage) -> Iterator[Json]:
        size = _size(image)
        for question in self._asked:
            answer = image.answers.get(question.name)
            if not question.label_type.has_regions:
                for name in classes_of(question, answer):
                    if number := self._numbers.get((question.name, name)):
                        yield {"image_id": image.task, "category_id": number}
                continue
            for region in answer or ():
                number = self._numbers.get((question.name, region["label"]))
                if number is None or not all(size) or not is_drawn(region, size):
                    self.left_out += 1
                    continue
                shape = _painted(region, *size) if "rle" in region else _outlined(region, *size)
                yield {"image_id": image.task, "category_id": number, "iscrowd": 0} | shape


def _size(image: ExportedImage) -> tuple[int, int]:
    """Width and height of an image, if need be as its regions say; 0 if unknown."""
    regions = [each for answer in image.answers.values() if isinstance(answer, list) for each in answer]
    said = [(each["width"], each["height"]) for each in regions if isinstance(each, dict) and each.get("width")]
    return (image.width, image.height) if image.width else next(iter(said), (0, 0))


def _outlined(region: Json, width: int, height: int) -> Json:
    points = np.array(region["points"]) / 100 * (width, height)
    (x, y), (next_x, next_y) = points.T, np.roll(points, -1, axis=0).T
    area = abs(float((x * next_y - next_x * y).sum())) / 2
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    box = [round(float(each), 2) for each in (left, top, right - left, bottom - top)]
    return {"segmentation": [points.round(2).reshape(-1).tolist()], "area": round(area, 2), "bbox": box}


def _painted(region: Json, width: int, height: int) -> Json:
    where = painted_pixels(region, width, height)
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    top, left = (int(each[0]) if len(each) else 0 for each in (rows, columns))
    bottom, right = (int(each[-1]) + 1 if len(each) else 0 for each in (rows, columns))
    return {
        "segmentation": {"size": [height, width], "counts": _run_lengths(where)},
        "area": int(where.sum()),
        "bbox": [left, top, right - left, bottom - top],
    }


def _run_lengths(where: NDArray[np.bool_]) -> list[int]:
    """Column by column, how many pixels are outside, inside, outside … in turn."""
    pixels = where.T.reshape(-1)
    ends = np.flatnonzero(np.diff(pixels, prepend=False, append=~pixels[-1:]))
    return np.diff(ends, prepend=0).tolist()
