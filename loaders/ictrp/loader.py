"""WHO ICTRP export: trials of all registries in one flat form.

Hides how ChiCTR packs arms, sizes and interventions into one line each, and the one rule by which an
intervention is read as an MSC product (with the matched words beside it).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import UnknownValue
from kg.parts import SourceInfo, Unit
from kg.terms import DCTERMS, OBO, PROV, RDF, RDFS, STROMA, XSD, expand, mint
from loaders import privacy
from loaders.claims import BY_PATTERN, asserts, rests_on
from loaders.emit import Graph, date, integer, slug, string
from loaders.ictrp import read as reading
from loaders.ictrp import words
from loaders.record import Record

_ORGANIZATION = expand("foaf:Organization")
_RHEUMATOID_ARTHRITIS = expand("MONDO:0008383")
_HAS_ACTIVE_INGREDIENT = OBO("RO_0002248")

_TYPED_INTERVENTION = re.compile(
    r";?\s*\b(Behavioral|Biological|Combination Product|Device|Diagnostic Test|Dietary Supplement|Drug"
    r"|Genetic|Other|Procedure|Radiation): "
)

_MSC = re.compile(
    r"(?<!solution of )(?:mesenchymal (?:stem|stromal) cells?|menstrual blood-derived stem cells?"
    r"|\b(?:h?UC-?|HU|BM-?|AD-?)?MSCs?\b)(?![\s-]*(?:derived|exosome|conditioned|extracellular))",
    re.IGNORECASE,
)
_VESICLE = re.compile(r"exosomes?|extracellular vesicles?", re.IGNORECASE)
_TISSUE = (  # the first that matches: the more specific words come first
    (re.compile(r"menstrual blood", re.IGNORECASE), STROMA.TissueMenstrualBlood),
    (re.compile(r"wharton'?s jelly", re.IGNORECASE), STROMA.TissueWhartonJelly),
    (re.compile(r"(?:umbilical )?cord blood", re.IGNORECASE), STROMA.TissueUmbilicalCordBlood),
    (re.compile(r"umbilical cord|\bh?UC-?MSCs?\b|\bHUMSCs?\b", re.IGNORECASE), STROMA.TissueUmbilicalCord),
    (re.compile(r"bone marrow|\bBM-?MSCs?\b", re.IGNORECASE), STROMA.TissueBoneMarrow),
    (re.compile(r"adipose|\bAD-?MSCs?\b", re.IGNORECASE), STROMA.TissueAdipose),
    (re.compile(r"dental pulp", re.IGNORECASE), STROMA.TissueDentalPulp),
    (re.compile(r"placenta", re.IGNORECASE), STROMA.TissuePlacenta),
)
_RA = re.compile(r"(?:(?:active|early|refractory|severe) )*rheumatoid arthritis(?: \(RA\))?", re.IGNORECASE)
_ROUTE = (
    (re.compile(r"\bintravenous(?:ly)?\b|\bi\.?v\.? ", re.IGNORECASE), STROMA.RouteIntravenous),
    (re.compile(r"\binhal\w+|\baerosol\b|\batomi[sz]ation\b", re.IGNORECASE), STROMA.RouteInhalation),
)

_YEARS = {
    "year": Decimal(1),
    "month": Decimal(12),
    "week": Decimal("52.1775"),
    "day": Decimal("365.25"),
}  # in one year


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """The trials of the given exports, streamed; an exact repeat of a trial comes once.

    Raises SourceError for a file that is no export or is damaged.
    """
    yield from reading.records(files, info.name)


def units(files: Sequence[Path], info: SourceInfo) -> Iterator[Unit]:
    """The trials in pieces that `of_unit` reads one by one; raises SourceError for damaged input."""
    yield from reading.units(files, info.name)


def of_unit(unit: Unit, info: SourceInfo) -> Iterator[Record]:
    """The trial of a piece."""
    yield reading.of_unit(unit, info.name)


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """Everything the export states about one trial, without the people it names."""
    last = record.peek("Contact_Lastname")
    full = [f"{one} {two}" for one, two in zip(record.peek("Contact_Firstname"), last, strict=False)]
    yield from privacy.scrub(_quads(record, graph), {*last, *full})


def _quads(record: Record, graph: Graph) -> Iterator[Quad]:
    trial = mint("trial", record.id)
    yield from _provenance(record, graph, trial)
    for property_, value in _facts(record):
        yield graph.quad(trial, property_, value)
    yield from _sponsor(record, graph, trial)
    yield from _conditions(record, graph, trial)
    yield from _interventions(record, graph, trial)
    yield from _outcomes(record, graph, trial)


def _provenance(record: Record, graph: Graph, trial: NamedNode) -> Iterator[Quad]:
    source = mint("record", record.source, record.id)
    yield graph.quad(trial, PROV.wasDerivedFrom, source)
    yield graph.quad(source, RDF.type, STROMA.RegistryRecord)
    yield graph.quad(source, DCTERMS.identifier, string(record.require("TrialID")))
    yield graph.quad(source, STROMA.sha256, string(record.sha256))
    if record.file is not None:
        yield graph.quad(source, STROMA.recordFile, string(record.file))
    if record.line is not None:
        yield graph.quad(source, STROMA.recordLine, Literal(str(record.line), datatype=XSD.integer))
    if address := record.text("web_address"):
        yield graph.quad(source, STROMA.sourceAddress, string(address))
    if exported := record.text("Export_date"):
        # The one date of the export that is printed month first: "3/18/2020 6:53:35 PM".
        match = re.match(r"(\d{1,2})/(\d{1,2})/(\d{4})\b", exported)
        if match is None:
            raise record.bad("Export_date", exported, "should be month/day/year", "Export the file again")
        printed = f"{match[3]}-{match[1]}-{match[2]}"
        yield graph.quad(source, STROMA.retrievedDate, date(record, "Export_date", printed))


def _facts(record: Record) -> Iterator[words.Fact]:
    """The trial's own properties, one after the other."""
    yield RDF.type, STROMA.ClinicalStudy
    yield DCTERMS.identifier, string(record.id)
    for field, property_ in (
        ("Public_title", DCTERMS.title),
        ("Scientific_title", STROMA.officialTitle),
        ("Acronym", STROMA.acronym),
        ("Source_Register", STROMA.registryName),
    ):
        if text := _clean(record.text(field)):
            yield property_, string(text)
    for field, property_ in (
        ("Date_registration", STROMA.firstPostedDate),
        ("Date_enrollement", STROMA.startDate),
        ("Last_Refreshed_on", STROMA.statusAsOf),
    ):
        if text := record.text(field):
            yield property_, date(record, field, text)
    if text := record.text("Recruitment_Status"):
        yield STROMA.hasStatus, words.status(record, "Recruitment_Status", text)
        yield STROMA.statusText, string(text)
    if text := record.text("Phase"):
        yield from words.phase(record, "Phase", text)
        yield STROMA.phaseText, string(text)
    yield from _design(record)
    yield from _enrollment(record)
    yield from _eligibility(record)
    yield from _countries(record)
    if flag := record.text("Retrospective_flag"):
        if flag not in ("Yes", "No"):
            raise UnknownValue(
                "should be Yes or No",
                value=flag, advice="Export the file again", **record.place("Retrospective_flag"),
            )  # fmt: skip
        value = "true" if flag == "Yes" else "false"
        yield STROMA.registeredRetrospectively, Literal(value, datatype=XSD.boolean)


