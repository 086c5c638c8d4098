"""The labels of a project as JSON of Label Studio, for Import in another project with the same label config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pt4al_backend.label_studio.label_config.config import LabelConfig, parse_config
from pt4al_backend.reports.exported_labels import exported_images
from pt4al_backend.reports.output_files import write_json_list
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project


def export_label_studio(store: Store, project: Project, output: Path) -> str:
    """Export a task per labelled image, with its address and one annotation that holds the answers.

    Where several people labelled an image, the annotation is what the model learns from, such as the majority.

    Raises:
        UnsupportedConfigError: the label config cannot be read.
    """
    config = parse_config(project.label_config)
    tasks = (
        {
            "id": image.task,
            "data": {config.image_key: image.value},
            "annotations": [_annotation(config, image.answers, image.width, image.height)],
        }
        for image in exported_images(store, project)
    )
    count = write_json_list(output, tasks)
    return f"{count:,} labels: {output}"


def _annotation(config: LabelConfig, answers: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    """Without the mark of ground truth, which Label Studio gives to imported annotations that say nothing of it."""
    return {"result": config.results_of(answers, width=width, height=height), "ground_truth": False}
