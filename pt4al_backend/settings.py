"""The table of all settings: name, default and meaning.

Each setting is read from the environment variable `PT4AL_<NAME>`; a few also from the variable that the Label Studio
ecosystem already uses (`LABEL_STUDIO_URL`, `MODEL_DIR`, …). A settings file names them in lower case.
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
from pt4al_backend.encoder_catalogue import BUILT_IN, ROTATION
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_type import LabelType
from pt4al_backend.sampling.orders import OLDER_NAMES, Order


def _also(name: str) -> AliasChoices:
    """Read `PT4AL_<name>` first, then the ecosystem's `<name>`."""
    return AliasChoices(f"PT4AL_{name}", name)


@dataclass(frozen=True)
class Method:
    """The settings that say how images are chosen and learned, with `auto` resolved."""

    order: Order
    uncertainty: str
    diversity: str
    init: str
    refits: bool
    """Whether predictions come from the linear probe, refitted after every label, or from the network's own head."""


METHODS = {
    "fast": Method(order="round_robin", uncertainty="margin", diversity="gradients", init="pretext", refits=True),
    # The published main task starts from random weights in every round, and its query is fixed for the round.
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
"""What a value has to be, by pydantic's type of error or the first word of that type."""


OF_PROJECT = (
    "query_size",
    "cycles",
    "strategy",
    "encoder",
    "preannotate",
    "collapse_duplicates",
    "validation",
    "target",
)
"""The settings that people may also choose for one project, on its page."""


class Settings(BaseSettings):
    """Where Label Studio is, where state is kept, and how PT4AL chooses images."""

    model_config = SettingsConfigDict(env_prefix="PT4AL_", populate_by_name=True, extra="ignore", frozen=True)

    # Connections
    label_studio_url: str = Field(
        "",
        validation_alias=_also("LABEL_STUDIO_URL"),
        description="Address at which this backend reaches Label Studio. Empty: taken from each /setup. "
        "`http://user:password@host` if a proxy in front of it asks for a password.",
    )
    label_studio_login: SecretStr = Field(
        SecretStr(""), description="The `user:password` for that proxy, if you do not want it in the address."
    )
    label_studio_api_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=_also("LABEL_STUDIO_API_KEY"),
        description="Personal access token (or legacy token) for LABEL_STUDIO_URL; sent nowhere else.",
    )
    label_studio_link: str = Field(
        "", description="Address of Label Studio in your browser, for the dashboard's links. Empty: LABEL_STUDIO_URL."
    )
    host: str = Field("0.0.0.0", description="Address the web server listens on.")
    port: int = Field(9090, validation_alias=_also("PORT"), ge=1, le=65535, description="Port of the web server.")
    allowed_hosts: str = Field(
        "",
        description="Comma-separated host names that the backend answers to, besides IP addresses, names without "
        "a dot and local names. `.example.com`: every name below it; `*`: any name. Empty: any if a password is set.",
    )
    basic_auth_user: str = Field(
        "", validation_alias=_also("BASIC_AUTH_USER"), description="User name that every page except /health asks for."
    )
    basic_auth_pass: SecretStr = Field(
        SecretStr(""), validation_alias=_also("BASIC_AUTH_PASS"), description="Password of BASIC_AUTH_USER."
    )

    # State
    data_dir: Path = Field(
        Path("pt4al-data"),
        validation_alias=AliasChoices("PT4AL_DATA_DIR", "MODEL_DIR"),
        description="The directory for the database, decoded images and networks.",
    )
    database_url: str = Field(
        "",
        description="SQLAlchemy URL, such as postgresql+psycopg://user:password@host/name (needs the extra "
        "`postgresql`). Empty: SQLite in the data directory.",
    )

    # The method
    preset: Literal["fast", "paper"] = Field(
        "fast",
        description="`fast`: good accuracy with a short wait on this machine; `paper`: the protocol as published "
        "(see docs/how-it-works.md).",
    )
    strategy: str = Field(
        "auto",
        description="The query strategy. `auto`: with a pretrained encoder `balanced` (`maxherding` for segmentation), "
        "otherwise and with the preset `paper` `pt4al`. All except `pt4al` query the whole pool in every round. "
        "`bandit` also chooses the batch; `coreset`, `typiclust` and `tcm` need scikit-activeml. Other packages can "
        "add more (see CONTRIBUTING.md).",
    )
    encoder: str = Field(
        "auto",
        min_length=1,
        description="The network that turns images into embeddings. `rotation`: trained on the project's own images; "
        "`efficientnet_lite0`: pretrained and built in; any other name: a pretrained network of timm, downloaded once; "
        "or a safetensors file with one (see docs/encoders.md). `auto`: `efficientnet_lite0` with `fast`, `rotation` "
        "with `paper`.",
    )
    fine_tune: bool = Field(
        True,
        description="In the background, train the last blocks of a pretrained encoder on the labels, too. What comes "
        "of it serves only if it is better in a cross-validation (see docs/encoders.md).",
    )
    offline: bool = Field(False, description="Never download weights of networks.")
    order: Literal["auto", Order] = Field(
        "auto",
        description="How the sorted pool is cut into batches, and which batch comes next. `hard_first` is the paper's; "
        "`auto`: `hard_first` with `strategy=bandit`, otherwise the preset's.",
    )
    uncertainty: Literal["auto", "confidence", "margin", "entropy"] = Field(
        "auto",
        description="How uncertainty is measured. `confidence` is the paper's; `auto`: `confidence` with `paper`, "
        "`margin` with `fast`, and `entropy` with both for multiple choice (the mean over labels) and segmentation "
        "(the mean over pixels). With `diversity=gradients` it only orders the images after the query.",
    )
    diversity: Literal["auto", "off", "coverage", "gradients"] = Field(
        "auto",
        description="How near-duplicates are kept out of a query. `auto`: `off` with `paper`; with `fast` "
        "`gradients`, and `coverage` for segmentation.",
    )
    collapse_duplicates: bool = Field(
        True,
        description="Of images that are near-duplicates of one another, ask for one; the others wait until nothing "
        "else is left. Needs a pretrained encoder.",
    )
    init: Literal["auto", "pretext", "scratch", "imagenet"] = Field(
        "auto",
        description="Initial weights of the main network in every training. `scratch` is the paper's; `auto`: "
        "`scratch` with `paper`, `pretext` with `fast`. Unused with a pretrained encoder.",
    )
    imagenet_weights: str = Field(
        "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors",
        description="safetensors file (path or https address) of a ResNet-18, for `init=imagenet`.",
    )
    unlabelled_pixels: Literal["background", "ignore"] = Field(
        "background",
        description="What pixels outside all regions are: a class of their own, or excluded from training.",
    )
    cycles: int = Field(10, ge=1, le=1000, description="Number of batches that the pool is cut into.")
    query_size: int = Field(
        0, ge=0, le=1_000_000, description="Images to label per round. 0: a fifth of a batch, 10 to 1,000."
    )
    slack: int = Field(
        20, ge=1, le=1000, description="Images published after the query as a buffer, so that nobody has to wait."
    )
    train_growth: float = Field(
        1.25,
        ge=0,
        description="Also train the main network within a round once the labels have grown by this factor. 0: between "
        "rounds only. Unused with a pretrained encoder.",
    )
    pretext_epochs: int = Field(0, ge=0, description="Epochs of the pretext network. 0: the preset's.")
    main_epochs: int = Field(
        0,
        ge=0,
        description="Epochs of a training of the main network. 0: the preset's. Unused with a pretrained encoder.",
    )
    seed: int = Field(
        0,
        ge=0,
        description="The same seed, images, machine and number of threads (OMP_NUM_THREADS) give the same batches. "
        "With another number of threads, sums are rounded differently.",
    )
    image_size: int = Field(
        0,
        ge=0,
        le=512,
        description="Side in pixels of the images in training. 0: chosen by their size and the device.",
    )
    device: str = Field("auto", description="`auto`, `cpu`, `cuda`, `cuda:1`, …")

    # What people are told
    validation: float = Field(
        0.05,
        ge=0,
        le=0.5,
        description="Part of the labels that measures the model and is never trained on: random images that are put "
        "into the queue once there are 200 labels. 0: none; the model is then cross-validated on its labels.",
    )
    target: float = Field(
        0,
        ge=0,
        le=100,
        description="The accuracy in per cent that the labels are for (mean IoU for segmentation): the dashboard says "
        "how many labels are left to it. 0: none.",
    )

    # Label Studio
    preannotate: bool = Field(True, description="Publish the model's prediction with every image.")
    least_region: float = Field(
        0.001, ge=0, lt=1, description="Predicted regions smaller than this fraction of the image are dropped."
    )
    set_sampling: bool = Field(True, description="Set the project's task order to Uncertainty sampling.")
    predict_wait: float = Field(
        10.0, ge=0, le=90, description="Seconds that /predict waits for the newest labels to count."
    )
    poll_interval: float = Field(1.5, gt=0, description="Seconds between two checks of an active project.")
    idle_interval: float = Field(8.0, gt=0, description="Seconds between two checks of an idle project, at most.")

    # Images
    fetch_workers: int = Field(8, ge=1, le=64, description="Images of a project that are fetched at the same time.")
    fetch_timeout: float = Field(30.0, gt=0, description="Time limit for fetching one image, in seconds.")
    max_image_mb: float = Field(50.0, gt=0, description="Largest image file in megabytes.")
    max_image_megapixels: float = Field(100.0, gt=0, description="Largest image in megapixels.")
    private_images: bool = Field(
        True, description="Also fetch images from private addresses. Label Studio itself may always have one."
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")

    def of_project(self, own: Mapping[str, Any]) -> Settings:
        """These settings with those that people chose for one project in their place.

        Args:
            own: name of a setting in `OF_PROJECT` -> value.

        Raises:
            PT4ALError: a value is wrong, or not for a project to choose; the sentence names all of them.
        """
        if not own:
            return self
        problems = [f"{name} cannot be set for one project." for name in own if name not in OF_PROJECT]
        try:
            chosen = Settings(**self.model_dump() | dict(own))
        except ValidationError as errors:
            problems += [f"{error['loc'][0]}: {reason(error)}." for error in errors.errors()]
        if problems:
            raise PT4ALError(" ".join(problems))
        return chosen

    @property
    def method(self) -> Method:
        """The method settings, with `auto` resolved for this preset."""
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

    @property
    def pretrained(self) -> str | None:
        """Name of the pretrained encoder, with `auto` resolved; None: the project's own networks are used."""
        if self.encoder == "auto":
            return BUILT_IN if self.preset == "fast" else None
        return None if self.encoder == ROTATION else self.encoder

    def strategy_for(self, *, dense: bool, pretrained: bool) -> str:
        """The name of the query strategy, with `auto` resolved.

        Args:
            dense: for a label type with a class per pixel.
            pretrained: with a pretrained encoder, not one that is learned on the project's own images.
        """
        if self.strategy != "auto":
            return self.strategy
        if self.preset == "paper" or not pretrained:
            return "pt4al"
        return "maxherding" if dense else "balanced"

    def measure(self, label_type: LabelType) -> str:
        """How uncertainty is measured for a question of this type."""
        usual = label_type.usual_uncertainty if self.uncertainty == "auto" else ""
        return usual or self.method.uncertainty

    def diversity_for(self, *, dense: bool) -> str:
        """How near-duplicates are kept out of a query; `dense`: of a label type with a class per pixel.

        Gradients describe one answer per image; those of the mean over an image's pixels say little.
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
        strategy = given.get("strategy", "auto")
        strategy = "bandit" if order == "bandit" and strategy in ("auto", "pt4al") else strategy
        return given | {"order": OLDER_NAMES[order], "strategy": strategy}

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, value: str) -> str:
        from pt4al_backend.sampling import strategies  # numpy and more, where a strategy is named at all

        if value != "auto" and value not in strategies.STRATEGIES and value not in strategies.names():
            *names, last = "auto", *strategies.names()
            raise ValueError(f"it has to be one of {', '.join(names)} or {last}")
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
        """Move a password out of the addresses, which are stored and shown."""
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
    """The values that were given, by source. `PT4ALError` if the settings file cannot be read."""
    return Sources.read(
        {name: variables(name) for name in Settings.model_fields},
        {name: value for name, value in overrides.items() if value is not None},
        config,
        usual_directory=Settings.model_fields["data_dir"].default,
    )


def load_settings(config: Path | None = None, **overrides: object) -> Settings:
    """Read all settings: `overrides` win over the environment, the environment over a settings file.

    Args:
        config: the settings file; None: that of the data directory, if it exists.
        overrides: command-line options; those that are None do not count.

    Raises:
        PT4ALError: something is wrong; the text names all of it.
    """
    values = sources(config, **overrides)
    problems = values.unknown_keys() + _incomplete_login(values)
    try:
        settings = Settings(**values.beside_environment())
    except ValidationError as error:
        problems = [_problem(entry, values) for entry in error.errors()] + problems
    else:
        if config is None and values.file is not None and values.file.parent != settings.data_dir:
            problems.append(
                f"{values.file} sets data_dir to another directory: move it there, or name it with --config."
            )
    if problems:
        problems += values.unknown_variables()
        head = [f"{len(problems)} settings are wrong. Fix them and restart:"] if len(problems) > 1 else []
        raise PT4ALError("\n  ".join(head + problems))
    return settings


def doubts(config: Path | None = None, **overrides: object) -> list[str]:
    """One sentence for each setting that is valid and may still be a mistake."""
    values = sources(config, **overrides)
    sentences = values.unknown_variables()
    url, key = values.get("label_studio_url"), values.get("label_studio_api_key")
    if url and not key:
        sentences.append("LABEL_STUDIO_URL is set without LABEL_STUDIO_API_KEY: no project can be connected. Set both.")
    if key and not url:
        sentences.append("LABEL_STUDIO_API_KEY is not used without LABEL_STUDIO_URL: set both.")
    names = ("label_studio_api_key", "label_studio_login", "basic_auth_pass")
    secrets = [name for name in names if values.in_file.get(name)]
    if secrets and values.is_exposed():
        sentences.append(f"Other users can read {values.file}, which holds {secrets[0]}: run chmod 600 on it.")
    return sentences


def _problem(error: Mapping[str, Any], values: Sources) -> str:
    by_variable = {variable: name for name in Settings.model_fields for variable in variables(name)}
    name = str(error["loc"][0])
    return f"The setting {values.place(by_variable.get(name, name))} is wrong: {reason(error)}."


def reason(error: Mapping[str, Any]) -> str:
    """What is wrong with a value, in plain words if `_REASONS` has some for its type of error."""
    kind = error["type"]
    words = _REASONS.get(kind) or _REASONS.get(kind.partition("_")[0])
    if words is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return "it has to be " + words.format_map(error.get("ctx", {})).replace("'", "")


def _incomplete_login(values: Sources) -> list[str]:
    """A sentence if only the user name or only the password is set, which would protect nothing."""
    if bool(values.get("basic_auth_user")) == bool(values.get("basic_auth_pass")):
        return []
    return ["Set both BASIC_AUTH_USER and BASIC_AUTH_PASS, or neither."]
