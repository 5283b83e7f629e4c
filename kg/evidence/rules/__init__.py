"""The rules that find contradictions; docs/contradictions.md shows what each compares and what it found."""

from kg.evidence.findings import Across, Rule
from kg.evidence.rules import arithmetic, registry, values, wording

_ACROSS = {values.implausible_magnitude: Across(values.magnitudes, values.judge_magnitudes)}
RULES = tuple(
    Rule(compare, _ACROSS.get(compare))
    for compare in (
        values.different_values,
        values.threshold_stated_two_ways,
        values.range_stated_two_ways,
        values.implausible_magnitude,
        values.value_moved_to_another_measure,
        values.opposite_claims,
        arithmetic.percent_against_count,
        arithmetic.parts_against_total,
        arithmetic.rates_against_counts,
        arithmetic.p_value_against_numbers,
        wording.significance_stated_two_ways,
        wording.quantity_word_against_number,
        wording.course_word_against_numbers,
        wording.population_against_group,
        wording.route_text_against_route,
        wording.recommendation_against_practice,
        registry.trial_fact_against_record,
        registry.regimen_against_record,
        registry.count_of_trials_against_records,
        registry.status_against_record,
    )
)
