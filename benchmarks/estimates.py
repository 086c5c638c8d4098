"""Estimates before images are held out: confidence is off by 8 points at most with few classes, crossed ones by 30.

    python -m benchmarks.estimates

From the kept curves of `learning_curves.py`: the difference to the accuracy on test images, in points, of what the
backend has before it holds images out: the cross-validation of the probe on its labels, and the mean calibrated
probability of the class that it says of the images without a label. Nothing was chosen on these figures but which of
the two is shown.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from benchmarks.tables import markdown, spread

CURVES = Path(__file__).parent / "results" / "learning_curves.json"
AT, UNTIL = (50, 100, 200), 1.15
"""Labels, and up to which multiple of them a point of a curve counts."""


def main() -> None:
    print(markdown(["curves", *(f"{how}, {at} labels" for at in AT for how in ("crossed", "confidence"))], rows()))


def rows() -> list[list[str]]:
    """For each kind of curve, the mean difference in points and its standard deviation over points of curves."""
    found: dict[str, dict[tuple[int, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in json.loads(CURVES.read_text())["runs"]:
        crossed = {count: right for count, right, _ in run["crossed"]}
        for labels, truth, sure in zip(run["labels"], run["truth"], run["confidence"], strict=False):
            for at in AT:
                if at <= labels < UNTIL * at:
                    found[run["row"]][at, 0].append(100 * (crossed[labels] - truth))
                    found[run["row"]][at, 1].append(100 * (sure - truth))
    return [[row, *(spread(points[at, how]) for at in AT for how in (0, 1))] for row, points in found.items()]


if __name__ == "__main__":
    main()
