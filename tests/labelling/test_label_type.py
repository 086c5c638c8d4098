"""The defaults of a label type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pt4al_backend.labelling.label_type import Drawings, Floats, LabelType, Measure
from pt4al_backend.labelling.questions import Answers, Question


class Plain(LabelType):
    """Overrides the abstract methods only."""

    name, title = "plain", "plain answers"

    def targets(self, question: Question, answers: Sequence[Answers], drawings: Drawings) -> NDArray[np.int64]:
        return np.zeros(len(answers), np.int64)

    def uncertainty(self, logits: Floats, measure: Measure) -> NDArray[np.float64]:
        return measure(logits)

    def errors(self, logits: Floats) -> NDArray[np.float64]:
        return np.zeros_like(logits, dtype=np.float64)


QUESTION = Question("q", Plain(), ("a", "b", "c"))


def test_by_default_it_labels_whole_images() -> None:
    assert not (QUESTION.label_type.dense or QUESTION.label_type.has_regions or QUESTION.label_type.usual_uncertainty)
    assert QUESTION.label_type.outputs(QUESTION, background=True) == 3
    assert QUESTION.label_type.output_names(QUESTION, background=True) == ("a", "b", "c")


def test_by_default_no_predictions_are_stored() -> None:
    logits = np.zeros((2, 3))
    assert QUESTION.label_type.predicted(logits) is None
    assert QUESTION.label_type.unpredicted(2, 3).shape == (0,)
    with pytest.raises(NotImplementedError, match="plain answers"):
        QUESTION.label_type.value(QUESTION, np.zeros(1, np.int64))
    with pytest.raises(NotImplementedError, match="plain answers"):
        QUESTION.label_type.seen(logits)


def test_by_default_it_cannot_be_simulated() -> None:
    assert not QUESTION.label_type.metric
    with pytest.raises(NotImplementedError, match="cannot be simulated"):
        QUESTION.label_type.figures(3, [])


def test_abstract_methods_are_required() -> None:
    with pytest.raises(TypeError, match="abstract"):
        LabelType()  # type: ignore[abstract]
