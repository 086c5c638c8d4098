"""How long an annotator waits: the whole loop with a real Label Studio.

    python -m benchmarks.studio_loop [--images 5000] [--labels 40] [--output FILE]

Serves photographs of 32 to 256 px (Caltech-101, scaled at random) from a local web server, starts Label
Studio and `pt4al-backend start` with networks of its own, and measures: connecting -> first queue;
annotation submitted -> new order published, while idle and while the main network trains; /webhook and
/setup while it trains; /predict of 1,000 tasks; resident memory.
"""

from __future__ import annotations

import argparse
import http.server
import io
import json
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import requests
from PIL import Image

from benchmarks import datasets

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.served import Backend, serve  # noqa: E402  # the tests' own way to run the real programs
from support.studio import Studio, choices_config  # noqa: E402


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without logging each request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def write_images(folder: Path, n: int, *, sides: tuple[int, int] = (32, 256), seed: int = 0) -> list[tuple[str, str]]:
    """n JPEG files with a longer side in px between those two; (name, class) of each."""
    draw = random.Random(seed)
    written = []
    photographs, _ = datasets.caltech101(0)
    positions = list(range(len(photographs)))
    draw.shuffle(positions)
    for number, position in enumerate(positions[:n]):
        image = Image.open(io.BytesIO(photographs.read(position))).convert("RGB")
        scale = draw.randint(*sides) / max(image.size)
        image = image.resize([max(1, round(side * scale)) for side in image.size])
        image.save(folder / f"{number}.jpg", quality=90)
        written.append((f"{number}.jpg", photographs.answers(position)["class"]))
    return written


def summary(values: list[float]) -> dict[str, float]:
    """n, median, 99th percentile and worst."""
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "median": round(statistics.median(ordered), 4),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 4),
        "worst": round(ordered[-1], 4),
    }


class LabelStudioProject:
    """One project on one Label Studio and one backend."""

    def __init__(self, studio: Studio, backend: Backend, images: list[tuple[str, str]], images_url: str) -> None:
        self.studio, self.backend = studio, backend
        classes = sorted({name for _, name in images})
        self.number = studio.create_project("benchmark", choices_config(*classes))
        tasks: list[int] = []
        for start in range(0, len(images), 1000):
            chunk = [f"{images_url}/{name}" for name, _ in images[start : start + 1000]]
            tasks += studio.import_images(self.number, chunk)
        self.truth = dict(zip(tasks, (name for _, name in images), strict=True))
        self.training = False

    def state(self) -> dict[str, Any]:
        return self.backend.project(self.number) or {}

    def version(self) -> str:
        query = f"/api/projects/{self.number}?include=model_version"
        return str(self.studio.api("GET", query)["model_version"] or "")

    def first_queue(self) -> dict[str, float]:
        """Seconds from connecting to each stage and to the first published window."""
        began = time.monotonic()
        seen: dict[str, float] = {}
        self.connected = self.studio.connect_backend(self.number, self.backend.url)
        while not self.version().startswith("pt4al-r"):
            seen.setdefault(self.state().get("stage", "?"), round(time.monotonic() - began, 1))
            time.sleep(1)
        return {**seen, "published": round(time.monotonic() - began, 1)}

    def served(self) -> tuple[str, dict[str, Any]]:
        """The task that an annotator gets, and the version that it comes from."""
        while True:
            version = self.version()
            task = self.studio.next_task(self.number)
            assert task is not None
            if self.version() == version == self.state().get("model_version"):  # no other was published meanwhile
                return version, task

    def label_one(self) -> float:
        """Label the next task. Returns the seconds from submitting the annotation to the next order."""
        before, task = self.served()
        versions = {prediction["model_version"] for prediction in task["predictions"]}
        assert before in versions, (
            f"random fallback: task {task['id']} has no prediction of {before}, but of {versions}"
        )
        self.studio.annotate(task["id"], self.truth[task["id"]])
        began = time.monotonic()
        while self.state().get("model_version") == before:  # asking Label Studio all the time would slow it down
            time.sleep(0.1)
        return time.monotonic() - began

    def latencies(self, labels: int) -> dict[str, list[float]]:
        """Seconds to the next order, while idle and while the main network is training."""
        seconds: dict[str, list[float]] = {"idle": [], "training": []}
        while min(len(values) for values in seconds.values()) < labels:
            if len(seconds["idle"]) >= labels and self.state()["stage"] != "training":
                self.studio.start_training(self.connected)
                while self.state()["stage"] != "training":
                    time.sleep(0.2)
            before = self.state()["stage"]
            latency = self.label_one()
            stage = {before, self.state()["stage"]}
            if len(stage) == 1:  # it did not change meanwhile
                seconds["training" if "training" in stage else "idle"].append(latency)
            time.sleep(1)
        return seconds

    def web(self, path: str, body: dict[str, Any], n: int) -> list[float]:
        """Seconds of n requests to the backend, sent while it trains."""
        seconds: list[float] = []
        with requests.Session() as session:
            while len(seconds) < n:
                if len(seconds) % 50 == 0 and self.state()["stage"] != "training":
                    self.studio.start_training(self.connected)
                    while self.state()["stage"] != "training":
                        time.sleep(0.2)
                began = time.monotonic()
                session.post(self.backend.url + path, json=body, timeout=30).raise_for_status()
                seconds.append(time.monotonic() - began)
                time.sleep(0.02)
        return seconds


