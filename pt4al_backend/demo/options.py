"""The options of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The options of `pt4al-backend demo`."""

    images: Path | None = None
    """A directory with one directory per class; None for the built-in digits."""
    tasks: int | None = None
    """How many images to import; None for all."""
    annotate: int = 0
    """How many labels the simulated annotator gives."""
    fresh: bool = False
    """Delete the earlier project of these images and its labels."""
    label_studio_port: int | None = None
    """None for the first free port from 8080 on."""
    browser: bool = True
    """Open the project in a browser."""
    exit: bool = False
    """Exit when everything is done instead of waiting for Ctrl-C."""
