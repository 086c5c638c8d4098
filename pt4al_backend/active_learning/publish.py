"""Publishes a window to the platform, and deletes the older versions that nobody needs any more.

Label Studio's editor makes each new annotation a child of the prediction it showed, and rejects the annotation
("parent_prediction: Invalid pk") if that prediction was deleted (fact 35). So a version is not deleted while an
annotator may have one of its images open.
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
from pt4al_backend.labelling.questions import Answers
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

HEAD = 10  # first images of a window that may be open: Label Studio serves one of the first unlocked ones
RECENT = 10  # newest versions, which stay in any case
LOCKED = 86400.0  # seconds for which Label Studio reserves a task for the annotator it was served to (TASK_LOCK_TTL)
MOST_PREDICTIONS = 20_000  # of all versions that stay because of open images


class Publisher:
    """Publishes the windows of one project. The project's row says which versions must stay, so a kill loses none."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._serving = ""  # the version that the platform serves
        self._overlap = 1  # how many annotations of each task the platform wants
        self._swept = True  # whether superseded versions were deleted, or stay until the next one is published

    def note(self, info: ProjectInfo) -> None:
        """Remember what the platform serves now."""
        self._serving, self._overlap = info.model_version, info.overlap

    def publish(self, window: Window) -> None:
        """Publish `window`, unless it is what the platform serves already."""
        project, served = self._workspace.project(), self._serving
        if served != window.version:
            self._workspace.platform.publish(window)
            self._serving, self._swept = window.version, False
            logger.info("project %d: published %s, %d images", project.number, window.version, len(window.picks))
        if project.model_version != window.version:
            self._replace(project, window, served)

    def sweep(self) -> None:
        """Delete superseded versions, some at a time. An error is logged and stops no project: the queue is there."""
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
        """Store that `window` is published, and which older versions stay.

        Args:
            served: The version that was served before. It is not the row's if a process was killed between publishing
                and storing.
        """
        served_tasks = {task for entry in project.retired for task in entry["head"]} | set(project.published)
        still_open = self._workspace.store.still_open(project.id, served_tasks, overlap=self._overlap)
        retired = retire(project.retired, project.model_version, project.published, still_open)
        if served and served not in (project.model_version, window.version):
            retired.append({"version": served, "head": [], "predictions": 0, "at": time.time()})
        self._workspace.store.save_guesses(project.id, _guesses(window))
        self._workspace.store.update(
            project.id,
            model_version=window.version,
            published=[pick.task for pick in window.picks],
            retired=retired,
        )


def _guesses(window: Window) -> dict[int, Answers]:
    """What the window suggests for each of its images, except masks."""
    suggested = {
        pick.task: {
            name: prediction.value
            for name, prediction in pick.predictions.items()
            if not isinstance(prediction.value, np.ndarray)
        }
        for pick in window.picks
    }
    return {task: answers for task, answers in suggested.items() if answers}


def may_be_open(retired: Sequence[dict[str, Any]], published: Sequence[int], waiting: Set[int]) -> list[int]:
    """The tasks that an annotator may have open, the likeliest first.

    Label Studio serves a task that was opened and left again from its lock, whatever the order is by then (fact 37),
    and does not say which tasks are locked (fact 40). It serves the first task of a queue, or one of the first few if
    several people label. Newer queues count more than older ones.

    Args:
        retired: The versions that stay, oldest first.
        published: The tasks of the current window, in their order.
        waiting: The tasks that can still be labelled.
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
        for name, prediction in pick.predictions.items():
            value = prediction.value
            digest.update(f"{name}=".encode())
            digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return f"pt4al-r{round_}-n{labelled}-{digest.hexdigest()[:7]}"


def retire(
    retired: Sequence[dict[str, Any]], version: str, published: Sequence[int], still_open: Set[int]
) -> list[dict[str, Any]]:
    """The versions that must stay when `version` is replaced, oldest first.

    The newest ones stay, and those with an image among their first that somebody may have open. Nobody knows under
    which version such an image was opened, because one that stays unlabelled is among the first of many. If they have
    too many predictions together, the oldest go.

    Args:
        retired: The versions that stayed so far, oldest first.
        version: The version to replace; "" for none.
        published: The tasks of its window, in their order.
        still_open: The tasks that still wait for an annotation.
    """
    now, entries = time.time(), [*retired]
    if version:
        head = [task for task in published if task in still_open][:HEAD]
        entries.append({"version": version, "head": head, "predictions": len(published), "at": now})
    kept: list[dict[str, Any]] = []
    predictions = 0
    for age, entry in enumerate(reversed(entries)):
        waiting = now - entry["at"] < LOCKED and not still_open.isdisjoint(entry["head"])
        predictions += entry.get("predictions", 0) if waiting or age < RECENT else 0  # missing in old databases
        if age < RECENT or (waiting and predictions <= MOST_PREDICTIONS):
            kept.append(entry)
    return kept[::-1]
