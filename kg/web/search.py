"""`/search` and `/suggest`: things by name, as a page or as JSON.

Hides how the index of the snapshot that a request asks is found and kept open.
"""

from __future__ import annotations

import asyncio
import json
import re
from difflib import get_close_matches
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from kg.errors import ParameterError, StromaError
from kg.search import KIND_NAMES, REACH, Hit, Results, as_words
from kg.terms import compress
from kg.web.asked import engine_of, index_of
from kg.web.documents import document
from kg.web.formats import NotAcceptable, choose
from kg.web.language import LANGUAGES, VARY, kind_name, language_of
from kg.web.links import path_of_thing
from kg.web.openapi import HTML, JSON, described
from kg.web.pages import render

_OFFERED = (("application/json",), ("text/html", "application/xhtml+xml"))
_PAGE = 20
_SUGGESTED = 10
_NEAR = 5
_ASKED = 200  # characters of an address that are looked at

Text = Annotated[
    str, Query(description="A name, a synonym, an identifier, or words of a definition", max_length=300)
]
Kinds = Annotated[
    list[str],
    Query(description="Only these kinds", json_schema_extra={"items": {"enum": list(KIND_NAMES)}}),
]
Language = Annotated[
    str, Query(description="Language of the labels", json_schema_extra={"enum": ["", *LANGUAGES]})
]


def router() -> APIRouter:
    """`/search?q=…&kind=…&limit=…&offset=…` and `/suggest?q=…`."""
    routes = APIRouter(tags=["search"])

    @routes.get(
        "/search",
        summary="Find things by what they are called, in three languages",
        **described(JSON, HTML),
    )
    async def search(
        request: Request,
        q: Text = "",
        kind: Kinds = [],  # noqa: B006 - FastAPI copies it
        limit: Annotated[int, Query(ge=1, le=100)] = _PAGE,
        offset: Annotated[int, Query(ge=0, lt=REACH)] = 0,
        lang: Language = "",
        format: Annotated[str, Query(json_schema_extra={"enum": ["", "json", "html"]})] = "",
    ) -> Response:
        form = _form(request, format)
        language = _language(request, lang)
        results = await _found(request, q, kind, limit, offset)
        if form == "json":
            return _json(request, _described(results, language, q, limit, offset))
        version = engine_of(request).snapshot.version
        values = {"q": q, "kind": kind, "limit": limit, "offset": offset}
        body = render(
            request, "search.html", version, title=q, q=q, results=results, kinds=kind, offset=offset,
            path_of=path_of_thing, limit=limit, link=lambda **change: _link(values, change), reach=REACH,
        )  # fmt: skip
        return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})

    @routes.get(
        "/suggest",
        summary="What a word that is being written may become",
        **described(JSON, "application/x-suggestions+json"),
    )
    async def suggest(
        request: Request,
        q: Text = "",
        kind: Kinds = [],  # noqa: B006
        limit: Annotated[int, Query(ge=1, le=50)] = _SUGGESTED,
        lang: Language = "",
        format: Annotated[str, Query(json_schema_extra={"enum": ["", "json", "opensearch"]})] = "",
    ) -> Response:
        language = _language(request, lang)
        results = await _found(request, q, kind, limit, 0, typing=True)
        if format not in ("", "json", "opensearch"):
            raise ParameterError(f"format={format[:20]!r} is not offered here; there are: json, opensearch")
        if format == "opensearch":
            hits = [hit.label(language) for hit in results.hits]
            return document(
                request,
                json.dumps([q, hits], ensure_ascii=False).encode(),
                "application/x-suggestions+json",
                {"Vary": VARY},
            )
        return _json(request, _described(results, language, q, limit, 0))

    return routes


async def near(request: Request, asked: str) -> list[tuple[str, str]]:
    """What may have been meant by an IRI or path that is not there: labels and paths, most alike first."""
    local = compress(asked).partition(":")[2] or asked.strip("/")
    last = re.split(r"[/#]", local)[-1]
    try:
        index = await index_of(request)
        hits = [
            hit
            for text in dict.fromkeys((local, as_words(last), as_words(local)))
            for hit in (await asyncio.to_thread(index.search, text[:_ASKED], limit=_NEAR)).hits
        ]
    except StromaError:  # an index that is gone, or too slow, is no second problem
        return []
    alike = {hit.curie: hit for hit in hits}
    # An identifier with a wrong letter is like another identifier; anything else is like a name.
    best = get_close_matches(compress(asked), alike, n=_NEAR, cutoff=0.6)
    order = list(dict.fromkeys([*best, *alike]))[:_NEAR]
    language = language_of(request)
    return [(f"{alike[curie].label(language)} ({curie})", path_of_thing(alike[curie].iri)) for curie in order]


async def _found(
    request: Request, q: str, kinds: list[str], limit: int, offset: int, *, typing: bool = False
) -> Results:
    index = await index_of(request)
    limit = min(limit, REACH - offset)
    return await asyncio.to_thread(index.search, q, kinds=kinds, limit=limit, offset=offset, typing=typing)


def _form(request: Request, format: str) -> str:
    if format in ("json", "html"):
        return format
    if format:
        raise ParameterError(f"format={format[:20]!r} is not offered here; there are: json, html")
    found = choose(request.headers.get("accept"), _OFFERED)
    if found is None:
        raise NotAcceptable("A search is answered as application/json or text/html")
    return ("json", "html")[found[0]]


def _language(request: Request, asked: str) -> str:
    if asked and asked not in LANGUAGES:
        raise ParameterError(f"lang={asked[:20]!r} is no language of ours; there are: {', '.join(LANGUAGES)}")
    return asked or language_of(request)


def _described(results: Results, language: str, q: str, limit: int, offset: int) -> dict[str, Any]:
    return {
        "query": q,
        "total": results.total,
        "offset": offset,
        "limit": limit,
        "kinds": results.kinds,
        "corrected": results.corrected,
        "hits": [hit_as_json(hit, language) for hit in results.hits],
    }


def hit_as_json(hit: Hit, language: str) -> dict[str, Any]:
    """A hit as JSON: identifiers, its label in the language and in all, what it is, and how well it fits."""
    return {
        "iri": hit.iri,
        "curie": hit.curie,
        "kind": hit.kind,
        "kind_label": kind_name(language, hit.kind),
        "label": hit.label(language),
        "labels": hit.labels,
        "description": hit.description,
        "matched": hit.matched,
        "score": hit.score,
        "page": path_of_thing(hit.iri),
    }


def _json(request: Request, value: dict[str, Any]) -> Response:
    body = json.dumps(value, ensure_ascii=False).encode()
    return document(request, body, "application/json", {"Vary": VARY})


def _link(values: dict[str, Any], change: dict[str, Any]) -> str:
    usual = {"offset": 0, "limit": _PAGE, "kind": []}
    wanted = {**values, **change}
    kept = {name: value for name, value in wanted.items() if value != usual.get(name, "")}
    return "/search?" + urlencode(kept, doseq=True)
