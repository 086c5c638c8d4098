"""Label configs: the questions of a project, the answers in its annotations, and the results of predictions.

PT4AL learns from the controls in `CONTROLS` that ask about the one `<Image>`; it ignores everything else in a config.
Errors are plain ASCII sentences, because Label Studio's form for connecting a model shows them from an HTTP reason
phrase (fact 18).
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
from pt4al_backend.label_studio.label_config.control import Control, ControlKind, Result
from pt4al_backend.label_studio.label_config.region_control import Regions
from pt4al_backend.label_studio.label_config.regions import KINDS
from pt4al_backend.label_studio.label_config.tags import Tag, ascii_text
from pt4al_backend.labelling.questions import Answers, Judgement, Prediction, Question

UNNAMED_KEY = "$undefined$"
"""Label Studio's key for files that were uploaded before there was a label config."""
LONGEST_JSON = 200
"""Characters that are kept of an image value that is not text; they only appear in a message."""

_KEY = re.compile(r"\$([^\s${}]+)")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class LabelConfig:
    """The questions about one image.

    Their classes are named as Label Studio stores answers (by the alias if there is one), in the config's order.
    """

    image: str
    """The name of the Image tag."""
    image_key: str
    """The key of the task data that holds the image."""
    controls: tuple[Control, ...]
    """The controls that PT4AL learns from, one per question."""
    ignored: tuple[str, ...] = ()
    """One sentence for each control that PT4AL does not learn from."""
    control_names: frozenset[str] = frozenset()
    """Names of all controls, also of those that PT4AL does not learn from."""
    draws: bool = False
    """Whether annotations may contain drawings of any control: a painted photo may take a megabyte."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions that PT4AL learns to answer."""
        return tuple(control.question for control in self.controls)

    def image_of(self, data: Any) -> str:
        """The image value in a task's data: a path or URL, "" if there is none, JSON if it is not text."""
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
        """The answers in a task's annotations, by name of the question.

        A `single` question is answered by the majority, the newest class among those that tie; a `multiple` question by
        the majority for each class; a `segmentation` question by the newest annotation that answers it. If any ground
        truth answers a question, only ground truths count. Cancelled annotations and classes that the config does not
        have (any more) never count.

        An empty annotation is an answer (none of the classes, no region) only if there is no other question and the
        annotation has no results of other controls: an annotator who drew only boxes said nothing about masks.

        Args:
            annotations: any JSON. Annotations that cannot be read are left out.
            faults: one sentence for everything unusable is added to this list.
        """
        reader = AnnotationReader(self.controls, self.control_names)
        return reader.answers(annotations, [] if faults is None else faults)

    def judgements(self, annotations: Sequence[Any]) -> tuple[Judgement, ...]:
        """What each annotation that counts says by itself, and who made it, oldest first; see `answers`."""
        return AnnotationReader(self.controls, self.control_names).judgements(annotations)

    def result(
        self, predictions: Mapping[str, Prediction], *, width: int = 0, height: int = 0, least_region: float = 0.0
    ) -> list[Result]:
        """The `result` of a prediction in Label Studio, with each prediction's probability as its score.

        Left out are regions smaller than `least_region`, and classes that the config does not have (any more).

        Args:
            predictions: by name of the question.
            width: of the upright image in pixels. Without a size, masks are left out.
            height: likewise.
            least_region: a fraction of the image.
        """
        results: list[Result] = []
        size = {"width": width, "height": height}
        for control in self.controls:
            prediction = predictions.get(control.question.name)
            if prediction is not None:
                results += control.result(prediction, image=self.image, **size, least_region=least_region)
        return results

    def results_of(self, answers: Answers, *, width: int = 0, height: int = 0) -> list[Result]:
        """The `result` of an annotation that gives these answers.

        Left out are classes and regions that the config has no control for (any more).

        Args:
            answers: by name of the question; regions as they are stored.
            width: of the upright image in pixels; 0 if unknown.
            height: likewise.
        """
        results: list[Result] = []
        for control in self.controls:
            if (answer := answers.get(control.question.name)) is not None:
                results += control.written(answer, image=self.image, width=width, height=height)
        return results


def parse_config(label_config: str) -> LabelConfig:
    """Read a label config, given as XML.

    Raises:
        UnsupportedConfigError: PT4AL can learn nothing from it; one ASCII sentence says what to change.
    """
    tags = [Tag.of(element) for element in _parse_xml(label_config).iter()]
    image, image_key = _image(tags)
    names = {tag.name for tag in tags if tag.target is not None}
    control_tags = [tag for tag in tags if tag.target is not None and tag.target not in names]  # not those of a Filter
    learned: list[tuple[Tag, Control]] = []
    ignored: list[str] = []
    flaws: list[UnsupportedConfigError] = []
    for tag in control_tags:
        if tag.is_about_parts:
            continue
        if tag.target != image or tag.kind not in CONTROLS:
            ignored.append(str(tag.not_learned()))
            continue
        try:
            learned.append((tag, CONTROLS[tag.kind].of(tag)))
        except UnsupportedConfigError as flaw:
            flaws.append(flaw)
            ignored.append(str(flaw))
    if len(learned) > 1:
        boxes = [
            tag for tag, control in learned if isinstance(control, ClassQuestion) and len(control.question.classes) == 1
        ]
        learned = [(tag, control) for tag, control in learned if tag not in boxes]
        flaws += [tag.not_learned(NEVER_NO) for tag in boxes]
        ignored += [str(tag.not_learned(NEVER_NO)) for tag in boxes]
    controls: list[Control] = []
    by_class = sorted((control for _, control in learned), key=_place)
    for _, group in itertools.groupby(by_class, key=type):
        same_class = list(group)
        controls += same_class[0].joined(same_class)
    if not controls:
        raise flaws[0] if flaws else UnsupportedConfigError(_why_nothing(control_tags, image))
    draws = any(kind in tag.kind for tag in tags for kind in DRAWN)
    return LabelConfig(image, image_key, tuple(controls), tuple(ignored), frozenset(names), draws)


