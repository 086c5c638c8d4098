import numpy as np

from pt4al_backend.store.embedding_file import EmbeddingFile


def test_rows_are_missing_until_written_and_after_they_are_forgotten(tmp_path):
    features = EmbeddingFile(tmp_path / "models" / "f.bin", width=3)
    rows = np.array([5, 0, 2])
    assert features.has(rows).tolist() == [False] * 3
    values = np.arange(9, dtype=np.float16).reshape(3, 3)
    features.write(rows, values)
    assert features.has(np.array([0, 1, 2, 5, 9])).tolist() == [True, False, True, True, False]
    assert (EmbeddingFile(tmp_path / "models" / "f.bin", width=3).read(rows) == values).all()
    features.forget(np.array([0, 77]))
    assert features.has(rows).tolist() == [True, False, True]


def test_writing_nothing_creates_no_file(tmp_path):
    EmbeddingFile(tmp_path / "f.bin", width=3).write(np.empty(0, np.int64), np.empty((0, 3), np.float16))
    assert not (tmp_path / "f.bin").exists()
