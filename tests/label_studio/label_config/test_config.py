"""Label configs: which are taken, which are refused, and what annotations answer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from support.label_configs import (
    ASKED,
    BRUSH,
    CHOICES,
    CONFIG,
    EVERYTHING,
    IMAGE,
    OUTLINING,
    PLAIN,
    POLYGON,
    TAGGING,
    TAGS,
    annotation,
    given,
    label,
    polygon,
)

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE


@pytest.mark.parametrize(
    ("config", "ignored"),
    [
        (PLAIN, []),
        (f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- ours --><View>{IMAGE}{CHOICES}</View>', []),
        (f'<View><Header value="Which?"/><View style="x"><View>{IMAGE}</View></View>{CHOICES}</View>', []),
        (
            f'<View>{IMAGE}{CHOICES}<TextArea name="why" toName="image"/><Rating name="r" toName="image"/></View>',
            ['TextArea "why"', 'Rating "r"'],
        ),
        (PLAIN.replace("<Choices ", '<Choices choice="single" layout="select" required="true" '), []),
        (PLAIN.replace("<Choices ", '<Choices choice="single-radio" '), []),
        (
            PLAIN.replace(
                '<Choice value="cat"/>', '<View><Choice value="cat" hotkey="1"/></View><Choice value="cat"/>'
            ),
            [],
        ),
        (
            f'<View>{IMAGE}{CHOICES}<Text name="text" value="$t"/>'
            '<Choices name="other" toName="text"><Choice value="x"/></Choices></View>',
            ['Choices "other"'],
        ),
        (
            f'<View>{IMAGE}{CHOICES}<Filter name="f" toName="box"/>'
            '<RectangleLabels name="box" toName="image"><Label value="x"/></RectangleLabels>'
            '<Choices name="each" toName="image" perRegion="true"><Choice value="x"/></Choices></View>',
            ['RectangleLabels "box"'],
        ),
        (
            f'<View>{IMAGE}{CHOICES}<Labels name="what" toName="image"><Label value="x"/></Labels>'
            '<Brush name="größe" toName="image"/><Polygon name="p" toName="image"/></View>',
            ['Labels "what"', 'Brush "gr??e"', 'Polygon "p"'],
        ),
        (
            f'<View>{IMAGE}<Choices name="deep" toName="image"><Choice value="x"><Choice value="y"/></Choice></Choices>'
            f'{CHOICES}<BrushLabels name="any" toName="image" value="$labels"/></View>',
            [
                'Choices "deep": it has nested Choice tags; add another Choices tag next to it, without them',
                'BrushLabels "any": its classes differ from task to task; add another BrushLabels tag next to it, '
                "with Label tags in it",
            ],
        ),
        (
            f'<View>{IMAGE}{CHOICES}<Choices name="flag" toName="image"><Choice value="odd"/></Choices></View>',
            ['Choices "flag": with other questions its only Choice is never answered with no, add a Choice for that'],
        ),
        (
            f'<View>{IMAGE}{CHOICES}<Choices name="caption" toName="image"><Choice value="$first"/></Choices></View>',
            [
                'Choices "caption": its Choice tags with $ differ from task to task; '
                "add another Choices tag next to it, without them"
            ],
        ),
    ],
)
def test_takes_a_choice_on_an_image_and_tells_of_what_it_leaves(config: str, ignored: list[str]) -> None:
    parsed = parse_config(config)
    assert parsed.questions == ASKED
    assert (parsed.image, parsed.image_key) == ("image", "image")
    assert list(parsed.ignored) == [f"PT4AL does not learn from {what}." for what in ignored]
    assert all(text.isascii() and len(text) < 200 for text in parsed.ignored)


def test_takes_any_number_of_questions() -> None:
    assert EVERYTHING.questions == (
        Question("tags", MULTIPLE, ("a", "b")),
        Question("choice", SINGLE, ("cat", "dog")),
        Question("poly+brush", SEGMENTATION, ("sky", "car", "road")),
    )
    assert EVERYTHING.ignored == ()
    twice = parse_config(f"<View>{IMAGE}{CHOICES}{CHOICES.replace('choice', 'again')}</View>")
    assert [question.name for question in twice.questions] == ["choice", "again"]


def test_a_single_choice_is_a_box_that_is_ticked_or_not() -> None:
    box = parse_config(PLAIN.replace('<Choice value="dog"/>', ""))
    assert box.questions == (Question("choice", MULTIPLE, ("cat",)),)
    assert [box.answers([annotation(*ticks)])["choice"] for ticks in (("cat",), ())] == [["cat"], []]
    drawn = given({"from_name": "box", "type": "rectanglelabels", "value": {"rectanglelabels": ["x"]}})
    assert box.answers([drawn]) == {"choice": []}


def test_classes_are_what_label_studio_stores() -> None:
    assert parse_config(PLAIN.replace('value="cat"', 'value="$first" alias="cat"')).questions == ASKED
    config = PLAIN.replace('value="cat"', 'value="Felis catus" alias="cat"')
    assert parse_config(config).questions == ASKED
    many = "".join(f'<Choice value="{n}"/>' for n in range(1000))
    assert len(parse_config(PLAIN.replace('<Choice value="cat"/>', many)).questions[0].classes) == 1001
    assert parse_config(PLAIN.replace("cat", "Kätzchen &amp; 猫")).questions[0].classes == ("Kätzchen & 猫", "dog")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("", "no labeling interface"),
        ("<View>", "not valid XML"),
        (f'<!DOCTYPE x [<!ENTITY a "b">]>{PLAIN}', "DOCTYPE"),
        (PLAIN + " " * 1_000_000, "more than 1,000,000 characters"),
        (f"<View>{CHOICES}</View>", "needs an Image"),
        (f'<View>{IMAGE}<Image name="b" value="$b"/>{CHOICES}</View>', "has 2"),
        (PLAIN.replace("value=", "valueList=", 1), "valueList"),
        (PLAIN.replace("$image", "https://example.com/cat.jpg"), "task key"),
        (PLAIN.replace("$image", "$images[{{idx}}]"), "task key"),
        (f"<View>{IMAGE}</View>", "has none"),
        (f'<View>{IMAGE}<BrushLabels name="b" toName="image"/></View>', "add some"),
        (f'<View>{IMAGE}<Brush name="b" toName="image"/></View>', "not learn from Brush:"),
        (f'<View>{IMAGE}<BrushLabels name="b" toName="image"><Label/></BrushLabels></View>', "one has none"),
        (f"<View>{IMAGE}{BRUSH.replace('image', 'text')}</View>", "another BrushLabels tag"),
        (PLAIN.replace('toName="image"', 'toName="text"'), "toName"),
        (PLAIN.replace("<Choices ", '<Choices perRegion="true" '), "perRegion"),
        (PLAIN.replace("<Choices ", '<Choices value="$options" '), "from task to task"),
        (PLAIN.replace('<Choice value="cat"/>', '<Choice value="cat"><Choice value="tom"/></Choice>'), "nested"),
        (PLAIN.replace("<Choices ", '<Choices allowNested="true" '), "with allowNested"),
        (PLAIN.replace('name="choice" ', ""), "has no name"),
        (f'<View>{IMAGE}<Choices name="choice" toName="image"/></View>', "add some"),
        (PLAIN.replace('value="cat"', ""), "one has none"),
        (f'<View>{IMAGE}<Größe name="b" toName="image"/></View>', "from Gr??e:"),
    ],
)
def test_refuses_the_rest_with_a_sentence_fit_for_a_status_line(config: str, says: str) -> None:
    with pytest.raises(UnsupportedConfigError) as caught:
        parse_config(config)
    text = str(caught.value)
    assert says in text
    assert text.isascii() and text.isprintable() and text.endswith(".") and len(text) < 200


def test_drawings_are_expected_from_controls_that_are_not_learned_too() -> None:
    assert not CONFIG.draws and not TAGGING.draws
    assert OUTLINING.draws and EVERYTHING.draws
    for control in (
        '<Brush name="b" toName="image"/>',
        '<BrushLabels name="b" toName="image" value="$labels"/>',
        '<BitmaskLabels name="b" toName="image"><Label value="x"/></BitmaskLabels>',
    ):
        config = parse_config(f"<View>{IMAGE}{CHOICES}{control}</View>")
        assert config.questions == ASKED and config.draws


def test_image_value() -> None:
    assert CONFIG.image_of({"image": "/data/upload/1.png"}) == "/data/upload/1.png"
    assert CONFIG.image_of({"$undefined$": "/data/upload/1.png"}) == "/data/upload/1.png"
    assert CONFIG.image_of({}) == CONFIG.image_of({"image": None}) == CONFIG.image_of({"image": []}) == ""
    assert CONFIG.image_of({"image": ["/data/upload/1.png"]}) == "/data/upload/1.png"
    assert CONFIG.image_of({"image": ["a", "b"]}) == '["a", "b"]'
    assert CONFIG.image_of({"image": 3}) == "3"
    assert CONFIG.image_of({"image": "a\0b\ud800"}) == "a?b?"  # no database takes these
    for no_object in (None, "image", ["image"], 5, True):
        assert CONFIG.image_of(no_object) == ""
    nested = parse_config(PLAIN.replace("$image", "$photo.files[1]"))
    assert nested.image_of({"photo": {"files": ["a", "b"]}}) == "b"
    assert nested.image_of({"photo.files[1]": "c"}) == "c"
    dotted = parse_config(PLAIN.replace("$image", "$photo.files.1"))
    assert dotted.image_of({"photo": {"files": ["a", "b"]}}) == dotted.image_of({"photo": {"files": {"1": "b"}}}) == "b"
    assert dotted.image_of({"photo": {"files": ["a"]}}) == ""
    assert nested.image_of({"photo": {"files": []}}) == nested.image_of({"photo": ["a"]}) == ""


def test_label_is_the_majority_and_then_the_newest() -> None:
    cat, dog = annotation("cat", at="2026-01-01T00:00:01Z"), annotation("dog", at="2026-01-01T00:00:02Z")
    assert label(CONFIG, []) is None
    assert label(CONFIG, [cat]) == "cat"
    assert label(CONFIG, [dog, cat]) == "dog"
    assert label(CONFIG, [cat, dog, annotation("cat")]) == "cat"
    assert label(CONFIG, [cat, annotation("dog", cancelled=True, at="2027")]) == "cat"
    tied = [{**annotation("cat"), "id": 2}, {**annotation("dog"), "id": 1}]
    assert label(CONFIG, tied) == "cat"


@pytest.mark.parametrize(
    "nothing",
    [
        annotation(),
        annotation("cat", cancelled=True),
        annotation("mouse"),
        annotation("cat", "dog"),
        annotation("cat", control="other"),
        {"result": None},
        {"result": [{"from_name": "choice", "type": "choices", "value": {}}]},
        {"result": [{"type": "relation", "from_id": "a", "to_id": "b"}]},
    ],
)
def test_these_are_no_labels(nothing: dict[str, object]) -> None:
    assert label(CONFIG, [nothing]) is None
    assert label(CONFIG, [nothing, annotation("dog")]) == "dog"


def test_choices_that_were_made_with_allow_nested_are_read() -> None:
    def chose(*paths: list[str], control: str = "choice") -> dict[str, object]:
        return given({"from_name": control, "type": "choices", "value": {"choices": list(paths)}})

    assert label(CONFIG, [chose(["dog"])]) == "dog"
    assert label(CONFIG, [chose(["dog", "cat"])]) is None
    assert label(TAGGING, [chose(["b"], ["a"], control="tags")]) == ["a", "b"]


def test_a_class_that_is_gone_counts_as_not_chosen() -> None:
    assert label(CONFIG, [annotation("cat", "mouse")]) == "cat"
    assert label(TAGGING, [annotation("b", "z", control="tags")]) == ["b"]
    assert label(TAGGING, [annotation("z", control="tags")]) is None


def test_several_choices_are_voted_on_one_by_one() -> None:
    def tags(*classes: str, at: int = 0) -> dict[str, object]:
        regions = {"from_name": "tags", "type": "choices", "value": {"choices": list(classes)}}
        return given(*([regions] if classes else []), at=f"2026-01-0{at + 1}")

    assert label(TAGGING, [tags("b", "a")]) == ["a", "b"]
    assert label(TAGGING, [tags()]) == []
    assert label(TAGGING, []) is None
    assert label(TAGGING, [tags("a", at=1), tags("b", at=2)]) == ["b"]
    assert label(TAGGING, [tags("a", at=2), tags("b", at=1)]) == ["a"]
    assert label(TAGGING, [tags("a"), tags("a", "b"), tags("b", at=1)]) == ["a", "b"]
    assert label(TAGGING, [tags("a"), tags("a", "b"), tags(at=1)]) == ["a"]
    assert label(TAGGING, [tags("a"), tags(at=1)]) == []


def test_empty_is_an_answer_to_the_only_question() -> None:
    choice = {"from_name": "choice", "type": "choices", "value": {"choices": ["cat"]}}
    assert EVERYTHING.answers([given(choice)]) == {"choice": "cat"}
    assert EVERYTHING.answers([given()]) == {}
    assert EVERYTHING.answers([given(choice), given(polygon("car"), at="2")]).keys() == {"choice", "poly+brush"}
    assert CONFIG.answers([given()]) == {}
    for config in (TAGGING, OUTLINING):
        assert config.answers([{"result": None}]) == {}
        assert config.answers([given(choice)]) == {}  # of a control that is gone: who knows what it meant


@pytest.mark.parametrize("control", [TAGS, POLYGON, BRUSH])
def test_an_annotation_of_other_controls_alone_is_no_empty_answer(control: str) -> None:
    box = '<RectangleLabels name="box" toName="image"><Label value="x"/></RectangleLabels>'
    config = parse_config(f"<View>{IMAGE}{control}{box}</View>")
    (question,) = config.questions
    drawn = {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": {"rectanglelabels": ["x"]}}
    faults: list[str] = []
    assert config.answers([given(drawn)], faults) == {}
    assert faults == ['An annotation with results only of "box" is left out: PT4AL does not learn from that.']
    assert config.answers([given()]) == {question.name: []}
    assert EVERYTHING.answers([given(drawn)], faults) == {} and len(faults) == 1  # nothing of it is left out there


def test_other_controls_do_not_take_an_answer_away() -> None:
    tags = annotation("a", control="tags")["result"]
    faults: list[str] = []
    box = {"from_name": "box", "type": "rectanglelabels", "value": {"rectanglelabels": ["x"]}}
    assert TAGGING.answers([given(*tags, box)], faults) == {"tags": ["a"]}
    assert OUTLINING.answers([given(polygon("car"), at="1"), given(box, at="2")], faults).keys() == {"poly"}
    assert len(faults) == 1  # of the boxes alone


def test_a_result_reads_back_as_the_answers() -> None:
    predictions = {"tags": Prediction(("b", "a"), 0.5), "choice": Prediction("dog", 0.75), "gone": Prediction("x", 1.0)}
    result = EVERYTHING.result(predictions)
    assert [region["score"] for region in result] == [0.5, 0.75]
    assert EVERYTHING.answers([given(*result)]) == {"tags": ["a", "b"], "choice": "dog"}


@pytest.mark.parametrize("value", ["mouse", ("mouse",), (), ("cat", "dog"), np.zeros((2, 2), np.uint8)])
def test_predictions_that_do_not_fit_the_config_are_left_out(value: object) -> None:
    assert CONFIG.result({"choice": Prediction(value, 0.5)}) == []


def test_stays_light_for_the_web_process() -> None:
    heavy = "{'torch', 'label_studio_sdk', 'scipy', 'contourpy', 'lxml'} & set(sys.modules)"
    program = f"import sys, pt4al_backend.label_studio.label_config.config; sys.exit(len({heavy}))"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
