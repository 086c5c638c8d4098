"""Train the main network, and compute the features that refits work on."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.jobs.bench import Bench, Job, Step, backbone, follow, tidy
from pt4al_backend.ranking import wanted_rows
from pt4al_backend.store.checkpoints import save_arrays
from pt4al_backend.store.download import download
from pt4al_backend.store.tables import Project


def train_main(bench: Bench) -> Job:
    """Train the main network on every label there is; it takes office once the features it needs are there."""
    project = bench.project()
    started = max(time.time(), project.train_requested_at)  # clocks of two machines differ
    pool = bench.store.pool(project)
    pool_round = project.round
    labelled = np.flatnonzero(pool.target >= 0)
    pixels = bench.pixels(project)
    initial = yield from _initial_weights(bench, project)
    weights = yield from follow(
        learning.train_main(
            pixels,
            pool.row[labelled],
            pool.target[labelled],
            len(project.classes),
            recipe=bench.recipe(project, pool=len(pool)).main,
            init=initial,
            seed=bench.settings.seed + project.main_generation + 1,
            device=bench.device,
        ),
        f"training on {len(labelled)} labels",
        until=0.9,
    )
    generation = project.main_generation + 1
    name = f"main-{generation}"
    spec = weights.spec | {"classes": project.classes}
    bench.model_path(f"features-{name}.bin").unlink(missing_ok=True)  # left by a run that was killed
    save_arrays(bench.model_path(f"{name}.safetensors"), weights.arrays, spec)
    yield from _extract(
        bench, name, wanted_rows(bench.store.pool(project).in_batches(), project, bench.settings), since=0.9
    )
    bench.store.update(
        bench.project_id,
        main_generation=generation,
        main_labels=len(labelled),
        main_round=pool_round,
        main_started_at=started,
    )
    tidy(bench)


def _initial_weights(bench: Bench, project: Project) -> Generator[Step, None, learning.Weights | None]:
    if bench.settings.init == "pretext":
        return bench.weights(f"pretext-{project.pretext_generation}")
    if bench.settings.init == "scratch":
        return None
    source = bench.settings.imagenet_weights
    path = Path(source).expanduser()
    if source.startswith("https://"):
        path = bench.store.data_dir / "models" / "imagenet.safetensors"
        fetched = bench.threads.submit(download, source, path)
        while not fetched.done():
            wait([fetched], timeout=0.3)
            yield Step(0.0, "fetching ImageNet weights")
        fetched.result()
    return learning.load_imagenet(path)


def extract_features(bench: Bench, rows: NDArray[np.int64]) -> Job:
    """Compute features of the network in office for ``rows``."""
    yield from _extract(bench, backbone(bench.project()), rows)


def _extract(bench: Bench, name: str, rows: NDArray[np.int64], *, since: float = 0.0) -> Job:
    features = bench.features(name)
    done = 0
    chunks = learning.extract_features(bench.weights(name), bench.pixels(bench.project()), rows, device=bench.device)
    for chunk, values in chunks:
        features.write(chunk, values)
        done += len(chunk)
        yield Step(since + (1 - since) * done / len(rows), f"features of {done} of {len(rows)} images")
