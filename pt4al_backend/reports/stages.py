"""Titles of a project's stages, and remaining times in words."""

from __future__ import annotations

STAGES = {
    "waiting": "Waiting",
    "images": "Fetching images",
    "pretext": "Training the pretext task",
    "training": "Training on the labels",
    "ready": "Ready: keep labelling",
    "error": "Stopped by an error",
}
"""Titles by the names that the store and `/api/status` use."""


def time_left(seconds: float | None) -> str:
    """A remaining time in words, as coarse as the estimate is; "" if there is none."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < 90 else f"about {round(minutes / 60)} h left"
