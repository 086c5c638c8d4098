"""The command-line options that several commands share, with their help."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pt4al_backend.errors import PT4ALError


class Command(TyperCommand):
    """A command whose usage names its arguments in capitals, as its options' values are."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """See typer."""
        return [piece.strip("{}").upper() for piece in super().collect_usage_pieces(ctx)]


def _between(least: int, most: int | None = None) -> Callable[[int | None], int | None]:
    """A callback that bounds an optional number. Typer's own bounds would be shown as `x>=1`."""

    def check(number: int | None) -> int | None:
        if number is not None and (number < least or (most is not None and number > most)):
            raise typer.BadParameter(f"it must be {least} {f'to {most}' if most else 'or more'}.")
        return number

    return check


is_count, is_positive, is_port = _between(0), _between(1), _between(1, 65535)

DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Directory for the database, images and networks. Default: pt4al-data. [PT4AL_DATA_DIR, MODEL_DIR]",
    ),
]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Settings file. Default: pt4al.toml in the data directory.")
]
Url = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Address at which this backend reaches Label Studio. [LABEL_STUDIO_URL]"),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        help="Personal access token; - reads it from standard input, so that no list of processes shows it. "
        "[LABEL_STUDIO_API_KEY]",
    ),
]
Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on. Default: 0.0.0.0. [PT4AL_HOST]")
]
Port = Annotated[
    int | None, typer.Option(metavar="N", callback=is_port, help="Port to listen on. Default: 9090. [PORT]")
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1, … Default: auto. [PT4AL_DEVICE]"),
]
Number = Annotated[int, typer.Option("--project", metavar="N", help="The project's id in Label Studio.")]


def example(arguments: str) -> str:
    """The end of a command's help text: one example."""
    return f"\b\nExample:\n  pt4al-backend {arguments}"


def read_token(option: str | None) -> str | None:
    """The token that the value of `--token` stands for; `-` reads it from standard input.

    Raises:
        PT4ALError: standard input holds no token.
    """
    if option != "-":
        return option
    if sys.stdin.isatty():
        import getpass

        token = getpass.getpass("Token: ").strip()
    else:
        token = sys.stdin.readline().strip()
    if not token:
        raise PT4ALError("There is no token on standard input: provide it there, as in `--token - < token.txt`.")
    return token
