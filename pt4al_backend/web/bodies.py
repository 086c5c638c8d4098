"""What Label Studio sends us, as typed models, and one sentence for whatever is wrong with it.

Anything that is not named here is let go: tasks come with their masks, and nobody reads those.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    model_validator,
)
from typing_extensions import NotRequired, Self, TypedDict

from pt4al_backend.label_studio.label_config.config import MOST_TEXT
from pt4al_backend.web.projects import ProjectName
from pt4al_backend.web.refusals import RefusedError

MOST_TASKS = 50_000
_LARGEST_TASK = 2**63 - 1

_optional = BeforeValidator(lambda value: "" if value is None else value)
_plain = StringConstraints(strict=True, pattern=r"^[^\x00]*$")  # what a database can hold

Text = Annotated[str, _plain, _optional]
ConfigText = Annotated[str, _plain, Field(max_length=MOST_TEXT), _optional]
Name = Annotated[ProjectName, PlainValidator(ProjectName.parse)]


class Cancelled(TypedDict):
    """All that is read of an annotation."""

    was_cancelled: bool


def _cancelled(annotations: object) -> list[Cancelled]:
    """Of an odd list what can be understood."""
    known = [one for one in annotations if isinstance(one, dict)] if isinstance(annotations, list) else []
    return [{"was_cancelled": bool(one.get("was_cancelled"))} for one in known]


class TaskOutline(TypedDict):
    """What `predict` reads of a task. A dictionary: 50,000 objects would take twice the time."""

    id: Annotated[int, Field(strict=True, ge=0, le=_LARGEST_TASK)]
    project: NotRequired[Any]
    annotations: NotRequired[Annotated[list[Cancelled], PlainValidator(_cancelled)]]


class Body(BaseModel):
    """A body of a request."""

    model_config = ConfigDict(populate_by_name=True)

    SENTENCES: ClassVar[dict[str, str]] = {}
    """Where something is wrong -> what to send, unless it is a text that is wrong."""

    @classmethod
    def of(cls, body: object) -> Self:
        """`RefusedError` says what is wrong with the first part that is."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise cls._refusal(first["type"], [part for part in first["loc"] if isinstance(part, str)])

    @classmethod
    def _refusal(cls, kind: str, names: list[str]) -> RefusedError:
        if kind == "string_too_long":
            return RefusedError(413, f"The label config has more than {MOST_TEXT:,} characters: make it shorter.")
        if kind == "too_long":
            return RefusedError(413, f"There are more than {MOST_TASKS:,} tasks: send fewer at a time.")
        if kind.startswith("string") or names[0] not in cls.SENTENCES:
            return RefusedError(400, f"The {names[-1]} is wrong: send it as text.")
        return RefusedError(400, cls.SENTENCES[names[0]])


_NAME_WANTED = 'The project is missing or wrong: send it as "id.created", for example "12.1700000000".'


class Versions(Body):
    """`/versions`, and whatever else names a project alone."""

    SENTENCES = {"project": _NAME_WANTED}

    project: Name


class Setup(Versions):
    """`/setup`."""

    label_config: ConfigText = Field("", alias="schema")
    hostname: Text = ""
    access_token: Text = ""

    @model_validator(mode="after")
    def _has_a_config(self) -> Self:
        if not self.label_config:
            raise RefusedError(400, "The schema is missing: send the project's label config.")
        return self


class Predict(Versions):
    """`/predict`."""

    SENTENCES = {
        "project": _NAME_WANTED,
        "tasks": "The tasks are missing or wrong: send a list of objects, each with an integer id.",
    }

    label_config: ConfigText = ""
    tasks: Annotated[list[TaskOutline], Field(fail_fast=True, max_length=MOST_TASKS, strict=True)]


def _number(value: object) -> int:
    return ProjectName.parse(value).number


def _unix_seconds(created_at: object) -> str:
    """As in the names of `/setup`: whole seconds; "" if it is no ISO 8601 time."""
    if not isinstance(created_at, str):
        return ""
    try:
        return str(int(datetime.fromisoformat(created_at.replace("Z", "+00:00")).timestamp()))
    except (ValueError, OverflowError):
        return ""


class EventProject(BaseModel):
    """The project of an event, as Label Studio serializes it (fact 15)."""

    id: Annotated[int, PlainValidator(_number)]
    created: Annotated[str, PlainValidator(_unix_seconds)] = Field("", alias="created_at")
    label_config: ConfigText = ""

    @property
    def name(self) -> ProjectName:
        """Without the time where that makes no sense."""
        return ProjectName(self.id, self.created)


class Webhook(Body):
    """`/webhook`, of any event."""

    SENTENCES = {"project": "The project is missing or wrong: send an object with an integer id."}

    action: Text = ""

    @model_validator(mode="after")
    def _has_an_action(self) -> Self:
        if not self.action:
            raise RefusedError(400, "The action is missing: send the name of an event, for example START_TRAINING.")
        return self


class Event(Webhook):
    """`/webhook`, of an event that names a project."""

    project: EventProject
