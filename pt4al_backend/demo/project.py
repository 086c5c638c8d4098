"""The demo's project in Label Studio: made, filled and connected through the API, as the pages do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from pt4al_backend.demo.images import ImageFolder, LabelledImage, label_config
from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings

TITLE = "PT4AL demo"
CHUNK = 2000  # tasks per import


@dataclass(frozen=True)
class DemoProject:
    """A project in Label Studio. ``truth`` maps an image's address to its class."""

    id: int
    truth: Mapping[str, str]


def create(api: httpx.Client, folder: ImageFolder, images: tuple[LabelledImage, ...]) -> DemoProject:
    """A new project with ``images`` as tasks, in that order. Projects of earlier demos are deleted."""
    for project in call(api, "GET", "/api/projects", params={"page_size": 1000})["results"]:
        if project["title"] == TITLE:
            call(api, "DELETE", f"/api/projects/{project['id']}")
    project = call(api, "POST", "/api/projects", json={"title": TITLE, "label_config": label_config(folder.classes)})
    # Nothing is synchronised: Label Studio serves a local file only if some storage holds its directory.
    storage = {"project": project["id"], "path": str(folder.root), "title": "Demo images", "use_blob_urls": True}
    call(api, "POST", "/api/storages/localfiles", json=storage)
    truth = {folder.url(image): image.label for image in images}
    urls = list(truth)
    for begin in range(0, len(urls), CHUNK):
        tasks = [{"data": {"image": url}} for url in urls[begin : begin + CHUNK]]
        call(api, "POST", f"/api/projects/{project['id']}/import", json=tasks)
    return DemoProject(project["id"], truth)


def connect(api: httpx.Client, project: DemoProject, url: str, settings: Settings) -> None:
    """Connect the backend with the fields that the form on the project's Model page sends."""
    fields = {"project": str(project.id), "title": "PT4AL", "url": url, "is_interactive": "false"}
    if settings.basic_auth_user:
        fields |= {
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": settings.basic_auth_user,
            "basic_auth_pass": settings.basic_auth_pass.get_secret_value(),
        }
    else:
        fields["auth_method"] = "NONE"
    call(api, "POST", "/api/ml", files={name: (None, value) for name, value in fields.items()})


def call(api: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """One request to Label Studio; its JSON."""
    response = send(api, method, path, **options)
    return response.json() if response.content else None


def send(api: httpx.Client, method: str, path: str, *, allow: tuple[int, ...] = (), **options: Any) -> httpx.Response:
    """One request to Label Studio. ``PT4ALError`` with what it says against it, unless that status is allowed."""
    try:
        response = api.request(method, path, **options)
    except httpx.TransportError as error:
        raise PT4ALError(f"Label Studio does not answer {method} {path}: {error}.") from error
    if response.is_error and response.status_code not in allow:
        raise PT4ALError(f"Label Studio refused {method} {path} ({response.status_code}): {response.text[:300]}")
    return response