def measure(images: int, labels: int) -> dict[str, Any]:
    """All figures of this benchmark."""
    with tempfile.TemporaryDirectory() as directory, Studio.start() as studio:
        folder = Path(directory) / "images"
        folder.mkdir()
        written = write_images(folder, images)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        data_dir = Path(directory) / "data"
        with serve(studio, data_dir=data_dir, encoder="rotation") as backend:
            project_under_test = LabelStudioProject(studio, backend, written, f"http://127.0.0.1:{server.server_port}")
            figures: dict[str, Any] = {"images": images, "first_queue_seconds": project_under_test.first_queue()}
            print(figures, flush=True)
            for name, values in project_under_test.latencies(labels).items():
                figures[f"new_order_seconds_{name}"] = summary(values)
                print(name, figures[f"new_order_seconds_{name}"], flush=True)
            project = studio.project(project_under_test.number)
            body = {"action": "ANNOTATION_UPDATED", "project": project, "task": {}, "annotation": {}}
            figures["webhook_seconds_training"] = summary(project_under_test.web("/webhook", body, 200))
            setup = {
                "project": f"{project_under_test.number}.{backend_created(project_under_test)}",
                "schema": project["label_config"],
                "hostname": studio.url,
                "access_token": studio.token,
            }
            figures["setup_seconds_training"] = summary(project_under_test.web("/setup", setup, 200))
            tasks = [{"id": task, "data": {}} for task in list(project_under_test.truth)[:1000]]
            predict = {
                "project": str(project_under_test.number),
                "tasks": tasks,
                "label_config": project["label_config"],
            }
            began = time.monotonic()
            answer = requests.post(f"{backend.url}/predict", json=predict, timeout=60)
            figures["predict_1000_seconds"] = round(time.monotonic() - began, 3)
            figures["predict_1000_results"] = len(answer.json()["results"])
            worker = backend.worker()
            assert worker is not None
            figures["worker_rss_mb"] = round(worker.memory_info().rss / 1e6)
            figures["status"] = project_under_test.state()
        server.shutdown()
    return figures


def backend_created(project_under_test: LabelStudioProject) -> str:
    """The time of the project's creation, as in /setup."""
    from datetime import datetime

    created = project_under_test.studio.project(project_under_test.number)["created_at"]
    return str(int(datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp()))


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--labels", type=int, default=40, help="labels in each state")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "studio_loop.json")
    options = parser.parse_args()
    figures = measure(options.images, options.labels)
    figures["machine"] = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB"
    figures["python"] = platform.python_version()
    figures["command"] = " ".join(["python", "benchmarks/studio_loop.py", *sys.argv[1:]])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
