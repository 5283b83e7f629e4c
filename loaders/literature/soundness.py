"""Whether the tables are sound together: every reference leads somewhere, every number can be what it says.

Hides what is compared with what. A row that cannot be is refused, naming file, line, field and the way out,
before the first quad is made: nothing of a set that is wrong is published.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from pyoxigraph import Literal, NamedNode, parse

from kg.errors import SourceError, UnknownValue
from kg.terms import ROOT
from loaders import emit
from loaders.literature.fields import iri, value, words
from loaders.record import Record

# Vocabularies whose terms we use but do not declare.
_STANDARD = ("dcterms:", "rdfs:", "rdf:", "skos:", "foaf:", "prov:", "owl:")
_ARMS = frozenset({"stroma:TrialArm", "stroma:PooledAnalysisGroup"})
_KINDS = frozenset(
    {
        "Observation", "OutcomeObservation", "BaselineObservation", "MedicationObservation",
        "AdverseEventObservation", "FlowObservation", "GroupComparison",
    }
)  # fmt: skip
# Of which type the value of a property is; all others may be what `datatype` says.
_TYPES = {
    **dict.fromkeys(
        (
            "numberAffected", "sampleSize", "eventCount", "countValue", "numberOfDoses", "numberOfDosesLow",
            "numberOfDosesHigh", "minimumStableWeeks",
        ), "integer",
    ),
    **dict.fromkeys(
        (
            "percentage", "meanValue", "sdValue", "medianValue", "standardError", "numericValue", "rangeLow",
            "rangeHigh", "interquartileLow", "interquartileHigh", "ciLow", "ciHigh", "ciLevel",
            "ratePer100PatientYears", "pValue", "threshold", "timepointMonths", "doseAmount", "doseLow",
            "doseHigh", "doseInterval",
        ), "decimal",
    ),
    "isSerious": "boolean", "isSignificant": "boolean",
}  # fmt: skip
_SPREAD = frozenset({"stroma:sdValue", "stroma:standardError"})
_MODALITIES = frozenset({"Asserted", "Hedged", "Recommended"})


@dataclass(frozen=True)
class _Known:
    """What a reference may lead to."""

    documents: Mapping[str, Record]
    claims: Mapping[str, Record]
    observations: Mapping[str, Record]
    entities: Mapping[str, str]  # CURIE -> its types, separated by blanks
    times: frozenset[tuple[str, str]]  # months and label of each time an observation can be of
    terms: frozenset[str]  # IRIs the ontology declares

    def require(self, row: Record, field: str, curie: str) -> None:
        """Stop unless `curie` is described by a table or declared by the ontology."""
        prefix, _, local = curie.partition(":")
        if prefix == "observation":
            if local not in self.observations:
                raise row.bad(field, curie, "no observation has this id", "Add it to observations.tsv")
        elif prefix == "document":
            self.document(row, field, local)
        elif curie in self.entities or curie.startswith(_STANDARD):
            return
        elif iri(row, field, curie).value not in self.terms:
            raise UnknownValue(
                "is neither an entity of entities.tsv nor a term of the ontology",
                value=curie, advice="Mend the spelling, or describe it first", **row.place(field),
            )  # fmt: skip

    def document(self, row: Record, field: str, identifier: str) -> None:
        if identifier not in self.documents:
            known = ", ".join(sorted(self.documents))
            raise row.bad(field, identifier, f"no document has this id; there are {known}")


def check(records: Mapping[str, Sequence[Record]]) -> None:
    known = _Known(
        documents=_unique(records["documents"]),
        claims=_unique(records["claims"]),
        observations=_unique(records["observations"]),
        entities={
            key: row.within("entities").text("types") or ""
            for key, row in _unique(records["entities"]).items()
        },
        times=frozenset(
            (row.text("months") or "", row.text("label") or "")
            for row in (r.within("timepoints") for r in _unique(records["timepoints"]).values())
        ),
        terms=_declared_terms(),
    )  # fmt: skip
    for record in records["entities"]:
        row = record.within("entities")
        for curie in words(row, "types"):
            known.require(row, "types", curie)
        _check_grounds(row, known)
    for record in records["observations"]:
        _check_observation(record.within("observations"), known)
    for record in records["relations"]:
        _check_edge(record.within("relations"), known)
        _check_grounds(record.within("relations"), known)
    claims_of = _check_statements(records["statements"], known)
    asserted = {claim for claims in claims_of.values() for claim in claims}
    for identifier, record in known.claims.items():
        _check_claim(record.within("claims"), identifier in asserted, known)
    _check_spans([record.within("claims") for record in records["claims"]])
    for identifier, record in known.observations.items():
        _check_places(record.within("observations"), claims_of.get(f"observation:{identifier}", ()), known)


def _unique(records: Sequence[Record]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for record in records:
        table, _, key = record.id.partition("/")
        if not key:
            raise SourceError("required field is missing or empty", **record.within(table).place("id"))
        if key in found:
            raise record.within(table).bad(
                "id", key, f"the id also stands in line {found[key].line}", "Give one of the two another id"
            )
        found[key] = record
    return found


def _check_observation(row: Record, known: _Known) -> None:
    kind = row.require("kind")
    if kind not in _KINDS:
        raise UnknownValue("is not a kind of observation", value=kind, **row.place("kind"))
    places = row.require("document").split(" ")
    for document in places:
        known.document(row, "document", document)
    if len(places) != len(row.require("line").split(" ")):
        raise row.bad("line", row.require("line"), "needs one line for each document, in the same order")
    groups = row.require("group").split(" ")
    for group in groups:
        if group not in known.entities:
            raise row.bad("group", group, "no entity has this CURIE", "Describe the group in entities.tsv")
        # The arm of a trial is looked for by `aboutArm`; a population or collection has no arm.
        if kind != "Observation" and not _ARMS & set(known.entities[group].split(" ")):
            raise row.bad("kind", kind, f"is for an arm or pooled group, which {group} is not")
    if len(groups) != (2 if kind == "GroupComparison" else 1):
        raise row.bad("group", " ".join(groups), "a comparison has two groups, any other observation one")
    for field in ("measure", "set", "study"):
        for curie in words(row, field):
            known.require(row, field, curie)
    months, label = row.text("months") or "", row.text("label") or ""
    if months:
        emit.decimal(row, "months", months)
    if (months or label) and (months, label) not in known.times:
        raise row.bad(
            "months" if months else "label", months or label,
            f"no time of timepoints.tsv has month {months or 'none'} and label {label or 'none'!r}",
            "Mend the month or the label, or add the time to timepoints.tsv",
        )  # fmt: skip


def _check_places(row: Record, claims: Collection[str], known: _Known) -> None:
    """Stop unless the observation has a value, and each place that is to report it has a claim that does."""
    if not claims:
        raise row.bad(
            "id", row.require("id"), "no statement gives the observation a value",
            "Add one, or drop the observation",
        )  # fmt: skip
    rows = [known.claims[claim].within("claims") for claim in claims]
    spoken = {(claim.require("document"), claim.require("line")) for claim in rows}
    for document, line in zip(*(row.require(f).split(" ") for f in ("document", "line")), strict=True):
        if (document, line) not in spoken:
            raise row.bad(
                "line", row.require("line"),
                f"no claim at line {line} of document {document} gives the observation a value",
                "Mend the place, or the subject of the statement",
            )  # fmt: skip


def _check_edge(row: Record, known: _Known) -> None:
    known.require(row, "subject", row.require("subject"))
    known.require(row, "predicate", row.require("predicate"))
    if row.require("datatype") == "iri":
        known.require(row, "object", row.require("object"))


def _check_grounds(row: Record, known: _Known) -> None:
    """Stop where a row of ours names no claim of the documents that it rests on, or one nobody knows."""
    row.require("claims")
    for identifier in words(row, "claims"):
        if identifier not in known.claims:
            raise row.bad("claims", identifier, "no claim has this id", "Name the claims it rests on")


def _check_statements(statements: Sequence[Record], known: _Known) -> Mapping[str, set[str]]:
    """Check every statement; returns of each subject the claims that say something of it."""
    sizes: dict[str, tuple[int, Record]] = {}
    affected: dict[str, list[tuple[int, Record]]] = {}
    claims_of: dict[str, set[str]] = {}
    units = {
        f"observation:{key}": record.within("observations").text("unit")
        for key, record in known.observations.items()
    }
    ranges: dict[str, dict[str, Decimal]] = {}
    for record in statements:
        row = record.within("statements")
        claim = row.require("claim")
        if claim not in known.claims:
            raise row.bad(
                "claim", claim, "no claim has this id", "Add it to claims.tsv, or drop the statement"
            )
        _check_edge(row, known)
        subject, predicate, given = row.require("subject"), row.require("predicate"), value(row)
        claims_of.setdefault(subject, set()).add(claim)
        if not isinstance(given, Literal):
            continue
        _check_value(row, predicate, given, units.get(subject))
        if predicate in ("stroma:rangeLow", "stroma:rangeHigh"):
            _check_range(row, ranges.setdefault(subject, {}), predicate, Decimal(given.value))
        if predicate == "stroma:sampleSize":
            sizes[subject] = (int(given.value), row)
        elif predicate == "stroma:numberAffected":
            affected.setdefault(subject, []).append((int(given.value), row))
    for subject, numbers in affected.items():
        for number, row in numbers:
            if subject in sizes and number > sizes[subject][0]:
                raise row.bad(
                    "object", number, f"n is over N: {sizes[subject][0]} were observed",
                    "Check both numbers in the document",
                )  # fmt: skip
    return claims_of


def _check_value(row: Record, predicate: str, value: Literal, unit: str | None) -> None:
    """Stop where a value cannot be what its property and its observation's unit say it is."""
    wanted, given = _TYPES.get(predicate.removeprefix("stroma:")), row.require("datatype")
    if wanted is not None and given != wanted:
        raise row.bad(
            "datatype", given, f"the value of {predicate} is of datatype {wanted}",
            f"Write {wanted}, or say it in words with stroma:valueText",
        )  # fmt: skip
    if wanted != "decimal":
        if wanted == "integer" and Decimal(value.value) < 0:
            raise row.bad("object", value.value, "a count cannot be negative", "Check it in the document")
        return
    number = Decimal(value.value)
    if predicate == "stroma:percentage" or (unit == "%" and predicate not in ("stroma:timepointMonths",)):
        if not 0 <= number <= 100:
            raise row.bad(
                "object", value.value, "a percentage lies between 0 and 100",
                "Check it in the document, or mend the unit of the observation",
            )  # fmt: skip
    elif predicate == "stroma:pValue" and not 0 <= number <= 1:
        raise row.bad("object", value.value, "a p-value lies between 0 and 1", "Check it in the document")
    elif predicate in _SPREAD and number < 0:
        raise row.bad("object", value.value, "a spread cannot be negative", "Check it in the document")
    elif _counts(unit) and (number != int(number) or number < 0):
        raise row.bad(
            "object", value.value, f"is no number of {unit}: a count is whole and not negative",
            "Check it in the document, or mend the unit of the observation",
        )  # fmt: skip


