"""Can a head on frozen embeddings replace the rotation network? Yes on Caltech-101: rho 0.38, a quarter of the time.

    python -m benchmarks.decisions.rotation_head [--sets cifar10] [--sides 64 128] [--most 500] [--networks 1]

Training images only: a random half of some hundreds to thousands of each set is the pool. Heads that predict which of
four rotations an image has are fitted on the encoder's embeddings of some images of the pool, as it is stored (64 px at
most); or the rotation network is trained on all, as with `PT4AL_ENCODER=rotation`. Shown is the correlation of their
losses with the main loss: the cross-entropy of a linear probe on the encoder's embeddings of the images themselves,
fitted on the labels of the other half; and the processor time per 1,000 images of the pool.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from benchmarks.by_hand import NoCheckpoint, Pixels, finish
from benchmarks.decisions.encoder_inputs import MOST, SETS, embedded
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.learning import rotation_head
from pt4al_backend.sampling.uncertainty import softmax

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "rotation_head.json", "python -m benchmarks.decisions.rotation_head"
)
NETWORK = "network"


class Halves:
    """A set whose images are drawn into a pool and a half with labels."""

    def __init__(self, name: str) -> None:
        images = SETS[name][0]()
        self.images: LabelledImages = images.take(np.random.default_rng(0).permutation(len(images))[:MOST])
        self.stored_side = learning.choose_image_size(self._side(), preset="fast", device="cpu")
        self.pixels = Pixels(np.stack([self._stored(k) for k in range(len(self.images))]))
        self._features: np.ndarray | None = None
        self._main: dict[int, np.ndarray] = {}

    def pool(self, seed: int) -> np.ndarray:
        """The images of the pool."""
        return np.flatnonzero(np.random.default_rng(seed).permutation(len(self.images)) % 2)

    def main_losses(self, seed: int) -> np.ndarray:
        """(m,) of the images of the pool."""
        if seed not in self._main:
            if self._features is None:
                self._features = embedded(self.images, encoder_at(0), "squash")
            pool, targets = self.pool(seed), self.images.targets
            others = np.setdiff1d(np.arange(len(self.images)), pool)
            output = learning.Output(learning.SINGLE, len(self.images.classes))
            head = learning.fit_head(self._features[others], targets[others], output, pool=self._features)
            probabilities = softmax(head.logits(self._features[pool]))
            self._main[seed] = -np.log(np.maximum(probabilities[np.arange(len(pool)), targets[pool]], 1e-12))
        return self._main[seed]

    def _side(self) -> int:
        return int(np.median([min(self._image(k).size) for k in range(min(64, len(self.images)))]))

    def _image(self, k: int) -> Image.Image:
        return Image.open(io.BytesIO(self.images.read(k)))

    def _stored(self, k: int) -> np.ndarray:
        size = (self.stored_side, self.stored_side)
        return np.asarray(self._image(k).convert("RGB").resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))


def encoder_at(side: int) -> learning.Encoder:
    return learning.make_encoder(learning.DEFAULT_ENCODER, stored=_no_network, dense=False, input_size=side)


def _no_network(name: str) -> learning.Weights:
    raise SystemExit(f"{name} belongs to a project.")


def losses_of(halves: Halves, row: str, seed: int) -> np.ndarray:
    """(m,) pretext losses of the pool."""
    pool = halves.pool(seed)
    if row == NETWORK:
        recipe = learning.recipes("fast", device="cpu", pool=len(pool), image_size=halves.stored_side).pretext
        network = finish(
            learning.train_pretext(
                halves.pixels, pool, recipe=recipe, seed=seed, device="cpu", checkpoint=NoCheckpoint()
            )
        )
        return finish(learning.pretext_losses(network, halves.pixels, pool, device="cpu"))
    side, most = (int(word) for word in row.split() if word.isdigit())
    rotation_head._MOST = most
    encoder = encoder_at(side)
    head = finish(learning.train_rotation_head(encoder, halves.pixels, pool, seed=seed, device="cpu"))
    return finish(learning.rotation_head_losses(head, encoder, halves.pixels, pool, device="cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)
    parser.add_argument("--sides", nargs="*", type=int, default=[64, 96, 128])
    parser.add_argument("--most", nargs="*", type=int, default=[250, 500], help="images that a head is fitted on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=1, help="seeds with which rotation networks are trained")
    options = parser.parse_args()
    for name in options.sets:
        halves: Halves | None = None
        heads = [f"{side} px, {most} images" for side in options.sides for most in options.most]
        for row, seeds in [*((head, options.seeds) for head in heads), (NETWORK, options.networks)]:
            for seed in range(seeds):
                if not RUNS.has(f"{name}: {row}", seed):
                    halves = halves or Halves(name)
                    started = time.process_time()
                    losses = losses_of(halves, row, seed)
                    seconds = (time.process_time() - started) * 1000 / len(losses)
                    rho = float(spearmanr(losses, halves.main_losses(seed)).statistic)
                    figures = {"rho": round(rho, 3), "cpu_seconds": round(seconds, 1), "loss": float(losses.mean())}
                    RUNS.add({"row": f"{name}: {row}", "seed": seed, **figures})
    rows = []
    for name in SETS:
        for row in dict.fromkeys(run["row"] for run in RUNS.all() if run["row"].startswith(f"{name}:")):
            runs = RUNS.of(row)
            rhos, costs = ([run[key] for run in runs] for key in ("rho", "cpu_seconds"))
            rows.append([row, str(len(runs)), spread(rhos, 2), f"{np.mean(costs):.0f} s"])
    RUNS.write_table(
        ["set: side of the inputs, images per head", "n", "rho with the main loss", "CPU per 1,000 images"], rows
    )


if __name__ == "__main__":
    main()
