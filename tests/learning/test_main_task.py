from dataclasses import replace

import numpy as np
import pytest
from support.networks import (
    ArrayImages,
    MemoryCheckpoint,
    digits,
    embeddings_of,
    finish,
    multiple,
    noise,
    same,
    single,
    small,
)

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import (
    Weights,
    fit_head,
    network_head,
    train_main,
    train_pretext,
)

IMAGES = noise(40)


def training(targets, classes, *, init=None, seed=0, images=IMAGES, **changes):
    targets = np.asarray(targets, dtype=np.int64)
    return train_main(
        images,
        np.arange(len(targets)),
        [single(classes)],
        [targets],
        recipe=small(images.size, **changes).main,
        init=init,
        seed=seed,
        device="cpu",
    )


@pytest.mark.parametrize(("targets", "classes"), [([0], 1), ([0, 1], 2), ([0] * 17, 3), ([5, 999], 1000)])
def test_few_labels_and_many_classes(targets, classes):
    weights = finish(training(targets, classes))
    assert weights.spec["outputs"] == [{"kind": "single", "classes": classes}]
    logits = network_head(weights, 0).logits(embeddings_of(weights, IMAGES, np.arange(4)))
    assert logits.shape == (4, classes) and np.isfinite(logits).all()


def test_a_seed_decides_everything():
    targets = np.arange(20) % 3
    assert same(finish(training(targets, 3)), finish(training(targets, 3)))
    assert not same(finish(training(targets, 3)), finish(training(targets, 3, seed=1)))


def test_weights_to_start_from_choose_the_network_and_keep_their_values():
    init = finish(training([0, 1], 2, width=4))
    weights = finish(training([0, 1, 2], 3, init=init, learning_rate=0.0))
    assert weights.spec["width"] == 4
    assert np.array_equal(weights.arrays["backbone.stem.0.weight"], init.arrays["backbone.stem.0.weight"])
    assert weights.arrays["heads.0.fc.weight"].shape == (3, 32)


def test_weights_from_another_image_size_are_refused():
    init = finish(training([0, 1], 2, images=noise(2, size=64)))
    with pytest.raises(LearningError, match="does not fit"):
        next(training([0, 1], 2, init=init))


def test_damaged_weights_are_refused():
    init = finish(training([0, 1], 2))
    with pytest.raises(LearningError, match="does not fit"):
        next(
            training(
                [0, 1], 2, init=Weights({"backbone.stem.0.weight": init.arrays["backbone.stem.0.weight"]}, init.spec)
            )
        )


@pytest.mark.parametrize(
    ("targets", "classes", "says"),
    [([], 2, "label at least one"), ([-1], 2, "label at least one"), ([0, 2], 2, "0 to 1"), ([0, -2], 2, "0 to 1")],
)
def test_invalid_targets_are_refused(targets, classes, says):
    with pytest.raises(LearningError, match=says):
        next(training(targets, classes))


def test_one_label_for_each_image():
    work = train_main(
        IMAGES, np.arange(3), [single(2)], [np.array([0, 1])], recipe=small().main, init=None, seed=0, device="cpu"
    )
    with pytest.raises(LearningError, match="3 images came with 2 labels"):
        next(work)


def test_learns_the_digits_from_pretext_weights():
    images, targets = digits()
    pool, labelled, rest = np.arange(600), np.arange(300), np.arange(300, 600)
    recipe = small(batch=32, epochs=12)
    pretext = finish(
        train_pretext(images, pool, recipe=recipe.pretext, seed=0, device="cpu", checkpoint=MemoryCheckpoint())
    )
    main = finish(training(targets[labelled], 10, init=pretext, images=images, batch=32, epochs=20))
    predicted = network_head(main, 0).logits(embeddings_of(main, images, labelled)).argmax(axis=1)
    assert (predicted == targets[labelled]).mean() > 0.8
    for weights, least in ((pretext, 0.5), (main, 0.8)):
        head = fit_head(embeddings_of(weights, images, labelled), targets[labelled], single(10))
        guessed = head.logits(embeddings_of(weights, images, rest)).argmax(axis=1)
        assert (guessed == targets[rest]).mean() > least


