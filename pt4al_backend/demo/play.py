"""A played annotator's rounds, as a person reads them."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from rich.console import Console

from pt4al_backend.demo import annotator
from pt4al_backend.demo.annotator import RoundTally, Served
from pt4al_backend.demo.demo_project import DemoProject
from pt4al_backend.demo.messages import Lines


def play(
    api: httpx.Client,
    backend: httpx.Client,
    made: DemoProject,
    *,
    labels: int,
    console: Console,
    waiting: Callable[[], None],
) -> bool:
    """Annotate and print a line per round. False if a task was served that was not published."""
    served: list[Served] = []
    printed = 0
    lines = Lines(console)
    console.print(f"Playing an annotator who gives {labels} labels.")
    for one in annotator.annotate(api, made, labels=labels, waiting=waiting):
        served.append(one)
        if not one.version:
            console.print(f"[red]Task {one.task} was served although it was not published.[/]")
        tallies = annotator.tally_rounds(served, before=made.labels)
        for tally in tallies[printed:-1]:
            lines.tell_now(row(tally))
            printed += 1
        lines.tell(f"{len(served)} of {labels} labels given")
    for tally in annotator.tally_rounds(served, before=made.labels)[printed:]:
        console.print(row(tally))
    if len(served) < labels:
        console.print(f"No task was left after {len(served)} labels.")
    right, predicted = annotator.right_on_the_rest(api, backend, made)
    if predicted:
        console.print(
            "What was labelled is what the model was least sure of. "
            f"On the other images it is right for {right / predicted:.1%} ({right:,} of {predicted:,})."
        )
    return all(one.version for one in served)


def row(tally: RoundTally) -> str:
    """The line of a round; the first is 1, as on the dashboard."""
    line = f"round {tally.round + 1:<3} labels so far {tally.labels_so_far:<6}"
    if not tally.predicted:
        return line + f"no prediction yet for the {tally.labels} labels just given"
    accuracy = tally.right / tally.predicted
    return line + f"accuracy on the labels just given {accuracy:6.1%}  ({tally.predicted} of {tally.labels} predicted)"
