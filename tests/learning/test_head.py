import time

import numpy as np
import pytest
import torch
from learning_helpers import features_of, finish, noise, small

from pt4al_backend.learning import LearningError, fit_head, network_head, out_of_fold, train_main
from pt4al_backend.learning.inputs import normalised
from pt4al_backend.learning.networks import for_inference

RNG = np.random.default_rng(0)


def clusters(n: int, classes: int, width: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Features around one centre for each class, on axes of very different scale, and the classes."""
    targets = np.arange(n) % classes
    centres = np.random.default_rng(1).normal(size=(classes, width))
    features = (centres[targets] + 0.3 * RNG.normal(size=(n, width))) * np.geomspace(0.01, 100, width) + 5
    return features.astype(np.float16), targets


def test_separable_classes_are_separated():
    features, targets = clusters(400, 10)
    head = fit_head(features[:200], targets[:200], 10)
    logits = head.logits(features[200:])
    assert logits.dtype == np.float32 and logits.shape == (200, 10)
    assert (logits.argmax(axis=1) == targets[200:]).mean() > 0.95


def test_the_same_labels_give_the_same_head():
    features, targets = clusters(100, 5)
    a, b = fit_head(features, targets, 5), fit_head(features, targets, 5)
    assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)


@pytest.mark.parametrize(("targets", "classes"), [([0], 1), ([0], 3), ([0, 1], 2), ([0, 999], 1000)])
def test_few_labels_and_many_classes(targets, classes):
    features, _ = clusters(len(targets), classes)
    logits = fit_head(features, np.array(targets), classes).logits(features)
    assert np.isfinite(logits).all() and logits.argmax(axis=1).tolist() == targets


def test_constant_features_do_no_harm():
    features, targets = clusters(50, 2)
    features[:, 3] = 7
    assert np.isfinite(fit_head(features, targets, 2).logits(features)).all()


def test_ten_thousand_labels_of_a_thousand_classes_take_bounded_time():
    features, targets = clusters(10_000, 1000, width=224)
    start = time.process_time()
    head = fit_head(features, targets, 1000)
    assert time.process_time() - start < 8  # processor seconds; about 1 s on two idle cores
    assert (head.logits(features[:1000]).argmax(axis=1) == targets[:1000]).mean() > 0.9


@pytest.mark.parametrize(("targets", "says"), [([], "label at least one"), ([2], "0 to 1")])
def test_impossible_targets_are_refused(targets, says):
    with pytest.raises(LearningError, match=says):
        fit_head(np.zeros((len(targets), 4), np.float16), np.array(targets, dtype=np.int64), 2)


def test_network_head_says_what_the_network_says():
    images, rows = noise(8), np.arange(8)
    weights = finish(train_main(images, rows, rows % 3, 3, recipe=small().main, init=None, seed=0, device="cpu"))
    with torch.inference_mode():
        expected = for_inference(weights, "cpu")(normalised(torch.from_numpy(images.pixels))).numpy()
    logits = network_head(weights).logits(features_of(weights, images, rows))
    np.testing.assert_allclose(logits, expected, atol=0.02)  # features are kept as float16


def test_answers_out_of_fold_are_those_of_separable_classes():
    features, targets = clusters(120, 6)
    guessed = out_of_fold(features, targets, 6)
    assert guessed.dtype == np.int64 and guessed.shape == (120,)
    assert (guessed == targets).mean() > 0.95
    assert np.array_equal(guessed, out_of_fold(features, targets, 6))


def test_an_answer_out_of_fold_does_not_know_the_images_own_label():
    features, targets = clusters(60, 3)
    guessed = out_of_fold(features, targets, 3)
    for image in range(0, 60, 7):
        wrong = targets.copy()
        wrong[image] = (targets[image] + 1) % 3
        assert out_of_fold(features, wrong, 3)[image] == guessed[image] == targets[image]


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_labels_leave_none_out(n):
    features, targets = clusters(n, 2)
    assert out_of_fold(features, targets, 2).tolist() == [-1] * n


def test_five_labels_of_one_class_are_enough():
    features, _ = clusters(5, 1)
    assert out_of_fold(features, np.ones(5, np.int64), 3).tolist() == [1] * 5


def test_classes_that_come_in_turn_are_not_left_out_as_a_whole():
    features, targets = clusters(100, 5)  # 0, 1, 2, 3, 4, 0, 1, …
    assert (out_of_fold(features, targets, 5) == targets).mean() > 0.95
