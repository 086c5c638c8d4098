"""Weights are downloaded once, whole, from the hub; otherwise a sentence says why not."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import timm
from safetensors.torch import save
from support.weights_hub import Hub, local_hub

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import fetch_encoder, make_encoder
from pt4al_backend.learning.weight_files import download, downloaded, read_tensors

NAME = "test_vit"


@pytest.fixture(scope="module")
def content() -> bytes:
    return save(timm.create_model(NAME).state_dict())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with local_hub(monkeypatch, content) as hub:
        yield hub


def fetch(directory: Path, *, offline: bool = False) -> list[float]:
    return [progress.done for progress in fetch_encoder(NAME, directory=directory, offline=offline)]


def test_weights_are_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    steps = fetch(tmp_path / "hub")
    assert steps == sorted(steps) and steps[-1] == 1
    assert make_encoder(NAME, stored=NotImplemented, dense=False, directory=tmp_path / "hub").dimension == 64
    assert fetch(tmp_path / "hub") == [] and fetch(tmp_path / "hub", offline=True) == []
    assert hub.downloads == 1


def test_weights_in_the_cache_of_huggingface_hub_are_used(hub: Hub, tmp_path: Path) -> None:
    fetch(tmp_path / "cache")
    assert fetch(tmp_path / "hub") == []
    assert make_encoder(NAME, stored=NotImplemented, dense=False, directory=tmp_path / "hub").dimension == 64


def test_nothing_is_asked_for_offline(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(LearningError, match="not on this machine and PT4AL_OFFLINE forbids to download them: conn"):
        fetch(tmp_path / "hub", offline=True)
    assert hub.downloads == 0


def test_a_damaged_file_counts_as_missing_and_is_downloaded_again(hub: Hub, tmp_path: Path) -> None:
    fetch(tmp_path / "hub")
    path = downloaded(NAME, tmp_path / "hub")
    assert path is not None
    path.resolve().write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LearningError, match="not on this machine"):
        make_encoder(NAME, stored=NotImplemented, dense=False, directory=tmp_path / "hub")
    fetch(tmp_path / "hub")
    assert downloaded(NAME, tmp_path / "hub") is not None and hub.downloads == 2


def test_a_file_that_arrives_with_other_bytes_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.sent = hub.content[:-1] + b"?"
    with pytest.raises(LearningError, match="arrived damaged: connect this machine to "):
        fetch(tmp_path / "hub")


def test_a_file_that_arrives_in_part_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.sent = hub.content[:-1]
    with pytest.raises(LearningError, match="cannot be downloaded"):
        fetch(tmp_path / "hub")


def test_a_hub_that_cannot_be_reached_is_named(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"
    )
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the hub's tries
    with pytest.raises(LearningError, match=r"cannot be downloaded .*PT4AL_ENCODER=test_vit@FILE\.safetensors"):
        fetch(tmp_path / "hub")


def test_a_licence_that_has_to_be_accepted_is_said(hub: Hub, tmp_path: Path) -> None:
    hub.status, hub.headers = 403, {"X-Error-Code": "GatedRepo"}
    with pytest.raises(LearningError, match="only to those who accept their licence: do so on"):
        fetch(tmp_path / "hub")


def test_a_full_disk_is_said(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(LearningError, match=r"do not fit on the disk with .*hub: free some space"):
        fetch(tmp_path / "hub")


def test_weights_that_timm_does_not_publish_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LearningError, match=r"publishes no weights for convnext_atto_rms: .*convnext_atto_rms@FILE"):
        list(download("convnext_atto_rms", tmp_path, offline=False))


def test_a_file_of_another_kind_or_none_is_refused(tmp_path: Path) -> None:
    pickled = tmp_path / "model.safetensors"
    pickled.write_bytes(b"PK\x03\x04 not safetensors at all")
    for path in (pickled, tmp_path / "missing.safetensors"):
        with pytest.raises(LearningError, match="cannot be read as a safetensors file"):
            read_tensors(path)
