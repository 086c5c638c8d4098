"""Finds image addresses that were changed without a trace.

Label Studio's "Add or Modify Data Field" changes the data of many tasks, but not their time of change (fact 33). So the
addresses are compared with the stored ones: those of excluded images twice a minute; all others every few minutes, some
at a time; and all of them quickly after Start Training was pressed or a difference was found.
"""

from __future__ import annotations

import logging
import time

from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

EXCLUDED_EVERY = 25.0  # seconds between two comparisons of excluded images …
EXCLUDED_AT_A_TIME = 1000  # … with so many images each
ALL_EVERY = 150.0  # seconds between two comparisons of all images …
A_MOMENT = 0.3  # … for which a sync takes so many seconds …
AT_A_TIME = 2.0  # … or so many if there is reason to hurry


class Addresses:
    """Compares the image addresses of one project."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._excluded_at = self._all_at = time.monotonic() + EXCLUDED_EVERY
        self._excluded_after = -1  # the task after which the next comparison of excluded images starts
        self._all_after: int | None = None  # the task after which the comparison of all continues; None between two
        self._hurry = False
        self._train_requested_at = 0.0  # the last Start Training that was noticed

    def compare(self, project: Project) -> bool:
        """Compare some addresses, if it is time. An error of the platform is logged, and stops no project.

        Returns:
            Whether any address has changed.
        """
        if project.train_requested_at > self._train_requested_at:
            self._train_requested_at = project.train_requested_at
            self._start(hurry=True)
        try:
            changed = self._compare_excluded() if time.monotonic() >= self._excluded_at else False
            if changed:
                self._start(hurry=True)  # somebody who changed these may have changed more
            if self._all_after is None and time.monotonic() >= self._all_at:
                self._start(hurry=False)
            return self._compare_all() or changed
        except PT4ALError as error:
            self._excluded_at = self._all_at = time.monotonic() + EXCLUDED_EVERY
            logger.warning("project %d: image addresses could not be compared. %s", project.number, error)
            return False

    def _start(self, *, hurry: bool) -> None:
        self._all_after, self._hurry = -1, hurry

    def _compare_excluded(self) -> bool:
        workspace = self._workspace
        tasks = workspace.store.unreadable_tasks(
            workspace.project_id, after=self._excluded_after, limit=EXCLUDED_AT_A_TIME
        )
        self._excluded_after = tasks[-1] if len(tasks) == EXCLUDED_AT_A_TIME else -1
        changed = (
            workspace.store.readdress(workspace.project_id, workspace.platform.images_of(tasks)) if tasks else False
        )
        self._excluded_at = time.monotonic() + EXCLUDED_EVERY
        return changed

    def _compare_all(self) -> bool:
        workspace, changed = self._workspace, False
        deadline = time.monotonic() + (AT_A_TIME if self._hurry else A_MOMENT)
        while self._all_after is not None:
            images = workspace.platform.images_behind(self._all_after)
            changed |= workspace.store.readdress(workspace.project_id, images)
            self._hurry |= changed
            self._all_after = max(images) if images else None
            if self._all_after is None:
                self._all_at = time.monotonic() + ALL_EVERY
            if time.monotonic() >= deadline:
                break
        return changed
