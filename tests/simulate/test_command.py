"""What simulations write, that they repeat themselves, and that kills do no harm."""

from __future__ import annotations

import fcntl
import io
import json
import shutil
import signal
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.simulating import Simulate, outcome, refused, saved, simulated, started, write_digits

from pt4al_backend import learning
from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.simulate import command

SMALL = ("--cycles", 4, "--query-size", 5, "--answers", 3, "--device", "cpu")
ROUND = {
    "round",
    "labels",
    "accuracy",
    "balanced_accuracy",
    "network_accuracy",
    "classes_labelled",
    "train_seconds",
    "other_seconds",
}


@pytest.fixture(scope="module")
def undisturbed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The --out of two strategies with one seed."""
    base = tmp_path_factory.mktemp("undisturbed")
    done = simulated(digits, *SMALL, "--seeds", 1, "--out", base / "out", MODEL_DIR=str(base / "elsewhere"))
    assert done.code == 0, done.error
    assert done.out.count("training the pretext task") == 1  # once for both strategies
    assert not (base / "elsewhere").exists()  # a backend's own data is left alone
    return base / "out"


@pytest.fixture(scope="module")
def killed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The --out of the same simulation, killed after its second round."""
    out = tmp_path_factory.mktemp("killed") / "out"
    process = started(digits, *SMALL, "--seeds", 1, "--out", out)
    assert process.stdout
    assert any("pt4al, seed 0: round 2," in line for line in process.stdout)  # reads no further
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    return out


# What is written


def test_results_of_the_contract(undisturbed: Path) -> None:
    results = saved(undisturbed)
    assert set(results) == {"config", "environment", "runs", "summary"}
    expected = {"title": "digits", "pool": 64, "test": 16, "classes": 4, "rounds": 4, "query_size": 5, "cycles": 4}
    assert expected.items() <= results["config"].items()
    assert results["config"]["answers"] == 3
    assert {"date", "pt4al-backend", "python", "torch", "processor", "cores"} <= set(results["environment"])
    assert [(run["strategy"], run["seed"]) for run in results["runs"]] == [("pt4al", 0), ("random", 0)]
    for run in results["runs"]:
        assert [entry["round"] for entry in run["rounds"]] == [0, 1, 2, 3]
        assert [entry["labels"] for entry in run["rounds"]] == [5, 10, 15, 20]
        for entry in run["rounds"]:
            assert set(entry) >= ROUND
            assert all(0 <= entry[name] <= 1 for name in ROUND if name.endswith("accuracy"))
            assert 1 <= entry["classes_labelled"] <= 4
            assert entry["train_seconds"] >= 0 and entry["other_seconds"] >= 0
        assert run["rounds"][-1]["accuracy"] > 0.5  # of four classes
        assert set(run["classes"]) == {"0", "1", "2", "3"}
        assert sum(found["test_images"] for found in run["classes"].values()) == 16
        assert sum(found["labels"] for found in run["classes"].values()) == 20
        right = sum(found["test_images"] * found["accuracy"] for found in run["classes"].values())
        assert right == pytest.approx(16 * run["rounds"][-1]["accuracy"])
    assert list(results["summary"]) == ["pt4al", "random"]
    for row, run in zip(results["summary"].values(), results["runs"], strict=True):
        assert {"aubc", "aubc_sd", "final", "final_sd"} <= set(row)
        first, second, third, last = (100 * entry["accuracy"] for entry in run["rounds"])
        assert row["aubc"] == pytest.approx((first / 2 + second + third + last / 2) / 3, abs=0.006)
        assert row["final"] == pytest.approx(last, abs=0.006)
        assert row["aubc_sd"] == row["final_sd"] == 0


def test_curves_name_every_strategy(undisturbed: Path) -> None:
    path = undisturbed / "curves.svg"
    assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    drawn = path.read_text()
    assert "pt4al (n = 1)" in drawn and "random (n = 1)" in drawn and "digits" in drawn


def test_the_files_of_a_run_are_deleted_at_its_end(undisturbed: Path) -> None:
    assert {path.name for path in undisturbed.iterdir()} - {".results.lock", ".work.lock"} == {
        "results.json",
        "curves.svg",
    }


