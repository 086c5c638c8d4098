"""Ask Label Studio about one project, for `pt4al-backend check`.

Nothing is left behind: Label Studio is asked to validate things that are never saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from pt4al_backend.errors import LabelStudioRefusedError, PT4ALError, UnreadableImageError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.image_fetcher import ImageFetcher, image_name
from pt4al_backend.label_studio.label_config.config import LabelConfig, parse_config
from pt4al_backend.label_studio.project import fetch_limits
from pt4al_backend.labelling.questions import Question
from pt4al_backend.settings import Settings
from pt4al_backend.store.decoders import Decoders

BLOCKED = "reserved network address"  # what Label Studio says of private addresses
IMAGES = 5  # tasks of a project whose images are tried


@dataclass(frozen=True)
class Finding:
    """What one check found. `ok` is None where it could not be tried; `message` says how to mend it."""

    name: str
    ok: bool | None
    message: str


def tried(name: str, attempt: Callable[[], str]) -> Finding:
    """What `attempt` returns, or the sentence it fails with."""
    try:
        return Finding(name, True, attempt())
    except PT4ALError as error:
        return Finding(name, False, str(error))


def probe_project(client: LabelStudioClient, number: int, settings: Settings, *, own_url: str) -> Iterator[Finding]:
    """Rights, connection, webhooks, label config and images of a project; `own_url` is the backend's here."""
    name, path = f"project {number}", f"api/projects/{number}"
    try:
        found = client.request("GET", path, params={"include": "id,title,label_config"})
    except PT4ALError as error:
        yield Finding(name, False, str(error))
        return
    yield tried(f"{name}: rights", lambda: _may_change(client, path))
    yield from _connection(client, settings, number, own_url)
    try:
        config = parse_config(found["label_config"])
    except PT4ALError as error:
        yield Finding(f"{name}: label config", False, str(error))
        return
    yield Finding(f"{name}: label config", True, " ".join([_asked(config), *config.ignored]))
    yield _images(client, settings, number, config)


def _asked(config: LabelConfig) -> str:
    def classes(question: Question) -> str:
        return "1 class" if len(question.classes) == 1 else f"{len(question.classes)} classes"

    questions = [f"{question.name} ({question.label_type.name}, {classes(question)})" for question in config.questions]
    return f"PT4AL learns {', '.join(questions)}."


def _may_change(client: LabelStudioClient, path: str) -> str:
    client.request("PATCH", f"{path}/", json={})  # asks for the right and changes nothing
    return "The token's user may change it."


def _connection(client: LabelStudioClient, settings: Settings, number: int, own_url: str) -> Iterator[Finding]:
    """How Label Studio sees the backend; it looks anew whenever its list is asked for."""
    name = f"project {number}: backend"
    try:
        backends = client.request("GET", "api/ml", params={"project": number})
    except PT4ALError as error:
        yield Finding(name, None, str(error))
        return
    for backend in backends:
        yield _connected(name, backend)
    url = backends[0]["url"] if backends else own_url
    if not backends:
        yield _acceptable(client, name, url)
    name = f"project {number}: webhooks"
    yield _without_password(client, settings, name, number, url) or _webhooks(client, name, number, url)


def _connected(name: str, backend: dict[str, Any]) -> Finding:
    url, state = backend["url"], backend["readable_state"]
    if state == "Connected":
        return Finding(name, True, f"Label Studio is connected with {url}.")
    if state == "Disconnected":
        return Finding(
            name,
            False,
            f"Label Studio gets no answer from {url}: start pt4al-backend, or mend the URL in Settings, Model.",
        )
    reason = " ".join(str(backend.get("error_message") or state).split())[:300]
    return Finding(name, False, f"Label Studio gets an error from {url}: {reason}")


