"""The claims of the documents: six curated tables into claims, propositions, observations and entities.

Hides how the tables refer to each other. A row that points at something no table and no ontology module
knows stops the load, naming the row: a reference that dangles would be a fact nobody can follow.

The tables (tab-separated, sorted, one thing a row; they are the source of truth):

    documents.tsv     the documents, with the SHA-256 that fixes what offsets mean
    entities.tsv      the trials, groups, regimens, products ... that the documents talk about; one without
                      types is described by another source
    relations.tsv     edges no single span states: what we mean by a thing, or a curator's inference, with its
                      basis; both tables name the claims they rest on
    observations.tsv  one node a reported number (or table cell): of which group, for which measure, when;
                      `document` and `line` list the places that report it, blanks between them
    claims.tsv        every statement, with the span it stands at
    statements.tsv    what a claim asserts: one typed edge a row
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from pyoxigraph import Literal, NamedNode, Quad, parse

from kg.errors import SourceError, UnknownValue, UsageError
from kg.parts import SourceInfo
from kg.terms import DCTERMS, PROV, RDF, RDFS, ROOT, STROMA, XSD, digest, expand, mint
from loaders import emit, tables
from loaders.claims import BY_CURATOR, asserts, generation, rests_on
from loaders.emit import Graph
from loaders.literature.verify import verify
from loaders.record import Record

__all__ = ["quads", "read", "verify"]

SOURCE = "literature"
TABLES = ("documents", "entities", "relations", "observations", "claims", "statements")

# Vocabularies whose terms we use but do not declare.
_STANDARD = ("dcterms:", "rdfs:", "rdf:", "skos:", "foaf:", "prov:", "owl:")
_ARMS = frozenset({"stroma:TrialArm", "stroma:PooledAnalysisGroup"})
_KINDS = frozenset(
    {
        "Observation", "OutcomeObservation", "BaselineObservation", "MedicationObservation",
        "AdverseEventObservation", "FlowObservation", "GroupComparison",
    }
)  # fmt: skip
_MEANT = "What we mean by this thing, which the documents speak of."
_MODALITIES = frozenset({"Asserted", "Hedged", "Recommended"})


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """Every row of the six tables as a Record, each reference checked before the first one is given out.

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
                advice=f"A set of claims is six tables: {', '.join(TABLES)}",
            )  # fmt: skip
        records[name] = list(_records(name, paths[name], info.name))
    _check(records)
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


@dataclass(frozen=True)
class _Known:
    """What a reference may lead to."""

    documents: Mapping[str, Record]
    claims: Mapping[str, Record]
    observations: Mapping[str, Record]
    entities: Mapping[str, str]  # CURIE -> its types, separated by blanks
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
        elif _iri(row, field, curie).value not in self.terms:
            raise UnknownValue(
                "is neither an entity of entities.tsv nor a term of the ontology",
                value=curie, advice="Mend the spelling, or describe it first", **row.place(field),
            )  # fmt: skip

    def document(self, row: Record, field: str, identifier: str) -> None:
        if identifier not in self.documents:
            known = ", ".join(sorted(self.documents))
            raise row.bad(field, identifier, f"no document has this id; there are {known}")


def _check(records: Mapping[str, Sequence[Record]]) -> None:
    known = _Known(
        documents=_unique(records["documents"]),
        claims=_unique(records["claims"]),
        observations=_unique(records["observations"]),
        entities={
            key: row.within("entities").text("types") or ""
            for key, row in _unique(records["entities"]).items()
        },
        terms=_declared_terms(),
    )  # fmt: skip
    for record in records["entities"]:
        row = record.within("entities")
        for curie in _words(row, "types"):
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
        for curie in _words(row, field):
            known.require(row, field, curie)


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
    for identifier in _words(row, "claims"):
        if identifier not in known.claims:
            raise row.bad("claims", identifier, "no claim has this id", "Name the claims it rests on")


def _check_statements(statements: Sequence[Record], known: _Known) -> Mapping[str, set[str]]:
    """Check every statement; returns of each subject the claims that say something of it."""
    sizes: dict[str, tuple[int, Record]] = {}
    affected: dict[str, list[tuple[int, Record]]] = {}
    claims_of: dict[str, set[str]] = {}
    for record in statements:
        row = record.within("statements")
        claim = row.require("claim")
        if claim not in known.claims:
            raise row.bad(
                "claim", claim, "no claim has this id", "Add it to claims.tsv, or drop the statement"
            )
        _check_edge(row, known)
        subject, predicate, value = row.require("subject"), row.require("predicate"), _value(row)
        claims_of.setdefault(subject, set()).add(claim)
        if not isinstance(value, Literal):
            continue
        if predicate == "stroma:percentage" and not 0 <= Decimal(value.value) <= 100:
            raise row.bad("object", value.value, "a percentage lies between 0 and 100")
        if predicate == "stroma:sampleSize":
            sizes[subject] = (int(value.value), row)
        elif predicate == "stroma:numberAffected":
            affected.setdefault(subject, []).append((int(value.value), row))
    for subject, numbers in affected.items():
        for number, row in numbers:
            if subject in sizes and number > sizes[subject][0]:
                raise row.bad(
                    "object", number, f"n is over N: {sizes[subject][0]} were observed",
                    "Check both numbers in the document",
                )  # fmt: skip
    return claims_of


