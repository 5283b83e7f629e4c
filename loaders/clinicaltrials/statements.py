"""A study as quads: the trial and everything that hangs on it.

Hides the IRIs and which node each statement is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyoxigraph import Literal, NamedNode, Quad

from kg.terms import DCTERMS, OBO, PROV, RDF, RDFS, STROMA, XSD, digest, expand, mint
from loaders import emit
from loaders.clinicaltrials import numbers, outcome_rules, therapy
from loaders.clinicaltrials.study import Comparison, Facts, Group, Location, Observed, Outcome, Study
from loaders.emit import Graph
from loaders.record import Record

_RA = OBO.MONDO_0008383
_MESH_RA = "D001172"
_IS_RA = re.compile(r"rheumatoid\s+arthritis|arthritis,?\s+rheumatoid", re.IGNORECASE)
_NOT_RA = re.compile(r"juvenile|without|non-?rheumatoid|excluding", re.IGNORECASE)

_KEY = (
    STROMA.forMeasure,
    STROMA.timepointMonths,
    STROMA.analysisSet,
    RDFS.label,
    STROMA.isSerious,
    STROMA.organSystem,
    STROMA.unit,
)


def quads(study: Study, record: Record, graph: Graph) -> Iterator[Quad]:
    """Every quad of one study."""
    trial = mint("trial", study.nct)
    source = mint("record", record.source, record.id)
    yield from _about(graph, trial, study.facts)
    for kind in study.classes:
        yield graph.quad(trial, RDF.type, kind)
    yield graph.quad(trial, DCTERMS.identifier, emit.string(study.nct))
    yield from registry_record(graph, trial, source, record, study.retrieved, study.facts)
    yield from _last_known_status(graph, trial, study)
    yield from _conditions(graph, trial, study)
    for organization in study.organizations:
        node = mint("organization", emit.slug(organization.name))
        yield graph.quad(trial, STROMA.hasSponsor if organization.lead else STROMA.hasCollaborator, node)
        yield from named_organization(graph, node, organization.name, organization.category)
    yield from _locations(graph, trial, study)
    yield from _references(graph, trial, study)
    yield from therapy.quads(study, graph, trial, source)
    outcomes = _Outcomes(study, graph, trial)
    yield from outcomes.planned()
    groups = _Groups(study, graph, trial)
    for observed in study.observations:
        if numbers.has_value(observed.facts):
            yield from _observation(graph, trial, study, observed, groups, outcomes)
    for comparison in study.comparisons:
        # A test within one group (against its own baseline) compares no groups.
        if len(comparison.groups) > 1 and numbers.has_value(comparison.facts):
            yield from _comparison(graph, trial, study, comparison, groups, outcomes)
    for (what, problem), times in study.unreadable.items():
        record.unreadable(what, problem, times)


def registry_record(
    graph: Graph,
    trial: NamedNode,
    node: NamedNode,
    record: Record,
    retrieved: Literal | None,
    facts: Facts,
) -> Iterator[Quad]:
    """The record the trial's statements come from, with its number of participants.

    Trial and record both carry the number: a plan and what became of it are told apart by the record's date.
    """
    yield graph.quad(trial, PROV.wasDerivedFrom, node)
    yield graph.quad(node, RDF.type, STROMA.RegistryRecord)
    yield graph.quad(node, DCTERMS.identifier, emit.string(record.id))
    yield graph.quad(node, STROMA.sha256, emit.string(record.sha256))
    if record.file:
        yield graph.quad(node, STROMA.recordFile, emit.string(record.file))
    if record.line is not None:
        yield graph.quad(node, STROMA.recordLine, Literal(str(record.line), datatype=XSD.integer))
    if retrieved is not None:
        yield graph.quad(node, STROMA.retrievedDate, retrieved)
    for prop, value in facts:
        if prop in (STROMA.enrollmentCount, STROMA.enrollmentType):
            yield graph.quad(node, prop, value)


def status_record(
    graph: Graph, trial: NamedNode, nct: str, status: NamedNode, as_of: Literal
) -> Iterator[Quad]:
    """A status as of one date, kept beside every other."""
    node = mint("record", "clinicaltrials", nct, "status", as_of.value)
    yield graph.quad(trial, STROMA.hasStatusRecord, node)
    yield graph.quad(node, RDF.type, STROMA.StatusRecord)
    yield graph.quad(node, STROMA.hasStatus, status)
    yield graph.quad(node, STROMA.statusAsOf, as_of)


def condition(graph: Graph, trial: NamedNode, label: str) -> Iterator[Quad]:
    """A condition by the registry's words; rheumatoid arthritis is typed with its public class."""
    node = mint("condition", emit.slug(label))
    yield graph.quad(trial, STROMA.studiesCondition, node)
    yield graph.quad(node, RDFS.label, emit.string(label))
    if _IS_RA.search(label) and not _NOT_RA.search(label):
        yield graph.quad(node, RDF.type, _RA)