def _design(record: Record) -> Iterator[words.Fact]:
    facts: list[words.Fact] = []
    if text := record.text("Study_type"):
        facts += words.study_type(record, "Study_type", text)
        yield STROMA.studyType, string(text)
    if text := record.text("Study_design"):
        facts += words.design(record, "Study_design", text)
        yield STROMA.designText, string(text)
    yield from facts
    randomised = (STROMA.hasAllocation, STROMA.AllocationRandomized) in facts
    if randomised and (RDF.type, words.CLINICAL_TRIAL) in facts:
        yield RDF.type, words.RANDOMISED_TRIAL


def _enrollment(record: Record) -> Iterator[words.Fact]:
    """ChiCTR prints a size for each group ("Experimental group:30;Control group:30;"); their sum is ours."""
    text = _clean(record.text("Target_size"))
    if not text:
        return
    if text.isdigit():
        yield STROMA.enrollmentCount, integer(record, "Target_size", text)
    else:
        yield STROMA.enrollmentText, string(text)
        sizes = _group_sizes(text)
        if sizes and all(size is not None for _, size in sizes):
            total = sum(size for _, size in sizes if size is not None)
            yield STROMA.enrollmentCount, Literal(str(total), datatype=XSD.integer)
    yield STROMA.enrollmentType, string("Estimated")


