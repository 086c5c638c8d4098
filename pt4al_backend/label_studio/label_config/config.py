"""Label configs: what a project asks, what its annotations answer, how a guess of ours is written.

PT4AL learns what is asked about one `<Image>` with `<Choices>`, `<BrushLabels>` and `<PolygonLabels>`.
Everything else in a config is left alone. Errors are plain ASCII sentences, because Label Studio's connect form
shows them from an HTTP reason phrase (fact 18).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.annotations import AnnotationReader
from pt4al_backend.label_studio.label_config.choices import CHOICES
from pt4al_backend.label_studio.label_config.class_control import ClassQuestion
from pt4al_backend.label_studio.label_config.control import Control, Learnable, Result
from pt4al_backend.label_studio.label_config.region_control import Regions
from pt4al_backend.label_studio.label_config.regions import KINDS
from pt4al_backend.label_studio.label_config.tags import Tag, ascii_text
from pt4al_backend.labelling.questions import Answers, Prediction, Question

UNNAMED_KEY = "$undefined$"  # where Label Studio keeps files that were uploaded before there was a config

LONGEST_JSON = 200  # letters of an image's value that is no text; it is only told of

_KEY = re.compile(r"\$([^\s${}]+)")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class LabelConfig:
    """What is asked about one image.

    Classes are the answers as Label Studio stores them (an alias where there is one), in the config's order.
    """

    image: str
    image_key: str
    asked: tuple[Control, ...]
    """The controls that are learnt, one for each question."""
    ignored: tuple[str, ...] = ()
    """A sentence for each control that PT4AL does not learn from."""
    controls: frozenset[str] = frozenset()
    """Names of all controls, learnt or not."""
    draws: bool = False
    """Whether annotations may hold drawings, learnt or not: a painted photo may take a megabyte."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is learnt."""
        return tuple(control.question for control in self.asked)

    def image_of(self, data: Any) -> str:
        """The image's value in a task's data: a path or URL, "" if there is none; what is no text, as JSON."""
        value = data.get(self.image_key) if isinstance(data, Mapping) else None
        if value is None:
            value = _dig(data, self.image_key)
        if value is None and isinstance(data, Mapping):
            value = data.get(UNNAMED_KEY)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value is None or isinstance(value, str) or value in ([], {}):
            return _storable(value or "")
        return _as_json(value)[:LONGEST_JSON]

    def answers(self, annotations: Sequence[Any], faults: list[str] | None = None) -> Answers:
        """What a task's annotations answer; a sentence for whatever of them cannot be used goes to `faults`.

        `single`: the class most of them chose, the newest of those that tie. `multiple`: the same for each
        class. `segmentation`: the newest that answers it. Where some that answer are ground truth, only those count.
        Cancelled annotations do not count, nor do classes that the config does not have (any more).

        What an annotation leaves empty is answered (none of the classes, no region) only where nothing else is
        learnt, and where the annotation has no results of other controls: who drew only boxes said nothing about masks.

        Annotations may hold any JSON: one that cannot be read is left out.
        """
        reader = AnnotationReader(self.asked, self.controls)
        return reader.answers(annotations, [] if faults is None else faults)

    def result(
        self, guesses: Mapping[str, Prediction], *, width: int = 0, height: int = 0, least_region: float = 0.0
    ) -> list[Result]:
        """Guesses, by name of the question, as the `result` of a prediction; each has its probability as score.

        Masks need the size of the upright image in pixels, else they are left out. So are regions smaller than
        `least_region`, a share of the image, and classes that the config does not have (any more).
        """
        found: list[Result] = []
        size = {"width": width, "height": height}
        for control in self.asked:
            guess = guesses.get(control.question.name)
            if guess is not None:
                found += control.result(guess, image=self.image, **size, least_region=least_region)
        return found


def parse_config(label_config: str) -> LabelConfig:
    """The questions that a label config asks.

    Raises `UnsupportedConfigError`, one ASCII sentence that says what to change.
    """
    tags = [Tag.of(element) for element in _parse_xml(label_config).iter()]
    image, image_key = _image(tags)
    names = {tag.name for tag in tags if tag.target is not None}
    controls = [tag for tag in tags if tag.target is not None and tag.target not in names]  # a Filter asks nothing
    learnt: list[tuple[Tag, Control]] = []
    ignored: list[str] = []
    flaws: list[UnsupportedConfigError] = []
    for tag in controls:
        if tag.is_about_parts:
            continue
        if tag.target != image or tag.kind not in LEARNT:
            ignored.append(str(tag.not_learnt()))
            continue
        try:
            learnt.append((tag, LEARNT[tag.kind].of(tag)))
        except UnsupportedConfigError as flaw:
            flaws.append(flaw)
            ignored.append(str(flaw))
    if len(learnt) > 1:
        boxes = [
            tag for tag, control in learnt if isinstance(control, ClassQuestion) and len(control.question.classes) == 1
        ]
        learnt = [(tag, control) for tag, control in learnt if tag not in boxes]
        flaws += [tag.not_learnt(NEVER_NO) for tag in boxes]
        ignored += [str(tag.not_learnt(NEVER_NO)) for tag in boxes]
    asked: list[Control] = []
    by_class = sorted((control for _, control in learnt), key=_place)
    for _, of_a_class in itertools.groupby(by_class, key=type):
        together = list(of_a_class)
        asked += together[0].joined(together)
    if not asked:
        raise flaws[0] if flaws else UnsupportedConfigError(_why_nothing(controls, image))
    draws = any(kind in tag.kind for tag in tags for kind in DRAWN)
    return LabelConfig(image, image_key, tuple(asked), tuple(ignored), frozenset(names), draws)


