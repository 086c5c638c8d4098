"""The demo from start to end: two servers, a project, a progress bar, and perhaps an annotator."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pt4al_backend import progress
from pt4al_backend.demo import annotator, label_studio_server, project, servers
from pt4al_backend.demo.annotator import RoundTally
from pt4al_backend.demo.images import ImageFolder, read_folder, write_digits
from pt4al_backend.demo.options import Options
from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes import Child, stop_all
from pt4al_backend.settings import Settings

PATIENCE_WITH_TROUBLE = 60.0  # seconds; the worker tries again by itself

Watch = Callable[[], None]
"""Raises ``PT4ALError`` if one of the servers has ended."""


def run(options: Options, settings: Settings) -> int:
    """Start everything and stay until Ctrl-C, or with ``exit`` until all is done. 0 if all went well."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT is ignored in a script's background
        signal.signal(number, signal.default_int_handler)
    console = Console(highlight=False, soft_wrap=True)
    directory = settings.data_dir / "demo"
    children: list[Child] = []
    try:
        with _only_demo(directory):
            try:
                return _Demo(options, settings, directory, console, children).run()
            finally:
                if children:
                    console.print("Ending Label Studio and the backend …")
                stop_all(children)
    except KeyboardInterrupt:
        return 130


class _Demo:
    """What the steps of one demo share."""

    def __init__(
        self, options: Options, settings: Settings, directory: Path, console: Console, children: list[Child]
    ) -> None:
        self._options, self._settings, self._directory = options, settings, directory
        self._console, self._children = console, children

    def run(self) -> int:
        options, console = self._options, self._console
        folder = read_folder(options.images) if options.images else write_digits(self._directory / "images" / "digits")
        images = folder.sample(options.tasks, seed=self._settings.seed)
        console.print(f"{len(images):,} images of {len(folder.classes)} classes from {folder.root}")
        label_studio, backend = self._start_servers(folder)

        def watch() -> None:
            servers.require_running(label_studio, backend)

        with label_studio_server.client(label_studio) as api, servers.client(backend) as backend_api:
            made = project.create(api, folder, images)
            project.connect(api, made, backend.url, backend.settings)
            _wait_for_queue(backend_api, made.id, console, watch, backend.log)
            page = f"{label_studio.url}/projects/{made.id}/data"
            console.print(
                f"\nReady. Open [bold]{page}[/]\n"
                f"  user      [bold]{label_studio_server.USER}[/]\n"
                f"  password  [bold]{label_studio_server.PASSWORD}[/]\n"
                f'and press "Label All Tasks". What the backend is doing: {backend.url}/dashboard\n'
            )
            if options.browser and _has_screen():
                webbrowser.open(page)
            well = _play(api, backend_api, made, options.annotate, console, watch) if options.annotate else True
            if not options.exit:
                console.print("Ctrl-C ends the demo.")
                _until_ctrl_c(watch)
        return 0 if well else 1

    def _start_servers(self, folder: ImageFolder) -> tuple[label_studio_server.LabelStudio, servers.Backend]:
        settings, console = self._settings, self._console
        host = settings.host if "host" in settings.model_fields_set else "127.0.0.1"  # the password is no secret
        ports = servers.choose_ports(settings, host=host, label_studio=self._options.label_studio_port)
        if (ports.label_studio, ports.backend) != (self._options.label_studio_port or 8080, settings.port):
            console.print(
                f"Ports in use; taking {ports.label_studio} for Label Studio, {ports.backend} for the backend."
            )
        token = servers.user_token(self._directory)
        label_studio = label_studio_server.launch(
            self._directory, host=host, port=ports.label_studio, document_root=folder.root.parent, token=token
        )
        self._children.append(label_studio.child)
        own = servers.demo_settings(settings, self._directory, host=host, ports=ports, token=token)
        backend = servers.launch_backend(own, self._directory / "backend.log")
        self._children.append(backend.child)
        with console.status("Starting Label Studio and the backend (about a minute the first time)"):
            servers.wait_until_up(label_studio, backend)
        return label_studio, backend


