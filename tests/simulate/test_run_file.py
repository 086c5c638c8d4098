from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pt4al_backend.simulate.run_file import RunFile

ADDING = """
import sys
from pathlib import Path
from pt4al_backend.simulate.run_file import RunFile
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    RunFile(Path(sys.argv[1])).add([{"by": "child", "number": number}], lambda runs: {"count": len(runs)})
"""


def test_processes_lose_none_of_their_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    assert RunFile(path).read() is None
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", ADDING, str(path)], **pipes) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
        for number in range(40):
            RunFile(path).add([{"by": "parent", "number": number}], lambda runs: {"count": len(runs)})
    assert child.returncode == 0
    saved = json.loads(path.read_text())
    assert saved["count"] == 80 and saved == RunFile(path).read()
    for name in ("child", "parent"):
        assert [run["number"] for run in saved["runs"] if run["by"] == name] == list(range(40))


def test_runs_may_be_refused(tmp_path: Path) -> None:
    file = RunFile(tmp_path / "runs.json")
    assert file.add([{"a": 1}], lambda runs: {}) == [{"a": 1}]

    def refuse(runs: list[dict[str, int]]) -> dict[str, int]:
        raise ValueError("another config")

    with pytest.raises(ValueError, match="another config"):
        file.add([{"a": 2}], refuse)
    assert file.read() == {"runs": [{"a": 1}]}
