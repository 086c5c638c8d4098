"""Variants to compare: a strategy, possibly with its own settings, as in `pt4al+order=hard_first+init=scratch`."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings, reason

OF_A_VARIANT = ("order", "uncertainty", "diversity", "init", "train_growth", "main_epochs")
"""Settings that may differ within a simulation. The pretext task, trained only once, depends on none of them."""


@dataclass(frozen=True)
class Variant:
    """A strategy and its own settings."""

    name: str
    settings: dict[str, str]

    def applied_to(self, settings: Settings) -> Settings:
        """`settings`, changed by those of this variant.

        Raises:
            PT4ALError: The variant has a wrong value.
        """
        try:
            return Settings(**settings.model_dump() | self.settings)
        except ValidationError as error:
            first = error.errors()[0]
            raise PT4ALError(f"{self.name}: {first['loc'][0]} is wrong: {reason(first)}.") from None


def parse(text: str) -> list[Variant]:
    """The variants in a comma-separated list, each once.

    Raises:
        PT4ALError: The list is empty, or a setting may not differ.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise PT4ALError("Name at least one strategy, as in --strategies pt4al,random.")
    return [_variant(name) for name in names]


def _variant(name: str) -> Variant:
    strategy, *extras = name.split("+")
    settings = {"strategy": strategy}
    for extra in extras:
        key, equals, value = extra.partition("=")
        if not equals or key not in OF_A_VARIANT:
            raise PT4ALError(
                f"{name}: {key!r} cannot be set for one strategy; write +NAME=VALUE with one of "
                f"{', '.join(OF_A_VARIANT)}."
            )
        settings[key] = value
    return Variant(name, settings)
