"""A worker in a thread, for one project of digits whose platform is in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pt4al_backend.processes.scheduler import Stop, Worker
from pt4al_backend.reports.status import status
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store
from support.known_labels import KnownLabels

OWN_NETWORKS = {"encoder": "rotation", "pretext_epochs": 1, "main_epochs": 60}
"""Settings with which everything is trained on the project's own images, and a training takes a while."""
QUICK = {"cycles": 3, "query_size": 3, "slack": 3, "pretext_epochs": 1, "device": "cpu"}


class ThreadedWorker:
    """The worker, its store, and what its status shows of the project."""

    def __init__(self, directory: Path, *, images: int = 60, **settings: Any) -> None:
        self.settings = Settings(data_dir=directory, poll_interval=0.05, idle_interval=0.1, **QUICK | settings)
        self.store = Store(directory, patience=0.3)
        self.platform = KnownLabels(images)
        self.id = self.store.connect(url="http://x", number=1, created="1", access_token="", label_config="").id
        self.worker = Worker(self.settings, self.store, lambda _project, _lock: self.platform)

    @contextmanager
    def running(self) -> Iterator[threading.Thread]:
        stop = Stop()
        thread = threading.Thread(target=self.worker.run, args=(stop,))
        thread.start()
        try:
            yield thread
        finally:
            stop.request()
            thread.join()
            self.worker.close()
            self.store.close()

    def shown(self) -> dict[str, Any]:
        """The project's entry of `/api/status`."""
        (project,) = status(self.store, self.settings)["projects"]
        return project

    def stage(self) -> str:
        return str(self.shown()["stage"])

    @property
    def is_sized(self) -> bool:
        """Whether the encoder and the side of the images are chosen, so that embedding begins."""
        project = self.store.project(self.id)
        return project is not None and bool(project.image_size)

    def published(self) -> bool:
        return bool(self.platform.published)

    def done(self) -> bool:
        return self.stage() == "ready" and self.published() and not self.worker.trouble
