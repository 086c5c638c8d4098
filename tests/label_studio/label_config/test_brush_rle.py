"""Run lengths: written and read as Label Studio's own converter does, whatever they contain."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle

from pt4al_backend.label_studio.label_config import brush_rle

PATIENT = settings(deadline=None, max_examples=40)


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([1, 2, 4, 5, 64, 65, 16384, 16385, 40000])), min_size=1, max_size=8
    )
)
def test_label_studio_reads_the_run_lengths_that_are_written(runs: list[tuple[bool, int]]) -> None:
    where = np.concatenate([np.full(length, painted) for painted, length in runs])
    own = brush_rle.packed(where)
    assert (decode_rle(own) == np.repeat(where.astype(np.uint8) * 255, 4)).all()  # type: ignore[no-untyped-call]
    assert len(own) <= len(mask2rle(where[None].astype(np.uint8) * 255))  # type: ignore[no-untyped-call]
    assert (brush_rle.painted(brush_rle.packed(where), len(where)) == where).all()


@PATIENT
@given(st.binary(min_size=1, max_size=60), st.integers(1, 40), st.booleans())
def test_run_lengths_are_read_as_label_studio_reads_them(content: bytes, repeat: int, coloured: bool) -> None:
    values = np.repeat(np.frombuffer(content * 4, dtype=np.uint8), repeat)
    if not coloured:
        values = np.repeat(values[::4], 4)
    numbers = bytes(encode_rle(values))  # type: ignore[no-untyped-call]
    found = brush_rle.painted(numbers, len(values) // 4)
    assert (found == (decode_rle(numbers)[3::4] > 0)).all()
    assert (found == (values[3::4] > 0)).all()


@PATIENT
@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 7), min_size=1, max_size=16)), min_size=1, max_size=9),
    st.integers(3, 32),
)
def test_values_may_be_written_one_by_one_and_in_any_width(parts: list[tuple[bool, list[int]]], word: int) -> None:
    """As other writers of the format do, a browser's among them."""
    parts.append((False, [7] * (4 - sum(len(some) for _, some in parts) % 4)))
    values: list[int] = []
    bits = ""
    for is_run, some in parts:
        values += some[:1] * len(some) if is_run else some
        written = some[:1] if is_run else some
        bits += f"{int(is_run)}01{len(some) - 1:04b}" + "".join(f"{value:0{word}b}" for value in written)
    bits = f"{len(values):032b}{word - 1:05b}" + "0000" + "0011" + "0000" + "0010" + bits
    bits += "0" * (-len(bits) % 8)
    numbers = int(bits, 2).to_bytes(len(bits) // 8, "big")
    expected = [value > 0 for value in values[3::4]]
    assert brush_rle.painted(numbers, len(values) // 4).tolist() == expected


@PATIENT
@given(st.binary(max_size=200), st.integers(1, 1000))
def test_damaged_run_lengths_are_refused_or_read(junk: bytes, pixels: int) -> None:
    numbers = (4 * pixels).to_bytes(4, "big") + junk
    with contextlib.suppress(ValueError):
        assert brush_rle.painted(numbers, pixels).shape == (pixels,)


def test_encodings_of_another_size_are_refused() -> None:
    encoding = brush_rle.packed(np.array([True, False, True]))
    assert brush_rle.painted(encoding, 3).tolist() == [True, False, True]
    with pytest.raises(ValueError, match="not of 4 pixels"):
        brush_rle.painted(encoding, 4)
    with pytest.raises(ValueError, match="the end is missing"):
        brush_rle.painted(encoding[:-1], 3)
    with pytest.raises(ValueError, match="more than 8,000,000 bytes"):
        brush_rle.painted(bytes(brush_rle.MOST_BYTES + 1), 3)
