"""The sources of a simulation: images with known labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pt4al_backend.datasets.export_file import read_export
from pt4al_backend.datasets.folders import read_folder
from pt4al_backend.datasets.known_images import KnownImages
from pt4al_backend.datasets.mask_folders import read_masks
from pt4al_backend.datasets.other_formats import ACCEPTED, BRUSH, kind_of
from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings


@dataclass(frozen=True)
class Source:
    """Where the images and their labels are."""

    images: Path
    """A directory with one directory per class, a Label Studio export, or a directory whose images have `masks`."""
    masks: Path | None = None

    def read(self, settings: Settings) -> tuple[KnownImages, tuple[str, ...]]:
        """Read the images.

        Returns:
            The images with their labels, and a sentence for each label that cannot be used.

        Raises:
            PT4ALError: The images or their labels cannot be read.
        """
        path = self.images.expanduser()
        if self.masks is not None:
            masks = self.masks.expanduser()
            for directory in (path, masks):
                fault = kind_of(directory)
                if fault and (not directory.is_dir() or fault.endswith(BRUSH)):
                    raise PT4ALError(f"{directory} {fault}: {ACCEPTED}.")
            return read_masks(path, masks), ()
        if fault := kind_of(path):
            raise PT4ALError(f"{path} {fault}: {ACCEPTED}.")
        if path.is_file():
            export = read_export(path, settings)
            return export.images(background=settings.unlabelled_pixels == "background"), export.notes
        return read_folder(path), ()