def _place(control: Control) -> tuple[bool, str]:
    """A sort key: questions about regions come last, and controls of one class, which may be joined, are neighbours."""
    return control.question.label_type.has_regions, type(control).__name__


STAYS = "Existing labels stay."
NEVER_NO = "with other questions its only Choice is never answered with no, add a Choice for that"
DRAWN = ("brush", "bitmask", "polygon")
"""Parts of the names of controls whose results have many points or pixels."""
CONTROLS: dict[str, ControlKind] = {
    CHOICES.kind: CHOICES,
    **dict.fromkeys(KINDS, Regions),
}
"""The controls that PT4AL learns from, by their tags in lower case."""


MOST_TEXT = 1_000_000
"""Characters of a label config: enough for some 20,000 classes."""


def _parse_xml(label_config: str) -> ElementTree.Element:
    if len(label_config) > MOST_TEXT:
        raise UnsupportedConfigError(f"The label config has more than {MOST_TEXT:,} characters: make it shorter.")
    text = label_config.strip()
    if not text:
        raise UnsupportedConfigError("The project has no labeling interface yet: add an Image tag and a Choices tag.")
    if "<!DOCTYPE" in text:  # only there can entities be declared, and so entity bombs
        raise UnsupportedConfigError("The label config has a DOCTYPE, which PT4AL does not read: remove it.")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise UnsupportedConfigError("The label config is not valid XML: fix it under Labeling Interface.") from None


def _image(tags: Sequence[Tag]) -> tuple[str, str]:
    """The name of the only Image tag, and the key of the task data that its value comes from."""
    images = [tag for tag in tags if tag.kind == "image"]
    if not images:
        raise UnsupportedConfigError('PT4AL needs an Image tag with value="$image": the label config has none.')
    if len(images) > 1:
        raise UnsupportedConfigError(
            f"PT4AL learns from one Image tag per task, but the label config has {len(images)}: "
            "make a separate project for one of them. This project can stay as it is."
        )
    (tag,) = images
    if "valuelist" in tag.attributes:
        raise UnsupportedConfigError(
            "PT4AL learns from one image per task: import each image as a separate task, into a project whose Image "
            "tag has value, not valueList."
        )
    key = _KEY.fullmatch(tag.attributes.get("value", "").strip())
    if key is None:
        raise UnsupportedConfigError(
            "PT4AL needs each image's whole address in the task data, and only its task key as the value of the "
            'Image tag, such as value="$image".'
        )
    if not tag.name:
        raise UnsupportedConfigError('PT4AL needs a name on the Image tag: add name="image".')
    return tag.name, key.group(1)


def _why_nothing(control_tags: Sequence[Tag], image: str) -> str:
    learnable = [tag for tag in control_tags if tag.kind in CONTROLS]
    if any(tag.target == image for tag in learnable):
        return (
            "PT4AL learns labels of whole images, but this Choices tag is about regions (perRegion): "
            f"add another Choices tag next to it, without perRegion. {STAYS}"
        )
    if learnable:
        return (
            f"PT4AL needs a question about the image: add another {ascii_text(learnable[0].element.tag)} tag "
            f"next to the existing ones, with the name of the Image tag as its toName. {STAYS}"
        )
    others = ", ".join(sorted({ascii_text(tag.element.tag) for tag in control_tags})[:3])
    if others:
        return (
            f"PT4AL does not learn from {others}: add a Choices, BrushLabels or PolygonLabels tag on the image, "
            f"and PT4AL orders the images by it. {STAYS}"
        )
    return "PT4AL needs a Choices, BrushLabels or PolygonLabels tag on the image: the label config has none."


def _as_json(value: Any) -> str:
    """The JSON of a value, without the contents of nested lists and objects, which may be deep."""
    if isinstance(value, list):
        return json.dumps([each if isinstance(each, str) else None for each in value])
    return json.dumps(dict.fromkeys(value) if isinstance(value, dict) else value)


def _storable(text: str) -> str:
    """The text without characters that no database stores: halves of surrogate pairs, which JSON allows, and nulls."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _dig(data: Any, path: str) -> Any:
    """The value at a path such as `photo.files[0]` or `photo.files.0` of nested task data; None if there is none."""
    for name, index in _STEP.findall(path):
        if isinstance(data, list) and name.isdecimal():
            index = name
        if index:
            data = data[int(index)] if isinstance(data, list) and int(index) < len(data) else None
        else:
            data = data.get(name) if isinstance(data, Mapping) else None
    return data
