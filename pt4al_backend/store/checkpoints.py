"""Named arrays and a little JSON in one safetensors file. Nothing is pickled."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.files import replacing

Arrays = dict[str, NDArray[Any]]
Meta = dict[str, Any]

META_KEY = "pt4al"  # safetensors metadata is text to text: all of meta is one JSON string under this key

logger = logging.getLogger(__name__)


def save_arrays(path: Path, arrays: Arrays, meta: Meta) -> None:
    """Write arrays of any shape and memory layout, and `meta` (JSON values), in one atomic step.

    After a kill at any moment `path` holds either the old content or the new one, complete. Only one process
    may write a path at a time.

    Raises:
        PT4ALError: The file cannot be written.
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content = save(contiguous, metadata={META_KEY: json.dumps(meta)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        raise PT4ALError(
            f"Cannot write {path} ({error.strerror}): free some disk space, or make it writable."
        ) from error


def load_arrays(path: Path) -> tuple[Arrays, Meta] | None:
    """Read what `save_arrays` wrote.

    Returns:
        The arrays and `meta`, or None if there is no such file.

    Raises:
        PT4ALError: The file is incomplete or was not written by `save_arrays`.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {})[META_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118, not a dict
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, ValueError) as error:
        raise PT4ALError(f"{path} is damaged or not a checkpoint of PT4AL: delete it.") from error


class CheckpointFile:
    """The resumable state of one training."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> tuple[Arrays, Meta] | None:
        """The saved state, or None if training has to start from the beginning.

        A damaged file is deleted, and the log says so.
        """
        try:
            return load_arrays(self.path)
        except PT4ALError:
            logger.warning("%s is damaged; deleted it, so this training starts again.", self.path)
            self.delete()
            return None

    def save(self, arrays: Arrays, meta: Meta) -> None:
        """Replace the saved state atomically.

        Raises:
            PT4ALError: The file cannot be written; the old state stays.
        """
        save_arrays(self.path, arrays, meta)

    def delete(self) -> None:
        """Delete the saved state, if there is any."""
        self.path.unlink(missing_ok=True)