def _group_sizes(text: str) -> list[tuple[str, int | None]]:
    """Group labels with their planned sizes; [] when the text is not of that form."""
    groups: list[tuple[str, int | None]] = []
    for piece in text.strip("; ").split(";"):
        label, colon, size = (part.strip() for part in piece.rpartition(":"))
        if not colon or not label or not (size.isdigit() or not size):
            return []
        groups.append((label, int(size) if size else None))
    return groups


def _eligibility(record: Record) -> Iterator[words.Fact]:
    for field, number, printed in (
        ("Inclusion_agemin", STROMA.minimumAgeYears, STROMA.minimumAgeText),
        ("Inclusion_agemax", STROMA.maximumAgeYears, STROMA.maximumAgeText),
    ):
        text = record.text(field)
        if text is not None and (text == "0" or not words.is_nothing(text)):
            yield number, _age(record, field, text)
            yield printed, string(text)
    if sex := record.text("Inclusion_gender"):
        if sex not in ("Both", "All", "Male", "Female"):
            raise UnknownValue(
                "should be Both, All, Male or Female",
                value=sex, advice="Add it to loaders/ictrp/loader.py", **record.place("Inclusion_gender"),
            )  # fmt: skip
        yield STROMA.eligibleSex, string("All" if sex == "Both" else sex)
    criteria = [_clean(record.text(field)) for field in ("Inclusion_Criteria", "Exclusion_Criteria")]
    if any(criteria):
        yield STROMA.eligibilityText, string("\n\n".join(text for text in criteria if text))


def _age(record: Record, field: str, text: str) -> Literal:
    """An age in years; ClinicalTrials.gov prints a unit, ChiCTR prints years without one."""
    match = re.fullmatch(r"(\d+)(?: (year|month|week|day)s?)?", text.lower())
    if match is None:
        raise record.bad(field, text, "should be an age such as 18, 18 Years or 6 Months")
    years = Decimal(match[1]) / _YEARS[match[2] or "year"]
    return Literal(f"{round(years, 4).normalize():f}", datatype=XSD.decimal)


def _countries(record: Record) -> Iterator[words.Fact]:
    printed = {piece.strip() for piece in (record.text("Countries") or "").split(";")} - {""}
    for name in sorted(printed):
        yield STROMA.inCountry, string(words.country(name))
        if words.country(name) != name:
            yield STROMA.countryText, string(name)


def _sponsor(record: Record, graph: Graph, trial: NamedNode) -> Iterator[Quad]:
    name = _clean(record.text("Primary_sponsor"))
    if name and not privacy.is_institution(name):
        record.leave_out("Primary_sponsor", "may name a person")
    elif name:
        sponsor = mint("organization", slug(name))
        yield graph.quad(trial, STROMA.hasSponsor, sponsor)
        yield graph.quad(sponsor, RDF.type, _ORGANIZATION)
        yield graph.quad(sponsor, RDFS.label, string(name))


