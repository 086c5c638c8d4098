"""Projects of a Label Studio as the active-learning loop sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.image_fetcher import FetchLimits
from pt4al_backend.label_studio.project import LabelStudioProject
from pt4al_backend.labelling.platform import LabellingPlatform, TaskState
from support.studio import Studio, choices_config, choices_result

CONFIG = choices_config("cat", "dog")


CAT, DOG = {"choice": "cat"}, {"choice": "dog"}


CHOSEN = choices_result("cat")


Opener = Callable[..., LabelStudioProject]


def platform_of(url: str, token: str, number: int, created: str = "", **options: Any) -> LabelStudioProject:
    return LabelStudioProject(LabelStudioClient(url, token), number, created, limits=FetchLimits(), **options)


def new_project(studio: Studio, tasks: int) -> tuple[int, list[int]]:
    number = studio.create_project("platform", CONFIG)
    return number, studio.import_images(number, [f"/data/upload/{n}.png" for n in range(tasks)])


def read(project: LabellingPlatform, since: str | None = None) -> tuple[dict[int, TaskState], str]:
    """All that changed, and the cursor behind it."""
    states, cursor = {}, since or ""
    for page, seen_to in project.tasks(since):
        states.update({state.id: state for state in page})
        cursor = seen_to
    return states, cursor


def act(studio: Studio, project: int, action: str, tasks: list[int]) -> None:
    """What the Data Manager's menu does with selected tasks."""
    selected = {"selectedItems": {"all": False, "included": tasks}}
    studio.api("POST", f"/api/dm/actions?id={action}&project={project}", json=selected)
