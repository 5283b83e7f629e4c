"""What a trial registered and what became of it: outcomes, participants, arms, publications, findings.

Hides the queries. What is compared (registered beside reported, links of publications) was computed by the
build and stands in `graph:links`; nothing is judged here. Arms, doses, dates and reported numbers are in
`kg.trials`. Asked of an engine: the limits of a query hold. `kg.registration_forms` writes it as text, JSON
or Turtle.

For a page: `await read(engine, iri, limits)`. By a number that a reader typed: `await find(engine, name,
limits)`, whose `registration` is None where the graph has none, and `near` the names like it.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyoxigraph import NamedNode

from kg.engine import Engine, Limits
from kg.names import Names, named, names
from kg.rows import Node, Row, rows, text_of
from kg.terms import BASE, DCTERMS, STROMA, compress, mint

_TRIAL = f"{BASE}trial/"
_MOST = 2_000  # rows of one query
_NEAR = 5


@dataclass(frozen=True)
class Fact:
    """One value of a property of the trial, and the graphs (IRIs) in which it stands."""

    predicate: str  # IRI
    value: Node
    graphs: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One thing as registered beside the same as reported: a build's stroma:RegistryComparison.

    `kind` is "outcome", "arm" or "enrollment"; `result` the IRI of a stroma:Result…; `text` says in English
    what was compared. `registered` and `reported` are IRIs; `numbers` has counts by "planned", "actual" and
    "reported".
    """

    iri: str
    kind: str
    result: str
    text: str
    registered: tuple[str, ...]
    reported: tuple[str, ...]
    numbers: Mapping[str, int]


@dataclass(frozen=True)
class Outcome:
    """A planned outcome of the record, and the comparison with what is reported, where there is one."""

    iri: str
    label: str
    role: str  # primary, secondary, other
    time_frame: str
    months: tuple[str, ...]
    measures: tuple[str, ...]  # IRIs
    posted: str  # day on which the registry posted results of it, or ""
    note: str
    comparison: Comparison | None


@dataclass(frozen=True)
class Link:
    """Why a publication is taken to be about the trial: a claim of `graph:links`.

    `says` is "reports", "protocol" or "cited" (the record cites it, no more); `method` and `confidence` are
    IRIs; `sure` where the edge stands as a plain statement.
    """

    iri: str
    says: str
    method: str
    confidence: str
    basis: str
    sure: bool


@dataclass(frozen=True)
class Publication:
    """A publication with its links to the trial, the surest first.

    A study without a registry number has the publication that reports it, without a link.
    """

    iri: str
    label: str
    title: str
    journal: str
    year: str
    pmid: str
    doi: str
    pmcid: str
    links: tuple[Link, ...]

    @property
    def says(self) -> str:
        """The most that a link says: reports, protocol or cited."""
        return min((link.says for link in self.links), key=_SAYS.index, default="reports")


@dataclass(frozen=True)
class Finding:
    """A contradiction about the trial or one of its parts."""

    iri: str
    summary: str
    severity: str  # IRI
    status: str  # IRI


@dataclass(frozen=True)
class Related:
    """Another trial: `relation` (an IRI) leads to it, or where `inverse` from it to this one."""

    relation: str
    trial: str
    inverse: bool


@dataclass(frozen=True)
class Registration:
    """All of it. `names` has the labels, by language, of every IRI that is mentioned.

    `arms` are those of the record; `studies` the other names under which linked papers report the trial.
    """

    iri: str
    id: str
    facts: Sequence[Fact]
    arms: Sequence[str]  # IRIs
    studies: Sequence[str]  # IRIs
    outcomes: Sequence[Outcome]
    comparisons: Sequence[Comparison]  # of all kinds, those of outcomes too
    publications: Sequence[Publication]
    findings: Sequence[Finding]
    related: Sequence[Related]
    names: Names = field(repr=False)

    def name(self, iri: str, language: str = "en") -> str:
        """A thing's name in a language, else in English, else its CURIE."""
        return named(self.names, iri, language)

    def values(self, *properties: str, graph: str = "") -> list[Node]:
        """Values of properties of ours by their local names ("hasPhase"), of all graphs or of one."""
        wanted = {STROMA(local).value for local in properties}
        of = mint("graph", graph).value if graph else ""
        return [
            fact.value for fact in self.facts if fact.predicate in wanted and (not of or of in fact.graphs)
        ]

    @property
    def title(self) -> str:
        """The short title, else the official one, else its name."""
        for predicate in (DCTERMS.title.value, STROMA.officialTitle.value):
            for fact in self.facts:
                if fact.predicate == predicate:
                    return fact.value.value
        return self.name(self.iri)

    @property
    def unregistered(self) -> list[Comparison]:
        """What is reported and no outcome of the record names."""
        return [
            each
            for each in self.comparisons
            if each.kind == "outcome" and each.result == STROMA.ResultNotRegistered.value
        ]

    def compared(self, kind: str) -> list[Comparison]:
        """The comparisons of a kind: outcome, arm, enrollment."""
        return [each for each in self.comparisons if each.kind == kind]


