"""The command line: options become settings, and each command makes one call."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pt4al_backend import __version__
from pt4al_backend.configuration.cli_options import (
    Command,
    Config,
    DataDir,
    Device,
    Host,
    Number,
    Port,
    Token,
    Url,
    example,
    is_count,
    is_port,
    is_positive,
    read_token,
)
from pt4al_backend.errors import PT4ALError

if TYPE_CHECKING:
    from pt4al_backend.reports.running_backend import Backend
    from pt4al_backend.settings import Settings
    from pt4al_backend.store.store import Store

STARTED = time.monotonic()

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's boxes leave too little of 80 columns
    help="Makes Label Studio serve the images worth labelling first.",
    epilog="Every setting is also an environment variable, PT4AL_<NAME>, and a line of pt4al.toml in the data "
    "directory. An option wins over a variable, and a variable over the file.",
)


def main() -> None:
    """Entry point. An error meant for people becomes a sentence on stderr and exit code 1."""
    try:
        app()
    except PT4ALError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


@app.command(epilog=example("start --url http://localhost:8080 --token - < token.txt"))
def start(
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    config: Config = None,
    host: Host = None,
    port: Port = None,
    device: Device = None,
) -> None:
    """Run the web process and the worker, and restart what exits."""
    from pt4al_backend.processes import supervisor
    from pt4al_backend.store.privacy import keep_private

    settings = _settings("start", config, url=url, token=token, data_dir=data_dir, host=host, port=port, device=device)
    keep_private(settings.data_dir)
    supervisor.require_usable_store(settings)
    raise typer.Exit(supervisor.start(settings))


@app.command(
    short_help="Run only the web process, which Label Studio talks to.",
    epilog=example("web --data-dir /srv/pt4al --port 9191"),
)
def web(
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    config: Config = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Run only the web process, which serves Label Studio, the status and the dashboard."""
    from pt4al_backend.net.addresses import require_free_port
    from pt4al_backend.processes import web_server
    from pt4al_backend.store.privacy import keep_private

    settings = _settings("web", config, url=url, token=token, data_dir=data_dir, host=host, port=port)
    keep_private(settings.data_dir)
    require_free_port(settings.host, settings.port)
    web_server.serve(settings)


@app.command(
    short_help="Run only the worker, which learns and orders the queue.",
    epilog=example("worker --data-dir /srv/pt4al --device cuda:1"),
)
def worker(
    url: Url = None, token: Token = None, data_dir: DataDir = None, config: Config = None, device: Device = None
) -> None:
    """Run only the worker: it learns, and keeps Label Studio's queue in order."""
    from pt4al_backend.processes import child, heartbeat
    from pt4al_backend.store.privacy import keep_private

    settings = _settings("worker", config, url=url, token=token, data_dir=data_dir, device=device)
    keep_private(settings.data_dir)
    child.watch_parent()
    with heartbeat.starting(settings):
        from pt4al_backend.processes import worker as worker_process
    raise typer.Exit(worker_process.run(settings))


