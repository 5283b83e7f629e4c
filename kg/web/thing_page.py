"""The page of a thing: what it is, what is said of it and by whom, what follows, what leads here.

Hides what is shown in which place. Kinds of thing with a page of their own add to it what they have besides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup
from pyoxigraph import Literal, NamedNode
from starlette.requests import Request
from starlette.responses import Response

from kg.canned import Catalogue
from kg.engine import Limits
from kg.engine.formats import FORMATS, Kind
from kg.errors import ParameterError, UsageError
from kg.rows import Node
from kg.rows import language_of as language_of_literal
from kg.terms import BASE, RDF, RDFS, compress, expand, prefixes
from kg.things import FIRST, Description, Listing, Statement, referring_to, values_of
from kg.web import signposts
from kg.web.asked import engine_of, index_of, whole_number
from kg.web.documents import document
from kg.web.language import LANGUAGES, VARY, language_of, text, texts
from kg.web.links import home_of, path_of_reason, path_of_thing
from kg.web.pages import render
from kg.web.pictures import Neighbour, around
from kg.web.svg import Chart

# What a kind of thing adds to its page: its description with more names, a template, and values for that.
Special = tuple[Description, str, dict[str, object]]

GRAPH_FORMATS = tuple(format for format in FORMATS if Kind.GRAPH in format.kinds and format.key != "html")
_SHOWN = 12  # values of one predicate before the rest is folded away
_PAGE = 100  # values on a page of all of one predicate
_EMBEDDED = 400  # statements in the data block of a page; the downloads have all


def _iris(*curies: str) -> dict[str, None]:
    """IRIs in an order, as the keys of a mapping."""
    return dict.fromkeys(expand(curie).value for curie in curies)


# What a page shows in places of their own, so not among the statements.
_NAMES = _iris("rdfs:label", "skos:prefLabel", "skos:altLabel", "skos:hiddenLabel")
_SYNONYMS = _iris(
    "oboInOwl:hasExactSynonym", "oboInOwl:hasNarrowSynonym", "oboInOwl:hasBroadSynonym",
    "oboInOwl:hasRelatedSynonym", "stroma:abbreviation",
)  # fmt: skip
_TEXTS = _iris(
    "dcterms:title", "IAO:0000115", "stroma:briefSummary", "dcterms:description", "stroma:claimText",
    "stroma:explanation",
)  # fmt: skip
_MATCHES = _iris(
    "skos:exactMatch", "skos:closeMatch", "skos:broadMatch", "skos:narrowMatch", "skos:relatedMatch"
)
_NOTES = _iris("IAO:0000112", "IAO:0000116", "rdfs:comment", "stroma:curatorNote")
# How the entry came about, which few readers look for first.
_RECORD = _iris(
    "prov:wasDerivedFrom", "prov:wasGeneratedBy", "prov:generatedAtTime", "prov:wasQuotedFrom",
    "stroma:statementLevel", "stroma:importedFrom", "stroma:observationKey", "stroma:sha256",
    "IAO:0000119", "IAO:0000233", "owl:versionInfo", "rdfs:seeAlso", "stroma:readsAs",
)  # fmt: skip
_APART = _NAMES | _SYNONYMS | _TEXTS | _MATCHES | _NOTES | _iris("rdf:type")


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
    """Values of one predicate, how many there are in all, and where all of them are listed."""

    predicate: str
    label: str
    values: Sequence[Value]
    total: int
    all: str


class Came(NamedTuple):
    """Things that lead here by one predicate: some of them, how many there are, where all are listed."""

    label: str
    things: Sequence[tuple[str, str]]  # label, path
    total: int
    all: str


class Section(NamedTuple):
    """Groups under a heading, which is a key of the texts."""

    heading: str
    groups: Sequence[Group]


async def thing_page(
    request: Request,
    description: Description,
    catalogue: Catalogue,
    *,
    template: str = "thing.html",
    more: Mapping[str, object] | None = None,
) -> Response:
    """The page of a described thing, from a template that may add to `thing.html` with values of its own."""
    language = language_of(request)
    label = description.name(description.iri, language)
    own_names = description.names.get(description.iri, {})
    hit = (await index_of(request)).find([description.iri]).get(description.iri)
    own = f"{path_of_thing(description.iri)}{'' if _elsewhere(description.iri) else '.html'}"
    name = namer(description, language)

    def groups(fits: Callable[[Statement], bool]) -> list[Group]:
        return _grouped(description, filter(fits, description.statements), language, own)

    held = groups(lambda each: each.held and each.predicate not in _APART)
    body = render(
        request,
        template,
        engine_of(request).snapshot.version,
        title=label,
        label=label,
        label_language=language if language in own_names or not own_names else "en",
        iri=description.iri,
        home=home_of(description.iri),
        kind=hit.kind if hit else None,
        others={
            tag: own_names[tag] for tag in LANGUAGES if own_names.get(tag, label) != label and tag != language
        },
        texts=_literals(description, _TEXTS, language),
        notes=groups(lambda each: each.held and each.predicate in _NOTES),
        synonyms=_synonyms(description, label),
        types=groups(lambda each: each.held and each.predicate == RDF.type.value),
        sections=_sections(held),
        pick=lambda curies: _picked(held, curies),
        matches=groups(lambda each: each.held and each.predicate in _MATCHES),
        reserved=groups(lambda each: not each.held),
        incoming=_came(description, language, own),
        cut=len(description.statements) < sum(description.counts.values()),
        first=FIRST,
        around=_around(description, language),
        questions=_questions(description, catalogue, language),
        downloads=[(label, path) for label, path, _ in forms(description.iri)],
        forms=[(type, path) for _, path, type in forms(description.iri)],
        data=_data(description),
        shown=_SHOWN,
        name=name,
        path_of=path_of_thing,
        source_of=lambda graph: _source(graph, name, language),
        language_of=language_of_literal,
        is_iri=lambda node: isinstance(node, NamedNode),
        **(more or {}),
    )
    links = {
        "Link": signposts.thing(description.iri, [(path, type) for _, path, type in forms(description.iri)])
    }
    return document(request, body, "text/html; charset=utf-8", {"Vary": VARY, **links})


async def listing_page(request: Request, iri: str, limits: Limits) -> Response | None:
    """The page of all values of one predicate (`?values=`) or all that lead here by one (`?referring=`).

    None where the request asks for neither. Raises ParameterError for a predicate or a page that cannot be.
    """
    asked = [name for name in ("values", "referring") if request.query_params.get(name)]
    if not asked:
        return None
    if len(asked) > 1:
        raise ParameterError("values and referring are given at once; give one of them")
    curie, given = request.query_params[asked[0]], request.query_params.get("page") or "1"
    try:
        predicate = expand(curie).value
    except (UsageError, ValueError) as problem:
        raise ParameterError(f"{asked[0]}={curie[:80]!r} is refused: {problem}") from problem
    page = whole_number(given, 1, 1_000_000)
    if page is None:
        raise ParameterError(f"page={given[:40]!r} is no page; pages are counted from 1")
    ask = values_of if asked[0] == "values" else referring_to
    offset = (page - 1) * _PAGE
    listing = await ask(engine_of(request), iri, predicate, limits, offset=offset, limit=_PAGE)
    if offset and offset >= listing.total:
        last = max(1, -(-listing.total // _PAGE))
        raise ParameterError(f"page={page} is beyond the last one, {last}")
    return _listed(request, listing, asked[0], page)


def _listed(request: Request, listing: Listing, which: str, page: int) -> Response:
    language = language_of(request)
    own = path_of_thing(listing.iri) + ("" if _elsewhere(listing.iri) else ".html")
    name = namer(listing, language)
    last = -(-listing.total // _PAGE)
    heading = "values-of" if which == "values" else "referring-by"

    def to(number: int) -> str | None:
        return _all(own, which, listing.predicate, number) if 1 <= number <= last else None

    body = render(
        request,
        "listing.html",
        engine_of(request).snapshot.version,
        title=name(listing.iri),
        heading=text(language, heading).replace("{predicate}", name(listing.predicate)),
        back=own,
        back_to=text(language, "back-to").replace("{name}", name(listing.iri)),
        values=[value for each in listing.statements if (value := _value(listing, each, language))],
        things=[(name(each.subject), path_of_thing(each.subject)) for each in listing.incoming],
        counted=text(language, "shown-of")
        .replace("{from}", f"{listing.offset + 1:,}")
        .replace("{to}", f"{min(listing.offset + _PAGE, listing.total):,}")
        .replace("{n}", f"{listing.total:,}"),
        start=listing.offset + 1,
        total=listing.total,
        previous=to(page - 1),
        next=to(page + 1),
        name=name,
        path_of=path_of_thing,
        source_of=lambda graph: _source(graph, name, language),
    )
    return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})


def namer(described: Description | Listing, language: str) -> Callable[[str], str]:
    """How a page calls a thing: as the graph does, or as the texts of the pages do for others' predicates."""
    ours = texts(language, "vocabulary")

    def name(iri: str) -> str:
        curie = compress(iri)
        return ours[curie] if curie in ours and iri not in described.names else described.name(iri, language)

    return name


