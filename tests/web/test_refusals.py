"""Reason phrases: one line that every server and proxy passes on."""

from __future__ import annotations

import pytest

from pt4al_backend.web.refusals import reason_phrase


@pytest.mark.parametrize(
    ("sentence", "line"),
    [
        ("PT4AL needs an Image tag.", "PT4AL needs an Image tag."),
        ('It does not learn from Choices "<b>".', 'It does not learn from Choices "(b)".'),
        ("one\r\nSet-Cookie: two\t\x00three", "one Set-Cookie: two three"),
        ("Größe 図", "Gr??e ?"),
    ],
)
def test_reason_phrase(sentence: str, line: str) -> None:
    assert reason_phrase(sentence) == line


def test_reason_phrases_are_short() -> None:
    assert len(reason_phrase("x" * 5000)) == 300
