"""The page of a trial: design, arms and doses, dates, what was planned and found, how strong effects are.

Also what was registered beside what is reported. Hides which numbers make a picture. Every picture stands
beside a table that says the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from starlette.requests import Request

from kg import claims, registrations, trials
from kg.engine import Limits
from kg.names import names
from kg.terms import STROMA
from kg.things import Description
from kg.trials import Effect, Number, Regimen, Trial
from kg.web.asked import engine_of
from kg.web.charts import draw
from kg.web.language import language_of, text
from kg.web.pictures import Moment, timeline
from kg.web.svg import Chart
from kg.web.thing_page import Special

_PICTURES = 6  # of results over time
_ROWS = 40  # of a table before the rest is folded away
_FEW = 12
_RATIOS = tuple(STROMA(f"Method{name}").value for name in ("RiskRatio", "OddsRatio", "RateRatio"))
# Effects of the same numbers by several methods: the most readable first.
_METHODS = tuple(
    STROMA(f"Method{name}").value
    for name in ("RiskRatio", "RateRatio", "RiskDifference", "StandardisedMeanDifference", "OddsRatio")
)

# What tells of the design, in the order of the page.
DESIGN = (
    "stroma:hasStatus", "stroma:statusAsOf", "stroma:hasPhase", "stroma:enrollmentCount",
    "stroma:studiesCondition", "stroma:hasAllocation", "stroma:hasInterventionModel", "stroma:hasMasking",
    "stroma:hasPrimaryPurpose", "stroma:minimumAgeYears", "stroma:maximumAgeYears", "stroma:eligibleSex",
    "stroma:inCountry", "stroma:hasSponsor", "stroma:hasCollaborator", "stroma:hasPublication",
    "stroma:extensionOf", "stroma:correspondsTo", "stroma:usesAnalysisMethod", "stroma:followsScheme",
    "stroma:isJudgedAs",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A chart with its heading."""

    heading: str
    chart: Chart


async def trial_page(request: Request, description: Description, limits: Limits) -> Special:
    """What the page of a trial shows besides its description: with more names, the template, the values."""
    engine, language = engine_of(request), language_of(request)
    found, findings, registration = await asyncio.gather(
        trials.trial(engine, description.iri, limits),
        claims.findings(engine, limits, about=description.iri),
        registrations.read(engine, description.iri, limits),
    )
    mentioned = found.mentioned() | claims.mentioned([], findings)
    more = await names(engine, mentioned - set(description.names), limits)
    told = registration.names if registration else {}
    description = replace(description, names={**description.names, **told, **more})

    def name(iri: str) -> str:
        return description.name(iri, language)

    values: dict[str, object] = {
        "trial": found,
        "registration": registration,
        "became": {each.iri: each.comparison for each in registration.outcomes} if registration else {},
        "found": findings,
        "design": DESIGN,
        "doses": _doses(found, name, language),
        "timeline": _timeline(found, name, language),
        "over_time": list(_over_time(found, name, language)),
        "effects": list(_effects([each for each in found.effects if each.months != 0], name, language)),
        "balance": list(_effects([each for each in found.effects if each.months == 0], name, language)),
        "when": lambda each: _when(each.months, each.time, language),
        "dose": dose,
        "plain": lambda number: "" if number is None else trials.plain(number),
        "rows": _ROWS,
        "few": _FEW,
    }
    return description, "trial.html", values


def dose(regimen: Regimen) -> str:
    """One dose as text: "1–10 million cells/kg"; "" where no source gives it."""
    if regimen.low is None or regimen.high is None:
        return ""
    ends = dict.fromkeys(_grouped(number) for number in (regimen.low, regimen.high))
    return f"{'–'.join(ends)} {trials.unit_of(regimen.unit)}".strip()


def _grouped(number: Decimal) -> str:
    whole, point, rest = trials.plain(number).partition(".")
    return f"{int(whole):,}{point}{rest}"


def _when(months: Decimal | None, time: str, language: str) -> str:
    if months is None:
        return time
    if months == 0:
        return text(language, "baseline")
    return text(language, "month-n").replace("{n}", trials.plain(months))


