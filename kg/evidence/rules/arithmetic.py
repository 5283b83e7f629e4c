"""Rules on numbers against arithmetic: percentages, totals, rates and p-values, recomputed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pyoxigraph import NamedNode

from kg.evidence import statistics
from kg.evidence.findings import Finding, Used, uses
from kg.evidence.reported import Comparison, Level, Observation, Reported, Result
from kg.evidence.scope import COUNTS, Scope, Share, by_scope, concerned, described, share, sizes
from kg.evidence.statistics import Interval, Undefined, counts_of_percent, rounding_interval
from kg.terms import BASE, STROMA

Scopes = Mapping[Scope, Sequence[Observation]]


# ------------------------------------------------------------------------------------- percentages


def percent_against_count(reported: Reported) -> Iterator[Finding | None]:
    """A percentage that its n and N do not give, or that no n of N can give.

    100 n/N is compared with the printed percentage within half a unit of its last digit; an exact half may be
    rounded either way. Where an observation tells no N, the size of its group is taken if the sources tell
    only one. Left alone: percentages printed as bounds or as approximate, and groups of several sizes.

    Major where the percentage is off by 10 points or more.
    """
    of_group = sizes(reported)
    for observation in reported.observations:
        percent = observation.get(STROMA.percentage)
        if percent is None or percent.number is None or observation.operator not in ("", "="):
            continue
        total, total_used = observation.integer(STROMA.sampleSize), uses(observation, STROMA.sampleSize)
        if total is None and observation.group in of_group:
            total, total_used = of_group[observation.group]
        if not total or not 0 <= percent.number <= 100:
            continue
        n = observation.integer(STROMA.numberAffected)
        fitting = counts_of_percent(percent.text, total)
        if n in fitting or (n is None and fitting):
            yield None
            continue
        what = described(reported, observation)
        if n is None:
            nearest = round(float(percent.number) * total / 100)
            close = range(max(0, nearest - 1), min(total, nearest + 1) + 1)
            tried = ", ".join(f"{count} = {100 * count / total:.2f} %" for count in close)
            said = f"no number of {total} gives {percent.text} %"
            computed = f"Of {total}, the nearest counts are {tried}; none prints as {percent.text} %."
            major = False
        else:
            got = 100 * n / total
            said = f"{n} of {total} is not {percent.text} %"
            wanted = " or ".join(map(str, fitting)) or "no whole number"
            computed = (
                f"100 × {n} / {total} = {got:.2f} %, printed as {percent.text} %; "
                f"{percent.text} % of {total} would be {wanted}."
            )
            major = abs(got - float(percent.number)) >= 10
        yield Finding(
            "PercentAgainstCount",
            major,
            f"{what}: {said}",
            computed,
            uses(observation, STROMA.percentage, STROMA.numberAffected) + total_used,
            concerned(observation),
        )


# ------------------------------------------------------------------------------------------- totals


def parts_against_total(reported: Reported) -> Iterator[Finding | None]:
    """Parts that do not add up to their total.

    Five sums: n of N must not exceed N; the groups that a pooled group pools must add up to it in each count
    of equal measure, time and analysis set; who was randomised or started must be those who completed and
    those who did not; the reasons for leaving must not exceed those who left; and people described as all who
    were randomised in some trials must be as many as these trials enrolled.

    Left alone: a pooled group that pools one group only (a part, not a sum), reasons that leave some
    unexplained, planned enrolment, and sums of which a part is not told.

    Major where the difference is a tenth of the total or more.
    """
    for observation in reported.observations:
        n, total = observation.integer(STROMA.numberAffected), observation.integer(STROMA.sampleSize)
        if n is not None and total is not None:
            stated = uses(observation, STROMA.numberAffected, STROMA.sampleSize)
            said = f"{n} are counted among {total}"
            yield None if n <= total else _sum(reported, observation, n, total, said, stated)
    scopes = by_scope(reported.observations)
    yield from _pooled_groups(reported, scopes)
    yield from _flows(reported)
    yield from _pooled_trials(reported)


def _sum(reported: Reported, of: Result, parts: int, total: int, said: str, used: Iterable[Used]) -> Finding:
    return Finding(
        "PartsAgainstTotal",
        abs(parts - total) * 10 >= total,
        f"{described(reported, of)}: {said}",
        f"The parts come to {parts}, the total is {total}: a difference of {abs(parts - total)}.",
        tuple(used),
        concerned(of),
    )


def _pooled_groups(reported: Reported, scopes: Scopes) -> Iterator[Finding | None]:
    for key, totals in scopes.items():
        pooled = reported.thing(key.group).nodes(STROMA.pools)
        groups = [group for group in pooled if not group.value.startswith(BASE + "trial/")]
        if len(groups) < 2 or len(groups) < len(pooled):
            continue
        for total in totals:
            for predicate in COUNTS:
                whole = total.integer(predicate)
                parts = [_undisputed(scopes, replace(key, group=group), predicate) for group in groups]
                told = [part for part in parts if part is not None]
                if whole is None or len(told) < len(parts):
                    continue
                counts = [count for _, count in told]
                used = [*uses(total, predicate), *(u for part, _ in told for u in uses(part, predicate))]
                said = f"{' + '.join(map(str, counts))} is not {whole}"
                same = sum(counts) == whole
                yield None if same else _sum(reported, total, sum(counts), whole, said, used)


def _undisputed(scopes: Scopes, key: Scope, predicate: NamedNode) -> tuple[Observation, int] | None:
    """The count of a scope, where the sources agree on it."""
    found = [(o, n) for o in scopes.get(key, ()) if (n := o.integer(predicate)) is not None]
    return found[0] if len({n for _, n in found}) == 1 else None


_STARTED = (STROMA.MeasureStarted, STROMA.MeasureRandomised)
_LEFT = (STROMA.MeasureNotCompleted, STROMA.MeasureWithdrawn)
_REASONS = (
    STROMA.MeasureWithdrawnAdverseEvent, STROMA.MeasureWithdrawnPoorEfficacy,
    STROMA.MeasureWithdrawnByParticipant, STROMA.MeasureLostToFollowUp,
)  # fmt: skip


def _flows(reported: Reported) -> Iterator[Finding | None]:
    """Of one group, analysis set and period: started = completed + left, and no more reasons than left."""
    flows: dict[tuple[object, ...], dict[NamedNode | None, list[Observation]]] = {}
    for observation in reported.observations:
        if STROMA.FlowObservation in observation.kinds:
            key = (observation.group, observation.analysis_set, observation.period, observation.level)
            flows.setdefault(key, {}).setdefault(observation.measure, []).append(observation)
    for flow in flows.values():
        started, completed, left = (
            next((found for m in measures if (found := _number(flow.get(m, ())))), None)
            for measures in (_STARTED, (STROMA.MeasureCompleted,), _LEFT)
        )
        if started and completed and left:
            added = completed[1] + left[1]
            said = f"{completed[1]} completed and {left[1]} who did not are not {started[1]}"
            used = (*started[2], *completed[2], *left[2])
            same = added == started[1]
            yield None if same else _sum(reported, started[0], added, started[1], said, used)
        # A registry lists reasons of its own besides ours, under "withdrawn", and gives their total apart.
        by_registry = STROMA.MeasureNotCompleted in flow
        measures = (*_REASONS, *((STROMA.MeasureWithdrawn, STROMA.MeasureDeath) if by_registry else ()))
        reasons = [found for m in measures for o in flow.get(m, ()) if (found := _number([o]))]
        if left and reasons:
            added = sum(count for _, count, _ in reasons)
            said = f"the reasons for leaving add up to {added}, those who left are {left[1]}"
            used = (*left[2], *(u for _, _, stated in reasons for u in stated))
            yield None if added <= left[1] else _sum(reported, left[0], added, left[1], said, used)


def _number(observations: Sequence[Observation]) -> tuple[Observation, int, tuple[Used, ...]] | None:
    """The count that all these observations give, if they give one."""
    found = {
        (o.integer(p), p): o
        for o in observations
        for p in (STROMA.numberAffected, STROMA.countValue)
        if o.integer(p) is not None
    }
    counts = {count for count, _ in found}
    if len(counts) != 1:
        return None
    used = tuple(u for o in observations for u in uses(o, STROMA.numberAffected, STROMA.countValue))
    return next(iter(found.values())), counts.pop() or 0, used


def _pooled_trials(reported: Reported) -> Iterator[Finding | None]:
    """All who were randomised in some trials, against what these trials enrolled."""
    by_group: dict[NamedNode, list[Observation]] = {}
    for observation in reported.observations:
        if observation.measure == STROMA.MeasureRandomised:
            by_group.setdefault(observation.group, []).append(observation)
    for group, observations in by_group.items():
        pooled = reported.thing(group).nodes(STROMA.pools)
        total = _number(observations)
        if total is None or len(pooled) < 2 or not all(t.value.startswith(BASE + "trial/") for t in pooled):
            continue
        enrolled = [enrolment(reported, trial) for trial in pooled]
        told = [found for found in enrolled if found is not None]
        if len(told) < len(pooled):
            continue
        added = sum(count for count, _ in told)
        sizes_told = " + ".join(
            f"{count} ({reported.label(trial)})" for trial, (count, _) in zip(pooled, told, strict=True)
        )
        said = f"{total[1]} are all who were randomised; the trials enrolled {sizes_told}"
        used = (*total[2], *(u for _, stated in told for u in stated))
        yield None if added == total[1] else _sum(reported, total[0], added, total[1], said, used)


def enrolment(reported: Reported, trial: NamedNode) -> tuple[int, tuple[Used, ...]] | None:
    """How many a trial enrolled: as a paper has it, or a registry by "Actual"; None where these differ."""
    thing = reported.thing(trial)
    actual = {v.graph for v in thing.all(STROMA.enrollmentType) if v.text == "Actual"}
    planned = {v.graph for v in thing.all(STROMA.enrollmentType) if v.text != "Actual"}
    values = [
        value
        for value in thing.all(STROMA.enrollmentCount)
        if value.level in (Level.STATED, Level.COMPILED) or value.graph in actual - planned
    ]
    counts = {int(value.number) for value in values if value.number is not None}
    return (counts.pop(), tuple(Used(trial, value) for value in values)) if len(counts) == 1 else None


# -------------------------------------------------------------------------------------------- rates


@dataclass(frozen=True)
class _Rate:
    """Events per 100 person-years of one group, as printed."""

    observation: Observation
    printed: str

    @property
    def interval(self) -> Interval:
        return rounding_interval(self.printed)

    def events(self, person_years: Interval) -> range:
        """The numbers of events that in so many person-years print as this rate."""
        rate = self.interval
        low, high = max(0.0, rate.low) * person_years.low / 100, rate.high * person_years.high / 100
        return range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)


def rates_against_counts(reported: Reported) -> Iterator[Finding | None]:
    """Rates that no whole numbers of events give, in the person-years that the event counts imply.

    A study tells how many events all its groups had together, and the rate of each of its two groups. Every
    split of the events between the groups implies their person-years; in these, each other rate that the
    study prints for a group must come from a whole number of events, the numbers of both groups must add up
    to a total where one is printed, and no more patients can be affected than there are events. Where no
    split fits all, the one that fits most is shown.

    Left alone: studies of more than two groups, and patients that are fewer than the events: one patient can
    have several.

    Major, since rates are what the groups are compared by.
    """
    by_study: dict[NamedNode, list[Observation]] = {}
    for o in reported.observations:
        if len(o.studies) == 1:
            by_study.setdefault(o.studies[0], []).append(o)
    for study, groups in _two_groups(reported):
        of_study = by_study.get(study, [])
        for total in of_study:
            events = total.integer(STROMA.eventCount)
            if total.group in groups or not events or total.operator:
                continue
            rates = [_rates(of_study, group, total.analysis_set, total.label) for group in groups]
            if not all(total.measure in found for found in rates):
                continue
            others = [m for found in rates for m in found if m != total.measure]
            if others:
                yield _splits(reported, total, events, rates, list(dict.fromkeys(others)), of_study)


def _two_groups(reported: Reported) -> Iterator[tuple[NamedNode, tuple[NamedNode, ...]]]:
    for thing in reported.of_kind("trial"):
        groups = thing.nodes(STROMA.hasArm)
        if len(groups) == 2:
            yield thing.iri, groups


def _rates(
    observations: Iterable[Observation], group: NamedNode, analysed: NamedNode | None, label: str
) -> dict[NamedNode | None, _Rate]:
    """The rates of a group in one analysis set and period, by measure, where the sources agree on one."""
    found: dict[NamedNode | None, dict[str, _Rate]] = {}
    for o in observations:
        value = o.get(STROMA.ratePer100PatientYears)
        alike = (o.group, o.analysis_set, o.label) == (group, analysed, label)
        if alike and value is not None and not o.operator:
            found.setdefault(o.measure, {})[value.text] = _Rate(o, value.text)
    return {m: next(iter(rates.values())) for m, rates in found.items() if len(rates) == 1}


def _splits(
    reported: Reported,
    total: Observation,
    events: int,
    rates: Sequence[Mapping[NamedNode | None, _Rate]],
    others: Sequence[NamedNode | None],
    of_study: Sequence[Observation],
) -> Finding | None:
    """None where some split of the events fits every rate; else the finding for the best one."""
    best: tuple[int, int, list[str], list[Used]] | None = None
    for first in range(1, events):
        counts = (first, events - first)
        years = [
            statistics.implied_person_years(count, found[total.measure].printed)[1]
            for count, found in zip(counts, rates, strict=True)
        ]
        misfits, used = [], []
        for measure in others:
            told = _misfit(reported, measure, rates, years, of_study, total)
            if told:
                misfits.append(told[0])
                used += told[1]
        if best is None or len(misfits) < best[0]:
            best = (len(misfits), first, misfits, used)
        if not misfits:
            return None
    if best is None:
        return None
    _, first, misfits, used = best
    counts = (first, events - first)
    implied = [
        statistics.implied_person_years(count, found[total.measure].printed)[0]
        for count, found in zip(counts, rates, strict=True)
    ]
    own = [found[total.measure] for found in rates]
    return Finding(
        "RateAgainstCount",
        True,
        f"{described(reported, total)}: no split of the {events} events gives every rate that is printed",
        f"The best split, {counts[0]} and {counts[1]} events at {own[0].printed} and {own[1].printed} per "
        f"100 person-years, implies {implied[0]:.1f} and {implied[1]:.1f} person-years. {' '.join(misfits)}",
        (
            *uses(total, STROMA.eventCount),
            *(u for rate in own for u in uses(rate.observation, STROMA.ratePer100PatientYears)),
            *dict.fromkeys(used),
        ),
        concerned(total, *(rate.observation for rate in own)),
    )


def _misfit(
    reported: Reported,
    measure: NamedNode | None,
    rates: Sequence[Mapping[NamedNode | None, _Rate]],
    years: Sequence[Interval],
    of_study: Sequence[Observation],
    total: Observation,
) -> tuple[str, list[Used]] | None:
    """What does not fit of one measure in these person-years, if anything."""
    possible = []
    for found, interval in zip(rates, years, strict=True):
        rate = found.get(measure)
        if rate is None:
            continue
        counts = rate.events(interval)
        if not counts:
            near = round(float(rate.printed) * interval.low / 100)
            tried = ", ".join(
                f"{n} events are {100 * n / interval.high:.2f}-{100 * n / interval.low:.2f}"
                for n in (max(0, near - 1), near, near + 1)
            )
            what = described(reported, rate.observation)
            stated = list(uses(rate.observation, STROMA.ratePer100PatientYears))
            return f"{what} is printed as {rate.printed}, but {tried}.", stated
        possible.append(counts)
    if len(possible) < len(rates):
        return None
    low, high = (sum(side) for side in zip(*((counts[0], counts[-1]) for counts in possible), strict=True))
    for o in of_study:
        same = (o.measure, o.analysis_set, o.label) == (measure, total.analysis_set, total.label)
        if not same or o.group != total.group:
            continue
        stated = [u for f in rates for u in uses(f[measure].observation, STROMA.ratePer100PatientYears)]
        counted, patients = o.integer(STROMA.eventCount), o.integer(STROMA.numberAffected)
        what = described(reported, o)
        if counted is not None and not low <= counted <= high:
            rest = list(uses(o, STROMA.eventCount))
            return f"{what}: the rates come to {low}-{high} events, and {counted} are counted.", stated + rest
        if patients is not None and patients > high:
            rest = list(uses(o, STROMA.numberAffected))
            return f"{what}: the rates come to {low}-{high} events in {patients} patients.", stated + rest
    return None


# ------------------------------------------------------------------------------------------ p-values

# Methods that a test of two counts or two means can stand for; any other ("mixed model") is left alone.
_COUNT_TESTS = re.compile(r"|.*(fisher|chi).*", re.IGNORECASE | re.DOTALL)
_MEAN_TESTS = re.compile(r".*\bt[- ]?test.*", re.IGNORECASE | re.DOTALL)


def p_value_against_numbers(reported: Reported) -> Iterator[Finding | None]:
    """A p-value that no usual test gives from the numbers beside it, or that its interval denies.

    Two shares are tested by Fisher's exact test and by the chi-square test with and without continuity
    correction; two means with their standard deviations by Student's and Welch's t-test, over all values that
    print as the means and deviations do. The p-value stands when one of them prints as it does, or keeps its
    bound ("<0.001"); where a group's numbers are told in two ways, either will do. Where no test can be
    recomputed, a 95 % interval beside the p-value must lie on its side of no effect.

    Left alone: comparisons of which a group's numbers are not told in the same measure, time and analysis
    set; methods that adjust for something or test something else; p-values from 0.04 to 0.06 against an
    interval.

    Major where the recomputed values and the printed one lie on different sides of 0.05.
    """
    of_group = sizes(reported)
    told: dict[tuple[object, ...], list[Observation]] = {}
    for observation in reported.observations:
        told.setdefault(_place(observation, observation.group), []).append(observation)
    for comparison in reported.comparisons:
        printed, operator = comparison.get(STROMA.pValue), comparison.get(STROMA.pOperator)
        if printed is None or printed.number is None or len(comparison.groups) != 2:
            continue
        method = comparison.get(STROMA.statisticalMethod)
        sides = [
            [
                o
                for o in told.get(_place(comparison, group), ())
                if comparison.analysis_set in (None, o.analysis_set)
            ]
            for group in comparison.groups
        ]
        tests = _tests(sides, of_group, comparison.groups, method.text if method else "")
        sign = operator.text if operator else "="
        failed = [test for test in tests if not _fits(printed.text, sign, test[1])]
        crossed = _interval(comparison, printed.text, sign)
        if not tests and crossed is None:
            continue
        if len(failed) < len(tests) or not (failed or crossed):
            yield None
        else:
            yield _misprinted(reported, comparison, printed.text, sign, failed, crossed or "")


def _place(result: Result, group: NamedNode) -> tuple[object, ...]:
    """Where the numbers of a comparison's groups are looked for."""
    when = result.label if result.months is None else result.months
    return (group, result.outcome) if result.outcome else (group, result.measure, when)


