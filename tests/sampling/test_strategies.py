import pytest

from pt4al_backend.sampling import baselines, candidates, coverage
from pt4al_backend.sampling.strategies import strategy


@pytest.mark.parametrize("diversity", ["coverage", "gradients"])
def test_a_first_query_of_classes_is_of_typical_images_once_their_features_are_known(diversity: str) -> None:
    chosen = strategy("pt4al", order="dealt", diversity=diversity, dense=False)
    assert chosen.first is coverage.typical and chosen.needs_features and chosen.batches


@pytest.mark.parametrize("diversity", ["coverage", "gradients", "off"])
def test_a_first_query_of_pixels_spans_all_losses_and_waits_for_no_features(diversity: str) -> None:
    chosen = strategy("pt4al", order="dealt", diversity=diversity, dense=True)
    assert chosen.first is baselines.evenly_spaced and not chosen.needs_features and chosen.batches


def test_a_bandit_draws_the_batch_and_leaves_the_choice_within_it_as_it_is() -> None:
    chosen = strategy("pt4al", order="bandit", diversity="gradients", dense=False)
    assert chosen.at_once and chosen.needs_features and not chosen.batches
    assert not strategy("pt4al", order="bandit", diversity="off", dense=False).needs_features


@pytest.mark.parametrize("dense", [False, True])
def test_without_diversity_the_first_query_is_the_papers(dense: bool) -> None:
    chosen = strategy("pt4al", order="hard_first", diversity="off", dense=dense)
    assert chosen.first is baselines.evenly_spaced and chosen.later is candidates.uncertain


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", ["random", "confidence", "margin", "entropy", "badge", "coreset", "typiclust"])
def test_what_is_not_pt4al_has_no_batches(name, dense: bool) -> None:
    assert not strategy(name, order="dealt", diversity="coverage", dense=dense).batches
