"""The worker's priority on a machine that others use, too."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICENESS = 3
"""Always: an ordinary user cannot take it back. The web process, in the same container, still answers quickly."""
IN_THE_BACKGROUND = 10
"""Niceness of the session while nobody waits. Each of several busy sessions then gets nine times the worker's share."""


class Priority:
    """Lowers this process's priority, and further while nobody waits for it.

    Linux may weigh whole sessions ("autogroup", sched(7)); a process's niceness then counts only within its session,
    and that of a session can be raised and lowered at any time. Only a session that this process leads is changed:
    others, such as a terminal's, have further processes in them.
    """

    def __init__(self) -> None:
        os.nice(NICENESS)
        self._session = Path("/proc/self/autogroup") if os.getsid(0) == os.getpid() else None
        self._urgent: bool | None = None
        self.set_urgent(False)

    def set_urgent(self, urgent: bool) -> None:
        """Say whether somebody waits for what this process does."""
        if self._session is None or urgent == self._urgent:
            return
        with contextlib.suppress(OSError):  # no autogroups here, not ours to change, or changed a moment ago
            self._session.write_text(str(0 if urgent else IN_THE_BACKGROUND))
            self._urgent = urgent
