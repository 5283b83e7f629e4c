"""Ontology files of four syntaxes as plain term descriptions.

Hides obonet, pyoxigraph's parser and py-horned-owl, and what each calls a label, a parent or a synonym.
Only the wanted terms are kept; of all others just their parents, so memory stays small.

A description is a dictionary: id (CURIE), kind, name, def, synonym [{scope, text}], is_a, part_of,
is_obsolete, replaced_by, and annotation {…} for what is left.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pyhornedowl
from obonet.read import parse_tag_line
from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, parse

from kg.errors import BadValue, SourceError, UsageError
from kg.terms import OBO, OWL, RDF, RDFS, compress, expand
from loaders.tables import MAX_FIELD

SUFFIXES = (".obo", ".obo.gz", ".owl", ".ttl")  # of the files that are read here
PART_OF = "BFO:0000050"
_SCOPES = {f"oboInOwl:has{scope.title()}Synonym": scope for scope in ("EXACT", "BROAD", "NARROW", "RELATED")}
_KINDS = {
    OWL.Class: "class",
    OWL.ObjectProperty: "object property",
    OWL.DatatypeProperty: "datatype property",
    OWL.AnnotationProperty: "annotation property",
    OWL.NamedIndividual: "individual",
}

Description = dict[str, Any]


@dataclass
class Ontology:
    """The wanted terms of one file, each with its line where the format has lines, and all parents."""

    terms: list[tuple[Description, int | None]] = field(default_factory=list)
    parents: dict[str, list[str]] = field(default_factory=dict)


def curie(iri: str) -> str:
    """The CURIE of an IRI; OBO Foundry IRIs give theirs whether or not we have the prefix."""
    match = re.fullmatch(r"http://purl\.obolibrary\.org/obo/([A-Za-z]+)_(\w+)", iri)
    return f"{match[1]}:{match[2]}" if match else compress(iri)


def iri(name: str) -> NamedNode:
    """The IRI of a CURIE; a prefix we do not have is one of the OBO Foundry."""
    try:
        return expand(name)
    except UsageError:
        return OBO(name.replace(":", "_"))


def read(path: Path, wanted: Set[str], source: str) -> Ontology:
    """The wanted terms of an ontology file; raises SourceError for a file that does not parse."""
    with _refused(path, source):
        if ".obo" in path.suffixes:
            return _obo(path, wanted, source)
        if path.suffix == ".owl" and not _is_closed(path):
            raise _cut_off(path, source, None)
        return _owl_xml(path, wanted, source) if _is_owl_xml(path) else _rdf(path, wanted, source)


@contextmanager
def _refused(path: Path, source: str) -> Iterator[None]:
    """What Python says of bytes that are no text, and of a packed file without its end, as SourceError."""
    try:
        yield
    except UnicodeDecodeError as problem:
        raise SourceError(
            f"is not UTF-8: byte {problem.object[problem.start]:#04x}",
            source=source, file=path.name, advice="Fetch the file again",
        ) from problem  # fmt: skip
    except EOFError as problem:
        raise _cut_off(path, source, None) from problem


def labels(path: Path, source: str) -> Iterator[tuple[str, str, bool]]:
    """CURIE, label and whether it is obsolete, of every labelled term of an ontology file.

    Raises SourceError for a file that does not parse.
    """
    with _refused(path, source):
        yield from _labels(path, source)


def _labels(path: Path, source: str) -> Iterator[tuple[str, str, bool]]:
    if ".obo" in path.suffixes:
        open_ = gzip.open if path.suffix == ".gz" else open
        with open_(path, "rt", encoding="utf-8") as handle:
            for _, _, tags in _stanzas(handle, path, source):
                values = dict(tag.strip().partition(": ")[::2] for tag in reversed(tags))
                if "id" in values and "name" in values:
                    yield values["id"], values["name"], values.get("is_obsolete") == "true"
        return
    if _is_owl_xml(path):
        ontology = pyhornedowl.open_ontology_from_file(str(path), "owx")
        entities = ontology.get_classes() | ontology.get_object_properties()
        names = ((entity, ontology.get_annotations(entity, RDFS.label.value)) for entity in sorted(entities))
        for entity, texts in names:
            yield from ((curie(entity), text, False) for text in texts[:1])
        return
    found: dict[str, str] = {}
    obsolete: set[str] = set()
    format_ = RdfFormat.TURTLE if path.suffix == ".ttl" else RdfFormat.RDF_XML
    try:
        for triple in parse(path=str(path), format=format_, base_iri=path.as_uri()):
            if isinstance(triple.subject, NamedNode) and isinstance(triple.object, Literal):
                if triple.predicate == RDFS.label:
                    found.setdefault(curie(triple.subject.value), triple.object.value)
                elif triple.predicate == OWL.deprecated and triple.object.value in ("true", "1"):
                    obsolete.add(curie(triple.subject.value))
    except SyntaxError as problem:
        raise SourceError(
            f"does not parse: {problem.msg}", source=source, file=path.name, advice="Fetch the file again"
        ) from problem
    yield from ((name, label, name in obsolete) for name, label in found.items())


def _cut_off(path: Path, source: str, line: int | None) -> SourceError:
    place = path.name if line is None else f"{path.name}:{line}"
    return SourceError("the file is cut off", source=source, file=place, advice="Fetch the file again")


def _too_long(path: Path, source: str, record: str | None, name: str) -> BadValue:
    return BadValue(
        f"is longer than {MAX_FIELD:,} characters",
        source=source, file=path.name, record=record, field=name,
        advice="The file is probably damaged; fetch it again",
    )  # fmt: skip


# --- OBO


def _obo(path: Path, wanted: Set[str], source: str) -> Ontology:
    found = Ontology()
    open_ = gzip.open if path.suffix == ".gz" else open
    with open_(path, "rt", encoding="utf-8") as handle:
        for line, kind, tags in _stanzas(handle, path, source):
            name = next((text[4:].strip() for text in tags if text.startswith("id: ")), None)
            if name is None:
                raise SourceError(
                    "a stanza has no id",
                    source=source,
                    file=f"{path.name}:{line}",
                    advice="Fetch the file again",
                )
            found.parents[name] = [text[6:].split()[0] for text in tags if text.startswith("is_a: ")]
            if name in wanted:
                found.terms.append((_obo_term(name, kind, tags, path, source, line), line))
    return found


def _stanzas(handle: TextIO, path: Path, source: str) -> Iterator[tuple[int, str, list[str]]]:
    """Line of the stanza's heading, its kind, and its lines; the header and instances are left out."""
    kinds = {"[Term]": "class", "[Typedef]": "object property"}
    line, start, kind, tags = 0, 0, None, list[str]()
    while text := handle.readline(MAX_FIELD):
        line += 1
        if len(text) >= MAX_FIELD:
            name = next((tag[4:].strip() for tag in tags if tag.startswith("id: ")), None)
            raise _too_long(path, source, name, text.partition(":")[0][:40])
        if not text.endswith("\n"):
            raise _cut_off(path, source, line)
        if text.startswith("["):
            if kind is not None:
                yield start, kind, tags
            start, kind, tags = line, kinds.get(text.strip()), []
        elif kind is not None and text.strip() and not text.startswith("!"):
            tags.append(text)
    if kind is not None:
        yield start, kind, tags


