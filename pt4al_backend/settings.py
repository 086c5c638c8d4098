"""One table: every setting's name, default and meaning.

Each setting is read from the environment as `PT4AL_<NAME>`; a few also answer to the
name the Label Studio ecosystem already uses (`LABEL_STUDIO_URL`, `MODEL_DIR`, …). A settings file names
them in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pt4al_backend.configuration.setting_sources import Sources
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_type import LabelType
from pt4al_backend.sampling.orders import OLDER_NAMES, Order


def _also(name: str) -> AliasChoices:
    """Accept `PT4AL_<name>` first, then the ecosystem's own `<name>`."""
    return AliasChoices(f"PT4AL_{name}", name)


@dataclass(frozen=True)
class Method:
    """How images are chosen and learnt, each setting by its own name, none of them `auto`."""

    order: Order
    uncertainty: str
    diversity: str
    init: str
    refits: bool
    """Whether answers come from the last layer as refitted to every label, or as trained with the network."""


METHODS = {
    "fast": Method(order="round_robin", uncertainty="margin", diversity="gradients", init="pretext", refits=True),
    # The published main task starts from random weights in every round, and its query is settled with the round.
    "paper": Method(order="hard_first", uncertainty="confidence", diversity="off", init="scratch", refits=False),
}


_REASONS = {
    "bool": "true or false",
    "int": "a whole number",
    "finite": "a whole number",
    "float": "a number",
    "string": "text",
    "path": "a path",
    "literal_error": "one of {expected}",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "less than {lt:g}",
}
"""What a value has to be, by pydantic's type of error or the first word of that."""


