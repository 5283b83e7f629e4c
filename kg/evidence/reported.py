"""What the sources report, as plain data: numbers with their scope, things, claims with their spans.

Hides the graph's form. One pass over N-Quads lines picks what evidence is computed from and leaves the rest
unparsed, so that 600,000 quads take a few seconds. Everything comes out sorted by IRI: what is computed
from it is the same for the same graph.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from enum import Enum

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from kg.terms import BASE, DCTERMS, OBO, PROV, RDF, RDFS, STROMA, expand, mint

Term = NamedNode | Literal


class Level(Enum):
    """Who answers for a statement."""

    STATED = "stated by a document"
    RECORDED = "recorded by a registry"
    COMPILED = "compiled by curators"
    DEFINED = "defined by the ontology"
    INFERRED = "inferred"


_LEVELS = {
    mint("graph", "literature"): Level.STATED,
    mint("graph", "nanopubs"): Level.STATED,
    mint("graph", "clinicaltrials"): Level.RECORDED,
    mint("graph", "ictrp"): Level.RECORDED,
    mint("graph", "publications"): Level.COMPILED,
    mint("graph", "reviews"): Level.COMPILED,
    mint("graph", "ontology"): Level.DEFINED,
}


@dataclass(frozen=True, slots=True)
class Span:
    """Characters of a document: `line` is 1-based; code points, 0-based, `end` exclusive."""

    document: NamedNode
    line: int
    start: int
    end: int

    def __str__(self) -> str:
        """ "document 001, line 64, characters 120-130": the form every page prints."""
        return f"document {_last(self.document)}, line {self.line}, characters {self.start}-{self.end}"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who says something: a document (`span`), curators (`basis`), or a rule that read a `record`."""

    iri: NamedNode
    graph: NamedNode
    modality: NamedNode | None = None  # stroma:Modality…; None for an extraction
    topic: NamedNode | None = None
    span: Span | None = None
    text: str = ""  # in English, ours
    population: str = ""
    timepoint: str = ""
    record: NamedNode | None = None
    field: str = ""  # of the record
    confidence: NamedNode | None = None
    basis: str = ""
    method: NamedNode | None = None  # by which a publication was found to be of a trial
    species: NamedNode | None = None  # that the source's words give, right or wrong

    @property
    def name(self) -> str:
        """The claim's own identifier: "B349"."""
        return self.iri.value.removeprefix(BASE + "claim/")

    @property
    def level(self) -> Level:
        return _LEVELS.get(self.graph, Level.INFERRED)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of one predicate in one source's graph; without claims a registry's record says it."""

    predicate: NamedNode
    term: Term
    graph: NamedNode
    claims: tuple[Claim, ...] = ()

    @property
    def text(self) -> str:
        """The IRI or the lexical form as it was printed: "5.70"."""
        return self.term.value

    @property
    def number(self) -> Decimal | None:
        """The value as a number; None where it is not one."""
        if isinstance(self.term, NamedNode):
            return None
        try:
            return Decimal(self.term.value)
        except InvalidOperation:
            return None

    @property
    def decimals(self) -> int:
        """How many digits after the point were printed: two in "5.70"."""
        return len(self.text.partition(".")[2])

    @property
    def level(self) -> Level:
        return _LEVELS.get(self.graph, Level.INFERRED)


@dataclass(frozen=True, slots=True)
class Thing:
    """A trial, arm, group, regimen, product, collection, planned outcome, record or term, with its facts."""

    iri: NamedNode
    facts: Mapping[NamedNode, tuple[Value, ...]] = field(default_factory=dict)

    def all(self, predicate: NamedNode) -> tuple[Value, ...]:
        """Every value of a predicate, over all sources."""
        return self.facts.get(predicate, ())

    def nodes(self, predicate: NamedNode) -> tuple[NamedNode, ...]:
        """The things a predicate leads to, each once."""
        found = (value.term for value in self.all(predicate))
        return tuple(dict.fromkeys(term for term in found if isinstance(term, NamedNode)))

    def text(self, predicate: NamedNode) -> str:
        """The first text of a predicate; "" without one."""
        return next((value.text for value in self.all(predicate)), "")

    @property
    def types(self) -> frozenset[NamedNode]:
        return frozenset(self.nodes(RDF.type))


@dataclass(frozen=True, slots=True)
class Result:
    """A reported result: its scope, and its values. `months` is None when none, or more than one, is told."""

    iri: NamedNode
    graph: NamedNode
    measure: NamedNode | None
    months: Decimal | None
    label: str  # of the timepoint, as printed
    analysis_set: NamedNode | None
    studies: tuple[NamedNode, ...]
    outcome: NamedNode | None  # the planned outcome a registry lists it under
    unit: str
    operator: str  # of the value: "<", "<=", ">", ">=", "~" or ""
    categories: tuple[str, ...]  # rows of a registry's table
    period: str
    statistic: str  # what a numericValue is: "least squares mean"
    title: str  # a registry's own name of it
    documents: tuple[NamedNode, ...]
    values: tuple[Value, ...]

    @property
    def scope(self) -> str:
        """What the result is about, whatever its own name: groups, measure, time, set, row of a table."""
        when = self.label if self.months is None else f"{self.months.normalize():f}"
        named = (*self.groups_of(), self.measure, self.analysis_set, self.outcome, *self.studies)
        told = (when, self.unit, *self.categories, self.period, self.statistic, self.title, *self.details())
        return "\x1f".join((*(node.value if node else "" for node in named), *told))

    def groups_of(self) -> tuple[NamedNode, ...]:
        """The group of an observation, the groups of a comparison."""
        return ()

    def details(self) -> tuple[str, ...]:
        """What else tells a kind of result apart."""
        return ()

    @property
    def document(self) -> NamedNode | None:
        """The first of the documents that report it."""
        return self.documents[0] if self.documents else None

    def all(self, predicate: NamedNode) -> tuple[Value, ...]:
        """Every value of a predicate."""
        return tuple(value for value in self.values if value.predicate == predicate)

    def get(self, predicate: NamedNode) -> Value | None:
        """The value of a predicate; None where there is none, or where two differ."""
        found = self.all(predicate)
        return found[0] if len({value.term for value in found}) == 1 else None

    def number(self, predicate: NamedNode) -> Decimal | None:
        """The number of `get`."""
        value = self.get(predicate)
        return None if value is None else value.number

    def integer(self, predicate: NamedNode) -> int | None:
        """The number of `get` where it is a whole one."""
        number = self.number(predicate)
        return int(number) if number is not None and number == int(number) else None

    @property
    def level(self) -> Level:
        return _LEVELS.get(self.graph, Level.INFERRED)


@dataclass(frozen=True, slots=True)
class Observation(Result):
    """Numbers of one group. `serious` is None where it is not told."""

    group: NamedNode
    kinds: frozenset[NamedNode]
    event: str
    organ_system: str
    assessment: str  # how events were looked for
    serious: bool | None

    def groups_of(self) -> tuple[NamedNode, ...]:
        return (self.group,)

    def details(self) -> tuple[str, ...]:
        return self.event, self.organ_system, self.assessment, str(self.serious)


@dataclass(frozen=True, slots=True)
class Comparison(Result):
    """A test or judgement between groups; `groups` in the order of their IRIs."""

    groups: tuple[NamedNode, ...]

    def groups_of(self) -> tuple[NamedNode, ...]:
        return self.groups


@dataclass(frozen=True, slots=True)
class Proposition:
    """A typed edge and who claims it; hedged and negative ones too, which are not plain facts."""

    iri: NamedNode
    subject: NamedNode
    predicate: NamedNode
    object: Term
    positive: bool
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Review:
    """What a curator decided about a finding; `judged` is the finding's summary as it read then."""

    finding: NamedNode
    status: NamedNode
    note: str
    role: str
    date: str
    judged: str


