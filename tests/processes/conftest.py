"""A worker with two projects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.worker_rig import WorkerRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[WorkerRig]:
    """Project 1 has 30 images, project 2 has 40."""
    with closing(WorkerRig(tmp_path, 30, 40)) as rig:
        yield rig
