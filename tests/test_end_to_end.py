"""Through the front door: a real Label Studio, a real backend, nothing in between."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
import requests
from support.digits import DigitProject, slow_digits
from support.known_projects import QUICK, annotate_in_turn, stored, wait_until
from support.studio import StudioError, choices_config


def test_served_in_published_order_through_three_rounds(label_studio, backend):
    project = DigitProject.create(label_studio, 60)
    project.connect(backend)
    settings = label_studio.project(project.number)
    assert settings["sampling"] == "Uncertainty sampling"
    rounds = annotate_in_turn(backend, project, [label_studio], 13, to_round=3)
    assert rounds == sorted(rounds)
    wait_until(lambda: backend.project(project.number)["labelled"] == len(rounds))
    status = backend.project(project.number)
    assert status["round"] >= 3
    assert (status["pool"], status["cycles"], status["query_size"]) == (60, 3, 4)
    wait_until(lambda: backend.project(project.number)["model_version"] == project.version)
    backends = label_studio.api("GET", f"/api/ml?project={project.number}")
    assert backends[0]["state"] == "CO"


def test_what_people_change_ends_in_the_right_queue(label_studio, backend):
    project = DigitProject.create(label_studio, 40)
    project.connect(backend)
    first, second, third = project.queue()[:3]

    label_studio.skip(first)
    wait_until(lambda: first not in stored(backend, project, lambda _, row: row.published))
    annotation = project.label(second)
    wait_until(lambda: backend.project(project.number)["labelled"] == 1)
    label_studio.api("DELETE", f"/api/annotations/{annotation}")
    wait_until(lambda: backend.project(project.number)["labelled"] == 0)
    wait_until(lambda: second in project.queue())
    label_studio.api("DELETE", f"/api/tasks/{third}")
    wait_until(lambda: backend.project(project.number)["pool"] == 39)

    new = project.add(range(100, 104))
    broken = label_studio.import_images(project.number, ["http://127.0.0.1:1/nothing.png"])[0]
    wait_until(lambda: backend.project(project.number)["pool"] == 43)
    wait_until(lambda: backend.project(project.number)["unreadable"] == 1)
    assert set(new) <= set(stored(backend, project, lambda store, row: store.pool(row)).task.tolist())

    label_studio.api(
        "PATCH", f"/api/tasks/{broken}", json={"data": {"image": "data:image/gif;base64,R0lGODlhAQABAAAAACw="}}
    )
    project.label(new[0])
    wait_until(lambda: backend.project(project.number)["labelled"] == 1)
    wait_until(lambda: "-n1-" in project.version)  # a publish at the same moment may undo what is saved (fact 45)
    config = choices_config(*(name for name in "0123456789" if name != project.truth[new[0]]), "letter")
    label_studio.api("PATCH", f"/api/projects/{project.number}", json={"label_config": config})
    wait_until(lambda: backend.project(project.number)["labelled"] == 0)  # its class is gone


def test_a_deleted_project_is_shown_as_gone(label_studio, backend):
    project = DigitProject.create(label_studio, 12)
    project.connect(backend)
    label_studio.api("DELETE", f"/api/projects/{project.number}")
    wait_until(lambda: "no longer exists" in backend.project(project.number)["error"])


def test_a_project_whose_model_is_removed_is_left_alone_until_it_is_connected_again(label_studio, backend):
    project = DigitProject.create(label_studio, 20)
    project.connect(backend)
    path = f"/api/projects/{project.number}"

    def remove_model():
        for model in label_studio.api("GET", f"/api/ml?project={project.number}"):
            label_studio.api("DELETE", f"/api/ml/{model['id']}")

    remove_model()
    wait_until(lambda: "Not connected in Label Studio" in backend.project(project.number)["error"])
    version = project.version
    label_studio.api("PATCH", path, json={"sampling": "Sequential sampling"})
    project.label(project.queue()[0])  # its webhook is still there
    time.sleep(3)
    assert (project.version, label_studio.project(project.number)["sampling"]) == (version, "Sequential sampling")
    assert backend.project(project.number)["labelled"] == 0
    project.connect(backend)
    wait_until(lambda: project.version.split("-")[2] == "n1")
    assert backend.project(project.number)["error"] == ""

    reset(backend, project)
    assert backend.project(project.number) is None
    project.label(project.queue()[0])  # it is still connected
    wait_until(lambda: (backend.project(project.number) or {}).get("labelled") == 2)

    remove_model()
    reset(backend, project)
    queue = project.queue()
    project.label(queue[0])
    wait_until(lambda: backend.project(project.number) is not None)
    wait_until(lambda: backend.project(project.number) is None)
    assert project.queue() == queue[1:]


def test_two_annotators_share_one_queue(label_studio, backend):
    project = DigitProject.create(label_studio, 40)
    other = label_studio.sign_up("other@example.com")
    project.connect(backend)
    annotate_in_turn(backend, project, [label_studio, other], 8)
    wait_until(lambda: backend.project(project.number)["labelled"] == 8)


def test_a_label_studio_with_personal_tokens_only_that_blocks_webhooks(start_studio, start_backend):
    with start_studio(legacy_tokens=False, SSRF_PROTECTION_ENABLED="true") as studio:
        project = DigitProject.create(studio, 24)
        with pytest.raises(StudioError, match="set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"):
            studio.connect_backend(project.number, start_backend(None, command="web").url)  # its own token is of no use
        backend = start_backend(studio, token=studio.personal_access_token(), **QUICK)
        with pytest.raises(StudioError, match="reserved network address"):
            studio.connect_backend(project.number, backend.url)  # refuses the webhook, but is connected (fact 17)
        wait_until(lambda: project.version.startswith("pt4al-r"))
        annotate_in_turn(backend, project, [studio], 5)
        wait_until(lambda: backend.project(project.number)["round"] == 1)


def test_retrieved_predictions_are_one_for_each_task(label_studio, backend):
    project = DigitProject.create(label_studio, 20)
    project.connect(backend)
    for task in project.queue()[:2]:
        project.label(task)
    wait_until(lambda: backend.project(project.number)["labelled"] == 2)
    tasks = [{"id": task, "data": {}} for task in [*project.truth, 999_999]]
    answer = requests.post(
        f"{backend.url}/predict",
        json={"project": str(project.number), "tasks": tasks, "label_config": choices_config("0", "1")},
        timeout=30,
    )
    results = answer.json()["results"]
    assert len(results) == len(tasks)
    assert results[-1]["result"] == []
    assert results[-1]["score"] == max(result["score"] for result in results)


def test_start_training_trains(label_studio, backend):
    project = DigitProject.create(label_studio, 20)
    connected = None
    project.connect(backend)
    connected = label_studio.api("GET", f"/api/ml?project={project.number}")[0]["id"]
    project.label(project.queue()[0])
    label_studio.start_training(connected)
    wait_until(lambda: stored(backend, project, lambda _, row: row.main_generation) == 1)


def test_killed_workers_go_on_by_themselves(label_studio, start_backend):
    """Killed in every stage, they give the batches of an undisturbed one and know every label."""
    settings = QUICK | {"pretext_epochs": 8, "main_epochs": 200, "fetch_workers": 4}
    backend = start_backend(label_studio, **settings)

    def batches_of(project):
        pool = stored(backend, project, lambda store, row: store.pool(row))
        return pool.batch.tolist(), pool.loss.tolist()

    with slow_digits() as address:
        undisturbed = DigitProject.create(label_studio, 90, address=address)
        undisturbed.connect(backend)
        project = DigitProject.create(label_studio, 90, address=address)
        label_studio.connect_backend(project.number, backend.url)
        wait_until(lambda: (backend.project(project.number) or {}).get("stage") == "images")
        kill_worker(backend)
        for _ in range(2):
            kill_in_the_middle_of_pretext(backend, project)
        wait_until(lambda: project.version.startswith("pt4al-r"), 240)  # on a busy machine too
        assert batches_of(project) == batches_of(undisturbed)
        for task in project.queue()[:4]:
            project.label(task)
        wait_until(lambda: backend.project(project.number)["stage"] == "training")
        kill_worker(backend)
        wait_until(lambda: project.version.split("-")[2] == "n4")
        project.label(project.queue()[0])
        wait_until(lambda: project.version.split("-")[2] == "n5")
    status = backend.project(project.number)
    assert (status["labelled"], status["pool"], status["unreadable"]) == (5, 90, 0)


def test_a_publish_that_is_killed_is_done_again(label_studio, backend):
    project = DigitProject.create(label_studio, 40)
    project.connect(backend)
    for _ in range(4):  # each label starts a publish a moment later
        project.label(project.queue()[0])
        kill_worker(backend, after=0.7)
    wait_until(lambda: project.version.split("-")[2] == "n4")
    queue = project.queue()
    assert len(queue) == len(set(queue)) > 0
    wait_until(lambda: backend.project(project.number)["labelled"] == 4)


def kill_in_the_middle_of_pretext(backend, project):
    """Kill a worker that came after this was called, as soon as it learns rotations."""
    since = time.time()

    def learning():
        return stored(backend, project, lambda _, row: row.updated_at > since and "epoch" in row.stage_detail)

    wait_until(learning, 120)
    kill_worker(backend)


def reset(backend, project):
    command = [sys.executable, "-m", "pt4al_backend.cli", "reset", "--project", str(project.number), "--yes"]
    subprocess.run([*command, "--data-dir", backend.data_dir], check=True, timeout=60)


def kill_worker(backend, *, after=0.0):
    """Kill the worker without a word, so many seconds after it is there."""
    wait_until(backend.worker)
    time.sleep(after)
    backend.worker().send_signal(signal.SIGKILL)
