"""Who says what: the propositions of a claim or a finding, every place that says them, and what disagrees.

Hides the machinery of claims (propositions, spans, records) behind plain data. Asked of an engine: the limits
of a query hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyoxigraph import NamedNode

from kg.engine import Engine, Limits
from kg.rows import Node, Row, rows, text_of, whole_of

_SPAN = """?span stroma:inDocument/dcterms:identifier ?document ; stroma:lineNumber ?line ;
                    stroma:startOffset ?start ; stroma:endOffset ?end ; stroma:sha256 ?sha ."""
_MOST = 2_000  # rows of one question; a claim has a handful of propositions, a finding some dozens


@dataclass(frozen=True)
class Place:
    """Where a document says something: line from 1, code points from its start, the end exclusive."""

    document: str
    line: int
    start: int
    end: int
    sha256: str  # of the characters, as UTF-8


@dataclass(frozen=True)
class Saying:
    """A claim of a proposition: IRI, ledger id or "", how it is put, at which level, and where it stands.

    `field` is the registry's field it was read from, `basis` what a curator took it from.
    """

    claim: str
    id: str
    modality: str
    level: str
    place: Place | None = None
    field: str = ""
    basis: str = ""


@dataclass(frozen=True)
class Said:
    """A proposition: its edge, whether it is affirmed, who says it, and the records that hold it."""

    iri: str
    subject: str
    predicate: str
    object: Node
    positive: bool
    sayings: tuple[Saying, ...] = ()
    records: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A finding in short; `about` are the things it is about, all values IRIs but the summary."""

    iri: str
    summary: str
    kind: str
    severity: str
    status: str
    rule: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A rule that finds disagreements: what it compares, in paragraphs, and how many comparisons it made."""

    iri: str
    title: str
    paragraphs: tuple[str, ...]
    compared: int


async def rule(engine: Engine, iri: str, limits: Limits) -> Rule | None:
    """A rule by its IRI; None where the graph has none of this name."""
    found = await rows(
        engine,
        f"""SELECT ?title ?description ?compared WHERE {{
          {NamedNode(iri)} a stroma:ContradictionRule ; rdfs:label ?title ;
            dcterms:description ?description ; stroma:comparisonsMade ?compared }} LIMIT 1""",
        limits,
    )
    for row in found:
        paragraphs = tuple(text_of(row, "description").split("\n"))
        return Rule(iri, text_of(row, "title"), paragraphs, int(text_of(row, "compared")))
    return None


async def place(engine: Engine, claim: str, limits: Limits) -> Place | None:
    """Where a document states a claim; None for one that no document states."""
    for row in await rows(
        engine,
        f"""SELECT ?document ?line ?start ?end ?sha WHERE {{
          {NamedNode(claim)} stroma:statedAt ?span . {_SPAN} }} LIMIT 1""",
        limits,
    ):
        return _place(row)
    return None


async def choices(engine: Engine, limits: Limits) -> dict[str, list[str]]:
    """What a finding's kind, severity and status may be, as IRIs, whether or not some finding has it."""
    classes = {"kind": "DiscrepancyKind", "severity": "DiscrepancySeverity", "status": "FindingStatus"}
    found: dict[str, list[str]] = {name: [] for name in classes}
    for name, kind in classes.items():
        query = f"SELECT DISTINCT ?value WHERE {{ ?value a stroma:{kind} }} ORDER BY ?value"
        found[name] = [row["value"].value for row in await rows(engine, query, limits)]
    return found


async def said_by(engine: Engine, claim: str, limits: Limits) -> list[Said]:
    """The propositions of a claim, each with every claim of it."""
    return await propositions(engine, f"{NamedNode(claim)} stroma:asserts ?proposition .", limits)


async def said_against(engine: Engine, claim: str, limits: Limits) -> list[Said]:
    """What others say that speaks against a claim, by the evidence lines of its propositions."""
    return await propositions(
        engine,
        f"""{NamedNode(claim)} stroma:asserts ?own .
        ?own obo:SEPIO_0000008 ?other ; stroma:propositionSubject ?its ; stroma:propositionPredicate ?as .
        ?other stroma:asserts ?proposition .
        ?proposition stroma:propositionSubject ?s ; stroma:propositionPredicate ?p .
        FILTER(?s = ?its || ?p = ?as)""",
        limits,
    )


async def involved_in(engine: Engine, finding: str, limits: Limits) -> list[Said]:
    """The propositions that a finding rests on."""
    return await propositions(engine, f"{NamedNode(finding)} stroma:involves ?proposition .", limits)


