"""A process that others leave no processor says so, and one that waits for something else does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pt4al_backend.reports.status import starvation

MEASURE = """
import json, os, sys, time
from pt4al_backend.processes.cpu_meter import CpuMeter
os.sched_setaffinity(0, {int(sys.argv[1])})
meter = CpuMeter()
meter.measure()
until = time.monotonic() + 3
while time.monotonic() < until:
    %s
use = meter.measure()
print(json.dumps([use.got, use.wanted]))
"""
HOG = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists() or Path("/proc/self/schedstat").read_text().startswith("0 0 0"),
    reason="This system does not count what a process waits for: it is Linux that does.",
)


def measured(work: str, *, processor: int, niceness: int = 0) -> tuple[float, float]:
    command = ["nice", "-n", str(niceness), sys.executable, "-c", MEASURE % work, str(processor)]
    got, wanted = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return got, wanted


@pytest.fixture
def processor() -> int:
    return max(os.sched_getaffinity(0))


@pytest.mark.alone
def test_a_starved_process(processor: int) -> None:
    hogs = [subprocess.Popen([sys.executable, "-c", HOG, str(processor)]) for _ in range(3)]
    try:
        got, wanted = measured("pass", processor=processor, niceness=10)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert got < 0.2
    assert wanted > 0.5
    assert starvation(got, wanted).startswith(f"the worker gets {got:.0%} of a core: other processes")


@pytest.mark.alone
def test_a_process_that_waits_for_something_else(processor: int) -> None:
    got, wanted = measured("time.sleep(0.1)", processor=processor)
    assert max(got, wanted) < 0.5
    assert starvation(got, wanted) == ""


@pytest.mark.parametrize(
    ("got", "wanted", "says"),
    [
        (None, None, ""),
        (0.0, 0.1, ""),  # it asks for next to nothing
        (0.9, 1.0, ""),
        (1.0, 2.0, ""),  # a fair share of two
        (0.12, 1.0, "the worker gets 12% of a core: other processes, or a limit, take the rest"),
        (3.5, 16.0, "the worker gets 3.5 of 16 cores: other processes, or a limit, take the rest"),
    ],
)
def test_what_counts_as_starved(got: float | None, wanted: float | None, says: str) -> None:
    assert starvation(got, wanted) == says
