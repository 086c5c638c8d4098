"""What the platform serves: publish a window, and delete the windows before it when nobody needs them any more."""

from __future__ import annotations

import logging
import time

from pt4al_backend.errors import PT4ALError
from pt4al_backend.jobs import Bench
from pt4al_backend.labelling.platform import ProjectInfo, Window
from pt4al_backend.store.tables import Project
from pt4al_backend.versions import retire

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes for one project. Which versions must stay is in the project's row, so that a kill loses none."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._serving = ""  # the version the platform says it serves
        self._overlap = 1  # annotations it wants of each task
        self._swept = True  # whether versions that are out are gone, or are left until the next one is published

    def note(self, info: ProjectInfo) -> None:
        """What the platform serves now."""
        self._serving, self._overlap = info.model_version, info.overlap

    def publish(self, window: Window) -> None:
        """See to it that ``window`` is what is served."""
        project, served = self._bench.project(), self._serving
        if served != window.version:
            self._bench.platform.publish(window)
            self._serving, self._swept = window.version, False
            logger.info("project %d: published %s, %d images", project.number, window.version, len(window.picks))
        if project.model_version != window.version:
            self._replace(project, window, served)

    def sweep(self) -> None:
        """Delete versions that are out, some of them at a time. The queue is there: no project fails at this."""
        if self._swept:
            return
        project = self._bench.project()
        try:
            self._swept = self._bench.platform.sweep(
                {project.model_version, *(entry["version"] for entry in project.retired)}
            )
        except PT4ALError as error:
            self._swept = True
            logger.warning("project %d: old predictions could not be deleted. %s", project.number, error)

    def _replace(self, project: Project, window: Window, served: str) -> None:
        """Write down that ``window`` is published, and which versions stay beside it.

        ``served`` is another than the row's where a process was killed between the switch and the row.
        """
        handed_out = {task for entry in project.retired for task in entry["head"]} | set(project.published)
        still_open = self._bench.store.still_open(project.id, handed_out, overlap=self._overlap)
        retired = retire(project.retired, project.model_version, project.published, still_open)
        if served and served not in (project.model_version, window.version):
            retired.append({"version": served, "head": [], "predictions": 0, "at": time.time()})
        self._bench.store.update(
            project.id,
            model_version=window.version,
            published=[pick.task for pick in window.picks],
            retired=retired,
        )
