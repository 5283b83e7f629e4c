"""Mappings between vocabularies: the SSSOM tables of `ontology/mappings/`, one for each vocabulary we map to.

Hides the form of a table (a YAML header in comment lines, then tab-separated rows) and which rows are
refused. In the graph a mapping is the plain `skos:…Match` triple and, as SSSOM writes it in RDF, an
`owl:Axiom` about that triple with its justification and confidence.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, parse

from kg.errors import BadValue, SourceError, UnknownValue, UsageError
from kg.parts import SourceInfo
from kg.terms import BASE, DCTERMS, OWL, RDF, RDFS, ROOT, compress, digest, expand, mint, prefixes
from loaders.emit import Graph, decimal, lang, string
from loaders.record import Record
from loaders.tables import Row, rows

_DEGREES = ("exact", "close", "broad", "narrow", "related")
PREDICATES = {f"skos:{degree}Match": expand(f"skos:{degree}Match") for degree in _DEGREES}
# The matching processes of SEMAPV, which SSSOM asks for.
JUSTIFICATIONS = frozenset(
    f"semapv:{name}"
    for name in (
        "ManualMappingCuration", "MappingReview", "LexicalMatching", "LogicalReasoning", "CompositeMatching",
        "StructuralMatching", "InstanceBasedMatching", "BackgroundKnowledgeBasedMatching", "MappingChaining",
        "MappingInversion", "LexicalSimilarityThresholdMatching", "SemanticSimilarityThresholdMatching",
        "UnspecifiedMatching",
    )
)  # fmt: skip
UNVERIFIED = "unverified"  # how the comment of a row starts whose object no file we hold shows
MOST_UNVERIFIED = 0.5  # the highest confidence of such a row
COLUMNS = (
    "subject_id", "subject_label", "predicate_id", "object_id", "object_label", "mapping_justification",
    "confidence", "object_source_version", "comment",
)  # fmt: skip
_HEADER = (
    "curie_map", "license", "mapping_set_id", "mapping_set_title", "mapping_set_version", "object_source",
)  # fmt: skip
_SETS = BASE + "mappings/"
_KINDS = {OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty, OWL.NamedIndividual}


@lru_cache(maxsize=1)
def declared() -> Mapping[str, str]:
    """The terms that the ontology's modules declare: CURIE -> label."""
    labels: dict[str, str] = {}
    kinds: set[str] = set()
    folder = ROOT / "ontology"
    for path in (folder / "stroma.ttl", *sorted((folder / "modules").glob("*.ttl"))):
        for quad in parse(path=path, format=RdfFormat.TURTLE):
            if isinstance(quad.subject, NamedNode):
                if quad.predicate == RDF.type and quad.object in _KINDS:
                    kinds.add(compress(quad.subject.value))
                elif quad.predicate == RDFS.label and isinstance(quad.object, Literal):
                    labels[compress(quad.subject.value)] = quad.object.value
    return {name: labels.get(name, "") for name in sorted(kinds)}


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """The headers and rows of SSSOM tables, each a record; a row knows the set it is of.

    Raises SourceError for a header or row that is not SSSOM, and for a pair of terms that is mapped twice.
    """
    seen: dict[tuple[str, str], str] = {}
    for path in files:
        header = _header(path, info.name)
        identifier = header["mapping_set_id"]
        yield Record(info.name, identifier, header, file=path.name, line=1)
        for row in rows(path, source=info.name):
            record = _row(row, path, identifier, header["curie_map"], info.name)
            pair = (row.fields["subject_id"], row.fields["object_id"])
            if pair in seen:
                raise SourceError(
                    f"the same two terms are mapped in {seen[pair]}",
                    advice="Keep one of the two rows", **record.place("object_id"),
                )  # fmt: skip
            seen[pair] = f"{path.name}:{row.line}"
            yield record


def _header(path: Path, source: str) -> dict[str, Any]:
    """The set's metadata; its prefixes must be those of `ontology/prefixes.json`."""

    def faulty(problem: str, advice: str) -> SourceError:
        return SourceError(problem, source=source, file=path.name, advice=advice)

    try:
        with path.open(encoding="utf-8") as handle:
            lines = [line[1:] for line in handle if line.startswith("#")]
        header = yaml.safe_load("".join(lines))
    except UnicodeDecodeError as problem:
        raise faulty("is not UTF-8", "Save it as UTF-8") from problem
    except yaml.YAMLError as problem:
        raise faulty(
            f"the header is not YAML: {' '.join(str(problem).split())}", "Mend the lines that start with #"
        ) from problem
    missing = [name for name in _HEADER if not isinstance(header, dict) or not header.get(name)]
    if missing:
        raise faulty(f"the header has no {missing[0]}", "Copy the header of another table and adapt it")
    if not isinstance(header["curie_map"], dict):
        raise faulty("curie_map is no list of prefixes", "Write each as `#  prefix: IRI`")
    for name in ("license", "object_source"):
        try:
            expand(str(header[name]))
        except (UsageError, ValueError) as problem:
            raise faulty(f"{name} of the header is {header[name]!r}: {problem}", "Write an IRI") from problem
    if header["mapping_set_id"] != _SETS + path.name:
        raise faulty(
            f"mapping_set_id is {header['mapping_set_id']}",
            f"Write {_SETS}{path.name}, after the file's name",
        )
    ours = prefixes()
    for prefix, iri in header["curie_map"].items():
        if ours.get(prefix) != iri:
            there = ours.get(prefix, "none of this name")
            raise faulty(
                f"prefix {prefix} of curie_map is {iri}; ontology/prefixes.json has {there}",
                "Write the same in both",
            )
    return {name: str(value) if name != "curie_map" else value for name, value in header.items()}


