"""The ontology for OBO tools: OBO format 1.4 and OBO Graphs JSON, from its axioms.

Hides both formats and what they have no words for: `Obo.unsaid` lists the axioms OBO format leaves out.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from rdflib import OWL, RDFS, SKOS, Literal, URIRef

from kg.release.owl import Axiom, Axioms, Expression, bare, notes
from kg.release.rdf import OBO
from kg.release.source import DEFINITION, LICENCE, OBO_IN_OWL, OURS, REPLACED_BY
from kg.terms import compress, prefixes

_SOURCE = URIRef(OBO + "IAO_0000119")
# A synonym's kind says what it was: OBO format 1.4 has no language tags, so the language is in it too.
_SYNONYMS = {
    SKOS.prefLabel: ("EXACT", "label"),
    SKOS.altLabel: ("EXACT", "synonym"),
    SKOS.hiddenLabel: ("EXACT", "misspelling"),
    URIRef(OURS + "abbreviation"): ("EXACT", "abbreviation"),
    **{
        URIRef(f"{OBO_IN_OWL}has{scope.title()}Synonym"): (scope, "synonym")
        for scope in ("EXACT", "BROAD", "NARROW", "RELATED")
    },
}
_MATCHES = (SKOS.exactMatch, SKOS.closeMatch, SKOS.broadMatch, SKOS.narrowMatch, SKOS.relatedMatch)
_STANZAS = {
    "Class": "Term",
    "ObjectProperty": "Typedef",
    "AnnotationProperty": "Typedef",
    "NamedIndividual": "Instance",
}
_TYPES = {
    "Class": "CLASS",
    "ObjectProperty": "PROPERTY",
    "DataProperty": "PROPERTY",
    "AnnotationProperty": "PROPERTY",
    "NamedIndividual": "INDIVIDUAL",
}
_PROPERTY_TYPES = {"ObjectProperty": "OBJECT", "DataProperty": "DATA", "AnnotationProperty": "ANNOTATION"}
_FLAGS = {
    "TransitiveObjectProperty": "is_transitive",
    "SymmetricObjectProperty": "is_symmetric",
    "AsymmetricObjectProperty": "is_asymmetric",
    "ReflexiveObjectProperty": "is_reflexive",
    "FunctionalObjectProperty": "is_functional",
    "InverseFunctionalObjectProperty": "is_inverse_functional",
}
# Tags in the order the format asks for.
_TERM_TAGS = [
    "name", "def", "comment", "synonym", "xref", "property_value", "is_a", "intersection_of", "union_of",
    "equivalent_to", "disjoint_from", "relationship", "instance_of", "is_obsolete", "replaced_by",
]  # fmt: skip
_TYPEDEF_TAGS = [
    "name", "def", "comment", "synonym", "xref", "property_value", "domain", "range", "holds_over_chain",
    "is_reflexive", "is_symmetric", "is_asymmetric", "is_functional", "is_inverse_functional",
    "is_transitive", "is_a", "equivalent_to", "disjoint_from", "inverse_of", "transitive_over", "is_obsolete",
    "replaced_by", "is_metadata_tag",
]  # fmt: skip


def identifier(term: Expression) -> str:
    """A term's id in OBO format: its CURIE."""
    assert isinstance(term, str)
    return compress(term).replace(" ", "%20")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _plain(text: str) -> str:
    for mark in "\\{!":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", "\\n")


def _synonym(predicate: Expression, literal: Literal) -> tuple[str, str]:
    """Scope and kind of a synonym: ("EXACT", "label-zh-Hans")."""
    scope, kind = _SYNONYMS[URIRef(str(predicate))]
    return scope, f"{kind}-{literal.language or 'und'}"


