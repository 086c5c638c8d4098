"""The files that a project's page offers: what `pt4al-backend export` writes, without PyTorch."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pt4al_backend.reports.export import What, export
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

DOWNLOADS: dict[str, tuple[What, str, str]] = {
    "labels.csv": ("labels", "csv", "labels as a table"),
    "labels.json": ("labels", "label-studio", "labels as Label Studio's JSON"),
    "labels-coco.json": ("labels", "coco", "labels as COCO"),
    "labels-of-classes.zip": ("labels", "lists", "a list of files per class"),
    "batches.csv": ("batches", "csv", "PT4AL's batches as a table"),
}
"""Name of the file -> what `export` is asked for, in which format, and what it is for people."""


def download(store: Store, project: Project, name: str) -> bytes:
    """The file of that name, which is one of `DOWNLOADS`.

    Raises:
        PT4ALError: There is nothing to write yet.
    """
    what, form, _ = DOWNLOADS[name]
    with tempfile.TemporaryDirectory(prefix="pt4al-") as directory:
        output = Path(directory) / name
        export(what, store, project, output, form=form)
        return output.read_bytes()
