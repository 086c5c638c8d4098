"""Tasks in the store."""

import numpy as np
import pytest
from support.coloured_shapes import shape_regions
from support.stored import fetch, state

from pt4al_backend.errors import ProjectResetError
from pt4al_backend.store.pool_scores import RankingArrays
from pt4al_backend.store.tasks import regions_digest


def test_only_what_changed_counts_as_change(store, project):
    assert store.apply(project.id, [state(1), state(2)])
    revision = store.project(project.id).labels_revision
    assert not store.apply(project.id, [state(1), state(2)])
    assert store.project(project.id).labels_revision == revision
    assert store.apply(project.id, [state(1, version="2", label="cat")])
    assert store.project(project.id).labels_revision == revision + 1


def test_a_changed_image_is_fetched_again_into_its_old_row(store, project):
    store.apply(project.id, [state(1), state(2)])
    fetch(store, project, [1, 2])
    assert store.waiting_images(project.id) == []
    store.apply(project.id, [state(2, version="2", image="/new.png")])
    assert store.waiting_images(project.id) == [(2, "/new.png")]
    assert store.reserve_rows(project.id, [2]).tolist() == [1]
    assert store.pool(store.project(project.id)).task.tolist() == [1]


def test_an_image_that_changed_while_it_was_fetched_is_fetched_again(store, project):
    store.apply(project.id, [state(1)])
    store.reserve_rows(project.id, [1])
    store.apply(project.id, [state(1, version="2", image="/new.png")])
    store.images_done(project.id, ready={1: ("/1.png", 40, 30)}, failed={})
    assert store.waiting_images(project.id) == [(1, "/new.png")]
    store.images_done(project.id, ready={}, failed={1: ("/1.png", "404")})
    assert store.waiting_images(project.id) == [(1, "/new.png")]


def test_an_unreadable_image_is_kept_with_its_reason_until_its_task_changes(store, project):
    store.apply(project.id, [state(1)])
    store.images_done(project.id, ready={}, failed={1: ("/1.png", "truncated")})
    assert store.unreadable(project.id) == [(1, "truncated")]
    assert store.totals(project.id).unreadable == 1
    store.apply(project.id, [state(1, version="2")])
    assert store.waiting_images(project.id) == [(1, "/1.png")]


def test_images_by_task(store, project):
    store.apply(project.id, [state(task) for task in (1, 2, 3)])
    assert store.images(project.id, [3, 1, 7]) == [(1, "/1.png"), (3, "/3.png")]


def test_a_readable_image_besides_some(store, project):
    store.apply(project.id, [state(task) for task in (1, 2, 3)])
    assert store.readable_image(project.id) is None
    fetch(store, project, [1, 2])
    assert store.readable_image(project.id) == (2, "/2.png")
    assert store.readable_image(project.id, besides={(2, "/2.png")}) == (1, "/1.png")
    assert store.readable_image(project.id, besides={(2, "/2.png"), (1, "/1.png")}) is None


def test_the_typical_side_of_the_first_images(store, project):
    store.apply(project.id, [state(task) for task in range(1, 6)])
    assert store.typical_side(project.id) == 0
    sizes = {1: (40, 30), 2: (50, 90), 3: (20, 20), 4: (0, 0), 5: (900, 900)}
    store.reserve_rows(project.id, list(sizes))
    store.images_done(project.id, ready={task: (f"/{task}.png", *size) for task, size in sizes.items()}, failed={})
    assert store.typical_side(project.id, sample=3) == 30
    assert store.typical_side(project.id) == 40


def test_who_starts_over_has_no_encoder_and_no_ranking(store, project):
    store.update(project.id, encoder="lite0", input_size=224, ranked_pool=10, image_size=64)
    store.fetch_again(project.id)
    again = store.project(project.id)
    assert (again.encoder, again.input_size, again.ranked_pool, again.image_size) == ("", 0, 0, 0)


def test_the_pool_as_arrays(store, project):
    store.apply(project.id, [state(3), state(1, label="dog"), state(2, skipped=True), state(4)])
    fetch(store, project, [1, 2, 3, 4])
    store.save_batches(project.id, task=np.array([1, 2]), loss=np.array([0.5, 1e-5]), batch=np.array([0, 1]))
    pool = store.pool(store.project(project.id))
    assert pool.task.tolist() == [1, 2, 3, 4]
    assert pool.labelled.tolist() == [True, False, False, False]
    assert pool.skipped.tolist() == [False, True, False, False]
    assert pool.batch.tolist() == [0, 1, -1, -1]
    assert pool.loss[:2].tolist() == [0.5, 1e-5]
    assert pool.in_batches().task.tolist() == [1, 2]


def test_a_task_is_open_until_enough_people_have_annotated_it(store, project):
    store.apply(project.id, [state(1), state(2, label="cat"), state(3, skipped=True)])
    assert store.still_open(project.id, [1, 2, 3, 4]) == {1}
    assert store.still_open(project.id, [1, 2, 3, 4], overlap=2) == {1, 2, 3}
    assert store.still_open(project.id, []) == set()


def test_removed_tasks_are_gone_and_their_batches_are_ignored(store, project):
    store.apply(project.id, [state(1), state(2)])
    store.remove_tasks(project.id, {1})
    store.save_batches(project.id, task=np.array([1, 2]), loss=np.ones(2), batch=np.zeros(2, int))
    assert store.task_ids(project.id) == [2]
    assert store.reserve_rows(project.id, [1, 2]).tolist() == [-1, 0]


def test_digests_distinguish_regions() -> None:
    first, second = shape_regions(1), shape_regions(2)
    in_other_order = [dict(reversed(region.items())) for region in first]
    assert regions_digest(first) == regions_digest(in_other_order) != regions_digest(second)
    assert regions_digest([]) != regions_digest(first)


def test_writing_for_a_project_that_was_reset_is_an_error(store, project):
    class Resetting(dict):
        def __getitem__(self, task):
            store.forget(project.id)
            return super().__getitem__(task)

    store.apply(project.id, [state(1)])
    with pytest.raises(ProjectResetError):
        store.images_done(project.id, ready=Resetting({1: ("/1.png", 40, 30)}), failed={})
    ranking = RankingArrays(np.array([1]), np.ones(1), ())
    for write in (
        lambda: store.apply(project.id, [state(1)]),
        lambda: store.reserve_rows(project.id, [1]),
        lambda: store.save_ranking(project.id, ranking, questions=[]),
    ):
        with pytest.raises(ProjectResetError, match=f"Project {project.id} was reset"):
            write()
    assert store.projects() == [] and store.task_ids(project.id) == [] and store.ranking(project.id) is None
