from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.checkpoints import CheckpointFile, load_arrays, save_arrays


def test_arrays_of_every_kind_and_meta_round_trip(tmp_path: Path) -> None:
    arrays = {
        "half": np.arange(6, dtype=np.float16).reshape(2, 3).T,
        "float": np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)[:, ::2],
        "step": np.array(7, dtype=np.int64),
        "bytes": np.arange(10, dtype=np.uint8)[::-3],
        "mask": np.array([True, False]),
        "foreign": np.arange(3, dtype=">i4"),
        "fortran": np.asfortranarray(np.eye(3, 2)),
        "empty": np.zeros((0, 4), np.float32),
    }
    meta = {"epoch": 3, "name": "ü", "losses": [0.5, 1e-9], "none": None, "nested": {"a": True}}
    save_arrays(tmp_path / "new" / "a.safetensors", arrays, meta)
    loaded = load_arrays(tmp_path / "new" / "a.safetensors")
    assert loaded is not None
    assert loaded[1] == meta
    assert loaded[0].keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[0][name].dtype == array.dtype.newbyteorder("=")
        assert loaded[0][name].shape == array.shape
        np.testing.assert_array_equal(loaded[0][name], array)
    loaded[0]["half"][0] = 1  # the caller's own, not a view of the file
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_load_returns_none_if_nothing_was_saved(tmp_path: Path) -> None:
    assert load_arrays(tmp_path / "absent") is None
    assert CheckpointFile(tmp_path / "absent").load() is None


def test_a_file_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_arrays(path, {"a": np.arange(10.0)}, {})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(PT4ALError, match="damaged or not a checkpoint of PT4AL: delete it"):
            load_arrays(path)
    path.write_bytes(b"\xff" * 200)
    with pytest.raises(PT4ALError, match="damaged"):
        load_arrays(path)


def test_safetensors_of_other_programs_are_rejected(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.arange(3)}, tmp_path / "plain", metadata={"format": "pt"})
    with pytest.raises(PT4ALError, match="not a checkpoint of PT4AL"):
        load_arrays(tmp_path / "plain")


def test_a_damaged_checkpoint_is_deleted_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = CheckpointFile(tmp_path / "c")
    checkpoint.path.write_bytes(b"rubbish")
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load() is None
    assert "is damaged; deleted it, so this training starts again" in caplog.text
    assert not checkpoint.path.exists()
    checkpoint.save({"a": np.ones(2)}, {"epoch": 1})
    loaded = checkpoint.load()
    assert loaded is not None and loaded[1] == {"epoch": 1}
    checkpoint.delete()
    checkpoint.delete()
    assert checkpoint.load() is None


def test_a_failed_write_keeps_the_old_state(tmp_path: Path) -> None:
    checkpoint = CheckpointFile(tmp_path / "c")
    checkpoint.save({"a": np.ones(2)}, {"epoch": 1})
    (tmp_path / "c.tmp").mkdir()
    with pytest.raises(PT4ALError, match=r"Cannot write .*: free some disk space, or make it writable"):
        checkpoint.save({"a": np.zeros(2)}, {"epoch": 2})
    loaded = checkpoint.load()
    assert loaded is not None and loaded[1] == {"epoch": 1}


SAVER = """
import itertools, sys
import numpy as np
from pathlib import Path
from pt4al_backend.store.checkpoints import CheckpointFile

checkpoint = CheckpointFile(Path(sys.argv[1]))
for epoch in itertools.count():
    checkpoint.save({"a": np.full(200_000, epoch)}, {"epoch": epoch})
    print(epoch, flush=True)
"""


def test_a_kill_leaves_the_old_or_the_new_state(tmp_path: Path) -> None:
    path = tmp_path / "c"
    for saves in (1, 3):
        with subprocess.Popen([sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE) as saver:
            assert saver.stdout is not None
            for _ in range(saves):
                saver.stdout.readline()
            saver.send_signal(signal.SIGKILL)
            rest = saver.stdout.read().split()
        loaded = load_arrays(path)
        assert loaded is not None
        assert loaded[1]["epoch"] >= saves - 1 + len(rest)
        assert (loaded[0]["a"] == loaded[1]["epoch"]).all()
