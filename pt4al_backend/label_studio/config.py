"""Label configs: what a project asks, what its annotations answer, how an answer of ours is written.

PT4AL learns one question: a single-choice ``<Choices>`` on one ``<Image>``. Everything else in a
config is left alone. Errors are plain ASCII sentences, because Label Studio's connect form shows
them from an HTTP reason phrase (fact 18).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from pt4al_backend.errors import UnsupportedConfigError

UNNAMED_KEY = "$undefined$"  # where Label Studio keeps files that were uploaded before there was a config

_KEY = re.compile(r"\$([^\s${}]+)")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Question:
    """One single-choice question on one image.

    ``classes`` are the answers as Label Studio stores them (a choice's alias where it has one),
    in the config's order.
    """

    control: str
    image: str
    image_key: str
    classes: tuple[str, ...]

    def image_of(self, data: Mapping[str, Any]) -> str:
        """The image's value in a task's data: a path or URL, "" if there is none."""
        value = data.get(self.image_key)
        if value is None:
            value = _dig(data, self.image_key)
        if value is None:
            value = data.get(UNNAMED_KEY)
        return value if isinstance(value, str) else ""

    def label(self, annotations: Sequence[Mapping[str, Any]]) -> str | None:
        """The class a task was given: the majority's, and the newest of those that tie.

        Cancelled annotations do not count, nor do results of other controls or classes that the
        config does not have (any more).
        """
        votes = [vote for vote in map(self._vote, sorted(annotations, key=_age)) if vote is not None]
        if not votes:
            return None
        counts = Counter(votes)
        return next(vote for vote in reversed(votes) if counts[vote] == max(counts.values()))

    def result(self, label: str, probability: float | None) -> list[dict[str, Any]]:
        """``label`` as the ``result`` of a prediction; ``probability`` becomes the result's own score."""
        region: dict[str, Any] = {
            "from_name": self.control,
            "to_name": self.image,
            "type": "choices",
            "value": {"choices": [label]},
        }
        if probability is not None:
            region["score"] = float(probability)
        return [region]

    def _vote(self, annotation: Mapping[str, Any]) -> str | None:
        """The one class an annotation chose; None if it chose none, several, or one that is gone."""
        if annotation.get("was_cancelled"):
            return None
        chosen: set[str] = set()
        for region in annotation.get("result") or ():
            if region.get("from_name") == self.control and region.get("type") == "choices":
                chosen.update(map(str, region["value"].get("choices") or ()))
        if len(chosen) != 1:
            return None
        vote = chosen.pop()
        return vote if vote in self.classes else None


def parse_config(label_config: str) -> Question:
    """The question a label config asks.

    Raises ``UnsupportedConfigError``, one ASCII sentence that says what to change.
    """
    root = _parse_xml(label_config)
    tags = [(element, _tag(element), _attributes(element)) for element in root.iter()]
    image, image_key = _image(tags)
    choices, attributes = _choices(tags, image)
    control = attributes.get("name", "")
    if not control:
        raise UnsupportedConfigError('PT4AL needs a name on the Choices tag: add name="choice".')
    return Question(control, image, image_key, _classes(choices))


Tags = list[tuple[ElementTree.Element, str, dict[str, str]]]


def _parse_xml(label_config: str) -> ElementTree.Element:
    text = label_config.strip()
    if not text:
        raise UnsupportedConfigError("The project has no labeling interface yet: add an Image tag and a Choices tag.")
    if "<!DOCTYPE" in text:  # entities, and so bombs made of them, can be declared nowhere else
        raise UnsupportedConfigError("The label config has a DOCTYPE: remove it, PT4AL does not read those.")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise UnsupportedConfigError("The label config is not valid XML: mend it in Labeling Interface.") from None


def _image(tags: Tags) -> tuple[str, str]:
    """Name of the only Image and the task's key that its value comes from."""
    images = [attributes for _, tag, attributes in tags if tag == "image"]
    if not images:
        raise UnsupportedConfigError('PT4AL needs an Image tag with value="$image": the label config has none.')
    if len(images) > 1:
        raise UnsupportedConfigError(
            f"PT4AL learns from one Image tag per task: the label config has {len(images)}, keep one."
        )
    (attributes,) = images
    if "valuelist" in attributes:
        raise UnsupportedConfigError("PT4AL learns from one image per task: its Image tag needs value, not valueList.")
    key = _KEY.fullmatch(attributes.get("value", "").strip())
    if key is None:
        raise UnsupportedConfigError('PT4AL needs a task key as value of the Image tag, such as value="$image".')
    if not attributes.get("name"):
        raise UnsupportedConfigError('PT4AL needs a name on the Image tag: add name="image".')
    return attributes["name"], key.group(1)


def _choices(tags: Tags, image: str) -> tuple[ElementTree.Element, dict[str, str]]:
    """The only Choices that asks about the whole image."""
    every = [(element, attributes) for element, tag, attributes in tags if tag == "choices"]
    about_image = [(element, attributes) for element, attributes in every if attributes.get("toname") == image]
    whole = [
        (element, attributes)
        for element, attributes in about_image
        if not (_is_true(attributes, "perregion") or _is_true(attributes, "peritem"))
    ]
    if len(whole) > 1:
        raise UnsupportedConfigError(
            f"PT4AL learns one question per project: the label config has {len(whole)} Choices tags, keep one."
        )
    if not whole:
        raise UnsupportedConfigError(_why_no_choices(tags, every, about_image))
    element, attributes = whole[0]
    if attributes.get("choice", "single").strip().lower() == "multiple":
        raise UnsupportedConfigError(
            'PT4AL learns single choices only: remove choice="multiple" from the Choices tag, or use another project.'
        )
    if "$" in attributes.get("value", "") or "{{" in attributes.get("name", ""):
        raise UnsupportedConfigError(
            "PT4AL needs choices that are the same for every task: write them as Choice tags inside the Choices tag."
        )
    return element, attributes


def _why_no_choices(
    tags: Tags,
    every: Sequence[tuple[ElementTree.Element, dict[str, str]]],
    about_image: Sequence[tuple[ElementTree.Element, dict[str, str]]],
) -> str:
    if about_image:
        return "PT4AL learns labels of whole images: remove perRegion and perItem from the Choices tag."
    if every:
        return "PT4AL needs a Choices tag on the image: set its toName to the name of the Image tag."
    others = sorted({_ascii(element.tag) for element, _, attributes in tags if "toname" in attributes})
    found = f"only {', '.join(others[:5])}" if others else "no question at all"
    return f"PT4AL needs a Choices tag on the image: the label config has {found}."


def _classes(choices: ElementTree.Element) -> tuple[str, ...]:
    """The answers, in order; the same answer given twice is one."""
    found: dict[str, None] = {}
    for choice in choices.iter():
        if _tag(choice) != "choice":
            continue
        if any(_tag(inner) == "choice" for inner in choice):
            raise UnsupportedConfigError("PT4AL learns flat lists of choices: take the nested Choice tags out.")
        attributes = _attributes(choice)
        answer = attributes.get("alias") or attributes.get("value")
        if not answer:
            raise UnsupportedConfigError("PT4AL needs a value on every Choice tag: one has none.")
        found[answer] = None
    if not found:
        raise UnsupportedConfigError("PT4AL needs Choice tags inside the Choices tag: there are none.")
    return tuple(found)


def _dig(data: Any, path: str) -> Any:
    """``photo.files[0]`` inside nested task data; None where a step is missing."""
    for name, index in _STEP.findall(path):
        if index:
            data = data[int(index)] if isinstance(data, list) and int(index) < len(data) else None
        else:
            data = data.get(name) if isinstance(data, Mapping) else None
    return data


def _age(annotation: Mapping[str, Any]) -> tuple[str, int]:
    """Sort key, oldest first. Time stamps are ISO texts in UTC; numbers tell annotations of one moment apart."""
    stamp = annotation.get("updated_at") or annotation.get("created_at") or ""
    return str(stamp), int(annotation.get("id") or 0)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.lower() if isinstance(element.tag, str) else ""


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    return {name.lower(): value for name, value in element.attrib.items()}


def _is_true(attributes: Mapping[str, str], name: str) -> bool:
    return attributes.get(name, "").strip().lower() == "true"


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")[:40]
