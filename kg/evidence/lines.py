"""Evidence lines: what speaks for or against a statement without claiming it.

Hides what is held against what. Whoever claims a statement supports it, which nobody has to compute. A line
is there where a registry, the ontology or an inference has the same edge without a claim, where somebody says
the opposite of the same things or compares the same groups elsewhere, and where a number computed from what
is reported settles it. "Not significant" is no evidence of no difference: it never speaks against the group
that is said to do better, only against a difference that is called significant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from pyoxigraph import Literal, NamedNode, Quad

from kg.evidence.derived import Derived, plain
from kg.evidence.reported import Claim, Comparison, Proposition, Reported, Value
from kg.evidence.scope import edges_compared, one_time, significant
from kg.terms import OBO, STROMA, XSD, mint, proposition

GRAPH = mint("graph", "evidence-lines")

# The sources and the ontology whose edges need no claim.
_GRAPHS = {str(mint("graph", name)).encode() for name in ("clinicaltrials", "ictrp", "ontology")}
_DECIMAL = f'"^^{XSD.decimal}'.encode()
_INFERRED = str(mint("graph", "inferred"))[:-1].encode() + b"/"

# What an effect of no difference comes to, by the method; one effect of each two groups is enough.
_NO_DIFFERENCE = {
    STROMA.MethodRiskDifference: Decimal(0),
    STROMA.MethodStandardisedMeanDifference: Decimal(0),
    STROMA.MethodRateRatio: Decimal(1),
}


class Direction(Enum):
    """Whether evidence speaks for or against a statement, or was weighed and does not decide (SEPIO)."""

    SUPPORTS = OBO.SEPIO_0000007
    DISPUTES = OBO.SEPIO_0000008
    INCONCLUSIVE = OBO.SEPIO_0000009


@dataclass(frozen=True)
class Line:
    """Evidence for or against a proposition: a claim, a registry's record, a derived number, or the graph of
    the ontology or of an inference."""

    proposition: NamedNode
    direction: Direction
    evidence: NamedNode


def quads(reported: Reported, numbers: Iterable[Derived], stated: Iterable[bytes]) -> Iterator[Quad]:
    """The lines as quads of `graph:evidence-lines`: proposition, direction, evidence."""
    for line in lines(reported, numbers, stated):
        yield Quad(line.proposition, line.direction.value, line.evidence, GRAPH)


def lines(reported: Reported, numbers: Iterable[Derived], stated: Iterable[bytes]) -> tuple[Line, ...]:
    """All lines, sorted, each once; none from a claim to a statement that it makes itself.

    `stated` are the N-Quads lines that `reported` was read from.
    """
    numbers = tuple(numbers)
    found = {
        *_without_a_claim(reported, stated),
        *_of_edges(reported),
        *_of_records(reported),
        *_of_comparisons(reported),
        *_of_effects(reported, numbers),
        *_of_counts(reported, numbers),
    }
    own = {(each.iri, claim.iri) for each in reported.propositions for claim in each.claims}
    kept = [line for line in found if (line.proposition, line.evidence) not in own]
    return tuple(
        sorted(kept, key=lambda line: (str(line.proposition), line.direction.name, str(line.evidence)))
    )


# ------------------------------------------------------------------------------------------ edges


def _without_a_claim(reported: Reported, stated: Iterable[bytes]) -> Iterator[Line]:
    """Registries, the ontology and inferences that have a claimed edge, or the opposite of one, without a
    claim of their own."""
    Values = dict[bytes, list[tuple[Proposition, Direction]]]
    claimed: dict[bytes, dict[bytes, Values]] = {}  # by predicate and subject

    def expect(each: Proposition, predicate: NamedNode, direction: Direction) -> None:
        subjects = claimed.setdefault(str(predicate).encode(), {})
        values = subjects.setdefault(str(each.subject).encode(), {})
        values.setdefault(_plain(str(each.object).encode()), []).append((each, direction))

    for each in reported.propositions:
        expect(each, each.predicate, Direction.SUPPORTS if each.positive else Direction.DISPUTES)
        # Who denies that it enhances does not say that it impairs.
        for opposite in reported.opposites.get(each.predicate, ()) if each.positive else ():
            expect(each, opposite, Direction.DISPUTES)
    for line in stated:
        subject, predicate, rest = line.split(b" ", 2)
        if predicate not in claimed or (values := claimed[predicate].get(subject)) is None:
            continue
        value, graph, _ = rest.rsplit(b" ", 2)
        if not speaks_by_itself(graph):
            continue
        node = NamedNode(graph[1:-1].decode())
        for each, direction in values.get(_plain(value), ()):
            if all(claim.graph != node for claim in each.claims):
                for evidence in reported.records(each.subject, node) or (node,):
                    yield Line(each.iri, direction, evidence)


def _plain(value: bytes) -> bytes:
    """A term's token, a decimal in its shortest form: "50.0" and "50" are one number."""
    if not value.endswith(_DECIMAL):
        return value
    return plain(Decimal(value[1 : -len(_DECIMAL)].decode())).encode() + _DECIMAL


