"""Is every task served in published order? A scripted annotator gives one label a second through /next for 3 rounds.

    .venv/bin/python benchmarks/served_order.py [--images 600] [--query-size 20] [--output FILE]

Every order published is recorded from the backend's store; what `GET /api/projects/{id}/next` serves has to be the
first unanswered task of an order that was published then (give or take the half second between the two of them).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.digits import DigitProject, recorded_orders  # noqa: E402  # the tests' own way to run the real programs
from support.served import serve  # noqa: E402
from support.studio import Studio  # noqa: E402


def measure(images: int, query_size: int) -> dict[str, object]:
    """Counts of tasks served first, later in the window, and outside it."""
    counts = {"first": 0, "in_window": 0, "outside": 0}
    with tempfile.TemporaryDirectory() as directory, Studio.start() as studio:
        data_dir = Path(directory) / "data"
        with serve(studio, data_dir=data_dir, query_size=query_size, pretext_epochs=5) as backend:
            project = DigitProject.create(studio, images)
            project.connect(backend)
            answered: set[int] = set()
            began = time.monotonic()
            with recorded_orders(data_dir, project.number) as orders_since:
                for label in range(3 * query_size + 5):
                    asked = time.monotonic()
                    task = (studio.next_task(project.number) or {})["id"]
                    time.sleep(0.5)  # the store learns of an order a moment after Label Studio does
                    current = orders_since(asked - 0.5)
                    open_now = [[other for other in order if other not in answered] for order in current]
                    first = any(order[:1] == [task] for order in open_now)
                    place = "first" if first else "in_window" if any(task in order for order in open_now) else "outside"
                    counts[place] += 1
                    time.sleep(max(began + label + 1 - time.monotonic(), 0))
                    project.label(task)
                    answered.add(task)
            seconds = time.monotonic() - began
            status = backend.project(project.number) or {}
    labels = sum(counts.values())
    return {**counts, "labels_per_second": round(labels / seconds, 2), "round": status["round"]}


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--query-size", type=int, default=20)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "served_order.json")
    options = parser.parse_args()
    figures = measure(options.images, options.query_size)
    figures["command"] = " ".join(["python", "benchmarks/served_order.py", *sys.argv[1:]])
    print(json.dumps(figures, indent=1))
    options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
