"""Code, messages, pages and docs use plain words: none of those that a native reader stumbles over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("pt4al_backend", "tests", "docs", "benchmarks", "docker")
WITHOUT_SUFFIX = ("Makefile", ".ci/run", "docker/Dockerfile")
SUFFIXES = {".py", ".md", ".html", ".js", ".css", ".toml", ".cfg", ".yml", ".yaml", ".sh"}
WORDS = (
    "m" + r"end(?:s|ed|ing)?",
    "a" + "new",
    r"sets?[\s#_-]+" + "aside",
    r"setting[\s#_-]+" + "aside",
    "op" + "inions?",
    "la" + "nes?",
    "be" + "nch",
    "lu" + "ck",
)
"""Patterns in two pieces, so that this file passes its own test."""
NAMES = ("PT4AL_BE" + "NCH_DATA",)
"""What people already use and has to keep its name."""
PATTERN = re.compile(rf"(?<![a-z])(?:{'|'.join(WORDS)})(?![a-z])", flags=re.I)


def files() -> Iterator[Path]:
    """Every text file of the project that people read or write."""
    yield from (ROOT / name for name in WITHOUT_SUFFIX)
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in SUFFIXES)
    yield from (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)


def awkward(text: str) -> list[str]:
    """The words that should be others, in prose and in identifiers of any style."""
    for name in NAMES:
        text = text.replace(name, "")
    return PATTERN.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))


@pytest.mark.parametrize(
    "text",
    ["M" + "end it.", "starting a" + "new", "images_set" + "_aside", "were set\n    # as" + "ide", "O" + "pinionOfOne"],
)
def test_awkward_words_are_found(text: str) -> None:
    assert len(awkward(text)) == 1


@pytest.mark.parametrize("text", ["recommend", "benchmarks", "a new one", "planes", "beside the set", "asides"])
def test_parts_of_words_are_not(text: str) -> None:
    assert awkward(text) == []


def test_words_are_plain() -> None:
    found = {
        str(path.relative_to(ROOT)): words
        for path in files()
        if (words := awkward(f"{path.relative_to(ROOT)}\n{path.read_text()}"))
    }
    assert found == {}
