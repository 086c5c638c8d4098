import time
from dataclasses import replace

import numpy as np
from support.rig import Rig

from pt4al_backend.active_learning.publish import HEAD, MOST_PREDICTIONS, RECENT, may_be_open, retire, version_name
from pt4al_backend.labelling.platform import Pick
from pt4al_backend.labelling.questions import Prediction


def replace_often(times, *, still_open, retired=(), queue=range(100, 120)):
    for number in range(times):
        retired = retire(retired, f"v{number}", list(queue), still_open)
    return [entry["version"] for entry in retired]


def test_a_name_tells_round_and_labels_and_equal_queues_have_equal_names():
    mask = np.zeros((4, 4), np.uint8)
    picks = [Pick(1, 0.1, {"kind": Prediction("cat", 0.9), "where": Prediction(mask, 0.5)}), Pick(2, 0.2)]
    assert version_name(2, 40, picks).startswith("pt4al-r2-n40-")
    for predictions, equal in (
        ({"kind": Prediction("cat", 0.3), "where": Prediction(mask.copy(), 0.5)}, True),
        ({"kind": Prediction("dog", 0.9), "where": Prediction(mask, 0.5)}, False),
        ({"kind": Prediction("cat", 0.9), "where": Prediction(mask + 1, 0.5)}, False),
        ({"kind": Prediction("cat", 0.9)}, False),
    ):
        other = [Pick(1, 0.1, predictions), Pick(2, 0.2)]
        assert (version_name(2, 40, picks) == version_name(2, 40, other)) == equal
    assert version_name(2, 40, picks) != version_name(2, 40, picks[::-1])


def test_recent_versions_stay_and_old_ones_go():
    assert replace_often(RECENT + 5, still_open=set()) == [f"v{number}" for number in range(5, RECENT + 5)]


def test_the_version_under_which_an_open_image_was_handed_out_stays():
    # Somebody opened image 100 under v0 and went for lunch, while others labelled on.
    assert replace_often(RECENT + 5, still_open={100})[0] == "v0"


def test_so_does_a_later_one_under_which_it_may_have_been_opened_as_well():
    # Image 3 was in v0's queue already, behind the two that were opened then. It was opened under v1.
    retired = retire([], "v0", [1, 2, 3], {1, 2, 3})
    retired = retire(retired, "v1", [1, 3], {1, 3})
    assert replace_often(RECENT + 5, retired=retired, still_open={3}, queue=[])[:2] == ["v0", "v1"]


