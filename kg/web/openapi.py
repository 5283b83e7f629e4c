"""The OpenAPI description of all resources: `/openapi.json`.

Hides what FastAPI cannot see. A resource here reads its request itself, because the protocols want it so;
what it takes and gives stands beside it in the words of this module, and `/sparql`, which needs no route, is
added. Every operation also takes a `version` and may give a problem (RFC 9457).
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from kg.engine.formats import Kind, formats_for
from kg.settings import Settings
from kg.snapshot import published
from kg.terms import prefixes
from kg.web.asked import engine_of
from kg.web.documents import document

JSON = "application/json"
HTML = "text/html"
TEXT = "text/plain"
PROBLEMS = ("application/problem+json", JSON, HTML, TEXT)

Operation = dict[str, Any]

# An empty value counts as absent everywhere: it is what a form sends for an empty field.
# An IRI as it is, or a CURIE of a prefix of ours. Not all that is taken, but all of it is taken.
_PREFIXES = "|".join(sorted(map(re.escape, prefixes())))
_PATH = r"[A-Za-z0-9._~@!$&()*+,;=/-]*"
IRI: Mapping[str, Any] = {
    "type": "string",
    "pattern": rf"^(({_PREFIXES}):[A-Za-z0-9_.-]+|https?://[A-Za-z0-9.-]+(/{_PATH})?(#{_PATH})?)?$",
}


RESULTS: Mapping[str, Any] = {
    "type": "object",
    "required": ["head"],
    "properties": {
        "head": {
            "type": "object",
            "properties": {"vars": {"type": "array", "items": {"type": "string"}}},
        },
        "boolean": {"type": "boolean"},
        "results": {
            "type": "object",
            "required": ["bindings"],
            "properties": {"bindings": {"type": "array", "items": {"type": "object"}}},
        },
    },
}


def parameter(
    name: str,
    description: str,
    schema: Mapping[str, Any] | None = None,
    *,
    required: bool = False,
    where: str = "query",
    **more: Any,
) -> Operation:
    """A parameter; `schema` says its values (any text without NUL by default)."""
    return {
        "name": name,
        "in": where,
        "required": required or where == "path",
        "description": description,
        "schema": dict(schema or {"type": "string"}),
        **more,
    }


def format_parameter(*kinds: Kind, also: Iterable[str] = ()) -> Operation:
    """`?format=`, with the names of the formats for these kinds of result."""
    names = [format.key for kind in kinds for format in formats_for(kind)]
    enum = list(dict.fromkeys([*names, *also]))
    return parameter("format", "Wins over the Accept header.", {"type": "string", "enum": ["", *enum]})


def media_types(*kinds: Kind) -> tuple[str, ...]:
    """What an answer may come as: each format by its own name and by those that clients use for it."""
    formats = [format for kind in kinds for format in formats_for(kind)]
    return tuple(dict.fromkeys(name for each in formats for name in (each.media_type, *each.aliases)))


def described(
    *media_types: str,
    parameters: Iterable[Operation] = (),
    description: str = "The answer",
    schemas: Mapping[str, Mapping[str, Any]] | None = None,
    statuses: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """What a route's decorator takes to be described: `@routes.get("/x", summary="…", **described(JSON))`.

    `media_types` are those of the answer, `schemas` what is known of some, `statuses` further statuses that
    are no problems.
    """
    content = {name: {"schema": dict((schemas or {}).get(name, {}))} for name in media_types}
    return {
        "response_class": Response,
        "responses": {
            200: {"description": description, "content": content},
            304: {"description": "The client has it: its If-None-Match names the ETag"},
            **{status: {"description": said} for status, said in (statuses or {}).items()},
        },
        "openapi_extra": {"parameters": list(parameters)},
    }


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Stable: tell errors apart by it"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, where, and what to do"},
        "line": {"type": "integer"},
        "column": {"type": "integer"},
        "source": {"type": "string", "description": "The line of the query"},
        "pointer": {"type": "string", "description": "A caret under the column"},
        "parameter": {"type": "string", "description": "The parameter that does not fit"},
        "takes": {"type": "string", "description": "What that parameter takes"},
        "near": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What may have been meant",
        },
        "kept": {"type": "array", "items": {"type": "string"}, "description": "The versions there are"},
    },
}


class KnowingRouter(APIRouter):
    """A router that knows more of its operations when the snapshot is known: values, examples."""

    async def complete(self, request: Request, whole: dict[str, Any]) -> None:
        """Write into the description what the snapshot that a request asks has to say."""


def install(
    app: FastAPI, settings: Settings, paths: Mapping[str, Any], knowing: Sequence[KnowingRouter]
) -> None:
    """Have `app` describe itself, with the operations of `paths` beside those of its routes.

    `knowing` are the routers whose operations a snapshot completes.
    """

    @app.get("/openapi.json", include_in_schema=False)
    async def described(request: Request) -> Response:
        snapshot = engine_of(request).snapshot
        kept = await asyncio.to_thread(published, settings.var) if settings.old_versions else []
        versions = dict.fromkeys([snapshot.version, snapshot.name, *(each.name for each in kept)])
        whole = copy.deepcopy(_document(app, paths))
        whole["components"]["parameters"] = {"version": _version(list(versions))}
        for router in knowing:
            await router.complete(request, whole)
        return document(request, json.dumps(whole, ensure_ascii=False).encode(), JSON)


def _document(app: FastAPI, paths: Mapping[str, Any]) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schema["paths"] = {**paths, **schema["paths"]}
        for operations in schema["paths"].values():
            for operation in operations.values():
                _complete(operation)
        components = schema.setdefault("components", {})
        components["schemas"] = {"Problem": _PROBLEM}
        components["responses"] = {"Problem": _problem_response()}
        app.openapi_schema = schema
    return app.openapi_schema


def _complete(operation: Operation) -> None:
    operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/version"})
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own kind of error, which we do not send
    responses["default"] = {"$ref": "#/components/responses/Problem"}


def _version(names: list[str]) -> Operation:
    return parameter(
        "version",
        "Answer from this snapshot while it is kept; X-Stroma-Snapshot tells an answer's. Gone, it is 410.",
        {"type": "string", "enum": names},
    )


def _problem_response() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "What is wrong, where, and what to do next",
        "content": {name: {"schema": schema if "json" in name else {"type": "string"}} for name in PROBLEMS},
    }
