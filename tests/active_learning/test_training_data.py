"""Answers as numbers, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pt4al_backend.active_learning.training_data import answered, output
from pt4al_backend.labelling.label_type import Drawings
from pt4al_backend.labelling.multiple import MULTIPLE, chosen_classes
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.labelling.segmentation import SEGMENTATION, DrawnMasks
from pt4al_backend.labelling.single import SINGLE, class_numbers
from pt4al_backend.learning import IGNORE, Output
from pt4al_backend.store.mask_file import MaskFile

KIND = Question("kind", SINGLE, ("cat", "dog"))
SEEN = Question("result", MULTIPLE, ("tail", "ear", "paw"))
AREA = Question("area", SEGMENTATION, ("sky", "road"))
FIRST, SECOND = "01" * 16, "ff" * 16


def answers(name: str, *values: object) -> list[Answers]:
    """One image per value, `None`: it does not answer this question but another."""
    return [{"other": 1} if value is None else {"other": 1, name: value} for value in values]


@pytest.fixture
def masks(tmp_path: Path) -> MaskFile:
    """Row 3 was drawn from FIRST, row 5 from SECOND; 2 is where no region is."""
    masks = MaskFile(tmp_path / "masks.bin", side=2)
    masks.write(3, FIRST, np.array([[0, 1], [2, 2]], dtype=np.uint8))
    masks.write(5, SECOND, np.array([[1, 1], [1, 0]], dtype=np.uint8))
    return masks


def segmented(masks: MaskFile, *, background: bool) -> DrawnMasks:
    """Four images: drawn, unanswered, answered and not drawn, drawn."""
    given = answers("area", SECOND, None, SECOND, FIRST)
    found = SEGMENTATION.targets(AREA, given, Drawings(np.array([5, 5, 3, 3]), masks, background))
    assert isinstance(found, DrawnMasks)
    return found


@pytest.mark.parametrize(
    ("question", "background", "classes"),
    [(KIND, 2, 2), (SEEN, 3, 3), (AREA, 3, 2)],
    ids=["single", "multiple", "masks"],
)
def test_only_pixels_have_a_background(question: Question, background: int, classes: int) -> None:
    assert output(question, background=True) == Output(question.label_type.name, background)
    assert output(question, background=False) == Output(question.label_type.name, classes)


def test_one_class() -> None:
    found = class_numbers(KIND, answers("kind", "dog", None, "cat", "a class that is gone"))
    assert found.tolist() == [1, -1, 0, -1]
    assert found.dtype == np.int64
    assert answered(found).tolist() == [True, False, True, False]


def test_several_classes() -> None:
    found = chosen_classes(SEEN, answers("result", ["paw", "tail"], None, [], ["ear", "a class that is gone"]))
    assert found.tolist() == [[1, 0, 1], [-1, -1, -1], [0, 0, 0], [0, 1, 0]]
    assert found.dtype == np.int8
    assert answered(found).tolist() == [True, False, True, True]  # none of them is an answer


def test_masks_are_read_where_they_were_drawn(masks: MaskFile) -> None:
    found = segmented(masks, background=True)
    assert answered(found).tolist() == [True, False, False, True]
    nothing = [[IGNORE, IGNORE], [IGNORE, IGNORE]]
    assert found.read(np.array([3, 2, 0, 1, 3])).tolist() == [
        [[0, 1], [2, 2]],
        nothing,
        [[1, 1], [1, 0]],
        nothing,
        [[0, 1], [2, 2]],
    ]
    assert found.read(np.array([1, 2])).tolist() == [nothing, nothing]
    assert found.read(np.array([], dtype=np.int64)).shape == (0, 2, 2)


def test_pixels_outside_all_regions_may_teach_nothing(masks: MaskFile) -> None:
    found = segmented(masks, background=False)
    assert found.read(np.array([3, 0])).tolist() == [[[0, 1], [IGNORE, IGNORE]], [[1, 1], [1, 0]]]
    again = segmented(masks, background=True).read(np.array([3]))
    assert again.tolist() == [[[0, 1], [2, 2]]]  # what is stored stays as it is


def test_nothing_is_labelled(masks: MaskFile) -> None:
    none = np.array([], dtype=np.int64)
    assert class_numbers(KIND, []).shape == (0,)
    assert chosen_classes(SEEN, []).shape == (0, 3)
    for question in (KIND, SEEN, AREA):
        found = question.label_type.targets(question, [], Drawings(none, masks, True))
        assert answered(found).tolist() == []
