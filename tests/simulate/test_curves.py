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


def ticks(path: Path) -> list[list[str]]:
    """The numbers below the axis of labels, of each pair of axes."""
    groups = list(ET.parse(path).getroot().iter(f"{SVG}g"))
    axes = [group for group in groups if group.get("id", "").startswith("matplotlib.axis_")]
    return [[text.text or "" for text in axis.iter(f"{SVG}text")][:-1] for axis in axes[::2]]


def test_numbers_of_labels_are_whole(tmp_path: Path) -> None:
    rounds = [{"labels": labels, "accuracy": 0.5} for labels in (1, 2, 3)]
    draw([{"strategy": "pt4al", "seed": 0, "rounds": rounds}], tmp_path / "curves.svg", title="digits")
    assert ticks(tmp_path / "curves.svg") == [["1", "2", "3"]]


def test_balanced_accuracy_is_drawn_beside_it_if_classes_are_imbalanced(tmp_path: Path) -> None:
    rounds = [{"labels": labels, "accuracy": 0.5, "balanced_accuracy": 0.4} for labels in (1, 2)]
    classes = {"cat": {"test_images": 3}, "dog": {"test_images": 1}}
    draw([{"strategy": "pt4al", "seed": 0, "rounds": rounds, "classes": classes}], tmp_path / "both.svg", title="")
    drawn = (tmp_path / "both.svg").read_text()
    assert len(ticks(tmp_path / "both.svg")) == 2
    assert "balanced accuracy on the test images" in drawn and drawn.count("pt4al (n = 1)") == 1
