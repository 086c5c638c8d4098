"""What ``auto`` stands for, and what is refused."""

import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Method, load_settings


def test_auto_is_what_the_preset_does():
    assert load_settings(preset="paper").method == Method("hard_first", "confidence", "off", "scratch", refits=False)
    assert load_settings(preset="fast").method == Method("dealt", "margin", "gradients", "pretext", refits=True)


def test_segmentation_has_its_own_diversity():
    assert load_settings(preset="fast").diversity_for(dense=False) == "gradients"
    assert load_settings(preset="fast").diversity_for(dense=True) == "coverage"
    assert load_settings(preset="fast", diversity="gradients").diversity_for(dense=True) == "gradients"
    assert load_settings(preset="paper").diversity_for(dense=True) == "off"


def test_what_is_asked_for_wins_over_the_preset():
    settings = load_settings(
        preset="paper", order="bandit", uncertainty="entropy", diversity="gradients", init="imagenet"
    )
    assert settings.method == Method("bandit", "entropy", "gradients", "imagenet", refits=False)


@pytest.mark.parametrize(
    ("name", "value"), [("train_growth", -1), ("strategy", "rondom"), ("order", "sideways"), ("diversity", "on")]
)
def test_a_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(PT4ALError, match=f"PT4AL_{name.upper()} is wrong"):
        load_settings(**{name: value})