_Test = tuple[str, Interval, tuple[Used, ...]]  # name, the p-values it can give, what it was computed from


def _tests(
    sides: Sequence[Sequence[Observation]],
    of_group: Mapping[NamedNode, tuple[int, tuple[Used, ...]]],
    groups: Sequence[NamedNode],
    method: str,
) -> list[_Test]:
    """Every test of the numbers of two groups; where a group's are told in two ways, of either."""
    if not all(sides):
        return []
    if _COUNT_TESTS.fullmatch(method):
        shares = [
            list({found.count: found for o in side if (found := share(o, of_group.get(group)))}.values())
            for side, group in zip(sides, groups, strict=True)
        ]
        return [test for one in shares[0] for other in shares[1] for test in _of_shares(one, other)]
    if _MEAN_TESTS.fullmatch(method) and all(len(side) == 1 for side in sides):
        return list(_of_means(sides[0][0], sides[1][0]))
    return []


def _of_shares(one: Share, other: Share) -> Iterator[_Test]:
    counts, used = (one.affected, one.total, other.affected, other.total), one.used + other.used
    p = statistics.fisher_exact(*counts)
    yield f"Fisher's exact test of {one} and {other}", Interval(p, p), used
    for correction, name in ((False, "chi-square"), (True, "chi-square with continuity correction")):
        try:
            p = statistics.chi_square(*counts, correction=correction).p
        except Undefined:
            continue
        yield name, Interval(p, p), used


