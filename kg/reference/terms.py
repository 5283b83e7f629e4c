"""Everything the reference says of a term, gathered from the modules, shapes, mappings and questions.

Hides which annotation means what, how a shape names a field, and where a term is used. Callers see `Term`s.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, RdfFormat, parse

from kg.canned import Catalogue
from kg.errors import OntologyError
from kg.ontology import Ontology, read_files
from kg.reference.manchester import Axioms, Statement
from kg.terms import OBO, OWL, RDF, RDFS, SKOS, STROMA, Namespace, compress, expand, mint

SH = Namespace("http://www.w3.org/ns/shacl#")
OBO_IN_OWL = Namespace("http://www.geneontology.org/formats/oboInOwl#")
# The parser writes language tags in small letters; pages and readers use the registered form.
LANGUAGES = {"en": "en", "zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}
LANGUAGE_NAMES = {"en": "English", "zh-Hans": "简体中文", "zh-Hant": "繁體中文"}
_FOLDERS = {
    "class": "class",
    "object property": "property",
    "data property": "property",
    "annotation property": "property",
    "individual": "individual",
    "datatype": "datatype",
}
# How a synonym's meaning stands to the term's, by property.
_SYNONYMS = {
    SKOS.altLabel: "synonym",
    SKOS.hiddenLabel: "printed form",
    STROMA.abbreviation: "abbreviation",
    OBO_IN_OWL.hasExactSynonym: "exact synonym",
    OBO_IN_OWL.hasBroadSynonym: "broader",
    OBO_IN_OWL.hasNarrowSynonym: "narrower",
    OBO_IN_OWL.hasRelatedSynonym: "related",
}
_MATCHES = ("exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch")
_SAID = frozenset(
    {
        RDFS.label,
        SKOS.prefLabel,
        *_SYNONYMS,
        OBO("IAO_0000115"),
        OBO("IAO_0000119"),
        OBO("IAO_0100001"),
        OWL.deprecated,
        STROMA.importedFrom,
        *(SKOS(name) for name in _MATCHES),
    }
)


@dataclass(frozen=True)
class Words:
    """Text in a language ("en", "zh-Hans", "zh-Hant", or "" for none), with its kind where it has one."""

    text: str
    language: str = "en"
    kind: str = ""


@dataclass(frozen=True)
class Match:
    """A match to a term of another vocabulary."""

    predicate: str
    object: str
    label: str = ""
    justification: str = ""
    confidence: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Field:
    """What a shape asks of one property of a class."""

    owner: NamedNode
    path: Statement
    asks: str
    message: str


@dataclass
class Term:
    """One term: what is said of it, and where it is used. Lists are in a fixed order."""

    iri: NamedNode
    kind: str
    label: str
    module: str
    labels: dict[str, str] = field(default_factory=dict)
    definition: str = ""
    definition_sources: list[str] = field(default_factory=list)
    synonyms: list[Words] = field(default_factory=list)
    notes: list[tuple[NamedNode, Words]] = field(default_factory=list)
    facts: list[tuple[NamedNode, NamedNode]] = field(default_factory=list)
    imported_from: str = ""
    deprecated: bool = False
    replaced_by: list[NamedNode] = field(default_factory=list)
    parents: list[NamedNode] = field(default_factory=list)
    children: list[NamedNode] = field(default_factory=list)
    inferred_parents: list[NamedNode] = field(default_factory=list)
    inferred_children: list[NamedNode] = field(default_factory=list)
    inferred_relations: list[tuple[NamedNode, NamedNode]] = field(default_factory=list)
    instances: list[NamedNode] = field(default_factory=list)
    axioms: list[tuple[str, Statement]] = field(default_factory=list)
    mentioned_by: list[NamedNode] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    mappings: list[Match] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    @property
    def curie(self) -> str:
        """`stroma:UCMSCProduct`, `CL:0000134`."""
        return compress(self.iri.value)

    @property
    def name(self) -> str:
        """The local name, by which a page is found: `UCMSCProduct`, `CL_0000134`."""
        return re.sub(r"[^\w.-]", "_", self.curie.removeprefix("stroma:"))

    @property
    def path(self) -> str:
        """The page below the reference's folder: `class/UCMSCProduct.html`."""
        return f"{_FOLDERS[self.kind]}/{self.name}.html"

    @property
    def ours(self) -> bool:
        """Whether the term is of our namespace."""
        return self.iri.value.startswith(STROMA("").value)


