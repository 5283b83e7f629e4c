"""Scope: which reported numbers are about the same thing, and when two printed numbers agree.

Hides how scopes are compared. Numbers of equal scope can contradict each other; numbers of another group,
measure, time, analysis set or row of a table never do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from pyoxigraph import NamedNode

from kg.evidence.findings import Used, uses
from kg.evidence.reported import Comparison, Level, Observation, Reported, Result, Value
from kg.evidence.statistics import counts_of_percent
from kg.terms import DCTERMS, STROMA

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