class Obo:
    """An ontology's axioms as OBO stanzas. `unsaid` holds the axioms the format has no words for."""

    def __init__(self, axioms: Axioms, version: str) -> None:
        self._axioms, self._version = axioms, version
        self._lines: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._names: dict[str, str] = {}
        self._kinds = {term: sorted(kinds) for term, kinds in axioms.kinds.items()}
        self._synonym_kinds: set[str] = set()
        for axiom in axioms:
            if axiom[0] == "AnnotationAssertion" and axiom[1] == RDFS.label:
                self._names.setdefault(str(axiom[2]), str(axiom[3]))
        self._sources: dict[str, list[str]] = defaultdict(list)
        for axiom in axioms:
            if axiom[0] == "AnnotationAssertion" and axiom[1] == _SOURCE:
                self._sources[str(axiom[2])].append(str(axiom[3]))
        self.unsaid: tuple[Axiom, ...] = tuple(axiom for axiom in axioms if not self._say(axiom))

    def _tag(self, subject: Expression, tag: str, value: str) -> bool:
        self._lines[str(subject)][tag].append(value)
        return True

    def _named(self, term: Expression) -> str:
        """An id with the name behind it, which readers take for a comment."""
        name = self._names.get(str(term))
        return f"{identifier(term)} ! {_plain(name)}" if name else identifier(term)

    def _say(self, axiom: Axiom) -> bool:
        """Write an axiom as tags of its term; whether OBO format could say it."""
        noted = bool(notes(axiom))
        head, *parts = bare(axiom)
        if head == "Declaration":
            return parts[0][0] in _STANZAS
        if head == "AnnotationAssertion":
            return self._annotate(*parts) and not noted
        simple = all(isinstance(part, URIRef) for part in parts)
        first, last = parts[0], parts[-1]
        said = False
        if head in ("SubClassOf", "SubObjectPropertyOf", "SubAnnotationPropertyOf") and simple:
            said = self._tag(first, "is_a", self._named(last))
        elif head == "SubClassOf" and isinstance(first, URIRef):
            relation = _relation(last)
            said = relation is not None and self._tag(first, "relationship", self._related(relation))
        elif head == "EquivalentClasses" and isinstance(first, URIRef):
            said = self._define(first, last)
        elif head in ("DisjointClasses", "DisjointObjectProperties") and simple:
            said = all(
                self._tag(one, "disjoint_from", self._named(other))
                for number, one in enumerate(parts)
                for other in parts[number + 1 :]
            )
        elif head == "SubObjectPropertyOf" and isinstance(first, tuple) and first[0] == "ObjectPropertyChain":
            said = self._chain(first[1:], last)
        elif head in _FLAGS and simple:
            said = self._tag(first, _FLAGS[str(head)], "true")
        elif head in ("ObjectPropertyDomain", "ObjectPropertyRange") and simple:
            said = self._tag(first, "domain" if str(head).endswith("Domain") else "range", self._named(last))
        elif head == "InverseObjectProperties" and simple:
            said = self._tag(first, "inverse_of", self._named(last))
        elif head == "EquivalentObjectProperties" and simple:
            said = self._tag(first, "equivalent_to", self._named(last))
        elif head == "ClassAssertion" and simple:
            said = self._tag(last, "instance_of", self._named(first))
        elif head == "ObjectPropertyAssertion" and simple:
            said = self._tag(parts[1], "relationship", f"{identifier(first)} {self._named(last)}")
        elif head == "DataPropertyAssertion":
            said = self._tag(parts[1], "property_value", f"{identifier(first)} {_value(last)}")
        return said and not noted

    def _annotate(self, predicate: Expression, subject: Expression, value: Expression) -> bool:
        kinds = self._kinds.get(URIRef(str(subject)), [])
        if not any(kind in _STANZAS for kind in kinds):
            return False
        if predicate == RDFS.label:
            return self._names[str(subject)] == str(value) and self._tag(subject, "name", _plain(str(value)))
        if predicate == DEFINITION and "def" not in self._lines[str(subject)]:
            sources = ", ".join(_xref(source) for source in self._sources[str(subject)])
            return self._tag(subject, "def", f"{_quoted(str(value))} [{sources}]")
        if predicate == _SOURCE:
            return True  # stands behind the definition
        if predicate in _SYNONYMS and isinstance(value, Literal):
            if predicate == SKOS.prefLabel and str(value) == self._names.get(str(subject)):
                return True  # the name
            scope, kind = _synonym(predicate, value)
            self._synonym_kinds.add(kind)
            return self._tag(subject, "synonym", f"{_quoted(str(value))} {scope} {kind} []")
        if predicate == RDFS.comment and "comment" not in self._lines[str(subject)]:
            return self._tag(subject, "comment", _plain(str(value)))
        if predicate == OWL.deprecated:
            return self._tag(subject, "is_obsolete", "true") if str(value) == "true" else True
        if predicate == REPLACED_BY:
            return self._tag(subject, "replaced_by", identifier(value))
        if predicate in _MATCHES and isinstance(value, URIRef):
            self._tag(subject, "xref", identifier(value))
        return self._tag(subject, "property_value", f"{identifier(predicate)} {_value(value)}")

    def _related(self, relation: tuple[Expression, Expression]) -> str:
        return f"{identifier(relation[0])} {self._named(relation[1])}"

    def _define(self, term: Expression, expression: Expression) -> bool:
        if isinstance(expression, URIRef):
            return self._tag(term, "equivalent_to", self._named(expression))
        assert isinstance(expression, tuple)
        head, *parts = expression
        if head == "ObjectUnionOf" and all(isinstance(part, URIRef) for part in parts):
            return all(self._tag(term, "union_of", self._named(part)) for part in parts)
        genera, relations = _definition(expression)
        if len(genera) + len(relations) != len(parts) or head != "ObjectIntersectionOf":
            return False
        if "intersection_of" in self._lines[str(term)]:
            return False  # a term has one definition in OBO format
        for genus in genera:
            self._tag(term, "intersection_of", self._named(genus))
        return all(self._tag(term, "intersection_of", self._related(relation)) for relation in relations)

    def _chain(self, chain: tuple[Expression, ...], result: Expression) -> bool:
        if len(chain) != 2 or not all(isinstance(part, URIRef) for part in chain):
            return False
        if chain[0] == result:
            return self._tag(result, "transitive_over", self._named(chain[1]))
        return self._tag(result, "holds_over_chain", f"{identifier(chain[0])} {identifier(chain[1])}")

    def text(self) -> str:
        """The ontology in OBO format 1.4, stanzas and tags in the order the format asks for."""
        used = {compress(term).partition(":")[0] for term in self._kinds} & prefixes().keys()
        header = [
            "format-version: 1.4",
            f"data-version: {self._version}",
            *(
                f'synonymtypedef: {kind} "{kind.replace("-", " in ", 1)}"'
                for kind in sorted(self._synonym_kinds)
            ),
            *(f"idspace: {prefix} {prefixes()[prefix]}" for prefix in sorted(used, key=str.lower)),
            "remark: what OBO format cannot say is listed in REPORT.md; the OWL files hold everything",
            "ontology: stroma",
        ]
        if self._axioms.header is not None:
            header += [
                f"property_value: dcterms:license {licence}"
                for licence in sorted(map(str, self._axioms.graph.objects(self._axioms.header, LICENCE)))
            ]
        stanzas = []
        for wanted in ("Class", "ObjectProperty", "AnnotationProperty", "NamedIndividual"):
            for term in sorted((t for t, kinds in self._kinds.items() if wanted in kinds), key=identifier):
                stanzas.append(self._stanza(term, wanted))
        return "\n".join(header) + "\n\n" + "\n\n".join(stanzas) + "\n"

    def _stanza(self, term: URIRef, kind: str) -> str:
        found = self._lines[str(term)]
        if kind == "AnnotationProperty":
            found["is_metadata_tag"] = ["true"]
        tags = _TERM_TAGS if _STANZAS[kind] != "Typedef" else _TYPEDEF_TAGS
        lines = [f"[{_STANZAS[kind]}]", f"id: {identifier(term)}"]
        for tag in tags:
            values = found.get(tag, [])
            lines += [
                f"{tag}: {value}" for value in (values if tag == "intersection_of" else sorted(set(values)))
            ]
        return "\n".join(lines)


