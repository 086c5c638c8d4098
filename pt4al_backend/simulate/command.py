"""All runs of a simulation: every variant with every seed, each once.

Several processes may work on one directory: each takes the runs that no other has in hand.
"""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from pt4al_backend import learning
from pt4al_backend.active_learning.schedule import chosen_strategy
from pt4al_backend.datasets.known_images import KnownImages, digest_of
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_type import LabelType
from pt4al_backend.reports.stages import time_left
from pt4al_backend.sampling.batches import query_size_for
from pt4al_backend.settings import Settings
from pt4al_backend.simulate import curves
from pt4al_backend.simulate.results import NAMES, Results, metric, show
from pt4al_backend.simulate.simulation import Replay, Round, Simulation
from pt4al_backend.simulate.source import Source
from pt4al_backend.simulate.variants import Variant, parse
from pt4al_backend.store.files import locked, new_directory

TEST_SHARE = 0.2
METHOD = (
    "imagenet_weights",
    "slack",
    "image_size",
    "pretext_epochs",
    "main_epochs",
)  # settings that a run's outcome depends on
TOLD = 20  # sentences
PAUSE = 2.0  # seconds between looks for a run that another process may have left


@dataclass(frozen=True)
class Plan:
    """What is to be run, and where it is kept."""

    title: str
    replay: Replay
    variants: list[Variant]
    seeds: tuple[int, ...]
    settings: Settings
    """Of every run, but for `data_dir`, `seed` and what is a variant's own."""
    out: Path
    notes: tuple[str, ...] = ()
    """A sentence for whatever of the answers could not be used."""


def plan(
    source: Source, test: Source | None, settings: Settings, *, strategies: str, seeds: int, answers: int, out: Path
) -> Plan:
    """What the command line asks for."""
    pool, notes = source.read(settings)
    held_out: KnownImages
    if test is None:
        pool, held_out = pool.split(TEST_SHARE, seed=0)
    else:
        held_out, more = test.read(settings)
        notes += more
        if type(held_out) is not type(pool):
            raise PT4ALError(
                "The images in --test have to be answered as the others are: "
                "give --test-masks where --masks is given, and only there."
            )
        held_out = held_out.with_classes(pool.classes)
    cycles = min(settings.cycles, len(pool))
    query_size = settings.query_size or min(query_size_for(len(pool), cycles=cycles), len(pool) // cycles)
    replay = Replay(pool, held_out, rounds=cycles, query_size=query_size, answers=answers)
    settings = Settings(**settings.model_dump() | {"cycles": cycles})
    title = source.images.expanduser().resolve().name
    return Plan(title, replay, parse(strategies), tuple(range(seeds)), settings, out, notes)


def run(plan: Plan, console: Console) -> Results:
    """Make every run that is not in `results.json` yet; draw `curves.svg`; return all of them.

    Raises:
        PT4ALError: what is asked cannot be done, `out` holds other results or cannot be written.
    """
    try:
        _check(plan)
        if plan.notes:
            told = "\n".join(plan.notes[:TOLD]) + ("\n…" if len(plan.notes) > TOLD else "")
            console.print(f"Could not be used, {len(plan.notes):,} in all:\n{escape(told)}")
        plan.out.mkdir(parents=True, exist_ok=True)
        if not (plan.out / "results.json").exists():
            _tidy(plan.out, unfinished=True)
        with locked(plan.out / ".work.lock", shared=True):
            results = _make_all(plan, console)
        _tidy(plan.out, unfinished=False)
    except OSError as error:
        raise PT4ALError(f"{plan.out} cannot be used ({error}): choose another --out.") from error
    show(results, console)
    return results


def _tidy(out: Path, *, unfinished: bool) -> None:
    """Where nobody works on it, remove what is left of finished runs, or `unfinished` ones too."""
    work = out / "work"
    with locked(out / ".work.lock", wait=False) as alone:
        if not alone or not work.exists():
            return
        for seed in list(work.iterdir()):
            begun = {path.name for path in seed.iterdir() if path.is_dir()} - {"ready"}
            if unfinished or not begun:
                shutil.rmtree(seed, ignore_errors=True)
        if not any(work.iterdir()):
            work.rmdir()


def _make_all(plan: Plan, console: Console) -> Results:
    results = Results(plan.out / "results.json", _config(plan))
    results.begin()
    jobs = [(variant, seed) for seed in plan.seeds for variant in plan.variants]
    clock = _Clock(len(jobs), plan.replay.rounds)
    while missing := [job for job in jobs if not results.has(job[0].name, job[1])]:
        clock.finished(len(jobs) - len(missing))
        if not any(_make(plan, results, *job, clock=clock, console=console) for job in missing):
            time.sleep(PAUSE)  # all that is missing is in other hands
        results.refresh()
    curves.draw(results.runs, plan.out / "curves.svg", title=plan.title)
    return results


def _make(plan: Plan, results: Results, variant: Variant, seed: int, *, clock: _Clock, console: Console) -> bool:
    """Make one run. False if another process has it, or its preparation, in hand."""
    home = plan.out / "work" / f"seed-{seed}"
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / f"{variant.name}.lock", wait=False) as mine:
        if mine:
            results.refresh()
        if not mine or results.has(variant.name, seed) or not _prepared(plan, home, seed, console):
            return False
        settings = variant.applied_to(_settings(plan, home / variant.name, seed))
        if not settings.data_dir.exists():
            with new_directory(settings.data_dir) as unfinished:
                shutil.copytree(home / "ready", unfinished)
        label = f"{variant.name}, seed {seed}"

        def tell(rounds: list[Round]) -> None:
            last = rounds[-1]
            console.print(
                f"{label}: round {last['round'] + 1}, {last['labels']} labels, {_told(last)}, "
                f"{time_left(clock.left(len(rounds))) or 'remaining time unknown'}"
            )

        with (
            console.status(label) as status,
            closing(Simulation(plan.replay, settings, lambda text: status.update(f"{label}: {text}"))) as simulation,
        ):
            clock.start(simulation.rounds_done)
            rounds = simulation.play(tell)
        results.add({"strategy": variant.name, "seed": seed, "rounds": rounds})
        curves.draw(results.runs, plan.out / "curves.svg", title=plan.title)
        shutil.rmtree(settings.data_dir, ignore_errors=True)
        return True


