"""Interventions and arms as products and regimens, with what the text rules read of them.

Hides which text is asked first and how far each is trusted: an intervention's own name before its
description, its arm's text before the titles of the whole study.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

from pyoxigraph import Literal, NamedNode, Quad

from kg.terms import DCTERMS, OBO, PROV, RDF, RDFS, STROMA, XSD, digest, mint
from loaders import emit
from loaders.claims import BY_PATTERN, asserts, rests_on
from loaders.clinicaltrials import dosing_rules, text_rules
from loaders.clinicaltrials.study import Arm, Intervention, Study, Term
from loaders.emit import Graph

_INGREDIENT = OBO.RO_0002248
# Drugs whose exemplars the ontology has, by the words a registry uses.
_SUBSTANCES = tuple(
    (re.compile(pattern, re.IGNORECASE), STROMA("Substance" + name))
    for pattern, name in (
        (r"interferon[\s-]*(gamma|γ)|\bIFN-?[\s-]?(gamma|γ|g)\b", "InterferonGamma"),
        (r"\bprednisone\b", "Prednisone"),
        (r"\bprednisolone\b(?<!methylprednisolone)", "Prednisolone"),
        (r"methyl-?prednisolone|solu-?medrol", "Methylprednisolone"),
        (r"\bdexamethasone\b", "Dexamethasone"),
        (r"\bmethotrexate\b|\bMTX\b", "Methotrexate"),
        (r"\bleflunomide\b", "Leflunomide"),
        (r"\bsul(f|ph)asalazine\b", "Sulfasalazine"),
        (r"\bhydroxychloroquine\b", "Hydroxychloroquine"),
        (r"\biguratimod\b", "Iguratimod"),
        (r"\btripterygium", "TripterygiumGlycosides"),
        (r"\btofacitinib\b", "Tofacitinib"),
        (r"\bbaricitinib\b", "Baricitinib"),
        (r"\bupadacitinib\b", "Upadacitinib"),
        (r"\badalimumab\b|\bhumira\b", "Adalimumab"),
        (r"\binfliximab\b", "Infliximab"),
        (r"\btocilizumab\b", "Tocilizumab"),
        (r"\brituximab\b", "Rituximab"),
        (r"\babatacept\b", "Abatacept"),
        (r"\betanercept\b", "Etanercept"),
        (r"\banakinra\b", "Anakinra"),
        (r"\bc[iy]closporine?( A)?\b", "Ciclosporin"),
        (r"\btacrolimus\b", "Tacrolimus"),
        (r"\bazathioprine\b", "Azathioprine"),
        (r"\bcyclophosphamide\b", "Cyclophosphamide"),
        (r"\bmycophenolate\b|\bMMF\b", "MycophenolateMofetil"),
        (r"\bibuprofen\b", "Ibuprofen"),
        (r"\bdiclofenac\b", "Diclofenac"),
        (r"\bcelecoxib\b", "Celecoxib"),
        (r"\bnaproxen\b", "Naproxen"),
    )
)
# Groups of drugs that stand in the name of an intervention without naming a drug.
_CLASSES = (
    (re.compile(r"\bDMARDs?\b|disease[\s-]modifying", re.IGNORECASE), STROMA.DMARDProduct),
    (re.compile(r"\bNSAIDs?\b", re.IGNORECASE), STROMA.NSAIDProduct),
)
# A name that may stand for the cells which the description or the title tells of.
_OPEN_NAME = re.compile(
    r"\bcells?\b|transplant|infusion|injection|treatment|therapy|administration|cohort|group|dose|level|\barm\b"
    r"|^[A-Z][\w®™-]*(?: (?:inj(?:ection)?\.?|infusion))?$|^[A-Z]{2,}[\w-]*\d",
    re.IGNORECASE,
)
_PLACEBO = re.compile(r"placebo|saline|sham|vehicle|NaCl|sodium chloride|ringer", re.IGNORECASE)
_NO_CELLS = re.compile(r"placebo|saline|vehicle|sham|\bno\b|without", re.IGNORECASE)
_COMBINED = re.compile(r"\+|\bplus\b|\bwith\b|\band\b|combin", re.IGNORECASE)
_CELL_TYPES = {"Biological", "Genetic", "Drug", "Combination Product", "Other", "Procedure", None}
_LEVELS = ("High", "MediumHigh", "Medium")
_TOPICS = {
    _INGREDIENT: STROMA.TopicMscSource,
    STROMA.hasTissueSource: STROMA.TopicMscSource,
    STROMA.hasDonorRelation: STROMA.TopicMscSource,
    STROMA.hasRoute: STROMA.TopicRoute,
}


@dataclass(frozen=True)
class Text:
    """A text of the record, the field it stands in, and how far a reading of it is trusted (0 is best)."""

    field: str
    text: str
    level: int


@dataclass(frozen=True)
class Found:
    """What one rule read: the edges it states about a product or regimen, and its words."""

    edges: tuple[tuple[NamedNode, Term], ...]
    rule: str
    words: str
    source: Text

    @property
    def confidence(self) -> NamedNode:
        """One step lower where a superscript had to be restored."""
        lower = 1 if self.rule == "dose-with-lost-superscript" else 0
        return STROMA("Confidence" + _LEVELS[min(self.source.level + lower, 2)])


@dataclass(frozen=True)
class Schedule:
    """What texts say of giving a product; `doses` are alternatives, one regimen each."""

    doses: tuple[Found, ...] = ()
    count: Found | None = None
    interval: Found | None = None
    routes: tuple[Found, ...] = ()
    donor: Found | None = None


@dataclass(frozen=True)
class Regimen:
    """One regimen to write: its node, the tail of its label, and what was read of it."""

    node: NamedNode
    variant: str
    found: tuple[Found, ...]


def quads(study: Study, graph: Graph, trial: NamedNode, record: NamedNode) -> Iterator[Quad]:
    """Products, regimens, arms and the extractions behind them."""
    writer = _Writer(study, graph, trial, record)
    yield from writer.products()
    yield from writer.arms()


class _Writer:
    """The quads of one study's therapy."""

    def __init__(self, study: Study, graph: Graph, trial: NamedNode, record: NamedNode) -> None:
        self._study, self._graph, self._trial, self._record = study, graph, trial, record
        self._titles = [
            Text(name, title, 2)
            for name, title in zip(("briefTitle", "officialTitle"), study.titles, strict=False)
        ]
        self._kinds = [self._kind(n) for n in range(len(study.interventions))]
        self._schedules: dict[int, Schedule] = {}
        self._written: set[str] = set()

    # ------------------------------------------------------------------------------------- products

    def _kind(self, n: int) -> tuple[str, Found | None]:
        """What an intervention is: cells, vesicles, placebo, drug or other; for cells and vesicles, why."""
        item = self._study.interventions[n]
        if text_rules.is_inert(item.name):
            return ("placebo" if _PLACEBO.search(item.name) else "other"), None
        texts = [t for t in _texts(item) if t.field != "interventions.description"]
        for text in texts:
            if words := text_rules.vesicle_words(text.text):
                return "vesicles", _ingredient(text, STROMA.CellExtracellularVesicle, words)
            if words := text_rules.msc_words(text.text):
                return "cells", _ingredient(text, STROMA.CellMesenchymalStem, words)
        if substances(item.name) or drug_class(item.name):
            return "drug", None
        if (
            item.type in _CELL_TYPES
            and _OPEN_NAME.search(item.name)
            and not text_rules.is_other_product(item.name)
        ):
            for text in [t for t in _texts(item) if t.field == "interventions.description"] + self._only_one(
                n
            ):
                if words := text_rules.msc_words(text.text):
                    found = Text(text.field, text.text, max(text.level, 1))
                    return "cells", _ingredient(found, STROMA.CellMesenchymalStem, words)
        return ("drug" if item.type == "Drug" else "other"), None

    def _only_one(self, n: int) -> list[Text]:
        """The titles, when this is the study's only intervention that is not a control."""
        active = [i for i in self._study.interventions if not text_rules.is_inert(i.name)]
        biological = self._study.interventions[n].type in ("Biological", "Genetic", "Drug")
        return self._titles if len(active) == 1 and biological else []

    def products(self) -> Iterator[Quad]:
        for n, (item, (kind, why)) in enumerate(zip(self._study.interventions, self._kinds, strict=True), 1):
            product = mint("product", self._study.nct, n)
            if kind == "other":
                continue
            yield self._graph.quad(product, RDFS.label, emit.string(item.name))
            if kind == "placebo":
                yield self._graph.quad(product, RDF.type, STROMA.PlaceboProduct)
            elif kind == "drug":
                yield self._graph.quad(product, RDF.type, drug_class(item.name) or STROMA.DrugProduct)
                for substance in substances(item.name):
                    yield self._graph.quad(product, _INGREDIENT, substance)
            else:
                cells = kind == "cells"
                yield self._graph.quad(
                    product, RDF.type, STROMA.CellTherapyProduct if cells else STROMA.CellFreeProduct
                )
                if why is not None:
                    yield from self._extraction(product, why)
                if tissue := self._tissue(n - 1):
                    yield from self._extraction(product, tissue)

    def _tissue(self, n: int) -> Found | None:
        arms = [
            Text("armGroups.description", text, 1)
            for arm in self._study.arms if self._cells_of(arm) == [n]
            for text in (arm.label, arm.description) if text
        ]  # fmt: skip
        for text in [*_texts(self._study.interventions[n]), *arms, *self._titles]:
            readings = text_rules.tissues(text.text)
            if len(readings) == 1:
                return _found([(STROMA.hasTissueSource, readings[0].value)], readings[0], text)
            if readings:
                self._study.unreadable["tissue", f"several in {text.field}"] += 1
        self._study.unreadable["tissue", "in no text of the product, its arms or the titles"] += 1
        return None

    # -------------------------------------------------------------------------- arms and regimens

    def arms(self) -> Iterator[Quad]:
        linked = {n for arm in self._study.arms for n in arm.interventions}
        for number, arm in enumerate(self._study.arms, 1):
            node = mint("arm", self._study.nct, number)
            quad = self._graph.quad
            yield quad(self._trial, STROMA.hasArm, node)
            yield quad(node, RDF.type, STROMA.TrialArm)
            yield quad(node, RDFS.label, emit.string(arm.label))
            if arm.description:
                yield quad(node, DCTERMS.description, emit.string(arm.description))
            for prop, value in arm.facts:
                yield quad(node, prop, value)
            for n in dict.fromkeys(arm.interventions):
                if self._kinds[n][0] in ("cells", "vesicles") and _gets_placebo(arm):
                    continue
                for regimen in self._regimens(n, arm, number):
                    yield quad(node, STROMA.hasIntervention, regimen.node)
                    yield from self._regimen(n, regimen)
            if self._cells_of(arm):
                for n in arm.interventions:
                    if self._kinds[n][0] == "drug":
                        yield quad(node, STROMA.hasCoMedication, mint("product", self._study.nct, n + 1))
                    elif self._kinds[n][0] == "cells":
                        yield from self._combined(node, n)
        # Where the record does not tell which arm has an intervention, the trial itself tests it.
        for n in range(len(self._study.interventions)):
            if n not in linked:
                for regimen in self._regimens(n, None, 0):
                    yield self._graph.quad(self._trial, STROMA.testsIntervention, regimen.node)
                    yield from self._regimen(n, regimen)

    def _cells_of(self, arm: Arm) -> list[int]:
        return [n for n in arm.interventions if self._kinds[n][0] in ("cells", "vesicles")]

    def _combined(self, arm: NamedNode, n: int) -> Iterator[Quad]:
        """Drugs inside the name of a cell intervention ("UC-MSC + DMARDs") are co-medication."""
        name = self._study.interventions[n].name
        drug = drug_class(name)
        found = substances(name)
        if not _COMBINED.search(name) or not (drug or found):
            return
        product = mint("product", self._study.nct, n + 1, "co-medication")
        yield self._graph.quad(arm, STROMA.hasCoMedication, product)
        yield self._graph.quad(product, RDF.type, drug or STROMA.DrugProduct)
        yield self._graph.quad(product, RDFS.label, emit.string(f"co-medication in: {name}"))
        for substance in found:
            yield self._graph.quad(product, _INGREDIENT, substance)

    def _regimens(self, n: int, arm: Arm | None, number: int) -> list[Regimen]:
        """The regimens of an intervention in an arm: one, or one for each dose level."""
        base: list[str | int] = [self._study.nct, n + 1]
        kind = self._kinds[n][0]
        if kind not in ("cells", "vesicles"):
            return [Regimen(mint("regimen", *base), "", ())]
        used = own = self._own_schedule(n)
        if arm is not None and self._cells_of(arm) == [n] and not _is_control(arm):
            texts = [
                Text("armGroups.label", arm.label, 1),
                Text("armGroups.description", arm.description or "", 1),
            ]
            used = _merged(own, _schedule(texts), self._titled)
            if _edges(used) != _edges(own):
                base.append(f"arm-{number}")
        self._note(used, vesicles=kind != "cells")
        doses = used.doses if kind == "cells" else ()
        # One dose has no interval: then one of the two was misread.
        once = used.count is not None and (STROMA.numberOfDoses, dosing_rules.ONCE) in used.count.edges
        times = [used.count, None if once else used.interval] if kind == "cells" else []
        common = [*used.routes, used.donor, *times]
        shared = tuple(found for found in common if found is not None)
        if len(doses) < 2:
            return [Regimen(mint("regimen", *base), "", doses + shared)]
        return [
            Regimen(mint("regimen", *base, f"dose-{rank}"), f": {dose.words}", (dose, *shared))
            for rank, dose in enumerate(doses, 1)
        ]

    @cached_property
    def _titled(self) -> Schedule:
        return _schedule(self._titles)

    def _own_schedule(self, n: int) -> Schedule:
        """What an intervention's own texts say, and where they are silent the titles; read once."""
        if n not in self._schedules:
            own, titles = _schedule(_texts(self._study.interventions[n])), self._titled
            # "Two doses of ..." in a title are as often two dose levels.
            once = titles.count if titles.count and titles.count.rule == "single-dose" else None
            self._schedules[n] = replace(
                own,
                routes=own.routes or titles.routes,
                donor=own.donor or titles.donor,
                count=own.count or once,
            )
        return self._schedules[n]

    def _note(self, schedule: Schedule, *, vesicles: bool) -> None:
        """What no text of an arm's regimen told."""
        told = {"route": schedule.routes, "donor": schedule.donor}
        if not vesicles:
            told |= {"dose": schedule.doses, "number of doses": schedule.count, "interval": schedule.interval}
        for what, found in told.items():
            if not found:
                self._study.unreadable[what, "in no text of the intervention, its arm or the titles"] += 1

    def _regimen(self, n: int, regimen: Regimen) -> Iterator[Quad]:
        if regimen.node.value in self._written:
            return
        self._written.add(regimen.node.value)
        item, quad = self._study.interventions[n], self._graph.quad
        yield quad(regimen.node, RDF.type, STROMA.InterventionRegimen)
        yield quad(regimen.node, RDFS.label, emit.string(item.name + regimen.variant))
        if item.type:
            yield quad(regimen.node, STROMA.interventionType, emit.string(item.type))
        if item.description:
            yield quad(regimen.node, DCTERMS.description, emit.string(item.description))
        if self._kinds[n][0] != "other":
            yield quad(regimen.node, STROMA.administers, mint("product", self._study.nct, n + 1))
        for found in regimen.found:
            yield from self._extraction(regimen.node, found)

    def _extraction(self, subject: NamedNode, found: Found) -> Iterator[Quad]:
        """The facts, and the extraction that says which rule read them from which words."""
        keys = [str(part) for edge in found.edges for part in edge]
        node = mint("claim", "extraction", self._study.nct, digest(str(subject), *keys))
        quad = self._graph.quad
        yield quad(node, RDF.type, STROMA.Extraction)
        yield from rests_on(self._graph, node, STROMA.LevelExtracted, BY_PATTERN)
        for prop, value in found.edges:
            yield from asserts(self._graph, node, subject, prop, value)
        yield quad(node, STROMA.inField, emit.string(found.source.field))
        yield quad(node, STROMA.matchedText, emit.string(found.words))
        yield quad(node, STROMA.extractionRule, emit.string(found.rule))
        yield quad(node, STROMA.confidence, found.confidence)
        yield quad(node, STROMA.modality, STROMA.ModalityAsserted)
        yield quad(node, STROMA.hasTopic, _TOPICS.get(found.edges[0][0], STROMA.TopicDosing))
        yield quad(node, PROV.wasDerivedFrom, self._record)