class Settings(BaseSettings):
    """Where Label Studio is, where state lives, and how PT4AL chooses."""

    model_config = SettingsConfigDict(env_prefix="PT4AL_", populate_by_name=True, extra="ignore", frozen=True)

    # Connections
    label_studio_url: str = Field(
        "",
        validation_alias=_also("LABEL_STUDIO_URL"),
        description="Address of Label Studio as this backend reaches it. Empty: taken from each /setup. "
        "`http://user:password@host` if a proxy in front of it asks for a password.",
    )
    label_studio_login: SecretStr = Field(
        SecretStr(""), description="That `user:password`, if you do not want it in the address."
    )
    label_studio_api_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=_also("LABEL_STUDIO_API_KEY"),
        description="Personal access token (or legacy token) for LABEL_STUDIO_URL; sent nowhere else.",
    )
    label_studio_link: str = Field(
        "", description="Address of Label Studio in a browser, for the dashboard's links. Empty: LABEL_STUDIO_URL."
    )
    host: str = Field("0.0.0.0", description="Address the web server listens on.")
    port: int = Field(9090, validation_alias=_also("PORT"), ge=1, le=65535, description="Port of the web server.")
    allowed_hosts: str = Field(
        "",
        description="Host names, separated by commas, that the backend answers to besides IP addresses, names without "
        "a dot and local names; `.example.com` is every name below it, `*` any. Empty: any if a password is set.",
    )
    basic_auth_user: str = Field(
        "", validation_alias=_also("BASIC_AUTH_USER"), description="User name every page but /health asks for."
    )
    basic_auth_pass: SecretStr = Field(
        SecretStr(""), validation_alias=_also("BASIC_AUTH_PASS"), description="Password that goes with it."
    )

    # State
    data_dir: Path = Field(
        Path("pt4al-data"),
        validation_alias=AliasChoices("PT4AL_DATA_DIR", "MODEL_DIR"),
        description="The one directory for database, decoded images and networks.",
    )
    database_url: str = Field(
        "",
        description="SQLAlchemy URL, such as postgresql+psycopg://user:password@host/name (needs the package psycopg). "
        "Empty: SQLite in the data directory.",
    )

    # The method
    preset: Literal["fast", "paper"] = Field(
        "fast",
        description="`fast`: good accuracy with a short wait on this machine; `paper`: the protocol as published "
        "(see docs/how-it-works.md).",
    )
    strategy: str = Field(
        "pt4al",
        description="What chooses the images. All but `pt4al` look at the whole pool in every round and are there "
        "for comparison. `bandit` chooses the batch too; `coreset` and `typiclust` need scikit-activeml. Other "
        "packages can bring more (see CONTRIBUTING.md).",
    )
    order: Literal["auto", Order] = Field(
        "auto",
        description="How the sorted pool is cut into batches, and which comes next. `hard_first` is the paper's; "
        "`auto`: that with `strategy=bandit`, else the preset's.",
    )
    uncertainty: Literal["auto", "confidence", "margin", "entropy"] = Field(
        "auto",
        description="What makes an image uncertain. `confidence` is the paper's; `auto`: that with `paper`, `margin` "
        "with `fast`, and `entropy` with both for labels that do not exclude one another (their mean) and for "
        "segmentation (the pixels' mean). With `diversity=gradients` it orders only what comes behind the query.",
    )
    diversity: Literal["auto", "off", "coverage", "gradients"] = Field(
        "auto",
        description="How a query avoids images that look alike. `auto`: `off` with `paper`; with `fast` `gradients`, "
        "and `coverage` for segmentation.",
    )
    init: Literal["auto", "pretext", "scratch", "imagenet"] = Field(
        "auto",
        description="Weights the main network starts from whenever it is trained. `scratch` is the paper's; `auto`: "
        "that with `paper`, `pretext` with `fast`.",
    )
    imagenet_weights: str = Field(
        "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors",
        description="safetensors file (path or https address) of a ResNet-18, for `init=imagenet`.",
    )
    unlabelled_pixels: Literal["background", "ignore"] = Field(
        "background",
        description="What pixels outside all regions are: a class of their own, or nothing to learn from.",
    )
    cycles: int = Field(10, ge=1, le=1000, description="Number of batches the pool is cut into.")
    query_size: int = Field(0, ge=0, description="Images to label per round. 0: a fifth of a batch, 10 to 1,000.")
    slack: int = Field(
        20, ge=1, le=1000, description="Images published after the query, so that nobody waits for a new order."
    )
    train_growth: float = Field(
        1.25,
        ge=0,
        description="Train within a round too, when the labels have grown by this factor. 0: between rounds only.",
    )
    pretext_epochs: int = Field(0, ge=0, description="Epochs of rotation training. 0: the preset's.")
    main_epochs: int = Field(0, ge=0, description="Epochs of a round's training. 0: the preset's.")
    seed: int = Field(0, ge=0, description="Same seed, same images, same machine: same batches.")
    image_size: int = Field(
        0, ge=0, le=512, description="Side in pixels of the images in training. 0: chosen by their size."
    )
    device: str = Field("auto", description="`auto`, `cpu`, `cuda`, `cuda:1`, …")

    # Label Studio
    preannotate: bool = Field(True, description="Publish the model's prediction with every image.")
    least_region: float = Field(
        0.001, ge=0, lt=1, description="Predicted regions smaller than this fraction of the image are dropped."
    )
    set_sampling: bool = Field(True, description="Set the project's task order to uncertainty sampling.")
    predict_wait: float = Field(10.0, ge=0, le=90, description="Seconds /predict waits for the newest labels.")
    poll_interval: float = Field(1.5, gt=0, description="Seconds between two checks of an active project.")
    idle_interval: float = Field(8.0, gt=0, description="Seconds between two checks of an idle project, at most.")

    # Images
    fetch_workers: int = Field(8, ge=1, le=64, description="Images of a project to fetch at the same time.")
    fetch_timeout: float = Field(30.0, gt=0, description="Seconds one image may take.")
    max_image_mb: float = Field(50.0, gt=0, description="Largest image file in megabytes.")
    max_image_megapixels: float = Field(100.0, gt=0, description="Largest image in megapixels.")
    private_images: bool = Field(
        True, description="Fetch images from private addresses too. Label Studio itself is always reached."
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")

    @property
    def method(self) -> Method:
        """The method settings, with what `auto` stands for in this preset."""
        usual = METHODS[self.preset]
        if self.strategy == "bandit":  # its batches have to differ
            usual = replace(usual, order="hard_first")
        return Method(
            order=usual.order if self.order == "auto" else self.order,
            uncertainty=usual.uncertainty if self.uncertainty == "auto" else self.uncertainty,
            diversity=usual.diversity if self.diversity == "auto" else self.diversity,
            init=usual.init if self.init == "auto" else self.init,
            refits=usual.refits,
        )

    def measure(self, label_type: LabelType) -> str:
        """What makes an image uncertain where a question of this type is asked about it."""
        usual = label_type.usual_uncertainty if self.uncertainty == "auto" else ""
        return usual or self.method.uncertainty

    def diversity_for(self, *, dense: bool) -> str:
        """How a query avoids images that look alike; `dense`: where pixels are told apart.

        Gradients are those of one answer per image: of an image's mean answer they say little.
        """
        usual = self.method.diversity
        return "coverage" if dense and self.diversity == "auto" and usual == "gradients" else usual

    @model_validator(mode="before")
    @classmethod
    def _in_words_of_today(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Values that were renamed since 0.1.0, where `bandit` was an order of PT4AL's batches."""
        order = given.get("order")
        if not isinstance(order, str) or order not in OLDER_NAMES:
            return given
        strategy = given.get("strategy", "pt4al")
        strategy = "bandit" if (order, strategy) == ("bandit", "pt4al") else strategy
        return given | {"order": OLDER_NAMES[order], "strategy": strategy}

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, value: str) -> str:
        from pt4al_backend.sampling import strategies  # numpy and more, where a strategy is named at all

        names = strategies.names()
        if value not in names:
            raise ValueError(f"it has to be one of {', '.join(names[:-1])} or {names[-1]}")
        return value

    @field_validator("label_studio_url", "label_studio_link")
    @classmethod
    def _http_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("it must start with http:// or https://")
        if "@" in value.partition("://")[2].partition("/")[2]:
            raise ValueError("it must have %2F for a / in its password")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _password_apart(self) -> Settings:
        """No password is left in an address, as addresses are stored and shown."""
        for name in ("label_studio_url", "label_studio_link"):
            scheme, _, rest = getattr(self, name).partition("://")
            login, at, host = rest.rpartition("@")
            if at:
                self.__dict__[name] = f"{scheme}://{host}"
            if at and name == "label_studio_url":
                self.__dict__["label_studio_login"] = SecretStr(unquote(login))
        return self

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


def variables(name: str) -> tuple[str, ...]:
    """The environment variables that a setting is read from; the first one wins."""
    alias = Settings.model_fields[name].validation_alias
    return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (f"PT4AL_{name.upper()}",)


def sources(config: Path | None = None, **overrides: object) -> Sources:
    """What is given, and where; `PT4ALError` if a settings file cannot be read."""
    return Sources.read(
        {name: variables(name) for name in Settings.model_fields},
        {name: value for name, value in overrides.items() if value is not None},
        config,
        usual_directory=Settings.model_fields["data_dir"].default,
    )


def load_settings(config: Path | None = None, **overrides: object) -> Settings:
    """`overrides` (command-line options that are not None), then the environment, then a settings file.

    The file is `config`, or the data directory's own. Raises `PT4ALError` naming all that is wrong.
    """
    given = sources(config, **overrides)
    wrong = given.unknown_keys() + _halves(given)
    try:
        settings = Settings(**given.beside_environment())
    except ValidationError as error:
        wrong = [_problem(entry, given) for entry in error.errors()] + wrong
    else:
        if config is None and given.file is not None and given.file.parent != settings.data_dir:
            wrong.append(f"{given.file} sets data_dir to another directory: move it there, or name it with --config.")
    if wrong:
        wrong += given.unknown_variables()
        head = [f"{len(wrong)} settings are wrong. Mend them and start again:"] if len(wrong) > 1 else []
        raise PT4ALError("\n  ".join(head + wrong))
    return settings


def doubts(config: Path | None = None, **overrides: object) -> list[str]:
    """A sentence for each thing that is no error and may be a mistake."""
    given = sources(config, **overrides)
    found = given.unknown_variables()
    url, key = given.get("label_studio_url"), given.get("label_studio_api_key")
    if url and not key:
        found.append("LABEL_STUDIO_URL is set without LABEL_STUDIO_API_KEY: no project can be connected so.")
    if key and not url:
        found.append("LABEL_STUDIO_API_KEY is sent nowhere without LABEL_STUDIO_URL: set both.")
    names = ("label_studio_api_key", "label_studio_login", "basic_auth_pass")
    secrets = [name for name in names if given.in_file.get(name)]
    if secrets and given.is_exposed():
        found.append(f"Others can read {given.file}, and {secrets[0]} is in it: chmod 600 keeps it private.")
    return found


def _problem(error: Mapping[str, Any], given: Sources) -> str:
    by_variable = {variable: name for name in Settings.model_fields for variable in variables(name)}
    name = str(error["loc"][0])
    return f"The setting {given.place(by_variable.get(name, name))} is wrong: {reason(error)}."


def reason(error: Mapping[str, Any]) -> str:
    """What is wrong with a value, in our words where its kind of error has some."""
    kind = error["type"]
    words = _REASONS.get(kind) or _REASONS.get(kind.partition("_")[0])
    if words is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return "it has to be " + words.format_map(error.get("ctx", {})).replace("'", "")


def _halves(given: Sources) -> list[str]:
    """A sentence where half of a user name and password is set: it would protect nothing."""
    if bool(given.get("basic_auth_user")) == bool(given.get("basic_auth_pass")):
        return []
    return ["Set BASIC_AUTH_USER and BASIC_AUTH_PASS both, or neither."]
