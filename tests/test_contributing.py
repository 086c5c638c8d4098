"""CONTRIBUTING.md shows the rooms as they are, and its examples run."""

from __future__ import annotations

import importlib
import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.candidates import candidates, scattered
from support.networks import noise
from test_boundaries import FLOORS, STAYS_OUT_OF

from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.labelling.label_type import Drawings
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.labelling.questions import Prediction
from pt4al_backend.learning.encoders import make_encoder
from pt4al_backend.learning.linear_probe import fit_head
from pt4al_backend.learning.types import Output, Weights
from pt4al_backend.sampling import strategies
from pt4al_backend.sampling.uncertainty import margin

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


@dataclass(frozen=True)
class Example:
    """One of the things that can be added: the file, and where its line goes."""

    module: types.ModuleType
    tables: dict[str, dict[str, Any]]
    """Name of a table -> what its line adds."""


def example(title: str, monkeypatch: pytest.MonkeyPatch) -> Example:
    """Run the file under a heading, and put its lines into the tables."""
    section = TEXT.partition(f"### {title}\n")[2].partition("\n##")[0]
    file, *lines = re.findall(r"^```python\n# (.*?)\n(.*?)^```", section, flags=re.M | re.S)
    dotted = file[0].removesuffix(".py").replace("/", ".")
    module = types.ModuleType(dotted)
    monkeypatch.setitem(sys.modules, dotted, module)
    exec(compile(file[1], file[0], "exec"), module.__dict__)
    assert not (ROOT / file[0]).exists() and (ROOT / file[0]).parent.is_dir()
    added = {}
    for place, line in lines:
        table, path = re.fullmatch(r"in (\w+), (.+)\.py", place).groups()  # type: ignore[union-attr]
        there = importlib.import_module(path.replace("/", "."))
        entry = eval(f"{{{line}}}", {**vars(there), **vars(module), Path(file[0]).stem: module})
        for key, value in entry.items():
            assert key not in vars(there)[table]
            monkeypatch.setitem(vars(there)[table], key, value)
        added[table] = entry
    return Example(module, added)


def test_a_strategy_is_a_file_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    hardest = example("A query strategy", monkeypatch).tables["STRATEGIES"]["hardest"]
    assert strategies.find("hardest", diversity="off", dense=False) is hardest
    assert hardest.pretext
    given = candidates(scattered(9), rank=np.arange(9)[::-1], not_open=[7])
    assert given.serving_order(hardest.query(given, 3))[:3].tolist() == [8, 6, 5]


def test_a_strategy_of_another_package_is_an_entry_point() -> None:
    (group,) = re.findall(r"^```toml\n\[project\.entry-points\.\"(.*)\"\]$", TEXT, flags=re.M)
    assert group == strategies.GROUP


def test_an_encoder_is_a_file_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert example("An encoder", monkeypatch).tables.keys() == {"ENCODERS"}
    encoder = make_encoder("colours", stored=no_network, dense=False)
    ((rows, embeddings, patches),) = encoder.embed(noise(5), np.arange(5), device="cpu")
    assert rows.tolist() == [0, 1, 2, 3, 4] and embeddings.shape == (5, encoder.dimension) and patches is None


def no_network(name: str) -> Weights:
    raise AssertionError(f"nobody asked for {name}")


RATED = """<View><Image name="image" value="$image"/><Rating name="quality" toName="image" maxRating="3"/></View>"""
TWO_STARS = {"from_name": "quality", "to_name": "image", "type": "rating", "value": {"rating": 2}}


def test_a_control_is_a_file_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert example("A control of Label Studio", monkeypatch).tables.keys() == {"CONTROLS"}
    config = parse_config(RATED)
    assert config.questions[0].classes == ("1", "2", "3")
    assert config.answers([{"result": [TWO_STARS]}]) == {"quality": "2"}
    assert config.result({"quality": Prediction("2", 0.5)}) == [TWO_STARS | {"score": 0.5}]


def test_a_label_type_is_a_file_and_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinal = example("A label type", monkeypatch).tables["LABEL_TYPES"]["ordinal"]
    rating = example("A control of Label Studio", monkeypatch)
    monkeypatch.setitem(vars(rating.module), "SINGLE", ordinal)  # what the control asks for
    config = parse_config(RATED)
    answer = config.answers([{"result": [TWO_STARS]}])
    assert questions_of([config.questions[0].as_json()]) == config.questions
    targets = ordinal.targets(config.questions[0], [answer, {}], Drawings(np.zeros(2, np.int64), None, True))
    assert targets.tolist() == [1, -1]
    far, near = np.log([[0.5, 1e-9, 0.5], [0.5, 0.5, 1e-9]])
    assert ordinal.uncertainty(np.stack([far, near]), margin).round(2).tolist() == [1.0, 0.25]
    head = fit_head(np.eye(3, dtype=np.float32), np.arange(3), Output("ordinal", 3))
    assert head.logits(np.eye(3)).argmax(axis=1).tolist() == [0, 1, 2]