def test_the_results_are_returned(few: Path, tmp_path: Path) -> None:
    settings = Settings(cycles=2, query_size=2, device="cpu", pretext_epochs=2, main_epochs=3)
    plan = command.plan(
        command.Source(few), None, settings, strategies="random", seeds=1, answers=5, out=tmp_path / "deep" / "out"
    )
    console = Console(width=200)
    with console.capture() as capture:
        results = command.run(plan, console)
    assert results.has("random", 0)
    assert "random, seed 0: round 2, 4 labels, accuracy" in capture.get()
    with pytest.raises(PT4ALError, match="made with another"):
        other = command.plan(command.Source(few), None, settings, strategies="random", seeds=1, answers=1, out=plan.out)
        command.run(other, Console())


# Once more


def test_finished_runs_are_not_repeated(undisturbed: Path, digits: Path, tmp_path: Path, simulate: Simulate) -> None:
    out = shutil.copytree(undisturbed, tmp_path / "out")
    before = (out / "results.json").read_bytes(), (out / "results.json").stat().st_mtime_ns
    done = simulate(digits, *SMALL, "--seeds", 1, "--out", out)
    assert done.code == 0
    assert "round" not in done.out.replace("all rounds", "") and "pretext" not in done.out
    assert "accuracy on 16 test images" in done.out and "Accuracy of each class at the end" in done.out
    assert "One seed cannot show" in done.out
    assert ((out / "results.json").read_bytes(), (out / "results.json").stat().st_mtime_ns) == before

    done = simulate(digits, *SMALL, "--seeds", 2, "--strategies", "pt4al,margin", "--out", out)
    assert done.code == 0
    outcomes = outcome(out)
    assert list(outcomes) == [("pt4al", 0), ("random", 0), ("margin", 0), ("pt4al", 1), ("margin", 1)]
    assert "pt4al, seed 0" not in done.out
    assert saved(out)["runs"][:2] == saved(undisturbed)["runs"]
    assert outcomes["pt4al", 1] != outcomes["pt4al", 0]  # a seed changes something
    assert saved(out)["summary"]["margin"]["n"] == 2
    assert "margin (n = 2)" in (out / "curves.svg").read_text()
    assert not (out / "work").exists()


def test_other_images_or_settings_are_rejected(undisturbed: Path, digits: Path, simulate: Simulate) -> None:
    done = simulate(digits, *SMALL, "--query-size", 6, "--out", undisturbed)
    assert "made with another query_size: choose another --out, or delete it." in refused(done)


def test_a_seed_decides_everything(digits: Path, tmp_path: Path, simulate: Simulate) -> None:
    strategies = "pt4al+order=hard_first+diversity=off,confidence"
    for out in ("once", "twice"):
        arguments = ("--seeds", 1, "--strategies", strategies, "--out", tmp_path / out)
        assert simulate(digits, "--cycles", 3, "--query-size", 4, "--device", "cpu", *arguments).code == 0
    assert outcome(tmp_path / "once") == outcome(tmp_path / "twice")
    assert len({json.dumps(rounds) for rounds in outcome(tmp_path / "once").values()}) == 2


# Kills, and other processes


def test_a_killed_simulation_continues(
    undisturbed: Path, killed: Path, digits: Path, tmp_path: Path, simulate: Simulate
) -> None:
    out = shutil.copytree(killed, tmp_path / "out")
    assert json.loads((out / "results.json").read_text())["runs"] == []
    done = simulate(digits, *SMALL, "--seeds", 1, "--out", out)
    assert done.code == 0, done
    assert "pretext task" not in done.out and "pt4al, seed 0: round 2," not in done.out
    assert "pt4al, seed 0: round 4," in done.out
    assert outcome(out) == outcome(undisturbed)
    assert not (out / "work").exists()


def test_unfinished_runs_do_not_continue_with_other_images_or_settings(
    killed: Path, digits: Path, tmp_path: Path, simulate: Simulate
) -> None:
    out = shutil.copytree(killed, tmp_path / "out")
    arguments = (*SMALL, "--seeds", 1, "--out", out)
    assert "made with another query_size" in refused(simulate(digits, *arguments, "--query-size", 3))
    images = sorted(digits.glob("*/*.png"))
    content = images[0].read_bytes()
    images[0].write_bytes(images[-1].read_bytes())
    try:
        assert "made with another images" in refused(simulate(digits, *arguments))
    finally:
        images[0].write_bytes(content)
    # as the sentence says
    (out / "results.json").unlink()
    done = simulate(digits, *arguments, "--query-size", 3, "--strategies", "random")
    assert done.code == 0, done
    assert "training the pretext task" in done.out
    assert not (out / "work").exists()


