"""The formats an answer can be written in: one table of format, media types, suffix and kind of result.

Hides nothing; everything that names a format (the endpoint, the command line, the workers) reads it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from kg.errors import UsageError


class Kind(Enum):
    """What a query gives: rows (SELECT), yes or no (ASK), or a graph (CONSTRUCT, DESCRIBE)."""

    SOLUTIONS = "solutions"
    BOOLEAN = "boolean"
    GRAPH = "graph"


@dataclass(frozen=True)
class Format:
    """A format: its key (`?format=` and `--format`), its media type, and other names clients use for it.

    `content_type` is the media type with its charset where the format's registration wants one said;
    `iri` is the W3C's name of the format (https://www.w3.org/ns/formats/), where it has one.
    """

    key: str
    label: str
    media_type: str
    suffix: str
    kinds: frozenset[Kind]
    aliases: tuple[str, ...] = ()  # other media types that clients send for it
    other_keys: tuple[str, ...] = ()  # other values of `?format=` in use
    charset: bool = False
    iri: str | None = None

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""
        return f"{self.media_type}; charset=utf-8" if self.charset else self.media_type


_TABLE = frozenset({Kind.SOLUTIONS, Kind.BOOLEAN})
_GRAPH = frozenset({Kind.GRAPH})
_W3C = "http://www.w3.org/ns/formats/"

# In the order we prefer when a client does not care.
FORMATS: tuple[Format, ...] = (
    Format(
        "json",
        "SPARQL JSON",
        "application/sparql-results+json",
        "srj",
        _TABLE,
        ("application/json", "text/json"),
        ("sparql-results+json",),
        iri=_W3C + "SPARQL_Results_JSON",
    ),
    Format(
        "xml",
        "SPARQL XML",
        "application/sparql-results+xml",
        "srx",
        _TABLE,
        ("application/xml", "text/xml"),
        ("sparql-results+xml",),
        iri=_W3C + "SPARQL_Results_XML",
    ),
    Format("csv", "CSV", "text/csv", "csv", _TABLE, charset=True, iri=_W3C + "SPARQL_Results_CSV"),
    Format(
        "tsv",
        "TSV",
        "text/tab-separated-values",
        "tsv",
        _TABLE,
        charset=True,
        iri=_W3C + "SPARQL_Results_TSV",
    ),
    Format(
        "turtle",
        "Turtle",
        "text/turtle",
        "ttl",
        _GRAPH,
        ("application/turtle", "application/x-turtle", "text/n3", "text/rdf+n3", "application/n3"),
        ("n3",),
        charset=True,
        iri=_W3C + "Turtle",
    ),
    Format(
        "ntriples",
        "N-Triples",
        "application/n-triples",
        "nt",
        _GRAPH,
        ("text/plain",),
        ("n-triples",),
        iri=_W3C + "N-Triples",
    ),
    Format(
        "nquads",
        "N-Quads",
        "application/n-quads",
        "nq",
        _GRAPH,
        ("text/x-nquads", "text/n-quads", "text/nquads"),
        ("n-quads",),
        iri=_W3C + "N-Quads",
    ),
    Format(
        "trig",
        "TriG",
        "application/trig",
        "trig",
        _GRAPH,
        ("application/x-trig", "text/trig"),
        iri=_W3C + "TriG",
    ),
    Format(
        "rdfxml",
        "RDF/XML",
        "application/rdf+xml",
        "rdf",
        _GRAPH,
        ("application/xml", "text/xml"),
        ("rdf+xml", "xml", "rdf-xml"),
        iri=_W3C + "RDF_XML",
    ),
    Format(
        "jsonld",
        "JSON-LD",
        "application/ld+json",
        "jsonld",
        _GRAPH,
        ("application/json",),
        ("json-ld", "ld+json", "json"),
        iri=_W3C + "JSON-LD",
    ),
    Format("html", "HTML table", "text/html", "html", frozenset(Kind), charset=True),
)

BY_KEY = {format.key: format for format in FORMATS}

# What may follow the last dot of an address: `.csv`, `.json` and `.srj`, `.turtle` and `.ttl`, …
SUFFIXES = tuple(dict.fromkeys(name for format in FORMATS for name in (format.key, format.suffix)))


def formats_for(kind: Kind) -> tuple[Format, ...]:
    """The formats that can hold a kind of result, preferred first."""
    return tuple(format for format in FORMATS if kind in format.kinds)


def named_format(name: str, kind: Kind, offered: Sequence[Format] = ()) -> Format:
    """The format a person calls `name` (key, suffix or media type) for a kind of result.

    One name can mean two formats: `json` is SPARQL JSON for rows and JSON-LD for a graph. `offered` are those
    there are, all that can hold the result by default. Raises UsageError listing them.
    """
    # A plus that nobody percent-encoded arrives as a space: ?format=application/sparql-results+json
    wanted = name.strip().lower().replace(" ", "+")
    offered = offered or formats_for(kind)
    for names in (_own_names, _other_names):
        for format in offered:
            if wanted in names(format):
                return format
    known = ", ".join(format.key for format in offered)
    raise UsageError(f"{name[:60]!r} is not a format for {_CALLED[kind]}; there are: {known}")


def _own_names(format: Format) -> tuple[str, ...]:
    return (format.key, format.suffix, format.media_type)


def _other_names(format: Format) -> tuple[str, ...]:
    return (*format.other_keys, *format.aliases)


_CALLED = {
    Kind.SOLUTIONS: "the rows of a SELECT query",
    Kind.BOOLEAN: "the answer of an ASK query",
    Kind.GRAPH: "the graph of a CONSTRUCT or DESCRIBE query",
}
