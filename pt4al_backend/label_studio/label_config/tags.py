"""Tags of a label config, and how one is told of in a sentence fit for an HTTP reason phrase (fact 18)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

from pt4al_backend.errors import UnsupportedConfigError

_FROM_TASK = re.compile(r"\$[\w\[\].{}]")  # what Label Studio looks up in the task's data


@dataclass(frozen=True)
class Tag:
    """One XML element. Label Studio tells tags and attributes apart whatever their case."""

    element: ElementTree.Element
    kind: str
    """Its tag in lower case, "" of a comment."""
    attributes: dict[str, str] = field(repr=False)
    """By name in lower case."""

    @classmethod
    def of(cls, element: ElementTree.Element) -> Tag:
        """The tag that an element is."""
        kind = element.tag.lower() if isinstance(element.tag, str) else ""
        return cls(element, kind, {name.lower(): value for name, value in element.attrib.items()})

    @property
    def name(self) -> str:
        """What results name it by."""
        return self.attributes.get("name", "")

    @property
    def target(self) -> str | None:
        """Name of the tag it asks about, None of a tag that asks nothing."""
        return self.attributes.get("toname")

    @property
    def is_about_parts(self) -> bool:
        """Whether it asks about regions, or one by one about several images."""
        return any(self.attributes.get(name, "").strip().lower() == "true" for name in ("perregion", "peritem"))

    def inside(self, kind: str) -> list[Tag]:
        """The tags of a kind below it, in order."""
        return [tag for tag in map(Tag.of, self.element.iter()) if tag.kind == kind and tag.element is not self.element]

    def not_learnt(self, reason: str = "") -> UnsupportedConfigError:
        """That PT4AL does not learn from it; `reason` is what to do about it."""
        name = f' "{ascii_text(self.name)}"' if self.name else ""
        return UnsupportedConfigError(
            f"PT4AL does not learn from {ascii_text(self.element.tag)}{name}{reason and f': {reason}'}."
        )

    def another(self, reason: str, how: str) -> str:
        """Advice that loses no label: a changed tag would no longer mean what its annotations answer."""
        return f"{reason}; add another {ascii_text(self.element.tag)} tag beside it, {how}"


def answers_of(tag: Tag, kind: str) -> tuple[str, ...]:
    """What can be answered with the `kind` tags inside a tag, as Label Studio stores it, in order.

    An alias goes before a value, and the same answer given twice is one.

    Raises:
        UnsupportedConfigError: they are not there, or differ from task to task.
    """
    if not tag.name:
        raise tag.not_learnt("it has no name, add one")
    if "$" in tag.attributes.get("value", "") or "{{" in tag.name:
        raise tag.not_learnt(
            tag.another("what it asks differs from task to task", f"with {kind.capitalize()} tags in it")
        )
    found: dict[str, None] = {}
    for inner in tag.inside(kind):
        if inner.inside(kind):
            raise tag.not_learnt(tag.another(f"it has nested {kind.capitalize()} tags", "without them"))
        value, alias = inner.attributes.get("value"), inner.attributes.get("alias")
        if kind == "choice" and not alias and _FROM_TASK.search(value or ""):
            raise tag.not_learnt(tag.another("its Choice tags with $ differ from task to task", "without them"))
        answer = alias or value
        if not answer:
            raise tag.not_learnt(f"its {kind.capitalize()} tags need a value, and one has none")
        found[answer] = None
    if not found:
        raise tag.not_learnt(f"write {kind.capitalize()} tags inside it, there are none")
    return tuple(found)


def ascii_text(text: str) -> str:
    """`text` in ASCII, on one line and short."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain.encode("ascii", "replace").decode("ascii")[:40]


def shown_text(text: object) -> str:
    """What people gave as a name or a value, on one line and short."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in str(text)[:81])
    return plain if len(plain) <= 80 else f"{plain[:80]}..."
