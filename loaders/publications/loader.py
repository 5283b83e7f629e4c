"""Published trials: what each reports, and which registered trial it reports on.

Hides how a table's row becomes claims: each row is one `stroma:CuratedStatement` with its confidence,
its basis and the fields nobody could verify; fields listed in `hedged` are claimed, not asserted.

Besides our own tables (`records/`), two files of others are read when given, known by their columns:
citations of registry records, and a review's table of published MSC trials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import SourceError, UnknownValue, UsageError
from kg.parts import SourceInfo
from kg.terms import DCTERMS, OBO, RDF, RDFS, STROMA, XSD, compress, digest, expand, mint
from loaders import privacy
from loaders.emit import Graph, date, decimal, integer, lang, string
from loaders.publications import review
from loaders.publications.statements import Fact, Statement
from loaders.record import Record
from loaders.tables import rows

Term = TypeVar("Term", NamedNode, Literal)

_CONFIDENCE = {
    "high": STROMA.ConfidenceHigh,
    "medium-high": STROMA.ConfidenceMediumHigh,
    "medium": STROMA.ConfidenceMedium,
    "low-medium": STROMA.ConfidenceLowMedium,
    "low": STROMA.ConfidenceLow,
}
_COLLECTION = {
    "collection:published-msc-ra": lang("published trials of MSC therapy in RA", "en"),
    "collection:published-msc-ra-alternatives": lang(
        "published trials of MSC therapy in RA that could stand among the twelve", "en"
    ),
}
_PHASE = {"Phase1": STROMA.Phase1, "Phase1Phase2": STROMA.Phase1Phase2, "Phase2": STROMA.Phase2}
# How a study of a registry was found to be the one that a publication reports.
_METHOD = {
    "registry number": STROMA.LinkMethodRegistryNumber,
    "comparison by a curator": STROMA.LinkMethodCurator,
}
_CLINICAL_TRIAL, _RANDOMISED_TRIAL = OBO("OBI_0003699"), OBO("OBI_0004001")

# A table is known by its first columns, so a copy may have any name.
_TABLES: dict[tuple[str, ...], str] = {
    ("id", "label", "title"): "publications",
    ("id", "study", "publication"): "studies",
    ("id", "label", "type"): "products",
    ("id", "study", "label"): "groups",
    ("id", "arm", "label"): "regimens",
    ("id", "study", "group"): "observations",
    ("id", "study", "groups"): "comparisons",
    ("nct_id", "pmid", "reference_type"): "citations",
}


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """The rows of the given tables; raises SourceError for a table of unknown columns."""
    for path in files:
        if path.suffix == ".csv":
            yield from review.records(path, info.name)
            continue
        for row in rows(path, source=info.name):
            table = _TABLES.get(tuple(row.fields)[:3])
            if table is None:
                raise SourceError(
                    f"the columns {', '.join(tuple(row.fields)[:3])} ... are of no table known here",
                    source=info.name, file=path.name,
                    advice="Give a table of loaders/publications/records/ or one its loader names",
                )  # fmt: skip
            # Citations have no key of their own, and the real file repeats one row.
            key = f"{row.fields['nct_id']}:{row.line}" if table == "citations" else row.fields["id"]
            yield Record(info.name, f"{table} {key}", row.fields, file=path.name, line=row.line)


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """Everything one row states, with the claim that states it."""
    table, _, key = record.id.partition(" ")
    if table == "review":
        yield from privacy.scrub(review.quads(record, graph))
    elif table == "citations":
        yield from privacy.scrub(review.citation(record, graph))
    else:
        facts = list(_ROWS[table](record))
        claim = mint("claim", record.source, table, *_local(key))
        yield from _statement(record, claim, facts).quads(graph, facts)
        if record.text("method"):
            hedged = "publication" in _list(record, "hedged")
            claim = NamedNode(f"{claim.value}/hedged") if hedged else claim
            yield graph.quad(claim, STROMA.linkMethod, _word(record, "method", _METHOD))


def _statement(record: Record, claim: NamedNode, facts: list[Fact]) -> Statement:
    """What the columns every table has say of the row: confidence, basis, what is hedged or unverified."""
    hedged = _list(record, "hedged")
    for name in hedged:
        if name not in {column for column, *_ in facts}:
            raise UnknownValue(
                "names a column that states nothing in this row",
                value=name, advice="Name columns that have a value", **record.place("hedged"),
            )  # fmt: skip
    return Statement(
        claim,
        _word(record, "confidence", _CONFIDENCE),
        record.require("basis"),
        _list(record, "unverified"),
        hedged,
        record.text("source_address"),
        _thing(record, "id") if record.id.startswith(("observations ", "comparisons ")) else None,
    )


def _publication(record: Record) -> Iterator[Fact]:
    publication = _thing(record, "id")
    yield "", publication, RDF.type, STROMA.Publication
    yield "", publication, RDFS.label, string(record.require("label"))
    for column, predicate in (
        ("title", DCTERMS.title),
        ("journal", STROMA.journal),
        ("volume", STROMA.volume),
        ("pmid", STROMA.pubmedId),
        ("doi", STROMA.doi),
        ("pmcid", STROMA.pmcId),
    ):
        if text := record.text(column):
            yield column, publication, predicate, string(text)
    if cited := ":".join(filter(None, [record.text("volume"), record.text("pages")])):
        whole = " ".join(filter(None, [record.text("journal"), cited]))
        yield "journal", publication, STROMA.citation, string(whole)
    year = date(record, "year", record.require("year"))
    if year.datatype != XSD.gYear:
        raise record.bad("year", year.value, "should be a year")
    yield "year", publication, STROMA.publicationYear, year
    collection = _thing(record, "collection")
    label = _word(record, "collection", _COLLECTION)
    yield "", collection, RDF.type, STROMA.StudyCollection
    yield "", collection, RDFS.label, label
    yield "collection", collection, STROMA.hasMember, publication


def _study(record: Record) -> Iterator[Fact]:
    record.require("id")  # only names the row
    study = _thing(record, "study")
    yield "", study, RDF.type, STROMA.ClinicalStudy
    yield "", study, RDF.type, _CLINICAL_TRIAL
    yield "study", study, STROMA.studiesCondition, STROMA.ConditionRheumatoidArthritis
    if label := record.text("label"):  # a study without a registry number
        yield "", study, RDFS.label, string(label)
    else:
        yield "", study, DCTERMS.identifier, string(record.require("study").partition(":")[2])
    yield "publication", study, STROMA.hasPublication, _thing(record, "publication")
    if count := record.text("enrollment"):
        yield "enrollment", study, STROMA.enrollmentCount, integer(record, "enrollment", count)
    if record.text("phase"):
        yield "phase", study, STROMA.hasPhase, _word(record, "phase", _PHASE)
    if text := record.text("phase_text"):
        yield "phase_text", study, STROMA.phaseText, string(text)
    if record.text("design"):
        yield "design", study, RDF.type, _word(record, "design", {"randomised": _RANDOMISED_TRIAL})


def _product(record: Record) -> Iterator[Fact]:
    product = _thing(record, "id")
    yield "", product, RDF.type, _thing(record, "type")
    yield "", product, RDFS.label, string(record.require("label"))
    if record.text("ingredient"):
        yield "ingredient", product, OBO("RO_0002248"), _thing(record, "ingredient")
    if record.text("tissue"):
        yield "tissue", product, STROMA.hasTissueSource, _thing(record, "tissue")


def _group(record: Record) -> Iterator[Fact]:
    group, study = _thing(record, "id"), _thing(record, "study")
    if record.require("id").startswith("group:"):
        yield "", group, RDF.type, STROMA.PooledAnalysisGroup
        yield "study", group, STROMA.pools, study
    else:
        yield "", group, RDF.type, STROMA.TrialArm
        yield "study", study, STROMA.hasArm, group
    yield "", group, RDFS.label, string(record.require("label"))
    if record.text("type"):
        yield "type", group, STROMA.hasArmType, _thing(record, "type")
    if size := record.text("size"):
        yield "size", group, STROMA.enrollmentCount, integer(record, "size", size)
    for curie in (record.text("comedication") or "").split():
        yield "comedication", group, STROMA.hasCoMedication, _iri(record, "comedication", curie)


def _regimen(record: Record) -> Iterator[Fact]:
    regimen = _thing(record, "id")
    yield "", regimen, RDF.type, STROMA.InterventionRegimen
    yield "arm", _thing(record, "arm"), STROMA.hasIntervention, regimen
    yield "", regimen, RDFS.label, string(record.require("label"))
    yield "product", regimen, STROMA.administers, _thing(record, "product")
    if record.text("donor"):
        yield "donor", regimen, STROMA.hasDonorRelation, _thing(record, "donor")
    if record.text("route"):
        yield "route", regimen, STROMA.hasRoute, _thing(record, "route")
    for column, predicate, number in (
        ("dose", STROMA.doseAmount, decimal),
        ("dose_low", STROMA.doseLow, decimal),
        ("dose_high", STROMA.doseHigh, decimal),
        ("doses", STROMA.numberOfDoses, integer),
        ("interval", STROMA.doseInterval, decimal),
    ):
        if text := record.text(column):
            yield column, regimen, predicate, number(record, column, text)
    for column, predicate in (("unit", STROMA.doseUnit), ("dose_text", STROMA.doseText)):
        if text := record.text(column):
            yield column, regimen, predicate, string(text)


_NUMBERS: tuple[tuple[str, NamedNode, Callable[[Record, str, object], Literal]], ...] = (
    ("sample", STROMA.sampleSize, integer),
    ("affected", STROMA.numberAffected, integer),
    ("events", STROMA.eventCount, integer),
    ("percentage", STROMA.percentage, decimal),
    ("mean", STROMA.meanValue, decimal),
    ("sd", STROMA.sdValue, decimal),
    ("numeric", STROMA.numericValue, decimal),
    ("p", STROMA.pValue, decimal),
)
_TEXTS = (
    ("label", STROMA.timepointLabel),
    ("unit", STROMA.unit),
    ("operator", STROMA.valueOperator),
    ("p_operator", STROMA.pOperator),
    ("category", STROMA.categoryText),
    ("event", STROMA.eventTerm),
    ("value_text", STROMA.valueText),
)


def _observation(record: Record) -> Iterator[Fact]:
    observation = _thing(record, "id")
    kinds = {_thing(record, "kind"), STROMA.OutcomeObservation, STROMA.Observation}
    for kind in sorted(kinds, key=str):
        yield "", observation, RDF.type, kind
    group, measure = _thing(record, "group"), _thing(record, "measure")
    yield "study", observation, STROMA.producedByStudy, _thing(record, "study")
    yield "group", observation, STROMA.aboutArm, group
    yield "measure", observation, STROMA.forMeasure, measure
    months = record.text("months")
    if months is not None:
        yield "months", observation, STROMA.timepointMonths, decimal(record, "months", months)
    analysed = _thing(record, "set") if record.text("set") else STROMA.SetNotStated
    yield "set", observation, STROMA.analysisSet, analysed
    for column, predicate, number in _NUMBERS:
        text = record.text(column)
        if text is not None:
            yield column, observation, predicate, number(record, column, text)
    _check_numbers(record)
    for column, predicate in _TEXTS:
        if text := record.text(column):
            yield column, observation, predicate, string(text)
    if serious := record.text("serious"):
        if serious not in ("true", "false"):
            raise record.bad("serious", serious, "should be true or false")
        yield "serious", observation, STROMA.isSerious, Literal(serious, datatype=XSD.boolean)
    key = digest(compress(group.value), compress(measure.value), months or "", compress(analysed.value))
    yield "", observation, STROMA.observationKey, string(key)


def _check_numbers(record: Record) -> None:
    """A percentage lies in 0 to 100, and no more are affected than were there."""
    percentage, affected, sample = (record.text(name) for name in ("percentage", "affected", "sample"))
    if percentage is not None and not 0 <= float(percentage) <= 100:
        raise record.bad("percentage", percentage, "should lie between 0 and 100")
    if affected is not None and sample is not None and int(affected) > int(sample):
        raise record.bad("affected", affected, f"is more than the sample of {sample}")


def _comparison(record: Record) -> Iterator[Fact]:
    comparison = _thing(record, "id")
    yield "", comparison, RDF.type, STROMA.GroupComparison
    yield "study", comparison, STROMA.producedByStudy, _thing(record, "study")
    for curie in record.require("groups").split():
        yield "groups", comparison, STROMA.comparesGroup, _iri(record, "groups", curie)
    yield "measure", comparison, STROMA.forMeasure, _thing(record, "measure")
    yield "p", comparison, STROMA.pValue, decimal(record, "p", record.require("p"))
    yield "p_operator", comparison, STROMA.pOperator, string(record.require("p_operator"))
    if record.text("favours"):
        yield "favours", comparison, STROMA.favoursGroup, _thing(record, "favours")


_ROWS: dict[str, Callable[[Record], Iterator[Fact]]] = {
    "publications": _publication,
    "studies": _study,
    "products": _product,
    "groups": _group,
    "regimens": _regimen,
    "observations": _observation,
    "comparisons": _comparison,
}


def _local(key: str) -> list[str]:
    """The steps of a row's key without its prefix: "observation:he-2020/1" -> ["he-2020", "1"]."""
    return unquote(key.rpartition(":")[2]).split("/")


def _thing(record: Record, column: str) -> NamedNode:
    return _iri(record, column, record.require(column))


def _iri(record: Record, column: str, curie: str) -> NamedNode:
    try:
        return expand(curie)
    except UsageError as problem:
        raise record.bad(column, curie, f"is not a name: {problem}") from problem


def _word(record: Record, column: str, table: Mapping[str, Term]) -> Term:
    word = record.require(column)
    if word not in table:
        raise UnknownValue(
            f"should be one of {', '.join(table)}",
            value=word, advice="Mend the row, or add the word to its loader", **record.place(column),
        )  # fmt: skip
    return table[word]


def _list(record: Record, column: str) -> list[str]:
    return [piece.strip() for piece in (record.text(column) or "").split(";") if piece.strip()]
