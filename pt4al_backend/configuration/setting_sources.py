"""Where settings come from: options of the command line, then environment variables, then a settings file.

What is wrong in any of them is told by the name that it has there, and all of it at once.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes.child import LIFELINE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "pt4al.toml"
"""The settings file of a data directory."""

Names = Mapping[str, tuple[str, ...]]
"""Every setting, and the environment variables that it is read from; the first one wins."""

NO_SETTINGS = (LIFELINE, "PT4AL_LABEL_STUDIO")
"""Variables that look like settings and are for something else: a child's lifeline, the Label Studio of the demo."""


@dataclass(frozen=True)
class Sources:
    """What was given, and where."""

    names: Names
    options: Mapping[str, Any]
    file: Path | None
    in_file: Mapping[str, Any]

    @classmethod
    def read(cls, names: Names, options: Mapping[str, Any], file: Path | None, *, usual_directory: Path) -> Sources:
        """`file`: the settings file that was asked for; None: that of the data directory, if there is one.

        Nothing is read where everything is given otherwise, as to the processes that `start` starts. Raises
        `PT4ALError` where the file cannot be read.
        """
        without = cls(names, options, None, {})
        if all(name in options or _variable(names[name]) for name in names):
            return without
        if file is None:
            file = Path(without.get("data_dir") or usual_directory).expanduser() / FILE
            if not file.is_file():
                return without
        file = file.expanduser().absolute()
        return cls(names, options, file, _load(file))

    def get(self, name: str) -> Any:
        """What a setting was given as; None if it was not."""
        if name in self.options:
            return self.options[name]
        variable = _variable(self.names[name])
        return os.environ[variable] if variable else self.in_file.get(name)

    def beside_environment(self) -> dict[str, Any]:
        """What counts of options and file, by setting."""
        file = {name: value for name, value in self.in_file.items() if name in self.names}
        return {**{name: value for name, value in file.items() if not _variable(self.names[name])}, **self.options}

    def place(self, name: str) -> str:
        """How a person calls the place where a setting was given."""
        variable = None if name in self.options else _variable(self.names[name])
        if variable is None and name in self.in_file and name not in self.options:
            return f"{name} in {self.file}"
        return variable or self.names[name][0]

    def unknown_keys(self) -> list[str]:
        """A sentence for each key of the file that is no setting."""
        known = list(self.names)
        unknown = [key for key in self.in_file if key not in self.names]
        return [f"{self.file} has {key}, which is no setting{nearest(key.lower(), known)}" for key in unknown]

    def unknown_variables(self) -> list[str]:
        """A sentence for each environment variable that looks like a setting and is none."""
        known = [variable for variables in self.names.values() for variable in variables]
        spelt = {variable.upper() for variable in (*known, *NO_SETTINGS)}
        return [
            f"{variable} is no setting{nearest(variable.upper(), known)}"
            for variable in sorted(os.environ)
            if variable.upper().startswith("PT4AL_") and variable.upper() not in spelt
        ]

    def is_exposed(self) -> bool:
        """Whether others than its owner may read the settings file."""
        return self.file is not None and bool(self.file.stat().st_mode & 0o077)


def _variable(variables: Iterable[str]) -> str | None:
    """The first of them that is set; whatever its case, as pydantic-settings reads them."""
    there = {name.upper(): name for name in reversed(list(os.environ))}
    return next((there[name.upper()] for name in variables if name.upper() in there), None)


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PT4ALError(f"The settings file {file} cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = error if isinstance(error, tomllib.TOMLDecodeError) else "it is no text of that kind"
        raise PT4ALError(f"The settings file {file} is not TOML, lines such as query_size = 20: {reason}.") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a sentence."""
    prefix = "PT4AL_"
    meant = {one.removeprefix(prefix): one for one in known}
    word = name.removeprefix(prefix)
    found = [one for one in meant if one.upper().endswith(f"_{word.upper()}")]
    found = found or difflib.get_close_matches(word, meant, n=1, cutoff=0.6)
    return f": did you mean {meant[found[0]]}?" if found else "."
