"""Small images for the pages, from the decoded ones in the pixel store."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

LONGER_SIDE = 192
"""Of a thumbnail, in pixels."""
QUALITY = 80


def thumbnail(store: Store, project: Project, task: int) -> tuple[bytes, str] | None:
    """A task's image as WebP, with its proportions as in the file, and a tag that changes with it; None without one."""
    found = store.stored_image(project.id, task)
    if found is None or not project.image_size:
        return None
    row, width, height, version = found
    try:
        (pixels,) = PixelStore(store.pixels_dir(project.id), size=project.image_size).read(np.array([row]))
    except (IndexError, OSError):
        return None  # somebody made room on the disk; the worker fetches it again
    longer = max(width, height, 1)
    size = (
        (max(1, LONGER_SIDE * width // longer), max(1, LONGER_SIDE * height // longer)) if width else (LONGER_SIDE,) * 2
    )
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR).save(file, "WEBP", quality=QUALITY)
    return file.getvalue(), f"{project.image_size}-{row}-{version}"
