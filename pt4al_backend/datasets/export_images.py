"""The images of a Label Studio export: files next to it, or fetched from the tasks' addresses."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.image_fetcher import ImageFetcher
from pt4al_backend.label_studio.image_values import STORAGE_SCHEMES, image_name, is_data_uri
from pt4al_backend.label_studio.project import fetch_limits
from pt4al_backend.settings import Settings

ADDRESSES = ("http://", "https://", "/", *(f"{scheme}://" for scheme in STORAGE_SCHEMES))


@dataclass(frozen=True)
class _Files:
    """The files of an export. Only those below `directory` are found, also by symbolic links."""

    directory: Path
    located: Mapping[str, int]
    """By location: how many of the export's images have it."""
    ending: Mapping[str, int]
    """By end of a location: how many locations have it."""

    @classmethod
    def below(cls, directory: Path, images: Iterable[str]) -> _Files:
        locations = [location(image) for image in set(images)]
        return cls(directory, Counter(locations), Counter(end for each in locations for end in _ends(each)))

    def find(self, image_location: str) -> Path | None:
        """The file at a location, or at an end of it that no other location has, in the directory or its `images`."""
        for dropped, end in enumerate(_ends(image_location)):
            if (self.ending[end] if dropped else self.located[end]) > 1:
                continue
            unzipped = end.replace("/", "\\")  # unpacking an archive made on Windows may leave such names
            for path in (*self._candidates(end), *self._candidates(unzipped)):
                try:
                    path = path.resolve()
                    if path.is_relative_to(self.directory) and path.is_file():
                        return path
                except (OSError, ValueError, RuntimeError):  # too long, a null character, circular links
                    continue
        return None

    def _candidates(self, name: str) -> tuple[Path, Path]:
        return self.directory / name, self.directory / "images" / name


@dataclass(frozen=True)
class ExportImages:
    """The images of an export's tasks: files next to it, or fetched from their addresses."""

    images: tuple[tuple[int, str], ...]
    """Task id and image address, by position."""
    files: _Files
    fetcher: ImageFetcher
    has_home: bool
    """Whether the settings name a Label Studio that paths can be fetched from."""

    @classmethod
    def beside(cls, directory: Path, images: Sequence[tuple[int, str]], settings: Settings) -> ExportImages:
        """`directory` is that of the export, `images` are (task id, address of its image)."""
        files = _Files.below(directory, [image for _, image in images])
        return cls(tuple(images), files, _fetcher(settings), bool(settings.label_studio_url))

    def read(self, position: int) -> bytes:
        """The image file at a position. Thread-safe. `UnreadableImageError` if there is none."""
        task, image = self.images[position]
        image_location = location(image)
        path = self.files.find(image_location)
        if path:
            try:
                return path.read_bytes()
            except OSError as error:
                raise UnreadableImageError(f"{path} cannot be read: {error.strerror}.") from None
        if self.has_home or image.lower().startswith(("http://", "https://", "data:")):
            return self.fetcher.fetch(image, task_id=task)
        raise UnreadableImageError(
            f"There is no {image_location[:200]!r} in {self.files.directory}: put the images next to the export, "
            "or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."
        )

    def name(self, position: int) -> str:
        """The name by which people know the image at a position."""
        task, image = self.images[position]
        return image_name(image) or f"the image of task {task}"


def _fetcher(settings: Settings) -> ImageFetcher:
    """Sends the settings' token, if there is one, only to the settings' Label Studio."""
    url, token = settings.label_studio_url, settings.label_studio_api_key.get_secret_value()
    credentials = LabelStudioClient.of(url, "", settings).credentials if url and token else dict
    return ImageFetcher(label_studio_url=url, credentials=credentials, limits=fetch_limits(settings))


def location(image: str) -> str:
    """The path that an address leads to: `pets/1 b.png` for `/data/local-files/?d=pets/1%20b.png`, "" for a data: URI.

    As on Windows, `\\` also separates directories. The key behind a storage's bucket is a name, not an address: nothing
    in it is escaped.
    """
    if is_data_uri(image):
        return ""
    return _path(image).replace("\\", "/").strip("/")


def _path(image: str) -> str:
    scheme, _, key = image.partition("://")
    if scheme.lower() in STORAGE_SCHEMES:
        return key.partition("/")[2]
    if not image.lower().startswith(ADDRESSES):
        return image
    try:
        address = urlsplit(image)
    except ValueError:
        return ""
    path, query = address.path.rstrip("/"), parse_qs(address.query)
    if path.endswith("/data/local-files"):
        return query.get("d", [""])[0]
    if path.endswith(("/resolve", "/presign")) and "fileuri" in query:  # storage keys as Label Studio's API writes them
        return _path(_decoded(query["fileuri"][0]))
    return unquote(address.path)


def _decoded(uri: str) -> str:
    try:
        return base64.urlsafe_b64decode(uri).decode()
    except ValueError:
        return ""


def _ends(path: str) -> list[str]:
    """`a/b/c`, `b/c` and `c` for `a/b/c`."""
    parts = PurePosixPath(path).parts
    return ["/".join(parts[begin:]) for begin in range(len(parts))]