def _check_claim(row: Record, asserts_something: bool, known: _Known) -> None:
    known.document(row, "document", row.require("document"))
    start, end = (int(emit.integer(row, field, row.require(field)).value) for field in ("start", "end"))
    if not 0 <= start < end:
        raise row.bad(
            "end", end, f"the span is empty: it starts at {start}", "Record the offsets of the words"
        )
    known.require(row, "topic", "stroma:Topic" + row.require("topic"))
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


# ---------------------------------------------------------------- rows to quads


def _iri(row: Record, field: str, curie: str) -> NamedNode:
    try:
        return expand(curie)
    except (UsageError, ValueError) as problem:
        raise row.bad(field, curie, f"is not a CURIE we can read ({problem})") from problem


def _words(row: Record, field: str) -> list[str]:
    """The CURIEs of a field that holds several, one blank between them."""
    text = row.text(field)
    return [] if text is None else text.split(" ")


def _value(row: Record) -> NamedNode | Literal:
    """The object of an edge as its `datatype` says: iri, integer, decimal, boolean, date, text or en."""
    text, datatype = row.require("object"), row.require("datatype")
    if datatype == "iri":
        return _iri(row, "object", text)
    if datatype == "integer":
        return emit.integer(row, "object", text)
    if datatype == "decimal":
        return emit.decimal(row, "object", text)
    if datatype == "date":
        return emit.date(row, "object", text)
    if datatype == "boolean":
        if text not in ("true", "false"):
            raise row.bad("object", text, "should be true or false")
        return Literal(text, datatype=XSD.boolean)
    if datatype == "text":
        return emit.string(text)
    if datatype == "en":
        return emit.lang(text, "en")
    raise UnknownValue("is not a datatype of these tables", value=datatype, **row.place("datatype"))


def _edge(row: Record) -> tuple[NamedNode, NamedNode, NamedNode | Literal]:
    subject = _iri(row, "subject", row.require("subject"))
    return subject, _iri(row, "predicate", row.require("predicate")), _value(row)


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
    yield graph.quad(document, STROMA.digestOf, _iri(row, "publication", row.require("publication")))


def _entity(row: Record, graph: Graph) -> Iterator[Quad]:
    entity, note = _iri(row, "id", row.require("id")), row.text("note")
    if row.text("types") is None and note is not None:
        row.text("claims")
        return  # another source describes it, which the note names; here it is only pointed at
    yield graph.quad(entity, RDFS.label, emit.lang(row.require("label"), "en"))
    if note:
        yield graph.quad(entity, STROMA.curatorNote, emit.lang(note, "en"))
    types = [_iri(row, "types", curie) for curie in row.require("types").split(" ")]
    yield from _curated(row, graph, [(entity, RDF.type, kind) for kind in types])


def _relation(row: Record, graph: Graph) -> Iterator[Quad]:
    yield from _curated(row, graph, [_edge(row)])


def _curated(
    row: Record, graph: Graph, edges: Sequence[tuple[NamedNode, NamedNode, NamedNode | Literal]]
) -> Iterator[Quad]:
    """What we say and no single span does: a claim of ours, so that nobody takes it for the document's word.

    `claims` are the document's claims it rests on. Without a basis it says what we mean by a thing.
    """
    subject, predicate, _ = edges[0]
    claim = mint("claim", "curator", digest(str(subject), str(predicate), *(str(edge[2]) for edge in edges)))
    basis, confidence = row.text("basis"), row.text("confidence")
    yield graph.quad(claim, RDF.type, STROMA.CuratedStatement)
    yield graph.quad(claim, STROMA.basis, emit.lang(basis or _MEANT, "en"))
    yield graph.quad(
        claim, STROMA.confidence, _iri(row, "confidence", f"stroma:Confidence{confidence or 'High'}")
    )
    yield graph.quad(claim, STROMA.modality, STROMA.ModalityAsserted)
    for identifier in _words(row, "claims"):
        yield graph.quad(claim, PROV.wasDerivedFrom, mint("claim", identifier))
    yield from rests_on(graph, claim, STROMA.LevelCurated, BY_CURATOR)
    yield from generation(graph, claim)
    for edge in edges:
        yield from asserts(graph, claim, *edge)


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
        yield graph.quad(observation, about, _iri(row, "group", group))
    yield graph.quad(observation, STROMA.forMeasure, _iri(row, "measure", measure))
    if months is not None:
        yield graph.quad(observation, STROMA.timepointMonths, emit.decimal(row, "months", months))
    if label := row.text("label"):
        yield graph.quad(observation, STROMA.timepointLabel, emit.string(label))
    if analysis_set is not None:
        yield graph.quad(observation, STROMA.analysisSet, _iri(row, "set", analysis_set))
    if unit := row.text("unit"):
        yield graph.quad(observation, STROMA.unit, emit.string(unit))
    for study in _words(row, "study"):
        yield graph.quad(observation, STROMA.producedByStudy, _iri(row, "study", study))
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
    subject, predicate, value = _edge(row)
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


_EMITTERS = {
    "documents": _document,
    "entities": _entity,
    "relations": _relation,
    "observations": _observation,
    "claims": _claim,
    "statements": _statement,
}
