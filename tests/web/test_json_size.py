"""Values are counted before JSON is parsed: never fewer than parsing would create."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pt4al_backend.web import json_size
from pt4al_backend.web.json_size import holds_too_much

TEXTS = st.text(alphabet=st.sampled_from('\\"[]{},:a é\n\u2028'), max_size=12) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6),
    max_leaves=40,
)


def parts(value: Any) -> int:
    """How many objects, lists and strings a value contains, including keys."""
    if isinstance(value, dict):
        return 1 + sum(1 + parts(inner) for inner in value.values())
    return 1 + sum(map(parts, value)) if isinstance(value, list) else int(isinstance(value, str))


def commas(value: Any) -> int:
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return max(len(value) - 1, 0) + sum(map(commas, inner))
    return 0


@settings(max_examples=50)
@given(value=JSON, chunk=st.integers(1, 9), ascii_only=st.booleans())
def test_the_counts_do_not_depend_on_where_the_chunks_end(value: Any, chunk: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(json_size, "_CHUNK", chunk)
        for name, count in (("MOST_PARTS", parts(value)), ("MOST_VALUES", commas(value))):
            limits.setattr(json_size, name, count)
            assert not holds_too_much(text)
            limits.setattr(json_size, name, count - 1)
            assert holds_too_much(text)
            limits.setattr(json_size, name, 10**9)


@given(text=st.text(alphabet=st.sampled_from('\\"[]{},:1 '), max_size=40), chunk=st.integers(1, 9))
def test_broken_json_hides_nothing_before_its_first_fault(text: str, chunk: int) -> None:
    body = "[[],{}," + text
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(json_size, "_CHUNK", chunk)
        limits.setattr(json_size, "MOST_PARTS", 2)
        assert holds_too_much(body.encode())


@pytest.mark.parametrize(
    "text", [b"[" + b"{}," * 2_000_000 + b"1]", b"[" + b'"ab",' * 1_100_000 + b"1]", b"[" + b"1," * 8_100_000 + b"1]"]
)
def test_much_in_few_bytes(text: bytes) -> None:
    assert holds_too_much(text)


@pytest.mark.parametrize(
    "text", [b'["' + b"," * 9_000_000 + b'"]', b"[" + b"255," * 7_900_000 + b"1]", b"", b"\\", b'"']
)
def test_little_in_many_bytes(text: bytes) -> None:
    assert not holds_too_much(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-le"])
def test_other_encodings(encoding: str) -> None:
    with pytest.raises(ValueError):
        holds_too_much('[1, 2, "three"]'.encode(encoding))
