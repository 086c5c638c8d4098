"""Names of published versions, and which of them must outlive their successor.

Label Studio's editor makes each new annotation a child of the prediction it showed, and refuses
the annotation ("parent_prediction: Invalid pk") when that prediction is gone. So a version is
not deleted while an annotator may have one of its images open.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from pt4al_backend.labelling_platform import Pick

HEAD = 5  # images of a window that may have been handed out: LS serves from the front
RECENT = 10  # versions that stay whatever happened to their images
LOCKED = 86400.0  # seconds for which Label Studio keeps a task for the annotator it was handed to (TASK_LOCK_TTL)


def version_name(round_: int, labelled: int, picks: Sequence[Pick]) -> str:
    """``pt4al-r<round>-n<labels>-<short hash>``: equal names mean equal queues."""
    digest = hashlib.sha256()
    for pick in picks:
        digest.update(f"{pick.task},{pick.score:.9f};".encode())
        for name, guess in pick.guesses.items():
            value = guess.value
            digest.update(f"{name}=".encode())
            digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return f"pt4al-r{round_}-n{labelled}-{digest.hexdigest()[:7]}"


def retire(
    retired: Sequence[dict[str, Any]], version: str, published: Sequence[int], unanswered: Collection[int]
) -> list[dict[str, Any]]:
    """The versions that must stay when ``version``, whose queue was ``published``, is replaced. Oldest first.

    They are the most recent ones and, for each image that is still unanswered, the one under
    which it first came to the front.
    """
    head = [task for task in published if task in unanswered][:HEAD]
    entries = [*retired, {"version": version, "head": head, "at": time.time()}] if version else [*retired]
    first: dict[int, str] = {}
    for entry in entries:
        for task in entry["head"]:
            first.setdefault(task, entry["version"])
    waiting = {first[task] for task in first if task in unanswered}
    return [
        entry
        for place, entry in enumerate(entries)
        if place >= len(entries) - RECENT or (entry["version"] in waiting and time.time() - entry["at"] < LOCKED)
    ]
