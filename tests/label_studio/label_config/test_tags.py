"""Tags as label configs have them, and the sentences about them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.label_config.tags import Tag, ascii_text, classes_of, shown_text


def tag(xml: str) -> Tag:
    return Tag.of(ElementTree.fromstring(xml))


def test_case_is_ignored() -> None:
    assert tag('<Choices Name="a" TONAME="image"/>').kind == tag('<CHOICES name="a" toName="image"/>').kind == "choices"
    assert (tag('<x Name="a"/>').name, tag('<x TONAME="image"/>').target) == ("a", "image")
    assert (tag("<x/>").name, tag("<x/>").target) == ("", None)


def test_comments_are_no_tags() -> None:
    (comment,) = ElementTree.fromstring("<x/>", ElementTree.XMLParser(target=_with_comments())).iter(
        ElementTree.Comment
    )
    assert Tag.of(comment).kind == ""


def _with_comments() -> ElementTree.TreeBuilder:
    builder = ElementTree.TreeBuilder(insert_comments=True)
    builder.start("root", {})
    builder.comment("ours")
    return builder


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [('perRegion="true"', True), ('perItem=" True "', True), ('perregion="false"', False), ("", False)],
)
def test_tags_about_parts(attributes: str, expected: bool) -> None:
    assert tag(f"<Choices {attributes}/>").is_about_parts is expected


def test_tags_inside_come_in_order_and_without_the_tag_itself() -> None:
    outer = tag('<Choice value="a"><View><Choice value="b"/></View><choice value="c"/></Choice>')
    assert [inner.attributes["value"] for inner in outer.inside("choice")] == ["b", "c"]


def test_classes_are_aliases_or_values_and_each_counts_once() -> None:
    inside = '<Choice value="Cat" alias="cat"/><Choice value="dog"/><Choice value="cat"/><Label value="x"/>'
    assert classes_of(tag(f'<Choices name="a">{inside}</Choices>'), "choice") == ("cat", "dog")


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        ('<Choices><Choice value="a"/></Choices>', "PT4AL does not learn from Choices: it has no name, add one."),
        ('<Choices name="a"/>', 'PT4AL does not learn from Choices "a": it contains no Choice tags, add some.'),
        ('<Choices name="a"><Choice/></Choices>', "its Choice tags need a value, but one has none"),
        ('<Choices name="a" value="$x"/>', "its classes differ from task to task; add another Choices tag next to it"),
        ('<Choices name="a{{idx}}"/>', "its classes differ from task to task"),
        ('<Choices name="a"><Choice value="$x"/></Choices>', "its Choice tags with $ differ from task to task"),
        (
            '<Choices name="a"><Choice value="b"><Choice value="c"/></Choice></Choices>',
            "it has nested Choice tags; add another Choices tag next to it, without them",
        ),
    ],
)
def test_tags_without_usable_classes(xml: str, says: str) -> None:
    with pytest.raises(UnsupportedConfigError) as caught:
        classes_of(tag(xml), "choice")
    assert says in str(caught.value) and str(caught.value).isascii()


def test_a_dollar_may_be_a_price() -> None:
    assert classes_of(tag('<Choices name="a"><Choice value="$"/><Choice value="5 $ "/></Choices>'), "choice") == (
        "$",
        "5 $ ",
    )


def test_names_are_shown_shortened_and_on_one_line() -> None:
    assert ascii_text("gr\u00f6\u00dfe\n" + "x" * 50) == "gr??e?" + "x" * 34
    assert shown_text("gr\u00f6\u00dfe\n") == "gr\u00f6\u00dfe?"
    assert shown_text("x" * 81) == "x" * 80 + "..."
    assert shown_text(["x"]) == "['x']"
