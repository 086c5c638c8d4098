"""A worker with several projects, whose platforms answer by themselves; real networks, real images, a real store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes.fair_lock import FairLock
from pt4al_backend.processes.project_slot import ProjectSlot
from pt4al_backend.processes.scheduler import Worker
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from support.known_labels import KnownLabels


class WorkerRig:
    """Projects 1, 2, ... of as many digits as `sizes` say, at http://x, in a store of their own."""

    def __init__(self, directory: Path, *sizes: int) -> None:
        self.settings = Settings(
            data_dir=directory,
            encoder="rotation",
            cycles=3,
            query_size=3,
            slack=3,
            pretext_epochs=1,
            main_epochs=1,
            image_size=16,
            device="cpu",
            poll_interval=0.01,
            idle_interval=0.02,
        )
        self.store = Store(directory)
        self.platforms: dict[int, KnownLabels] = {}
        for number, size in enumerate(sizes, 1):
            self.platforms[self.connect(number).id] = KnownLabels(size)
        self.tokens: list[str] = []
        """With which platforms were created."""
        self.without_token = ""
        """The address of a Label Studio that needs a token which the backend does not have."""
        self.worker = self._new_worker()

    def connect(self, number: int, token: str = "", *, url: str = "http://x") -> Project:
        """What `/setup` does for a project."""
        return self.store.connect(url=url, number=number, created="1", access_token=token, label_config="")

    def restart(self, **settings: Any) -> None:
        """Go on with a new worker and other settings."""
        self.worker.close()
        self.settings = self.settings.model_copy(update=settings)
        self.worker = self._new_worker()

    def slot(self, project_id: int) -> ProjectSlot | None:
        return self.worker._projects.slots.get(project_id)

    def sync_now(self, project_id: int) -> None:
        """As if the time until the project's next sync were over."""
        if slot := self.slot(project_id):
            slot.sync.not_before = 0.0

    def turn_until(self, condition: Callable[[], Any], turns: int = 3000) -> None:
        for _ in range(turns):
            busy = self.worker.turn()
            if condition():
                return
            if not busy:  # it waits for its images, say
                time.sleep(0.01)
        raise AssertionError("it did not come about")

    def stages(self) -> set[str]:
        return {project.stage for project in self.store.projects()}

    def close(self) -> None:
        self.worker.close()
        self.store.close()

    def _new_worker(self) -> Worker:
        return Worker(self.settings, self.store, self._platform_for)

    def _platform_for(self, project: Project, _lock: FairLock) -> KnownLabels:
        self.tokens.append(project.access_token)
        if project.label_studio_url == self.without_token:
            raise PT4ALError("There is no token.")
        if project.access_token == "expired":
            raise PT4ALError("The token has expired.")
        if project.access_token == "odd":
            raise OverflowError
        return self.platforms[project.id]