def _counts(unit: str | None) -> bool:
    """Whether a unit counts things: "{patients}", not "{score}" nor a rate or share."""
    return unit is not None and unit.startswith("{") and unit.endswith("}") and unit != "{score}"


def _check_range(row: Record, ends: dict[str, Decimal], predicate: str, number: Decimal) -> None:
    ends[predicate] = number
    if len(ends) == 2 and ends["stroma:rangeLow"] > ends["stroma:rangeHigh"]:
        raise row.bad(
            "object", number,
            f"the range ends before it starts: {ends['stroma:rangeLow']} to {ends['stroma:rangeHigh']}",
            "Check both ends in the document",
        )  # fmt: skip


def _check_spans(rows: Sequence[Record]) -> None:
    """Stop where spans cannot be right together: a later line starts earlier, one place has two hashes.

    Without the documents at hand this is what tells that a span has moved; `verify` reads the characters.
    """

    def place(row: Record) -> tuple[str, int, int, int]:
        line, start, end = (int(row.require(name)) for name in ("line", "start", "end"))
        return row.require("document"), line, start, end

    ordered = sorted(rows, key=place)
    last: dict[str, tuple[int, int, Record]] = {}  # of each document: line, furthest end, and whose it is
    hashes: dict[tuple[str, str, str], Record] = {}
    for row in ordered:
        document, line, start, end = place(row)
        before = last.get(document)
        if before is not None and line > before[0] and start < before[1]:
            raise row.bad(
                "start", start,
                f"the span moved: line {line} starts before the span of {before[2].require('id')}, in line "
                f"{before[0]}, ends ({before[1]})",
                "Find the words again and record line, offsets and hash; kg verify checks them",
            )  # fmt: skip
        if before is None or line > before[0] or end > before[1]:
            last[document] = (line, end, row)
        other = hashes.setdefault((document, row.require("start"), row.require("end")), row)
        if other.require("sha256") != row.require("sha256"):
            raise row.bad(
                "sha256", row.require("sha256"),
                f"claim {other.require('id')} has another hash of the same span",
                "Find the words again and record line, offsets and hash; kg verify checks them",
            )  # fmt: skip


