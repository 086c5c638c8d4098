"""Runs the simulated annotator and prints what each round showed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
from rich.console import Console

from pt4al_backend.demo import annotator, random_annotator
from pt4al_backend.demo.annotator import RoundTally, Served
from pt4al_backend.demo.demo_project import DemoProject, all_tasks
from pt4al_backend.demo.messages import Lines


def play(
    api: httpx.Client,
    backend: httpx.Client,
    project: DemoProject,
    *,
    data_dir: Path,
    labels: int,
    console: Console,
    waiting: Callable[[], None],
) -> bool:
    """Annotate, and print a line per round.

    Args:
        api: Label Studio's API.
        backend: The backend, asked for predictions at the end.
        data_dir: The backend's data directory, for its embeddings.
        labels: How many labels to give.
        waiting: Called before each label; see `annotator.annotate`.

    Returns:
        False if Label Studio served a task that was not published.
    """
    tasks: list[Served] = []
    printed = 0
    lines = Lines(console)
    console.print(f"Simulating an annotator who gives {labels} labels.")
    for served in annotator.annotate(api, project, labels=labels, waiting=waiting):
        tasks.append(served)
        if not served.version:
            console.print(f"[red]Label Studio served task {served.task}, which was not published.[/]")
        tallies = annotator.tally_rounds(tasks, before=project.labels)
        for tally in tallies[printed:-1]:
            lines.print_now(row(tally))
            printed += 1
        lines.print(f"{len(tasks)} of {labels} labels given")
    for tally in annotator.tally_rounds(tasks, before=project.labels)[printed:]:
        console.print(row(tally))
    if len(tasks) < labels:
        console.print(f"No task was left after {len(tasks)} labels.")
    right, predicted = annotator.right_on_unlabelled(api, backend, project)
    if predicted:
        console.print(
            "The labelled images were those the model was least sure of. "
            f"On the other images it is right in {right / predicted:.1%} of cases ({right:,} of {predicted:,})."
        )
    for line in _beside_random(api, project, tasks, data_dir):
        console.print(line)
    return all(served.version for served in tasks)


def _beside_random(api: httpx.Client, project: DemoProject, tasks: list[Served], data_dir: Path) -> tuple[str, ...]:
    """What a random annotator's labels would have been worth beside these, as lines; none if that is not known."""
    known = [task for task in all_tasks(api, project) if task["data"].get("image") in project.truth]
    truth = {task["id"]: project.truth[task["data"]["image"]] for task in known}
    served = [each.task for each in tasks]
    before = {task["id"] for task in known if task["is_labeled"]} - set(served)
    ends = [tally.labels_so_far for tally in annotator.tally_rounds(tasks, before=len(before))]
    found = random_annotator.curves(data_dir, project.id, truth, [*sorted(before), *served], ends)
    return random_annotator.lines(found) if found else ()


def row(tally: RoundTally) -> str:
    """The line of a round, counted from 1 as on the dashboard."""
    line = f"round {tally.round + 1:<3} labels so far {tally.labels_so_far:<6}"
    if not tally.predicted:
        return line + f"no prediction yet for the {tally.labels} labels just given"
    accuracy = tally.right / tally.predicted
    return line + f"accuracy on the labels just given {accuracy:6.1%}  ({tally.predicted} of {tally.labels} predicted)"