@dataclass(frozen=True)
class Found:
    """A registration by a trial's name; None where there is none, with (id, title) of those like it."""

    registration: Registration | None
    near: tuple[tuple[str, str], ...] = ()


_SAYS = ("reports", "protocol", "cited")
_PREDICATES = {
    STROMA.hasPublication.value: "reports",
    STROMA.hasProtocolPublication.value: "protocol",
    DCTERMS.references.value: "cited",
}
_CONFIDENCE = [
    STROMA(f"Confidence{grade}").value for grade in ("High", "MediumHigh", "Medium", "LowMedium", "Low")
]


async def find(engine: Engine, name: str, limits: Limits) -> Found:
    """The trial of a registry number ("NCT03691909", any case), CURIE, IRI or other identifier.

    Raises what a query raises.
    """
    known = await rows(
        engine,
        f"""SELECT DISTINCT ?s ?id ?title WHERE {{
          {{ ?s dcterms:identifier ?id }} UNION {{ ?s stroma:secondaryId ?id }}
          FILTER(STRSTARTS(STR(?s), "{_TRIAL}"))
          OPTIONAL {{ ?s dcterms:title ?title }}
        }} ORDER BY ?s ?id ?title""",
        limits,
    )
    wanted = name.strip()
    iri = _iri(wanted)
    if iri is None:
        folded = _folded(wanted)
        iri = next((row["s"].value for row in known if folded and _folded(row["id"].value) == folded), None)
    if iri is not None and (found := await read(engine, iri, limits)) is not None:
        return Found(found)
    titles = {row["id"].value: row["title"].value if "title" in row else "" for row in reversed(known)}
    last = wanted.rpartition("/")[2].rpartition(":")[2]
    near = difflib.get_close_matches(last.upper(), [id.upper() for id in titles], n=_NEAR, cutoff=0.6)
    upper = {id.upper(): id for id in titles}
    return Found(None, tuple((upper[id], titles[upper[id]]) for id in near))


def _iri(name: str) -> str | None:
    """The IRI that a name is, or a CURIE stands for; None for anything else."""
    if name.startswith("trial:"):
        name = _TRIAL + name.removeprefix("trial:")
    if not name.startswith(_TRIAL) or re.search(r"[\s<>\"{}|\\^`]", name):
        return None
    return name


def _folded(id: str) -> str:
    return re.sub(r"[^0-9a-z]", "", id.lower())


async def read(engine: Engine, iri: str, limits: Limits) -> Registration | None:
    """The trial of an IRI; None where the graph says nothing of it."""
    subject = str(NamedNode(iri))
    facts, arms, studies, outcomes, compared, linked, found, related = await asyncio.gather(
        rows(engine, _FACTS.replace("$trial", subject), limits),
        rows(engine, _ARMS.replace("$trial", subject), limits),
        rows(engine, _STUDIES.replace("$trial", subject), limits),
        rows(engine, _OUTCOMES.replace("$trial", subject), limits),
        rows(engine, _COMPARED.replace("$trial", subject), limits),
        rows(engine, _LINKED.replace("$trial", subject), limits),
        rows(engine, _FINDINGS.replace("$trial", subject), limits),
        rows(engine, _RELATED.replace("$trial", subject), limits),
    )
    if not facts:
        return None
    comparisons = _comparisons(compared)
    trial = Registration(
        iri,
        next((row["o"].value for row in facts if row["p"].value == _IDENTIFIER), compress(iri)),
        _facts(facts),
        [row["arm"].value for row in arms],
        [row["study"].value for row in studies],
        _outcomes(outcomes, comparisons),
        comparisons,
        _publications(linked),
        [
            Finding(row["f"].value, row["summary"].value, row["severity"].value, row["status"].value)
            for row in found
        ],
        [Related(row["p"].value, row["other"].value, "inverse" in row) for row in related],
        {},
    )
    return replace(trial, names=await names(engine, _mentioned(trial), limits))


