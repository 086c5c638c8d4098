"""README and docs say what the code does: settings, commands, messages, make targets, links and pictures."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import typer
from support.encoders_table import encoders_table
from support.settings_table import settings_table
from typer.core import TyperGroup

from pt4al_backend.cli import app
from pt4al_backend.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
}
CURRENT = {name: text for name, text in PAGES.items() if name != "CHANGELOG.md"}  # what is past stays as it was
README, SETTINGS, TROUBLESHOOTING = (
    PAGES[name] for name in ("README.md", "docs/settings.md", "docs/troubleshooting.md")
)
GROUP = typer.main.get_command(app)
assert isinstance(GROUP, TyperGroup)
COMMANDS = GROUP.commands
LARGEST_PICTURE = 150_000  # bytes
LONGEST_README = 150  # lines
OF_LABEL_STUDIO = {
    "Disconnected",
    "Label All Tasks",
    "Label Tasks As Displayed",
    "URL resolves to a reserved network address",
    "not a valid ML backend",
}
"""What troubleshooting quotes of Label Studio's words; all else is ours."""


def code(text: str) -> str:
    """All code of a page, fenced or in backticks, with continued lines joined."""
    pieces = re.findall(r"^```.*?^```", text, flags=re.M | re.S) + re.findall(r"`([^`\n]+)`", text)
    return "\n".join(pieces).replace("\\\n", " ")


def options(command: str) -> set[str]:
    """The command's options; fails if there is no such command."""
    return {option for parameter in COMMANDS[command].params for option in parameter.opts}


def anchors(page: Path) -> set[str]:
    """Of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def messages() -> str:
    """Every text in the package's code and pages, one a line; what an f-string fills in is `…`."""
    found = [path.read_text() for path in (ROOT / "pt4al_backend").rglob("*.html")]
    for path in (ROOT / "pt4al_backend").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"\{\w+\}", "…", node.value))
            elif isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
    return "\n".join(found)


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST_README


def test_the_settings_table_is_the_codes() -> None:
    table = "\n".join(line for line in SETTINGS.splitlines() if line.startswith("|"))
    assert table == settings_table(), "run: .venv/bin/python -P tests/support/settings_table.py"


def test_the_table_of_encoders_is_the_catalogues() -> None:
    assert encoders_table() in PAGES["docs/encoders.md"], "run: .venv/bin/python -P tests/support/encoders_table.py"


@pytest.mark.parametrize("page", CURRENT)
def test_variables_are_settings(page: str) -> None:
    known = {f"PT4AL_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bPT4AL_[A-Z_]*[A-Z]", CURRENT[page])) <= known


@pytest.mark.parametrize("page", CURRENT)
def test_every_command_exists_with_its_options(page: str) -> None:
    for name, rest in re.findall(r"pt4al-backend ([a-z]+)([^`\n]*)", code(CURRENT[page])):
        assert set(re.findall(r"--[a-z-]+", rest)) <= options(name), name


@pytest.mark.parametrize("page", CURRENT)
def test_commands_work_as_they_are_pasted(page: str) -> None:
    """In a block to paste, our program has its path: it is not on the reader's, unless in a container."""
    blocks = re.findall(r"^```\n(.*?)^```", CURRENT[page], flags=re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    assert [line for line in lines if line.startswith(("pt4al-backend", "python", "pip"))] == []


def test_every_command_is_in_the_table() -> None:
    listed = re.findall(r"^\| `pt4al-backend ([a-z]+)", PAGES["docs/commands.md"], flags=re.M)
    assert set(listed) == set(COMMANDS)


@pytest.mark.parametrize("page", CURRENT)
def test_the_options_of_the_demo_exist(page: str) -> None:
    used = [
        option
        for text in re.findall(r'make demo ARGS="([^"]*)"', CURRENT[page])
        for option in text.split()
        if option[0] == "-"
    ]
    assert set(used) <= options("demo")


@pytest.mark.parametrize("page", CURRENT)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    text = CURRENT[page]
    used = re.findall(r"^make ([a-z-]+)", text, flags=re.M) + re.findall(r"`make ([a-z-]+)", text)
    assert set(used) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    here = ROOT / page
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = here.parent / path if path else here
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)[^)]*\)", README))
    assert PAGES.keys() - linked == {"README.md"}


def test_quoted_messages_are_the_codes() -> None:
    quoted = set(re.findall(r'"([^"\n]+)"', TROUBLESHOOTING)) - OF_LABEL_STUDIO
    assert len(quoted) > 4
    said = messages()
    assert [text for text in quoted if text.strip("… ") not in said and text not in said] == []


def test_pictures_are_small() -> None:
    pictures = [ROOT / target for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)]
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > LARGEST_PICTURE] == []


def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    """`make docs`, in a copy of what it reads, with the environment of this test."""
    for name in (
        "Makefile",
        "setup.cfg",
        "constraints.txt",
        "mkdocs.yml",
        "LICENSE",
        *(p for p in PAGES if "/" not in p),
    ):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("docs", "docker", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("work", "__pycache__"))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for ready in (".ready", ".ready-for-tests"):
        (tmp_path / ".venv" / ready).touch()
    ended = subprocess.run(["make", "docs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    site = tmp_path / "build" / "site"
    assert {path.with_suffix("").name for path in (site / "docs").glob("*.html")} == {
        Path(page).stem for page in PAGES if page.startswith("docs/")
    }
    scripts = re.findall(r'<(?:script|link|img)\b[^>]*\b(?:src|href)="([^"]+)"', (site / "index.html").read_text())
    assert scripts
    assert [address for address in scripts if "//" in address] == []  # the site loads nothing from elsewhere
