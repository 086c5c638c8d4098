"""Segmentation, with numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.answers import answers

from pt4al_backend.active_learning.training_data import answered
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_type import Drawings
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION, DrawnMasks, error_of_pixels, of_pixels
from pt4al_backend.learning import IGNORE
from pt4al_backend.sampling.uncertainty import UNCERTAINTIES
from pt4al_backend.store.mask_file import MaskFile

AREA = Question("area", SEGMENTATION, ("sky", "road"))
FIRST, SECOND = "01" * 16, "ff" * 16
SURE, LOST = [9.0, 0.0, 0.0], [1.0, 1.0, 1.0]


@pytest.fixture
def masks(tmp_path: Path) -> MaskFile:
    """Row 3 was drawn from FIRST, row 5 from SECOND; 2 means outside all regions."""
    masks = MaskFile(tmp_path / "masks.bin", side=2)
    masks.write(3, FIRST, np.array([[0, 1], [2, 2]], dtype=np.uint8))
    masks.write(5, SECOND, np.array([[1, 1], [1, 0]], dtype=np.uint8))
    return masks


def segmented(masks: MaskFile, *, background: bool) -> DrawnMasks:
    """Four images: drawn, unlabelled, labelled but not drawn, drawn."""
    given = answers("area", SECOND, None, SECOND, FIRST)
    found = SEGMENTATION.targets(AREA, given, Drawings(np.array([5, 5, 3, 3]), masks, background))
    assert isinstance(found, DrawnMasks)
    return found


def test_drawn_masks_are_read(masks: MaskFile) -> None:
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


def test_pixels_outside_all_regions_may_be_ignored(masks: MaskFile) -> None:
    found = segmented(masks, background=False)
    assert found.read(np.array([3, 0])).tolist() == [[[0, 1], [IGNORE, IGNORE]], [[1, 1], [1, 0]]]
    again = segmented(masks, background=True).read(np.array([3]))
    assert again.tolist() == [[[0, 1], [2, 2]]]  # the stored mask is unchanged


@pytest.mark.parametrize("name", UNCERTAINTIES)
def test_pixels_count_alike(name):
    measure = UNCERTAINTIES[name]
    image = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    each = [np.mean([measure(image[k, y, x][None])[0] for y in range(4) for x in range(5)]) for k in range(2)]
    assert of_pixels(image, measure) == pytest.approx(each)
    assert of_pixels(np.stack([np.full((4, 5, 3), LOST), np.full((4, 5, 3), SURE)]), measure).argmax() == 0


def test_a_background_is_a_class_of_its_own() -> None:
    assert SEGMENTATION.outputs(AREA, background=True) == 3
    assert SEGMENTATION.outputs(AREA, background=False) == 2
    assert SEGMENTATION.output_names(AREA, background=False) == AREA.classes


def test_pixels_outside_all_regions_have_a_name_that_no_class_has() -> None:
    taken: tuple[str, ...] = ()
    for expected in ("background", "no region", "no region 2", "no region 3"):
        question = Question("area", SEGMENTATION, taken)
        assert SEGMENTATION.output_names(question, background=True) == (*taken, expected)
        taken = (*taken, expected)


def test_an_error_is_the_mean_over_the_pixels() -> None:
    image = np.log(np.array([[[[0.25, 0.75], [0.5, 0.5]]]]))
    assert error_of_pixels(image) == pytest.approx(np.array([[(0.25 - 0.5) / 2, (-0.25 + 0.5) / 2]]))


def test_a_predicted_mask_is_the_most_likely_class_of_each_pixel() -> None:
    seen = SEGMENTATION.seen(np.log(np.array([[[0.25, 0.75], [0.5, 0.5]], [[0.75, 0.25], [0.125, 0.875]]])))
    assert seen.value.tolist() == [[1, 0], [0, 1]] and seen.value.dtype == np.uint8
    assert seen.probability == pytest.approx((0.75 + 0.5 + 0.75 + 0.875) / 4)


def test_mean_iou_by_hand() -> None:
    """Class 0: two of three pixels; class 1: one of two; class 2 does not occur; 255 does not count."""
    truth = np.array([[0, 0], [1, 255]], dtype=np.uint8)
    logits = np.zeros((2, 2, 3), dtype=np.float16)
    logits[0, 0, 0] = logits[0, 1, 1] = logits[1, 0, 1] = logits[1, 1, 2] = 1
    assert SEGMENTATION.figures(3, [(truth, logits)]) == {
        "mean_iou": pytest.approx((1 / 2 + 1 / 2) / 2),
        "by_class": [{"test_pixels": 2, "iou": 0.5}, {"test_pixels": 1, "iou": 0.5}, {"test_pixels": 0}],
    }
    with pytest.raises(PT4ALError, match="nothing to measure"):
        SEGMENTATION.figures(3, [(np.full((2, 2), 255, dtype=np.uint8), logits)])


def test_how_much_of_an_image_the_model_is_unsure_about() -> None:
    assert SEGMENTATION.doubt(AREA, np.array([[SURE, LOST], [SURE, SURE]])) == "uncertain about 25 % of its area"
    assert SEGMENTATION.counts(AREA, [{}]) is None
