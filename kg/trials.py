"""What a trial's page shows: arms and doses, dates, what was planned, what was found, how strong effects are.

Hides the queries and the shape of the graph behind plain data. Asked of an engine: a query's limits hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pyoxigraph import NamedNode

from kg.engine import Engine, Limits
from kg.rows import Facts, facts
from kg.terms import RDFS, STROMA

_MOST = 40_000  # statements of one question; the largest results of a registry have some thousand numbers
MOST_NUMBERS = 2_000  # that are shown; `Trial.more_numbers` says whether there are others

# The dates of a trial in the order in which they come, with the predicate that says how sure each is.
_DATES = (
    ("firstPostedDate", ""),
    ("startDate", "startDateType"),
    ("primaryCompletionDate", "primaryCompletionDateType"),
    ("completionDate", "completionDateType"),
    ("resultsPostedDate", ""),
    ("lastUpdateDate", ""),
)


@dataclass(frozen=True)
class Regimen:
    """What an arm gets: products, routes and donors as IRIs; one dose from `low` to `high` in `unit` (UCUM).

    `doses` and `days` between them are as written, "2–4" for a range, "" where no source says.
    """

    iri: str
    products: tuple[str, ...]
    routes: tuple[str, ...]
    donors: tuple[str, ...]
    low: Decimal | None
    high: Decimal | None
    unit: str
    doses: str
    days: str


@dataclass(frozen=True)
class Arm:
    """An arm: its type (IRI or ""), how many took part by each source, what they got, and took besides."""

    iri: str
    type: str
    sizes: tuple[int, ...]
    regimens: tuple[Regimen, ...]
    besides: tuple[str, ...]


@dataclass(frozen=True)
class Moment:
    """A date of the trial: which (a predicate, a status, a publication), as printed, and how sure it is."""

    what: str
    date: str
    sure: str = ""  # "Actual", "Estimated"


@dataclass(frozen=True)
class Planned:
    """A planned outcome: "primary", "secondary" or "other", when it is measured, the measures it is about."""

    iri: str
    role: str
    frame: str
    measures: tuple[str, ...]


@dataclass(frozen=True)
class Number:
    """A reported number: what of whom when, as text; `quantity` ("percent", "mean") with value and interval.

    `low` and `high` are a 95 % confidence interval, computed or reported.
    """

    iri: str
    measure: str  # IRI, "" where the source names none we know
    what: str  # the source's words, where there is no measure
    groups: tuple[str, ...]
    months: Decimal | None
    time: str
    set: str
    text: str
    quantity: str = ""
    value: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True)
class Effect:
    """A computed contrast of two groups, with its 95 % interval (None for a limit that does not exist)."""

    iri: str
    method: str
    measure: str
    months: Decimal | None
    time: str
    set: str
    compared: str
    reference: str
    value: Decimal | None
    low: Decimal | None
    high: Decimal | None
    computation: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What a source says of a difference of groups: in words, its p-value as printed, whom it favours."""

    iri: str
    measure: str
    months: Decimal | None
    time: str
    groups: tuple[str, ...]
    p: str
    significant: bool | None
    favours: str
    text: str


@dataclass(frozen=True)
class Trial:
    """All of these for one trial."""

    arms: tuple[Arm, ...]
    moments: tuple[Moment, ...]
    planned: tuple[Planned, ...]
    numbers: tuple[Number, ...]
    more_numbers: bool
    effects: tuple[Effect, ...]
    comparisons: tuple[Comparison, ...]

    def mentioned(self) -> set[str]:
        """Every IRI that a reader meets."""
        found: set[str] = set()
        for arm in self.arms:
            found |= {arm.iri, arm.type, *arm.besides}
            for regimen in arm.regimens:
                found |= {regimen.iri, *regimen.products, *regimen.routes, *regimen.donors}
        for planned in self.planned:
            found |= {planned.iri, *planned.measures}
        for number in self.numbers:
            found |= {number.measure, number.set, *number.groups}
        for effect in self.effects:
            found |= {effect.method, effect.measure, effect.set, effect.compared, effect.reference}
        for comparison in self.comparisons:
            found |= {comparison.measure, comparison.favours, *comparison.groups}
        return {iri for iri in found | {moment.what for moment in self.moments} if iri}


