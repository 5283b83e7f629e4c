"""A row's fields as terms: CURIEs, lists of them, and values of a datatype. Hides how a value is written."""

from __future__ import annotations

from pyoxigraph import Literal, NamedNode

from kg.errors import UnknownValue, UsageError
from kg.terms import XSD, expand
from loaders import emit
from loaders.record import Record


def iri(row: Record, field: str, curie: str) -> NamedNode:
    """The IRI of a CURIE; raises BadValue where it is none."""
    try:
        return expand(curie)
    except (UsageError, ValueError) as problem:
        raise row.bad(field, curie, f"is not a CURIE we can read ({problem})") from problem


def words(row: Record, field: str) -> list[str]:
    """The CURIEs of a field that holds several, one blank between them."""
    text = row.text(field)
    return [] if text is None else text.split(" ")


def value(row: Record) -> NamedNode | Literal:
    """The object of an edge as its `datatype` says: iri, integer, decimal, boolean, date, text or en."""
    text, datatype = row.require("object"), row.require("datatype")
    if datatype == "iri":
        return iri(row, "object", text)
    if datatype == "integer":
        return emit.integer(row, "object", text)
    if datatype == "decimal":
        return emit.decimal(row, "object", text)
    if datatype == "date":
        return emit.date(row, "object", text)
    if datatype == "boolean":
        if text not in ("true", "false"):
            raise row.bad("object", text, "should be true or false")
        return Literal(text, datatype=XSD.boolean)
    if datatype == "text":
        return emit.string(text)
    if datatype == "en":
        return emit.lang(text, "en")
    raise UnknownValue("is not a datatype of these tables", value=datatype, **row.place("datatype"))


def edge(row: Record) -> tuple[NamedNode, NamedNode, NamedNode | Literal]:
    """Subject, predicate and object of a row that states an edge."""
    subject = iri(row, "subject", row.require("subject"))
    return subject, iri(row, "predicate", row.require("predicate")), value(row)
