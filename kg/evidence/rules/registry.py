"""Rules on registries against documents and papers: facts of a trial, its regimens, counts, statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from pyoxigraph import NamedNode

from kg.evidence.findings import Finding, Used
from kg.evidence.reported import Level, Observation, Reported, Thing, Value
from kg.evidence.scope import described
from kg.terms import DCTERMS, STROMA

_REPORTS = (Level.STATED, Level.COMPILED)


def trial_fact_against_record(reported: Reported) -> Iterator[Finding | None]:
    """A fact of a trial that a document or paper gives in another way than the trial's registry record.

    Phase, allocation, masking (open against blinded), and the number enrolled where the registry says that it
    is the actual number.

    Left alone: planned enrolment, degrees of blinding, statuses of different dates, and what one side does
    not tell. Two registries that hold copies of one record at different dates are not compared.

    Major for enrolment off by a fifth; minor for the rest.
    """
    for trial in reported.of_kind("trial"):
        for predicate in (STROMA.hasPhase, STROMA.hasAllocation, STROMA.hasMasking, STROMA.enrollmentCount):
            said = [v for v in trial.all(predicate) if v.level in _REPORTS]
            recorded = _recorded(trial, predicate)
            if predicate == STROMA.enrollmentCount:
                recorded = _actual(trial, recorded)
            recorded = _one_each(recorded)
            for value in recorded:
                against = [v for v in said if not _same(predicate, v, value)]
                if said and not against:
                    yield None
                if against:
                    yield _fact(reported, trial, predicate, value, against)


def _actual(trial: Thing, values: Iterable[Value]) -> list[Value]:
    """The values of registries that call their number of participants actual, and only that."""
    kinds: dict[NamedNode, set[str]] = {}
    for value in trial.all(STROMA.enrollmentType):
        kinds.setdefault(value.graph, set()).add(value.text)
    return [value for value in values if kinds.get(value.graph) == {"Actual"}]


def _one_each(values: Iterable[Value]) -> list[Value]:
    """Values of registries that tell one only: a record of two dates has two, and neither is *the* value."""
    found: dict[NamedNode, list[Value]] = {}
    for value in values:
        found.setdefault(value.graph, []).append(value)
    return [told[0] for told in found.values() if len(told) == 1]


def _same(predicate: NamedNode, said: Value, recorded: Value) -> bool:
    if predicate == STROMA.hasMasking:
        return (said.term == STROMA.MaskingNone) == (recorded.term == STROMA.MaskingNone)
    if predicate == STROMA.enrollmentCount:
        return said.number == recorded.number
    return said.term == recorded.term


def _fact(
    reported: Reported, trial: Thing, predicate: NamedNode, recorded: Value, said: list[Value]
) -> Finding:
    name = trial.text(DCTERMS.identifier) or reported.label(trial.iri)
    texts = " and ".join(dict.fromkeys(_shown(reported, value) for value in said))
    what = reported.label(predicate).removeprefix("has ")
    far = False
    if predicate == STROMA.enrollmentCount and recorded.number:
        far = any(v.number and abs(v.number - recorded.number) * 5 >= recorded.number for v in said)
    return Finding(
        "RegistryAgainstReport",
        far,
        f"{name}: {what} {_shown(reported, recorded)} in the registry, {texts} as reported",
        f"{what}: {_shown(reported, recorded)} against {texts}.",
        (Used(trial.iri, recorded), *(Used(trial.iri, value) for value in said)),
        (trial.iri,),
    )


def _shown(reported: Reported, value: Value) -> str:
    return reported.label(value.term) if isinstance(value.term, NamedNode) else value.text


def regimen_against_record(reported: Reported) -> Iterator[Finding | None]:
    """A dose, route or donor that a paper reports of a trial and that no regimen of the trial's record has.

    Compared are the doses of cells in equal units, the routes and the donor relations of the MSC regimens of
    one trial. A reported dose fits when it equals a registered one or lies in a registered range.

    Left alone: what one side does not tell, other units, hedged facts, and registered arms that were not
    reported.

    Major for a dose, minor for the rest.
    """
    for trial in reported.of_kind("trial"):
        regimens = [
            reported.thing(regimen)
            for arm in trial.nodes(STROMA.hasArm)
            for regimen in reported.thing(arm).nodes(STROMA.hasIntervention)
            if _gives_cells(reported, regimen)
        ]
        for predicate in (STROMA.hasRoute, STROMA.hasDonorRelation):
            said, recorded = (
                [(r.iri, v) for r in regimens for v in r.all(predicate) if v.level in levels]
                for levels in (_REPORTS, (Level.RECORDED,))
            )
            known = {value.term for _, value in recorded}
            for iri, value in said if known else ():
                if value.term in known:
                    yield None
                    continue
                yield _regimen(reported, trial, predicate, (iri, value), recorded, False)
        for unit in ("{cells}", "{cells}/kg"):
            recorded = list(_doses(regimens, unit, (Level.RECORDED,)))
            for iri, value in _doses(regimens, unit, _REPORTS) if recorded else ():
                if _registered(value.number, regimens, unit):
                    yield None
                    continue
                yield _regimen(reported, trial, STROMA.doseAmount, (iri, value), recorded, True)


def _gives_cells(reported: Reported, regimen: NamedNode) -> bool:
    products = reported.thing(regimen).nodes(STROMA.administers)
    return any(STROMA.MSCProduct in reported.thing(product).types for product in products)


_DOSES = (STROMA.doseAmount, STROMA.doseLow, STROMA.doseHigh)


def _doses(
    regimens: Iterable[Thing], unit: str, levels: tuple[Level, ...]
) -> Iterator[tuple[NamedNode, Value]]:
    for regimen in regimens:
        if unit in {v.text for v in regimen.all(STROMA.doseUnit) if v.level in levels}:
            for predicate in _DOSES:
                yield from ((regimen.iri, v) for v in regimen.all(predicate) if v.level in levels)


def _registered(dose: Decimal | None, regimens: Iterable[Thing], unit: str) -> bool:
    if dose is None:
        return True
    regimens = list(regimens)
    amounts = [v.number for _, v in _doses(regimens, unit, (Level.RECORDED,)) if v.number is not None]
    if dose in amounts:
        return True
    return any(
        low.number is not None and high.number is not None and low.number <= dose <= high.number
        for regimen in regimens
        for low in regimen.all(STROMA.doseLow)
        for high in regimen.all(STROMA.doseHigh)
        if low.level is Level.RECORDED and unit in {v.text for v in regimen.all(STROMA.doseUnit)}
    )


def _regimen(
    reported: Reported,
    trial: Thing,
    predicate: NamedNode,
    said: tuple[NamedNode, Value],
    recorded: list[tuple[NamedNode, Value]],
    major: bool,
) -> Finding:
    name = trial.text(DCTERMS.identifier) or reported.label(trial.iri)
    what = reported.label(predicate).removeprefix("has ")
    texts = ", ".join(dict.fromkeys(_shown(reported, value) for _, value in recorded))
    return Finding(
        "RegistryAgainstReport",
        major,
        f"{name}: {what} {_shown(reported, said[1])} as reported, {texts} in the registry",
        f"{_shown(reported, said[1])} is none of the registered: {texts}.",
        (Used(*said), *(Used(iri, value) for iri, value in recorded)),
        (trial.iri,),
        key=(Used(*said),),
    )


# ------------------------------------------------------------------------------------------ counts


def count_of_trials_against_records(reported: Reported) -> Iterator[Finding | None]:
    """A number of registered trials that the registry's records do not show.

    A document's count of registered MSC trials in rheumatoid arthritis, in all, completed or of a phase, is
    held against the records of such trials that were first posted by the document's date (all records, where
    their dates are not known).

    Left alone: counts of trials with results, since a record need not name its papers; counts of published
    trials; and a total that is smaller than the records', which a narrower search explains.

    Minor: the records were fetched at other times than the document counted, and statuses move on.
    """
    trials = [
        trial
        for trial in reported.of_kind("trial")
        if STROMA.MSCTherapyForRAStudy in trial.types
        and any(value.level is Level.RECORDED for value in trial.all(STROMA.hasStatus))
    ]
    by_count: dict[tuple[NamedNode | None, str], list[tuple[Observation, Value]]] = {}
    for o in reported.observations:
        value = o.get(STROMA.countValue)
        dated = reported.thing(o.group).all(
            STROMA.statusAsOf
        )  # a collection of registered trials, as of a day
        if o.level is Level.STATED and value is not None and not o.operator and dated and _registered_set(o):
            by_count.setdefault((o.measure, o.categories[0] if o.categories else ""), []).append((o, value))
    for (measure, category), told in by_count.items():
        wanted = _counted(measure, category)
        if wanted is None or not trials:
            continue
        predicate, terms = wanted
        for o, value in told:
            if value.number is None:
                continue
            as_of = reported.thing(o.group).text(STROMA.statusAsOf)
            fitting = [
                (trial, v)
                for trial in trials
                if _posted_by(trial, as_of)
                for v in trial.all(predicate)
                if v.level is Level.RECORDED and (not terms or v.term in terms)
            ]
            shown = {trial.iri for trial, _ in fitting}
            total = measure == STROMA.MeasureRegisteredTrialCount
            if len(shown) == value.number or (total and len(shown) > value.number):
                yield None
                continue
            names = ", ".join(sorted(reported.thing(t).text(DCTERMS.identifier) for t in shown))
            dates = sorted({v.text for trial in trials for v in trial.all(STROMA.statusAsOf)})
            yield Finding(
                "RegistryStatus",
                False,
                f"{described(reported, o)}: {value.text} by the document, {len(shown)} by the records",
                f"Of {len(trials)} records of MSC trials in rheumatoid arthritis, {len(shown)} fit: {names}. "
                f"Statuses as of {dates[0]} to {dates[-1]}.",
                (Used.of(o, value), *dict.fromkeys(Used(trial.iri, v) for trial, v in fitting)),
                (o.group, *(() if measure is None else (measure,)), *shown),
                key=(Used.of(o, value),),
            )


def _posted_by(trial: Thing, date: str) -> bool:
    """Whether a trial was registered by a date, which may be a month or a year; unknown dates count."""
    posted = trial.text(STROMA.firstPostedDate)
    digits = min(len(posted), len(date))
    return posted[:digits] <= date[:digits]


def _registered_set(o: Observation) -> bool:
    return o.measure in (
        STROMA.MeasureRegisteredTrialCount,
        STROMA.MeasureCompletedTrialCount,
        STROMA.MeasurePhaseCount,
    )


def _counted(measure: NamedNode | None, category: str) -> tuple[NamedNode, set[NamedNode]] | None:
    """Which fact of a record counts, and with which values; no values: any."""
    if measure == STROMA.MeasureRegisteredTrialCount and not category:
        return STROMA.hasStatus, set()
    if measure == STROMA.MeasureCompletedTrialCount:
        return STROMA.hasStatus, {STROMA.StatusCompleted}
    phases = {
        "phase 1": STROMA.Phase1, "phase 1/2": STROMA.Phase1Phase2, "phase 2": STROMA.Phase2,
        "phase 2/3": STROMA.Phase2Phase3, "phase 3": STROMA.Phase3,
    }  # fmt: skip
    if measure == STROMA.MeasurePhaseCount and category in phases:
        return STROMA.hasPhase, {phases[category]}
    return None


def status_against_record(reported: Reported) -> Iterator[Finding | None]:
    """A trial counted among trials of a status that its record does not show, or that others have too.

    A collection of trials that share a status (stroma:hasStatus of the collection), such as the completed
    trials of repeated doses, is held against the status of each member's record. Where the document counts
    its trials ("the only one"), the members it names and every other MSC trial in rheumatoid arthritis whose
    record has the status must not be more; of a collection of repeated doses, those with more than one dose.

    Left alone: collections without a status, members without a record, and counts that the records do not
    exceed: a record can be missing.

    Minor for a status, which time changes; major for a count that the records exceed.
    """
    for collection in reported.of_kind("collection"):
        for status in collection.all(STROMA.hasStatus):
            for member in collection.all(STROMA.hasMember):
                if isinstance(member.term, NamedNode):
                    yield from _member(reported, collection, status, member, reported.thing(member.term))
            yield from _counted_members(reported, collection, status)


def _member(
    reported: Reported, collection: Thing, status: Value, member: Value, trial: Thing
) -> Iterator[Finding | None]:
    recorded = _recorded(trial, STROMA.hasStatus)
    if not recorded:
        return
    if status.term in {value.term for value in recorded}:
        yield None
        return
    name, kind = trial.text(DCTERMS.identifier), reported.label(collection.iri)
    shown = ", ".join(dict.fromkeys(_shown(reported, value) for value in recorded))
    dates = ", ".join(sorted({value.text for value in _recorded(trial, STROMA.statusAsOf)}))
    yield Finding(
        "RegistryStatus",
        False,
        f"{name}: counted among {kind[0].lower()}{kind[1:]}; the registry shows {shown}",
        f"Status of {name} in the registry, as of {dates}: {shown}.",
        (Used(collection.iri, member), *(Used(trial.iri, value) for value in recorded)),
        (trial.iri, collection.iri),
        key=(Used(collection.iri, member),),
    )


def _counted_members(reported: Reported, collection: Thing, status: Value) -> Iterator[Finding | None]:
    repeated = any(
        value.number is not None and value.number > 1
        for regimen in collection.nodes(STROMA.hasIntervention)
        for value in reported.thing(regimen).all(STROMA.numberOfDosesLow)
    )
    fitting = [
        (trial, value, doses)
        for trial in reported.of_kind("trial")
        if STROMA.MSCTherapyForRAStudy in trial.types
        for value in _recorded(trial, STROMA.hasStatus)
        if value.term == status.term
        if (doses := _dose_counts(reported, trial)) or not repeated
    ]
    members = set(collection.nodes(STROMA.hasMember))
    others = [entry for entry in fitting if entry[0].iri not in members]
    trials = list(dict.fromkeys(trial.text(DCTERMS.identifier) for trial, _, _ in others))
    for o in reported.of_group.get(collection.iri, ()):
        value = o.get(STROMA.countValue)
        if o.level is not Level.STATED or value is None or value.number is None:
            continue
        if len(trials) + len(members) <= value.number:
            yield None
            continue
        named = ", ".join(
            reported.thing(member).text(DCTERMS.identifier) for member in sorted(members, key=str)
        )
        yield Finding(
            "RegistryStatus",
            True,
            f"{described(reported, o)}: {value.text} by the document ({named}); by the records there are "
            f"others: {', '.join(trials)}",
            f"By their records, {', '.join(trials)}: {_shown(reported, status)}"
            + (", with more than one dose." if repeated else "."),
            (
                Used.of(o, value),
                *(Used(trial.iri, v) for trial, v, _ in others),
                *dict.fromkeys(used for _, _, doses in others for used in doses),
            ),
            (collection.iri, *dict.fromkeys(trial.iri for trial, _, _ in others)),
            key=(Used.of(o, value),),
        )


def _dose_counts(reported: Reported, trial: Thing) -> tuple[Used, ...]:
    """The numbers of doses above one that a trial's records tell of its MSC regimens."""
    regimens = (
        regimen
        for arm in trial.nodes(STROMA.hasArm)
        for regimen in reported.thing(arm).nodes(STROMA.hasIntervention)
        if _gives_cells(reported, regimen)
    )
    return tuple(
        Used(regimen, value)
        for regimen in dict.fromkeys(regimens)
        for value in _recorded(reported.thing(regimen), STROMA.numberOfDoses)
        if value.number is not None and value.number > 1
    )


def _recorded(thing: Thing, predicate: NamedNode) -> list[Value]:
    return [value for value in thing.all(predicate) if value.level is Level.RECORDED]
