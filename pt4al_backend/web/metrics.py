"""`/metrics`: the status in Prometheus' text format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PROJECT_GAUGES = {
    "labelled": "Tasks with a label.",
    "pool": "Usable images.",
    "ranked": "Images that the published order was chosen from.",
    "unreadable": "Images excluded because they could not be read.",
    "round": "Round that is being labelled, from 0.",
    "cycles": "Number of batches the pool is cut into.",
    "query_size": "Images to label per round.",
    "queue_length": "Published tasks that wait for a label.",
    "stage_progress": "Progress of the current stage, 0 to 1.",
    "eta_seconds": "Seconds that the current stage still takes.",
}


def render(status: Mapping[str, Any]) -> str:
    """The metrics of a `status` as `status.status` returns it; unknown values are left out."""
    # If Label Studio used an id twice, the series is that of the newer project.
    projects = {(project["project"], project["label_studio_url"]): project for project in status["projects"]}
    lines = []
    for name, meaning in _PROJECT_GAUGES.items():
        samples = [(_labels(project), project[name]) for project in projects.values() if project[name] is not None]
        lines += _gauge(name, meaning, samples)
    stages = [(_labels(project, stage=project["stage"]), 1) for project in projects.values()]
    lines += _gauge("stage", "1 for the stage the project is in.", stages)
    failing = [(_labels(project), int(bool(project["error"]))) for project in projects.values()]
    lines += _gauge("error", "1 if something is wrong with the project; /api/status says what.", failing)
    lines += _gauge("worker_alive", "1 if the worker runs.", [("", int(status["worker"]["alive"]))])
    return "\n".join(lines) + "\n"


def _gauge(name: str, meaning: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    head = [f"# HELP pt4al_{name} {meaning}", f"# TYPE pt4al_{name} gauge"]
    return head + [f"pt4al_{name}{labels} {value}" for labels, value in samples]


def _labels(project: Mapping[str, Any], **more: str) -> str:
    labels = {"project": str(project["project"]), "label_studio": project["label_studio_url"], **more}
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
