"""Options as the commands show and check them."""

from __future__ import annotations

import io
import sys

import pytest
import typer
from typer.testing import CliRunner

from pt4al_backend.cli import app
from pt4al_backend.configuration.cli_options import Command, example, is_count, is_port, is_positive, read_token
from pt4al_backend.errors import PT4ALError


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("start --port 0", "it must be 1 to 65535."),
        ("demo --label-studio-port 65536", "it must be 1 to 65535."),
        ("demo --annotate -1", "it must be 0 or more."),
        ("simulate images --seeds 0", "it must be 1 or more."),
    ],
)
def test_numbers_out_of_range(arguments: str, says: str) -> None:
    shown = CliRunner().invoke(app, arguments.split(), terminal_width=200)
    assert shown.exit_code == 2 and says in shown.output and "Usage:" in shown.output


def test_bounds_are_inclusive_and_an_option_may_be_missing() -> None:
    assert (is_count(0), is_positive(1), is_port(1), is_port(65535)) == (0, 1, 1, 65535)
    assert is_count(None) is is_positive(None) is is_port(None) is None
    for check, number in ((is_count, -1), (is_positive, 0), (is_port, 0), (is_port, 65536)):
        with pytest.raises(typer.BadParameter):
            check(number)


def test_usage_names_arguments_in_capitals() -> None:
    program = typer.Typer(add_completion=False, rich_markup_mode=None)

    @program.command(cls=Command, epilog=example("copy a b"))
    def copy(source: str, target: str = "there") -> None:
        """Copy."""

    shown = CliRunner().invoke(program, ["--help"]).output
    assert "[OPTIONS] SOURCE" in shown
    assert shown.rstrip().endswith("Example:\n    pt4al-backend copy a b")


@pytest.mark.parametrize("option", [None, "", "0123abc"])
def test_a_token_on_the_command_line_is_taken_as_it_is(option: str | None) -> None:
    assert read_token(option) == option


def test_a_dash_reads_the_first_line_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" 0123abc \nsecond\n"))
    assert read_token("-") == "0123abc"
    monkeypatch.setattr(sys, "stdin", io.StringIO("  \n0123abc\n"))
    with pytest.raises(PT4ALError, match="no token on standard input"):
        read_token("-")
