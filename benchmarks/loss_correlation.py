"""Does a high pretext loss mean a high main-task loss? Spearman's rho on CIFAR-10.

    python -m benchmarks.loss_correlation [--seeds 3]

The rotation network is trained on training images 0 to 4,999, as in the ablations, and gives their pretext losses. A
main network is trained on the classes of images 5,000 to 9,999, from the rotation network's weights and from scratch,
and gives the cross-entropy of images 0 to 4,999, whose labels it never saw. `benchmarks/results/loss_correlation.json`
holds every seed; existing seeds are not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks import datasets
from benchmarks.by_hand import NoCheckpoint, Pixels, finish
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.sampling.uncertainty import softmax
from pt4al_backend.simulate.results import environment

OUT = Path(__file__).parent / "results" / "loss_correlation.json"
POOL = np.arange(5_000)
OTHERS = np.arange(5_000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    results = json.loads(OUT.read_text()) if OUT.exists() else {"runs": []}
    for seed in range(seeds):
        if seed not in [run["seed"] for run in results["runs"]]:
            results["runs"].append({"seed": seed} | measure(seed))
            results["environment"] = environment()
            results["command"] = "python -m benchmarks.loss_correlation"
            OUT.write_text(json.dumps(results, indent=1) + "\n")
    for name in ("pretext", "scratch"):
        rhos = [run[name]["rho"] for run in results["runs"]]
        print(f"main network from {name}: rho {spread(rhos, 2)}, n = {len(rhos)}")


def measure(seed: int) -> dict[str, Any]:
    images, _ = datasets.cifar10(10_000)
    pixels = Pixels(datasets.pixels_of(images))
    device = learning.resolve_device("auto")
    recipe = learning.recipes("fast", device=device, pool=len(POOL), image_size=32)
    pretext = finish(
        learning.train_pretext(pixels, POOL, recipe=recipe.pretext, seed=seed, device=device, checkpoint=NoCheckpoint())
    )
    losses = finish(learning.pretext_losses(pretext, pixels, POOL, device=device))
    figures: dict[str, Any] = {"pretext_loss": float(losses.mean())}
    for name, init in (("pretext", pretext), ("scratch", None)):
        network = finish(
            learning.train_main(
                pixels,
                OTHERS,
                [learning.Output("single", len(images.classes))],
                [images.targets[OTHERS]],
                recipe=recipe.main,
                init=init,
                seed=seed,
                device=device,
            )
        )
        head = learning.network_head(network, 0)
        features = [part for _, part, _ in learning.network_encoder(network).embed(pixels, POOL, device=device)]
        probabilities = softmax(head.logits(np.concatenate(features)))
        truth = images.targets[POOL]
        main_losses = -np.log(np.maximum(probabilities[POOL, truth], 1e-12))
        rho = float(spearmanr(losses, main_losses).statistic)
        accuracy = float((probabilities.argmax(axis=1) == truth).mean())
        figures[name] = {"rho": rho, "accuracy": accuracy}
        print(f"seed {seed}, main network from {name}: rho {rho:.3f}, accuracy {accuracy:.1%}", file=sys.stderr)
    return figures


if __name__ == "__main__":
    main()
