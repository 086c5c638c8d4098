"""What several questions, or pixels, make of the predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.coloured_shapes import SHAPES, shapes_on
from support.question_rig import EMPTY, PRESENT, QuestionRig, opened, outputs

from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.sampling.uncertainty import mean_rank


def test_several_classes_per_image(tmp_path: Path) -> None:
    with opened(tmp_path, PRESENT, n=60, main_epochs=10, query_size=25, slack=20) as rig:
        rig.settle()
        assert all(pick.predictions == {} for pick in rig.picks.values())
        rig.platform.answer(*range(1, 31))
        rig.settle()
        assert rig.project.main_generation == 1
        assert outputs(rig) == [(MULTIPLE, 2)]
        assert rig.store.answers(rig.id)[8] == {"present": []}  # nothing is there: an answer too
        assert rig.store.totals(rig.id).labelled == 30
        right = []
        for task, pick in rig.picks.items():
            guess = pick.predictions["present"]
            assert guess.value in ((), ("disc",), ("square",), ("disc", "square"))
            assert 0.5 <= guess.probability <= 1
            right += [(name in guess.value) == (name in shapes_on(task - 1)) for name in SHAPES]
        assert np.mean(right) > 0.8
        (view,) = rig.predictions().per_question
        # Entropy, unless another measure is asked for; of each class alone, so one bit at most.
        assert np.nanmin(view.uncertainty) >= 0 and np.nanmax(view.uncertainty) <= np.log(2) + 1e-6


def test_partial_answers_to_two_questions(tmp_path: Path) -> None:
    with opened(tmp_path, EMPTY, PRESENT, train_growth=0) as rig:
        rig.settle()
        rig.platform.answer(1, 2, 8, only=["empty"])
        rig.sync()
        assert {name for pick in rig.picks.values() for name in pick.predictions} == {"empty"}
        rig.platform.answer(3, 4, only=["present"])
        rig.platform.answer(16)
        rig.train()
        assert outputs(rig) == [(SINGLE, 2), (MULTIPLE, 2)]
        assert all(list(pick.predictions) == ["empty", "present"] for pick in rig.picks.values())
        assert rig.store.answers(rig.id) == {
            1: {"empty": "no"},
            2: {"empty": "no"},
            3: {"present": shapes_on(2)},
            4: {"present": shapes_on(3)},
            8: {"empty": "yes"},
            16: {"empty": "yes", "present": []},
        }
        stored = rig.store.ranking(rig.id)
        assert stored is not None
        arrays, asked = stored
        assert asked == (EMPTY, PRESENT)
        for task, pick in rig.picks.items():
            position = int(arrays.find(np.array([task]))[0])
            assert arrays.predictions_at(position, asked) == pick.predictions  # /predict says the same

        rig.platform.answer(3, only=["empty", "present"])  # the other half
        rig.sync()
        assert rig.store.answers(rig.id)[3] == {"empty": "no", "present": shapes_on(2)}


def test_several_questions_are_combined_by_their_mean_rank(tmp_path: Path) -> None:
    with opened(tmp_path, EMPTY, PRESENT, cycles=1, train_growth=0, query_size=30) as rig:
        rig.settle()
        rig.platform.answer(1, 2, 3, 8, 16)
        rig.settle()
        assert rig.project.main_generation == 0  # the refit alone
        predictions = rig.predictions()
        assert [view.question for view in predictions.per_question] == [EMPTY, PRESENT]
        expected = mean_rank([view.uncertainty for view in predictions.per_question])
        assert predictions.uncertainty.tolist() == expected.tolist()
        rig.platform.answer(5)
        rig.settle()
    with opened(tmp_path / "uncertain", EMPTY, PRESENT, strategy="entropy", train_growth=0) as rig:
        rig.settle()
        rig.platform.answer(*list(rig.picks)[:6])
        rig.settle()
        pool = rig.store.pool(rig.project)
        of = dict(zip(pool.task.tolist(), rig.predictions().uncertainty.tolist(), strict=True))
        served = [of[task] for task in rig.picks]
        rest = [of[task] for task in of if task not in rig.picks and task not in rig.store.answers(rig.id)]
        assert served == sorted(served, reverse=True) and min(served) >= max(rest)


def test_pixels_decide_what_is_uncertain(segmented: QuestionRig) -> None:
    (view,) = segmented.predictions().per_question
    pool = segmented.store.pool(segmented.project)
    assert (np.isfinite(view.uncertainty) == np.isin(pool.batch, [0, 1]) | pool.labelled).all()
    assert np.nanmin(view.uncertainty) >= 0 and np.nanmax(view.uncertainty) <= np.log(3) + 1e-6
    assert np.nanstd(view.uncertainty) > 0
    stored = segmented.store.ranking(segmented.id)
    assert stored is not None
    assert stored[0].predictions_at(0, stored[1]) == {}  # masks are not kept