def speaks_by_itself(graph: bytes) -> bool:
    """Whether the edges of a graph, given as N-Quads token, need no claim to be said by somebody."""
    return graph in _GRAPHS or graph.startswith(_INFERRED)


def _of_edges(reported: Reported) -> Iterator[Line]:
    """Claims of the opposite, unless they speak of another population or advise."""
    for one, other, opposed in edges_compared(reported):
        if opposed:
            yield from _against(one, other)
            yield from _against(other, one)


def _against(own: Proposition, other: Proposition) -> Iterator[Line]:
    populations = {claim.population for claim in own.claims}
    for claim in other.claims:
        if claim.modality != STROMA.ModalityRecommended and _meets(claim, populations):
            yield Line(own.iri, Direction.DISPUTES, claim.iri)


def _meets(claim: Claim, populations: set[str]) -> bool:
    """Whether a claim can be of one of the populations; one that names none is of every one."""
    return not populations or claim.population in ("", *populations) or "" in populations


def _of_records(reported: Reported) -> Iterator[Line]:
    """Records of registries that hold the opposite value of what is claimed."""
    for each in reported.propositions:
        if isinstance(each.object, Literal):
            continue
        opposite = reported.opposites.get(each.object, frozenset())
        direction = Direction.DISPUTES if each.positive else Direction.SUPPORTS
        for value in reported.thing(each.subject).all(each.predicate):
            if value.term in opposite and not value.claims:
                for record in reported.records(each.subject, value.graph):
                    yield Line(each.iri, direction, record)


# ------------------------------------------------------------------------------------ comparisons


def _of_comparisons(reported: Reported) -> Iterator[Line]:
    """What is said of the same two groups and measure, at a time that can be the same."""
    alike: dict[tuple[object, ...], list[Comparison]] = {}
    for each in reported.comparisons:
        if each.measure is not None:
            alike.setdefault((each.groups, each.measure, each.outcome), []).append(each)
    for met in alike.values():
        for own in met:
            for other in met:
                if one_time(own, other):
                    for value in other.values:
                        yield from _held_against(reported, own, other, value)


def _held_against(reported: Reported, own: Comparison, other: Comparison, said: Value) -> Iterator[Line]:
    shown = _shown(other, said)
    for value in own.values:
        direction = None
        if value.predicate == said.predicate == STROMA.favoursGroup:
            direction = Direction.SUPPORTS if value.term == said.term else Direction.DISPUTES
        elif value.predicate == STROMA.favoursGroup and shown is False:
            direction = Direction.INCONCLUSIVE
        elif value.predicate == STROMA.isSignificant and shown is not None:
            direction = Direction.SUPPORTS if shown == (value.text == "true") else Direction.DISPUTES
        if direction is not None:
            statement = proposition(own.iri, value.predicate, value.term)
            for evidence in _sources(reported, other, said):
                yield Line(statement, direction, evidence)


def _shown(comparison: Comparison, said: Value) -> bool | None:
    """Whether a difference was shown, by a value of a comparison; None where that does not say."""
    if said.predicate == STROMA.isSignificant:
        return said.text == "true"
    if said.predicate == STROMA.pValue and said.number is not None:
        operator = comparison.get(STROMA.pOperator)
        return significant(said.number, operator.text if operator else "=")
    return None


def _sources(reported: Reported, of: Comparison, value: Value) -> Iterator[NamedNode]:
    if value.claims:
        yield from (claim.iri for claim in value.claims)
    else:
        yield from reported.records(of.iri, value.graph)


