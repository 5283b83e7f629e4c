"""Competency questions: `queries/<topic>/<id>.rq` as a catalogue with typed parameters.

Hides the header format and how a parameter gets into a query. A header is YAML in `#+` comment lines (as
grlc reads it), so each file runs as it is in any SPARQL editor:

    #+ summary: Which registered trials are in this status?
    #+ tags: [trials]
    #+ params:
    #+   - {name: status, type: iri, of: stroma:RecruitmentStatus, default: stroma:StatusCompleted,
    #+      examples: [stroma:StatusUnknown], description: Recruitment status}
    #+ columns: {trial: Registered trial, title: Its short title, phase: Its phase, weight: Body weight}
    #+ labels: [phase]
    #+ units: {weight: kg}
    #+ chart: {kind: bars, label: trial, value: weight}
    #+ related: [trials-by-country]
    #+ version: 1
    VALUES ?status { stroma:StatusCompleted }

A parameter is bound by replacing the example inside its one `VALUES ?name { … }` block with an RDF term.
The value becomes a term first, and the term writes itself as SPARQL: no text of a reader ever enters a query.
What the graph has to say of a value (`of`, `under`, `by`) is looked up by `kg.answers`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from pyoxigraph import Literal, NamedNode

from kg.errors import OntologyError, ParameterError, UsageError
from kg.terms import XSD, expand

_TYPES = {
    "iri": "an IRI or a CURIE",
    "integer": "a whole number",
    "decimal": "a number such as 70 or 62.5",
    "date": "a date such as 2024-01-31",
    "language": "a language tag: en, zh-Hans or zh-Hant",
    "text": "any text",
}
# The same in C, where the package has it: every server and most commands read all questions, in 0.2 s else.
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LANGUAGES = ("en", "zh-Hans", "zh-Hant")
# What an address says besides a question's parameters, which are not called so.
RESERVED = frozenset({"format", "version", "limit", "cursor", "lang"})
# What a chart is drawn from: kind -> roles that a column must, and may, play.
CHARTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "bars": (frozenset({"label", "value"}), frozenset({"series"})),
    "lines": (frozenset({"x", "y"}), frozenset({"series", "low", "high"})),
    # `nothing`: a column with the value of no effect, 1 for a ratio, which stands on a log scale; `detail`:
    # what stands before the label, where one label has several lines.
    "forest": (frozenset({"label", "value"}), frozenset({"low", "high", "series", "nothing", "detail"})),
    "ratios": (frozenset({"label", "value"}), frozenset({"low", "high", "series"})),  # on a log scale
    "ranges": (frozenset({"label", "low", "high"}), frozenset({"series"})),  # on a log scale
    "network": (frozenset({"source", "relation", "target"}), frozenset()),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a question: its type, default, further examples, and what it means.

    `minimum` (exclusive bound for numbers) and `values` (an enumeration) narrow the type; an IRI is narrowed
    by the graph. It must be an instance of the class `of`, or the class `under` or one below it, or what the
    property path `by` leads to.
    """

    name: str
    type: str
    default: str | None  # None: unbound unless given (the block holds UNDEF)
    description: str
    minimum: Decimal | None = None
    values: tuple[str, ...] = ()
    of: str | None = None
    under: str | None = None
    by: str | None = None
    examples: tuple[str, ...] = ()

    @property
    def takes(self) -> str:
        """What a value must be, in words."""
        if self.values:
            return f"one of {', '.join(self.values)}"
        if self.type == "iri":
            such = next(iter((*filter(None, [self.default]), *self.examples)), "MONDO:0008383")
            narrowed = f", an instance of {self.of}" if self.of else ""
            narrowed += f", {self.under} or a class below it" if self.under else ""
            narrowed += f", one that {self.by} leads to" if self.by else ""
            return f"{_TYPES['iri']} such as {such}{narrowed}"
        return _TYPES[self.type] + ("" if self.minimum is None else f" above {self.minimum}")

    def term(self, value: str) -> NamedNode | Literal:
        """The RDF term of a reader's text; raises ParameterError naming the parameter and what it takes."""
        value = value.strip()
        term = self._term(value)
        if self.values and not any(self._same(value, each) for each in self.values):
            raise self.refusal(value, get_close_matches(value, self.values, n=3))
        return term

    def _same(self, value: str, other: str) -> bool:
        if self.type in ("integer", "decimal"):
            return Decimal(value) == Decimal(other)
        return self._term(value) == self._term(other)

    def refusal(self, value: str, near: Sequence[str] = (), why: str = "") -> ParameterError:
        """The error that says what this parameter takes instead of a value, and what may have been meant."""
        shown = value if len(value) <= 80 else value[:77] + "..."
        said = f"parameter {self.name}={shown!r} is refused: {why or f'it takes {self.takes}'}"
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return ParameterError(said + hint, parameter=self.name, takes=self.takes, near=near)

    def _term(self, value: str) -> NamedNode | Literal:
        if self.type == "iri":
            try:
                return expand(value)
            except (UsageError, ValueError) as problem:
                raise self.refusal(value, why=f"it takes {self.takes} ({problem})") from problem
        if self.type == "integer":
            if not re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
                raise self.refusal(value)
            self._check_minimum(value)
            return Literal(str(int(value)), datatype=XSD.integer)
        if self.type == "decimal":
            if not re.fullmatch(r"[+-]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})", value, re.ASCII):
                raise self.refusal(value)
            self._check_minimum(value)
            return Literal(f"{Decimal(value):f}", datatype=XSD.decimal)
        if self.type == "date":
            try:
                return Literal(date.fromisoformat(value).isoformat(), datatype=XSD.date)
            except ValueError:
                raise self.refusal(value) from None
        if self.type == "language":
            if value not in LANGUAGES:
                raise self.refusal(value)
            return Literal(value)
        if "\x00" in value:
            raise self.refusal(value, why="it takes text without NUL characters")
        return Literal(value)

    def _check_minimum(self, value: str) -> None:
        if self.minimum is not None and Decimal(value) <= self.minimum:
            raise self.refusal(value)


