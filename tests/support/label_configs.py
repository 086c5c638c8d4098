"""Label configs, and annotations for them."""

from __future__ import annotations

from typing import Any

from pt4al_backend.label_studio.label_config.config import LabelConfig, parse_config
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.single import SINGLE

IMAGE = '<Image name="image" value="$image"/>'


CHOICES = '<Choices name="choice" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices>'


TAGS = '<Choices name="tags" toName="image" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>'


BRUSH = '<BrushLabels name="brush" toName="image"><Label value="car"/><Label value="Weg" alias="road"/></BrushLabels>'


POLYGON = '<PolygonLabels name="poly" toName="image"><Label value="sky"/><Label value="car"/></PolygonLabels>'


PLAIN = f"<View>{IMAGE}{CHOICES}</View>"


ASKED = (Question("choice", SINGLE, ("cat", "dog")),)


CONFIG = parse_config(PLAIN)


TAGGING = parse_config(f"<View>{IMAGE}{TAGS}</View>")


OUTLINING = parse_config(f"<View>{IMAGE}{POLYGON}</View>")


EVERYTHING = parse_config(f"<View>{IMAGE}{POLYGON}{TAGS}{BRUSH}{CHOICES}</View>")


def annotation(*choices: str, cancelled: bool = False, at: str = "", control: str = "choice") -> dict[str, object]:
    result = [
        {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": [choice]}}
        for choice in choices
    ]
    return {"result": result, "was_cancelled": cancelled, "updated_at": at}


def polygon(label: str, *, control: str = "poly", kind: str = "polygonlabels", **more: object) -> dict[str, object]:
    value = {"points": [[0, 0], [50, 0], [50, 50]], "closed": True, kind: [label]}
    size = {"original_width": 30, "original_height": 20, "image_rotation": 0}
    return {"id": "r", "from_name": control, "to_name": "image", "type": kind, "value": value} | size | more


def given(*results: dict[str, Any], at: str = "") -> dict[str, object]:
    return {"result": list(results), "was_cancelled": False, "updated_at": at}


def label(config: LabelConfig, annotations: list[dict[str, object]]) -> object:
    """The answer to the only question."""
    answers = config.answers(annotations)
    return answers.get(config.questions[0].name)
