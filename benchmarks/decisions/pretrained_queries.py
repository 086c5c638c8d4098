"""What should choose with a pretrained encoder? `balanced`, whole pool: ahead of `random` in all runs, best on average.

    python -m benchmarks.decisions.pretrained_queries [--tables neu_det_tuning,...] [--rows balanced,...] [--seeds 10]

Training images only, in the rounds of the tables for choosing in `accuracy_tables`. Images are embedded once and kept
in `build/embeddings`; after that a run takes seconds. Each seed labels a random 80 % of the pool with the query
strategies and the linear probe that ship. Shown is the area under the curve of accuracy (balanced accuracy unless
classes are balanced) in per cent, and its difference from `random`, paired by seed, with the standard error.

Rows such as `balanced, round_robin` add PT4AL's pretext loss to `balanced`. It is the loss of a linear rotation head on
the embeddings of the four rotations, which takes seconds to learn. In the row with `self-training`, the same images are
labelled as by `balanced`, and only the probe that is measured learns from its own sure predictions, too.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.accuracy import images
from benchmarks.accuracy_tables import TABLES, Table
from benchmarks.kept_runs import KeptRuns
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.labelling.single import error_of_one
from pt4al_backend.sampling import balanced, batches, coverage
from pt4al_backend.sampling.candidates import Candidates, Positions, random_key
from pt4al_backend.sampling.orders import Order
from pt4al_backend.sampling.strategies import find
from pt4al_backend.sampling.strategy import Strategy
from pt4al_backend.sampling.uncertainty import UNCERTAINTIES, softmax
from pt4al_backend.simulate.budget_curve import aubc

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "pretrained_queries.json", "python -m benchmarks.decisions.pretrained_queries"
)
EMBEDDED = Path(__file__).parents[2] / "build" / "embeddings"
TABLES_FOR_CHOOSING = {
    "cifar10_500_tuning": False,
    "cifar10_imbalanced_tuning": True,
    "caltech101_tuning": True,
    "neu_det_tuning": True,
    "brain_mri_tuning": True,
    "rsscn7_tuning": True,
    "cifar10_tuning": False,
}
"""Table -> whether its figure is balanced accuracy."""
SHARE = 0.8
"""Of the pool, which each seed draws."""
SELF_TRAINED, SURE = 3, 0.95
"""How often a probe is fitted again on its own predictions, and of which: those it gives this probability at least."""
SIDES = {"cifar10": 128}
"""Side in pixels of the encoder's inputs, where not its usual one: half of what ships, to save time."""


@dataclass(frozen=True)
class Pool:
    """Embeddings (n, D) with their classes (n,), to label and to measure on."""

    embeddings: np.ndarray
    targets: np.ndarray
    test_embeddings: np.ndarray
    test_targets: np.ndarray
    classes: int
    loss: np.ndarray | None = None
    """(n,) pretext losses, where a row needs them."""


@dataclass(frozen=True)
class Row:
    """What chooses, and from which images."""

    strategy: Strategy
    since: Callable[[int, np.ndarray], np.ndarray] | None = None
    """(rounds, pretext losses (n,)) -> the round from which on each image may be chosen."""
    once: bool = False
    """Whether it may be chosen in that round only."""
    self_training: bool = False
    """Whether the probe that is measured also learns from its own sure predictions of the pool."""


def _batches(rounds: int, loss: np.ndarray, *, order: Order) -> np.ndarray:
    """(n,) the batch of each image: one batch a round."""
    batch = np.empty(len(loss), dtype=np.int64)
    cut = batches.cut(len(loss), cycles=rounds, order=order, seed=0)
    batch[batches.hardest_first(loss, np.arange(len(loss)))] = cut
    return batch


def _first_batch(rounds: int, loss: np.ndarray, *, order: Order) -> np.ndarray:
    """Only the first batch at first, and then all images."""
    return np.minimum(_batches(rounds, loss, order=order), 1)


def _weighted(candidates: Candidates, n: int, *, power: float, fades: bool = False) -> Positions:
    """Balanced coverage in which hard images count more (`power` above 0) or less; less and less if this `fades`."""
    source = candidates.source
    assert isinstance(source, Source) and source.pool.loss is not None
    loss = source.pool.loss[candidates.pool_positions]
    if fades:
        power *= 1 / (1 + len(source.labelled) / (5 * source.pool.classes))
    return coverage.cover(
        candidates, balanced.value(candidates) * (loss / loss.mean()) ** power, n, width=balanced.WIDTH
    )


