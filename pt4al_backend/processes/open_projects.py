"""Opens projects: creates the platform of each, and replaces it when the project's address or token has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pt4al_backend import learning
from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.labelling.platform import LabellingPlatform
from pt4al_backend.processes.address_changes import moved, with_advice
from pt4al_backend.processes.backoff import Attempt
from pt4al_backend.processes.fair_lock import FairLock
from pt4al_backend.processes.project_slot import Connection, ProjectSlot, describe
from pt4al_backend.settings import Settings
from pt4al_backend.store import tables
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

PlatformFactory = Callable[[Project, FairLock], LabellingPlatform]
"""Creates the platform of a project; the platform releases the lock while it waits for responses."""


@dataclass
class Opening(Attempt):
    """An attempt to create a project's platform after a wake-up."""

    woken_at: float = 0.0
    """The wake-up."""


class OpenProjects:
    """The slots of the projects that could be opened."""

    def __init__(self, settings: Settings, store: Store, platform_for: PlatformFactory, lock: FairLock) -> None:
        self.device = learning.resolve_device(settings.device)
        self.slots: dict[int, ProjectSlot] = {}
        self._settings = settings
        self._store = store
        self._platform_for = platform_for
        self._lock = lock
        self._openings: dict[int, Opening] = {}  # only those that have failed

    def slot(self, project_id: int, wake_at: float) -> ProjectSlot | None:
        """A project's slot, with the connection that the project has since its last wake-up, `wake_at`.

        Returns:
            None if the project cannot be opened now.
        """
        slot = self.slots.get(project_id)
        if slot is not None and slot.woken_at == wake_at:
            return slot
        opening = self._openings.setdefault(project_id, Opening())
        if opening.woken_at == wake_at and not opening.is_due:
            return None
        opening.woken_at = wake_at
        project = self._store.project(project_id)
        if project is None:
            return None
        project = moved(project, self._settings.label_studio_url, store=self._store, connect=self._connect)
        connection = Connection.of(project)
        if slot is not None and slot.own_settings != project.own_settings:  # people have changed them
            self.close(project_id)
            slot, self._openings[project_id] = None, opening
        if slot is None or slot.connection != connection:
            platform = self._opened(project, opening)
            if platform is None:
                return None
            if slot is None:
                slot = self.slots[project_id] = ProjectSlot(
                    self._loop(project, platform), project.number, connection, own_settings=project.own_settings
                )
            else:
                slot.reconnect(platform, connection)
        del self._openings[project_id]
        slot.wake(wake_at, paused=project.paused)
        return slot

    def close(self, project_id: int) -> None:
        """Abandon a project's job and close its platform."""
        self._openings.pop(project_id, None)
        slot = self.slots.pop(project_id, None)
        if slot is not None:
            slot.close()

    def _connect(self, project: Project) -> LabellingPlatform:
        return self._platform_for(project, self._lock)

    def _opened(self, project: Project, opening: Opening) -> LabellingPlatform | None:
        """The project's platform; None, and the error in the project's row, if it cannot be created."""
        try:
            self._settings.of_project(project.own_settings)  # they may be wrong since an update
            return self._connect(project)
        except Exception as error:  # shown on every page and tried again: one project must not stop the others
            url, home = project.label_studio_url, self._settings.label_studio_url
            opening.failed(with_advice(describe(error, project.id), url, home), transient=False)
        if project.error != opening.error:
            self._store.update(project.id, stage=tables.ERROR, error=opening.error)
        return None

    def _loop(self, project: Project, platform: LabellingPlatform) -> ProjectLoop:
        settings = self._settings.of_project(project.own_settings)
        return ProjectLoop(
            Workspace(
                project.id,
                self._store,
                platform,
                settings,
                self.device,
                self._lock.released,
                encoder=settings.pretrained,
            )
        )
