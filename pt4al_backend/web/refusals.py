"""Refusals: a status, a sentence in the body, and the same sentence as the reason phrase.

When `/setup` fails, Label Studio shows people only the HTTP status line (fact 18).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Response, g, has_request_context

from pt4al_backend.errors import StoreError
from pt4al_backend.web import refusal_log

_BRACKETS = str.maketrans("<>", "()")
_LONGEST_REASON = 300  # characters; proxies limit the length of a status line


class RefusedError(Exception):
    """The request cannot be answered; the text says why and what to send instead."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@contextmanager
def remembering_trouble() -> Iterator[None]:
    """Remember a `StoreError` inside the SDK's handlers, which turn every exception into a 500."""
    try:
        yield
    except StoreError as error:
        if has_request_context():
            g.trouble = error
        raise


def refusal(code: int, sentence: str) -> Response:
    """The response `{"error": sentence}`, with the sentence also in the status line and on the console."""
    refusal_log.log(code, reason_phrase(sentence))
    return Response(
        json.dumps({"error": sentence}), status=f"{code} {reason_phrase(sentence)}", mimetype="application/json"
    )


def reason_phrase(sentence: str) -> str:
    """The sentence as one short line of printable ASCII; Label Studio's form drops text in angle brackets (fact 31)."""
    line = " ".join("".join(character if character.isprintable() else " " for character in sentence).split())
    line = line.encode("ascii", "replace").decode().translate(_BRACKETS)
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 3] + "..."