def _wait_for_queue(backend: httpx.Client, number: int, console: Console, watch: Watch, log: Path) -> None:
    """Show the stages as bars until the first queue is published."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    trouble_since: float | None = None
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=console) as bars:
        shown: dict[str, TaskID] = {}
        while True:
            watch()
            report = backend.get("/api/status").raise_for_status().json()
            row = next((one for one in report["projects"] if one["project"] == number), None)
            if row and row["stage"] == "ready" and row["queue_length"]:
                _show_stage(bars, shown, row)
                return
            if row and row["stage"] != "error":
                _show_stage(bars, shown, row)
            trouble = _trouble(row, report["worker"])
            trouble_since = (trouble_since or time.monotonic()) if trouble else None
            if trouble_since and time.monotonic() - trouble_since > PATIENCE_WITH_TROUBLE:
                raise PT4ALError(f"{trouble} The backend's log is {log}.")
            time.sleep(0.3)


def _show_stage(bars: Progress, shown: dict[str, TaskID], row: dict[str, Any]) -> None:
    words = progress.STAGES[row["stage"]]
    if words not in shown:
        for finished in shown.values():
            bars.update(finished, completed=1.0, left="")
            bars.stop_task(finished)
        shown[words] = bars.add_task(words, total=1.0, left="")
        if not bars.console.is_terminal:  # no live bars there
            bars.console.print(f"{words} …")
    done = 1.0 if row["stage"] == "ready" else row["stage_progress"]
    bars.update(shown[words], completed=done, left=progress.duration(row["eta_seconds"]))


def _trouble(row: dict[str, Any] | None, worker: dict[str, Any]) -> str:
    if row is None:
        return "The backend did not learn of the project."
    if not worker["alive"]:
        return "The backend's worker does not run."
    return str(row["error"]) if row["stage"] == "error" else ""


def _play(
    api: httpx.Client,
    backend: httpx.Client,
    made: project.DemoProject,
    labels: int,
    console: Console,
    watch: Watch,
) -> bool:
    """Annotate and print a line per round. False if a task was served that was not published."""
    served: list[annotator.Served] = []
    printed = 0
    console.print(f"Playing an annotator who gives {labels} labels.")
    for one in annotator.annotate(api, made, labels=labels, waiting=watch):
        served.append(one)
        if not one.version:
            console.print(f"[red]Task {one.task} was served although it was not published.[/]")
        tallies = annotator.tally_rounds(served)
        for tally in tallies[printed:-1]:
            console.print(_row(tally))
            printed += 1
    for tally in annotator.tally_rounds(served)[printed:]:
        console.print(_row(tally))
    if len(served) < labels:
        console.print(f"No task was left after {len(served)} labels.")
    right, predicted = annotator.right_on_the_rest(api, backend, made, {one.task for one in served})
    if predicted:
        console.print(
            "What was labelled is what the model was least sure of. "
            f"On the other images it is right for {right / predicted:.1%} ({right:,} of {predicted:,})."
        )
    return all(one.version for one in served)


def _row(tally: RoundTally) -> str:
    line = f"round {tally.round:<3} labels so far {tally.labels_so_far:<6}"
    if not tally.predicted:
        return line + f"no prediction yet for the {tally.labels} labels just given"
    accuracy = tally.right / tally.predicted
    return line + f"accuracy on the labels just given {accuracy:6.1%}  ({tally.predicted} of {tally.labels} predicted)"


def _until_ctrl_c(watch: Watch) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            watch()
            time.sleep(0.5)


def _has_screen() -> bool:
    """Without one, ``webbrowser`` would open a text browser in this very terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def _only_demo(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise PT4ALError(f"{directory} cannot be written ({error.strerror}). Choose another --data-dir.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PT4ALError(f"A demo already runs in {directory}. End it, or choose another --data-dir.") from None
        yield
