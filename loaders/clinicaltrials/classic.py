"""Records of the registry's classic form as studies: one flat list a field, all nesting lost.

Hides how lists are put together again. Two lists are joined only when they have the same length; groups
of numbers are told by their group ids, which start again with each block. What cannot be joined safely is
not taken, and `source.toml` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kg.errors import BadValue
from kg.terms import STROMA
from loaders import emit
from loaders.clinicaltrials import codes, numbers
from loaders.clinicaltrials.protocol import Form, facility, mesh_id, organization, people, read_protocol
from loaders.clinicaltrials.study import (
    Arm,
    Facts,
    Group,
    Intervention,
    Location,
    Outcome,
    Reference,
    Study,
)  # fmt: skip
from loaders.clinicaltrials.v2 import arm_type
from loaders.patterns import folded
from loaders.record import Record

# The standard baseline measures have fixed rows, so their numbers can be told apart without the nesting.
_STANDARD_ROWS = {
    "Age, Continuous": [""],
    "Sex: Female, Male": ["Female", "Male"],
    "Ethnicity (NIH/OMB)": ["Hispanic or Latino", "Not Hispanic or Latino", "Unknown or Not Reported"],
    "Race (NIH/OMB)": [
        "American Indian or Alaska Native", "Asian", "Native Hawaiian or Other Pacific Islander",
        "Black or African American", "White", "More than one race", "Unknown or Not Reported",
    ],
}  # fmt: skip


def read(record: Record) -> Study:
    """One record as a study; raises UnknownValue or BadValue naming record and field."""
    study = Study(record.id)
    record.take("NCTId")
    read_protocol(Form(record, classic=True), study)
    for text in record.texts("SecondaryId"):
        study.facts.append((STROMA.secondaryId, emit.string(text)))
    for mesh, term in zip(*_joined(record, "ConditionMeshId", "ConditionMeshTerm"), strict=True):
        study.meshes.append((mesh_id(mesh), term))
    _interventions(record, study)
    if not study.interventions:
        _interventions_of_arms(record, study)
    _arms(record, study)
    for role in ("Primary", "Secondary", "Other"):
        study.outcomes += _outcomes(record, role)
    _sponsors(record, study)
    _locations(record, study)
    _references(record, study)
    _flow(record, study)
    _baseline(record, study)
    _outcome_measures(record, study)
    _events(record, study)
    return study


def _joined(record: Record, *names: str) -> list[list[str]]:
    """Lists that belong together, item by item; raises BadValue when their lengths differ."""
    lists = [record.texts(name) for name in names]
    if len({len(items) for items in lists}) > 1:
        raise _unjoined(record, names[0], lists)
    return lists


def _unjoined(record: Record, name: str, lists: list[list[str]]) -> BadValue:
    lengths = ", ".join(str(len(items)) for items in lists)
    return record.bad(name, lists[0][:3], f"and the lists beside it have different lengths ({lengths})")


def _beside(record: Record, name: str, length: int) -> list[str] | list[None]:
    """An optional list as long as the one it belongs to, else nothing for each: then it cannot be joined."""
    if record.count(name) != length:
        return [None] * length
    return record.texts(name)


def _interventions(record: Record, study: Study) -> None:
    names, kinds = _joined(record, "InterventionName", "InterventionType")
    descriptions = _beside(record, "InterventionDescription", len(names))
    only = len(names) == 1
    for name, kind, description in zip(names, kinds, descriptions, strict=True):
        # Other names of several interventions stand in one list: they tell nothing about which is meant.
        others = record.texts("InterventionOtherName") if only else []
        word = codes.word("interventiontype", record, "InterventionType", kind)
        study.interventions.append(Intervention(name, word, description, others))


def _interventions_of_arms(record: Record, study: Study) -> None:
    """For a response that asked for the arms only: "Biological: UC-MSC" is an intervention and its type."""
    for text in dict.fromkeys(record.texts("ArmGroupInterventionName")):
        kind, colon, name = text.partition(": ")
        if not colon:
            raise record.bad("ArmGroupInterventionName", text, "should be a type, a colon and a name")
        word = codes.word("interventiontype", record, "ArmGroupInterventionName", kind)
        study.interventions.append(Intervention(name, word))


def _arms(record: Record, study: Study) -> None:
    labels = record.texts("ArmGroupLabel")
    kinds = _beside(record, "ArmGroupType", len(labels))
    descriptions = _beside(record, "ArmGroupDescription", len(labels))
    for label, kind, description in zip(labels, kinds, descriptions, strict=True):
        study.arms.append(Arm(label, arm_type(record, "ArmGroupType", kind), description))
    _link_arms(record, study)


def _link_arms(record: Record, study: Study) -> None:
    """Which arm has which intervention, as far as two flat lists can tell.

    `ArmGroupInterventionName` lists each arm's interventions, arm after arm, not saying where an arm ends;
    `InterventionArmGroupLabel` names an arm once for each of its interventions: the counts are the ends.
    Where an arm's own label names another intervention than the cut gives it, the record contradicts itself
    (NCT01851070 gives the placebo arm the cells), and arms are linked by label only.
    """
    names, labels = record.texts("ArmGroupInterventionName"), record.texts("InterventionArmGroupLabel")
    keys = {f"{i.type}: {i.name}".casefold(): n for n, i in enumerate(study.interventions)}
    for name in names:
        if name.casefold() not in keys:
            raise record.bad("ArmGroupInterventionName", name, "is no intervention of this study")
    wanted = [keys[name.casefold()] for name in names]
    counts = {arm.label: labels.count(arm.label) for arm in study.arms}
    cut = len(keys) == len(study.interventions) and len(counts) == len(study.arms)
    if cut and sum(counts.values()) == len(wanted):
        start = 0
        for arm in study.arms:
            arm.interventions = wanted[start : start + counts[arm.label]]
            start += counts[arm.label]
    named = [_named(arm.label, study.interventions) for arm in study.arms]
    pairs = list(zip(study.arms, named, strict=True))
    if any(
        found is not None and arm.interventions and found not in arm.interventions for arm, found in pairs
    ):
        for arm, found in pairs:
            arm.interventions = [] if found is None else [found]


def _named(label: str, interventions: list[Intervention]) -> int | None:
    """The one intervention whose whole name stands in an arm's label."""
    lower = folded(label)
    found = [
        n for n, intervention in enumerate(interventions)
        if folded(intervention.name) in lower  # compiling a pattern for each name takes longer than all else
        and re.search(rf"(?<!\w){re.escape(intervention.name)}(?!\w)", label, re.IGNORECASE)
    ]  # fmt: skip
    return found[0] if len(found) == 1 else None


