"""The reasons for the images of a window, on a pool whose embeddings say their class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from support.small_pool import CLASS, N, pool, predictions

from pt4al_backend.active_learning.explain import COPY, FIRST, HELD_OUT, NEXT, explain
from pt4al_backend.assessment.duplicates import asked

LABELLED = (0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13)  # cats and dogs, no cow


def why(directory: Path, labelled: tuple[int, ...], at: int, **marks: bool) -> str:
    a_pool = pool(labelled)
    if marks.get("held_out"):
        a_pool = replace(a_pool, held_out=np.arange(N) == at)
    if marks.get("unsorted"):
        a_pool = replace(a_pool, loss=np.full(N, np.nan), batch=np.full(N, -1), rank=np.full(N, -1))
    (reason,) = explain(a_pool, predictions(directory, a_pool), np.array([at]))
    assert reason.task == at + 100
    return "; ".join(reason.why)


def test_before_the_first_label(tmp_path: Path) -> None:
    assert why(tmp_path, (), 3, unsorted=True) == FIRST


def test_what_the_model_is_unsure_about_comes_first(tmp_path: Path) -> None:
    assert why(tmp_path, (0, 3), 6).startswith("uncertain between ")
    assert why(tmp_path, LABELLED, 20).startswith(("probably ", "uncertain between "))


def test_the_batch_and_the_pretext_loss(tmp_path: Path) -> None:
    assert "batch 1, pretext loss 2 (harder than 100 %)" in why(tmp_path, (), 0)
    assert "batch 3, pretext loss 1 (harder than 0 %)" in why(tmp_path, (), N - 1)


def test_a_class_without_labels_is_unlike_the_labelled_ones(tmp_path: Path) -> None:
    cow = int(np.flatnonzero(CLASS == 2)[0])
    assert "unlike anything labelled yet" in why(tmp_path, LABELLED, cow)
    assert "unlike anything labelled yet" not in why(tmp_path, LABELLED, 13)  # one of them


def test_a_held_out_image_has_no_other_reason(tmp_path: Path) -> None:
    assert why(tmp_path, LABELLED, 20, held_out=True) == HELD_OUT


def test_there_is_always_a_reason(tmp_path: Path) -> None:
    a_pool = replace(pool((0, 3)), loss=np.full(N, np.nan), batch=np.full(N, -1), rank=np.full(N, -1))
    predicted = predictions(tmp_path, a_pool, missing=[20])
    (reason,) = explain(a_pool, predicted, np.array([20]))
    assert reason.why == (NEXT,)


def test_how_many_near_duplicates_wait_and_that_an_image_did(tmp_path: Path) -> None:
    a_pool, middle = pool(()), np.arange(N)
    middle[[4, 5, 8]], middle[7] = 3, 6
    once = asked(middle, labelled=a_pool.labelled, skipped=a_pool.skipped)
    reasons = explain(a_pool, predictions(tmp_path, a_pool), np.array([3, 6, 4, 10]), once)
    said = [reason.why[-1] for reason in reasons]
    assert said[:3] == ["3 near-duplicates of it wait", "1 near-duplicate of it waits", COPY]
    assert "near-duplicate" not in said[3]
