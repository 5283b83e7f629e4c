"""Records of API v2 (protocolSection, resultsSection, derivedSection) as studies.

Hides the nesting of that form: measures hold classes, classes hold categories, categories hold numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kg.terms import STROMA
from loaders import emit
from loaders.clinicaltrials import codes, numbers
from loaders.clinicaltrials.protocol import Form, facility, mesh_id, organization, people, read_protocol
from loaders.clinicaltrials.study import (
    Arm,
    Comparison,
    Facts,
    Group,
    Intervention,
    Location,
    Observed,
    Outcome,
    Reference,
    Study,
)  # fmt: skip
from loaders.record import Record


def read(record: Record) -> Study:
    """One record as a study; raises UnknownValue or BadValue naming record and field."""
    study = Study(record.id)
    record.within("protocolSection").within("identificationModule").require("nctId")
    read_protocol(Form(record, classic=False), study)
    protocol = record.within("protocolSection")
    _identifiers(protocol, study)
    _conditions(record, study)
    _arms(protocol.within("armsInterventionsModule"), study)
    _outcomes(protocol.within("outcomesModule"), study)
    _sponsors(protocol.within("sponsorCollaboratorsModule"), study)
    _locations(protocol.within("contactsLocationsModule"), study, people(record, classic=False))
    _references(protocol.within("referencesModule"), study)
    results = record.within("resultsSection")
    study.observations += _flow(results.within("participantFlowModule"))
    study.observations += _baseline(results.within("baselineCharacteristicsModule"))
    for number, measure in enumerate(results.within("outcomeMeasuresModule").each("outcomeMeasures"), 1):
        _outcome_measure(measure, str(number), study)
    study.observations += _events(results.within("adverseEventsModule"))
    return study


def _identifiers(protocol: Record, study: Study) -> None:
    for other in protocol.within("identificationModule").each("secondaryIdInfos"):
        if text := other.text("id"):
            study.facts.append((STROMA.secondaryId, emit.string(text)))


def _conditions(record: Record, study: Study) -> None:
    for mesh in record.within("derivedSection").within("conditionBrowseModule").each("meshes"):
        study.meshes.append((mesh_id(mesh.require("id")), mesh.require("term")))


def _arms(module: Record, study: Study) -> None:
    keys: dict[str, int] = {}
    for item in module.each("interventions"):
        kind = item.text("type")
        intervention = Intervention(
            item.require("name"),
            codes.word("interventiontype", item, "type", kind) if kind else None,
            item.text("description"),
            item.texts("otherNames"),
        )
        item.take("armGroupLabels")  # the same links as the arms' interventionNames
        keys[f"{intervention.type}: {intervention.name}".casefold()] = len(study.interventions)
        study.interventions.append(intervention)
    for item in module.each("armGroups"):
        arm = Arm(item.require("label"), description=item.text("description"))
        arm.facts += arm_type(item, "type", item.text("type"))
        for name in item.texts("interventionNames"):
            if name.casefold() not in keys:
                raise item.bad("interventionNames", name, "is no intervention of this study")
            arm.interventions.append(keys[name.casefold()])
        study.arms.append(arm)


def arm_type(record: Record, field: str, text: str | None) -> Facts:
    """An arm's type as facts."""
    if text is None:
        return []
    return [
        (STROMA.hasArmType, codes.code("armtype", record, field, text)),
        (STROMA.armTypeText, emit.string(text)),
    ]


def _outcomes(module: Record, study: Study) -> None:
    for role in ("primary", "secondary", "other"):
        for item in module.each(f"{role}Outcomes"):
            study.outcomes.append(
                Outcome(role, item.require("measure"), item.text("description"), item.text("timeFrame"))
            )


def _sponsors(module: Record, study: Study) -> None:
    party = module.within("responsibleParty").text("type")
    lead = module.within("leadSponsor")
    sponsors = [(lead, True)] if lead.text("name") else []
    for item, leads in [*sponsors, *((c, False) for c in module.each("collaborators"))]:
        category = item.text("class")
        found = organization(
            (item, "name"),
            item.require("name"),
            codes.word("sponsorclass", item, "class", category) if category else None,
            lead=leads,
            by_investigator=leads and codes.normal(party or "") == "SPONSORINVESTIGATOR",
        )
        if found:
            study.organizations.append(found)


def _locations(module: Record, study: Study, named: Collection[str]) -> None:
    for item in module.each("locations"):
        name = facility((item, "facility"), item.text("facility"), named)
        study.locations.append(Location(item.text("country"), item.text("city"), item.text("state"), name))


def _references(module: Record, study: Study) -> None:
    for item in module.each("references"):
        kind, pmid = item.text("type"), item.text("pmid")
        if pmid:
            word = codes.word("reference", item, "type", kind) if kind else None
            study.references.append(Reference(numbers.pmid(item, "pmid", pmid), word))
        for retraction in item.each("retractions"):
            text = retraction.require("pmid")
            study.references.append(Reference(numbers.pmid(retraction, "pmid", text), "retraction"))


