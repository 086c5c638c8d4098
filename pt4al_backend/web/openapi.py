"""The OpenAPI 3.1 description of `operations`: served at `/api/openapi.json`, and kept as `docs/openapi.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from pt4al_backend import __version__
from pt4al_backend.web.operations import OPERATIONS, PATH_PARAMETERS, REFUSALS, TAGS, Answer, Operation
from pt4al_backend.web.responses import Refusal

Json = dict[str, Any]

_DESCRIPTION = (
    "The web process of pt4al-backend. A refusal is a sentence that says what is wrong and what to do. Fields may be "
    "added to answers within a minor version, and none is removed."
)
_BASIC = "Where `BASIC_AUTH_USER` and `BASIC_AUTH_PASS` are set, everything but `/health` needs them."
_HEADERS = {
    "Location": {"required": True, "schema": {"type": "string"}},
    "WWW-Authenticate": {"required": True, "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds, if other large requests are being read.",
        "schema": {"type": "integer", "minimum": 1},
    },
}
_HEADERS_OF_REFUSALS = {401: ("WWW-Authenticate",), 503: ("Retry-After",)}


@cache
def document() -> Json:
    """The description, ready for JSON. Nobody may change it."""
    schemas = _Schemas(OPERATIONS)
    refusals: dict[str, Json] = {}
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(operation.path, {"parameters": _path_parameters(operation.path)})
        path[operation.method] = _operation(operation, schemas, refusals)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pt4al-backend",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "security": [{"basic": []}, {}],
        "paths": {path: {name: value for name, value in entry.items() if value} for path, entry in paths.items()},
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic", "description": _BASIC}},
            "responses": dict(sorted(refusals.items())),
            "schemas": schemas.all,
        },
    }


def _operation(operation: Operation, schemas: _Schemas, refusals: dict[str, Json]) -> Json:
    """A method of a path; the refusals that it refers to are added to `refusals`."""
    responses = {str(status): _answer(answer, schemas) for status, answer in operation.answers.items()}
    for status, media in sorted(operation.refusals.items()):
        name = "-".join([str(status), *(each.partition("/")[2] for each in media)])
        refusals.setdefault(name, _refusal(status, media, schemas))
        responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
    written: Json = {
        "operationId": "_".join([operation.method, *re.findall(r"\w+", operation.path)]),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "security": [] if operation.open else None,
        "parameters": [{"in": "query", "name": name, "schema": schema} for name, schema in operation.query.items()],
        "requestBody": _body(operation, schemas),
        "responses": responses,
    }
    return {name: value for name, value in written.items() if value or (name == "security" and value is not None)}


def _path_parameters(path: str) -> list[Json]:
    return [
        {"in": "path", "name": name, "required": True, "schema": PATH_PARAMETERS[name]}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _body(operation: Operation, schemas: _Schemas) -> Json | None:
    if operation.body is None:
        return None
    media, kinds = operation.body
    each = [schemas.of(kind) for kind in kinds]
    schema = each[0] if len(each) == 1 else {"oneOf": each}
    return {"required": operation.body_required, "content": {media: {"schema": schema}}}


def _answer(answer: Answer, schemas: _Schemas) -> Json:
    content = {media: {} if kind is None else {"schema": schemas.of(kind)} for media, kind in answer.content.items()}
    return _response(answer.description, content, answer.headers)


def _refusal(status: int, media: Iterable[str], schemas: _Schemas) -> Json:
    content = {each: {"schema": schemas.of(Refusal)} if each == "application/json" else {} for each in media}
    return _response(REFUSALS[status], content, _HEADERS_OF_REFUSALS.get(status, ()))


def _response(description: str, content: Mapping[str, Any], headers: Iterable[str]) -> Json:
    written = {"description": description, "content": content, "headers": {name: _HEADERS[name] for name in headers}}
    return {name: value for name, value in written.items() if value}


class _Terse(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of names, and its defaults, which stand for fields that are absent."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: Any) -> Json:
        return self.generate_inner(schema["schema"])


class _Schemas:
    """The schemas of all types that operations name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        taken = [kind for each in operations if each.body for kind in each.body[1] if not isinstance(kind, dict)]
        given = [kind for each in operations for answer in each.answers.values() for kind in answer.content.values()]
        modes: dict[Any, JsonSchemaMode] = dict.fromkeys(taken, "validation")
        modes |= dict.fromkeys([kind for kind in (*given, Refusal) if kind is not None], "serialization")
        made, named = TypeAdapter.json_schemas(
            [(kind, mode, TypeAdapter(kind)) for kind, mode in modes.items()],
            ref_template="#/components/schemas/{model}",
            schema_generator=_Terse,
        )
        self._made = {kind: schema for (kind, _), schema in made.items()}
        used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps([named, list(made.values())])))
        self.all: Json = {name: schema for name, schema in sorted(named["$defs"].items()) if name in used}
        for kind in modes:
            self._describe_inherited(kind)

    def of(self, kind: Any) -> Json:
        """The schema of a type, mostly a reference; a schema itself stays as it is."""
        return kind if isinstance(kind, dict) else self._made[kind]

    def _describe_inherited(self, kind: Any) -> None:
        """Fill in the descriptions of fields that a TypedDict has from another: pydantic reads only its own source."""
        for base in getattr(kind, "__orig_bases__", ()):
            inherited = self.all.get(getattr(base, "__name__", ""), {}).get("properties", {})
            self.all[kind.__name__]["properties"] |= inherited
