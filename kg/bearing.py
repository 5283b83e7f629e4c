"""What bears on a proposition: everything said for it and against it, by source, strength and level.

Hides what counts. For: every claim, record, inference or computation that gives the proposition itself.
Against: the same edge denied, or affirmed with the opposite relation (`stroma:oppositeOf` in the ontology) of
the same two things. Beside, and not counted: the same relation of a kind below or above. A claim that is
hedged or recommends counts on its side under that word; silence counts for nothing. Asked of an engine: the
limits of a query hold.
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
from kg.rows import Node, listed, rows, text_of
from kg.terms import BASE, PROV, RDF, STROMA, compress, prefixes

Stance = OneOf["for", "against", "beside"]
STANCES: tuple[Stance, ...] = ("for", "against", "beside")
FORMATS = ("text", "json", "turtle")
_PROPOSITIONS = 40  # of one thing, at most; a thing with more is asked by one of them
_BESIDE = 40
_SAID_BY_GRAPH = ("LevelRecorded", "LevelInferred", "LevelRecomputed")  # what speaks without a claim


@dataclass(frozen=True)
class Line:
    """One voice: its stance, the proposition it gives, and who speaks.

    `saying` is a claim's; without one `graph` is the graph that holds the edge. `level`, `evidence` (ECO),
    `study`, `species`, `modality` and `confidence` are IRIs, or "" where nothing is said; `basis` says why
    that confidence.
    """

    stance: Stance
    proposition: Said
    saying: Saying | None
    graph: str
    level: str
    modality: str = ""
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
            [each.proposition, *(line.proposition for line in each.lines)], each.findings
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
        # Of numbers and labels there is nothing to weigh here: what a thing does to another is meant.
        found = await claims.propositions(
            engine,
            f"""{{ SELECT DISTINCT ?proposition WHERE {{
              {{ ?proposition stroma:propositionSubject {node} }} UNION
              {{ ?proposition stroma:propositionObject {node} }}
              ?proposition stroma:propositionPredicate ?relation ; stroma:propositionObject ?what .
              ?relation a owl:ObjectProperty . FILTER(isIRI(?what))
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
    pattern = _same(said, said.predicate, not said.positive)
    against = [await claims.propositions(engine, pattern, limits)]
    opposite = await rows(
        engine, f"SELECT ?r WHERE {{ {NamedNode(said.predicate)} stroma:oppositeOf ?r }} ORDER BY ?r", limits
    )
    against += [
        await claims.propositions(engine, _same(said, row["r"].value, said.positive), limits)
        for row in opposite
    ]
    beside = await claims.propositions(engine, _beside(said), limits) if _relates(said) else []
    lines: list[Line] = []
    for stance, propositions in (
        ("for", [said]),
        ("against", [each for group in against for each in group]),
        ("beside", beside),
    ):
        for each in propositions:
            lines += await _voices(engine, _stance(stance), each, limits)
    # An edge can be in the graph that nobody has put into a proposition: an inference, a registry's record.
    for row in opposite:
        there = replace(said, iri="", predicate=row["r"].value, sayings=(), records=())
        if not any(
            line.proposition.predicate == there.predicate for line in lines if line.stance == "against"
        ):
            lines += await _edges(engine, "against", there, set(), limits)
    found = await asyncio.gather(
        claims.findings(engine, limits, about=said.iri),
        *(claims.findings(engine, limits, about=saying.claim) for saying in said.sayings),
    )
    findings = {each.iri: each for group in found for each in group}
    return Bearing(said, tuple(await _told(engine, lines, limits)), tuple(findings.values()))


def _stance(word: str) -> Stance:
    return next(stance for stance in STANCES if stance == word)


def _relates(said: Said) -> bool:
    return isinstance(said.object, NamedNode)


def _same(said: Said, predicate: str, positive: bool) -> str:
    polarity = STROMA.PolarityPositive if positive else STROMA.PolarityNegative
    return (
        f"?proposition stroma:propositionSubject {NamedNode(said.subject)} ; "
        f"stroma:propositionPredicate {NamedNode(predicate)} ; "
        f"stroma:propositionObject {said.object} ; stroma:polarity {polarity} ."
    )


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


async def _voices(engine: Engine, stance: Stance, said: Said, limits: Limits) -> list[Line]:
    lines = [Line(stance, said, saying, "", saying.level, saying.modality) for saying in said.sayings]
    return lines + await _edges(engine, stance, said, {line.level for line in lines}, limits)


async def _edges(engine: Engine, stance: Stance, said: Said, heard: set[str], limits: Limits) -> list[Line]:
    """The graphs that hold the edge itself and speak without a claim: records, inferences, computations."""
    if not said.positive:
        return []
    levels = listed(STROMA(name).value for name in _SAID_BY_GRAPH)
    found = await rows(
        engine,
        f"""SELECT DISTINCT ?g ?level WHERE {{
          VALUES ?level {{ {levels} }}
          GRAPH ?g {{ {NamedNode(said.subject)} {NamedNode(said.predicate)} {said.object} }}
          ?g stroma:statementLevel ?level .
        }} ORDER BY ?g""",
        limits,
    )
    # What is recorded by claims of records has been heard already.
    return [
        Line(stance, said, None, row["g"].value, row["level"].value)
        for row in found
        if row["level"].value not in heard
    ]


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
                out.append(f"  {stance:<8} {_who(line, name)}")
                if (line.proposition.iri or stance) != each.proposition.iri:
                    out.append(f"           {sentence(line.proposition, known)}")
                more = [
                    *map(name, (line.level, line.modality, line.evidence, line.study, line.species)),
                    line.population, name(line.confidence), line.basis and f"({line.basis})", line.day,
                ]  # fmt: skip
                out.append(f"           {'; '.join(part for part in more if part)}")
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
        return compress(line.graph)
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
            "proposition": proposition(each.proposition),
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
    """The propositions, who asserts them, and of the opposite ones that they are disputed (cito:disputes)."""
    triples: dict[Triple, None] = {}
    for each in found:
        for line in each.lines:
            said = line.proposition
            if not said.iri:
                continue
            own = NamedNode(said.iri)
            polarity = STROMA.PolarityPositive if said.positive else STROMA.PolarityNegative
            add: list[tuple[NamedNode, NamedNode, Node]] = [
                (own, RDF.type, STROMA.Proposition),
                (own, STROMA.propositionSubject, NamedNode(said.subject)),
                (own, STROMA.propositionPredicate, NamedNode(said.predicate)),
                (own, STROMA.propositionObject, said.object),
                (own, STROMA.polarity, polarity),
            ]
            if line.stance == "against":
                add.append((own, _DISPUTES, NamedNode(each.proposition.iri)))
            if line.saying is not None:
                claim = NamedNode(line.saying.claim)
                add.append((claim, STROMA.asserts, own))
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
    named_here = {**prefixes(), "cito": "http://purl.org/spar/cito/"}
    written = serialize(triples, format=RdfFormat.TURTLE, prefixes=named_here)
    assert written is not None
    return written


_DISPUTES = NamedNode("http://purl.org/spar/cito/disputes")
