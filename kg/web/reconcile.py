"""`/reconcile`: the Reconciliation Service API 0.2, by which OpenRefine and others match names to this graph.

Hides the protocol: manifest, batches of queries, suggestions with flyouts, previews, data extension, JSONP.
An entity is a thing by its CURIE, a type a kind of thing (`kg.search`), a property a predicate by its CURIE.
Source: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/
"""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter
from pyoxigraph import Literal, NamedNode
from starlette.requests import Request
from starlette.responses import Response

from kg import describe
from kg.engine import Engine, Limits
from kg.errors import ParameterError, QueryTimeout, QueryTooLarge, UsageError
from kg.names import named
from kg.reconciling import DEFAULT_KINDS, folded, matching, properties_of, values_of
from kg.rows import Node
from kg.search import KIND_NAMES, Hit, Index
from kg.settings import Settings
from kg.terms import BASE, XSD, compress, expand
from kg.web.asked import engine_of, index_of, whole_number
from kg.web.documents import address, document
from kg.web.formats import choose, joined
from kg.web.language import LANGUAGES, VARY, kind_name, language_of, text
from kg.web.links import path_of_thing
from kg.web.openapi import HTML, JSON, Operation, described, parameter
from kg.web.pages import render

_BATCH = 100  # queries in one request
_ENTITIES = 500  # of one data extension
_PROPERTIES = 100  # of one data extension
_WANTED = 20  # properties of one query
_BODY = 2**20  # bytes
_CANDIDATES = 10  # of one query that does not say how many
_MOST = 50
_SUGGESTED = 10
_CALLBACK = re.compile(r"[A-Za-z_$][\w$.]{0,99}", re.ASCII)
_SERVICES = ("entity", "type", "property")
_FORMATS = ("json", "html")
_OFFERED = (("application/json", "application/javascript"), ("text/html", "application/xhtml+xml"))
# A preview is made to stand in other sites' frames.
_FRAMED = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *"
_WHOLE = XSD.integer.value
_BROKEN = frozenset({XSD.decimal.value, XSD.double.value, XSD.float.value})
_DAYS = frozenset({XSD.date.value, XSD.dateTime.value})

_TYPE: Mapping[str, Any] = {"type": "string", "enum": list(KIND_NAMES)}
_QUERY: Mapping[str, Any] = {
    "type": "object",
    "required": ["query"],
    "additionalProperties": False,
    "properties": {
        "query": {"type": "string", "minLength": 1, "maxLength": 300},
        "type": {"oneOf": [_TYPE, {"type": "array", "items": _TYPE}]},
        "limit": {"type": "integer", "minimum": 1, "maximum": _MOST},
    },
}
_EXTEND: Mapping[str, Any] = {
    "type": "object",
    "required": ["ids", "properties"],
    "properties": {
        "ids": {"type": "array", "items": {"const": "trial:NCT01547091"}},
        "properties": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"const": "stroma:hasPhase"}},
            },
        },
    },
}
_COMMON = (
    parameter("lang", "Language of the names.", {"type": "string", "enum": ["", *LANGUAGES]}),
    parameter(
        "callback",
        "JSONP: the client's function.",
        {"type": "string", "pattern": r"^([A-Za-z_$][A-Za-z0-9_$.]{0,99})?$"},
    ),
)


