"""The request bodies of Label Studio as typed models, and a sentence for whatever is wrong with one.

Fields not named here are dropped: tasks come with their masks, which nothing reads.
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
_plain = StringConstraints(strict=True, pattern=r"^[^\x00]*$")  # databases reject NUL

Text = Annotated[str, _plain, _optional]
ConfigText = Annotated[str, _plain, Field(max_length=MOST_TEXT), _optional]
Name = Annotated[ProjectName, PlainValidator(ProjectName.parse)]


class Cancelled(TypedDict):
    """The part of an annotation that is read."""

    was_cancelled: bool


def _cancelled(annotations: object) -> list[Cancelled]:
    """The entries of a list that make sense."""
    entries = annotations if isinstance(annotations, list) else []
    return [{"was_cancelled": bool(entry.get("was_cancelled"))} for entry in entries if isinstance(entry, dict)]


class TaskOutline(TypedDict):
    """The part of a task that `predict` reads. A dictionary, because 50,000 objects would take twice as long."""

    id: Annotated[int, Field(strict=True, ge=0, le=_LARGEST_TASK)]
    project: NotRequired[Any]
    annotations: NotRequired[Annotated[list[Cancelled], PlainValidator(_cancelled)]]


class Body(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(populate_by_name=True)

    SENTENCES: ClassVar[dict[str, str]] = {}
    """Field -> the sentence for a wrong value, unless a text is expected."""

    @classmethod
    def of(cls, body: object) -> Self:
        """Check a body.

        Raises:
            RefusedError: The body is wrong; says what is wrong with its first wrong field.
        """
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


_NAME_EXPECTED = 'The project is missing or wrong: send it as "id.created", for example "12.1700000000".'


class Versions(Body):
    """`/versions`, and every other body that names a project."""

    SENTENCES = {"project": _NAME_EXPECTED}

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
        "project": _NAME_EXPECTED,
        "tasks": "The tasks are missing or wrong: send a list of objects, each with an integer id.",
    }

    label_config: ConfigText = ""
    tasks: Annotated[list[TaskOutline], Field(fail_fast=True, max_length=MOST_TASKS, strict=True)]


def _number(value: object) -> int:
    return ProjectName.parse(value).number


def _unix_seconds(created_at: object) -> str:
    """The time as in the project names of `/setup`, in whole seconds; "" if it is not an ISO 8601 time."""
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
        """The project's name, without the time if that makes no sense."""
        return ProjectName(self.id, self.created)


class Webhook(Body):
    """`/webhook` with any event."""

    SENTENCES = {"project": "The project is missing or wrong: send an object with an integer id."}

    action: Text = ""

    @model_validator(mode="after")
    def _has_an_action(self) -> Self:
        if not self.action:
            raise RefusedError(400, "The action is missing: send the name of an event, for example START_TRAINING.")
        return self


class Event(Webhook):
    """`/webhook` with an event that names a project."""

    project: EventProject