@dataclass(frozen=True)
class Question:
    """A competency question: its SPARQL text (runs as it is), and what its header says."""

    id: str
    topic: str
    summary: str
    summaries: Mapping[str, str]  # language tag -> question, zh-Hans and zh-Hant
    description: str
    tags: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    columns: Mapping[str, str]
    labels: tuple[str, ...]  # the columns that hold labels of things, which have them in three languages
    units: Mapping[str, str]  # column -> UCUM
    chart: Mapping[str, str]  # kind, and the column of each role; empty where a table says it best
    related: tuple[str, ...]  # ids of other questions
    version: int  # raised when a column changes its meaning
    text: str
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # see `_siblings`

    @property
    def hash(self) -> str:
        """Names this text: the first 16 digits of its SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def bind(self, values: Mapping[str, str]) -> str:
        """The query with these parameter values in place of the examples; others keep their example.

        Raises ParameterError for an unknown parameter (with near matches) or a value that does not fit.
        """
        # All places are found in the file's own text, before any value of a reader stands in it.
        replaced: list[tuple[int, int, str]] = []
        for name, value in values.items():
            if name not in self.parameters:
                near = get_close_matches(name, self.parameters, n=3)
                known = ", ".join(self.parameters) or "none"
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                if siblings := self.elsewhere.get(name):
                    hint = f"; ask {' or '.join(siblings)} by it"
                raise ParameterError(
                    f"{self.id} has no parameter {name[:80]!r}{hint} (it takes: {known})", near=near
                )
            term = str(self.parameters[name].term(value))
            start, end = next(_block(name).finditer(self.text)).span(2)
            replaced.append((start, end, f" {term} "))
        text = self.text
        for start, end, term in sorted(replaced, reverse=True):
            text = text[:start] + term + text[end:]
        return text


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(VALUES\s+\?{name}\s*\{{)([^{{}}]*)(\}})")


class Catalogue(Mapping[str, Question]):
    """All questions by id, in order of topic and id."""

    def __init__(self, questions: Mapping[str, Question]) -> None:
        self._questions = questions

    @classmethod
    def read(cls, folder: Path) -> Catalogue:
        """Every `<topic>/<id>.rq` below a folder; a faulty header raises OntologyError naming the file."""
        questions: dict[str, Question] = {}
        for path in sorted(folder.glob("*/*.rq")):
            question = _read(path)
            if question.id in questions:
                raise OntologyError(f"{path}: another topic already has a query of this name; rename one")
            questions[question.id] = question
        for question in questions.values():
            if strangers := set(question.related) - set(questions):
                raise OntologyError(
                    f"{folder}/{question.topic}/{question.id}.rq: no query is called "
                    f"{', '.join(sorted(strangers))}, to which it is said to be related"
                )
        return cls(
            {id: replace(each, elsewhere=_siblings(each, questions)) for id, each in questions.items()}
        )

    def __getitem__(self, id: str) -> Question:
        try:
            return self._questions[id]
        except KeyError:
            near = get_close_matches(id, self._questions, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"no query is called {id!r}{hint}; /queries lists all {len(self)}") from None

    def __contains__(self, id: object) -> bool:
        return id in self._questions

    def __iter__(self) -> Iterator[str]:
        return iter(self._questions)

    def __len__(self) -> int:
        return len(self._questions)


def _siblings(question: Question, questions: Mapping[str, Question]) -> dict[str, tuple[str, ...]]:
    """By parameter that a question does not take, those that take it and whose ids begin most like its own.

    `papers-of-a-trial` for `trial` of `papers-of-trials`; one word at least is the same.
    """
    words = question.id.split("-")
    found: dict[str, list[tuple[int, str]]] = {}
    for other in questions.values():
        both = zip(words, other.id.split("-"), strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
        for name in set(other.parameters) - set(question.parameters) if shared else ():
            found.setdefault(name, []).append((shared, other.id))
    return {
        name: tuple(sorted(id for shared, id in ids if shared == max(ids)[0])) for name, ids in found.items()
    }


def _read(path: Path) -> Question:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    try:
        header = yaml.load("\n".join(line[2:] for line in lines if line.startswith("#+")), Loader=_YAML)
        parameters = [_parameter(entry) for entry in header.get("params", [])]
        question = Question(
            id=path.stem,
            topic=path.parent.name,
            summary=header["summary"],
            summaries={tag: header[f"summary_{tag}"] for tag in LANGUAGES[1:]},
            description=header["description"],
            tags=tuple(header["tags"]),
            parameters={parameter.name: parameter for parameter in parameters},
            columns=header["columns"],
            labels=tuple(header.get("labels", ())),
            units=header.get("units", {}),
            chart=header.get("chart", {}),
            related=tuple(header.get("related", ())),
            version=header.get("version", 1),
            text=text,
        )
    except (yaml.YAMLError, KeyError, AttributeError, TypeError, InvalidOperation) as problem:
        raise OntologyError(f"{path}: its header does not read: {problem!r}; see kg/canned.py") from problem
    _check_chart(path, question)
    if wrong := [name for name, meaning in question.columns.items() if not isinstance(meaning, str)]:
        raise OntologyError(
            f"{path}: column {', '.join(wrong)} has to say its meaning as text; units stand in `units`"
        )
    for what, named in (("units are", question.units), ("labels are", question.labels)):
        if unknown := set(named) - set(question.columns):
            raise OntologyError(f"{path}: {what} given for {', '.join(sorted(unknown))}, which is no column")
    if taken := RESERVED & set(question.parameters):
        raise OntologyError(f"{path}: a parameter cannot be called {', '.join(sorted(taken))}; rename it")
    for name, parameter in question.parameters.items():
        try:
            for value in (*parameter.examples, *filter(None, [parameter.default])):
                parameter.term(value)
        except ParameterError as problem:
            raise OntologyError(f"{path}: an example of its own is wrong: {problem}") from problem
        blocks = _block(name).findall(text)
        example = "UNDEF" if parameter.default is None else str(parameter.term(parameter.default))
        if len(blocks) != 1:
            raise OntologyError(f"{path}: parameter {name} needs exactly one VALUES ?{name} {{ … }} block")
        if _written(blocks[0][1].strip()) != example:
            raise OntologyError(
                f"{path}: the example in VALUES ?{name} is not the default {parameter.default!r}"
            )
    return question


def _check_chart(path: Path, question: Question) -> None:
    if not question.chart:
        return
    kind, roles = question.chart.get("kind", ""), {**question.chart}
    roles.pop("kind", None)
    if kind not in CHARTS:
        raise OntologyError(f"{path}: {kind!r} is no kind of chart; there are: {', '.join(CHARTS)}")
    must, may = CHARTS[kind]
    if not must <= set(roles) <= must | may:
        raise OntologyError(
            f"{path}: a chart of {kind} has a column for {', '.join(sorted(must))}"
            f"{' and may have one for ' + ', '.join(sorted(may)) if may else ''}"
        )
    if unknown := set(roles.values()) - set(question.columns):
        raise OntologyError(
            f"{path}: its chart is drawn from {', '.join(sorted(unknown))}, which is no column"
        )


def _written(example: str) -> str:
    """The N-Triples spelling of an example as people write it (`70`, `stroma:X`, `"text"`, dates)."""
    if re.fullmatch(r"[+-]?\d+", example):
        return str(Literal(example, datatype=XSD.integer))
    if re.fullmatch(r"[+-]?\d*\.\d+", example):
        return str(Literal(example, datatype=XSD.decimal))
    if day := re.fullmatch(r'("[0-9-]+")\^\^xsd:date', example):
        return f"{day[1]}^^{XSD.date}"
    if re.fullmatch(r"[A-Za-z]\w*:\S+", example):
        return str(expand(example))
    return example


def _parameter(entry: Mapping[str, Any]) -> Parameter:
    if entry["type"] not in _TYPES:
        raise KeyError(f"unknown parameter type {entry['type']!r}")
    return Parameter(
        name=entry["name"],
        type=entry["type"],
        default=None if entry.get("default") is None else str(entry["default"]),
        description=entry["description"],
        minimum=None if entry.get("minimum") is None else Decimal(str(entry["minimum"])),
        values=tuple(str(value) for value in entry.get("values", ())),
        of=entry.get("of"),
        under=entry.get("under"),
        by=entry.get("by"),
        examples=tuple(str(value) for value in entry.get("examples", ())),
    )
