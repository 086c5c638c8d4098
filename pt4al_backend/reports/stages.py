"""Titles of a project's stages, and what is published meanwhile and how long it takes, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STAGES = {
    "waiting": "Waiting",
    "images": "Fetching images",
    "pretext": "Training the pretext task",
    "training": "Training on the labels",
    "ready": "Ready: keep labelling",
    "error": "Stopped by an error",
}
"""Titles by the names that the store and `/api/status` use."""

WORK = {
    "waiting": "looking for images",
    "images": "embedding images",
    "pretext": "training the pretext task",
    "training": "training on the labels",
    "ready": "updating the order",
    "measuring": "measuring the model",
    "error": "trying again",
}
"""What the worker does for a project, by the stage that its job belongs to."""


def order_from(project: Mapping[str, Any]) -> str:
    """From how many images the published order was chosen, in words; "" if nothing is published.

    Args:
        project: An entry of `/api/status`.
    """
    ranked, images = project.get("ranked", 0), project["tasks"] - project["unreadable"]
    if not project["model_version"] or not ranked:
        return ""
    return f"{ranked:,} of {images:,} images so far" if ranked < images else f"all {ranked:,} images"


def pretext_words(project: Mapping[str, Any]) -> str:
    """Whether PT4AL's batches are there, in words."""
    return "learned" if project.get("pretext_learned") else "not learned yet"


def model_words(project: Mapping[str, Any]) -> str:
    """Which model predicts, and how it compares in a cross-validation, in words."""
    tuned, probe = project.get("fine_tuned_accuracy"), project.get("probe_accuracy")
    if tuned is None or probe is None:
        return "linear probe"
    if project.get("fine_tuned"):
        return f"fine-tuned encoder, cross-validated {tuned:.0%} against {probe:.0%}".replace("%", " %")
    return f"linear probe, cross-validated {probe:.0%} against {tuned:.0%} fine-tuned".replace("%", " %")


def worker_words(worker: Mapping[str, Any]) -> str:
    """Where the worker runs, how much memory it uses, and what it does, in words.

    Args:
        worker: As in `/api/status`.
    """
    memory = worker.get("memory_bytes")  # older backends do not report it
    uses = f", {memory / 1e9:.1f} GB of memory" if memory else ""
    return f"Worker on {worker['device']}{uses}: {worker['busy_with'] or 'idle'}"


def time_left(seconds: float | None) -> str:
    """A remaining time in words, as coarse as the estimate is; "" if there is none."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < 90 else f"about {round(minutes / 60)} h left"
