"""CIFAR-10 as in the paper's last round: 10,000 of 50,000 training images are queried, and a network learns from them.

    python -m benchmarks.full_cifar10 [--labels 10000] [--side 128] [--epochs 12] [--test]

The images are queried by the default strategy in ten rounds on embeddings of the default encoder as it is, and the
whole encoder is then fine-tuned once. Without `--test`, the last 5,000 training images are left out of the pool, and
the accuracy on them is shown after every epoch: hyperparameters are chosen that way. With `--test`, the pool is all
50,000, and the test images are looked at once, at the end.

Whatever is done is kept in `build/full_cifar10`, every epoch of the training too: the command can be stopped and
repeated. `--steps 10` only measures the processor seconds of ten training steps.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import datasets
from benchmarks.accuracy_tables import Table
from benchmarks.decisions.pretrained_queries import BALANCED, Pool, Source, candidates_of, embedded
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.learning.built_in_weights import ARCHITECTURE, built_in_weights
from pt4al_backend.learning.inputs import (
    AUGMENT,
    ORDER,
    Normalisation,
    cut,
    generator,
    normalised,
    random_colours,
    random_crop,
    recoloured,
)
from pt4al_backend.learning.timm_encoder import timm_network
from pt4al_backend.store.checkpoints import CheckpointFile

KEPT = Path(__file__).parents[1] / "build" / "full_cifar10"
ROUNDS, HELD_OUT, CLASSES = 10, 5_000, 10
BATCH, PART = 64, 32
"""Images of a step of the optimiser, and images that are computed at a time."""
RATE, WEIGHT_DECAY, WARM_UP, SMOOTHING, COLOUR = 5e-4, 0.02, 0.2, 0.1, 0.2
"""Of AdamW, whose learning rate goes up and down once; of the labels; of random colours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=50_000, help="fewer than 50,000 to try it")
    parser.add_argument("--side", type=int, default=128, help="at which the network sees images, in pixels")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", action="store_true", help="measure on the test images, once")
    parser.add_argument("--steps", type=int, default=0, help="only measure this many steps")
    options = parser.parse_args()
    if options.steps:
        measure_steps(options.side, options.steps)
        return
    pool, test = datasets.cifar10(options.images)
    if not options.test:
        held_out = min(HELD_OUT, len(pool) // 5)
        positions = np.arange(len(pool))
        pool, test = pool.take(positions[:-held_out]), pool.take(positions[-held_out:])
    what = f"{len(pool)}-{options.labels}-{options.seed}"
    chosen = queried(pool, what, options.labels, options.seed)
    training = Training(pool.take(chosen), options.side, options.epochs, options.rate, options.seed)
    training.run(CheckpointFile(KEPT / f"{what}-{options.side}px-{options.epochs}-{options.rate:g}.safetensors"), test)


def queried(pool: LabelledImages, what: str, labels: int, seed: int) -> np.ndarray:
    """(labels,) positions of the images that the default strategy queries."""
    path = KEPT / f"{what}-queried.npy"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        vectors = KEPT / f"{len(pool)}-embedded.npy"
        if not vectors.exists():
            np.save(vectors, embedded(pool, 0, 0))
        table = Table("", "", ROUNDS, labels // ROUNDS)
        known = Pool(np.load(vectors), pool.targets, np.load(vectors)[:1], pool.targets[:1], CLASSES)
        np.save(path, _order(known, table, seed))
    return np.load(path)


def _order(pool: Pool, table: Table, seed: int) -> np.ndarray:
    """The images of all rounds, with a linear probe on the labels of the rounds before."""
    everything, head = np.arange(len(pool.targets)), None
    order, output = everything[:0], learning.Output(learning.SINGLE, CLASSES)
    for k in range(ROUNDS):
        labelled = np.isin(everything, order)
        candidates = candidates_of(pool, everything, labelled, Source(pool, order, head), BALANCED, table, k, seed)
        query = candidates.serving_order(BALANCED.query_of(k)(candidates, table.query_size))
        order = np.concatenate([order, query[: table.query_size]])
        head = learning.fit_head(pool.embeddings[order], pool.targets[order], output, pool=pool.embeddings)
        print(f"round {k + 1}: {len(order):,} labels", flush=True)
    return order


@dataclass
class Training:
    """The encoder with a classifier, fine-tuned on all of `images`."""

    images: LabelledImages
    side: int
    epochs: int
    rate: float
    seed: int

    def __post_init__(self) -> None:
        self._pixels = torch.from_numpy(datasets.pixels_of(self.images))
        self._targets = torch.from_numpy(self.images.targets)
        self.network, self._normalisation = network()
        self._optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.rate, weight_decay=WEIGHT_DECAY)

    def run(self, checkpoint: CheckpointFile, test: LabelledImages) -> None:
        """Train to the end, from the last epoch that was kept, and print the accuracy on `test`."""
        arrays, meta = checkpoint.load() or ({}, {"epoch": 0})
        self._restore(arrays)
        for epoch in range(meta["epoch"], self.epochs):
            started = time.monotonic()
            loss = self._epoch(epoch)
            checkpoint.save(self._state(), {"epoch": epoch + 1})
            print(f"epoch {epoch + 1}: loss {loss:.3f}, {time.monotonic() - started:.0f} s", flush=True)
        print(f"accuracy {100 * self.accuracy(test):.2f} % of {len(test):,} images")

    def accuracy(self, test: LabelledImages) -> float:
        """On other images."""
        pixels, right = torch.from_numpy(datasets.pixels_of(test)), 0
        self.network.eval()
        with torch.inference_mode():
            for part in torch.arange(len(test)).split(PART):
                inputs = enlarged(normalised(pixels[part], self._normalisation), self.side)
                right += int((self.network(inputs).argmax(dim=1).numpy() == test.targets[part.numpy()]).sum())
        return right / len(test)

    def _epoch(self, epoch: int) -> float:
        """Train for an epoch; BatchNorm keeps its statistics."""
        order = torch.randperm(len(self._targets), generator=generator(self.seed, ORDER, epoch))
        batches, total = order.tensor_split(math.ceil(len(order) / BATCH)), 0.0
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        for k, batch in enumerate(batches):
            done = (epoch + (k + 0.5) / len(batches)) / self.epochs
            self._optimiser.param_groups[0]["lr"] = self.rate * min(done / WARM_UP, (1 - done) / (1 - WARM_UP))
            for part in batch.split(PART):
                random = generator(self.seed, AUGMENT, epoch, int(part[0]))
                total += self.backward(part, len(batch), random) / len(batches)
            self._optimiser.step()
            self._optimiser.zero_grad()
        return total

    def backward(self, part: torch.Tensor, of: int, random: torch.Generator) -> float:
        """Add the gradients of a part of a batch of `of` images; returns its share of the loss."""
        images = cut(self._pixels[part], random_crop(len(part), self._pixels.shape[1], generator=random))
        colours = random_colours(len(part), strength=COLOUR, generator=random)
        inputs = enlarged(recoloured(normalised(images, self._normalisation), colours), self.side)
        logits = self.network(inputs)
        loss = F.cross_entropy(logits, self._targets[part], label_smoothing=SMOOTHING, reduction="sum") / of
        torch.autograd.backward(loss)
        return loss.item()

    def _state(self) -> dict[str, np.ndarray]:
        state = {f"network.{name}": tensor.numpy().copy() for name, tensor in self.network.state_dict().items()}
        for number, of_parameter in self._optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{number}.{name}": value.numpy().copy() for name, value in of_parameter.items()}
        return state

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        if not arrays:
            return
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        names = [name for name in tensors if name.startswith("network.")]
        self.network.load_state_dict({name.removeprefix("network."): tensors[name] for name in names})
        optimiser: dict[str, Any] = self._optimiser.state_dict()
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, number, key = name.split(".")
                optimiser["state"].setdefault(int(number), {})[key] = tensor
        self._optimiser.load_state_dict(optimiser)


def network() -> tuple[torch.nn.Module, Normalisation]:
    """The default encoder with a new classifier that starts at zero."""
    model = timm_network(ARCHITECTURE, built_in_weights())
    model.reset_classifier(CLASSES)
    torch.nn.init.zeros_(model.get_classifier().weight)
    normalisation = Normalisation(model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
    return model.requires_grad_(True).to(memory_format=torch.channels_last), normalisation


def enlarged(inputs: torch.Tensor, side: int) -> torch.Tensor:
    """(n, 3, s, s) -> (n, 3, side, side)"""
    larger = F.interpolate(inputs, size=side, mode="bicubic")
    return larger.contiguous(memory_format=torch.channels_last)


def measure_steps(side: int, steps: int) -> None:
    """Print the processor seconds of one image in a training step."""
    pool, _ = datasets.cifar10(1000)
    training = Training(pool.take(np.arange(PART)), side, 1, RATE, 0)
    part = torch.arange(PART)
    training.backward(part, PART, generator(0, AUGMENT))  # warm up
    started = time.process_time()
    for step in range(steps):
        training.backward(part, PART, generator(0, AUGMENT, step))
    seconds = (time.process_time() - started) / (steps * PART)
    print(f"{side} px: {seconds:.4f} s an image, on {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
