"""One machine for several pytest workers: most tests share it, and those that measure time get it for themselves."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def locked_file(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock that other processes respect; whoever holds it `shared` holds it together."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def machine(*, alone: bool) -> Iterator[None]:
    """Wait until the tests of other workers have ended, or until the one that needs the machine alone has."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:  # no other workers
        yield
        return
    folder = Path(tempfile.gettempdir())
    queue, taken = folder / f"pt4al-tests-{run}.queue", folder / f"pt4al-tests-{run}.taken"
    with ExitStack() as stack:
        with locked_file(queue):  # nobody begins another test while somebody waits for the machine
            stack.enter_context(locked_file(taken, shared=not alone))
        yield