def _relation(expression: Expression) -> tuple[Expression, Expression] | None:
    """Property and class of *property some class* where both have names."""
    if isinstance(expression, tuple) and expression[0] == "ObjectSomeValuesFrom":
        _, property, filler = expression
        if isinstance(property, URIRef) and isinstance(filler, URIRef):
            return property, filler
    return None


def _definition(
    expression: tuple[Expression, ...],
) -> tuple[list[URIRef], list[tuple[Expression, Expression]]]:
    """The named parents and the named relations of an intersection."""
    parts = expression[1:] if expression[0] == "ObjectIntersectionOf" else (expression,)
    genera = [part for part in parts if isinstance(part, URIRef)]
    return genera, [relation for part in parts if (relation := _relation(part)) is not None]


def _value(value: Expression) -> str:
    if not isinstance(value, Literal):
        return identifier(value)
    if value.datatype is not None:
        return f"{_quoted(str(value))} {compress(value.datatype)}"
    return f"{_quoted(str(value))} xsd:string"


def _xref(source: str) -> str:
    """A definition's source: an address as it is, words as the description of the property they stand on."""
    if source.startswith(("http://", "https://")) and not set(source) & set(" ,]"):
        return source
    return f"{identifier(_SOURCE)} {_quoted(source)}"


# --- OBO Graphs


