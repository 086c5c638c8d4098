"""Small simulations of real digits: what they write, that they repeat themselves, and that kills do no harm."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from support.interrupting import assert_interruptions_change_nothing
from support.known_labels import DIGITS, digit_png
from support.served import NOT_INHERITED

from pt4al_backend import cli, learning
from pt4al_backend.datasets.folders import read_folder
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.settings import Settings
from pt4al_backend.simulate import command
from pt4al_backend.simulate.simulation import Replay, Round, Simulation
from pt4al_backend.store.checkpoints import load_arrays
from pt4al_backend.store.feature_file import FeatureFile
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store

QUICK = {"PT4AL_PRETEXT_EPOCHS": "2", "PT4AL_MAIN_EPOCHS": "3", "OMP_NUM_THREADS": "1"}
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


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These networks are as fast on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_digits(root: Path, *counts: int) -> Path:
    """So many PNG files of the digits 0, 1, 2, …, a directory each."""
    for digit, count in enumerate(counts):
        (root / str(digit)).mkdir(parents=True)
        for index in np.flatnonzero(DIGITS.target == digit)[:count].tolist():
            (root / str(digit) / f"{index}.png").write_bytes(digit_png(index))
    return root


def environment(**more: str) -> dict[str, str]:
    """This process's, without what sets up a backend, with `QUICK`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return kept | QUICK | more


