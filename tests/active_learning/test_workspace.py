"""What a project has on the disk."""

from __future__ import annotations

import contextlib
import shutil

import pytest
from support.rig import Rig

from pt4al_backend.errors import PT4ALError


@pytest.mark.parametrize("lost", ["pixels", "models"])
def test_what_somebody_deleted_to_make_room_is_made_again(tmp_path, lost):
    rig = Rig(tmp_path)
    rig.settle()
    rig.platform.label(rig.platform.queue[0])
    shutil.rmtree(tmp_path / lost)
    for _ in range(2000):
        rig.loop.sync()
        with contextlib.suppress(PT4ALError):  # shown until it is fixed
            rig.loop.update_queue()
        if not rig.loop.work(0.5):
            break
    rig.settle()
    assert rig.platform.published[-1].version.split("-")[2] == "n1"
    assert rig.workspace.pixels(rig.project).read(rig.pool().row).any(axis=(1, 2, 3)).all()
    rig.close()
