"""Tags of a label config, and sentences about them that fit an HTTP reason phrase (fact 18)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

from pt4al_backend.errors import UnsupportedConfigError

_FROM_TASK = re.compile(r"\$[\w\[\].{}]")  # Label Studio replaces it with a value of the task's data


@dataclass(frozen=True)
class Tag:
    """One XML element. Label Studio ignores the case of tags and attributes."""

    element: ElementTree.Element
    kind: str
    """Its tag in lower case, "" for a comment."""
    attributes: dict[str, str] = field(repr=False)
    """By name in lower case."""

    @classmethod
    def of(cls, element: ElementTree.Element) -> Tag:
        """The tag that an element is."""
        kind = element.tag.lower() if isinstance(element.tag, str) else ""
        return cls(element, kind, {name.lower(): value for name, value in element.attrib.items()})

    @property
    def name(self) -> str:
        """The name by which results refer to it."""
        return self.attributes.get("name", "")

    @property
    def target(self) -> str | None:
        """The name of the tag it asks about, None if it asks nothing."""
        return self.attributes.get("toname")

    @property
    def is_about_parts(self) -> bool:
        """Whether it asks about regions, or about each of several images."""
        return any(self.attributes.get(name, "").strip().lower() == "true" for name in ("perregion", "peritem"))

    def inside(self, kind: str) -> list[Tag]:
        """The tags of a kind inside it, in order."""
        return [tag for tag in map(Tag.of, self.element.iter()) if tag.kind == kind and tag.element is not self.element]

    def not_learned(self, reason: str = "") -> UnsupportedConfigError:
        """The error that PT4AL does not learn from it; `reason` says why and what to do."""
        name = f' "{ascii_text(self.name)}"' if self.name else ""
        return UnsupportedConfigError(
            f"PT4AL does not learn from {ascii_text(self.element.tag)}{name}{reason and f': {reason}'}."
        )

    def another(self, reason: str, how: str) -> str:
        """Advice that loses no labels: if the tag itself changed, its annotations would answer another question."""
        return f"{reason}; add another {ascii_text(self.element.tag)} tag next to it, {how}"


def classes_of(tag: Tag, kind: str) -> tuple[str, ...]:
    """The classes that the `kind` tags inside a tag offer, as Label Studio stores them, in order.

    An alias wins over a value, and a class that occurs twice counts once.

    Raises:
        UnsupportedConfigError: there are no such tags, or they differ from task to task.
    """
    if not tag.name:
        raise tag.not_learned("it has no name, add one")
    if "$" in tag.attributes.get("value", "") or "{{" in tag.name:
        raise tag.not_learned(
            tag.another("its classes differ from task to task", f"with {kind.capitalize()} tags in it")
        )
    classes: dict[str, None] = {}
    for inner in tag.inside(kind):
        if inner.inside(kind):
            raise tag.not_learned(tag.another(f"it has nested {kind.capitalize()} tags", "without them"))
        value, alias = inner.attributes.get("value"), inner.attributes.get("alias")
        if kind == "choice" and not alias and _FROM_TASK.search(value or ""):
            raise tag.not_learned(tag.another("its Choice tags with $ differ from task to task", "without them"))
        name = alias or value
        if not name:
            raise tag.not_learned(f"its {kind.capitalize()} tags need a value, but one has none")
        classes[name] = None
    if not classes:
        raise tag.not_learned(f"it contains no {kind.capitalize()} tags, add some")
    return tuple(classes)


def ascii_text(text: str) -> str:
    """`text` in ASCII, shortened and on one line."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain.encode("ascii", "replace").decode("ascii")[:40]


def shown_text(text: object) -> str:
    """A name or value that people chose, shortened and on one line."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in str(text)[:81])
    return plain if len(plain) <= 80 else f"{plain[:80]}..."