async def trial(engine: Engine, iri: str, limits: Limits) -> Trial:
    """What the engine's snapshot says of a trial; everything is empty for an IRI that is none."""
    own = str(NamedNode(iri))

    async def ask(pattern: str, *names: str) -> dict[str, Facts]:
        return await facts(engine, pattern, map(_predicate, names), limits, most=_MOST)

    dated = [name for pair in _DATES for name in pair if name]
    (
        arms, regimens, about, statuses, publications, planned, numbers, derived, compared
    ) = await asyncio.gather(
        ask(f"{own} stroma:hasArm ?thing .", "rdfs:label", "hasArmType", "enrollmentCount", "hasIntervention",
            "hasCoMedication"),
        ask(f"{own} stroma:hasArm/stroma:hasIntervention ?thing .", "rdfs:label", "administers", "hasRoute",
            "hasDonorRelation", "doseAmount", "doseLow", "doseHigh", "doseUnit", "numberOfDoses",
            "numberOfDosesLow", "numberOfDosesHigh", "doseInterval", "doseIntervalLow", "doseIntervalHigh"),
        ask(f"VALUES ?thing {{ {own} }}", *dated),
        ask(f"{own} stroma:hasStatusRecord ?thing .", "hasStatus", "statusAsOf"),
        ask(f"{own} stroma:hasPublication ?thing .", "publicationDate", "publicationYear"),
        ask(f"{own} stroma:hasPlannedOutcome ?thing .", "rdfs:label", "outcomeRole", "timeFrameText",
            "forMeasure"),
        ask(f"?thing stroma:producedByStudy {own} ; a stroma:Observation .", *_OF_NUMBERS),
        ask(f"?thing stroma:producedByStudy {own} ; stroma:derivationMethod ?method .", *_OF_DERIVED),
        ask(f"?thing stroma:producedByStudy {own} ; a stroma:GroupComparison .", "forMeasure",
            "timepointMonths", "timepointLabel", "comparesGroup", "pValue", "pOperator", "isSignificant",
            "favoursGroup", "valueText"),
    )  # fmt: skip
    intervals = _intervals(derived)
    every = sorted((_number(each, said, intervals) for each, said in numbers.items()), key=_place)
    regimen_of = {each: _regimen(each, said) for each, said in regimens.items()}
    return Trial(
        tuple(_arm(each, said, regimen_of) for each, said in arms.items()),
        tuple(_moments(about.get(iri, {}), statuses, publications)),
        tuple(sorted((_planned(each, said) for each, said in planned.items()), key=_rank)),
        tuple(every[:MOST_NUMBERS]),
        len(every) > MOST_NUMBERS or sum(map(len, numbers.values())) >= _MOST,
        tuple(sorted((e for e in map(_effect, derived, derived.values()) if e.compared), key=_effect_place)),
        tuple(sorted((_comparison(each, said) for each, said in compared.items()), key=_comparison_place)),
    )


_OF_NUMBERS = (
    "forMeasure", "aboutGroup", "timepointMonths", "timepointLabel", "analysisSet", "numberAffected",
    "sampleSize", "eventCount", "countValue", "percentage", "meanValue", "sdValue", "medianValue",
    "standardError", "numericValue", "unit", "rangeLow", "rangeHigh", "interquartileLow", "interquartileHigh",
    "ciLow", "ciHigh", "ratePer100PatientYears", "valueOperator", "valueText", "eventTerm", "forOutcome",
    "categoryText", "statisticName",
)  # fmt: skip
_OF_DERIVED = (
    "derivationMethod", "forMeasure", "aboutGroup", "timepointMonths", "timepointLabel", "analysisSet",
    "comparedGroup", "referenceGroup", "derivedValue", "ciLow", "ciHigh", "computation", "derivationNote",
)  # fmt: skip


def _predicate(name: str) -> str:
    return RDFS(name.partition(":")[2]).value if name.startswith("rdfs:") else STROMA(name).value


# --------------------------------------------------------------------------------------- reading facts


def _all(said: Facts, name: str) -> list[str]:
    return [node.value for node in said.get(_predicate(name), ())]


