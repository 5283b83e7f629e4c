"""What the sources report, read from the graph: numbers with scope, claims with spans, in any order."""

from __future__ import annotations

import gc
import gzip
import random
from decimal import Decimal

import pytest

from kg.evidence.reported import Level, Observation, Reported, read
from kg.snapshot import Snapshot
from kg.terms import STROMA, expand


@pytest.fixture(scope="module")
def lines(embedded: Snapshot) -> list[bytes]:
    with gzip.open(embedded.data) as file:
        return file.readlines()


@pytest.fixture(scope="module")
def reported(lines: list[bytes]) -> Reported:
    return read(lines)


def observation(reported: Reported, curie: str) -> Observation:
    return next(found for found in reported.observations if found.iri == expand(curie))


def test_a_number_comes_with_its_scope_and_the_characters_it_stands_at(reported: Reported) -> None:
    found = observation(reported, "observation:001-64-yang2025-msc-PrednisoneUse-0m")
    assert (found.group, found.measure) == (
        expand("group:yang2025-msc"),
        STROMA.MeasurePrednisoneUse,
    )
    assert (found.months, found.analysis_set) == (Decimal(0), STROMA.SetCompleters)
    assert (found.integer(STROMA.numberAffected), found.integer(STROMA.sampleSize)) == (57, 69)
    value = found.get(STROMA.percentage)
    assert value is not None
    assert (value.number, value.decimals, value.level) == (Decimal(83), 0, Level.STATED)
    (claim,) = value.claims
    assert claim.name == "B350"
    assert claim.span is not None
    assert claim.span.line == 64
    assert reported.places(value, found.iri) == (f"{claim.span} (claim B350)",)


def test_a_comparison_keeps_its_operator_and_both_groups(reported: Reported) -> None:
    iri = expand("comparison:001-64-yang2025-msc-vs-yang2025-msc-ifng-PrednisoneUse-12m")
    iris = {found.iri: found for found in reported.comparisons}
    found = (
        iris.get(iri)
        or iris[expand("observation:001-64-yang2025-msc-vs-yang2025-msc-ifng-PrednisoneUse-12m")]
    )
    assert found.groups == (expand("group:yang2025-msc"), expand("group:yang2025-msc-ifng"))
    operator = found.get(STROMA.pOperator)
    assert operator is not None
    assert (operator.text, found.number(STROMA.pValue)) == ("<", Decimal("0.001"))


def test_printed_digits_are_kept(reported: Reported) -> None:
    found = observation(reported, "observation:001-28-yang2025-msc-ifng-DAS28ESR-0m")
    value = found.get(STROMA.meanValue)
    assert value is not None
    assert (value.text, value.decimals) == ("5.70", 2)


def test_two_values_of_one_predicate_are_both_there_and_neither_is_the_value(reported: Reported) -> None:
    found = observation(reported, "observation:001-14-yang2025-both-WithdrawalOrder")
    assert len(found.all(STROMA.valueText)) == 3
    assert found.get(STROMA.valueText) is None


def test_a_compiled_number_and_a_recorded_fact_say_their_level(reported: Reported) -> None:
    compiled = observation(reported, "observation:yang-2018/1")
    assert compiled.level is Level.COMPILED
    trial = reported.thing(expand("trial:NCT01663116"))
    enrolled = {value.level: value.number for value in trial.all(STROMA.enrollmentCount)}
    assert enrolled == {Level.RECORDED: 53, Level.COMPILED: 53}


def test_a_group_knows_its_trials_through_arms_and_pools(reported: Reported) -> None:
    combination = expand("trial:ChiCTR-INR-17012462")
    assert reported.trials_of(expand("arm:he-2020/1")) == (combination,)
    through_pools = reported.trials_of(expand("group:yang2025-both"))
    assert through_pools == (
        combination,
        expand("trial:ChiCTR-ONC-16008770"),
        expand("trial:yang2025-lte"),  # the extension has the groups that are pooled
    )


def test_a_negative_proposition_is_a_proposition_and_no_fact(reported: Reported) -> None:
    denied = [found for found in reported.propositions if not found.positive]
    assert {claim.name for found in denied for claim in found.claims} >= {"C032", "C167"}
    for found in denied:
        assert found.object not in {v.term for v in reported.thing(found.subject).all(found.predicate)}


def test_the_order_of_lines_does_not_matter(lines: list[bytes], reported: Reported) -> None:
    shuffled = lines.copy()
    random.Random(1).shuffle(shuffled)
    assert read(shuffled) == reported


def test_the_results_of_a_group_and_of_a_study_are_those_of_all_in_order(reported: Reported) -> None:
    for group in {one.group for one in reported.observations}:
        assert reported.of_group[group] == [one for one in reported.observations if one.group == group]
    for study in {study for one in reported.observations for study in one.studies}:
        assert reported.of_study[study] == [one for one in reported.observations if study in one.studies]


def test_a_line_that_cannot_be_read_leaves_the_collector_as_it_was(lines: list[bytes]) -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="not enough values"):
        read([*lines[:10], b"cut\n"])
    assert gc.isenabled()