@dataclass(frozen=True, slots=True)
class Reported:
    """All of it. Sequences are sorted by IRI."""

    observations: tuple[Observation, ...]
    comparisons: tuple[Comparison, ...]
    propositions: tuple[Proposition, ...]
    claims: Mapping[NamedNode, Claim]
    things: Mapping[NamedNode, Thing]
    superclasses: Mapping[NamedNode, frozenset[NamedNode]]  # of a class, all that are told or inferred
    trials: Mapping[NamedNode, tuple[NamedNode, ...]]  # of an arm, regimen, planned outcome, paper or result
    reviews: Mapping[NamedNode, Review]  # by finding
    kinds: Mapping[str, tuple[NamedNode, ...]]  # the things of each kind: "trial", "arm", …
    opposites: Mapping[NamedNode, frozenset[NamedNode]]  # of a relation or value, in both directions
    of_group: Mapping[NamedNode, Sequence[Observation]]  # the observations of a group, in order
    of_study: Mapping[NamedNode, Sequence[Observation]]  # those that a study produced
    beside: Mapping[NamedNode, Thing] = field(default_factory=dict)  # to look up, of no kind here

    def thing(self, iri: NamedNode) -> Thing:
        """What is known of a thing; an empty Thing where nothing is."""
        return self.things.get(iri) or self.beside.get(iri) or Thing(iri)

    def label(self, iri: NamedNode) -> str:
        """The English label, or the last part of the IRI."""
        return self.thing(iri).text(RDFS.label) or _last(iri)

    def of_kind(self, kind: str) -> Iterator[Thing]:
        """The things whose IRI is of a kind: `trial`, `arm`, `group`, `regimen`, `outcome`, …"""
        return (self.things[iri] for iri in self.kinds.get(kind, ()))

    def trials_of(self, group: NamedNode) -> tuple[NamedNode, ...]:
        """The trials an arm belongs to, or a pooled group draws from, directly or through groups it pools."""
        found: dict[NamedNode, None] = {}
        todo, seen = [group], {group}
        while todo:
            one = todo.pop()
            found |= dict.fromkeys(self.trials.get(one, ()))
            for node in self.thing(one).nodes(STROMA.pools):
                if node.value.startswith(BASE + "trial/"):
                    found[node] = None
                elif node not in seen:
                    seen.add(node)
                    todo.append(node)
        return tuple(sorted(found, key=_iri))

    def records(self, iri: NamedNode, graph: NamedNode) -> tuple[NamedNode, ...]:
        """The registry records that a graph's facts of a trial, of a part or result of one, or of a paper it
        names come from."""
        found: dict[NamedNode, None] = {}
        for trial in (iri, *self.trials.get(iri, ())):
            for value in self.thing(trial).all(PROV.wasDerivedFrom):
                if value.graph == graph and isinstance(value.term, NamedNode):
                    found[value.term] = None
        return tuple(found)

    def places(self, value: Value, of: NamedNode) -> tuple[str, ...]:
        """Where a value of `of` stands: spans of documents, registry records, bases of compiled facts."""
        found = []
        for claim in value.claims:
            if claim.span is not None:
                found.append(f"{claim.span} (claim {claim.name})")
            elif claim.field:
                found.append(f"registry field {claim.field} (claim {claim.name})")
            else:
                found.append(f"{claim.basis} (claim {claim.name})")
        if not found:
            records = self.records(of, value.graph)
            found = [f"record {self.thing(r).text(DCTERMS.identifier) or _last(r)}" for r in records]
        return tuple(found)