def gather(
    ontology: Ontology, inferred: Iterable[Quad], folder: Path, questions: Catalogue
) -> dict[NamedNode, Term]:
    """Every declared term by IRI, in order of label; `folder` is the ontology's, for shapes and mappings.

    `inferred` are quads of the inferred graphs. Raises OntologyError where two terms would share a page.
    """
    modules = {
        term: path.stem
        for path in sorted(ontology.files, reverse=True)
        for term in read_files([path]).declared
    }
    terms = {
        iri: Term(iri, _kind(kinds), ontology.labels.get(iri, compress(iri.value)), modules[iri])
        for iri, kinds in ontology.declared.items()
    }
    terms = dict(sorted(terms.items(), key=lambda item: (item[1].label.lower(), item[0].value)))
    _check_pages(terms.values())
    axioms = Axioms(ontology.quads)
    for quad in ontology.quads:
        if isinstance(quad.subject, NamedNode) and quad.subject in terms:
            _annotate(terms[quad.subject], quad, terms)
    for term in terms.values():
        term.axioms = axioms.about(term.iri)
        if term.kind == "class":
            term.parents = sorted({p for p in axioms.genus(term.iri) if p in terms}, key=_by_label(terms))
        for parent in term.parents:
            terms[parent].children.append(term.iri)
    for iri, others in axioms.mentions().items():
        if iri in terms:
            shown = others - set(terms[iri].children) - set(terms[iri].parents)
            terms[iri].mentioned_by = sorted(shown, key=_by_label(terms))
    _infer(terms, inferred)
    _shape(terms, folder / "shapes")
    _map(terms, folder / "mappings")
    for question in questions.values():
        for iri in sorted(terms_of(question.text), key=str):
            if iri in terms:
                terms[iri].questions.append(question.id)
    return terms


def _kind(kinds: frozenset[str]) -> str:
    return next(kind for kind in _FOLDERS if kind in kinds)


def _by_label(terms: Mapping[NamedNode, Term]) -> Callable[[NamedNode], tuple[str, str]]:
    return lambda iri: (terms[iri].label.lower() if iri in terms else "", iri.value)


def _check_pages(terms: Iterable[Term]) -> None:
    pages: dict[str, Term] = {}
    for term in terms:
        other = pages.setdefault(term.path.lower(), term)  # small letters: some file systems know no others
        if other is not term:
            raise OntologyError(
                f"{term.curie} (module {term.module}) and {other.curie} (module {other.module}) differ only "
                "in case, so they would share a page of the reference; rename the newer one"
            )


def _annotate(term: Term, quad: Quad, terms: Mapping[NamedNode, Term]) -> None:
    predicate, value = quad.predicate, quad.object
    if isinstance(value, NamedNode):
        if predicate == RDFS.subPropertyOf and value in terms:
            term.parents.append(value)
        elif predicate == RDF.type and value in terms:
            term.parents.append(value)
            terms[value].instances.append(term.iri)
        elif predicate == OBO("IAO_0100001"):
            term.replaced_by.append(value)
        elif match := next((m for m in _MATCHES if predicate == SKOS(m)), None):
            label = terms[value].label if value in terms else ""
            term.mappings.append(Match(f"skos:{match}", compress(value.value), label))
        elif predicate in terms and predicate not in _SAID:
            term.facts.append((predicate, value))
        return
    if not isinstance(value, Literal):
        return
    language = LANGUAGES.get(value.language or "", value.language or "")
    words = Words(value.value, language)
    if predicate == SKOS.prefLabel:
        term.labels[language] = value.value
    elif predicate in _SYNONYMS:
        term.synonyms.append(Words(value.value, language, _SYNONYMS[predicate]))
    elif predicate == OBO("IAO_0000115"):
        term.definition = value.value
    elif predicate == OBO("IAO_0000119"):
        term.definition_sources.append(value.value)
    elif predicate == STROMA.importedFrom:
        term.imported_from = value.value
    elif predicate == OWL.deprecated:
        term.deprecated = value.value == "true"
    elif (predicate not in _SAID and predicate in terms) or predicate == RDFS.comment:
        term.notes.append((predicate, words))


def _infer(terms: Mapping[NamedNode, Term], inferred: Iterable[Quad]) -> None:
    told: dict[NamedNode, frozenset[NamedNode]] = {}

    def above(iri: NamedNode) -> frozenset[NamedNode]:
        if iri not in told:
            told[iri] = frozenset()  # a cycle of parents ends here
            parents = terms[iri].parents if iri in terms else []
            told[iri] = frozenset(parents).union(*map(above, parents))
        return told[iri]

    below, kinds, relations = (mint("graph", "inferred", name) for name in ("subclass", "type", "relation"))
    fresh: dict[NamedNode, set[NamedNode]] = {}
    for quad in inferred:
        s, o = quad.subject, quad.object
        if not isinstance(s, NamedNode) or not isinstance(o, NamedNode) or s not in terms or o not in terms:
            continue
        if quad.graph_name in (below, kinds) and o not in above(s):
            fresh.setdefault(s, set()).add(o)
        elif quad.graph_name == relations and quad.predicate in terms:
            terms[s].inferred_relations.append((quad.predicate, o))
    by_label = _by_label(terms)
    for iri in sorted(fresh, key=by_label):
        # The nearest ones only: what stands above another of them follows from it.
        nearest = fresh[iri] - frozenset().union(*(above(parent) for parent in fresh[iri]))
        terms[iri].inferred_parents = sorted(nearest, key=by_label)
        for parent in terms[iri].inferred_parents:
            terms[parent].inferred_children.append(iri)
    for term in terms.values():
        term.inferred_relations.sort(key=lambda edge: (by_label(edge[0]), by_label(edge[1])))


