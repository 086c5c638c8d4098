from collections.abc import Iterator

import pytest
import torch

from pt4al_backend.learning import openvino_network


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """These networks are as fast on one thread, and on a busy machine threads do not wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="package")
def f32() -> Iterator[None]:
    """Networks are compared closely, on processors with AMX, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino_network, "_computes_bf16", lambda: False)
        yield
