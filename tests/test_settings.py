"""What `auto` stands for, and what is refused."""

import pytest
from support.outsiders import install

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes.supervisor import environment
from pt4al_backend.settings import Method, Settings, load_settings


def test_auto_is_what_the_preset_does():
    assert load_settings(preset="paper").method == Method("hard_first", "confidence", "off", "scratch", refits=False)
    assert load_settings(preset="fast").method == Method("round_robin", "margin", "gradients", "pretext", refits=True)


def test_the_encoder_is_pretrained_unless_the_protocol_is_the_papers():
    assert load_settings().pretrained == "efficientnet_lite0"
    assert load_settings(preset="paper").pretrained is None
    assert load_settings(preset="paper", encoder="efficientnet_lite0").pretrained == "efficientnet_lite0"
    assert load_settings(encoder="rotation").pretrained is None
    assert load_settings(encoder="resnet50.a1_in1k").pretrained == "resnet50.a1_in1k"
    with pytest.raises(PT4ALError, match="PT4AL_ENCODER is wrong: it has to be text"):
        load_settings(encoder="")


def test_segmentation_has_its_own_diversity():
    assert load_settings(preset="fast").diversity_for(dense=False) == "gradients"
    assert load_settings(preset="fast").diversity_for(dense=True) == "coverage"
    assert load_settings(preset="fast", diversity="gradients").diversity_for(dense=True) == "gradients"
    assert load_settings(preset="paper").diversity_for(dense=True) == "off"


@pytest.mark.parametrize(
    ("preset", "pretrained", "dense", "strategy"),
    [
        ("fast", True, False, "balanced"),
        ("fast", True, True, "maxherding"),
        ("fast", False, False, "pt4al"),
        ("fast", False, True, "pt4al"),
        ("paper", True, False, "pt4al"),
        ("paper", False, False, "pt4al"),
    ],
)
def test_the_encoder_decides_which_strategy_is_best(preset, pretrained, dense, strategy):
    settings = load_settings(preset=preset)
    assert settings.strategy_for(dense=dense, pretrained=pretrained) == strategy
    assert load_settings(preset=preset, strategy="badge").strategy_for(dense=dense, pretrained=pretrained) == "badge"


def test_what_is_asked_for_wins_over_the_preset():
    settings = load_settings(
        preset="paper", order="shuffled", uncertainty="entropy", diversity="gradients", init="imagenet"
    )
    assert settings.method == Method("shuffled", "entropy", "gradients", "imagenet", refits=False)


@pytest.mark.parametrize(
    ("given", "strategy", "order"),
    [
        ({"order": "dealt"}, "auto", "round_robin"),
        ({"order": "bandit"}, "bandit", "hard_first"),
        ({"order": "bandit", "strategy": "pt4al"}, "bandit", "hard_first"),
        ({"order": "bandit", "strategy": "margin"}, "margin", "hard_first"),
        ({"strategy": "bandit"}, "bandit", "hard_first"),
        ({"strategy": "bandit", "order": "easy_first"}, "bandit", "easy_first"),
        ({}, "auto", "round_robin"),
    ],
)
@pytest.mark.parametrize("where", ["environment", "file", "override"])
def test_values_that_were_renamed_stay_accepted(monkeypatch, tmp_path, where, given, strategy, order):
    file = tmp_path / "settings.toml"
    file.write_text("".join(f'{name} = "{value}"\n' for name, value in given.items()) if where == "file" else "")
    for name, value in given.items() if where == "environment" else ():
        monkeypatch.setenv(f"PT4AL_{name.upper()}", value)
    settings = load_settings(file, **given if where == "override" else {})
    assert (settings.strategy, settings.method.order) == (strategy, order)


def test_an_unknown_strategy_is_an_error_that_lists_the_known_ones(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "anything", "query = 3")
    with pytest.raises(PT4ALError, match=r"PT4AL_STRATEGY is wrong: it has to be one of auto, pt4al, .*, tcm or anyth"):
        load_settings(strategy="rondom")
    assert load_settings(strategy="anything").strategy == "anything"


@pytest.mark.parametrize(
    ("name", "value"), [("train_growth", -1), ("strategy", "rondom"), ("order", "sideways"), ("diversity", "on")]
)
def test_a_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(PT4ALError, match=f"PT4AL_{name.upper()} is wrong"):
        load_settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("preannotate", "perhaps", "it has to be true or false."),
        ("cycles", "many", "it has to be a whole number."),
        ("cycles", 2.5, "it has to be a whole number."),
        ("cycles", "9" * 5000, "it has to be a whole number."),
        ("cycles", float("inf"), "it has to be a whole number."),
        ("train_growth", "some", "it has to be a number."),
        ("host", 5, "it has to be text."),
        ("preset", "slow", "it has to be one of fast or paper."),
        ("cycles", 0, "it has to be at least 1."),
        ("port", 70000, "it has to be at most 65535."),
        ("fetch_timeout", 0, "it has to be more than 0."),
        ("least_region", 1, "it has to be less than 1."),
        ("label_studio_url", "host:8080", "it must start with http:// or https://."),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_our_words(name, value, says):
    with pytest.raises(PT4ALError) as caught:
        load_settings(**{name: value})
    assert str(caught.value).endswith(f" is wrong: {says}")


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


def test_a_project_may_have_settings_of_its_own():
    settings = Settings(strategy="random", cycles=7, label_studio_api_key="secret")
    own = settings.of_project({"cycles": 5, "target": "92.5"})
    assert (own.cycles, own.target, own.strategy) == (5, 92.5, "random")
    assert own.label_studio_api_key.get_secret_value() == "secret"
    assert settings.of_project({}) is settings


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"cycles": 0}, "cycles: it has to be at least 1."),
        ({"strategy": "best", "validation": 2}, r"strategy: .* validation: it has to be at most 0.5."),
        ({"port": 80}, "port cannot be set for one project."),
        ({"label_studio_api_key": "x"}, "label_studio_api_key cannot be set for one project."),
    ],
)
def test_what_a_project_may_not_choose_is_said(own, says):
    with pytest.raises(PT4ALError, match=says):
        Settings().of_project(own)
