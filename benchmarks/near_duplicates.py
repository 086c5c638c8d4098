"""Photographs: 99.5 % of groups found, 2.6 % of pairs false; aerial scenes: 82 %, under 0.1 %; steel: mostly none.

    python -m benchmarks.near_duplicates [--seeds 3] [--sets neu_det,...] [--kinds all]
    python -m benchmarks.near_duplicates --choose | --cost | --sheet SET

Of each set, 200 images are hidden among the others with five copies each, made by `hidden_copies`: with all changes at
once ("all"), or with one change each ("one"). A group is found if its six images are in one group. Pairs of other
images that are in one group were looked at, one by one: most are near-duplicates that the set has held all along, and
the others, those in `results/near_duplicates_different.json`, are the false pairs. There, other colours of one product,
and drawings of one symbol, count as false. The threshold and everything else was chosen on other images (`--choose`),
`MATCHING` on those and on handwritten digits.

The other rows are simpler ways to find pairs, with the threshold that was best on the images for choosing, by the F1
score of pairs. Their false pairs are those that are neither copies nor in a group of `near_duplicates`.
"""

from __future__ import annotations

import argparse
import io
import json
import tracemalloc
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from benchmarks.hidden_copies import CHOOSING, KEPT, KINDS, REPORTED, Images, images_of
from benchmarks.kept_runs import KeptRuns, timed
from benchmarks.tables import spread
from pt4al_backend.assessment import duplicates
from pt4al_backend.assessment.neighbours import nearest
from pt4al_backend.assessment.principal_components import PrincipalComponents

T = TypeVar("T")

RESULTS = Path(__file__).parent / "results"
RUNS = KeptRuns(RESULTS / "near_duplicates.json", "python -m benchmarks.near_duplicates")
DIFFERENT = RESULTS / "near_duplicates_different.json"
"""Set -> pairs of its images, by position, that were grouped and do not look like near-duplicates."""
NO_VIDEO = ("caltech101-half", "cifar10-training", "bccd")
"""Sets for choosing, without CamVid, of which nobody can say which frames are near-duplicates."""
COPIED = ("all", "one")
"""Kinds of copies that are grouped; `mirrored` ones are added to the first kind, and reported by themselves."""


@dataclass(frozen=True)
class Pool:
    """A set and its copies, together n images."""

    embeddings: np.ndarray
    pixels: np.ndarray
    family: np.ndarray
    """(n,) the position in the set of each one, or of what it is a copy of."""
    copies: np.ndarray
    """(copied, 6) positions here of the images that belong together."""
    mirrored: np.ndarray
    """(copied,) positions of mirrored copies; empty if there are none."""

    @classmethod
    def of(cls, images: Images, kind: str, seed: int) -> Pool:
        originals, files = images.originals(seed), [images.copies(kind, seed)]
        if kind == COPIED[0]:
            files.append(images.copies("mirrored", seed))
        family = [np.arange(images.n), *(np.repeat(originals, len(KINDS[name])) for name in (kind, "mirrored"))]
        parts, n = [images, *files], images.n
        copies = n + np.arange(files[0].n).reshape(len(originals), -1)
        return cls(
            np.concatenate([part.embeddings for part in parts]),
            np.concatenate([part.pixels(images.side) for part in parts]),
            np.concatenate(family[: len(parts)]),
            np.concatenate([originals[:, None], copies], axis=1),
            n + files[0].n + np.arange(files[1].n if len(files) > 1 else 0),
        )

    @cached_property
    def descriptors(self) -> np.ndarray:
        return at_once(duplicates.descriptors(self.embeddings, np.arange(len(self.family)), self.pixels.__getitem__))


Unit = Callable[[Pool], np.ndarray]
"""The vectors that are compared by cosine."""


def plain(pool: Pool) -> np.ndarray:
    return _unit(pool.embeddings.astype(np.float32))


def centred(pool: Pool) -> np.ndarray:
    values = pool.embeddings.astype(np.float32)
    return _unit(values - values.mean(axis=0))


def whitened(pool: Pool) -> np.ndarray:
    return PrincipalComponents.of(pool.embeddings, duplicates.OF_EMBEDDINGS).whitened(pool.embeddings)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Scores:
    """Pairs (p, 2) that may be near-duplicates, and (p,) how much speaks for it."""

    pairs: np.ndarray
    values: np.ndarray

    def groups(self, n: int, threshold: float) -> np.ndarray:
        """(n,) as `near_duplicates`."""
        kept = self.values >= threshold
        return duplicates.stars(n, self.pairs[kept], self.values[kept])


