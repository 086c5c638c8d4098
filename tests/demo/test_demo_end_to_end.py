"""The demo as `make demo` runs it, with few images and short trainings."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from processes import free_port
from studio import PROGRAM


def test_the_demo_plays_an_annotator_and_ends_well(tmp_path):
    quick = {"PT4AL_PRETEXT_EPOCHS": "1", "PT4AL_MAIN_EPOCHS": "2", "PT4AL_QUERY_SIZE": "5", "PT4AL_DEVICE": "cpu"}
    command = [sys.executable, "-m", "pt4al_backend.cli", "demo", "--no-browser", "--exit", "--tasks", "60"]
    command += ["--annotate", "12", "--label-studio-port", str(free_port()), "--port", str(free_port())]
    environment = os.environ | quick | {"PT4AL_DATA_DIR": str(tmp_path), "PT4AL_LABEL_STUDIO": str(PROGRAM)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = re.findall(r"^round (\d+)", done.stdout, re.MULTILINE)
    assert len(rounds) >= 2, done.stdout
    assert "http://" in done.stdout