def _doses(trial: Trial, name: Callable[[str], str], language: str) -> Chart | None:
    """Doses of cells on a log scale; other doses have other units and stand in the table only."""
    rows = []
    for arm in trial.arms:
        for regimen in arm.regimens:
            if "cells" in regimen.unit and regimen.low is not None and regimen.high is not None:
                rows.append(
                    {
                        "regimen": name(regimen.iri),
                        "low": str(regimen.low),
                        "high": str(regimen.high),
                        "unit": trials.unit_of(regimen.unit),
                    }
                )
    unique = list({tuple(row.items()): row for row in rows}.values())
    spec = {"kind": "ranges", "label": "regimen", "low": "low", "high": "high", "series": "unit"}
    units = {row["unit"] for row in unique}
    unit = units.pop() if len(units) == 1 else text(language, "log-scale")
    return draw(spec, unique, text(language, "doses"), {"high": unit})


def _timeline(trial: Trial, name: Callable[[str], str], language: str) -> Chart | None:
    moments = [
        Moment(
            name(moment.what),
            moment.date,
            text(language, "estimated") if moment.sure == "Estimated" else "",
            sure=moment.sure != "Estimated",
        )
        for moment in trial.moments
    ]
    return timeline(moments, text(language, "timeline")) if len(moments) > 1 else None


def _over_time(trial: Trial, name: Callable[[str], str], language: str) -> Iterable[Picture]:
    """Measures that were taken at two or more times: planned outcomes first, then those with most numbers."""
    planned = {measure for each in trial.planned for measure in each.measures}
    by: dict[tuple[str, str], list[Number]] = {}
    for number in trial.numbers:
        if number.quantity and number.measure and number.months is not None and number.groups:
            by.setdefault((number.measure, number.quantity), []).append(number)
    worth = [(key, own) for key, own in by.items() if len({number.months for number in own}) > 1]
    worth.sort(key=lambda item: (item[0][0] not in planned, -len(item[1])))
    for (measure, quantity), own in worth[:_PICTURES]:
        rows = [
            {
                "months": str(number.months),
                "value": str(number.value),
                "group": " / ".join(map(name, number.groups)),
                "low": "" if number.low is None else str(number.low),
                "high": "" if number.high is None else str(number.high),
            }
            for number in own
        ]
        spec = {"kind": "lines", "x": "months", "y": "value", "series": "group", "low": "low", "high": "high"}
        units = {"months": text(language, "months"), "value": "%" if quantity == "percent" else ""}
        chart = draw(spec, rows, name(measure), units)
        if chart is not None:
            yield Picture(name(measure), chart)


def _effects(effects: Sequence[Effect], name: Callable[[str], str], language: str) -> Iterable[Picture]:
    """A forest plot for each method; ratios on a log scale."""
    by: dict[str, list[Effect]] = {}
    for effect in effects:
        by.setdefault(effect.method, []).append(effect)
    for method in sorted(by, key=lambda each: _METHODS.index(each) if each in _METHODS else len(_METHODS)):
        own = by[method]
        pairs = {(effect.compared, effect.reference) for effect in own}
        rows = []
        for effect in own:
            when = "" if effect.months == 0 else f", {_when(effect.months, effect.time, language)}"
            label = f"{name(effect.measure)}{when}".rstrip(", ")
            rows.append(
                {
                    "effect": label,
                    "value": "" if effect.value is None else str(effect.value),
                    "low": "" if effect.low is None else str(effect.low),
                    "high": "" if effect.high is None else str(effect.high),
                    "groups": f"{name(effect.compared)} : {name(effect.reference)}",
                }
            )
        spec = {"label": "effect", "value": "value", "low": "low", "high": "high"}
        spec["kind"] = "ratios" if method in _RATIOS else "forest"
        if len(pairs) > 1:
            spec["series"] = "groups"
        chart = draw(spec, rows, name(method), {})
        if chart is not None:
            yield Picture(name(method), chart)
