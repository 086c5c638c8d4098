"""Measurements may say how sure the model was, and need not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.old_databases import write_old

from pt4al_backend.store.store import Store


@pytest.mark.parametrize("name", ["last_0_1_0", "schema_4"])
def test_it_is_unknown_unless_it_is_said(name: str, tmp_path: Path) -> None:
    write_old(name, tmp_path)
    figures = {"labels": 4, "images": 4, "value": 0.5, "low": 0.4, "high": 0.6}
    with closing(Store(tmp_path)) as store:
        for more in ({}, {"confidence": 0.75}):
            store.add_measurement(1, model_version="v", round=0, held_out=False, **figures, **more)
        assert [point.confidence for point in store.measurements(1)] == [None, 0.75]
