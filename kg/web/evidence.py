"""`/evidence?about=…`: what speaks for and against a proposition, as a page, as JSON or as Turtle.

Hides nothing but the page; `kg.bearing` says what counts.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kg import bearing
from kg.engine import Limits
from kg.errors import ParameterError, UsageError
from kg.names import named
from kg.rows import language_of as literal_language
from kg.settings import Settings
from kg.terms import compress, expand
from kg.web.asked import engine_of
from kg.web.charts import draw
from kg.web.documents import document
from kg.web.formats import NotAcceptable, choose, joined
from kg.web.language import VARY, language_of, text
from kg.web.links import path_of_thing
from kg.web.openapi import HTML, IRI, JSON, described, parameter
from kg.web.pages import render
from kg.web.svg import Chart

_TURTLE = "text/turtle"
_OFFERED = ((JSON,), ("text/html", "application/xhtml+xml"), (_TURTLE,))
_FORMS = ("json", "html", "turtle")


def router(settings: Settings) -> APIRouter:
    """`/evidence?about=…`, with `format=json`, `html` or `turtle`."""
    routes = APIRouter(tags=["about"])
    limits = Limits.of(settings)

    @routes.get(
        "/evidence",
        summary="What speaks for and against a proposition, by source, strength and level",
        **described(
            JSON,
            HTML,
            _TURTLE,
            parameters=[
                parameter(
                    "about",
                    "A proposition, a claim, or a thing that claims relate to another.",
                    {"type": "string", "pattern": IRI["pattern"].replace(")?$", ")$")},
                    required=True,
                    example="claim:A255",
                ),
                parameter("format", "Wins over the Accept header.", {"enum": ["", *_FORMS]}),
            ],
        ),
    )
    async def evidence(request: Request) -> Response:
        about = request.query_params.get("about", "").strip()
        if not about:
            raise ParameterError("give about=, a proposition, a claim or a thing, such as about=claim:A255")
        try:
            iri = expand(about).value
        except (UsageError, ValueError) as problem:
            raise ParameterError(f"about={about[:80]!r} is refused: {problem}") from problem
        form = _form(request)
        engine = engine_of(request)
        found, known = await bearing.bearings(engine, iri, limits)
        if form == "json":
            return document(request, bearing.as_json(found, known).encode(), JSON, {"Vary": VARY})
        if form == "turtle":
            return document(request, bearing.as_turtle(found), f"{_TURTLE}; charset=utf-8", {"Vary": VARY})
        language = language_of(request)

        def chart(each: bearing.Bearing) -> Chart | None:
            rows = [
                {
                    "stance": text(language, f"stance-{stance}"),
                    "voices": str(number),
                    "level": named(known, level, language) if level else "",
                }
                for stance, counts in each.counted().items()
                for (level, _), number in sorted(counts.items())
            ]
            title = bearing.sentence(each.proposition, known, language)
            roles = {"kind": "bars", "label": "stance", "value": "voices", "series": "level"}
            return draw(roles, rows, title, {})

        body = render(
            request,
            "evidence.html",
            engine.snapshot.version,
            title=named(known, iri, language) if iri in known else compress(iri),
            about=iri,
            found=found,
            stances=bearing.STANCES,
            chart=chart,
            name=lambda iri: named(known, iri, language),
            path_of=path_of_thing,
            is_iri=lambda node: hasattr(node, "value") and not hasattr(node, "language"),
            language_of=literal_language,
        )
        return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})

    return routes


def _form(request: Request) -> str:
    wanted = request.query_params.get("format", "")
    if wanted in _FORMS:
        return wanted
    if wanted:
        raise ParameterError(f"format={wanted[:20]!r} is not offered here; there are: {', '.join(_FORMS)}")
    found = choose(joined(request, "accept"), _OFFERED)
    if found is None:
        raise NotAcceptable("Evidence is given as application/json, text/html or text/turtle")
    return _FORMS[found[0]]
