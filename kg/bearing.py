"""What bears on a proposition: everything said for it and against it, by source, strength and level.

Hides how it is gathered, and decides nothing: for it are the claims that assert it, and for it, against it
or inconclusive what `graph:evidence-lines` says (`kg.evidence.lines` defines that). Beside, and not
counted: the same relation of a kind below or above. Asked of an engine: the limits of a query hold.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal as OneOf

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, serialize

from kg import claims
from kg.claims import Found, Said, Saying
from kg.engine import Engine, Limits
from kg.errors import UsageError
from kg.names import Names, named, names
from kg.rows import Node, Row, listed, rows, text_of
from kg.terms import BASE, OBO, PROV, RDF, STROMA, compress, prefixes

Stance = OneOf["for", "against", "inconclusive", "beside"]
STANCES: tuple[Stance, ...] = ("for", "against", "inconclusive", "beside")
FORMATS = ("text", "json", "turtle")
_PROPOSITIONS = 40  # of one thing, at most; a thing with more is asked by one of them
_BESIDE = 40
_DIRECTIONS: dict[Stance, NamedNode] = {
    "for": OBO.SEPIO_0000007,
    "against": OBO.SEPIO_0000008,
    "inconclusive": OBO.SEPIO_0000009,
}


@dataclass(frozen=True)
class Line:
    """One voice: its stance, who speaks, and what it gives.

    `who` is the IRI of a claim, a registry's record, a derived number, or the graph that holds the edge.
    `proposition` is what it says; None of a number or record that says it otherwise, of which `words` tell.
    `saying` is a claim's. `level`, `evidence` (ECO), `study`, `species`, `modality` and `confidence` are
    IRIs, or "" where nothing is said; `basis` says why that confidence.
    """

    stance: Stance
    who: str
    proposition: Said | None
    saying: Saying | None
    level: str
    modality: str = ""
    words: str = ""
    evidence: str = ""
    study: str = ""
    species: str = ""
    population: str = ""
    confidence: str = ""
    basis: str = ""
    source: str = ""
    day: str = ""

    @property
    def named(self) -> tuple[str, ...]:
        """The IRIs of it that a reader meets."""
        told = (
            self.level,
            self.modality,
            self.evidence,
            self.study,
            self.species,
            self.confidence,
            self.source,
        )
        return tuple(filter(None, told))


@dataclass(frozen=True)
class Bearing:
    """All that bears on one proposition, and the findings that involve it."""

    proposition: Said
    lines: tuple[Line, ...]
    findings: tuple[Found, ...]

    def counted(self) -> dict[Stance, Counter[tuple[str, str]]]:
        """How many voices there are, by stance, then by level and modality."""
        counts: dict[Stance, Counter[tuple[str, str]]] = {stance: Counter() for stance in STANCES}
        for line in self.lines:
            counts[line.stance][line.level, line.modality] += 1
        return counts


async def bearings(engine: Engine, iri: str, limits: Limits) -> tuple[list[Bearing], Names]:
    """What bears on a proposition, on each proposition of a claim, or on each that a thing stands in.

    Returns them with the names of all they mention. Raises UsageError where nothing is proposed of it.
    """
    about = await _propositions(engine, iri, limits)
    found = [await _bearing(engine, each, limits) for each in about]
    mentioned: set[str] = set()
    for each in found:
        mentioned |= claims.mentioned(
            [each.proposition, *(line.proposition for line in each.lines if line.proposition)], each.findings
        )
        mentioned |= {iri for line in each.lines for iri in line.named}
    return found, await names(engine, {name for name in mentioned if name}, limits)


async def _propositions(engine: Engine, iri: str, limits: Limits) -> list[Said]:
    node = NamedNode(iri)
    kind = iri.removeprefix(BASE).partition("/")[0] if iri.startswith(BASE) else ""
    if kind == "proposition":
        found = await claims.propositions(engine, f"VALUES ?proposition {{ {node} }}", limits)
    elif kind == "claim":
        found = await claims.said_by(engine, iri, limits)
    else:
        # What a thing does to another is meant; its numbers and labels only where something bears on them.
        found = await claims.propositions(
            engine,
            f"""{{ SELECT DISTINCT ?proposition WHERE {{
              {{ ?proposition stroma:propositionSubject {node} }} UNION
              {{ ?proposition stroma:propositionObject {node} }}
              ?proposition stroma:propositionPredicate ?relation ; stroma:propositionObject ?what .
              OPTIONAL {{ ?proposition obo:SEPIO_0000007|obo:SEPIO_0000008|obo:SEPIO_0000009 ?line }}
              FILTER(BOUND(?line) || (isIRI(?what) && EXISTS {{ ?relation a owl:ObjectProperty }}))
            }} ORDER BY ?proposition LIMIT {_PROPOSITIONS} }}""",
            limits,
        )
    if not found:
        raise UsageError(
            f"{compress(iri)}: nothing is proposed of it in this graph. Give a proposition, a claim, or a "
            "thing that claims relate to another; /search finds them"
        )
    return found


async def _bearing(engine: Engine, said: Said, limits: Limits) -> Bearing:
    lines = [_claimed("for", said, saying) for saying in said.sayings]
    lines += await _evidence(engine, said, limits)
    if isinstance(said.object, NamedNode):
        for each in await claims.propositions(engine, _beside(said), limits):
            lines += [_claimed("beside", each, saying) for saying in each.sayings]
    found = await asyncio.gather(
        claims.findings(engine, limits, about=said.iri),
        *(claims.findings(engine, limits, about=saying.claim) for saying in said.sayings),
    )
    findings = {each.iri: each for group in found for each in group}
    return Bearing(said, tuple(await _told(engine, lines, limits)), tuple(findings.values()))


def _claimed(stance: Stance, given: Said | None, saying: Saying, words: str = "") -> Line:
    return Line(stance, saying.claim, given, saying, saying.level, saying.modality, words)


async def _evidence(engine: Engine, said: Said, limits: Limits) -> list[Line]:
    """What `graph:evidence-lines` has of a proposition."""
    stances = {direction.value: stance for stance, direction in _DIRECTIONS.items()}
    found = await rows(
        engine,
        f"""SELECT DISTINCT ?direction ?who ?level ?label ?computation ?text WHERE {{
          VALUES ?direction {{ {listed(stances)} }}
          {NamedNode(said.iri)} ?direction ?who .
          OPTIONAL {{ ?who stroma:statementLevel ?level }}
          OPTIONAL {{ ?who rdfs:label ?label FILTER(LANG(?label) = "en") }}
          OPTIONAL {{ ?who stroma:computation ?computation }}
          OPTIONAL {{ ?who stroma:claimText ?text }}
        }} ORDER BY ?direction ?who ?label ?text""",
        limits,
    )
    told: dict[tuple[str, str], Row] = {}
    for first in found:
        told.setdefault((first["direction"].value, first["who"].value), first)
    spoken = [who for _, who in told if who.startswith(f"{BASE}claim/")]
    given = await claims.propositions(
        engine, f"VALUES ?by {{ {listed(spoken)} }} ?by stroma:asserts ?proposition .", limits
    ) if spoken else []  # fmt: skip
    lines = []
    for (direction, who), row in told.items():
        stance = stances[direction]
        sayings = [(each, saying) for each in given for saying in each.sayings if saying.claim == who]
        if sayings:
            near = _nearest((each for each, _ in sayings), said)
            lines.append(_claimed(stance, near, sayings[0][1], "" if near else text_of(row, "text")))
            continue
        # Of a graph or a record that says the same, the edge is what it says.
        same = stance == "for" and "computation" not in row
        level = text_of(row, "level") or STROMA.LevelRecorded.value
        words = ": ".join(filter(None, (text_of(row, name) for name in ("label", "computation"))))
        lines.append(Line(stance, who, said if same else None, None, level, words="" if same else words))
    return lines


def _nearest(given: Iterable[Said], said: Said) -> Said | None:
    """What a claim says that bears on a proposition: of the same thing, else in the same relation."""

    def far(each: Said) -> int:
        if each.subject == said.subject and said.object == each.object:
            return 0
        if each.predicate != said.predicate:
            return 3
        return 1 if each.subject == said.subject else 2

    return min((each for each in given if far(each) < 3), key=far, default=None)


def _beside(said: Said) -> str:
    """The same relation, one step down or up at one end."""
    subject, value = NamedNode(said.subject), said.object
    step = "(rdfs:subClassOf|^rdfs:subClassOf)"
    return f"""{{ SELECT DISTINCT ?proposition WHERE {{
      {{ {subject} {step} ?near .
         ?proposition stroma:propositionSubject ?near ; stroma:propositionObject {value} }}
      UNION
      {{ {value} {step} ?near .
         ?proposition stroma:propositionObject ?near ; stroma:propositionSubject {subject} }}
      ?proposition stroma:propositionPredicate {NamedNode(said.predicate)} .
      FILTER(?proposition != {NamedNode(said.iri)})
    }} ORDER BY ?proposition LIMIT {_BESIDE} }}"""


async def _told(engine: Engine, lines: Sequence[Line], limits: Limits) -> list[Line]:
    """The lines with what each claim says of itself."""
    spoken = sorted({line.saying.claim for line in lines if line.saying is not None})
    told: dict[str, dict[str, str]] = {}
    if spoken:
        for row in await rows(
            engine,
            f"""SELECT ?c ?evidence ?study ?species ?population ?confidence ?basis ?day ?source WHERE {{
              VALUES ?c {{ {listed(spoken)} }}
              OPTIONAL {{ ?c stroma:evidenceType ?evidence }}
              OPTIONAL {{ ?c stroma:evidenceStudyType ?study }}
              OPTIONAL {{ ?c stroma:sourceSpecies ?species }}
              OPTIONAL {{ ?c stroma:claimPopulation ?population }}
              OPTIONAL {{ ?c stroma:confidence ?confidence }}
              OPTIONAL {{ ?c stroma:confidenceBasis ?basis }}
              OPTIONAL {{ ?c prov:generatedAtTime ?day }}
              OPTIONAL {{ ?c prov:wasDerivedFrom ?source }}
            }} ORDER BY ?c ?source""",
            limits,
        ):
            said = {name: text_of(row, name) for name in row if name != "c"}
            told.setdefault(row["c"].value, said)
    whole = []
    for line in lines:
        said = told.get(line.saying.claim, {}) if line.saying is not None else {}
        whole.append(
            replace(
                line,
                evidence=said.get("evidence", ""),
                study=said.get("study", ""),
                species=said.get("species", ""),
                population=said.get("population", ""),
                confidence=said.get("confidence", ""),
                basis=said.get("basis", ""),
                source=said.get("source", ""),
                day=said.get("day", "")[:10],
            )
        )
    return whole


# ---------------------------------------------------------------------------------------- in words


def as_text(found: Iterable[Bearing], known: Names) -> str:
    """Each proposition with its voices, as lines for a terminal."""

    def name(iri: str) -> str:
        return named(known, iri) if iri else ""

    out: list[str] = []
    wide = max(map(len, STANCES))
    beside = " " * (wide + 3)
    for each in found:
        out += [
            sentence(each.proposition, known),
            f"  {compress(each.proposition.iri)}",
            *summary(each, known),
        ]
        for stance in STANCES:
            for line in each.lines:
                if line.stance != stance:
                    continue
                out.append(f"  {stance:<{wide}} {_who(line, name)}")
                if line.proposition is not None and line.proposition.iri != each.proposition.iri:
                    out.append(f"{beside}{sentence(line.proposition, known)}")
                if line.words:
                    out.append(f"{beside}{line.words}")
                more = [
                    *map(name, (line.level, line.modality, line.evidence, line.study, line.species)),
                    line.population, name(line.confidence), line.basis and f"({line.basis})", line.day,
                ]  # fmt: skip
                out.append(f"{beside}{'; '.join(part for part in more if part)}")
        out += [f"  finding  {finding.summary} [{name(finding.status)}]" for finding in each.findings]
        out.append("")
    return "\n".join(out)


def sentence(said: Said, known: Names, language: str = "en") -> str:
    """A proposition in words."""
    value = (
        named(known, said.object.value, language) if isinstance(said.object, NamedNode) else said.object.value
    )
    words = f"{named(known, said.subject, language)} {named(known, said.predicate, language)} {value}"
    return words if said.positive else f"not: {words}"


def summary(each: Bearing, known: Names) -> list[str]:
    """A line for each stance that has voices: how many, by level and modality."""
    lines = []
    for stance, counts in each.counted().items():
        if counts:
            parts = [
                f"{number} {named(known, level) if level else 'unsaid level'}"
                + (f", {named(known, modality)}" if modality else "")
                for (level, modality), number in sorted(counts.items())
            ]
            lines.append(f"  {stance}: {sum(counts.values())} ({'; '.join(parts)})")
    return lines or ["  nobody says anything for or against it"]


def _who(line: Line, name: object) -> str:
    saying = line.saying
    if saying is None:
        return compress(line.who)
    where = ""
    if saying.place is not None:
        place = saying.place
        where = f", document {place.document}, line {place.line}, characters {place.start}-{place.end}"
    elif saying.field:
        where = f", field {saying.field}"
    return f"{saying.id or compress(saying.claim)}{where}"


def as_json(found: Iterable[Bearing], known: Names) -> str:
    """The same for programs; every IRI whole, with its names."""

    def proposition(said: Said) -> dict[str, object]:
        value = said.object
        return {
            "iri": said.iri or None,
            "subject": said.subject,
            "predicate": said.predicate,
            "object": value.value,
            "positive": said.positive,
            "sentence": sentence(said, known),
        }

    def line(each: Line) -> dict[str, object]:
        told = {
            name: value or None
            for name, value in asdict(each).items()
            if name not in ("proposition", "saying", "stance")
        }
        saying = each.saying
        return {
            "stance": each.stance,
            "proposition": proposition(each.proposition) if each.proposition else None,
            "claim": saying.claim if saying else None,
            "id": (saying.id or None) if saying else None,
            "place": asdict(saying.place) if saying and saying.place else None,
            "field": (saying.field or None) if saying else None,
            **told,
        }

    return (
        json.dumps(
            {
                "propositions": [
                    {
                        **proposition(each.proposition),
                        "counts": {
                            stance: [
                                {"level": level or None, "modality": modality or None, "voices": number}
                                for (level, modality), number in sorted(counts.items())
                            ]
                            for stance, counts in each.counted().items()
                        },
                        "lines": [line(one) for one in each.lines],
                        "findings": [asdict(finding) for finding in each.findings],
                    }
                    for each in found
                ],
                "names": dict(sorted(known.items())),
            },
            ensure_ascii=False,
            indent=1,
        )
        + "\n"
    )


def as_turtle(found: Iterable[Bearing]) -> bytes:
    """The propositions, who asserts them, and their evidence lines, as the graph has them (SEPIO)."""
    triples: dict[Triple, None] = {}
    for each in found:
        for line in each.lines:
            add: list[tuple[NamedNode, NamedNode, Node]] = []
            for said in filter(None, (each.proposition, line.proposition)):
                own = NamedNode(said.iri)
                polarity = STROMA.PolarityPositive if said.positive else STROMA.PolarityNegative
                add += [
                    (own, RDF.type, STROMA.Proposition),
                    (own, STROMA.propositionSubject, NamedNode(said.subject)),
                    (own, STROMA.propositionPredicate, NamedNode(said.predicate)),
                    (own, STROMA.propositionObject, said.object),
                    (own, STROMA.polarity, polarity),
                ]
            asserted = line.proposition is not None and line.saying is not None
            if line.stance in _DIRECTIONS and not (asserted and line.proposition == each.proposition):
                about = NamedNode(each.proposition.iri)
                add.append((about, _DIRECTIONS[line.stance], NamedNode(line.who)))
            if line.saying is not None:
                claim = NamedNode(line.saying.claim)
                if line.proposition is not None:
                    add.append((claim, STROMA.asserts, NamedNode(line.proposition.iri)))
                for predicate, value in (
                    (STROMA.statementLevel, line.level), (STROMA.modality, line.modality),
                    (STROMA.evidenceType, line.evidence), (STROMA.evidenceStudyType, line.study),
                    (STROMA.confidence, line.confidence), (PROV.wasDerivedFrom, line.source),
                ):  # fmt: skip
                    if value:
                        add.append((claim, predicate, NamedNode(value)))
                if line.basis:
                    add.append((claim, STROMA.confidenceBasis, Literal(line.basis, language="en")))
            triples |= {Triple(*parts): None for parts in add}
    written = serialize(triples, format=RdfFormat.TURTLE, prefixes=dict(prefixes()))
    assert written is not None
    return written