def _of_means(one: Observation, other: Observation) -> Iterator[_Test]:
    first, second = _mean(one), _mean(other)
    if first is None or second is None:
        return
    (mean, sd, total), (mean_2, sd_2, total_2) = first, second
    near = max(0.0, mean.low - mean_2.high, mean_2.low - mean.high)
    far = max(mean.high - mean_2.low, mean_2.high - mean.low)
    used = tuple(
        u for o in (one, other) for u in uses(o, STROMA.meanValue, STROMA.sdValue, STROMA.sampleSize)
    )
    for equal, name in ((True, "Student's t-test"), (False, "Welch's t-test")):
        try:
            least = statistics.t_test(
                far, max(0.0, sd.low), total, 0.0, max(0.0, sd_2.low), total_2, equal_variance=equal
            )
            most = statistics.t_test(near, sd.high, total, 0.0, sd_2.high, total_2, equal_variance=equal)
        except Undefined:
            continue
        yield name, Interval(least, most), used


def _mean(observation: Observation) -> tuple[Interval, Interval, int] | None:
    """What mean and standard deviation can be, as printed, and of how many."""
    mean, sd = observation.get(STROMA.meanValue), observation.get(STROMA.sdValue)
    total = observation.integer(STROMA.sampleSize)
    if mean is None or sd is None or sd.number is None or sd.number < 0 or total is None or total < 2:
        return None
    return rounding_interval(mean.text), rounding_interval(sd.text), total


