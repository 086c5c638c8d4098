"""Answers as numbers, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pt4al_backend.active_learning.training_data import SAMPLE, answered, output, sample
from pt4al_backend.labelling.label_type import Drawings
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.learning import Output
from pt4al_backend.store.mask_file import MaskFile

KIND = Question("kind", SINGLE, ("cat", "dog"))
SEEN = Question("result", MULTIPLE, ("tail", "ear", "paw"))
AREA = Question("area", SEGMENTATION, ("sky", "road"))


@pytest.mark.parametrize(
    ("question", "background", "classes"),
    [(KIND, 2, 2), (SEEN, 3, 3), (AREA, 3, 2)],
    ids=["single", "multiple", "masks"],
)
def test_only_pixels_have_a_background(question: Question, background: int, classes: int) -> None:
    assert output(question, background=True) == Output(question.label_type.name, background)
    assert output(question, background=False) == Output(question.label_type.name, classes)


@pytest.mark.parametrize("images", [0, 1, SAMPLE, SAMPLE + 1, 5 * SAMPLE - 1])
def test_a_sample_is_spread_over_all_images(images: int) -> None:
    chosen = sample(images)
    assert len(chosen) <= SAMPLE and set(np.diff(chosen)) == ({-(-images // SAMPLE)} if images > 1 else set())
    assert images - chosen.max(initial=-1) <= max(1, -(-images // SAMPLE))


def test_nothing_is_labelled(tmp_path: Path) -> None:
    masks = MaskFile(tmp_path / "masks.bin", side=2)
    none = np.array([], dtype=np.int64)
    for question in (KIND, SEEN, AREA):
        found = question.label_type.targets(question, [], Drawings(none, masks, True))
        assert answered(found).tolist() == []
