"""Pages of things: `/trial/NCT01547091` and `/thing?iri=CL:0000134`, for people and for programs.

Hides the way from an IRI to its documents: 303 to the form that the client asks for (an IRI of ours names the
thing, not a page), 404 with what may have been meant, 410 with what replaces an obsolete term.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from fastapi import APIRouter
from pyoxigraph import Literal, NamedNode
from starlette.requests import Request
from starlette.responses import Response

from kg.canned import Catalogue
from kg.engine import Limits
from kg.engine.formats import FORMATS, Kind
from kg.errors import ParameterError, StromaError, UsageError
from kg.search import Hit
from kg.settings import Settings
from kg.terms import BASE, OBO, OWL, RDF, compress, expand
from kg.things import Description, Node, Statement, describe
from kg.things import language_of as language_of_literal
from kg.web.asked import engine_of, index_of
from kg.web.documents import document
from kg.web.formats import negotiate
from kg.web.language import LANGUAGES, VARY, language_of
from kg.web.links import PAGES, home_of, path_of_reason, path_of_thing
from kg.web.openapi import IRI, described, format_parameter, media_types, parameter
from kg.web.pages import render
from kg.web.problems import NotFound
from kg.web.responder import Responder

_GRAPH_FORMATS = tuple(format for format in FORMATS if Kind.GRAPH in format.kinds and format.key != "html")
_SUFFIXES = {format.suffix: format.key for format in _GRAPH_FORMATS} | {"html": "html"}
_QUERY = "CONSTRUCT {{ {thing} ?p ?o }} WHERE {{ {thing} ?p ?o }}"
_SHOWN = 12  # values of one predicate before the rest is folded away


# What a page shows in places of their own, so not among the statements.
def _iris(*curies: str) -> frozenset[str]:
    return frozenset(expand(curie).value for curie in curies)


_NAMES = _iris("rdfs:label", "skos:prefLabel", "skos:altLabel", "skos:hiddenLabel", "dcterms:title")
_SYNONYMS = _iris(
    "oboInOwl:hasExactSynonym", "oboInOwl:hasNarrowSynonym", "oboInOwl:hasBroadSynonym",
    "oboInOwl:hasRelatedSynonym", "stroma:abbreviation",
)  # fmt: skip
_TEXTS = _iris(
    "IAO:0000115", "stroma:briefSummary", "dcterms:description", "stroma:claimText", "stroma:explanation"
)
_MATCHES = _iris(
    "skos:exactMatch", "skos:closeMatch", "skos:broadMatch", "skos:narrowMatch", "skos:relatedMatch"
)
_REPLACED_BY = OBO("IAO_0100001")
_APART = _NAMES | _SYNONYMS | _TEXTS | _MATCHES | {RDF.type.value}


class Obsolete(StromaError):
    """The term is obsolete; the message names what replaces it."""

    exit_code = 2
    status = 410
    slug = "obsolete"


class Unknown(UsageError):
    """The graph says nothing of this IRI; the message names what may have been meant."""

    slug = "unknown-thing"


@dataclass(frozen=True)
class Value:
    """One value as a page shows it: its text, where it leads, who says it, why it holds."""

    text: str
    language: str
    path: str | None
    home: str | None  # the same thing at its own ontology
    statement: Statement
    reason: str | None  # path of the page that says why, for what is inferred


class Group(NamedTuple):
    """The values of one predicate."""

    predicate: str
    label: str
    values: Sequence[Value]


class Came(NamedTuple):
    """Things that lead here by one predicate: some of them, and how many there are."""

    label: str
    things: Sequence[tuple[str, str]]  # label, path
    total: int


def router(catalogue: Catalogue, settings: Settings) -> APIRouter:
    """A page for each IRI of ours at its own path, and `/thing?iri=…` for every other."""
    routes = APIRouter(tags=["things"])
    responder = Responder(settings)
    limits = Limits.of(settings)

    async def answer(request: Request, iri: str, form: str) -> Response:
        description = await describe(engine_of(request), iri, limits)
        if not description.known:
            raise await _unknown(request, iri)
        if OWL.deprecated.value in {each.predicate for each in description.statements}:
            raise _obsolete(description)
        if form != "html":
            thing = str(NamedNode(iri))
            return await responder.respond(request, _QUERY.format(thing=thing), format=form)
        return await _page(request, description, catalogue)

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
                return Response(None, 308, {"Location": f"/{path.rstrip('/')}"})
            raise NotFound(f"There is nothing at {request.url.path[:200]}; / says what there is")
        stem, _, suffix = path.rpartition(".")
        if suffix in _SUFFIXES and stem:
            return await answer(request, _iri(stem), _SUFFIXES[suffix])
        iri = _iri(path)
        known = await describe(engine_of(request), iri, limits)
        if not known.known:
            raise await _unknown(request, iri)
        if OWL.deprecated.value in {each.predicate for each in known.statements}:
            raise _obsolete(known)
        form = _wanted(request)
        ending = next(suffix for suffix, key in _SUFFIXES.items() if key == form)
        return Response(
            None, 303, {"Location": f"/{path}.{ending}", "Vary": VARY, "Cache-Control": "no-cache"}
        )

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
    index = await index_of(request)
    local = compress(iri).partition(":")[2] or iri
    words = "".join(f" {c}" if c.isupper() else c for c in local.replace("/", " ").replace("_", " "))
    near: list[Hit] = []
    for text in (local, words):
        near += (await asyncio.to_thread(index.search, text, limit=5)).hits
    curies = list(dict.fromkeys(hit.curie for hit in near))
    best = get_close_matches(compress(iri), curies, n=3, cutoff=0.3) or curies[:3]
    hint = f". Did you mean {' or '.join(best)}?" if best else ""
    return Unknown(f"The graph says nothing of <{iri}>{hint} /search finds things by name")


def _obsolete(description: Description) -> Obsolete:
    others = [node.value for node in description.values(_REPLACED_BY.value)]
    said = f"; it is replaced by {', '.join(map(compress, others))}" if others else "; nothing replaces it"
    return Obsolete(f"{compress(description.iri)} ({description.name(description.iri)}) is obsolete{said}")


# ------------------------------------------------------------------------------------------ the page


async def _page(request: Request, description: Description, catalogue: Catalogue) -> Response:
    language = language_of(request)
    label = description.name(description.iri, language)
    own_names = description.names.get(description.iri, {})
    hit = (await index_of(request)).find([description.iri]).get(description.iri)

    def groups(fits: Callable[[Statement], bool]) -> list[Group]:
        return _grouped(description, filter(fits, description.statements), language)

    body = render(
        request,
        "thing.html",
        engine_of(request).snapshot.version,
        title=label,
        label=label,
        iri=description.iri,
        home=home_of(description.iri),
        kind=hit.kind if hit else None,
        others={
            tag: own_names[tag] for tag in LANGUAGES if own_names.get(tag, label) != label and tag != language
        },
        texts=[node for node in description.values(*sorted(_TEXTS)) if isinstance(node, Literal)],
        synonyms=_synonyms(description, label),
        types=groups(lambda each: each.held and each.predicate == RDF.type.value),
        groups=groups(lambda each: each.held and each.predicate not in _APART),
        matches=groups(lambda each: each.held and each.predicate in _MATCHES),
        reserved=groups(lambda each: not each.held),
        incoming=_came(description, language),
        downloads=_downloads(path_of_thing(description.iri)),
        shown=_SHOWN,
        name=lambda iri: description.name(iri, language),
        path_of=path_of_thing,
        language_of=language_of_literal,
    )
    return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})


def _downloads(path: str) -> list[tuple[str, str]]:
    elsewhere = path.startswith("/thing?")
    return [
        (format.label, f"{path}&format={format.key}" if elsewhere else f"{path}.{format.suffix}")
        for format in _GRAPH_FORMATS
    ]


def _synonyms(description: Description, label: str) -> list[tuple[str, str]]:
    found = dict.fromkeys(
        (node.value, language_of_literal(node))
        for node in description.values(*sorted(_SYNONYMS))
        if isinstance(node, Literal) and node.value != label
    )
    return list(found)


def _grouped(description: Description, statements: Iterable[Statement], language: str) -> list[Group]:
    groups: dict[str, list[Value]] = {}
    for statement in statements:
        value = _value(description, statement, language)
        if value is not None:
            groups.setdefault(statement.predicate, []).append(value)
    return [
        Group(predicate, description.name(predicate, language), values)
        for predicate, values in sorted(
            groups.items(), key=lambda item: (_all_inferred(item[1]), description.name(item[0], "en").lower())
        )
    ]


def _all_inferred(values: Sequence[Value]) -> bool:
    return all(value.statement.inferred for value in values)


def _value(description: Description, statement: Statement, language: str) -> Value | None:
    node: Node = statement.object
    if isinstance(node, NamedNode):
        reason = None
        if statement.inferred:
            reason = path_of_reason(description.iri, statement.predicate, node.value)
        ours = node.value.startswith(BASE)
        return Value(
            description.name(node.value, language),
            language if language in description.names.get(node.value, {}) else "en",
            path_of_thing(node.value),
            None if ours else home_of(node.value),
            statement,
            reason,
        )
    if isinstance(node, Literal):
        return Value(node.value, language_of_literal(node), None, None, statement, None)
    return None  # a restriction of the ontology: its page in the reference writes it out


def _came(description: Description, language: str) -> list[Came]:
    by: dict[str, list[tuple[str, str]]] = {}
    for edge in description.incoming:
        by.setdefault(edge.predicate, []).append(
            (description.name(edge.subject, language), path_of_thing(edge.subject))
        )
    return [
        Came(description.name(predicate, language), by.get(predicate, []), total)
        for predicate, total in description.incoming_counts.items()
    ]
