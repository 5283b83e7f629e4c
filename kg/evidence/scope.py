"""Scope: which statements are about the same thing, and when two of them agree or say the opposite.

Hides how scopes are compared. Numbers of equal scope can contradict each other; numbers of another group,
measure, time, analysis set or row of a table never do. What is the opposite of what, the ontology says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from pyoxigraph import Literal, NamedNode

from kg.evidence.findings import Used, uses
from kg.evidence.reported import Comparison, Level, Observation, Proposition, Reported, Result, Value
from kg.evidence.statistics import counts_of_percent
from kg.terms import DCTERMS, STROMA, XSD

COUNTS = (STROMA.numberAffected, STROMA.sampleSize, STROMA.eventCount, STROMA.countValue)
AMOUNTS = (
    STROMA.percentage, STROMA.meanValue, STROMA.sdValue, STROMA.medianValue, STROMA.numericValue,
    STROMA.standardError, STROMA.ratePer100PatientYears,
    STROMA.rangeLow, STROMA.rangeHigh, STROMA.interquartileLow, STROMA.interquartileHigh,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """What a number is about. `when` is in months, or the printed label where no month is told."""

    group: NamedNode
    measure: NamedNode | None
    when: str
    analysis_set: NamedNode | None
    row: tuple[str, ...]  # of a registry's table: outcome, title, categories, period, event …


def scope(observation: Observation) -> Scope:
    """The scope of an observation."""
    months = observation.months
    return Scope(
        observation.group,
        observation.measure,
        observation.label if months is None else f"{months.normalize():f}",
        observation.analysis_set,
        (
            observation.outcome.value if observation.outcome else "",
            observation.title,
            *observation.categories,
            observation.period,
            observation.event,
            observation.organ_system,
            observation.assessment,
            str(observation.serious),
            observation.statistic,
            observation.unit,
        ),
    )


def by_scope(observations: Iterable[Observation]) -> dict[Scope, list[Observation]]:
    """Observations that are about the same thing."""
    found: dict[Scope, list[Observation]] = {}
    for observation in observations:
        found.setdefault(scope(observation), []).append(observation)
    return found


_SIGNIFICANT = Decimal("0.05")


def significant(p: Decimal, operator: str = "=") -> bool | None:
    """What a printed p-value says of significance at 5 %; None for one that leaves it open ("> 0.01")."""
    if operator.startswith("<"):
        return True if p <= _SIGNIFICANT else None
    if operator.startswith(">") and p < _SIGNIFICANT:
        return None
    return p < _SIGNIFICANT


def one_time(one: Result, other: Result) -> bool:
    """Whether two results can be of one time and analysis set: one names none, or both name the same."""
    if one.analysis_set and other.analysis_set and one.analysis_set != other.analysis_set:
        return False
    whens = [each.label if each.months is None else each.months for each in (one, other)]
    return "" in whens or whens[0] == whens[1]


def edges_compared(reported: Reported) -> Iterator[tuple[Proposition, Proposition, bool]]:
    """Each two propositions that relate the same two things, or say of a thing values one of which has an
    opposite; and whether they are opposed.

    Opposed are an edge affirmed and denied, the opposite relation between the same two things, and the
    opposite value of one thing.
    """
    of_both: dict[tuple[NamedNode, str], list[Proposition]] = {}
    of_values: dict[tuple[NamedNode, NamedNode], list[Proposition]] = {}
    for each in reported.propositions:
        of_both.setdefault((each.subject, str(each.object)), []).append(each)
        if _has_opposite(reported, each):
            of_values.setdefault((each.subject, each.predicate), []).append(each)
    for met in of_both.values():
        for one, other in combinations(met, 2):
            if one.predicate == other.predicate:
                yield one, other, one.positive != other.positive
            else:
                related = other.predicate in reported.opposites.get(one.predicate, ())
                yield one, other, related and one.positive and other.positive
    for met in of_values.values():
        for one, other in combinations(met, 2):
            if one.object != other.object:
                yield one, other, _opposite_values(reported, one, other) and one.positive and other.positive


def _has_opposite(reported: Reported, one: Proposition) -> bool:
    if isinstance(one.object, Literal):
        return one.object.datatype == XSD.boolean
    return one.object in reported.opposites


def _opposite_values(reported: Reported, one: Proposition, other: Proposition) -> bool:
    if isinstance(one.object, Literal):
        return isinstance(other.object, Literal)
    return other.object in reported.opposites.get(one.object, ())


def agree(one: Value, other: Value, *, approximate: bool = False) -> bool:
    """Whether two printed numbers can be the same number: within the rounding of the coarser one.

    "85.5" and "86" agree, "83" and "86" do not. An approximate one agrees within a tenth of its size.
    """
    if one.number is None or other.number is None:
        return one.text == other.text
    decimals = min(one.decimals, other.decimals)
    apart = abs(one.number - other.number)
    if apart <= Decimal(5).scaleb(-decimals - 1):
        return True
    return approximate and apart <= max(abs(one.number), abs(other.number)) / 10


@dataclass(frozen=True, slots=True)
class Share:
    """n of N as reported, or as a percentage and N imply; `used` are the statements it comes from."""

    affected: int
    total: int
    used: tuple[Used, ...]

    @property
    def percent(self) -> float:
        return 100 * self.affected / self.total

    @property
    def count(self) -> tuple[int, int]:
        return self.affected, self.total

    def __str__(self) -> str:
        return f"{self.affected} of {self.total}"


def share(observation: Observation, total: tuple[int, tuple[Used, ...]] | None = None) -> Share | None:
    """The share of a group that an observation gives: n and N, or a percentage that fits one n only.

    `total` is the N to take where the observation tells none. None where n or N stays unknown.
    """
    if observation.operator not in ("", "="):
        return None
    size, size_used = observation.integer(STROMA.sampleSize), uses(observation, STROMA.sampleSize)
    if size is None and total is not None:
        size, size_used = total
    if not size:
        return None
    n = observation.integer(STROMA.numberAffected)
    if n is not None:
        if not 0 <= n <= size:
            return None
        return Share(n, size, (*uses(observation, STROMA.numberAffected), *size_used))
    percent = observation.get(STROMA.percentage)
    if percent is None or percent.number is None or not 0 <= percent.number <= 100:
        return None
    fitting = counts_of_percent(percent.text, size)
    if len(fitting) != 1:
        return None
    return Share(fitting[0], size, (*uses(observation, STROMA.percentage), *size_used))


def sizes(reported: Reported) -> dict[NamedNode, tuple[int, tuple[Used, ...]]]:
    """The size of each group of which the documents and papers give only one, whatever the analysis set.

    A group of which two sizes are told is left out: which one a percentage is of would be a guess.
    """
    measures = {STROMA.MeasureGroupSize, STROMA.MeasureRandomised}
    found: dict[NamedNode, dict[int, list[Used]]] = {}
    for observation in reported.observations:
        if observation.measure not in measures or observation.operator:
            continue
        for predicate in (STROMA.numberAffected, STROMA.sampleSize):
            size = observation.integer(predicate)
            if size:
                found.setdefault(observation.group, {}).setdefault(size, []).extend(
                    uses(observation, predicate)
                )
    return {
        group: (size, tuple(used))
        for group, by_size in found.items()
        if len(by_size) == 1
        for size, used in by_size.items()
    }


def concerned(*results: Result) -> tuple[NamedNode, ...]:
    """The groups, measures and studies that results are about, for `Finding.about`."""
    found: dict[NamedNode, None] = {}
    for result in results:
        measures = (result.measure,) if result.measure else ()
        found |= dict.fromkeys((*result.groups_of(), *measures, *result.studies))
    return tuple(found)


def described(reported: Reported, result: Result) -> str:
    """ "prednisone use, MSC monotherapy (Yang 2025), month 12": what a number is about, for a sentence."""
    title = result.title.removeprefix("comparison of groups: ")
    named = reported.label(result.measure) if result.measure else ""
    parts = [title or named]
    if result.level is Level.RECORDED:
        studies = (reported.thing(study).text(DCTERMS.identifier) for study in result.studies)
        parts = [": ".join(part for part in (", ".join(studies), title or named) if part)]
    if isinstance(result, Observation):
        parts += [*result.categories, result.event, reported.label(result.group)]
    if isinstance(result, Comparison):
        parts.append(" against ".join(map(reported.label, result.groups)))
    if result.months is not None:
        parts.append("baseline" if result.months == 0 else f"month {result.months.normalize():f}")
    elif result.label:
        parts.append(result.label)
    return ", ".join(dict.fromkeys(part for part in parts if part))
