"""CONTRIBUTING.md shows the rooms as they are, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path

from test_boundaries import FLOORS, STAYS_OUT_OF

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def picture() -> list[tuple[bool, str, set[str]]]:
    """Of each room, from the top: whether it is on the floor of the one before, its name, what it stays out of."""
    drawn = re.search(r"```\nroom .*?\n(.*?)```", TEXT, flags=re.S)
    assert drawn
    rows = [re.split(r" {2,}", line) for line in drawn[1].splitlines()]
    return [(row[0][0] == "=", row[0].lstrip("= "), set(row[2].split()) if len(row) > 2 else set()) for row in rows]


def test_the_picture_has_the_rooms_in_their_order() -> None:
    drawn: list[set[str]] = []
    for beside, room, _ in picture():
        if beside:
            drawn[-1].add(room)
        else:
            drawn.append({room})
    floors = [{room for room in floor.split() if "." not in room} for floor in reversed(FLOORS)]
    assert drawn == [floor for floor in floors if floor]


def test_the_picture_says_what_rooms_stay_out_of() -> None:
    rules = {room: forbidden for room, forbidden in STAYS_OUT_OF.items() if "." not in room}
    assert {room: forbidden for _, room, forbidden in picture() if forbidden} == rules
