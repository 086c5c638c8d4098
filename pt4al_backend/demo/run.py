"""The demo from start to end: two servers, a project, a progress bar, and a simulated annotator if asked for."""

from __future__ import annotations

import contextlib
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
from rich.markup import escape

from pt4al_backend.demo import demo_project, label_studio_server, servers
from pt4al_backend.demo.demo_project import DemoProject
from pt4al_backend.demo.images import TRAINING_DIGIT_SIDE, ImageFolder, read_folder, write_digits
from pt4al_backend.demo.label_studio_server import LabelStudio
from pt4al_backend.demo.messages import Stages, waiting_for
from pt4al_backend.demo.options import Options
from pt4al_backend.demo.play import play
from pt4al_backend.demo.servers import Backend
from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes.child import Child, stop_all
from pt4al_backend.settings import Settings
from pt4al_backend.store.files import locked

PROBLEM_PATIENCE = 60.0  # seconds; the worker tries again by itself
END_PATIENCE = 20.0  # seconds; `start` gives its own two processes half of that
READY_FOR = 15.0  # seconds: a project that is ready and has no queue for so long has nothing left to label

RequireRunning = Callable[[], None]
"""Raises `PT4ALError` if one of the servers has ended."""


def run(options: Options, settings: Settings) -> int:
    """Start everything, and wait until Ctrl-C or, with `exit`, until everything is done.

    Returns:
        The exit code of the process.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a script's background jobs ignore SIGINT
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
                    console.print("Stopping Label Studio and the backend …")
                stop_all(children, patience=END_PATIENCE)
    except KeyboardInterrupt:
        return 130


class _Demo:
    """The steps of a demo, and what they share."""

    def __init__(
        self, options: Options, settings: Settings, directory: Path, console: Console, children: list[Child]
    ) -> None:
        self._options, self._settings, self._directory = options, settings, directory
        self._console, self._children = console, children

    def run(self) -> int:
        options, console = self._options, self._console
        folder = self._images()
        console.print(
            f"{len(folder.images):,} images of {len(folder.classes)} classes in {escape(str(folder.root.resolve()))}"
        )
        label_studio, backend = self._launch_servers(folder)

        def require_running() -> None:
            servers.require_running(label_studio, backend)

        self._wait_for_servers(label_studio, backend, require_running)
        with label_studio_server.client(label_studio) as api, servers.client(backend) as backend_api:
            project = self._project(api, backend, folder)
            demo_project.connect(api, project, backend.url, backend.settings)
            _wait_for_queue(backend_api, project.id, console, require_running, backend.log)
            page = f"{label_studio.url}/projects/{project.id}/data"
            console.print(f'\nReady. Open [bold]{page}[/]\nand press "Label All Tasks".\n')
            if options.browser and _has_screen():
                webbrowser.open(page)
            succeeded = True
            if options.annotate:
                succeeded = play(
                    api,
                    backend_api,
                    project,
                    data_dir=backend.settings.data_dir,
                    labels=options.annotate,
                    console=console,
                    waiting=require_running,
                )
            if not options.exit:
                console.print("Press Ctrl-C to stop the demo. The next one continues with this project.")
                _until_ctrl_c(require_running)
        return 0 if succeeded else 1

    def _images(self) -> ImageFolder:
        document_root = self._directory / "images"
        if self._options.images:
            return read_folder(self._options.images, document_root)
        return write_digits(document_root)

    def _launch_servers(self, folder: ImageFolder) -> tuple[LabelStudio, Backend]:
        settings = self._settings
        host = settings.host if "host" in settings.model_fields_set else "127.0.0.1"  # the password is public
        ports = servers.choose_ports(settings, host=host, label_studio=self._options.label_studio_port)
        if (ports.label_studio, ports.backend) != (self._options.label_studio_port or 8080, settings.port):
            self._console.print(
                "The usual ports are in use: "
                f"Label Studio takes {ports.label_studio}, and the backend takes {ports.backend}."
            )
        token = servers.user_token(self._directory)
        label_studio = label_studio_server.launch(
            self._directory, host=host, port=ports.label_studio, document_root=folder.root.parent, token=token
        )
        self._children.append(label_studio.child)
        side = 0 if self._options.images else TRAINING_DIGIT_SIDE
        settings = servers.demo_settings(
            settings, self._directory, host=host, ports=ports, token=token, image_size=side
        )
        backend = servers.launch_backend(settings, self._directory / "backend.log")
        self._children.append(backend.child)
        return label_studio, backend

    def _wait_for_servers(self, label_studio: LabelStudio, backend: Backend, require_running: RequireRunning) -> None:
        console = self._console
        if not (label_studio.data / label_studio_server.COMPLETE).exists():
            console.print(
                "Label Studio sets up its database first, which takes a minute, or several if the machine is busy."
            )
        with waiting_for(console, "Starting Label Studio and the backend") as tick:

            def waiting() -> None:
                require_running()
                tick()

            servers.wait_until_up(backend, waiting)
            console.print(f"Dashboard:    [bold]{backend.url}/dashboard[/]")
            label_studio_server.wait_until_up(label_studio, waiting)
            console.print(
                f"Label Studio: [bold]{label_studio.url}[/]\n"
                f"  user        [bold]{label_studio_server.USER}[/]\n"
                f"  password    [bold]{label_studio_server.PASSWORD}[/]"
            )

    def _project(self, api: httpx.Client, backend: Backend, folder: ImageFolder) -> DemoProject:
        """The project of these images: an earlier demo's, unless `fresh` deletes it, or else a new one."""
        options, console = self._options, self._console
        earlier = demo_project.find(api, folder)
        if earlier and options.fresh:
            console.print(f'Starting again: deleting the project "{escape(earlier.title)}" and its {_labels(earlier)}.')
            demo_project.delete(api, earlier)
            servers.forget(backend, earlier.id)
            earlier = None
        project = earlier or demo_project.create(api, folder)
        urls = [folder.url(image) for image in folder.shuffled(seed=self._settings.seed)]
        tasks = demo_project.fill(api, project, urls, options.tasks or len(urls))
        title = f'"{escape(project.title)}" with {tasks:,} image{"" if tasks == 1 else "s"}'
        if not earlier:
            console.print(f"Created the project {title}.")
            return project
        console.print(f"Continuing with the project {title} and {_labels(earlier)}; --fresh would start again.")
        missing = demo_project.classes_not_offered(api, project, folder)
        if missing:
            console.print(
                f"Its label config does not offer {escape(', '.join(missing))}: add this under Settings > Labeling "
                "Interface, or start again with --fresh."
            )
        return project