def by_cosine(unit: Unit) -> Callable[[Pool], Scores]:
    def scores(pool: Pool) -> Scores:
        near, similarity = nearest(unit(pool), duplicates.NEIGHBOURS)
        pairs = np.sort(np.stack([np.repeat(np.arange(len(near)), near.shape[1]), near.ravel()], axis=1), axis=1)
        pairs, first = np.unique(pairs, axis=0, return_index=True)
        return Scores(pairs, similarity.ravel()[first])

    return scores


def by_excess(pool: Pool) -> Scores:
    return Scores(*duplicates.similar_pairs(nearest(pool.descriptors, duplicates.NEIGHBOURS)))


SIMPLER: dict[str, Callable[[Pool], Scores]] = {
    "cosine": by_cosine(plain),
    "cosine, centred": by_cosine(centred),
    "cosine, whitened": by_cosine(whitened),
    "cosine, whitened, with thumbnails": by_cosine(lambda pool: pool.descriptors),
    "the same, beyond the neighbourhood": by_excess,
}
SHIPS = "`near_duplicates`: pictures laid over each other, too"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", help="comma-separated; all reported ones by default")
    parser.add_argument("--kinds", default=",".join(COPIED), help="comma-separated; both by default")
    parser.add_argument("--choose", action="store_true", help="show the images for choosing instead; nothing is kept")
    parser.add_argument("--cost", action="store_true", help="show seconds and memory instead; nothing is kept")
    parser.add_argument("--sheet", metavar="SET", help="draw all pairs of other images that were grouped, to look at")
    options = parser.parse_args()
    if options.choose:
        choose()
        return
    if options.cost:
        cost()
        return
    if options.sheet:
        draw(options.sheet)
        return
    thresholds: dict[str, float] = {}
    for name in options.sets.split(",") if options.sets else REPORTED:
        images = images_of(name)
        for kind, seed in ((kind, seed) for seed in range(options.seeds) for kind in options.kinds.split(",")):
            if RUNS.has(f"{name}: {kind}: {SHIPS}", seed):
                continue
            thresholds = thresholds or best_thresholds()
            measure(images, kind, seed, thresholds)
    show()


def choose() -> None:
    for name in CHOOSING:
        for kind in COPIED:
            pool = Pool.of(images_of(name), kind, 0)
            print(name, kind, figures(pool, near_duplicates(pool)), flush=True)
    print(best_thresholds())


def cost() -> None:
    """Seconds of processor time and memory beside embeddings and pixels, of photographs and copies of them."""
    pools = [Pool.of(images_of(name), COPIED[0], 0) for name in ("caltech101-half", "caltech101")]
    embeddings, pixels = (np.concatenate([getattr(pool, part) for pool in pools]) for part in ("embeddings", "pixels"))
    mixed = np.random.default_rng(0).permutation(len(embeddings))
    for n in (2_500, 5_000, 10_000):
        these = mixed[:n]
        part, seen = embeddings[these], pixels[these]
        tracemalloc.start()
        _, seconds = timed(lambda part=part, seen=seen: at_once(duplicates.near_duplicates(part, seen.__getitem__)))
        print(f"{n} images: {seconds:.1f} s, {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB at most", flush=True)
        tracemalloc.stop()


def best_thresholds() -> dict[str, float]:
    """Of the simpler ways: the threshold with the best mean F1 score of pairs on the sets for choosing."""
    pools = [Pool.of(images_of(name), COPIED[0], 0) for name in NO_VIDEO]
    best = {}
    for row, score in SIMPLER.items():
        scores = [score(pool) for pool in pools]
        tried = np.quantile(np.concatenate([each.values for each in scores]), np.linspace(0.5, 0.999, 60))
        f1 = [
            np.mean([_f1(pool, each.groups(len(pool.family), t)) for pool, each in zip(pools, scores, strict=True)])
            for t in tried
        ]
        best[row] = float(tried[int(np.argmax(f1))])
    return best


def _f1(pool: Pool, middle: np.ndarray) -> float:
    found, right = _pairs(middle), _pairs(middle * (len(middle) + 1) + pool.family)
    return 2 * right / (found + _pairs(pool.family))