def forms(iri: str) -> list[tuple[str, str, str]]:
    """The documents about a thing: what each format is called, its path, its media type."""
    path = path_of_thing(iri)
    return [
        (
            format.label,
            f"{path}&format={format.key}" if _elsewhere(iri) else f"{path}.{format.suffix}",
            format.media_type,
        )
        for format in GRAPH_FORMATS
    ]


def _elsewhere(iri: str) -> bool:
    return path_of_thing(iri).startswith("/thing?")


def _all(own: str, which: str, predicate: str, page: int = 1) -> str:
    asked = {which: compress(predicate)} | ({"page": page} if page > 1 else {})
    return f"{own}{'&' if '?' in own else '?'}{urlencode(asked)}"


def _source(graph: str, name: Callable[[str], str], language: str) -> str:
    local = graph.removeprefix(f"{BASE}graph/")
    return texts(language, "sources").get(local) or name(graph)


def _literals(description: Description, predicates: Iterable[str], language: str) -> list[Literal]:
    """Texts of some predicates: in the language asked where they are there in it, else all of them."""
    found = [node for node in description.values(*predicates) if isinstance(node, Literal)]
    return [node for node in found if language_of_literal(node) == language] or found


def _synonyms(description: Description, label: str) -> list[tuple[str, str]]:
    found = dict.fromkeys(
        (node.value, language_of_literal(node))
        for node in description.values(*_SYNONYMS)
        if isinstance(node, Literal) and node.value != label
    )
    return list(found)