def _texts(item: Intervention) -> list[Text]:
    texts = [Text("interventions.name", item.name, 0)]
    if item.other_names:
        texts.append(Text("interventions.otherNames", "; ".join(item.other_names), 0))
    if item.description:
        texts.append(Text("interventions.description", item.description, 0))
    return texts


def _ingredient(text: Text, cell: NamedNode, words: str) -> Found:
    rule = "cells-by-name" if cell == STROMA.CellMesenchymalStem else "vesicles-by-name"
    return Found(((_INGREDIENT, cell),), rule, words, text)


def _found(
    edges: list[tuple[NamedNode, Term]], reading: text_rules.Reading | dosing_rules.Dose, text: Text
) -> Found:
    return Found(tuple(edges), reading.rule, reading.words, text)


def _schedule(texts: list[Text]) -> Schedule:
    """What the first text that tells says of each: dose, number, interval, routes, donor."""
    doses: tuple[Found, ...] = ()
    count = interval = donor = None
    routes: tuple[Found, ...] = ()
    for text in texts:
        if not doses:
            doses = tuple(_found(_dose_edges(dose), dose, text) for dose in dosing_rules.doses(text.text))
        if count is None and (reading := dosing_rules.number_of_doses(text.text)):
            count = _found([(STROMA.numberOfDoses, reading.value)], reading, text)
        if interval is None and (reading := dosing_rules.interval(text.text)):
            interval = _found([(STROMA.doseInterval, reading.value)], reading, text)
        if not routes:
            routes = tuple(
                _found([(STROMA.hasRoute, r.value)], r, text) for r in text_rules.routes(text.text)
            )
        if donor is None and (reading := text_rules.donor(text.text)):
            donor = _found([(STROMA.hasDonorRelation, reading.value)], reading, text)
    return Schedule(doses, count, interval, routes, donor)


