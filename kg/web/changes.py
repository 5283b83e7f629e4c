"""`/changes`: what the served snapshot says and the one published before it did not, and the other way round.

Hides nothing but the page: the build compared the two and left its result beside the snapshot.
"""

from __future__ import annotations

import json
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kg.changes import heading, noted_changes
from kg.web.asked import engine_of
from kg.web.documents import document
from kg.web.formats import choose, joined
from kg.web.language import VARY, kind_name, language_of, text
from kg.web.links import path_of_thing
from kg.web.openapi import HTML, JSON, described
from kg.web.pages import render

_OFFERED = (("text/html", "application/xhtml+xml"), ("application/json",))
_KINDS = {"ontology": "class"}  # the first segment of an IRI -> the kind that search knows
_FATES = ("gained", "lost", "changed")


def router() -> APIRouter:
    """`/changes`, as a page or as JSON; `?version=` for those of an older snapshot."""
    routes = APIRouter(tags=["about"])

    @routes.get("/changes", summary="What changed since the snapshot before", **described(HTML, JSON))
    async def changed(request: Request) -> Response:
        snapshot = engine_of(request).snapshot
        noted = noted_changes(snapshot)
        found = choose(joined(request, "accept"), _OFFERED)
        if found is not None and found[0]:
            body = json.dumps(noted or {"before": None, "after": snapshot.name}, ensure_ascii=False).encode()
            return document(request, body, "application/json")
        page = render(
            request, "changes.html", snapshot.version, title=text(language_of(request), "changes"),
            noted=noted, fates=_FATES, heading=partial(_heading, language_of(request)), path_of=path_of_thing,
        )  # fmt: skip
        return document(request, page, "text/html; charset=utf-8", {"Vary": VARY})

    return routes


def _heading(language: str, kind: str) -> str:
    try:
        return kind_name(language, _KINDS.get(kind, kind))
    except KeyError:
        return heading(kind)
