from __future__ import annotations

from pt4al_backend.processes.backoff import delay


def test_waits_twice_as_long_each_time_up_to_a_bound() -> None:
    assert [delay(failures, most=30) for failures in (1, 2, 3, 5, 6, 7, 10_000)] == [1, 2, 4, 16, 30, 30, 30]
