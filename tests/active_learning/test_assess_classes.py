"""Which images measure a question about whole images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.question_rig import EMPTY, MASK, PRESENT, QuestionRig
from support.tiny_encoder import NAME, tiny_encoders

from pt4al_backend.store.findings import QUALITY


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[QuestionRig]:
    with tiny_encoders():
        rig = QuestionRig(tmp_path, EMPTY, PRESENT, MASK, n=40, encoder=NAME, fine_tune=False)
        rig.workspace.learns_pretext = False
        rig.settle()
        yield rig
        rig.store.close()


def test_each_question_is_measured_on_those_that_answer_it(rig: QuestionRig) -> None:
    rig.platform.answer(*range(1, 13), only=[EMPTY.name])
    rig.platform.answer(*range(13, 28), only=[PRESENT.name])
    rig.platform.answer(*range(28, 33), only=[MASK.name])
    rig.settle()
    finding = rig.store.finding(rig.id, QUALITY)
    assert finding is not None
    measured = {report["question"]: report["estimate"]["n"] for report in finding.body["questions"]}
    assert measured == {EMPTY.name: 12, PRESENT.name: 15}, "of masks there are too few"
