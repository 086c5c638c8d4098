"""Where settings come from: command-line options, then environment variables, then a settings file.

Errors name a setting as its source does, and all errors are reported at once.
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
"""Every setting, and the environment variables it is read from; the first one wins."""

NO_SETTINGS = (LIFELINE, "PT4AL_LABEL_STUDIO")
"""Variables that look like settings but are not: the lifeline of a child process, the demo's Label Studio."""


@dataclass(frozen=True)
class Sources:
    """The values that were given for settings, by source."""

    names: Names
    options: Mapping[str, Any]
    file: Path | None
    in_file: Mapping[str, Any]

    @classmethod
    def read(cls, names: Names, options: Mapping[str, Any], file: Path | None, *, usual_directory: Path) -> Sources:
        """Read all sources.

        The file is not read if options and environment give every setting, as they do for the processes that `start`
        starts.

        Args:
            names: every setting, with its environment variables.
            options: values from the command line.
            file: the settings file that was asked for; None: that of the data directory, if it exists.
            usual_directory: the default data directory.

        Raises:
            PT4ALError: the file cannot be read.
        """
        without_file = cls(names, options, None, {})
        if all(name in options or _variable(names[name]) for name in names):
            return without_file
        if file is None:
            file = Path(without_file.get("data_dir") or usual_directory).expanduser() / FILE
            if not file.is_file():
                return without_file
        file = file.expanduser().absolute()
        return cls(names, options, file, _load(file))

    def get(self, name: str) -> Any:
        """The value given for a setting; None if there is none."""
        if name in self.options:
            return self.options[name]
        variable = _variable(self.names[name])
        return os.environ[variable] if variable else self.in_file.get(name)

    def beside_environment(self) -> dict[str, Any]:
        """The values of options and file that no other source overrides, by setting."""
        file = {name: value for name, value in self.in_file.items() if name in self.names}
        return {**{name: value for name, value in file.items() if not _variable(self.names[name])}, **self.options}

    def place(self, name: str) -> str:
        """The name by which people know a setting at the place where it was given."""
        variable = None if name in self.options else _variable(self.names[name])
        if variable is None and name in self.in_file and name not in self.options:
            return f"{name} in {self.file}"
        return variable or self.names[name][0]

    def unknown_keys(self) -> list[str]:
        """One sentence for each key of the file that is not a setting."""
        known = list(self.names)
        unknown = [key for key in self.in_file if key not in self.names]
        return [f"{self.file} has {key}, which is not a setting{nearest(key.lower(), known)}" for key in unknown]

    def unknown_variables(self) -> list[str]:
        """One sentence for each environment variable that looks like a setting and is not one."""
        known = [variable for variables in self.names.values() for variable in variables]
        expected = {variable.upper() for variable in (*known, *NO_SETTINGS)}
        return [
            f"{variable} is not a setting{nearest(variable.upper(), known)}"
            for variable in sorted(os.environ)
            if variable.upper().startswith("PT4AL_") and variable.upper() not in expected
        ]

    def is_exposed(self) -> bool:
        """Whether users other than its owner may read the settings file."""
        return self.file is not None and bool(self.file.stat().st_mode & 0o077)


def _variable(variables: Iterable[str]) -> str | None:
    """The first of these variables that is set, in any case, as pydantic-settings reads them."""
    spellings = {name.upper(): name for name in reversed(list(os.environ))}
    return next((spellings[name.upper()] for name in variables if name.upper() in spellings), None)


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PT4ALError(f"The settings file {file} cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = error if isinstance(error, tomllib.TOMLDecodeError) else "it is not text of that kind"
        raise PT4ALError(f"The settings file {file} is not TOML, lines such as query_size = 20: {reason}.") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the known name that was probably meant."""
    prefix = "PT4AL_"
    full_names = {full_name.removeprefix(prefix): full_name for full_name in known}
    word = name.removeprefix(prefix)
    similar = [candidate for candidate in full_names if candidate.upper().endswith(f"_{word.upper()}")]
    similar = similar or difflib.get_close_matches(word, full_names, n=1, cutoff=0.6)
    return f": did you mean {full_names[similar[0]]}?" if similar else "."
