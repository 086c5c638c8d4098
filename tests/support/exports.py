"""Label Studio exports, made by hand and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pt4al_backend.datasets.export_file import Export, read_export
from pt4al_backend.settings import Settings

OFFLINE = Settings(label_studio_url="", label_studio_api_key="")


UPLOADS = ["/data/upload/3/1f-a.png", "/data/upload/3/2e-b.png"]


BOX = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "rotation": 0}


def region(*choices: str, control: str = "choice", **where: float) -> dict[str, Any]:
    value = {"choices": list(choices), **where}
    return {"id": "x1", "from_name": control, "to_name": "image", "type": "choices", "value": value, "origin": "manual"}


def annotation(*regions: dict[str, Any], at: str = "2024-01-01T00:00:00Z", cancelled: bool = False) -> dict[str, Any]:
    return {
        "id": 7,
        "completed_by": 1,
        "result": list(regions),
        "was_cancelled": cancelled,
        "updated_at": at,
        "created_at": at,
    }


def task(image: str, *annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "id": 12,
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [],
        "data": {"image": image, **data},
        "meta": {},
        "project": 3,
    }


def labelled(image: str, label: str, **data: Any) -> dict[str, Any]:
    return task(image, annotation(region(label)), **data)


def two_of(images: list[str]) -> list[dict[str, Any]]:
    return [labelled(image, label) for image, label in zip(images, ("cat", "dog"), strict=True)]


def minimal(image: str, choice: Any, *, number: int = 1, **more: Any) -> dict[str, Any]:
    row = {"image": image, "id": number, "choice": choice, "annotator": 1, "annotation_id": number}
    return row | {"created_at": "2024-01-01", "updated_at": "2024-01-01", "lead_time": 2.5} | more


def export(directory: Path, content: Any) -> Path:
    path = directory / "export.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(directory: Path, content: Any, settings: Settings = OFFLINE) -> Export:
    return read_export(export(directory, content), settings)


def labels(images: Export) -> list[str]:
    return [answers["choice"] for answers in images.answers]


def choice_classes(images: Export) -> tuple[str, ...]:
    (question,) = images.questions
    assert (question.name, question.label_type.name) == ("choice", "single")
    return question.classes


def polygon(label: str, *, control: str = "poly") -> dict[str, Any]:
    value = {"points": [[0, 0], [50, 0], [50, 50]], "closed": True, "polygonlabels": [label]}
    size = {"original_width": 30, "original_height": 20, "image_rotation": 0}
    return {"id": "x2", "from_name": control, "to_name": "image", "type": "polygonlabels", "value": value} | size


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