def _row(row: Row, path: Path, identifier: str, curie_map: Mapping[str, str], source: str) -> Record:
    fields: dict[str, Any] = {**row.fields, "mapping_set": identifier}
    key = " ".join(row.fields.get(name, "") for name in ("subject_id", "object_id"))
    record = Record(source, key, fields, file=path.name, line=row.line)
    strange = sorted(row.fields.keys() ^ set(COLUMNS))
    if strange:
        raise SourceError(
            f"the column {strange[0]} is {'unknown here' if strange[0] in row.fields else 'missing'}",
            source=source, file=path.name, advice=f"The columns are {', '.join(COLUMNS)}",
        )  # fmt: skip
    for name in ("subject_id", "object_id", "predicate_id", "mapping_justification"):
        prefix = record.require(name).partition(":")[0]
        if prefix not in curie_map:
            raise UnknownValue(
                f"prefix {prefix!r} is not in the curie_map of this table",
                value=fields[name], advice=_where(prefix, path), **record.place(name),
            )  # fmt: skip
    return record


def _where(prefix: str, path: Path) -> str:
    other = f"{prefix.lower()}.sssom.tsv"
    if (path.parent / other).is_file():
        return f"Mappings to {prefix} stand in {other}"
    if prefix in prefixes():
        return f"Add {prefix}: {prefixes()[prefix]} to the curie_map, or start a table {other}"
    return "Correct it, or add the prefix to ontology/prefixes.json and to the curie_map"


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """A set's description, or a mapping: its plain triple and what is said of it."""
    sssom = expand("sssom:").value
    if title := record.text("mapping_set_title"):
        node = expand(record.require("mapping_set_id"))
        yield graph.quad(node, RDF.type, expand("sssom:MappingSet"))
        yield graph.quad(node, DCTERMS.title, lang(title, "en"))
        yield graph.quad(node, DCTERMS.license, NamedNode(record.require("license")))
        yield graph.quad(node, OWL.versionInfo, string(record.require("mapping_set_version")))
        yield graph.quad(node, NamedNode(sssom + "object_source"), expand(record.require("object_source")))
        return
    names = {name: record.require(name) for name in ("subject_id", "predicate_id", "object_id")}
    subject = _subject(record)
    predicate = _one_of(record, "predicate_id", PREDICATES)
    target = _object(record)
    node = mint("mapping", digest(*names.values()))
    yield graph.quad(subject, PREDICATES[predicate], target)
    yield graph.quad(expand(record.require("mapping_set")), NamedNode(sssom + "mappings"), node)
    yield graph.quad(node, RDF.type, OWL.Axiom)
    yield graph.quad(node, OWL.annotatedSource, subject)
    yield graph.quad(node, OWL.annotatedProperty, PREDICATES[predicate])
    yield graph.quad(node, OWL.annotatedTarget, target)
    reason = _one_of(record, "mapping_justification", JUSTIFICATIONS)
    yield graph.quad(node, NamedNode(sssom + "mapping_justification"), expand(reason))
    yield graph.quad(node, NamedNode(sssom + "confidence"), _confidence(record))
    yield graph.quad(node, NamedNode(sssom + "object_label"), string(record.require("object_label")))
    if version := record.text("object_source_version"):
        yield graph.quad(node, NamedNode(sssom + "object_source_version"), string(version))
    if comment := record.text("comment"):
        yield graph.quad(node, RDFS.comment, lang(comment, "en"))


def _subject(record: Record) -> NamedNode:
    name = record.require("subject_id")
    if name not in declared():
        near = difflib.get_close_matches(name, declared(), n=3, cutoff=0.7)
        raise UnknownValue(
            f"no module of the ontology declares it (nearest: {', '.join(near) or 'nothing like it'})",
            value=name, advice="Correct the subject, or declare the term in ontology/modules/",
            **record.place("subject_id"),
        )  # fmt: skip
    return expand(name)


def _object(record: Record) -> NamedNode:
    name = record.require("object_id")
    try:
        node = expand(name)
    except (UsageError, ValueError) as problem:
        raise record.bad("object_id", name, f"is no CURIE we can expand: {problem}") from problem
    if node.value.startswith(BASE):
        raise record.bad(
            "object_id", name, "is a term of our own",
            "A mapping leads to another vocabulary; between our own terms write an axiom",
        )  # fmt: skip
    return node


def _one_of(record: Record, field: str, known: Mapping[str, object] | frozenset[str]) -> str:
    value = record.require(field)
    if value not in known:
        raise UnknownValue(
            f"should be one of {', '.join(sorted(known))}",
            value=value, advice="Correct the row", **record.place(field),
        )  # fmt: skip
    return value


def _confidence(record: Record) -> Literal:
    """How sure we are, from 0 to 1; at most 0.5 where no file we hold shows the object."""
    value = decimal(record, "confidence", record.require("confidence"))
    number = float(value.value)
    if not 0 <= number <= 1:
        raise record.bad("confidence", value.value, "should lie between 0 and 1")
    unverified = (record.text("comment") or "").startswith(UNVERIFIED)
    if unverified == (record.text("object_source_version") is not None):
        raise BadValue(
            "a row names in object_source_version the file that shows its object, or its comment starts "
            f'with "{UNVERIFIED}:"',
            value=record.text("comment"), advice="Write one of the two", **record.place("comment"),
        )  # fmt: skip
    if unverified and number > MOST_UNVERIFIED:
        raise record.bad("confidence", value.value, f"of an unverified mapping is at most {MOST_UNVERIFIED}")
    return value
