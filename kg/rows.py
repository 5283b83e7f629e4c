"""The solutions of a query as terms: how our own pages and tools read an engine.

Hides the format in between, and the prefixes that these queries are written with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pyoxigraph import BlankNode, Literal, NamedNode

from kg.engine import Engine, Limits
from kg.engine.formats import BY_KEY

Node = NamedNode | Literal | BlankNode
Row = Mapping[str, Node]

_PREFIXES = """
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX obo: <http://purl.obolibrary.org/obo/>
PREFIX owl: <http://www.w3.org/2002/07/owl#>
PREFIX prov: <http://www.w3.org/ns/prov#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX stroma: <https://w3id.org/stroma/ontology/>
PREFIX void: <http://rdfs.org/ns/void#>
"""


async def rows(engine: Engine, query: str, limits: Limits) -> list[dict[str, Node]]:
    """The solutions of a query, as terms by variable; unbound variables are absent.

    The prefixes of `_PREFIXES` are declared. Raises what a query raises.
    """
    answer = await engine.query(_PREFIXES + query, accept=BY_KEY["json"], limits=limits)
    found = json.loads(await answer.read())
    return [{name: _node(cell) for name, cell in binding.items()} for binding in found["results"]["bindings"]]


Facts = dict[str, list[Node]]  # predicate -> values


async def facts(
    engine: Engine, pattern: str, predicates: Iterable[str], limits: Limits, *, most: int
) -> dict[str, Facts]:
    """What some predicates say of each `?thing` that a pattern gives: thing -> predicate -> values, in order.

    At most so many statements are read. (A filter: VALUES for the predicates would be joined as a product.)
    """
    found: dict[str, Facts] = {}
    for row in await rows(
        engine,
        f"""SELECT DISTINCT ?thing ?p ?o WHERE {{
          {pattern} ?thing ?p ?o FILTER(?p IN ({listed(predicates, ", ")}))
        }} ORDER BY ?thing ?p ?o LIMIT {most}""",
        limits,
    ):
        found.setdefault(row["thing"].value, {}).setdefault(row["p"].value, []).append(row["o"])
    return found


def text_of(row: Row, name: str) -> str:
    """The text of a cell; "" where it is unbound."""
    return row[name].value if name in row else ""


def whole_of(row: Row, name: str) -> int | None:
    """The whole number of a cell; None where it is unbound."""
    return int(row[name].value) if name in row else None


def listed(iris: Iterable[str], between: str = " ") -> str:
    """IRIs as they stand in a VALUES block, or with commas between them in a list, each once, in order."""
    return between.join(str(NamedNode(iri)) for iri in dict.fromkeys(iris))


def language_of(label: Literal) -> str:
    """The language of a label as people write it ("zh-Hans"): the store lower-cases it; none is English."""
    tag = label.language or "en"
    return {"zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}.get(tag, tag)


def _node(cell: Mapping[str, Any]) -> Node:
    if cell["type"] == "uri":
        return NamedNode(cell["value"])
    if cell["type"] == "bnode":
        return BlankNode(cell["value"])
    if "xml:lang" in cell:
        return Literal(cell["value"], language=cell["xml:lang"])
    datatype = cell.get("datatype")
    return Literal(cell["value"], datatype=NamedNode(datatype) if datatype else None)