def _pairs(values: np.ndarray) -> int:
    """How many pairs have the same value."""
    _, counts = np.unique(values, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def near_duplicates(pool: Pool) -> np.ndarray:
    return at_once(duplicates.near_duplicates(pool.embeddings, pool.pixels.__getitem__))


def at_once(work: Generator[float, None, T]) -> T:
    """What the work returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def measure(images: Images, kind: str, seed: int, thresholds: dict[str, float]) -> None:
    pool = Pool.of(images, kind, seed)
    middle, seconds = timed(near_duplicates, pool)
    known = {tuple(pair[:2]) for pair in joined(pool, middle)}
    for row, score in SIMPLER.items():
        groups = score(pool).groups(len(pool.family), thresholds[row])
        others = [pair for pair in joined(pool, groups) if tuple(pair[:2]) not in known]
        values = figures(pool, groups) | {"threshold": round(thresholds[row], 3), "unknown": sum(c for *_, c in others)}
        RUNS.add({"row": f"{images.name}: {kind}: {row}", "seed": seed, **values})
    values = figures(pool, middle) | {"seconds": round(seconds, 1), "others": joined(pool, middle)}
    RUNS.add({"row": f"{images.name}: {kind}: {SHIPS}", "seed": seed, **values})


def figures(pool: Pool, middle: np.ndarray) -> dict[str, Any]:
    """Shares of groups, pairs and mirrored copies that are found, pairs in groups, and the largest group."""
    together = middle[pool.copies]
    values: dict[str, Any] = {
        "images": len(middle),
        "groups": round(float((together == together[:, :1]).all(axis=1).mean()), 4),
        "pairs": round(float(np.mean([_pairs(row) / 15 for row in together])), 4),
        "in_groups": _pairs(middle),
        "largest": int(np.bincount(middle).max()),
    }
    if len(pool.mirrored):
        values["mirrored"] = round(float((middle[pool.mirrored] == middle[pool.copies[:, 0]]).mean()), 4)
    return values


def joined(pool: Pool, middle: np.ndarray) -> list[list[int]]:
    """Pairs of different images of the set that, or whose copies, are in one group; and how many pairs that makes."""
    counts: dict[tuple[int, int], int] = {}
    order = np.argsort(middle, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(middle[order])) + 1):
        families, sizes = np.unique(pool.family[group], return_counts=True)
        for a in range(len(families)):
            for b in range(a):
                pair = int(families[b]), int(families[a])
                counts[pair] = counts.get(pair, 0) + int(sizes[a] * sizes[b])
    return [[*pair, count] for pair, count in sorted(counts.items())]


def show() -> None:
    rows = []
    for name in REPORTED:
        for kind in COPIED:
            for row in (SHIPS, *SIMPLER):
                if runs := RUNS.of(f"{name}: {kind}: {row}"):
                    rows.append([name, kind, row, str(len(runs)), *_cells(name, runs)])
    head = [
        "images",
        "copies",
        "how",
        "n",
        "groups found, %",
        "pairs found, %",
        "false pairs, %",
        "largest",
        "mirrored, %",
    ]
    RUNS.write_table(head, rows)


def _cells(name: str, runs: list[dict[str, Any]]) -> list[str]:
    judged: dict[str, list[list[int]]] = json.loads(DIFFERENT.read_text()) if DIFFERENT.exists() else {}
    different = {tuple(pair) for pair in judged.get(name, [])}
    wrong = [
        run["unknown"] if "unknown" in run else sum(count for *pair, count in run["others"] if tuple(pair) in different)
        for run in runs
    ]
    false = [100 * each / max(run["in_groups"], 1) for each, run in zip(wrong, runs, strict=True)]
    found = [spread([100 * run[of] for run in runs]) for of in ("groups", "pairs")]
    mirrored = [100 * run["mirrored"] for run in runs if "mirrored" in run]
    return [
        *found,
        spread(false) if name in judged else "not looked at",
        str(max(run["largest"] for run in runs)),
        spread(mirrored) if mirrored else "",
    ]


def draw(name: str) -> None:
    """All pairs of other images in the kept runs of a set, numbered as in `results/near_duplicates.json`, in sheets."""
    images, side, across, down = images_of(name), 96, 7, 14
    runs = [run for kind in COPIED for run in RUNS.of(f"{name}: {kind}: {SHIPS}")]
    pairs = sorted({tuple(pair[:2]) for run in runs for pair in run["others"]})
    for start in range(0, len(pairs), across * down):
        sheet = Image.new("RGB", (across * (2 * side + 8), down * (side + 14)), "white")
        for place, pair in enumerate(pairs[start : start + across * down]):
            left, top = place % across * (2 * side + 8), place // across * (side + 14)
            for column, position in enumerate(pair):
                picture = Image.open(io.BytesIO(images.read(position))).convert("RGB")
                sheet.paste(ImageOps.contain(picture, (side, side)), (left + column * side, top))
            ImageDraw.Draw(sheet).text((left, top + side), f"{pair[0]}, {pair[1]}", fill="black")
        path = KEPT / f"sheet-{name}-{start // (across * down)}.png"
        sheet.save(path)
        print(path)


if __name__ == "__main__":
    main()
