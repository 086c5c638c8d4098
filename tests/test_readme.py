"""README says what the code does: settings, commands, make targets, links and pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import typer
from pydantic import AliasChoices, SecretStr
from typer.core import TyperGroup

from pt4al_backend.cli import app
from pt4al_backend.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CODE = re.findall(r"^```.*?^```", README, flags=re.M | re.S) + re.findall(r"`([^`\n]+)`", README)
GROUP = typer.main.get_command(app)
assert isinstance(GROUP, TyperGroup)
COMMANDS = GROUP.commands
LARGEST_PICTURE = 150_000  # bytes


def variables(name: str) -> str:
    """The environment variables of a setting, the one that wins first."""
    alias = Settings.model_fields[name].validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else [f"PT4AL_{name.upper()}"]
    return ", ".join(f"`{variable}`" for variable in names)


def default(name: str) -> str:
    value = Settings.model_fields[name].default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`" if text else ""


def meaning(name: str) -> str:
    """The description and, where it does not name them, the values to choose from."""
    field = Settings.model_fields[name]
    text = field.description or ""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if all(f"`{choice}`" in text for choice in choices):
        return text
    return f"{text} One of {', '.join(f'`{choice}`' for choice in choices)}."


def settings_table() -> str:
    rows = [f"| {variables(name)} | {default(name)} | {meaning(name)} |" for name in Settings.model_fields]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def options(command: str) -> set[str]:
    """The command's options; fails where there is no such command."""
    return {option for parameter in COMMANDS[command].params for option in parameter.opts}


def anchors(page: Path) -> set[str]:
    """Of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_settings_table_is_the_codes() -> None:
    section = README.partition("## Settings")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    assert table == settings_table()


def test_other_variables_in_the_readme_are_settings() -> None:
    known = {f"PT4AL_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bPT4AL_[A-Z_]+", README)) <= known


def test_every_command_in_the_readme_exists_with_its_options() -> None:
    for name, rest in re.findall(r"pt4al-backend ([a-z]+)([^`\n]*)", "\n".join(CODE)):
        assert set(re.findall(r"--[a-z-]+", rest)) <= options(name), name


def test_every_command_is_in_the_table() -> None:
    listed = re.findall(r"^\| `pt4al-backend ([a-z]+)", README, flags=re.M)
    assert set(listed) == set(COMMANDS)


def test_the_options_of_the_demo_exist() -> None:
    used = [
        option
        for text in re.findall(r'make demo ARGS="([^"]*)"', README)
        for option in text.split()
        if option[0] == "-"
    ]
    assert used
    assert set(used) <= options("demo")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    text = (ROOT / page).read_text()
    code = re.findall(r"^make ([a-z-]+)", text, flags=re.M) + re.findall(r"`make ([a-z-]+)", text)
    assert code
    assert set(code) <= targets


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/measurements.md"])
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_pictures_are_small() -> None:
    pictures = [ROOT / target for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)]
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > LARGEST_PICTURE] == []
