"""A random annotator beside the simulated one: as many labels, of images in random order.

Both orders get the same linear probe on the same embeddings, which know no label. What counts is the share of all
images that have the right class in the end, given by the annotator or predicted by the probe. So an order gains nothing
by leaving hard images out of what is measured, as it would if only unlabelled images counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.store.store import Store

DRAWS = 10
MOST_POINTS = 6  # of a curve; each is a probe to fit for every draw


@dataclass(frozen=True)
class Embedded:
    """The pool of a project, embedded by an encoder that knows no label."""

    tasks: NDArray[np.int64]
    """(n,) ids"""
    vectors: NDArray[np.floating]
    """(n, D)"""
    pretrained: bool
    """Whether the encoder is a pretrained one; probes are scaled by the pool then, as the backend's are."""


@dataclass(frozen=True)
class Curves:
    """The share of all images with the right class, after so many labels."""

    labels: tuple[int, ...]
    ours: NDArray[np.float64]
    """(points,)"""
    random: NDArray[np.float64]
    """(draws, points)"""
    images: int


def curves(
    data_dir: Path, number: int, truth: Mapping[int, str], order: Sequence[int], ends: Sequence[int]
) -> Curves | None:
    """Both curves, or None while there are no embeddings.

    Args:
        data_dir: The backend's data directory.
        number: The project's number in Label Studio.
        truth: Task id -> class, of all tasks.
        order: Ids of the labelled tasks, in the order in which they were labelled.
        ends: Numbers of labels at which to measure, at most `len(order)`.
    """
    found = _embedded(data_dir, number)
    if found is None:
        return None
    place = {int(task): k for k, task in enumerate(found.tasks) if int(task) in truth}
    positions = np.array(list(place.values()), dtype=np.int64)
    classes = sorted(set(truth.values()))
    targets = np.array([classes.index(truth[task]) for task in place], dtype=np.int64)
    within = {task: k for k, task in enumerate(place)}
    ours = [within[task] for task in order if task in within]
    return compare(found.vectors[positions], targets, ours, ends, pretrained=found.pretrained)


def compare(
    embeddings: NDArray[np.floating],
    targets: NDArray[np.int64],
    order: Sequence[int],
    ends: Sequence[int],
    *,
    pretrained: bool = False,
) -> Curves | None:
    """Both curves on embeddings (n, D) with class numbers (n,); None if nothing was labelled.

    Args:
        embeddings: Of all images.
        targets: Their classes.
        order: Positions of the labelled images, in the order in which they were labelled.
        ends: Numbers of labels at which to measure.
        pretrained: As in `Embedded`.
    """
    counts = sorted({min(count, len(order)) for count in ends if count} - {0})
    if not counts:
        return None
    chosen = np.unique(np.linspace(0, len(counts) - 1, min(len(counts), MOST_POINTS)).round().astype(int))
    labels = tuple(counts[k] for k in chosen)
    draw = np.random.default_rng(0)
    orders = [np.asarray(order), *(draw.permutation(len(targets)) for _ in range(DRAWS))]
    right = _right_by_probes(embeddings, targets, pretrained=pretrained)
    shares = np.array([[right(each[:count]) for count in labels] for each in orders])
    return Curves(labels, shares[0], shares[1:], len(targets))


def lines(found: Curves) -> tuple[str, ...]:
    """A heading and a line for each order."""
    below = int((found.random[:, -1] < found.ours[-1]).sum())
    means, spreads = 100 * found.random.mean(axis=0), 100 * found.random.std(axis=0, ddof=1)
    ours = "  ".join(f"{100 * share:11.1f}" for share in found.ours)
    random = "  ".join(f"{mean:4.1f} ± {spread:4.1f}" for mean, spread in zip(means, spreads, strict=True))
    return (
        f"Of all {found.images:,} images, right by label or prediction, in %, with the same linear probe after "
        f"{', '.join(map(str, found.labels))} labels:",
        f"this order     {ours}",
        f"random order   {random}  (mean ± standard deviation, n = {len(found.random)} draws; {below} of them end "
        "below this order)",
    )


def _right_by_probes(
    embeddings: NDArray[np.floating], targets: NDArray[np.int64], *, pretrained: bool
) -> Callable[[NDArray[np.int64]], float]:
    """What says which share of the images is right if those at some positions are labelled."""
    from pt4al_backend import learning  # loads PyTorch
    from pt4al_backend.active_learning.training_data import sample

    output = learning.Output(learning.SINGLE, int(targets.max()) + 1)
    pool = embeddings[sample(len(embeddings))] if pretrained else None

    def share(labelled: NDArray[np.int64]) -> float:
        head = learning.fit_head(embeddings[labelled], targets[labelled], output, pool=pool)
        right = head.logits(embeddings).argmax(axis=1) == targets
        right[labelled] = True
        return float(right.mean())

    return share


def _embedded(data_dir: Path, number: int) -> Embedded | None:
    """The project's images by its pretrained encoder or by the network that learned the pretext task."""
    from pt4al_backend.active_learning.stored_networks import StoredNetworks
    from pt4al_backend.store.pixels import PixelStore

    if not Store.exists(data_dir):
        return None
    with closing(Store(data_dir)) as store:
        project = next((each for each in store.find(number) if each.encoder or each.pretext_generation), None)
        if project is None:
            return None
        pool = store.pool(project)
        networks = StoredNetworks(project.id, store.models_dir(project.id))
        if project.encoder:
            files = networks.embeddings(project)
            known = files.has(pool.row)
            return Embedded(pool.task[known], files.vectors.read(pool.row[known]), pretrained=True)
        pretext = networks.encoder(project, f"pretext-{project.pretext_generation}")
        pixels = PixelStore(store.pixels_dir(project.id), size=project.image_size)
        chunks = [vectors for _, vectors, _ in pretext.embed(pixels, pool.row, device="cpu")]
        return Embedded(pool.task, np.concatenate(chunks), pretrained=False)
