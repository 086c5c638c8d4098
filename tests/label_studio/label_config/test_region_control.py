"""Controls of regions: one question of all tags, read from annotations and written as predictions."""

from __future__ import annotations

import numpy as np
import pytest
from support.label_configs import EVERYTHING, IMAGE, OUTLINING, given, label, polygon

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.label_studio.label_config.region_control import Regions
from pt4al_backend.label_studio.label_config.regions import BRUSH as PAINTED
from pt4al_backend.label_studio.label_config.regions import POLYGON as OUTLINED
from pt4al_backend.label_studio.label_config.regions import RegionControl
from pt4al_backend.labelling.questions import Prediction


def test_class_numbers_of_pixels_are_bytes() -> None:
    labels = [f'<Label value="{n}"/>' for n in range(300)]
    brush = [f'<BrushLabels name="b{k}" toName="image">{"".join(labels[k : k + 254])}</BrushLabels>' for k in (0, 1)]
    assert len(parse_config(f"<View>{IMAGE}{brush[0]}</View>").questions[0].classes) == 254
    with pytest.raises(UnsupportedConfigError, match="at most 254 labels of regions, but the label config has 255"):
        parse_config(f"<View>{IMAGE}{brush[0]}{brush[1]}</View>")
    with pytest.raises(UnsupportedConfigError, match="at most 254 labels of regions"):
        parse_config(f'<View>{IMAGE}<BrushLabels name="b" toName="image">{"".join(labels)}</BrushLabels></View>')


def test_regions_are_those_of_the_newest_that_has_some() -> None:
    stored = {"label": "sky", "width": 30, "height": 20, "points": [[0.0, 0.0], [50.0, 0.0], [50.0, 50.0]]}
    old, new = given(polygon("car"), at="1"), given(polygon("sky"), polygon("car"), at="2")
    assert label(OUTLINING, [new, old]) == [stored, stored | {"label": "car"}]
    assert label(OUTLINING, [old, given(at="2")]) == []
    assert label(OUTLINING, [old, given(polygon("cloud"), at="2")]) == [stored | {"label": "car"}]
    assert label(OUTLINING, [given(polygon("cloud"))]) is None
    assert label(OUTLINING, [given({"type": "relation", "from_id": "a", "to_id": "b"})]) == []


def test_unusable_regions_are_named() -> None:
    faults: list[str] = []
    answers = OUTLINING.answers([given(polygon("cloud"), polygon("sky"), polygon("sky", image_rotation=90))], faults)
    assert [region["label"] for region in answers["poly"]] == [None, "sky", None]
    assert faults == [
        'A region of "poly" is left out: the label config no longer has its label.',
        'A region of "poly" is left out: the image was rotated when it was made; rotate it back and draw it again.',
    ]


def test_masks_become_regions_where_the_size_is_known() -> None:
    mask = np.full((40, 40), 3, dtype=np.uint8)
    mask[5:20, 5:20], mask[25:35, 5:35] = 0, 1
    prediction = {"poly+brush": Prediction(mask, 0.5)}
    assert (
        EVERYTHING.result(prediction)
        == EVERYTHING.result({"poly+brush": Prediction("car", 0.5)}, width=60, height=40)
        == []
    )
    car, sky = EVERYTHING.result(prediction, width=60, height=40)
    assert (car["from_name"], car["type"], car["value"]["brushlabels"]) == ("brush", "brushlabels", ["car"])
    assert (sky["from_name"], sky["type"], sky["value"]["polygonlabels"]) == ("poly", "polygonlabels", ["sky"])
    assert [region["label"] for region in EVERYTHING.answers([given(car, sky)])["poly+brush"]] == ["car", "sky"]
    (large,) = EVERYTHING.result(prediction, width=60, height=40, least_region=0.17)
    assert large["type"] == "brushlabels"


def test_all_tags_ask_one_question() -> None:
    brush = Regions.with_tags([RegionControl("brush", PAINTED, ("car", "road"))])
    poly = Regions.with_tags([RegionControl("poly", OUTLINED, ("sky", "car"))])
    (joined,) = Regions.joined([brush, poly])
    assert joined.names == ("brush", "poly")
    assert (joined.question.name, joined.question.classes) == ("brush+poly", ("car", "road", "sky"))
    assert Regions.joined([]) == []


def test_a_prediction_of_another_label_type_has_no_regions() -> None:
    regions = Regions.with_tags([RegionControl("poly", OUTLINED, ("sky",))])
    size = {"image": "image", "width": 60, "height": 40, "least_region": 0.0}
    assert regions.result(Prediction("sky", 0.5), **size) == []
    (sky,) = regions.result(Prediction(np.zeros((8, 8), np.uint8), 0.5), **size)
    assert (sky["type"], sky["score"]) == (OUTLINED, 0.5)


def test_answers_are_written_as_they_were_made() -> None:
    regions = OUTLINING.answers([given(polygon("sky"), polygon("cloud"), polygon("car"))])["poly"]
    written = OUTLINING.results_of({"poly": regions})
    assert [result["value"]["polygonlabels"] for result in written] == [["sky"], ["car"]]
    assert OUTLINING.answers([given(*written)])["poly"] == [regions[0], regions[2]]
    unsized = {"label": "sky", "points": [[0.0, 0.0], [50.0, 0.0], [50.0, 50.0]]}
    (result,) = OUTLINING.results_of({"poly": [unsized]}, width=60, height=40)
    assert (result["original_width"], result["original_height"]) == (60, 40)
