"""What a trial's page shows is what the graph says of it, in the order in which a reader needs it."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

import pytest

from kg import trials
from kg.engine import Limits
from kg.engine.memory import MemoryEngine
from kg.snapshot import Snapshot
from kg.terms import STROMA, expand
from kg.trials import Number, Trial


@pytest.fixture(scope="module")
def found(embedded: Snapshot) -> dict[str, Trial]:
    async def ask() -> dict[str, Trial]:
        async with MemoryEngine(embedded, workers=1) as engine:
            return {
                name: await trials.trial(engine, expand(f"trial:{name}").value, Limits())
                for name in ("NCT01663116", "NCT01547091", "yang2025-lte", "none")
            }

    return asyncio.run(ask())


def test_each_arm_has_its_regimens_with_doses(found: dict[str, Trial]) -> None:
    # Alvaro-Gracia 2017: 1, 2 and 4 million cells per kilogram, three times, in 20, 20 and 6 patients.
    arms = {arm.iri.rpartition("stroma/")[2]: arm for arm in found["NCT01663116"].arms}
    of_paper = [arms[f"arm/alvaro-gracia-2017/{n}"] for n in (1, 2, 3)]
    assert [arm.sizes for arm in of_paper] == [(20,), (20,), (6,)]
    doses = [
        (regimen.low, regimen.high, regimen.unit, regimen.doses)
        for arm in of_paper
        for regimen in arm.regimens
    ]
    assert doses == [(Decimal(n * 10**6), Decimal(n * 10**6), "{cells}/kg", "3") for n in (1, 2, 4)]
    registered = arms["arm/NCT01663116/1"]
    assert [regimen.low for regimen in registered.regimens] == [Decimal(n * 10**6) for n in (1, 2, 4)]
    assert registered.type == STROMA.ArmTypeExperimental.value


def test_dates_come_in_order_and_say_which_are_estimates(found: dict[str, Trial]) -> None:
    moments = found["NCT01547091"].moments
    assert [moment.date for moment in moments] == sorted(moment.date for moment in moments)
    told = {(moment.what.rpartition("/")[2], moment.date, moment.sure) for moment in moments}
    assert ("completionDate", "2014-12", "Estimated") in told
    assert ("StatusUnknown", "2022-10-10", "") in told


def wilson(affected: int, of: int) -> tuple[float, float]:
    """Wilson's score interval (1927), by its formula."""
    z, p = 1.959964, affected / of
    middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def number(trial: Trial, measure: str, group: str, months: int) -> Number:
    (one,) = [
        each
        for each in trial.numbers
        if each.measure == STROMA(measure).value
        and each.months == months
        and each.groups == (expand(group).value,)
        and each.quantity
    ]
    return one


def test_a_percentage_stands_with_its_interval(found: dict[str, Trial]) -> None:
    one = number(found["NCT01663116"], "MeasureACR20", "arm:alvaro-gracia-2017/1", 1)
    assert one.text == "45 % (N = 20)"
    assert one.low is not None
    assert one.high is not None
    assert [float(one.low), float(one.high)] == pytest.approx([100 * end for end in wilson(9, 20)], abs=0.01)


def test_numbers_are_put_as_people_write_them(found: dict[str, Trial]) -> None:
    trial = found["yang2025-lte"]
    group = "group:yang2025-msc"
    assert number(trial, "MeasureBDMARDUse", group, 12).text == "13/69 (19 %)"
    texts = {each.text for each in trial.numbers}
    assert {"46.7 ± 10.2 y (N = 69)", "36.17 / 100 PY", "~ 90 %", "stable"} <= texts
    assert not trial.more_numbers


def test_an_effect_is_what_its_counts_give(found: dict[str, Trial]) -> None:
    (effect,) = [
        each
        for each in found["yang2025-lte"].effects
        if each.method == STROMA.MethodRiskRatio.value and each.measure == STROMA.MeasureACR20.value
    ]
    assert effect.computation == "25 of 28 against 31 of 69"
    assert float(effect.value or 0) == pytest.approx((25 / 28) / (31 / 69), abs=1e-4)
    assert effect.compared == expand("group:yang2025-msc-ifng").value
    assert effect.low is not None
    assert effect.high is not None
    assert effect.low < (effect.value or 0) < effect.high


def test_a_p_value_stands_as_printed(found: dict[str, Trial]) -> None:
    told = {(each.measure, each.months): each.p for each in found["yang2025-lte"].comparisons if each.p}
    assert told[STROMA.MeasurePrednisoneUse.value, Decimal(12)] == "< 0.001"


def test_what_is_no_trial_has_nothing(found: dict[str, Trial]) -> None:
    assert found["none"] == Trial((), (), (), (), False, (), ())
    assert found["none"].mentioned() == set()


def test_everything_that_is_shown_by_name_is_mentioned(found: dict[str, Trial]) -> None:
    trial = found["NCT01663116"]
    assert {each.measure for each in trial.numbers if each.measure} <= trial.mentioned()
    assert {regimen.iri for arm in trial.arms for regimen in arm.regimens} <= trial.mentioned()
    assert "" not in trial.mentioned()
