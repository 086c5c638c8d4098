from __future__ import annotations

import time

import pytest

from pt4al_backend.processes.backoff import BACKOFF_MOST, Attempt, delay


def test_waits_twice_as_long_each_time_up_to_a_bound() -> None:
    assert [delay(failures, most=30) for failures in (1, 2, 3, 5, 6, 7, 10_000)] == [1, 2, 4, 16, 30, 30, 30]


def test_a_step_may_fail_for_days() -> None:
    step = Attempt()
    for _ in range(5000):
        step.failed("down", transient=True)
    assert step.not_before - time.monotonic() == pytest.approx(BACKOFF_MOST, abs=1)


def test_a_step_that_failed_is_due_later_and_forgets_its_error_when_it_succeeds() -> None:
    step = Attempt()
    assert step.is_due
    step.failed("down", transient=False)
    assert (step.is_due, step.error, step.transient) == (False, "down", False)
    step.succeeded()
    assert (step.failures, step.error) == (0, "")
