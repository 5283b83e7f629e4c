"""Every number we derive from what sources report: counts, effects, follow-up, doses, pooled effects.

Hides the order of the derivations and which of them feed others. A pure function of the reports: the same
reports give the same numbers under the same IRIs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pyoxigraph import NamedNode

from kg.evidence import derived, pooling, statistics
from kg.evidence.comparable import (
    Comparable,
    Mean,
    Pair,
    Scope,
    Share,
    is_baseline,
    is_outcome,
    scope,
    stand_together,
    used,
)
from kg.evidence.derived import YEARS, Assessed, Derived, rounded, rounded_ends
from kg.evidence.pooling import Candidate, Reason
from kg.evidence.reported import Observation, Reported
from kg.evidence.statistics import Estimate, Interval, Undefined
from kg.terms import DCTERMS, STROMA, proposition

# Body weights for which doses per kilogram are told in cells, with where the weight comes from.
REFERENCE_WEIGHTS = {
    Decimal(60): "60 kg, the adult of the FDA's guidance on safe starting doses (2005)",
    Decimal(70): "70 kg, the adult of WHO's defined daily doses",
}
_RATE = STROMA.ratePer100PatientYears


@dataclass(frozen=True)
class Candidates:
    """What might be pooled, of some studies: contrasts by measure and first method, results without one."""

    compared: tuple[tuple[NamedNode, NamedNode, Candidate], ...]
    alone: tuple[tuple[NamedNode, Candidate], ...]


def derive(reported: Reported) -> tuple[tuple[Derived, ...], tuple[Assessed, ...]]:
    """All derived numbers; and for each measure of several studies, whether its results may be pooled.

    Both in the order of their IRIs. What two documents report alike is one number that rests on both.
    """
    numbers, candidates = of_studies(reported)
    pooled, assessments = pool(reported, [candidates])
    return _merged((*numbers, *pooled)), assessments


def of_studies(reported: Reported) -> tuple[tuple[Derived, ...], Candidates]:
    """The numbers that follow of each study by itself, in the order of their IRIs; and what might be pooled.

    Studies that hang together have to be reported together; others may be given one by one.
    """
    results = Comparable(reported)
    contrasts = list(_contrasts(results))
    found = [
        *results.counts,
        *_proportions(results),
        *(number for contrast in contrasts for number in contrast.numbers),
        *_follow_ups(results),
        *_doses(reported),
    ]
    compared = (
        (each.scope.measure, each.numbers[0].method, _candidate(results, each))
        for each in contrasts
        if each.scope.measure is not None and not each.scope.baseline and each.scope.studies and each.numbers
    )
    alone = _uncompared(results, {iri for each in contrasts for iri in each.of})
    return _merged(found), Candidates(tuple(compared), tuple(alone))


def _merged(found: Iterable[Derived]) -> tuple[Derived, ...]:
    merged: dict[NamedNode, Derived] = {}
    for each in found:
        same = merged.get(each.iri, each)
        merged[each.iri] = replace(each, inputs=each.inputs | same.inputs, notes=each.notes | same.notes)
    return tuple(merged[iri] for iri in sorted(merged, key=str))


# ------------------------------------------------------------------------------- one group, two groups


def _proportions(results: Comparable) -> Iterator[Derived]:
    """The share of a group with an outcome, with Wilson's interval."""
    for share in results.shares:
        one = share.of
        # Those picked out for what became of them are no sample.
        if is_baseline(one) or not is_outcome(one) or results.is_part(one.group):
            continue
        estimate = statistics.proportion(share.events, share.total)
        yield Derived(
            STROMA.DerivedProportion, STROMA.MethodWilsonInterval,
            (one.group.value, *scope(one).subject, str(share.events), str(share.total)),
            f"proportion: {results.whose(one)}", str(share), "1", share.inputs,
            results.about(one, one.group), rounded(estimate.value), ci=rounded_ends(estimate.interval),
            notes=share.notes,
        )  # fmt: skip


