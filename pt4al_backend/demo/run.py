"""The demo from start to end: two servers, a project, a progress bar, and perhaps an annotator."""

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
from pt4al_backend.demo.images import LEARNT_DIGIT_SIDE, ImageFolder, read_folder, write_digits
from pt4al_backend.demo.label_studio_server import LabelStudio
from pt4al_backend.demo.messages import Stages, waiting_for
from pt4al_backend.demo.options import Options
from pt4al_backend.demo.play import play
from pt4al_backend.demo.servers import Backend
from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes.child import Child, stop_all
from pt4al_backend.settings import Settings
from pt4al_backend.store.files import locked

PATIENCE_WITH_TROUBLE = 60.0  # seconds; the worker tries again by itself
PATIENCE_AT_THE_END = 20.0  # seconds; `start` gives its own two processes half of that
READY_FOR = 15.0  # seconds without a queue, and there is nothing left to put into one

Watch = Callable[[], None]
"""Raises `PT4ALError` if one of the servers has ended."""


def run(options: Options, settings: Settings) -> int:
    """Start everything and stay until Ctrl-C, or with `exit` until all is done. 0 if all went well."""
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
                stop_all(children, patience=PATIENCE_AT_THE_END)
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
        folder = self._images()
        console.print(
            f"{len(folder.images):,} images of {len(folder.classes)} classes in {escape(str(folder.root.resolve()))}"
        )
        label_studio, backend = self._launch_servers(folder)

        def watch() -> None:
            servers.require_running(label_studio, backend)

        self._wait_for_servers(label_studio, backend, watch)
        with label_studio_server.client(label_studio) as api, servers.client(backend) as backend_api:
            made = self._project(api, backend, folder)
            demo_project.connect(api, made, backend.url, backend.settings)
            _wait_for_queue(backend_api, made.id, console, watch, backend.log)
            page = f"{label_studio.url}/projects/{made.id}/data"
            console.print(f'\nReady. Open [bold]{page}[/]\nand press "Label All Tasks".\n')
            if options.browser and _has_screen():
                webbrowser.open(page)
            well = True
            if options.annotate:
                well = play(api, backend_api, made, labels=options.annotate, console=console, waiting=watch)
            if not options.exit:
                console.print("Ctrl-C ends the demo. The next one goes on with it.")
                _until_ctrl_c(watch)
        return 0 if well else 1

    def _images(self) -> ImageFolder:
        document_root = self._directory / "images"
        if self._options.images:
            return read_folder(self._options.images, document_root)
        return write_digits(document_root)

    def _launch_servers(self, folder: ImageFolder) -> tuple[LabelStudio, Backend]:
        settings = self._settings
        host = settings.host if "host" in settings.model_fields_set else "127.0.0.1"  # the password is no secret
        ports = servers.choose_ports(settings, host=host, label_studio=self._options.label_studio_port)
        if (ports.label_studio, ports.backend) != (self._options.label_studio_port or 8080, settings.port):
            self._console.print(
                f"Ports in use; taking {ports.label_studio} for Label Studio, {ports.backend} for the backend."
            )
        token = servers.user_token(self._directory)
        label_studio = label_studio_server.launch(
            self._directory, host=host, port=ports.label_studio, document_root=folder.root.parent, token=token
        )
        self._children.append(label_studio.child)
        side = 0 if self._options.images else LEARNT_DIGIT_SIDE
        own = servers.demo_settings(settings, self._directory, host=host, ports=ports, token=token, image_size=side)
        backend = servers.launch_backend(own, self._directory / "backend.log")
        self._children.append(backend.child)
        return label_studio, backend

    def _wait_for_servers(self, label_studio: LabelStudio, backend: Backend, watch: Watch) -> None:
        console = self._console
        if not (label_studio.data / label_studio_server.COMPLETE).exists():
            console.print("Label Studio sets up its database first. That takes a minute, or some on a busy machine.")
        with waiting_for(console, "Starting Label Studio and the backend") as tick:

            def waiting() -> None:
                watch()
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
        """The project of these images: the one that is there, unless it is to begin again, or a new one."""
        options, console = self._options, self._console
        found = demo_project.find(api, folder)
        if found and options.fresh:
            console.print(f'Beginning again: the project "{escape(found.title)}" and its {_labels(found)} are deleted.')
            demo_project.delete(api, found)
            servers.forget(backend, found.id)
            found = None
        made = found or demo_project.create(api, folder)
        wanted = [folder.url(image) for image in folder.shuffled(seed=self._settings.seed)]
        tasks = demo_project.fill(api, made, wanted, options.tasks or len(wanted))
        title = f'"{escape(made.title)}" with {tasks:,} images'
        if not found:
            console.print(f"Made the project {title}.")
            return made
        console.print(f"Going on with the project {title} and {_labels(found)}; --fresh would begin again.")
        strange = demo_project.classes_not_asked_for(api, made, folder)
        if strange:
            console.print(
                f"Its label config does not offer {escape(', '.join(strange))}: add that under Settings > Labeling "
                "Interface, or begin again with --fresh."
            )
        return made


def _labels(found: DemoProject) -> str:
    return f"{found.labels:,} label{'' if found.labels == 1 else 's'}"


def _wait_for_queue(backend: httpx.Client, number: int, console: Console, watch: Watch, log: Path) -> None:
    """Show the stages until a queue is published, or until it is plain that nothing is left to publish."""
    trouble_since: float | None = None
    ready_since: float | None = None
    with Stages(console) as stages:
        while True:
            watch()
            now = time.monotonic()
            report = backend.get("/api/status").raise_for_status().json()
            rows = [one for one in report["projects"] if one["project"] == number]
            row = rows[-1] if rows else None
            trouble = _trouble(row, report["worker"])
            if row and not trouble:
                stages.show(row)
            ready_since = (ready_since or now) if row and row["stage"] == "ready" and not trouble else None
            if row and not trouble and row["queue_length"]:  # nobody waits for a training that goes on behind it
                return
            if ready_since and now - ready_since > READY_FOR:
                return
            trouble_since = (trouble_since or now) if trouble else None
            if trouble_since and now - trouble_since > PATIENCE_WITH_TROUBLE:
                raise PT4ALError(f"{trouble} The backend's log is {log}.")
            time.sleep(0.3)


def _trouble(row: dict[str, Any] | None, worker: dict[str, Any]) -> str:
    if row is None:
        return "The backend did not learn of the project."
    if not (worker["alive"] or worker["starting"]):
        return "The backend's worker does not run."
    return str(row["error"]) if row["stage"] == "error" else ""


def _until_ctrl_c(watch: Watch) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            watch()
            time.sleep(0.5)


def _has_screen() -> bool:
    """Without one, `webbrowser` would open a text browser in this very terminal."""
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
            raise PT4ALError(f"A demo already runs in {directory}. End it, or choose another --data-dir.")
        yield