def router(settings: Settings) -> APIRouter:
    """`/reconcile` and what its manifest leads to."""
    routes = APIRouter(tags=["reconciliation"])
    limits = Limits.of(settings)

    @routes.get(
        "/reconcile",
        summary="Match names to things, by the Reconciliation Service API 0.2; its manifest without a query",
        **described(
            JSON,
            HTML,
            "application/javascript",
            parameters=[
                _in_json(
                    "queries", "A batch of queries.", {"type": "object", "additionalProperties": _QUERY}
                ),
                _in_json("extend", "Entities and properties whose values are wanted.", _EXTEND),
                parameter(
                    "format",
                    "Of the answer to no query: the manifest, or a page that says how to use it.",
                    {"type": "string", "enum": ["", *_FORMATS]},
                ),
                *_COMMON,
            ],
        ),
    )
    async def asked(request: Request) -> Response:
        given = dict(request.query_params)
        if _for_reading(request, given):
            return _page(request)
        return await answered(request, given)

    @routes.post("/reconcile", summary="The same, for long batches", **_posted())
    async def posted(request: Request) -> Response:
        return await answered(request, {**dict(request.query_params), **await _form(request)})

    async def answered(request: Request, given: Mapping[str, str]) -> Response:
        language, engine = _language(request, given), engine_of(request)
        if given.get("queries"):
            batch = _batch(_parsed("queries", given["queries"]))
            index = await index_of(request)
            try:
                async with asyncio.timeout(limits.seconds):
                    found = {
                        name: {"result": await _candidates(index, engine, limits, query, language)}
                        for name, query in batch.items()
                    }
            except TimeoutError:
                raise QueryTimeout(
                    f"The batch took longer than {limits.seconds:g} seconds, which is the limit; send fewer "
                    "queries at once"
                ) from None
            return _answer(request, found, given)
        if given.get("extend"):
            wanted = _parsed("extend", given["extend"])
            return _answer(request, await _extended(engine, limits, wanted, language), given)
        return _answer(request, _manifest(address(request, ""), language), given)

    for service in _SERVICES:
        _add_suggest(routes, service)
        _add_flyout(routes, service)

    @routes.get(
        "/reconcile/preview",
        summary="A small page about an entity, for a frame",
        **described(
            HTML,
            parameters=[
                parameter("id", "An entity.", {"const": "CL:0000134"}, required=True, example="CL:0000134")
            ],
        ),
    )
    async def preview(request: Request) -> Response:
        hit = await _known(request, request.query_params.get("id", ""))
        language = language_of(request)
        path = path_of_thing(hit.iri)
        body = render(
            request, "preview.html", engine_of(request).snapshot.version, title=hit.label(language), hit=hit,
            home=address(request, "") + path,
        )  # fmt: skip
        headers = {"Vary": VARY, "Content-Security-Policy": _FRAMED}
        return document(request, body, "text/html; charset=utf-8", headers)

    @routes.get(
        "/reconcile/properties",
        summary="Properties that things of a type have, those most used first",
        **_described(
            parameter("type", "A type of entity.", {"type": "string", "enum": ["", *KIND_NAMES]}),
            parameter("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 500}),
        ),
    )
    async def properties(request: Request) -> Response:
        given = dict(request.query_params)
        kind, limit = given.get("type", ""), _whole("limit", given.get("limit", ""), 1, 500, 100)
        _check_kinds([kind] if kind else [])
        found, known = await properties_of(engine_of(request), kind, limits, limit=limit)
        language = _language(request, given)
        told = [{"id": compress(each), "name": named(known, each, language)} for each in found]
        return _answer(request, {"properties": told, "type": kind, "limit": limit}, given)

    return routes


# ------------------------------------------------------------------------------------- what is asked


def _described(*parameters: Operation) -> dict[str, Any]:
    return described(JSON, "application/javascript", parameters=[*parameters, *_COMMON])


def _in_json(name: str, description: str, schema: Mapping[str, Any]) -> Operation:
    """A parameter whose value is JSON."""
    told = parameter(name, description)
    del told["schema"]
    return {**told, "content": {JSON: {"schema": schema}}}


def _posted() -> dict[str, Any]:
    told = described(JSON, "application/javascript", parameters=_COMMON)
    fields = {name: {"type": "string", "contentMediaType": JSON} for name in ("queries", "extend")}
    form = {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": fields}}}
    told["openapi_extra"]["requestBody"] = {"content": form}
    return told


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY:
            raise QueryTooLarge(f"The request body has more than {_BODY:,} bytes; send smaller batches")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=100))
    except ValueError as problem:  # UnicodeDecodeError is one
        raise ParameterError(f"The form cannot be read: {problem}") from None


