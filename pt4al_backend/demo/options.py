"""What the demo is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The options of `pt4al-backend demo`. None: the default."""

    images: Path | None = None  # a directory per class; None: the built-in digits
    tasks: int | None = None  # None: all images
    annotate: int = 0  # labels to play
    fresh: bool = False  # delete what was begun with these images
    label_studio_port: int | None = None
    browser: bool = True
    exit: bool = False