@dataclass(frozen=True)
class _Contrast:
    """Two comparable results and what was computed; `effect`, with its variance, is what pooling takes."""

    scope: Scope
    pair: Pair
    numbers: tuple[Derived, ...]
    effect: tuple[float, float] | None  # a log risk ratio, or a standardised mean difference
    of: tuple[NamedNode, NamedNode]


def _contrasts(results: Comparable) -> Iterator[_Contrast]:
    for shared, share, share_2, pair in results.pairs(results.shares):
        numbers = (share.events, share.total, share_2.events, share_2.total)
        methods: list[tuple[NamedNode, str, Callable[..., Estimate]]] = [
            (STROMA.MethodRiskDifference, "risk difference", statistics.risk_difference),
            (STROMA.MethodRiskRatio, "risk ratio", statistics.risk_ratio),
            (STROMA.MethodOddsRatio, "odds ratio", statistics.odds_ratio),
        ]
        found = []
        for method, name, compute in methods[:1] if shared.baseline else methods:
            try:
                estimate = compute(*numbers)
            except Undefined:
                continue  # without an event the difference says what there is to say
            found.append(_contrast(results, estimate, method, name, pair, share, share_2))
        effect = pooling.log_risk_ratio(*numbers) if share.events + share_2.events else None
        yield _Contrast(shared, pair, tuple(found), effect, (share.of.iri, share_2.of.iri))
    for shared, mean, mean_2, pair in results.pairs(results.means):
        try:
            effect = statistics.standardised_mean_difference_variance(
                float(mean.mean),
                float(mean.sd),
                mean.total,
                float(mean_2.mean),
                float(mean_2.sd),
                mean_2.total,
            )
        except Undefined:
            continue
        method, name = STROMA.MethodStandardisedMeanDifference, "standardised mean difference"
        number = _contrast(results, statistics.normal_estimate(*effect), method, name, pair, mean, mean_2)
        yield _Contrast(shared, pair, (number,), effect, (mean.of.iri, mean_2.of.iri))


def _contrast(
    results: Comparable,
    estimate: Estimate,
    method: NamedNode,
    name: str,
    pair: Pair,
    one: Share | Mean,
    other: Share | Mean,
) -> Derived:
    shared = scope(one.of)
    notes = pair.notes.union(*(each.notes for each in (one, other) if isinstance(each, Share)))
    value = rounded(estimate.value)
    if value is None:
        notes |= {"An empty cell leaves the ratio without a value and without an upper limit."}
    return Derived(
        STROMA.BaselineContrast if shared.baseline else STROMA.EffectEstimate, method,
        (pair.compared.value, pair.reference.value, *shared.subject, str(one), str(other)),
        f"{name}: {results.what(one.of)}, {results.versus(pair)}", f"{one} against {other}", "1",
        one.inputs | other.inputs, results.about(one.of, pair), value,
        ci=rounded_ends(estimate.interval), notes=notes,
    )  # fmt: skip


# -------------------------------------------------------------------------------- follow-up and rates


def _follow_ups(results: Comparable) -> Iterator[Derived]:
    """Person-years and event counts that events and printed rates imply, and the ratios of the rates."""
    rated = [
        one for one in results.reported.observations
        if not one.operator and one.measure is not None and one.number(_RATE)
    ]  # fmt: skip
    for one in rated:
        if events := one.integer(STROMA.eventCount):
            value, interval = statistics.implied_person_years(events, _printed(one))
            said = f"{events} events at {_printed(one)} per 100 person-years"
            yield _years(results, one, value, interval, said, used(one, STROMA.eventCount, _RATE))
    placed: dict[Scope, list[Observation]] = {}
    for one in rated:
        placed.setdefault(_place(one), []).append(one)
    for total in results.reported.observations:
        if total.operator or total.measure is None or not total.integer(STROMA.eventCount):
            continue
        near = placed.get(_place(total), ())
        parts = [one for one in near if stand_together(one, total) and one.group != total.group]
        if len(parts) == 2:
            yield from _split(results, total, parts, rated)


