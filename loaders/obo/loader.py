"""Public ontology terms: labels, synonyms, definitions and parents of the terms we use.

Hides the syntaxes (`formats.py`) and how long chains of parents are shortened: a term's parents here are
its nearest ancestors that are wanted too. What is wanted stands in `ontology/imports/*.txt`.

Where a term stands, and whether it is obsolete, is for its own ontology to say (`cl-….obo` for CL). Files
hold copies of other ontologies' terms as they were once: OSCI of 2018 puts every cell below cellular
component. Of a copy, label, synonyms and definition are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyoxigraph import Literal, Quad

from kg.errors import SourceError, UnknownValue
from kg.parts import SourceInfo
from kg.terms import OWL, RDF, RDFS, ROOT, SKOS, STROMA, XSD, expand
from loaders.emit import Graph, lang, string
from loaders.obo import formats
from loaders.record import Record
from loaders.tables import rows

_SYNONYMS = {
    "EXACT": expand("oboInOwl:hasExactSynonym"),
    "BROAD": expand("oboInOwl:hasBroadSynonym"),
    "NARROW": expand("oboInOwl:hasNarrowSynonym"),
    "RELATED": expand("oboInOwl:hasRelatedSynonym"),
}
_KINDS = {
    "class": (OWL.Class, RDFS.subClassOf),
    "object property": (OWL.ObjectProperty, RDFS.subPropertyOf),
    "datatype property": (OWL.DatatypeProperty, RDFS.subPropertyOf),
    "annotation property": (OWL.AnnotationProperty, RDFS.subPropertyOf),
    "individual": (OWL.NamedIndividual, RDF.type),
}
_WANTED = re.compile(r"(?P<curie>\S+:\S+)\s+# (?P<label>.+) \[(?P<seen>.+)\]")


# What only a term's own ontology is asked.
_PLACE = ("is_a", "part_of", "is_obsolete", "replaced_by")


def is_own(name: str, file: str) -> bool:
    """Whether a file is of the ontology that a term (CURIE) belongs to: `cl-basic_2022-12-15.obo` for CL."""
    return re.split(r"[^a-z]", file.lower(), maxsplit=1)[0] == name.partition(":")[0].lower()


@lru_cache(maxsize=1)
def wanted() -> Mapping[str, tuple[str, str]]:
    """The wanted terms: CURIE -> its label and where that was seen, of `ontology/imports/*.txt`.

    A line is `CL:0000134  # mesenchymal stem cell [seen in]`; lines that start with "#" are comments.
    """
    found: dict[str, tuple[str, str]] = {}
    for path in sorted((ROOT / "ontology" / "imports").glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            match = _WANTED.fullmatch(line.strip())
            if match is None or match["curie"] in found:
                raise SourceError(
                    "is not `CURIE  # label [seen in]`" if match is None else "comes twice",
                    source="obo", file=f"{path.name}:{number}", value=line, advice="Mend the line",
                )  # fmt: skip
            found[match["curie"]] = (match["label"], match["seen"])
    return found


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """The wanted terms of the given files, a record for each term and file.

    `.obo` (or `.obo.gz`), `.owl` (RDF/XML or OWL/XML), `.ttl`, our own table of terms, and SSSOM tables.
    """
    for path in files:
        if path.suffix == ".tsv":
            yield from _table(path, info.name)
        else:
            yield from _terms(path, info.name)


def _terms(path: Path, source: str) -> Iterator[Record]:
    ontology = formats.read(path, wanted().keys(), source)
    for term, line in ontology.terms:
        name = term["id"]
        own = is_own(name, path.name)
        described = any(term.get(key) for key in ("name", "def", "synonym"))
        if "kind" not in term or not (described or own):
            continue  # a mention: other ontologies' files hold bare ids, sometimes with a parent
        if not term.get("name"):
            raise SourceError(
                "the term has no label",
                source=source, file=path.name if line is None else f"{path.name}:{line}", record=name,
                field="name", advice="Fetch the file again, or take the term out of ontology/imports/",
            )  # fmt: skip
        for relation in ("is_a", "part_of"):
            term[relation] = sorted(_nearest(term.get(relation, []), ontology.parents) - {name})
        if not own:
            term["copied"] = {key: term.pop(key) for key in _PLACE if key in term}
        yield Record(source, f"{name} of {path.name}", term, file=path.name, line=line)


def _nearest(names: list[str], parents: Mapping[str, list[str]]) -> set[str]:
    """The names that are wanted, and for each other one its nearest wanted ancestors."""
    nearest: set[str] = set()
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in wanted():
            nearest.add(name)
        elif name not in seen:
            seen.add(name)
            todo += parents.get(name, [])
    return nearest


def _table(path: Path, source: str) -> Iterator[Record]:
    for row in rows(path, source=source):
        fields: dict[str, Any] = dict(row.fields)
        if "subject_id" in fields:  # SSSOM
            if fields["subject_id"] in wanted():
                key = f"{fields['subject_id']} {fields.get('predicate_id')} {fields.get('object_id')}"
                yield Record(source, key, fields, file=path.name, line=row.line)
        elif "is_a" in fields:
            fields |= {name: row.fields.get(name, "").split() for name in ("is_a", "part_of")}
            yield Record(source, fields["id"], fields, file=path.name, line=row.line)
        else:
            raise SourceError(
                f"the columns {', '.join(row.fields)} are of no table known here",
                source=source, file=path.name, advice="Give a table of terms (id, name, is_a, ...) or SSSOM",
            )  # fmt: skip


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """What one file says of one term."""
    if mapped := record.text("subject_id"):
        yield graph.quad(formats.iri(mapped), *_mapping(record))
        return
    term = formats.iri(record.require("id"))
    kind = record.require("kind")
    if kind not in _KINDS:
        raise UnknownValue(
            f"should be one of {', '.join(_KINDS)}",
            value=kind, advice="Mend the row", **record.place("kind"),
        )  # fmt: skip
    type_, below = _KINDS[kind]
    yield graph.quad(term, RDF.type, type_)
    yield graph.quad(term, RDFS.label, lang(record.require("name"), "en"))
    if seen := record.text("seen_in") or record.file:
        yield graph.quad(term, STROMA.importedFrom, string(seen))
    if text := record.text("def"):
        yield graph.quad(term, expand("IAO:0000115"), lang(text, "en"))
    for synonym in record.each("synonym"):
        scope = synonym.require("scope")
        if scope not in _SYNONYMS:
            raise UnknownValue(
                f"should be one of {', '.join(_SYNONYMS)}",
                value=scope, advice="Add it to loaders/obo/loader.py", **synonym.place("scope"),
            )  # fmt: skip
        if text := synonym.text("text"):
            yield graph.quad(term, _SYNONYMS[scope], lang(text, "en"))
    for parent in record.texts("is_a"):
        yield graph.quad(term, below, formats.iri(parent))
    for whole in record.texts("part_of"):
        yield graph.quad(term, expand(formats.PART_OF), formats.iri(whole))
    if record.text("is_obsolete") == "true":
        yield graph.quad(term, OWL.deprecated, Literal("true", datatype=XSD.boolean))
    for other in record.texts("replaced_by"):
        yield graph.quad(term, expand("IAO:0100001"), formats.iri(other))


def _mapping(record: Record) -> tuple[Any, Any]:
    predicates = {f"skos:{name}Match": SKOS(f"{name}Match") for name in ("exact", "close", "broad", "narrow")}
    predicate = record.require("predicate_id")
    if predicate not in predicates:
        raise UnknownValue(
            f"should be one of {', '.join(predicates)}",
            value=predicate, advice="Add it to loaders/obo/loader.py", **record.place("predicate_id"),
        )  # fmt: skip
    record.text(
        "mapping_justification"
    )  # every row here is a curator's; the graph is of mappings, not of acts
    return predicates[predicate], formats.iri(record.require("object_id"))
