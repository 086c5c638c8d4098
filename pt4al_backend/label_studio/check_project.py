"""Checks one project of Label Studio, for `pt4al-backend check`.

The checks change nothing: what they send is only validated, never saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from pt4al_backend.errors import LabelStudioRefusedError, PT4ALError, UnreadableImageError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.image_fetcher import ImageFetcher
from pt4al_backend.label_studio.image_values import image_name
from pt4al_backend.label_studio.label_config.config import LabelConfig, parse_config
from pt4al_backend.label_studio.project import fetch_limits
from pt4al_backend.labelling.questions import Question
from pt4al_backend.settings import Settings
from pt4al_backend.store.decoders import Decoders

BLOCKED = "reserved network address"
"""Part of Label Studio's message about private addresses."""
IMAGES = 5
"""Number of tasks whose images are read."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    ok: bool | None
    """None if the check was impossible or its result is uncertain."""
    message: str
    """What is right, or what is wrong and how to fix it."""


def tried(name: str, attempt: Callable[[], str]) -> Finding:
    """The finding of an attempt: the message it returns, or that of the `PT4ALError` it raises."""
    try:
        return Finding(name, True, attempt())
    except PT4ALError as error:
        return Finding(name, False, str(error))


def probe_project(client: LabelStudioClient, number: int, settings: Settings, *, own_url: str) -> Iterator[Finding]:
    """Check a project's rights, connection, webhooks, label config and images; `own_url` is this backend's address."""
    name, path = f"project {number}", f"api/projects/{number}"
    try:
        project = client.request("GET", path, params={"include": "id,title,label_config"})
    except PT4ALError as error:
        yield Finding(name, False, str(error))
        return
    yield tried(f"{name}: rights", lambda: _check_rights(client, path))
    yield from _check_connection(client, settings, number, own_url)
    try:
        config = parse_config(project["label_config"])
    except PT4ALError as error:
        yield Finding(f"{name}: label config", False, str(error))
        return
    yield Finding(f"{name}: label config", True, " ".join([_learned(config), *config.ignored]))
    yield _check_images(client, settings, number, config)


def _learned(config: LabelConfig) -> str:
    def classes(question: Question) -> str:
        return "1 class" if len(question.classes) == 1 else f"{len(question.classes)} classes"

    questions = [f"{question.name} ({question.label_type.name}, {classes(question)})" for question in config.questions]
    return f"PT4AL learns {', '.join(questions)}."


def _check_rights(client: LabelStudioClient, path: str) -> str:
    client.request("PATCH", f"{path}/", json={})  # needs the right to change the project, and changes nothing
    return "The token's user may change the project."


def _check_connection(client: LabelStudioClient, settings: Settings, number: int, own_url: str) -> Iterator[Finding]:
    """Whether Label Studio reaches the backend; it tries again whenever its list of backends is requested."""
    name = f"project {number}: backend"
    try:
        backends = client.request("GET", "api/ml", params={"project": number})
    except PT4ALError as error:
        yield Finding(name, None, str(error))
        return
    for backend in backends:
        yield _check_backend(name, backend)
    url = backends[0]["url"] if backends else own_url
    if not backends:
        yield _check_url(client, name, url)
    name = f"project {number}: webhooks"
    yield _check_password(client, settings, name, number, url) or _check_webhooks(client, name, number, url)


def _check_backend(name: str, backend: dict[str, Any]) -> Finding:
    url, state = backend["url"], backend["readable_state"]
    if state == "Connected":
        return Finding(name, True, f"Label Studio is connected to {url}.")
    if state == "Disconnected":
        return Finding(
            name,
            False,
            f"Label Studio gets no answer from {url}: start pt4al-backend, or fix the URL under Settings > Model.",
        )
    reason = " ".join(str(backend.get("error_message") or state).split())[:300]
    return Finding(name, False, f"Label Studio gets an error from {url}: {reason}")


def _check_url(client: LabelStudioClient, name: str, url: str) -> Finding:
    """Whether Label Studio would accept the backend's URL (fact 16)."""
    try:
        client.request("POST", "api/ml", json={"url": url, "title": "pt4al-backend check"})  # no project: never saved
    except LabelStudioRefusedError as error:
        if BLOCKED in str(error):
            return Finding(
                name,
                False,
                f"Label Studio refuses {url}, a private address: start Label Studio with ML_BLOCK_LOCAL_IP=false.",
            )
    except PT4ALError as error:
        return Finding(name, False, f"Label Studio cannot use {url}: {error}")
    return Finding(
        name,
        None,
        f"No backend is connected: enter {url}, or its address as Label Studio reaches it, under Settings > Model.",
    )


def _check_password(client: LabelStudioClient, settings: Settings, name: str, number: int, url: str) -> Finding | None:
    """A finding if the backend has a password and Label Studio's webhook does not send it, otherwise None.

    Label Studio makes the webhook of a model without the model's password, so the backend rejects it (401).
    """
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
        f"Label Studio sends its webhooks to {target} without the password, so labels are noticed later: under "
        "Settings > Webhooks, give that webhook the header Authorization with the value Basic and the output of "
        "`printf 'USER:PASSWORD' | base64`.",
    )


def _check_webhooks(client: LabelStudioClient, name: str, number: int, url: str) -> Finding:
    """Whether Label Studio sends webhooks to the backend (fact 17): the same filter checks the addresses of storages.

    A storage without a bucket is refused after the filter and before anything is sent to it.
    """
    endpoint = str(httpx.URL(url).copy_with(raw_path=b"/", userinfo=b""))
    try:
        client.request("POST", "api/storages/s3/validate", json={"project": number, "s3_endpoint": endpoint})
    except LabelStudioRefusedError as error:
        if BLOCKED in str(error):
            return Finding(
                name,
                False,
                f"Label Studio drops its webhooks to {url}, a private address, so labels are noticed later: "
                "start Label Studio with SSRF_PROTECTION_ENABLED=false.",
            )
        if error.status != 400:
            return Finding(name, None, str(error))
    except PT4ALError as error:
        return Finding(name, None, str(error))
    return Finding(name, True, f"Label Studio may send webhooks to {url}.")


def _check_images(client: LabelStudioClient, settings: Settings, number: int, config: LabelConfig) -> Finding:
    name = f"project {number}: images"
    params = {"project": number, "include": "id,data", "resolve_uri": "false", "page_size": IMAGES}
    fetcher = ImageFetcher(label_studio_url=client.url, credentials=client.credentials, limits=fetch_limits(settings))
    read = 0
    try:
        with Decoders() as decoders:
            for task in client.request("GET", "api/tasks/", params=params)["tasks"]:
                reason = _unreadable(fetcher, decoders, settings, config.image_of(task["data"]), task["id"])
                if reason:
                    return Finding(name, False, f"Task {task['id']}: {reason}")
                read += 1
    except PT4ALError as error:
        return Finding(name, False, str(error))
    finally:
        fetcher.close()
    if not read:
        return Finding(name, None, "The project has no tasks: import images.")
    return Finding(name, True, "The first image can be read." if read == 1 else f"The first {read} images can be read.")


def _unreadable(fetcher: ImageFetcher, decoders: Decoders, settings: Settings, value: str, task: int) -> str:
    """Why an image cannot be read; "" if it can."""
    try:
        data = fetcher.fetch(value, task_id=task)
    except UnreadableImageError as error:
        return str(error)
    try:
        decoders.decode(data, size=32, max_pixels=int(settings.max_image_megapixels * 1_000_000))
    except UnreadableImageError as error:
        return f"{image_name(value)}: {error}" if image_name(value) else str(error)
    return ""