def _text(said: Facts, name: str) -> str:
    return next(iter(_all(said, name)), "")


def _decimal(said: Facts, name: str) -> Decimal | None:
    try:
        return Decimal(_text(said, name))
    except InvalidOperation:
        return None


def plain(number: Decimal) -> str:
    """A number in its shortest form, without exponent: "60000000", "0.45"."""
    return f"{number.normalize() + 0:f}"


def unit_of(ucum: str) -> str:
    """A UCUM unit as people write it: without the braces around what is counted, years as "y"."""
    return {"1": "", "%": "", "a": "y"}.get(ucum, ucum.replace("{", "").replace("}", ""))


def _span(said: Facts, name: str, places: int = 3) -> str:
    """A number, or the range that a source gives: "3", "2–4"; "" for neither."""
    exact, low, high = (_decimal(said, name + end) for end in ("", "Low", "High"))
    ends = [low, high] if exact is None else [exact]
    return "–".join(dict.fromkeys(plain(round(each, places)) for each in ends if each is not None))


def _regimen(iri: str, said: Facts) -> Regimen:
    exact = _decimal(said, "doseAmount")
    low, high = _decimal(said, "doseLow"), _decimal(said, "doseHigh")
    return Regimen(
        iri,
        tuple(_all(said, "administers")),
        tuple(_all(said, "hasRoute")),
        tuple(_all(said, "hasDonorRelation")),
        low if low is not None else exact if exact is not None else high,
        high if high is not None else exact if exact is not None else low,
        _text(said, "doseUnit"),
        _span(said, "numberOfDoses"),
        _span(said, "doseInterval", places=1),
    )


def _arm(iri: str, said: Facts, regimens: Mapping[str, Regimen]) -> Arm:
    return Arm(
        iri,
        _text(said, "hasArmType"),
        tuple(int(Decimal(each)) for each in _all(said, "enrollmentCount")),
        tuple(regimens[each] for each in _all(said, "hasIntervention") if each in regimens),
        tuple(_all(said, "hasCoMedication")),
    )


def _moments(
    said: Facts, statuses: Mapping[str, Facts], publications: Mapping[str, Facts]
) -> Iterable[Moment]:
    found = [
        Moment(STROMA(name).value, date, _text(said, sure) if sure else "")
        for name, sure in _DATES
        for date in _all(said, name)
    ]
    for record in statuses.values():
        if date := _text(record, "statusAsOf"):
            found.append(Moment(_text(record, "hasStatus"), date))
    for publication, about in publications.items():
        if date := _text(about, "publicationDate") or _text(about, "publicationYear"):
            found.append(Moment(publication, date))
    return sorted(found, key=lambda moment: moment.date)


def _planned(iri: str, said: Facts) -> Planned:
    return Planned(
        iri, _text(said, "outcomeRole"), _text(said, "timeFrameText"), tuple(_all(said, "forMeasure"))
    )


def _rank(planned: Planned) -> tuple[int, str]:
    roles = ("primary", "secondary", "other")
    return roles.index(planned.role) if planned.role in roles else len(roles), planned.iri


# -------------------------------------------------------------------------------------------- numbers

_Key = tuple[str, str, Decimal | None]  # measure, group, months


def _intervals(derived: Mapping[str, Facts]) -> dict[_Key, tuple[Decimal, Decimal]]:
    """The computed 95 % interval of each proportion, in per cent."""
    found: dict[_Key, tuple[Decimal, Decimal]] = {}
    for said in derived.values():
        low, high = _decimal(said, "ciLow"), _decimal(said, "ciHigh")
        if (
            _text(said, "derivationMethod") != STROMA.MethodWilsonInterval.value
            or low is None
            or high is None
        ):
            continue
        for group in _all(said, "aboutGroup"):
            key = (_text(said, "forMeasure"), group, _decimal(said, "timepointMonths"))
            found[key] = (low * 100, high * 100)
    return found


