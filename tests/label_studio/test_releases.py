"""The release that is said to be tested is the one that is."""

from __future__ import annotations

from pathlib import Path

from pt4al_backend.label_studio.releases import TESTED_WITH

ROOT = Path(__file__).parents[2]


def test_it_is_the_one_that_the_makefile_installs_and_the_documentation_names() -> None:
    assert f"LABEL_STUDIO := {TESTED_WITH}\n" in (ROOT / "Makefile").read_text()
    assert f"It supports Label Studio {TESTED_WITH}," in (ROOT / "docs/install.md").read_text()
