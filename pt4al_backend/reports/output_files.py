"""Files that people take away: each is written in one step, whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.files import replacing

FORMULAS = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""Characters that begin a formula in a spreadsheet, including full-width signs."""


@contextlib.contextmanager
def unfinished(output: Path) -> Iterator[Path]:
    """Yields a path to write to, whose file replaces `output` when the block ends.

    Raises:
        PT4ALError: `output` is a directory, lies in none, or cannot be written.
    """
    if output.is_dir():
        raise PT4ALError(f"{output} is a directory: give --output the name of a file.")
    if not output.absolute().parent.is_dir():
        raise PT4ALError(f"{output.parent} is not a directory: create it first, or choose another --output.")
    try:
        with replacing(output, shared=True) as path:
            yield path
    except OSError as error:
        raise PT4ALError(f"{output} cannot be written ({error.strerror}): choose another --output.") from error


@contextlib.contextmanager
def text_file(output: Path) -> Iterator[IO[str]]:
    """Yields a text file, as `unfinished` does."""
    with unfinished(output) as path, path.open("w", newline="", encoding="utf-8") as file:
        yield file


def write_csv(output: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write rows in which no text is a formula. Raises the errors of `unfinished`.

    Returns:
        How many there were, without the header.
    """
    count = 0
    with text_file(output) as file:
        writer = csv.writer(file)
        writer.writerow(map(_harmless, header))
        for row in rows:
            writer.writerow(map(_harmless, row))
            count += 1
    return count


def write_json(output: Path, parts: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> dict[str, int]:
    """Write a JSON object whose lists may be longer than memory. Raises the errors of `unfinished`.

    Args:
        output: the file.
        parts: its short members by name, at least one.
        lists: its long members by name; each is read when the one before it has been written.

    Returns:
        How long each list is.
    """
    lengths = {}
    with text_file(output) as file:
        file.write("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in parts.items()))
        for name, entries in lists.items():
            file.write(f",\n{json.dumps(name)}: ")
            lengths[name] = _write_list(file, entries)
        file.write("\n}\n")
    return lengths


def write_json_list(output: Path, entries: Iterable[Any]) -> int:
    """Write a JSON list that may be longer than memory, and return its length. Raises the errors of `unfinished`."""
    with text_file(output) as file:
        length = _write_list(file, entries)
        file.write("\n")
    return length


def _write_list(file: IO[str], entries: Iterable[Any]) -> int:
    file.write("[")
    length = 0
    for length, entry in enumerate(entries, 1):
        file.write(("\n" if length == 1 else ",\n") + json.dumps(entry))
    file.write("\n]")
    return length


def _harmless(cell: object) -> object:
    """Put a ' before text that a spreadsheet would run as a formula, and before text that begins with a ' itself.

    A reader gets the original text by removing one ' from each cell that begins with one.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(("'", *FORMULAS)) else cell
