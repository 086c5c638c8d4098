"""A test client that holds every answer of the app against `docs/openapi.json`."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from pt4al_backend.web.openapi import document

Json = dict[str, Any]

LARGE = 2**20
"""The JSON of a larger answer is not compared, which would take half a minute."""


class ConformingClient(FlaskClient):
    """Fails on an answer that the description does not have: its status, its media type, a header, any field."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a request, and check the answer."""
        response = super().open(*args, **kwargs)
        flaws = flaws_of(response)
        assert not flaws, f"{response.request.method} {response.request.path}: {flaws}"
        return response


def flaws_of(response: TestResponse) -> list[str]:
    """What is wrong with an answer; nothing is said of addresses and methods that are not described."""
    described = described_at(response.request.path).get(response.request.method.lower())
    if described is None:
        return []
    expected = described["responses"].get(str(response.status_code))
    if expected is None:
        return [f"{response.status} is not described: {response.get_data()[:200]!r}"]
    expected = resolved(expected)
    headers = expected.get("headers", {}).items()
    flaws = [f"no {name}" for name, header in headers if header.get("required") and name not in response.headers]
    content = expected.get("content", {})
    if not content:
        return flaws + (["a body"] if response.get_data() else [])
    if response.mimetype not in content:
        return [*flaws, f"{response.mimetype} is not described"]
    schema = content[response.mimetype].get("schema")
    compared = schema and len(response.get_data()) < LARGE
    return flaws + (flaws_of_json(schema, response.get_json()) if compared else [])


def described_at(path: str) -> Json:
    """The entry of an address in the description; empty if it has none."""
    paths = document()["paths"]
    fitting = [each for each in paths if re.fullmatch(re.sub(r"\\?{\w+\\?}", r"[^/]+", re.escape(each)), path)]
    return paths[min(fitting, key=lambda each: each.count("{"))] if fitting else {}


def flaws_of_json(schema: Json, value: Any, *, closed: bool = True) -> list[str]:
    """What is wrong with a value; `closed`: also fields that its schema does not name, which clients have to accept."""
    root = schema | {"components": _closed() if closed else document()["components"]}
    return [f"{error.json_path}: {error.message[:200]}" for error in Draft202012Validator(root).iter_errors(value)]


def resolved(entry: Json) -> Json:
    """What a reference refers to; anything else stays as it is."""
    for part in entry["$ref"].split("/")[1:] if "$ref" in entry else ():
        entry = (document() if part == "components" else entry)[part]
    return entry


@cache
def _closed() -> Json:
    return dict(without_more(document()["components"]))


def without_more(schema: Any) -> Any:
    """A schema whose objects have no fields but those that it names."""
    if isinstance(schema, list):
        return [without_more(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: without_more(value) for name, value in schema.items()}
    return {"additionalProperties": False} | changed if isinstance(schema.get("properties"), dict) else changed
