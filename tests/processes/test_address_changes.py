"""Projects follow their Label Studio to the address in the settings, if they are there."""

import pytest
from support.known_labels import KnownLabels

from pt4al_backend.processes import project_slot
from pt4al_backend.processes.address_changes import with_advice


def test_projects_move_with_the_address_in_the_settings(rig):
    first, second = rig.store.projects()
    rig.connect(2, "own")
    rig.restart(label_studio_url="https://x")
    rig.platforms[second.id].down = True
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.turn_until(lambda: rig.store.project(second.id).error)
    assert rig.store.project(first.id).label_studio_url == "https://x"
    second = rig.store.project(second.id)
    assert (second.label_studio_url, second.access_token) == ("http://x", "own"), "it may be another one"
    assert "open the project's Settings > Model page there" in second.error


def test_a_project_that_is_not_at_the_address_in_the_settings_stays(rig, monkeypatch):
    monkeypatch.setattr(project_slot, "GONE_FOR", 0.0)
    first, second = rig.store.projects()
    twin = rig.connect(2, "own", url="https://y")
    rig.platforms[twin.id] = KnownLabels(30)
    rig.without_token = "http://x"
    rig.restart(label_studio_url="https://y")
    rig.platforms[first.id].gone = True
    rig.turn_until(lambda: rig.platforms[twin.id].published)
    for left in (first, second):
        row = rig.store.project(left.id)
        assert (row.label_studio_url, row.error[:18]) == ("http://x", "There is no token.")
        assert "https://y" in row.error


@pytest.mark.parametrize(
    ("home", "says"),
    [
        ("", "It is down."),
        ("http://x", "It is down."),
        ("http://me:s3cret@y", "It is down. If it is at http://y now, open the project's Settings > Model page there."),
    ],
)
def test_advice_where_label_studio_may_be_at_another_address(home, says):
    assert with_advice("It is down.", "http://x", home) == says
