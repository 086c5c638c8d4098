"""COCO, decoded by hand as its readers do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.filled_store import add_project, reread, state

from pt4al_backend.label_studio.label_config.brush_rle import packed
from pt4al_backend.reports.coco import export_coco
from pt4al_backend.store.store import Store

KIND = {"name": "kind", "kind": "single", "classes": ["cat", "dog"]}
SEEN = {"name": "seen", "kind": "multiple", "classes": ["tail", "dog"]}
AREA = {"name": "area", "kind": "segmentation", "classes": ["sky", "road"]}
WIDTH, HEIGHT = 12, 8


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def exported(store: Store, output: Path, *questions: Any, answers: dict[int, Any], read: bool = True) -> Any:
    """The sentence and the file; `read`: whether the images could be."""
    project = add_project(store)
    store.update(project.id, questions=list(questions), title="Pets")
    states = [state(task, answers=given) for task, given in answers.items()]
    store.apply(project.id, states, regions=AREA["name"])
    store.reserve_rows(project.id, list(answers))
    if read:
        store.images_done(project.id, ready={s.id: (s.image, WIDTH, HEIGHT) for s in states}, failed={})
    said = export_coco(store, reread(store, project), output)
    return said, json.loads(output.read_text())


def outlined(*points: tuple[float, float], label: str | None = "sky", **more: int) -> dict[str, Any]:
    return {"label": label, "points": [list(map(float, point)) for point in points]} | more


def painted(where: NDArray[np.bool_], label: str = "road") -> dict[str, Any]:
    height, width = where.shape
    rle = base64.b64encode(packed(where.reshape(-1))).decode()
    return {"label": label, "width": width, "height": height, "rle": rle}


def mask(segmentation: dict[str, Any]) -> NDArray[np.bool_]:
    """Uncompressed run lengths, as pycocotools reads them: column by column, first what is outside."""
    height, width = segmentation["size"]
    counts = segmentation["counts"]
    assert all(isinstance(count, int) and count >= 0 for count in counts) and sum(counts) == width * height
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def test_classes_of_whole_images(store: Store, tmp_path: Path) -> None:
    answers = {3: {"kind": "dog", "seen": ["dog", "tail"]}, 7: {"seen": []}, 9: {}}
    said, coco = exported(store, tmp_path / "coco.json", KIND, SEEN, answers=answers)
    assert said == f"2 labels: {tmp_path / 'coco.json'}"
    assert coco.keys() == {"info", "licenses", "categories", "images", "annotations"}
    assert coco["info"]["description"] == "Pets" and coco["licenses"] == []
    assert coco["images"] == [
        {"id": task, "file_name": f"/data/upload/{task}.png", "width": WIDTH, "height": HEIGHT} for task in (3, 7)
    ]
    assert [(each["id"], each["name"], each["supercategory"]) for each in coco["categories"]] == [
        (1, "cat", "kind"),
        (2, "dog", "kind"),
        (3, "tail", "seen"),
        (4, "dog", "seen"),
    ]
    assert coco["annotations"] == [
        {"id": number, "image_id": 3, "category_id": category} for number, category in enumerate((2, 3, 4), 1)
    ]


def test_outlined_regions_are_polygons(store: Store, tmp_path: Path) -> None:
    triangle = outlined((0, 0), (50, 0), (50, 75), width=WIDTH, height=HEIGHT)
    clockwise = outlined((50, 75), (50, 0), (0, 0))  # without the image's size, which is known
    _, coco = exported(store, tmp_path / "coco.json", AREA, answers={1: {"area": [triangle, clockwise]}})
    first, second = coco["annotations"]
    assert first == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "segmentation": [[0.0, 0.0, 6.0, 0.0, 6.0, 6.0]],
        "area": 18.0,
        "bbox": [0.0, 0.0, 6.0, 6.0],
    }
    assert (second["area"], second["bbox"]) == (first["area"], first["bbox"])


@pytest.mark.parametrize("seed", range(5))
def test_painted_regions_are_run_lengths(store: Store, tmp_path: Path, seed: int) -> None:
    where = np.random.default_rng(seed).random((HEIGHT, WIDTH)) < (0.5, 0.05, 0.95, 0.3, 0.7)[seed]
    where[0, 0] = seed % 2 == 0
    where[3, 4] = True
    _, coco = exported(store, tmp_path / "coco.json", AREA, answers={1: {"area": [painted(where)]}})
    (found,) = coco["annotations"]
    assert np.array_equal(mask(found["segmentation"]), where)
    rows, columns = np.nonzero(where)
    box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert (found["area"], found["bbox"], found["category_id"], found["iscrowd"]) == (where.sum(), box, 2, 0)


def test_regions_painted_at_another_resolution_fit_the_image(store: Store, tmp_path: Path) -> None:
    where = np.zeros((2 * HEIGHT, 2 * WIDTH), dtype=bool)
    where[4:10, 6:] = True
    _, coco = exported(store, tmp_path / "coco.json", AREA, answers={1: {"area": [painted(where)]}})
    assert np.array_equal(mask(coco["annotations"][0]["segmentation"]), where[::2, ::2])


def test_what_does_not_fit_is_left_out_and_counted(store: Store, tmp_path: Path) -> None:
    regions = [
        painted(np.ones((HEIGHT, 3 * WIDTH), dtype=bool)),
        outlined((0, 0), (50, 0), (50, 50), label="gone"),
        outlined((0, 0), (50, 0), (50, 50), label=None),
        outlined((0, 0), (50, 0), (50, 50)),
    ]
    said, coco = exported(store, tmp_path / "coco.json", AREA, answers={1: {"area": regions}, 2: {"area": []}})
    assert said.startswith("2 labels; 2 regions are left out, as they do not fit their images: ")
    assert [each["category_id"] for each in coco["annotations"]] == [1]
    assert [each["id"] for each in coco["images"]] == [1, 2]


def test_the_size_of_an_image_that_could_not_be_read_is_that_of_its_regions(store: Store, tmp_path: Path) -> None:
    known = outlined((0, 0), (50, 0), (50, 50), width=20, height=10)
    unknown = outlined((0, 0), (50, 0), (50, 50))
    answers = {1: {"area": [unknown, known]}, 2: {"area": [unknown]}, 3: {"kind": "cat"}}
    said, coco = exported(store, tmp_path / "coco.json", AREA, KIND, answers=answers, read=False)
    assert "; 1 regions are left out" in said
    assert [(each["width"], each["height"]) for each in coco["images"]] == [(20, 10), (0, 0), (0, 0)]
    assert [each["image_id"] for each in coco["annotations"]] == [1, 1, 3]
