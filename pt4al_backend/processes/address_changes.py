"""Projects whose Label Studio has another address than the one in the settings: they move there if they are there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing

from pt4al_backend.errors import PT4ALError, UnsupportedConfigError
from pt4al_backend.labelling.platform import LabellingPlatform
from pt4al_backend.net.addresses import without_userinfo
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

Connect = Callable[[Project], LabellingPlatform]
"""Creates the platform of a project."""


def is_elsewhere(url: str, home: str) -> bool:
    """Whether the Label Studio at `url` is not the one in the settings, `home`; "" means that they name none."""
    return bool(home) and url != home


def moved(project: Project, home: str, *, store: Store, connect: Connect) -> Project:
    """The project at the address in the settings, if it came without a token and exists there; else as it is."""
    if not is_elsewhere(project.label_studio_url, home) or not project.created or project.access_token:
        return project
    number, created = project.number, project.created
    candidate = Project(id=project.id, label_studio_url=home, number=number, created=created, access_token="")
    try:
        with closing(connect(candidate)) as platform:
            platform.project()
    except UnsupportedConfigError:
        pass  # the project exists there
    except PT4ALError as error:
        logger.info("project %d is not at %s: %s", number, without_userinfo(home), error)
        return project
    row = store.connect(url=home, number=number, created=created, access_token="", label_config="", only=True)
    return row if row.id == project.id else project  # another row: the project was connected there as well


def with_advice(error: str, url: str, home: str) -> str:
    """An error of the Label Studio at `url`, with advice if that is not the one in the settings."""
    if not is_elsewhere(url, home):
        return error
    return f"{error} If it is at {without_userinfo(home)} now, open the project's Settings > Model page there."
