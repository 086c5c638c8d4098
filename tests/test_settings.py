"""What ``auto`` stands for, and what is refused."""

import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Method, Settings, load_settings
from pt4al_backend.supervisor import environment


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


@pytest.mark.parametrize(
    ("url", "plain", "login"),
    [
        ("http://team:secret@ls.example/", "http://ls.example", "team:secret"),
        ("https://team:p%40ss%2Fsecret@ls.example:8443/sub/", "https://ls.example:8443/sub", "team:p@ss/secret"),
        ("http://team:p@secret@ls.example", "http://ls.example", "team:p@secret"),
        ("http://ls.example", "http://ls.example", ""),
    ],
)
def test_a_password_does_not_stay_in_the_address(url, plain, login):
    settings = Settings(label_studio_url=url, label_studio_link=url)
    assert (settings.label_studio_url, settings.label_studio_link) == (plain, plain)
    assert settings.label_studio_login.get_secret_value() == login
    assert "secret" not in repr(settings)
    handed_on = environment(settings)
    assert handed_on["PT4AL_LABEL_STUDIO_URL"] == plain and handed_on["PT4AL_LABEL_STUDIO_LOGIN"] == login


def test_a_password_with_a_slash_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://team:p/secret@ls.example")
    with pytest.raises(PT4ALError, match="%2F for a / in its password") as caught:
        load_settings()
    assert "secret" not in str(caught.value)
