"""One project of a real Label Studio, as the loop sees it."""

from __future__ import annotations

import itertools
import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from support.odd_servers import Asked, Reply, answering, below
from support.platform import CAT, CHOSEN, CONFIG, DOG, Opener, act, new_project, platform_of, read
from support.studio import LEGACY_TOKEN, Studio, StudioError, choices_config

from pt4al_backend.errors import (
    LabelStudioError,
    LabelStudioUnavailableError,
    ProjectGoneError,
    PT4ALError,
    UnsupportedConfigError,
)
from pt4al_backend.label_studio import project as project_module
from pt4al_backend.label_studio import task_list
from pt4al_backend.label_studio.project import LabelStudioProject
from pt4al_backend.labelling.platform import Pick, TaskState, Window
from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.settings import Settings
from pt4al_backend.store.tables import Project

SEVERAL = """<View>
  <Image name="image" value="$image"/>
  <Choices name="choice" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices>
  <Choices name="tags" toName="image" choice="multiple"><Choice value="new"/><Choice value="torn"/></Choices>
  <BrushLabels name="brush" toName="image"><Label value="car"/><Label value="road"/></BrushLabels>
  <PolygonLabels name="poly" toName="image"><Label value="sky"/></PolygonLabels>
  <RectangleLabels name="box" toName="image"><Label value="box"/></RectangleLabels>
</View>"""


def window_of(tasks: list[int], version: str, label: str = "cat") -> Window:
    predictions = {"choice": Prediction(label, 0.5)}
    return Window(version, tuple(Pick(task, place / 100, predictions) for place, task in enumerate(tasks)))


def published(studio: Studio, project: int) -> list[dict[str, Any]]:
    return sorted(studio.api("GET", f"/api/predictions?project={project}"), key=lambda p: (p["score"], p["task"]))


def versions(studio: Studio, project: int) -> dict[str, int]:
    """How many predictions each prediction version has."""
    return dict(studio.api("GET", f"/api/projects/{project}/model-versions/"))