def mesh_condition(graph: Graph, trial: NamedNode, mesh: str, heading: str) -> Iterator[Quad]:
    """A condition the registry gives by its MeSH id and heading."""
    node = mint("condition", emit.slug(heading))
    yield graph.quad(trial, STROMA.studiesCondition, node)
    yield graph.quad(node, RDFS.label, emit.string(heading))
    yield graph.quad(node, STROMA.meshId, emit.string(mesh))
    if mesh == _MESH_RA:
        yield graph.quad(node, RDF.type, _RA)


def named_organization(graph: Graph, node: NamedNode, name: str, category: str | None) -> Iterator[Quad]:
    """An organisation with its name and the registry's class of it."""
    yield graph.quad(node, RDF.type, expand("foaf:Organization"))
    yield graph.quad(node, RDFS.label, emit.string(name))
    if category:
        yield graph.quad(node, STROMA.organizationClass, emit.string(category))


def _about(graph: Graph, node: NamedNode, facts: Facts) -> Iterator[Quad]:
    for prop, value in facts:
        yield graph.quad(node, prop, value)


def _last_known_status(graph: Graph, trial: NamedNode, study: Study) -> Iterator[Quad]:
    """The dated statements behind the status: what the registry shows, and what the sponsor last said."""
    facts = dict(study.facts)
    shown, as_of = facts.get(STROMA.hasStatus), facts.get(STROMA.statusAsOf)
    if isinstance(shown, NamedNode) and isinstance(as_of, Literal):
        yield from status_record(graph, trial, study.nct, shown, as_of)
    if study.last_known_status is not None and study.verified is not None:
        yield from status_record(graph, trial, study.nct, study.last_known_status, study.verified)


def _conditions(graph: Graph, trial: NamedNode, study: Study) -> Iterator[Quad]:
    for label in study.conditions:
        yield from condition(graph, trial, label)
    for mesh, heading in study.meshes:
        yield from mesh_condition(graph, trial, mesh, heading)


def _locations(graph: Graph, trial: NamedNode, study: Study) -> Iterator[Quad]:
    for country in dict.fromkeys(place.country for place in study.locations):
        if country:
            yield graph.quad(trial, STROMA.inCountry, emit.string(country))
    for number, place in enumerate(study.locations, 1):
        yield from _location(graph, trial, mint("location", study.nct, number), place)


def _location(graph: Graph, trial: NamedNode, node: NamedNode, place: Location) -> Iterator[Quad]:
    label = place.facility or ", ".join(part for part in (place.city, place.state, place.country) if part)
    if not label:
        return
    yield graph.quad(trial, STROMA.hasLocation, node)
    yield graph.quad(node, RDF.type, STROMA.StudyLocation)
    yield graph.quad(node, RDFS.label, emit.string(label))
    for prop, value in (
        (STROMA.country, place.country),
        (STROMA.city, place.city),
        (STROMA.state, place.state),
    ):
        if value:
            yield graph.quad(node, prop, emit.string(value))


def _references(graph: Graph, trial: NamedNode, study: Study) -> Iterator[Quad]:
    for reference in study.references:
        yield from registry_reference(graph, trial, study.nct, reference.pmid, reference.type)


def registry_reference(
    graph: Graph, trial: NamedNode, nct: str, pmid: str, kind: str | None
) -> Iterator[Quad]:
    """A publication that the record names by its PubMed id, as `kind` (see `emit.reference`)."""
    node = emit.publication(pmid=pmid)
    yield from emit.reference(graph, trial, nct, node, kind)
    yield graph.quad(node, STROMA.pubmedId, emit.string(pmid))