def _outcomes(record: Record, role: str) -> Iterator[Outcome]:
    measures = record.texts(f"{role}OutcomeMeasure")
    frames = _beside(record, f"{role}OutcomeTimeFrame", len(measures))
    descriptions = _beside(record, f"{role}OutcomeDescription", len(measures))
    for measure, frame, description in zip(measures, frames, descriptions, strict=True):
        yield Outcome(role.lower(), measure, description, frame)


def _sponsors(record: Record, study: Study) -> None:
    party = record.texts("ResponsiblePartyType")
    by_investigator = bool(party) and codes.normal(party[0]) == "SPONSORINVESTIGATOR"
    for prefix, lead in (("LeadSponsor", True), ("Collaborator", False)):
        for name, kind in zip(*_joined(record, f"{prefix}Name", f"{prefix}Class"), strict=True):
            word = codes.word("sponsorclass", record, f"{prefix}Class", kind)
            place = (record, f"{prefix}Name")
            found = organization(place, name, word, lead=lead, by_investigator=lead and by_investigator)
            if found:
                study.organizations.append(found)


def _locations(record: Record, study: Study) -> None:
    countries = record.texts("LocationCountry")
    cities = _beside(record, "LocationCity", len(countries))
    states = _beside(record, "LocationState", len(countries))
    facilities = _beside(record, "LocationFacility", len(countries))
    place, named = (record, "LocationFacility"), people(record, classic=True)
    for country, city, state, name in zip(countries, cities, states, facilities, strict=True):
        study.locations.append(Location(country, city, state, facility(place, name, named)))


def _references(record: Record, study: Study) -> None:
    pmids = record.texts("ReferencePMID")
    kinds = _beside(record, "ReferenceType", len(pmids))
    for text, kind in zip(pmids, kinds, strict=True):
        word = codes.word("reference", record, "ReferenceType", kind) if kind else None
        study.references.append(Reference(numbers.pmid(record, "ReferencePMID", text), word))
    for text in record.texts("RetractionPMID"):
        study.references.append(Reference(numbers.pmid(record, "RetractionPMID", text), "retraction"))


# ----------------------------------------------------------------------------------- results section


