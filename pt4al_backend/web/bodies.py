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
    WithJsonSchema,
    model_validator,
)
from typing_extensions import NotRequired, Self, TypedDict

from pt4al_backend.label_studio.label_config.config import MOST_TEXT
from pt4al_backend.web.projects import LARGEST_NUMBER, ProjectName
from pt4al_backend.web.refusals import RefusedError

MOST_TASKS = 50_000
LARGEST_TASK = 2**63 - 1

START_TRAINING = "START_TRAINING"
"""The event of the button of the same name in Label Studio."""
TRAIN_EVENTS = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATION_DELETED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
    START_TRAINING,
)
"""Events that may change the queue (fact 15)."""

_WITHOUT_NUL = r"^[^\x00]*$"  # databases reject it
_NUMBER = {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER}


def whole(value: object) -> object:
    """A whole number as an int: in JSON, 5.0 is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_optional = BeforeValidator(lambda value: "" if value is None else value)
_plain = StringConstraints(strict=True, pattern=_WITHOUT_NUL)
_text = {"type": ["string", "null"], "pattern": _WITHOUT_NUL}
_anything = WithJsonSchema({})

Text = Annotated[str, _plain, _optional, WithJsonSchema(_text)]
ConfigText = Annotated[
    str, _plain, Field(max_length=MOST_TEXT), _optional, WithJsonSchema(_text | {"maxLength": MOST_TEXT})
]
NAME_SCHEMA: dict[str, Any] = {
    "description": "The project's number in Label Studio and, so that projects of several can be told apart, a dot and "
    "the time of its creation in unix seconds.",
    "examples": ["12.1700000000"],
    "anyOf": [_NUMBER, {"type": "string", "pattern": "^[0-9]{1,9}([.@][0-9]{1,15})?$"}],
}
Name = Annotated[ProjectName, PlainValidator(ProjectName.parse), WithJsonSchema(NAME_SCHEMA)]


class Cancelled(TypedDict):
    """The part of an annotation that is read."""

    was_cancelled: bool


def _cancelled(annotations: object) -> list[Cancelled]:
    """The entries of a list that make sense."""
    entries = annotations if isinstance(annotations, list) else []
    return [{"was_cancelled": bool(entry.get("was_cancelled"))} for entry in entries if isinstance(entry, dict)]


class TaskOutline(TypedDict):
    """A task, as far as it is read."""

    # A dictionary, because 50,000 objects would take twice as long.

    id: Annotated[int, Field(strict=True, ge=0, le=LARGEST_TASK), BeforeValidator(whole)]
    project: NotRequired[Annotated[Any, _anything]]
    annotations: NotRequired[Annotated[list[Cancelled], PlainValidator(_cancelled), _anything]]


class Body(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(populate_by_name=True)

    SENTENCES: ClassVar[dict[str, str]] = {}
    """Field -> the sentence for a wrong value, unless a text is expected."""

    @classmethod
    def of(cls, body: object, *, strict: bool | None = None) -> Self:
        """Check a body.

        Args:
            body: The JSON, or the fields of a form.
            strict: Whether a number may not come as text.

        Raises:
            RefusedError: The body is wrong; says what is wrong with its first wrong field.
        """
        try:
            return cls.model_validate(body, strict=strict)
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
    """A body that names a project."""

    SENTENCES = {"project": _NAME_EXPECTED}

    project: Name


class Setup(Versions):
    """What `/setup` takes, as far as it is read."""

    model_config = ConfigDict(json_schema_extra={"required": ["project", "schema"]})

    label_config: Annotated[
        ConfigText, WithJsonSchema({"type": "string", "pattern": _WITHOUT_NUL, "minLength": 1, "maxLength": MOST_TEXT})
    ] = Field("", alias="schema")
    hostname: Text = ""
    access_token: Text = ""

    @model_validator(mode="after")
    def _has_a_config(self) -> Self:
        if not self.label_config:
            raise RefusedError(400, "The schema is missing: send the project's label config.")
        return self


class Predict(Versions):
    """What `/predict` takes, as far as it is read."""

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

    id: Annotated[int, PlainValidator(_number), WithJsonSchema(NAME_SCHEMA)]
    created: Annotated[str, PlainValidator(_unix_seconds), _anything] = Field("", alias="created_at")
    label_config: ConfigText = ""

    @property
    def name(self) -> ProjectName:
        """The project's name, without the time if that makes no sense."""
        return ProjectName(self.id, self.created)


class Webhook(Body):
    """Any other event of `/webhook`: it is ignored, whatever comes with it."""

    model_config = ConfigDict(json_schema_extra={"required": ["action"]})

    SENTENCES = {"project": "The project is missing or wrong: send an object with an integer id."}

    action: Annotated[
        Text,
        WithJsonSchema(
            {"type": "string", "pattern": _WITHOUT_NUL, "minLength": 1, "not": {"enum": list(TRAIN_EVENTS)}}
        ),
    ] = ""

    @model_validator(mode="after")
    def _has_an_action(self) -> Self:
        if not self.action:
            raise RefusedError(400, "The action is missing: send the name of an event, for example START_TRAINING.")
        return self


class Event(Webhook):
    """An event of `/webhook` that may change the queue of the project that it names."""

    model_config = ConfigDict(json_schema_extra={"required": ["action", "project"]})

    action: Annotated[Text, WithJsonSchema({"enum": list(TRAIN_EVENTS)})] = ""
    project: EventProject
