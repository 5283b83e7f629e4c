"""Meta-analysis against published examples, and what a design lets us pool."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.evidence import pooling, statistics
from kg.evidence.pooling import Candidate, Reason, assess
from kg.evidence.statistics import Undefined

# Colditz et al., JAMA 1994;271:698-702: tuberculosis (cases, others) in those given BCG vaccine, and not.
BCG = [
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232),
    (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
]  # fmt: skip


def test_the_bcg_trials_pool_as_dersimonian_and_laird_have_them() -> None:
    # As metafor's documentation prints them for rma(method="DL"): Q(12) = 152.23, tau² = 0.3088,
    # I² = 92.12 %, estimate -0.7141 (risk ratio 0.49).
    found = pooling.pool([pooling.log_risk_ratio(a, a + b, c, c + d) for a, b, c, d in BCG])
    assert round(found.q, 2) == 152.23
    assert round(found.tau_squared, 4) == 0.3088
    assert round(100 * found.i_squared, 2) == 92.12
    assert round(found.estimate.value, 4) == -0.7141
    assert round(math.exp(found.estimate.value), 2) == 0.49
    assert found.studies == 13


def test_the_interval_is_that_of_hartung_and_knapp() -> None:
    # Kacker, Metrologia 2004;41:132-136 (nine laboratories); metafor's rma(method="DL", test="knha") gives
    # 62.3901, 61.7104 to 63.0699, tau² 0.2880, Q 24.80, p = 0.0017 (quoted in statsmodels' own tests).
    values = [61.00, 61.40, 62.21, 62.30, 62.34, 62.60, 62.70, 62.84, 65.90]
    variances = [0.2025, 1.2100, 0.0900, 0.2025, 0.3844, 0.5625, 0.0676, 0.0225, 1.8225]
    found = pooling.pool(list(zip(values, variances, strict=True)))
    assert round(found.estimate.value, 4) == 62.3901
    assert round(found.estimate.interval.low, 4) == 61.7104
    assert round(found.estimate.interval.high, 4) == 63.0699
    assert (round(found.tau_squared, 4), round(found.q, 2), round(found.p, 4)) == (0.2880, 24.80, 0.0017)


def test_the_prediction_interval_is_borensteins() -> None:
    # Borenstein, Hedges, Higgins, Rothstein, Introduction to Meta-Analysis, chapters 14 and 17: six studies,
    # in means, SDs and sizes; pooled g 0.36, tau² 0.037, I² 58 %, prediction interval -0.25 to 0.97.
    studies = [
        (94, 22, 60, 92, 20, 60), (98, 21, 65, 92, 22, 65), (98, 28, 40, 88, 26, 40),
        (94, 19, 200, 82, 17, 200), (98, 21, 50, 88, 22, 45), (96, 21, 85, 92, 22, 85),
    ]  # fmt: skip
    found = pooling.pool([statistics.standardised_mean_difference_variance(*each) for each in studies])
    assert round(found.estimate.value, 2) == 0.36
    assert round(found.tau_squared, 3) == 0.037
    assert round(100 * found.i_squared) == 58
    assert found.prediction is not None
    assert (round(found.prediction.low, 2), round(found.prediction.high, 2)) == (-0.25, 0.97)


effects = st.lists(st.tuples(st.floats(-3, 3), st.floats(0.01, 4)), min_size=2, max_size=8)


@given(effects)
@settings(deadline=None)
def test_a_pooled_effect_lies_among_its_studies(effects: list[tuple[float, float]]) -> None:
    found = pooling.pool(effects)
    values = [value for value, _ in effects]
    assert min(values) - 1e-9 <= found.estimate.value <= max(values) + 1e-9
    assert found.estimate.value in found.estimate.interval
    assert 0 <= found.i_squared <= 1
    assert found.tau_squared >= 0
    assert 0 <= found.p <= 1
    assert (found.prediction is None) == (len(effects) == 2)


def test_studies_that_agree_too_well_have_no_variance_between_them_and_no_narrower_interval() -> None:
    # Q = 0: the plain Hartung-Knapp interval would have no width.
    found = pooling.pool([(0.5, 0.04), (0.5, 0.04), (0.5, 0.04)])
    assert found.q == pytest.approx(0)
    assert (found.tau_squared, found.i_squared) == (0, 0)
    assert found.estimate.interval.high - found.estimate.value > 0.4  # 4.30 * sqrt(0.04 / 3)


def test_one_empty_cell_gets_half_an_event_in_each_and_full_tables_none() -> None:
    effect, variance = pooling.log_risk_ratio(0, 10, 3, 12)
    assert effect == pytest.approx(math.log((0.5 / 11) / (3.5 / 13)))
    assert pooling.log_risk_ratio(4, 10, 2, 10)[0] == pytest.approx(math.log(2))
    assert variance > 1
    with pytest.raises(Undefined, match="neither group"):
        pooling.log_risk_ratio(0, 10, 0, 12)


@pytest.mark.parametrize(
    "effects", [[], [(1.0, 0.1)], [(1.0, 0.1), (2.0, 0.0)], [(1.0, 0.1), (math.nan, 1.0)]]
)
def test_what_cannot_be_pooled_is_refused(effects: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"two studies at least|finite"):
        pooling.pool(effects)


# ------------------------------------------------------------------------------------------- design

RA = frozenset({"rheumatoid arthritis"})
ONE = Candidate("1", "trial A", frozenset({"A"}), RA, ("MSC", "placebo"), Decimal(6), 0.4, 0.1)
TWO = replace(ONE, id="2", study="trial B", patients=frozenset({"B"}))


def reasons(*candidates: Candidate) -> set[Reason]:
    found = assess(candidates)
    assert not found.sets
    return {reason for reason, _ in found.reasons}


def test_two_independent_trials_of_one_comparison_at_one_time_may_be_pooled() -> None:
    found = assess([TWO, ONE])
    assert found.sets == ((ONE, TWO),)
    assert found.reasons == ()


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (replace(TWO, comparison=None, effect=None, variance=None), Reason.UNCONTROLLED),
        (replace(TWO, comparison=None, counted=False), Reason.NO_TOTAL),
        (replace(TWO, patients=frozenset({"A", "B"})), Reason.SHARED_PATIENTS),
        (replace(TWO, comparison=("MSC and interferon gamma", "MSC")), Reason.OTHER_COMPARISON),
        (replace(TWO, months=Decimal(12)), Reason.OTHER_TIME),
        (replace(TWO, months=None), Reason.TIME_NOT_STATED),
        (replace(TWO, conditions=frozenset({"lupus"})), Reason.OTHER_CONDITION),
        (replace(TWO, study="trial A", patients=frozenset({"A"})), Reason.SHARED_CONTROL),
    ],
)
def test_each_fault_of_design_is_named(other: Candidate, reason: Reason) -> None:
    assert reason in reasons(ONE, other)


def test_a_single_trial_is_not_pooled_with_uncontrolled_ones() -> None:
    uncontrolled = replace(TWO, comparison=None, effect=None, variance=None)
    assert reasons(ONE, uncontrolled) == {Reason.ONE_STUDY, Reason.UNCONTROLLED}


def test_an_extension_is_not_pooled_with_its_parent_but_others_still_are() -> None:
    extension = replace(ONE, id="3", study="extension of A", patients=frozenset({"A", "extension"}))
    third = replace(ONE, id="4", study="trial C", patients=frozenset({"C"}))
    found = assess([ONE, TWO, extension, third])
    assert found.sets == ((TWO, third),)
    assert (Reason.SHARED_PATIENTS, (ONE, extension)) in found.reasons


def pairwise(candidates: list[Candidate]) -> dict[Reason, set[Candidate]]:
    """The reasons of contrasts as they are defined: each pair by itself, both have what keeps them apart."""
    found: dict[Reason, set[Candidate]] = {}
    for one, other in combinations(candidates, 2):
        if one.study == other.study:
            same = (one.comparison, one.months) == (other.comparison, other.months)
            reason = Reason.SHARED_CONTROL if same else None
        elif not one.conditions & other.conditions:
            reason = Reason.OTHER_CONDITION
        elif one.comparison != other.comparison:
            reason = Reason.OTHER_COMPARISON
        elif one.patients & other.patients:
            reason = Reason.SHARED_PATIENTS
        elif one.months is None or other.months is None:
            reason = Reason.TIME_NOT_STATED
        else:
            reason = Reason.OTHER_TIME if one.months != other.months else None
        if reason is not None:
            found.setdefault(reason, set()).update((one, other))
    return found


def contrasts(size: int) -> st.SearchStrategy[list[Candidate]]:
    several = st.frozensets(st.sampled_from("abc"), max_size=2)
    one = st.builds(
        Candidate,
        id=st.just(""),
        study=st.sampled_from("ABCDE"),
        patients=several,
        conditions=several,
        comparison=st.sampled_from([("MSC", "placebo"), ("MSC", "methotrexate")]),
        months=st.sampled_from([None, Decimal(3), Decimal("3.0"), Decimal(6)]),
        effect=st.just(0.4),
        variance=st.just(0.1),
    )
    return st.lists(one, max_size=size).map(
        lambda those: [replace(one, id=str(number)) for number, one in enumerate(those)]
    )


@given(contrasts(9))
def test_each_has_the_reasons_of_its_pairs(candidates: list[Candidate]) -> None:
    expected = pairwise(candidates)
    for one in candidates:
        if one.months is None:
            expected.setdefault(Reason.TIME_NOT_STATED, set()).add(one)
    if candidates and len({one.study for one in candidates}) == 1:
        expected[Reason.ONE_STUDY] = set(candidates)
    found = assess(candidates)
    assert {reason: set(those) for reason, those in found.reasons} == expected
    for those in found.sets:
        assert pairwise(list(those)) == {}


def test_ten_thousand_trials_are_not_compared_pair_by_pair() -> None:
    conditions = [frozenset({f"disease {number}", "pain"}) for number in range(200)]
    candidates = [
        Candidate(
            f"{number:05}", f"trial {number}", frozenset({f"trial {number}"}), conditions[number % 200],
            (f"drug {number % 7}", "placebo"), Decimal(number % 3), 0.4, 0.1,
        )
        for number in range(10_000)
    ]  # fmt: skip
    looks = 0

    class Counted(frozenset[str]):
        def __and__(self, other: object) -> frozenset[str]:
            nonlocal looks
            looks += 1
            return super().__and__(other)  # type: ignore[operator]

    counted = [replace(one, conditions=Counted(one.conditions)) for one in candidates]
    found = dict(assess(counted).reasons)
    assert set(found) == {Reason.OTHER_COMPARISON, Reason.OTHER_TIME}
    assert len(found[Reason.OTHER_COMPARISON]) == len(found[Reason.OTHER_TIME]) == 10_000
    assert looks < 20 * len(candidates)  # there are 50 million pairs