# -------------------------------------------------------------------------------------------- shapes


def _shape(terms: Mapping[NamedNode, Term], folder: Path) -> None:
    for path in sorted(folder.glob("*.ttl")):
        of: dict[object, list[tuple[NamedNode, object]]] = {}
        for quad in parse(path=path, format=RdfFormat.TURTLE):
            of.setdefault(quad.subject, []).append((quad.predicate, quad.object))
        for described in list(of.values()):
            owners = [o for p, o in described if p == SH.targetClass and isinstance(o, NamedNode)]
            blocks = [o for p, o in described if p == SH.property]
            for owner in owners:
                for block in blocks:
                    _field(terms, owner, of.get(block, []), of)


def _field(
    terms: Mapping[NamedNode, Term],
    owner: NamedNode,
    block: list[tuple[NamedNode, object]],
    of: Mapping[object, list[tuple[NamedNode, object]]],
) -> None:
    said = dict(block)
    paths = list(_paths(said.get(SH.path), of))
    statement: list[str | NamedNode] = []
    for path in paths:
        statement += [" or ", path] if statement else [path]
    message = said.get(SH.message)
    text = message.value if isinstance(message, Literal) else ""
    entry = Field(owner, tuple(statement), _asks(said, of), text)
    for iri in dict.fromkeys([owner, *paths]):
        if iri in terms and entry not in terms[iri].fields:
            terms[iri].fields.append(entry)


def _paths(node: object, of: Mapping[object, list[tuple[NamedNode, object]]]) -> Iterator[NamedNode]:
    if isinstance(node, NamedNode):
        yield node
    elif isinstance(node, BlankNode):
        for predicate, value in of.get(node, ()):
            if predicate in (RDF.first, RDF.rest, SH.alternativePath, SH.inversePath) and value != RDF.nil:
                yield from _paths(value, of)


def _asks(said: Mapping[NamedNode, object], of: Mapping[object, list[tuple[NamedNode, object]]]) -> str:
    """A shape's demands in a few words: "one to 1, xsd:decimal, above 0"."""
    words = []
    low, high = (getattr(said.get(p), "value", None) for p in (SH.minCount, SH.maxCount))
    if low or high:
        words.append(f"{low or 0} to {high}" if high else f"at least {low}")
    for predicate, form in (
        (SH.datatype, "{}"),
        (SH("class"), "a {}"),
        (SH.nodeKind, "{}"),
        (SH.minInclusive, "at least {}"),
        (SH.minExclusive, "above {}"),
        (SH.maxInclusive, "at most {}"),
        (SH.lessThanOrEquals, "not above {}"),
        (SH.pattern, "matching {}"),
    ):
        value = said.get(predicate)
        if isinstance(value, NamedNode):
            words.append(form.format(compress(value.value).removeprefix("sh:")))
        elif isinstance(value, Literal):
            words.append(form.format(value.value))
    if SH("in") in said:
        words.append("one of a fixed list")
    return ", ".join(words)


# ------------------------------------------------------------------------------ mappings, questions


def _map(terms: Mapping[NamedNode, Term], folder: Path) -> None:
    """The rows of the SSSOM files; a row replaces a match that a module states with less."""
    for path in sorted(folder.glob("*.sssom.tsv")):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        for row in csv.DictReader(lines, delimiter="\t"):
            iri = expand(row["subject_id"])
            if iri not in terms:
                continue
            entry = Match(
                row["predicate_id"],
                row["object_id"],
                row.get("object_label") or "",
                row.get("mapping_justification") or "",
                row.get("confidence") or "",
                row.get("comment") or "",
            )
            same = (entry.predicate, entry.object)
            kept = [m for m in terms[iri].mappings if (m.predicate, m.object) != same]
            terms[iri].mappings = [*kept, entry]
    for term in terms.values():
        term.mappings.sort(key=lambda m: (m.predicate, m.object))


def terms_of(query: str) -> set[NamedNode]:
    """The terms a SPARQL text names, by CURIE or IRI; comments and strings left out."""
    bare = re.sub(r'"[^"\n]*"|(?<![<\w/])#[^\n]*', " ", query)
    declared = dict(re.findall(r"PREFIX\s+(\w+):\s*<([^>]*)>", bare, re.I))
    body = re.sub(r"PREFIX\s+\w+:\s*<[^>]*>", " ", bare, flags=re.I)
    found = {NamedNode(iri) for iri in re.findall(r"<(https?://[^<>\s]+)>", body)}
    for prefix, local in re.findall(r"\b([A-Za-z]\w*):([A-Za-z0-9][\w-]*)", body):
        if prefix in declared:
            found.add(NamedNode(declared[prefix] + local))
    return found