@app.command(
    short_help="Start a Label Studio and the backend on real images.",
    epilog=example("demo --images animals --annotate 60"),
)
def demo(
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A directory with one directory of images per class. Default: digits."),
    ] = None,
    tasks: Annotated[
        int | None, typer.Option(metavar="N", callback=is_positive, help="Take at most N images. Default: all.")
    ] = None,
    annotate: Annotated[
        int, typer.Option(metavar="N", callback=is_count, help="Simulate an annotator who gives N labels.")
    ] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin again with these images: their project and its labels are deleted.")
    ] = False,
    label_studio_port: Annotated[
        int | None, typer.Option(metavar="N", callback=is_port, help="Label Studio's port. Default: 8080.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", callback=is_port, help="The backend's port. Default: 9090. [PORT]")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    exit_: Annotated[bool, typer.Option("--exit", help="Exit when everything is done.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Start a Label Studio and the backend on real images, ready to label, or continue where the last demo ended."""
    from pt4al_backend import demo as demo_room
    from pt4al_backend.store.privacy import keep_private

    settings = _settings("demo", config, data_dir=data_dir, port=port)
    keep_private(settings.data_dir)
    options = demo_room.Options(
        images=images,
        tasks=tasks,
        annotate=annotate,
        fresh=fresh,
        label_studio_port=label_studio_port,
        browser=not no_browser,
        exit=exit_,
    )
    raise typer.Exit(demo_room.run(options, settings))


@app.command(cls=Command, epilog=example("simulate animals --strategies auto,random --query-size 20"))
def simulate(
    images: Annotated[
        Path, typer.Argument(help="A directory with one directory of images per class, or a Label Studio JSON export.")
    ],
    test: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Images to measure on, in the same form. Default: a fifth of the others."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="For segmentation: a directory with a mask (PNG, class numbers) for each image."
        ),
    ] = None,
    test_masks: Annotated[Path | None, typer.Option(metavar="DIR", help="The masks of the images in --test.")] = None,
    strategies: Annotated[
        str,
        typer.Option(
            metavar="A,B", help="Comma-separated; auto is the default one. Add settings as in pt4al+order=hard_first."
        ),
    ] = "auto,random",
    cycles: Annotated[
        int | None,
        typer.Option(
            metavar="N", callback=is_positive, help="Number of batches and rounds. Default: 10. [PT4AL_CYCLES]"
        ),
    ] = None,
    query_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", callback=is_positive, help="Labels per round. Default: a fifth of a batch. [PT4AL_QUERY_SIZE]"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", callback=is_positive, help="Repeat everything with N seeds.")] = 3,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="fast or paper. Default: fast. [PT4AL_PRESET]")
    ] = None,
    answers: Annotated[
        int, typer.Option(metavar="N", callback=is_positive, help="Labels between two updates of the model.")
    ] = 20,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory for results.json and curves.svg.")] = Path(
        "pt4al-simulation"
    ),
    device: Device = None,
    config: Config = None,
) -> None:
    """Replay labelling with known labels: what would PT4AL have saved?"""
    from rich.console import Console

    from pt4al_backend import simulate as simulate_room

    if test_masks and not test:
        raise PT4ALError("--test-masks needs --test: name the images that these masks belong to.")
    settings = _settings(
        "simulate", config, log_level="WARNING", cycles=cycles, query_size=query_size, preset=preset, device=device
    )
    plan = simulate_room.plan(
        simulate_room.Source(images, masks),
        simulate_room.Source(test, test_masks) if test else None,
        settings,
        strategies=strategies,
        seeds=seeds,
        answers=answers,
        out=out.expanduser(),
    )
    simulate_room.run(plan, Console(soft_wrap=True))


@app.command(epilog=example("status --data-dir /srv/pt4al"))
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print what /api/status answers.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Show the status of every project."""
    from pt4al_backend.reports import terminal

    backend = _find_backend(_settings("status", config, data_dir=data_dir))
    if backend.is_demo:
        print(f"This is the demo, in {backend.settings.data_dir}.", file=sys.stderr)
    report: Mapping[str, Any] | None = backend.status()
    if report is None:
        from pt4al_backend.reports import status as status_room

        report = status_room.status(_existing_store(backend), backend.settings)
    if as_json:
        print(json.dumps(report, indent=2))
        return
    terminal.show(report)
    if backend.running is None:
        print("No backend is running in this data directory: the settings shown here are those of this shell.")


@app.command(epilog=example("check --project 1"))
def check(
    project: Annotated[
        int | None, typer.Option(metavar="N", help="Also check this Label Studio project. Default: all connected ones.")
    ] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    config: Config = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Test every connection and explain how to fix failures. Exit code 1 if there are any."""
    from pt4al_backend.reports import terminal
    from pt4al_backend.reports.check import run_checks

    settings = _settings("check", config, url=url, token=token, data_dir=data_dir, host=host, port=port)
    passed = terminal.show_findings(run_checks(settings, project=project, started=STARTED))
    raise typer.Exit(int(not passed))


