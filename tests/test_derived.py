"""Derived numbers: what is computed from which reported numbers, and what is left alone."""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import NamedNode, Quad, RdfFormat, Store, parse
from scipy import stats

from kg.evidence import derivation, statistics
from kg.evidence.derived import ACTIVITY, GRAPH, Assessed, Derived, quads, rounded
from kg.evidence.pooling import Reason
from kg.evidence.reported import read
from kg.snapshot import Snapshot, line_of, load_store
from kg.terms import PROV, RDF, STROMA, expand, prefixes
from tests.expected import expected

PREFIXES = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in prefixes().items())

# Two arms of a registered trial, 30 participants each, and a third trial's placebo comparison.
TRIAL = """
trial:A a stroma:ClinicalStudy ; stroma:hasArm arm:A%2F1 , arm:A%2F2 ; stroma:studiesCondition condition:ra .
arm:A%2F1 a stroma:TrialArm ; rdfs:label "cells" ; stroma:hasArmType stroma:ArmTypeExperimental .
arm:A%2F2 a stroma:TrialArm ; rdfs:label "placebo" ; stroma:hasArmType stroma:ArmTypePlaceboComparator .
"""
RESPONSE = (
    "a stroma:OutcomeObservation ; stroma:forMeasure stroma:MeasureACR20 ; stroma:timepointMonths 6.0 ; "
    "stroma:producedByStudy trial:A ;"
)


def result(arm: int, values: str) -> str:
    """A response of an arm."""
    return f"observation:{arm} {RESPONSE} stroma:aboutArm arm:A%2F{arm} ; {values} .\n"


BOTH = result(1, "stroma:numberAffected 18 ; stroma:sampleSize 30") + result(
    2, "stroma:numberAffected 6 ; stroma:sampleSize 30"
)


def derive(*turtle: str, graph: str = "graph:publications") -> tuple[list[Derived], list[Assessed]]:
    """What follows from these statements of a source."""
    triples = parse(PREFIXES + "".join(turtle), RdfFormat.TURTLE)
    named = expand(graph)
    numbers, assessed = derivation.derive(
        read([line_of(Quad(t.subject, t.predicate, t.object, named)) for t in triples])
    )
    return list(numbers), list(assessed)


def by_method(numbers: list[Derived], method: str) -> list[Derived]:
    return [each for each in numbers if each.method == STROMA(method)]


def methods(numbers: list[Derived]) -> set[str]:
    return {each.method.value.rpartition("/Method")[2] for each in numbers}


# ------------------------------------------------------------------------------------------- contrasts


