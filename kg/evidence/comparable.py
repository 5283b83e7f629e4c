"""Which reported results may be set against each other, and in which direction.

Hides what makes two results comparable: the same study, place, measure, time, analysis set and row of a
table, and groups without a participant in common. Also what a result is of, in words and in triples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import NamedTuple, TypeVar

from pyoxigraph import Literal, NamedNode

from kg.evidence import statistics
from kg.evidence.derived import Derived, Terms, decimal, plain
from kg.evidence.reported import Observation, Reported, Value
from kg.terms import OBO, STROMA, mint, proposition

LITERATURE, REGISTRY = mint("graph", "literature"), mint("graph", "clinicaltrials")

_COMPARATORS = frozenset(
    {STROMA.ArmTypePlaceboComparator, STROMA.ArmTypeShamComparator, STROMA.ArmTypeNoIntervention,
     STROMA.ArmTypeActiveComparator}
)  # fmt: skip
# Designs in which a participant may be in two arms.
_SHARED_BY_DESIGN = frozenset({STROMA.ModelCrossover, STROMA.ModelSingleGroup})
_GROUPS = tuple(mint(kind, "x").value[:-1] for kind in ("arm", "group"))


class Scope(NamedTuple):
    """What two results must share, besides a line where they stand in a document; `record` is the arms'."""

    graph: NamedNode
    record: str  # the registry's or paper's own list of arms
    studies: tuple[NamedNode, ...]
    measure: NamedNode | None
    outcome: NamedNode | None
    title: str  # of a registry's outcome
    categories: tuple[str, ...]
    period: str
    months: Decimal | None
    label: str
    analysis_set: NamedNode | None
    unit: str
    statistic: str
    baseline: bool

    @property
    def subject(self) -> tuple[str, ...]:
        """What the result is of, wherever it is printed: the same in two documents."""
        return (
            *(study.value for study in self.studies),
            str(self.measure),
            str(self.outcome),
            self.title,
            *self.categories,
            self.period,
            "" if self.months is None else plain(self.months),
            self.label if self.months is None else "",
            str(self.analysis_set),
        )


def scope(one: Observation) -> Scope:
    """The scope of an observation."""
    return Scope(
        one.graph, "" if one.graph == LITERATURE else one.group.value.rpartition("/")[0],
        one.studies, one.measure, one.outcome, one.title if one.graph == REGISTRY else "",
        one.categories, one.period, one.months, one.label, one.analysis_set, one.unit,
        one.statistic, is_baseline(one),
    )  # fmt: skip


def stand_together(one: Observation, other: Observation) -> bool:
    """Whether two results are told in one breath: on a line of a document; anywhere in a record or paper."""
    if one.graph != LITERATURE:
        return True
    return bool(_lines(one) & _lines(other))


def _lines(one: Observation) -> frozenset[tuple[NamedNode, int]]:
    """The lines at which the result stands; that of a table's head, with its sizes, does not count."""
    return frozenset(
        (claim.span.document, claim.span.line)
        for value in one.values
        if value.predicate != STROMA.sampleSize
        for claim in value.claims
        if claim.span is not None
    )


def is_baseline(one: Observation) -> bool:
    """Whether a result is of the time before treatment."""
    # A registry's outcome at month 0 is a change since then as often as not.
    return STROMA.BaselineObservation in one.kinds or (one.months == 0 and one.graph != REGISTRY)


def is_outcome(one: Observation) -> bool:
    """Whether a result is of a measure or planned outcome: no participant flow, no single adverse event."""
    if STROMA.FlowObservation in one.kinds:
        return False
    return one.measure is not None or (one.outcome is not None and not one.event)


def used(one: Observation, *predicates: NamedNode) -> frozenset[NamedNode]:
    """An observation, and the propositions of those of its values that claims state."""
    return frozenset(
        {
            one.iri,
            *(
                proposition(one.iri, value.predicate, value.term)
                for value in one.values
                if value.predicate in predicates and value.claims
            ),
        }
    )


