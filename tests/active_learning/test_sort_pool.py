"""Whether batches are cut as the settings ask; `test_loop.py` has the training and the cutting itself."""

from __future__ import annotations

import pytest

from pt4al_backend.active_learning.sort_pool import cut_as_wanted
from pt4al_backend.settings import Settings
from pt4al_backend.store.tables import Project


@pytest.mark.parametrize(
    ("stored", "wanted", "cut"),
    [
        ("round_robin", {"order": "round_robin"}, True),
        ("round_robin", {"order": "hard_first"}, False),
        ("dealt", {"order": "round_robin"}, True),  # what releases up to 0.1.0 called it
        ("dealt", {"order": "dealt"}, True),
        ("dealt", {"order": "easy_first"}, False),
        ("bandit", {"strategy": "bandit"}, True),
        ("bandit", {"order": "bandit"}, True),
        ("bandit", {}, False),
        ("round_robin", {"cycles": 5}, False),
    ],
)
def test_batches_are_cut_again_only_where_the_settings_ask_for_others(
    stored: str, wanted: dict[str, object], cut: bool
) -> None:
    project = Project(cycles=4, order=stored, pretext_pool=100)
    assert cut_as_wanted(project, Settings(**{"cycles": 4} | wanted)) == cut


def test_a_pool_smaller_than_the_cycles_has_as_many_batches_as_images() -> None:
    assert cut_as_wanted(Project(cycles=3, order="round_robin", pretext_pool=3), Settings(cycles=4))
