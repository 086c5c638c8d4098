"""What the pages of a project show, ready for JSON: its state, how good it is, its queue, labels that look wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.reports.answers import (
    AnnotatorRow,
    Cell,
    LabelsToCheck,
    Overview,
    QuestionAgreement,
    Queue,
    QueuedImage,
)
from pt4al_backend.reports.forecast_words import forecast_sentences
from pt4al_backend.reports.quality_words import interval, percent, quality_shown
from pt4al_backend.reports.stages import STAGES, model_words, order_from, pretext_words, time_left
from pt4al_backend.reports.status import Health, project_statuses
from pt4al_backend.settings import Settings
from pt4al_backend.store.findings import QUALITY, SUSPECTS
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

SHOWN = 24
"""Images of the queue that are shown."""
LISTED = 60
"""Labels to check, and images of a cell of a confusion matrix, that are shown."""


def overview(store: Store, settings: Settings, project: Project, now: Health) -> Overview:
    """What it does now, how good it is, and how much more there is to label."""
    [status] = project_statuses(store, settings, [project], now)
    quality = store.finding(project.id, QUALITY)
    return {
        **status,
        "stage_words": "Paused" if project.paused else STAGES[status["stage"]],
        "remaining": time_left(status["eta_seconds"]),
        "order_from": order_from(status),
        "model_words": model_words(status),
        "pretext_words": pretext_words(status),
        "quality": quality_shown(quality.body, project.questions) if quality else [],
        "forecast": forecast_sentences(quality.body.get("forecast") if quality else None),
        "curve": [
            {
                "labels": point.labels,
                "value": point.value,
                "low": point.low,
                "high": point.high,
                "held_out": point.held_out,
                "round": point.round,
                "words": interval(point.value, point.low, point.high),
            }
            for point in store.measurements(project.id)
        ],
        "agreement": agreement(store, project),
        "excluded": [{"task": task, "reason": reason} for task, reason in store.unreadable(project.id)],
    }


def metric_title(project: Project) -> str:
    """What the learning curve shows, by the first question's label type."""
    asked = questions_of(project.questions)
    return (asked[0].label_type.metric_title if asked else "") or "accuracy"


def agreement(store: Store, project: Project) -> list[QuestionAgreement]:
    """How often people submitted what was suggested, by question; empty before anything was suggested."""
    guesses, answers = store.guesses(project.id), store.answers(project.id)
    both = [(guesses[task], answers[task]) for task in guesses.keys() & answers.keys()]
    found: list[QuestionAgreement] = []
    for question in questions_of(project.questions):
        pairs = [(a[question.name], b[question.name]) for a, b in both if question.name in a and question.name in b]
        if pairs:
            same = sum(_plain(a) == _plain(b) for a, b in pairs)
            found.append({"question": question.name, "same": same, "of": len(pairs)})
    return found


def queue_report(store: Store, project: Project) -> Queue:
    """The next images in the order in which annotators get them, each with the reason."""
    reasons = store.reasons(project.id)
    counts = store.annotation_counts(project.id, [reason["task"] for reason in reasons])
    waiting = [reason for reason in reasons if not counts.get(reason["task"], 1)]
    images = [QueuedImage(task=each["task"], held_out=each["held_out"], why=each["why"]) for each in waiting[:SHOWN]]
    return {"images": images, "waiting": len(waiting), "model_version": project.model_version}


def labels_report(store: Store, project: Project, *, truth: str | None, guess: str | None) -> LabelsToCheck:
    """Labels that the model contradicts, the worst first.

    Args:
        truth: only those labelled as this class; with `guess` all of a cell of the confusion matrix.
        guess: only those that the model takes for this class.
    """
    found, quality = store.finding(project.id, SUSPECTS), store.finding(project.id, QUALITY, arrays=True)
    confirmed = store.confirmed(project.id)
    answers = store.answers(project.id)
    suspects = found.body["labels"] if found else []
    open_ = [each for each in suspects if _is_open(each, answers, confirmed)]
    return {
        "labels": [each | _words(each) for each in open_[:LISTED]],
        "of": len(open_),
        "confirmed": len(confirmed),
        "checked": found.body.get("checked", 0) if found else 0,
        "annotators": _annotators(found.body["annotators"]) if found and "annotators" in found.body else [],
        "together": _together(found.body["annotators"]) if found and "annotators" in found.body else "",
        "cell": _cell(project, quality.arrays, truth, guess) if quality and truth is not None and guess else None,
    }


