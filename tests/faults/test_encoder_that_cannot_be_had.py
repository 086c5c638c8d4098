"""The encoder of the settings cannot be had: a sentence says why, and the built-in one serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
from safetensors.torch import save
from support.processes import free_port, wait_until
from support.threaded_worker import ThreadedWorker
from support.weights_hub import Hub, local_hub

from pt4al_backend.learning import built_in_weights as built_in
from pt4al_backend.learning import encoders

NAME = "test_vit"


@pytest.fixture(scope="module")
def content() -> bytes:
    return save(timm.create_model(NAME).state_dict())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with local_hub(monkeypatch, content) as hub:
        yield hub


def unreachable(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


def cut_off(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.sent = hub.content[:-1]


def changed_on_the_way(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.sent = hub.content[:-1] + b"?"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (unreachable, "The weights of test_vit cannot be downloaded ("),
        (cut_off, "The weights of test_vit cannot be downloaded ("),
        (changed_on_the_way, "The weights of test_vit arrived damaged: "),
    ],
)
def test_weights_that_do_not_arrive(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: object, says: str
) -> None:
    assert callable(fault)
    fault(hub, monkeypatch)
    assert_served_by_the_built_in_encoder(ThreadedWorker(tmp_path / "data", images=12, encoder=NAME), says)


def test_a_file_of_weights_that_is_cut_off(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(content[: len(content) // 2])
    worker = ThreadedWorker(tmp_path / "data", images=12, encoder=f"{NAME}@{path}")
    assert_served_by_the_built_in_encoder(worker, f"{path} cannot be read as a safetensors file (")


def test_nothing_but_the_file_that_was_published_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, networks are trained on the project's own images."""
    monkeypatch.setattr(built_in, "_SHA256", "0" * 64)
    encoders._shared.cache_clear()  # another test may have loaded it
    worker = ThreadedWorker(tmp_path, images=12, main_epochs=1)
    with worker.running():
        wait_until("the first order", worker.done, seconds=120)
        shown = worker.shown()
    assert (shown["encoder"], shown["strategy"], shown["error"]) == ("rotation", "pt4al", "")
    assert "is damaged or was changed (its SHA-256 is another one): install it again" in shown["notes"][0]


def assert_served_by_the_built_in_encoder(worker: ThreadedWorker, says: str) -> None:
    with worker.running():
        wait_until("the first order", worker.done, seconds=120)
        worker.platform.label(worker.platform.queue[0])
        wait_until("the next order", lambda: "-n1-" in worker.shown()["model_version"], seconds=60)
        shown = worker.shown()
    assert (shown["encoder"], shown["strategy"], shown["error"]) == ("efficientnet_lite0", "balanced", "")
    assert len(shown["notes"]) == 1 and shown["notes"][0].startswith(says)