def _merged(own: Schedule, arm: Schedule, titles: Schedule) -> Schedule:
    """An arm's words are nearer to what it gets than those of an intervention several arms share."""
    narrower = {found.edges for found in arm.doses} < {found.edges for found in own.doses}
    titled = own.routes == titles.routes and arm.routes
    return Schedule(
        doses=arm.doses if arm.doses and (not own.doses or narrower) else own.doses,
        count=own.count if arm.count is None or _same(own.count, arm.count) else arm.count,
        interval=own.interval if arm.interval is None or _same(own.interval, arm.interval) else arm.interval,
        routes=arm.routes if titled or not own.routes else own.routes,
        donor=own.donor or arm.donor,
    )


def _same(one: Found | None, other: Found) -> bool:
    return one is not None and one.edges == other.edges


def _edges(schedule: Schedule) -> list[object]:
    """What a schedule states, without the words it was read from."""
    found = [*schedule.doses, schedule.count, schedule.interval, *schedule.routes, schedule.donor]
    return [None if item is None else item.edges for item in found]


def _dose_edges(dose: dosing_rules.Dose) -> list[tuple[NamedNode, Term]]:
    unit = (STROMA.doseUnit, emit.string(dose.unit))
    if dose.high is None:
        return [(STROMA.doseAmount, _decimal(dose.low)), unit]
    return [(STROMA.doseLow, _decimal(dose.low)), (STROMA.doseHigh, _decimal(dose.high)), unit]


def _decimal(value: Decimal) -> Literal:
    return Literal(f"{value:f}", datatype=XSD.decimal)


def _is_control(arm: Arm) -> bool:
    controls = (STROMA.ArmTypePlaceboComparator, STROMA.ArmTypeShamComparator, STROMA.ArmTypeNoIntervention)
    return any((STROMA.hasArmType, control) in arm.facts for control in controls)


def _gets_placebo(arm: Arm) -> bool:
    """Whether an arm listed under the cells is in truth given their placebo (NCT04170426, third arm)."""
    texts = f"{arm.label} {arm.description or ''}"
    return _is_control(arm) and _NO_CELLS.search(texts) is not None


def substances(text: str) -> list[NamedNode]:
    """The drugs a name names, as exemplars."""
    return [term for pattern, term in _SUBSTANCES if pattern.search(text)]


def drug_class(text: str) -> NamedNode | None:
    """The class of drugs a name names without naming a drug ("DMARDs")."""
    return next((term for pattern, term in _CLASSES if pattern.search(text)), None)