BALANCED = find("balanced", diversity="off", dense=False)
PLAIN = (
    *("random", "margin", "entropy", "badge", "typiclust", "tcm", "dropquery", "coverage", "maxherding"),
    "balanced",
)
ROWS: dict[str, Row] = {
    **{name: Row(find(name, diversity="off", dense=False)) for name in PLAIN},
    "balanced, round_robin": Row(BALANCED, partial(_batches, order="round_robin"), once=True),
    "balanced, hard_first": Row(BALANCED, partial(_batches, order="hard_first"), once=True),
    "balanced, round_robin, growing": Row(BALANCED, partial(_batches, order="round_robin")),
    "balanced, hard_first, growing": Row(BALANCED, partial(_batches, order="hard_first")),
    "balanced, first query of a batch": Row(BALANCED, partial(_first_batch, order="round_robin")),
    "balanced, first query of the hardest": Row(BALANCED, partial(_first_batch, order="hard_first")),
    "balanced, hard ones count more": Row(Strategy(partial(_weighted, power=0.5))),
    "balanced, easy ones count more": Row(Strategy(partial(_weighted, power=-0.5))),
    "balanced, hard ones at first": Row(Strategy(partial(_weighted, power=1.0, fades=True))),
    "balanced, easy ones at first": Row(Strategy(partial(_weighted, power=-1.0, fades=True))),
    "balanced with self-training": Row(BALANCED, self_training=True),
}


@dataclass(frozen=True)
class Source:
    """What a strategy asks for: `sampling.candidates.Source`."""

    pool: Pool
    labelled: np.ndarray
    head: learning.Head | None

    def embeddings(self, positions: np.ndarray) -> np.ndarray:
        return self.pool.embeddings[positions].astype(np.float32)

    def gradients(self, positions: np.ndarray) -> np.ndarray | None:
        return None if self.head is None else error_of_one(self.head.logits(self.pool.embeddings[positions]))

    def labelled_embeddings(self) -> np.ndarray:
        return self.embeddings(self.labelled)

    def out_of_fold_errors(self) -> tuple[np.ndarray, np.ndarray]:
        return np.empty(0, np.int64), np.empty(0)

    def predicted(self, positions: np.ndarray) -> np.ndarray | None:
        return self.predict(self.pool.embeddings[positions])

    def predict(self, embeddings: np.ndarray) -> np.ndarray | None:
        return None if self.head is None else self.head.logits(embeddings).argmax(axis=1)[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", help="comma-separated; all by default")
    parser.add_argument("--rows", help="separated by semicolons; all by default")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    rows = options.rows.split(";") if options.rows else list(ROWS)
    for name in options.tables.split(",") if options.tables else TABLES_FOR_CHOOSING:
        missing = [(row, k) for k in range(options.seeds) for row in rows if not RUNS.has(f"{name}: {row}", k)]
        if missing:
            embedded = Embedded(TABLES[name])
            for row, seed in missing:
                values = play(embedded.drawn(seed, loss=_needs_loss(row)), ROWS[row], TABLES[name], seed)
                RUNS.add({"row": f"{name}: {row}", "seed": seed, **values})
    show()


def _needs_loss(row: str) -> bool:
    return "," in row


class Embedded:
    """The embeddings of a table's images, kept in a file.

    The encoder sees them at `side` px, by default as in this decision; 0: as it usually does.
    """

    def __init__(self, table: Table, side: int | None = None) -> None:
        self._pool, self._test = images(table.data)
        self._side = SIDES.get(table.data.partition("-")[0], 0) if side is None else side
        self._loss: dict[int, np.ndarray] = {}

    def drawn(self, seed: int, *, loss: bool) -> Pool:
        """What this seed labels and measures."""
        pool, test = self._kept(self._pool), self._kept(self._test)
        members = np.random.default_rng(seed).permutation(len(pool))[: round(SHARE * len(pool))]
        if loss and seed not in self._loss:
            turned = [pool, *(self._kept(self._pool, turns=k) for k in (1, 2, 3))]
            self._loss[seed] = pretext_losses(np.stack(turned, axis=1)[members], seed)
        return Pool(
            pool[members],
            self._pool.targets[members],
            test,
            self._test.targets,
            len(self._pool.classes),
            self._loss.get(seed),
        )

    def _kept(self, these: LabelledImages, turns: int = 0) -> np.ndarray:
        path = EMBEDDED / f"{these.digest}-{self._side}-{turns}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, embedded(these, self._side, turns))
        return np.load(path)


def embedded(these: LabelledImages, side: int, turns: int) -> np.ndarray:
    """Embeddings (n, D) of images that are turned by `turns` quarters."""
    encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=_no_network, dense=False, input_size=side)
    parts, step = [], 32
    for start in range(0, len(these), step):
        pixels = [_pixels(these.read(k), encoder.input_size) for k in range(start, min(start + step, len(these)))]
        parts.append(encoder.embed_pixels(np.rot90(np.stack(pixels), turns, axes=(1, 2)).copy(), device="cpu")[0])
    return np.concatenate(parts)