def _acceptable(client: LabelStudioClient, name: str, url: str) -> Finding:
    """Whether Label Studio would take the backend's URL (fact 16)."""
    try:
        client.request("POST", "api/ml", json={"url": url, "title": "pt4al-backend check"})  # no project: never saved
    except LabelStudioRefusedError as error:
        if BLOCKED in str(error):
            return Finding(
                name, False, f"Label Studio refuses {url}, a private address: start it with ML_BLOCK_LOCAL_IP=false."
            )
    except PT4ALError as error:
        return Finding(name, False, f"Label Studio cannot use {url}: {error}")
    return Finding(name, None, f"None is connected: paste {url}, as Label Studio reaches it, in Settings, Model.")


def _without_password(
    client: LabelStudioClient, settings: Settings, name: str, number: int, url: str
) -> Finding | None:
    """Label Studio makes a webhook for each model, without the model's password: it is refused by us (401)."""
    if not settings.basic_auth_user:
        return None
    target = f"{url.rstrip('/')}/webhook"
    try:
        webhooks = client.request("GET", "api/webhooks", params={"project": number})
    except PT4ALError as error:
        return Finding(name, None, str(error))
    ours = [webhook for webhook in webhooks if webhook["url"] == target]
    if not ours or any("authorization" in map(str.lower, webhook["headers"] or ()) for webhook in ours):
        return None
    return Finding(
        name,
        False,
        f"Label Studio sends them to {target} without the password, so that labels are noticed later: under Settings, "
        "Webhooks give that one the header Authorization, with Basic and what "
        "`printf 'USER:PASSWORD' | base64` prints as its value.",
    )


def _webhooks(client: LabelStudioClient, name: str, number: int, url: str) -> Finding:
    """Whether Label Studio sends webhooks there (fact 17): the addresses of storages pass the same filter.

    Without a bucket the storage is refused after the filter, before anything is sent to it.
    """
    endpoint = str(httpx.URL(url).copy_with(raw_path=b"/", userinfo=b""))
    try:
        client.request("POST", "api/storages/s3/validate", json={"project": number, "s3_endpoint": endpoint})
    except LabelStudioRefusedError as error:
        if BLOCKED in str(error):
            return Finding(
                name,
                False,
                f"Label Studio drops its webhooks to {url}, a private address, so that labels are noticed later: "
                "start it with SSRF_PROTECTION_ENABLED=false.",
            )
        if error.status != 400:
            return Finding(name, None, str(error))
    except PT4ALError as error:
        return Finding(name, None, str(error))
    return Finding(name, True, f"Label Studio may send them to {url}.")


def _images(client: LabelStudioClient, settings: Settings, number: int, config: LabelConfig) -> Finding:
    name = f"project {number}: images"
    params = {"project": number, "include": "id,data", "resolve_uri": "false", "page_size": IMAGES}
    fetcher = ImageFetcher(label_studio_url=client.url, credentials=client.credentials, limits=fetch_limits(settings))
    read = 0
    try:
        with Decoders() as decoders:
            for task in client.request("GET", "api/tasks", params=params)["tasks"]:
                reason = _unreadable(fetcher, decoders, settings, config.image_of(task["data"]), task["id"])
                if reason:
                    return Finding(name, False, f"Task {task['id']}: {reason}")
                read += 1
    except PT4ALError as error:
        return Finding(name, False, str(error))
    finally:
        fetcher.close()
    if not read:
        return Finding(name, None, "The project has no tasks yet: import images.")
    return Finding(name, True, f"The first {read} can be read.")


def _unreadable(fetcher: ImageFetcher, decoders: Decoders, settings: Settings, value: str, task: int) -> str:
    """Why an image cannot be read, "" if it can."""
    try:
        data = fetcher.fetch(value, task_id=task)
    except UnreadableImageError as error:
        return str(error)
    try:
        decoders.decode(data, size=32, max_pixels=int(settings.max_image_megapixels * 1_000_000))
    except UnreadableImageError as error:
        return f"{image_name(value)}: {error}" if image_name(value) else str(error)
    return ""
