"""How fast are the steps of PT4AL, compared with the published code? The same images, machine and run, on a CPU.

    pip install opencv-python-headless
    python -m benchmarks.published_code [--images 5000] [--repeats 1] [--output FILE]

The published code (https://github.com/johnsk95/PT4AL, read at 9a0da4a) is reimplemented here step by step: every step
decodes the image files again, each rotation is a pass of its own, images outside training are processed one at a time,
and losses are sorted as text. Omitted are its progress bars, accuracy counts, checkpoints and the evaluation after each
epoch, all of which would cost it time. Its ResNet-18 is the one of the preset `paper`. The preset `fast` trains a
smaller network, so it does not do the same work.

Steps, for the first N training images of CIFAR-10 in ten batches:

* decoding: every image, once, into the pixel store.
* pretext_epoch: one epoch of rotation training, including set-up and checkpoints.
* losses_and_batches: the pretext loss of every image, sorted and cut.
* sampling: from a trained main network to the query from one batch (a tenth of N), in round 1. Ours also computes the
  embeddings of the labelled images, fits the linear probe and ranks the pool. Networks have random weights, because the
  time does not depend on them.

All steps are linear in N, apart from a second or less of start-up. An epoch of the published code needs about 5 GB.
Each figure is saved immediately, so a command can be stopped and repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2  # the published code reads images with it
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks import datasets
from benchmarks.by_hand import finish, settings_of
from pt4al_backend import learning
from pt4al_backend.active_learning.fit_probes import fit_and_predict
from pt4al_backend.active_learning.rank_pool import rank
from pt4al_backend.active_learning.schedule import schedule
from pt4al_backend.active_learning.training_data import ProbeInputs
from pt4al_backend.labelling.label_types import LABEL_TYPES
from pt4al_backend.labelling.questions import Question
from pt4al_backend.learning.networks import initialised, network_spec, to_weights
from pt4al_backend.sampling import batches
from pt4al_backend.sampling.orders import Order
from pt4al_backend.simulate.results import environment
from pt4al_backend.store.checkpoints import CheckpointFile
from pt4al_backend.store.decode import decode
from pt4al_backend.store.embedding_file import EmbeddingFile
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

SIDE, CYCLES, CLASSES, ROTATIONS = 32, 10, 10, 4
DEVICE = "cpu"
WRITTEN_AT_ONCE = 64  # images, as the worker does
STEPS = ("decoding", "pretext_epoch", "losses_and_batches", "sampling")
SIDES = ("published", "paper", "fast")


@dataclass(frozen=True)
class Pool:
    """The images as files, and a directory for output. Sampling assumes that they are sorted, the hardest first."""

    files: list[Path]
    targets: NDArray[np.int64]
    directory: Path

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return len(self.files) // CYCLES

    @property
    def query(self) -> int:
        """A fifth of a batch, as published."""
        return max(self.batch // 5, 1)


class Files(Dataset[tuple[Any, ...]]):
    """Image files, decoded on every access; `rotated`: in four rotations, shuffled, with their labels."""

    def __init__(self, files: Sequence[Path], *, rotated: bool) -> None:
        self._files, self._rotated = files, rotated
        normalise = transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
        self._transform = transforms.Compose([transforms.ToTensor(), normalise])

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, position: int) -> tuple[Any, ...]:
        file = self._files[position]
        image = self._transform(Image.fromarray(cv2.imread(str(file))))
        if not self._rotated:
            return image, file.name
        turns = random.sample(range(ROTATIONS), ROTATIONS)
        return [torch.rot90(image, turn, (1, 2)) for turn in turns], turns, file.name


class Published:
    """The steps of the published code."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def pretext_epoch(self) -> None:
        network = _network("resnet18", 64, outputs=ROTATIONS).train()
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        images = Files(self._pool.files, rotated=True)
        for views, turns, _ in DataLoader(images, batch_size=256, shuffle=True, num_workers=2):
            optimiser.zero_grad()
            loss = _rotation_loss(network, views, turns)
            loss.backward()
            optimiser.step()
            loss.item()

    def losses_and_batches(self) -> None:
        network = _network("resnet18", 64, outputs=ROTATIONS).eval()
        images = Files(self._pool.files, rotated=True)
        with tempfile.TemporaryDirectory(dir=self._pool.directory) as directory, torch.no_grad():
            loss_file = Path(directory) / "losses.txt"
            for views, turns, (name,) in DataLoader(images, batch_size=1, num_workers=2):
                loss = _rotation_loss(network, views, turns).item()
                with loss_file.open("a") as file:
                    file.write(f"{loss}_{name}\n")
            losses, names = zip(*(line.split("_") for line in loss_file.read_text().splitlines()), strict=True)
            hardest_first = np.argsort(np.array(losses))[::-1]  # as text
            for batch in range(CYCLES):
                for k in hardest_first[batch * self._pool.batch :][: self._pool.batch]:
                    with (Path(directory) / f"batch_{batch}.txt").open("a") as file:
                        file.write(f"{names[k]}\n")

    def sampling(self) -> None:
        network = _network("resnet18", 64, outputs=CLASSES).eval()
        batch = self._pool.files[self._pool.batch :][: self._pool.batch]
        confidence = []
        with torch.no_grad():
            for image, _ in DataLoader(Files(batch, rotated=False), batch_size=1, num_workers=2):
                probabilities = F.softmax(F.normalize(network(image)[0], dim=1), dim=1)
                confidence.append(probabilities.max().item())
        query = [batch[k] for k in np.argsort(confidence)[: self._pool.query]]
        assert len(query) == self._pool.query


