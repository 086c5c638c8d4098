"""Options go before variables, variables before a settings file; errors name a setting as its source does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes import supervisor
from pt4al_backend.settings import Settings, doubts, load_settings


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("PT4AL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    return tmp_path


def test_precedence_of_the_sources(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data_dir / "pt4al.toml").write_text('cycles = 3\nslack = 4\nquery_size = 5\nlabel_studio_url = "http://file/"\n')
    monkeypatch.setenv("PT4AL_SLACK", "40")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://variable")
    settings = load_settings(query_size=50)
    assert (settings.cycles, settings.slack, settings.query_size) == (3, 40, 50)
    assert settings.label_studio_url == "http://variable"
    named = tmp_path / "named.toml"
    named.write_text(f'data_dir = "{tmp_path / "other"}"\ncycles = 8\n')
    monkeypatch.delenv("MODEL_DIR")
    there = load_settings(named)
    assert (there.cycles, there.data_dir) == (8, tmp_path / "other")


def test_all_errors_are_reported_at_once(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data_dir / "pt4al.toml").write_text("cycels = 3\nslack = 0\n")
    monkeypatch.setenv("PORT", "many")
    monkeypatch.setenv("PT4AL_PRESET", "slow")
    monkeypatch.setenv("BASIC_AUTH_USER", "me")
    monkeypatch.setenv("PT4AL_QUERYSIZE", "5")
    with pytest.raises(PT4ALError) as refused:
        load_settings(seed=-1)
    first, *lines = str(refused.value).splitlines()
    assert first.startswith("7 settings are wrong")
    message = "\n".join(sorted(lines))
    for word in ("PORT is wrong", "PT4AL_PRESET is wrong", "PT4AL_SEED is wrong", f"slack in {data_dir}/pt4al.toml"):
        assert word in message
    assert "has cycels, which is not a setting: did you mean cycles?" in message
    assert "PT4AL_QUERYSIZE is not a setting: did you mean PT4AL_QUERY_SIZE?" in message
    assert "both BASIC_AUTH_USER and BASIC_AUTH_PASS" in message


@pytest.mark.parametrize("text", [b"cycles 3", b"\xff\xfe", b"cycles = 3\ncycles = 4", b"[" * 5000])
def test_files_that_are_not_toml(data_dir: Path, text: bytes) -> None:
    (data_dir / "pt4al.toml").write_bytes(text)
    with pytest.raises(PT4ALError, match=r"pt4al.toml is not TOML"):
        load_settings()


def test_files_that_mislead(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="cannot be read"):
        load_settings(tmp_path / "none.toml")
    (data_dir / "pt4al.toml").write_text(f'data_dir = "{data_dir}/elsewhere"\n[nested]\n')
    os.environ.pop("MODEL_DIR")  # the fixture puts it back
    os.chdir(data_dir.parent)
    with pytest.raises(PT4ALError, match="nested, which is not a setting"):
        load_settings(data_dir / "pt4al.toml")


def test_unknown_variables_are_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PT4AL_LABEL_STUDIO", "/where/label-studio")  # which one the demo runs
    assert doubts() == []
    monkeypatch.setenv("PT4AL_QUERYSIZE", "20")
    monkeypatch.setenv("PT4AL_API_KEY", "secret")
    monkeypatch.setenv("PT4AL_BLUE", "1")
    assert doubts() == [
        "PT4AL_API_KEY is not a setting: did you mean LABEL_STUDIO_API_KEY?",
        "PT4AL_BLUE is not a setting.",
        "PT4AL_QUERYSIZE is not a setting: did you mean PT4AL_QUERY_SIZE?",
    ]
    monkeypatch.setenv("pt4al_slack", "30")
    assert load_settings().slack == 30 and len(doubts()) == 3
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://label-studio.example")
    assert "without LABEL_STUDIO_API_KEY" in doubts()[-1]
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "key")
    assert len(doubts()) == 3
    monkeypatch.delenv("LABEL_STUDIO_URL")
    assert "not used without LABEL_STUDIO_URL" in doubts()[-1]


def test_a_file_with_a_secret_should_be_private(data_dir: Path) -> None:
    file = data_dir / "pt4al.toml"
    file.write_text('label_studio_url = "http://ls"\nlabel_studio_api_key = "0123abc"\n')
    file.chmod(0o644)
    (doubt,) = doubts()
    assert "chmod 600" in doubt and "0123abc" not in doubt
    file.chmod(0o600)
    assert doubts() == []


def test_what_start_starts_does_not_read_the_file_again(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have changed, and be wrong, by the time a process is restarted."""
    (data_dir / "pt4al.toml").write_text("cycles = 3\n")
    settings = load_settings()
    for name, value in supervisor.environment(settings).items():
        monkeypatch.setenv(name, value)
    (data_dir / "pt4al.toml").write_text("cycles 4\n")
    assert load_settings() == settings
    assert Settings().cycles == 3
