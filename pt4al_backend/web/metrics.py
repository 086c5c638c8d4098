"""`/metrics`: the status, and how long a label takes to change the order, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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
    "estimate": "How good the model is, 0 to 1: accuracy, or the metric of the first question's label type.",
    "labels_to_check": "Labels that look wrong.",
}
_NAMES = ("project", "label_studio")
Projects = Mapping[tuple[int, str], Mapping[str, Any]]


def render(status: Mapping[str, Any]) -> bytes:
    """The metrics of a `status` as `status.status` returns it; unknown values are left out."""
    # If Label Studio used an id twice, the series is that of the newer project.
    projects = {(project["project"], project["label_studio_url"]): project for project in status["projects"]}
    registry = CollectorRegistry()
    registry.register(_Status(projects, status["worker"]["alive"]))
    return bytes(generate_latest(registry))


class _Status(Collector):
    def __init__(self, projects: Projects, worker_alive: bool) -> None:
        self._projects, self._worker_alive = projects, worker_alive

    def collect(self) -> Iterator[Metric]:
        """All metrics, of one status."""
        projects = self._projects.values()
        for name, meaning in _PROJECT_GAUGES.items():
            known = [(_labels(each), each[name]) for each in projects if each.get(name) is not None]
            yield _gauge(name, meaning, _NAMES, known)
        stages = [([*_labels(project), project["stage"]], 1) for project in projects]
        yield _gauge("stage", "1 for the stage the project is in.", (*_NAMES, "stage"), stages)
        failing = [(_labels(project), int(bool(project["error"]))) for project in projects]
        yield _gauge("error", "1 if something is wrong with the project; /api/status says what.", _NAMES, failing)
        paused = [(_labels(project), int(project["paused"])) for project in projects]
        yield _gauge("paused", "1 while people have paused the project.", _NAMES, paused)
        latency = HistogramMetricFamily(
            "pt4al_order_seconds", "Seconds from a label to the order that knows it.", labels=_NAMES
        )
        for project in projects:
            if project["order_latency"]:
                buckets = [(f"{bound}", count) for bound, count in project["order_latency"]["buckets"]]
                latency.add_metric(_labels(project), buckets, project["order_latency"]["sum"])
        yield latency
        yield _gauge("worker_alive", "1 if the worker runs.", (), [((), int(self._worker_alive))])


def _gauge(
    name: str, meaning: str, labels: Iterable[str], samples: Iterable[tuple[Iterable[str], float]]
) -> GaugeMetricFamily:
    metric = GaugeMetricFamily(f"pt4al_{name}", meaning, labels=list(labels))
    for values, value in samples:
        metric.add_metric(list(values), value)
    return metric


def _labels(project: Mapping[str, Any]) -> list[str]:
    return [str(project["project"]), project["label_studio_url"]]
