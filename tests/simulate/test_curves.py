from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from pt4al_backend.simulate.curves import draw

SVG = "{http://www.w3.org/2000/svg}"


def test_no_two_strategies_look_alike(tmp_path: Path) -> None:
    names = [f"strategy {k}" for k in range(18)]
    rounds = [{"labels": 10, "accuracy": 0.5}, {"labels": 20, "accuracy": 0.6}]
    runs = [{"strategy": name, "seed": seed, "rounds": rounds} for name in names for seed in range(2)]
    draw(runs, tmp_path / "curves.svg", title="digits")
    groups = ET.parse(tmp_path / "curves.svg").getroot().iter(f"{SVG}g")
    legend = next(group for group in groups if group.get("id", "").startswith("legend"))
    assert [text.text for text in legend.iter(f"{SVG}text")] == [f"{name} (n = 2)" for name in names]
    assert len({path.get("style") for path in legend.iter(f"{SVG}path") if path.get("style")}) >= len(names)
