"""What is compared: a strategy by name, or with settings of its own, as in `pt4al+order=hard_first+init=scratch`."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings, reason

OF_A_VARIANT = ("order", "uncertainty", "diversity", "init", "train_growth", "main_epochs")
"""Settings that may differ within a simulation: none that the pretext task depends on, because it is done once."""


@dataclass(frozen=True)
class Variant:
    """A strategy and the settings that are its own."""

    name: str
    settings: dict[str, str]

    def applied_to(self, settings: Settings) -> Settings:
        """`settings` with those of this variant.

        Raises:
            PT4ALError: one of them has no such value.
        """
        try:
            return Settings(**settings.model_dump() | self.settings)
        except ValidationError as error:
            first = error.errors()[0]
            raise PT4ALError(f"{self.name}: {first['loc'][0]} is wrong: {reason(first)}.") from None


def parse(text: str) -> list[Variant]:
    """Variants from a comma-separated list."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise PT4ALError("Name one strategy at least, as in --strategies pt4al,random.")
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
