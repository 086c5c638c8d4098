from __future__ import annotations

from pt4al_backend.demo.annotator import RoundTally, Served, tally_rounds
from pt4al_backend.demo.play import row


def test_tallies_labels_and_accuracy_round_by_round() -> None:
    served = [
        Served(1, "pt4al-r0-n0-abc", None),
        Served(2, "pt4al-r0-n1-abc", right=False),
        Served(3, "pt4al-r0-n2-abc", right=True),
        Served(4, "pt4al-r1-n3-abc", right=True),
        Served(5, "", None),  # not published: counts for the round before it
        Served(6, "pt4al-r12-n5-abc", right=True),
    ]
    assert tally_rounds(served, before=0) == [
        RoundTally(round=0, labels=3, labels_so_far=3, predicted=2, right=1),
        RoundTally(round=1, labels=2, labels_so_far=5, predicted=1, right=1),
        RoundTally(round=12, labels=1, labels_so_far=6, predicted=1, right=1),
    ]
    assert tally_rounds([], before=0) == []


def test_labels_that_were_there_count_too() -> None:
    assert tally_rounds([Served(1, "pt4al-r2-n40-abc", None)], before=40) == [
        RoundTally(round=2, labels=1, labels_so_far=41, predicted=0, right=0)
    ]


def test_people_count_rounds_from_1() -> None:
    assert row(RoundTally(round=0, labels=3, labels_so_far=3, predicted=2, right=1)).startswith("round 1 ")
