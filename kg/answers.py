"""What a graph answers to a question: the values it knows, rows, labels in a language, pages.

Hides the queries that look a reader's value up, where near matches come from, and what a cursor holds. Knows
no HTTP: the web, the client and the tools of `kg mcp` all ask through it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pyoxigraph import NamedNode, RdfFormat, Triple, serialize

from kg.canned import LANGUAGES, Parameter, Question
from kg.errors import ParameterError, QueryTimeout, VersionGone
from kg.search import Index, as_words
from kg.snapshot import Snapshot
from kg.terms import compress, expand, prefixes

Cell = Mapping[str, str]  # as in SPARQL JSON: type, value, datatype, xml:lang
Binding = Mapping[str, Cell]  # what is unbound is absent

_CHOICES = 200  # a longer list is for the search
_NEAR = 3
_TRIED = 40  # things found by name that may fit
_PREFIXES = """
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX owl: <http://www.w3.org/2002/07/owl#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
"""
_NUMBERS = {
    f"http://www.w3.org/2001/XMLSchema#{name}": kind
    for kind, names in (
        (int, "integer int long short byte nonNegativeInteger positiveInteger nonPositiveInteger "
              "negativeInteger unsignedInt unsignedLong unsignedShort unsignedByte"),
        (float, "decimal double float"),
    )
    for name in names.split()
}  # fmt: skip
_CURIE = re.compile(r"[A-Za-z][\w.]*:\w+")  # in a property path
_BOOLEAN = "http://www.w3.org/2001/XMLSchema#boolean"


@dataclass(frozen=True)
class Rows:
    """The rows of an answer: names of the columns, and each row's bound cells."""

    names: tuple[str, ...]
    bindings: Sequence[Binding]

    @classmethod
    def read(cls, body: bytes) -> Rows:
        """Rows from SPARQL JSON."""
        found = json.loads(body)
        return cls(tuple(found["head"]["vars"]), found["results"]["bindings"])


Ask = Callable[[str], Awaitable[Rows]]


@dataclass(frozen=True)
class Choice:
    """A value that a parameter takes: as it is written, and its label by language."""

    value: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, language: str) -> str:
        """Its label in a language, else in English, else the value."""
        return self.labels.get(language) or self.labels.get("en") or self.value


@dataclass
class Memory:
    """What was learned of one snapshot, which never changes: its labels, and the values of parameters."""

    labels: dict[str, Mapping[str, str]] = field(default_factory=dict)  # language -> English label -> label
    choices: dict[str, tuple[Choice, ...]] = field(default_factory=dict)  # by what narrows them


