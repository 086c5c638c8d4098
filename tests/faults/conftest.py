"""One web process for all tests that do it no harm, and one with a password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.served import Backend, serve

PASSWORD = {"basic_auth_user": "u", "basic_auth_pass": "p"}


def _web(factory: pytest.TempPathFactory, **settings: object) -> Iterator[Backend]:
    known = {"label_studio_url": "http://127.0.0.1:9", "label_studio_api_key": "key"}
    with serve(None, data_dir=factory.mktemp("web") / "data", command="web", **known, **settings) as backend:
        yield backend


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from _web(tmp_path_factory)


@pytest.fixture(scope="session")
def locked_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from _web(tmp_path_factory, **PASSWORD)