def _obo_term(name: str, kind: str, tags: list[str], path: Path, source: str, line: int) -> Description:
    term: Description = {"id": name, "kind": kind, "annotation": {}}
    for offset, text in enumerate(tags):
        try:
            tag = parse_tag_line(text)
        except ValueError as problem:
            raise SourceError(
                "a line is not tag: value",
                source=source, file=f"{path.name}:{line + 1 + offset}", record=name, value=text.strip(),
                advice="Fetch the file again",
            ) from problem  # fmt: skip
        value = tag.value or ""
        if tag.tag in ("name", "is_obsolete"):
            term[tag.tag] = value
        elif tag.tag == "def":
            term["def"] = _quoted(value)[0]
        elif tag.tag == "synonym":
            quoted, rest = _quoted(value)
            scope = rest.split()[0] if rest.split() else "RELATED"
            term.setdefault("synonym", []).append({"scope": scope, "text": quoted})
        elif tag.tag in ("is_a", "replaced_by"):
            term.setdefault(tag.tag, []).append(value.split()[0])
        elif tag.tag == "relationship" and value.split()[0] in ("part_of", PART_OF):
            term.setdefault("part_of", []).append(value.split()[1])
        elif tag.tag != "id":
            term["annotation"].setdefault(tag.tag, []).append(value)
    return term


def _quoted(value: str) -> tuple[str, str]:
    """The text between the first pair of unescaped double quotes, and what follows it."""
    match = re.match(r'"((?:[^"\\]|\\.)*)"\s*(.*)', value)
    return (re.sub(r"\\(.)", r"\1", match[1]), match[2]) if match else (value, "")


# --- RDF/XML and Turtle


