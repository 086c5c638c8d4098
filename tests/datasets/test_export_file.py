"""Label Studio's JSON exports, as files on disk; images beside them or behind a real socket."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.odd_servers import Asked, Reply, answering

from pt4al_backend.datasets.export_file import Export, read_export
from pt4al_backend.datasets.known_images import SegmentedImages
from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.settings import Settings

OFFLINE = Settings(label_studio_url="", label_studio_api_key="")
UPLOADS = ["/data/upload/3/1f-a.png", "/data/upload/3/2e-b.png"]
BOX = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "rotation": 0}


def region(*choices: str, control: str = "choice", **where: float) -> dict[str, Any]:
    value = {"choices": list(choices), **where}
    return {"id": "x1", "from_name": control, "to_name": "image", "type": "choices", "value": value, "origin": "manual"}


def annotation(*regions: dict[str, Any], at: str = "2024-01-01T00:00:00Z", cancelled: bool = False) -> dict[str, Any]:
    return {
        "id": 7,
        "completed_by": 1,
        "result": list(regions),
        "was_cancelled": cancelled,
        "updated_at": at,
        "created_at": at,
    }


def task(image: str, *annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "id": 12,
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [],
        "data": {"image": image, **data},
        "meta": {},
        "project": 3,
    }


def labelled(image: str, label: str, **data: Any) -> dict[str, Any]:
    return task(image, annotation(region(label)), **data)


def two_of(images: list[str]) -> list[dict[str, Any]]:
    return [labelled(image, label) for image, label in zip(images, ("cat", "dog"), strict=True)]


def minimal(image: str, choice: Any, *, number: int = 1, **more: Any) -> dict[str, Any]:
    row = {"image": image, "id": number, "choice": choice, "annotator": 1, "annotation_id": number}
    return row | {"created_at": "2024-01-01", "updated_at": "2024-01-01", "lead_time": 2.5} | more


def export(directory: Path, content: Any) -> Path:
    path = directory / "export.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(directory: Path, content: Any, settings: Settings = OFFLINE) -> Export:
    return read_export(export(directory, content), settings)


def labels(images: Export) -> list[str]:
    return [answers["choice"] for answers in images.answers]


def classes(images: Export) -> tuple[str, ...]:
    (question,) = images.questions
    assert (question.name, question.label_type.name) == ("choice", "single")
    return question.classes


def polygon(label: str, *, control: str = "poly") -> dict[str, Any]:
    value = {"points": [[0, 0], [50, 0], [50, 50]], "closed": True, "polygonlabels": [label]}
    size = {"original_width": 30, "original_height": 20, "image_rotation": 0}
    return {"id": "x2", "from_name": control, "to_name": "image", "type": "polygonlabels", "value": value} | size


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


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
    assert classes(images) == ("bird", "cat", "dog")
    assert labels(images) == ["dog", "cat", "dog"]


def test_other_tags_of_the_config_are_no_answers(tmp_path: Path) -> None:
    box = {"id": "b", "from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": BOX}
    arrow = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    inside = region("blurred", "torn", control="each", **BOX)
    tasks = two_of(UPLOADS)
    tasks[0]["annotations"][0]["result"] += [box, arrow, inside]
    images = read(tmp_path, tasks)
    assert classes(images) == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[{", "not valid JSON"),
        ("\udcff".encode("utf-16", "surrogatepass").decode("latin-1"), "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ({"tasks": []}, "not a list of tasks"),
        ([1, 2], "not a list of tasks"),
        ([], "holds no tasks"),
        ([{"image": "a.png"}], "not a Label Studio export"),
        ([{"data": {"image": "/a.png"}, "annotations": [5]}], "Entry 1: an annotation is left out: only its number"),
        ([{"annotations": []}], "Entry 1 is left out: it has no data"),
        ({"images": [], "annotations": [], "categories": []}, "looks like annotations in the format COCO"),
        ([{"image": "a.png"}], "looks like tasks to import"),
        ([task("/a.png")], "holds no choices"),
        ([task("/a.png", annotation({"type": "choices", "from_name": "choice"}))], "Task 12"),
        ([task("/a.png", annotation(region("cat", **BOX)))], "holds no choices"),
        ([labelled("", "cat"), task("/a.png")], "no labelled image"),
        ([task("/a.png", annotation(region(["animal", "cat"])))], "flat lists of choices"),  # type: ignore[arg-type]
        ([labelled("/a.png", "cat") | {"data": {"one": "/a.png", "two": "https://x.org/2.png"}}], "one, two"),
        ([labelled("nothing to see", "cat")], "No key"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, content: Any, says: str) -> None:
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
    assert note.startswith("Task 12: ") and "turned" in note


def test_empty_is_an_answer_to_the_only_question(tmp_path: Path) -> None:
    images = read(tmp_path, [task("/1.png", annotation(polygon("car"))), task("/2.png", annotation()), task("/3.png")])
    assert [len(answers["poly"]) for answers in images.answers] == [1, 0]
    box = {"from_name": "box", "type": "rectanglelabels", "value": {"rectanglelabels": ["x"]}}
    images = read(tmp_path, [task("/1.png", annotation(polygon("car"))), task("/2.png", annotation(box))])
    assert len(images) == 1 and '"box" alone' in images.notes[0]


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


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(PT4ALError, match="cannot be read"):
            read_export(path, OFFLINE)


def test_the_image_is_told_from_other_data(tmp_path: Path) -> None:
    other = {"filename": "a.png", "page": "https://example.com/a.html", "width": 640, "notes": "nice"}
    tasks = [labelled(image, label, **other) for image, label in zip(UPLOADS, ("cat", "dog"), strict=True)]
    tasks[1]["data"]["notes"] = "see https://example.com"
    tasks.append(labelled("", "cat") | {"data": {"$undefined$": "/data/upload/3/3.png"}})
    for name in ("1f-a.png", "2e-b.png", "3.png"):
        write(tmp_path / name, name.encode())
    images = read(tmp_path, tasks)
    assert [images.read(position) for position in range(3)] == [b"1f-a.png", b"2e-b.png", b"3.png"]


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("/data/upload/3/1f-a.png", "data/upload/3/1f-a.png"),
        ("/data/upload/3/1f-a.png", "1f-a.png"),
        ("/data/upload/3/1f-a.png", "images/1f-a.png"),
        ("http://localhost:8080/data/upload/3/1f-a.png", "1f-a.png"),
        ("/data/local-files/?d=pets/cat/1%20%C3%A4%23.png", "pets/cat/1 ä#.png"),
        ("/data/local-files/?d=pets/cat/1%20%C3%A4%23.png", "cat/1 ä#.png"),
        ("/data/local-files?d=pets/cat/1.png", "images/1.png"),
        ("http://localhost:8080/label/data/local-files/?d=/pets/1.png", "pets/1.png"),
        ("s3://bucket/pets/1.png", "pets/1.png"),
        ("https://example.com/pets/1%202.png?signature=secret", "images/1 2.png"),
        ("pets/100% #1.png", "pets/100% #1.png"),
    ],
)
def test_images_lie_beside_the_export(tmp_path: Path, value: str, file: str) -> None:
    write(tmp_path / file, b"cat")
    images = read(tmp_path, two_of([value, "/other.png"]))
    assert images.read(0) == b"cat"


def test_files_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    write(tmp_path / "1.png", b"whose?")
    write(tmp_path / "images/dog/1.png", b"dog")
    images = read(tmp_path, two_of([f"/data/local-files/?d=pets/{name}/1.png" for name in ("cat", "dog")]))
    assert images.read(1) == b"dog"
    with pytest.raises(UnreadableImageError, match=r"pets/cat/1\.png"):
        images.read(0)
    write(tmp_path / "sub/1.png", b"below")
    images = read(tmp_path, two_of(["1.png", "sub/1.png"]))
    assert (images.read(0), images.read(1)) == (b"whose?", b"below")
    images = read(tmp_path, two_of(["s3://cats/1.png", "s3://dogs/1.png"]))
    for position in (0, 1):
        with pytest.raises(UnreadableImageError, match=r"no '1\.png'"):
            images.read(position)


@pytest.mark.parametrize(
    "value",
    [
        "../secret.png",
        "/../secret.png",
        "/data/local-files/?d=../secret.png",
        "/data/local-files/?d=%2e%2e/secret.png",
        "/data/local-files/?d=a/../../secret.png",
        "link.png",
        "folder/secret.png",
        "/%00.png",
        f"/{'a' * 5000}.png",
        "/circle.png",
        "/..",
        "/",
        "//[bad.png",
    ],
)
def test_nothing_outside_is_read(tmp_path: Path, value: str) -> None:
    inside = tmp_path / "inside"
    write(tmp_path / "secret.png", b"secret")
    write(inside / "a" / "other.png", b"")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "folder").symlink_to(tmp_path)
    (inside / "circle.png").symlink_to(inside / "circle.png")
    images = read(inside, two_of([value, "/other.png"]))
    with pytest.raises(UnreadableImageError, match="put the images beside the export, or set LABEL_STUDIO_URL"):
        images.read(0)


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("/data/local-files/?d=photos%5Ctrain%5C1.png", "photos/train/1.png"),
        ("/data/local-files/?d=photos%5Ctrain%5C1.png", "images/1.png"),
        ("/data/local-files/?d=photos\\train/1.png", "train/1.png"),
        ("/data/local-files/?d=C:%5Cphotos%5C1.png", "1.png"),
        ("/data/local-files/?d=photos%5Ctrain%5C1.png", "photos\\train\\1.png"),  # unzipped on another system
        ("http://localhost:8080/data/upload/3/a%5C1.png", "1.png"),
        ("C:\\photos\\1.png", "photos/1.png"),
        ("photos\\1.png", "photos/1.png"),
    ],
)
def test_images_of_windows_lie_beside_the_export(tmp_path: Path, value: str, file: str) -> None:
    write(tmp_path / file, b"cat")
    assert read(tmp_path, two_of([value, "/other.png"])).read(0) == b"cat"


@pytest.mark.parametrize("scheme", ["s3", "gs", "azure-blob", "S3"])
@pytest.mark.parametrize(
    "name", ["a#1.png", "a?1.png", "a%201.png", "a+1.png", "a 1.png", "a%2F1.png", "a&b=c;.png", "ä.png"]
)
def test_keys_of_storages_are_taken_as_they_are(tmp_path: Path, scheme: str, name: str) -> None:
    write(tmp_path / name, b"cat")
    write(tmp_path / "set" / f"{name}.png", b"another")
    assert read(tmp_path, two_of([f"{scheme}://bucket/set/{name}", "/other.png"])).read(0) == b"cat"
    uri = base64.urlsafe_b64encode(f"{scheme}://bucket/set/{name}".encode()).decode()
    for asked in (f"/tasks/7/resolve/?fileuri={uri}", f"http://localhost:8080/tasks/7/presign/?fileuri={uri}"):
        assert read(tmp_path, two_of([asked, "/other.png"])).read(0) == b"cat"


@pytest.mark.parametrize(
    "data",
    [
        {"photo": {"files": [{"url": "/data/upload/3/1f-a.png", "page": "https://example.com/a"}]}},
        {"image": ["/data/upload/3/1f-a.png"]},
        {"image": {"big": "/data/upload/3/1f-a.png"}, "title": ["a", "b"]},
        {"image": "/data/upload/3/1f-a.png", "page": "https://example.com/products/7"},
        {"picture": "/data/upload/3/1f-a.png", "page": "https://example.com/products/7", "more": ["https://x.org/1"]},
        {"image": "/data/upload/3/1f-a.png", "thumbnail": "/data/upload/3/small.png"},
        {"image": "1f-a.png", "name": "cat"},
    ],
)
def test_the_image_is_found_in_nested_data_and_beside_links(tmp_path: Path, data: dict[str, Any]) -> None:
    write(tmp_path / "1f-a.png", b"cat")
    tasks = [task("", annotation(region(label))) | {"data": data} for label in ("cat", "dog")]
    assert read(tmp_path, tasks).read(1) == b"cat"


def test_several_images_in_a_task_are_told(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match=r"several images each, as a list \(pages\)"):
        read(tmp_path, [labelled("", "cat") | {"data": {"pages": ["/1.png", "/2.png"]}}])


def test_exports_from_before_release_1_are_read(tmp_path: Path) -> None:
    def completed(label: str, at: float, **more: Any) -> dict[str, Any]:
        return {"id": 1001, "created_at": at, "lead_time": 3.1, "result": [region(label)], **more}

    old = {"id": 3, "data": {"image": "/1.png"}, "completions": [completed("cat", 1598234000), completed("dog", 1.6e9)]}
    skipped = {"id": 4, "data": {"image": "/2.png"}, "completions": [completed("dog", 1598234000, skipped=True)]}
    mixed = task("/3.png", completed("cat", 1598234000), annotation(region("dog")), completed("cat", 1e300))
    images = read(tmp_path, [old, skipped, mixed, labelled("/4.png", "cat")])
    assert labels(images) == ["dog", "cat", "cat"]
    assert images.notes == ()
    again = read(tmp_path, [old | {"annotations": old["completions"]}])
    assert labels(again) == ["dog"]  # the newest of two


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
        (labelled("", "cat"), "Task 12: its answers are left out: there is no image under image", 40),
        (labelled("/a.png", "cat") | {"data": "/a.png"}, "Task 12 is left out: it has no data", 40),
        (task("/a.png") | {"annotations": [5]}, "Task 12: an annotation is left out: only its number is there", 40),
        (task("/a.png") | {"annotations": 5}, "Task 12 is left out: its annotations are no list", 40),
        (task("/a.png", {"result": "cat"}), "Task 12: an annotation is left out: its result is no list", 40),
        ("cat", "Entry 41 is left out: it has no data", 40),
        ({}, "Entry 41 is left out: it has no data", 40),
    ],
)
def test_one_stray_among_many_is_told_and_the_rest_goes_on(tmp_path: Path, stray: Any, says: str, left: int) -> None:
    images = read(tmp_path, [*NORMAL, stray])
    assert len(images.images(background=True)) == left
    assert classes(images) == ("cat", "dog")
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


def test_other_numbers_and_times_are_no_obstacle(tmp_path: Path) -> None:
    odd = annotation(region("cat")) | {"id": "x7", "created_at": None, "updated_at": {}, "was_cancelled": None}
    images = read(tmp_path, [task("/1.png", odd) | {"id": "a-1"}, labelled("/2.png", "dog") | {"id": "17"}])
    assert labels(images) == ["cat", "dog"]


def test_data_uris_need_nothing_else(tmp_path: Path) -> None:
    uris = [f"data:image/png;base64,{base64.b64encode(name).decode()}" for name in (b"cat", b"dog")]
    images = read(tmp_path, two_of(uris))
    assert [images.read(0), images.read(1)] == [b"cat", b"dog"]


def test_what_is_not_on_disk_is_fetched(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(200, f"{asked.path} {asked.headers.get('authorization')}".encode(), {"Content-Type": "image/png"})

    with answering(answer) as studio, answering(answer) as elsewhere:
        tasks = two_of(["/data/upload/3/1.png", f"{elsewhere.url}/2.png"])
        home = Settings(label_studio_url=studio.url, label_studio_api_key="s3cret")
        images = read(tmp_path, tasks, home)
        assert images.read(0) == b"/data/upload/3/1.png Token s3cret"
        assert images.read(1) == b"/2.png None"
        without_token = read(tmp_path, tasks, Settings(label_studio_url=studio.url, label_studio_api_key=""))
        assert without_token.read(0) == b"/data/upload/3/1.png None"
        offline = read(tmp_path, tasks)
        assert offline.read(1) == b"/2.png None"
        with pytest.raises(UnreadableImageError, match="set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"):
            offline.read(0)
        write(tmp_path / "1.png", b"local")
        assert images.read(0) == b"local"


def test_json_min_is_read_where_it_is_plain(tmp_path: Path) -> None:
    images = read(
        tmp_path,
        [
            minimal(UPLOADS[0], "cat", number=1),
            minimal(UPLOADS[0], "dog", number=1, annotation_id=9, updated_at="2025-01-01"),
            minimal(UPLOADS[1], "cat", number=2),
            {key: value for key, value in minimal("/3.png", "", annotation_id=None).items() if key != "choice"},
        ],
    )
    assert classes(images) == ("cat", "dog")
    assert labels(images) == ["dog", "cat"]


def test_one_stray_row_of_json_min_is_told(tmp_path: Path) -> None:
    rows = [minimal(f"/{number}.png", "cat" if number % 2 else "dog", number=number) for number in range(1, 31)]
    linked = [row | {"page": "https://example.com/7"} for row in rows]
    several = minimal("/a.png", {"choices": ["cat", "dog"]}, number=99)
    images = read(tmp_path, [*linked, several, {"image": "/b.png"}, minimal("/c.png", "cat", number=98, size="big")])
    assert len(images) == 31
    assert images.notes == (
        "1 of 33 entries left out: they are not as in JSON-MIN.",
        'Task 99: an annotation is left out: its answer to "choice" is no text.',
    )


@pytest.mark.parametrize(
    "row",
    [
        minimal("/a.png", "cat", title="A cat"),
        minimal("/a.png", "cat", width=640),
        minimal("/a.png", {"choices": ["cat", "dog"]}),
        minimal("/a.png", [{"x": 1}]),
    ],
)
def test_json_min_that_may_mean_several_things_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(PT4ALError, match="JSON-MIN does not say"):
        read(tmp_path, [row])


def test_json_min_without_answers_is_told(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="holds no labels"):
        read(tmp_path, [minimal("/a.png", "", annotation_id=None)])
