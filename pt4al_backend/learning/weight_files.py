"""The weights of pretrained networks in files: those that timm publishes, and a person's own."""

from __future__ import annotations

import errno
import hashlib
import re
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.timm_encoder import pretrained_config
from pt4al_backend.learning.types import Progress

_FILE = "model.safetensors"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOOK_SECONDS = 0.2
"""Between two looks at a download."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file.

    Raises:
        LearningError: there is no such file, it is damaged, or it is of another kind.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise LearningError(f"{path} cannot be read as a safetensors file ({error}).") from error


def downloaded(architecture: str, directory: Path | None) -> Path | None:
    """The file with the weights that timm publishes for a network, if it is on this machine and undamaged.

    Args:
        architecture: the network's name in timm.
        directory: where `download` puts files. The cache of huggingface_hub is looked at, too.
    """
    from huggingface_hub import constants

    for place in (directory, Path(constants.HF_HUB_CACHE)):
        path = place and _cached(architecture, place)
        if path and _is_intact(path):
            return path
    return None


def download(architecture: str, directory: Path, *, offline: bool) -> Generator[Progress, None, None]:
    """Download the weights that timm publishes for a network, unless they are on this machine.

    Args:
        architecture: the network's name in timm.
        directory: where the file is kept.
        offline: whether nothing may be downloaded.

    Raises:
        LearningError: they cannot be downloaded; the text says why.
    """
    if downloaded(architecture, directory):
        return
    if offline:
        raise LearningError(
            f"The weights of {architecture} are not on this machine and PT4AL_OFFLINE forbids to download them: "
            f"{_instead(architecture)}"
        )
    if damaged := _cached(architecture, directory):
        damaged.resolve().unlink(missing_ok=True)
        damaged.unlink(missing_ok=True)
    transfer = _Transfer(_repository(architecture), directory)
    yield from transfer.followed()
    if transfer.error is not None:
        raise LearningError(_reason(architecture, transfer.error, directory)) from transfer.error
    if not downloaded(architecture, directory):
        raise LearningError(f"The weights of {architecture} arrived damaged: {_instead(architecture)}")


class _Transfer(threading.Thread):
    """A download by huggingface_hub, which resumes what was broken off."""

    def __init__(self, repository: str, directory: Path) -> None:
        super().__init__(name="weights", daemon=True)
        self._repository, self._directory = repository, directory
        self._done = self._total = 0
        self.error: Exception | None = None

    def run(self) -> None:
        from huggingface_hub import hf_hub_download
        from tqdm import tqdm

        transfer = self

        class Count(tqdm):
            """Counts bytes and shows nothing."""

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options | {"disable": True})
                transfer._total = options.get("total") or 0
                transfer._done = options.get("initial") or 0

            def update(self, n: float | None = 1) -> None:
                transfer._done += int(n or 0)

        try:
            hf_hub_download(self._repository, _FILE, cache_dir=self._directory, tqdm_class=Count)
        except Exception as error:  # errors of httpx, OSError, and the hub's own
            self.error = error

    def followed(self) -> Generator[Progress, None, None]:
        start = time.monotonic()
        self.start()
        while self.is_alive():
            self.join(_LOOK_SECONDS)
            share = self._done / self._total if self._total else 0.0
            seconds = time.monotonic() - start
            yield Progress(share, 1, 1, 0.0, seconds / share - seconds if share else 0.0)


def _repository(architecture: str) -> str:
    repository = pretrained_config(architecture).get("hf_hub_id")
    if not repository:
        raise LearningError(f"timm publishes no weights for {architecture}: {_instead(architecture)}")
    return str(repository)


def _cached(architecture: str, directory: Path) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(_repository(architecture), _FILE, cache_dir=directory)
    return Path(found) if isinstance(found, str) else None


def _is_intact(path: Path) -> bool:
    """Whether the file has the SHA-256 that huggingface_hub names it after."""
    published = path.readlink().name if path.is_symlink() else ""
    if not _SHA256.fullmatch(published):
        return True
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest() == published


def _reason(architecture: str, error: Exception, directory: Path) -> str:
    from huggingface_hub.errors import GatedRepoError

    if isinstance(error, GatedRepoError):
        return (
            f"The weights of {architecture} are given only to those who accept their licence: do so on huggingface.co, "
            "and set HF_TOKEN."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The weights of {architecture} do not fit on the disk with {directory}: free some space."
    return f"The weights of {architecture} cannot be downloaded ({type(error).__name__}): {_instead(architecture)}"


def _instead(architecture: str) -> str:
    return f"connect this machine to huggingface.co, or name a file with PT4AL_ENCODER={architecture}@FILE.safetensors."
