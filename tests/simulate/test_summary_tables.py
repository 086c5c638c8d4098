"""What people read at the end of a simulation."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from support.simulated_runs import simulated_run as run

from pt4al_backend.simulate.results import Results
from pt4al_backend.simulate.run_file import Run
from pt4al_backend.simulate.summary_tables import show

CONFIG = {"title": "[pets]", "pool": 40, "test": 10, "rounds": 3, "query_size": 10}


def shown(tmp_path: Path, *runs: Run, width: int = 200) -> str:
    """What is printed of these runs."""
    kept = Results(tmp_path / "results.json", CONFIG)
    for each in runs:
        kept.add(each)
    console = Console(width=width)
    with console.capture() as capture:
        show(kept, console)
    return capture.get()


def row(table: str, *words: str) -> list[str]:
    """The cells of the only row that begins with these cells."""
    rows = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in table.splitlines() if "│" in line]
    (found,) = [cells for cells in rows if cells[: len(words)] == list(words)]
    return found


def test_one_seed_has_no_spread_and_claims_no_saving(tmp_path: Path) -> None:
    printed = shown(tmp_path, run("random", 0, 0.2, 0.4, 0.6), run("pt4al", 0, 0.3, 0.6, 0.7))
    assert "[pets]: accuracy on 10 test images" in printed
    assert row(printed, "pt4al") == ["pt4al", "1", "55.0", "70.0"]
    assert "±" not in printed and "saved" not in printed and "20" not in printed
    assert "One seed cannot show whether a strategy saves labels" in printed and "--seeds 5" in printed


def test_several_seeds_are_compared(tmp_path: Path) -> None:
    curves = {
        "random": ((0.2, 0.4, 0.6), (0.3, 0.5, 0.7), (0.1, 0.3, 0.5)),
        "pt4al": ((0.4, 0.6, 0.7), (0.5, 0.7, 0.8), (0.3, 0.5, 0.7)),
        "margin": ((0.1, 0.6, 0.7), (0.5, 0.5, 0.5), (0.1, 0.3, 0.4)),
    }
    runs = [run(name, seed, *curve) for name, each in curves.items() for seed, curve in enumerate(each)]
    printed = shown(tmp_path, *runs)
    assert row(printed, "random")[1:] == ["3", "40.0 ± 10.0", "60.0 ± 10.0"]
    table = printed[printed.index("Compared with random") :]
    assert row(table, "pt4al")[1:] == [
        "+18.3 (14.7 to 21.9)",
        "3 of 3",
        "20 of 30 (20 to 20)",
        "33 % (33 to 33)",
    ]
    assert row(table, "margin")[2:] == ["1.5 of 3", "more than 30 (10 to more than 30)", "none"]
    assert "The difference from random may be chance, as its 95 % interval contains 0: margin." in table
    assert "pt4al" not in table[table.index("may be chance") :]
    assert "balanced" not in printed


def test_a_strategy_that_leaves_nothing_to_chance_has_no_spread(tmp_path: Path) -> None:
    curves = {"random": ((0.2, 0.4), (0.3, 0.5)), "margin": ((0.4, 0.6), (0.5, 0.6)), "balanced": ((0.5, 0.7),) * 2}
    runs = [run(name, seed, *curve) for name, each in curves.items() for seed, curve in enumerate(each)]
    printed = shown(tmp_path, *runs)
    assert row(printed, "balanced", "2") == ["balanced", "2", "60.0", "70.0"]
    assert row(printed, "margin", "2")[2:] == ["52.5 ± 3.5", "60.0 ± 0.0"]
    assert "Every seed gives the same curve for balanced: nothing there is left to chance." in printed


def test_balanced_accuracy_and_classes_are_shown(tmp_path: Path) -> None:
    classes = {
        "cat": {"test_images": 8, "accuracy": 0.75, "labels": 20},
        "[dog]": {"test_images": 2, "accuracy": 0.5, "labels": 10},
    }
    runs = [
        run(name, seed, 0.2, 0.4 + 0.1 * seed, balanced=0.25, classes=classes)
        for name in ("pt4al", "random")
        for seed in range(2)
    ]
    printed = shown(tmp_path, *runs)
    assert row(printed, "pt4al", "2")[-2:] == ["25.0 ± 0.0", "25.0 ± 0.0"]
    assert row(printed, "pt4al", "balanced accuracy")[2] == "+0.0 (0.0 to 0.0)"
    assert "contains 0: pt4al (accuracy), pt4al (balanced accuracy)." in printed
    assert "Accuracy of each class at the end" in printed
    assert row(printed, "cat")[1:] == ["8", "75.0 (20)", "75.0 (20)"]
    assert row(printed, "[dog]")[1:] == ["2", "50.0 (10)", "50.0 (10)"]


def test_of_many_classes_the_lowest_are_shown(tmp_path: Path) -> None:
    classes = {f"class {k}": {"test_images": 2, "accuracy": (30 - k) / 30} for k in range(30)}
    printed = shown(tmp_path, run("pt4al", 0, 0.5, classes=classes))
    assert "Of 30 classes, these are the 20 on which pt4al is worst. results.json has all." in printed
    assert row(printed, "class 29") == ["class 29", "2", "3.3"]
    assert "class 9 " not in printed and "labels that the class got" not in printed


def test_long_names_are_shown_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    name = "pt4al+diversity=off+uncertainty=entropy"
    printed = shown(tmp_path, run(name, 0, 0.3, 0.6, 0.7), width=80)
    parts = [line.split("│")[1].strip() for line in printed.splitlines() if line.startswith("│")]
    assert "".join(parts) == name


def test_nothing_is_compared_with_random_unless_it_was_run(tmp_path: Path) -> None:
    printed = shown(tmp_path, run("pt4al", 0, 0.3, 0.6, 0.7), run("pt4al", 1, 0.3, 0.6, 0.7))
    assert "random" not in printed and "seed cannot" not in printed