def test_two_processes_share_the_work(undisturbed: Path, digits: Path, tmp_path: Path) -> None:
    processes = [started(digits, *SMALL, "--seeds", 1, "--out", tmp_path) for _ in range(2)]
    printed = []
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        printed.append(out)
    assert outcome(tmp_path) == outcome(undisturbed)
    both = "".join(printed)
    assert both.count("training the pretext task") == 1
    assert both.count("pt4al, seed 0: round 4,") == both.count("random, seed 0: round 4,") == 1
    assert not (tmp_path / "work").exists()


def test_the_runs_of_another_process_stay(digits: Path, tmp_path: Path, simulate: Simulate) -> None:
    """Another process may have been asked for more seeds or other strategies in the same directory."""
    other = tmp_path / "work" / "seed-7"
    (other / "margin").mkdir(parents=True)
    with (tmp_path / ".work.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        arguments = ("--cycles", 2, "--query-size", 2, "--strategies", "random", "--seeds", 1, "--out", tmp_path)
        assert simulate(digits, "--device", "cpu", *arguments).code == 0
        assert (other / "margin").is_dir()


# The command line


def test_answers_of_an_export_that_cannot_be_used_are_reported(tmp_path: Path) -> None:
    def drawn(turn: int) -> dict[str, Any]:
        value = {"points": [[0, 0], [50, 0], [50, 50]], "closed": True, "polygonlabels": ["car"]}
        size = {"original_width": 32, "original_height": 32, "image_rotation": turn}
        return {"id": "r", "from_name": "part", "to_name": "image", "type": "polygonlabels", "value": value} | size

    tasks = [
        {"id": n, "annotations": [{"id": n, "result": [drawn(0), drawn(90 * (n == 3))]}], "data": {"image": f"{n}.png"}}
        for n in range(1, 11)
    ]
    export = tmp_path / "export.json"
    export.write_text(json.dumps(tasks))
    no_directory = tmp_path / "file"
    no_directory.write_text("")
    plan = command.plan(
        command.Source(export),
        None,
        Settings(cycles=2, query_size=2),
        strategies="random",
        seeds=1,
        answers=1,
        out=no_directory,
    )
    printed = io.StringIO()
    with pytest.raises(PT4ALError, match="another --out"):
        command.run(plan, Console(file=printed, soft_wrap=True))
    assert printed.getvalue().startswith("Answers that cannot be used (1 in all):\nTask 3: ")


def test_the_test_images_have_the_classes_of_the_pool(tmp_path: Path) -> None:
    write_digits(tmp_path / "pool", 6, 5, 4)
    test = write_digits(tmp_path / "test", 0, 3, 2)
    plan = command.plan(
        command.Source(tmp_path / "pool"),
        command.Source(test),
        Settings(),
        strategies="random",
        seeds=2,
        answers=1,
        out=tmp_path,
    )
    assert plan.replay.pool.targets.tolist() == [0] * 6 + [1] * 5 + [2] * 4
    assert plan.replay.test.classes == ("0", "1", "2")
    assert plan.replay.test.targets.tolist() == [1, 1, 1, 2, 2]
    assert plan.seeds == (0, 1)


@pytest.mark.parametrize(
    ("asked", "cycles", "query_size"),
    [
        ({}, 10, 6),  # a fifth of a batch would be 1, the least is 10, a batch has 6
        ({"cycles": 2}, 2, 10),
        ({"cycles": 2, "query_size": 3}, 2, 3),
        ({"cycles": 500}, 64, 1),
    ],
)
def test_rounds_and_queries_fit_the_pool(digits: Path, asked: dict[str, int], cycles: int, query_size: int) -> None:
    plan = command.plan(
        command.Source(digits),
        None,
        Settings(**asked),
        strategies="random",
        seeds=1,
        answers=1,
        out=Path("never-made"),
    )
    assert (plan.replay.rounds, plan.settings.cycles, plan.replay.query_size) == (cycles, cycles, query_size)
    assert not Path("never-made").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--strategies", "rondom"], "rondom: strategy is wrong"),
        (["--strategies", "random,pt4al+order=hardest"], "pt4al+order=hardest: order is wrong"),
        (["--strategies", "random,pt4al+order=../../elsewhere"], "order is wrong"),
        (["--strategies", "pt4al+seed=3"], "'seed' cannot be set for one strategy"),
        (["--strategies", ","], "Name at least one strategy"),
        (["--cycles", 4, "--query-size", 5], "5 images from each of 4 batches are more than the pool of 16"),
        (["--preset", "slow"], "PT4AL_PRESET is wrong"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_wrong_options_are_one_sentence_before_anything_is_done(
    few: Path, tmp_path: Path, simulate: Simulate, arguments: list[object], says: str
) -> None:
    done = simulate(few, "--cycles", 2, "--query-size", 2, "--device", "cpu", "--out", tmp_path / "out", *arguments)
    assert says in refused(done)
    assert not list(tmp_path.rglob("seed-0"))


def test_wrong_sources_are_one_sentence(few: Path, tmp_path: Path, simulate: Simulate) -> None:
    assert "does not exist" in refused(simulate(tmp_path / "none", "--out", tmp_path / "out"))
    assert "does not exist" in refused(simulate(tmp_path / "none.json", "--out", tmp_path / "out"))
    one = write_digits(tmp_path / "one", 4)
    assert "images of only one class" in refused(simulate(one, "--out", tmp_path / "out"))
    newer = write_digits(tmp_path / "newer", 1, 1, 1, 1)
    error = refused(simulate(few, "--test", newer, "--out", tmp_path / "out"))
    assert "classes that the training images do not have: 2, 3." in error
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.json").write_text("[1, 2]")
    assert "holds no results of a simulation" in refused(simulate(few, *SMALL[:1], 2, "--out", tmp_path / "results"))
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refused(simulate(few, "--cycles", 2, "--out", tmp_path / "file"))
    assert not (tmp_path / "out").exists()


def test_a_pool_of_one_image_per_class_has_nothing_to_measure_on(tmp_path: Path, simulate: Simulate) -> None:
    single = write_digits(tmp_path / "single", 1, 1)
    assert "test" in refused(simulate(single, "--cycles", 1, "--device", "cpu", "--out", tmp_path / "out"))


# The default encoder


def test_images_are_embedded_once_for_all_runs(
    few: Path, tmp_path: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PT4AL_ENCODER", "auto")
    chunks: list[int] = []
    embed = learning.Encoder.embed_pixels

    def counted(encoder: learning.Encoder, pixels: Any, *, device: str) -> Any:
        chunks.append(len(pixels))
        return embed(encoder, pixels, device=device)

    monkeypatch.setattr(learning.Encoder, "embed_pixels", counted)
    arguments = ("--cycles", 2, "--query-size", 2, "--seeds", 2, "--device", "cpu", "--out", tmp_path)
    done = simulate(few, *arguments, "--strategies", "coverage,random")
    assert done.code == 0, done
    assert sum(chunks) == 16 + 4
    assert done.out.count("decoding images") == 1 and "pretext task" not in done.out
    assert saved(tmp_path)["config"]["encoder"] == "efficientnet_lite0"
    monkeypatch.setenv("PT4AL_ENCODER", "rotation")
    assert "made with another encoder" in refused(simulate(few, *arguments, "--strategies", "margin"))


def test_encoders_are_compared_each_with_its_own_images(
    few: Path, tmp_path: Path, simulate: Simulate, colours: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PT4AL_ENCODER", "colour-1")
    arguments = ("--cycles", 2, "--query-size", 2, "--seeds", 2, "--device", "cpu")
    names = ["balanced", "random+encoder=colour-4", "random+encoder=rotation"]
    done = simulate(few, *arguments, "--strategies", ",".join(["auto", *names[1:]]), "--out", tmp_path / "together")
    assert done.code == 0, done
    assert list(outcome(tmp_path / "together")) == [(name, seed) for seed in range(2) for name in names]
    for encoder in ("", " with colour-4", " with rotation"):
        assert done.out.count(f"decoding images{encoder}\n") == 1
    assert (
        done.out.count("training the pretext task") == done.out.count("with rotation: training the pretext task") == 2
    )
    assert not (tmp_path / "together" / "work").exists()

    monkeypatch.setenv("PT4AL_ENCODER", "colour-4")
    assert simulate(few, *arguments, "--strategies", "random", "--out", tmp_path / "alone").code == 0
    assert outcome(tmp_path / "alone")["random", 1] == outcome(tmp_path / "together")["random+encoder=colour-4", 1]


def test_an_encoder_that_cannot_be_had_is_not_replaced(
    few: Path, tmp_path: Path, simulate: Simulate, colours: set[str]
) -> None:
    colours.add("colour-1")
    arguments = (few, "--cycles", 2, "--query-size", 2, "--seeds", 1, "--device", "cpu", "--out", tmp_path)
    arguments += ("--strategies", "random+encoder=colour-1")
    done = simulate(*arguments)
    assert (done.code, done.error) == (1, "The weights of colour-1 cannot be fetched: connect this machine.\n")
    colours.clear()
    assert simulate(*arguments).code == 0
