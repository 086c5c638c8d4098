"""A hub of weights on this machine: what huggingface_hub asks huggingface.co for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from support.odd_servers import Asked, Reply, answering


@dataclass
class Hub:
    """Publishes one file in every repository."""

    content: bytes
    sent: bytes | None = None
    """What is sent instead of it."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    downloads: int = 0

    def answer(self, asked: Asked) -> Reply:
        if self.status != 200:
            return Reply(self.status, b"", self.headers)
        digest = hashlib.sha256(self.content).hexdigest()
        about = {"ETag": f'"{digest}"', "X-Repo-Commit": "0" * 40, "X-Linked-Size": str(len(self.content))}
        self.downloads += asked.method == "GET" and asked.path.endswith(".safetensors")
        return Reply(200, self.content if self.sent is None else self.sent, about | {"X-Linked-ETag": f'"{digest}"'})


@contextmanager
def local_hub(monkeypatch: pytest.MonkeyPatch, content: bytes) -> Iterator[Hub]:
    """A hub that huggingface_hub takes for huggingface.co."""
    hub = Hub(content)
    with answering(hub.answer) as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            server.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield hub
