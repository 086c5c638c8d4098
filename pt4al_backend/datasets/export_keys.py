"""Finds the key of an export's tasks that holds the image: the export does not contain the label config."""

from __future__ import annotations

import mimetypes
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pt4al_backend.datasets.export_images import ADDRESSES, location
from pt4al_backend.datasets.other_formats import IMAGES
from pt4al_backend.errors import PT4ALError
from pt4al_backend.label_studio.label_config.config import UNNAMED_KEY

RARE = 10
"""Whatever occurs less often than once in so many times is an outlier, and left out."""
DEPTH, LENGTH = 4, 10
"""How deep nested data and how far lists are searched."""


def is_rare(count: int, most: int) -> bool:
    """Whether `count` occurrences are outliers where the most frequent has `most`."""
    return RARE * count < most


def frequent(counts: Counter[str]) -> set[str]:
    """The keys that are not outliers next to the most frequent."""
    return {key for key, count in counts.items() if not is_rare(count, max(counts.values()))}


def image_key(rows: Sequence[Mapping[str, Any]], *, asked: Collection[str]) -> str:
    """The key whose values are images, as a label config writes it after the $: `photo.files[0]` in nested data.

    Addresses with an image's file name win over other addresses, which may lead to pages, and these over bare file
    names. Among several keys, the one with the name of an Image tag wins.

    Args:
        rows: the tasks' data.
        asked: the names of the tags that results are about.

    Raises:
        PT4ALError: no key, or more than one, is left.
    """
    texts = [dict(_texts(row)) for row in rows]
    for test in (_is_image, is_address, _is_file_name):
        keys = keys_of(texts, test)
        keys = keys - {UNNAMED_KEY} or keys
        named = {key for key in keys if key in asked}
        if len(keys) > 1 and len(named) != 1:
            raise PT4ALError(_several(sorted(keys)))
        if keys:
            return (named or keys).pop()
    raise PT4ALError("No key of the tasks' data looks like an image: PT4AL needs one with paths or addresses.")


def keys_of(rows: Iterable[Mapping[str, Any]], test: Callable[[str], bool]) -> set[str]:
    """The keys for which most texts pass `test`."""
    surplus: Counter[str] = Counter()
    for row in rows:
        for key, value in row.items():
            if isinstance(value, str) and value.strip():
                surplus[key] += 1 if test(value.strip()) else -1
    return frequent(+surplus)


def is_below(path: str, key: str) -> bool:
    """Whether `path` is `key` of the data, or inside it."""
    return path == key or path.startswith((f"{key}.", f"{key}["))


def is_address(value: str) -> bool:
    """Whether Label Studio could show this as an image, as far as its address reveals."""
    return _is_image(value) or (value.lower().startswith(ADDRESSES) and not _kind(value).startswith(NO_IMAGE))


NO_IMAGE = ("text/", "audio/", "video/")


def _is_image(value: str) -> bool:
    """Whether this is an address with an image's file name."""
    if value[:11].lower() == "data:image/":
        return True
    return value.lower().startswith(ADDRESSES) and _is_file_name(location(value))


def _kind(value: str) -> str:
    return mimetypes.guess_type(PurePosixPath(location(value)).name)[0] or ""


def _is_file_name(value: str) -> bool:
    return PurePosixPath(value).suffix.lower() in IMAGES


def _texts(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """The texts in a task's data, each with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping) and depth < DEPTH:
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list) and depth < DEPTH:
        for index, inner in enumerate(value[:LENGTH]):
            yield from _texts(inner, f"{path}[{index}]", depth + 1)


def _several(keys: Sequence[str]) -> str:
    root = keys[0].partition("[")[0]
    if all(key.startswith(f"{root}[") for key in keys):
        return f"The tasks show several images each, as a list ({root}): one image per task can be replayed."
    return (
        f"Several keys of the tasks' data look like images ({', '.join(keys)}): remove all but one of them from the "
        "export."
    )
