"""What other endpoints answered, put where their SERVICE clauses stood: as VALUES.

Hides how results of strangers are read and written as SPARQL. Runs in a worker, which may die of it. SPARQL
gives a SERVICE clause the solutions that its pattern has at the endpoint, each as often as it has it, and
joins them with what stands around; VALUES with these rows means the same in every place where a SERVICE
clause may stand.

The readers are our own: pyoxigraph's reads an XML result that breaks off as a whole one, trims the white
space of its literals, and can be made to recurse until its process ends (0.5.13, tried 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.parsers import expat

from pyoxigraph import BaseDirection, Literal, NamedNode

_RESULTS = "http://www.w3.org/2005/sparql-results# "
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
_DIRECTIONS = {"ltr": BaseDirection.LTR, "rtl": BaseDirection.RTL}

# A row as SPARQL JSON has it: column -> term, in whatever format it came.
_Row = Mapping[str, Mapping[str, Any]]


class BadAnswer(Exception):
    """An endpoint's answer is none, or holds what cannot be joined; str() names the endpoint and says it."""


def filled(pieces: Sequence[str], calls: Sequence[Mapping[str, Any]], bodies: bytes) -> tuple[str, list[str]]:
    """A query's text with an answer between each two of its pieces, and the endpoints that were silenced.

    A call says `endpoint`, `variables` (in scope after its clause), `silent`, `format` ("json", "xml", or
    None where a silenced call failed) and `bytes`, the length of its answer in `bodies`. Raises BadAnswer.
    """
    written = [pieces[0]]
    silenced = []
    at = 0
    for call, piece in zip(calls, pieces[1:], strict=True):
        body = bodies[at : at + call["bytes"]]
        at += call["bytes"]
        names = call["variables"]
        rows: list[str] | None = None
        if call["format"] is not None:
            try:
                rows = _rows(body, call["format"], names, call["endpoint"])
            except ValueError as problem:
                if not call["silent"]:
                    raise BadAnswer(
                        f"<{call['endpoint']}> sent what is no SPARQL result in the format it says: "
                        f"{str(problem)[:200]}. Ask its operators, or ask it another way"
                    ) from None
        if rows is None:
            silenced.append(call["endpoint"])
            rows = [f"({' UNDEF' * len(names)} )"]  # one solution that binds nothing
        written += [f" VALUES ({''.join(f' ?{name}' for name in names)} ) {{ ", *rows, " } ", piece]
    return "".join(written), silenced


# --------------------------------------------------------------------------------------------- reading


def _rows(body: bytes, format: str, names: Sequence[str], endpoint: str) -> list[str]:
    """The rows of an answer as VALUES has them; raises ValueError where it is none."""
    try:
        columns, rows = _read_json(body) if format == "json" else _read_xml(body)
        missing = [name for name in names if name not in columns]
        if missing and rows:
            raise ValueError(f"it has no column ?{missing[0]}, which was asked for")
        return [f"({''.join(f' {_cell(row.get(name), name, endpoint)}' for name in names)} )" for row in rows]
    except (KeyError, TypeError, AttributeError, IndexError) as problem:
        said = f"{type(problem).__name__}: {problem}"
        raise ValueError(f"its parts are not those of a result ({said})") from None
    except RecursionError:
        raise ValueError("it is nested without end") from None


def _read_json(body: bytes) -> tuple[Sequence[str], Sequence[_Row]]:
    told = json.loads(body)
    if "boolean" in told:
        raise ValueError("it is yes or no, not rows")
    return told["head"]["vars"], told["results"]["bindings"]


def _read_xml(body: bytes) -> tuple[Sequence[str], Sequence[_Row]]:
    reader = _XmlReader()
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as problem:
        raise ValueError(f"it is no XML: {problem}") from None
    return reader.columns, reader.rows


class _XmlReader:
    """SPARQL Query Results XML Format (https://www.w3.org/TR/rdf-sparql-XMLres/), as expat tells of it."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.rows: list[dict[str, dict[str, str]]] = []
        self._column = ""
        self._term: dict[str, str] | None = None
        self._text: list[str] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append

    def _doctype(self, *_: object) -> None:
        # It may define entities that grow without bound; a result has none.
        raise ValueError("it has a DOCTYPE")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._text.clear()
        match name.removeprefix(_RESULTS):
            case "variable":
                self.columns.append(attributes["name"])
            case "result":
                self.rows.append({})
            case "binding":
                self._column = attributes["name"]
            case "uri" | "bnode" | "literal" as kind:
                self._term = {"type": kind}
                if "datatype" in attributes:
                    self._term["datatype"] = attributes["datatype"]
                if _LANGUAGE in attributes:
                    self._term["xml:lang"] = attributes[_LANGUAGE]
            case "boolean":
                raise ValueError("it is yes or no, not rows")
            case "sparql" | "head" | "link" | "results":
                pass
            case other:
                raise ValueError(f"it has an element {other[-80:]!r}")

    def _end(self, name: str) -> None:
        if self._term is not None and name.removeprefix(_RESULTS) == self._term["type"]:
            self._term["value"] = "".join(self._text)
            self.rows[-1][self._column] = self._term
            self._term = None
        self._text.clear()


# --------------------------------------------------------------------------------------------- writing


def _cell(term: Mapping[str, Any] | None, name: str, endpoint: str) -> str:
    if term is None:
        return "UNDEF"
    try:
        return _written(term)
    except _Nameless:
        raise BadAnswer(
            f"<{endpoint}> gave a blank node for ?{name}, which has no name outside of its answer and cannot "
            f"be joined. Leave it out: FILTER(!isBlank(?{name})) in the SERVICE clause, or a SELECT there "
            f"without ?{name}"
        ) from None


class _Nameless(Exception):
    """A blank node."""


def _written(term: Mapping[str, Any]) -> str:
    """A term as SPARQL has it; what cannot be one is a ValueError of the library that will read it."""
    kind, value = term["type"], term["value"]
    if kind == "bnode":
        raise _Nameless
    if kind == "triple":
        inner = (value["subject"], value["predicate"], value["object"])
        return f"<<( {' '.join(_written(each) for each in inner)} )>>"
    if not isinstance(value, str):
        raise TypeError(f"the value {value!r}")
    if kind == "uri":
        return str(NamedNode(value))
    if kind not in ("literal", "typed-literal"):
        raise KeyError(kind)
    if term.get("xml:lang"):
        direction = _DIRECTIONS[term["its:dir"]] if "its:dir" in term else None
        return str(Literal(value, language=term["xml:lang"], direction=direction))
    datatype = term.get("datatype")
    return str(Literal(value, datatype=None if datatype is None else NamedNode(datatype)))
