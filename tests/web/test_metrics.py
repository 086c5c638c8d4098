"""Prometheus' text format."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from support.filled_store import LABEL_STUDIO, add_project, add_ranked, state

from pt4al_backend.store.store import Store
from pt4al_backend.web import metrics

SAMPLE = re.compile(r'([a-z0-9_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.e+-]+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def parse(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and sorted labels; fails on a line or an order that Prometheus would reject."""
    samples, announced = {}, ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            announced = line.split()[2]
        elif line.startswith("# TYPE "):
            assert line in (f"# TYPE {announced} gauge", f"# TYPE {announced} histogram")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1].removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") == announced
            key = (match[1], *sorted(f"{name}={value}" for name, value in LABEL.findall(match[2] or "")))
            assert key not in samples
            samples[key] = float(match[3])
    return samples


def test_metrics(client: FlaskClient, store: Store) -> None:
    store.beat(device="cpu", busy_with="")
    project = add_ranked(store)
    store.apply(project.id, [state(1, "cat", version="2")])
    store.images_done(
        project.id, ready={2: ("/data/upload/2.png", 40, 30)}, failed={3: ("/data/upload/3.png", "broken")}
    )
    store.update(project.id, stage_progress=0.5)
    add_project(store, 13, url='http://od"d\\')
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = parse(answer.get_data(as_text=True))
    labels = (f"label_studio={LABEL_STUDIO}", "project=12")
    expected = {"labelled": 1, "pool": 1, "unreadable": 1, "queue_length": 4, "stage_progress": 0.5, "error": 0}
    assert {name: samples[(f"pt4al_{name}", *labels)] for name in expected} == expected
    assert samples[("pt4al_stage", *labels, "stage=ready")] == 1
    assert samples[("pt4al_worker_alive",)] == 1
    assert samples[("pt4al_pool", 'label_studio=http://od\\"d\\\\', "project=13")] == 0
    assert ("pt4al_eta_seconds", *labels) not in samples


def test_a_reused_id_is_one_series(client: FlaskClient, store: Store) -> None:
    store.update(add_project(store).id, round=3)
    store.update(add_project(store, created="1800000000").id, round=1)
    labels = (f"label_studio={LABEL_STUDIO}", "project=12")
    assert parse(client.get("/metrics").get_data(as_text=True))[("pt4al_round", *labels)] == 1


def test_nothing_connected_yet() -> None:
    status = {"projects": [], "worker": {"alive": False}}
    assert parse(metrics.render(status).decode()) == {("pt4al_worker_alive",): 0}


def test_how_long_a_label_takes_to_change_the_order(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    for seconds in (0.4, 1.2, 40.0):
        store.add_latency(project.id, seconds)
    samples = parse(client.get("/metrics").get_data(as_text=True))
    labels = (f"label_studio={LABEL_STUDIO}", "project=12")
    counts = {
        bound: samples[("pt4al_order_seconds_bucket", labels[0], f"le={bound}", labels[1])]
        for bound in ("0.5", "1.5", "30", "+Inf")
    }
    assert counts == {"0.5": 1, "1.5": 2, "30": 2, "+Inf": 3}
    assert samples[("pt4al_order_seconds_sum", *labels)] == 41.6
    assert client.get("/api/status").get_json()["projects"][0]["order_latency"]["median_below"] == "1.5"
