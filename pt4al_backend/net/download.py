"""Download one public file (ImageNet weights) into the data directory, completely or not at all."""

from __future__ import annotations

from pathlib import Path

import httpx

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.disk import describe
from pt4al_backend.store.files import replacing

MOST_BYTES = 500_000_000
"""The largest file that is kept."""
_INSTEAD = "Download a ResNet-18 as safetensors and set PT4AL_IMAGENET_WEIGHTS to its path, or use PT4AL_INIT=pretext."


def download(url: str, path: Path, *, offline: bool) -> None:
    """Download `url` (https) to `path` unless that file exists.

    Args:
        url: the address.
        path: the file.
        offline: whether nothing may be downloaded.

    Raises:
        PT4ALError: the download failed, or is forbidden; the text says what to do instead.
    """
    if path.exists():
        return
    if offline:
        raise PT4ALError(
            f"The ImageNet weights are not on this machine and PT4AL_OFFLINE forbids to download them. {_INSTEAD}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(path) as part,
            httpx.stream("GET", url, follow_redirects=True, timeout=30) as response,
            open(part, "wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_bytes():
                if file.write(chunk) and file.tell() > MOST_BYTES:
                    raise PT4ALError(f"{url} is larger than {MOST_BYTES // 1_000_000} MB: not a ResNet-18.")
    except httpx.HTTPError as error:
        raise PT4ALError(f"The ImageNet weights cannot be downloaded ({type(error).__name__}). {_INSTEAD}") from error
    except OSError as error:
        raise PT4ALError(describe(error, path)) from error
