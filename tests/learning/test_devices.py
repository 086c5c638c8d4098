import pytest

from pt4al_backend.learning import LearningError, describe_device, resolve_device


def test_auto_is_a_device_that_is_there():
    assert describe_device(resolve_device("auto"))


def test_cpu():
    assert resolve_device("cpu") == "cpu"
    assert describe_device("cpu").startswith("CPU, ")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "mps", ""])
def test_unknown_device_is_named_in_a_sentence(name):
    with pytest.raises(LearningError, match=r"is unknown: use auto, cpu"):
        resolve_device(name)


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(LearningError, match="'cuda:99'"):
        resolve_device("cuda:99")