def _split(
    results: Comparable, total: Observation, parts: Sequence[Observation], rated: Sequence[Observation]
) -> Iterator[Derived]:
    """What one count over two groups, and all their rates, leave as the groups' follow-up and events.

    Only where one way is left: all rates of a group share its follow-up, and events are whole numbers.
    """
    pairs = list(results.oriented(scope(total), sorted((one.group for one in parts), key=str)))
    trials_of = results.reported.trials_of
    drawn_on = {trial for one in parts for trial in trials_of(one.group)} - set(total.studies)
    events = total.integer(STROMA.eventCount)
    if len(pairs) != 1 or events is None or not drawn_on <= set(trials_of(total.group)):
        return
    groups = (pairs[0].compared, pairs[0].reference)
    heads = {one.group: one for one in parts}
    rates = [
        [head, *(one for one in rated if one != head and one.group == group and _same_follow_up(one, head))]
        for group in groups
        for head in [heads[group]]
    ]
    printed = [[_printed(one) for one in those] for those in rates]
    ways = statistics.split_events(events, printed[0], printed[1])
    if len(ways) != 1:
        return
    inputs = used(total, STROMA.eventCount).union(*(used(one, _RATE) for those in rates for one in those))
    notes = frozenset(
        {
            "Assumes that the total counts the events of the two groups only, and that all rates of a group "
            "are over one follow-up; no other whole numbers of events give the printed rates.",
        }
    )
    counts: list[dict[NamedNode | None, tuple[Derived, Observation]]] = []
    years: list[Derived] = []
    for those, way in zip(rates, ways[0], strict=True):
        head = those[0]
        value, _ = statistics.implied_person_years(way.events[0], _printed(head))
        said = f"{way.events[0]} of {events} events at {_printed(head)} per 100 person-years"
        years.append(_years(results, head, value, way.person_years, said, inputs, notes))
        counts.append(
            {
                one.measure: (_events(results, one, count, inputs, notes), one)
                for one, count in zip(those, way.events, strict=True)
            }
        )
    yield from years
    yield from (each for found in counts for each, _ in found.values())
    whole = Interval(
        ways[0][0].person_years.low + ways[0][1].person_years.low,
        ways[0][0].person_years.high + ways[0][1].person_years.high,
    )
    summands = frozenset(each.iri for each in years)
    middle = (whole.low + whole.high) / 2
    yield _years(results, total, middle, whole, "sum of the two groups' follow-up", summands, notes)
    yield from _rate_ratios(results, pairs[0], counts, years)


def _rate_ratios(
    results: Comparable,
    pair: Pair,
    counts: Sequence[Mapping[NamedNode | None, tuple[Derived, Observation]]],
    years: Sequence[Derived],
) -> Iterator[Derived]:
    groups = (pair.compared, pair.reference)
    notes = pair.notes | {
        "Exact for independent events; where one patient has several, the interval is too narrow."
    }
    for measure in sorted({*counts[0], *counts[1]}, key=str):
        sides: list[tuple[int, frozenset[NamedNode], Observation]] = []
        for side in (0, 1):
            if measure in counts[side]:
                number, one = counts[side][measure]
                sides.append((int(number.value or 0), frozenset({number.iri}), one))
            elif (none := _no_events(results, groups[side], counts[1 - side][measure][1])) is not None:
                sides.append((0, used(none, STROMA.eventCount), none))
        if len(sides) != 2:
            continue
        (events, inputs, one), (events_2, inputs_2, _) = sides
        time, time_2 = (float(each.value or 0) for each in years)
        estimate = statistics.rate_ratio(events, time, events_2, time_2)
        yield Derived(
            STROMA.EffectEstimate, STROMA.MethodRateRatio,
            (
                *(group.value for group in groups), *scope(one).subject,
                *(f"{side[0]} in {each.value}" for side, each in zip(sides, years, strict=True)),
            ),
            f"rate ratio: {results.what(one)}, {results.versus(pair)}",
            f"{events} events in {time} person-years against {events_2} in {time_2}", "1",
            inputs | inputs_2 | {each.iri for each in years}, results.about(one, pair),
            rounded(estimate.value), ci=rounded_ends(estimate.interval), notes=notes,
        )  # fmt: skip


