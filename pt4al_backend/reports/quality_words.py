"""How good the model is, in words and tables for people, from the finding that `active_learning/assess.py` stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.reports.answers import ClassIoU, ClassQuality, Quality, QualityColumn, QualityFigures

HELD_OUT = "Measured on {n} random images that the model never learns from."
SURE = (
    "How sure the model is, on average, of the images that nobody has labelled. Cross-validated on {n} labels it is "
    "right about {crossed}, usually too few: it was unsure of the images that it asked for."
)
CROSSED = "Cross-validated on {n} labels. They are not typical of the pool, so the estimate may be off."
HOW_SURE = (
    "The mean calibrated probability of the class that the model says. In simulations this was closer to the truth "
    "than a cross-validation on labels that the model asked for"
)
HOW = "The share of images that the model is right about, with its 95 % interval (Wilson)"
HOW_ANY = "The share of images of which every answer is right, with its 95 % interval (Wilson)"
HOW_IOU = (
    "The mean over the classes of the intersection over union of people's masks and the model's, with its 95 % "
    "interval (a bootstrap over images)"
)
COLUMNS: list[QualityColumn] = [
    {"key": "labels", "title": "Labels measured", "how": "Images with this label among those that are measured"},
    {"key": "precision", "title": "Precision", "how": "How often the model is right when it says this class"},
    {"key": "recall", "title": "Recall", "how": "How often the model says this class when people do"},
]
PIXEL_COLUMNS: list[QualityColumn] = [
    {"key": "area", "title": "Share of the area", "how": "Of all pixels that people labelled in these images"},
    {"key": "iou", "title": "IoU", "how": "Pixels that both call this class, of those that one of them does"},
]
MATRIX = "Rows: what people said. Columns: what the model said. A number opens its images."
PIXEL_MATRIX = "Rows: what people drew. Columns: what the model says there, in per cent of the row."
TOO_MANY = 30
"""A confusion matrix of more classes is not shown."""


def quality_shown(body: Mapping[str, Any], questions: list[dict[str, Any]]) -> list[Quality]:
    """What the Overview shows of each question.

    Args:
        body: of the finding.
        questions: of the project, as they are stored.
    """
    asked = [question.name for question in questions_of(questions)]
    return [
        _question(report, first=place == 0)
        for place, report in enumerate(body["questions"])
        if report["question"] in asked and body["questions_asked"] == questions
    ]


def interval(value: float, low: float, high: float) -> str:
    """An estimate from 0 to 1 with its interval, in words."""
    return f"{100 * value:.1f} % ({100 * low:.0f} to {100 * high:.0f})"


def percent(share: float | None) -> str:
    """A share in words; "-" if it does not exist."""
    return "-" if share is None else f"{100 * share:.0f} %"


def _question(report: Mapping[str, Any], *, first: bool) -> Quality:
    quality, estimate, classes = report["quality"], report["estimate"], report["classes"]
    of_pixels = "mean_iou" in quality
    shown: Quality = {
        "name": report["question"],
        "opens": first and not of_pixels,
        "words": interval(estimate["value"], estimate["low"], estimate["high"]),
        "sentence": (HELD_OUT if report["held_out"] else CROSSED).format(n=estimate["n"]),
        "matrix_caption": PIXEL_MATRIX if of_pixels else MATRIX,
        **(_of_pixels(quality, classes) if of_pixels else _of_images(quality, classes)),
    }
    if not report["held_out"] and report.get("confidence") is not None:
        shown["sentence"] = SURE.format(n=estimate["n"], crossed=shown["words"])
        shown["words"], shown["how"] = f"about {percent(report['confidence'])}", HOW_SURE
    return shown


def _of_images(quality: Mapping[str, Any], names: Sequence[str]) -> QualityFigures:
    classes: list[ClassQuality] = [
        {
            "name": name,
            "labels": each["labels"],
            "precision": percent(each["precision"]),
            "recall": percent(each["recall"]),
        }
        for name, each in zip(names, quality["classes"], strict=True)
    ]
    return {
        "how": HOW if "confusion" in quality else HOW_ANY,
        "columns": COLUMNS,
        "classes": classes,
        "confusion": quality.get("confusion") if len(names) <= TOO_MANY else None,
        "calibration": (
            f"The probabilities shown are off by {100 * quality['calibration']['error']:.0f} points on average."
        ),
        "more": _more(quality),
    }


def _of_pixels(quality: Mapping[str, Any], names: Sequence[str]) -> QualityFigures:
    pixels = sum(each["pixels"] for each in quality["classes"])
    classes: list[ClassIoU] = [
        {"name": name, "area": percent(each["pixels"] / pixels), "iou": percent(each["iou"])}
        for name, each in zip(names, quality["classes"], strict=True)
    ]
    shares = [[round(100 * count / max(1, sum(row))) for count in row] for row in quality["confusion"]]
    return {
        "how": HOW_IOU,
        "columns": PIXEL_COLUMNS,
        "classes": classes,
        "confusion": shares if len(names) <= TOO_MANY else None,
        "calibration": "",
        "more": f"Of all labelled pixels {percent(quality['pixel_accuracy'])} are right.",
    }


def _more(quality: Mapping[str, Any]) -> str:
    if "balanced_accuracy" in quality:
        return f"Mean recall of the classes (balanced accuracy): {percent(quality['balanced_accuracy'])}."
    return f"Of all answers {percent(quality['answers_right'])} are right; mean F1 {percent(quality['macro_f1'])}."