class Asking:
    """Questions put to one snapshot: `ask` answers SELECT queries, `index` finds its things by name."""

    def __init__(self, ask: Ask, index: Index, memory: Memory) -> None:
        self._ask = ask
        self._index = index
        self._memory = memory

    async def bound(self, question: Question, values: Mapping[str, str]) -> str:
        """The question's SPARQL with these values, each of which the graph knows.

        Raises ParameterError for what does not fit: it names the parameter, what it takes and near matches.
        """
        try:
            text = question.bind(values)
        except ParameterError as refused:
            parameter = question.parameters.get(refused.parameter)
            if parameter is None or parameter.type != "iri" or parameter.values:
                raise
            near = await self._near(parameter, values[parameter.name])
            raise parameter.refusal(values[parameter.name], near) from refused
        for name, value in values.items():
            parameter = question.parameters[name]
            if parameter.type == "iri" and value not in (parameter.default, *parameter.values):
                await self._check(parameter, value)
        return text

    async def rows(self, text: str) -> Rows:
        """The rows of a bound query."""
        return await self._ask(text)

    async def choices(self, parameter: Parameter) -> tuple[Choice, ...]:
        """The values that a parameter takes, where it takes few: of its header, or drawn from the graph."""
        if parameter.values:
            return tuple(Choice(value) for value in parameter.values)
        if not _is_narrowed(parameter):
            return ()
        key = f"{parameter.of} {parameter.under} {parameter.by}"
        if key not in self._memory.choices:
            self._memory.choices[key] = await self._drawn(parameter)
        return self._memory.choices[key]

    async def translated(self, question: Question, rows: Rows, language: str) -> Rows:
        """The rows with the columns of labels in a language; what has no label in it stays English."""
        if language == "en" or not question.labels:
            return rows
        labels = await self._labels(language)
        return Rows(
            rows.names, [_translated(row, question.labels, labels, language) for row in rows.bindings]
        )

    async def _check(self, parameter: Parameter, value: str) -> None:
        if await self._fitting(parameter, [str(parameter.term(value))]):
            return
        near = await self._near(parameter, value)
        why = "the graph knows nothing of it"
        if _is_narrowed(parameter):
            why = f"it takes {parameter.takes}, which this is not in the graph"
        raise parameter.refusal(value, near, why)

    async def _fitting(self, parameter: Parameter, terms: Iterable[str]) -> list[str]:
        """The IRIs among these terms that a parameter takes."""
        values = f"VALUES ?v {{ {' '.join(terms)} }}"
        rows = await self._ask(f"{_PREFIXES} SELECT DISTINCT ?v WHERE {{ {values} {_pattern(parameter)} }}")
        return [row["v"]["value"] for row in rows.bindings]

    async def _near(self, parameter: Parameter, value: str) -> list[str]:
        """What may have been meant by a value: things of a like name that the parameter takes."""
        found: dict[str, str] = {}
        for words in dict.fromkeys((value, as_words(re.split(r"[/#:]", value.strip())[-1]))):
            with contextlib.suppress(QueryTimeout):
                results = await asyncio.to_thread(self._index.search, words, limit=_TRIED)
                found.update((hit.iri, f"{hit.curie} ({hit.label()})") for hit in results.hits)
        fitting = set(await self._fitting(parameter, map(str, map(NamedNode, found)))) if found else set()
        near = [said for iri, said in found.items() if iri in fitting][:_NEAR]
        if not near:
            choices = {choice.value: choice for choice in await self.choices(parameter)}
            for one in get_close_matches(value, choices, n=_NEAR):
                near.append(f"{one} ({choices[one].label('en')})")
        return near

    async def _drawn(self, parameter: Parameter) -> tuple[Choice, ...]:
        languages = ", ".join(f'"{tag.lower()}"' for tag in LANGUAGES)
        rows = await self._ask(
            f"""{_PREFIXES} SELECT ?v ?rank ?label WHERE {{
              {{
                SELECT DISTINCT ?v WHERE {{
                  {_pattern(parameter)} FILTER(isIRI(?v) && !STRSTARTS(STR(?v), STR(owl:)))
                }} LIMIT {_CHOICES + 1}
              }}
              OPTIONAL {{
                VALUES (?p ?rank) {{ (skos:prefLabel 0) (rdfs:label 1) (dcterms:title 2) }}
                ?v ?p ?label . FILTER(LCASE(LANG(?label)) IN ({languages}, ""))
              }}
            }} ORDER BY ?v ?rank ?label"""
        )
        labels: dict[str, dict[str, str]] = {}
        for row in rows.bindings:
            own = labels.setdefault(compress(row["v"]["value"]), {})
            if "label" in row:
                own.setdefault(_tag(row["label"].get("xml:lang", "en")), row["label"]["value"])
        if len(labels) > _CHOICES:
            return ()
        found = [Choice(value, own) for value, own in labels.items()]
        return tuple(sorted(found, key=lambda choice: (choice.label("en").lower(), choice.value)))

    async def _labels(self, language: str) -> Mapping[str, str]:
        if language not in self._memory.labels:
            rows = await self._ask(
                f"""{_PREFIXES} SELECT DISTINCT ?en ?label WHERE {{
                  ?thing rdfs:label ?en ; skos:prefLabel ?label .
                  FILTER(LANG(?en) IN ("en", "") && LCASE(LANG(?label)) = "{language.lower()}")
                }}"""
            )
            found: dict[str, set[str]] = {}
            for row in rows.bindings:
                found.setdefault(row["en"]["value"], set()).add(row["label"]["value"])
            # What two things of one English name are called differently is left in English.
            self._memory.labels[language] = {en: own.pop() for en, own in found.items() if len(own) == 1}
        return self._memory.labels[language]


def plain(cell: Cell | None) -> str | int | float | bool | None:
    """A cell as a value of Python and JSON: numbers and truth as such, all else as text; None unbound."""
    if cell is None:
        return None
    value, datatype = cell["value"], cell.get("datatype", "")
    if datatype == _BOOLEAN and value in ("true", "false", "1", "0"):
        return value in ("true", "1")
    if datatype in _NUMBERS:
        with contextlib.suppress(ValueError):
            number = _NUMBERS[datatype](value)
            # JSON has no NaN and no infinity.
            return number if number == number and abs(number) != float("inf") else value
    return value


