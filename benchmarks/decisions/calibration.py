"""Are the shown probabilities honest? Within 2 to 11 points after 20 labels of a class; cooling takes 2.0 off.

    python -m benchmarks.decisions.calibration [--tables neu_det_tuning,...] [--seeds 5]

Training images only: those of the tables for choosing in `accuracy_tables`, which the default encoder sees at 224 px.
Each seed labels a random 80 % of the pool in queries of as many images as there are classes. The linear probe that
ships is measured on the other part of the table, with its cross-validated temperature and without:

* ECE: the expected calibration error of the predicted class in 15 equal bins, in per cent ("On Calibration of Modern
  Neural Networks", Guo et al., ICML 2017, equation 3). `by chance` is what probabilities would have that are right on
  average, since the measured images are few: 200 draws of whether each prediction is right.
* NLL: the mean negative log-likelihood of the true class (natural logarithm).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scipy.special import log_softmax

from benchmarks.accuracy_tables import TABLES
from benchmarks.decisions.pretrained_queries import ROWS, Embedded, Pool, label_in_rounds
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.learning import linear_probe

RUNS = KeptRuns(Path(__file__).parent / "results" / "calibration.json", "python -m benchmarks.decisions.calibration")
CHOSEN = ("cifar10_500_tuning", "neu_det_tuning", "brain_mri_tuning", "rsscn7_tuning")
STRATEGIES = ("balanced", "random")
PER_CLASS = (1, 2, 5, 10, 20)
"""Labels, divided by the number of classes."""
BINS = 15
DRAWS = 200


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """In per cent, from the probability (n,) of the predicted class and whether it is right, (n,)."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, right, minlength=BINS) - np.bincount(bins, confidence, minlength=BINS)
    return 100 * float(np.abs(gaps).sum()) / len(confidence)


def by_chance(confidence: np.ndarray, seed: int) -> float:
    """The calibration error to expect of probabilities that are right on average."""
    right = np.random.default_rng(seed).random((DRAWS, len(confidence))) < confidence
    return float(np.mean([calibration_error(confidence, each) for each in right]))


def figures(head: learning.Head, pool: Pool) -> dict[str, float]:
    """Of the images to measure on."""
    logs = log_softmax(head.logits(pool.test_embeddings).astype(np.float64), axis=1)
    confidence, right = np.exp(logs.max(axis=1)), logs.argmax(axis=1) == pool.test_targets
    found = {
        "accuracy": 100 * right.mean(),
        "confidence": 100 * confidence.mean(),
        "ece": calibration_error(confidence, right),
        "by_chance": by_chance(confidence, seed=0),
        "nll": -logs[np.arange(len(logs)), pool.test_targets].mean(),
    }
    return {name: round(float(value), 3) for name, value in found.items()}


def measured(pool: Pool, strategy: str, table: str, seed: int) -> list[dict[str, Any]]:
    """What is known after each number of labels in `PER_CLASS`."""
    rounds = replace(TABLES[table], query_size=pool.classes, cycles=max(PER_CLASS))
    output, found = learning.Output(learning.SINGLE, pool.classes), []
    for k, (order, head) in enumerate(label_in_rounds(pool, ROWS[strategy], rounds, seed), start=1):
        if k in PER_CLASS:
            with mock.patch.object(linear_probe, "temperature", lambda *_: 1.0):
                hot = learning.fit_head(pool.embeddings[order], pool.targets[order], output, pool=pool.embeddings)
            temperature = round(float(np.linalg.norm(hot.weight) / np.linalg.norm(head.weight)), 3)
            both = {"with": figures(head, pool), "without": figures(hot, pool)}
            found.append({"per_class": k, "labels": len(order), "temperature": temperature, **both})
    return found


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(CHOSEN), help="comma-separated")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for name in options.tables.split(","):
        rows = {f"{name}: {strategy}": strategy for strategy in STRATEGIES}
        missing = [(row, seed) for seed in range(options.seeds) for row in rows if not RUNS.has(row, seed)]
        embedded = Embedded(TABLES[name], side=0) if missing else None
        for row, seed in missing:
            assert embedded is not None
            pool = embedded.drawn(seed, loss=False)
            RUNS.add({"row": row, "seed": seed, "after": measured(pool, rows[row], name, seed)})
    show()


def show() -> None:
    table = []
    for row in dict.fromkeys(run["row"] for run in RUNS.all()):
        runs = RUNS.of(row)
        for k, per_class in enumerate(PER_CLASS):
            after = [run["after"][k] for run in runs]
            table.append(
                [
                    row.replace("_tuning", ""),
                    str(per_class),
                    str(len(runs)),
                    spread([each["with"]["accuracy"] for each in after]),
                    spread([each["with"]["confidence"] for each in after]),
                    *(spread([each[which]["ece"] for each in after]) for which in ("with", "without")),
                    f"{np.mean([each['with']['by_chance'] for each in after]):.1f}",
                    *(spread([each[which]["nll"] for each in after], 2) for which in ("with", "without")),
                    spread([each["temperature"] for each in after], 2),
                ]
            )
    head = ["set, strategy", "labels of a class", "n", "accuracy, %", "confidence, %"]
    ece = ["ECE, %", "without temperature", "by chance"]
    RUNS.write_table([*head, *ece, "NLL", "without temperature", "temperature"], table)


if __name__ == "__main__":
    main()