def test_two_arms_give_a_difference_and_two_ratios_against_the_comparator() -> None:
    numbers, _ = derive(TRIAL, BOTH)
    assert methods(numbers) == {"WilsonInterval", "RiskDifference", "RiskRatio", "OddsRatio"}
    (difference,) = by_method(numbers, "MethodRiskDifference")
    assert difference.kind == STROMA.EffectEstimate
    assert difference.computation == "18 of 30 against 6 of 30"
    assert difference.value == Decimal("0.4")
    assert difference.about[STROMA.comparedGroup] == (expand("arm:A%2F1"),)
    assert difference.about[STROMA.referenceGroup] == (expand("arm:A%2F2"),)
    assert difference.inputs == {expand("observation:1"), expand("observation:2")}
    (ratio,) = by_method(numbers, "MethodRiskRatio")
    assert (ratio.value, ratio.unit) == (Decimal(3), "1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("6.0 ; stroma:producedByStudy trial:A ; stroma:aboutArm arm:A%2F2",
          "12.0 ; stroma:producedByStudy trial:A ; stroma:aboutArm arm:A%2F2"), "another time"),
        (("numberAffected 6 ;", "numberAffected 6 ; stroma:analysisSet stroma:SetSafety ;"), "another set"),
        (("stroma:hasArm arm:A%2F1 , arm:A%2F2", "stroma:hasArm arm:A%2F1"), "one is no arm of the study"),
        (("a stroma:ClinicalStudy ;",
          "a stroma:ClinicalStudy ; stroma:hasInterventionModel stroma:ModelCrossover ;"), "all are in both"),
        (('label "placebo" ;', 'label "placebo" ; stroma:pools arm:A%2F1 ;'), "one holds the other"),
        (("stroma:numberAffected 6 ;", 'stroma:numberAffected 6 ; stroma:valueOperator "<" ;'), "a bound"),
        (("stroma:numberAffected 6 ;", "stroma:numberAffected 31 ;"), "more than all"),
        (("stroma:numberAffected 6 ; stroma:sampleSize 30", "stroma:numberAffected 6"), "of how many?"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_results_that_are_not_comparable_are_left_alone(change: tuple[str, str], why: str) -> None:
    text = (TRIAL + BOTH).replace("  ", " ")
    text = " ".join(text.split(" "))
    assert change[0] in text
    numbers, _ = derive(text.replace(*change))
    assert methods(numbers) <= {"WilsonInterval"}, why


def test_the_reference_is_the_group_that_gets_less_where_no_type_names_a_comparator() -> None:
    given = """
    arm:A%2F1 stroma:hasIntervention regimen:1 . arm:A%2F2 stroma:hasIntervention regimen:1 , regimen:2 .
    regimen:1 stroma:administers product:1 . regimen:2 stroma:administers product:2 .
    product:1 rdfs:label "cells" . product:2 rdfs:label "interferon" .
    """
    untyped = TRIAL.replace(" ; stroma:hasArmType stroma:ArmTypeExperimental", "").replace(
        " ; stroma:hasArmType stroma:ArmTypePlaceboComparator", ""
    )
    numbers, _ = derive(untyped, given, BOTH)
    (difference,) = by_method(numbers, "MethodRiskDifference")
    assert difference.about[STROMA.referenceGroup] == (expand("arm:A%2F1"),)
    assert difference.value == Decimal("-0.4")
    assert not difference.notes


def test_dose_arms_are_set_against_the_placebo_and_not_against_each_other() -> None:
    third = """
    trial:A stroma:hasArm arm:A%2F3 .
    arm:A%2F3 a stroma:TrialArm ; rdfs:label "more cells" ; stroma:hasArmType stroma:ArmTypeExperimental .
    """
    more = result(3, "stroma:numberAffected 9 ; stroma:sampleSize 20")
    numbers, _ = derive(TRIAL, third, BOTH, more)
    pairs = {
        (each.about[STROMA.comparedGroup], each.about[STROMA.referenceGroup])
        for each in by_method(numbers, "MethodRiskDifference")
    }
    placebo = (expand("arm:A%2F2"),)
    assert pairs == {((expand("arm:A%2F1"),), placebo), ((expand("arm:A%2F3"),), placebo)}


def test_at_baseline_there_is_balance_and_no_effect() -> None:
    numbers, assessed = derive(TRIAL, BOTH.replace("6.0", "0.0"))
    (difference,) = numbers
    assert (difference.kind, difference.method) == (STROMA.BaselineContrast, STROMA.MethodRiskDifference)
    assert not assessed


def test_without_an_event_there_is_a_difference_and_no_ratio() -> None:
    none = BOTH.replace("numberAffected 18", "numberAffected 0").replace(
        "numberAffected 6", "numberAffected 0"
    )
    numbers, _ = derive(TRIAL, none)
    assert methods(numbers) == {"WilsonInterval", "RiskDifference"}


def test_an_empty_cell_leaves_a_ratio_with_a_limit_and_without_a_value() -> None:
    numbers, _ = derive(TRIAL, BOTH.replace("numberAffected 6", "numberAffected 0"))
    (ratio,) = by_method(numbers, "MethodRiskRatio")
    assert ratio.value is None
    assert ratio.ci is not None
    assert ratio.ci[0] is not None
    assert ratio.ci[1] is None
    assert any("without a value" in note for note in ratio.notes)
    told = list(quads([ratio], []))
    said = {quad.predicate for quad in told if quad.subject == ratio.iri}
    assert STROMA.ciLow in said
    assert STROMA.derivedValue not in said
    assert STROMA.ciHigh not in said


def test_means_with_standard_deviations_give_hedges_g() -> None:
    means = [
        result(1, "stroma:meanValue 103.0 ; stroma:sdValue 5.5 ; stroma:sampleSize 50"),
        result(2, "stroma:meanValue 100.0 ; stroma:sdValue 4.5 ; stroma:sampleSize 50"),
    ]
    numbers, _ = derive(TRIAL, *means)
    (effect,) = numbers
    assert effect.method == STROMA.MethodStandardisedMeanDifference
    assert effect.value == Decimal("0.5924")  # Borenstein et al., chapter 4


# -------------------------------------------------------------------------------- counts and follow-up


def test_a_percentage_that_fits_several_counts_gives_bounds_and_no_contrast() -> None:
    percent = BOTH.replace(
        "stroma:numberAffected 18 ; stroma:sampleSize 30", "stroma:percentage 9 ; stroma:sampleSize 200"
    )
    numbers, _ = derive(TRIAL, percent)
    (count,) = by_method(numbers, "MethodCountFromPercentage")
    assert (count.value, count.bounds) == (None, (Decimal(17), Decimal(19)))  # 8.5 to 9.5 % of 200
    assert not by_method(numbers, "MethodRiskDifference")


def test_a_percentage_that_fits_no_count_gives_no_number() -> None:
    # 45.0 % of 49 is no whole number: a finding, not a count.
    percent = BOTH.replace(
        "stroma:numberAffected 18 ; stroma:sampleSize 30", "stroma:percentage 45.0 ; stroma:sampleSize 49"
    )
    numbers, _ = derive(TRIAL, percent)
    assert methods(numbers) == {"WilsonInterval"}


def test_the_size_of_a_group_serves_where_a_percentage_has_none_and_says_so() -> None:
    sizes = """
    observation:size a stroma:OutcomeObservation ; stroma:aboutArm arm:A%2F1 ; stroma:numberAffected 69 ;
      stroma:forMeasure stroma:MeasureGroupSize ; stroma:analysisSet stroma:SetCompleters .
    """
    percent = result(1, "stroma:analysisSet stroma:SetEfficacy ; stroma:percentage 44.9")
    numbers, _ = derive(TRIAL, sizes, percent)
    (count,) = by_method(numbers, "MethodCountFromPercentage")
    assert count.value == 31
    assert count.inputs == {expand("observation:1"), expand("observation:size")}
    assert any("SetCompleters is taken" in note for note in count.notes)
    (share,) = by_method(numbers, "MethodWilsonInterval")
    assert count.iri in share.inputs


def test_two_sizes_of_a_group_leave_its_percentage_without_a_count() -> None:
    sizes = "".join(
        f"observation:size{n} a stroma:OutcomeObservation ; stroma:aboutArm arm:A%2F1 ; "
        f"stroma:forMeasure stroma:MeasureGroupSize ; stroma:numberAffected {n} ."
        for n in (69, 70)
    )
    numbers, _ = derive(TRIAL, sizes, result(1, "stroma:percentage 44.9"))
    assert numbers == []


def test_events_and_their_rate_give_the_follow_up() -> None:
    rate = result(1, "stroma:eventCount 10 ; stroma:ratePer100PatientYears 2.0")
    numbers, _ = derive(TRIAL, rate)
    (years,) = numbers
    assert (years.method, years.value) == (STROMA.MethodPersonYearsFromRates, Decimal(500))
    assert years.bounds == (Decimal("487.80"), Decimal("512.82"))  # 1000 / 2.05 and 1000 / 1.95


# -------------------------------------------------------------------------------------------- pooling


def second_trial(n: int, condition: str = "ra") -> str:
    text = TRIAL + BOTH
    for old in ("trial:A", "arm:A", "observation:"):
        text = text.replace(old, f"{old}{n}" if old != "observation:" else f"observation:{n}")
    return text.replace("condition:ra", f"condition:{condition}")


def test_two_independent_trials_of_one_comparison_are_pooled_with_their_heterogeneity() -> None:
    numbers, (assessed,) = derive(
        TRIAL, BOTH, second_trial(2).replace("numberAffected 18", "numberAffected 12")
    )
    (pooled,) = by_method(numbers, "MethodRandomEffects")
    assert assessed.pooled
    assert not assessed.reasons
    assert pooled.more[STROMA.studyCount] == 2
    assert pooled.more[STROMA.predictionLow] is None  # of two studies there is none
    # By hand: log 3 and log 2 with variances 1/18 - 1/30 + 1/6 - 1/30 and 1/12 - 1/30 + 1/6 - 1/30; Q < 1, so
    # the weights are those of the fixed model.
    effects = [
        (math.log(3), 1 / 18 - 1 / 30 + 1 / 6 - 1 / 30),
        (math.log(2), 1 / 12 - 1 / 30 + 1 / 6 - 1 / 30),
    ]
    weights = [1 / variance for _, variance in effects]
    mean = sum(weight * effect for weight, (effect, _) in zip(weights, effects, strict=True)) / sum(weights)
    half = stats.t.isf(0.025, 1) * math.sqrt(1 / sum(weights))
    assert pooled.value == rounded(math.exp(mean))
    assert pooled.ci == (rounded(math.exp(mean - half)), rounded(math.exp(mean + half)))
    assert pooled.more[STROMA.tauSquared] == 0


def test_trials_in_different_conditions_are_not_pooled_and_the_reason_is_given() -> None:
    numbers, (assessed,) = derive(TRIAL, BOTH, second_trial(2, "lupus"))
    assert not by_method(numbers, "MethodRandomEffects")
    assert (assessed.pooled, assessed.reasons) == (False, (Reason.OTHER_CONDITION,))
    assert "another condition" in assessed.explanation


# ----------------------------------------------------------------------------------- the embedded graph


@pytest.fixture(scope="module")
def lines(embedded: Snapshot) -> list[bytes]:
    with gzip.open(embedded.data) as file:
        return file.readlines()


@pytest.fixture(scope="module")
def store(embedded: Snapshot) -> Store:
    return load_store(embedded)


def test_the_same_reports_in_any_order_give_the_same_quads(lines: list[bytes]) -> None:
    shuffled = list(lines)
    random.Random(7).shuffle(shuffled)
    first, second = (list(map(str, quads(*derivation.derive(read(each))))) for each in (lines, shuffled))
    assert first == second
    assert len(first) == len(set(first))


def test_the_published_graph_holds_exactly_these_quads(lines: list[bytes], store: Store) -> None:
    computed = {quad.subject for quad in quads(*derivation.derive(read(lines)))}
    served = {quad.subject for quad in store.quads_for_pattern(None, None, None, GRAPH)}
    assert served == computed


def test_every_derived_number_leads_to_observations_or_regimens(store: Store) -> None:
    def leaves(node: NamedNode) -> Iterator[NamedNode]:
        sources = [quad.object for quad in store.quads_for_pattern(node, PROV.wasDerivedFrom, None, GRAPH)]
        for source in sources:
            assert isinstance(source, NamedNode)
            yield from leaves(source)
        if not sources:
            yield node

    derived = {quad.subject for quad in store.quads_for_pattern(None, STROMA.derivationMethod, None, GRAPH)}
    assert len(derived) > 200
    for node in derived:
        assert isinstance(node, NamedNode)
        kinds = {leaf.value.split("/")[4] for leaf in leaves(node)}
        assert kinds <= {"observation", "proposition", "regimen"}, node
        assert kinds & {"observation", "regimen"}, node
        for leaf in leaves(node):  # and each of them is in the graph of a source
            assert any(
                quad.graph_name != GRAPH for quad in store.quads_for_pattern(leaf, RDF.type, None, None)
            ), leaf


def test_a_derived_number_never_stands_in_a_sources_graph_nor_a_sources_value_in_ours(store: Store) -> None:
    for quad in store.quads_for_pattern(None, STROMA.derivedValue, None, None):
        assert quad.graph_name == GRAPH
    for word in ("percentage", "numberAffected", "meanValue", "observationKey"):
        assert not list(store.quads_for_pattern(None, STROMA(word), None, GRAPH))


def test_the_activity_names_the_libraries_with_their_versions(store: Store) -> None:
    agents = {
        quad.object.value.rpartition("/agent/")[2].partition("/")[0]
        for quad in store.quads_for_pattern(ACTIVITY, PROV.wasAssociatedWith, None, GRAPH)
        if isinstance(quad.object, NamedNode)
    }
    assert agents == {"stroma-kg", "scipy", "statsmodels"}


def test_the_follow_up_of_document_001_is_the_only_one_its_rates_allow(lines: list[bytes]) -> None:
    # 223 events; 36.17, 2.47, 0.45, 0.45 per 100 person-years in one group, 35.86, 2.31, 1.16 in the other
    # (document 001, lines 41 and 45). An independent path: try every split, in plain floats.
    def fits(events: int, years: float, *rates: str) -> bool:
        return all(
            any(round(100 * n / years, 2) == float(rate) for n in range(1, 400)) for rate in rates
        ) and round(100 * events / years, 2) == float(rates[0])

    splits = {
        n
        for n in range(1, 223)
        if any(fits(n, n / 0.3617 * k, "36.17", "2.47", "0.45") for k in (0.9999, 1, 1.0001))
        and any(fits(223 - n, (223 - n) / 0.3586 * k, "35.86", "2.31", "1.16") for k in (0.9999, 1, 1.0001))
    }
    assert splits == {161}
    numbers, _ = derivation.derive(read(lines))
    found = {
        each.about[STROMA.aboutGroup][0]: each for each in numbers if each.kind == STROMA.DerivedFollowUp
    }
    alone, both = found[expand("group:yang2025-msc")], found[expand("group:yang2025-msc-ifng")]
    assert (alone.value, both.value) == (Decimal("445.12"), Decimal("172.89"))  # 161 / 0.3617, 62 / 0.3586
    assert found[expand("group:yang2025-all")].value == Decimal("618.01")
    events = {
        (each.about[STROMA.aboutGroup][0], each.about[STROMA.forMeasure][0]): each.value
        for each in by_method(list(numbers), "MethodCountFromRates")
    }
    serious = STROMA.MeasureSeriousAdverseEvents
    assert events[expand("group:yang2025-msc"), serious] == 11
    assert events[expand("group:yang2025-msc-ifng"), serious] == 4


def test_acr20_is_not_pooled_because_the_extension_repeats_its_parents_patients(lines: list[bytes]) -> None:
    _, assessments = derivation.derive(read(lines))
    (acr20,) = (each for each in assessments if each.measure == STROMA.MeasureACR20)
    assert not acr20.pooled
    assert {Reason.SHARED_PATIENTS, Reason.OTHER_COMPARISON, Reason.NO_TOTAL} <= set(acr20.reasons)
    assert not any(each.pooled for each in assessments)


def test_rounding_is_half_to_even_with_no_negative_zero_and_nothing_infinite() -> None:
    assert [rounded(value, 1) for value in (0.25, 0.35, -0.01)] == [
        Decimal("0.2"),
        Decimal("0.4"),
        Decimal("0.0"),
    ]
    assert str(rounded(-0.00001)) == "0.0000"
    assert rounded(math.inf) is None


# ---------------------------------------------------------- the expected rows of the questions, recomputed
# Every interval again from its definition, by bisection in plain Python: no statistics library is asked.

Z = 1.959963984540054  # of the normal distribution, two-sided 95 %


def root(f: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that grows from `low` to `high` is 0; both positive, on a logarithmic scale."""
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return low


def wilson(n: int, total: int) -> tuple[float, float]:
    centre, width = n + Z * Z / 2, Z * math.sqrt(n * (total - n) / total + Z * Z / 4)
    return (centre - width) / (total + Z * Z), (centre + width) / (total + Z * Z)


def newcombe(a: int, n: int, b: int, m: int) -> list[float]:
    (low, high), (low_2, high_2) = wilson(a, n), wilson(b, m)
    p, q = a / n, b / m
    return [
        p - q,
        p - q - math.sqrt((p - low) ** 2 + (high_2 - q) ** 2),
        p - q + math.sqrt((high - p) ** 2 + (q - low_2) ** 2),
    ]


def koopman(a: int, n: int, b: int, m: int) -> list[float]:
    def score(ratio: float) -> float:
        """Koopman's chi-square less its critical value, at the likeliest proportions with this ratio."""
        linear = ratio * (n + b) + a + m
        q = (linear - math.sqrt(linear**2 - 4 * (n + m) * ratio * (a + b))) / (2 * (n + m) * ratio)
        p = ratio * q
        first = n * (1 - p) / p if a == n else (a - n * p) ** 2 / (n * p * (1 - p))
        second = m * (1 - q) / q if b == m else (b - m * q) ** 2 / (m * q * (1 - q))
        return first + second - Z * Z

    if b == 0:
        return [math.inf, 1 / root(lambda inverse: score(1 / inverse), 1e-6, 1e6), math.inf]
    ratio = a / n / (b / m)
    upper = root(score, ratio * (1 + 1e-9), 1e6)
    return [ratio, 1 / root(lambda inverse: score(1 / inverse), (1 + 1e-9) / ratio, 1e6), upper]


def conditional(a: int, n: int, b: int, m: int) -> list[float]:
    """The conditional odds ratio: with fixed margins, each count has its noncentral probability."""
    events = a + b
    counts = range(max(0, events - m), min(n, events) + 1)

    def chances(odds: float) -> dict[int, float]:
        logs = {k: math.log(math.comb(n, k) * math.comb(m, events - k)) + k * math.log(odds) for k in counts}
        weights = {k: math.exp(value - max(logs.values())) for k, value in logs.items()}
        return {k: weight / sum(weights.values()) for k, weight in weights.items()}

    def at_least(odds: float) -> float:
        return sum(chance for k, chance in chances(odds).items() if k >= a)

    def at_most(odds: float) -> float:
        return sum(chance for k, chance in chances(odds).items() if k <= a)

    def mean(odds: float) -> float:
        return sum(k * chance for k, chance in chances(odds).items())

    low = root(lambda odds: at_least(odds) - 0.025, 1e-9, 1e9)
    if a == counts[-1]:
        return [math.inf, low, math.inf]
    high = root(lambda odds: 0.025 - at_most(odds), 1e-9, 1e9)
    return [root(lambda odds: mean(odds) - a, 1e-9, 1e9), low, high]


@pytest.mark.parametrize("row", expected("effect-sizes"), ids=lambda row: f"{row['method']} {row['numbers']}")
def test_an_expected_effect_is_what_its_definition_gives(row: dict[str, str]) -> None:
    numbers = [int(word) for word in row["numbers"].split() if word.isdigit()]
    by_definition = {"risk difference": newcombe, "risk ratio": koopman, "odds ratio": conditional}
    computed = by_definition[row["method"]](*numbers)
    for column, number in zip(("effect", "ciLow", "ciHigh"), computed, strict=True):
        if math.isinf(number):
            assert row[column] == ""
        else:
            assert float(row[column]) == pytest.approx(number, abs=6e-5, rel=1e-6)


small = st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(small, small)
@settings(deadline=None, max_examples=150)
def test_every_effect_is_what_its_definition_gives_empty_and_full_cells_included(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    numbers = (*first, *second)
    if first[0] and second[0]:  # the definition in words needs a logarithm of each
        found = statistics.risk_ratio(*numbers)
        assert [found.value, found.interval.low, found.interval.high] == pytest.approx(
            koopman(*numbers), rel=1e-6
        )
    found = statistics.risk_difference(*numbers)
    assert [found.value, found.interval.low, found.interval.high] == pytest.approx(
        newcombe(*numbers), abs=1e-9
    )
    events = first[0] + second[0]
    if (
        first[0] > max(0, events - second[1]) and events < first[1] + second[1]
    ):  # else the ratio is 0, or none
        found = statistics.odds_ratio(*numbers)
        assert [found.value, found.interval.low, found.interval.high] == pytest.approx(
            conditional(*numbers), rel=1e-4
        )


def test_the_expected_counts_are_those_that_print_as_the_percentage() -> None:
    for row in expected("counts-behind-percentages"):
        percent, total = row["percentOf"].split(" % of ")
        decimals = len(percent.partition(".")[2])
        fits = [n for n in range(int(total) + 1) if f"{100 * n / int(total):.{decimals}f}" == percent]
        assert (int(row["lowest"]), int(row["highest"])) == (fits[0], fits[-1]), row
        if row["printed"]:
            assert int(row["printed"]) in fits


def test_the_expected_doses_are_products() -> None:
    for row in expected("doses-in-cells"):
        words = row["dose"].replace(" cells/kg at ", " to ").removesuffix(" kg").split(" to ")
        *doses, weight = map(float, words)
        assert (float(row["cellsLow"]), float(row["cellsHigh"])) == (
            doses[0] * weight,
            doses[-1] * weight,
        )


def test_the_expected_follow_up_gives_every_rate_of_document_001() -> None:
    # Document 001, lines 41 and 45: per 100 person-years.
    printed = {
        "MSC monotherapy (Yang 2025)": {
            "adverse events": "36.17", "serious adverse events": "2.47", "autoimmune disease events": "0.45",
            "serious infection events": "0.45",
        },
        "MSC plus IFN-γ (Yang 2025)": {
            "adverse events": "35.86", "serious adverse events": "2.31", "autoimmune disease events": "1.16",
        },
    }  # fmt: skip
    events = 0
    for row in expected("follow-up-that-rates-imply"):
        if row["group"] not in printed:
            assert row["group"] == "All randomised patients (Yang 2025)"
            continue
        counts = dict(each.rsplit(" ", 1) for each in row["events"].split("; "))
        assert counts.keys() == printed[row["group"]].keys()
        for measure, count in counts.items():
            rate = 100 * int(count) / float(row["personYears"])
            assert f"{rate:.2f}" == printed[row["group"]][measure]
        events += int(counts["adverse events"])
    assert events == 223
