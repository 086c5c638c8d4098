"""Who does what a refusal advises gets a config that Label Studio takes, that PT4AL learns, and that keeps labels."""

from __future__ import annotations

from typing import Any

import pytest
from support.studio import Result, Studio, choices_result

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.web.refusals import reason_phrase

IMAGE, TEXT = '<Image name="image" value="$image"/>', '<Text name="text" value="$text"/>'
DATA = {"image": "http://nowhere.example/1.png", "text": "t", "several": [{"value": "a"}], "first": "a"}
ADDED = '<Choices name="added" toName="image"><Choice value="a"/><Choice value="b"/></Choices>'
BOXES = '<RectangleLabels name="box" toName="image"><Label value="car"/></RectangleLabels>'
BOX: Result = {
    "id": "region1", "from_name": "box", "to_name": "image", "type": "rectanglelabels",
    "original_width": 10, "original_height": 10, "image_rotation": 0,
    "value": {"x": 1, "y": 1, "width": 5, "height": 5, "rotation": 0, "rectanglelabels": ["car"]},
}  # fmt: skip


def choices(attributes: str = "", inside: str = '<Choice value="a"/>', *, of: str = "image") -> str:
    return f'<Choices name="choice" toName="{of}" {attributes}>{inside}</Choices>'


def about_text(result: Result) -> Result:
    return {**result, "to_name": "text"}


@pytest.mark.parametrize(
    ("before", "labels", "says"),
    [
        (BOXES, [BOX], "not learn from RectangleLabels: add a Choices, BrushLabels or PolygonLabels tag"),
        (
            BOXES + choices('perRegion="true"'),
            [BOX, {**choices_result("a"), "id": "region1"}],
            "add another Choices tag next to it, without perRegion",
        ),
        (
            choices('value="$several"', ""),
            [choices_result("a")],
            "add another Choices tag next to it, with Choice tags",
        ),
        (choices(inside='<Choice value="$first"/>'), [choices_result("a")], "add another Choices tag next to it"),
        (
            choices(inside='<Choice value="a"><Choice value="x"/></Choice>'),
            [choices_result("x")],
            "nested Choice tags; add another Choices tag next to it",
        ),
        (choices('allowNested="true"'), [{**choices_result(), "value": {"choices": [["a"]]}}], "add another Choices"),
        (
            TEXT + choices(of="text"),
            [about_text(choices_result("a"))],
            "add another Choices tag next to the existing ones",
        ),
        ("", [], "PT4AL needs a Choices, BrushLabels or PolygonLabels tag on the image"),
    ],
)
def test_advice_loses_nothing(label_studio: Studio, before: str, labels: list[Any], says: str) -> None:
    config = f"<View>{IMAGE}{before}</View>"
    with pytest.raises(UnsupportedConfigError) as refused:
        parse_config(config)
    sentence = str(refused.value)
    assert says in sentence and reason_phrase(sentence) == sentence and "<" not in sentence
    project = label_studio.create_project("advice", config)
    (task,) = label_studio.import_images(project, [{"data": DATA}])
    if labels:
        label_studio.submit(task, labels)
    advised = f"<View>{IMAGE}{before}{ADDED}</View>"
    label_studio.api("PATCH", f"/api/projects/{project}", json={"label_config": advised})
    assert [question.name for question in parse_config(advised).questions] == ["added"]
    annotations = label_studio.api("GET", f"/api/tasks/{task}")["annotations"]
    assert [annotation["result"] for annotation in annotations] == ([labels] if labels else [])
    label_studio.submit(task, [*labels, choices_result("b", control="added")])