def test_what_annotators_do_is_found(label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_list, "OVERLAP", -1.0)  # transactions of one user do not overlap
    number, ids = new_project(label_studio, 5)
    project = opened(number)
    info = project.project()
    assert (info.title, info.tasks, info.annotations, info.notes, info.overlap) == ("platform", 5, 0, (), 1)
    assert info.questions == (Question("choice", SINGLE, ("cat", "dog")),)
    first, cursor = read(project)
    assert sorted(first) == ids and all(state.answers == {} for state in first.values())
    assert first[ids[3]].image == "/data/upload/3.png"

    def changed() -> dict[int, TaskState]:
        nonlocal cursor
        states, cursor = read(project, cursor)
        return states

    assert changed() == {}
    annotation = label_studio.annotate(ids[0], "dog")
    label_studio.skip(ids[1])
    label_studio.api("POST", f"/api/tasks/{ids[2]}/drafts", json={"result": [], "lead_time": 1})
    states = changed()
    assert states.keys() == {ids[0], ids[1]}
    assert (states[ids[0]].answers, states[ids[0]].annotations, states[ids[0]].skipped) == (DOG, 1, False)
    assert (states[ids[1]].answers, states[ids[1]].cancelled, states[ids[1]].skipped) == ({}, 1, True)
    assert states[ids[0]].version != first[ids[0]].version

    label_studio.annotate(ids[1], "cat")
    answer = {"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}
    label_studio.api("PATCH", f"/api/annotations/{annotation}", json={"result": [answer]})
    states = changed()
    assert {task: (state.answers, state.skipped) for task, state in states.items()} == {
        ids[0]: (CAT, False),
        ids[1]: (CAT, False),
    }
    info = project.project()
    assert (info.annotations, info.skipped) == (2, 1)

    label_studio.api("DELETE", f"/api/annotations/{annotation}")
    label_studio.api("PATCH", f"/api/tasks/{ids[4]}", json={"data": {"other": "x"}})
    act(label_studio, number, "delete_tasks_annotations", [ids[1]])
    states = changed()
    assert {task: (state.answers, state.image) for task, state in states.items()} == {
        ids[0]: ({}, "/data/upload/0.png"),
        ids[1]: ({}, "/data/upload/1.png"),
        ids[4]: ({}, ""),
    }
    (new,) = label_studio.import_images(number, ["/data/upload/new.png"])
    assert changed().keys() == {new}

    project.publish(window_of(ids, "pt4al-1"))
    assert changed() == {}  # else publishing would make work for the loop that published
    mice = choices_config("mouse", "dog")
    label_studio.api("PATCH", f"/api/projects/{number}", json={"label_config": mice})
    assert project.project().questions == (Question("choice", SINGLE, ("mouse", "dog")),)


def test_publish(label_studio: Studio, opened: Opener) -> None:
    number, ids = new_project(label_studio, 8)
    other = [{"task": ids[0], "result": [], "score": 0.1, "model_version": "other-tool"}]
    label_studio.api("POST", f"/api/projects/{number}/import/predictions", json=other)
    project = opened(number)
    order = [ids[5], ids[2], ids[7]]
    for _ in range(2):  # the second time finds everything done
        project.publish(window_of(order, "pt4al-1"))
        assert project.project().model_version == "pt4al-1"
        assert label_studio.project(number)["sampling"] == "Uncertainty sampling"
    predictions = [p for p in published(label_studio, number) if p["model_version"] == "pt4al-1"]
    assert [p["task"] for p in predictions] == order
    assert predictions[0]["result"][0]["value"] == {"choices": ["cat"]}
    assert predictions[0]["result"][0]["score"] == 0.5
    for task in order:
        served = label_studio.next_task(number)
        assert served is not None and served["id"] == task
        label_studio.annotate(task, "dog")

    # Killed in the middle of an import, then between import and switch.
    project = opened(number)
    half = [{"task": ids[0], "result": [], "score": 0.9, "model_version": "pt4al-2"}]
    label_studio.api("POST", f"/api/projects/{number}/import/predictions", json=half)
    project.publish(window_of([ids[1], ids[0]], "pt4al-2", "mouse"))  # the class has been taken out meanwhile
    project = opened(number)
    whole = [{**half[0], "task": task, "model_version": "pt4al-3"} for task in ids[:2]]
    label_studio.api("POST", f"/api/projects/{number}/import/predictions", json=whole)
    assert versions(label_studio, number) == {"other-tool": 1, "pt4al-1": 3, "pt4al-2": 2, "pt4al-3": 2}
    assert all(p["result"] == [] for p in published(label_studio, number) if p["model_version"] == "pt4al-2")
    project.publish(window_of(ids[:2], "pt4al-3"))
    assert project.sweep({"pt4al-3"})
    assert {p["score"] for p in published(label_studio, number)} == {0.1, 0.9}  # it was there as a whole

    # Tasks deleted since the window was made.
    act(label_studio, number, "delete_tasks", [ids[0], ids[3]])
    project.publish(window_of(ids[:5], "pt4al-4"))
    assert project.sweep({"pt4al-4"})
    assert [p["task"] for p in published(label_studio, number)] == [ids[1], ids[2], ids[4]]
    project.publish(window_of([ids[0], ids[3]], "pt4al-5"))
    project.publish(Window("pt4al-6", ()))
    assert project.project().model_version == "pt4al-4"
    served = label_studio.next_task(number)
    assert served is not None and served["id"] == ids[1]


def test_a_task_that_was_left_open_comes_back_with_a_prediction(label_studio: Studio, opened: Opener) -> None:
    other = label_studio.sign_up("leaves-tasks-open@example.com")
    number, ids = new_project(label_studio, 5)
    project = opened(number)
    project.publish(window_of(ids[:2], "pt4al-1"))
    left = other.next_task(number)
    assert left is not None and left["id"] == ids[0]
    (behind,) = window_of([ids[0]], "").picks
    window = replace(window_of([ids[3], ids[2]], "pt4al-2", "dog"), opened=(replace(behind, score=1.0),))
    for _ in range(2):  # the second time finds everything done
        project.publish(window)
        project.sweep({"pt4al-2"})
    assert versions(label_studio, number) == {"pt4al-2": 3}
    back = other.next_task(number)
    assert back is not None and back["id"] == ids[0], "from its lock"
    assert [prediction["model_version"] for prediction in back["predictions"]] == ["pt4al-2"]
    for task in (ids[3], ids[2]):
        served = label_studio.next_task(number)
        assert served is not None and served["id"] == task
        label_studio.annotate(task, "dog")


def test_what_is_out_is_swept_a_part_at_a_time(
    label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_module, "SWEEPING", 0.0)
    number, ids = new_project(label_studio, 2)
    project = opened(number)
    for name in ("other-tool", *(f"pt4al-{k}" for k in range(5))):
        project.publish(window_of(ids, name))
    keep = {"pt4al-1", "pt4al-4"}
    left = []
    while not project.sweep(keep):
        left.append(len(versions(label_studio, number)))
    assert left == [5, 4]
    assert versions(label_studio, number).keys() == {"other-tool", *keep}
    assert project.sweep(keep)


def test_publish_is_content_with_nothing_less_than_all(label_studio: Studio, opened: Opener) -> None:
    """Label Studio answers 201 and leaves out the predictions it does not like, these by their score."""
    number, ids = new_project(label_studio, 3)
    project = opened(number, preannotate=False, set_sampling=False)
    with pytest.raises(LabelStudioError, match="accepted 1 of 2"):
        project.publish(Window("pt4al-1", (Pick(ids[0], 0.5), Pick(ids[1], 1.5))))
    assert published(label_studio, number) == []
    project.publish(window_of(ids, "pt4al-2"))
    assert [p["result"] for p in published(label_studio, number)] == [[], [], []]
    assert label_studio.project(number)["sampling"] == "Sequential sampling"


def test_several_questions(label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published can be submitted as it is, and reads back as what was published."""
    monkeypatch.setattr(task_list, "PAGE_OF_REGIONS", 2)
    monkeypatch.setattr(project_module, "AT_ONCE_WITH_REGIONS", 2)
    number = label_studio.create_project("several", SEVERAL)
    ids = label_studio.import_images(number, [f"/data/upload/{n}.png" for n in range(5)])
    project = opened(number, least_region=0.01)
    info = project.project()
    questions = {question.name: question for question in info.questions}
    assert {name: question.label_type.name for name, question in questions.items()} == {
        "choice": "single",
        "tags": "multiple",
        "brush+poly": "segmentation",
    }
    assert info.notes == ('PT4AL does not learn from RectangleLabels "box".',)

    mask = np.full((48, 48), 3, dtype=np.uint8)
    mask[4:20, 4:20], mask[25:40, 5:45], mask[8:12, 8:12], mask[20:24, 30:44], mask[0, 40] = 0, 1, 3, 2, 2
    predictions = {
        "choice": Prediction("dog", 0.5),
        "tags": Prediction(("torn",), 0.25),
        "brush+poly": Prediction(mask, 0.75),
    }
    picks = [Pick(task, place / 10, predictions, width=64, height=480) for place, task in enumerate(ids)]
    project.publish(Window("pt4al-1", (*picks[:4], Pick(ids[4], 0.9, predictions))))  # of the last no size is known
    predictions = published(label_studio, number)
    assert [p["task"] for p in predictions] == ids
    assert [[region["type"] for region in p["result"]] for p in predictions[3:]] == [
        ["choices", "choices", "brushlabels", "brushlabels", "polygonlabels"],
        ["choices", "choices"],
    ]
    for task, prediction in zip(ids, predictions, strict=True):
        label_studio.api("POST", f"/api/tasks/{task}/annotations", json={"result": prediction["result"]})
    states, _ = read(project)
    assert states.keys() == set(ids)
    answers = states[ids[0]].answers
    drawn = project.drawing(questions["brush+poly"], answers["brush+poly"], side=48, size=(64, 480))
    mask[0, 40] = 3
    assert (drawn.mask != mask).mean() < 0.02 and drawn.notes == ()
    assert {name: answers[name] for name in ("choice", "tags")} == {"choice": "dog", "tags": ["torn"]}
    assert states[ids[4]].answers == {"choice": "dog", "tags": ["torn"]}
    assert all(state.notes == () and not state.skipped for state in states.values())

    broken = [region | {"image_rotation": 90} for region in predictions[0]["result"] if region["type"] != "choices"]
    label_studio.api("POST", f"/api/tasks/{ids[4]}/annotations", json={"result": broken})
    (note,) = read(project)[0][ids[4]].notes[:1]
    assert "rotated" in note


ODD_DATA = ["oops", [], [{"image": "x"}], {}, {"image": ["a", "b"]}, {"image": "\0", "text": "\0"}]
ODD_RESULTS = [[5], [[]], [{"from_name": [1], "to_name": {}, "type": 3, "value": []}], [{"value": {"choices": 5}}]]


def test_a_task_may_hold_anything(label_studio: Studio, opened: Opener) -> None:
    """Label Studio refuses most of it, and saves what it refuses."""
    number, ids = new_project(label_studio, len(ODD_DATA) + 1)
    for task, data in zip(ids, ODD_DATA, strict=False):
        with suppress(StudioError):
            label_studio.api("PATCH", f"/api/tasks/{task}/", json={"data": data})
    imported = [{"data": {"image": "x"}, "annotations": [{"result": odd}, {"result": [CHOSEN]}]} for odd in ODD_RESULTS]
    imported += [{"data": {"image": "x"}, "annotations": [{"result": [CHOSEN | {"value": deep(400)}]}]}]
    annotated = label_studio.import_images(number, imported)
    project = opened(number)
    project.project()
    states, _ = read(project)
    assert states.keys() == {*ids, *annotated}
    assert states[ids[-1]].image == f"/data/upload/{len(ids) - 1}.png"
    assert [states[task].notes for task in ids[:6]] == [(project_module.NO_OBJECT,)] * 3 + [()] * 3
    assert [states[task].image for task in ids[:6]] == ["", "", "", "", '["a", "b"]', "?"]
    assert [states[task].answers for task in annotated[:-1]] == [CAT] * len(ODD_RESULTS)
    assert all(states[task].notes for task in annotated[:2])


def deep(levels: int) -> Any:
    nested: Any = []
    for _ in range(levels):
        nested = [nested]
    return nested


def test_ground_truth_counts(label_studio: Studio, opened: Opener) -> None:
    """Also where it is given and taken later: Label Studio keeps one per task, and takes what is imported for one."""
    number, (task,) = new_project(label_studio, 1)
    first, *_ = [label_studio.annotate(task, choice) for choice in ("cat", "dog", "dog")]
    project = opened(number)
    states, cursor = read(project)
    assert states[task].answers == DOG
    label_studio.api("PATCH", f"/api/annotations/{first}/", json={"ground_truth": True})
    states, _ = read(project, cursor)
    assert states[task].answers == CAT
    label_studio.api("PATCH", f"/api/annotations/{first}/", json={"ground_truth": False})
    assert read(project, cursor)[0][task].answers == DOG
    (task,) = label_studio.import_images(number, [{"data": {"image": "x"}, "annotations": [{"result": [CHOSEN]}]}])
    label_studio.annotate(task, "dog")
    assert read(project, cursor)[0][task].answers == CAT


def test_a_project_that_is_gone(label_studio: Studio, opened: Opener) -> None:
    number, ids = new_project(label_studio, 2)
    made = datetime.fromisoformat(label_studio.project(number)["created_at"].replace("Z", "+00:00"))
    created = str(int(made.timestamp()))
    project = opened(number, created)
    cursor = read(project)[1]
    with pytest.raises(ProjectGoneError, match="another project"):
        opened(number, str(int(created) - 1)).project()
    label_studio.api("PATCH", f"/api/projects/{number}", json={"label_config": "<View></View>"})
    with pytest.raises(UnsupportedConfigError):
        project.project()
    label_studio.api("DELETE", f"/api/projects/{number}")
    for attempt in (
        project.project,
        lambda: read(project, cursor),
        lambda: project.missing(ids),
        lambda: project.publish(window_of(ids, "pt4al-1")),
    ):
        with pytest.raises(ProjectGoneError, match=f"Project {number} "):
            attempt()


def test_whether_a_project_is_connected(label_studio: Studio, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    number, _ = new_project(label_studio, 1)
    project, other_look = opened(number), opened(number)
    assert not project.is_connected()
    with (
        answering(lambda asked: Reply.json({"status": "UP", "model_version": "yolo-1"})) as other,
        answering(lambda asked: Reply.json({"status": "UP", "model_version": "pt4al-preparing"})) as ours,
    ):
        label_studio.connect_backend(number, other.url)
        assert not project.is_connected()
        model = label_studio.connect_backend(number, ours.url)
        asked = len(ours.asked)
        assert project.is_connected()
        assert len(ours.asked) == asked, "the question would wake us"
    assert project.is_connected(), "a model that does not answer now is not removed"
    monkeypatch.setattr(project_module, "CONNECTED_FOR", 0.0)
    assert other_look.is_connected()
    label_studio.api("DELETE", f"/api/ml/{model}")
    assert project.is_connected(), "it is not asked all the time"
    assert not other_look.is_connected()
    label_studio.api("DELETE", f"/api/projects/{number}")
    with pytest.raises(ProjectGoneError):
        other_look.is_connected()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(502),
        Reply(0),
        Reply(200, b"<html>"),
        Reply.json({"detail": "no"}, 403),
        Reply.json({"pt4al-1": 3}),  # a Label Studio that does not tell
        Reply.json({"static": [], "live": [{"model_version": None}]}),  # connected just now
        Reply.json({"static": [], "live": [{"model_version": "by hand", "auto_update": False}]}),
    ],
)
def test_a_question_without_an_answer_stops_no_project(reply: Reply) -> None:
    with answering(lambda asked: reply) as server, closing(platform_of(server.url, LEGACY_TOKEN, 7)) as project:
        assert project.is_connected()


def test_label_studio_stops_in_the_middle(label_studio: Studio) -> None:
    """Wherever publishing is cut off, the same call later ends well."""
    number, ids = new_project(label_studio, 4)
    forward = below("", label_studio.url)
    left = 0

    def dying(asked: Asked) -> Reply:
        nonlocal left
        left -= 1
        return forward(asked) if left >= 0 else Reply(502)

    for attempt, restarted in itertools.product(range(5), (False, True)):
        version, tasks = f"pt4al-{attempt}-{restarted}", ids[attempt % 2 :]
        with answering(dying) as proxy, ExitStack() as closing_platforms:
            project, after = (
                closing_platforms.enter_context(closing(platform_of(proxy.url, label_studio.token, number)))
                for _ in range(2)
            )
            left = attempt
            with pytest.raises(LabelStudioUnavailableError):
                project.publish(window_of(tasks, version))
            left = 100
            again = after if restarted else project
            again.publish(window_of(tasks, version))
            assert again.sweep({version})
            assert [p["task"] for p in published(label_studio, number)] == tasks
            assert again.project().model_version == version
            assert label_studio.project(number)["sampling"] == "Uncertainty sampling"
            label_studio.api("PATCH", f"/api/projects/{number}", json={"sampling": "Sequential sampling"})


def test_an_order_is_served_as_soon_as_its_version_is_shown(label_studio: Studio) -> None:
    number, ids = new_project(label_studio, 4)
    forward = below("", label_studio.url)
    served = []

    def watched(asked: Asked) -> Reply:
        reply = forward(asked)
        if label_studio.project(number)["model_version"] == "pt4al-1":
            served.append(label_studio.next_task(number))
        return reply

    with answering(watched) as proxy, closing(platform_of(proxy.url, label_studio.token, number)) as project:
        project.publish(window_of(ids[::-1], "pt4al-1"))
    assert served
    assert {task["id"] for task in served if task is not None} == {ids[-1]}


def test_an_order_takes_few_requests(label_studio: Studio) -> None:
    """Of a project that was synced a moment ago; every request takes Label Studio as long as an annotator's does."""
    number, ids = new_project(label_studio, 4)
    forward = below("", label_studio.url)
    requests: list[str] = []

    def watched(asked: Asked) -> Reply:
        requests.append(asked.method)
        return forward(asked)

    with answering(watched) as proxy, closing(platform_of(proxy.url, label_studio.token, number)) as project:
        project.publish(window_of(ids, "pt4al-1"))
        project.sweep({"pt4al-1"})
        for version in ("pt4al-2", "pt4al-3"):
            project.project()
            requests.clear()
            project.publish(window_of(ids, version))
            assert project.sweep({"pt4al-1", "pt4al-2", "pt4al-3"})
            assert requests == ["POST", "PATCH"]
        project.publish(window_of(ids, "pt4al-2"))  # it is still there
        assert versions(label_studio, number) == dict.fromkeys(["pt4al-1", "pt4al-2", "pt4al-3"], 4)
        assert project.project().model_version == "pt4al-2"


def test_images_are_fetched_with_the_token(label_studio: Studio, opened: Opener, tmp_path: Path) -> None:
    number = label_studio.create_project("images", CONFIG)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    (task,) = label_studio.upload_files(number, [tmp_path / "red.png"])
    project = opened(number)
    states, _ = read(project)
    assert project.image(task, states[task].image) == (tmp_path / "red.png").read_bytes()


def test_a_setup_cannot_send_us_to_a_metadata_service() -> None:
    row = Project(label_studio_url="http://169.254.169.254", number=1, created="1", access_token=LEGACY_TOKEN)
    with (
        closing(LabelStudioProject.of(row, Settings())) as project,
        pytest.raises(PT4ALError, match=r"169\.254\.169\.254 is at .*, a link-local or cloud metadata address"),
    ):
        project.project()


def test_no_connection_stays_open() -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which keeps connections open

        def do_GET(self) -> None:
            body = b"[]"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: pytest's output is for failures."""

    def connections() -> int:
        return sum(
            bool(one.raddr) and one.raddr.port == server.server_port and one.status == psutil.CONN_ESTABLISHED
            for one in psutil.Process().net_connections("tcp")
        )

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        project = platform_of(f"http://127.0.0.1:{server.server_port}", LEGACY_TOKEN, 1)
        assert project.image(1, "/data/upload/1/a.png") == b"[]"
        assert project.missing([]) == set()
        with suppress(LabelStudioError):
            project.project()
        assert connections() == 2  # for images, and for everything else
        project.close()
        assert connections() == 0
        server.shutdown()