def written_graph(triples: Iterable[Triple], format: RdfFormat) -> bytes:
    """Triples in a form of RDF, with the prefixes that they use."""
    found = list(triples)
    said = "\n".join(map(str, found))
    used = {prefix: iri for prefix, iri in sorted(prefixes().items()) if f"<{iri}" in said}
    shortens = format in (RdfFormat.TURTLE, RdfFormat.TRIG, RdfFormat.RDF_XML)
    written = serialize(found, format=format, prefixes=used if shortens else None)
    assert written is not None
    return written


# ------------------------------------------------------------------------------------------- cursors


def cursor_to(snapshot: Snapshot, question: Question, values: Mapping[str, str], offset: int) -> str:
    """An opaque cursor to the row at an offset, for this snapshot, this text and these values only."""
    body = offset.to_bytes(8, "big") + b"".join(_bindings(snapshot, question, values))
    return base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


def offset_of(snapshot: Snapshot, question: Question, values: Mapping[str, str], cursor: str) -> int:
    """Where a cursor stands.

    Raises ParameterError for one that is not whole or belongs to other values, VersionGone for one of another
    snapshot or of another text of the question.
    """
    again = "leave the cursor out to start again"
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        body = b""
    if len(body) != 40 or _check(body[:32]) != body[32:]:
        raise ParameterError(
            f"cursor is not one of ours: take it whole from `next` of the page before, or {again}",
            parameter="cursor",
            takes="the cursor of the page before",
        )
    offset, *held = int.from_bytes(body[:8], "big"), body[8:16], body[16:24], body[24:32]
    of_snapshot, of_question, of_values = _bindings(snapshot, question, values)
    if held[0] != of_snapshot:
        raise VersionGone(
            f"This cursor is of another snapshot than {snapshot.name}, whose rows may differ: {again}, or "
            "add version= with the name in X-Stroma-Snapshot of the page before, while that one is kept",
            kept=[snapshot.name],
        )
    if held[1] != of_question:
        raise VersionGone(
            f"The query {question.id} has changed since this cursor was given; its version is now "
            f"{question.hash}: {again}",
            kept=[question.hash],
        )
    if held[2] != of_values:
        raise ParameterError(
            f"cursor belongs to other parameters than are given: repeat those of the page before, or {again}",
            parameter="cursor",
            takes="the cursor of the page before, with the same parameters",
        )
    return offset


def _bindings(
    snapshot: Snapshot, question: Question, values: Mapping[str, str]
) -> tuple[bytes, bytes, bytes]:
    said = json.dumps(
        sorted((name, str(question.parameters[name].term(value))) for name, value in values.items())
    )
    return (
        bytes.fromhex(snapshot.hash[:16]),
        bytes.fromhex(question.hash[:16]),
        hashlib.sha256(said.encode()).digest()[:8],
    )


def _check(body: bytes) -> bytes:
    # No secret: whoever makes a cursor of their own gets rows that everybody may read.
    return hashlib.sha256(b"stroma cursor 1" + body).digest()[:8]


# ------------------------------------------------------------------------------------------- pieces


def _pattern(parameter: Parameter) -> str:
    """What holds in the graph of a value ?v that a parameter takes."""
    if parameter.of:
        return f"?v a/rdfs:subClassOf* {expand(parameter.of)} ."
    if parameter.under:
        return f"?v rdfs:subClassOf* {expand(parameter.under)} ."
    if parameter.by:
        return f"?leads {_CURIE.sub(lambda found: str(expand(found[0])), parameter.by)} ?v ."
    return "FILTER(EXISTS { ?v ?p1 ?o1 } || EXISTS { ?s2 ?p2 ?v } || EXISTS { ?s3 ?v ?o3 })"


def _is_narrowed(parameter: Parameter) -> bool:
    return bool(parameter.of or parameter.under or parameter.by)


def _tag(language: str) -> str:
    """A language tag as people write it: the store has lower-cased it."""
    return next((tag for tag in LANGUAGES if tag.lower() == language.lower()), language)


def _translated(row: Binding, columns: Sequence[str], labels: Mapping[str, str], language: str) -> Binding:
    found = {
        name: {"type": "literal", "xml:lang": language, "value": labels[row[name]["value"]]}
        for name in columns
        if name in row and row[name]["type"] == "literal" and row[name]["value"] in labels
    }
    return {**row, **found}
