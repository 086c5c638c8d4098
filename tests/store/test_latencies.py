"""The histogram of latencies."""

from __future__ import annotations

from pt4al_backend.store.latencies import BOUNDS, as_json, with_one_more


def test_a_histogram_counts_what_took_no_longer() -> None:
    body = None
    for seconds in (0.4, 1.0, 1.2, 100.0):
        body = with_one_more(body, seconds)
    shown = as_json(body)
    assert shown is not None
    assert dict(shown["buckets"])["1"] == 2 and dict(shown["buckets"])["+Inf"] == 4
    assert len(shown["buckets"]) == len(BOUNDS)
    assert shown["median_below"] == "1" and shown["sum"] == 102.6


def test_nothing_measured() -> None:
    assert as_json(None) is None
