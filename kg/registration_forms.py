"""A trial in the forms that `kg trial` gives: text for a terminal, JSON, Turtle.

Hides the layout. What it shows is read by `kg.registrations` and `kg.trials`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyoxigraph import NamedNode

from kg.engine import Engine, Limits
from kg.engine.formats import BY_KEY
from kg.names import names
from kg.registrations import Comparison, Outcome, Publication, Registration
from kg.rows import Node, listed
from kg.terms import compress
from kg.trials import Arm, Regimen, Trial, plain, trial, unit_of


@dataclass(frozen=True)
class Shown:
    """A registration with the arms of its record and of its papers."""

    registration: Registration
    arms: Sequence[Arm]

    def registered(self, arm: Arm) -> bool:
        """Whether the trial's record has an arm; else a paper reports it."""
        return arm.iri in self.registration.arms


async def shown(engine: Engine, registration: Registration, limits: Limits) -> Shown:
    """What is shown of a registration: the arms are read as well, and all names."""
    told = [await trial(engine, iri, limits) for iri in (registration.iri, *registration.studies)]
    arms = sorted(
        {arm.iri: arm for each in told for arm in each.arms}.values(),
        key=lambda arm: (arm.iri not in registration.arms, arm.iri),
    )
    mentioned = Trial(tuple(arms), (), (), (), False, (), ()).mentioned()
    labels = await names(engine, mentioned, limits)
    return Shown(replace(registration, names={**registration.names, **labels}), arms)


async def as_turtle(engine: Engine, told: Shown, limits: Limits) -> bytes:
    """All that the graph says of the trial, its parts, publications, links and comparisons, as Turtle."""
    registration = told.registration
    nodes = [registration.iri, *(arm.iri for arm in told.arms)]
    nodes += [regimen.iri for arm in told.arms for regimen in arm.regimens]
    nodes += [outcome.iri for outcome in registration.outcomes]
    nodes += [comparison.iri for comparison in registration.comparisons]
    nodes += [link.iri for publication in registration.publications for link in publication.links]
    nodes += [publication.iri for publication in registration.publications]
    answer = await engine.query(
        f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ VALUES ?s {{ {listed(nodes)} }} ?s ?p ?o }}",
        accept=BY_KEY["turtle"],
        limits=limits,
    )
    return await answer.read()


def as_data(told: Shown) -> dict[str, object]:
    """The trial as JSON data: IRIs as CURIEs, each with its English name where it has one."""
    trial = told.registration

    def thing(iri: str) -> object:
        return {"id": compress(iri), "name": trial.name(iri)} if iri else None

    def value(node: Node) -> object:
        return thing(node.value) if isinstance(node, NamedNode) else node.value

    facts: dict[str, list[object]] = {}
    for fact in trial.facts:
        graphs = [compress(graph).removeprefix("graph:") for graph in fact.graphs]
        facts.setdefault(compress(fact.predicate), []).append({"value": value(fact.value), "in": graphs})
    return {
        "trial": compress(trial.iri),
        "id": trial.id,
        "title": trial.title,
        "facts": facts,
        "arms": [
            {
                **{"id": compress(arm.iri), "label": trial.name(arm.iri), "registered": told.registered(arm)},
                "type": thing(arm.type),
                "sizes": list(arm.sizes),
                "regimens": [
                    {
                        "products": [thing(iri) for iri in each.products],
                        "routes": [thing(iri) for iri in each.routes],
                        "donors": [thing(iri) for iri in each.donors],
                        "doseLow": None if each.low is None else plain(each.low),
                        "doseHigh": None if each.high is None else plain(each.high),
                        "unit": each.unit or None,
                        "doses": each.doses or None,
                        "interval": each.days or None,
                    }
                    for each in arm.regimens
                ],
                "coMedication": [thing(iri) for iri in arm.besides],
            }
            for arm in told.arms
        ],
        "outcomes": [
            {
                "id": compress(each.iri),
                "outcome": each.label,
                "role": each.role,
                "timeFrame": each.time_frame or None,
                "months": list(each.months),
                "measures": [thing(iri) for iri in each.measures],
                "resultsPosted": each.posted or None,
                "note": each.note or None,
                "result": thing(each.comparison.result) if each.comparison else None,
                "compared": each.comparison.text if each.comparison else None,
            }
            for each in trial.outcomes
        ],
        "comparisons": [
            {
                "id": compress(each.iri),
                "kind": each.kind,
                "result": thing(each.result),
                "compared": each.text,
                "registered": [thing(iri) for iri in each.registered],
                "reported": [thing(iri) for iri in each.reported],
                **each.numbers,
            }
            for each in trial.comparisons
        ],
        "publications": [
            {
                "id": compress(each.iri),
                "label": each.label,
                **{
                    name: text
                    for name in ("title", "journal", "year", "pmid", "doi", "pmcid")
                    if (text := getattr(each, name))
                },
                "says": each.says,
                "links": [
                    {
                        "id": compress(link.iri),
                        "says": link.says,
                        "method": thing(link.method),
                        "confidence": thing(link.confidence),
                        "basis": link.basis,
                        "asserted": link.sure,
                    }
                    for link in each.links
                ],
            }
            for each in trial.publications
        ],
        "findings": [
            {
                "id": compress(each.iri),
                "summary": each.summary,
                "severity": thing(each.severity),
                "status": thing(each.status),
            }
            for each in trial.findings
        ],
        "related": [
            {"relation": thing(each.relation), "trial": thing(each.trial), "inverse": each.inverse}
            for each in trial.related
        ],
    }