def _no_events(results: Comparable, group: NamedNode, other: Observation) -> Observation | None:
    """The result in which the same place says that a group had none of another group's events."""
    return next(
        (
            one for one in results.reported.of_group.get(group, ())
            if _together(one, other) and one.integer(STROMA.eventCount) == 0
        ),
        None,
    )  # fmt: skip


def _together(one: Observation, other: Observation) -> bool:
    """Whether two results stand in one place and are of one scope, whatever their units."""
    return _place(one) == _place(other) and stand_together(one, other)


def _place(one: Observation) -> Scope:
    return scope(one)._replace(unit="")


def _same_follow_up(one: Observation, other: Observation) -> bool:
    """Whether the rates of one group in one document are over the same follow-up."""
    return all(
        getattr(one, part) == getattr(other, part)
        for part in ("graph", "document", "studies", "analysis_set", "months", "label")
    )


def _printed(one: Observation) -> str:
    value = one.get(_RATE)
    assert value is not None  # every caller has seen its number
    return value.text


def _years(
    results: Comparable,
    one: Observation,
    value: float,
    interval: Interval,
    computation: str,
    inputs: frozenset[NamedNode],
    notes: frozenset[str] = frozenset(),
) -> Derived:
    about = results.about(one, one.group) | {STROMA.forMeasure: (STROMA.MeasureFollowUpDuration,)}
    about.pop(STROMA.forOutcome, None)
    bounds = rounded_ends(interval, YEARS)
    shared = scope(one)._replace(measure=STROMA.MeasureFollowUpDuration, outcome=None)
    return Derived(
        STROMA.DerivedFollowUp, STROMA.MethodPersonYearsFromRates,
        (one.group.value, *shared.subject, computation, *map(str, bounds)),
        f"follow-up in person-years: {results.reported.label(one.group)}", computation, "{patient}.a", inputs,
        about, rounded(value, YEARS), bounds, notes=notes,
    )  # fmt: skip


