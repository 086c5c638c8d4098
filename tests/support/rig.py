"""A project's loop against a platform that answers by itself; real networks, real images, a real store."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import PoolArrays, Store
from pt4al_backend.store.tables import Project
from support.known_labels import KnownLabels
from support.narrow_workspace import NarrowWorkspace


class Rig:
    """A loop over `n` digits in a store of its own."""

    def __init__(self, directory: Path, n: int = 120, *, encoder: str | None = None, **settings: Any) -> None:
        """`encoder`: as in `Workspace`.

        What is learnt does not matter: the images are half as wide as in their files, and training is short.
        """
        quick = {"pretext_epochs": 1, "main_epochs": 3, "image_size": 16, "device": "cpu", "diversity": "off"}
        self.settings = Settings(data_dir=directory, cycles=4, query_size=6, slack=5, **quick | settings)
        self.platform = KnownLabels(n)
        self.store = Store(self.settings.data_dir)
        self.id = self.store.connect(url="http://x", number=1, created="1", access_token="", label_config="").id
        self.encoder = encoder
        self.loop = self.new_loop()

    def new_loop(self) -> ProjectLoop:
        self.workspace = NarrowWorkspace(self.id, self.store, self.platform, self.settings, "cpu", encoder=self.encoder)
        return ProjectLoop(self.workspace)

    def restart(self) -> None:
        """As a worker that was killed does, with the settings and the encoder as they are now."""
        self.loop = self.new_loop()

    def turn_until(self, holds: Callable[[], object]) -> None:
        """Turn the loop, step by step, until something holds."""
        self.loop.shows_every = 0
        for _ in range(5000):
            if holds():
                return
            self.loop.sync()
            self.loop.update_queue()
            self.step()
        raise AssertionError("it never comes to hold")

    def step(self) -> bool:
        """Work until the next progress: on a fast machine, too, nothing passes unseen."""
        steps = iter([False])
        return self.loop.work(math.inf, is_interrupted=lambda: next(steps, True))

    @property
    def project(self) -> Project:
        project = self.store.project(self.id)
        assert project is not None
        return project

    def pool(self) -> PoolArrays:
        return self.store.pool(self.project)

    def settle(self) -> None:
        """Turn the loop until nothing is missing."""
        for _ in range(2000):
            self.loop.sync()
            self.loop.update_queue()
            if not self.loop.work(0.5):
                self.loop.update_queue()
                return
        raise AssertionError("the loop does not come to rest")

    def sync(self) -> None:
        self.loop.sync()
        while not self.loop.is_synced:
            self.loop.sync()
        self.loop.update_queue()

    def close(self) -> None:
        self.loop.close()
        self.store.close()


def label_half(rig):
    """Tasks 1 to 30, when the first queue is there."""
    rig.settle()
    for task in range(1, 31):
        rig.platform.label(task)


def without_pool(monkeypatch, rig):
    """From now on reading the pool fails."""
    monkeypatch.setattr(rig.store, "pool", None)