def _words(suspect: Mapping[str, Any]) -> dict[str, str]:
    """What people said, and what the model says."""
    if "drawn" in suspect:
        where = f"{suspect['instead']}, on {percent(suspect['share'])} of the drawn area"
        return {"said": f"A person drew: {suspect['drawn']}", "says": f"The model: {where}"}
    answer = json.loads(suspect["answer"])
    several = isinstance(answer, list)
    said = (" and ".join(answer) or "none of the classes") if several else str(answer)
    instead = (
        f"{suspect['instead']} is {'wrong' if suspect['instead'] in answer else 'missing'}"
        if several
        else suspect["instead"]
    )
    return {"said": f"A person: {said}", "says": f"The model: {instead} ({100 * suspect['probability']:.0f} %)"}


def _annotators(people: Mapping[str, Any]) -> list[AnnotatorRow]:
    """A row for each annotator, in words."""
    others: dict[int, list[int]] = {}
    for pair in (people["together"] or {}).get("pairs", []):
        same, n = round(pair["agreement"]["value"] * pair["agreement"]["n"]), pair["agreement"]["n"]
        for person in pair["annotators"]:
            seen = others.setdefault(person, [0, 0])
            seen[0], seen[1] = seen[0] + same, seen[1] + n
    rows: list[AnnotatorRow] = []
    for each in people["each"]:
        person, model = each["annotator"], each["agreement_with_model"]
        same, n = others.get(person, (0, 0))
        rows.append(
            {
                "name": f"User {person}" if person else "unknown",
                "labels": each["labels"],
                "seconds": "-" if each["median_seconds"] is None else f"{each['median_seconds']:.1f} s",
                "model": interval(model["value"], model["low"], model["high"]) if model else "-",
                "others": f"{same} of {n}" if n else "-",
            }
        )
    return rows


def _together(people: Mapping[str, Any]) -> str:
    """How often all annotators of a task agree, as a sentence."""
    together = people["together"]
    if not together or not together["share"]:
        return ""
    share, alpha = together["share"], together["alpha"]
    beyond = "" if alpha is None else f"; beyond chance: Krippendorff's alpha {alpha:.2f}"
    return f"Of {share['n']} tasks that several people labelled, {percent(share['value'])} got the same answer{beyond}."


def _cell(project: Project, arrays: Mapping[str, Any], truth: str, guess: str) -> Cell:
    """The images of a cell of the first question's confusion matrix."""
    classes = list(questions_of(project.questions)[0].classes)
    tasks: list[int] = []
    if "task" in arrays and truth in classes and guess in classes:
        inside = (arrays["truth"] == classes.index(truth)) & (arrays["guess"] == classes.index(guess))
        tasks = np.asarray(arrays["task"])[inside].tolist()
    return {"label": truth, "model": guess, "tasks": tasks[:LISTED], "of": len(tasks)}


def _is_open(suspect: Mapping[str, Any], answers: Mapping[int, Any], confirmed: set[tuple[int, str, str]]) -> bool:
    """Whether the label is still what it was when it looked wrong, and nobody has called it right."""
    answer = answers.get(suspect["task"], {}).get(suspect["question"])
    as_json = json.dumps(answer)
    return as_json == suspect["answer"] and (suspect["task"], suspect["question"], as_json) not in confirmed


def _plain(answer: Any) -> Any:
    """An answer for comparing: classes of a multiple choice have no order."""
    return sorted(answer) if isinstance(answer, list | tuple) else answer
