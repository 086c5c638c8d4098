"""How long after connecting the first images are served: a real Label Studio, photographs, the whole backend.

    python -m benchmarks.first_order [--images 5000] [--runs 3] [--busy 2] [--batches] [--wait 25]
        [--settings encoder=rotation]

Serves photographs with a longer side of 256 px (Caltech-101) from a local web server, starts a Label Studio and
`pt4al-backend start`, connects a project and measures the seconds to its first window, to the window that was chosen
from all images; and the resident memory of the worker. `--wait` connects it only so many seconds after the worker
started, which then has loaded what the first project needs. `--batches` waits for PT4AL's batches as well: an image is
labelled every two seconds meanwhile, and twenty more afterwards, to measure the seconds from submitting an annotation
to the next order. `--busy N` does all that beside N processes that compute without end at normal priority.
"""

from __future__ import annotations

import argparse
import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.studio_loop import ROOT, LabelStudioProject, Quiet, summary, write_images

sys.path.insert(0, str(ROOT / "tests"))

from support.served import serve
from support.studio import Studio

LABELS = 20
"""Images that are labelled once the batches are there."""
BUSY = [sys.executable, "-c", "while True: pass"]


def measure(images: int, *, busy: int, wait: float, wait_for_batches: bool, settings: dict[str, Any]) -> dict[str, Any]:
    """The figures of one run."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        studio = stack.enter_context(Studio.start())
        folder = directory / "images"
        folder.mkdir()
        written = write_images(folder, images, sides=(256, 256))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        backend = stack.enter_context(serve(studio, data_dir=directory / "data", **settings))
        project = LabelStudioProject(studio, backend, written, f"http://127.0.0.1:{server.server_port}")
        while not backend.status()["worker"]["alive"]:
            time.sleep(0.1)
        for _ in range(busy):
            stack.callback(subprocess.Popen(BUSY, start_new_session=True).kill)
        time.sleep(wait)
        figures: dict[str, Any] = {"images": images, "busy": busy, "wait": wait}
        most = 0
        orders: dict[str, list[float]] = {"pretext": [], "idle": []}
        began = time.monotonic()
        studio.connect_backend(project.number, backend.url)
        while "all" not in figures or (wait_for_batches and "batches" not in figures):
            state, seconds = project.state(), round(time.monotonic() - began, 1)
            worker = backend.worker()
            most = max(most, worker.memory_info().rss if worker else 0)
            if state.get("model_version") and "first" not in figures:
                figures |= {"first": seconds, "first_from": state["ranked"]}
            if "first" in figures and state["ranked"] >= images - state["unreadable"]:
                figures.setdefault("all", seconds)
            if state.get("pretext_learned"):
                figures.setdefault("batches", seconds)
            if wait_for_batches and "all" in figures:
                orders["pretext"].append(project.label_one())
                time.sleep(2)
            time.sleep(0.2)
        while wait_for_batches and len(orders["idle"]) < LABELS:
            orders["idle"].append(project.label_one())
            time.sleep(2)
        assert project.version().startswith("pt4al-r")
        figures |= {f"new_order_{name}": summary(seconds) for name, seconds in orders.items() if seconds}
        return figures | {"worker_mb": round(most / 1e6)}


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside it")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds from the worker's start to connecting")
    parser.add_argument("--batches", action="store_true", help="wait for PT4AL's batches, and label meanwhile")
    parser.add_argument("--settings", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "first_order.json")
    options = parser.parse_args()
    settings = dict(each.partition("=")[::2] for each in options.settings)
    runs = []
    for _ in range(options.runs):
        runs.append(
            measure(
                options.images,
                busy=options.busy,
                wait=options.wait,
                wait_for_batches=options.batches,
                settings=settings,
            )
        )
        print(json.dumps(runs[-1]), flush=True)
    machine = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB"
    command = " ".join(["python -m benchmarks.first_order", *sys.argv[1:]])
    options.output.write_text(json.dumps({"runs": runs, "machine": machine, "command": command}, indent=1) + "\n")


if __name__ == "__main__":
    main()
