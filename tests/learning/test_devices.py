import pytest
import torch

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import describe_device, resolve_device
from pt4al_backend.learning.devices import one_thread


def test_auto_is_an_existing_device():
    assert describe_device(resolve_device("auto"))


def test_cpu():
    assert resolve_device("cpu") == "cpu"
    assert describe_device("cpu").startswith("CPU, ")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "mps", ""])
def test_unknown_device_is_named_in_a_sentence(name):
    with pytest.raises(LearningError, match=r"is unknown: use auto, cpu"):
        resolve_device(name)


def test_a_missing_gpu_is_refused():
    with pytest.raises(LearningError, match="'cuda:99'"):
        resolve_device("cuda:99")


def test_one_thread_restores_the_number_of_threads():
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1
            1 / 0  # noqa: B018
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