# ------------------------------------------------------------------------------------------ reading

EXACT_SYNONYM = expand("oboInOwl:hasExactSynonym")
_NUMBERS = (
    STROMA.numberAffected, STROMA.sampleSize, STROMA.eventCount, STROMA.countValue, STROMA.percentage,
    STROMA.meanValue, STROMA.sdValue, STROMA.medianValue, STROMA.standardError, STROMA.numericValue,
    STROMA.rangeLow, STROMA.rangeHigh, STROMA.interquartileLow, STROMA.interquartileHigh,
    STROMA.ciLow, STROMA.ciHigh, STROMA.ciLevel, STROMA.ratePer100PatientYears, STROMA.pValue,
)  # fmt: skip
VALUES = frozenset(
    {*_NUMBERS, STROMA.valueText, STROMA.pOperator, STROMA.isSignificant, STROMA.favoursGroup,
     STROMA.statisticalMethod}
)  # fmt: skip
_SCOPE = frozenset(
    {STROMA.aboutArm, STROMA.aboutGroup, STROMA.comparesGroup, STROMA.forMeasure, STROMA.timepointMonths,
     STROMA.timepointLabel, STROMA.analysisSet, STROMA.producedByStudy, STROMA.forOutcome, STROMA.unit,
     STROMA.valueOperator, STROMA.categoryText, STROMA.periodLabel, STROMA.statisticName, STROMA.eventTerm,
     STROMA.isSerious, STROMA.organSystem, STROMA.eventAssessment, PROV.wasDerivedFrom, RDFS.label, RDF.type}
)  # fmt: skip
_CLAIM = frozenset(
    {STROMA.asserts, STROMA.modality, STROMA.hasTopic, STROMA.statedAt, STROMA.claimText, STROMA.confidence,
     STROMA.claimPopulation, STROMA.claimTimepoint, STROMA.basis, STROMA.inField, STROMA.sourceSpecies,
     STROMA.linkMethod,
     PROV.wasDerivedFrom}
)  # fmt: skip
_SPAN = frozenset({STROMA.inDocument, STROMA.lineNumber, STROMA.startOffset, STROMA.endOffset})
_PROPOSITION = frozenset(
    {STROMA.propositionSubject, STROMA.propositionPredicate, STROMA.propositionObject, STROMA.polarity}
)
_THING = frozenset(
    {RDF.type, RDFS.label, DCTERMS.identifier, DCTERMS.title, DCTERMS.references, PROV.wasDerivedFrom,
     OBO.RO_0002248, EXACT_SYNONYM, STROMA.oppositeOf}
    | {STROMA(name) for name in (
        "hasArm", "hasArmType", "hasIntervention", "hasCoMedication", "pools", "enrollmentCount",
        "enrollmentType", "hasPhase", "phaseText", "hasStatus", "statusAsOf", "hasStatusRecord",
        "hasAllocation", "hasInterventionModel", "hasMasking", "hasPlannedOutcome", "hasPublication",
        "extensionOf", "secondaryId", "correspondsTo",
        "studiesCondition", "startDate", "completionDate", "resultsPostedDate", "hasMember", "testsProduct",
        "testsIntervention", "administers", "hasDonorRelation", "hasRoute", "hasTissueSource",
        "doseAmount", "doseLow", "doseHigh", "doseUnit", "doseText", "numberOfDoses", "numberOfDosesLow",
        "numberOfDosesHigh", "doseInterval", "routeText", "abbreviation",
        "outcomeRole", "timeFrameText", "timeFrameMonths", "forMeasure",
        "recordFile", "firstPostedDate", "ofSpecies", "threshold", "thresholdOf",
        "thresholdOperator", "measuredInUnit", "improvementDirection",
        "doi", "pubmedId", "pmcId", "citation", "publicationYear", "digestOf",
        "officialTitle", "acronym", "inCountry", "hasReference", "referenceType", "countsAs",
        "primaryCompletionDate", "primaryCompletionDateType", "completionDateType", "retrievedDate",
    )}
)  # fmt: skip
_REVIEW = frozenset(
    {STROMA.findingStatus, STROMA.explanation, STROMA.decidedBy, STROMA.decidedDate, STROMA.judgedSummary}
)
_KINDS: Mapping[bytes, frozenset[bytes]] = {
    kind.encode(): frozenset(str(predicate).encode() for predicate in (*wanted, RDFS.subClassOf))
    for kinds, wanted in (
        (("observation", "comparison"), VALUES | _SCOPE),
        (("claim",), _CLAIM),
        (("span",), _SPAN),
        (("proposition",), _PROPOSITION),
        (
            ("trial", "arm", "group", "regimen", "product", "collection", "outcome", "record", "reference"),
            _THING,
        ),
        (("document", "publication", "ontology"), _THING),
        (("condition",), frozenset({RDF.type, RDFS.label})),
        (("finding",), _REVIEW),
    )
    for kind in kinds
}
_SUBCLASS = str(RDFS.subClassOf).encode()
_OTHERS = frozenset({_SUBCLASS})
_ELSEWHERE = _OTHERS | {str(predicate).encode() for predicate in (RDFS.label, RDF.type)}  # public terms
_BASE = f"<{BASE}".encode()
_GRAPHS = frozenset(str(graph).encode() for graph in _LEVELS)
_INFERRED = f"<{BASE}graph/inferred/".encode()
_PRODUCT, _TYPE = _BASE + b"product/", str(RDF.type).encode()
_TRIAL, _OF_RA = _BASE + b"trial/", str(STROMA.MSCTherapyForRAStudy).encode()

