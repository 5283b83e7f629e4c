"""The claims of the documents: seven curated tables into claims, propositions, observations and entities.

Hides how the tables refer to each other; over `soundness.py`, which refuses a set of tables in which a row
points nowhere or says what cannot be.

The tables (tab-separated, sorted, one thing a row; they are the source of truth):

    documents.tsv     the documents, with the SHA-256 that fixes what offsets mean
    entities.tsv      the trials, groups, regimens, products ... that the documents talk about; one without
                      types is described by another source
    relations.tsv     edges no single span states: what we mean by a thing, or a curator's inference, with its
                      basis; both tables name the claims they rest on
    observations.tsv  one node a reported number (or table cell): of which group, for which measure, when;
                      `document` and `line` list the places that report it, blanks between them
    timepoints.tsv    the times an observation can be of: months and label, and what is meant
    claims.tsv        every statement, with the span it stands at, and on what kind of evidence it rests
    statements.tsv    what a claim asserts: one typed edge a row
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import SourceError, UnknownValue
from kg.parts import SourceInfo
from kg.terms import DCTERMS, PROV, RDF, RDFS, STROMA, digest, mint
from loaders import emit, tables
from loaders.claims import BY_CURATOR, asserts, generation, rests_on
from loaders.emit import Graph
from loaders.literature.fields import edge, iri, words
from loaders.literature.soundness import check
from loaders.literature.verify import verify
from loaders.record import Record

__all__ = ["quads", "read", "verify"]

SOURCE = "literature"
TABLES = ("documents", "entities", "relations", "timepoints", "observations", "claims", "statements")

_EXPLICIT = "Said in so many words at the span."
_MEANT = "What we mean by this thing, which the documents speak of."


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """Every row of the seven tables as a Record, each reference checked before the first one is given out.

    A record's fields are the row's columns below the table's name (`claims.line`). Raises SourceError for
    a table that is missing or a reference that leads nowhere, UnknownValue for a term or category nobody
    declared, BadValue for a number that cannot be.
    """
    paths = {path.stem: path for path in files}
    records: dict[str, list[Record]] = {}
    for name in TABLES:
        if name not in paths:
            raise SourceError(
                "the table is missing",
                source=info.name, file=f"{name}.tsv",
                advice=f"A set of claims is seven tables: {', '.join(TABLES)}",
            )  # fmt: skip
        records[name] = list(_records(name, paths[name], info.name))
    check(records)
    modality = {r.id.partition("/")[2]: r.within("claims").require("modality") for r in records["claims"]}
    records["statements"] = [_with_modality(record, modality) for record in records["statements"]]
    for name in TABLES:
        yield from records[name]


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """The quads of one row."""
    table = record.id.partition("/")[0]
    yield from _EMITTERS[table](record.within(table), graph)


# ---------------------------------------------------------------- reading and checking


def _records(name: str, path: Path, source: str) -> Iterator[Record]:
    many = {"statements": "claim", "relations": "subject"}  # tables in which one key has several rows
    count: dict[str, int] = {}
    for row in tables.rows(path, source=source):
        key = row.fields.get(many.get(name, "id"), "")
        if name in many:
            count[key] = count.get(key, 0) + 1
            key = f"{key}/{count[key]}"
        fields = dict(row.fields)
        yield Record(source, f"{name}/{key}", {name: fields}, file=path.name, line=row.line)


def _with_modality(record: Record, modality: Mapping[str, str]) -> Record:
    """A statement that also knows how its claim puts it: a record must hold all that its quads need."""
    row = record.within("statements")
    fields = {
        name: row.text(name) or ""
        for name in ("claim", "subject", "predicate", "object", "datatype", "polarity")
    }
    fields["modality"] = modality[fields["claim"]]
    return Record(record.source, record.id, {"statements": fields}, file=record.file, line=record.line)


# ---------------------------------------------------------------- rows to quads


def _document(row: Record, graph: Graph) -> Iterator[Quad]:
    identifier = row.require("id")
    document = mint("document", identifier)
    yield graph.quad(document, RDF.type, STROMA.NewsDigest)
    yield graph.quad(document, RDF.type, STROMA.SourceDocument)
    yield graph.quad(document, DCTERMS.identifier, emit.string(identifier))
    yield graph.quad(document, DCTERMS.title, emit.lang(row.require("title"), "en"))
    yield graph.quad(document, DCTERMS.language, emit.string(row.require("language")))
    yield graph.quad(document, STROMA.recordFile, emit.string(row.require("file")))
    yield graph.quad(document, STROMA.sha256, emit.string(row.require("sha256")))
    yield graph.quad(document, STROMA.digestOf, iri(row, "publication", row.require("publication")))


def _entity(row: Record, graph: Graph) -> Iterator[Quad]:
    entity, note = iri(row, "id", row.require("id")), row.text("note")
    if row.text("types") is None and note is not None:
        row.text("claims")
        return  # another source describes it, which the note names; here it is only pointed at
    yield graph.quad(entity, RDFS.label, emit.lang(row.require("label"), "en"))
    if note:
        yield graph.quad(entity, STROMA.curatorNote, emit.lang(note, "en"))
    types = [iri(row, "types", curie) for curie in row.require("types").split(" ")]
    yield from _curated(row, graph, [(entity, RDF.type, kind) for kind in types])


def _relation(row: Record, graph: Graph) -> Iterator[Quad]:
    yield from _curated(row, graph, [edge(row)])


def _curated(
    row: Record, graph: Graph, edges: Sequence[tuple[NamedNode, NamedNode, NamedNode | Literal]]
) -> Iterator[Quad]:
    """What we say and no single span does: a claim of ours, so that nobody takes it for the document's word.

    `claims` are the document's claims it rests on. Without a basis it says what we mean by a thing.
    """
    subject, predicate, _ = edges[0]
    claim = mint(
        "claim", "curator", digest(str(subject), str(predicate), *(str(stated[2]) for stated in edges))
    )
    basis, confidence = row.text("basis"), row.text("confidence")
    yield graph.quad(claim, RDF.type, STROMA.CuratedStatement)
    yield graph.quad(claim, STROMA.basis, emit.lang(basis or _MEANT, "en"))
    yield graph.quad(
        claim, STROMA.confidence, iri(row, "confidence", f"stroma:Confidence{confidence or 'High'}")
    )
    yield graph.quad(claim, STROMA.modality, STROMA.ModalityAsserted)
    for identifier in words(row, "claims"):
        yield graph.quad(claim, PROV.wasDerivedFrom, mint("claim", identifier))
    yield from rests_on(graph, claim, STROMA.LevelCurated, BY_CURATOR)
    yield from generation(graph, claim)
    for stated in edges:
        yield from asserts(graph, claim, *stated)


def _observation(row: Record, graph: Graph) -> Iterator[Quad]:
    observation, kind = mint("observation", row.require("id")), row.require("kind")
    groups = sorted(row.require("group").split(" "))
    measure, months, analysis_set = row.require("measure"), row.text("months"), row.text("set")
    yield graph.quad(observation, RDF.type, STROMA(kind))
    if kind not in ("Observation", "GroupComparison"):
        yield graph.quad(observation, RDF.type, STROMA.Observation)
        yield graph.quad(observation, RDF.type, STROMA.OutcomeObservation)
    about = {"Observation": STROMA.aboutGroup, "GroupComparison": STROMA.comparesGroup}.get(
        kind, STROMA.aboutArm
    )
    for group in groups:
        yield graph.quad(observation, about, iri(row, "group", group))
    yield graph.quad(observation, STROMA.forMeasure, iri(row, "measure", measure))
    if months is not None:
        yield graph.quad(observation, STROMA.timepointMonths, emit.decimal(row, "months", months))
    if label := row.text("label"):
        yield graph.quad(observation, STROMA.timepointLabel, emit.string(label))
    if analysis_set is not None:
        yield graph.quad(observation, STROMA.analysisSet, iri(row, "set", analysis_set))
    if unit := row.text("unit"):
        yield graph.quad(observation, STROMA.unit, emit.string(unit))
    for study in words(row, "study"):
        yield graph.quad(observation, STROMA.producedByStudy, iri(row, "study", study))
    if note := row.text("note"):
        yield graph.quad(observation, STROMA.curatorNote, emit.lang(note, "en"))
    for document in sorted(set(row.require("document").split(" "))):
        yield graph.quad(observation, PROV.wasDerivedFrom, mint("document", document))
    yield graph.quad(observation, STROMA.statementLevel, STROMA.LevelStated)
    yield from generation(graph, observation)
    key = digest(" ".join(groups), measure, months or "", analysis_set or "")
    yield graph.quad(observation, STROMA.observationKey, emit.string(key))


def _claim(row: Record, graph: Graph) -> Iterator[Quad]:
    identifier = row.require("id")
    claim, span = mint("claim", identifier), mint("span", identifier)
    document = mint("document", row.require("document"))
    yield graph.quad(claim, RDF.type, STROMA.Claim)
    yield graph.quad(claim, DCTERMS.identifier, emit.string(identifier))
    yield graph.quad(claim, PROV.wasDerivedFrom, document)
    yield graph.quad(claim, STROMA.statementLevel, STROMA.LevelStated)
    yield from generation(graph, claim)
    yield graph.quad(claim, STROMA.claimText, emit.lang(row.require("statement"), "en"))
    yield graph.quad(claim, STROMA.hasTopic, STROMA("Topic" + row.require("topic")))
    yield graph.quad(claim, STROMA.modality, STROMA("Modality" + row.require("modality")))
    yield graph.quad(claim, STROMA.claimSubject, emit.string(row.require("subject")))
    yield graph.quad(claim, STROMA.evidenceType, iri(row, "evidence", row.require("evidence")))
    for field, named in (("study_type", STROMA.evidenceStudyType), ("species", STROMA.sourceSpecies)):
        for curie in words(row, field):
            yield graph.quad(claim, named, iri(row, field, curie))
    confidence, basis = row.require("confidence"), row.text("basis")
    if row.text("reason") is None:  # how sure we are of a reading; a text claim is not read further
        yield graph.quad(claim, STROMA.confidence, iri(row, "confidence", f"stroma:Confidence{confidence}"))
        yield graph.quad(claim, STROMA.confidenceBasis, emit.lang(basis or _EXPLICIT, "en"))
    for field, predicate in (
        ("population", STROMA.claimPopulation),
        ("timepoint", STROMA.claimTimepoint),
        ("reason", STROMA.notFormalisedBecause),
        ("note", STROMA.curatorNote),
    ):
        if text := row.text(field):
            yield graph.quad(claim, predicate, emit.lang(text, "en"))
    yield graph.quad(claim, STROMA.statedAt, span)
    yield graph.quad(span, RDF.type, STROMA.TextSpan)
    yield graph.quad(span, PROV.wasQuotedFrom, document)
    yield graph.quad(span, STROMA.inDocument, document)
    yield graph.quad(span, STROMA.lineNumber, emit.integer(row, "line", row.require("line")))
    yield graph.quad(span, STROMA.startOffset, emit.integer(row, "start", row.require("start")))
    yield graph.quad(span, STROMA.endOffset, emit.integer(row, "end", row.require("end")))
    yield graph.quad(span, STROMA.sha256, emit.string(row.require("sha256")))


def _statement(row: Record, graph: Graph) -> Iterator[Quad]:
    claim = mint("claim", row.require("claim"))
    subject, predicate, value = edge(row)
    polarity, modality = row.text("polarity"), row.require("modality")
    if polarity not in (None, "negative"):
        raise UnknownValue(
            "is not a polarity: empty (positive) or negative", value=polarity, **row.place("polarity")
        )
    if row.require("subject").startswith("observation:"):
        yield graph.quad(claim, STROMA.hasEvidence, subject)
    yield from asserts(
        graph, claim, subject, predicate, value,
        positive=polarity is None, plain=modality == "Asserted",
    )  # fmt: skip


def _timepoint(row: Record, graph: Graph) -> Iterator[Quad]:
    """Nothing: the times are what observations are checked against."""
    for field in ("id", "months", "label", "meaning"):
        row.text(field)
    yield from ()


_EMITTERS = {
    "documents": _document,
    "entities": _entity,
    "relations": _relation,
    "timepoints": _timepoint,
    "observations": _observation,
    "claims": _claim,
    "statements": _statement,
}