def _place(control: Control) -> tuple[bool, str]:
    """Questions about regions come last, those that may be joined beside one another."""
    return control.question.label_type.has_regions, type(control).__name__


STAYS = "What is labelled stays."
NEVER_NO = "beside other questions its only Choice is never answered with no, add one for that"
DRAWN = ("brush", "bitmask", "polygon")
"""What kinds of controls with many points or pixels have in their names."""
LEARNT: dict[str, Learnable] = {
    CHOICES.kind: CHOICES,
    **dict.fromkeys(KINDS, Regions),
}
"""The controls there are, by their tags in lower case."""


MOST_TEXT = 1_000_000
"""Characters of a label config: room for some 20,000 classes."""


def _parse_xml(label_config: str) -> ElementTree.Element:
    if len(label_config) > MOST_TEXT:
        raise UnsupportedConfigError(f"The label config has more than {MOST_TEXT:,} characters: make it shorter.")
    text = label_config.strip()
    if not text:
        raise UnsupportedConfigError("The project has no labeling interface yet: add an Image tag and a Choices tag.")
    if "<!DOCTYPE" in text:  # entities, and so bombs made of them, can be declared nowhere else
        raise UnsupportedConfigError("The label config has a DOCTYPE: remove it, PT4AL does not read those.")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise UnsupportedConfigError("The label config is not valid XML: mend it in Labeling Interface.") from None


def _image(tags: Sequence[Tag]) -> tuple[str, str]:
    """Name of the only Image and the task's key that its value comes from."""
    images = [tag for tag in tags if tag.kind == "image"]
    if not images:
        raise UnsupportedConfigError('PT4AL needs an Image tag with value="$image": the label config has none.')
    if len(images) > 1:
        raise UnsupportedConfigError(
            f"PT4AL learns from one Image tag per task, and the label config has {len(images)}: "
            "make a project of its own for one of them. Here everything can stay."
        )
    (tag,) = images
    if "valuelist" in tag.attributes:
        raise UnsupportedConfigError(
            "PT4AL learns from one image per task: import each as a task of its own, into a project whose Image tag "
            "has value, not valueList."
        )
    key = _KEY.fullmatch(tag.attributes.get("value", "").strip())
    if key is None:
        raise UnsupportedConfigError(
            "PT4AL needs each image's whole address in the task data, and its task key alone as value of the Image "
            'tag, such as value="$image".'
        )
    if not tag.name:
        raise UnsupportedConfigError('PT4AL needs a name on the Image tag: add name="image".')
    return tag.name, key.group(1)


def _why_nothing(controls: Sequence[Tag], image: str) -> str:
    of_a_kind = [tag for tag in controls if tag.kind in LEARNT]
    if any(tag.target == image for tag in of_a_kind):
        return (
            "PT4AL learns labels of whole images, and this Choices tag is about regions (perRegion): "
            f"add another Choices tag beside it, without perRegion. {STAYS}"
        )
    if of_a_kind:
        return (
            f"PT4AL needs a question about the image: add another {ascii_text(of_a_kind[0].element.tag)} tag "
            f"beside those there are, with the name of the Image tag as its toName. {STAYS}"
        )
    others = ", ".join(sorted({ascii_text(tag.element.tag) for tag in controls})[:3])
    if others:
        return (
            f"PT4AL does not learn from {others}: add a Choices, BrushLabels or PolygonLabels tag on the image beside "
            f"that, and it orders the images by it. {STAYS}"
        )
    return "PT4AL needs a Choices, BrushLabels or PolygonLabels tag on the image: the label config has none."


def _as_json(value: Any) -> str:
    """Of what is inside a list or an object only as much as shows that it is one: it may be nested deeply."""
    if isinstance(value, list):
        return json.dumps([each if isinstance(each, str) else None for each in value])
    return json.dumps(dict.fromkeys(value) if isinstance(value, dict) else value)


def _storable(text: str) -> str:
    """Without what no database takes as text: halves of surrogate pairs, which JSON can spell, and zeros."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _dig(data: Any, path: str) -> Any:
    """`photo.files[0]` or `photo.files.0` inside nested task data; None where a step is missing."""
    for name, index in _STEP.findall(path):
        if isinstance(data, list) and name.isdecimal():
            index = name
        if index:
            data = data[int(index)] if isinstance(data, list) and int(index) < len(data) else None
        else:
            data = data.get(name) if isinstance(data, Mapping) else None
    return data
