"""The command line: options become settings, and each command is one call."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pt4al_backend import __version__
from pt4al_backend.errors import PT4ALError

if TYPE_CHECKING:
    from pt4al_backend.settings import Settings
    from pt4al_backend.store.store import Store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Makes Label Studio serve the images worth labelling first. "
    "Every setting is also an environment variable, PT4AL_<NAME>.",
)

DataDir = Annotated[
    Path | None, typer.Option(help="Where database, images and networks live. [PT4AL_DATA_DIR, MODEL_DIR]")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on. [PT4AL_HOST]")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on. [PORT]")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, … [PT4AL_DEVICE]")]
Number = Annotated[int, typer.Option("--project", help="The project's id in Label Studio.")]


def main() -> None:
    """Entry point. Errors meant for people are one sentence on stderr and exit code 1."""
    try:
        app()
    except PT4ALError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


@app.command()
def start(data_dir: DataDir = None, host: Host = None, port: Port = None, device: Device = None) -> None:
    """Run the web process and the worker, and restart what dies."""
    from pt4al_backend import supervisor

    settings = _settings("start", data_dir=data_dir, host=host, port=port, device=device)
    supervisor.require_usable_store(settings)
    raise typer.Exit(supervisor.start(settings))


@app.command()
def web(data_dir: DataDir = None, host: Host = None, port: Port = None) -> None:
    """Run only the web process: what Label Studio talks to, status and dashboard."""
    from pt4al_backend import server, supervisor

    settings = _settings("web", data_dir=data_dir, host=host, port=port)
    supervisor.require_free_port(settings.host, settings.port)
    server.serve(settings)


@app.command()
def worker(data_dir: DataDir = None, device: Device = None) -> None:
    """Run only the worker: it learns and keeps Label Studio's queue in order."""
    from pt4al_backend import processes
    from pt4al_backend import worker as worker_process

    settings = _settings("worker", data_dir=data_dir, device=device)
    processes.watch_parent()
    raise typer.Exit(worker_process.run(settings))


@app.command()
def demo(
    images: Annotated[
        Path | None, typer.Option(help="A directory with one directory of images per class. Default: digits.")
    ] = None,
    tasks: Annotated[int | None, typer.Option(min=1, help="Take only so many images.")] = None,
    annotate: Annotated[int, typer.Option(min=0, help="Play an annotator who gives so many labels.")] = 0,
    label_studio_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8080.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The backend's. Default: 9090.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
    exit_: Annotated[bool, typer.Option("--exit", help="End when everything is done.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Start a Label Studio and the backend on real images, ready to label."""
    from pt4al_backend import demo as demo_room

    settings = _settings("demo", data_dir=data_dir, port=port)
    options = demo_room.Options(
        images=images,
        tasks=tasks,
        annotate=annotate,
        label_studio_port=label_studio_port,
        browser=not no_browser,
        exit=exit_,
    )
    raise typer.Exit(demo_room.run(options, settings))


@app.command()
def simulate(
    images: Annotated[
        Path, typer.Argument(help="A directory with one directory of images per class, or a Label Studio JSON export.")
    ],
    test: Annotated[
        Path | None, typer.Option(help="Images to measure on, likewise. Default: a fifth of the others.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="For segmentation: a directory with a mask (PNG, class numbers) for each image.")
    ] = None,
    test_masks: Annotated[Path | None, typer.Option(help="The masks of the images in --test.")] = None,
    strategies: Annotated[
        str, typer.Option(help="Comma-separated; settings of one are added, as in pt4al+order=hard_first.")
    ] = "pt4al,random",
    cycles: Annotated[int | None, typer.Option(min=1, help="Batches, and so rounds. [PT4AL_CYCLES]")] = None,
    query_size: Annotated[
        int | None, typer.Option(min=1, help="Labels per round. Default: a fifth of a batch.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Repeat everything with so many seeds.")] = 3,
    preset: Annotated[str | None, typer.Option(help="fast or paper. [PT4AL_PRESET]")] = None,
    answers: Annotated[int, typer.Option(min=1, help="Labels given before the model looks again.")] = 20,
    out: Annotated[Path, typer.Option(help="Where results.json and curves.svg go.")] = Path("pt4al-simulation"),
    device: Device = None,
) -> None:
    """Replay labelling with known labels: what would PT4AL have saved?"""
    from rich.console import Console

    from pt4al_backend import simulate as simulate_room

    if test_masks and not test:
        raise PT4ALError("--test-masks says nothing without --test: name the images that these are the masks of.")
    settings = _settings(
        "simulate", log_level="WARNING", cycles=cycles, query_size=query_size, preset=preset, device=device
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


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print what /api/status answers.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show what is going on in every project."""
    from pt4al_backend import progress
    from pt4al_backend import status as status_room

    settings = _settings("status", data_dir=data_dir)
    report = status_room.status(_existing_store(settings), settings)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        progress.show(report)


@app.command()
def check(
    project: Annotated[int | None, typer.Option(help="Look at this project of Label Studio too.")] = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Try every connection and say how to mend what fails. Exit code 1 if anything does."""
    from pt4al_backend import progress
    from pt4al_backend.check import run_checks

    findings = run_checks(_settings("check", data_dir=data_dir, host=host, port=port), project=project)
    progress.show_findings(findings)
    raise typer.Exit(int(any(finding.ok is False for finding in findings)))


@app.command()
def export(
    what: Annotated[Literal["batches", "labels", "model"], typer.Argument(help="What to write.")],
    project: Number,
    output: Annotated[Path, typer.Option(help="The file to write: CSV, or safetensors for the model.")],
    data_dir: DataDir = None,
) -> None:
    """Write the sorted batches, the labels or the trained network to a file."""
    from pt4al_backend import export as export_room

    settings = _settings("export", data_dir=data_dir)
    store = _existing_store(settings)
    print(export_room.export(what, store, export_room.find_project(store, project, settings), output))


@app.command()
def reset(
    project: Number,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Forget all that was learnt about a project. Its images and labels in Label Studio stay."""
    from pt4al_backend import export as export_room

    settings = _settings("reset", data_dir=data_dir)
    store = _existing_store(settings)
    row = export_room.find_project(store, project, settings)
    name = export_room.name_of(row)
    if not yes:
        if not sys.stdin.isatty():
            raise PT4ALError(f"To forget {name} without being asked, add --yes.")
        typer.confirm(f"Forget what was learnt about {name}? Label Studio keeps images and labels.", abort=True)
    store.forget(row.id)
    print(
        f"Forgot {name}. While it is connected in Label Studio it starts anew with its next label, or when its "
        "Settings > Model page is opened; to keep it out, remove the model there."
    )


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def _settings(process: str, **overrides: object) -> Settings:
    from pt4al_backend.settings import load_settings

    settings = load_settings(**overrides)
    logging.basicConfig(
        level=settings.log_level,
        format=f"%(asctime)s {process:<6} %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
    )
    # Its INFO lines hold whole URLs, and image URLs may hold secrets.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return settings


def _existing_store(settings: Settings) -> Store:
    """The store that is there. Looking must not make one in whatever directory one happens to be in."""
    from pt4al_backend.store.store import Store

    if not Store.exists(settings.data_dir, settings.database_url):
        raise PT4ALError(
            f"Nothing has run in {settings.data_dir} yet. Start with `pt4al-backend start`, "
            "or say where it runs with --data-dir or PT4AL_DATA_DIR."
        )
    return Store(settings.data_dir, settings.database_url)


if __name__ == "__main__":
    main()
