"""Every fact about Label Studio that code and tests cite ("fact 6") is in docs/label-studio.md, and cited ones only."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "label-studio.md").read_text()
FACTS = {int(number): text for number, text in re.findall(r"^### Fact (\d+): (.+?)(?=^##|\Z)", PAGE, flags=re.M | re.S)}
NUMBERS = r"\d+(?:(?:, (?:and )?| and | to )\d+)*"
CITATION = re.compile(rf"\bfacts? ({NUMBERS})", flags=re.I)
PLACES = ("pt4al_backend", "tests", "benchmarks", "docker")


def numbers(text: str) -> set[int]:
    """The numbers in "1 to 10", "16 and 17" or "19, 21, 29"."""
    found: set[int] = set()
    for part in re.split(r", (?:and )?| and ", text):
        first, _, last = part.partition(" to ")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def cited() -> dict[int, set[str]]:
    """The number of each fact that is cited, and the files that cite it."""
    files = defaultdict(set)
    for path in (file for place in PLACES for file in (ROOT / place).rglob("*") if file.suffix in (".py", ".yml")):
        if path.name != Path(__file__).name:
            text = re.sub(r"\s*\n\s*(#\s*)?", " ", path.read_text())
            for citation in CITATION.findall(text):
                for number in numbers(citation):
                    files[number].add(str(path.relative_to(ROOT)))
    return files


def test_facts_are_numbered_without_gaps() -> None:
    assert list(FACTS) == list(range(1, len(FACTS) + 1))


def test_every_cited_fact_exists() -> None:
    assert {number: files for number, files in cited().items() if number not in FACTS} == {}


def test_every_fact_is_cited_or_marked_as_background() -> None:
    background = {number for number, text in FACTS.items() if "*Background" in text}
    assert FACTS.keys() - cited().keys() - background == set()


def test_every_fact_says_how_it_is_known() -> None:
    assert [
        number for number, text in FACTS.items() if not re.search(r"\*(Background; )?(ran|read)\b", text, re.I)
    ] == []


def test_numbers_are_read_as_people_write_them() -> None:
    assert numbers("1 to 4") == {1, 2, 3, 4}
    assert numbers("19, 21, 29") == {19, 21, 29}
    assert numbers("16 and 17") == {16, 17}
