"""All runs of a simulation: every variant with every seed, each once.

Several processes may share a directory: each takes runs that no other process is working on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from pt4al_backend import learning
from pt4al_backend.active_learning.schedule import chosen_strategy
from pt4al_backend.datasets.known_images import KnownImages, digest_of
from pt4al_backend.encoder_catalogue import ROTATION
from pt4al_backend.errors import LearningError, PT4ALError
from pt4al_backend.labelling.label_type import LabelType
from pt4al_backend.reports.stages import time_left
from pt4al_backend.sampling.batches import query_size_for
from pt4al_backend.sampling.strategy import Strategy
from pt4al_backend.settings import Settings
from pt4al_backend.simulate import by_class, curves
from pt4al_backend.simulate.budget_curve import NAMES, metric
from pt4al_backend.simulate.results import Results
from pt4al_backend.simulate.simulation import Replay, Round, Simulation
from pt4al_backend.simulate.source import Source
from pt4al_backend.simulate.summary_tables import show
from pt4al_backend.simulate.variants import Variant, as_file_name, parse
from pt4al_backend.store.files import locked, new_directory

TEST_SHARE = 0.2
METHOD = (
    "imagenet_weights",
    "slack",
    "image_size",
    "pretext_epochs",
    "main_epochs",
)  # settings that a run's outcome depends on
MOST_NOTES = 20  # notes that are printed
PAUSE = 2.0  # seconds between two searches for a run that another process may have abandoned


@dataclass(frozen=True)
class Plan:
    """The runs of a simulation, and where their results go."""

    title: str
    replay: Replay
    variants: list[Variant]
    seeds: tuple[int, ...]
    settings: Settings
    """The settings of every run, except `data_dir`, `seed` and those that a variant sets."""
    out: Path
    """The directory of the results."""
    notes: tuple[str, ...] = ()
    """A sentence for each answer that could not be used."""


def plan(
    source: Source, test: Source | None, settings: Settings, *, strategies: str, seeds: int, answers: int, out: Path
) -> Plan:
    """The plan that a command line asks for.

    Args:
        source: The images to label.
        test: The images to measure on; None for a share of the others.
        settings: The settings of the command.
        strategies: Names of variants; see `variants.parse`.
        seeds: How many seeds.
        answers: Labels between two updates of the model.
        out: The directory of the results.

    Raises:
        PT4ALError: The images or the strategies cannot be used.
    """
    pool, notes = source.read(settings)
    held_out: KnownImages
    if test is None:
        pool, held_out = pool.split(TEST_SHARE, seed=0)
    else:
        held_out, more = test.read(settings)
        notes += more
        if type(held_out) is not type(pool):
            raise PT4ALError(
                "The images in --test need the same kind of labels as the others: "
                "use --test-masks together with --masks, and only then."
            )
        held_out = held_out.with_classes(pool.classes)
    cycles = min(settings.cycles, len(pool))
    query_size = settings.query_size or min(query_size_for(len(pool), cycles=cycles), len(pool) // cycles)
    replay = Replay(pool, held_out, rounds=cycles, query_size=query_size, answers=answers)
    settings = Settings(**settings.model_dump() | {"cycles": cycles})
    title = source.images.expanduser().resolve().name
    variants = parse(strategies, settings, dense=pool.question.label_type.dense)
    return Plan(title, replay, variants, tuple(range(seeds)), settings, out, notes)


def run(plan: Plan, console: Console) -> Results:
    """Do every run that is not in `results.json` yet, and draw `curves.svg`.

    Returns:
        The results of all runs, including earlier ones.

    Raises:
        PT4ALError: The plan cannot be carried out, or `out` holds other results or cannot be written.
    """
    try:
        _check(plan)
        if plan.notes:
            notes = "\n".join(plan.notes[:MOST_NOTES]) + ("\n…" if len(plan.notes) > MOST_NOTES else "")
            console.print(f"Answers that cannot be used ({len(plan.notes):,} in all):\n{escape(notes)}")
        plan.out.mkdir(parents=True, exist_ok=True)
        if not (plan.out / "results.json").exists():
            _delete_work(plan.out, unfinished=True)
        with locked(plan.out / ".work.lock", shared=True):
            results = _run_all(plan, console)
        _delete_work(plan.out, unfinished=False)
    except OSError as error:
        raise PT4ALError(f"{plan.out} cannot be used ({error}): choose another --out.") from error
    show(results, console)
    return results


def _delete_work(out: Path, *, unfinished: bool) -> None:
    """Delete what finished runs left, and `unfinished` runs too, unless another process uses the directory."""
    work = out / "work"
    with locked(out / ".work.lock", wait=False) as acquired:
        if not acquired or not work.exists():
            return
        for seed in list(work.iterdir()):
            started = {path.name for path in seed.iterdir() if path.is_dir()} - {"ready"}
            if unfinished or not started:
                shutil.rmtree(seed, ignore_errors=True)
        if not any(work.iterdir()):
            work.rmdir()


def _run_all(plan: Plan, console: Console) -> Results:
    results = Results(plan.out / "results.json", _config(plan))
    results.begin()
    jobs = [(variant, seed) for seed in plan.seeds for variant in plan.variants]
    clock = _Clock(len(jobs), plan.replay.rounds)
    while missing := [job for job in jobs if not results.has(job[0].name, job[1])]:
        clock.finished(len(jobs) - len(missing))
        if not any(_run_one(plan, results, *job, clock=clock, console=console) for job in missing):
            time.sleep(PAUSE)  # other processes are working on all missing runs
        results.refresh()
    curves.draw(results.runs, plan.out / "curves.svg", title=plan.title)
    return results


def _run_one(plan: Plan, results: Results, variant: Variant, seed: int, *, clock: _Clock, console: Console) -> bool:
    """Do one run. False if another process is working on it or has done it."""
    encoder = variant.applied_to(plan.settings).encoder
    home = plan.out / "work" / f"seed-{seed}{_suffix(plan, encoder)}"
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / f"{variant.file_name}.lock", wait=False) as acquired:
        if acquired:
            results.refresh()
        if not acquired or results.has(variant.name, seed) or not _prepare(plan, encoder, home, seed, console):
            return False
        settings = variant.applied_to(_settings(plan, encoder, home / variant.file_name, seed))
        if not settings.data_dir.exists():
            _copy(home / "ready", settings.data_dir)
        label = f"{variant.name}, seed {seed}"

        def report(rounds: list[Round]) -> None:
            last = rounds[-1]
            console.print(
                f"{label}: round {last['round'] + 1}, {last['labels']} labels, {_metric_of(last)}, "
                f"{time_left(clock.left(len(rounds))) or 'remaining time unknown'}"
            )

        with console.status(label) as status, closing(_simulation(plan, settings, label, status)) as simulation:
            clock.start(simulation.rounds_done)
            rounds = simulation.play(report)
        results.add(by_class.finished(variant.name, seed, rounds, plan.replay.pool.classes))
        curves.draw(results.runs, plan.out / "curves.svg", title=plan.title)
        shutil.rmtree(settings.data_dir, ignore_errors=True)
        return True


def _metric_of(round_: Round) -> str:
    name = metric({"rounds": [round_]})
    return f"{NAMES[name]} {round_[name]:.1%}"


def _suffix(plan: Plan, encoder: str) -> str:
    """What the names of directories end with that hold what an encoder computed; "" for that of the settings."""
    return "" if encoder == plan.settings.encoder else f"-{as_file_name(encoder)}"


def _prepare(plan: Plan, encoder: str, home: Path, seed: int, console: Console) -> bool:
    """Do everything before the first label: images once for an encoder, the rest once for all its runs of a seed.

    Returns:
        False if another process is doing it.
    """

    def fetch(simulation: Simulation) -> None:
        errors = simulation.fetch()
        if errors:
            console.print(f"{len(errors)} images cannot be read and are left out. The first: {errors[0]}")

    images = plan.out / "work" / f"images{_suffix(plan, encoder)}"
    images.mkdir(parents=True, exist_ok=True)
    with_encoder = f" with {encoder}" if _suffix(plan, encoder) else ""
    pretext = ": training the pretext task" if _learns_pretext(plan, encoder) else ""
    return _once(plan, encoder, images, seed, console, f"decoding images{with_encoder}", fetch) and _once(
        plan, encoder, home, seed, console, f"seed {seed}{with_encoder}{pretext}", Simulation.prepare, images / "ready"
    )


def _once(
    plan: Plan,
    encoder: str,
    home: Path,
    seed: int,
    console: Console,
    what: str,
    do: Callable[[Simulation], None],
    source: Path | None = None,
) -> bool:
    """Make `home/ready` by doing something with a simulation, which starts with what is in `source`."""
    if (home / "ready").exists():
        return True
    with locked(home / "preparing.lock") as acquired:
        if not acquired or (home / "ready").exists():
            return acquired
        console.print(what)
        settings = _settings(plan, encoder, home / "preparing", seed)
        if source is not None and not settings.data_dir.exists():
            _copy(source, settings.data_dir)
        try:
            with console.status(what) as status, closing(_simulation(plan, settings, what, status)) as simulation:
                do(simulation)
        except LearningError:
            shutil.rmtree(settings.data_dir)  # it may have been begun with another encoder
            raise
        settings.data_dir.rename(home / "ready")
        return True


def _copy(source: Path, directory: Path) -> None:
    with new_directory(directory) as unfinished:
        shutil.copytree(source, unfinished)


def _simulation(plan: Plan, settings: Settings, what: str, status: Status) -> Simulation:
    return Simulation(
        plan.replay,
        settings,
        lambda text: status.update(f"{what}: {text}"),
        learns_pretext=_learns_pretext(plan, settings.encoder),
    )


def _learns_pretext(plan: Plan, encoder: str) -> bool:
    """Whether a run with the encoder needs the pretext task."""
    variants = [each for each in plan.variants if each.applied_to(plan.settings).encoder == encoder]
    return any(each.applied_to(plan.settings).pretrained is None or _strategy(each, plan).pretext for each in variants)


def _strategy(variant: Variant, plan: Plan) -> Strategy:
    settings = variant.applied_to(plan.settings)
    return chosen_strategy(settings, dense=_label_type(plan).dense, pretrained=settings.pretrained is not None)


def _settings(plan: Plan, encoder: str, directory: Path, seed: int) -> Settings:
    changes = {
        "encoder": encoder,
        "data_dir": directory,
        "database_url": "",
        "seed": seed,
        "query_size": plan.replay.query_size,
        "train_growth": 0,  # one training a round, as in the paper
    }
    if _label_type(plan).dense:
        changes["unlabelled_pixels"] = "ignore"  # a mask has the class of every known pixel
    return Settings(**plan.settings.model_dump() | changes)


def _check(plan: Plan) -> None:
    """Reject now what would otherwise fail after hours."""
    replay, cycles = plan.replay, plan.settings.cycles
    for variant in plan.variants:
        _strategy(variant, plan)
    if len(replay.pool.classes) < 2:
        raise PT4ALError(
            f"All regions have one class, {replay.pool.classes[0]}: set PT4AL_UNLABELLED_PIXELS=background to make the "
            "pixels outside them another one."
        )
    if not len(replay.test):
        raise PT4ALError(
            "There are too few images to reserve some for measuring, as each class needs two: name others with --test."
        )
    if replay.query_size * cycles > len(replay.pool):
        raise PT4ALError(
            f"{replay.query_size} images from each of {cycles} batches are more than the pool of {len(replay.pool)}: "
            "choose a smaller --query-size or fewer --cycles."
        )


def _config(plan: Plan) -> dict[str, Any]:
    """Everything that the outcome of a run depends on, except its strategy, its seed and the versions of libraries."""
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
        "encoder": settings.pretrained or ROTATION,
        **{name: getattr(settings, name) for name in METHOD},
    }


def _label_type(plan: Plan) -> LabelType:
    """The label type of the replayed labels."""
    return plan.replay.pool.question.label_type


class _Clock:
    """Estimates the remaining time from the rounds of this process; training takes longer with more labels."""

    def __init__(self, runs: int, rounds: int) -> None:
        self._runs, self._rounds = runs, rounds
        self._since = time.monotonic()
        self._at_start: float | None = None
        self._finished = 0

    def finished(self, runs: int) -> None:
        """So many runs are finished, by this or other processes."""
        self._finished = runs

    def start(self, rounds: int) -> None:
        """A run starts, of which so many rounds were done before."""
        if self._at_start is None:
            self._at_start = self._finished + self._share(rounds)
            self._since = time.monotonic()

    def left(self, rounds: int) -> float | None:
        """Seconds until all runs are done, or None if unknown, after so many `rounds` of the current one."""
        now = self._finished + self._share(rounds)
        done = now - (self._at_start or 0.0)
        return (time.monotonic() - self._since) / done * (self._runs - now) if done > 0 else None

    def _share(self, rounds: int) -> float:
        """The share of a run's time that so many rounds take: even the first rounds take some."""
        return rounds * (rounds + 5) / (self._rounds * (self._rounds + 5))
