"""The tables of `accuracy.py`: images, rounds, strategies and seeds.

A table whose name ends in `_rotation` has networks that know nothing but the project's own images, and shows what PT4AL
brings without knowledge from elsewhere. The others start from the default encoder, which was pretrained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

PRETRAINED = "balanced,random,coverage,pt4al,badge,margin,typiclust"
"""On embeddings of a pretrained encoder."""
OWN = "pt4al,random,confidence,margin"
"""With networks of the project's own."""
SEGMENTING = "maxherding,random,coverage,entropy"
OWN_SEGMENTING = "pt4al,random,entropy"
FIRST = "balanced,random,coverage,pt4al,typiclust"
"""For the first query, before there is a model to ask."""
FEW, MANY = 3, 10
"""Seeds: where networks are trained, and where only linear probes are."""


@dataclass(frozen=True)
class Table:
    title: str
    data: str
    """What `accuracy.images` reads."""
    cycles: int
    query_size: int
    strategies: str = PRETRAINED
    seeds: int = MANY
    rounds: int = 0
    """0: as many as `cycles`."""
    preset: str = "fast"
    answers: int = 20
    """Labels between two updates of the model."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Other settings of all runs."""


def _own_images(table: Table, strategies: str = OWN, seeds: int = FEW, answers: int = Table.answers) -> Table:
    return replace(table, strategies=strategies, seeds=seeds, answers=answers, settings={"encoder": "rotation"})


_CHOOSING = {
    "cifar10_tuning": Table("CIFAR-10, other training images, for choosing", "cifar10-tuning:5000", 10, 100),
    "cifar10_500_tuning": Table("CIFAR-10, 500 other training images, for choosing", "cifar10-tuning:500", 10, 10),
    "cifar10_imbalanced_tuning": Table(
        "CIFAR-10, other training images, imbalanced 100 to 1, for choosing", "cifar10-tuning-thinned:10000", 10, 50
    ),
    "caltech101_tuning": Table(
        "Caltech-101, without its test images, for choosing", "caltech101-tuning:30", 10, 113, seeds=FEW
    ),
    "neu_det_tuning": Table("NEU-DET, training images, for choosing", "neu_det-tuning", 10, 12),
    "neu_det_imbalanced_tuning": Table(
        "NEU-DET, training images, imbalanced 20 to 1, for choosing", "neu_det-tuning-thinned:20", 10, 12
    ),
    "brain_mri_tuning": Table("Brain MRI, training images, for choosing", "brain_mri-tuning", 10, 20),
    "rsscn7_tuning": Table("RSSCN7, training images, for choosing", "rsscn7-tuning", 10, 14),
    "rsscn7_imbalanced_tuning": Table(
        "RSSCN7, training images, imbalanced 20 to 1, for choosing", "rsscn7-tuning-thinned:20", 10, 14
    ),
    "camvid_tuning": Table("CamVid, for choosing", "camvid:val", 8, 12, SEGMENTING, FEW),
}

# larger queries are labelled as a whole, between two updates, to save time
_SHOWN = {
    "cifar10_500": Table("CIFAR-10, 500 images", "cifar10:500", 10, 10),
    "cifar10_2000": Table("CIFAR-10, 2,000 images", "cifar10:2000", 10, 40, answers=40),
    "cifar10_10000": Table("CIFAR-10, 10,000 images", "cifar10:10000", 10, 200, answers=200),
    "cifar10_imbalanced": Table("CIFAR-10, imbalanced 100 to 1", "cifar10-thinned:10000", 10, 50, answers=50),
    "caltech101": Table("Caltech-101", "caltech101:30", 10, 113, answers=113),
    "neu_det": Table("NEU-DET, steel defects", "neu_det", 10, 12),
    "neu_det_imbalanced": Table("NEU-DET, steel defects, imbalanced 20 to 1", "neu_det-thinned:20", 10, 12),
    "brain_mri": Table("Brain MRI", "brain_mri", 10, 20),
    "rsscn7": Table("RSSCN7, aerial scenes", "rsscn7", 10, 14),
    "rsscn7_imbalanced": Table("RSSCN7, aerial scenes, imbalanced 20 to 1", "rsscn7-thinned:20", 10, 14),
    "camvid": Table("CamVid", "camvid:test", 8, 12, SEGMENTING, FEW),
    "first_10": Table("First 10 labels", "cifar10:2000", 10, 10, FIRST, rounds=1),
    "first_100": Table("First 100 labels", "cifar10:10000", 10, 100, FIRST, rounds=1),
    "first_200": Table("First 200 labels", "cifar10:10000", 10, 200, FIRST, rounds=1),
    "first_113_caltech101": Table("Caltech-101, first 113 labels", "caltech101:30", 10, 113, FIRST, rounds=1),
}

_ABLATIONS = {
    "cifar10_ablations_rotation": _own_images(
        Table("CIFAR-10, 5,000 images", "cifar10:5000", 10, 100),
        "pt4al,random,pt4al+diversity=coverage,pt4al+diversity=off,pt4al+order=hard_first,pt4al+order=easy_first,"
        "pt4al+order=shuffled,pt4al+order=bandit,pt4al+init=scratch,random+init=scratch,"
        # the paper's choice of images, with the networks of `fast`
        "pt4al+order=hard_first+diversity=off+uncertainty=confidence,"
        # uncertainty decides where gradients do not
        "pt4al+diversity=off+uncertainty=confidence,pt4al+diversity=off+uncertainty=entropy,"
        "confidence,margin,entropy,badge,coreset,typiclust",
    ),
    "cifar10_tuning_rotation": _own_images(_CHOOSING["cifar10_tuning"], "pt4al,random,pt4al+diversity=coverage"),
    "cifar10_imbalanced_tuning_rotation": _own_images(
        _CHOOSING["cifar10_imbalanced_tuning"], "pt4al,random,pt4al+diversity=coverage"
    ),
    "camvid_tuning_rotation": _own_images(
        _CHOOSING["camvid_tuning"],
        f"{OWN_SEGMENTING},pt4al+diversity=gradients,pt4al+diversity=off,pt4al+uncertainty=margin",
    ),
}

_FULL = Table("", "cifar10:50000", 10, 1000, "pt4al,random,margin", FEW, answers=1000)
"""With as many answers as the queue holds: with 50,000 images every sync takes long."""

TABLES = {
    **_CHOOSING,
    **_SHOWN,
    **{f"{name}_rotation": _own_images(table) for name, table in _SHOWN.items()},
    **_ABLATIONS,
    "cifar10_500_rotation": _own_images(_SHOWN["cifar10_500"], seeds=5),
    "cifar10_2000_rotation": _own_images(_SHOWN["cifar10_2000"], seeds=5),
    "cifar10_10000_rotation": _own_images(_SHOWN["cifar10_10000"], f"{OWN},badge,typiclust,random+init=scratch"),
    "camvid_rotation": _own_images(_SHOWN["camvid"], OWN_SEGMENTING),
    **{
        f"{name}_rotation": _own_images(_SHOWN[name], FIRST, MANY)
        for name in ("first_10", "first_100", "first_200", "first_113_caltech101")
    },
    "cifar10_full": replace(_FULL, title="CIFAR-10, 50,000 images, fast"),
    "cifar10_full_rotation": _own_images(
        replace(_FULL, title="CIFAR-10, 50,000 images, fast"), _FULL.strategies, answers=_FULL.answers
    ),
    "cifar10_full_paper": replace(_FULL, title="CIFAR-10, 50,000 images, paper", preset="paper"),
}
