"""Label Studio's JSON exports, as files on disk; images beside them or behind a real socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.exports import (
    BOX,
    UPLOADS,
    annotation,
    choice_classes,
    labelled,
    labels,
    polygon,
    read,
    region,
    task,
    two_of,
)

from pt4al_backend.datasets.known_images import SegmentedImages
from pt4al_backend.errors import PT4ALError
from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE


def test_labels_are_what_the_annotations_agree_on(tmp_path: Path) -> None:
    dog, cat, bird = (annotation(region(label)) for label in ("dog", "cat", "bird"))
    newest = annotation(region("cat"), at="2025-01-01T00:00:00Z")
    images = read(
        tmp_path,
        [
            task("/data/upload/3/1.png", dog, cat, dog),
            task("/data/upload/3/2.png", dog, newest, bird),
            task("/data/upload/3/3.png"),
            task("/data/upload/3/4.png", annotation(region("fish"), cancelled=True)),
            task("/data/upload/3/5.png", annotation()),
            task("", dog),
            task("/data/upload/3/6.png", dog, annotation(region("mouse"), cancelled=True)),
        ],
    )
    assert choice_classes(images) == ("bird", "cat", "dog")
    assert labels(images) == ["dog", "cat", "dog"]


def test_other_tags_of_the_config_are_no_answers(tmp_path: Path) -> None:
    box = {"id": "b", "from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": BOX}
    arrow = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    inside = region("blurred", "torn", control="each", **BOX)
    tasks = two_of(UPLOADS)
    tasks[0]["annotations"][0]["result"] += [box, arrow, inside]
    images = read(tmp_path, tasks)
    assert choice_classes(images) == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[{", "not valid JSON"),
        ("\udcff".encode("utf-16", "surrogatepass").decode("latin-1"), "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ({"tasks": []}, "not a list of tasks"),
        ([1, 2], "not a list of tasks"),
        ([], "contains no tasks"),
        ([{"image": "a.png"}], "not a Label Studio export"),
        (
            [{"data": {"image": "/a.png"}, "annotations": [5]}],
            "Entry 1: an annotation is left out: there is only its id",
        ),
        ([{"annotations": []}], "Entry 1 is left out: it has no data"),
        ({"images": [], "annotations": [], "categories": []}, "looks like annotations in the format COCO"),
        ([{"image": "a.png"}], "looks like tasks to import"),
        ([task("/a.png")], "contains no choices"),
        ([task("/a.png", annotation({"type": "choices", "from_name": "choice"}))], "Task 12"),
        ([task("/a.png", annotation(region("cat", **BOX)))], "contains no choices"),
        ([labelled("", "cat"), task("/a.png")], "no labelled image"),
        ([task("/a.png", annotation(region(["animal", "cat"])))], "flat lists of choices"),  # type: ignore[arg-type]
        ([labelled("/a.png", "cat") | {"data": {"one": "/a.png", "two": "https://x.org/2.png"}}], "one, two"),
        ([labelled("nothing to see", "cat")], "No key"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(PT4ALError, match=says) as raised:
        read(tmp_path, content)
    assert "\n" not in str(raised.value)


def test_several_questions_are_read(tmp_path: Path) -> None:
    tags, size = region("b", "a", control="tags"), region("big", control="size")
    images = read(
        tmp_path,
        [
            task("/1.png", annotation(region("cat"), tags, polygon("sky"), polygon("car", control="more"))),
            task("/2.png", annotation(region("c", control="tags"))),
            task("/3.png", annotation(size, polygon("car") | {"image_rotation": 90})),
            task("/4.png", annotation()),
        ],
    )
    assert images.questions == (
        Question("choice", SINGLE, ("cat",)),
        Question("size", SINGLE, ("big",)),
        Question("tags", MULTIPLE, ("a", "b", "c")),
        Question("more+poly", SEGMENTATION, ("car", "sky")),
    )
    first, *others = images.answers
    assert [answer["label"] for answer in first.pop("more+poly")] == ["sky", "car"]
    assert [first, *others] == [{"choice": "cat", "tags": ["a", "b"]}, {"tags": ["c"]}, {"size": "big"}]
    (note,) = images.notes
    assert note.startswith("Task 12: ") and "rotated" in note


def test_empty_is_an_answer_to_the_only_question(tmp_path: Path) -> None:
    images = read(tmp_path, [task("/1.png", annotation(polygon("car"))), task("/2.png", annotation()), task("/3.png")])
    assert [len(answers["poly"]) for answers in images.answers] == [1, 0]
    box = {"from_name": "box", "type": "rectanglelabels", "value": {"rectanglelabels": ["x"]}}
    images = read(tmp_path, [task("/1.png", annotation(polygon("car"))), task("/2.png", annotation(box))])
    assert len(images) == 1 and 'only of "box"' in images.notes[0]


def test_one_single_choice_can_be_replayed(tmp_path: Path) -> None:
    images = read(tmp_path, [labelled("/1.png", "dog"), labelled("/2.png", "cat"), labelled("/3.png", "dog")])
    replayed = images.images(background=True)
    assert (replayed.classes, replayed.targets.tolist(), len(images)) == (("cat", "dog"), [1, 0, 1], 3)
    for tasks, says in (
        ([labelled("/a.png", "cat")], "only one class"),
        ([task("/a.png", annotation(region("cat"), region("big", control="size")))], r"choice, size"),
        (
            [task("/a.png", annotation(region("cat", "dog")))],
            "choice asks for multi-label classification: only classification and segmentation can",
        ),
    ):
        with pytest.raises(PT4ALError, match=says):
            read(tmp_path, tasks).images(background=True)


def test_a_segmentation_can_be_replayed(tmp_path: Path) -> None:
    export = read(tmp_path, [task("/1.png", annotation(polygon("car"))), task("/2.png", annotation())])
    for background, classes, outside in ((True, ("car", "background"), 1), (False, ("car",), 255)):
        images = export.images(background=background)
        assert isinstance(images, SegmentedImages) and images.classes == classes
        drawn, empty = images.mask(0), images.mask(1)
        assert set(np.unique(drawn).tolist()) == {0, outside}
        assert (empty == outside).all()


def test_what_was_painted_on_another_image_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    painted = np.ones(20 * 30, dtype=bool)
    brush = {"format": "rle", "rle": list(brush_rle.packed(painted)), "brushlabels": ["car"]}
    result = polygon("car", control="brush") | {"type": "brushlabels", "value": brush}
    for name, size in (("1.png", (30, 20)), ("2.png", (60, 40)), ("3.png", (20, 30))):
        Image.new("RGB", size).save(tmp_path / name)
    images = read(tmp_path, [task(f"/{k}.png", annotation(result)) for k in (1, 2, 3)]).images(background=True)
    assert isinstance(images, SegmentedImages)
    drawn = [set(np.unique(images.mask(position)).tolist()) for position in (0, 1, 2, 2)]
    assert drawn == [{0}, {0}, {255}, {255}]
    (said,) = caplog.messages
    assert "3.png: A region is left out: it was painted on an image of 30 x 20 pixels" in said


NORMAL = [labelled(f"/{number}.png", "cat" if number % 2 else "dog") for number in range(40)]


@pytest.mark.parametrize(
    ("stray", "says", "left"),
    [
        (task("/a.png", annotation(region("cat"), region("big", control="size"))), "size is answered in 1 of 41", 41),
        (task("/a.png", annotation(polygon("car"))), "A segmentation is answered in 1 of 41", 40),
        (task("/a.png", annotation(region("cat", "dog"))), "Task 12: an answer to choice is left out: it has 2", 40),
        (task("/a.png", annotation(region(["a", "b"]))), 'Task 12: an answer to "choice" is left out', 40),  # type: ignore[arg-type]
        (task("/a.png", annotation({**region(), "value": {"choices": None}})), 'Task 12: an answer to "choice"', 40),
        (task("/a.png", annotation({**region(), "value": 5})), 'Task 12: an answer to "choice" is left out', 40),
        (labelled("", "cat"), "Task 12: its answers are left out: it has no image under image", 40),
        (labelled("/a.png", "cat") | {"data": "/a.png"}, "Task 12 is left out: it has no data", 40),
        (task("/a.png") | {"annotations": [5]}, "Task 12: an annotation is left out: there is only its id", 40),
        (task("/a.png") | {"annotations": 5}, "Task 12 is left out: its annotations are not a list", 40),
        (task("/a.png", {"result": "cat"}), "Task 12: an annotation is left out: its result is not a list", 40),
        ("cat", "Entry 41 is left out: it has no data", 40),
        ({}, "Entry 41 is left out: it has no data", 40),
    ],
)
def test_one_outlier_is_named_and_the_rest_is_read(tmp_path: Path, stray: Any, says: str, left: int) -> None:
    images = read(tmp_path, [*NORMAL, stray])
    assert len(images.images(background=True)) == left
    assert choice_classes(images) == ("cat", "dog")
    (note,) = images.notes
    assert note.startswith(says) and note.endswith(".")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["", "cat", "/1.png"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "data", "image", "annotations", "result", "value", "choices", "type", "points"]),
            inner,
        )
    ),
    max_leaves=8,
)
TARGETS: tuple[tuple[str | int, ...], ...] = (
    (),
    ("id",),
    ("data",),
    ("data", "image"),
    ("annotations",),
    ("annotations", 0),
    *(("annotations", 0, key) for key in ("id", "result", "was_cancelled", "created_at", "updated_at")),
    ("annotations", 0, "result", 0),
    *(("annotations", 0, "result", 0, key) for key in ("from_name", "to_name", "type", "value", "original_width")),
    *(("annotations", 0, "result", 0, "value", key) for key in ("choices", "points", "polygonlabels", "x")),
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON, st.sampled_from(TARGETS), st.booleans())
def test_no_damage_to_one_task_stops_the_others(
    tmp_path: Path, damage: Any, target: tuple[str | int, ...], outlined: bool
) -> None:
    answers = [polygon(f"c{number}") if outlined else region(f"c{number % 3}") for number in range(41)]
    rows: Any = [task(f"/{number}.png", annotation(answer)) for number, answer in enumerate(answers)]
    place = rows
    for step in (40, *target)[:-1]:
        place = place[step]
    place[(40, *target)[-1]] = damage
    images = read(tmp_path, rows)
    (question,) = images.questions
    read_right = [answer[question.name] for answer in images.answers[:40]]
    if outlined:
        assert [each[0]["label"] for each in read_right] == [f"c{number}" for number in range(40)]
    else:
        assert read_right == [f"c{number % 3}" for number in range(40)]


def test_choices_without_their_list_are_read(tmp_path: Path) -> None:
    lone = [
        task("/a.png", annotation({**region(), "value": {"choices": value}})) for value in ("10", 5, ["7"], [["8"]])
    ]
    images = read(tmp_path, lone)
    assert (labels(images), images.notes) == (["10", "5", "7", "8"], ())
