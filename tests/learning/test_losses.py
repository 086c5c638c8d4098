import pytest
import torch
import torch.nn.functional as F
from support.networks import SHAPES, multiple, single

from pt4al_backend.learning import IGNORE, SEGMENTATION, Output
from pt4al_backend.learning.inputs import generator
from pt4al_backend.learning.losses import class_weights
from pt4al_backend.learning.output_types import image_losses

OUTPUTS = [single(3), multiple(2), SHAPES]
LOGITS = [torch.randn(shape, generator=generator(1)) for shape in ((4, 3), (4, 2), (4, 3, 2, 2))]
TARGETS = [
    torch.tensor([0, 2, -1, -1]),
    torch.tensor([[0.0, 1.0], [-1, -1], [1, 1], [-1, -1]]),
    torch.tensor([[0, 1, 2, 2], [0, IGNORE, IGNORE, 1], [IGNORE] * 4, [IGNORE] * 4]).view(4, 2, 2),
]


def test_an_images_loss_is_the_sum_over_its_labels():
    a, b, c = LOGITS
    first = -a[0].log_softmax(0)[0] - F.logsigmoid(-b[0, 0]) - F.logsigmoid(b[0, 1])
    log_p = c.log_softmax(1)
    first -= (log_p[0, 0, 0, 0] + log_p[0, 1, 0, 1] + log_p[0, 2, 1, 0] + log_p[0, 2, 1, 1]) / 4
    second = -a[1].log_softmax(0)[2] - (log_p[1, 0, 0, 0] + log_p[1, 1, 1, 1]) / 2
    third = -F.logsigmoid(b[2]).sum()
    expected = torch.stack([first, second, third, torch.tensor(0.0)])
    torch.testing.assert_close(image_losses(OUTPUTS, LOGITS, TARGETS, [None] * 3), expected)


@pytest.mark.parametrize("k", range(3))
def test_unlabelled_images_move_nothing(k):
    logits = LOGITS[k].clone().requires_grad_()
    torch.autograd.backward(image_losses([OUTPUTS[k]], [logits], [TARGETS[k]], [None]).sum())
    moved = logits.grad != 0
    labelled = (TARGETS[k] >= 0) & (TARGETS[k] != IGNORE)
    assert torch.equal(moved, labelled[:, None].expand_as(moved) if k != 1 else labelled)


@pytest.mark.parametrize(
    ("shares", "balance", "expected"),
    [
        ([0.5, 0.5], 1.0, [1.0, 1.0]),
        ([0.8, 0.2], 1.0, [0.625, 2.5]),  # both classes now weigh half of the total
        ([0.64, 0.36], 0.5, [0.8928571, 1.1904762]),  # 1/0.8 and 1/0.6, divided by their mean 1.4
        ([0.8, 0.2, 0.0], 1.0, [0.625, 2.5, 2.5]),  # one that does not occur weighs as much as the rarest
        ([0.9, 0.1], 0.0, [1.0, 1.0]),
    ],
)
def test_weights_by_hand(shares, balance, expected):
    assert class_weights(torch.tensor(shares), balance=balance).tolist() == pytest.approx(expected)


def test_a_pixel_counts_by_its_class_and_an_ignored_one_not_at_all():
    logits = torch.randn(1, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    answers = torch.tensor([[[0, 1], [1, IGNORE]]])
    [loss] = image_losses([Output(SEGMENTATION, 2)], [logits], [answers], [torch.tensor([0.5, 2.0])])
    each = F.cross_entropy(logits, answers.clamp(max=1), reduction="none")[0]
    assert loss.item() == pytest.approx(((0.5 * each[0, 0] + 2 * each[0, 1] + 2 * each[1, 0]) / 3).item())
