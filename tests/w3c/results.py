"""Results of queries, read from each format and compared.

Hides the formats. They are read here by a reader of their own: one that came with the engine would forgive
what the engine writes wrongly.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from rdflib import RDF, BNode, Graph, Literal, Namespace, URIRef
from rdflib.compare import isomorphic
from rdflib.term import Node

_XSD = "http://www.w3.org/2001/XMLSchema#"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SRX = "{http://www.w3.org/2005/sparql-results#}"
_RS = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/result-set#")
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

# ("iri", text), ("blank", label), ("literal", text, datatype, language); ("cell", text) is what CSV leaves
Term = tuple[str, ...]
Row = Mapping[str, Term]


@dataclass(frozen=True)
class Solutions:
    """The rows of a SELECT, in their order; an unbound variable is left out of its row."""

    variables: tuple[str, ...]
    rows: tuple[Row, ...]


Result = Solutions | bool | Graph


def read(body: bytes, format: str, base: str | None = None) -> Result:
    """A result from its bytes; `format` is a suffix: srx, srj, csv, tsv, ttl, nt.

    A graph in the vocabulary of result sets, as some expected results are, is the table it describes.
    """
    if format in _READERS:
        return _READERS[format](body)
    graph = Graph().parse(data=body, format={"ttl": "turtle", "nt": "nt"}[format], publicID=base)
    described = graph.value(None, RDF.type, _RS.ResultSet)
    return graph if described is None else _described(graph, described)


def _described(graph: Graph, described: Node) -> Solutions:
    def row(solution: Node) -> Row:
        bindings = graph.objects(solution, _RS.binding)
        return {
            str(graph.value(each, _RS.variable)): _rdf_term(graph.value(each, _RS.value)) for each in bindings
        }

    names = tuple(map(str, graph.objects(described, _RS.resultVariable)))
    return Solutions(names, tuple(row(each) for each in graph.objects(described, _RS.solution)))


def _rdf_term(term: Node | None) -> Term:
    if isinstance(term, URIRef):
        return ("iri", str(term))
    if isinstance(term, BNode):
        return ("blank", str(term))
    assert isinstance(term, Literal)
    return _literal(str(term), None if term.datatype is None else str(term.datatype), term.language)


def difference(expected: Result, got: Result) -> str | None:
    """How a result differs from the expected one, or None where they are the same.

    Rows may come in any order, and blank nodes have any label. Literals of one datatype are the same where
    their values are: the store keeps numbers and times in their canonical form.
    """
    if isinstance(expected, Graph) and isinstance(got, Graph):
        return (
            None if isomorphic(expected, got) else f"graphs of {len(expected)} and {len(got)} triples differ"
        )
    if isinstance(expected, Solutions) and isinstance(got, Solutions):
        return _rows_differ(expected, got)
    if type(expected) is type(got):
        return None if expected == got else f"{got}, not {expected}"
    return f"a {type(got).__name__}, not a {type(expected).__name__}"


def _rows_differ(expected: Solutions, got: Solutions) -> str | None:
    if set(expected.variables) != set(got.variables):
        return f"variables {sorted(got.variables)}, not {sorted(expected.variables)}"
    wanted, given = [_valued(row) for row in expected.rows], [_valued(row) for row in got.rows]
    unmatched = Counter(map(_shape, wanted))
    unmatched.subtract(map(_shape, given))
    missing = [str(dict(shape)) for shape, count in unmatched.items() if count > 0]
    extra = [str(dict(shape)) for shape, count in unmatched.items() if count < 0]
    if missing or extra:
        return f"rows missing: {'; '.join(missing) or 'none'} | rows too many: {'; '.join(extra) or 'none'}"
    return None if _same_blanks(wanted, given, {}) else "blank nodes are shared by other rows"


def _valued(row: Row) -> dict[str, Term]:
    return {name: _value(term) for name, term in row.items()}


def _value(term: Term) -> Term:
    """A term with its text in a form that is equal where the values are."""
    if term[0] == "cell" and _NUMBER.fullmatch(term[1]):
        return ("cell", str(Decimal(term[1]).normalize()))
    if term[0] != "literal":
        return term
    _, text, datatype, language = term
    local = datatype.removeprefix(_XSD)
    try:
        if local in ("integer", "decimal"):
            text = str(Decimal(text).normalize())
        elif local in ("double", "float"):
            text = repr(float(text.replace("INF", "inf")))
        elif local == "boolean":
            text = {"1": "true", "0": "false"}.get(text, text)
        elif local in ("dateTime", "time", "date"):
            text = re.sub(r"[+-]00:00$", "Z", text)
    except (InvalidOperation, ValueError):
        pass  # ill-typed: its text is all there is
    return ("literal", text, datatype, language.lower())


_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def _shape(row: Row) -> tuple[tuple[str, Term], ...]:
    """A row without the labels of its blank nodes."""
    return tuple(sorted((name, term if term[0] != "blank" else ("blank",)) for name, term in row.items()))


def _same_blanks(
    wanted: list[dict[str, Term]], given: list[dict[str, Term]], known: dict[Term, Term]
) -> bool:
    """Whether one renaming of blank nodes makes the rows the same; both lists have the same shapes."""
    if not wanted:
        return True
    first, rest = wanted[0], wanted[1:]
    tried = set()
    for at, row in enumerate(given):
        if _shape(row) != _shape(first) or tuple(sorted(row.items())) in tried:
            continue
        tried.add(tuple(sorted(row.items())))
        pairs = {term: row[name] for name, term in first.items() if term[0] == "blank"}
        renamed = {**known, **pairs}
        agrees = all(known.get(term, label) == label for term, label in pairs.items())
        agrees = agrees and all(
            row[name] == renamed[term] for name, term in first.items() if term[0] == "blank"
        )
        one_to_one = len(set(renamed.values())) == len(renamed)
        if agrees and one_to_one and _same_blanks(rest, given[:at] + given[at + 1 :], renamed):
            return True
    return False


# ---------------------------------------------------------------------------------------- formats


def _literal(text: str, datatype: str | None, language: str | None) -> Term:
    if language:
        return ("literal", text, f"{_RDF}langString", language)
    return ("literal", text, datatype or f"{_XSD}string", "")


def _read_srx(body: bytes) -> Result:
    root = ElementTree.fromstring(body)
    assert root.tag == f"{_SRX}sparql", root.tag
    boolean = root.find(f"{_SRX}boolean")
    if boolean is not None:
        return {"true": True, "false": False}[(boolean.text or "").strip()]
    names = tuple(each.attrib["name"] for each in root.findall(f"{_SRX}head/{_SRX}variable"))
    rows = []
    for result in root.findall(f"{_SRX}results/{_SRX}result"):
        bindings = {each.attrib["name"]: _srx_term(each[0]) for each in result.findall(f"{_SRX}binding")}
        assert set(bindings) <= set(names)
        rows.append(bindings)
    return Solutions(names, tuple(rows))


def _srx_term(element: ElementTree.Element) -> Term:
    text = element.text or ""
    kind = element.tag.removeprefix(_SRX)
    if kind == "uri":
        return ("iri", text)
    if kind == "bnode":
        return ("blank", text)
    assert kind == "literal", kind
    return _literal(text, element.get("datatype"), element.get(_LANG))


def _read_srj(body: bytes) -> Result:
    said: dict[str, Any] = json.loads(body)
    if "boolean" in said:
        assert isinstance(said["boolean"], bool)
        return said["boolean"]
    names = tuple(said["head"]["vars"])
    rows = []
    for binding in said["results"]["bindings"]:
        assert set(binding) <= set(names)
        rows.append({name: _srj_term(term) for name, term in binding.items()})
    return Solutions(names, tuple(rows))


def _srj_term(term: Mapping[str, str]) -> Term:
    if term["type"] == "uri":
        return ("iri", term["value"])
    if term["type"] == "bnode":
        return ("blank", term["value"])
    assert term["type"] in ("literal", "typed-literal"), term["type"]
    return _literal(term["value"], term.get("datatype"), term.get("xml:lang"))


def _read_csv(body: bytes) -> Result:
    names, *lines = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
    rows = []
    for line in lines:
        assert len(line) == len(names), line
        cells = zip(names, line, strict=True)
        rows.append(
            {name: ("blank" if text.startswith("_:") else "cell", text) for name, text in cells if text}
        )
    return Solutions(tuple(names), tuple(rows))


_TSV_TERM = re.compile(
    r"""<(?P<iri>[^>]*)>
    |_:(?P<blank>\S+)
    |(?P<quote>["'])(?P<text>(?:[^\\]|\\.)*)(?P=quote)(?:@(?P<language>[\w-]+)|\^\^<(?P<datatype>[^>]*)>)?
    |(?P<integer>[+-]?[0-9]+)
    |(?P<decimal>[+-]?[0-9]*\.[0-9]+)
    |(?P<double>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+)
    |(?P<boolean>true|false)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "'": "'", "\\": "\\"}


def _read_tsv(body: bytes) -> Result:
    head, *lines = body.decode().removesuffix("\n").split("\n")
    names = tuple(name.removeprefix("?") for name in head.split("\t"))
    rows = []
    for line in lines:
        cells = line.split("\t")
        assert len(cells) == len(names), line
        rows.append({name: _tsv_term(cell) for name, cell in zip(names, cells, strict=True) if cell})
    return Solutions(names, tuple(rows))


def _tsv_term(cell: str) -> Term:
    found = _TSV_TERM.fullmatch(cell)
    assert found is not None, f"no term of Turtle: {cell!r}"
    if found["iri"] is not None:
        return ("iri", found["iri"])
    if found["blank"] is not None:
        return ("blank", found["blank"])
    if found["text"] is not None:
        text = re.sub(r"\\(.)", lambda escape: _ESCAPES[escape[1]], found["text"])
        return _literal(text, found["datatype"], found["language"])
    assert found.lastgroup is not None
    return _literal(cell, _XSD + found.lastgroup, None)


_READERS = {"srx": _read_srx, "srj": _read_srj, "csv": _read_csv, "tsv": _read_tsv}