def _told(round_: Round) -> str:
    name = metric({"rounds": [round_]})
    return f"{NAMES[name]} {round_[name]:.1%}"


def _prepared(plan: Plan, home: Path, seed: int, console: Console) -> bool:
    """Do once for all runs of a seed what comes before the first label. False if another process is at it."""
    if (home / "ready").exists():
        return True
    with locked(home / "preparing.lock") as mine:
        if not mine or (home / "ready").exists():
            return mine
        label = f"seed {seed}"
        console.print(f"{label}: training the pretext task")
        settings = _settings(plan, home / "preparing", seed)
        with (
            console.status(label) as status,
            closing(Simulation(plan.replay, settings, lambda text: status.update(f"{label}: {text}"))) as simulation,
        ):
            faults = simulation.prepare()
        if faults:
            console.print(f"{label}: {len(faults)} images cannot be read and are left out. The first: {faults[0]}")
        settings.data_dir.rename(home / "ready")
        return True


def _settings(plan: Plan, directory: Path, seed: int) -> Settings:
    changes = {
        "data_dir": directory,
        "database_url": "",
        "seed": seed,
        "query_size": plan.replay.query_size,
        "train_growth": 0,  # one training a round, as in the paper
    }
    if _label_type(plan).dense:
        changes["unlabelled_pixels"] = "ignore"  # a mask names the class of every pixel that is known
    return Settings(**plan.settings.model_dump() | changes)


def _check(plan: Plan) -> None:
    """Refuse now what would otherwise be refused after hours."""
    replay, cycles = plan.replay, plan.settings.cycles
    for variant in plan.variants:
        chosen_strategy(variant.applied_to(plan.settings), dense=_label_type(plan).dense)
    if len(replay.pool.classes) < 2:
        raise PT4ALError(
            f"All regions are of one class, {replay.pool.classes[0]}: with PT4AL_UNLABELLED_PIXELS=background, what is "
            "outside of them is another."
        )
    if not len(replay.test):
        raise PT4ALError(
            "There are too few images to leave out one to measure on, a class needs two: give others with --test."
        )
    if replay.query_size * cycles > len(replay.pool):
        raise PT4ALError(
            f"{replay.query_size} images from each of {cycles} batches are more than the {len(replay.pool)} there are: "
            "choose a smaller --query-size or fewer --cycles."
        )


def _config(plan: Plan) -> dict[str, Any]:
    """All that a run's outcome depends on, but for its strategy, its seed and the versions."""
    replay, settings = plan.replay, plan.settings
    device = learning.resolve_device(settings.device)
    return {
        "title": plan.title,
        "images": digest_of(replay.pool.digest, replay.test.digest),
        "pool": len(replay.pool),
        "test": len(replay.test),
        "classes": len(replay.pool.classes),
        "rounds": replay.rounds,
        "query_size": replay.query_size,
        "cycles": settings.cycles,
        "answers": replay.answers,
        "device": device.partition(":")[0],
        "preset": settings.preset,
        "recipe": asdict(
            learning.recipes(
                settings.preset,
                device=device,
                pool=len(replay.pool),
                image_size=0,
                dense=_label_type(plan).dense,
            )
        ),
        "order": settings.method.order,
        "uncertainty": settings.measure(_label_type(plan)),
        "diversity": settings.diversity_for(dense=_label_type(plan).dense),
        "init": settings.method.init,
        **{name: getattr(settings, name) for name in METHOD},
    }


def _label_type(plan: Plan) -> LabelType:
    """Of what is replayed."""
    return plan.replay.pool.question.label_type


class _Clock:
    """Guesses the remaining time from what this process has seen: training grows with the labels."""

    def __init__(self, runs: int, rounds: int) -> None:
        self._runs, self._rounds = runs, rounds
        self._since = time.monotonic()
        self._at_start: float | None = None
        self._finished = 0

    def finished(self, runs: int) -> None:
        """So many runs are finished, by whomever."""
        self._finished = runs

    def start(self, rounds: int) -> None:
        """A run is taken up of which so many rounds were done before."""
        if self._at_start is None:
            self._at_start = self._finished + self._share(rounds)
            self._since = time.monotonic()

    def left(self, rounds: int) -> float | None:
        """Seconds until all runs are done, when `rounds` of the one under way are."""
        now = self._finished + self._share(rounds)
        done = now - (self._at_start or 0.0)
        return (time.monotonic() - self._since) / done * (self._runs - now) if done > 0 else None

    def _share(self, rounds: int) -> float:
        """Of a run: even the first rounds take their time."""
        return rounds * (rounds + 5) / (self._rounds * (self._rounds + 5))
