"""What simulations leave behind: the figures by hand, and a file that several processes may write."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pt4al_backend import __version__
from pt4al_backend.errors import PT4ALError
from pt4al_backend.simulate.results import Results, Run, aubc, curve, labels_for, show, summary

CONFIG = {"title": "pets", "pool": 40, "test": 10, "rounds": 3, "query_size": 10}


def run(strategy: str, seed: int, *accuracies: float, balanced: float = 0.5) -> Run:
    """A run whose rounds have 10 labels each."""
    rounds = [
        {
            "round": k,
            "labels": 10 * (k + 1),
            "accuracy": accuracy,
            "balanced_accuracy": balanced,
            "network_accuracy": accuracy / 2,
        }
        for k, accuracy in enumerate(accuracies)
    ]
    return {"strategy": strategy, "seed": seed, "rounds": rounds}


def results(tmp_path: Path, **changes: Any) -> Results:
    return Results(tmp_path / "results.json", CONFIG | changes)


def shown(kept: Results, *, width: int = 200) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        show(kept, console)
    return capture.get()


@pytest.mark.parametrize(
    ("labels", "values", "area"),
    [
        ([10], [42.0], 42.0),
        ([10, 20], [40.0, 60.0], 50.0),
        ([10, 20, 30], [0.0, 100.0, 100.0], 75.0),  # (50 + 100) / 2
        ([10, 20, 60], [0.0, 50.0, 100.0], 65.0),  # (10 * 25 + 40 * 75) / 50
    ],
)
def test_the_area_under_the_budget_curve_by_hand(labels: list[float], values: list[float], area: float) -> None:
    assert aubc(labels, values) == pytest.approx(area)


@pytest.mark.parametrize(
    ("values", "goal", "labels"),
    [
        ([50, 60, 80], 70, 25.0),  # half way from 20 to 30
        ([50, 60, 80], 60, 20.0),
        ([50, 60, 80], 80, 30.0),
        ([50, 60, 80], 30, 10.0),  # at the first measurement, or before it
        ([50, 60, 80], 81, None),
        ([50, 70, 60], 65, 17.5),  # the first time counts
    ],
)
def test_labels_for_a_goal_by_hand(values: list[float], goal: float, labels: float | None) -> None:
    assert labels_for(np.array([10.0, 20.0, 30.0]), np.array(values, dtype=float), goal) == labels


def test_a_summary_by_hand() -> None:
    runs = [
        run("random", 0, 0.2, 0.4, 0.6),
        run("pt4al", 1, 0.5, 0.7, 0.9),  # area 70
        run("random", 1, 0.4, 0.6, 0.8),
        run("pt4al", 0, 0.3, 0.7, 0.7, balanced=0.25),  # area 60
    ]
    rows = summary(runs)
    assert list(rows) == ["random", "pt4al"]
    # random ends at 70 on average; pt4al is at 40, 70, 80 on average and so reaches that with 20 labels
    assert rows["pt4al"] == pytest.approx(
        {
            "n": 2,
            "aubc": 65,
            "aubc_sd": 5 * 2**0.5,
            "final": 80,
            "final_sd": 10 * 2**0.5,
            "balanced_aubc": 37.5,
            "balanced_aubc_sd": 12.5 * 2**0.5,
            "network_aubc": 32.5,
            "network_aubc_sd": 2.5 * 2**0.5,
            "labels_for_random": 20,
        }
    )
    assert rows["random"]["aubc"] == pytest.approx(50)
    assert rows["random"]["labels_for_random"] == 30
    labels, values = curve(runs, "pt4al")
    assert labels.tolist() == [10, 20, 30]
    np.testing.assert_allclose(values, [[30, 70, 70], [50, 70, 90]])  # by seed


def test_a_figure_is_rounded_once() -> None:
    rows = summary([run("random", seed, value, value) for seed, value in enumerate((0.49446, 0.49446, 0.49448))])
    assert f"{rows['random']['aubc']:.1f}" == "49.4"  # 49.447; by way of 49.45 it would be 49.5


def test_one_run_has_no_spread_and_an_unreached_goal_is_left_out() -> None:
    rows = summary([run("random", 0, 0.2, 0.9), run("margin", 0, 0.3, 0.8)])
    assert rows["margin"]["aubc_sd"] == rows["margin"]["final_sd"] == 0.0
    assert "labels_for_random" not in rows["margin"]
    assert "labels_for_random" not in summary([run("margin", 0, 0.3, 0.8)])["margin"]


def test_runs_may_differ_in_length_and_labels() -> None:
    short, lacking = run("random", 1, 0.4, 0.6), run("random", 2, 0.5, 0.7, 0.9)
    lacking["rounds"][1]["labels"] = 17
    labels, values = curve([run("random", 0, 0.2, 0.4, 0.6), short, lacking], "random")
    assert labels.tolist() == [10, 19]
    np.testing.assert_allclose(values, [[20, 40], [40, 60], [50, 70]])
    rows = summary([run("random", 0, 0.2, 0.4, 0.6), short, lacking])
    assert rows["random"]["final"] == pytest.approx(170 / 3)


def test_what_is_shown(tmp_path: Path) -> None:
    kept = results(tmp_path)
    for entry in (run("random", 0, 0.2, 0.4, 0.6), run("pt4al", 0, 0.3, 0.6, 0.7), run("margin", 0, 0.1, 0.1, 0.2)):
        kept.add(entry)
    table = shown(kept)
    assert "pets" in table and "10 test images" in table
    lines = {
        strategy: next(line for line in table.splitlines() if strategy in line) for strategy in ("pt4al", "margin")
    }
    assert "70.0 ± 0.0" in lines["pt4al"] and "20 of 30" in lines["pt4al"]
    assert "never" in lines["margin"]


def test_long_names_are_shown_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    name = "pt4al+diversity=off+uncertainty=entropy"
    kept = results(tmp_path)
    kept.add(run(name, 0, 0.3, 0.6, 0.7))
    parts = [line.split("│")[1].strip() for line in shown(kept, width=80).splitlines() if line.startswith("│")]
    assert "".join(parts) == name


def test_nothing_is_compared_with_random_unless_it_was_run(tmp_path: Path) -> None:
    kept = results(tmp_path)
    kept.add(run("pt4al", 0, 0.3, 0.6, 0.7))
    assert "never" not in shown(kept)


def test_the_dates_and_processors_of_the_runs(tmp_path: Path) -> None:
    kept = results(tmp_path)
    assert kept.made == {}
    kept.add(run("pt4al", 0, 0.3, 0.6, 0.7))
    today, this = kept.runs[0]["date"], kept.environment["processor"]
    assert kept.made == {"date": today, "processor": this}
    kept.runs += [
        run("pt4al", seed, 0.3) | {"date": day, "processor": "~another"}
        for seed, day in ((1, "2001-02-03"), (2, "2001-02-04"))
    ]
    assert kept.made == {"date": f"2001-02-03 to {today}", "processor": f"{this} and ~another"}


def test_finished_runs_are_kept(tmp_path: Path) -> None:
    kept = results(tmp_path)
    assert not kept.has("pt4al", 0)
    kept.add(run("pt4al", 0, 0.3, 0.6, 0.7))
    again = results(tmp_path)
    assert again.has("pt4al", 0)
    assert not again.has("pt4al", 1) and not again.has("random", 0)
    saved = json.loads((tmp_path / "results.json").read_text())
    assert set(saved) == {"config", "environment", "summary", "runs"}
    assert saved["config"] == CONFIG
    made = {name: saved["environment"][name] for name in ("date", "processor")} | {"version": __version__}
    assert saved["runs"] == [run("pt4al", 0, 0.3, 0.6, 0.7) | made]
    assert saved["summary"] == summary(saved["runs"])
    assert {"date", "pt4al-backend", "python", "torch", "numpy", "processor", "cores"} <= set(saved["environment"])


def test_results_of_another_config_are_rejected(tmp_path: Path) -> None:
    results(tmp_path).add(run("pt4al", 0, 0.3))
    before = (tmp_path / "results.json").read_text()
    with pytest.raises(PT4ALError, match="made with another pool and query_size: choose another --out, or delete it"):
        results(tmp_path, pool=50, query_size=5)
    with pytest.raises(PT4ALError, match="made with another preset"):
        results(tmp_path, preset="paper")
    assert (tmp_path / "results.json").read_text() == before


def test_runs_are_added_to_those_of_a_release_with_another_name_for_the_order(tmp_path: Path) -> None:
    results(tmp_path, order="dealt").add(run("pt4al", 0, 0.5))
    kept = results(tmp_path, order="round_robin")
    kept.add(run("pt4al", 1, 0.5))
    assert [entry["seed"] for entry in kept.runs] == [0, 1]
    with pytest.raises(PT4ALError, match="made with another order"):
        results(tmp_path, order="hard_first").begin()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        "[]",
        "5",
        "null",
        "{}",
        '{"runs": []}',
        '{"config": {}}',
        '{"config": [], "runs": []}',
        '{"config": null, "runs": []}',
        json.dumps({"config": CONFIG, "runs": 5}),
        json.dumps({"config": CONFIG, "runs": [5]}),
        json.dumps({"config": CONFIG, "runs": [{"seed": 0}]}),
    ],
)
def test_a_file_that_holds_no_results_is_rejected_and_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content, encoding="latin-1")
    with pytest.raises(PT4ALError, match="holds no results of a simulation: move it, or") as raised:
        results(tmp_path)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "results.json").read_text(encoding="latin-1") == content


def test_runs_that_another_process_added_are_read(tmp_path: Path) -> None:
    mine, other = results(tmp_path), results(tmp_path)
    mine.add(run("pt4al", 0, 0.3))
    assert not other.has("pt4al", 0)
    other.refresh()
    assert other.has("pt4al", 0)
    other.add(run("pt4al", 1, 0.3))
    mine.add(run("pt4al", 2, 0.3))
    assert [entry["seed"] for entry in mine.runs] == [0, 1, 2]


def test_two_processes_that_add_runs_at_the_same_time_lose_none(tmp_path: Path) -> None:
    def add(strategy: str) -> None:
        kept = results(tmp_path)  # as a process of its own would
        for seed in range(20):
            kept.add(run(strategy, seed, 0.5))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(add, ["pt4al", "random"]))
    kept = results(tmp_path)
    for strategy in ("pt4al", "random"):
        assert [entry["seed"] for entry in kept.runs if entry["strategy"] == strategy] == list(range(20))
    assert len(kept.runs) == 40