def _pixels(file: bytes, side: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def _no_network(name: str) -> learning.Weights:
    raise SystemExit(f"{name} belongs to a project.")


def pretext_losses(turned: np.ndarray, seed: int) -> np.ndarray:
    """(n,) the mean loss over four rotations, embedded as (n, 4, D), of rotation heads fitted on the other half."""
    n, _, width = turned.shape
    half, output = np.random.default_rng(seed).permutation(n) % 2, learning.Output(learning.SINGLE, 4)
    losses = np.empty(n)
    for k in (0, 1):
        train = half != k
        targets = np.tile(np.arange(4), int(train.sum()))
        features = turned[train].reshape(-1, width)
        logits = learning.fit_head(features, targets, output, pool=features).logits(turned[~train])
        logs = (
            logits
            - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
            - logits.max(-1, keepdims=True)
        )
        losses[~train] = -logs[:, np.arange(4), np.arange(4)].mean(axis=1)
    return losses


def play(pool: Pool, row: Row, table: Table, seed: int) -> dict[str, object]:
    """Accuracy and balanced accuracy after each round."""
    accuracy, balanced_accuracy = [], []
    for labelled, head in label_in_rounds(pool, row, table, seed):
        measured = self_trained(head, pool, labelled) if row.self_training else head
        correct = measured.logits(pool.test_embeddings).argmax(axis=1) == pool.test_targets
        accuracy.append(round(float(correct.mean()), 4))
        each = [correct[pool.test_targets == target].mean() for target in np.unique(pool.test_targets)]
        balanced_accuracy.append(round(float(np.mean(each)), 4))
    return {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy}


def label_in_rounds(pool: Pool, row: Row, table: Table, seed: int) -> Iterator[tuple[np.ndarray, learning.Head]]:
    """After each round the images with labels, those of the first query first, and the probe."""
    n, rounds = len(pool.targets), table.rounds or table.cycles
    since: np.ndarray = np.zeros(n, np.int64)
    if row.since is not None:
        assert pool.loss is not None
        since = row.since(rounds, pool.loss)
    labelled = np.zeros(n, dtype=bool)
    order: np.ndarray = np.empty(0, np.int64)
    head: learning.Head | None = None
    for k in range(rounds):
        members = np.flatnonzero(((since == k) if row.once else (since <= k)) | labelled)
        candidates = candidates_of(pool, members, labelled, Source(pool, order, head), row.strategy, table, k, seed)
        query = candidates.serving_order(row.strategy.query_of(k)(candidates, table.query_size))[: table.query_size]
        order = np.concatenate([order, members[query]])
        labelled[order] = True
        output = learning.Output(learning.SINGLE, pool.classes)
        head = learning.fit_head(pool.embeddings[order], pool.targets[order], output, pool=pool.embeddings)
        yield order, head


def self_trained(head: learning.Head, pool: Pool, labelled: np.ndarray) -> learning.Head:
    """A probe on the labels, and on its own predictions of the images about which it is sure."""
    output = learning.Output(learning.SINGLE, pool.classes)
    for _ in range(SELF_TRAINED):
        probabilities = softmax(head.logits(pool.embeddings))
        believed, sure = probabilities.argmax(axis=1), probabilities.max(axis=1) >= SURE
        believed[labelled], sure[labelled] = pool.targets[labelled], True
        used = np.flatnonzero(sure)
        head = learning.fit_head(pool.embeddings[used], believed[used], output, pool=pool.embeddings)
    return head


def candidates_of(
    pool: Pool,
    members: np.ndarray,
    labelled: np.ndarray,
    source: Source,
    strategy: Strategy,
    table: Table,
    round: int,
    seed: int,
) -> Candidates:
    uncertainty: np.ndarray = np.full(len(members), np.nan)
    if source.head is not None:
        measure = UNCERTAINTIES[strategy.uncertainty or "margin"]
        uncertainty = measure(source.head.logits(pool.embeddings[members]))
    return Candidates(
        pool_positions=members,
        batch=np.zeros_like(members),
        rank=members,
        uncertainty=uncertainty,
        random_key=random_key(members + 1, seed=seed),
        open=~labelled[members],
        query_size=table.query_size,
        round=round,
        seed=seed,
        source=source,
    )


def show() -> None:
    names = [name for name in TABLES_FOR_CHOOSING if any(run["row"].startswith(name) for run in RUNS.all())]
    rows = []
    for row in ROWS:
        cells, won, runs = [], 0, 0
        for name in names:
            own, other = _areas(name, row), _areas(name, "random")
            differences = np.array([own[seed] - other[seed] for seed in own.keys() & other.keys()])
            won, runs = won + int((differences > 0).sum()), runs + len(differences)
            cells.append(_cell(list(own.values()), differences if row != "random" else differences[:0]))
        if any(cells):
            rows.append([row, *cells, f"{won / runs:.0%} of {runs}" if row != "random" and runs else ""])
    RUNS.write_table(["query strategy", *(name.removesuffix("_tuning") for name in names), "won"], rows)


def _areas(name: str, row: str) -> dict[int, float]:
    """Seed -> area under the curve in per cent."""
    figure = "balanced_accuracy" if TABLES_FOR_CHOOSING[name] else "accuracy"
    size = TABLES[name].query_size
    return {
        run["seed"]: aubc([size * (k + 1) for k in range(len(run[figure]))], [100 * value for value in run[figure]])
        for run in RUNS.of(f"{name}: {row}")
    }


def _cell(values: list[float], differences: np.ndarray) -> str:
    if not values:
        return ""
    mean = f"{np.mean(values):.1f}"
    if len(differences) < 2:
        return mean
    return f"{mean} ({differences.mean():+.1f} ± {differences.std(ddof=1) / len(differences) ** 0.5:.1f})"


if __name__ == "__main__":
    main()
