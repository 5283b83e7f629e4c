"""Our own tables of the registered RA trials (`records/*.tsv`) as quads, under the IRIs their records have.

Hides the columns: the tables have a row for each dated statement of a trial, each regimen of each arm, each
outcome, and each publication that a record names. Each compiled fact is a CuratedStatement with its
confidence and basis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import UnknownValue
from kg.terms import DCTERMS, OBO, PROV, RDF, RDFS, STROMA, mint
from loaders import emit
from loaders.claims import BY_CURATOR_FROM_DATABASE, asserts, rests_on
from loaders.clinicaltrials import codes, numbers, statements, therapy
from loaders.clinicaltrials.study import Facts
from loaders.emit import Graph
from loaders.record import Record

Code = TypeVar("Code", NamedNode, NamedNode | None)

# The 17 trials are members of the collection the source documents count.
COLLECTION = mint("collection", "registered-msc-ra-2024-01")

_TEXTS = (
    ("title", DCTERMS.title),
    ("official_title", STROMA.officialTitle),
    ("phase", STROMA.phaseText),
    ("status", STROMA.statusText),
    ("allocation", STROMA.allocationText),
    ("model", STROMA.interventionModelText),
    ("masking", STROMA.maskingText),
    ("purpose", STROMA.primaryPurposeText),
    ("study_type", STROMA.studyType),
    ("enrollment_type", STROMA.enrollmentType),
    ("start_type", STROMA.startDateType),
    ("primary_completion_type", STROMA.primaryCompletionDateType),
    ("completion_type", STROMA.completionDateType),
    ("sex", STROMA.eligibleSex),
)
_CODES = (
    ("phase", "phase", STROMA.hasPhase),
    ("status", "status", STROMA.hasStatus),
    ("allocation", "allocation", STROMA.hasAllocation),
    ("model", "model", STROMA.hasInterventionModel),
    ("masking", "masking", STROMA.hasMasking),
    ("purpose", "purpose", STROMA.hasPrimaryPurpose),
)
_DATES = (
    ("status_as_of", STROMA.statusAsOf),
    ("start_date", STROMA.startDate),
    ("primary_completion_date", STROMA.primaryCompletionDate),
    ("completion_date", STROMA.completionDate),
    ("first_posted", STROMA.firstPostedDate),
    ("last_update", STROMA.lastUpdateDate),
    ("results_posted", STROMA.resultsPostedDate),
)
_CONFIDENCE = {
    "high": STROMA.ConfidenceHigh,
    "medium-high": STROMA.ConfidenceMediumHigh,
    "medium": STROMA.ConfidenceMedium,
}
# How sure it is which measures an outcome is; None: the ontology has no measure that fits.
_STATUS = {"checked": STROMA.ConfidenceHigh, "to review": STROMA.ConfidenceMedium, "no measure": None}
_KINDS = {
    "cells": STROMA.CellTherapyProduct,
    "vesicles": STROMA.CellFreeProduct,
    "placebo": STROMA.PlaceboProduct,
    "drug": STROMA.DrugProduct,
}


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """The statements of one row; raises UnknownValue or BadValue naming row and column."""
    row = _Row(record, graph)
    if record.count("reference_type"):
        yield from row.reference()
    elif record.count("outcome"):
        yield from row.outcome()
    else:
        yield from row.arm() if record.count("regimen") or record.count("arm") else row.trial()


class _Row:
    """One row, its trial and the record its statements come from."""

    def __init__(self, record: Record, graph: Graph) -> None:
        self._record, self._graph = record, graph
        record.take("record")
        self._nct = record.require("nct")
        self._trial = mint("trial", self._nct)

    def trial(self) -> Iterator[Quad]:
        """A dated statement of a trial."""
        record, graph, trial = self._record, self._graph, self._trial
        facts = self._trial_facts()
        for prop, value in facts:
            yield graph.quad(trial, prop, value)
        yield graph.quad(trial, DCTERMS.identifier, emit.string(self._nct))
        kind = record.text("study_type")
        if kind is not None:
            codes.word("studytype", record, "study_type", kind)
            yield graph.quad(trial, RDF.type, OBO.OBI_0003699)
            if record.text("allocation") == "Randomized":
                yield graph.quad(trial, RDF.type, OBO.OBI_0004001)
        source = mint("record", record.source, record.id)
        retrieved = self._date("status_as_of")
        yield from statements.registry_record(graph, trial, source, record, retrieved, facts)
        for status_field, date_field in (
            ("status", "status_as_of"),
            ("last_known_status", "last_known_as_of"),
        ):
            status, as_of = record.text(status_field), self._date(date_field)
            if status and as_of is not None:
                term = codes.code("status", record, status_field, status)
                yield from statements.status_record(graph, trial, self._nct, term, as_of)
        yield from self._surroundings()
        yield from self._membership(source)

    def _trial_facts(self) -> Facts:
        record = self._record
        facts: Facts = []
        for name, prop in _TEXTS:
            if text := record.text(name):
                facts.append((prop, emit.string(text)))
        for name, kind, prop in _CODES:
            if text := record.text(name):
                facts.append((prop, codes.code(kind, record, name, text)))
        for name, prop in _DATES:
            if (day := self._date(name)) is not None:
                facts.append((prop, day))
        if count := record.text("enrollment"):
            facts.append((STROMA.enrollmentCount, emit.integer(record, "enrollment", count)))
        for name, prop in (("minimum_age", STROMA.minimumAgeYears), ("maximum_age", STROMA.maximumAgeYears)):
            if years := record.text(name):
                facts.append((prop, emit.decimal(record, name, years)))
        return facts

    def _surroundings(self) -> Iterator[Quad]:
        """Conditions, organisations and countries."""
        record, graph, trial = self._record, self._graph, self._trial
        for label in self._list("conditions"):
            yield from statements.condition(graph, trial, label)
        for text in self._list("mesh"):
            mesh, _, heading = text.partition(" ")
            yield from statements.mesh_condition(graph, trial, mesh, heading)
        for name, prop in (("sponsor", STROMA.hasSponsor), ("collaborators", STROMA.hasCollaborator)):
            category = record.text("sponsor_class") if name == "sponsor" else None
            for organization in self._list(name):
                node = mint("organization", emit.slug(organization))
                yield graph.quad(trial, prop, node)
                yield from statements.named_organization(graph, node, organization, category)
        for country in self._list("countries"):
            yield graph.quad(trial, STROMA.inCountry, emit.string(country))

    def _membership(self, source: NamedNode) -> Iterator[Quad]:
        """That the trial is one of the 17, with what speaks for it and what could not be checked."""
        claim = mint("claim", "curated", self._record.id)
        yield from self._statement(claim, source, STROMA.TopicTrialRegistry)
        yield from asserts(self._graph, claim, COLLECTION, STROMA.hasMember, self._trial)
        for field in self._list("unverified"):
            yield self._graph.quad(claim, STROMA.unverifiedField, emit.string(field))

    # --------------------------------------------------------------------------------- arms and regimens

    def arm(self) -> Iterator[Quad]:
        """An arm and one regimen it gets; a row without an arm is a regimen the trial tests."""
        record, graph = self._record, self._graph
        arm = None
        if number := record.text("arm"):
            arm = mint("arm", self._nct, number)
            yield graph.quad(self._trial, STROMA.hasArm, arm)
            yield graph.quad(arm, RDF.type, STROMA.TrialArm)
            yield graph.quad(arm, RDFS.label, emit.string(record.require("arm_label")))
            if text := record.text("arm_type"):
                yield graph.quad(arm, STROMA.hasArmType, codes.code("armtype", record, "arm_type", text))
                yield graph.quad(arm, STROMA.armTypeText, emit.string(text))
        key = record.text("regimen")
        if key is None:
            return
        regimen = mint("regimen", self._nct, *key.split("/"))
        product = mint("product", self._nct, record.require("intervention"))
        if arm is None:
            yield graph.quad(self._trial, STROMA.testsIntervention, regimen)
        else:
            yield graph.quad(arm, STROMA.hasIntervention, regimen)
        name = record.require("name")
        yield graph.quad(regimen, RDF.type, STROMA.InterventionRegimen)
        yield graph.quad(regimen, RDFS.label, emit.string(name))
        yield graph.quad(regimen, STROMA.administers, product)
        if text := record.text("type"):
            word = codes.word("interventiontype", record, "type", text)
            yield graph.quad(regimen, STROMA.interventionType, emit.string(word))
        kind = self._choose("kind", _KINDS)
        drug_kind = therapy.drug_class(name) if kind == STROMA.DrugProduct else None
        yield graph.quad(product, RDF.type, drug_kind or kind)
        yield graph.quad(product, RDFS.label, emit.string(name))
        if drug := record.text("co_medication"):
            if arm is None:
                raise record.bad("co_medication", drug, "needs an arm")
            other = mint("product", self._nct, record.require("intervention"), "co-medication")
            yield graph.quad(arm, STROMA.hasCoMedication, other)
            yield graph.quad(other, RDF.type, STROMA(drug))
            yield graph.quad(other, RDFS.label, emit.string(f"co-medication in: {name}"))
        yield from self._curated(product, regimen)

    def _curated(self, product: NamedNode, regimen: NamedNode) -> Iterator[Quad]:
        """What was read or compiled of product and regimen, as curated statements."""
        record = self._record
        source = mint("record", record.source, self._nct)
        of_product: Facts = []
        if record.text("kind") == "cells":
            of_product.append((OBO.RO_0002248, STROMA.CellMesenchymalStem))
        if tissue := record.text("tissue"):
            of_product.append((STROMA.hasTissueSource, STROMA("Tissue" + tissue)))
        of_regimen: Facts = [(STROMA.hasRoute, STROMA("Route" + route)) for route in self._list("routes")]
        if donor := record.text("donor"):
            of_regimen.append((STROMA.hasDonorRelation, STROMA("Donor" + donor)))
        for name, prop in (
            ("dose_amount", STROMA.doseAmount),
            ("dose_low", STROMA.doseLow),
            ("dose_high", STROMA.doseHigh),
            ("interval_days", STROMA.doseInterval),
        ):
            if text := record.text(name):
                of_regimen.append((prop, emit.decimal(record, name, text)))
        if text := record.text("dose_unit"):
            of_regimen.append((STROMA.doseUnit, emit.string(text)))
        if text := record.text("doses"):
            of_regimen.append((STROMA.numberOfDoses, emit.integer(record, "doses", text)))
        for part, subject, facts in (("product", product, of_product), ("regimen", regimen, of_regimen)):
            if not facts:
                continue
            claim = mint("claim", "curated", record.id, part)
            topic = STROMA.TopicMscSource if part == "product" else STROMA.TopicDosing
            yield from self._statement(claim, source, topic)
            for prop, value in facts:
                yield from asserts(self._graph, claim, subject, prop, value)

    # ------------------------------------------------------------------------- outcomes and references

    def outcome(self) -> Iterator[Quad]:
        """An outcome the record names, as it names it, and which measures it is, as curators read it."""
        record, quad = self._record, self._graph.quad
        role = codes.word("outcomerole", record, "role", record.require("role"))
        node = mint("outcome", self._nct, role, record.require("number"))
        yield quad(self._trial, STROMA.hasPlannedOutcome, node)
        yield quad(node, RDF.type, STROMA.PlannedOutcome)
        yield quad(node, RDFS.label, emit.string(record.require("outcome")))
        yield quad(node, STROMA.outcomeRole, emit.string(role))
        if text := record.text("time_frame"):
            yield quad(node, STROMA.timeFrameText, emit.string(text))
        if (posted := self._date("results_posted")) is not None:
            yield quad(node, STROMA.resultsPostedDate, posted)
        if note := record.text("note"):
            yield quad(node, STROMA.curatorNote, emit.lang(note, "en"))
        facts: Facts = [(STROMA.forMeasure, STROMA(name)) for name in self._list("measures")]
        facts += [
            (STROMA.timeFrameMonths, emit.decimal(record, "months", text)) for text in self._list("months")
        ]
        confidence = self._choose("status", _STATUS)
        if confidence is None:
            facts = [fact for fact in facts if fact[0] != STROMA.forMeasure]
        if not facts:
            record.take("basis")  # nothing was read that could rest on it
            return
        claim = mint("claim", "curated", record.id)
        source = mint("record", record.source, self._nct)
        yield from self._statement(
            claim, source, STROMA.TopicTrialRegistry, confidence or STROMA.ConfidenceHigh
        )
        for prop, value in facts:
            yield from asserts(self._graph, claim, node, prop, value)

    def reference(self) -> Iterator[Quad]:
        """A publication that the record names."""
        record = self._record
        kind = codes.word("reference", record, "reference_type", record.require("reference_type"))
        pmid = numbers.pmid(record, "pmid", record.require("pmid"))
        yield from statements.registry_reference(self._graph, self._trial, self._nct, pmid, kind)

    # -------------------------------------------------------------------------------------------- cells

    def _statement(
        self, claim: NamedNode, source: NamedNode, topic: NamedNode, confidence: NamedNode | None = None
    ) -> Iterator[Quad]:
        quad = self._graph.quad
        confidence = confidence or self._choose("confidence", _CONFIDENCE)
        yield quad(claim, RDF.type, STROMA.CuratedStatement)
        yield from rests_on(self._graph, claim, STROMA.LevelCurated, BY_CURATOR_FROM_DATABASE)
        yield quad(claim, STROMA.confidence, confidence)
        yield quad(claim, STROMA.basis, emit.string(self._record.require("basis")))
        yield quad(claim, STROMA.modality, STROMA.ModalityAsserted)
        yield quad(claim, STROMA.hasTopic, topic)
        yield quad(claim, PROV.wasDerivedFrom, source)

    def _choose(self, name: str, table: Mapping[str, Code]) -> Code:
        text = self._record.require(name)
        if text not in table:
            raise UnknownValue(
                f"is none of {', '.join(table)}",
                value=text,
                advice="Mend the table",
                **self._record.place(name),
            )
        return table[text]

    def _list(self, name: str) -> list[str]:
        text = self._record.text(name)
        return [item.strip() for item in text.split(";")] if text else []

    def _date(self, name: str) -> Literal | None:
        text = self._record.text(name)
        return emit.date(self._record, name, text) if text else None
