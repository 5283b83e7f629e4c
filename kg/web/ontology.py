"""`/ontology`: the terms as trees to open and close, and what the page of a term shows of them.

Hides how a tree becomes nested lists that need no script: a term that stands below several others is written
out below the first of them and a link below the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fastapi import APIRouter
from pyoxigraph import NamedNode
from starlette.requests import Request
from starlette.responses import Response

from kg.engine import Limits
from kg.engine.formats import Kind
from kg.errors import ParameterError, UsageError
from kg.hierarchy import CLASSES, RELATIONS, TREES, VALUES, Hierarchy
from kg.names import names
from kg.reference.manchester import Statement
from kg.settings import Settings
from kg.terms import OWL, compress, expand
from kg.things import Description
from kg.web.asked import engine_of, hierarchy_of
from kg.web.documents import document
from kg.web.formats import joined, negotiate
from kg.web.language import VARY, language_of, texts
from kg.web.links import path_of_thing
from kg.web.openapi import HTML, IRI, described, parameter
from kg.web.pages import render
from kg.web.thing_page import Special

PROPERTIES = (OWL.ObjectProperty.value, OWL.DatatypeProperty.value, OWL.AnnotationProperty.value)
_OPEN = 1  # levels that are open at first
_DEEP = 40  # levels; deeper ones have pages of their own
_INSTANCES = 60


class Node(NamedTuple):
    """A term in a tree: children are empty where it was written out before (`again`)."""

    iri: str
    name: str
    below: int
    children: Sequence[Node]
    again: bool
    open: bool


def router(settings: Settings) -> APIRouter:
    """`/ontology?of=…` and `/ontology?root=…`."""
    routes = APIRouter(tags=["ontology"])
    limits = Limits.of(settings)

    @routes.get(
        "/ontology",
        summary="The terms as trees; for programs the way to the ontology's graph",
        **described(
            HTML,
            parameters=[
                parameter("of", "Which tree.", {"type": "string", "enum": ["", *TREES]}),
                parameter("root", "Only what stands below this term.", IRI),
            ],
            statuses={303: "The ontology's graph, in RDF"},
        ),
    )
    async def browser(request: Request) -> Response:
        asked = _asked(request)
        accept = joined(request, "accept")
        if not asked and accept and negotiate(accept, None, Kind.GRAPH)[0].key != "html":
            return Response(None, 303, {"Location": "/graph/ontology", "Vary": "Accept"})
        found, language = await hierarchy_of(request, limits), language_of(request)
        tree, root = asked.get("of", CLASSES), asked.get("root", "")
        if tree not in TREES:
            raise ParameterError(f"of={tree[:40]!r} is no tree; there are: {', '.join(TREES)}")
        root = _iri(root) if root else ""
        if root and root not in found.terms:
            raise UsageError(f"{compress(root)} is no term of the ontology; /search finds terms by name")
        if root:
            tree = found.terms[root].tree
        body = render(
            request,
            "ontology.html",
            engine_of(request).snapshot.version,
            title=found.name(root, language) if root else None,
            tree=tree,
            trees=TREES,
            root=root,
            groups=_groups(found, tree, root, language),
            counts={each: sum(term.tree == each for term in found.terms.values()) for each in TREES},
            trail=[(iri, found.name(iri, language)) for iri in found.trail(root)] if root else [],
            definition=lambda iri: found.definition(iri, language),
            definition_language=lambda iri: _language_of(found, iri, language),
            path_of=path_of_thing,
        )
        return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})

    return routes


def _asked(request: Request) -> dict[str, str]:
    asked: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in ("of", "root", "version"):
            raise ParameterError(f"there is no parameter {name[:40]!r}; there are: of, root, version")
        if name in asked:
            raise ParameterError(f"{name} is given twice; give it once")
        if value and name != "version":
            asked[name] = value
    return asked


def _iri(curie: str) -> str:
    try:
        return expand(curie).value
    except (UsageError, ValueError) as problem:
        raise ParameterError(f"root={curie[:80]!r} is refused: {problem}") from problem


def _language_of(found: Hierarchy, iri: str, language: str) -> str:
    term = found.terms.get(iri)
    return language if term is not None and language in term.definitions else "en"


def _groups(found: Hierarchy, tree: str, root: str, language: str) -> list[tuple[str, list[Node]]]:
    """The trees of a page, each with the key of its heading ("" for none)."""
    seen: set[str] = set()

    def grown(iris: Sequence[str], level: int = 0) -> list[Node]:
        return [_grown(found, iri, tree, language, seen, level) for iri in iris]

    if root:
        return [("", grown([root]))]
    roots = found.roots(tree)
    if tree == RELATIONS:
        return [
            (
                f"terms-{kind.rpartition('#')[2].lower()}",
                grown([r for r in roots if found.terms[r].kind == kind]),
            )
            for kind in PROPERTIES
        ]
    if tree == VALUES:
        roots.sort(key=lambda iri: found.name(iri, language).lower())
        return [("", [_values(found, iri, language) for iri in roots])]
    alone = [iri for iri in roots if not found.children(iri, tree)]
    return [("", grown([iri for iri in roots if iri not in set(alone)])), ("terms-alone", grown(alone))]


def _grown(found: Hierarchy, iri: str, tree: str, language: str, seen: set[str], level: int) -> Node:
    children = found.children(iri, tree)
    again = iri in seen and bool(children)
    grow = not again and level < _DEEP
    seen.add(iri)
    return Node(
        iri,
        found.name(iri, language),
        found.terms[iri].below,
        [_grown(found, child, tree, language, seen, level + 1) for child in children] if grow else [],
        again,
        level < _OPEN,
    )


def _values(found: Hierarchy, iri: str, language: str) -> Node:
    """A class with its values."""
    values = found.children(iri, VALUES)
    inside = [Node(each, found.name(each, language), 0, [], again=False, open=False) for each in values]
    return Node(iri, found.name(iri, language), len(values), inside, again=False, open=False)


# ------------------------------------------------------------------------------ the page of one term


class Written(NamedTuple):
    """An axiom: its frame in the reader's language, and its pieces: words, or a term's IRI and name."""

    frame: str
    pieces: Sequence[tuple[str, str]]  # text, and the path of a term or ""


async def term_page(request: Request, description: Description, limits: Limits) -> Special:
    """What the page of a class or relation shows besides its description."""
    found, language = await hierarchy_of(request, limits), language_of(request)
    term = found.terms.get(description.iri)
    axioms = found.axioms_of(description.iri)
    mentioned = {
        piece.value for _, statement in axioms for piece in statement if isinstance(piece, NamedNode)
    }
    called = {**found.names, **await names(engine_of(request), mentioned - set(found.names), limits)}

    def name(iri: str) -> str:
        own = called.get(iri, {})
        return own.get(language) or own.get("en") or compress(iri)

    def linked(iris: Sequence[str]) -> list[tuple[str, str, str]]:
        return [
            (path_of_thing(iri), found.name(iri, language), found.definition(iri, language)) for iri in iris
        ]

    frames = texts(language, "frames")
    values: dict[str, object] = {
        "trail": linked(found.trail(description.iri)),
        "parents": [
            (path, name, iri not in term.stated)
            for iri, (path, name, _) in zip(term.parents, linked(term.parents), strict=True)
        ]
        if term
        else [],
        "children": linked(found.children(description.iri, term.tree)) if term else [],
        "instances": linked(found.children(description.iri, VALUES)[:_INSTANCES]) if term else [],
        "axioms": [
            Written(frames.get(frame, frame), _pieces(statement, name)) for frame, statement in axioms
        ],
        "in_tree": f"/ontology?root={compress(description.iri)}" if term else "",
    }
    return description, "term.html", values


def _pieces(statement: Statement, name: Callable[[str], str]) -> list[tuple[str, str]]:
    return [
        (name(piece.value), path_of_thing(piece.value)) if isinstance(piece, NamedNode) else (piece, "")
        for piece in statement
    ]