def _events(
    results: Comparable, one: Observation, count: int, inputs: frozenset[NamedNode], notes: frozenset[str]
) -> Derived:
    said = f"{_printed(one)} per 100 person-years"
    return Derived(
        STROMA.DerivedCount, STROMA.MethodCountFromRates,
        (one.group.value, *scope(one).subject, _printed(one), str(count)),
        f"events behind {said}: {results.whose(one)}", said, "{events}", inputs,
        results.about(one, one.group), Decimal(count), (Decimal(count), Decimal(count)), notes=notes,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- doses


def _doses(reported: Reported) -> Iterator[Derived]:
    """Doses per kilogram in cells, for the reference weights."""
    for regimen in reported.of_kind("regimen"):
        if regimen.text(STROMA.doseUnit) != "{cells}/kg":
            continue
        stated = [
            value
            for predicate in (STROMA.doseAmount, STROMA.doseLow, STROMA.doseHigh)
            for value in regimen.all(predicate)
            if (value.number or 0) > 0
        ]
        ends = {value.predicate for value in stated}
        if STROMA.doseAmount not in ends and not {STROMA.doseLow, STROMA.doseHigh} <= ends:
            continue  # one end of a range is no dose
        amounts = sorted({value.number for value in stated if value.number is not None})
        per_kg = Interval(float(amounts[0]), float(amounts[-1]))
        dose = " to ".join(dict.fromkeys((f"{amounts[0]:f}", f"{amounts[-1]:f}")))
        inputs = {regimen.iri} | {
            proposition(regimen.iri, value.predicate, value.term) for value in stated if value.claims
        }
        for weight, origin in REFERENCE_WEIGHTS.items():
            cells = statistics.cells_for_weight(per_kg, Interval(float(weight), float(weight)))
            low, high = rounded_ends(cells, 0)
            yield Derived(
                STROMA.DerivedDose, STROMA.MethodCellsForBodyWeight, (regimen.iri.value, dose, str(weight)),
                f"cells in one dose at {weight} kg: {reported.label(regimen.iri)}",
                f"{dose} cells/kg at {weight} kg", "{cells}", frozenset(inputs),
                {STROMA.forRegimen: (regimen.iri,)}, low if low == high else None, (low, high),
                more={STROMA.assumedBodyWeight: weight},
                notes=frozenset({f"No source gives the participants' body weight; it is taken as {origin}."}),
            )  # fmt: skip


# -------------------------------------------------------------------------------------------- pooling


def pool(reported: Reported, found: Iterable[Candidates]) -> tuple[tuple[Derived, ...], tuple[Assessed, ...]]:
    """Pooled effects where a design allows them; for each measure of several studies, why no more.

    Of what is `reported` only the labels of measures are read.
    """
    compared: dict[NamedNode, dict[NamedNode, dict[str, Candidate]]] = {}  # by measure, then first method
    alone: dict[NamedNode, list[Candidate]] = {}
    for those in found:
        for measure, method, one in those.compared:
            compared.setdefault(measure, {}).setdefault(method, {})[one.id] = one
        for measure, one in those.alone:
            alone.setdefault(measure, []).append(one)
    pooled: list[Derived] = []
    assessments: list[Assessed] = []
    for measure in sorted({*compared, *alone}, key=str):
        singles, by_method = alone.get(measure, []), compared.get(measure, {})
        everyone = [*(one for those in by_method.values() for one in those.values()), *singles]
        if len({one.study for one in everyone}) < 2:
            continue
        reasons = dict(pooling.assess(singles).reasons)
        # A ratio and a standardised difference are on different scales, never in one set.
        for method, of_method in sorted(by_method.items(), key=str):
            assessed = pooling.assess(of_method.values())
            pooled += [_pooled(reported, measure, method, each) for each in assessed.sets]
            for reason, concerned in assessed.reasons:
                reasons[reason] = (*reasons.get(reason, ()), *concerned)
        sets = sum(number.about[STROMA.forMeasure] == (measure,) for number in pooled)
        assessments.append(_assessment(reported, measure, everyone, sets, reasons))
    return _merged(pooled), tuple(sorted(assessments, key=lambda one: str(one.iri)))


def _candidate(results: Comparable, each: _Contrast) -> Candidate:
    groups = (each.pair.compared, each.pair.reference)
    given = [" and ".join(sorted(results.given(group))) or results.reported.label(group) for group in groups]
    studies = each.scope.studies
    effect, variance = each.effect or (None, None)
    return Candidate(
        each.numbers[0].iri.value, " ".join(study.value for study in studies),
        _patients(results, studies, groups), _conditions(results, studies), (given[0], given[1]),
        each.scope.months, effect, variance, called=_called(results, studies),
    )  # fmt: skip


def _called(results: Comparable, studies: Iterable[NamedNode]) -> str:
    things = map(results.reported.thing, studies)
    return " with ".join(
        thing.text(DCTERMS.identifier) or results.reported.label(thing.iri) for thing in things
    )


def _uncompared(results: Comparable, compared: set[NamedNode]) -> Iterator[tuple[NamedNode, Candidate]]:
    """Results of groups that stand in no contrast, and percentages without a number of participants, each
    with its measure."""
    counted = {share.of.iri for share in results.shares} | {mean.of.iri for mean in results.means}
    for one in results.reported.observations:
        if one.measure is None or one.iri in compared or not one.studies or one.operator:
            continue
        if is_baseline(one) or not is_outcome(one) or results.is_part(one.group):
            continue
        if one.iri in counted or one.get(STROMA.percentage) is not None:
            yield one.measure, Candidate(
                one.iri.value, " ".join(study.value for study in one.studies),
                _patients(results, one.studies, (one.group,)), _conditions(results, one.studies), None,
                one.months, counted=one.iri in counted, called=_called(results, one.studies),
            )  # fmt: skip


def _patients(
    results: Comparable, studies: Iterable[NamedNode], groups: Iterable[NamedNode]
) -> frozenset[str]:
    """The trials that participants come from: those of the groups, the studies, and what these extend."""
    found = {trial for group in groups for trial in results.reported.trials_of(group)} | set(studies)
    extended = {node for study in found for node in results.reported.thing(study).nodes(STROMA.extensionOf)}
    return frozenset(node.value for node in found | extended)


def _conditions(results: Comparable, studies: Iterable[NamedNode]) -> frozenset[str]:
    return frozenset(
        node.value
        for study in studies
        for node in results.reported.thing(study).nodes(STROMA.studiesCondition)
    )


def _pooled(reported: Reported, measure: NamedNode, method: NamedNode, those: Sequence[Candidate]) -> Derived:
    result = pooling.pool(
        [(one.effect, one.variance) for one in those if one.effect is not None and one.variance is not None]
    )
    ratio = method != STROMA.MethodStandardisedMeanDifference  # proportions are pooled as log risk ratios
    scale: Callable[[float], float] = math.exp if ratio else float

    def scaled(interval: Interval) -> tuple[Decimal | None, Decimal | None]:
        return rounded(scale(interval.low)), rounded(scale(interval.high))

    prediction = (None, None) if result.prediction is None else scaled(result.prediction)
    comparison, months = those[0].comparison, those[0].months
    assert comparison is not None
    assert months is not None
    name = "risk ratio" if ratio else "standardised mean difference"
    return Derived(
        STROMA.PooledEffect, STROMA.MethodRandomEffects,
        (measure.value, name, *comparison, derived.plain(months), *(one.id for one in those)),
        f"pooled {name}: {reported.label(measure)}, month {derived.plain(months)}, "
        f"{comparison[0]} against {comparison[1]}",
        f"{result.studies} studies, I² {round(100 * result.i_squared)} %", "1",
        frozenset(NamedNode(one.id) for one in those),
        {STROMA.forMeasure: (measure,), STROMA.timepointMonths: (derived.decimal(months),)},
        rounded(scale(result.estimate.value)), ci=scaled(result.estimate.interval),
        more={
            STROMA.tauSquared: rounded(result.tau_squared),
            STROMA.iSquared: rounded(result.i_squared),
            STROMA.cochranQ: rounded(result.q),
            STROMA.studyCount: Decimal(result.studies),
            STROMA.predictionLow: prediction[0],
            STROMA.predictionHigh: prediction[1],
        },
    )  # fmt: skip


def _assessment(
    reported: Reported,
    measure: NamedNode,
    everyone: Sequence[Candidate],
    sets: int,
    reasons: Mapping[Reason, Sequence[Candidate]],
) -> Assessed:
    name = reported.label(measure)
    told = tuple(reason for reason in Reason if reason in reasons)
    because = [
        f"{reason.value}: {', '.join(sorted({one.called for one in reasons[reason]}))}" for reason in told
    ]
    verdict = f"{sets} set{'s' if sets > 1 else ''} pooled" if sets else "not pooled"
    studies = len({one.study for one in everyone})
    return Assessed(
        measure, f"pooling of {name}", bool(sets), told,
        "; ".join([f"{name}: results of {studies} studies, {verdict}", *because]) + ".",
        frozenset(NamedNode(one.id) for one in everyone),
    )  # fmt: skip
