"""Label Studio and the simulated platforms conform to the protocol of a labelling platform."""

from __future__ import annotations

import inspect

import pytest
from support.known_labels import KnownLabels as KnownDigits

from pt4al_backend.label_studio.project import LabelStudioProject
from pt4al_backend.labelling.platform import LabellingPlatform, Pick, Window
from pt4al_backend.simulate.oracle import KnownLabels

METHODS = [name for name in vars(LabellingPlatform) if not name.startswith("_")]


@pytest.mark.parametrize("platform", [LabelStudioProject, KnownLabels, KnownDigits])
@pytest.mark.parametrize("method", METHODS)
def test_a_platform_has_every_method_with_the_same_arguments(platform: type, method: str) -> None:
    ours, theirs = (inspect.signature(getattr(each, method)) for each in (LabellingPlatform, platform))
    assert list(ours.parameters) == list(theirs.parameters)
    assert [each.kind for each in ours.parameters.values()] == [each.kind for each in theirs.parameters.values()]


def test_a_window_of_one_image() -> None:
    window = Window("pt4al-r0-n0-x", (Pick(1, 0.0),))
    assert window.opened == () and window.picks[0].width == window.picks[0].height == 0
    assert window.picks[0] == Pick(1, 0.0)
