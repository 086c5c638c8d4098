"""What unwanted clients cost the others: seconds of /health, seconds until they are disconnected, megabytes.

    python -m benchmarks.strangers [--output FILE]

A real web process and real sockets; takes about two minutes. Label Studio waits one second for /health.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.served import Backend, serve  # noqa: E402  # the tests' own way to run the real programs
from support.strangers import ask, connect, crowd, dripping, head, peak_memory, seconds_of_health  # noqa: E402

MB = 2**20
BODY = head("POST", "/predict", content_type="application/json", content_length=5000)
SLOW = {
    "first line": b"G",
    "headers": b"GET /health HTTP/1.1\r\nX: ",
    "body": BODY,
    "refused body": head("POST", "/nothing", content_type="text/plain", content_length=5000),
    "second request": head("GET", "/health"),
}
MUCH = {
    "48 MB of {},": b'{"project": "1.1", "tasks": [' + b"{}," * (16 * MB) + b"{}]}",
    "3.4 million tasks": b'{"project": "1.1", "tasks": [' + b'{"id":1},' * 3_400_000 + b'{"id":1}]}',
    "7.9 million numbers": b'{"project": "1.1", "tasks": [], "rle": [' + b"255," * 7_900_000 + b"1]}",
    "60 MB of text": b'{"project": "1.1", "tasks": [], "x": "' + b"a" * (60 * MB) + b'"}',
}


def health(backend: Backend, times: int = 20) -> dict[str, float]:
    """Seconds of `times` requests."""
    seconds = [seconds_of_health(backend, times=1) for _ in range(times)]
    return {"median": round(statistics.median(seconds), 4), "worst": round(max(seconds), 4), "n": times}


def crowds(backend: Backend) -> dict[str, object]:
    """Seconds of /health while there are many other clients."""
    seconds: dict[str, object] = {"nobody": health(backend)}
    with crowd(backend, 500, head("GET", "/health", connection="close")):
        seconds["500 that do not close, at once"] = round(seconds_of_health(backend, times=1), 4)
        seconds["500 that do not close"] = health(backend)
    for name, begin in SLOW.items():
        with crowd(backend, 200, begin) as clients, dripping(clients):
            time.sleep(1.5)
            seconds[f"200 slow with the {name}"] = health(backend)
    tasks = b'{"project": "1.1", "tasks": [%b]}' % b",".join(b'{"id":%d}' % task for task in range(7000))
    request = head("POST", "/predict", content_type="application/json", content_length=len(tasks)) + tasks
    with crowd(backend, 200, request, receive_buffer=4096) as clients, dripping(clients):
        seconds["200 slow readers of 0.5 MB, at once"] = round(seconds_of_health(backend, times=1), 4)
        seconds["200 slow readers of 0.5 MB"] = health(backend)
    return seconds


def lifetime(backend: Backend, begin: bytes) -> float | None:
    """Seconds until a client that sends a byte per second is disconnected; None if it still is not after 40."""
    with connect(backend, begin) as client:
        client.settimeout(1)
        begun = time.monotonic()
        while time.monotonic() - begun < 40:
            try:
                client.sendall(b"a")
                if client.recv(1000) == b"":
                    return round(time.monotonic() - begun, 1)
            except TimeoutError:
                continue
            except OSError:
                return round(time.monotonic() - begun, 1)
    return None


def bodies(backend: Backend) -> dict[str, object]:
    """What large bodies cost: the response, seconds, and megabytes at the peak."""
    found: dict[str, object] = {}
    with measured(backend) as cost, connect(backend, head("POST", "/health", content_length=1500 * MB)) as client:
        try:
            for _ in range(1500):
                client.sendall(bytes(MB))
        except OSError:
            cost["answer"] = "closed"
    found["1,500 MB to /health"] = cost
    for name, body in MUCH.items():
        with measured(backend) as cost:
            cost["answer"] = ask(backend, "POST", "/predict", body)[0]
        found[name] = cost
    body = MUCH["7.9 million numbers"]
    request = head("POST", "/predict", content_type="application/json", content_length=len(body)) + body
    with ExitStack() as open_ones, measured(backend) as cost:
        for _ in range(4):
            open_ones.enter_context(connect(backend, request))
        cost["health"] = health(backend)
    found["four times 7.9 million numbers"] = cost
    return found


@contextmanager
def measured(backend: Backend):
    """Yields a dictionary that receives seconds and megabytes when the block ends."""
    cost: dict[str, object] = {}
    begun = time.monotonic()
    with peak_memory(backend) as grown:
        yield cost
    cost |= {"seconds": round(time.monotonic() - begun, 2), "megabytes": round(grown[0])}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    output = parser.parse_args().output
    with (
        tempfile.TemporaryDirectory() as directory,
        serve(None, data_dir=Path(directory) / "d", command="web") as backend,
    ):
        found = {"seconds of /health beside": crowds(backend)}
        found["seconds until a slow one is closed"] = {
            name: lifetime(backend, SLOW[name]) for name in ("headers", "body")
        }
        found["bodies"] = bodies(backend)
    text = json.dumps(found, indent=2)
    print(text)
    if output:
        output.write_text(text + "\n")


if __name__ == "__main__":
    main()
