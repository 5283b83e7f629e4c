"""Tests, intervals and effect sizes over plain numbers.

Hides which library computes what (scipy, statsmodels), its numpy scalars, and what happens where a cell is
empty. Two groups are always given as (events, total, events, total), the compared group first, the
reference second; every interval is two-sided at `level`, 0.95 unless told. A number that cannot be what it
should (a count above its total, a negative SD) raises ValueError; numbers that are sound but for which the
quantity does not exist (a ratio to no events) raise Undefined, which says why. A bound that does not exist
is infinite.
"""

# The libraries are imported where they are used: together they take seconds, and most commands need none of
# them.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal


def load() -> None:
    """Load the libraries now: before processes are forked that would each do so."""
    import statsmodels.stats.meta_analysis
    import statsmodels.stats.proportion
    import statsmodels.stats.rates  # noqa: F401


class Undefined(ValueError):
    """The quantity does not exist for these numbers, which are sound; the message says why."""


@dataclass(frozen=True)
class Interval:
    """All numbers from `low` to `high`, both included; a side may be infinite."""

    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    def overlaps(self, other: Interval) -> bool:
        """Whether the two have a number in common."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Estimate:
    """A point estimate and its interval at `level`; the unit is that of the function that gave it."""

    value: float
    interval: Interval
    level: float


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's statistic (1 degree of freedom), its p-value, and the smallest expected count."""

    statistic: float
    p: float
    smallest_expected: float


# ------------------------------------------------------------------------------------ printed numbers


def rounding_interval(printed: str | Decimal) -> Interval:
    """The numbers that print as this one: half a unit of its last digit to either side, ends included.

    "5.72" -> 5.715 to 5.725; a trailing zero counts as a digit ("5.70"). Raises ValueError for no number.
    """
    low, high = _rounding(printed)
    return Interval(float(low), float(high))


def _rounding(printed: str | Decimal) -> tuple[Fraction, Fraction]:
    try:
        number = Decimal(printed)
    except ArithmeticError:
        raise ValueError(f"{printed!r} is not a number") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{printed!r} is not a finite number")
    half = Fraction(10) ** exponent / 2
    return Fraction(number) - half, Fraction(number) + half


def counts_of_percent(percent: str | Decimal, total: int) -> Sequence[int]:
    """Every count out of `total` whose percentage prints as `percent`, ascending; empty when there is none.

    The printed digits count: "44.9" of 49 is 22 only, "45" of 49 is 22 too. An exact half counts as printed
    either way (12.5 as 12 and as 13), since sources round it both ways. Raises ValueError for a percentage
    outside 0 to 100 or a total below 1.
    """
    _total(total)
    low, high = _rounding(percent)
    if not 0 <= Decimal(percent) <= 100:
        raise ValueError(f"{percent} % is no percentage of a whole")
    first = max(0, math.ceil(low * total / 100))
    return range(first, min(total, math.floor(high * total / 100)) + 1)


# --------------------------------------------------------------------------------------- proportions


def proportion(events: int, total: int, level: float = 0.95) -> Estimate:
    """A proportion, 0 to 1, with Wilson's score interval.

    Source: Wilson 1927; recommended by Newcombe, Stat Med 1998;17:857-872. Computed by statsmodels.
    """
    from statsmodels.stats.proportion import proportion_confint

    _part(events, total)
    low, high = proportion_confint(events, total, alpha=_alpha(level), method="wilson")
    return Estimate(events / total, _interval(low, high), level)