def _number(iri: str, said: Facts, intervals: Mapping[_Key, tuple[Decimal, Decimal]]) -> Number:
    measure, groups = _text(said, "forMeasure"), tuple(_all(said, "aboutGroup"))
    months = _decimal(said, "timepointMonths")
    percent, mean = _decimal(said, "percentage"), _decimal(said, "meanValue")
    low, high = _decimal(said, "ciLow"), _decimal(said, "ciHigh")
    quantity = "percent" if percent is not None else "mean" if mean is not None else ""
    if quantity == "percent" and groups and low is None:
        low, high = intervals.get((measure, groups[0], months), (None, None))
    what = [_text(said, name) for name in ("eventTerm", "categoryText", "statisticName")]
    return Number(
        iri,
        measure,
        ", ".join(each for each in what if each),
        groups,
        months,
        _text(said, "timepointLabel"),
        _text(said, "analysisSet"),
        _written(said),
        quantity,
        percent if percent is not None else mean,
        low,
        high,
    )


def _written(said: Facts) -> str:
    """A number's values in a line: "25/28 (89.3 %)", "5.72 ± 0.81", "12 (8–15)", what was printed."""

    def number(name: str) -> str:
        value = _decimal(said, name)
        return "" if value is None else plain(value)

    unit = unit_of(_text(said, "unit"))
    unit = f" {unit}" if unit else ""
    parts: list[str] = []
    affected, of = number("numberAffected"), number("sampleSize")
    percent = f"{number('percentage')} %" if number("percentage") else ""
    counted = affected and (f"{affected}/{of}" if of else affected)
    parts.append(f"{counted} ({percent})" if counted and percent else counted or percent)
    if mean := number("meanValue"):
        spread = number("sdValue") or number("standardError")
        parts.append(f"{mean}{f' ± {spread}' if spread else ''}{unit}")
    if median := number("medianValue"):
        low, high = number("interquartileLow"), number("interquartileHigh")
        parts.append(f"{median}{f' ({low}–{high})' if low and high else ''}{unit}")
    if exact := number("numericValue") or number("countValue") or number("eventCount"):
        parts.append(f"{exact}{unit}")
    if rate := number("ratePer100PatientYears"):
        parts.append(f"{rate} / 100 PY")
    if low_high := "–".join(filter(None, (number("rangeLow"), number("rangeHigh")))):
        parts.append(f"[{low_high}]{'' if any(parts) else unit}")
    written = "; ".join(part for part in parts if part)
    operator = _text(said, "valueOperator")
    if of and not affected:
        written = f"{written} (N = {of})" if written else f"N = {of}"
    return f"{operator} {written}".strip() if written else _text(said, "valueText")


def _place(number: Number) -> tuple[str, str, tuple[str, ...], Decimal, str]:
    return number.measure, number.what, number.groups, _at(number.months), number.iri


def _at(months: Decimal | None) -> Decimal:
    return Decimal(10_000) if months is None else months


def _effect(iri: str, said: Facts) -> Effect:
    return Effect(
        iri,
        _text(said, "derivationMethod"),
        _text(said, "forMeasure"),
        _decimal(said, "timepointMonths"),
        _text(said, "timepointLabel"),
        _text(said, "analysisSet"),
        _text(said, "comparedGroup"),
        _text(said, "referenceGroup"),
        _decimal(said, "derivedValue"),
        _decimal(said, "ciLow"),
        _decimal(said, "ciHigh"),
        _text(said, "computation"),
        tuple(_all(said, "derivationNote")),
    )


def _effect_place(effect: Effect) -> tuple[str, str, Decimal, str]:
    return effect.method, effect.measure, _at(effect.months), effect.iri


def _comparison(iri: str, said: Facts) -> Comparison:
    p = _text(said, "pValue")
    significant = _text(said, "isSignificant")
    return Comparison(
        iri,
        _text(said, "forMeasure"),
        _decimal(said, "timepointMonths"),
        _text(said, "timepointLabel"),
        tuple(_all(said, "comparesGroup")),
        f"{_text(said, 'pOperator') or '='} {p}" if p else "",
        None if not significant else significant == "true",
        _text(said, "favoursGroup"),
        _text(said, "valueText"),
    )


def _comparison_place(comparison: Comparison) -> tuple[str, Decimal, str]:
    return comparison.measure, _at(comparison.months), comparison.iri
