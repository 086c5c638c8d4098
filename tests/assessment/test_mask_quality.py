import json
from dataclasses import asdict

import numpy as np
import pytest

from pt4al_backend.assessment.mask_quality import pixel_confusion, segmentation_quality
from pt4al_backend.labelling.segmentation import SEGMENTATION

CLASSES, SIDE = 4, 10


def masks(n: int, wrong: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Masks with some unlabelled pixels and without the last class, and predictions of which some are wrong."""
    random = np.random.default_rng(n)
    given = random.integers(0, CLASSES - 1, (n, SIDE, SIDE)).astype(np.uint8)
    guess = np.where(random.random(given.shape) < wrong, random.integers(0, CLASSES, given.shape), given)
    given[random.random(given.shape) < 0.1] = 255
    return given, guess.astype(np.uint8)


def test_figures_are_those_of_simulations() -> None:
    given, guess = masks(30)
    found = segmentation_quality(pixel_confusion(given, guess, CLASSES))
    expected = SEGMENTATION.figures(CLASSES, zip(given, 9.0 * np.eye(CLASSES)[guess], strict=True))
    assert found and found.mean_iou.value == pytest.approx(expected["mean_iou"])
    assert [each.pixels for each in found.classes] == [each["test_pixels"] for each in expected["by_class"]]
    assert [each.iou for each in found.classes] == pytest.approx([e.get("iou") for e in expected["by_class"]])
    assert found.classes[-1].iou is None
    assert found.pixel_accuracy == pytest.approx((given == guess)[given < CLASSES].mean())
    assert np.sum(found.confusion) == (given < CLASSES).sum()


def test_the_interval_holds_the_truth_and_shrinks() -> None:
    widths, holds = [], []
    truth = segmentation_quality(pixel_confusion(*masks(3000), CLASSES))
    assert truth
    for n in (10, 11, 12, 13, 14, 100):
        found = segmentation_quality(pixel_confusion(*masks(n), CLASSES))
        assert found and found.mean_iou.n == n
        widths.append(found.mean_iou.high - found.mean_iou.low)
        holds.append(found.mean_iou.low <= truth.mean_iou.value <= found.mean_iou.high)
    assert np.mean(holds) > 0.7 and widths[-1] < min(widths[:-1])


def test_the_same_seed_gives_the_same_interval() -> None:
    confusion = pixel_confusion(*masks(10), CLASSES)
    assert segmentation_quality(confusion) == segmentation_quality(confusion)
    assert segmentation_quality(confusion) != segmentation_quality(confusion, seed=1)


def test_images_without_labelled_pixels_do_not_count() -> None:
    given, guess = masks(10)
    given[4] = 255
    confusion = pixel_confusion(given, guess, CLASSES)
    found = segmentation_quality(confusion)
    assert found and found.mean_iou.n == 9
    assert found == segmentation_quality(np.delete(confusion, 4, axis=0))
    assert segmentation_quality(confusion[4:5]) is None
    assert segmentation_quality(pixel_confusion(given[:0], guess[:0], CLASSES)) is None


def test_results_are_json() -> None:
    found = segmentation_quality(pixel_confusion(*masks(3), CLASSES))
    assert found and json.loads(json.dumps(asdict(found), allow_nan=False))["mean_iou"]["n"] == 3