async def findings(engine: Engine, limits: Limits, *, about: str | None = None) -> list[Found]:
    """All findings, or those about or involving a thing; sorted by kind, severity and summary."""
    only = "" if about is None else f"?finding dcterms:subject|stroma:involves {NamedNode(about)} ."
    found: dict[str, Found] = {}
    for row in await rows(
        engine,
        f"""SELECT DISTINCT ?finding ?summary ?kind ?severity ?status ?rule ?about WHERE {{
          ?finding a stroma:Discrepancy ; rdfs:label ?summary ; stroma:discrepancyKind ?kind ;
                   stroma:severity ?severity ; stroma:findingStatus ?status .
          {only}
          OPTIONAL {{ ?finding stroma:foundByRule ?rule }}
          OPTIONAL {{ ?finding dcterms:subject ?about }}
        }} ORDER BY ?kind ?severity ?summary ?finding ?about""",
        limits,
    ):
        iri = row["finding"].value
        before = found.get(iri)
        subjects = [*(before.about if before else ()), text_of(row, "about")]
        told = {name: text_of(row, name) for name in ("summary", "kind", "severity", "status", "rule")}
        found[iri] = Found(iri, **told, about=tuple(dict.fromkeys(each for each in subjects if each)))
    return list(found.values())


async def propositions(engine: Engine, pattern: str, limits: Limits) -> list[Said]:
    """The propositions that a pattern binds as `?proposition`, each with every claim of it."""
    found = await rows(
        engine,
        f"""SELECT DISTINCT ?proposition ?s ?p ?o ?polarity ?record ?c ?id ?modality ?level ?field ?basis
               ?document ?line ?start ?end ?sha WHERE {{
          {pattern}
          ?proposition stroma:propositionSubject ?s ; stroma:propositionPredicate ?p ;
                       stroma:propositionObject ?o ; stroma:polarity ?polarity .
          OPTIONAL {{ ?proposition prov:wasDerivedFrom ?record }}
          OPTIONAL {{
            ?c stroma:asserts ?proposition .
            OPTIONAL {{ ?c dcterms:identifier ?id }}
            OPTIONAL {{ ?c stroma:modality ?modality }}
            OPTIONAL {{ ?c stroma:statementLevel ?level }}
            OPTIONAL {{ ?c stroma:inField ?field }}
            OPTIONAL {{ ?c stroma:basis ?basis }}
            OPTIONAL {{
              ?c stroma:statedAt ?span .
              {_SPAN}
            }}
          }}
        }} ORDER BY ?s ?p ?o ?polarity ?document ?line ?start ?id ?c ?record LIMIT {_MOST}""",
        limits,
    )
    gathered: dict[str, _Gathered] = {}
    for row in found:
        own = gathered.setdefault(row["proposition"].value, _Gathered(row))
        if "record" in row:
            own.records[row["record"].value] = None
        if "c" in row:
            own.sayings[_saying(row)] = None
    return [each.said() for each in gathered.values()]


@dataclass
class _Gathered:
    row: Row
    sayings: dict[Saying, None] = field(default_factory=dict)
    records: dict[str, None] = field(default_factory=dict)

    def said(self) -> Said:
        row = self.row
        return Said(
            row["proposition"].value, row["s"].value, row["p"].value, row["o"],
            row["polarity"].value.endswith("PolarityPositive"), tuple(self.sayings), tuple(self.records),
        )  # fmt: skip


def _saying(row: Row) -> Saying:
    told = {name: text_of(row, name) for name in ("id", "modality", "level", "field", "basis")}
    return Saying(row["c"].value, place=_place(row), **told)


def _place(row: Row) -> Place | None:
    line, start, end = (whole_of(row, name) for name in ("line", "start", "end"))
    if line is None or start is None or end is None:
        return None
    return Place(text_of(row, "document"), line, start, end, text_of(row, "sha"))


def mentioned(said: Sequence[Said], found: Sequence[Found] = ()) -> set[str]:
    """Every IRI that a reader meets in propositions and findings: what has to be named."""
    names: set[str] = set()
    for each in said:
        names |= {each.subject, each.predicate, *each.records}
        if isinstance(each.object, NamedNode):
            names.add(each.object.value)
        for saying in each.sayings:
            names |= {saying.modality, saying.level}
    for finding in found:
        names |= {finding.kind, finding.severity, finding.status, finding.rule, *finding.about}
    return {name for name in names if name}


def sides(said: Sequence[Said]) -> list[list[Said]]:
    """The propositions of a finding as its sides: by what they are about, and where that is one thing, each
    by itself.

    `[[a1, a2], [b1, b2]]` for two values of two cells of a table.
    """
    by: dict[str, list[Said]] = {}
    for each in said:
        by.setdefault(each.subject, []).append(each)
    return list(by.values()) if len(by) > 1 else [[each] for each in said]