_Facts = dict[NamedNode, dict[NamedNode, list[tuple[Term, NamedNode]]]]


def read(lines: Iterable[bytes], beside: Reported | None = None) -> Reported:
    """Read N-Quads lines, one quad each with a named graph: the sources', the ontology's, the inferred ones.

    Of inferred graphs only subclasses, types of products, and which trials are of MSCs in RA. Lexical
    forms are kept. What stands `beside` can be looked up (things, classes, opposites, reviews), and is
    nothing that the result walks over.
    """
    # What is made here has no cycles, and walks over it to look for some take as long as making it.
    collects = gc.isenabled()
    gc.disable()
    try:
        found = _assemble(*_facts_of(lines))
    finally:
        if collects:
            gc.enable()
    if beside is None:
        return found
    return replace(
        found,
        superclasses=beside.superclasses,
        opposites=beside.opposites,
        reviews=beside.reviews,
        beside=beside.things,
    )


def predicates_of(subject: bytes) -> frozenset[bytes]:
    """The predicates of a thing, given as N-Quads token, of which `read` may take quads."""
    if subject[:1] != b"<":
        return frozenset()
    kind = subject[len(_BASE) :].split(b"/", 1)[0] if subject.startswith(_BASE) else None
    return _ELSEWHERE if kind is None else _KINDS.get(kind, _OTHERS)