# -------------------------------------------------------------------------------- derived numbers


def _of_effects(reported: Reported, numbers: Iterable[Derived]) -> Iterator[Line]:
    """Effects recomputed for the groups, measure and time of a comparison, by their confidence intervals."""
    compared: dict[tuple[object, ...], list[Comparison]] = {}
    for each in reported.comparisons:
        compared.setdefault((frozenset(each.groups), each.measure, each.outcome), []).append(each)
    for number in numbers:
        nothing = _NO_DIFFERENCE.get(number.method)
        if nothing is None or number.ci is None or number.value is None:
            continue
        compared_group, reference = (_node(number, name) for name in ("comparedGroup", "referenceGroup"))
        measure = _node(number, "forMeasure")
        scope = (frozenset((compared_group, reference)), measure, _node(number, "forOutcome"))
        shown = _excludes(number.ci, nothing)
        better = _better(reported, measure, number.value > nothing, compared_group, reference)
        for own in compared.get(scope, ()):
            if _at(own, number.about):
                yield from _judged(own, number, shown, better)


def _judged(own: Comparison, number: Derived, shown: bool, better: NamedNode | None) -> Iterator[Line]:
    for value in own.values:
        direction = None
        if value.predicate == STROMA.favoursGroup and not shown:
            direction = Direction.INCONCLUSIVE
        elif value.predicate == STROMA.favoursGroup and better is not None:
            direction = Direction.SUPPORTS if value.term == better else Direction.DISPUTES
        elif value.predicate == STROMA.isSignificant and value.text == "true":
            # The interval is of our method, the judgement of theirs.
            direction = Direction.SUPPORTS if shown else Direction.INCONCLUSIVE
        elif value.predicate == STROMA.isSignificant:
            direction = Direction.DISPUTES if shown else Direction.SUPPORTS
        if direction is not None:
            yield Line(proposition(own.iri, value.predicate, value.term), direction, number.iri)


def _excludes(interval: tuple[Decimal | None, Decimal | None], nothing: Decimal) -> bool:
    low, high = interval
    return (low is not None and low > nothing) or (high is not None and high < nothing)


def _better(
    reported: Reported, measure: NamedNode | None, more: bool, compared: NamedNode | None,
    reference: NamedNode | None,
) -> NamedNode | None:  # fmt: skip
    """The group that did better; None where the ontology does not say which direction of a measure is."""
    better = reported.thing(measure).text(STROMA.improvementDirection) if measure else ""
    if better not in ("higher", "lower"):
        return None
    return compared if more == (better == "higher") else reference


def _at(own: Comparison, about: Mapping[NamedNode, tuple[NamedNode | Literal, ...]]) -> bool:
    """Whether a comparison can be of a number's time and analysis set; one that names none can."""
    analysed = about.get(STROMA.analysisSet, ())
    if own.analysis_set is not None and own.analysis_set not in analysed:
        return False
    if own.months is not None:
        return any(Decimal(term.value) == own.months for term in about.get(STROMA.timepointMonths, ()))
    return not own.label or own.label in {term.value for term in about.get(STROMA.timepointLabel, ())}


def _node(number: Derived, name: str) -> NamedNode | None:
    return next((term for term in number.about.get(STROMA(name), ()) if isinstance(term, NamedNode)), None)


def _of_counts(reported: Reported, numbers: Iterable[Derived]) -> Iterator[Line]:
    """The count behind a printed percentage, held against the count that is printed beside it."""
    percentages = {
        proposition(one.iri, value.predicate, value.term): (one, value)
        for one in reported.observations
        for value in one.all(STROMA.percentage)
    }
    for number in numbers:
        if number.method != STROMA.MethodCountFromPercentage or number.bounds is None:
            continue
        low, high = number.bounds
        for one, percentage in (percentages[node] for node in number.inputs if node in percentages):
            count = one.get(STROMA.numberAffected)
            if count is None or count.number is None or low is None or high is None:
                continue
            fits = low <= count.number <= high
            for value in (count, percentage):
                statement = proposition(one.iri, value.predicate, value.term)
                yield Line(statement, Direction.SUPPORTS if fits else Direction.DISPUTES, number.iri)
