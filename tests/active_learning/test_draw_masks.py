"""Segmentations: drawn from regions, learnt, and published as masks."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.coloured_shapes import NOTHING, SHAPES, SIDE, shape_mask, shape_regions, shapes_on
from support.question_rig import MASK, QuestionRig, opened, outputs

from pt4al_backend import learning
from pt4al_backend.active_learning.draw_masks import draw_masks
from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.label_studio.label_config.regions import draw
from pt4al_backend.labelling.segmentation import SEGMENTATION


def test_masks_are_guessed(segmented: QuestionRig) -> None:
    rig = segmented
    assert rig.project.main_generation == 1
    assert rig.project.dense and rig.spec()["dense"]
    assert outputs(rig) == [(SEGMENTATION, 3)]  # and the background
    side = learning.mask_side(32)
    right = []
    front, behind = list(rig.picks.values())[:20], list(rig.picks.values())[20:]
    for pick in front:
        guess = pick.predictions["mask"]
        assert (pick.width, pick.height) == (SIDE, SIDE)
        assert guess.value.shape == (side, side) and guess.value.dtype == np.uint8
        assert guess.value.max() <= NOTHING
        assert 1 / 3 <= guess.probability <= 1
        right.append((guess.value == shape_mask(pick.task - 1)[2::4, 2::4]).mean())
    assert np.mean(right) > 0.85
    assert behind and all(pick.predictions == {} for pick in behind)  # made before it is their turn


def test_answers_are_drawn_at_the_side_they_are_learnt_at(segmented: QuestionRig) -> None:
    rig = segmented
    for task in (1, 2, 8):
        mask = rig.drawn(task)
        assert mask is not None
        assert (mask == draw(shape_regions(task - 1), SHAPES, side=16, background=True)).all()
        assert (mask == shape_mask(task - 1)[2::4, 2::4]).mean() > 0.95
    empty = rig.drawn(8)
    assert empty is not None and (empty == NOTHING).all()


def test_regions_that_change_are_drawn_again(segmented: QuestionRig) -> None:
    rig = segmented
    everywhere = [[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0]]
    square = {"label": "square", "width": SIDE, "height": SIDE, "points": everywhere}
    rig.platform.answer(2, mask=[square])
    rig.sync()  # few enough for a refit not to wait
    mask = rig.drawn(2)
    assert mask is not None and (mask == 1).all()
    rig.platform.answer(*range(2, 9), mask=[square | {"label": "disc"}])
    rig.sync()
    assert rig.drawn(3) is None
    assert rig.loop.busy_with == "" and rig.predictions().per_question  # a refit on the others does not wait for them
    rig.settle()
    for task in range(2, 9):
        mask = rig.drawn(task)
        assert mask is not None and (mask == 0).all()
    rig.platform.answer(*range(2, 9))
    rig.settle()
    mask = rig.drawn(8)
    assert mask is not None and (mask == NOTHING).all()


def test_a_mask_is_of_the_regions_it_was_drawn_from(segmented: QuestionRig) -> None:
    """Regions that change while masks are drawn, and change back."""
    rig = segmented
    square = {"label": "square", "width": SIDE, "height": SIDE, "points": [[0, 0], [100, 0], [100, 100], [0, 100]]}
    tasks = range(2, 9)
    rig.platform.answer(*tasks, mask=[square | {"label": "disc"}])
    rig.loop.sync()
    drawing = draw_masks(rig.workspace)
    next(drawing)
    rig.platform.answer(8, mask=[square])
    rig.loop.sync()
    assert len(list(drawing)) == 6
    rig.platform.answer(8, mask=[square | {"label": "disc"}])
    rig.settle()
    mask = rig.drawn(8)
    assert mask is not None and (mask == 0).all()
    rig.platform.answer(*tasks)
    rig.settle()


def test_no_masks_are_published_where_none_are_wanted(tmp_path: Path) -> None:
    with opened(tmp_path, MASK, n=12, preannotate=False) as rig:
        rig.settle()
        rig.platform.answer(1, 2)
        rig.settle()
        assert rig.predictions().per_question
        assert all(pick.predictions == {} and not pick.width for pick in rig.picks.values())


def test_pixels_outside_all_regions_can_be_ignored(tmp_path: Path) -> None:
    with opened(tmp_path, MASK, n=24, unlabelled_pixels="ignore") as rig:
        rig.settle()
        rig.platform.answer(8)  # there is nothing on it: nothing to learn
        rig.settle()
        assert rig.predictions().per_question == ()
        assert rig.picks and all(pick.predictions == {} for pick in rig.picks.values())
        rig.platform.answer(*range(1, 8))
        rig.train()
        assert outputs(rig) == [(SEGMENTATION, 2)]
        assert all(set(np.unique(pick.predictions["mask"].value)) <= {0, 1} for pick in rig.picks.values())
        mask = rig.drawn(1)
        assert mask is not None and NOTHING in mask  # the setting may change


def test_other_labels_of_regions_are_drawn_again(tmp_path: Path) -> None:
    with opened(tmp_path, MASK, n=12, train_growth=0) as rig:
        rig.settle()
        rig.platform.answer(*range(1, 7))
        rig.settle()
        rig.platform.questions = (replace(MASK, classes=("ring", *SHAPES)),)
        rig.settle()
        mask = rig.drawn(1)
        assert mask is not None
        assert set(np.unique(mask)) == {1 + SHAPES.index(name) for name in shapes_on(0)} | {3}
        assert rig.project.pretext_generation == 1  # networks stay


def test_what_was_painted_on_another_image_is_not_learnt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is noticed as soon as both are known: the region and the image."""
    side = learning.mask_side(32)

    def painted(width: int, height: int) -> dict[str, Any]:
        packed = brush_rle.packed(np.ones(width * height, dtype=bool))
        return {"label": "square", "width": width, "height": height, "rle": base64.b64encode(packed).decode()}

    whole = {"label": "disc", "points": [[0, 0], [50, 0], [50, 100], [0, 100]]}
    said = (
        f"A region is left out: it was painted on an image of {SIDE} x {2 * SIDE} pixels, and this one has "
        f"{SIDE} x {SIDE}; paint it again."
    )
    with opened(tmp_path, MASK, n=8) as rig, caplog.at_level(logging.WARNING):
        rig.platform.answer(3, mask=[whole, painted(SIDE, 2 * SIDE)])
        for _ in range(2):
            rig.settle()
        mask = rig.drawn(3)
        assert mask is not None
        assert (mask[:, : side // 2] == SHAPES.index("disc")).all() and (mask[:, side // 2 :] == learning.IGNORE).all()
        assert caplog.messages == [f"project 1, task 3: {said}"]
        assert rig.store.notes(rig.id) == [(3, said)]
        rig.platform.answer(3, mask=[painted(2 * SIDE, 2 * SIDE), whole])
        rig.settle()
        assert rig.store.notes(rig.id) == []


def test_regions_that_cannot_be_drawn_stop_nobody(tmp_path: Path) -> None:
    with opened(tmp_path, MASK, n=8) as rig:
        rig.platform.answer(2)
        rig.platform.answer(3, mask=[{"label": "disc", "points": None}])
        rig.settle()
        assert rig.drawn(2) is not None
        mask = rig.drawn(3)
        assert mask is not None and (mask == learning.IGNORE).all()
        ((task, note),) = rig.store.notes(rig.id)
        assert task == 3 and "cannot be drawn (TypeError)" in note
        rig.train()
        assert rig.project.main_generation == 1