def wanted(subject: bytes, predicate: bytes, object: bytes, graph: bytes) -> bool:
    """Whether `read` takes a quad with one of `predicates_of` its subject, of N-Quads tokens."""
    if object[:2] == b"_:":  # an axiom's blank node
        return False
    return (
        graph in _GRAPHS
        or predicate == _SUBCLASS
        or (
            predicate == _TYPE
            and graph.startswith(_INFERRED)
            and (subject.startswith(_PRODUCT) or (subject.startswith(_TRIAL) and object == _OF_RA))
        )
    )


def _facts_of(lines: Iterable[bytes]) -> tuple[_Facts, dict[NamedNode, set[NamedNode]]]:
    """What each thing is said to be, and the stated superclasses of each class."""
    # Tokens until all is read: a byte string knows its hash, a term computes it each time.
    found: dict[bytes, list[tuple[bytes, bytes, bytes]]] = {}
    supers: dict[bytes, set[bytes]] = {}
    before, predicates = b"", frozenset[bytes]()
    for line in lines:
        s, p, rest = line.split(b" ", 2)
        if s != before:
            before, predicates = s, predicates_of(s)
        if p not in predicates:
            continue
        o, g, _ = rest.rsplit(b" ", 2)
        if not wanted(s, p, o, g):
            continue
        if p == _SUBCLASS:
            supers.setdefault(s, set()).add(o)
        else:
            found.setdefault(s, []).append((p, o, g))
    terms = _Terms()
    facts: _Facts = {}
    while found:  # popped: the tokens go as the terms come
        s, edges = found.popitem()
        about: dict[NamedNode, list[tuple[Term, NamedNode]]] = {}
        for p, o, g in edges:
            about.setdefault(terms.node(p), []).append((terms.term(o), terms.node(g)))
        facts[terms.node(s)] = about
    return facts, {terms.node(sub): {terms.node(o) for o in above} for sub, above in supers.items()}


