"""Finds the project that a request means, and registers new projects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from pt4al_backend.web import setup_token

_NAME = re.compile(r"([0-9]{1,10})(?:[.@]([0-9]{1,15}))?")
LARGEST_NUMBER = 2**31 - 1
"""The largest id of a project, in Label Studio and in our table."""


@dataclass(frozen=True)
class ProjectName:
    """A project as Label Studio names it (fact 13)."""

    number: int
    """Its id."""
    created: str = ""
    """When it was created, in unix seconds; "" if unknown."""

    @classmethod
    def parse(cls, name: object) -> ProjectName:
        """Parse `"12.1700000000"` (`/setup`, `/predict`), `"12"`, `12` or `12.0`, which is the same in JSON.

        Raises:
            ValueError: The name is none of these.
        """
        if isinstance(name, float) and name.is_integer():
            name = int(name)
        text = str(name) if isinstance(name, int) and not isinstance(name, bool) else name
        match = _NAME.fullmatch(text) if isinstance(text, str) else None
        if match is None or int(match[1]) > LARGEST_NUMBER:
            raise ValueError("not the name of a project")
        return cls(int(match[1]), match[2] or "")

    def __str__(self) -> str:
        """The name with an `@`, because SDK 2.x cuts it at the first dot."""
        return f"{self.number}@{self.created}" if self.created else str(self.number)


def find(store: Store, settings: Settings, name: ProjectName) -> list[Project]:
    """The projects that a request may mean, newest first; several if several Label Studios use the same id."""
    projects = store.find(name.number, name.created or None)
    if not projects and name.created:
        projects = [project for project in store.find(name.number) if not project.created]
    ours = [project for project in projects if project.label_studio_url == settings.label_studio_url]
    return ours or projects


def register(
    store: Store,
    settings: Settings,
    name: ProjectName,
    *,
    label_config: str,
    hostname: str = "",
    access_token: str = "",
    ask: bool = True,
) -> Project:
    """Store a project.

    With `LABEL_STUDIO_URL`, every project belongs to that Label Studio and the worker uses its key. Otherwise a project
    belongs to the `hostname` and `access_token` of its `/setup`.

    Args:
        store: The store.
        settings: The settings.
        name: The project.
        label_config: Its label config.
        hostname: The address of its Label Studio, according to `/setup`.
        access_token: The token for it, according to `/setup`.
        ask: Whether to ask Label Studio if it accepts the token, in case the project was never synced.

    Raises:
        PT4ALError: No Label Studio or no usable token is known; says what to set.
    """
    url, token = _connection(settings, hostname=hostname, access_token=access_token)
    if ask and not any(project.cursor for project in _known(store, name, url, token)):
        setup_token.require_usable(url, token, settings)
    return store.connect(
        url=url,
        number=name.number,
        created=name.created,
        access_token=token,
        label_config=label_config,
        only=bool(settings.label_studio_url),
    )


def _known(store: Store, name: ProjectName, url: str, token: str) -> list[Project]:
    same_url = [project for project in store.find(name.number) if project.label_studio_url == url]
    return [project for project in same_url if not token or project.access_token == token]


def _connection(settings: Settings, *, hostname: str, access_token: str) -> tuple[str, str]:
    url, key = settings.label_studio_url, settings.label_studio_api_key.get_secret_value()
    if url and key:
        return url, ""
    if url:
        raise PT4ALError("LABEL_STUDIO_URL is set without LABEL_STUDIO_API_KEY: set the key too, or neither.")
    if key:
        raise PT4ALError("LABEL_STUDIO_API_KEY is set without LABEL_STUDIO_URL: say which Label Studio it is for.")
    if not hostname or not access_token:
        raise PT4ALError(
            "PT4AL was given no token for Label Studio: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY "
            "where pt4al-backend runs, and restart it."
        )
    return _plain_address(hostname), access_token


def _plain_address(hostname: str) -> str:
    try:
        parts = urlsplit(hostname)
        plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        plain = False
    if not plain or parts.query or parts.fragment:
        raise PT4ALError(
            "The hostname in /setup is not an http(s) address: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY "
            "where pt4al-backend runs."
        )
    return hostname.rstrip("/")
