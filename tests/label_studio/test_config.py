"""Label configs: which are taken, which are refused, and what annotations answer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.config import Question, parse_config

IMAGE = '<Image name="image" value="$image"/>'
CHOICES = '<Choices name="choice" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices>'
PLAIN = f"<View>{IMAGE}{CHOICES}</View>"
QUESTION = Question("choice", "image", "image", ("cat", "dog"))


def annotation(*choices: str, cancelled: bool = False, at: str = "", control: str = "choice") -> dict[str, object]:
    result = [
        {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": [choice]}}
        for choice in choices
    ]
    return {"result": result, "was_cancelled": cancelled, "updated_at": at}


@pytest.mark.parametrize(
    "config",
    [
        PLAIN,
        f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- ours --><View>{IMAGE}{CHOICES}</View>',
        f'<View><Header value="Which?"/><View style="x"><View>{IMAGE}</View></View>{CHOICES}</View>',
        f'<View>{IMAGE}{CHOICES}<TextArea name="why" toName="image"/><Rating name="r" toName="image"/></View>',
        PLAIN.replace("<Choices ", '<Choices choice="single" layout="select" required="true" '),
        PLAIN.replace("<Choices ", '<Choices choice="single-radio" '),
        PLAIN.replace('<Choice value="cat"/>', '<View><Choice value="cat" hotkey="1"/></View><Choice value="cat"/>'),
        f'<View>{IMAGE}{CHOICES}<Text name="text" value="$t"/>'
        '<Choices name="other" toName="text"><Choice value="x"/></Choices></View>',
        f'<View>{IMAGE}{CHOICES}<RectangleLabels name="box" toName="image"><Label value="x"/></RectangleLabels>'
        '<Choices name="each" toName="image" perRegion="true"><Choice value="x"/></Choices></View>',
    ],
)
def test_takes_a_single_choice_on_an_image_among_other_things(config: str) -> None:
    assert parse_config(config) == QUESTION


def test_classes_are_what_label_studio_stores() -> None:
    config = PLAIN.replace('value="cat"', 'value="Felis catus" alias="cat"')
    assert parse_config(config).classes == ("cat", "dog")
    many = "".join(f'<Choice value="{n}"/>' for n in range(1000))
    assert len(parse_config(PLAIN.replace('<Choice value="cat"/>', many)).classes) == 1001
    assert parse_config(PLAIN.replace("cat", "Kätzchen &amp; 猫")).classes == ("Kätzchen & 猫", "dog")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("", "no labeling interface"),
        ("<View>", "not valid XML"),
        (f'<!DOCTYPE x [<!ENTITY a "b">]>{PLAIN}', "DOCTYPE"),
        (f"<View>{CHOICES}</View>", "needs an Image"),
        (f'<View>{IMAGE}<Image name="b" value="$b"/>{CHOICES}</View>', "has 2"),
        (PLAIN.replace("value=", "valueList=", 1), "valueList"),
        (PLAIN.replace("$image", "https://example.com/cat.jpg"), "task key"),
        (PLAIN.replace("$image", "$images[{{idx}}]"), "task key"),
        (f"<View>{IMAGE}</View>", "no question at all"),
        (f'<View>{IMAGE}<BrushLabels name="b" toName="image"/></View>', "only BrushLabels"),
        (PLAIN.replace('toName="image"', 'toName="text"'), "toName"),
        (PLAIN.replace("<Choices ", '<Choices choice="multiple" '), "multiple"),
        (PLAIN.replace("<Choices ", '<Choices perRegion="true" '), "perRegion"),
        (PLAIN.replace("<Choices ", '<Choices value="$options" '), "same for every task"),
        (PLAIN.replace('<Choice value="cat"/>', '<Choice value="cat"><Choice value="tom"/></Choice>'), "nested"),
        (f"<View>{IMAGE}{CHOICES}{CHOICES.replace('choice', 'again')}</View>", "has 2 Choices tags"),
        (f'<View>{IMAGE}<Choices name="choice" toName="image"/></View>', "there are none"),
        (PLAIN.replace('value="cat"', ""), "one has none"),
        (f'<View>{IMAGE}<Größe name="b" toName="image"/></View>', "only Gr??e"),
    ],
)
def test_refuses_the_rest_with_a_sentence_fit_for_a_status_line(config: str, says: str) -> None:
    with pytest.raises(UnsupportedConfigError) as caught:
        parse_config(config)
    text = str(caught.value)
    assert says in text
    assert text.isascii() and text.isprintable() and text.endswith(".") and len(text) < 200


def test_image_value() -> None:
    assert QUESTION.image_of({"image": "/data/upload/1.png"}) == "/data/upload/1.png"
    assert QUESTION.image_of({"$undefined$": "/data/upload/1.png"}) == "/data/upload/1.png"
    assert QUESTION.image_of({}) == QUESTION.image_of({"image": None}) == QUESTION.image_of({"image": 3}) == ""
    nested = parse_config(PLAIN.replace("$image", "$photo.files[1]"))
    assert nested.image_of({"photo": {"files": ["a", "b"]}}) == "b"
    assert nested.image_of({"photo.files[1]": "c"}) == "c"
    assert nested.image_of({"photo": {"files": []}}) == nested.image_of({"photo": ["a"]}) == ""


def test_label_is_the_majority_and_then_the_newest() -> None:
    cat, dog = annotation("cat", at="2026-01-01T00:00:01Z"), annotation("dog", at="2026-01-01T00:00:02Z")
    assert QUESTION.label([]) is None
    assert QUESTION.label([cat]) == "cat"
    assert QUESTION.label([dog, cat]) == "dog"
    assert QUESTION.label([cat, dog, annotation("cat")]) == "cat"
    assert QUESTION.label([cat, annotation("dog", cancelled=True, at="2027")]) == "cat"
    tied = [{**annotation("cat"), "id": 2}, {**annotation("dog"), "id": 1}]
    assert QUESTION.label(tied) == "cat"


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
    assert QUESTION.label([nothing]) is None
    assert QUESTION.label([nothing, annotation("dog")]) == "dog"


def test_a_result_reads_back_as_the_label() -> None:
    (region,) = QUESTION.result("dog", 0.75)
    assert region["score"] == 0.75
    assert QUESTION.label([{"result": [region]}]) == "dog"
    assert "score" not in QUESTION.result("dog", None)[0]


def test_stays_light_for_the_web_process() -> None:
    heavy = "{'torch', 'label_studio_sdk', 'numpy', 'lxml'} & set(sys.modules)"
    program = f"import sys, pt4al_backend.label_studio.config; sys.exit(len({heavy}))"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
