"""How long the dashboard's pages and its JSON take with a large pool, and how much they transfer.

    python -m benchmarks.dashboard [--images 50000] [--projects 20] [--times 10]

A store as a worker leaves it: one project of so many images, all of which have places on the map, losses and
predictions, and `--projects` of a thousand images each. Requests go to the app itself, without a network; shown are the
median and the worst of `--times` requests in milliseconds, and the kilobytes of an answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from flask.testing import FlaskClient

from benchmarks.by_hand import settings_of
from pt4al_backend.labelling.platform import TaskState
from pt4al_backend.simulate.results import environment
from pt4al_backend.store.findings import MAP
from pt4al_backend.store.pool_scores import PredictionArrays, RankingArrays
from pt4al_backend.store.store import Store
from pt4al_backend.web.app import create_app
from pt4al_backend.web.context import context

RESULTS = Path(__file__).parent / "results" / "dashboard.json"
CLASSES = [f"class {k}" for k in range(10)]
QUESTIONS = [{"name": "kind", "kind": "single", "classes": CLASSES}]
LABELLED = 2000
PAGES = ("", "/queue", "/images", "/labels", "/settings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        client = create_app(_no_model, settings_of(data_dir=Path(directory))).test_client()
        store = context().store
        large = filled(store, 1, options.images)
        rows = [measured(client, f"/dashboard/{large}{page}", options.times) for page in PAGES]
        rows += [measured(client, f"/api/projects/{large}/map", options.times)]
        for number in range(2, options.projects + 1):
            filled(store, number, 1000)
        rows += [measured(client, address, options.times) for address in ("/api/status", "/dashboard", "/metrics")]
        store.close()
    RESULTS.write_text(json.dumps({"options": vars(options), "rows": rows, "environment": environment()}, indent=1))


def filled(store: Store, number: int, images: int) -> int:
    """Store a project of so many images, and return its id."""
    project = store.connect(url="http://ls", number=number, created="1", access_token="", label_config="<View/>")
    store.update(project.id, questions=QUESTIONS, title=f"Project {number}", image_size=224, stage="ready")
    ids, random = np.arange(1, images + 1), np.random.default_rng(0)
    for start in range(0, images, 5000):
        part = ids[start : start + 5000].tolist()
        states = [_state(task, task <= LABELLED) for task in part]
        store.apply(project.id, states)
        store.reserve_rows(project.id, part)
        store.images_done(project.id, ready={task: (f"/{task}.jpg", 256, 256) for task in part}, failed={})
    store.save_batches(project.id, task=ids, loss=random.random(images), batch=ids % 10)
    chosen = PredictionArrays(random.random(images).astype(np.float32), random.integers(0, 10, images))
    reasons = [{"task": int(task), "held_out": False, "why": ["uncertain"]} for task in ids[-60:]]
    store.save_ranking(
        project.id, RankingArrays(ids, random.random(images), (chosen,)), questions=QUESTIONS, reasons=reasons
    )
    places = {"task": ids, "x": _places(random, images), "y": _places(random, images)}
    store.save_finding(project.id, MAP, {}, revision=0, arrays=places)
    return project.id


def measured(client: FlaskClient, address: str, times: int) -> dict[str, object]:
    """The milliseconds and the kilobytes of a request."""
    seconds = []
    for _ in range(times + 1):
        started = time.perf_counter()
        answer = client.get(address)
        seconds.append(time.perf_counter() - started)
        assert answer.status_code == 200, address
    warm = [1000 * each for each in seconds[1:]]
    row = {
        "address": address,
        "first_ms": round(1000 * seconds[0]),
        "median_ms": round(statistics.median(warm)),
        "worst_ms": round(max(warm)),
        "kB": round(len(answer.data) / 1000),
    }
    print(row, flush=True)
    return row


def _state(task: int, labelled: bool) -> TaskState:
    answers = {"kind": CLASSES[task % 10]} if labelled else {}
    return TaskState(task, f"/{task}.jpg", "1", answers, skipped=False, annotations=int(labelled), cancelled=0)


def _places(random: np.random.Generator, n: int) -> np.ndarray:
    return random.integers(0, 65536, n).astype(np.uint16)


def _no_model() -> type:
    from pt4al_backend.model import PT4ALBackend

    return PT4ALBackend


if __name__ == "__main__":
    main()
