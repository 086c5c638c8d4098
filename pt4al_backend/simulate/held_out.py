"""The images that a simulation measures on: decoded once, and with a pretrained encoder embedded once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.embedding_files import EmbeddingFiles
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.datasets.known_images import KnownImages
from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.store.decoders import DecodedImage, Decoders
from pt4al_backend.store.pixels import PixelStore

CHUNK = 256  # images in memory at a time
THREADS = 4
KEPT = "kept.json"  # positions of the images that could be read


class HeldOut:
    """Test images, which are never labelled, in a directory of a simulation."""

    def __init__(self, images: KnownImages, directory: Path) -> None:
        self.images = images
        self._directory = directory

    @property
    def positions(self) -> NDArray[np.int64]:
        """Position in `images` of the image in each row of `pixels` and `embeddings`."""
        return np.array(json.loads((self._directory / KEPT).read_text()), dtype=np.int64)

    def pixels(self, workspace: Workspace) -> PixelStore:
        """The images at the side at which the encoder in use sees them."""
        project = workspace.project()
        side = workspace.networks.encoder(project).input_size if project.encoder else project.image_size
        return PixelStore(self._directory, size=side)

    def embeddings(self, workspace: Workspace) -> EmbeddingFiles:
        """Their embeddings by the encoder in use, a pretrained one."""
        project = workspace.project()
        return EmbeddingFiles.of(workspace.networks.encoder(project), self._directory, input_size=project.input_size)

    def store(self, workspace: Workspace, show: Callable[[str], None]) -> list[str]:
        """Decode the images; embed them with a pretrained encoder, from their full size as the images of the pool.

        Args:
            workspace: The simulated project's.
            show: Called often, with what is done.

        Returns:
            An error for each image that cannot be read; these are left out.

        Raises:
            PT4ALError: No image can be read.
        """
        errors: list[str] = []
        kept: list[int] = []
        pixels = self.pixels(workspace)
        for chunk in self._decoded(pixels.size):
            errors += [f"{self.images.name(at)}: {image}" for at, image in chunk if isinstance(image, PT4ALError)]
            images = {at: image.pixels for at, image in chunk if isinstance(image, DecodedImage)}
            rows = np.arange(len(kept), len(kept) + len(images))
            kept += images
            if images:
                self._write(workspace, pixels, rows, np.stack([*images.values()]))
            show(f"test images: {len(kept) + len(errors)} of {len(self.images)}")
        if not kept:
            raise PT4ALError(f"None of the test images could be read. The first: {errors[0]}")
        (self._directory / KEPT).write_text(json.dumps(kept))
        return errors

    def _decoded(self, size: int) -> Iterator[list[tuple[int, DecodedImage | UnreadableImageError]]]:
        """Chunks of (position, image or why it cannot be read)."""
        with Decoders() as decoders, ThreadPoolExecutor(THREADS) as threads:
            for start in range(0, len(self.images), CHUNK):
                positions = range(start, min(start + CHUNK, len(self.images)))
                read = partial(self._read, decoders=decoders, size=size)
                yield [*zip(positions, threads.map(read, positions), strict=True)]

    def _read(self, position: int, *, decoders: Decoders, size: int) -> DecodedImage | UnreadableImageError:
        try:
            return decoders.decode(self.images.read(position), size=size)
        except UnreadableImageError as error:
            return error

    def _write(
        self, workspace: Workspace, store: PixelStore, rows: NDArray[np.int64], pixels: NDArray[np.uint8]
    ) -> None:
        project = workspace.project()
        if project.encoder:
            files = self.embeddings(workspace)
            files.write(rows, *files.encoder.embed_pixels(pixels, device=workspace.device))
        else:
            store.write(rows, pixels)
