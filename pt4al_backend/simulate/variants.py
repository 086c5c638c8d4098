"""Variants to compare: a strategy, possibly with its own settings, as in `pt4al+order=hard_first+init=scratch`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from pydantic import ValidationError

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings, reason

OF_A_VARIANT = ("encoder", "order", "uncertainty", "diversity", "init", "train_growth", "main_epochs")
"""Settings that may differ within a simulation.

What comes before the first label depends on none of them but the encoder, and so is done once for each encoder.
"""


@dataclass(frozen=True)
class Variant:
    """A strategy and its own settings."""

    name: str
    settings: dict[str, str]

    @property
    def file_name(self) -> str:
        """Its name as that of a file."""
        return as_file_name(self.name)

    def with_real_name(self, settings: Settings, *, dense: bool) -> Variant:
        """This variant under the name of the strategy that is used, if it has `auto`.

        So results say what was run, also where a later release chooses another strategy.

        Args:
            settings: Those that the variant changes.
            dense: Whether labels are at pixel level.
        """
        applied = self.applied_to(settings)  # also rejects wrong values
        if self.settings["strategy"] != "auto":
            return self
        strategy = applied.strategy_for(dense=dense, pretrained=applied.pretrained is not None)
        _, plus, extras = self.name.partition("+")
        return Variant(f"{strategy}{plus}{extras}", self.settings | {"strategy": strategy})

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


def as_file_name(name: str) -> str:
    """A name without what file names may not have, which the path of an encoder's weights has."""
    plain = re.sub(r"[^\w.+=-]", "-", name)
    return plain if plain == name else f"{plain[-80:]}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def parse(text: str, settings: Settings, *, dense: bool = False) -> list[Variant]:
    """The variants in a comma-separated list, each once, named by the strategies that are used.

    Args:
        text: The list.
        settings: Those that the variants change.
        dense: Whether labels are at pixel level.

    Raises:
        PT4ALError: The list is empty, a value is wrong, or a setting may not differ.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise PT4ALError("Name at least one strategy, as in --strategies auto,random.")
    variants = [_variant(name).with_real_name(settings, dense=dense) for name in names]
    return list({variant.name: variant for variant in variants}.values())


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