def _parsed(name: str, text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ParameterError(f"{name} is no JSON: {problem}") from None
    if not isinstance(value, dict):
        raise ParameterError(f"{name} is no JSON object: it takes what the Reconciliation API 0.2 says")
    return value


def _batch(value: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    if len(value) > _BATCH:
        raise QueryTooLarge(f"queries has {len(value):,} queries; send at most {_BATCH} at once")
    for name, query in value.items():
        if not isinstance(query, dict):
            raise ParameterError(f"queries: {name[:40]!r} is no object with a query")
        text, wanted = query.get("query", ""), query.get("properties", [])
        if not isinstance(text, str) or not isinstance(wanted, list) or not (text or wanted):
            raise ParameterError(
                f"queries: {name[:40]!r} takes a query, which is text, or properties, a list"
            )
    return dict(value)


def _kinds(query: Mapping[str, Any]) -> list[str]:
    given = query.get("type") or []
    kinds = [given] if isinstance(given, str) else given
    if not isinstance(kinds, list):
        raise ParameterError("type takes a type or a list of types")
    # OpenRefine sends a type it was given as an object too.
    names = [each.get("id", "") if isinstance(each, dict) else each for each in kinds]
    _check_kinds(names)
    return names


def _check_kinds(kinds: Sequence[object]) -> None:
    if unknown := [each for each in kinds if each not in KIND_NAMES]:
        raise ParameterError(f"type={str(unknown[0])[:40]!r} is no type; there are: {', '.join(KIND_NAMES)}")


def _whole(name: str, text: object, least: int, most: int, usual: int) -> int:
    if text in ("", None):
        return usual
    if isinstance(text, float) and text.is_integer():
        text = int(text)
    digits = str(text)
    number = whole_number(digits, least, most)
    if number is None:
        raise ParameterError(f"{name}={digits[:40]!r} is no whole number from {least} to {most}")
    return number


def _language(request: Request, given: Mapping[str, str]) -> str:
    asked = given.get("lang", "")
    if asked and asked not in LANGUAGES:
        raise ParameterError(f"lang={asked[:20]!r} is no language of ours; there are: {', '.join(LANGUAGES)}")
    return asked or language_of(request)


def _iri(name: str, curie: object) -> str:
    try:
        return expand(str(curie)).value
    except (UsageError, ValueError) as problem:
        raise ParameterError(f"{name}={str(curie)[:80]!r} is refused: {problem}") from problem


async def _known(request: Request, id: str) -> Hit:
    iri = _iri("id", id)
    hit = (await index_of(request)).find([iri]).get(iri)
    if hit is None:
        raise UsageError(f"there is no entity {id[:80]!r}; /reconcile/suggest/entity?prefix= finds some")
    return hit


def _answer(request: Request, value: Mapping[str, Any], given: Mapping[str, str]) -> Response:
    body, type = json.dumps(value, ensure_ascii=False), "application/json"
    callback, vary = given.get("callback", ""), VARY
    if callback:
        vary += ", Sec-Fetch-Site"
        if request.headers.get("sec-fetch-site") == "same-origin":
            # No page of ours asks so: it would be a way round the policy that lets only our own scripts run.
            raise ParameterError("callback is for pages of other sites; a page of this one asks for JSON")
        if not _CALLBACK.fullmatch(callback):
            raise ParameterError(f"callback={callback[:40]!r} is no name of a function")
        # The comment keeps the answer from being read as something else than a script.
        body, type = f"/**/{callback}({body});", "application/javascript; charset=utf-8"
    # JSON may hold half a character (\ud800), which comes back in an id that a client made up.
    return document(request, body.encode("utf-8", "replace"), type, {"Vary": vary})


# ----------------------------------------------------------------------------- manifest and page


def _for_reading(request: Request, given: Mapping[str, str]) -> bool:
    """Whether a person asks, and nothing else: whoever accepts anything, or no form we have, is a program."""
    form = given.get("format", "")
    if form and form not in _FORMATS:
        raise ParameterError(f"format={form[:20]!r} is not offered here; there are: {', '.join(_FORMATS)}")
    if form == "json" or any(given.get(name) for name in ("queries", "extend", "callback")):
        return False
    if form == "html":
        return True
    best = choose(joined(request, "accept"), _OFFERED)
    return best is not None and best[0] == 1


def _page(request: Request) -> Response:
    language = language_of(request)
    body = render(
        request, "reconcile.html", engine_of(request).snapshot.version, title=text(language, "reconcile"),
        address=address(request), kinds=_types(language), batch=_BATCH, entities=_ENTITIES,
    )  # fmt: skip
    return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})


