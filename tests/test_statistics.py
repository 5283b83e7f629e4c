"""Tests, intervals and effect sizes against the numbers that books and papers print; their properties."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.evidence import statistics
from kg.evidence.statistics import Estimate, Interval, Undefined

Groups = tuple[int, int, int, int]

totals = st.integers(1, 400)
groups = totals.flatmap(
    lambda n: totals.flatmap(
        lambda m: st.tuples(st.integers(0, n), st.just(n), st.integers(0, m), st.just(m))
    )
)


def swapped(four: Groups) -> Groups:
    return four[2], four[3], four[0], four[1]


def shown(estimate: Estimate, places: int) -> tuple[float, float, float]:
    return (
        round(estimate.value, places),
        round(estimate.interval.low, places),
        round(estimate.interval.high, places),
    )


# ------------------------------------------------------------------------------ published examples


@pytest.mark.parametrize(
    ("events", "total", "low", "high"),
    # Newcombe, Stat Med 1998;17:857-872, table I, method 3 (Wilson's score, no correction).
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_newcombes_table(events: int, total: int, low: float, high: float) -> None:
    assert shown(statistics.proportion(events, total), 4)[1:] == (low, high)


@pytest.mark.parametrize(
    ("four", "low", "high"),
    # Newcombe, Stat Med 1998;17:873-890, table II, method 10.
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0000),
        ((10, 10, 0, 10), 0.6075, 1.0000),
    ],
)
def test_the_risk_difference_is_newcombes_table(four: Groups, low: float, high: float) -> None:
    assert shown(statistics.risk_difference(*four), 4)[1:] == (low, high)


def test_the_risk_ratio_is_koopmans_example() -> None:
    # Koopman, Biometrics 1984;40:513-517: 36 of 40 against 16 of 80, 95 % interval 2.94 to 7.15.
    assert shown(statistics.risk_ratio(36, 40, 16, 80), 2) == (4.5, 2.94, 7.15)


def test_ratios_of_the_physicians_health_study_are_agrestis() -> None:
    # Agresti, Categorical Data Analysis: heart attacks 189 of 11,034 on placebo, 104 of 11,037 on aspirin:
    # relative risk 1.82, odds ratio 1.83 with Wald interval 1.44 to 2.33, difference of proportions 0.0077.
    study = (189, 11034, 104, 11037)
    assert round(statistics.risk_ratio(*study).value, 2) == 1.82
    assert shown(statistics.odds_ratio(*study, kind="sample"), 2) == (1.83, 1.44, 2.33)
    assert round(statistics.risk_difference(*study).value, 4) == 0.0077


def test_the_exact_odds_ratio_is_that_of_fishers_twins() -> None:
    # Fisher, Statistical Methods for Research Workers, section 21.02 (convicted twins of criminals: 2 of 17
    # dizygotic, 10 of 13 monozygotic); R's documentation of fisher.test gives 0.04693661, 0.003325764 to
    # 0.363182271, p = 0.0005367. Two root finders: equal to the fourth place.
    twins = (2, 17, 10, 13)
    assert shown(statistics.odds_ratio(*twins), 4) == (0.0469, 0.0033, 0.3632)
    assert round(statistics.fisher_exact(*twins), 7) == 0.0005367


def test_fishers_test_is_that_of_the_tea_taster_and_of_the_spectacle_wearers() -> None:
    # Agresti, An Introduction to Categorical Data Analysis, section 2.6: 3 of 4 guessed, two-sided 0.486.
    assert round(statistics.fisher_exact(3, 4, 1, 4), 3) == 0.486
    # Altman, Practical Statistics for Medical Research, chapter 10 (data of Weindling 1986): 1 of 9 juvenile
    # delinquents with poor sight wore spectacles, 5 of 7 others: p = 0.035.
    assert round(statistics.fisher_exact(1, 9, 5, 7), 3) == 0.035


def test_one_table_gives_every_number_that_a_manual_prints_for_it() -> None:
    # SAS/STAT User's Guide, PROC FREQ, "Fisher's exact test" (heart disease in 11 of 15 on a diet high in
    # cholesterol, 2 of 8 on a low one).
    diet = (11, 15, 2, 8)
    plain, corrected = (statistics.chi_square(*diet, correction=yes) for yes in (False, True))
    assert (round(plain.statistic, 4), round(plain.p, 4)) == (4.9597, 0.0259)
    assert (round(corrected.statistic, 4), round(corrected.p, 4)) == (3.1879, 0.0742)
    assert round(plain.smallest_expected, 4) == 3.4783  # 10 * 8 / 23
    assert round(statistics.fisher_exact(*diet), 4) == 0.0393
    assert shown(statistics.odds_ratio(*diet, kind="sample"), 4) == (8.25, 1.1535, 59.0029)
    exact = statistics.odds_ratio(*diet).interval
    assert (round(exact.low, 4), round(exact.high, 3)) == (0.8677, 105.549)
    assert round(statistics.risk_ratio(*diet).value, 4) == 2.9333


@pytest.mark.parametrize(
    ("events", "low", "high"),
    # Garwood, Biometrika 1936;28:437-442; as printed in Altman's and Breslow and Day's tables.
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (2, 0.242, 7.225), (5, 1.623, 11.668), (10, 4.795, 18.390)],
)
def test_the_poisson_interval_is_garwoods_table(events: int, low: float, high: float) -> None:
    found = statistics.rate(events, 1)
    assert found.interval.low == pytest.approx(low, abs=6e-4)
    assert found.interval.high == pytest.approx(high, abs=6e-4)


def test_the_exact_rate_ratio_is_that_of_the_danish_towns() -> None:
    # R's documentation of poisson.test (lung cancer in Fredericia and three other towns; Andersen 1977):
    # 11 in 800 against 21 in 3,011 person-years, ratio 1.971488, exact interval 0.8584264 to 4.2772659.
    found = statistics.rate_ratio(11, 800, 6 + 8 + 7, 1083 + 1050 + 878)
    assert found.value == pytest.approx(1.971488, abs=1e-6)
    assert found.interval.low == pytest.approx(0.8584264, abs=1e-6)
    assert found.interval.high == pytest.approx(4.2772659, abs=1e-6)


def test_the_rate_ratio_of_the_fluoroscopy_cohort_is_rothmans() -> None:
    # Rothman, Epidemiology: An Introduction, table 4-6: 41 breast cancers in 28,010 woman-years with X-ray
    # fluoroscopy, 15 in 19,017 without; rates 14.6 and 7.9 per 10,000, rate ratio 1.86.
    assert round(statistics.rate(41, 28_010).value * 10_000, 1) == 14.6
    assert round(statistics.rate(15, 19_017).value * 10_000, 1) == 7.9
    assert round(statistics.rate_ratio(41, 28_010, 15, 19_017).value, 2) == 1.86


def test_hedges_g_is_the_example_of_borenstein() -> None:
    # Borenstein, Hedges, Higgins, Rothstein, Introduction to Meta-Analysis, chapter 4: means 103 and 100, SDs
    # 5.5 and 4.5, 50 each: g 0.5924. Their variance, 0.0411, leaves out RevMan's correction of the degrees of
    # freedom, so it agrees to the third place only.
    g, variance = statistics.standardised_mean_difference_variance(103, 5.5, 50, 100, 4.5, 50)
    assert round(g, 4) == 0.5924
    assert variance == pytest.approx(0.0411, abs=1e-3)
    assert variance == pytest.approx(100 / 2500 + 0.5924**2 / (2 * 96.06), abs=1e-5)  # RevMan's formula


def test_the_t_tests_are_those_of_the_library_on_the_values_themselves() -> None:
    from scipy import stats

    first, second = [21.0, 19.5, 24.2, 22.8, 25.1], [18.3, 20.1, 17.9, 21.4]
    summary = [
        number
        for values in (first, second)
        for number in (
            sum(values) / len(values),
            float(stats.tstd(values)),
            len(values),
        )
    ]
    for equal in (True, False):
        expected = stats.ttest_ind(first, second, equal_var=equal).pvalue
        found = statistics.t_test(*summary, equal_variance=equal)  # type: ignore[arg-type]
        assert found == pytest.approx(expected)


# -------------------------------------------------------------------------------- printed numbers


@pytest.mark.parametrize(
    ("printed", "total", "counts"),
    [
        ("44.9", 49, [22]),  # 22/49 = 44.898 %
        ("45", 49, [22]),
        ("45.0", 49, []),  # no whole number of 49 is 44.95 to 45.05 %
        ("50", 100, [50]),
        ("0", 300, [0, 1]),  # 1/300 = 0.33 % prints as 0
        ("100", 300, [299, 300]),
        ("12", 8, [1]),  # 12.5 % is printed as 12 and as 13
        ("13", 8, [1]),
        ("33.3", 3, [1]),
    ],
)
def test_the_counts_behind_a_percentage_follow_its_printed_digits(
    printed: str, total: int, counts: list[int]
) -> None:
    assert list(statistics.counts_of_percent(printed, total)) == counts


@given(groups, st.integers(0, 3))
def test_the_count_that_was_printed_is_among_those_behind_its_percentage(four: Groups, places: int) -> None:
    events, total = four[:2]
    printed = f"{Decimal(100 * events) / total:.{places}f}"
    assert events in statistics.counts_of_percent(printed, total)


def test_person_years_follow_from_events_and_rate() -> None:
    # 10 events at 2.0 per 100 person-years: 500, and what prints as 2.0 is 1.95 to 2.05.
    value, interval = statistics.implied_person_years(10, "2.0")
    assert value == 500
    assert [interval.low, interval.high] == pytest.approx([1000 / 2.05, 1000 / 1.95])
    value, interval = statistics.implied_person_years(10, "2")
    assert [interval.low, interval.high] == pytest.approx([400, 1000 / 1.5])


@given(st.integers(1, 500), st.floats(10, 5000), st.integers(0, 3))
def test_the_follow_up_that_was_used_is_within_the_implied_one(
    events: int, years: float, places: int
) -> None:
    printed = f"{100 * events / years:.{places}f}"
    if Decimal(printed) == 0:
        with pytest.raises(Undefined, match="follow-up"):
            statistics.implied_person_years(events, printed)
        return
    _, interval = statistics.implied_person_years(events, printed)
    assert interval.low * (1 - 1e-9) <= years <= interval.high * (1 + 1e-9)


def test_rates_of_two_groups_and_their_sum_leave_one_follow_up_each() -> None:
    # 20 events: 12 in 300 person-years and 8 in 250, with 5 and 3 others; the reader knows the rates only.
    ways = statistics.split_events(20, ["4.00", "1.67"], ["3.20", "1.20"])
    assert [(one.events, other.events) for one, other in ways] == [((12, 5), (8, 3))]
    assert 300 in ways[0][0].person_years
    assert 250 in ways[0][1].person_years
    # One rate each says nothing: any split has a follow-up of its own.
    assert len(statistics.split_events(20, ["4.00"], ["3.20"])) == 19
    # Rates that no whole numbers give together.
    assert statistics.split_events(20, ["4.00", "0.01"], ["3.20", "1.20"]) == ()
    with pytest.raises(Undefined, match="more than 0"):
        statistics.split_events(20, ["4.00", "0.00"], ["3.20"])


def test_a_dose_for_a_range_of_body_weights_runs_from_lightest_to_heaviest() -> None:
    dose, weights = Interval(1e6, 2e6), Interval(50, 70)
    assert statistics.cells_for_weight(dose, weights) == Interval(5e7, 1.4e8)


# ------------------------------------------------------------------------------------- properties


@given(groups)
@settings(deadline=None)
def test_a_risk_difference_lies_within_its_interval_and_turns_its_sign(four: Groups) -> None:
    found, turned = statistics.risk_difference(*four), statistics.risk_difference(*swapped(four))
    assert -1 <= found.interval.low <= found.value + 1e-12
    assert found.value <= found.interval.high + 1e-12 <= 1 + 2e-12
    assert shown(found, 9) == tuple(-number + 0.0 for number in (shown(turned, 9)[i] for i in (0, 2, 1)))


@given(groups)
@settings(deadline=None)
def test_a_risk_ratio_lies_within_its_interval_and_swapping_groups_inverts_it(four: Groups) -> None:
    if four[0] + four[2] == 0:
        with pytest.raises(Undefined, match="neither group"):
            statistics.risk_ratio(*four)
        return
    found, turned = statistics.risk_ratio(*four), statistics.risk_ratio(*swapped(four))
    assert 0 <= found.interval.low <= found.value * (1 + 1e-6)
    assert found.value <= found.interval.high * (1 + 1e-6)
    assert (found.interval.low == 0) == (four[0] == 0)
    assert math.isinf(found.interval.high) == (four[2] == 0)
    if four[0] and four[2]:
        assert found.interval.high == pytest.approx(1 / turned.interval.low)
        assert found.interval.low == pytest.approx(1 / turned.interval.high)


@given(groups)
@settings(deadline=None, max_examples=50)
def test_an_odds_ratio_lies_within_its_interval_and_fishers_p_is_a_probability(four: Groups) -> None:
    p = statistics.fisher_exact(*four)
    assert 0 <= p <= 1
    assert p == pytest.approx(statistics.fisher_exact(*swapped(four)))
    if four[0] + four[2] in (0, four[1] + four[3]):
        with pytest.raises(Undefined, match="all, or none"):
            statistics.odds_ratio(*four)
        return
    found = statistics.odds_ratio(*four)
    assert 0 <= found.interval.low <= found.value * (1 + 1e-6)
    assert found.value <= found.interval.high * (1 + 1e-6)


@given(groups)
@settings(deadline=None)
def test_yatess_correction_never_makes_a_difference_more_significant(four: Groups) -> None:
    if four[0] + four[2] in (0, four[1] + four[3]):
        with pytest.raises(Undefined, match="nothing to test"):
            statistics.chi_square(*four, correction=True)
        return
    with_, without = (statistics.chi_square(*four, correction=corrected) for corrected in (True, False))
    assert 0 <= without.p <= with_.p <= 1
    assert without.smallest_expected > 0


counts = st.integers(0, 300)
times = st.floats(0.5, 1e5)


@given(counts, times, counts, times)
@settings(deadline=None)
def test_a_rate_ratio_lies_within_its_interval_and_swapping_groups_inverts_it(
    a: int, s: float, b: int, t: float
) -> None:
    if a + b == 0:
        with pytest.raises(Undefined, match="neither group"):
            statistics.rate_ratio(a, s, b, t)
        return
    found, turned = statistics.rate_ratio(a, s, b, t), statistics.rate_ratio(b, t, a, s)
    assert 0 <= found.interval.low <= found.value <= found.interval.high
    assert (found.interval.low == 0) == (a == 0)
    assert math.isinf(found.interval.high) == (b == 0)
    if a and b:
        assert found.interval.high == pytest.approx(1 / turned.interval.low)


@given(counts, times)
@settings(deadline=None)
def test_a_higher_level_gives_a_wider_interval(events: int, time: float) -> None:
    narrow, wide = (statistics.rate(events, time, level).interval for level in (0.9, 0.99))
    assert wide.low <= narrow.low <= events / time <= narrow.high < wide.high


means = st.tuples(st.floats(-50, 50), st.floats(0.1, 30), st.integers(2, 300))


@given(means, means)
@settings(deadline=None)
def test_a_standardised_difference_turns_its_sign_and_p_is_a_probability(
    first: tuple[float, float, int], second: tuple[float, float, int]
) -> None:
    found = statistics.standardised_mean_difference(*first, *second)
    turned = statistics.standardised_mean_difference(*second, *first)
    assert found.interval.low < found.value < found.interval.high
    assert found.value == pytest.approx(-turned.value)
    assert found.interval.low == pytest.approx(-turned.interval.high)
    assert 0 <= statistics.t_test(*first, *second, equal_variance=False) <= 1


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.proportion(5, 4), "5 of 4: a part cannot exceed its whole"),
        (lambda: statistics.risk_ratio(-1, 4, 1, 4), "-1 is no count"),
        (lambda: statistics.fisher_exact(1, 0, 1, 4), "at least one participant"),
        (lambda: statistics.counts_of_percent("101", 10), "101 % is no percentage"),
        (lambda: statistics.counts_of_percent("most", 10), "'most' is not a number"),
        (lambda: statistics.rounding_interval("NaN"), "not a finite number"),
        (lambda: statistics.rate(3, 0), "person-time must be positive"),
        (lambda: statistics.t_test(1, -1, 9, 1, 1, 9, equal_variance=True), "standard deviation -1"),
        (lambda: statistics.standardised_mean_difference(1, 1, 1, 1, 1, 9), "at least 2 participants"),
        (
            lambda: statistics.cells_for_weight(Interval(1, 1), Interval(0, 70)),
            "body weight must be positive",
        ),
        (lambda: statistics.cells_for_weight(Interval(2, 1), Interval(5, 7)), "runs backwards"),
        (lambda: statistics.proportion(1, 2, level=95), "between 0 and 1"),
    ],
)
def test_a_number_that_cannot_be_what_it_should_is_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert not isinstance(caught.value, Undefined)


def test_sound_numbers_without_the_quantity_are_told_from_bad_ones() -> None:
    with pytest.raises(Undefined, match="empty cell"):
        statistics.odds_ratio(0, 9, 4, 9, kind="sample")
    with pytest.raises(Undefined, match="both standard deviations are 0"):
        statistics.standardised_mean_difference(1, 0, 9, 2, 0, 9)
    assert statistics.odds_ratio(0, 9, 4, 9).value == 0
    assert math.isinf(statistics.odds_ratio(4, 9, 0, 9).interval.high)