_IDENTIFIER = DCTERMS.identifier.value
_FACTS = f"""SELECT ?g ?p ?o WHERE {{
  VALUES ?s {{ $trial }}
  GRAPH ?g {{ ?s ?p ?o }}
  FILTER(!STRSTARTS(STR(?g), "{BASE}graph/inferred/"))
  FILTER(?p NOT IN (stroma:hasArm, stroma:hasPlannedOutcome, stroma:hasLocation, stroma:hasReference,
                    stroma:briefSummary, stroma:detailedDescription, stroma:eligibilityText))
}} ORDER BY ?p ?o ?g LIMIT {_MOST}"""
_ARMS = f"""SELECT DISTINCT ?arm WHERE {{
  VALUES ?trial {{ $trial }}
  VALUES ?g {{ <{BASE}graph/clinicaltrials> <{BASE}graph/ictrp> }}
  GRAPH ?g {{ ?trial stroma:hasArm ?arm }}
}} ORDER BY ?arm LIMIT {_MOST}"""
_STUDIES = f"""SELECT DISTINCT ?study WHERE {{
  VALUES ?trial {{ $trial }}
  GRAPH <{BASE}graph/links> {{
    ?edge stroma:propositionSubject ?trial ; stroma:propositionPredicate stroma:hasPublication ;
          stroma:propositionObject ?publication .
    ?link stroma:asserts ?edge ; stroma:confidence ?confidence .
  }}
  FILTER(?confidence NOT IN (stroma:ConfidenceLow, stroma:ConfidenceLowMedium))
  GRAPH <{BASE}graph/publications> {{ ?study stroma:hasPublication ?publication }}
  FILTER(?study != ?trial)
}} ORDER BY ?study LIMIT {_MOST}"""
_OUTCOMES = f"""SELECT DISTINCT ?o ?label ?role ?frame ?months ?measure ?posted ?note WHERE {{
  VALUES ?trial {{ $trial }}
  ?trial stroma:hasPlannedOutcome ?o . ?o rdfs:label ?label ; stroma:outcomeRole ?role .
  OPTIONAL {{ ?o stroma:timeFrameText ?frame }}
  OPTIONAL {{ ?o stroma:timeFrameMonths ?months }}
  OPTIONAL {{ ?o stroma:forMeasure ?measure }}
  OPTIONAL {{ ?o stroma:resultsPostedDate ?posted }}
  OPTIONAL {{ ?o stroma:curatorNote ?note }}
}} ORDER BY ?o ?months ?measure LIMIT {_MOST}"""
_COMPARED = f"""SELECT DISTINCT ?c ?kind ?result ?text ?registered ?reported ?planned ?actual ?told WHERE {{
  VALUES ?trial {{ $trial }}
  VALUES ?kind {{ stroma:OutcomeComparison stroma:ArmComparison stroma:EnrollmentComparison }}
  GRAPH <{BASE}graph/links> {{
    ?c dcterms:subject ?trial ; a ?kind ; stroma:comparisonResult ?result ; stroma:computation ?text .
    OPTIONAL {{ ?c stroma:registeredThing ?registered }}
    OPTIONAL {{ ?c stroma:reportedThing ?reported }}
    OPTIONAL {{ ?c stroma:plannedEnrollment ?planned }}
    OPTIONAL {{ ?c stroma:actualEnrollment ?actual }}
    OPTIONAL {{ ?c stroma:reportedEnrollment ?told }}
  }}
}} ORDER BY ?kind ?c ?registered ?reported LIMIT {_MOST}"""
_LINKED = f"""SELECT DISTINCT ?link ?p ?pub ?method ?confidence ?basis ?modality
  ?label ?title ?journal ?year ?pmid ?doi ?pmcid WHERE {{
  VALUES ?trial {{ $trial }}
  {{
    GRAPH <{BASE}graph/links> {{
      ?edge stroma:propositionSubject ?trial ; stroma:propositionPredicate ?p ;
            stroma:propositionObject ?pub .
      ?link stroma:asserts ?edge ; stroma:linkMethod ?method ; stroma:confidence ?confidence ;
            stroma:basis ?basis ; stroma:modality ?modality .
    }}
  }} UNION {{
    ?trial stroma:hasPublication ?pub
    FILTER NOT EXISTS {{ GRAPH <{BASE}graph/links> {{ ?any stroma:propositionSubject ?trial }} }}
  }}
  OPTIONAL {{ ?pub rdfs:label ?label }}
  OPTIONAL {{ ?pub dcterms:title ?title }}
  OPTIONAL {{ ?pub stroma:journal ?journal }}
  OPTIONAL {{ ?pub stroma:publicationYear ?year }}
  OPTIONAL {{ ?pub stroma:pubmedId ?pmid }}
  OPTIONAL {{ ?pub stroma:doi ?doi }}
  OPTIONAL {{ ?pub stroma:pmcId ?pmcid }}
}} ORDER BY ?pub ?link LIMIT {_MOST}"""
_FINDINGS = f"""SELECT DISTINCT ?f ?summary ?severity ?status WHERE {{
  VALUES ?trial {{ $trial }}
  {{ ?f dcterms:subject ?trial }} UNION {{ ?trial stroma:hasArm ?arm . ?f dcterms:subject ?arm }}
  ?f a stroma:Discrepancy ; rdfs:label ?summary ; stroma:severity ?severity ; stroma:findingStatus ?status .
}} ORDER BY ?severity ?f LIMIT {_MOST}"""
_RELATED = f"""SELECT DISTINCT ?p ?other ?inverse WHERE {{
  VALUES ?trial {{ $trial }}
  VALUES ?p {{ stroma:extensionOf stroma:correspondsTo }}
  {{ ?trial ?p ?other }} UNION {{ ?other ?p ?trial BIND(true AS ?inverse) }}
  FILTER(STRSTARTS(STR(?other), "{_TRIAL}"))
}} ORDER BY ?p ?other LIMIT {_MOST}"""


