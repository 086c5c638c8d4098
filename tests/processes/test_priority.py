from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from support.processes import wait_until

from pt4al_backend.processes.child import Child, stop_all
from pt4al_backend.processes.priority import IN_THE_BACKGROUND, NICENESS

PROGRAM = textwrap.dedent("""
    import time
    from pt4al_backend.processes.priority import Priority
    priority = Priority()
    time.sleep(0.3)  # Linux takes a change of a session's weight only every tenth of a second
    priority.set_urgent({urgent})
    print("up", flush=True)
    time.sleep(60)
""")


@pytest.mark.parametrize(("urgent", "expected"), [(False, IN_THE_BACKGROUND), (True, 0)])
def test_a_session_yields_to_others_while_nobody_waits(tmp_path: Path, urgent: bool, expected: int) -> None:
    log = tmp_path / "log"
    child = Child([sys.executable, "-c", PROGRAM.format(urgent=urgent)], environment={}, log=log)
    wait_until("the child to have yielded", log.read_text, seconds=10)
    assert psutil.Process(child.pid).nice() - psutil.Process().nice() == NICENESS
    weighed = Path(f"/proc/{child.pid}/autogroup")  # only where Linux weighs whole sessions
    assert not weighed.exists() or weighed.read_text().endswith(f" nice {expected}\n")
    stop_all([child], patience=5)


def test_a_session_that_others_share_is_left_alone() -> None:
    weighed = Path("/proc/self/autogroup")
    before = weighed.read_text() if weighed.exists() else ""
    program = "from pt4al_backend.processes.priority import Priority as P; P().set_urgent(False)"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (weighed.read_text() if weighed.exists() else "") == before