@dataclass(frozen=True)
class Share:
    """`events` of `total` participants of a group; `inputs` are what that rests on."""

    of: Observation
    events: int
    total: int
    inputs: frozenset[NamedNode]
    notes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.events} of {self.total}"


@dataclass(frozen=True)
class Mean:
    """A group's mean and standard deviation over `total` participants."""

    of: Observation
    mean: Decimal
    sd: Decimal
    total: int
    inputs: frozenset[NamedNode]

    def __str__(self) -> str:
        return f"{self.mean} (SD {self.sd}, n {self.total})"


@dataclass(frozen=True)
class Pair:
    """Two groups that may be set against each other; `notes` say what to mind."""

    compared: NamedNode
    reference: NamedNode
    notes: frozenset[str]


Numbers = TypeVar("Numbers", Share, Mean)


class Comparable:
    """The comparable results of what sources report; `shares`, `means` and the `counts` found on the way."""

    def __init__(self, reported: Reported) -> None:
        self.reported = reported
        self._sizes: dict[NamedNode, list[Observation]] = {}
        for one in reported.observations:
            if one.measure == STROMA.MeasureGroupSize and _size(one) is not None:
                self._sizes.setdefault(one.group, []).append(one)
        self.counts: list[Derived] = []
        self.shares = list(self._shares())
        self.means = list(self._means())

    # ------------------------------------------------------------ numbers

    def _shares(self) -> Iterator[Share]:
        """Every result that is, or comes to, so many of so many participants."""
        for one in self.reported.observations:
            events, percentage = one.integer(STROMA.numberAffected), one.get(STROMA.percentage)
            if percentage is None and one.get(STROMA.sampleSize) is None:
                continue  # "one patient" is not one of all patients, unless the source says so
            whole = None if one.operator else self._total(one)
            if whole is None or whole[0] < 1:
                continue
            total, inputs, notes = whole
            counted = None
            if percentage is not None:
                counted = self._count(one, percentage, total, inputs, notes)
            if events is not None and 0 <= events <= total:
                yield Share(one, events, total, inputs | used(one, STROMA.numberAffected), notes)
            elif events is None and counted is not None and counted.value is not None:
                yield Share(one, int(counted.value), total, frozenset({counted.iri}), notes)

    def _total(self, one: Observation) -> tuple[int, frozenset[NamedNode], frozenset[str]] | None:
        """The number of participants behind a result: its own, else the one size its group is given."""
        if (own := one.integer(STROMA.sampleSize)) is not None:
            return own, used(one, STROMA.sampleSize), frozenset()
        sizes = self._sizes.get(one.group, [])
        same = [size for size in sizes if size.analysis_set == one.analysis_set]
        near = [size for size in same or sizes if size.document == one.document] or same or sizes
        totals = {_size(size) for size in near}
        if len(totals) != 1 or (total := totals.pop()) is None:
            return None
        notes = frozenset[str]()
        if not same:
            sets = " and ".join(sorted({self._set(size.analysis_set) for size in near}))
            notes |= {
                f"No size is stated for the {self._set(one.analysis_set)}; that of the {sets} is taken."
            }
        stated = (used(size, STROMA.sampleSize, STROMA.numberAffected) for size in near)
        return total, frozenset().union(*stated), notes

    def _count(
        self, one: Observation, percentage: Value, total: int, inputs: frozenset[NamedNode],
        notes: frozenset[str],
    ) -> Derived | None:  # fmt: skip
        """The count behind a percentage; None where no whole number prints so: that is a finding."""
        number = percentage.number
        if number is None or not 0 <= number <= 100:
            return None
        counts = statistics.counts_of_percent(percentage.text, total)
        if not counts:
            return None
        low, high = Decimal(counts[0]), Decimal(counts[-1])
        found = Derived(
            STROMA.DerivedCount, STROMA.MethodCountFromPercentage,
            (one.group.value, *scope(one).subject, percentage.text, str(total)),
            f"count behind {percentage.text} % of {total}: {self.whose(one)}",
            f"{percentage.text} % of {total}", "{patients}",
            inputs | used(one, STROMA.percentage), self.about(one, one.group),
            low if low == high else None, (low, high), notes=notes,
        )  # fmt: skip
        self.counts.append(found)
        return found

    def _means(self) -> Iterator[Mean]:
        for one in self.reported.observations:
            mean, sd = one.number(STROMA.meanValue), one.number(STROMA.sdValue)
            total = one.integer(STROMA.sampleSize)
            if one.operator or mean is None or sd is None or sd < 0 or total is None or total < 2:
                continue
            yield Mean(one, mean, sd, total, used(one, STROMA.meanValue, STROMA.sdValue, STROMA.sampleSize))

    # ------------------------------------------------------------ pairs of groups

    def pairs(self, numbers: Sequence[Numbers]) -> Iterator[tuple[Scope, Numbers, Numbers, Pair]]:
        """Each two results that may be set against each other, the reference second, in a fixed order."""
        scopes: dict[Scope, dict[NamedNode, list[Numbers]]] = {}
        for each in numbers:
            one = each.of
            if not is_outcome(one) or (is_baseline(one) and one.categories):
                continue  # a registry's rows of sex, race and country are no outcomes
            scopes.setdefault(scope(one), {}).setdefault(one.group, []).append(each)
        for shared, groups in sorted(scopes.items(), key=lambda item: str(item[0])):
            for pair in self.oriented(shared, sorted(groups, key=str)):
                met = [
                    (first, second)
                    for first in groups[pair.compared]
                    for second in groups[pair.reference]
                    if stand_together(first.of, second.of)
                ]
                for first, second in met:
                    # A number that could go with two others goes with none.
                    if sum(first is a or second is b for a, b in met) == 1:
                        yield shared, first, second, pair

    def oriented(self, shared: Scope, groups: Sequence[NamedNode]) -> Iterator[Pair]:
        """The pairs of groups that a design lets us compare, each with its reference.

        That is the comparator where arm types name one; else the group that gets part of what the other gets;
        else, where there are two groups only, the first by name.
        """
        comparators = [
            group for group in groups
            if _COMPARATORS & set(self.reported.thing(group).nodes(STROMA.hasArmType))
        ]  # fmt: skip
        for one, other in combinations(groups, 2):
            if not self._disjoint(shared, one, other):
                continue
            notes = self._cautions(shared, one, other)
            given, given_2 = self.given(one), self.given(other)
            if comparators:
                if (one in comparators) != (other in comparators):
                    yield Pair(*((other, one) if one in comparators else (one, other)), notes)
            elif given < given_2:
                yield Pair(other, one, notes)
            elif given_2 < given:
                yield Pair(one, other, notes)
            elif len(groups) == 2:
                notes |= {"The source names no comparator; the first group by name is the reference."}
                yield Pair(other, one, notes)

    def _disjoint(self, shared: Scope, one: NamedNode, other: NamedNode) -> bool:
        """Whether both are arms of one study whose design puts nobody into two of them."""
        trials = self.reported.trials
        both = set(trials.get(one, ())) & set(trials.get(other, ()))
        studies = both & set(shared.studies)
        if not studies:
            # The arms of a pooled analysis, at a time when its trials were still running.
            drawn_on = {*self.reported.trials_of(one), *self.reported.trials_of(other)}
            studies = set(shared.studies) if both and set(shared.studies) <= drawn_on else set()
        models = {
            model
            for study in studies
            for model in self.reported.thing(study).nodes(STROMA.hasInterventionModel)
        }
        if not studies or models & _SHARED_BY_DESIGN:
            return False
        parts = [{group, *self.reported.thing(group).nodes(STROMA.pools)} for group in (one, other)]
        return not any(node.value.startswith(_GROUPS) for node in parts[0] & parts[1])

    def _cautions(self, shared: Scope, one: NamedNode, other: NamedNode) -> frozenset[str]:
        found = set()
        if set(self.reported.trials_of(one)) != set(self.reported.trials_of(other)):
            found.add("The groups draw on different trials: not a randomised comparison throughout.")
        allocations = {
            node
            for study in shared.studies
            for node in self.reported.thing(study).nodes(STROMA.hasAllocation)
        }
        if STROMA.AllocationNonRandomized in allocations:
            found.add("The groups were not formed by randomisation.")
        return frozenset(found)

    def given(self, group: NamedNode) -> frozenset[str]:
        """What a group gets: "MSC", "placebo", other products by their substance or name."""
        found = set()
        for regimen in self.reported.thing(group).nodes(STROMA.hasIntervention):
            for iri in self.reported.thing(regimen).nodes(STROMA.administers):
                product = self.reported.thing(iri)
                if STROMA.MSCProduct in product.types:
                    found.add("MSC")
                elif STROMA.PlaceboProduct in product.types:
                    found.add("placebo")
                else:
                    substances = (self.reported.label(node) for node in product.nodes(OBO.RO_0002248))
                    found.add(" and ".join(sorted(substances)) or self.reported.label(iri))
        return frozenset(found)

    def is_part(self, group: NamedNode) -> bool:
        """Whether a group was picked out of one other group; a union of several was not."""
        pools = self.reported.thing(group).nodes(STROMA.pools)
        return len(pools) == 1 and pools[0].value.startswith(_GROUPS)

    # ------------------------------------------------------------ scope in triples and words

    def about(self, one: Observation, groups: NamedNode | Pair) -> dict[NamedNode, Terms]:
        """The scope of a derived number, in the words observations use."""
        found: dict[NamedNode, Terms] = (
            {STROMA.comparedGroup: (groups.compared,), STROMA.referenceGroup: (groups.reference,)}
            if isinstance(groups, Pair)
            else {STROMA.aboutGroup: (groups,)}
        )
        found[STROMA.producedByStudy] = one.studies
        for predicate, node in (
            (STROMA.forMeasure, one.measure),
            (STROMA.forOutcome, one.outcome),
            (STROMA.analysisSet, one.analysis_set),
        ):
            if node is not None:
                found[predicate] = (node,)
        if one.months is not None:
            found[STROMA.timepointMonths] = (decimal(one.months),)
        if one.label:
            found[STROMA.timepointLabel] = (Literal(one.label),)
        found[STROMA.categoryText] = tuple(Literal(text) for text in one.categories)
        return found

    def what(self, one: Observation) -> str:
        """ "ACR20 response, year 5" """
        name = one.title if one.measure is None else self.reported.label(one.measure)
        if one.measure is not None and one.graph == REGISTRY and one.title and one.title != name:
            name = f"{name} ({one.title})"
        elif not name and one.outcome is not None:
            name = self.reported.label(one.outcome)
        when = one.label or ("" if one.months is None else f"month {plain(one.months)}")
        return f"{name}, {when}" if when else name

    def whose(self, one: Observation) -> str:
        """ "ACR20 response, year 5, MSC monotherapy" """
        return f"{self.what(one)}, {self.reported.label(one.group)}"

    def versus(self, pair: Pair) -> str:
        """ "MSC plus IFN-γ against MSC monotherapy" """
        return f"{self.reported.label(pair.compared)} against {self.reported.label(pair.reference)}"

    def _set(self, analysis_set: NamedNode | None) -> str:
        return "group" if analysis_set is None else self.reported.label(analysis_set)


def _size(one: Observation) -> int | None:
    own = one.integer(STROMA.sampleSize)
    return one.integer(STROMA.numberAffected) if own is None else own