def _sections(groups: Sequence[Group]) -> list[Section]:
    """Statements by what they are to a reader: what is said, data, what follows, how the entry came about."""
    by: dict[str, list[Group]] = {
        heading: [] for heading in ("facts-relations", "facts-values", "facts-inferred", "facts-record")
    }
    for group in groups:
        if group.predicate in _RECORD:
            heading = "facts-record"
        elif all(value.statement.inferred for value in group.values):
            heading = "facts-inferred"
        elif all(value.path is None for value in group.values):
            heading = "facts-values"
        else:
            heading = "facts-relations"
        by[heading].append(group)
    return [Section(heading, found) for heading, found in by.items() if found]


def _picked(groups: Sequence[Group], curies: Iterable[str]) -> list[Group]:
    """The groups of some predicates, in their order."""
    by = {compress(group.predicate): group for group in groups}
    return [by[curie] for curie in curies if curie in by]


def _grouped(
    description: Description, statements: Iterable[Statement], language: str, own: str
) -> list[Group]:
    groups: dict[str, list[Value]] = {}
    held = True
    for statement in statements:
        held = statement.held
        value = _value(description, statement, language)
        if value is not None:
            groups.setdefault(statement.predicate, []).append(value)
    name = namer(description, language)
    return [
        Group(
            predicate,
            name(predicate),
            values,
            max(len(values), description.counts.get(predicate, 0)) if held else len(values),
            _all(own, "values", predicate),
        )
        for predicate, found in sorted(
            groups.items(), key=lambda item: description.name(item[0], "en").lower()
        )
        for values in [sorted(found, key=lambda value: value.statement.inferred)]  # what is stated first
    ]


def _value(described: Description | Listing, statement: Statement, language: str) -> Value | None:
    node: Node = statement.object
    if isinstance(node, NamedNode):
        reason = None
        if statement.inferred:
            reason = path_of_reason(described.iri, statement.predicate, node.value)
        ours = node.value.startswith(BASE)
        known = described.names.get(node.value, {})
        return Value(
            namer(described, language)(node.value),
            language if language in known or not known else "en",
            path_of_thing(node.value),
            None if ours else home_of(node.value),
            statement,
            reason,
        )
    if isinstance(node, Literal):
        return Value(node.value, language_of_literal(node), None, None, statement, None)
    return None  # a restriction of the ontology, which the ontology's pages write out


