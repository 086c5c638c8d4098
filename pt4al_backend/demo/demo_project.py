"""The demo's projects in Label Studio: created, filled and connected through the API, as Label Studio's pages do it.

Each set of images has its own project, identified by the storage that serves the images and not by its title.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import httpx

from pt4al_backend.demo.images import ImageFolder, label_config
from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings

TITLE = "PT4AL demo"
LONGEST_TITLE = 50
MODEL = "PT4AL"
CHUNK = 2000  # tasks per request


@dataclass(frozen=True)
class DemoProject:
    """A project in Label Studio."""

    id: int
    title: str
    labels: int
    """How many annotations it had when the demo started."""
    truth: Mapping[str, str]
    """The class of each image, by the image's address."""


def find(api: httpx.Client, folder: ImageFolder) -> DemoProject | None:
    """The newest project of these images, if an earlier demo made one."""
    projects = call(api, "GET", "/api/projects", params={"page_size": 1000})["results"]
    for project in sorted(projects, key=lambda project: int(project["id"]), reverse=True):
        storages = call(api, "GET", "/api/storages/localfiles", params={"project": project["id"]})
        if any(storage["path"] == str(folder.root) for storage in storages):
            return DemoProject(project["id"], project["title"], project["total_annotations_number"], folder.truth)
    return None


def create(api: httpx.Client, folder: ImageFolder) -> DemoProject:
    """Create a project without tasks."""
    title = f"{TITLE}: {folder.title}"[:LONGEST_TITLE].strip()
    config = label_config(folder.classes, width=folder.width)
    project = call(api, "POST", "/api/projects", json={"title": title, "label_config": config})
    # The storage is never synchronised: Label Studio serves a local file only if some storage has its directory.
    storage = {"project": project["id"], "path": str(folder.root), "title": "Demo images", "use_blob_urls": True}
    call(api, "POST", "/api/storages/localfiles", json=storage)
    return DemoProject(project["id"], title, 0, folder.truth)


def delete(api: httpx.Client, project: DemoProject) -> None:
    """Delete the project with its tasks and labels."""
    call(api, "DELETE", f"/api/projects/{project.id}")


def fill(api: httpx.Client, project: DemoProject, urls: Sequence[str], count: int) -> int:
    """Import tasks until the project has `count`, and skip images that it has already.

    Returns:
        The number of tasks afterwards.
    """
    imported = {str(task["data"].get("image")) for task in all_tasks(api, project)}
    missing = [url for url in urls if url not in imported][: max(0, count - len(imported))]
    for start in range(0, len(missing), CHUNK):
        chunk = [{"data": {"image": url}} for url in missing[start : start + CHUNK]]
        call(api, "POST", f"/api/projects/{project.id}/import", json=chunk)
    return len(imported) + len(missing)


def classes_not_offered(api: httpx.Client, project: DemoProject, folder: ImageFolder) -> list[str]:
    """Classes of the images that are missing from the project's label config."""
    config = ElementTree.fromstring(call(api, "GET", f"/api/projects/{project.id}")["label_config"])
    offered = {choice.get("value") for choice in config.iter("Choice")}
    return [name for name in folder.classes if name not in offered]


def connect(api: httpx.Client, project: DemoProject, url: str, settings: Settings) -> None:
    """Connect the backend, with the fields that the form on the project's Model page sends.

    The connection of an earlier demo is removed, as that backend may have used another port.
    """
    for model in call(api, "GET", "/api/ml", params={"project": project.id}):
        if model["title"] == MODEL:
            call(api, "DELETE", f"/api/ml/{model['id']}")
            _delete_webhooks(api, project, f"{model['url'].rstrip('/')}/webhook")
    fields = {"project": str(project.id), "title": MODEL, "url": url, "is_interactive": "false"}
    if settings.basic_auth_user:
        fields |= {
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": settings.basic_auth_user,
            "basic_auth_pass": settings.basic_auth_pass.get_secret_value(),
        }
    else:
        fields["auth_method"] = "NONE"
    call(api, "POST", "/api/ml", files={name: (None, value) for name, value in fields.items()})


def _delete_webhooks(api: httpx.Client, project: DemoProject, url: str) -> None:
    for webhook in call(api, "GET", "/api/webhooks/", params={"project": project.id}):
        if webhook["url"] == url:
            call(api, "DELETE", f"/api/webhooks/{webhook['id']}/")


def all_tasks(api: httpx.Client, project: DemoProject) -> Iterator[dict[str, Any]]:
    """All tasks, each with `id`, `data` and `is_labeled`."""
    query = {"project": project.id, "fields": "all", "include": "id,data,is_labeled", "page_size": CHUNK}
    seen, page = 0, 1
    while True:
        response = call(api, "GET", "/api/tasks", params={**query, "page": page})
        yield from response["tasks"]
        seen, page = seen + len(response["tasks"]), page + 1
        if seen >= response["total"] or not response["tasks"]:
            return


def call(api: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """Send a request to Label Studio and return the JSON of the response; None if it is empty."""
    response = send(api, method, path, **options)
    return response.json() if response.content else None


def send(api: httpx.Client, method: str, path: str, *, allow: tuple[int, ...] = (), **options: Any) -> httpx.Response:
    """Send a request to Label Studio.

    Args:
        allow: Error statuses that the caller handles.

    Raises:
        PT4ALError: Label Studio does not answer, or rejects the request.
    """
    try:
        response = api.request(method, path, **options)
    except httpx.TransportError as error:
        raise PT4ALError(f"Label Studio does not answer {method} {path} ({error}): see its log.") from error
    if response.is_error and response.status_code not in allow:
        raise PT4ALError(f"Label Studio rejected {method} {path} ({response.status_code}): {response.text[:300]}")
    return response