def as_text(told: Shown) -> str:
    """The trial for a terminal: what it is, what was registered, what is reported, by which papers."""
    trial = told.registration
    lines = [f"{trial.id}  {trial.title}", compress(trial.iri), ""]
    for label, properties in (
        ("condition", ("studiesCondition",)),
        ("phase", ("hasPhase",)),
        ("design", ("hasAllocation", "hasInterventionModel", "hasMasking")),
        ("status", ("hasStatus",)),
        ("as of", ("statusAsOf",)),
        ("start", ("startDate",)),
        ("end", ("primaryCompletionDate",)),
        ("sponsor", ("hasSponsor",)),
        ("country", ("inCountry",)),
    ):
        values = [_shown(trial, value) for value in trial.values(*properties)]
        lines += [f"{label:<12}{', '.join(dict.fromkeys(values))}"] if values else []
    lines += _section("Participants", [_compared(trial, each) for each in trial.compared("enrollment")])
    lines += _section("Arms", [_arm(told, arm) for arm in told.arms])
    lines += _section("Arms compared", [_compared(trial, each) for each in trial.compared("arm")])
    lines += _section("Outcomes registered", [_outcome(trial, outcome) for outcome in trial.outcomes])
    lines += _section("Reported, not registered", [each.text for each in trial.unregistered])
    lines += _section("Publications", [_publication(trial, each) for each in trial.publications])
    findings = [
        f"{compress(each.iri)}  {trial.name(each.severity)}, {trial.name(each.status)}: {each.summary}"
        for each in trial.findings
    ]
    lines += _section("Findings", findings)
    related = [
        f"{trial.name(each.trial)}: {trial.name(each.relation)} {trial.id}"
        if each.inverse
        else f"{trial.name(each.relation)} {trial.name(each.trial)}"
        for each in trial.related
    ]
    lines += _section("Related", related)
    return "\n".join(lines)


def _shown(trial: Registration, value: Node) -> str:
    return trial.name(value.value) if isinstance(value, NamedNode) else value.value


def _section(title: str, entries: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {entry}" for entry in entries)] if entries else []


def _compared(trial: Registration, compared: Comparison) -> str:
    return f"{trial.name(compared.result)}: {compared.text}"


def _arm(told: Shown, arm: Arm) -> str:
    trial = told.registration
    gets = "; ".join(dict.fromkeys(_regimen(trial, regimen) for regimen in arm.regimens))
    kind = f", {trial.name(arm.type)}" if arm.type else ""
    size = f", n = {' or '.join(map(str, arm.sizes))}" if arm.sizes else ""
    where = "registered" if told.registered(arm) else "reported"
    return f"{where:<11}{trial.name(arm.iri)}{kind}{size}" + (f": {gets}" if gets else "")


def _regimen(trial: Registration, regimen: Regimen) -> str:
    ends = dict.fromkeys(plain(end) for end in (regimen.low, regimen.high) if end is not None)
    parts = [
        *map(trial.name, regimen.products),
        f"{' to '.join(ends)} {unit_of(regimen.unit)}".strip() if ends else "",
        f"{regimen.doses} doses" if regimen.doses not in ("", "1") else "",
        f"every {regimen.days} days" if regimen.days else "",
        *map(trial.name, (*regimen.routes, *regimen.donors)),
    ]
    return ", ".join(filter(None, parts))


def _outcome(trial: Registration, outcome: Outcome) -> str:
    frame = f" [{outcome.time_frame}]" if outcome.time_frame else ""
    told = f"\n      {_compared(trial, outcome.comparison)}" if outcome.comparison else ""
    return f"{outcome.role:<11}{outcome.label}{frame}{told}"


def _publication(trial: Registration, publication: Publication) -> str:
    ids = (("PMID", publication.pmid), ("DOI", publication.doi), ("", publication.pmcid))
    cited = [publication.label, publication.title, publication.journal, publication.year]
    cited += [f"{name} {number}".strip() for name, number in ids if number]
    how = "".join(
        f"\n      {link.says}, by {trial.name(link.method)}, {trial.name(link.confidence)}: {link.basis}"
        for link in publication.links
    )
    return ", ".join(filter(None, cited)) + how
