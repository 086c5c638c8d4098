"""The bodies of our own actions, as `POST /api/projects/<id>/<action>` takes them; those of Label Studio: `bodies`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

from pydantic import ConfigDict, Field, ValidationError, WithJsonSchema, create_model, model_validator
from typing_extensions import Self

from pt4al_backend.sampling.strategies import STRATEGIES
from pt4al_backend.settings import OF_PROJECT, Settings, reason
from pt4al_backend.web.bodies import LARGEST_TASK, Body, Text, whole
from pt4al_backend.web.refusals import RefusedError


class ActionBody(Body):
    """The body of an action."""

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, body: Any) -> Any:
        return {name: whole(value) for name, value in body.items()} if isinstance(body, Mapping) else body


class Nothing(ActionBody):
    """Any object, and no body at all: the action needs none."""


class StartOver(ActionBody):
    """What proves that somebody means it."""

    SENTENCES: ClassVar = {"confirm": "To start over, send the project's number in Label Studio as confirm."}

    confirm: int = Field(description="The project's number in Label Studio.")


class Confirm(ActionBody):
    """A label that is right although it looked wrong."""

    SENTENCES = dict.fromkeys(
        ("task", "question", "answer"), "The label is missing or wrong: send task, question and answer."
    )

    task: int = Field(ge=0, le=LARGEST_TASK)
    question: Annotated[Text, WithJsonSchema({"type": "string", "pattern": r"^[^\x00]+$"}), Field(min_length=1)]
    answer: Annotated[Text, WithJsonSchema({"type": "string", "pattern": r"^[^\x00]+$"}), Field(min_length=1)]
    """As JSON, as the list of labels to check has it."""


class _OwnSettings(ActionBody):
    """Settings for one project; those that are not there, or null, follow the backend."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def of(cls, body: object, *, strict: bool | None = None) -> Self:
        """Check the settings. `RefusedError` says what is wrong with all of them."""
        try:
            return cls.model_validate(body, strict=strict)
        except ValidationError as errors:
            wrong = [_wrong(error) for error in errors.errors(include_url=False)]
        raise RefusedError(400, "Nothing was changed. " + " ".join(wrong))


def _wrong(error: Any) -> str:
    name = error["loc"][0]
    return (
        f"{name} cannot be set for one project." if error["type"] == "extra_forbidden" else f"{name}: {reason(error)}."
    )


def _own(name: str) -> Any:
    """The type and the default of one of them: what the setting takes, and null."""
    field = Settings.model_fields[name]
    with_limits = (field.annotation, *field.metadata, None)  # None, because Annotated wants one at least
    kind = cast(Any, Annotated)[with_limits]
    if name == "strategy":
        kind = Annotated[str, WithJsonSchema({"enum": ["auto", *STRATEGIES]})]
    return kind | None, Field(None, description=field.description)


if TYPE_CHECKING:
    OwnSettings = _OwnSettings
else:
    OwnSettings = create_model(
        "OwnSettings", __base__=_OwnSettings, __doc__=_OwnSettings.__doc__, **{name: _own(name) for name in OF_PROJECT}
    )

BODIES: dict[str, type[ActionBody]] = {
    "pause": Nothing,
    "resume": Nothing,
    "train": Nothing,
    "retry": Nothing,
    "start_over": StartOver,
    "settings": OwnSettings,
    "confirm": Confirm,
}
"""By the names of `actions.ACTIONS`."""
