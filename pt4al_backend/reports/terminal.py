"""Prints `/api/status` and the findings of `check` in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from pt4al_backend.reports.stages import STAGES, model_words, order_from, pretext_words, time_left, worker_words

if TYPE_CHECKING:
    from pt4al_backend.label_studio.check_project import Finding

MARKS = {True: "[green]ok  [/]", False: "[red]FAIL[/]", None: "[yellow]?   [/]"}


def local_time(stamp: str) -> str:
    """An ISO 8601 time in the reader's time zone, with the zone's name."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def show(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a status report: one bar per project, then the worker."""
    console = console or Console(highlight=False)
    if not report["projects"]:
        console.print("No project yet: connect this backend on a project's Settings > Model page in Label Studio.")
    disk_error = report.get("disk", {}).get("error", "")  # older backends do not report it
    for project in report["projects"]:
        _show_project(project, console, disk_error=disk_error)
    if disk_error:
        console.print(f"[red]{escape(disk_error)}[/]")
    console.print(_worker_line(report["worker"]))


def show_findings(findings: Iterable[Finding], console: Console | None = None) -> bool:
    """Print the findings of `check` as they come, one line each; `?` marks what could not be checked.

    Returns:
        Whether no check failed.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    passed = True
    for finding in findings:
        passed &= finding.ok is not False
        console.print(f"{MARKS[finding.ok]} [bold]{escape(finding.name)}[/]: {escape(finding.message)}")
    return passed


def _show_project(project: Mapping[str, Any], console: Console, *, disk_error: str) -> None:
    title = escape(project["title"] or "untitled")
    console.print(f"[bold]{project['project']} {title}[/] at {escape(project['label_studio_url'])}", soft_wrap=True)
    row = Table.grid(padding=(0, 2))
    detail = project.get("stage_detail", "")
    shown = {"waiting": f" {detail}", "ready": f" ({detail})" if detail else ""}
    row.add_row(
        "  Paused" if project.get("paused") else f"  {STAGES[project['stage']]}{shown.get(project['stage'], '')}",
        ProgressBar(total=1.0, completed=project["stage_progress"], width=30),
        f"{project['stage_progress']:.0%}",
        time_left(project["eta_seconds"]),
    )
    console.print(row)
    number = project["round"] + 1
    console.print(
        f"  round {number} of {max(project['cycles'], number)}, "
        f"{project['labelled']:,} of {project['tasks'] - project['unreadable']:,} labelled, "
        f"query of {project['query_size']}, {project['queue_length']} in the queue"
        + (f", {project['unreadable']:,} unreadable" if project["unreadable"] else ""),
        soft_wrap=True,
    )
    if order := order_from(project):
        console.print(
            f"  order chosen by {escape(project['strategy'])} from {order}, embedded by {escape(project['encoder'])}; "
            f"PT4AL's batches are {pretext_words(project)}; model: {model_words(project)}",
            soft_wrap=True,
        )
    if project.get("estimate") is not None:
        to_check = project.get("labels_to_check") or 0
        console.print(
            f"  estimated to be right about {project['estimate']:.0%} of images; {to_check:,} labels to check",
            soft_wrap=True,
        )
    if project["updated_at"]:
        console.print(f"  changed {local_time(project['updated_at'])}", soft_wrap=True)
    if project["error"] and project["error"] != disk_error:
        console.print(f"  [red]{escape(project['error'])}[/]", soft_wrap=True)
    for note in project["notes"]:
        console.print(f"  {escape(note)}", soft_wrap=True)


def _worker_line(worker: Mapping[str, Any]) -> str:
    if worker.get("starting"):
        return "The worker is starting."
    if not worker["alive"]:
        return "[red]The worker is not running.[/] Start it with `pt4al-backend start` or `pt4al-backend worker`."
    starved = f". [yellow]T{escape(worker['starved'][1:])}.[/]" if worker.get("starved") else ""
    return f"{escape(worker_words(worker))}{starved}"
