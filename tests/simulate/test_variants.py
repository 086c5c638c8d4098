"""Strategies by name, and with settings of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.simulate.variants import OF_A_VARIANT, Variant, as_file_name, parse


def test_a_list_of_strategies() -> None:
    assert parse("pt4al, random,,pt4al,", Settings()) == [
        Variant("pt4al", {"strategy": "pt4al"}),
        Variant("random", {"strategy": "random"}),
    ]


def test_settings_of_one_strategy() -> None:
    [variant] = parse("pt4al+order=hard_first+main_epochs=7", Settings())
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
    [variant] = parse("random+order=shuffled", base)
    settings = variant.applied_to(base)
    assert (settings.strategy, settings.order) == ("random", "shuffled")
    assert (settings.seed, settings.data_dir) == (3, tmp_path / "run")


def test_what_a_variant_may_set_are_settings() -> None:
    assert set(OF_A_VARIANT) <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("text", "settings", "dense", "names"),
    [
        ("auto,random", {}, False, ["balanced", "random"]),
        ("auto,random", {}, True, ["maxherding", "random"]),
        ("auto,random", {"encoder": "rotation"}, False, ["pt4al", "random"]),
        ("auto,random", {"preset": "paper"}, False, ["pt4al", "random"]),
        ("balanced,auto,auto+order=hard_first", {}, False, ["balanced", "balanced+order=hard_first"]),
    ],
)
def test_auto_has_the_name_of_the_strategy_that_is_used(
    text: str, settings: dict[str, str], dense: bool, names: list[str]
) -> None:
    variants = parse(text, Settings(**settings), dense=dense)
    assert [variant.name for variant in variants] == names
    assert [variant.settings["strategy"] for variant in variants] == [name.partition("+")[0] for name in names]


@pytest.mark.parametrize("text", ["", " , "])
def test_no_strategy_is_rejected(text: str) -> None:
    with pytest.raises(PT4ALError, match="Name at least one strategy"):
        parse(text, Settings())


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
        parse(text, Settings())
    assert all(name in str(raised.value) for name in OF_A_VARIANT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rondom", r"rondom: strategy is wrong: it has to be one of auto, pt4al, balanced, "),
        ("pt4al+order=hardest", r"pt4al\+order=hardest: order is wrong: .* hard_first, "),
        ("pt4al+main_epochs=many", "main_epochs is wrong"),
        ("pt4al+main_epochs=-1", "main_epochs is wrong"),
    ],
)
def test_a_wrong_value_is_reported(text: str, says: str) -> None:
    with pytest.raises(PT4ALError, match=says) as raised:
        parse(text, Settings())
    assert "\n" not in str(raised.value)


def test_values_that_were_renamed_stay_accepted() -> None:
    old, new = parse("pt4al+order=bandit,bandit+order=hard_first", Settings())
    assert old.name == "pt4al+order=bandit"
    assert old.applied_to(Settings()) == new.applied_to(Settings())
    [dealt] = parse("pt4al+order=dealt", Settings())
    assert dealt.applied_to(Settings(order="easy_first")).order == "round_robin"


def test_a_variant_may_have_another_encoder() -> None:
    names = ("auto+encoder=rotation", "auto", "random+encoder=/my weights/resnet18.safetensors")
    own, usual, other = parse(",".join(names), Settings())
    assert (own.name, usual.name, other.name) == ("pt4al+encoder=rotation", "balanced", names[2])
    assert own.applied_to(Settings()).pretrained is None
    assert own.file_name == own.name
    assert "/" not in other.file_name and other.file_name != as_file_name(names[2].replace(" ", "-"))