class Ours:
    """The steps of the worker."""

    def __init__(self, pool: Pool, preset: str, pixels: PixelStore) -> None:
        n = len(pool.files)
        self._pool, self._pixels, self._rows = pool, pixels, np.arange(n)
        self._recipe = learning.recipes(preset, device=DEVICE, pool=n, image_size=SIDE)
        self._settings = settings_of(preset=preset, cycles=CYCLES)
        self._order: Order = "hard_first" if preset == "paper" else "round_robin"

    def decoding(self) -> None:
        with tempfile.TemporaryDirectory(dir=self._pool.directory) as directory:
            fill(PixelStore(Path(directory), size=SIDE), self._pool.files)

    def pretext_epoch(self) -> None:
        recipe = replace(self._recipe.pretext, epochs=1, least_steps=0, most_steps=2**31)
        with tempfile.TemporaryDirectory(dir=self._pool.directory) as directory:
            checkpoint = CheckpointFile(Path(directory) / "checkpoint.safetensors")
            finish(
                learning.train_pretext(
                    self._pixels, self._rows, recipe=recipe, seed=0, device=DEVICE, checkpoint=checkpoint
                )
            )

    def losses_and_batches(self) -> None:
        recipe = self._recipe.pretext
        weights = _weights(recipe.network, recipe.width, outputs=ROTATIONS)
        losses = finish(learning.pretext_losses(weights, self._pixels, self._rows, device=DEVICE))
        batch = np.empty_like(self._rows)
        hardest_first = batches.hardest_first(losses, self._rows)
        batch[hardest_first] = batches.cut(len(self._rows), cycles=CYCLES, order=self._order, seed=0)

    def sampling(self) -> None:
        weights = _weights(self._recipe.main.network, self._recipe.main.width, outputs=CLASSES)
        pool = self._in_round_one()
        rows = np.flatnonzero((pool.batch == 1) | pool.labelled)
        question = Question("class", LABEL_TYPES["single"], datasets.CIFAR_CLASSES)
        answers = {
            int(pool.task[k]): {"class": question.classes[self._pool.targets[k]]} for k in np.flatnonzero(pool.labelled)
        }
        project = Project(cycles=CYCLES, query_size=self._pool.query)
        with tempfile.TemporaryDirectory(dir=self._pool.directory) as directory:
            features = EmbeddingFile(
                Path(directory) / "features.bin", width=learning.network_encoder(weights).dimension
            )
            for chunk, values, _ in learning.network_encoder(weights).embed(self._pixels, rows, device=DEVICE):
                features.write(chunk, values)
            sources = ProbeInputs(features, None, None, answers, None, background=True)
            predictions = fit_and_predict(pool, [question], sources, uncertainty=self._settings.measure)
            ranked = rank(pool, predictions, schedule(pool, project, self._settings), self._settings)
        assert ranked.round == 1
        assert len(ranked.window.picks) >= self._pool.query

    def _in_round_one(self) -> PoolArrays:
        """The pool when the query of batch 0 is labelled."""
        n = len(self._rows)
        batch = np.minimum(self._rows // self._pool.batch, CYCLES - 1)
        labelled = np.zeros(n, dtype=bool)
        labelled[np.linspace(0, self._pool.batch - 1, self._pool.query).astype(np.int64)] = True
        return PoolArrays(
            task=self._rows + 1,
            row=self._rows,
            loss=np.linspace(2, 0, n, dtype=np.float64),
            batch=batch,
            rank=self._rows,
            labelled=labelled,
            skipped=np.zeros(n, dtype=bool),
            held_out=np.zeros(n, dtype=bool),
        )


class Figures:
    """Seconds by step and side, in a file. Figures of another set-up are rejected."""

    def __init__(self, path: Path, setup: dict[str, Any]) -> None:
        self._path = path
        self.steps: dict[str, dict[str, dict[str, Any]]] = {}
        self._setup = setup
        if path.exists():
            saved = json.loads(path.read_text())
            if self._comparable(saved) != self._comparable(setup):
                sys.exit(f"{path} was measured with other images, threads or versions: choose another --output.")
            self.steps = saved["seconds"]

    def count(self, step: str, side: str) -> int:
        """How often a step was measured."""
        return self.steps.get(step, {}).get(side, {}).get("n", 0)

    def add(self, step: str, side: str, seconds: float) -> None:
        """Save a figure. It is on disk when this returns."""
        runs = [*self.steps.get(step, {}).get(side, {}).get("runs", []), round(seconds, 3)]
        cell = {"n": len(runs), "median": round(statistics.median(runs), 3), "runs": runs}
        self.steps.setdefault(step, {})[side] = cell
        unfinished = self._path.with_suffix(".tmp")
        unfinished.write_text(json.dumps({**self._setup, "seconds": self.steps}, indent=1) + "\n")
        unfinished.replace(self._path)

    @staticmethod
    def _comparable(setup: dict[str, Any]) -> dict[str, Any]:
        machine = {name: value for name, value in setup["environment"].items() if name != "date"}
        return {**{name: setup[name] for name in ("images", "sampling_images", "sampling_labels")}, **machine}


def fill(store: PixelStore, files: Sequence[Path]) -> None:
    """Decode all files into the store."""
    for start in range(0, len(files), WRITTEN_AT_ONCE):
        part = files[start : start + WRITTEN_AT_ONCE]
        pixels = np.stack([decode(file.read_bytes(), size=SIDE) for file in part])
        store.write(np.arange(start, start + len(part)), pixels)


def measure(pool: Pool, figures: Figures, repeats: int) -> None:
    """Measure every step and side until there are `repeats` figures, the sides in turn."""
    pixels = PixelStore(pool.directory / "pixels", size=SIDE)
    fill(pixels, pool.files)
    sides = {"published": Published(pool), "paper": Ours(pool, "paper", pixels), "fast": Ours(pool, "fast", pixels)}
    for k in range(repeats):
        for step in STEPS:
            for side in SIDES:
                work: Callable[[], None] | None = getattr(sides[side], step, None)
                if work is None or figures.count(step, side) > k:
                    continue
                torch.manual_seed(k)
                random.seed(k)
                began = time.perf_counter()
                work()
                figures.add(step, side, time.perf_counter() - began)
                print(f"{step}, {side}: {figures.steps[step][side]['runs'][-1]} s", flush=True)


def show(figures: Figures, images: int) -> None:
    """Print the medians, and the speed-up over the published code."""
    table = Table(title=f"Seconds for {images:,} images (sampling: {images // CYCLES:,})")
    for heading in ("step", "published code", "preset paper", "preset fast"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for step in STEPS:
        medians = {side: cell["median"] for side, cell in figures.steps.get(step, {}).items()}
        theirs = medians.get("published")
        row = ["in every step" if theirs is None else f"{theirs:.2f}"]
        for side in SIDES[1:]:
            faster = "" if theirs is None else f" ({theirs / medians[side]:.1f}x)"
            row.append(f"{medians[side]:.2f}{faster}")
        table.add_row(step.replace("_", " "), *row)
    Console(soft_wrap=True).print(table)


def write_files(images: int, directory: Path) -> Pool:
    """The first `images` training images of CIFAR-10 as PNG files."""
    source, _ = datasets.cifar10(images)
    folder = directory / "images"
    folder.mkdir()
    files = [folder / f"{k:05d}.png" for k in range(len(source))]
    for k, file in enumerate(files):
        file.write_bytes(source.read(k))
    return Pool(files, source.targets, directory)


def _spec(name: str, width: int, *, outputs: int) -> dict[str, Any]:
    return network_spec(name, width=width, image_size=SIDE, outputs=[learning.Output("single", outputs)])


def _network(name: str, width: int, *, outputs: int) -> torch.nn.Module:
    spec = _spec(name, width, outputs=outputs)
    return initialised(spec, generator=torch.Generator().manual_seed(0))


def _weights(name: str, width: int, *, outputs: int) -> learning.Weights:
    spec = _spec(name, width, outputs=outputs)
    return to_weights(_network(name, width, outputs=outputs), spec)


def _rotation_loss(network: torch.nn.Module, views: list[torch.Tensor], turns: list[torch.Tensor]) -> torch.Tensor:
    """The mean cross-entropy over four rotations, each a pass of its own."""
    losses = [F.cross_entropy(network(view)[0], turn) for view, turn in zip(views, turns, strict=True)]
    return torch.stack(losses).mean()


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000, help="50 to 50,000")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "published_code.json")
    options = parser.parse_args()
    if not 50 <= options.images <= 50_000:
        parser.error("--images must be 50 to 50,000")
    with tempfile.TemporaryDirectory() as directory:
        pool = write_files(options.images, Path(directory))
        setup = {
            "images": options.images,
            "sampling_images": pool.batch,
            "sampling_labels": pool.query,
            "environment": {**environment(), "opencv": cv2.__version__, "threads": torch.get_num_threads()},
            "command": " ".join(["python", "benchmarks/published_code.py", *sys.argv[1:]]),
        }
        figures = Figures(options.output, setup)
        measure(pool, figures, options.repeats)
    show(figures, options.images)


if __name__ == "__main__":
    main()
