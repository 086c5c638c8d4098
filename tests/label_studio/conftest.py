"""Projects of the Label Studio that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.platform import Opener, platform_of
from support.studio import Studio

from pt4al_backend.label_studio.project import LabelStudioProject


@pytest.fixture
def opened(label_studio: Studio) -> Iterator[Opener]:
    """Opens projects by number, and closes them at the end."""
    projects = []

    def opener(number: int, created: str = "", **options: Any) -> LabelStudioProject:
        projects.append(platform_of(label_studio.url, label_studio.token, number, created, **options))
        return projects[-1]

    yield opener
    for project in projects:
        project.close()
