"""Through the front door with other questions than which class an image is of: regions, tags, two at a time."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from support.known_projects import annotate_in_turn, stored, wait_until
from support.shapes import CLASSES, Drawing, ShapeProject, config, outlined, overlap, painted, shown
from support.studio import choices_result

from pt4al_backend.label_studio.label_config.regions import draw
from pt4al_backend.store.mask_file import MaskFile

DRAWINGS = 36
LABELS = 13  # of three rounds, and one more
ROUNDS = 3
TURNED = 5  # a portrait on its side, as phones save them


def drawings(n, **options):
    return [Drawing.make(number, turned=number == TURNED, **options) for number in range(n)]


@pytest.mark.parametrize(
    ("controls", "types"),
    [
        (("brush",), {"brushlabels"}),
        (("polygon",), {"polygonlabels"}),
        (("tags",), {"choices"}),
        (("choice", "brush"), {"choices", "brushlabels"}),
    ],
    ids=["brush", "polygon", "tags", "choice and brush"],
)
def test_three_rounds_and_a_guess_that_is_submitted(label_studio, backend, controls, types):
    project = ShapeProject.create(label_studio, controls, drawings(DRAWINGS))
    project.connect(backend)
    assert all(results == [] for results in project.published().values())
    rounds = annotate_in_turn(backend, project, [label_studio], LABELS, to_round=ROUNDS)
    labels = len(rounds)
    assert rounds == sorted(rounds)
    wait_until(lambda: f"-n{labels}-" in project.version)
    wait_until(lambda: backend.project(project.number)["stage"] == "ready")
    status = backend.project(project.number)
    assert status["round"] >= ROUNDS
    assert (status["pool"], status["labelled"], status["error"], status["notes"]) == (DRAWINGS, labels, "", [])

    published = project.published()
    assert {result["type"] for results in published.values() for result in results} == types
    task = next(task for task, results in published.items() if {result["type"] for result in results} == types)
    label_studio.submit(task, published[task])
    wait_until(lambda: backend.project(project.number)["labelled"] == labels + 1)
    answers = stored(backend, project, lambda store, row: store.answers(row.id))[task]
    for result in published[task]:
        if result["type"] == "choices":
            answer = answers[result["from_name"]]
            assert ([answer] if isinstance(answer, str) else answer) == result["value"]["choices"]
    if types != {"choices"}:
        wait_until(lambda: learnt_mask(backend, project, task) is not None)
        mask = learnt_mask(backend, project, task)
        assert overlap(mask, shown(published[task], side=len(mask))) >= (0.95 if "polygon" in controls else 0.99)
    assert backend.project(project.number)["notes"] == []


def test_bad_regions_do_no_harm_to_good_ones(label_studio, backend):
    project = ShapeProject.create(label_studio, ("brush", "polygon"), drawings(12))
    project.connect(backend)
    first, second, third = project.queue()[:3]
    drawing = project.truth[first]
    good = np.zeros((drawing.height, drawing.width), dtype=bool)
    good[10:40, 5:35] = True
    regions = [
        painted("box", good),
        painted("box", good) | {"original_width": drawing.width + 1},
        outlined("disc", [(0, 0), (3 * drawing.width, 0), (0, drawing.height)], drawing.width, drawing.height),
        painted("disc", good & False),
        painted("hexagon", good),
    ]
    regions[3]["value"]["rle"] = []
    sentences = [
        'A region of "brush" is left out: its pixels are damaged or do not fit its image\'s size; paint it again.',
        'A region of "polygon" is left out: it has points outside the image.',
        'A region of "brush" is left out: nothing is painted.',
        'A region of "brush" is left out: the label config no longer has its label.',
    ]
    label_studio.submit(first, regions)
    wait_until(lambda: backend.project(project.number)["labelled"] == 1)
    assert backend.project(project.number)["notes"] == [f"Task {first}: {sentence}" for sentence in sentences]
    kept, *left_out = stored(backend, project, lambda store, row: store.regions(row.id, [first]))[first]
    assert [region["label"] for region in left_out] == [None, None, None]
    assert overlap(draw([kept], CLASSES, side=192, background=True), shown(regions[:1], side=192)) == 1

    label_studio.submit(second, regions[1:2])  # nothing of it can be used: the task is not labelled
    project.label(third)
    wait_until(lambda: backend.project(project.number)["labelled"] == 2)
    wait_until(lambda: len(backend.project(project.number)["notes"]) == 5)
    log = backend.log.read_text()
    assert [log.count(f"task {first}: {sentence}") for sentence in sentences] == [1, 1, 1, 1]
    assert log.count(f"task {second}: {sentences[0]}") == 1
    assert backend.project(project.number)["error"] == ""


def test_what_is_not_learnt_is_told(label_studio, backend):
    project = ShapeProject.create(label_studio, ("choice", "box"), drawings(12))
    project.connect(backend)
    assert label_studio.api("GET", f"/api/ml?project={project.number}")[0]["state"] == "CO"
    sentence = 'PT4AL does not learn from RectangleLabels "box".'
    assert backend.project(project.number)["notes"] == [sentence]
    task = project.queue()[0]
    value = {"x": 10, "y": 10, "width": 30, "height": 30, "rotation": 0, "rectanglelabels": ["frame"]}
    frame = {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": value}
    label_studio.submit(task, [choices_result("dark"), frame])
    wait_until(lambda: backend.project(project.number)["labelled"] == 1)
    assert stored(backend, project, lambda store, row: store.answers(row.id)) == {task: {"choice": "dark"}}
    assert backend.project(project.number)["notes"] == [sentence]

    environment = os.environ | {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.token}
    environment |= {"PT4AL_DATA_DIR": str(backend.data_dir), "PORT": backend.url.rpartition(":")[2]}
    command = [sys.executable, "-m", "pt4al_backend.cli", "check", "--project", str(project.number)]

    def checked():
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        return None if "takes too long" in done.stdout else done  # on a busy machine

    done = wait_until(checked)
    said = " ".join(done.stdout.split())
    assert sentence in said and "choice (single, 2 classes)" in said, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout


def test_changed_questions_are_learned_again(label_studio, backend):
    """From ticking to painting: the images are read at another size, and the ticks are not lost."""
    project = ShapeProject.create(label_studio, ("choice",), drawings(12))
    project.connect(backend)
    for task in project.queue()[:2]:
        project.label(task)
    wait_until(lambda: backend.project(project.number)["labelled"] == 2)
    wait_until(lambda: "-n2-" in project.version)  # a publish at the same moment may undo what is saved (fact 45)
    before = project.version
    label_studio.api("PATCH", f"/api/projects/{project.number}", json={"label_config": config("choice", "brush")})
    wait_until(lambda: backend.project(project.number)["task_type"] == "classification + segmentation")
    painter = ShapeProject(label_studio, project.number, project.truth, ("choice", "brush"))
    painter.label(painter.queue()[0])
    wait_until(lambda: backend.project(project.number)["labelled"] == 3)
    wait_until(lambda: any(result["type"] == "brushlabels" for r in painter.published().values() for result in r))
    assert painter.version != before
    assert backend.project(project.number)["error"] == ""


def learnt_mask(backend, project, task):
    """The mask that a task teaches, None if none has been drawn."""

    def read(store, row):
        files = list(store.pixels_dir(row.id).glob("masks-*"))
        if not files:
            return None
        masks = MaskFile(files[0], side=int(files[0].name.split("-")[1].removesuffix("px")))
        pool = store.pool(row)
        place, digest = pool.row[pool.task == task], store.answers(row.id)[task].get("+".join(regions))
        return masks.read(place)[0] if digest and masks.has(place, [digest]).all() else None

    regions = [control for control in project.controls if control in ("brush", "polygon")]
    return stored(backend, project, read)
