"""Recognises files and directories that are not labelled images, by their names and first bytes, for messages."""

from __future__ import annotations

import itertools
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

EXPORT = "export the project from Label Studio in the format JSON (in the project: Export > JSON)"
ACCEPTED = (
    "give a directory with one directory of images per class, a directory of images and their masks with --masks, or "
    "a Label Studio project's export in the format JSON (in the project: Export > JSON)"
)
IMAGES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"])
"""The suffixes of image files."""
BRUSH = "Label Studio's export of brush labels"
ENOUGH = 10_000
"""At most so many names are looked at."""
PACKED = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"\xfd7zX": "xz", b"BZh": "bzip2"}
BINARY = {b"PAR1": "a Parquet file", b"\x93NUM": "a NumPy array", b"\x89HDF": "an HDF5 file", b"%PDF": "a PDF"}
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "train2017", "val2017", "test2017"}
PARTS = {"images", "labels", "masks", "annotations", "jpegimages", "imagesets"}
PARTS |= {"segmentationclass", "segmentationobject"}
"""The names of directories in data sets of other formats, in lower case."""


def kind_of(path: Path) -> str:
    """What is wrong with `path` as a whole, as in "x looks like a CSV file"; "" if it may be readable.

    That is any JSON, and a directory in which at least two directories contain images and have names of classes.
    """
    if path.is_dir():
        return _kind_of_directory(path)
    if not path.exists():
        return "does not exist"
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    kind = _kind_of_file(path, start)
    return kind and f"looks like {kind}"


def json_kind(content: Any) -> str:
    """What decoded JSON is if it is not a Label Studio export."""
    if isinstance(content, dict):
        for keys, kind in JSON_KINDS:
            if content.keys() >= keys:
                return kind
        return "a JSON object of another kind"
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, dict):
        texts = [value for value in first.values() if isinstance(value, str)]
        has_image = any(PurePosixPath(text).suffix.lower() in IMAGES for text in texts)
        return "tasks to import, which have no labels" if has_image else "a list of other things"
    return f"a list of {NAMES.get(type(first), 'other things')}" if isinstance(content, list) else "a lone value"


NAMES: dict[type, str] = {str: "texts", int: "numbers", float: "numbers", list: "lists"}
JSON_KINDS: tuple[tuple[set[str], str], ...] = (
    ({"images", "annotations"}, "annotations in the format COCO"),
    ({"images", "categories"}, "annotations in the format COCO"),
    ({"shapes", "imagePath"}, "annotations of LabelMe"),
    ({"_via_img_metadata"}, "annotations of VIA"),
    ({"data", "annotations"}, "a single task"),
    ({"data", "completions"}, "a single task"),
    ({"tasks", "total"}, "a response of Label Studio's API"),
    ({"count", "results"}, "a response of Label Studio's API"),
    ({"label_config"}, "a project's settings"),
)


def _kind_of_file(path: Path, start: bytes) -> str:
    ending = path.suffix.lower()
    if not start:
        return "an empty file"
    if zipfile.is_zipfile(path):
        return _kind_of_zip(path)
    for first, name in PACKED.items():
        if start.startswith(first):
            return f"an archive ({name})"
    for first, name in BINARY.items():
        if start.startswith(first):
            return name
    if start[257:262] == b"ustar":
        return "an archive (tar)"
    if ending in IMAGES or start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")):
        return "a single image"
    text = _text(start)
    return "a file of another kind" if text is None else _kind_of_text(ending, text)


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name for name in archive.namelist()[:ENOUGH] if not name.endswith("/")}
    except (zipfile.BadZipFile, OSError, ValueError):
        return "a damaged ZIP archive"
    if any(name.startswith("xl/") for name in names):
        return "an Excel file"
    if any(name.endswith(".npy") for name in names):
        return "NumPy arrays"
    inside = _layout({PurePosixPath(name) for name in names})
    return f"a ZIP archive of {inside}" if inside else "a ZIP archive, which has to be unpacked first"


def _text(start: bytes) -> str | None:
    """The first characters of a text file; None if it is binary."""
    encoding = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = start.decode(encoding, "replace")
    strange = sum(not letter.isprintable() and not letter.isspace() for letter in text.replace("\ufffd", "\0"))
    return None if 10 * strange > len(text) else text


