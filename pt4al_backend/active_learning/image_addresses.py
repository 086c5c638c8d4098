"""Image values that people change without a trace.

Label Studio's "Add or Modify Data Field" changes the data of many tasks, and not their time of change (fact 33).
So values are compared with those that are known: of images that were set aside twice a minute, of all every few
minutes, some at a time, and of all at once when Start Training is pressed or a difference has been found.
"""

from __future__ import annotations

import logging
import time

from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

SET_ASIDE_EVERY = 25.0  # seconds between two comparisons of images that were set aside ...
SET_ASIDE = 1000  # ... so many at a time
ALL_EVERY = 150.0  # seconds between two comparisons of all images ...
A_MOMENT = 0.3  # ... of which a look takes so many seconds ...
AT_A_TIME = 2.0  # ... or so many, where there is reason to hurry


class Addresses:
    """Compares the image values of one project."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._set_aside_at = self._all_at = time.monotonic() + SET_ASIDE_EVERY
        self._set_aside_after = -1  # the task behind which the next comparison of images that were set aside begins
        self._all_after: int | None = None  # where the comparison of all goes on; None: none is under way
        self._hurry = False
        self._answered = 0.0  # the last Start Training that was heard

    def compare(self, project: Project) -> bool:
        """Compare a part, if it is time. True if any value has changed. No project fails at this."""
        if project.train_requested_at > self._answered:
            self._answered = project.train_requested_at
            self._begin(hurry=True)
        try:
            changed = self._compare_set_aside() if time.monotonic() >= self._set_aside_at else False
            if changed:
                self._begin(hurry=True)  # whoever changed these may have changed more
            if self._all_after is None and time.monotonic() >= self._all_at:
                self._begin(hurry=False)
            return self._compare_all() or changed
        except PT4ALError as error:
            self._set_aside_at = self._all_at = time.monotonic() + SET_ASIDE_EVERY
            logger.warning("project %d: image addresses could not be compared. %s", project.number, error)
            return False

    def _begin(self, *, hurry: bool) -> None:
        self._all_after, self._hurry = -1, hurry

    def _compare_set_aside(self) -> bool:
        workspace = self._workspace
        tasks = workspace.store.set_aside(workspace.project_id, after=self._set_aside_after, limit=SET_ASIDE)
        self._set_aside_after = tasks[-1] if len(tasks) == SET_ASIDE else -1
        changed = (
            workspace.store.readdress(workspace.project_id, workspace.platform.images_of(tasks)) if tasks else False
        )
        self._set_aside_at = time.monotonic() + SET_ASIDE_EVERY
        return changed

    def _compare_all(self) -> bool:
        workspace, changed = self._workspace, False
        until = time.monotonic() + (AT_A_TIME if self._hurry else A_MOMENT)
        while self._all_after is not None:
            images = workspace.platform.images_behind(self._all_after)
            changed |= workspace.store.readdress(workspace.project_id, images)
            self._hurry |= changed
            self._all_after = max(images) if images else None
            if self._all_after is None:
                self._all_at = time.monotonic() + ALL_EVERY
            if time.monotonic() >= until:
                break
        return changed
