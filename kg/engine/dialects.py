"""What SPARQL servers of other makers do differently, and what we do about it, all in one place.

Hides the workarounds. A dialect says which answers may be passed on as they come, whether the server's
default graph is the union of all graphs, and how its terms are mended. What cannot be mended is in `differs`,
in words.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pyoxigraph import (
    QueryResultsFormat,
    QuerySolutions,
    RdfFormat,
    parse,
    parse_query_results,
    serialize,
)

from kg.engine.formats import BY_KEY, Format, Kind
from kg.engine.worker import table
from kg.terms import XSD

Term = dict[str, str]
_VIRTUOSO_ASK = "__ASK_RETVAL"  # the column in which Virtuoso answers an ASK


def _as_it_is(term: Term) -> Term:
    return term


@dataclass(frozen=True)
class Dialect:
    """A maker's server. `passed` has the keys of formats whose bytes are passed on as they come.

    `union` says that a query without a dataset sees all graphs as one, and only ours; otherwise every query
    is sent with its dataset spelled out. `differs` are differences that stay, for `/about`; `needs` is how
    the server has to be set up, for who runs it.
    """

    name: str
    passed: frozenset[str]
    union: bool
    mend: Callable[[Term], Term] = _as_it_is
    differs: tuple[str, ...] = ()
    needs: str = ""


def _virtuoso_term(term: Term) -> Term:
    """SPARQL JSON as the standard has it: no "typed-literal"; true and false are not 1 and 0; a blank node's
    label is one, and not nodeID://b1."""
    mended = {**term, "type": "literal"} if term["type"] == "typed-literal" else dict(term)
    if term["type"] == "bnode":
        mended["value"] = term["value"].removeprefix("nodeID://")
    if mended.get("datatype") == XSD.boolean.value:
        mended["value"] = {"1": "true", "0": "false"}.get(mended["value"], mended["value"])
    return mended


OXIGRAPH = Dialect(
    "Oxigraph",
    frozenset(BY_KEY) - {"html"},
    union=True,
    needs="Start it with --union-default-graph",
)
VIRTUOSO = Dialect(
    "Virtuoso",
    frozenset({"rdfxml"}),
    union=False,
    mend=_virtuoso_term,
    differs=(
        "DESCRIBE gives what Virtuoso takes for a description, with statements about the object too",
        "a decimal loses zeros at its end, a double its spelling, and a boolean comes back as an integer "
        "inside an expression",
        "CONCAT, COALESCE and GROUP_CONCAT take what is unbound for an empty text, and drop languages",
        "a path of length zero (rdfs:subClassOf*) can be lost or refused",
        "a query of many alternatives (UNION, VALUES, paths) with its dataset written out can be refused: "
        "SQ074",
        "a query that joins many with many can take far longer, and then ends at its limit of seconds",
        "what the standard leaves to the server is Virtuoso's: the order of rows without ORDER BY, SAMPLE, "
        "and the order of values of different kinds",
    ),
    needs="Set MaxSortedTopRows = 1000000 below [Parameters] of virtuoso.ini, and start it again",
)
# A server that we were told nothing about: its answers come in the two formats that every server writes well.
STANDARD = Dialect("SPARQL 1.1", frozenset({"json", "ntriples"}), union=False)


def dialect_of(server: str | None) -> Dialect:
    """The dialect of a server, by the Server header of its answers."""
    named = (server or "").casefold()
    return next((each for each in (OXIGRAPH, VIRTUOSO) if each.name.casefold() in named), STANDARD)


def asked_as(dialect: Dialect, wanted: Format, kind: Kind) -> Format:
    """The format to ask a server for, so that `converted` can make the wanted one of it."""
    if wanted.key in dialect.passed:
        return wanted
    return BY_KEY["ntriples" if kind is Kind.GRAPH else "json"]


def converted(dialect: Dialect, body: bytes, kind: Kind, wanted: Format) -> bytes:
    """A whole answer in SPARQL JSON or N-Triples, mended, in the wanted format; ValueError if it is none."""
    if kind is Kind.GRAPH:
        triples = parse(body, format=RdfFormat.N_TRIPLES)
        if wanted.key == "html":
            rows = ((triple.subject, triple.predicate, triple.object) for triple in triples)
            return b"".join(table(("subject", "predicate", "object"), rows))
        written = io.BytesIO()
        serialize(triples, written, format=_rdf_format(wanted))
        return written.getvalue()
    results = json.loads(body)
    if results["head"].get("vars") == [_VIRTUOSO_ASK]:
        rows = results["results"]["bindings"]  # none for "no", or a row with 0
        results = {"head": {}, "boolean": any(row[_VIRTUOSO_ASK]["value"] == "1" for row in rows)}
    for row in results.get("results", {}).get("bindings", ()):
        for name, term in row.items():
            row[name] = dialect.mend(term)
    results.get("results", {}).pop("distinct", None)
    results.get("results", {}).pop("ordered", None)
    mended = json.dumps(results, ensure_ascii=False).encode()
    if wanted.key == "json":
        return mended
    parsed = parse_query_results(mended, format=QueryResultsFormat.JSON)
    if wanted.key == "html":
        if not isinstance(parsed, QuerySolutions):
            return f"<p><strong>{'Yes' if parsed else 'No'}</strong></p>".encode()
        return b"".join(table((each.value for each in parsed.variables), (tuple(row) for row in parsed)))
    if not isinstance(parsed, QuerySolutions) and wanted.key in ("csv", "tsv"):
        return b"true" if parsed else b"false"
    written = io.BytesIO()
    parsed.serialize(cast(Any, written), format=_TABLES[wanted.key])
    return written.getvalue()


_TABLES: Mapping[str, QueryResultsFormat] = {
    "xml": QueryResultsFormat.XML,
    "csv": QueryResultsFormat.CSV,
    "tsv": QueryResultsFormat.TSV,
}


def _rdf_format(wanted: Format) -> RdfFormat:
    format = RdfFormat.from_media_type(wanted.media_type)
    assert format is not None, wanted
    return format
