"""Strategies by name, and with settings of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.simulate.variants import OF_A_VARIANT, Variant, parse


def test_a_list_of_strategies() -> None:
    assert parse("pt4al, random,,pt4al,") == [
        Variant("pt4al", {"strategy": "pt4al"}),
        Variant("random", {"strategy": "random"}),
    ]


def test_settings_of_one_strategy() -> None:
    [variant] = parse("pt4al+order=hard_first+main_epochs=7")
    assert variant.name == "pt4al+order=hard_first+main_epochs=7"
    base = Settings(cycles=4, order="dealt", strategy="random", seed=3, label_studio_api_key="s3cret")
    settings = variant.applied_to(base)
    assert (settings.strategy, settings.order, settings.main_epochs) == ("pt4al", "hard_first", 7)
    changed = {"strategy", "order", "main_epochs"}
    assert settings.model_dump(exclude=changed) == base.model_dump(exclude=changed)
    assert (base.strategy, base.order, base.main_epochs) == ("random", "round_robin", 0)


def test_the_environment_does_not_undo_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    base = Settings(data_dir=tmp_path / "run", seed=3)
    for name, value in {"STRATEGY": "margin", "ORDER": "easy_first", "SEED": "9", "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"PT4AL_{name}", value)
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    [variant] = parse("random+order=shuffled")
    settings = variant.applied_to(base)
    assert (settings.strategy, settings.order) == ("random", "shuffled")
    assert (settings.seed, settings.data_dir) == (3, tmp_path / "run")


def test_what_a_variant_may_set_are_settings() -> None:
    assert set(OF_A_VARIANT) <= set(Settings.model_fields)


@pytest.mark.parametrize("text", ["", " , "])
def test_no_strategy_is_rejected(text: str) -> None:
    with pytest.raises(PT4ALError, match="Name at least one strategy"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("pt4al+seed=3", "seed"),
        ("pt4al+pretext_epochs=3", "pretext_epochs"),
        ("pt4al+hard_first", "hard_first"),
        ("pt4al+", ""),
        ("pt4al+strategy=random", "strategy"),
    ],
)
def test_settings_that_a_variant_may_not_set_are_rejected(text: str, key: str) -> None:
    with pytest.raises(PT4ALError, match=f"{key!r} cannot be set for one strategy") as raised:
        parse(text)
    assert all(name in str(raised.value) for name in OF_A_VARIANT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rondom", r"rondom: strategy is wrong: it has to be one of pt4al, balanced, "),
        ("pt4al+order=hardest", r"pt4al\+order=hardest: order is wrong: .* hard_first, "),
        ("pt4al+main_epochs=many", "main_epochs is wrong"),
        ("pt4al+main_epochs=-1", "main_epochs is wrong"),
    ],
)
def test_a_wrong_value_is_reported(text: str, says: str) -> None:
    [variant] = parse(text)
    with pytest.raises(PT4ALError, match=says) as raised:
        variant.applied_to(Settings())
    assert "\n" not in str(raised.value)


def test_values_that_were_renamed_stay_accepted() -> None:
    old, new = parse("pt4al+order=bandit,bandit+order=hard_first")
    assert old.name == "pt4al+order=bandit"
    assert old.applied_to(Settings()) == new.applied_to(Settings())
    [dealt] = parse("pt4al+order=dealt")
    assert dealt.applied_to(Settings(order="easy_first")).order == "round_robin"