class _Terms:
    """Terms of N-Quads tokens, each made once."""

    def __init__(self) -> None:
        self._nodes: dict[bytes, NamedNode] = {}
        self._literals: dict[bytes, Literal] = {}

    def node(self, token: bytes) -> NamedNode:
        found = self._nodes.get(token)
        if found is None:
            found = self._nodes[token] = NamedNode(token[1:-1].decode())
        return found

    def term(self, token: bytes) -> Term:
        if token[:1] == b"<":
            return self.node(token)
        found = self._literals.get(token)
        if found is None:
            found = self._literals[token] = self._read(token)
        return found

    def _read(self, token: bytes) -> Literal:
        text, _, rest = token[1:].decode().rpartition('"')
        if "\\" not in text and not rest:
            return Literal(text)
        quad = next(iter(parse(b"<a:a> <a:a> %s ." % token, RdfFormat.N_TRIPLES)))
        if not isinstance(quad.object, Literal):
            raise ValueError(f"{token!r} is neither a name nor a literal")
        return quad.object


def _assemble(facts: _Facts, supers: Mapping[NamedNode, set[NamedNode]]) -> Reported:
    kinds: dict[str, list[NamedNode]] = {}
    for iri in sorted(facts, key=_iri):
        kind = iri.value.removeprefix(BASE).partition("/")[0] if iri.value.startswith(BASE) else ""
        kinds.setdefault(kind, []).append(iri)
    claims = {iri: _claim(iri, facts) for iri in kinds.get("claim", ())}
    asserting: dict[NamedNode, list[Claim]] = {}
    for iri, claim in claims.items():
        for proposition, _ in facts[iri].get(STROMA.asserts, ()):
            if isinstance(proposition, NamedNode):
                asserting.setdefault(proposition, []).append(claim)
    propositions = tuple(
        found
        for iri in kinds.get("proposition", ())
        if (found := _proposition(iri, facts[iri], asserting.get(iri, ()))) is not None
    )
    backing: dict[tuple[NamedNode, NamedNode, Term], tuple[Claim, ...]] = {
        (p.subject, p.predicate, p.object): p.claims for p in propositions if p.positive
    }
    special = {"claim", "span", "proposition", "observation", "comparison", "finding"}
    things = {
        iri: Thing(iri, _all_values(iri, facts[iri], backing))
        for kind, iris in kinds.items()
        if kind not in special
        for iri in iris
    }
    observations, comparisons = [], []
    for iri in (*kinds.get("observation", ()), *kinds.get("comparison", ())):
        result = _result(iri, facts[iri], backing)
        if isinstance(result, Observation):
            observations.append(result)
        elif result is not None:
            comparisons.append(result)
    return Reported(
        tuple(observations),
        tuple(sorted(comparisons, key=lambda c: c.iri.value)),
        propositions,
        claims,
        things,
        _closure(supers),
        _trials(things, (*observations, *comparisons)),
        {iri: _review(iri, facts[iri]) for iri in kinds.get("finding", ())},
        {kind: tuple(iris) for kind, iris in kinds.items() if kind not in special},
        _opposites(things),
        _by(observations, Observation.groups_of),
        _by(observations, lambda one: one.studies),
    )


def _by(
    observations: Iterable[Observation], names: Callable[[Observation], tuple[NamedNode, ...]]
) -> dict[NamedNode, list[Observation]]:
    found: dict[NamedNode, list[Observation]] = {}
    for one in observations:
        for name in names(one):
            found.setdefault(name, []).append(one)
    return found


