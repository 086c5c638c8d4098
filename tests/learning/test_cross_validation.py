import numpy as np
import pytest
from support.features import clusters, of_pool, several
from support.networks import finish, multiple, single

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import FOLDS, out_of_fold, out_of_fold_probabilities


def test_separable_classes_are_predicted_out_of_fold():
    features, targets = clusters(120, 6)
    guessed = out_of_fold(features, targets, single(6))
    assert guessed.dtype == np.int64 and guessed.shape == (120,)
    assert (guessed == targets).mean() > 0.95
    assert np.array_equal(guessed, out_of_fold(features, targets, single(6)))


def test_an_out_of_fold_prediction_ignores_the_images_own_label():
    features, targets = clusters(60, 3)
    guessed = out_of_fold(features, targets, single(3))
    for image in range(0, 60, 7):
        wrong = targets.copy()
        wrong[image] = (targets[image] + 1) % 3
        assert out_of_fold(features, wrong, single(3))[image] == guessed[image] == targets[image]


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_labels_leave_none_out(n):
    features, targets = clusters(n, 2)
    assert out_of_fold(features, targets, single(2)).tolist() == [-1] * n


def test_five_labels_of_one_class_are_enough():
    features, _ = clusters(5, 1)
    assert out_of_fold(features, np.ones(5, np.int64), single(3)).tolist() == [1] * 5


def test_classes_that_come_in_turn_are_not_left_out_as_a_whole():
    features, targets = clusters(100, 5)  # 0, 1, 2, 3, 4, 0, 1, …
    assert (out_of_fold(features, targets, single(5)) == targets).mean() > 0.95


def test_out_of_fold_predictions_of_several_classes():
    features, targets = several(120, 3)
    guessed = out_of_fold(features, targets, multiple(3))
    assert guessed.dtype == np.int8 and guessed.shape == targets.shape
    assert (guessed == targets).mean() > 0.9
    assert (out_of_fold(features[:4], targets[:4], multiple(3)) == -1).all()


@pytest.mark.parametrize("features_per_image", [60, 208], ids=["few", "more than images"])
def test_the_most_probable_class_is_the_predicted_one(features_per_image):
    features, targets = clusters(120, 4, features_per_image) if features_per_image == 60 else of_pool(120, 4)
    for pool in (None, features):
        probabilities = finish(out_of_fold_probabilities(features, targets, single(4), pool=pool))
        assert probabilities.dtype == np.float64 and probabilities.shape == (120, 4)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert np.array_equal(probabilities.argmax(axis=1), out_of_fold(features, targets, single(4), pool=pool))


def test_the_scale_of_pretrained_features_helps_out_of_fold_where_labels_are_few():
    features, targets = of_pool(600, 4)
    few = features[:24], targets[:24], single(4)
    right = [(out_of_fold(*few, pool=pool) == few[1]).mean() for pool in (None, features)]
    assert right[1] > right[0] + 0.05


def test_out_of_fold_probabilities_are_about_as_high_as_predictions_are_right():
    features, targets = of_pool(1200, 4, noise=8.0)
    flipped = np.random.default_rng(0).random(1200) < 0.3
    targets = np.where(flipped, (targets + 1) % 4, targets)
    probabilities = finish(out_of_fold_probabilities(features, targets, single(4), pool=features))
    right = (probabilities.argmax(axis=1) == targets).mean()
    assert probabilities.max(axis=1).mean() == pytest.approx(right, abs=0.08)


def test_a_wrong_label_hardly_changes_what_is_said_of_its_image():
    """Only the temperature sees it."""
    features, targets = of_pool(200, 4)
    wrong = targets.copy()
    wrong[17] = (targets[17] + 1) % 4
    before, after = (
        finish(out_of_fold_probabilities(features, given, single(4), pool=features)) for given in (targets, wrong)
    )
    assert after[17].argmax() == targets[17]
    np.testing.assert_allclose(after[17], before[17], atol=0.05)


def test_probabilities_of_several_classes_are_each_for_itself():
    features, targets = several(120, 3)
    probabilities = finish(out_of_fold_probabilities(features, targets, multiple(3)))
    assert ((probabilities > 0.5) == targets).mean() > 0.9
    assert probabilities.sum(axis=1).max() > 1.5 or probabilities.sum(axis=1).min() < 0.5


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_labels_have_no_probabilities(n):
    features, targets = clusters(n, 2)
    for output, given in ((single(2), targets), (multiple(2), np.ones((n, 2), np.int8))):
        probabilities = finish(out_of_fold_probabilities(features, given, output))
        assert probabilities.shape == (n, 2) and np.isnan(probabilities).all()


def test_other_work_fits_in_between_the_heads():
    features, targets = clusters(60, 3)
    done = [progress.done for progress in out_of_fold_probabilities(features, targets, single(3))]
    assert len(done) == FOLDS and done[-1] == 1 and done == sorted(done)


def test_images_without_a_label_are_refused():
    features, targets = clusters(10, 2)
    targets[3] = -1
    with pytest.raises(LearningError, match="leave out the images without one"):
        finish(out_of_fold_probabilities(features, targets, single(2)))
