import pytest

from pt4al_backend.sampling import badge, coverage, evenly_spaced, pt4al, typical, uncertainty_sampling


@pytest.mark.parametrize("diversity", ["coverage", "gradients"])
def test_a_first_query_of_classes_is_of_typical_images_once_their_embeddings_are_known(diversity: str) -> None:
    chosen = pt4al.variant(diversity, False)
    assert chosen.first is typical.query and chosen.needs_embeddings and chosen.batches


@pytest.mark.parametrize("diversity", ["coverage", "gradients", "off"])
def test_a_first_query_of_pixels_spans_all_losses_and_waits_for_no_embeddings(diversity: str) -> None:
    chosen = pt4al.variant(diversity, True)
    assert chosen.first is evenly_spaced.query and not chosen.needs_embeddings and chosen.batches


@pytest.mark.parametrize("dense", [False, True])
def test_without_diversity_the_first_query_is_the_papers(dense: bool) -> None:
    assert pt4al.variant("off", dense).first is evenly_spaced.query


@pytest.mark.parametrize("dense", [False, True])
def test_diversity_decides_what_chooses_within_a_batch(dense: bool) -> None:
    assert pt4al.variant("off", dense).query is uncertainty_sampling.query
    assert pt4al.variant("coverage", dense).query is coverage.query
    assert pt4al.variant("gradients", dense).query is badge.query