class _Outcomes:
    """Planned and reported outcomes; the same words are one node."""

    def __init__(self, study: Study, graph: Graph, trial: NamedNode) -> None:
        self._study, self._graph, self._trial = study, graph, trial
        self._nodes: dict[tuple[str, str, str | None], NamedNode] = {}
        self._counts: dict[str, int] = {}

    def planned(self) -> Iterator[Quad]:
        """The outcomes of the protocol."""
        for outcome in self._study.outcomes:
            if (outcome.role, outcome.measure, outcome.time_frame) not in self._nodes:
                yield from self._write(outcome)

    def node(self, outcome: Outcome) -> tuple[NamedNode, list[Quad]]:
        """The node of a reported outcome, with its quads where the protocol did not name it."""
        key = (outcome.role, outcome.measure, outcome.time_frame)
        quads = [] if key in self._nodes else list(self._write(outcome))
        node = self._nodes[key]
        for prop, day in self._study.facts:
            if prop == STROMA.resultsPostedDate:
                quads.append(self._graph.quad(node, prop, day))
        return node, quads

    def _write(self, outcome: Outcome) -> Iterator[Quad]:
        self._counts[outcome.role] = number = self._counts.get(outcome.role, 0) + 1
        node = mint("outcome", self._study.nct, outcome.role, number)
        self._nodes[outcome.role, outcome.measure, outcome.time_frame] = node
        quad = self._graph.quad
        yield quad(self._trial, STROMA.hasPlannedOutcome, node)
        yield quad(node, RDF.type, STROMA.PlannedOutcome)
        yield quad(node, RDFS.label, emit.string(outcome.measure))
        yield quad(node, STROMA.outcomeRole, emit.string(outcome.role))
        if outcome.description:
            yield quad(node, DCTERMS.description, emit.string(outcome.description))
        if outcome.time_frame:
            yield quad(node, STROMA.timeFrameText, emit.string(outcome.time_frame))
            read = outcome_rules.months(outcome.time_frame)
            if not read:
                self._study.unreadable["time frame", "no month told"] += 1
            for months in read:
                yield quad(node, STROMA.timeFrameMonths, Literal(f"{months:f}", datatype=XSD.decimal))
        if measure := outcome_rules.measure(outcome.measure):
            yield quad(node, STROMA.forMeasure, measure)


class _Groups:
    """Groups of the results section: an arm where the title is an arm's label, else a group of its own."""

    def __init__(self, study: Study, graph: Graph, trial: NamedNode) -> None:
        self._study, self._graph, self._trial = study, graph, trial
        labels = [arm.label.casefold() for arm in study.arms]
        self._arms = {
            label: mint("arm", study.nct, number)
            for number, label in enumerate(labels, 1)
            if labels.count(label) == 1
        }
        self._written: set[NamedNode] = set()

    def node(self, group: Group) -> tuple[NamedNode, list[Quad]]:
        """The group's node, with its quads when it comes for the first time."""
        arm = self._arms.get(group.title.casefold())
        if arm is not None:
            return arm, []
        node = mint("group", self._study.nct, digest(group.title))
        if node in self._written:
            return node, []
        self._written.add(node)
        quad = self._graph.quad
        found = [
            quad(node, RDF.type, STROMA.PooledAnalysisGroup),
            quad(node, RDFS.label, emit.string(group.title)),
            quad(node, STROMA.pools, self._trial),
        ]
        if group.description:
            found.append(quad(node, DCTERMS.description, emit.string(group.description)))
        return node, found


def _observation(
    graph: Graph, trial: NamedNode, study: Study, observed: Observed, groups: _Groups, outcomes: _Outcomes
) -> Iterator[Quad]:
    about, quads = groups.node(observed.group)
    yield from quads
    node = mint("observation", study.nct, digest(*observed.key, observed.group.id))
    yield graph.quad(node, RDF.type, STROMA.OutcomeObservation)
    if observed.kind != STROMA.OutcomeObservation:
        yield graph.quad(node, RDF.type, observed.kind)
    yield graph.quad(node, STROMA.aboutArm, about)
    yield graph.quad(node, STROMA.producedByStudy, trial)
    yield from _about(graph, node, observed.facts)
    of = ""
    if observed.outcome is not None:
        outcome, quads = outcomes.node(observed.outcome)
        yield from quads
        yield graph.quad(node, STROMA.forOutcome, outcome)
        of = outcome.value
    parts = [about.value, of]
    # What tells two numbers of one group apart; equal keys with different values would be a discrepancy.
    for prop in _KEY:
        parts.append("|".join(sorted(value.value for found, value in observed.facts if found == prop)))
    yield graph.quad(node, STROMA.observationKey, emit.string(digest(*parts)))


def _comparison(
    graph: Graph, trial: NamedNode, study: Study, comparison: Comparison, groups: _Groups, outcomes: _Outcomes
) -> Iterator[Quad]:
    node = mint("comparison", study.nct, digest(*comparison.key))
    yield graph.quad(node, RDF.type, STROMA.GroupComparison)
    yield graph.quad(node, STROMA.producedByStudy, trial)
    for group in comparison.groups:
        about, quads = groups.node(group)
        yield from quads
        yield graph.quad(node, STROMA.comparesGroup, about)
    yield from _about(graph, node, comparison.facts)
    if comparison.outcome is not None:
        outcome, quads = outcomes.node(comparison.outcome)
        yield from quads
        yield graph.quad(node, STROMA.forOutcome, outcome)
        yield graph.quad(node, RDFS.label, emit.string(f"comparison of groups: {comparison.outcome.measure}"))
        if measure := outcome_rules.measure(comparison.outcome.measure):
            yield graph.quad(node, STROMA.forMeasure, measure)