@app.command(
    cls=Command,
    short_help="Write batches, labels or the trained network to a file.",
    epilog=example("export labels --project 1 --output labels.csv"),
)
def export(
    what: Annotated[Literal["batches", "labels", "model"], typer.Argument(help="What to write.")],
    project: Number,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Labels: csv, label-studio, coco or lists; model: safetensors or onnx. Default: as FILE ends, else "
            "the first of these.",
        ),
    ] = None,
    question: Annotated[
        str,
        typer.Option(metavar="NAME", help="For onnx, of a project with several questions: the one that it answers."),
    ] = "",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Write the sorted batches, the labels or the trained network to a file."""
    from pt4al_backend.reports import export as export_room

    chosen = export_room.format_of(what, format_, output)
    if question and chosen != export_room.ONNX:
        raise PT4ALError("--question is for a model as ONNX: add --format onnx, or leave it out.")
    settings = _settings("export", config, data_dir=data_dir)
    backend = _find_backend(settings)
    store = _existing_store(backend, follow_demo=False)
    row = export_room.find_project(store, project, settings)
    if chosen == export_room.ONNX:
        print(_export_onnx(store, row.id, backend.settings, question, output))
    else:
        print(export_room.export(what, store, row, output, form=chosen))


def _export_onnx(store: Store, project_id: int, settings: Settings, question: str, output: Path) -> str:
    from pt4al_backend.active_learning.export_model import export_model
    from pt4al_backend.active_learning.workspace import Workspace
    from pt4al_backend.reports.onnx_files import save_onnx

    model = export_model(Workspace.to_read(project_id, store, settings), question)
    example = save_onnx(model.file, output)
    return (
        f"The model that answers {model.question} with {model.encoder}, fitted on {model.labels:,} labels: {output}\n"
        f"A program that predicts with it: {example}\n{model.licence}"
    )


@app.command(epilog=example("reset --project 1"))
def reset(
    project: Number,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Forget everything learned about a project. Its images and labels stay in Label Studio."""
    from pt4al_backend.reports import export as export_room

    settings = _settings("reset", config, data_dir=data_dir)
    store = _existing_store(_find_backend(settings), follow_demo=False)
    row = export_room.find_project(store, project, settings)
    name = export_room.name_of(row)
    if not yes:
        if not sys.stdin.isatty():
            raise PT4ALError(f"Add --yes to forget {name} without being asked.")
        typer.confirm(f"Forget everything learned about {name}? Label Studio keeps images and labels.", abort=True)
    store.forget(row.id)
    print(
        f"Forgot {name}. As long as it is connected in Label Studio, its next label sets it up again from scratch, and "
        "so does opening its Settings > Model page; to keep it out, remove the model there."
    )


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def _settings(
    process: str, config: Path | None, *, url: str | None = None, token: str | None = None, **options: object
) -> Settings:
    from pt4al_backend.processes.child import LIFELINE
    from pt4al_backend.settings import doubts, load_settings

    options |= {"label_studio_url": url, "label_studio_api_key": read_token(token)}
    settings = load_settings(config, **options)
    logging.basicConfig(
        level=settings.log_level,
        format=f"%(asctime)s {process:<6} %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
    )
    # httpx logs whole URLs at INFO, and image URLs may hold secrets.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if process in RUNS and (process == "start" or LIFELINE not in os.environ):  # otherwise `start` has warned
        for doubt in doubts(config, **options):
            logging.warning(doubt)
        if token and token != "-":
            logging.warning(
                "The list of processes shows a token on the command line to every user of this machine: use --token - "
                "with the token on standard input, LABEL_STUDIO_API_KEY, or the settings file instead."
            )
    return settings


RUNS = ("start", "web", "worker", "demo", "simulate", "check")
"""Commands whose settings take effect; the others only report what was done."""


def _find_backend(settings: Settings) -> Backend:
    from pt4al_backend.reports.running_backend import find_backend

    return find_backend(settings)


def _existing_store(backend: Backend, *, follow_demo: bool = True) -> Store:
    """The backend's store, which must exist: a command that only reads must not create one."""
    from pt4al_backend.store.store import Store

    settings = backend.settings
    if backend.running is not None and "database_url" in backend.running.missing:
        raise PT4ALError("The backend's database is not known here: set PT4AL_DATABASE_URL as the backend has it.")
    if backend.is_demo and not follow_demo:
        raise PT4ALError(f"Only the demo is here: add --data-dir {settings.data_dir} if you mean it.")
    if not Store.exists(settings.data_dir, settings.database_url):
        raise PT4ALError(
            f"Nothing has run in {settings.data_dir} yet. Start with `pt4al-backend start`, "
            "or name its data directory with --data-dir or PT4AL_DATA_DIR."
        )
    return Store(settings.data_dir, settings.database_url)


if __name__ == "__main__":
    main()