def _conditions(record: Record, graph: Graph, trial: NamedNode) -> Iterator[Quad]:
    for piece in (_clean(record.text("Condition")) or "").split(";"):
        label = piece.strip()
        if words.is_nothing(label):
            continue
        condition = mint("condition", slug(label))
        yield graph.quad(trial, STROMA.studiesCondition, condition)
        yield graph.quad(condition, RDFS.label, string(label))
        if _RA.fullmatch(label):
            yield graph.quad(condition, RDF.type, _RHEUMATOID_ARTHRITIS)


def _outcomes(record: Record, graph: Graph, trial: NamedNode) -> Iterator[Quad]:
    labels = [piece.strip() for piece in (_clean(record.text("Primary_outcome")) or "").split(";")]
    stated = [label for label in labels if not words.is_nothing(label)]
    # The export prints one measure as often as it has time frames, but not the time frames.
    for number, label in enumerate(dict.fromkeys(stated), start=1):
        outcome = mint("outcome", record.id, "primary", number)
        yield graph.quad(trial, STROMA.hasPlannedOutcome, outcome)
        yield graph.quad(outcome, RDF.type, STROMA.PlannedOutcome)
        yield graph.quad(outcome, RDFS.label, string(label))
        yield graph.quad(outcome, STROMA.outcomeRole, string("primary"))


def _interventions(record: Record, graph: Graph, trial: NamedNode) -> Iterator[Quad]:
    """Arms with their regimens where the groups can be told apart, else regimens of the trial."""
    text = _clean(record.text("Intervention"))
    if not text:
        return
    yield graph.quad(trial, STROMA.interventionText, string(text))
    groups = _group_sizes(_clean(record.text("Target_size")) or "")
    described = _by_group(text, [label for label, _ in groups]) if groups else []
    for number, ((label, size), what) in enumerate(zip(groups, described, strict=False), start=1):
        arm = mint("arm", record.id, number)
        yield graph.quad(trial, STROMA.hasArm, arm)
        yield graph.quad(arm, RDF.type, STROMA.TrialArm)
        yield graph.quad(arm, RDFS.label, string(label))
        if size is not None:
            yield graph.quad(arm, STROMA.enrollmentCount, Literal(str(size), datatype=XSD.integer))
        if not words.is_nothing(what):
            regimen = mint("regimen", record.id, number)
            yield graph.quad(arm, STROMA.hasIntervention, regimen)
            yield from _regimen(record, graph, regimen, number, what)
    if described:
        return
    _, *typed = _TYPED_INTERVENTION.split(text)
    pairs = list(zip(typed[::2], typed[1::2], strict=True)) or [("", text)]
    for number, (kind, what) in enumerate(pairs, start=1):
        if not words.is_nothing(what):
            regimen = mint("regimen", record.id, number)
            yield graph.quad(trial, STROMA.testsIntervention, regimen)
            if kind:
                yield graph.quad(regimen, STROMA.interventionType, string(kind))
            yield from _regimen(record, graph, regimen, number, what)


def _by_group(text: str, labels: list[str]) -> list[str]:
    """What each group gets, in the order of `labels`; [] unless every label stands in the text, in order."""
    starts: list[tuple[int, int]] = []
    position = 0
    for label in labels:
        match = re.compile(rf"(?:^|;)\s*{re.escape(label)}\s*:").search(text, position)
        if match is None:
            return []
        starts.append((match.start(), match.end()))
        position = match.end()
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return [text[begin:end].strip(" ;") for (_, begin), end in zip(starts, ends, strict=True)]