def _fits(printed: str, operator: str, p: Interval) -> bool:
    """Whether a test that gives `p` can be printed so."""
    bound = float(printed)
    if operator in ("<", "<="):
        return p.low <= bound
    if operator in (">", ">="):
        return p.high >= bound
    slack = 1e-9
    around = rounding_interval(printed)
    return p.low <= around.high + slack and p.high >= around.low - slack


def _interval(comparison: Comparison, printed: str, operator: str) -> str | None:
    """What the 95 % interval says against the p-value: "" where they agree, None where there is none.

    An interval that holds the value of no effect (0 of a difference, 1 of a ratio) means p >= 0.05; between
    0.04 and 0.06 nothing is said, since interval and test may be computed in two ways.
    """
    low, high = comparison.number(STROMA.ciLow), comparison.number(STROMA.ciHigh)
    none = 1 if re.search("ratio|risk|odds|hazard", comparison.statistic, re.IGNORECASE) else 0
    if none == 0 and not re.search("difference", comparison.statistic, re.IGNORECASE):
        return None
    if low is None or high is None or comparison.number(STROMA.ciLevel) != 95:
        return None
    p = float(printed)
    below = p < 0.04 or (operator in ("<", "<=") and p <= 0.05)
    above = p > 0.06 or (operator in (">", ">=") and p >= 0.05)
    holds = low <= none <= high
    if (holds and below) or (not holds and above):
        where = "holds" if holds else "leaves out"
        return f"The 95 % interval, {low} to {high}, {where} {none}, the value of no effect"
    return ""


def _misprinted(
    reported: Reported,
    comparison: Comparison,
    printed: str,
    operator: str,
    tests: Sequence[_Test],
    crossed: str,
) -> Finding:
    shown = [
        f"{name} p = {p.low:.4g}" + (f" to {p.high:.4g}" if p.high > p.low else "") for name, p, _ in tests
    ]
    said = f"p {operator} {printed}"
    significant = float(printed) < 0.05 or (operator in ("<", "<=") and float(printed) <= 0.05)
    used = dict.fromkeys(
        (
            *uses(comparison, STROMA.pValue, STROMA.pOperator),
            *(u for _, _, stated in tests for u in stated),
            *(uses(comparison, STROMA.ciLow, STROMA.ciHigh) if crossed else ()),
        )
    )
    return Finding(
        "PValueAgainstNumbers",
        bool(crossed) or significant not in {p.high < 0.05 for _, p, _ in tests},
        f"{described(reported, comparison)}: {said} does not fit the numbers beside it",
        f"Printed {said}. {'; '.join([*shown, *([crossed] if crossed else [])])}.",
        tuple(used),
        concerned(comparison),
    )