def _facts(found: Sequence[Row]) -> list[Fact]:
    graphs: dict[tuple[str, Node], dict[str, None]] = {}
    for row in found:
        graphs.setdefault((row["p"].value, row["o"]), {})[row["g"].value] = None
    return [Fact(predicate, value, tuple(of)) for (predicate, value), of in graphs.items()]


def _outcomes(found: Sequence[Row], comparisons: Sequence[Comparison]) -> list[Outcome]:
    of = {iri: each for each in reversed(comparisons) if each.kind == "outcome" for iri in each.registered}
    by_outcome: dict[str, list[Row]] = {}
    for row in found:
        by_outcome.setdefault(row["o"].value, []).append(row)
    outcomes = [
        Outcome(
            iri,
            rows[0]["label"].value,
            rows[0]["role"].value,
            text_of(rows[0], "frame"),
            tuple(dict.fromkeys(row["months"].value for row in rows if "months" in row)),
            tuple(dict.fromkeys(row["measure"].value for row in rows if "measure" in row)),
            text_of(rows[0], "posted"),
            text_of(rows[0], "note"),
            of.get(iri),
        )
        for iri, rows in by_outcome.items()
    ]
    roles = ("primary", "secondary", "other")
    return sorted(outcomes, key=lambda each: (roles.index(each.role), _natural(each.iri)))


def _natural(iri: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", iri)]


def _comparisons(found: Sequence[Row]) -> list[Comparison]:
    by_iri: dict[str, list[Row]] = {}
    for row in found:
        by_iri.setdefault(row["c"].value, []).append(row)
    comparisons = []
    for iri, of in by_iri.items():
        first = of[0]
        kind = first["kind"].value.removeprefix(STROMA("").value).removesuffix("Comparison").lower()
        numbers = {
            word: int(first[name].value)
            for word, name in (("planned", "planned"), ("actual", "actual"), ("reported", "told"))
            if name in first
        }
        comparisons.append(
            Comparison(
                iri, kind, first["result"].value, first["text"].value,
                tuple(dict.fromkeys(row["registered"].value for row in of if "registered" in row)),
                tuple(dict.fromkeys(row["reported"].value for row in of if "reported" in row)),
                numbers,
            )
        )  # fmt: skip
    return comparisons


def _publications(found: Sequence[Row]) -> list[Publication]:
    by_publication: dict[str, list[Row]] = {}
    for row in found:
        by_publication.setdefault(row["pub"].value, []).append(row)
    publications = []
    for iri, of in by_publication.items():
        links = {
            Link(
                row["link"].value,
                _PREDICATES[row["p"].value],
                row["method"].value,
                row["confidence"].value,
                row["basis"].value,
                row["modality"] == STROMA.ModalityAsserted,
            ): None
            for row in of
            if "link" in row
        }
        ordered = sorted(links, key=lambda each: (_SAYS.index(each.says), _CONFIDENCE.index(each.confidence)))
        first = of[0]
        publications.append(
            Publication(
                iri,
                label=text_of(first, "label") or compress(iri),
                title=text_of(first, "title"),
                journal=text_of(first, "journal"),
                year=text_of(first, "year"),
                pmid=text_of(first, "pmid"),
                doi=text_of(first, "doi"),
                pmcid=text_of(first, "pmcid"),
                links=tuple(ordered),
            )
        )
    return sorted(publications, key=lambda each: (_SAYS.index(each.says), each.year, each.iri))


def _mentioned(trial: Registration) -> set[str]:
    """The IRIs whose names a page or a text needs."""
    found = {trial.iri, *trial.arms, *trial.studies}
    for other in trial.related:
        found |= {other.relation, other.trial}
    for fact in trial.facts:
        found |= {
            fact.predicate,
            *fact.graphs,
            *([fact.value.value] if isinstance(fact.value, NamedNode) else ()),
        }
    for outcome in trial.outcomes:
        found |= set(outcome.measures)
    for comparison in trial.comparisons:
        found |= {comparison.result, *comparison.registered, *comparison.reported}
    for publication in trial.publications:
        found |= {publication.iri}
        for link in publication.links:
            found |= {link.method, link.confidence}
    for finding in trial.findings:
        found |= {finding.severity, finding.status}
    return found - {""}