def _regimen(record: Record, graph: Graph, regimen: NamedNode, number: int, text: str) -> Iterator[Quad]:
    yield graph.quad(regimen, RDF.type, STROMA.InterventionRegimen)
    yield graph.quad(regimen, RDFS.label, string(text.strip(" ;")))
    found = [
        (name, kind, ingredient, match)
        for name, kind, ingredient, match in (
            ("msc", STROMA.CellTherapyProduct, STROMA.CellMesenchymalStem, _MSC.search(text)),
            ("vesicle", STROMA.CellFreeProduct, STROMA.CellExtracellularVesicle, _VESICLE.search(text)),
        )
        if match is not None
    ]
    for name, kind, ingredient, match in found:
        product = mint("product", record.id, number, name)
        yield graph.quad(product, RDF.type, kind)
        yield graph.quad(product, RDFS.label, string(match[0]))
        yield graph.quad(product, _HAS_ACTIVE_INGREDIENT, ingredient)
        rule = _Rule(record, graph, f"{number}-{name}", "Intervention")
        yield from rule.states(f"{name}-named", match, regimen, STROMA.administers, product)
        yield from _tissue(rule, text, product)
    if found:
        routes = [(words_, route) for pattern, route in _ROUTE if (words_ := pattern.search(text))]
        if len(routes) != 1:
            record.unreadable("route", "several in Intervention" if routes else "not in Intervention")
        if len(routes) == 1:  # two routes in one text: which product goes which way is not said
            rule = _Rule(record, graph, str(number), "Intervention")
            yield from rule.states("route-named", routes[0][0], regimen, STROMA.hasRoute, routes[0][1])


def _tissue(rule: _Rule, text: str, product: NamedNode) -> Iterator[Quad]:
    """The tissue named with the cells, else (less surely) in the title."""
    for pattern, tissue in _TISSUE:
        if match := pattern.search(text):
            yield from rule.states("tissue-named", match, product, STROMA.hasTissueSource, tissue)
            return
    title = _clean(rule.record.text("Public_title")) or ""
    for pattern, tissue in _TISSUE:
        if match := pattern.search(title):
            titled = _Rule(rule.record, rule.graph, rule.key, "Public_title", STROMA.ConfidenceMedium)
            yield from titled.states("tissue-in-title", match, product, STROMA.hasTissueSource, tissue)
            return
    rule.record.unreadable("tissue", "neither in Intervention nor in the title")


class _Rule:
    """States what a rule read from a field, as an extraction with the matched words."""

    def __init__(
        self,
        record: Record,
        graph: Graph,
        key: str,
        field: str,
        confidence: NamedNode = STROMA.ConfidenceHigh,
    ) -> None:
        self.record, self.graph, self.key, self.field, self.confidence = record, graph, key, field, confidence

    def states(
        self, name: str, match: re.Match[str], subject: NamedNode, predicate: NamedNode, value: NamedNode
    ) -> Iterator[Quad]:
        record, graph = self.record, self.graph
        claim = mint("claim", record.source, record.id, self.key, name)
        yield graph.quad(claim, RDF.type, STROMA.Extraction)
        yield from rests_on(graph, claim, STROMA.LevelExtracted, BY_PATTERN)
        yield graph.quad(claim, STROMA.inField, string(self.field))
        yield graph.quad(claim, STROMA.matchedText, string(match[0]))
        yield graph.quad(claim, STROMA.extractionRule, string(f"{record.source}/{name}"))
        yield graph.quad(claim, STROMA.confidence, self.confidence)
        yield graph.quad(claim, PROV.wasDerivedFrom, mint("record", record.source, record.id))
        yield from asserts(graph, claim, subject, predicate, value)


def _clean(text: str | None) -> str | None:
    """A field's text: entities resolved (the export escapes twice), <br> as a line, blanks squeezed."""
    if text is None:
        return None
    lines = re.sub(r"\s*<br\s*/?>\s*", "\n", html.unescape(text), flags=re.IGNORECASE).split("\n")
    return "\n".join(line for line in (re.sub(r"\s+", " ", line).strip() for line in lines) if line) or None