def _claim(iri: NamedNode, facts: _Facts) -> Claim:
    found = facts[iri]

    def node(predicate: NamedNode) -> NamedNode | None:
        nodes = (t for t, _ in found.get(predicate, ()) if isinstance(t, NamedNode))
        return min(nodes, key=_iri, default=None)

    def text(predicate: NamedNode) -> str:
        return min((t.value for t, _ in found.get(predicate, ())), default="")

    at = node(STROMA.statedAt)
    span = None
    if at is not None and at in facts:
        where = {p: terms[0][0] for p, terms in facts[at].items()}
        document = where.get(STROMA.inDocument)
        numbers = [where.get(p) for p in (STROMA.lineNumber, STROMA.startOffset, STROMA.endOffset)]
        if isinstance(document, NamedNode) and all(numbers):
            line, start, end = (int(n.value) for n in numbers if n is not None)
            span = Span(document, line, start, end)
    graph = min((g for terms in found.values() for _, g in terms), key=_iri)
    return Claim(
        iri, graph, node(STROMA.modality), node(STROMA.hasTopic), span,
        text(STROMA.claimText), text(STROMA.claimPopulation), text(STROMA.claimTimepoint),
        None if span else node(PROV.wasDerivedFrom), text(STROMA.inField), node(STROMA.confidence),
        text(STROMA.basis), node(STROMA.linkMethod), node(STROMA.sourceSpecies),
    )  # fmt: skip


def _proposition(
    iri: NamedNode, found: Mapping[NamedNode, list[tuple[Term, NamedNode]]], claims: Iterable[Claim]
) -> Proposition | None:
    says = {predicate: terms[0][0] for predicate, terms in found.items()}
    subject, predicate = says.get(STROMA.propositionSubject), says.get(STROMA.propositionPredicate)
    value, polarity = says.get(STROMA.propositionObject), says.get(STROMA.polarity)
    if not isinstance(subject, NamedNode) or not isinstance(predicate, NamedNode) or value is None:
        return None
    return Proposition(
        iri, subject, predicate, value, polarity != STROMA.PolarityNegative,
        tuple(sorted(claims, key=lambda claim: claim.iri.value)),
    )  # fmt: skip


def _all_values(
    iri: NamedNode,
    found: Mapping[NamedNode, list[tuple[Term, NamedNode]]],
    backing: Mapping[tuple[NamedNode, NamedNode, Term], tuple[Claim, ...]],
) -> dict[NamedNode, tuple[Value, ...]]:
    return {p: _values(iri, p, found[p], backing) for p in sorted(found, key=_iri)}


def _values(
    iri: NamedNode,
    predicate: NamedNode,
    found: Iterable[tuple[Term, NamedNode]],
    backing: Mapping[tuple[NamedNode, NamedNode, Term], tuple[Claim, ...]],
) -> tuple[Value, ...]:
    """Each value once a graph, with the claims of that graph."""
    values = []
    for term, graph in sorted(set(found), key=lambda pair: (pair[1].value, str(pair[0]))):
        claims = backing.get((iri, predicate, term), ())
        values.append(Value(predicate, term, graph, tuple(c for c in claims if c.graph == graph)))
    return tuple(values)