def _kind_of_text(ending: str, text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()][:6]
    if not lines:
        return "an empty file"
    if lines[0].lstrip()[0] in "[{":
        return "" if len(lines) < 2 or not _is_json_lines(lines) else "JSON Lines, a task per line"
    if lines[0].lstrip().startswith("<"):
        if "<annotation" in text:
            return "an annotation in the format Pascal VOC (XML)"
        return "a label config" if "<View" in text else "an XML file"
    whole = lines[:-1] or lines  # the last one may be incomplete
    if all(re.fullmatch(r"\s*\d+(\s+-?\d*\.?\d+(e-?\d+)?){4,}\s*", line, re.IGNORECASE) for line in whole):
        return "labels in the format YOLO"
    if ending in (".yaml", ".yml"):
        is_yolo = re.search(r"^(names|nc)\s*:", text, re.MULTILINE)
        return "the description of a YOLO data set" if is_yolo else "a YAML file"
    if ending == ".tsv" or all("\t" in line for line in whole):  # Label Studio names them .csv
        return "a TSV file"
    if ending == ".csv" or all("," in line or ";" in line for line in whole):
        return "a CSV file"
    return "" if ending == ".json" else "a text file"


def _is_json_lines(lines: list[str]) -> bool:
    return all(re.match(r'\s*\{\s*"', line) for line in lines) and lines[0].rstrip().endswith("}")


def _kind_of_directory(root: Path) -> str:
    try:
        holders = {each.name for each in root.iterdir() if not each.name.startswith(".") and _holds_images(each)}
        known = {holder for holder in holders if holder.lower() in SPLITS | PARTS}
        if len(holders) > 1 and holders != known:
            return ""
        names = set(itertools.islice(_names(root, each=200), ENOUGH))
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not names:
        return "is an empty directory"
    if kind := _layout(names):
        return f"looks like {kind}"
    if len(holders) > 1:
        of_a_split = all(holder.lower() in SPLITS for holder in holders)
        another = " (name one of them, and another with --test)" if of_a_split else ""
        return f"contains {' and '.join(sorted(holders))}, which are parts of a data set, not classes{another}"
    images = {name for name in names if name.suffix.lower() in IMAGES}
    if images and not holders:
        return "contains images, but not in directories named by their classes"
    exports = sorted(str(name) for name in names if name.suffix.lower() == ".json" and len(name.parts) == 1)
    if exports and not images:
        return f"is a directory (name the export in it: {exports[0]})"
    return "" if images else "contains no images"


def _holds_images(directory: Path) -> bool:
    return directory.is_dir() and any(name.suffix.lower() in IMAGES for name in _names(directory))


def _names(root: Path, *, each: int | None = None) -> Iterator[PurePosixPath]:
    """The files below `root`, as paths relative to it, at most `each` per directory. Hidden ones are skipped."""
    for directory, directories, files in os.walk(root):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        here = PurePosixPath(Path(directory).relative_to(root).as_posix())
        yield from (here / name for name in sorted(files)[:each] if not name.startswith("."))


def _layout(names: Iterable[PurePosixPath]) -> str:
    """The format of a data set with files of these names, "" if it is unknown."""
    placed = {(name.parent.name.lower(), name.suffix.lower()) for name in names}
    stems = {name.stem for name in names if name.suffix.lower() in IMAGES}
    file_names = {name.name.lower() for name in names}
    beside = {name.suffix.lower() for name in names if name.stem in stems and name.suffix.lower() not in IMAGES}
    if ("labels", ".txt") in placed or ".txt" in beside or {"data.yaml", "dataset.yaml"} & file_names:
        return "a data set in the format YOLO"
    if ("annotations", ".xml") in placed or ".xml" in beside or any(parent == "jpegimages" for parent, _ in placed):
        return "a data set in the format Pascal VOC (XML)"
    if ("annotations", ".json") in placed or (stems and {"result.json", "_annotations.coco.json"} & file_names):
        return "a data set in the format COCO"
    if any(name.name.startswith("task-") and "-annotation-" in name.name for name in names):
        return BRUSH
    return "a CSV file" if len(file_names) == 1 and ".csv" in {ending for _, ending in placed} else ""
