"""Programs the tests run: started on a free port, watched, and stopped with all their children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

Found = TypeVar("Found")

MARK = "TEST_SESSION_OF_PT4AL"
"""Environment variable that everything a test session starts inherits, so that strays can be found."""


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(what: str, condition: Callable[[], Found], *, seconds: float, every: float = 0.1) -> Found:
    """Ask `condition` until it answers something true, and return that.

    Raises `TimeoutError` naming `what` after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(every)
    return answer


@contextmanager
def running(
    command: Sequence[str | Path], *, environment: Mapping[str, str], log: Path, cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` as a process group of its own, output to `log`; at the end stop the whole group."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop_group(process)


def wait_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool], *, log: Path, seconds: float) -> None:
    """Wait until `ready()`; when the program ends before that or takes too long, raise with its log's end."""

    def ready_or_dead() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}:\n{tail(log)}")
        return ready()

    try:
        wait_until(f"{process.args} to answer", ready_or_dead, seconds=seconds)
    except TimeoutError as error:
        raise RuntimeError(f"{error}\n{tail(log)}") from None


def stop_group(process: subprocess.Popen[bytes], *, grace: float = 15.0) -> None:
    """Ask the program to end, and kill whatever of its process group is left after `grace` seconds."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    with suppress(ProcessLookupError):  # everything has ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tail(log: Path, lines: int = 60) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def strays(mark: str) -> list[psutil.Process]:
    """Processes that this test session started and that still run, whoever their parent is now.

    Their mark begins with `mark`: that of a session is the beginning of those of its workers.
    """
    found = {process for process in psutil.Process().children(recursive=True) if not _may_stay(process)}
    for process in psutil.process_iter():
        try:
            if (
                process.pid != os.getpid()
                and process.environ().get(MARK, "").startswith(mark)
                and not _may_stay(process)
            ):
                found.add(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue  # somebody else's, or ending
    return sorted(found, key=lambda process: process.pid)


def _may_stay(process: psutil.Process) -> bool:
    """Whether it has ended, or is Python's own helper of `multiprocessing`, which ends when pytest does."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or "multiprocessing.resource_tracker" in " ".join(
            process.cmdline()
        )
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return True
