import pytest
import torch
import torch.nn.functional as F

from pt4al_backend.learning.temperature import temperature


def drawn(n: int, *, sure: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of 3 classes, and labels that are as likely as the logits divided by `sure` say."""
    random = torch.Generator().manual_seed(n)
    logits = torch.randn(n, 3, generator=random)
    return sure * logits, torch.multinomial(logits.softmax(dim=1), 1, generator=random)[:, 0]


@pytest.mark.parametrize("sure", [0.3, 1.0, 4.0])
def test_probabilities_become_as_high_as_predictions_are_right(sure: float) -> None:
    assert temperature(*drawn(20_000, sure=sure), F.cross_entropy) == pytest.approx(sure, rel=0.1)


def test_few_labels_change_little() -> None:
    few, many = (temperature(*drawn(n, sure=8.0), F.cross_entropy) for n in (5, 500))
    assert 1 < few < 4 < many


def test_without_labels_nothing_is_changed() -> None:
    assert temperature(torch.empty(0, 3), torch.empty(0, dtype=torch.int64), F.cross_entropy) == pytest.approx(1)


def test_hopeless_predictions_become_even() -> None:
    logits = 50 * F.one_hot(torch.zeros(100, dtype=torch.int64), 3).float()
    assert temperature(logits, torch.ones(100, dtype=torch.int64), F.cross_entropy) == pytest.approx(20, rel=0.1)