def _types(language: str, kinds: Sequence[str] = KIND_NAMES) -> list[dict[str, str]]:
    return [{"id": kind, "name": kind_name(language, kind)} for kind in kinds]


def _manifest(base: str, language: str) -> dict[str, Any]:
    return {
        "versions": ["0.2"],
        "name": f"Stroma: {describe.TITLE[language]}",
        # An id is a CURIE; below this it is an address that leads to the thing.
        "identifierSpace": f"{BASE}thing?iri=",
        "schemaSpace": f"{BASE}ontology/",
        "documentation": f"{base}/about",
        "serviceVersion": metadata.version("stroma-kg"),
        "defaultTypes": _types(language, DEFAULT_KINDS),
        "view": {"url": f"{base}/thing?iri={{{{id}}}}"},
        "preview": {"url": f"{base}/reconcile/preview?id={{{{id}}}}", "width": 430, "height": 170},
        "batchSize": _BATCH,
        "suggest": {
            service: {
                "service_url": base,
                "service_path": f"/reconcile/suggest/{service}",
                "flyout_service_path": f"/reconcile/flyout/{service}?id=${{id}}",
            }
            for service in _SERVICES
        },
        "extend": {
            "propose_properties": {"service_url": base, "service_path": "/reconcile/properties"},
            "property_settings": [
                {
                    "name": "limit",
                    "label": "Limit",
                    "type": "number",
                    "default": 0,
                    "help_text": "Values of one entity at most; 0 for all",
                }
            ],
        },
    }


# --------------------------------------------------------------------------------------- candidates


async def _candidates(
    index: Index, engine: Engine, limits: Limits, query: Mapping[str, Any], language: str
) -> list[dict[str, Any]]:
    """The candidates for a query, best first, in the words of the protocol."""
    found = await matching(
        index,
        engine,
        query.get("query", ""),
        _wanted(query),
        limits,
        kinds=_kinds(query),
        limit=_whole("limit", query.get("limit"), 1, _MOST, _CANDIDATES),
    )
    return [
        {
            "id": each.hit.curie,
            "name": each.hit.label(language),
            "description": each.hit.description[:300],
            "type": _types(language, [each.hit.kind]),
            "score": each.score,
            "match": each.match,
            "features": [
                {"id": "name", "value": each.hit.score},
                *({"id": compress(predicate), "value": fits} for predicate, fits in each.fits.items()),
            ],
        }
        for each in found
    ]


def _wanted(query: Mapping[str, Any]) -> dict[str, set[str]]:
    """The values that a query names, by predicate."""
    wanted: dict[str, set[str]] = {}
    named = query.get("properties") or []
    if len(named) > _WANTED:
        raise QueryTooLarge(f"a query has {len(named):,} properties; send at most {_WANTED}")
    for each in named:
        if not isinstance(each, dict) or "pid" not in each or "v" not in each:
            raise ParameterError("a property of a query takes a pid and a v")
        for value in each["v"] if isinstance(each["v"], list) else [each["v"]]:
            fits = _iri("v", value.get("id", "")) if isinstance(value, dict) else folded(value)
            wanted.setdefault(_iri("pid", each["pid"]), set()).add(fits)
    return wanted


# ------------------------------------------------------------------------------- suggest and flyout