def obographs(axioms: Axioms, version_iri: str) -> dict[str, Any]:
    """The ontology as an OBO Graphs document: nodes, edges, logical definitions, chains.

    Axioms with nested expressions have no place in the format and are left out.
    """
    nodes: dict[str, dict[str, Any]] = {}
    for term, kinds in axioms.kinds.items():
        kind = next((k for k in _TYPES if k in kinds), None)
        if kind is not None:
            nodes[str(term)] = {"id": str(term), "type": _TYPES[kind]}
            if kind in _PROPERTY_TYPES:
                nodes[str(term)]["propertyType"] = _PROPERTY_TYPES[kind]
    sources: dict[str, list[str]] = defaultdict(list)
    lists: dict[str, list[Any]] = defaultdict(list)
    for axiom in axioms:
        if axiom[0] == "AnnotationAssertion" and axiom[1] == _SOURCE:
            sources[str(axiom[2])].append(str(axiom[3]))
    for axiom in axioms:
        head, *parts = bare(axiom)
        if head == "AnnotationAssertion":
            if str(parts[1]) in nodes:
                _meta(nodes[str(parts[1])], parts[0], parts[2], sources[str(parts[1])])
        else:
            _edge(str(head), parts, lists)
    graph: dict[str, Any] = {"id": str(axioms.header), "meta": {"version": version_iri}}
    graph["nodes"] = [nodes[term] for term in sorted(nodes)]
    for name in ("edges", "equivalentNodesSets", "logicalDefinitionAxioms", "domainRangeAxioms"):
        graph[name] = lists[name]
    graph["propertyChainAxioms"] = lists["propertyChainAxioms"]
    return {"graphs": [graph]}


def _meta(node: dict[str, Any], predicate: Expression, value: Expression, sources: list[str]) -> None:
    meta: dict[str, Any] = node.setdefault("meta", {})
    text = str(value)
    if predicate == RDFS.label:
        node.setdefault("lbl", text)
    elif predicate == DEFINITION and "definition" not in meta:
        meta["definition"] = {"val": text, "xrefs": sources}
    elif predicate in _SYNONYMS and isinstance(value, Literal):
        scope, kind = _synonym(predicate, value)
        synonym = {"pred": f"has{scope.title()}Synonym", "val": text, "synonymType": kind}
        meta.setdefault("synonyms", []).append(synonym)
    elif predicate == RDFS.comment:
        meta.setdefault("comments", []).append(text)
    elif predicate == OWL.deprecated:
        meta["deprecated"] = text == "true"
    elif predicate != _SOURCE:
        if predicate in _MATCHES:
            meta.setdefault("xrefs", []).append({"val": compress(text)})
        meta.setdefault("basicPropertyValues", []).append({"pred": str(predicate), "val": text})
    if not meta:
        del node["meta"]


def _edge(head: str, parts: list[Expression], lists: dict[str, list[Any]]) -> None:
    first, last = parts[0], parts[-1]
    named = all(isinstance(part, URIRef) for part in parts)
    if head in ("SubClassOf", "SubObjectPropertyOf", "SubDataPropertyOf", "SubAnnotationPropertyOf"):
        predicate = "is_a" if head == "SubClassOf" else "subPropertyOf"
        if named:
            lists["edges"].append({"sub": str(first), "pred": predicate, "obj": str(last)})
        elif isinstance(first, tuple) and first[0] == "ObjectPropertyChain":
            chain = {"predicateId": str(last), "chainPredicateIds": [str(part) for part in first[1:]]}
            lists["propertyChainAxioms"].append(chain)
        elif isinstance(first, URIRef) and (relation := _relation(last)) is not None:
            lists["edges"].append({"sub": str(first), "pred": str(relation[0]), "obj": str(relation[1])})
    elif head == "ClassAssertion" and named:
        lists["edges"].append({"sub": str(last), "pred": "type", "obj": str(first)})
    elif head == "ObjectPropertyAssertion" and named:
        lists["edges"].append({"sub": str(parts[1]), "pred": str(first), "obj": str(last)})
    elif head == "InverseObjectProperties" and named:
        lists["edges"].append({"sub": str(first), "pred": "inverseOf", "obj": str(last)})
    elif head == "EquivalentClasses" and named:
        lists["equivalentNodesSets"].append({"nodeIds": [str(part) for part in parts]})
    elif head == "EquivalentClasses" and isinstance(first, URIRef) and isinstance(last, tuple):
        genera, relations = _definition(last)
        if last[0] == "ObjectIntersectionOf" and len(genera) + len(relations) == len(last) - 1:
            restrictions = [{"propertyId": str(p), "fillerId": str(c)} for p, c in relations]
            definition = {"definedClassId": str(first), "genusIds": [str(genus) for genus in genera]}
            lists["logicalDefinitionAxioms"].append({**definition, "restrictions": restrictions})
    elif head in ("ObjectPropertyDomain", "ObjectPropertyRange") and named:
        field = "domainClassIds" if head.endswith("Domain") else "rangeClassIds"
        lists["domainRangeAxioms"].append({"predicateId": str(first), field: [str(last)]})