def _rdf(path: Path, wanted: Set[str], source: str) -> Ontology:
    found = Ontology()
    subjects = {iri(name): name for name in wanted}
    about: dict[str, list[tuple[NamedNode, Any]]] = {}
    restrictions: dict[BlankNode, dict[NamedNode, NamedNode]] = {}
    format_ = RdfFormat.TURTLE if path.suffix == ".ttl" else RdfFormat.RDF_XML
    try:
        for triple in parse(path=str(path), format=format_):
            subject, predicate, value = triple.subject, triple.predicate, triple.object
            if isinstance(value, Literal) and len(value.value) > MAX_FIELD:
                name = curie(subject.value) if isinstance(subject, NamedNode) else None
                raise _too_long(path, source, name, compress(predicate.value))
            if isinstance(subject, BlankNode):
                if predicate in (OWL.onProperty, OWL.someValuesFrom) and isinstance(value, NamedNode):
                    restrictions.setdefault(subject, {})[predicate] = value
                continue
            if not isinstance(subject, NamedNode):
                continue
            if predicate in (RDFS.subClassOf, RDFS.subPropertyOf) and isinstance(value, NamedNode):
                found.parents.setdefault(curie(subject.value), []).append(curie(value.value))
            if subject in subjects:
                about.setdefault(subjects[subject], []).append((predicate, value))
    except SyntaxError as problem:
        line = problem.lineno
        raise SourceError(
            f"does not parse: {problem.msg}",
            source=source, file=path.name if line is None else f"{path.name}:{line}",
            advice="The file is cut off or damaged; fetch it again",
        ) from problem  # fmt: skip
    for name, edges in about.items():
        found.terms.append((_rdf_term(name, edges, restrictions), None))
    return found


def _rdf_term(
    name: str,
    edges: list[tuple[NamedNode, Any]],
    restrictions: dict[BlankNode, dict[NamedNode, NamedNode]],
) -> Description:
    term: Description = {"id": name, "annotation": {}}
    for predicate, value in edges:
        if isinstance(value, BlankNode):
            restriction = restrictions.get(value, {})
            filler = restriction.get(OWL.someValuesFrom)
            if predicate == RDFS.subClassOf and filler and restriction.get(OWL.onProperty) == iri(PART_OF):
                term.setdefault("part_of", []).append(curie(filler.value))
        elif predicate == RDF.type:
            if value in _KINDS:
                term.setdefault("kind", _KINDS[value])
        else:
            text = value.value if isinstance(value, Literal) else curie(value.value)
            _annotate(term, compress(predicate.value), text)
    return term


def _annotate(term: Description, predicate: str, text: str) -> None:
    """Puts one annotation or named parent where it belongs."""
    if predicate == "rdfs:label":
        term.setdefault("name", text)
    elif predicate == "IAO:0000115":
        term.setdefault("def", text)
    elif predicate == "owl:deprecated":
        term["is_obsolete"] = text
    elif predicate in ("rdfs:subClassOf", "rdfs:subPropertyOf"):
        term.setdefault("is_a", []).append(text)
    elif predicate == "IAO:0100001":
        term.setdefault("replaced_by", []).append(curie(text) if text.startswith("http") else text)
    elif predicate in _SCOPES:
        term.setdefault("synonym", []).append({"scope": _SCOPES[predicate], "text": text})
    else:
        term["annotation"].setdefault(predicate, []).append(text)


# --- OWL/XML


def _is_closed(path: Path) -> bool:
    """Whether the root element of an XML file is closed; pyoxigraph's parser does not ask for it."""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - 4096))
        return re.search(rb"</(?:\w+:)?(?:RDF|Ontology)>", handle.read()) is not None


def _is_owl_xml(path: Path) -> bool:
    with path.open("rb") as handle:
        return path.suffix == ".owl" and re.search(rb"<Ontology\b", handle.read(4096)) is not None


def _owl_xml(path: Path, wanted: Set[str], source: str) -> Ontology:
    # Parts are not read here: CTO, the one file of this syntax, states none of a term we use.
    found = Ontology()
    try:
        ontology = pyhornedowl.open_ontology_from_file(str(path), "owx")
    except ValueError as problem:
        raise SourceError(
            f"does not parse as OWL/XML: {problem}",
            source=source, file=path.name, advice="The file is cut off or damaged; fetch it again",
        ) from problem  # fmt: skip
    entities: tuple[tuple[str, Callable[[], set[str]]], ...] = (
        ("class", ontology.get_classes),
        ("object property", ontology.get_object_properties),
        ("datatype property", ontology.get_data_properties),
        ("annotation property", ontology.get_annotation_properties),
    )
    for kind, members in entities:
        for entity in sorted(members()):
            name = curie(entity)
            if kind == "class":
                found.parents[name] = sorted(curie(parent) for parent in ontology.get_superclasses(entity))
            if name in wanted:
                term: Description = {"id": name, "kind": kind, "annotation": {}}
                term["is_a"] = found.parents.get(name, [])
                for predicate in (RDFS.label, iri("IAO:0000115"), OWL.deprecated, *map(expand, _SCOPES)):
                    for text in ontology.get_annotations(entity, predicate.value):
                        if len(text) > MAX_FIELD:
                            raise _too_long(path, source, name, compress(predicate.value))
                        _annotate(term, compress(predicate.value), text)
                found.terms.append((term, None))
    return found
