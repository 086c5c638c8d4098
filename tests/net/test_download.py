"""Downloads from a server of this test, and from none."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.odd_servers import Asked, Reply, answering
from support.processes import free_port

from pt4al_backend.errors import PT4ALError
from pt4al_backend.net import download as download_module
from pt4al_backend.net.download import download


def test_a_download_that_has_no_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(PT4ALError, match="cannot be written"):
        download("https://weights.example/x.safetensors", tmp_path / "models" / "x.safetensors", offline=False)


def test_a_file_is_downloaded_once(tmp_path: Path) -> None:
    path = tmp_path / "models" / "weights.safetensors"

    def answer(asked: Asked) -> Reply:
        return Reply(303, headers={"Location": "/mirror"}) if asked.path == "/weights" else Reply(body=b"weights")

    with answering(answer) as server:
        for _ in range(2):
            download(f"{server.url}/weights", path, offline=False)
        assert [asked.path for asked in server.asked] == ["/weights", "/mirror"]
    assert path.read_bytes() == b"weights"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    with (
        answering(lambda asked: Reply(404, b"not here")) as server,
        pytest.raises(PT4ALError, match=r"cannot be downloaded \(HTTPStatusError\).* PT4AL_IMAGENET_WEIGHTS"),
    ):
        download(server.url, path, offline=False)
    with pytest.raises(PT4ALError, match=r"cannot be downloaded \(ConnectError\)"):
        download(f"http://127.0.0.1:{free_port()}", path, offline=False)
    monkeypatch.setattr(download_module, "MOST_BYTES", 6)
    with answering(lambda asked: Reply(body=b"weights")) as server, pytest.raises(PT4ALError, match="is larger than"):
        download(server.url, path, offline=False)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_downloaded_offline(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with answering(lambda asked: Reply(body=b"weights")) as server:
        with pytest.raises(PT4ALError, match=r"PT4AL_OFFLINE forbids to download them\. Download a ResNet-18"):
            download(server.url, path, offline=True)
        assert not server.asked
        path.write_bytes(b"weights")
        download(server.url, path, offline=True)