def started(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """`pt4al-backend simulate` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "pt4al_backend.cli", "simulate", *map(str, arguments)],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


Simulate = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    error: str


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Simulate:
    """`pt4al-backend simulate` in this process, which has the libraries loaded."""
    for name in os.environ:
        if name.startswith(NOT_INHERITED):
            monkeypatch.delenv(name)
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["pt4al-backend", "simulate", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return call


def refused(done: Done) -> str:
    """The sentence on stderr of a command that failed as it should, before it did anything."""
    assert done.code == 1, done
    assert "Traceback" not in done.error
    assert done.error.count("\n") == 1
    assert done.out == ""
    return done.error


def saved(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "results.json").read_text()))


def outcome(out: Path) -> dict[tuple[str, int], list[Round]]:
    """All runs in `out`, without what the clock decides."""
    runs = saved(out)["runs"]
    told = {
        (run["strategy"], run["seed"]): [
            {name: value for name, value in entry.items() if not name.endswith("_seconds")} for entry in run["rounds"]
        ]
        for run in runs
    }
    assert len(told) == len(runs)
    return told


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 digits of four classes: 64 to label and 16 to measure on."""
    return write_digits(tmp_path_factory.mktemp("images") / "digits", 20, 20, 20, 20)


@pytest.fixture(scope="module")
def undisturbed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The --out of two strategies with one seed."""
    base = tmp_path_factory.mktemp("undisturbed")
    process = started(digits, *SMALL, "--seeds", 1, "--out", base / "out", MODEL_DIR=str(base / "elsewhere"))
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert out.count("training the pretext task") == 1  # once for both strategies
    assert not (base / "elsewhere").exists()  # a backend's own data is left alone
    return base / "out"


# What is written


def test_results_of_the_contract(undisturbed: Path) -> None:
    told = saved(undisturbed)
    assert set(told) == {"config", "environment", "runs", "summary"}
    expected = {"title": "digits", "pool": 64, "test": 16, "classes": 4, "rounds": 4, "query_size": 5, "cycles": 4}
    assert expected.items() <= told["config"].items()
    assert told["config"]["answers"] == 3
    assert {"date", "pt4al-backend", "python", "torch", "processor", "cores"} <= set(told["environment"])
    assert [(run["strategy"], run["seed"]) for run in told["runs"]] == [("pt4al", 0), ("random", 0)]
    for run in told["runs"]:
        assert [entry["round"] for entry in run["rounds"]] == [0, 1, 2, 3]
        assert [entry["labels"] for entry in run["rounds"]] == [5, 10, 15, 20]
        for entry in run["rounds"]:
            assert set(entry) >= ROUND
            assert all(0 <= entry[name] <= 1 for name in ROUND if name.endswith("accuracy"))
            assert 1 <= entry["classes_labelled"] <= 4
            assert entry["train_seconds"] >= 0 and entry["other_seconds"] >= 0
        assert run["rounds"][-1]["accuracy"] > 0.5  # of four classes
    assert list(told["summary"]) == ["pt4al", "random"]
    for row, run in zip(told["summary"].values(), told["runs"], strict=True):
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


def test_what_a_run_needs_is_gone_at_its_end(undisturbed: Path) -> None:
    assert {path.name for path in undisturbed.iterdir()} - {".results.lock", ".work.lock"} == {
        "results.json",
        "curves.svg",
    }


# Once more


def test_what_is_done_is_not_done_again(undisturbed: Path, digits: Path, tmp_path: Path, simulate: Simulate) -> None:
    out = shutil.copytree(undisturbed, tmp_path / "out")
    before = (out / "results.json").read_bytes(), (out / "results.json").stat().st_mtime_ns
    done = simulate(digits, *SMALL, "--seeds", 1, "--out", out)
    assert done.code == 0
    assert "round" not in done.out.replace("all rounds", "") and "pretext" not in done.out
    assert "accuracy on 16 test images" in done.out
    assert ((out / "results.json").read_bytes(), (out / "results.json").stat().st_mtime_ns) == before

    done = simulate(digits, *SMALL, "--seeds", 2, "--strategies", "pt4al,margin", "--out", out)
    assert done.code == 0
    told = outcome(out)
    assert list(told) == [("pt4al", 0), ("random", 0), ("margin", 0), ("pt4al", 1), ("margin", 1)]
    assert "pt4al, seed 0" not in done.out
    assert saved(out)["runs"][:2] == saved(undisturbed)["runs"]
    assert told["pt4al", 1] != told["pt4al", 0]  # a seed changes something
    assert saved(out)["summary"]["margin"]["n"] == 2
    assert "margin (n = 2)" in (out / "curves.svg").read_text()
    assert not (out / "work").exists()


def test_other_images_or_settings_are_refused(undisturbed: Path, digits: Path, simulate: Simulate) -> None:
    done = simulate(digits, *SMALL, "--query-size", 6, "--out", undisturbed)
    assert "made with another query_size: choose another --out, or delete it." in refused(done)


def test_a_seed_decides_everything(digits: Path, tmp_path: Path, simulate: Simulate) -> None:
    strategies = "pt4al+order=hard_first+diversity=off,confidence"
    for out in ("once", "twice"):
        given = ("--seeds", 1, "--strategies", strategies, "--out", tmp_path / out)
        assert simulate(digits, "--cycles", 3, "--query-size", 4, "--device", "cpu", *given).code == 0
    assert outcome(tmp_path / "once") == outcome(tmp_path / "twice")
    assert len({json.dumps(rounds) for rounds in outcome(tmp_path / "once").values()}) == 2


# Kills, and company


def test_a_killed_simulation_goes_on(undisturbed: Path, digits: Path, tmp_path: Path) -> None:
    given = (digits, *SMALL, "--seeds", 1, "--out", tmp_path)
    process = started(*given)
    assert process.stdout
    assert any("pt4al, seed 0: round 2," in line for line in process.stdout)  # reads no further
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert json.loads((tmp_path / "results.json").read_text())["runs"] == []
    last = started(*given)
    out, error = last.communicate(timeout=120)
    assert last.returncode == 0, error
    assert "pretext task" not in out and "pt4al, seed 0: round 2," not in out
    assert "pt4al, seed 0: round 4," in out
    assert outcome(tmp_path) == outcome(undisturbed)
    assert not (tmp_path / "work").exists()


def test_unfinished_runs_are_not_gone_on_with_otherwise(digits: Path, tmp_path: Path, simulate: Simulate) -> None:
    given = (*SMALL, "--seeds", 1, "--out", tmp_path)
    process = started(digits, *given)
    assert process.stdout
    assert any("pt4al, seed 0: round 1," in line for line in process.stdout)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert "made with another query_size" in refused(simulate(digits, *given, "--query-size", 3))
    images = sorted(digits.glob("*/*.png"))
    content = images[0].read_bytes()
    images[0].write_bytes(images[-1].read_bytes())
    try:
        assert "made with another images" in refused(simulate(digits, *given))
    finally:
        images[0].write_bytes(content)
    # as the sentence says
    (tmp_path / "results.json").unlink()
    done = simulate(digits, *given, "--query-size", 3, "--strategies", "random")
    assert done.code == 0, done
    assert "training the pretext task" in done.out
    assert not (tmp_path / "work").exists()


def test_an_interruption_at_any_moment_changes_nothing(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While images are read, within the pretext task, among a round's labels, within a training, after it."""
    replay = replay_of(digits, rounds=3, query_size=4, answers=3)
    rounds = assert_interruptions_change_nothing(
        replay, lambda data_dir: settings_in(data_dir, cycles=3, query_size=4), tmp_path, monkeypatch
    )
    assert [entry["labels"] for entry in rounds] == [4, 8, 12]


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


def test_what_another_process_has_in_hand_stays(digits: Path, tmp_path: Path, simulate: Simulate) -> None:
    """Another process may have been asked for more seeds or other strategies in the same directory."""
    theirs = tmp_path / "work" / "seed-7"
    (theirs / "margin").mkdir(parents=True)
    with (tmp_path / ".work.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        given = ("--cycles", 2, "--query-size", 2, "--strategies", "random", "--seeds", 1, "--out", tmp_path)
        assert simulate(digits, "--device", "cpu", *given).code == 0
        assert (theirs / "margin").is_dir()


# Queries and figures worked out by hand


def replay_of(root: Path, *, rounds: int, query_size: int, answers: int) -> Replay:
    pool, test = read_folder(root).split(0.2, seed=0)
    return Replay(pool, test, rounds=rounds, query_size=query_size, answers=answers)


def settings_in(data_dir: Path, **changes: Any) -> Settings:
    quick = {"pretext_epochs": 2, "main_epochs": 3, "train_growth": 0, "device": "cpu", "label_studio_url": ""}
    return Settings(**{**quick, "data_dir": data_dir, **changes})


def without_seconds(rounds: list[Round]) -> list[Round]:
    return [{name: value for name, value in entry.items() if not name.endswith("_seconds")} for entry in rounds]


@dataclass(frozen=True)
class Stored:
    """What a simulation has in its store between two rounds."""

    data_dir: Path

    def read(self) -> tuple[list[int], dict[int, float], set[int]]:
        """The published tasks in order, the pretext loss of every task, the labelled tasks."""
        with closing(Store(self.data_dir)) as store:
            [project] = store.projects()
            pool = store.pool(project)
        losses = dict(zip(pool.task.tolist(), pool.loss.tolist(), strict=True))
        return list(project.published), losses, set(pool.task[pool.labelled].tolist())

    def model(self) -> tuple[learning.Weights, learning.Head, dict[int, float]]:
        """The network, the head refitted on all labels, and how uncertain that is of each task.

        Uncertainty is the paper's: one less the top probability of a softmax over L2-normalised logits.
        """
        with closing(Store(self.data_dir)) as store:
            [project] = store.projects()
            pool = store.pool(project)
            ranking = store.ranking(project.id)
            models = store.models_dir(project.id)
            answers = store.answers(project.id)
        assert ranking
        loaded = load_arrays(models / f"main-{project.main_generation}.safetensors")
        assert loaded
        weights = learning.Weights(*loaded)
        stored = FeatureFile(
            models / f"embeddings-main-{project.main_generation}.bin", width=learning.network_encoder(weights).dimension
        )
        [question] = questions_of(project.questions)
        labelled = pool.task[pool.labelled].tolist()
        targets = np.array([question.classes.index(answers[task]["class"]) for task in labelled])
        output = learning.Output("single", len(question.classes))
        head = learning.fit_head(stored.read(pool.row[pool.labelled]), targets, output)
        logits = head.logits(stored.read(pool.row)).astype(float)
        assert ranking[0].guesses[0].chosen.tolist() == logits.argmax(axis=1).tolist()  # the stored opinion is this one
        unit = logits / np.linalg.norm(logits, axis=1, keepdims=True)
        top = (np.exp(unit) / np.exp(unit).sum(axis=1, keepdims=True)).max(axis=1)
        return weights, head, dict(zip(pool.task.tolist(), (1 - top).tolist(), strict=True))


@pytest.mark.parametrize(
    ("order", "batches"),
    [
        # ranks, counted from the hardest image
        ("hard_first", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]),
        ("easy_first", [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]),
        ("round_robin", [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]),
    ],
)
def test_queries_worked_out_by_hand(tmp_path: Path, order: str, batches: list[list[int]]) -> None:
    """Twelve images of three classes in three batches of four, two labels a round."""
    images = read_folder(write_digits(tmp_path / "images", 6, 6, 6))
    pool, test = images.take(np.array([0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15])), images.take(np.array([4, 10, 16]))
    settings = settings_in(
        tmp_path / "data", cycles=3, query_size=2, order=order, diversity="off", uncertainty="confidence", seed=1
    )
    stored = Stored(tmp_path / "data")
    expected: list[list[int]] = []
    labelled_after: list[set[int]] = []

    with closing(Simulation(Replay(pool, test, rounds=3, query_size=2, answers=2), settings, print)) as simulation:
        assert simulation.prepare() == []
        published, losses, labelled = stored.read()
        assert len(losses) == len(set(losses.values())) == 12 and not labelled
        hardest_first = sorted(losses, key=lambda task: -losses[task])
        batch = [[hardest_first[rank] for rank in ranks] for ranks in batches]

        # Round 0: at even distances through its batch, which is the first and the third of four.
        expected.append([batch[0][0], batch[0][2]])
        assert published[:2] == expected[0]

        def tell(rounds: list[Round]) -> None:
            """Work out the next query: the two of the next batch that the model is most uncertain of."""
            published, _, labelled = stored.read()
            labelled_after.append(labelled)
            if len(rounds) < 3:
                _, _, uncertainty = stored.model()
                expected.append(sorted(batch[len(rounds)], key=lambda task: -uncertainty[task])[:2])
                assert published[:2] == expected[-1]

        rounds = simulation.play(tell)

    assert [entry["labels"] for entry in rounds] == [2, 4, 6]
    for k, labelled in enumerate(labelled_after):
        assert labelled == {task for query in expected[: k + 1] for task in query}
        assert all(set(expected[j]) <= set(batch[j]) for j in range(k + 1))


def test_accuracies_worked_out_by_hand(tmp_path: Path) -> None:
    """Measured on six zeros, three ones and one two: of two models, both after the last round's training."""
    images = read_folder(write_digits(tmp_path / "images", 14, 11, 9))
    zeros, ones, twos = (np.flatnonzero(images.targets == digit) for digit in range(3))
    test = images.take(np.concatenate([zeros[-6:], ones[-3:], twos[-1:]]))
    pool = images.take(np.concatenate([zeros[:8], ones[:8], twos[:8]]))
    settings = settings_in(tmp_path / "data", cycles=2, query_size=5, strategy="random", main_epochs=6)
    with closing(Simulation(Replay(pool, test, rounds=2, query_size=5, answers=5), settings, print)) as simulation:
        simulation.prepare()
        last = simulation.play(lambda _: None)[-1]

    weights, head, _ = Stored(tmp_path / "data").model()
    tests = PixelStore(tmp_path / "data" / "test", size=32)
    [(_, features, _)] = list(learning.network_encoder(weights).embed(tests, np.arange(10), device="cpu"))
    right = (head.logits(features).argmax(axis=1) == [0] * 6 + [1] * 3 + [2]).tolist()
    assert last["accuracy"] == pytest.approx(sum(right) / 10)
    assert last["balanced_accuracy"] == pytest.approx((sum(right[:6]) / 6 + sum(right[6:9]) / 3 + right[9]) / 3)
    own = learning.network_head(weights, 0).logits(features).argmax(axis=1).tolist()
    assert last["network_accuracy"] == pytest.approx(
        sum(guess == truth for guess, truth in zip(own, [0] * 6 + [1] * 3 + [2], strict=True)) / 10
    )
    _, _, labelled = Stored(tmp_path / "data").read()
    assert last["classes_labelled"] == len({int(pool.targets[task - 1]) for task in labelled})


def test_images_that_cannot_be_read_make_the_pool_smaller(tmp_path: Path) -> None:
    images = read_folder(write_digits(tmp_path / "images", 8, 8))

    def read(position: int) -> bytes:
        if position % 4 == 0:
            raise UnreadableImageError("torn")
        return images.read(position)

    pool = LabelledImages(images.classes, images.targets, read)  # 16 images, 12 of them readable
    test = images.take(np.array([0, 15]))
    settings = settings_in(tmp_path / "data", cycles=3, query_size=5)
    with closing(Simulation(Replay(pool, test, rounds=3, query_size=5, answers=20), settings, print)) as simulation:
        simulation.prepare()
        rounds = simulation.play(lambda _: None)
    assert [entry["labels"] for entry in rounds] == [5, 10, 12]


# The command line


def test_an_export_is_a_source(tmp_path: Path, simulate: Simulate) -> None:
    tasks = []
    for number, path in enumerate(sorted(write_digits(tmp_path / "images", 10, 10).rglob("*.png"))):
        shutil.move(path, tmp_path / path.name)
        answer = {"from_name": "digit", "to_name": "image", "type": "choices", "value": {"choices": [path.parent.name]}}
        annotation = {"id": number, "result": [answer], "was_cancelled": False, "updated_at": "2024-01-01T00:00:00Z"}
        tasks.append({"id": number, "annotations": [annotation], "data": {"image": f"/data/upload/1/{path.name}"}})
    export = tmp_path / "export.json"
    export.write_text(json.dumps(tasks))
    given = ("--cycles", 2, "--query-size", 3, "--strategies", "random", "--seeds", 1, "--device", "cpu")
    assert simulate(export, *given, "--out", tmp_path / "out").code == 0
    config = saved(tmp_path / "out")["config"]
    assert (config["pool"], config["test"], config["classes"]) == (16, 4, 2)
    assert list(outcome(tmp_path / "out")) == [("random", 0)]


def test_answers_of_an_export_that_cannot_be_used_are_told_of(tmp_path: Path) -> None:
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
    said = io.StringIO()
    with pytest.raises(PT4ALError, match="another --out"):
        command.run(plan, Console(file=said, soft_wrap=True))
    assert said.getvalue().startswith("Could not be used, 1 in all:\nTask 3: ")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 digits of two classes: 16 to label and 4 to measure on."""
    return write_digits(tmp_path_factory.mktemp("few") / "digits", 10, 10)


def test_the_test_images_classes_are_the_pools(few: Path, tmp_path: Path) -> None:
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
    ("given", "says"),
    [
        (["--strategies", "rondom"], "rondom: strategy is wrong"),
        (["--strategies", "random,pt4al+order=hardest"], "pt4al+order=hardest: order is wrong"),
        (["--strategies", "random,pt4al+order=../../elsewhere"], "order is wrong"),
        (["--strategies", "pt4al+seed=3"], "'seed' cannot be set for one strategy"),
        (["--strategies", ","], "Name one strategy at least"),
        (["--cycles", 4, "--query-size", 5], "5 images from each of 4 batches are more than the 16 there are"),
        (["--preset", "slow"], "PT4AL_PRESET is wrong"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_wrong_options_are_one_sentence_before_anything_is_done(
    few: Path, tmp_path: Path, simulate: Simulate, given: list[object], says: str
) -> None:
    done = simulate(few, "--cycles", 2, "--query-size", 2, "--device", "cpu", "--out", tmp_path / "out", *given)
    assert says in refused(done)
    assert not list(tmp_path.rglob("seed-0"))


def test_wrong_sources_are_one_sentence(few: Path, tmp_path: Path, simulate: Simulate) -> None:
    assert "does not exist" in refused(simulate(tmp_path / "none", "--out", tmp_path / "out"))
    assert "does not exist" in refused(simulate(tmp_path / "none.json", "--out", tmp_path / "out"))
    one = write_digits(tmp_path / "one", 4)
    assert "images of only one class" in refused(simulate(one, "--out", tmp_path / "out"))
    strange = write_digits(tmp_path / "strange", 1, 1, 1, 1)
    error = refused(simulate(few, "--test", strange, "--out", tmp_path / "out"))
    assert "classes that the training images do not have: 2, 3." in error
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.json").write_text("[1, 2]")
    assert "holds no results of a simulation" in refused(simulate(few, *SMALL[:1], 2, "--out", tmp_path / "results"))
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refused(simulate(few, "--cycles", 2, "--out", tmp_path / "file"))
    assert not (tmp_path / "out").exists()


def test_a_pool_of_one_image_a_class_has_nothing_to_measure_on(tmp_path: Path, simulate: Simulate) -> None:
    lonely = write_digits(tmp_path / "lonely", 1, 1)
    assert "test" in refused(simulate(lonely, "--cycles", 1, "--device", "cpu", "--out", tmp_path / "out"))


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