def _came(description: Description, language: str, own: str) -> list[Came]:
    name = namer(description, language)
    by: dict[str, list[tuple[str, str]]] = {}
    for edge in description.incoming:
        by.setdefault(edge.predicate, []).append((name(edge.subject), path_of_thing(edge.subject)))
    return [
        Came(name(predicate), by.get(predicate, []), total, _all(own, "referring", predicate))
        for predicate, total in description.incoming_counts.items()
    ]


# ------------------------------------------------------------------------------ around, questions, data


def _around(description: Description, language: str) -> Chart | None:
    """The picture of a thing's neighbours: relations before bookkeeping, stated ones before inferred ones."""
    name = namer(description, language)
    going = [
        (each.predicate, each.object.value, each.inferred)
        for each in description.statements
        if isinstance(each.object, NamedNode)
        and each.held
        and each.predicate not in _APART | _RECORD
        and each.object.value != description.iri
    ]
    coming = [
        (each.predicate, each.subject, all("/inferred/" in graph for graph in each.graphs))
        for each in description.incoming
        if each.predicate not in _APART | _RECORD and each.subject != description.iri
    ]

    def neighbours(edges: list[tuple[str, str, bool]]) -> list[Neighbour]:
        return [
            Neighbour(name(predicate), name(other), path_of_thing(other), inferred)
            for predicate, other, inferred in _mixed(edges)
        ]

    return around(description.name(description.iri, language), neighbours(coming), neighbours(going))


def _mixed(edges: Iterable[tuple[str, str, bool]]) -> list[tuple[str, str, bool]]:
    """Edges in turns of their predicates, so that none takes all the room; inferred ones come last."""
    turn: dict[tuple[str, bool], int] = {}
    placed = []
    for number, edge in enumerate(edges):
        key = (edge[0], edge[2])
        turn[key] = turn.get(key, 0) + 1
        placed.append((edge[2], turn[key], number, edge))
    return [edge for *_, edge in sorted(placed)]


def _questions(description: Description, catalogue: Catalogue, language: str) -> list[tuple[str, str]]:
    """The questions that take this thing: its text, and the path of its answer."""
    curie = compress(description.iri)
    above = {
        compress(node.value)
        for node in description.values(RDF.type.value, RDFS.subClassOf.value)
        if isinstance(node, NamedNode)
    } | {curie}
    found = []
    for question in catalogue.values():
        for parameter in question.parameters.values():
            if parameter.type != "iri":
                continue
            prefix = (parameter.default or "").partition(":")[0]
            # Without a class to be of, a thing of the example's vocabulary is taken; ours holds everything.
            alike = prefix not in ("", "stroma") and prefix == curie.partition(":")[0]
            if parameter.of in above if parameter.of else alike:
                summary = question.summaries.get(language, question.summary)
                found.append((summary, f"/queries/{question.id}?{urlencode({parameter.name: curie})}"))
                break
    return found


def _data(description: Description) -> Markup | None:
    """The thing in JSON-LD, for the page's data block; no browser runs it, and a "<" could only end it."""
    context: dict[str, object] = {}

    def short(iri: str) -> str:
        curie = compress(iri)
        prefix = curie.partition(":")[0]
        if curie == iri or prefix not in prefixes():
            return iri
        # A namespace that ends in a letter or "_" is a prefix only where it says so (JSON-LD 1.1, 4.1.5).
        context[prefix] = {"@id": prefixes()[prefix], "@prefix": True}
        return curie

    told: dict[str, Any] = {}
    for statement in description.statements[:_EMBEDDED]:
        node = statement.object
        if not statement.held:
            continue
        if statement.predicate == RDF.type.value and isinstance(node, NamedNode):
            told.setdefault("@type", []).append(short(node.value))
        elif isinstance(node, NamedNode):
            told.setdefault(short(statement.predicate), []).append({"@id": short(node.value)})
        elif isinstance(node, Literal):
            value = {"@value": node.value}
            if node.language:
                value["@language"] = language_of_literal(node)
            elif not node.datatype.value.endswith("#string"):
                value["@type"] = short(node.datatype.value)
            told.setdefault(short(statement.predicate), []).append(value)
    if not told:
        return None
    whole = {"@context": dict(sorted(context.items())), "@id": description.iri, **told}
    return Markup(json.dumps(whole, ensure_ascii=False).replace("<", "\\u003c"))