def test_unlabelled_images_teach_nothing():
    targets, nothing = np.arange(20) % 3, np.full((20, 2), -1, np.int8)
    alone = finish(training(targets, 3))
    both = [
        finish(
            train_main(
                IMAGES,
                np.arange(20),
                [single(3), multiple(2)],
                [targets, nothing],
                recipe=replace(small().main, **changes),
                init=None,
                seed=0,
                device="cpu",
            )
        )
        for changes in ({}, {"weight_decay": 0.0}, {"learning_rate": 0.0})
    ]
    assert all(np.array_equal(both[0].arrays[name], array) for name, array in alone.arrays.items())
    for name in ("heads.1.fc.weight", "heads.1.fc.bias"):
        assert np.array_equal(both[1].arrays[name], both[2].arrays[name])  # as it was initialised


def test_an_image_without_any_label_is_no_error():
    assert finish(training([0, -1, 1, -1], 2))


def test_several_properties_of_digits_are_learned():
    images, digit = digits()
    taught, rest = np.arange(300), np.arange(300, 600)
    properties = np.stack([digit % 2 == 0, digit < 5, digit % 3 == 0, digit == 7], axis=1).astype(np.int8)
    work = train_main(
        images,
        taught,
        [multiple(4)],
        [properties[taught]],
        recipe=replace(small(batch=32, epochs=20).main, mixup=True),
        init=None,
        seed=0,
        device="cpu",
    )
    weights = finish(work)
    network = network_head(weights, 0)
    probe = fit_head(embeddings_of(weights, images, taught), properties[taught], multiple(4))
    for head in (network, probe):
        predictions = head.logits(embeddings_of(weights, images, rest)) > 0
        assert (predictions == properties[rest]).mean() > 0.85  # 0.63 if always the more common label


@pytest.mark.parametrize(
    ("outputs", "targets", "says"),
    [
        ([multiple(2)], [np.array([[0, 1], [1, 2]])], "rows of 2 zeros and ones"),
        ([multiple(2)], [np.array([[0, 1], [1, -1]])], "rows of 2 zeros and ones"),
        ([multiple(3)], [np.array([[0, 1], [1, 0]])], "rows of 3 zeros and ones"),
        ([multiple(2)], [np.full((2, 2), -1)], "label at least one"),
        ([single(2), multiple(2)], [np.array([0, 1])], "2 outputs came with labels for 1"),
    ],
)
def test_invalid_labels_of_several_outputs_are_refused(outputs, targets, says):
    with pytest.raises(LearningError, match=says):
        next(train_main(IMAGES, np.arange(2), outputs, targets, recipe=small().main, init=None, seed=0, device="cpu"))


def mixing(mixup, *, targets, seed=0, images=IMAGES, **changes):
    recipe = replace(small(images.size, **changes).main, mixup=mixup)
    rows = np.arange(len(targets))
    return finish(train_main(images, rows, [single(2)], [targets], recipe=recipe, init=None, seed=seed, device="cpu"))


def test_the_seed_determines_how_images_are_mixed():
    targets = np.arange(20) % 2
    mixed = mixing(True, targets=targets)
    assert same(mixed, mixing(True, targets=targets))
    assert not same(mixed, mixing(True, targets=targets, seed=1))
    assert not same(mixed, mixing(False, targets=targets))


def test_one_image_is_mixed_with_itself():
    assert same(mixing(True, targets=np.array([1])), mixing(True, targets=np.array([1])))


def test_a_network_learns_an_easy_task_from_mixed_images():
    images, targets = digits()
    pair = np.flatnonzero(targets < 2)  # zeros and ones
    images, targets = ArrayImages(images.pixels[pair]), targets[pair]
    weights = mixing(True, targets=targets[:100], images=images, batch=32, epochs=20)
    guessed = network_head(weights, 0).logits(embeddings_of(weights, images, np.arange(100, 300))).argmax(axis=1)
    assert (guessed == targets[100:300]).mean() > 0.95
