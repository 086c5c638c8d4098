"""The images of a Label Studio export: files beside it, or fetched from where the tasks' addresses point."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.image_fetcher import STORAGE_SCHEMES, ImageFetcher, image_name
from pt4al_backend.label_studio.project import fetch_limits
from pt4al_backend.settings import Settings

ADDRESSES = ("http://", "https://", "/", *(f"{scheme}://" for scheme in STORAGE_SCHEMES))


@dataclass(frozen=True)
class _Files:
    """Looks below `directory` only, symbolic links included."""

    directory: Path
    located: Mapping[str, int]
    """How many of the export's images have this location."""
    ending: Mapping[str, int]
    """How many have one that ends so."""

    @classmethod
    def below(cls, directory: Path, images: Iterable[str]) -> _Files:
        named = [location(image) for image in set(images)]
        return cls(directory, Counter(named), Counter(end for each in named for end in _ends(each)))

    def find(self, named: str) -> Path | None:
        """The file that a location, or an end of it that no other has, names here or in `images`."""
        for place, end in enumerate(_ends(named)):
            if (self.ending[end] if place else self.located[end]) > 1:
                continue
            unzipped = end.replace("/", "\\")  # an archive from Windows may leave such names
            for path in (*self._places(end), *self._places(unzipped)):
                try:
                    path = path.resolve()
                    if path.is_relative_to(self.directory) and path.is_file():
                        return path
                except (OSError, ValueError, RuntimeError):  # too long, a null character, links in a circle
                    continue
        return None

    def _places(self, name: str) -> tuple[Path, Path]:
        return self.directory / name, self.directory / "images" / name


@dataclass(frozen=True)
class ExportImages:
    """The images of an export's tasks: files beside it, or fetched from where their addresses point."""

    images: tuple[tuple[int, str], ...]
    """Number of the task, and its image's address."""
    files: _Files
    fetcher: ImageFetcher
    has_home: bool

    @classmethod
    def beside(cls, directory: Path, images: Sequence[tuple[int, str]], settings: Settings) -> ExportImages:
        """`directory` is that of the export, `images` are (number of the task, address of its image)."""
        files = _Files.below(directory, [image for _, image in images])
        return cls(tuple(images), files, _fetcher(settings), bool(settings.label_studio_url))

    def read(self, position: int) -> bytes:
        """The image file at a position. Thread-safe. `UnreadableImageError` where there is none."""
        task, image = self.images[position]
        named = location(image)
        path = self.files.find(named)
        if path:
            try:
                return path.read_bytes()
            except OSError as error:
                raise UnreadableImageError(f"{path} cannot be read: {error.strerror}.") from None
        if self.has_home or image.lower().startswith(("http://", "https://", "data:")):
            return self.fetcher.fetch(image, task_id=task)
        raise UnreadableImageError(
            f"There is no {named[:200]!r} in {self.files.directory}: put the images beside the export, "
            "or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."
        )

    def name(self, position: int) -> str:
        """What people know the image at a position by."""
        task, image = self.images[position]
        return image_name(image) or f"the image of task {task}"


def _fetcher(settings: Settings) -> ImageFetcher:
    """Sends the settings' token, where there is one, to the settings' Label Studio only."""
    url, token = settings.label_studio_url, settings.label_studio_api_key.get_secret_value()
    credentials = LabelStudioClient.of(url, "", settings).credentials if url and token else dict
    return ImageFetcher(label_studio_url=url, credentials=credentials, limits=fetch_limits(settings))


def location(image: str) -> str:
    """The path an address ends in, "" for a data: URI: `pets/1 b.png` for `/data/local-files/?d=pets/1%20b.png`.

    As on Windows `\\` separates directories too. What follows a storage's bucket is no address but a name, in which
    nothing stands for anything else.
    """
    if image[:5].lower() == "data:":
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
    if path.endswith(("/resolve", "/presign")) and "fileuri" in query:  # what Label Studio's API makes of storage keys
        return _path(_decoded(query["fileuri"][0]))
    return unquote(address.path)


def _decoded(uri: str) -> str:
    try:
        return base64.urlsafe_b64decode(uri).decode()
    except ValueError:
        return ""


def _ends(named: str) -> list[str]:
    """`a/b/c`, `b/c` and `c`."""
    parts = PurePosixPath(named).parts
    return ["/".join(parts[begin:]) for begin in range(len(parts))]
