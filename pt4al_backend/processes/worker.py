"""The worker process, which runs the loops of all projects in turn.

Training is cut into slices of a fraction of a second, so that fitting probes or publishing for any project waits for at
most one training step. While a project waits for its Label Studio, the others go on.
"""

from __future__ import annotations

import logging
import signal
from contextlib import closing

from pt4al_backend import learning
from pt4al_backend.labelling.platform import LabellingPlatform
from pt4al_backend.processes import heartbeat
from pt4al_backend.processes.fair_lock import FairLock, UnlockedPlatform
from pt4al_backend.processes.open_projects import PlatformFactory
from pt4al_backend.processes.preparation import prepare
from pt4al_backend.processes.priority import Priority
from pt4al_backend.processes.scheduler import Stop, Worker
from pt4al_backend.reports.running_backend import Presence
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

LOCK_PATIENCE = 5.0  # seconds to wait for a locked database


def run(settings: Settings) -> int:
    """Run the worker until SIGTERM or SIGINT.

    Returns:
        The exit code of the process.
    """
    priority = Priority()
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.request)
    store = Store(settings.data_dir, settings.database_url, patience=LOCK_PATIENCE)
    with heartbeat.only_worker(settings.data_dir), closing(Presence(settings, "worker")):
        with heartbeat.starting(settings):  # PyTorch is loaded
            worker = Worker(settings, store, _label_studio_projects(settings))
            device = learning.describe_device(worker.device)
        logger.info("The worker runs on %s, with its data in %s.", device, settings.data_dir)
        try:
            with heartbeat.beating(store, worker, device=device):
                worker.run(
                    stop,
                    after_turn=lambda: priority.set_urgent(worker.is_awaited),
                    preparation=prepare(settings.pretrained, worker.device),
                )
        finally:
            worker.close()
            store.close()
    return 0


def _label_studio_projects(settings: Settings) -> PlatformFactory:
    from pt4al_backend.label_studio.project import LabelStudioProject

    def platform_for(project: Project, lock: FairLock) -> LabellingPlatform:
        with lock.released():  # this may log in to Label Studio
            return UnlockedPlatform(LabelStudioProject.of(project, settings.of_project(project.own_settings)), lock)

    return platform_for
