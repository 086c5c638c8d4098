"""The table in docs/settings.md, as the code's settings make it.

Run as a program, it writes the table into the page: `python -P tests/support/settings_table.py`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import AliasChoices, SecretStr

from pt4al_backend.sampling.strategies import STRATEGIES
from pt4al_backend.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def settings_table() -> str:
    rows = [f"| {_variables(name)} | {_default(name)} | {_meaning(name)} |" for name in Settings.model_fields]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _variables(name: str) -> str:
    """The environment variables of a setting, the one that wins first."""
    alias = Settings.model_fields[name].validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else [f"PT4AL_{name.upper()}"]
    return ", ".join(f"`{variable}`" for variable in names)


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`" if text else ""


def _meaning(name: str) -> str:
    """The description and, if it does not name them, the values to choose from."""
    field = Settings.model_fields[name]
    text = field.description or ""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    choices = tuple(STRATEGIES) if name == "strategy" else choices
    if all(f"`{choice}`" in text for choice in choices):
        return text
    return f"{text} One of {', '.join(f'`{choice}`' for choice in choices)}."


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(re.sub(r"^\|.*\n(?:\|.*\n)+", lambda _: settings_table() + "\n", page, count=1, flags=re.M))
