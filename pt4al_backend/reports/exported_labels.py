"""The labels of a project with the files that they are of, as CSV and as one list of files per class."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pt4al_backend.label_studio.image_values import file_name
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.reports.output_files import unfinished, write_csv
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

PAGE = 500  # images in memory at a time: a painted one may take a megabyte
LONGEST_NAME = 100  # characters of a file that is named after a class


@dataclass(frozen=True)
class ExportedImage:
    """An image and its labels."""

    task: int
    """The task's id in Label Studio."""
    value: str
    """The image value: an address, which may hold secrets."""
    file: str
    """The path or address of its file without secrets; `task-7` if it has none."""
    width: int
    """Width of the upright image in pixels; 0: not known."""
    height: int
    """Height of the upright image in pixels; 0: not known."""
    answers: Answers
    """Regions are given as they were made, without those that have no class."""


def exported_images(store: Store, project: Project, tasks: Sequence[int] | None = None) -> Iterator[ExportedImage]:
    """The images of these tasks, in this order; of all labelled ones without `tasks`."""
    given = store.answers(project.id)
    drawn = [question.name for question in questions_of(project.questions) if question.label_type.has_regions]
    tasks = list(given) if tasks is None else tasks
    for start in range(0, len(tasks), PAGE):
        page = tasks[start : start + PAGE]
        values, sizes = dict(store.images(project.id, page)), store.sizes(project.id, page)
        regions = store.regions(project.id, page) if drawn else {}
        for task in page:
            if task in values:  # it may have been deleted meanwhile
                known = [region for region in regions.get(task, []) if region["label"] is not None]
                answers = {name: known if name in drawn else answer for name, answer in given.get(task, {}).items()}
                file = file_name(values[task]) or f"task-{task}"
                yield ExportedImage(task, values[task], file, *sizes.get(task, (0, 0)), answers)


def classes_of(question: Question, answer: Any) -> list[str]:
    """The classes that an answer names, in the config's order: for regions, those of which there is one."""
    if isinstance(answer, str):
        return [answer]
    named = {each["label"] if isinstance(each, dict) else each for each in answer or ()}
    return [name for name in question.classes if name in named]


def columns_of(project: Project) -> list[str]:
    """The columns of the questions in CSV files."""
    names = [question["name"] for question in project.questions]
    return names if len(names) > 1 else ["label"]


def export_csv(store: Store, project: Project, output: Path) -> str:
    """Export a column per question, with JSON for regions and for several classes."""
    asked = questions_of(project.questions)
    rows = (
        [image.task, *(_cell(image.answers.get(question.name)) for question in asked), image.file]
        for image in exported_images(store, project)
    )
    count = write_csv(output, ["task_id", *columns_of(project), "file_name"], rows)
    return f"{count:,} labels: {output}"


def cell_of_classes(question: Question, image: ExportedImage) -> str:
    """The classes of an image in a CSV file: a name, for several JSON; "" without an answer."""
    answer = image.answers.get(question.name)
    return _cell(answer if answer is None or isinstance(answer, str) else classes_of(question, answer))


def export_lists(store: Store, project: Project, output: Path) -> str:
    """Export a zip file with a text file per class, in it a line per file; with several questions, a folder for each.

    An image may be in several lists, and in none.
    """
    asked = questions_of(project.questions)
    files: dict[tuple[str, str], list[str]] = {(each.name, name): [] for each in asked for name in each.classes}
    count = 0
    for image in exported_images(store, project):
        count += 1
        for question in asked:
            for name in classes_of(question, image.answers.get(question.name)):
                files.setdefault((question.name, name), []).append(image.file)
    taken: set[str] = set()
    with unfinished(output) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for (question_name, name), listed in files.items():
            folder = f"{_plain(question_name)}/" if len(asked) > 1 else ""
            entry = _entry(folder + _plain(name), taken)
            archive.writestr(entry, "".join(f"{file}\n" for file in listed))
    return f"{count:,} labels in {len(files)} lists of files: {output}"


def _cell(answer: Any) -> str:
    return "" if answer is None else answer if isinstance(answer, str) else json.dumps(answer)


def _entry(name: str, taken: set[str]) -> str:
    """The name of a text file that no other has, whatever the case of its letters."""
    entry, number = f"{name}.txt", 1
    while entry.lower() in taken:
        number += 1
        entry = f"{name} ({number}).txt"
    taken.add(entry.lower())
    return entry


def _plain(name: str) -> str:
    """A name that people chose, as part of a path on any system."""
    return re.sub(r"[^\w +()-]+", "_", name)[:LONGEST_NAME].strip(" ") or "_"
