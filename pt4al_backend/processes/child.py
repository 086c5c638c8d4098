"""Child processes that never outlive their parent, however it ends.

Each child gets the read end of a pipe, and only the parent holds its write end. When the parent ends, even by
`kill -9`, the pipe closes, and the child ends itself and its process group. This is plain POSIX without `prctl`, and it
still works after the child forks.

As a script, this module runs another program that way; its arguments are the program's command line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LIFELINE = "PT4AL_LIFELINE_FD"
"""Environment variable that tells a child which file descriptor to watch."""


def guarded(command: Sequence[str]) -> list[str]:
    """The command line that runs a program which does not watch a lifeline itself as a `Child`."""
    return [sys.executable, "-I", __file__, *command]


class Child:
    """A running process that leads its own process group, so that a terminal's Ctrl-C reaches only the parent."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path | None = None) -> None:
        read, self._lifeline = os.pipe()
        try:
            with contextlib.ExitStack() as stack:
                output = stack.enter_context(log.open("ab")) if log else None
                self._process = subprocess.Popen(
                    command,
                    env={**environment, LIFELINE: str(read)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT if output else None,
                    pass_fds=(read,),
                    start_new_session=True,
                )
        except OSError:
            os.close(self._lifeline)
            raise
        finally:
            os.close(read)
        self.pid = self._process.pid
        self.started = time.monotonic()

    def exit_code(self) -> int | None:
        """The exit code; None while the process runs. Once it has ended, its whole group has."""
        code = self._process.poll()
        if code is not None:
            self._kill_rest()
        return code

    def terminate(self) -> None:
        """Ask the process to end."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait up to `seconds` for the process to end, then kill whatever is left of its group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(seconds, 0))
        self._kill_rest()
        self._process.wait()

    def _kill_rest(self) -> None:
        _kill_group(self.pid, signal.SIGKILL)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def stop_all(children: Sequence[Child], *, patience: float = 10.0) -> None:
    """End all children at the same time, and kill those that still run after `patience` seconds."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + patience
    for child in children:
        child.wait(deadline - time.monotonic())


def watch_parent(*, grace: float = 3.0) -> None:
    """In a child: end this process group when the parent has ended.

    It does nothing in a process that `Child` did not start. Call it again after a fork, because threads do not survive
    one.

    Args:
        grace: Seconds after which the group is killed.
    """
    lifeline = os.environ.get(LIFELINE)
    if lifeline is not None:
        threading.Thread(target=_end_with_parent, args=(int(lifeline), grace), name="lifeline", daemon=True).start()


def _end_with_parent(lifeline: int, grace: float) -> None:
    os.read(lifeline, 1)  # nobody writes, so this returns when the last write end is closed
    _kill_group(os.getpgrp(), signal.SIGTERM)
    time.sleep(grace)
    _kill_group(os.getpgrp(), signal.SIGKILL)


def _kill_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM if only zombies are left
        os.killpg(group, number)


def _run_program(command: Sequence[str]) -> int:
    watch_parent()
    environment = {name: value for name, value in os.environ.items() if name != LIFELINE}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: process.send_signal(received))
    return process.wait()


if __name__ == "__main__":
    sys.exit(_run_program(sys.argv[1:]))