def test_versions_that_may_be_open_are_bounded_and_the_oldest_go_first():
    predictions = 1000
    retired = [
        {"version": f"v{number}", "head": [100], "predictions": predictions, "at": time.time()} for number in range(50)
    ]
    kept = [entry["version"] for entry in retire(retired, "", [], {100})]
    assert kept == [f"v{number}" for number in range(50 - MOST_PREDICTIONS // predictions, 50)]
    for entry in retired:
        entry["predictions"] = MOST_PREDICTIONS
    assert [entry["version"] for entry in retire(retired, "", [], {100})] == [f"v{n}" for n in range(40, 50)]


def test_it_goes_when_the_image_is_answered_or_its_lock_has_expired():
    retired = retire([], "v0", [100], {100})
    for number in range(1, RECENT + 1):
        retired = retire(retired, f"v{number}", [], {100})
    assert retired[0]["version"] == "v0"
    assert retire(retired, "last", [], set())[0]["version"] == "v2"
    retired[0]["at"] -= 90_000
    assert retire(retired, "last", [], {100})[0]["version"] == "v2"


def test_only_the_front_of_a_queue_counts_as_handed_out():
    (entry,) = retire([], "v0", list(range(20)), set(range(2, 20)))
    assert entry["head"] == list(range(2, 2 + HEAD))


def test_before_the_first_version_there_is_nothing_to_keep():
    assert retire([], "", [], set()) == []


def test_what_was_first_of_a_queue_is_likeliest_to_be_open_and_the_newest_queue_counts_most():
    retired = retire([], "v0", [1, 2, 3], {1, 2, 3})
    retired = retire(retired, "v1", [11, 12], {11, 12})
    assert may_be_open(retired, [21, 22, 23], {1, 2, 3, 11, 12, 22, 23}) == [22, 11, 1, 23, 12, 2, 3]
    assert may_be_open(retired, [12, 1], {1, 2, 12}) == [12, 1, 2]
    assert may_be_open([], [], {1}) == []
    assert may_be_open([], range(100), set(range(50, 100))) == list(range(50, 50 + HEAD))


def test_nobody_has_an_image_open_whose_lock_has_expired():
    retired = retire([], "v0", [1], {1})
    retired[0]["at"] -= 90_000
    assert may_be_open(retired, [2], {1, 2}) == [2]


def replace_version(platform):
    """As a process leaves it that is killed between the switch and its own row."""
    platform.publish(replace(platform.published[-1], version="pt4al-r0-n99-unknown"))
    return platform.model_version


def test_a_switched_version_is_switched_back(settled):
    settled.platform.model_version = "somebody else's"
    settled.sync()
    assert settled.platform.model_version == settled.project.model_version


def test_without_pre_annotations_the_order_is_published_again(tmp_path):
    for n, preannotate in enumerate((True, False)):
        rig = Rig(tmp_path, n=20, preannotate=preannotate)
        rig.settle()
        if not n:
            platform = rig.platform
            platform.label(platform.queue[0])
        else:
            rig.workspace.platform = rig.platform = platform
        rig.settle()
        assert all(bool(pick.predictions) == preannotate for pick in platform.published[-1].picks)
        rig.close()
    with_guesses, without = (window for window in platform.published if "-n1-" in window.version)
    assert [pick.task for pick in with_guesses.picks] == [pick.task for pick in without.picks]


def test_a_version_that_may_be_open_is_kept(settled):
    before = settled.platform.model_version
    settled.platform.label(settled.platform.queue[0])
    settled.sync()
    assert settled.platform.model_version != before
    assert before in settled.platform.versions


def test_a_version_is_kept_while_a_second_annotator_may_have_its_images_open(rig):
    rig.platform.overlap = 2
    rig.settle()
    versions = [rig.platform.model_version]
    for task in rig.platform.queue[:12] + list(range(1, 5)):
        rig.platform.label(task)
        rig.sync()
        versions.append(rig.platform.model_version)
    assert versions[0] != versions[1]
    assert set(versions) <= set(rig.platform.versions)
    rig.platform.overlap = 1
    rig.platform.label(rig.platform.queue[0])
    rig.sync()
    assert versions[0] not in rig.platform.versions


def test_a_version_that_was_served_when_a_process_was_killed_stays_a_while(settled):
    killed = replace_version(settled.platform)
    settled.platform.label(settled.platform.queue[0])
    settled.sync()
    assert settled.platform.model_version != killed
    assert killed in settled.platform.versions
    assert settled.project.retired[-1]["version"] == killed


def test_versions_that_cannot_be_deleted_do_no_harm_and_go_later(settled, caplog):
    settled.platform.deletes = 0
    retired = settled.project.retired
    for entry in retired:
        entry["at"], entry["head"] = 0, []
    settled.store.update(settled.id, retired=retired)
    for task in settled.platform.queue[: RECENT + 4]:
        settled.platform.label(task)
        settled.sync()
        assert settled.project.model_version == settled.platform.model_version
    assert "could not be deleted. 504" in caplog.text
    lasting = len(settled.platform.versions)
    settled.platform.deletes = 1
    settled.platform.label(settled.platform.queue[0])
    settled.sync()
    assert len(settled.platform.versions) == lasting  # one came, one went
    for _ in range(lasting):
        settled.sync()
    kept = {settled.project.model_version, *(entry["version"] for entry in settled.project.retired)}
    assert set(settled.platform.versions) == kept