def _add_suggest(routes: APIRouter, service: str) -> None:
    @routes.get(
        f"/reconcile/suggest/{service}",
        name=f"suggest_{service}",
        summary=f"What a word that is being written may become: suggestions of one {service} or another",
        **_described(
            parameter("prefix", "What was written so far."),
            parameter("cursor", "Suggestions to skip.", {"type": "integer", "minimum": 0, "maximum": 300}),
        ),
    )
    async def suggest(request: Request) -> Response:
        given = dict(request.query_params)
        prefix, skip = given.get("prefix", ""), _whole("cursor", given.get("cursor", ""), 0, 300, 0)
        language = _language(request, given)
        if service == "type":
            wanted = folded(prefix)
            found: list[dict[str, Any]] = [
                each
                for each in _types(language)
                if any(wanted in folded(kind_name(tag, each["id"])) for tag in LANGUAGES)
                or wanted in each["id"]
            ]
            return _answer(request, {"result": found[skip:]}, given)
        kinds = ("property",) if service == "property" else DEFAULT_KINDS
        index = await index_of(request)
        results = await asyncio.to_thread(
            index.search, prefix, kinds=kinds, limit=_SUGGESTED, offset=skip, typing=True
        )
        found = [
            {
                "id": hit.curie,
                "name": hit.label(language),
                "description": hit.description[:200],
                **({"notable": _types(language, [hit.kind])} if service == "entity" else {}),
            }
            for hit in results.hits
        ]
        return _answer(request, {"result": found}, given)


def _add_flyout(routes: APIRouter, service: str) -> None:
    example = {"entity": "CL:0000134", "type": "trial", "property": "stroma:hasPhase"}[service]

    @routes.get(
        f"/reconcile/flyout/{service}",
        name=f"flyout_{service}",
        summary=f"A few words about a suggested {service}, as HTML in JSON",
        **_described(parameter("id", "Its id.", {"const": example}, required=True, example=example)),
    )
    async def flyout(request: Request) -> Response:
        given = dict(request.query_params)
        id, language = given.get("id", ""), _language(request, given)
        if service == "type":
            _check_kinds([id])
            said = html.escape(kind_name(language, id))
        else:
            hit = await _known(request, id)
            said = f"<b>{html.escape(hit.label(language))}</b> ({html.escape(hit.curie)})"
            if hit.description:
                said += f"<br>{html.escape(hit.description[:300])}"
        return _answer(request, {"id": id, "html": f"<p>{said}</p>"}, given)


# ----------------------------------------------------------------------------------- data extension


async def _extended(
    engine: Engine, limits: Limits, wanted: Mapping[str, Any], language: str
) -> dict[str, Any]:
    """The values of some properties of some entities; ids that are not ours have none."""
    ids, properties = wanted.get("ids"), wanted.get("properties")
    if not isinstance(ids, list) or not isinstance(properties, list):
        raise ParameterError("extend takes ids, a list, and properties, a list of objects with an id")
    if len(ids) > _ENTITIES:
        raise QueryTooLarge(f"extend has {len(ids):,} ids; send at most {_ENTITIES} at once")
    if len(properties) > _PROPERTIES:
        raise QueryTooLarge(f"extend has {len(properties):,} properties; send at most {_PROPERTIES} at once")
    most: dict[str, int] = {}
    of: dict[str, str] = {}  # id as the client wrote it -> IRI
    for each in properties:
        if not isinstance(each, dict) or "id" not in each:
            raise ParameterError("a property of extend takes an id")
        settings = each.get("settings")
        given = settings.get("limit") if isinstance(settings, dict) else None
        of[str(each["id"])] = _iri("property", each["id"])
        most[str(each["id"])] = _whole("limit", given, 0, 10_000, 0)
    things = {str(id): _iri("id", id) for id in ids}
    told, known = await values_of(engine, list(things.values()), list(of.values()), limits)
    return {
        "meta": [{"id": id, "name": named(known, iri, language)} for id, iri in of.items()],
        "rows": {
            id: {
                property: [
                    _cell(node, named(known, node.value, language))
                    for node in told.get(iri, {}).get(predicate, [])[: most[property] or None]
                ]
                for property, predicate in of.items()
            }
            for id, iri in things.items()
        },
    }


def _cell(node: Node, name: str) -> dict[str, Any]:
    if isinstance(node, NamedNode):
        return {"id": compress(node.value), "name": name}
    if not isinstance(node, Literal):
        return {}
    type = node.datatype.value
    if type == _WHOLE:
        return {"int": int(node.value)}
    if type in _BROKEN:
        return {"float": float(node.value)}
    if type in _DAYS and re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ?)?", node.value):
        return {"date": node.value if "T" in node.value else f"{node.value}T00:00:00"}
    return {"str": node.value}
