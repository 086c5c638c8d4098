"""Do embeddings in bf16 serve as well as those in f32? Yes: within 0.3 points on five sets, the same on average.

    python -m benchmarks.decisions.bf16 [--sets cifar10] [--seeds 10]

Training images only, embedded by the built-in encoder at 224 px. Some are labelled at random; a probe on their
embeddings is measured on the others, as the backend fits it: accuracy in per cent, and the differences from f32, paired
by seed. `mixed`: every other image is embedded in bf16, as after a project moved to another machine. Needs a processor
with bf16; with AMX it takes half the time.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.decisions.encoder_inputs import SETS, embedded, no_network, some_of
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.learning import encoders, openvino_network

RUNS = KeptRuns(Path(__file__).parent / "results" / "bf16.json", "python -m benchmarks.decisions.bf16")
PRECISIONS = {"f32": False, "bf16": True}
ROWS = (*PRECISIONS, "mixed")


def embeddings(images: LabelledImages) -> dict[str, np.ndarray]:
    """(n, D) for each row of the table."""
    found = {}
    for name, bf16 in PRECISIONS.items():
        with mock.patch.object(openvino_network, "_computes_bf16", lambda bf16=bf16: bf16):
            encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=False)
            found[name] = embedded(images, encoder, "squash")
        encoders._shared.cache_clear()  # it keeps the built-in encoder
    every_other = (np.arange(len(images)) % 2).astype(bool)[:, None]
    return found | {"mixed": np.where(every_other, found["bf16"], found["f32"])}


def accuracy(features: np.ndarray, images: LabelledImages, labels: int, seed: int) -> float:
    """In per cent."""
    order = np.random.default_rng(seed).permutation(len(images))
    labelled, others = order[:labels], order[labels:]
    output = learning.Output(learning.SINGLE, len(images.classes))
    head = learning.fit_head(features[labelled], images.targets[labelled], output, pool=features[others[:1000]])
    return 100 * float((head.logits(features[others]).argmax(axis=1) == images.targets[others]).mean())


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    for name in options.sets:
        if all(RUNS.has(name, seed) for seed in range(options.seeds)):
            continue
        make, labels = SETS[name]
        images = some_of(make())
        features = embeddings(images)
        for seed in range(options.seeds):
            if not RUNS.has(name, seed):
                found = {row: accuracy(features[row], images, labels, seed) for row in ROWS}
                RUNS.add({"row": name, "seed": seed, "labels": labels, **found})
    table = []
    for name in options.sets:
        runs = RUNS.of(name)
        differences = [[run[row] - run["f32"] for run in runs] for row in ROWS[1:]]
        errors = [np.std(each, ddof=1) / len(each) ** 0.5 for each in differences]
        cells = [f"{np.mean(each):+.2f} ± {error:.2f}" for each, error in zip(differences, errors, strict=True)]
        table.append([f"{name}, {runs[0]['labels']}", str(len(runs)), spread([run["f32"] for run in runs]), *cells])
    RUNS.write_table(["set, labels", "n", "f32", "bf16 minus f32", "mixed minus f32"], table)


if __name__ == "__main__":
    main()