def _check_claim(row: Record, asserts_something: bool, known: _Known) -> None:
    known.document(row, "document", row.require("document"))
    start, end = (int(emit.integer(row, field, row.require(field)).value) for field in ("start", "end"))
    if not 0 <= start < end:
        raise row.bad(
            "end", end, f"the span is empty: it starts at {start}", "Record the offsets of the words"
        )
    if not re.fullmatch(r"[0-9a-f]{64}", row.require("sha256")):
        raise row.bad("sha256", row.require("sha256"), "is no SHA-256: 64 hexadecimal digits, small letters")
    known.require(row, "topic", "stroma:Topic" + row.require("topic"))
    known.require(row, "evidence", row.require("evidence"))
    for field in ("study_type", "species"):
        for curie in words(row, field):
            known.require(row, field, curie)
    known.require(row, "confidence", "stroma:Confidence" + row.require("confidence"))
    if row.require("confidence") != "High" and row.text("basis") is None:
        raise SourceError(
            "a reading that is not certain needs its reason",
            **row.place("basis"), advice="Say in `basis` what was read into the words, or write High",
        )  # fmt: skip
    modality = row.require("modality")
    if modality not in _MODALITIES:
        raise UnknownValue("is not a modality", value=modality, **row.place("modality"))
    reason = row.text("reason")
    if not asserts_something and reason is None:
        raise SourceError(
            "the claim asserts nothing and gives no reason",
            **row.place("reason"), advice="Add a statement for it, or say why it is kept as text",
        )  # fmt: skip
    if asserts_something and reason is not None:
        raise row.bad(
            "reason", reason, "the claim has statements, so it is not a text claim", "Empty this field"
        )


@lru_cache(maxsize=1)
def _declared_terms() -> frozenset[str]:
    """The IRIs that the ontology's modules describe."""
    found: set[str] = set()
    for path in sorted((ROOT / "ontology" / "modules").glob("*.ttl")):
        found |= {quad.subject.value for quad in parse(path=path) if isinstance(quad.subject, NamedNode)}
    return frozenset(found)
