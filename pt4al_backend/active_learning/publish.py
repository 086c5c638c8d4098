"""What the platform serves: publish a window, and delete the windows before it when nobody needs them any more.

Label Studio's editor makes each new annotation a child of the prediction it showed, and refuses
the annotation ("parent_prediction: Invalid pk") when that prediction is gone (fact 35). So a version is
not deleted while an annotator may have one of its images open.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.platform import Pick, ProjectInfo, Window
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

HEAD = 10  # images of a window that may have been handed out: LS serves one of the first unlocked ones
RECENT = 10  # versions that stay whatever happened to their images
LOCKED = 86400.0  # seconds for which Label Studio keeps a task for the annotator it was handed to (TASK_LOCK_TTL)
MOST_PREDICTIONS = 20_000  # of versions that stay for their images' sake, together


class Publisher:
    """Publishes for one project. Which versions must stay is in the project's row, so that a kill loses none."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._serving = ""  # the version the platform says it serves
        self._overlap = 1  # annotations it wants of each task
        self._swept = True  # whether versions that are out are gone, or are left until the next one is published

    def note(self, info: ProjectInfo) -> None:
        """What the platform serves now."""
        self._serving, self._overlap = info.model_version, info.overlap

    def publish(self, window: Window) -> None:
        """See to it that `window` is what is served."""
        project, served = self._workspace.project(), self._serving
        if served != window.version:
            self._workspace.platform.publish(window)
            self._serving, self._swept = window.version, False
            logger.info("project %d: published %s, %d images", project.number, window.version, len(window.picks))
        if project.model_version != window.version:
            self._replace(project, window, served)

    def sweep(self) -> None:
        """Delete versions that are out, some of them at a time. The queue is there: no project fails at this."""
        if self._swept:
            return
        project = self._workspace.project()
        try:
            self._swept = self._workspace.platform.sweep(
                {project.model_version, *(entry["version"] for entry in project.retired)}
            )
        except PT4ALError as error:
            self._swept = True
            logger.warning("project %d: old predictions could not be deleted. %s", project.number, error)

    def _replace(self, project: Project, window: Window, served: str) -> None:
        """Write down that `window` is published, and which versions stay beside it.

        `served` is another than the row's where a process was killed between the switch and the row.
        """
        handed_out = {task for entry in project.retired for task in entry["head"]} | set(project.published)
        still_open = self._workspace.store.still_open(project.id, handed_out, overlap=self._overlap)
        retired = retire(project.retired, project.model_version, project.published, still_open)
        if served and served not in (project.model_version, window.version):
            retired.append({"version": served, "head": [], "predictions": 0, "at": time.time()})
        self._workspace.store.update(
            project.id,
            model_version=window.version,
            published=[pick.task for pick in window.picks],
            retired=retired,
        )


def may_be_open(retired: Sequence[dict[str, Any]], published: Sequence[int], waiting: Set[int]) -> list[int]:
    """Those of `waiting` that were handed out, as far as can be known, and may be open; the likeliest first.

    Label Studio hands out a task that was opened and left again from its lock, whatever the order says by then
    (fact 37), and does not tell which tasks are locked (fact 40). It hands out the first task of a queue, or one of
    the first few where several people label; of the queues, the newest counts most.
    """
    now = time.time()
    heads = [published, *(entry["head"] for entry in reversed(retired) if now - entry["at"] < LOCKED)]
    fronts = [[task for task in head if task in waiting][:HEAD] for head in heads]
    by_place = (front[place] for place in range(HEAD) for front in fronts if place < len(front))
    return list(dict.fromkeys(by_place))


def version_name(round_: int, labelled: int, picks: Sequence[Pick]) -> str:
    """`pt4al-r<round>-n<labels>-<short hash>`: equal names mean equal queues."""
    digest = hashlib.sha256()
    for pick in picks:
        digest.update(f"{pick.task},{pick.score:.9f};".encode())
        for name, guess in pick.guesses.items():
            value = guess.value
            digest.update(f"{name}=".encode())
            digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return f"pt4al-r{round_}-n{labelled}-{digest.hexdigest()[:7]}"


def retire(
    retired: Sequence[dict[str, Any]], version: str, published: Sequence[int], still_open: Set[int]
) -> list[dict[str, Any]]:
    """The versions that must stay when `version`, whose queue was `published`, is replaced. Oldest first.

    They are the most recent ones, and those at whose front there is an image that somebody may have open:
    one of `still_open`, the tasks that wait for an annotation. Which version such an image was opened under
    cannot be known, as an image that is not answered at once is at the front of many. Where that is too many
    predictions, the oldest go.
    """
    now, entries = time.time(), [*retired]
    if version:
        head = [task for task in published if task in still_open][:HEAD]
        entries.append({"version": version, "head": head, "predictions": len(published), "at": now})
    kept: list[dict[str, Any]] = []
    predictions = 0
    for age, entry in enumerate(reversed(entries)):
        waiting = now - entry["at"] < LOCKED and not still_open.isdisjoint(entry["head"])
        predictions += entry.get("predictions", 0) if waiting or age < RECENT else 0  # early builds did not count
        if age < RECENT or (waiting and predictions <= MOST_PREDICTIONS):
            kept.append(entry)
    return kept[::-1]