def _labels(project: DemoProject) -> str:
    return f"{project.labels:,} label{'' if project.labels == 1 else 's'}"


def _wait_for_queue(
    backend: httpx.Client, number: int, console: Console, require_running: RequireRunning, log: Path
) -> None:
    """Show the stages until a queue is published, or until it is clear that there is nothing to publish."""
    problem_since: float | None = None
    ready_since: float | None = None
    with Stages(console) as stages:
        while True:
            require_running()
            now = time.monotonic()
            report = backend.get("/api/status").raise_for_status().json()
            rows = [project for project in report["projects"] if project["project"] == number]
            row = rows[-1] if rows else None
            problem = _problem(row, report["worker"])
            if row and not problem:
                stages.show(row)
            ready_since = (ready_since or now) if row and row["stage"] == "ready" and not problem else None
            if row and not problem and row["queue_length"]:  # training may go on in the background
                return
            if ready_since and now - ready_since > READY_FOR:
                return
            problem_since = (problem_since or now) if problem else None
            if problem_since and now - problem_since > PROBLEM_PATIENCE:
                raise PT4ALError(f"{problem} The backend's log is {log}.")
            time.sleep(0.3)


def _problem(row: dict[str, Any] | None, worker: dict[str, Any]) -> str:
    """What keeps the project from getting a queue; "" if nothing does."""
    if row is None:
        return "The backend does not know the project."
    if not (worker["alive"] or worker["starting"]):
        return "The backend's worker is not running."
    return str(row["error"]) if row["stage"] == "error" else ""


def _until_ctrl_c(require_running: RequireRunning) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            require_running()
            time.sleep(0.5)


def _has_screen() -> bool:
    """Without a screen, `webbrowser` would open a text browser in this very terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def _only_demo(directory: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            alone = stack.enter_context(locked(directory / "lock", wait=False))
        except OSError as error:
            raise PT4ALError(f"{directory} cannot be written ({error.strerror}). Choose another --data-dir.") from error
        if not alone:
            raise PT4ALError(f"A demo is already running in {directory}. Stop it, or choose another --data-dir.")
        yield
