"""Pages of claims and of findings, and `/findings`: who says what, and where that disagrees.

Hides what a reader of each needs to see at once, and how findings are filtered. The wording of a document is
not in the graph: a page points at its characters.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kg import claims
from kg.claims import Found
from kg.engine import Engine, Limits
from kg.errors import ParameterError, UsageError
from kg.names import Names, named, names
from kg.settings import Settings
from kg.terms import PROV, STROMA, compress, expand
from kg.things import Description
from kg.web.asked import engine_of, whole_number
from kg.web.documents import document
from kg.web.formats import NotAcceptable, choose, joined
from kg.web.language import VARY, language_of
from kg.web.links import path_of_thing
from kg.web.openapi import HTML, IRI, JSON, described, parameter
from kg.web.pages import render
from kg.web.thing_page import Special

_OFFERED = (("application/json",), ("text/html", "application/xhtml+xml"))
_PAGE = 50
_FACETS = ("kind", "severity", "status")
_SIMILAR = 8

# What tells how a claim was read, in the order of a page.
_READING = tuple(
    STROMA(name).value
    for name in (
        "statementLevel", "modality", "evidenceType", "evidenceStudyType", "confidence", "confidenceBasis",
        "hasTopic", "claimPopulation", "claimTimepoint", "sourceSpecies", "hasEvidence", "supportedByStudy",
        "curatorNote", "unverifiedField",
    )
)  # fmt: skip


async def claim_page(request: Request, description: Description, limits: Limits) -> Special:
    """What the page of a claim shows besides its description."""
    engine = engine_of(request)
    iri = description.iri
    said, against, found = await asyncio.gather(
        claims.said_by(engine, iri, limits),
        claims.said_against(engine, iri, limits),
        claims.findings(engine, limits, about=iri),
    )
    own = next((each for one in said for each in one.sayings if each.claim == iri), None)
    reading = [(predicate, description.values(predicate)) for predicate in _READING]
    values: dict[str, object] = {
        "said": said,
        "against": against,
        "also": [(each, [other for other in each.sayings if other.claim != iri]) for each in said],
        "found": found,
        "place": own.place if own else await claims.place(engine, iri, limits),
        "reading": [(predicate, nodes) for predicate, nodes in reading if nodes],
        "unformalised": description.values(STROMA.notFormalisedBecause.value),
        "basis": description.values(STROMA.basis.value),
        "drawn_from": description.values(PROV.wasDerivedFrom.value),
    }
    mentioned = claims.mentioned([*said, *against], found)
    return await _with_names(engine, description, mentioned, limits), "claim.html", values


async def finding_page(request: Request, description: Description, limits: Limits) -> Special:
    """What the page of a finding shows besides its description."""
    engine = engine_of(request)
    said, every = await asyncio.gather(
        claims.involved_in(engine, description.iri, limits), claims.findings(engine, limits)
    )
    own = next((each for each in every if each.iri == description.iri), None)
    similar = [each for each in every if own and each.iri != own.iri and set(each.about) & set(own.about)]
    shown = [own, *similar[:_SIMILAR]] if own else []
    values: dict[str, object] = {
        "own": own,
        "sides": claims.sides(said),
        "computation": description.values(STROMA.computation.value),
        "note": description.values(STROMA.explanation.value),
        "role": description.values(STROMA.decidedBy.value),
        "day": description.values(STROMA.decidedDate.value),
        "rule": await claims.rule(engine, own.rule, limits) if own and own.rule else None,
        "similar": similar[:_SIMILAR],
        "as_table": f"/queries/statements-of-a-finding?{urlencode({'finding': compress(description.iri)})}",
    }
    mentioned = claims.mentioned(said, shown)
    return await _with_names(engine, description, mentioned, limits), "finding.html", values


async def _with_names(
    engine: Engine, description: Description, mentioned: set[str], limits: Limits
) -> Description:
    more = await names(engine, mentioned - set(description.names), limits)
    return replace(description, names={**description.names, **more})


# ---------------------------------------------------------------------------------------- /findings


def router(settings: Settings) -> APIRouter:
    """`/findings?kind=…&severity=…&status=…&about=…&page=…`."""
    routes = APIRouter(tags=["findings"])
    limits = Limits.of(settings)

    @routes.get(
        "/findings",
        summary="Where statements disagree: all findings, or those of a kind, severity, status or thing",
        **described(
            JSON,
            HTML,
            parameters=[
                *(parameter(name, f"Only findings of this {name}, by its CURIE.", IRI) for name in _FACETS),
                parameter("about", "Only findings about this trial, group or measure.", IRI),
                parameter("page", f"Of {_PAGE} findings, from 1.", {"type": "integer", "minimum": 1}),
                parameter("format", "Wins over the Accept header.", {"enum": ["", "json", "html"]}),
            ],
        ),
    )
    async def listed(request: Request) -> Response:
        asked = _asked(request)
        form, page = _form(request, asked.get("format", "")), _page(asked.get("page", ""))
        engine, about = engine_of(request), asked.get("about", "")
        every = await claims.findings(engine, limits, about=_iri("about", about) if about else None)
        chosen = {name: _iri(name, asked[name]) for name in _FACETS if asked.get(name)}
        known = await names(engine, claims.mentioned([], every), limits)
        for name, iri in chosen.items():
            await _check(engine, name, iri, limits)
        kept = [each for each in every if _fits(each, chosen)]
        if page > 1 and (page - 1) * _PAGE >= len(kept):
            raise UsageError(f"page={page} is beyond the last one, {max(1, -(-len(kept) // _PAGE))}")
        shown = kept[(page - 1) * _PAGE : page * _PAGE]
        if form == "json":
            body = _as_json(kept, shown, known, {**asked, "page": str(page)})
            return document(request, body, JSON, {"Vary": VARY})
        body = _as_page(request, every, kept, shown, chosen, about, page, known)
        return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})

    return routes


def _asked(request: Request) -> dict[str, str]:
    allowed = (*_FACETS, "about", "page", "format", "version")
    asked: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed:
            raise ParameterError(f"there is no parameter {name[:40]!r}; there are: {', '.join(allowed)}")
        if name in asked:
            raise ParameterError(f"{name} is given twice; give it once")
        asked[name] = value.strip()
    return {name: value for name, value in asked.items() if value}


def _form(request: Request, format: str) -> str:
    if format in ("json", "html"):
        return format
    if format:
        raise ParameterError(f"format={format[:20]!r} is not offered here; there are: json, html")
    found = choose(joined(request, "accept"), _OFFERED)
    if found is None:
        raise NotAcceptable("Findings are listed as application/json or text/html")
    return ("json", "html")[found[0]]


def _page(text: str) -> int:
    if not text:
        return 1
    page = whole_number(text, 1, 1_000_000)
    if page is None:
        raise ParameterError(f"page={text[:40]!r} is no page; pages are counted from 1")
    return page


def _iri(name: str, curie: str) -> str:
    try:
        return expand(curie).value
    except (UsageError, ValueError) as problem:
        raise ParameterError(f"{name}={curie[:80]!r} is refused: {problem}") from problem


async def _check(engine: Engine, name: str, iri: str, limits: Limits) -> None:
    """Raise UsageError for what no finding can have, with what findings have."""
    there = await claims.choices(engine, limits)
    if iri not in there[name]:
        curies = ", ".join(sorted(map(compress, there[name]))) or "none"
        raise UsageError(f"{name}={compress(iri)!r} is no {name} of a finding; there are: {curies}")


def _of(each: Found, name: str) -> str:
    value: str = getattr(each, name)
    return value


def _fits(each: Found, chosen: Mapping[str, str], but: str = "") -> bool:
    return all(_of(each, name) == iri for name, iri in chosen.items() if name != but)


def _as_json(kept: Sequence[Found], shown: Sequence[Found], known: Names, asked: dict[str, str]) -> bytes:
    def short(iri: str) -> dict[str, str]:
        return {"curie": compress(iri), "label": named(known, iri)}

    page = int(asked.pop("page"))
    rest = {name: value for name, value in asked.items() if name not in ("format", "version")}
    more = page * _PAGE < len(kept)
    told = {
        "total": len(kept),
        "page": page,
        "next": f"/findings?{urlencode({**rest, 'page': page + 1})}" if more else None,
        "findings": [
            {
                "iri": each.iri,
                "curie": compress(each.iri),
                "summary": each.summary,
                **{name: short(_of(each, name)) for name in _FACETS},
                "about": [short(iri) for iri in each.about],
                "page": path_of_thing(each.iri),
            }
            for each in shown
        ],
    }
    return json.dumps(told, ensure_ascii=False).encode()


def _as_page(
    request: Request, every: Sequence[Found], kept: Sequence[Found], shown: Sequence[Found],
    chosen: Mapping[str, str], about: str, page: int, known: Names,
) -> bytes:  # fmt: skip
    language = language_of(request)

    def link(**change: str) -> str:
        asked = {name: compress(iri) for name, iri in chosen.items()} | {"about": about} | change
        kept = {name: value for name, value in asked.items() if value}
        return "/findings" + (f"?{urlencode(kept)}" if kept else "")

    facets = []
    for name in _FACETS:
        others = [each for each in every if _fits(each, chosen, but=name)]
        counts = Counter(_of(each, name) for each in others)
        values = [
            (named(known, iri, language), number, link(**{name: compress(iri)}), chosen.get(name) == iri)
            for iri, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ]
        facets.append((name, len(others), link(**{name: ""}), name not in chosen, values))
    return render(
        request,
        "findings.html",
        engine_of(request).snapshot.version,
        title=kept[0].summary if len(kept) == 1 else None,
        facets=facets,
        total=len(kept),
        shown=shown,
        about=(about, named(known, _iri("about", about), language)) if about else None,
        without=link(about=""),
        previous=link(page=str(page - 1)) if page > 1 else None,
        next=link(page=str(page + 1)) if page * _PAGE < len(kept) else None,
        name=lambda iri: named(known, iri, language),
        path_of=path_of_thing,
    )
