"""Exports from the store to files: the sorted batches, the labels, the trained network."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Literal

import numpy as np

from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.settings import Settings
from pt4al_backend.store.checkpoints import load_arrays, save_arrays
from pt4al_backend.store.files import replacing
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

FORMULAS = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""Characters that begin a formula in a spreadsheet, including full-width signs."""

What = Literal["batches", "labels", "model"]


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


def export(what: What, store: Store, project: Project, output: Path) -> str:
    """Write `output` in one step, whole or not at all.

    Returns:
        A sentence that says what the file contains.
    """
    if output.is_dir():
        raise PT4ALError(f"{output} is a directory: give --output the name of a file.")
    if what == "batches":
        return _export_batches(store, project, output)
    if what == "labels":
        return _export_labels(store, project, output)
    return _export_model(store, project, output)


def _export_batches(store: Store, project: Project, output: Path) -> str:
    """Export the sorted pool, hardest image first. `split` is `labelled`, `skipped` or `unlabelled`."""
    pool = store.pool(project)
    order = np.argsort(pool.rank, kind="stable")
    order = order[pool.rank[order] >= 0]
    if not len(order):
        raise PT4ALError(f"{name_of(project)} has no batches yet: wait until the pretext task is trained.")
    split = np.where(pool.labelled, "labelled", np.where(pool.skipped, "skipped", "unlabelled"))
    columns = (pool.task, pool.loss, pool.batch, pool.rank, split)
    _write_csv(
        output,
        ("task_id", "pretext_loss", "batch", "rank", "split"),
        zip(*(column[order].tolist() for column in columns), strict=True),
    )
    return f"{len(order):,} images in {len(np.unique(pool.batch[order]))} batches: {output}"


def _export_labels(store: Store, project: Project, output: Path) -> str:
    """Export a column per question, with JSON for regions and for several classes."""
    answers = store.answers(project.id)
    names = [question["name"] for question in project.questions]
    regions = store.regions(project.id, list(answers))
    region_questions = {
        question.name for question in questions_of(project.questions) if question.label_type.has_regions
    }

    def cell(task: int, name: str) -> str:
        answer = answers[task].get(name)
        if name in region_questions and answer is not None:
            answer = [region for region in regions.get(task, []) if region["label"] is not None]
        return "" if answer is None else answer if isinstance(answer, str) else json.dumps(answer)

    header = ("task_id", *(names if len(names) > 1 else ["label"]))
    _write_csv(output, header, ((task, *(cell(task, name) for name in names)) for task in answers))
    return f"{len(answers):,} labels: {output}"


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
    with _reported(output):
        _require_directory(output)
        save_arrays(output, arrays, meta)
    if kind == "tuned":
        return f"The fine-tuned last blocks of {project.encoder}, by timm's names: {output}"
    if encoder := meta.get("rotation_head_of"):
        return f"The rotation head on embeddings of {encoder}: {output}"
    labels = f", trained on {project.main_labels:,} labels" if kind == "main" else ""
    return f"The {kind} network{labels}: {output}"


def _write_csv(output: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with _replacing(output) as file:
        csv.writer(file).writerows(map(_harmless, row) for row in (header, *rows))


def _harmless(cell: object) -> object:
    """Put a ' before text that a spreadsheet would run as a formula, and before text that begins with a ' itself.

    A reader gets the original text by removing one ' from each cell that begins with one.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(("'", *FORMULAS)) else cell


@contextlib.contextmanager
def _replacing(output: Path) -> Iterator[IO[str]]:
    """Write a text file that replaces `output` when it is complete."""
    with _reported(output):
        _require_directory(output)
        with replacing(output, shared=True) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            yield file


def _require_directory(output: Path) -> None:
    if not output.absolute().parent.is_dir():
        raise PT4ALError(f"{output.parent} is not a directory: create it first, or choose another --output.")


@contextlib.contextmanager
def _reported(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PT4ALError(f"{output} cannot be written ({error.strerror}): choose another --output.") from error
