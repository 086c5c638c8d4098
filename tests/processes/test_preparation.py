"""What a worker loads while it has no project."""

from __future__ import annotations

import subprocess
import sys
from typing import NoReturn

import pytest

from pt4al_backend import learning
from pt4al_backend.errors import LearningError
from pt4al_backend.learning import encoders
from pt4al_backend.processes.preparation import LIBRARIES, prepare

PREPARE = """
import sys
import numpy
from pt4al_backend import learning
from pt4al_backend.processes.preparation import LIBRARIES, prepare
steps = len(list(prepare(learning.DEFAULT_ENCODER, "cpu")))
assert steps > len(LIBRARIES), steps
before = set(sys.modules)
encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=None, dense=False)
encoder.embed_pixels(numpy.zeros((2, 224, 224, 3), "uint8"), device="cpu")
print(sorted(set(sys.modules) - before))
"""


def test_the_built_in_encoder_and_all_that_it_imports_are_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", PREPARE], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_nothing_is_loaded_for_encoders_that_may_never_be_needed() -> None:
    assert list(prepare(None, "cpu")) == list(prepare("resnet18", "cpu")) == []


def test_projects_share_the_built_in_encoder() -> None:
    first, second = (learning.make_encoder(learning.DEFAULT_ENCODER, stored={}.__getitem__, dense=False) for _ in "ab")
    assert first is second


def test_a_damaged_encoder_does_not_stop_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "built_in_weights", damaged)
    assert len(list(prepare(learning.DEFAULT_ENCODER, "cpu"))) == len(LIBRARIES)


def damaged() -> NoReturn:
    raise LearningError("The weights are damaged.")
