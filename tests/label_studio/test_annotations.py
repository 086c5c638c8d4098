"""What annotations answer, whatever JSON they hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.studio import choices_result

from pt4al_backend.label_studio.label_config.config import LabelConfig, parse_config

IMAGE = '<Image name="image" value="$image"/>'
ONE = '<Choices name="one" toName="image"><Choice value="5"/><Choice value="10"/><Choice value="true"/></Choices>'
ANY = '<Choices name="any" toName="image" choice="multiple"><Choice value="0"/><Choice value="1"/></Choices>'
BRUSH = '<BrushLabels name="brush" toName="image"><Label value="car"/></BrushLabels>'
POLYGON = '<PolygonLabels name="poly" toName="image"><Label value="car"/><Label value="sky"/></PolygonLabels>'
BOX = '<Choices name="box" toName="image"><Choice value="yes"/></Choices>'
CONFIGS = [parse_config(f"<View>{IMAGE}{asked}</View>") for asked in (ONE, ANY, BRUSH + POLYGON, BOX)]
CONFIGS.append(parse_config(f"<View>{IMAGE}{ONE}{ANY}{BRUSH}{POLYGON}</View>"))

TRIANGLE = {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["sky"]}
SKY = {"from_name": "poly", "to_name": "image", "type": "polygonlabels", "value": TRIANGLE}
CHOSEN = {"one": "10", "any": "1", "box": "yes"}
SOUND: dict[str, Any] = {
    "id": 9,
    "updated_at": "2030-01-01T00:00:00Z",
    "was_cancelled": False,
    "ground_truth": False,
    "result": [SKY, *(choices_result(choice, control=name) for name, choice in CHOSEN.items())],
}


def test_who_annotated_and_how_long_it_took() -> None:
    first = SOUND | {"completed_by": {"id": 3, "email": "a@example.com"}, "lead_time": 7.5}
    second = SOUND | {
        "id": 10,
        "updated_at": "2030-01-02T00:00:00Z",
        "completed_by": 4,
        "result": [choices_result("5", control="one")],
    }
    judged = CONFIGS[-1].judgements([second, first, SOUND | {"was_cancelled": True}])
    assert [(each.annotator, each.seconds, each.answers.get("one")) for each in judged] == [
        (3, 7.5, "10"),
        (4, None, "5"),
    ]
    assert "brush" not in judged[0].answers  # regions would take too much room


@pytest.mark.parametrize("person", [None, "3", True, -1, {"id": "3"}, [3]])
@pytest.mark.parametrize("seconds", [None, "7", True, -1, 1e9])
def test_an_annotator_or_a_time_that_makes_no_sense_is_unknown(person: Any, seconds: Any) -> None:
    (judged,) = CONFIGS[0].judgements([SOUND | {"completed_by": person, "lead_time": seconds}])
    assert (judged.annotator, judged.seconds) == (0, None)


def read(config: LabelConfig, *annotations: Any) -> tuple[dict[str, Any], list[str]]:
    faults: list[str] = []
    return config.answers(annotations, faults), faults


def chose(choices: Any, *, control: str = "any", **more: Any) -> dict[str, Any]:
    return {"result": [choices_result(control=control) | {"value": {"choices": choices}}], **more}


# Choices


@pytest.mark.parametrize(("choices", "answer"), [("10", ["10"]), (10, ["10"]), (["10"], ["10"]), ([["10"]], ["10"])])
def test_a_lone_choice_is_read_as_a_list_of_one(choices: Any, answer: list[str]) -> None:
    """`"10"` is not "1" and "0"."""
    assert read(CONFIGS[0], chose(choices, control="one")) == ({"one": "10"}, [])
    assert read(CONFIGS[1], chose(choices)) == ({}, [])  # the config does not have it
    assert read(CONFIGS[1], chose("1")) == ({"any": ["1"]}, [])


@pytest.mark.parametrize("choices", [True, {"a": 1}, [None], [True], [{"a": 1}], ["1", False], [[{}]]])
@pytest.mark.parametrize("config", CONFIGS[:2])
def test_choices_that_are_no_texts_are_left_out(config: LabelConfig, choices: Any) -> None:
    name = config.questions[0].name
    answers, (fault,) = read(config, chose(choices, control=name))
    assert answers == {}  # nor is it an empty answer
    assert fault == f'What an annotation chose for "{name}" is left out: it is not a list of texts.'
    assert read(config, chose(choices, control=name), SOUND)[0].keys() == {name}


@pytest.mark.parametrize("results", ["text", 5, {"a": 1}, [5], [None], [[SKY]], [SKY, "text"]])
def test_results_that_are_no_objects_are_left_out(results: Any) -> None:
    for config in CONFIGS:
        answers, (fault,) = read(config, {"result": results})
        assert answers == {} and fault == "An annotation is left out: its result is not a list of objects."


def test_names_of_any_length_and_kind_are_shown_on_a_line() -> None:
    for name in ("ö" * 10_000, "a\nb\ud800", ["x"], {"a": 1}, 5, True):
        answers, (fault,) = read(CONFIGS[1], {"result": [{"from_name": name, "type": "choices", "value": {}}]})
        assert answers == {} and fault.isprintable() and len(fault) < 200


# Ground truth


def at(moment: int, choices: list[str], *, truth: bool, control: str) -> dict[str, Any]:
    return chose(choices, control=control, updated_at=f"2026-01-0{moment}", ground_truth=truth)


def test_ground_truth_outvotes_the_others() -> None:
    def one(*votes: tuple[str, bool]) -> Any:
        given = [at(k, [choice], truth=truth, control="one") for k, (choice, truth) in enumerate(votes)]
        return read(CONFIGS[0], *given)[0].get("one")

    assert one(("5", True), ("10", False), ("10", False)) == "5"
    assert one(("5", True), ("10", True), ("10", True), ("5", False), ("5", False)) == "10"
    assert one(("5", True), ("10", True), ("5", False)) == "10"  # the newest of those that tie
    assert one(("mouse", True), ("10", False)) == "10"  # it does not answer
    marked = at(1, ["5"], truth=True, control="one") | {"was_cancelled": True}
    assert read(CONFIGS[0], marked, at(2, ["10"], truth=False, control="one"))[0] == {"one": "10"}
    assert read(CONFIGS[0], chose("5", control="one", ground_truth="yes"), SOUND)[0] == {"one": "10"}


def test_ground_truth_outvotes_the_others_in_every_kind_of_question() -> None:
    truth = {"result": SOUND["result"], "ground_truth": True, "updated_at": "2026"}
    car = SKY | {"value": TRIANGLE | {"polygonlabels": ["car"]}}
    other = [choices_result("5", control="one"), choices_result("0", control="any"), car]
    answers, _ = read(CONFIGS[-1], truth, *[{"result": other, "updated_at": "2027"}] * 3)
    assert (answers["one"], answers["any"], answers["brush+poly"][0]["label"]) == ("10", ["1"], "sky")
    newer = {"result": other[2:], "ground_truth": True, "updated_at": "2026-06"}
    answers, _ = read(CONFIGS[-1], newer, truth)
    assert (answers["one"], answers["brush+poly"][0]["label"]) == ("10", "car")


# Anything

NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -1, 0, 30, 20.0]))
TEXTS = st.sampled_from(["one", "any", "poly", "brush", "choices", "brushlabels", "sky", "5", "1", "\ud800", ""])
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.text(max_size=3))
JSON = st.recursive(
    LEAVES, lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(TEXTS, deeper, max_size=3), max_leaves=8
)
POINTS = st.lists(st.lists(NUMBERS | JSON, max_size=3) | JSON, max_size=4)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(TEXTS) | JSON,
        "points": POINTS | JSON,
        "rle": st.lists(st.integers(-1, 256), max_size=9) | JSON,
        "polygonlabels": st.just(["sky"]) | JSON,
        "brushlabels": st.just(["car"]) | JSON,
    },
)
RESULTS = st.fixed_dictionaries(
    {"from_name": TEXTS | JSON, "type": st.sampled_from(["choices", "brushlabels", "polygonlabels", "brush"]) | JSON},
    optional={
        "value": VALUES | JSON,
        "original_width": NUMBERS | JSON,
        "original_height": NUMBERS | JSON,
        "image_rotation": st.just(0) | JSON,
    },
)
ANNOTATIONS = JSON | st.fixed_dictionaries(
    {"result": st.lists(RESULTS | JSON, max_size=3) | JSON},
    optional={
        "id": JSON,
        "was_cancelled": JSON,
        "ground_truth": JSON,
        "completed_by": JSON,
        "created_at": JSON,
        "updated_at": JSON,
    },
)


@settings(deadline=None, max_examples=80)
@given(st.lists(ANNOTATIONS, max_size=3), st.sampled_from(CONFIGS))
def test_annotations_may_hold_any_json(annotations: list[Any], config: LabelConfig) -> None:
    answers, faults = read(config, *annotations, SOUND)
    assert answers.keys() == {question.name for question in config.questions}
    assert all(fault.endswith(".") and fault.isprintable() for fault in faults)
    assert len(config.judgements([*annotations, SOUND])) >= 1
    assert not any("cannot be read (" in fault for fault in faults)  # each fault that we know of has its sentence


def test_what_nobody_thought_of_is_caught_for_that_annotation(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(dict[str, Any]):
        """Stands for whatever our readers do not foresee."""

        def get(self, *_: Any) -> Any:
            raise ZeroDivisionError

    answers, (fault,) = read(CONFIGS[0], {"result": [Odd()]}, SOUND)
    assert answers == {"one": "10"}
    assert fault == "An annotation is left out: it cannot be read (ZeroDivisionError)."
    assert "Traceback" in caplog.text