def _groups(record: Record, prefix: str) -> dict[str, Group]:
    ids, titles = _joined(record, f"{prefix}GroupId", f"{prefix}GroupTitle")
    descriptions = _beside(record, f"{prefix}GroupDescription", len(ids))
    return {i: Group(i, title, text) for i, title, text in zip(ids, titles, descriptions, strict=True)}


def _blocks(items: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """(group id, value) pairs cut where the ids start again."""
    blocks: list[list[tuple[str, str]]] = []
    for item in items:
        if blocks and item[0] > blocks[-1][-1][0]:
            blocks[-1].append(item)
        else:
            blocks.append([item])
    return blocks


def _pairs(record: Record, ids: str, values: str) -> list[list[tuple[str, str]]]:
    left, right = _joined(record, ids, values)
    return _blocks(list(zip(left, right, strict=True)))


def _flow(record: Record, study: Study) -> None:
    if not record.count("FlowAchievementGroupId"):
        return
    groups = _groups(record, "Flow")
    titles = record.texts("FlowPeriodTitle")
    for withdrawn, kinds, prefix in (
        (False, "FlowMilestoneType", "FlowAchievement"),
        (True, "FlowDropWithdrawType", "FlowReason"),
    ):
        names = record.texts(kinds)
        blocks = _pairs(record, f"{prefix}GroupId", f"{prefix}NumSubjects")
        # Each period begins with STARTED; reasons do not say their period, so they need a single one.
        starts = [n for n, name in enumerate(names) if name == "STARTED"]
        if len(blocks) != len(names) or (len(titles) > 1 and (withdrawn or len(starts) != len(titles))):
            continue
        for rank, (name, block) in enumerate(zip(names, blocks, strict=True)):
            period = titles[0] if len(titles) == 1 else titles[sum(start <= rank for start in starts) - 1]
            for group, count in block:
                facts = numbers.measured(STROMA.countValue, record, f"{prefix}NumSubjects", count)
                study.observations.append(
                    numbers.flow(groups[group], period, name, facts, withdrawn=withdrawn)
                )


def _sizes(record: Record, prefix: str) -> dict[str, str]:
    """Participants by group, when one block of denominators counts participants."""
    if record.texts(f"{prefix}DenomUnits") != ["Participants"]:
        return {}
    blocks = _pairs(record, f"{prefix}DenomCountGroupId", f"{prefix}DenomCountValue")
    return dict(blocks[0]) if len(blocks) == 1 else {}


def _baseline(record: Record, study: Study) -> None:
    """The standard measures that come first: after the first other one, no row can be placed."""
    if not record.count("BaselineMeasurementGroupId"):
        return
    groups, sizes = _groups(record, "Baseline"), _sizes(record, "Baseline")
    titles, kinds = _joined(record, "BaselineMeasureTitle", "BaselineMeasureParamType")
    units = _beside(record, "BaselineMeasureUnitOfMeasure", len(titles))
    blocks = _pairs(record, "BaselineMeasurementGroupId", "BaselineMeasurementValue")
    categories = record.texts("BaselineCategoryTitle")
    start = used = 0
    for number, (title, kind, unit) in enumerate(zip(titles, kinds, units, strict=True), 1):
        rows = _STANDARD_ROWS.get(title)
        named = [row for row in rows or [] if row]
        if rows is None or categories[used : used + len(named)] != named or len(blocks) < start + len(rows):
            break
        form = numbers.Form.read(record, ("BaselineMeasureParamType", kind), ("", None), unit)
        for rank, (row, block) in enumerate(zip(rows, blocks[start : start + len(rows)], strict=True), 1):
            for group, value in block:
                facts = numbers.statistics(
                    form, record, [("BaselineMeasurementValue", value), ("", None), ("", None), ("", None)]
                ) + numbers.size(record, "BaselineDenomCountValue", sizes.get(group))
                labels = [row] if row else []
                study.observations.append(
                    numbers.baseline(groups[group], (str(number), "1", str(rank)), title, facts, labels)
                )
        start, used = start + len(rows), used + len(named)


def _outcome_measures(record: Record, study: Study) -> None:
    """Reported outcomes, when each has a single row of numbers: then all lists run side by side."""
    titles, kinds = record.texts("OutcomeMeasureTitle"), record.texts("OutcomeMeasureParamType")
    count = len(titles)
    simple = not record.count("OutcomeClassTitle") and not record.count("OutcomeCategoryTitle")
    if not titles or len(kinds) != count or not simple:
        return
    groups = _outcome_groups(record, count)
    rows = _pairs(record, "OutcomeMeasurementGroupId", "OutcomeMeasurementValue")
    if groups is None or len(rows) != count:
        return
    roles = _beside(record, "OutcomeMeasureType", count)
    units = _beside(record, "OutcomeMeasureUnitOfMeasure", count)
    frames = _beside(record, "OutcomeMeasureTimeFrame", count)
    descriptions = _beside(record, "OutcomeMeasureDescription", count)
    populations = _beside(record, "OutcomeMeasurePopulationDescription", count)
    for n, (title, row) in enumerate(zip(titles, rows, strict=True)):
        role = codes.word("outcomerole", record, "OutcomeMeasureType", roles[n] or "Primary")
        outcome = Outcome(role, title, descriptions[n], frames[n])
        form = numbers.Form.read(record, ("OutcomeMeasureParamType", kinds[n]), ("", None), units[n])
        for group, value in row:
            found, size = groups[n].get(group, (None, None))
            if found is None:
                raise record.bad("OutcomeMeasurementGroupId", group, "is no group of its outcome")
            facts = numbers.statistics(
                form, record, [("OutcomeMeasurementValue", value), ("", None), ("", None), ("", None)]
            ) + numbers.size(record, "OutcomeDenomCountValue", size)
            study.observations.append(
                numbers.outcome(found, (str(n + 1), "1", "1"), outcome, facts, [], populations[n])
            )


def _outcome_groups(record: Record, count: int) -> list[dict[str, tuple[Group, str | None]]] | None:
    """Each outcome's groups with their denominators, or None when the blocks do not match the outcomes."""
    ids, titles = _joined(record, "OutcomeGroupId", "OutcomeGroupTitle")
    blocks = _blocks(list(zip(ids, titles, strict=True)))
    units = set(record.texts("OutcomeDenomUnits"))
    sizes = _pairs(record, "OutcomeDenomCountGroupId", "OutcomeDenomCountValue")
    if len(blocks) != count or (len(sizes) != count and sizes):
        return None
    people = units == {"Participants"} and len(sizes) == count
    return [
        {
            i: (Group(i, title), dict(sizes[n]).get(i) if people else None)
            for i, title in block
        }
        for n, block in enumerate(blocks)
    ]  # fmt: skip


def _events(record: Record, study: Study) -> None:
    if not record.count("EventGroupId"):
        return
    groups = _groups(record, "Event")
    none: tuple[str, object] = ("", None)
    for kind in ("Serious", "Other", "Deaths"):
        fields = [f"EventGroup{kind}Num{what}" for what in ("Affected", "AtRisk")]
        if record.count(fields[0]) != len(groups):
            continue
        n, of = record.texts(fields[0]), _beside(record, fields[1], len(groups))
        for group, count, at_risk in zip(groups.values(), n, of, strict=True):
            facts = numbers.affected(record, (fields[0], count), (fields[1], at_risk), none)
            study.observations.append(numbers.event_total(group, kind.lower(), facts))
    for serious, prefix in ((True, "SeriousEvent"), (False, "OtherEvent")):
        _event_list(record, study, groups, prefix, serious)


def _event_list(record: Record, study: Study, groups: dict[str, Group], prefix: str, serious: bool) -> None:
    terms = record.texts(f"{prefix}Term")
    ids = record.texts(f"{prefix}StatsGroupId")
    # Every event has a number for every group.
    if (
        not terms
        or len(ids) != len(terms) * len(groups)
        or len(_blocks([(i, "") for i in ids])) != len(terms)
    ):
        return
    systems = _beside(record, f"{prefix}OrganSystem", len(terms))
    assessments = _beside(record, f"{prefix}AssessmentType", len(terms))
    fields = [f"{prefix}StatsNum{what}" for what in ("Affected", "AtRisk", "Events")]
    columns = [_beside(record, name, len(ids)) for name in fields]
    about: Facts = []
    for n, group in enumerate(ids):
        rank = n // len(groups)
        if n % len(groups) == 0:
            assessment, field = assessments[rank], f"{prefix}AssessmentType"
            about = numbers.event_facts(
                terms[rank], systems[rank],
                codes.word("assessment", record, field, assessment) if assessment else None,
                serious=serious,
            )  # fmt: skip
        counts = [(field, column[n]) for field, column in zip(fields, columns, strict=True)]
        facts = numbers.affected(record, counts[0], counts[1], counts[2])
        place = ("seriousEvents" if serious else "otherEvents", str(rank + 1))
        study.observations.append(numbers.event(groups[group], place, about, facts))
