"""What a derived number is, and how it is said in triples.

Hides the vocabulary of derived numbers (`ontology/modules/evidence-derived.ttl`), their IRIs and their
rounding. What a source states is never touched: a derived number is a node of `graph:derived` that points
at the observations and propositions it was computed from. Values are rounded to a fixed number of decimals,
half to even, so that the graph does not depend on the last bits of a library. `kg.evidence.derivation`
computes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib.metadata import version

from pyoxigraph import Literal, NamedNode, Quad

from kg.evidence.pooling import Reason
from kg.evidence.statistics import Interval
from kg.terms import OBO, PROV, RDF, RDFS, STROMA, XSD, digest, mint

GRAPH = mint("graph", "derived")
ACTIVITY = mint("activity", "derivation")

PLACES = 4  # decimals of proportions, differences and ratios
YEARS = 2  # decimals of person-years

Terms = tuple[NamedNode | Literal, ...]


@dataclass(frozen=True)
class Derived:
    """One derived number: what it is of (`about`, in the words of observations), and how it came about.

    `key` with the method makes the IRI: the scope and the numbers that went in. `bounds` are those that
    rounding, or a stated range, leaves; `ci` is a confidence interval, with None for a limit that does not
    exist.
    """

    kind: NamedNode
    method: NamedNode
    key: tuple[str, ...]
    label: str
    computation: str
    unit: str  # UCUM
    inputs: frozenset[NamedNode]
    about: Mapping[NamedNode, Terms]
    value: Decimal | None = None
    bounds: tuple[Decimal | None, Decimal | None] | None = None
    ci: tuple[Decimal | None, Decimal | None] | None = None
    more: Mapping[NamedNode, Decimal | None] = field(default_factory=dict)
    notes: frozenset[str] = frozenset()

    @property
    def iri(self) -> NamedNode:
        return mint("derived", digest(self.method.value, *self.key))


@dataclass(frozen=True)
class Assessed:
    """Whether results of a measure from several studies may be pooled (some were), and why others may not."""

    measure: NamedNode
    label: str
    pooled: bool
    reasons: tuple[Reason, ...]
    explanation: str
    inputs: frozenset[NamedNode]

    @property
    def iri(self) -> NamedNode:
        return mint("derived", digest("pooling", self.measure.value))


def rounded(value: float, places: int = PLACES) -> Decimal | None:
    """A number with so many decimals, half to even; None for one that is not finite."""
    if not math.isfinite(value):
        return None
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN) + 0


def rounded_ends(interval: Interval, places: int = PLACES) -> tuple[Decimal | None, Decimal | None]:
    """Both ends of an interval, rounded."""
    return rounded(interval.low, places), rounded(interval.high, places)


def plain(number: Decimal) -> str:
    """A number in its shortest decimal form: "25", "0.45"."""
    return f"{number.normalize() + 0:f}"


def decimal(number: Decimal) -> Literal:
    """The literal of a number, in its shortest form."""
    return Literal(plain(number), datatype=XSD.decimal)


_REASONS = {
    Reason.NO_TOTAL: STROMA.PoolingReasonNoTotal,
    Reason.UNCONTROLLED: STROMA.PoolingReasonUncontrolled,
    Reason.ONE_STUDY: STROMA.PoolingReasonOneStudy,
    Reason.SHARED_PATIENTS: STROMA.PoolingReasonSharedPatients,
    Reason.SHARED_CONTROL: STROMA.PoolingReasonSharedControl,
    Reason.OTHER_COMPARISON: STROMA.PoolingReasonOtherComparison,
    Reason.OTHER_TIME: STROMA.PoolingReasonOtherTime,
    Reason.TIME_NOT_STATED: STROMA.PoolingReasonTimeNotStated,
    Reason.OTHER_CONDITION: STROMA.PoolingReasonOtherCondition,
}


def quads(numbers: Iterable[Derived], assessments: Iterable[Assessed]) -> Iterator[Quad]:
    """Derived numbers and assessments, and the program that computed them, as quads of `graph:derived`."""
    yield from _activity()
    for number in numbers:
        yield from _number(number)
    for assessed in assessments:
        yield from _assessment(assessed)


def _number(each: Derived) -> Iterator[Quad]:
    def say(predicate: NamedNode, value: NamedNode | Literal) -> Quad:
        return Quad(each.iri, predicate, value, GRAPH)

    numbers = {STROMA.derivedValue: each.value, **each.more}
    if each.bounds is not None:
        numbers |= {STROMA.derivedLow: each.bounds[0], STROMA.derivedHigh: each.bounds[1]}
    if each.ci is not None:
        numbers |= {STROMA.ciLow: each.ci[0], STROMA.ciHigh: each.ci[1], STROMA.ciLevel: Decimal(95)}
    yield say(RDF.type, each.kind)
    yield say(RDFS.label, _english(each.label))
    yield say(STROMA.derivationMethod, each.method)
    yield say(STROMA.computation, _english(each.computation))
    yield say(STROMA.unit, Literal(each.unit))
    for predicate, number in numbers.items():
        if number is not None:
            yield say(predicate, decimal(number))
    for predicate, terms in each.about.items():
        for term in terms:
            yield say(predicate, term)
    for note in sorted(each.notes):
        yield say(STROMA.derivationNote, _english(note))
    yield from _origin(each.iri, each.inputs)


def _assessment(each: Assessed) -> Iterator[Quad]:
    def say(predicate: NamedNode, value: NamedNode | Literal) -> Quad:
        return Quad(each.iri, predicate, value, GRAPH)

    yield say(RDF.type, STROMA.PoolingAssessment)
    yield say(RDFS.label, _english(each.label))
    yield say(STROMA.derivationMethod, STROMA.MethodDesignRules)
    yield say(STROMA.forMeasure, each.measure)
    yield say(STROMA.mayBePooled, Literal(str(each.pooled).lower(), datatype=XSD.boolean))
    yield say(STROMA.explanation, _english(each.explanation))
    for reason in each.reasons:
        yield say(STROMA.poolingReason, _REASONS[reason])
    yield from _origin(each.iri, each.inputs)


def _origin(node: NamedNode, inputs: Iterable[NamedNode]) -> Iterator[Quad]:
    for source in sorted(inputs, key=str):
        yield Quad(node, PROV.wasDerivedFrom, source, GRAPH)
    yield Quad(node, PROV.wasGeneratedBy, ACTIVITY, GRAPH)
    yield Quad(node, STROMA.statementLevel, STROMA.LevelRecomputed, GRAPH)
    yield Quad(node, STROMA.evidenceType, OBO.ECO_0007669, GRAPH)  # computational, in automatic assertion


@cache
def _activity() -> tuple[Quad, ...]:
    """What computed the numbers: our program with the libraries and versions it used."""
    found = [
        Quad(ACTIVITY, RDF.type, PROV.Activity, GRAPH),
        Quad(ACTIVITY, RDFS.label, _english("computation of numbers from reported numbers"), GRAPH),
    ]
    for name in ("stroma-kg", "scipy", "statsmodels"):
        number = version(name)
        agent = mint("agent", name, number)
        found += [
            Quad(ACTIVITY, PROV.wasAssociatedWith, agent, GRAPH),
            Quad(agent, RDF.type, PROV.SoftwareAgent, GRAPH),
            Quad(agent, RDFS.label, _english(f"{name} {number}"), GRAPH),
        ]
    return tuple(found)


def _english(text: str) -> Literal:
    return Literal(text, language="en")
