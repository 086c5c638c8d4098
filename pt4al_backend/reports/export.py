"""Exports from the store to files: the sorted batches, the labels, the trained network.

The model as ONNX comes from `active_learning.export_model`, since it needs PyTorch; `onnx_files` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.reports.coco import export_coco
from pt4al_backend.reports.exported_labels import (
    cell_of_classes,
    columns_of,
    export_csv,
    export_lists,
    exported_images,
)
from pt4al_backend.reports.label_studio_json import export_label_studio
from pt4al_backend.reports.output_files import unfinished, write_csv
from pt4al_backend.settings import Settings
from pt4al_backend.store.checkpoints import load_arrays, save_arrays
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

What = Literal["batches", "labels", "model"]
Export = Callable[[Store, Project, Path], str]
"""Writes a file in one step, whole or not at all, and returns a sentence that says what it contains."""

ONNX = "onnx"


def find_project(store: Store, number: int, settings: Settings) -> Project:
    """The project with Label Studio's id `number`; the newest if several had it.

    Raises:
        PT4ALError: There is no such project, or several Label Studios have one. The message names the known projects.
    """
    projects = store.find(number)
    in_settings = [project for project in projects if project.label_studio_url == settings.label_studio_url]
    projects = in_settings or projects
    if not projects:
        known = "; ".join(name_of(project) for project in store.projects()) or "none yet"
        raise PT4ALError(f"Project {number} is not known here. Known: {known}.")
    if len({project.label_studio_url for project in projects}) > 1:
        known = "; ".join(name_of(project) for project in projects)
        raise PT4ALError(f"Several Label Studios have a project {number}: {known}. Choose one with LABEL_STUDIO_URL.")
    return projects[0]


def name_of(project: Project) -> str:
    """The name of a project in messages."""
    title = f' "{project.title}"' if project.title else ""
    return f"project {project.number}{title} at {project.label_studio_url}"


def format_of(what: What, wanted: str | None, output: Path) -> str:
    """The format to write: the one that is wanted, else the one that `output` ends with, else the first of the table.

    Raises:
        PT4ALError: There is no such format. The message names those that there are.
    """
    known = [*FORMATS[what], ONNX] if what == "model" else [*FORMATS[what]]
    if wanted is None:
        ending = output.suffix.removeprefix(".").lower()
        return ending if ending in known else known[0]
    if wanted not in known:
        *others, last = known
        choice = f"choose {', '.join(others)} or {last}" if others else f"leave --format out, or choose {last}"
        raise PT4ALError(f"There is no format {wanted} for {what}: {choice}.")
    return wanted


def export(what: What, store: Store, project: Project, output: Path, *, form: str | None = None) -> str:
    """Write `output` in one step, whole or not at all.

    Args:
        what: What to write.
        store: The store.
        project: The project.
        output: The file to write.
        form: The format, as `format_of` returns it, but not `ONNX`; None: the usual one.

    Returns:
        A sentence that says what the file contains.
    """
    return FORMATS[what][form or next(iter(FORMATS[what]))](store, project, output)


def _export_batches(store: Store, project: Project, output: Path) -> str:
    """Export the sorted pool with its labels, hardest image first. `split`: `labelled`, `skipped` or `unlabelled`."""
    pool = store.pool(project)
    order = np.argsort(pool.rank, kind="stable")
    order = order[pool.rank[order] >= 0]
    if not len(order):
        raise PT4ALError(f"{name_of(project)} has no batches yet: wait until the pretext task is trained.")
    split = np.where(pool.labelled, "labelled", np.where(pool.skipped, "skipped", "unlabelled"))
    columns = (pool.loss, pool.batch, pool.rank, split)
    sorted_ = zip(*(column[order].tolist() for column in columns), strict=True)
    known = dict(zip(pool.task[order].tolist(), sorted_, strict=True))
    asked = questions_of(project.questions)

    def rows() -> Iterator[list[object]]:
        for image in exported_images(store, project, list(known)):
            labels = [cell_of_classes(question, image) for question in asked]
            yield [image.task, *known[image.task], image.file, *labels]

    header = ["task_id", "pretext_loss", "batch", "rank", "split", "file_name", *columns_of(project)]
    write_csv(output, header, rows())
    return f"{len(order):,} images in {len(np.unique(pool.batch[order]))} batches: {output}"


def _export_model(store: Store, project: Project, output: Path) -> str:
    """Export the newest network, with the metadata that its use needs.

    The last blocks of the fine-tuned encoder, if it serves; else the main network, or the one that learned the pretext
    task, which is a rotation head on a pretrained encoder.
    """
    kind, generation = next(
        (kind, generation)
        for kind, generation in (
            ("tuned", project.tuned_generation),
            ("main", project.main_generation),
            ("pretext", project.pretext_generation),
        )
        if generation or kind == "pretext"
    )
    stored = load_arrays(store.models_dir(project.id) / f"{kind}-{generation}.safetensors")
    if stored is None:
        raise PT4ALError(f"{name_of(project)} has no trained network yet: wait until the pretext task is trained.")
    arrays, meta = stored
    meta = {"questions": project.questions, **meta, "network": kind, "generation": generation, "title": project.title}
    with unfinished(output) as path:
        save_arrays(path, arrays, meta)
    if kind == "tuned":
        return f"The fine-tuned last blocks of {project.encoder}, by timm's names: {output}"
    if encoder := meta.get("rotation_head_of"):
        return f"The rotation head on embeddings of {encoder}: {output}"
    labels = f", trained on {project.main_labels:,} labels" if kind == "main" else ""
    return f"The {kind} network{labels}: {output}"


FORMATS: dict[What, dict[str, Export]] = {
    "batches": {"csv": _export_batches},
    "labels": {
        "csv": export_csv,
        "label-studio": export_label_studio,
        "coco": export_coco,
        "lists": export_lists,
    },
    "model": {"safetensors": _export_model},
}
"""What is exported -> its formats, the usual one first. A model has one more, `ONNX`."""
