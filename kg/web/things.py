"""Pages of things: `/trial/NCT01547091` and `/thing?iri=CL:0000134`, for people and for programs.

Hides the way from an IRI to its documents: 303 to the form that the client asks for (an IRI of ours names the
thing, not a page), 404 with what may have been meant, 410 with what replaces an obsolete term.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from pyoxigraph import NamedNode
from starlette.requests import Request
from starlette.responses import Response

from kg.canned import Catalogue
from kg.engine import Limits
from kg.engine.formats import Kind
from kg.errors import ParameterError, UsageError
from kg.settings import Settings
from kg.terms import BASE, OBO, OWL, RDF, STROMA, compress, expand
from kg.things import Description, describe, standing
from kg.web.asked import engine_of
from kg.web.claims import claim_page, finding_page
from kg.web.formats import negotiate
from kg.web.language import VARY
from kg.web.links import PAGES, location, path_of_thing
from kg.web.ontology import PROPERTIES, term_page
from kg.web.openapi import IRI, described, format_parameter, media_types, parameter
from kg.web.problems import NotFound, Obsolete, Unknown
from kg.web.responder import Responder
from kg.web.search import near
from kg.web.thing_page import GRAPH_FORMATS, Special, listing_page, thing_page
from kg.web.trial_page import trial_page

_SUFFIXES = {format.suffix: format.key for format in GRAPH_FORMATS} | {"html": "html"}
_QUERY = "CONSTRUCT {{ {thing} ?p ?o }} WHERE {{ {thing} ?p ?o }}"
_REPLACED_BY = OBO("IAO_0100001")
# Kinds of thing whose pages show more than their description.
_SPECIAL: Mapping[str, Callable[[Request, Description, Limits], Awaitable[Special]]] = {
    STROMA.Claim.value: claim_page,
    STROMA.Discrepancy.value: finding_page,
    STROMA.ClinicalStudy.value: trial_page,
    **dict.fromkeys(PROPERTIES, term_page),
    OWL.Class.value: term_page,
}


def router(catalogue: Catalogue, settings: Settings) -> APIRouter:
    """A page for each IRI of ours at its own path, and `/thing?iri=…` for every other."""
    routes = APIRouter(tags=["things"])
    responder = Responder(settings)
    limits = Limits.of(settings)

    async def answer(request: Request, iri: str, form: str) -> Response:
        await check(request, iri)
        if form != "html":
            thing = str(NamedNode(iri))
            return await responder.respond(request, _QUERY.format(thing=thing), format=form)
        listing = await listing_page(request, iri, limits)
        if listing is not None:
            return listing
        description = await describe(engine_of(request), iri, limits)
        kinds = {node.value for node in description.values(RDF.type.value)}
        for kind, page in _SPECIAL.items():
            if kind in kinds:
                description, template, more = await page(request, description, limits)
                return await thing_page(request, description, catalogue, template=template, more=more)
        return await thing_page(request, description, catalogue)

    async def check(request: Request, iri: str) -> None:
        stands = await standing(engine_of(request), iri, limits)
        if not stands.known:
            raise await _unknown(request, iri)
        if stands.obsolete:
            raise _obsolete(await describe(engine_of(request), iri, limits))

    @routes.get(
        "/thing",
        summary="All that the graph says of a thing, by its IRI or CURIE",
        **described(
            *media_types(Kind.GRAPH),
            parameters=[
                parameter(
                    "iri", "The thing.", {**IRI, "minLength": 1}, required=True, example="CL:0000134",
                ),
                format_parameter(Kind.GRAPH),
            ],
        ),
    )  # fmt: skip
    async def thing(request: Request) -> Response:
        iri, format = request.query_params.get("iri", ""), request.query_params.get("format", "")
        if not iri:
            raise ParameterError("iri is missing; ask for a thing: /thing?iri=CL:0000134")
        try:
            node = expand(iri)
        except (UsageError, ValueError) as problem:
            raise ParameterError(f"iri={iri[:80]!r} is refused: {problem}") from problem
        return await answer(request, node.value, format or _wanted(request))

    @routes.get(
        "/{kind}/{id:path}",
        summary="A thing of ours, by the path of its IRI: 303 to a document about it",
        **described(
            *media_types(Kind.GRAPH),
            parameters=[
                parameter(
                    "kind", "What sort of thing.", {"type": "string", "enum": list(PAGES)}, where="path"
                ),
                parameter("id", "Its identifier; with the end of a format, the document.", where="path"),
            ],
            description="The document, where the path ends in a format: NCT01547091.ttl",
            statuses={303: "The document about the thing", 308: "The same without a slash at its end"},
        ),
    )
    async def own(request: Request) -> Response:
        kind, id = request.path_params["kind"], request.path_params["id"]
        # The raw path: an identifier may hold an encoded slash or per cent sign.
        path = request.scope["raw_path"].decode("ascii", "replace").lstrip("/").split("?")[0]
        if kind not in PAGES or not id:
            if not id and "//" not in request.url.path:
                return Response(None, 308, {"Location": location(path.rstrip("/"))})
            missing = NotFound(f"There is nothing at {request.url.path[:200]}; / says what there is")
            missing.others = await near(request, request.url.path)
            raise missing
        stem, _, suffix = path.rpartition(".")
        if suffix in _SUFFIXES and stem:
            return await answer(request, _iri(stem), _SUFFIXES[suffix])
        iri = _iri(path)
        await check(request, iri)
        form = _wanted(request)
        ending = next(suffix for suffix, key in _SUFFIXES.items() if key == form)
        asked = f"?{request.url.query}" if request.url.query else ""
        where = location(f"{path}.{ending}{asked}")
        return Response(None, 303, {"Location": where, "Vary": VARY, "Cache-Control": "no-cache"})

    return routes


def _iri(path: str) -> str:
    try:
        return NamedNode(BASE + path).value
    except ValueError as problem:
        raise ParameterError(f"/{path[:80]} is no IRI: {problem}") from problem


def _wanted(request: Request) -> str:
    accept = request.headers.get("accept")
    # `*/*` is a person's curl as often as a program's: RDF is what the IRI of a thing is for.
    return negotiate(accept, None, Kind.GRAPH)[0].key


async def _unknown(request: Request, iri: str) -> Unknown:
    others = await near(request, iri)
    hint = f". Did you mean {' or '.join(label for label, _ in others[:3])}?" if others else ""
    problem = Unknown(f"The graph says nothing of <{iri[:300]}>{hint} /search finds things by name")
    problem.others = others
    return problem


def _obsolete(description: Description) -> Obsolete:
    others = [node.value for node in description.values(_REPLACED_BY.value)]
    said = f"; it is replaced by {', '.join(map(compress, others))}" if others else "; nothing replaces it"
    problem = Obsolete(f"{compress(description.iri)} ({description.name(description.iri)}) is obsolete{said}")
    problem.others = [(f"{description.name(iri)} ({compress(iri)})", path_of_thing(iri)) for iri in others]
    return problem
