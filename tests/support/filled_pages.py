"""A project whose pages all have something to show."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from pt4al_backend.assessment.quality import single_quality
from pt4al_backend.store.findings import DUPLICATES, MAP, QUALITY, SUSPECTS
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from support.filled_store import QUESTIONS, add_ranked, reread, state

SIDE = 32


def fill_pages(store: Store, tasks: int = 40) -> Project:
    """Tasks 1..n with images; the first ten are labelled, the next are in the queue, and label 3 looks wrong."""
    project = add_ranked(store, tasks=tasks)
    store.update(project.id, image_size=SIDE, title="Cats and dogs")
    ids = list(range(1, tasks + 1))
    colours = np.random.default_rng(0).integers(0, 255, (tasks, 1, 1, 3), np.uint8)
    pixels = np.broadcast_to(colours, (tasks, SIDE, SIDE, 3))
    PixelStore(store.pixels_dir(project.id), size=SIDE).write(store.reserve_rows(project.id, ids), pixels)
    store.images_done(project.id, ready={task: (f"/data/upload/{task}.png", 40, 30) for task in ids}, failed={})
    store.apply(project.id, [state(task, "cat" if task % 2 else "dog", version="2") for task in range(1, 11)])
    loss = np.linspace(2, 0.5, tasks)
    store.save_batches(project.id, task=np.array(ids), loss=loss, batch=np.arange(tasks) // 10)
    why = ["uncertain between cat (48 %) and dog (45 %)", "unlike anything labelled yet"]
    reasons = [{"task": task, "held_out": task == 12, "why": why} for task in range(11, 31)]
    ranking = store.ranking(project.id)
    assert ranking is not None
    store.save_ranking(project.id, ranking[0], questions=project.questions, reasons=reasons)
    _findings(store, project)
    return reread(store, project)


def quality_of_two_classes(**more: Any) -> dict[str, Any]:
    """The finding of 40 labels, of which about 80 % are predicted."""
    labels = np.arange(40) % 2
    right = np.random.default_rng(0).random(40) < 0.8
    likely = np.where(right == (labels == 0), 0.8, 0.2)
    found = single_quality(labels, np.stack([likely, 1 - likely], axis=1))
    assert found is not None
    report = {"question": "kind", "label_type": "single", "classes": ["cat", "dog"], "held_out": False}
    report |= {"estimate": asdict(found.accuracy), "quality": asdict(found)}
    reports = [json.loads(json.dumps(report | more))]
    return {"labels": 40, "encoder": "e", "questions_asked": QUESTIONS, "questions": reports, "forecast": None}


def suspect(task: int = 3, answer: str = "cat") -> dict[str, Any]:
    """A label that looks wrong."""
    given = json.dumps(answer)
    return {"task": task, "question": "kind", "answer": given, "instead": "dog", "probability": 0.97, "quality": 0.01}


def _findings(store: Store, project: Project) -> None:
    ends = {"estimate": 0.84, "low": 0.81, "high": 0.87}
    forecast = {"labels": 60, "pool": 2000, "with_all": ends, "target": 0, "levelled_off": True}
    arrays = {"task": np.arange(1, 11), "truth": np.arange(10) % 2, "guess": np.zeros(10, np.int64)}
    body = quality_of_two_classes() | {"forecast": forecast | {"needed": None}}
    store.save_finding(project.id, QUALITY, body, revision=0, arrays=arrays)
    estimate = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 40}
    person = {"annotator": 1, "labels": 40, "median_seconds": 3.2, "agreement_with_model": estimate}
    people = {"each": [person], "together": {"share": estimate, "alpha": 0.7, "pairs": []}}
    store.save_finding(
        project.id, SUSPECTS, {"labels": [suspect(3), suspect(5)], "checked": 40, "annotators": people}, revision=0
    )
    places = np.random.default_rng(1).integers(0, 65536, (2, 40)).astype(np.uint16)
    store.save_finding(
        project.id, MAP, {}, revision=0, arrays={"task": np.arange(1, 41), "x": places[0], "y": places[1]}
    )
    arrays = {"task": np.array([2, 12, 13, 20, 21]), "middle": np.array([12, 12, 12, 21, 21])}
    store.save_finding(project.id, DUPLICATES, {}, revision=0, arrays=arrays)
    for labels, value in ((10, 0.5), (20, 0.6), (40, 0.8)):
        columns = {"model_version": "v", "round": 0, "held_out": labels > 20, "images": 20}
        store.add_measurement(project.id, labels=labels, value=value, low=value - 0.1, high=value + 0.1, **columns)
