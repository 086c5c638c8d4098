"""PyTorch without CUDA: from an address that the person gives, and only PyTorch."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOGETHER = ("torch", "torchvision")


def pinned(name: str) -> str:
    """The version that constraints.txt has for this Python."""
    lines = re.findall(rf'^{name}==(\S+)(?: ; python_version (<|>=) "3\.11")?', _constraints(), re.M)
    young = sys.version_info >= (3, 11)
    return next(version for version, when in lines if when in ("", ">=" if young else "<"))


def _constraints() -> str:
    return (ROOT / "constraints.txt").read_text()


def wheel(name: str, version: str, folder: Path) -> Path:
    """A wheel with nothing in it that asks for a library which is nowhere."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: is-nowhere\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for path, text in files.items()}
    record = "".join(f"{path},sha256={digests[path].decode().rstrip('=')},{len(files[path])}\n" for path in files)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(inside, text)
    return path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a web server for the files in `folder`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """An index as PyTorch's: its libraries at versions such as 2.15.0+cpu, and one that is none of its business."""
    for name in (*TOGETHER, "flask"):
        folder = tmp_path / "index" / name
        folder.mkdir(parents=True)
        versions = (pinned(name), f"{pinned(name)}+cpu", "99.0+cpu")
        links = [wheel(name, version, folder).name for version in versions]
        page = "".join(f'<a href="{link.replace("+", "%2B")}">{link}</a>\n' for link in links)
        (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{page}</body></html>\n")
    with served(tmp_path / "index") as address:
        yield address


def test_pytorch_comes_from_there_and_nothing_else_does(index: str, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True, symlinks=True)
    (tmp_path / "nothing").mkdir()
    with served(tmp_path / "nothing") as registry:  # so that it ends where all the rest would be fetched
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        environment = plain | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": registry}
        python = tmp_path / "venv" / "bin" / "python"
        command = [ROOT / "docker" / "install.sh", "--torch-index", index, python]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        asked = [python, "-m", "pip", "install", "--dry-run", "--no-deps", "-c", ROOT / "constraints.txt", *TOGETHER]
        again = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert f"Looking in indexes: {registry}" in ended.stdout, ended.stdout + ended.stderr
    there = {path.name.removesuffix(".dist-info") for path in (tmp_path / "venv").rglob("*.dist-info")}
    new = {name for name in there if not name.startswith(("pip-", "setuptools-"))}
    assert new == {f"{name}-{pinned(name)}+cpu" for name in TOGETHER}
    # It is what the pins ask for, so that no other PyTorch, and with it CUDA, is fetched.
    assert again.returncode == 0 and "Would install" not in again.stdout, again.stdout + again.stderr


def make(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TORCH_INDEX"}
    command = ["make", "install", "PYTHON=python3", *arguments]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What `make install` needs, with an environment that is there and an install script that only tells."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("setup.cfg", "constraints.txt"):
        (tmp_path / name).touch()
    for name in ("docker/install.sh", ".venv/bin/python"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('#!/bin/sh\necho "asked: $*"\n')
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_make_remembers_where_pytorch_is_from(tree: Path) -> None:
    assert (
        "asked: --editable --torch-index http://a/cpu .venv/bin/python" in make(tree, "TORCH_INDEX=http://a/cpu").stdout
    )
    assert "asked" not in make(tree).stdout.replace("'asked", "")  # there is nothing to do
    os.utime(tree / ".venv" / ".ready", (0, 0))  # the pins have changed
    assert "asked: --editable --torch-index http://a/cpu .venv/bin/python" in make(tree).stdout


def test_make_does_not_pass_over_another_pytorch(tree: Path) -> None:
    assert "asked: --editable .venv/bin/python" in make(tree).stdout
    ended = make(tree, "TORCH_INDEX=http://a/cpu")
    assert ended.returncode != 0
    assert "The PyTorch in .venv is from elsewhere than TORCH_INDEX: make clean" in ended.stderr