def _groups(module: Record, name: str) -> dict[str, Group]:
    found = {}
    for item in module.each(name):
        group = Group(item.require("id"), item.text("title") or item.require("id"), item.text("description"))
        found[group.id] = group
    return found


def _group(groups: dict[str, Group], item: Record, field: str = "groupId") -> Group:
    key = item.require(field)
    if key not in groups:
        raise item.bad(field, key, "is no group of this section")
    return groups[key]


def _flow(module: Record) -> Iterator[Observed]:
    groups = _groups(module, "groups")
    for period in module.each("periods"):
        title = period.text("title") or ""
        for withdrawn, holders, counts in (
            (False, "milestones", "achievements"),
            (True, "dropWithdraws", "reasons"),
        ):
            for holder in period.each(holders):
                name = holder.require("type")
                for item in holder.each(counts):
                    group, count = _group(groups, item), item.take("numSubjects")
                    facts = numbers.measured(STROMA.countValue, item, "numSubjects", count)
                    if facts:
                        yield numbers.flow(group, title, name, facts, withdrawn=withdrawn)


def _denominators(holder: Record) -> dict[str, object]:
    """Participants by group id; other units (eyes, knees) are no denominators of people."""
    found = {}
    for denom in holder.each("denoms"):
        people = codes.normal(denom.text("units") or "PARTICIPANTS") == "PARTICIPANTS"
        for count in denom.each("counts"):
            group, value = count.require("groupId"), count.take("value")
            if people and value is not None:
                found[group] = value
    return found


def _baseline(module: Record) -> Iterator[Observed]:
    groups = _groups(module, "groups")
    overall = _denominators(module)
    for number, measure in enumerate(module.each("measures"), 1):
        title = measure.require("title")
        sizes = overall | _denominators(measure)
        form = numbers.Form.of(measure)
        for place, item, group, labels, own in _cells(measure, groups, sizes):
            facts = numbers.cell(form, item) + numbers.size(item, "value", own)
            yield numbers.baseline(group, (str(number), *place), title, facts, labels)


def _outcome_measure(measure: Record, number: str, study: Study) -> None:
    kind = measure.require("type")
    outcome = Outcome(
        codes.word("outcomerole", measure, "type", kind),
        measure.require("title"),
        measure.text("description"),
        measure.text("timeFrame"),
    )
    groups = _groups(measure, "groups")
    sizes = _denominators(measure)
    population = measure.text("populationDescription")
    form = numbers.Form.of(measure)
    for place, item, group, labels, own in _cells(measure, groups, sizes):
        facts = numbers.cell(form, item) + numbers.size(item, "value", own)
        study.observations.append(
            numbers.outcome(group, (number, *place), outcome, facts, labels, population)
        )
    for rank, analysis in enumerate(measure.each("analyses"), 1):
        about = [groups[key] for key in analysis.texts("groupIds") if key in groups]
        study.comparisons.append(
            Comparison(about, ("outcome", number, str(rank)), numbers.comparison(analysis), outcome)
        )


Cell = tuple[tuple[str, ...], Record, Group, list[str], object]


def _cells(measure: Record, groups: dict[str, Group], sizes: dict[str, object]) -> Iterator[Cell]:
    """Each number of a measure: its place, its record, its group, the titles above it, its denominator."""
    for i, row in enumerate(measure.each("classes"), 1):
        row_title, own = row.text("title"), sizes | _denominators(row)
        for j, category in enumerate(row.each("categories"), 1):
            titles = [text for text in (row_title, category.text("title")) if text]
            for item in category.each("measurements"):
                group = _group(groups, item)
                yield (str(i), str(j)), item, group, titles, own.get(group.id)


def _events(module: Record) -> Iterator[Observed]:
    groups = _groups(module, "eventGroups")
    none: tuple[str, object] = ("", None)
    for item in module.each("eventGroups"):
        for kind in ("serious", "other", "deaths"):
            n, of = ((f"{kind}Num{what}", item.take(f"{kind}Num{what}")) for what in ("Affected", "AtRisk"))
            if n[1] is not None:
                yield numbers.event_total(
                    groups[item.require("id")], kind, numbers.affected(item, n, of, none)
                )
    for serious, name in ((True, "seriousEvents"), (False, "otherEvents")):
        for rank, event in enumerate(module.each(name), 1):
            assessment = event.text("assessmentType")
            about = numbers.event_facts(
                event.require("term"), event.text("organSystem"),
                codes.word("assessment", event, "assessmentType", assessment) if assessment else None,
                serious=serious,
            )  # fmt: skip
            for item in event.each("stats"):
                n, of, count = ((f, item.take(f)) for f in ("numAffected", "numAtRisk", "numEvents"))
                facts = numbers.affected(item, n, of, count)
                yield numbers.event(_group(groups, item), (name, str(rank)), about, facts)
