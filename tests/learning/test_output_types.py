"""The table of output types, and its checks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.linear_probe import fit_head
from pt4al_backend.learning.output_types import OUTPUT_TYPES, head_for, type_of
from pt4al_backend.learning.types import Output


def test_an_unknown_output_is_refused_by_name() -> None:
    with pytest.raises(LearningError, match="'boxes' is unknown: choose single, multiple or segmentation"):
        type_of(Output("boxes", 2))


@pytest.mark.parametrize("kind", OUTPUT_TYPES)
def test_a_head_can_be_made_and_read_as_a_linear_classifier(kind: str) -> None:
    weight, bias = head_for(Output(kind, 3), [8, 16], side=12).classifier()
    assert len(weight) == len(bias) == 3


@pytest.mark.parametrize("kind", OUTPUT_TYPES)
def test_invalid_labels_are_refused(kind: str) -> None:
    assert OUTPUT_TYPES[kind].flaw(np.full((2, 5), 7), 3)


def test_cells_are_not_fitted_as_whole_images() -> None:
    with pytest.raises(LearningError, match="Labels must be masks"):
        fit_head(np.zeros((2, 4), np.float32), np.zeros(2, np.int64), Output("segmentation", 3))


@pytest.mark.parametrize(
    ("kind", "targets"),
    [("single", torch.tensor([2, 0, 0, 1])), ("multiple", torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]))],
)
def test_gradients_in_closed_form_are_those_of_the_losses(kind: str, targets: torch.Tensor) -> None:
    probe = OUTPUT_TYPES[kind].probe
    assert probe is not None
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    total, gradient = probe.loss_and_gradient(logits, targets)
    expected, by_autograd = probe._replace(closed_form=None).loss_and_gradient(logits, targets)
    assert total == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(gradient, by_autograd)


@pytest.mark.parametrize("kind", OUTPUT_TYPES)
def test_probabilities_are_those_that_the_losses_are_of(kind: str) -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 9.0]])
    probabilities = OUTPUT_TYPES[kind].probabilities(logits)
    expected = logits.sigmoid() if kind == "multiple" else logits.softmax(dim=1)
    assert torch.allclose(probabilities, expected)
    cells = OUTPUT_TYPES[kind].probabilities(logits[:, :, None, None].expand(2, 3, 4, 4))
    assert torch.allclose(cells, expected[:, :, None, None].expand(2, 3, 4, 4))
