from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
from support.processes import wait_until

from pt4al_backend.processes.child import Child, guarded, stop_all

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = textwrap.dedent("""
    import signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up", flush=True)
    time.sleep(60)
""")
# A parent of two children: a Python program that watches, and a foreign one that is guarded.
PARENT = textwrap.dedent("""
    import os, sys, time
    from pathlib import Path
    from pt4al_backend.processes.child import Child, guarded
    importing = "import time; from pt4al_backend.processes.child import watch_parent"
    watching = f"{importing}; watch_parent(grace=0.5); time.sleep(60)"
    forked = watching.replace("time.sleep", "import os; os.fork() or watch_parent(grace=0.5); time.sleep")
    foreign = guarded([sys.executable, "-c", "import time; time.sleep(60)"])
    commands = [[sys.executable, "-c", forked], foreign]
    children = [Child(command, environment=dict(os.environ)) for command in commands]
    print("up", flush=True)
    time.sleep(60)
""")


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_a_killed_parent_leaves_no_process_behind() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        parent.stdout.readline()
    descendants = wait_until(
        "two children, each with one of its own",
        lambda: found if len(found := psutil.Process(parent.pid).children(recursive=True)) == 4 else [],
        seconds=10,
    )
    time.sleep(0.5)  # until the watchers watch
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until("the children to end", lambda: not _alive([one.pid for one in descendants]), seconds=8)


def test_a_stubborn_child_is_killed_after_the_patience(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child([sys.executable, "-c", STUBBORN], environment={}, log=log)
    wait_until("the child to be up", log.read_text, seconds=5)
    assert child.exit_code() is None
    began = time.monotonic()
    stop_all([child], patience=0.3)
    assert child.exit_code() == -signal.SIGKILL
    assert time.monotonic() - began < 5


def test_a_guarded_program_ends_when_asked_and_passes_on_its_exit_code() -> None:
    sleeper = Child(guarded(SLEEP), environment={})
    wait_until("the program to run", lambda: psutil.Process(sleeper.pid).children(), seconds=5)
    time.sleep(0.3)
    stop_all([sleeper], patience=5)
    assert sleeper.exit_code() not in (None, -signal.SIGKILL)

    failing = Child(guarded([sys.executable, "-c", "raise SystemExit(7)"]), environment={})
    assert wait_until("the program to end", failing.exit_code, seconds=5) == 7