def _result(
    iri: NamedNode,
    found: Mapping[NamedNode, list[tuple[Term, NamedNode]]],
    backing: Mapping[tuple[NamedNode, NamedNode, Term], tuple[Claim, ...]],
) -> Observation | Comparison | None:
    def nodes(*predicates: NamedNode) -> tuple[NamedNode, ...]:
        terms = {t for p in predicates for t, _ in found.get(p, ()) if isinstance(t, NamedNode)}
        return tuple(sorted(terms, key=_iri))

    def only(predicate: NamedNode) -> Term | None:
        terms = {t for t, _ in found.get(predicate, ())}
        return terms.pop() if len(terms) == 1 else None

    def text(predicate: NamedNode) -> str:
        return min((t.value for t, _ in found.get(predicate, ())), default="")

    groups = nodes(STROMA.comparesGroup) or nodes(STROMA.aboutArm, STROMA.aboutGroup)
    if not groups:
        return None
    months, analysed = only(STROMA.timepointMonths), only(STROMA.analysisSet)
    measure, outcome = only(STROMA.forMeasure), only(STROMA.forOutcome)
    about = (STROMA.comparesGroup, STROMA.aboutArm, STROMA.aboutGroup)
    graph = min((g for p in about for _, g in found.get(p, ())), key=_iri)
    values = tuple(
        value
        for predicate in sorted(VALUES & found.keys(), key=_iri)
        for value in _values(iri, predicate, found[predicate], backing)
    )
    shared = (
        iri,
        graph,
        measure if isinstance(measure, NamedNode) else None,
        Decimal(months.value) if isinstance(months, Literal) else None,
        text(STROMA.timepointLabel),
        analysed if isinstance(analysed, NamedNode) else None,
        nodes(STROMA.producedByStudy),
        outcome if isinstance(outcome, NamedNode) else None,
        text(STROMA.unit),
        text(STROMA.valueOperator),
        tuple(sorted({t.value for t, _ in found.get(STROMA.categoryText, ())})),
        text(STROMA.periodLabel),
        text(STROMA.statisticName),
        text(RDFS.label),
        nodes(PROV.wasDerivedFrom),
        values,
    )
    if STROMA.comparesGroup in found:
        return Comparison(*shared, groups)
    serious = only(STROMA.isSerious)
    return Observation(
        *shared,
        groups[0],
        frozenset(nodes(RDF.type)),
        text(STROMA.eventTerm),
        text(STROMA.organSystem),
        text(STROMA.eventAssessment),
        None if serious is None else serious.value == "true",
    )


def _review(iri: NamedNode, found: Mapping[NamedNode, list[tuple[Term, NamedNode]]]) -> Review:
    def text(predicate: NamedNode) -> str:
        return min((t.value for t, _ in found.get(predicate, ())), default="")

    return Review(
        iri, NamedNode(text(STROMA.findingStatus)), text(STROMA.explanation),
        text(STROMA.decidedBy), text(STROMA.decidedDate), text(STROMA.judgedSummary),
    )  # fmt: skip


def _trials(
    things: Mapping[NamedNode, Thing], results: Iterable[Result]
) -> dict[NamedNode, tuple[NamedNode, ...]]:
    found: dict[NamedNode, dict[NamedNode, None]] = {}
    for iri, thing in things.items():
        if iri.value.startswith(BASE + "trial/"):
            named = (STROMA.hasArm, STROMA.hasPlannedOutcome, STROMA.hasPublication)
            parts = [part for predicate in named for part in thing.nodes(predicate)]
            for reference in thing.nodes(STROMA.hasReference):
                parts += things.get(reference, Thing(reference)).nodes(DCTERMS.references)
            for part in parts:
                found.setdefault(part, {})[iri] = None
                for regimen in things.get(part, Thing(part)).nodes(STROMA.hasIntervention):
                    found.setdefault(regimen, {})[iri] = None
    for result in results:
        found.setdefault(result.iri, {}).update(dict.fromkeys(result.studies))
    return {part: tuple(trials) for part, trials in found.items()}


def _opposites(things: Mapping[NamedNode, Thing]) -> dict[NamedNode, frozenset[NamedNode]]:
    """Pairs as the ontology has them, in both directions."""
    found: dict[NamedNode, set[NamedNode]] = {}
    for one, thing in things.items():
        for other in thing.nodes(STROMA.oppositeOf):
            found.setdefault(one, set()).add(other)
            found.setdefault(other, set()).add(one)
    return {one: frozenset(others) for one, others in found.items()}


def _closure(supers: Mapping[NamedNode, set[NamedNode]]) -> dict[NamedNode, frozenset[NamedNode]]:
    closed = {}
    for sub in sorted(supers, key=_iri):
        found, todo = set(), [sub]
        while todo:
            for above in supers.get(todo.pop(), ()):
                if above not in found:
                    found.add(above)
                    todo.append(above)
        closed[sub] = frozenset(found)
    return closed


def _iri(node: NamedNode) -> str:
    return node.value


def _last(node: NamedNode) -> str:
    return node.value.rpartition("/")[2]
