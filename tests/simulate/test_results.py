"""What simulations leave behind: a file that several processes may write."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.simulated_runs import simulated_run as run

from pt4al_backend import __version__
from pt4al_backend.errors import PT4ALError
from pt4al_backend.simulate.results import Results
from pt4al_backend.simulate.summary import summary

CONFIG = {"title": "pets", "pool": 40, "test": 10, "rounds": 3, "query_size": 10}


def results(tmp_path: Path, **changes: Any) -> Results:
    return Results(tmp_path / "results.json", CONFIG | changes)


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
