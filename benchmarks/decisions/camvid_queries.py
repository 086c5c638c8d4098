"""CamVid's queries cost a person the same for every strategy; `entropy` chooses neighbouring frames.

    python -m benchmarks.decisions.camvid_queries

Reads `benchmarks/results/camvid_rotation/results.json`, which `accuracy camvid_rotation` makes, and writes `queries.md`
beside it. Per queried frame, over all rounds and seeds: labelled pixels, length of the borders between classes in
pixels, and the percentage of frames whose nearest neighbour in the same query and video is at most 1, or at most 5,
seconds away. The frames of a video are one second apart: with 12 frames in a row all of them would have one at 1 s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import datasets, tables

TABLE = Path(__file__).parents[1] / "results" / "camvid_rotation"
FRAMES_PER_SECOND = 30
SECONDS = (1, 5)


def main() -> None:
    results = json.loads((TABLE / "results.json").read_text())
    places = [place(name) for name in datasets.camvid("train").names]
    head = ["strategy", "n", "labelled pixels", "border", *(f"neighbour within {limit} s, %" for limit in SECONDS)]
    rows = []
    for strategy in dict.fromkeys(run["strategy"] for run in results["runs"]):
        runs = [figures(run["rounds"], places) for run in results["runs"] if run["strategy"] == strategy]
        rows.append([f"`{strategy}`", str(len(runs)), *(tables.spread(column) for column in zip(*runs, strict=True))])
    table = tables.markdown(head, rows)
    print(table)
    (TABLE / "queries.md").write_text(
        tables.signed(table, "python -m benchmarks.decisions.camvid_queries", results["environment"])
    )


def figures(rounds: Sequence[dict[str, Any]], places: Sequence[tuple[str, float]]) -> list[float]:
    """Per frame of one run: labelled pixels, border, and for each limit the percentage with a near neighbour."""
    near = np.array([seconds for query in queries(rounds) for seconds in to_neighbour([places[k] for k in query])])
    last = rounds[-1]
    costs = [last["labelled_pixels"] / last["labels"], last["border_length"] / last["labels"]]
    return costs + [100 * float((near <= limit).mean()) for limit in SECONDS]


def queries(rounds: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """The frames of each round's query, by position."""
    before: set[int] = set()
    for entry in rounds:
        yield sorted(set(entry["images"]) - before)
        before = set(entry["images"])


def to_neighbour(query: Sequence[tuple[str, float]]) -> list[float]:
    """Seconds from each frame to the nearest other one of the query; infinite where its video has no other."""
    return [
        min(
            (
                abs(second - other)
                for k, (other_video, other) in enumerate(query)
                if k != frame and other_video == video
            ),
            default=float("inf"),
        )
        for frame, (video, second) in enumerate(query)
    ]


def place(name: str) -> tuple[str, float]:
    """The video of a frame, and its time there in seconds."""
    match = re.search(r"/(\w+?)_f?(\d+)\.\w+$", name)
    assert match, name
    return match[1], int(match[2]) / FRAMES_PER_SECOND


if __name__ == "__main__":
    main()
