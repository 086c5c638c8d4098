"""Why each image of a window is in it, in sentences for people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.pool_predictions import PoolPredictions, logits_of
from pt4al_backend.assessment.duplicates import Asked
from pt4al_backend.store.store import PoolArrays

Positions = NDArray[np.int64]

FAR = 0.9
"""An image is unlike the labelled ones if it is farther from all of them than this part of the labelled images is from
the others."""
FEWEST = 10
"""With fewer labelled images nothing is said about distances and rare classes."""
RARE = 0.5
"""A class is rare if it has less than this part of the labels that it would have if all had the same number."""
HELD_OUT = "a random image: its label measures the model, which never learns from it"
FIRST = "typical of the images around it: nothing is labelled yet"
COPY = "a near-duplicate of another image: only such images are left"
NEXT = "it adds to what the labelled images and the ones before it cover"


@dataclass(frozen=True)
class Reason:
    """Why an image is in the window."""

    task: int
    held_out: bool
    why: tuple[str, ...]
    """Phrases, the most telling first."""


def explain(
    pool: PoolArrays, predictions: PoolPredictions, window: Positions, asked: Asked | None = None
) -> list[Reason]:
    """The reasons for the images at these positions of the pool, in the same order; `asked`: as for `rank`."""
    unsure, unlike = _doubts(predictions, window), _unlike(pool, predictions, window)
    rare, hard = _rare(pool, predictions, window), _hard(pool, window)
    copies = [""] * len(window) if asked is None else _copies(asked, window)
    reasons = []
    for place, position in enumerate(window.tolist()):
        why: tuple[str, ...] = (HELD_OUT,)
        if not pool.held_out[position]:
            usual = NEXT if predictions.per_question else FIRST
            why = tuple(filter(None, (unsure[place], unlike[place], rare[place], hard[place]))) or (usual,)
        why += (copies[place],) if copies[place] else ()
        reasons.append(Reason(int(pool.task[position]), bool(pool.held_out[position]), why))
    return reasons


def _doubts(predictions: PoolPredictions, window: Positions) -> list[str]:
    """What the model is unsure about."""
    phrases: list[list[str]] = [[] for _ in window]
    known = np.flatnonzero(predictions.inputs.known(predictions.rows[window]))
    several = len(predictions.per_question) > 1
    for predicted in predictions.per_question:
        question, done = predicted.question, 0
        for chunk, logits in logits_of(predicted, predictions, window[known]):
            for place, of_image in zip(known[done : done + len(chunk)].tolist(), logits, strict=True):
                phrase = question.label_type.doubt(question, of_image)
                if phrase:
                    phrases[place].append(f"{question.name}: {phrase}" if several else phrase)
            done += len(chunk)
    return ["; ".join(each) for each in phrases]


def _unlike(pool: PoolArrays, predictions: PoolPredictions, window: Positions) -> list[str]:
    """Whether nothing like an image is labelled yet, by cosine similarity of embeddings."""
    file = predictions.inputs.embeddings
    labelled = pool.row[pool.training]
    labelled = labelled[file.has(labelled)]
    nothing = [""] * len(window)
    if len(labelled) < FEWEST:
        return nothing
    known = file.has(pool.row[window])
    vectors = file.read(labelled).astype(np.float32)
    centre = vectors.mean(axis=0)
    vectors = _normalised(vectors - centre)
    some = vectors[:: -(-len(vectors) // 500)]  # enough to know what is usual
    among = some @ vectors.T
    among[among > 1 - 1e-4] = -1  # the image itself, and copies of it
    usual = np.quantile(among.max(axis=1), 1 - FAR)
    here = _normalised(file.read(pool.row[window[known]]).astype(np.float32) - centre)
    far = np.zeros(len(window), dtype=bool)
    far[known] = (here @ vectors.T).max(axis=1) < usual
    return ["unlike anything labelled yet" if each else "" for each in far.tolist()]


def _rare(pool: PoolArrays, predictions: PoolPredictions, window: Positions) -> list[str]:
    """Whether an image is taken for one of a class that has few labels."""
    phrases = [""] * len(window)
    for predicted in predictions.per_question:
        question, chosen = predicted.question, predicted.arrays.chosen
        counts = question.label_type.counts(question, list(predictions.inputs.answers.values()))
        if counts is None or chosen.ndim != 1 or not len(chosen) or counts.sum() < FEWEST:
            continue
        for place, position in enumerate(window.tolist()):
            number = int(chosen[position])
            if np.isfinite(predicted.arrays.probability[position]) and counts[number] < RARE * counts.mean():
                labels = "1 label" if counts[number] == 1 else f"{counts[number]} labels"
                phrases[place] = f"perhaps {question.classes[number]}, which is rare: {labels} so far"
    return phrases


def _hard(pool: PoolArrays, window: Positions) -> list[str]:
    """An image's batch and pretext loss."""
    losses = np.sort(pool.loss[np.isfinite(pool.loss)])
    phrases = []
    for position in window.tolist():
        loss, batch = pool.loss[position], pool.batch[position]
        if batch < 0 or not np.isfinite(loss):
            phrases.append("")
            continue
        harder = np.searchsorted(losses, loss) / max(len(losses) - 1, 1)
        phrases.append(f"batch {batch + 1}, pretext loss {loss:.2g} (harder than {100 * harder:.0f} %)")
    return phrases


def _copies(asked: Asked, window: Positions) -> list[str]:
    """How many near-duplicates of an image wait, or that it waited itself."""
    waiting = np.bincount(asked.instead[asked.waits], minlength=len(asked.instead))
    phrases = []
    for position in window.tolist():
        count = int(waiting[position])
        of_it = "1 near-duplicate of it waits" if count == 1 else f"{count} near-duplicates of it wait" if count else ""
        phrases.append(COPY if asked.waits[position] else of_it)
    return phrases


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
