"""Reported numbers as facts about an observation: counts, means with their spread, events, p values.

Hides how the registry prints them ("NA", "<0.05", "1,204") and which property holds which statistic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode

from kg.errors import UnknownValue
from kg.terms import RDFS, STROMA, XSD
from loaders import emit
from loaders.clinicaltrials import codes, outcome_rules
from loaders.clinicaltrials.study import Facts, Group, Observed, Outcome
from loaders.record import Record

_MILESTONES = {
    "STARTED": STROMA.MeasureStarted,
    "COMPLETED": STROMA.MeasureCompleted,
    "NOTCOMPLETED": STROMA.MeasureNotCompleted,
}
_REASONS = {
    "ADVERSEEVENT": STROMA.MeasureWithdrawnAdverseEvent,
    "DEATH": STROMA.MeasureDeath,
    "LACKOFEFFICACY": STROMA.MeasureWithdrawnPoorEfficacy,
    "LOSTTOFOLLOWUP": STROMA.MeasureLostToFollowUp,
    "WITHDRAWALBYSUBJECT": STROMA.MeasureWithdrawnByParticipant,
}
_BASELINE = (
    (re.compile(r"Age\b"), STROMA.MeasureAge),
    (re.compile(r"Race\b"), STROMA.MeasureRace),
    (re.compile(r"Ethnicity\b"), STROMA.MeasureEthnicity),
    (re.compile(r"Region of Enrollment$"), STROMA.MeasureRegionOfEnrollment),
    (re.compile(r"(Body )?Weight$"), STROMA.MeasureBodyWeight),
    (re.compile(r"(Body Mass Index|BMI)\b"), STROMA.MeasureBodyMassIndex),
)
_SEX = {"FEMALE": STROMA.MeasureFemaleSex, "MALE": STROMA.MeasureMaleSex}
_TOTALS: dict[str, tuple[NamedNode, str, bool | None]] = {
    "serious": (STROMA.MeasureSeriousAdverseEvents, "any serious adverse event", True),
    "other": (STROMA.MeasureAdverseEvents, "any other adverse event", False),
    "deaths": (STROMA.MeasureDeath, "death from any cause", None),
}
_DISPERSIONS = re.compile(
    r"|STANDARDDEVIATION|STANDARDERROR(OFTHEMEAN)?|INTERQUARTILERANGE|FULLRANGE|NOTAPPLICABLE|NA"
    r"|GEOMETRICCOEFFICIENTOFVARIATION|(?P<level>\d\d)(?P<tenths>\d?)CONFIDENCEINTERVAL"
)
_NO_NUMBER = re.compile(r"N\.?/?A\.?|Not Estimable|NE|-+", re.IGNORECASE)
_COMPARED = re.compile(r"(<=|>=|≤|≥|<|>|~)\s*(.+)")
_P_VALUE = re.compile(r"(<=|>=|≤|≥|<|>|=)?\s*(\d*\.?\d+)")
_SPREADS = {
    "STANDARDDEVIATION": STROMA.sdValue,
    "STANDARDERROR": STROMA.standardError,
    "STANDARDERROROFTHEMEAN": STROMA.standardError,
}
_LIMITS = {
    "INTERQUARTILERANGE": (STROMA.interquartileLow, STROMA.interquartileHigh),
    "FULLRANGE": (STROMA.rangeLow, STROMA.rangeHigh),
}


@dataclass(frozen=True)
class Form:
    """How a measure's numbers are to be read: the statistic's property and name, the dispersion, the unit."""

    statistic: NamedNode | None
    name: str | None
    dispersion: str
    unit: str | None

    @classmethod
    def of(cls, measure: Record) -> Form:
        """The form of a measure of API v2; raises UnknownValue for a statistic we have no property for."""
        return cls.read(
            measure, ("paramType", measure.text("paramType")),
            ("dispersionType", measure.text("dispersionType")), measure.text("unitOfMeasure"),
        )  # fmt: skip

    @classmethod
    def read(
        cls, record: Record, kind: tuple[str, str | None], spread: tuple[str, str | None], unit: str | None
    ) -> Form:
        """From (field, text) of the statistic and of the dispersion, and the unit."""
        dispersion = codes.normal(spread[1] or "")
        if not _DISPERSIONS.fullmatch(dispersion):
            raise UnknownValue(
                "is no dispersion we know", value=spread[1],
                advice="Add it to loaders/clinicaltrials/numbers.py", **record.place(spread[0]),
            )  # fmt: skip
        statistic = codes.statistic(record, kind[0], kind[1]) if kind[1] else None
        return cls(statistic, kind[1], dispersion, unit)


def pmid(record: Record, field: str, text: str) -> str:
    """A PubMed id; raises BadValue for anything but digits."""
    if not re.fullmatch(r"\d{1,8}", text):
        raise record.bad(field, text, "is no PubMed id")
    return text


def measured(prop: NamedNode, record: Record, field: str, value: object) -> Facts:
    """A printed number as facts: "<0.05" gives operator and number, "NA" only its text."""
    if value is None or str(value).strip() == "":
        return []
    text = str(value).strip()
    if _NO_NUMBER.fullmatch(text):
        return [(STROMA.valueText, emit.string(text))]
    match = _COMPARED.fullmatch(text)
    operator, text = (match.group(1), match.group(2)) if match else ("", text)
    integral = prop in (STROMA.numberAffected, STROMA.countValue, STROMA.sampleSize, STROMA.eventCount)
    read = emit.integer if integral else emit.decimal
    facts: Facts = [(prop, read(record, field, text))]
    if operator:
        facts.append((STROMA.valueOperator, emit.string({"≤": "<=", "≥": ">="}.get(operator, operator))))
    return facts


def size(record: Record, field: str, value: object) -> Facts:
    """The denominator."""
    return measured(STROMA.sampleSize, record, field, value)


def statistics(form: Form, record: Record, values: Sequence[tuple[str, object]]) -> Facts:
    """Value, spread, lower and upper limit, each as (field, text), by the properties of the form."""
    (field, value), (spread_field, spread), (low_field, low), (high_field, high) = values
    facts: Facts = []
    if form.statistic is not None:
        facts += measured(form.statistic, record, field, value)
        if form.statistic == STROMA.numericValue and form.name:
            facts.append((STROMA.statisticName, emit.string(form.name.replace("_", " ").lower())))
    if form.unit:
        facts.append((STROMA.unit, emit.string(form.unit)))
    if form.dispersion in _SPREADS:
        facts += measured(_SPREADS[form.dispersion], record, spread_field, spread)
    match = _DISPERSIONS.fullmatch(form.dispersion)
    limits = _LIMITS.get(form.dispersion)
    if match and match.group("level"):
        limits = (STROMA.ciLow, STROMA.ciHigh)
        if low is not None or high is not None:
            level = f"{match.group('level')}{'.' + match.group('tenths') if match.group('tenths') else ''}"
            facts.append((STROMA.ciLevel, Literal(level, datatype=XSD.decimal)))
    if limits:
        facts += measured(limits[0], record, low_field, low)
        facts += measured(limits[1], record, high_field, high)
    return facts


def cell(form: Form, item: Record) -> Facts:
    """The statistics of one measurement of API v2."""
    fields = ("value", "spread", "lowerLimit", "upperLimit")
    return statistics(form, item, [(name, item.take(name)) for name in fields])


def flow(group: Group, period: str, name: str, facts: Facts, *, withdrawn: bool = False) -> Observed:
    """How many of a group reached a milestone, or left for a reason, in a period."""
    word = codes.normal(name)
    measure = (_REASONS.get(word) or STROMA.MeasureWithdrawn) if withdrawn else _MILESTONES.get(word)
    about: Facts = [(RDFS.label, emit.string(name if not period else f"{period}: {name}"))]
    if measure is not None:
        about.append((STROMA.forMeasure, measure))
    if period:
        about.append((STROMA.periodLabel, emit.string(period)))
    about.append((STROMA.categoryText, emit.string(name)))
    return Observed(
        STROMA.FlowObservation, group, ("flow", period, "left" if withdrawn else "", name), about + facts
    )


def baseline(group: Group, place: tuple[str, ...], title: str, facts: Facts, labels: list[str]) -> Observed:
    """A baseline number of a group; `labels` are the class and category it stands under."""
    about: Facts = [(RDFS.label, emit.string(" / ".join([title, *labels])))]
    measure = next((term for pattern, term in _BASELINE if pattern.match(title)), None)
    if title.startswith(("Sex", "Gender")) and labels:
        measure = _SEX.get(codes.normal(labels[-1]))
    measure = measure or outcome_rules.measure(title)
    if measure is not None:
        about.append((STROMA.forMeasure, measure))
    about += [(STROMA.categoryText, emit.string(label)) for label in labels]
    about.append((STROMA.timepointMonths, Literal("0", datatype=XSD.decimal)))
    return Observed(STROMA.BaselineObservation, group, ("baseline", *place), about + facts)


def outcome(
    group: Group, place: tuple[str, ...], of: Outcome, facts: Facts, labels: list[str], population: str | None
) -> Observed:
    """A reported outcome number of a group."""
    about: Facts = [(RDFS.label, emit.string(" / ".join([of.measure, *labels])))]
    measure = outcome_rules.measure(of.measure)
    if measure is not None:
        about.append((STROMA.forMeasure, measure))
    about += [(STROMA.categoryText, emit.string(label)) for label in labels]
    named = [months for label in labels if len(months := outcome_rules.months(label)) == 1]
    when = named[0] if len(named) == 1 else outcome_rules.months(of.time_frame or "")
    if len(when) == 1:
        about.append((STROMA.timepointMonths, Literal(f"{when[0]:f}", datatype=XSD.decimal)))
    if of.time_frame:
        about.append((STROMA.timepointLabel, emit.string(of.time_frame)))
    analysed = outcome_rules.analysis_set(population)
    if analysed is not None:
        about.append((STROMA.analysisSet, analysed))
    return Observed(STROMA.OutcomeObservation, group, ("outcome", *place), about + facts, of)


_VALUES = {*codes.STATISTICS.values(), STROMA.countValue, STROMA.eventCount, STROMA.valueText, STROMA.pValue}


def has_value(facts: Facts) -> bool:
    """Whether anything was reported: an absent number is no statement, nor is a denominator alone."""
    return any(prop in _VALUES for prop, _ in facts)


def event_total(group: Group, kind: str, facts: Facts) -> Observed:
    """How many of a group had any serious or any other event, or died; `facts` are the counts."""
    measure, term, serious = _TOTALS[kind]
    about: Facts = [
        (RDFS.label, emit.string(term)),
        (STROMA.forMeasure, measure),
        (STROMA.eventTerm, emit.string(term)),
    ]
    if serious is not None:
        about.append((STROMA.isSerious, Literal(str(serious).lower(), datatype=XSD.boolean)))
    return Observed(STROMA.AdverseEventObservation, group, ("event", "total", kind), about + facts)


def event(group: Group, place: tuple[str, ...], about: Facts, facts: Facts) -> Observed:
    """How many of a group had one kind of event."""
    return Observed(STROMA.AdverseEventObservation, group, ("event", *place), about + facts)


def event_facts(term: str, organ_system: str | None, assessment: str | None, *, serious: bool) -> Facts:
    """What is said of an event whatever the group."""
    facts: Facts = [
        (RDFS.label, emit.string(term)),
        (STROMA.eventTerm, emit.string(term)),
        (STROMA.isSerious, Literal(str(serious).lower(), datatype=XSD.boolean)),
    ]
    if organ_system:
        facts.append((STROMA.organSystem, emit.string(organ_system)))
    if assessment:
        facts.append((STROMA.eventAssessment, emit.string(assessment)))
    return facts


def affected(
    record: Record, n: tuple[str, object], of: tuple[str, object], events: tuple[str, object]
) -> Facts:
    """n, N and the number of events, each as (field, value)."""
    return (
        measured(STROMA.numberAffected, record, *n)
        + measured(STROMA.sampleSize, record, *of)
        + measured(STROMA.eventCount, record, *events)
    )


def comparison(analysis: Record) -> Facts:
    """The p value, estimate and interval of an analysis of API v2."""
    facts: Facts = []
    if text := analysis.text("pValue"):
        match = _P_VALUE.fullmatch(text)
        if match:
            operator = {"≤": "<", "<=": "<", "≥": ">", ">=": ">"}.get(
                match.group(1) or "=", match.group(1) or "="
            )
            facts.append((STROMA.pValue, emit.decimal(analysis, "pValue", match.group(2))))
            facts.append((STROMA.pOperator, emit.string(operator)))
        else:
            facts.append((STROMA.valueText, emit.string(text)))
    if text := analysis.text("statisticalMethod"):
        facts.append((STROMA.statisticalMethod, emit.string(text)))
    if text := analysis.text("paramType"):
        facts.append((STROMA.statisticName, emit.string(text)))
    facts += measured(STROMA.numericValue, analysis, "paramValue", analysis.take("paramValue"))
    for name, prop in (
        ("ciLowerLimit", STROMA.ciLow),
        ("ciUpperLimit", STROMA.ciHigh),
        ("ciPctValue", STROMA.ciLevel),
    ):
        facts += measured(prop, analysis, name, analysis.take(name))
    spread = _SPREADS.get(codes.normal(analysis.text("dispersionType") or ""))
    if spread is not None:
        facts += measured(spread, analysis, "dispersionValue", analysis.take("dispersionValue"))
    return facts