def risk_difference(events: int, total: int, events_2: int, total_2: int, level: float = 0.95) -> Estimate:
    """The first proportion less the second, -1 to 1, with Newcombe's hybrid score interval (his method 10).

    Defined for every count, none and all included. Source: Newcombe, Stat Med 1998;17:873-890. Computed by
    statsmodels.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    _part(events, total)
    _part(events_2, total_2)
    low, high = confint_proportions_2indep(
        events, total, events_2, total_2, method="newcomb", compare="diff", alpha=_alpha(level)
    )
    # A rounding error can leave it a hair beyond what a difference of proportions can be.
    interval = _interval(max(-1.0, low), min(1.0, high))
    return Estimate(events / total - events_2 / total_2, interval, level)


def risk_ratio(events: int, total: int, events_2: int, total_2: int, level: float = 0.95) -> Estimate:
    """The first proportion over the second, with Koopman's asymptotic score interval.

    Without events in the first group the ratio is 0 and the interval starts at 0; without events in the
    second the ratio and the upper bound are infinite. Raises Undefined when neither group has an event.
    Source: Koopman, Biometrics 1984;40:513-517. The roots are found by scipy: the closed form of
    statsmodels 0.15 leaves the interval too wide where all of a group have the event (28 of 28 against 35 of
    69: from 1.54, for 1.61).
    """
    _part(events, total)
    _part(events_2, total_2)
    if events == 0 and events_2 == 0:
        raise Undefined("a risk ratio says nothing where neither group has an event")
    first, second = (events, total), (events_2, total_2)
    # The ratio of the swapped groups is the reciprocal, and so are its bounds.
    swapped = _koopman_upper(second, first, level)
    ratio = math.inf if events_2 == 0 else (events / total) / (events_2 / total_2)
    return Estimate(ratio, _interval(1 / swapped, _koopman_upper(first, second, level)), level)


def _koopman_upper(first: tuple[int, int], second: tuple[int, int], level: float) -> float:
    """The largest ratio of proportions that the score test at this level does not reject."""
    from scipy import optimize, stats

    (a, n), (b, m) = first, second
    if b == 0:
        return math.inf
    critical = float(stats.chi2.ppf(1 - _alpha(level), 1))

    def term(count: int, whole: int, share: float) -> float:
        if count == whole:  # the limit, where the likeliest share is 1
            return whole * max(0.0, 1 - share) / share
        return (count - whole * share) ** 2 / (whole * share * (1 - share))

    def excess(logarithm: float) -> float:
        ratio = math.exp(logarithm)
        # The likeliest proportions with this ratio: the smaller root of a quadratic equation.
        linear = ratio * (n + b) + a + m
        root = math.sqrt(max(0.0, linear**2 - 4 * (n + m) * ratio * (a + b)))
        share = 2 * (a + b) / (linear + root)
        return term(a, n, ratio * share) + term(b, m, share) - critical

    low = math.log(a / n / (b / m)) if a else -40.0
    high = max(low, 0.0) + 1
    while excess(high) < 0:
        high += 1
    return math.exp(optimize.brentq(excess, low, high, xtol=1e-13))


def odds_ratio(
    events: int,
    total: int,
    events_2: int,
    total_2: int,
    level: float = 0.95,
    kind: Literal["conditional", "sample"] = "conditional",
) -> Estimate:
    """The odds of the first group over those of the second.

    `conditional`: the conditional maximum likelihood estimate with its exact interval (the one that agrees
    with Fisher's test); an empty cell gives 0 or infinity with one bound. `sample`: the cross-product with
    Woolf's logit interval, which does not exist with an empty cell (Undefined). Raises Undefined when all
    or none of both groups have the event. Source: Cornfield 1956, Woolf 1955. Computed by scipy.
    """
    from scipy.stats import contingency

    table = _table(events, total, events_2, total_2)
    if events + events_2 in (0, total + total_2):
        raise Undefined("an odds ratio says nothing where all, or none, of the participants have the event")
    if kind == "sample" and not all(cell for row in table for cell in row):
        raise Undefined(
            "the sample odds ratio has no interval with an empty cell; ask for the conditional one"
        )
    found = contingency.odds_ratio(table, kind=kind)
    bounds = found.confidence_interval(confidence_level=1 - _alpha(level))
    return Estimate(float(found.statistic), _interval(bounds.low, bounds.high), level)


def fisher_exact(events: int, total: int, events_2: int, total_2: int) -> float:
    """The two-sided p-value of Fisher's exact test: all tables no likelier than the one seen.

    Source: Fisher 1934. Computed by scipy.
    """
    from scipy import stats

    return float(stats.fisher_exact(_table(events, total, events_2, total_2)).pvalue)


def chi_square(events: int, total: int, events_2: int, total_2: int, *, correction: bool) -> ChiSquare:
    """Pearson's chi-square test of two proportions, with Yates's continuity correction or without.

    Raises Undefined when all, or none, of the participants have the event. `smallest_expected` tells
    whether the approximation holds (Cochran: 5 and more). Source: Pearson 1900, Yates 1934. Computed by
    scipy.
    """
    from scipy import stats

    table = _table(events, total, events_2, total_2)
    if events + events_2 in (0, total + total_2):
        raise Undefined("there is nothing to test where all, or none, of the participants have the event")
    found = stats.chi2_contingency(table, correction=correction)
    return ChiSquare(float(found.statistic), float(found.pvalue), float(found.expected_freq.min()))


# --------------------------------------------------------------------------------------------- rates


def rate(events: int, person_time: float, level: float = 0.95) -> Estimate:
    """Events per unit of person-time (person-years: per person-year), with the exact Poisson interval.

    Source: Garwood, Biometrika 1936;28:437-442. Computed by statsmodels.
    """
    from statsmodels.stats.rates import confint_poisson

    _count(events)
    _positive(person_time, "person-time")
    low, high = confint_poisson(events, person_time, method="exact-c", alpha=_alpha(level))
    return Estimate(events / person_time, _interval(low, high), level)


def rate_ratio(
    events: int, person_time: float, events_2: int, person_time_2: float, level: float = 0.95
) -> Estimate:
    """The first rate over the second, with the exact interval that conditions on the number of events.

    Given their sum, the first count is binomial; Clopper and Pearson's interval of its share is turned into
    one of the ratio. Both person-times in the same unit. Without events in one group the ratio is 0 or
    infinite; raises Undefined when neither has one. Source: Lehmann 1959; Fay, R Journal 2010;2(1):53-58.
    Computed by statsmodels.
    """
    from statsmodels.stats.proportion import proportion_confint

    for count, time in ((events, person_time), (events_2, person_time_2)):
        _count(count)
        _positive(time, "person-time")
    if events + events_2 == 0:
        raise Undefined("a rate ratio says nothing where neither group has an event")
    low, high = proportion_confint(events, events + events_2, alpha=_alpha(level), method="beta")
    scale = person_time_2 / person_time

    def ratio(share: float) -> float:
        return math.inf if share >= 1 else float(share / (1 - share) * scale)

    value = math.inf if events_2 == 0 else events / events_2 * scale
    return Estimate(value, _interval(ratio(low), ratio(high)), level)


def implied_person_years(events: int, printed_rate: str | Decimal, per: int = 100) -> tuple[float, Interval]:
    """The follow-up in person-years that makes so many events this rate per `per` person-years.

    The interval holds the follow-ups for which the rate prints as it does: it is a matter of rounding, not
    of sampling. Raises Undefined for no events, or a rate that prints as 0.
    """
    _count(events)
    low, high = _rounding(printed_rate)
    if events == 0 or Decimal(printed_rate) == 0:
        raise Undefined("no events, or a rate of 0, say nothing of the follow-up")
    if Decimal(printed_rate) < 0:
        raise ValueError(f"a rate cannot be negative: {printed_rate}")
    longest = math.inf if low <= 0 else float(per * events / low)
    value = float(per * events / Fraction(Decimal(printed_rate)))
    return value, Interval(float(per * events / high), longest)


@dataclass(frozen=True)
class FollowUp:
    """A group's follow-up in person-years, and the whole numbers of events its printed rates stand for."""

    person_years: Interval
    events: tuple[int, ...]


def split_events(
    total: int, first: Sequence[str], second: Sequence[str], per: int = 100
) -> tuple[tuple[FollowUp, FollowUp], ...]:
    """Every way in which `total` events of two groups agree with the groups' printed rates.

    `first` and `second` are the rates of each group as printed, per `per` person-years: those of the events
    that are split come first, then those of other events over the same follow-up. A rate prints as it does
    only for some follow-ups, events are whole numbers, and a group has one follow-up: together these may
    leave one way only. The intervals are a matter of rounding, not of sampling. Raises Undefined for a rate
    that prints as 0, which a group of any follow-up may have.
    """
    _count(total)
    found = []
    for events in range(1, total):
        ways = [
            _follow_ups(count, rates, per) for count, rates in ((events, first), (total - events, second))
        ]
        found += [(one, other) for one in ways[0] for other in ways[1]]
    return tuple(found)


def _follow_ups(events: int, rates: Sequence[str], per: int) -> list[FollowUp]:
    """The follow-ups of one group over which `events` have the first rate, and whole numbers the others."""
    bounds = [_rounding(printed) for printed in rates]
    if not rates or any(low <= 0 for low, _ in bounds):
        raise Undefined(f"rates {', '.join(rates) or '(none)'}: each must print as more than 0")
    ways: list[tuple[Fraction, Fraction, tuple[int, ...]]] = [
        (per * events / bounds[0][1], per * events / bounds[0][0], (events,))
    ]
    for low, high in bounds[1:]:
        ways = [
            (max(shortest, per * count / high), min(longest, per * count / low), (*counts, count))
            for shortest, longest, counts in ways
            for count in range(math.ceil(shortest * low / per), math.floor(longest * high / per) + 1)
        ]
    return [
        FollowUp(Interval(float(shortest), float(longest)), counts)
        for shortest, longest, counts in ways
        if shortest <= longest
    ]


# --------------------------------------------------------------------------------------------- means


def standardised_mean_difference(
    mean: float, sd: float, total: int, mean_2: float, sd_2: float, total_2: int, level: float = 0.95
) -> Estimate:
    """Hedges' g: the difference of means in pooled SDs, with the small-sample correction.

    The variance is N/(n1 n2) + g²/(2(N - 3.94)), as Cochrane's RevMan has it; the interval is normal.
    Raises Undefined when both SDs are 0, ValueError for a group below 2. Source: Hedges & Olkin 1985; Deeks
    & Higgins, Statistical algorithms in Review Manager 5, 2010. Computed by statsmodels.
    """
    estimate, variance = standardised_mean_difference_variance(mean, sd, total, mean_2, sd_2, total_2)
    return normal_estimate(estimate, variance, level)


def standardised_mean_difference_variance(
    mean: float, sd: float, total: int, mean_2: float, sd_2: float, total_2: int
) -> tuple[float, float]:
    """Hedges' g and its variance, for pooling; as `standardised_mean_difference`."""
    from statsmodels.stats.meta_analysis import effectsize_smd

    _means(mean, sd, total)
    _means(mean_2, sd_2, total_2)
    if sd == 0 and sd_2 == 0:
        raise Undefined("a standardised difference needs some variation: both standard deviations are 0")
    estimate, variance = effectsize_smd(mean, sd, total, mean_2, sd_2, total_2)
    return float(estimate), float(variance)


def t_test(
    mean: float, sd: float, total: int, mean_2: float, sd_2: float, total_2: int, *, equal_variance: bool
) -> float:
    """The two-sided p-value of the t-test of two means: Student's with equal variances, otherwise Welch's.

    Raises Undefined when both SDs are 0. Source: Student 1908, Welch 1947. Computed by scipy.
    """
    from scipy import stats

    _means(mean, sd, total)
    _means(mean_2, sd_2, total_2)
    if sd == 0 and sd_2 == 0:
        raise Undefined("a t-test needs some variation: both standard deviations are 0")
    found = stats.ttest_ind_from_stats(mean, sd, total, mean_2, sd_2, total_2, equal_var=equal_variance)
    return float(found.pvalue)


def normal_estimate(value: float, variance: float, level: float = 0.95) -> Estimate:
    """An estimate with the normal interval of its variance. Computed by scipy."""
    from scipy import stats

    _positive(variance, "variance")
    half = float(stats.norm.isf(_alpha(level) / 2)) * math.sqrt(variance)
    return Estimate(value, Interval(value - half, value + half), level)


# --------------------------------------------------------------------------------------------- doses


def cells_for_weight(cells_per_kg: Interval, kilograms: Interval) -> Interval:
    """The cells that a dose in cells per kilogram comes to, from the lightest to the heaviest body weight.

    Raises ValueError for a dose or weight that is not positive and finite, or runs backwards.
    """
    for name, given in (("dose", cells_per_kg), ("body weight", kilograms)):
        _positive(given.low, name)
        _positive(given.high, name)
        if given.low > given.high:
            raise ValueError(f"a {name} from {given.low} to {given.high} runs backwards")
    return Interval(cells_per_kg.low * kilograms.low, cells_per_kg.high * kilograms.high)


# ----------------------------------------------------------------------------------------- soundness


def _count(number: int) -> None:
    if isinstance(number, bool) or number != int(number) or number < 0:
        raise ValueError(f"{number!r} is no count")


def _total(number: int) -> None:
    _count(number)
    if number < 1:
        raise ValueError("a group needs at least one participant")


def _part(events: int, total: int) -> None:
    _count(events)
    _total(total)
    if events > total:
        raise ValueError(f"{events} of {total}: a part cannot exceed its whole")


def _table(events: int, total: int, events_2: int, total_2: int) -> list[list[int]]:
    _part(events, total)
    _part(events_2, total_2)
    return [[events, total - events], [events_2, total_2 - events_2]]


def _positive(number: float, name: str) -> None:
    if not 0 < number < math.inf:
        raise ValueError(f"a {name} must be positive and finite: {number}")


def _means(mean: float, sd: float, total: int) -> None:
    _count(total)
    if total < 2:
        raise ValueError(f"a standard deviation needs at least 2 participants, not {total}")
    if not (math.isfinite(mean) and math.isfinite(sd) and sd >= 0):
        raise ValueError(f"mean {mean} with standard deviation {sd}: one of them is no number it could be")


def _alpha(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1: {level}")
    return 1 - level


def _interval(low: float, high: float) -> Interval:
    return Interval(float(low), float(high))
