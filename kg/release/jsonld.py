"""The JSON-LD context: short names for every term, so that plain JSON about trials and arms is RDF.

Hides where a data property's datatype is known from (the SHACL shapes) and JSON-LD's rules for names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from rdflib import RDFS, SH, SKOS, Graph, URIRef

from kg.release.owl import Axioms
from kg.release.rdf import Tree
from kg.release.source import DEFINITION, OBO_IN_OWL, OURS, ours
from kg.terms import compress, prefixes

# Text in several languages: `{"prefLabel": {"en": "bone marrow", "zh-Hans": "骨髓"}}`.
_ONE_PER_LANGUAGE = {"prefLabel": SKOS.prefLabel}
_MANY_PER_LANGUAGE = {
    "altLabel": SKOS.altLabel,
    "hiddenLabel": SKOS.hiddenLabel,
    "abbreviation": URIRef(OURS + "abbreviation"),
    **{
        f"{scope}Synonym": URIRef(f"{OBO_IN_OWL}has{scope.title()}Synonym")
        for scope in ("exact", "broad", "narrow", "related")
    },
}
_ENGLISH = {"label": RDFS.label, "definition": DEFINITION}
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)


def context(axioms: Axioms, shapes: Graph) -> dict[str, Any]:
    """A JSON-LD 1.1 document that holds a context: prefixes, then terms by name.

    Write a typed number as a string ("44.9"): a JSON number is a double before its type is looked at.
    """
    names: dict[str, Any] = {"id": "@id", "type": "@type"}
    for name, iri in _ONE_PER_LANGUAGE.items():
        names[name] = {"@id": str(iri), "@container": "@language"}
    for name, iri in _MANY_PER_LANGUAGE.items():
        names[name] = {"@id": str(iri), "@container": ["@language", "@set"]}
    for name, iri in _ENGLISH.items():
        names[name] = {"@id": str(iri), "@language": "en"}
    datatypes = _datatypes(shapes)
    for term, kinds in sorted(axioms.kinds.items()):
        # A public term is written by its CURIE, which is short already and says whose it is.
        name = term.removeprefix(OURS) if ours(term) else compress(term)
        if ours(term) and (not _NAME.fullmatch(name) or name in names):
            continue
        if "ObjectProperty" in kinds:
            names[name] = {"@id": str(term), "@type": "@vocab"}
        elif kinds & {"DataProperty", "AnnotationProperty"} and len(datatypes[term]) == 1:
            names[name] = {"@id": str(term), "@type": next(iter(datatypes[term]))}
        elif ours(term):
            names[name] = str(term)
    spaces: dict[str, Any] = {}
    for prefix, space in sorted(prefixes().items()):
        if prefix not in names:
            spaces[prefix] = {"@id": space, "@prefix": True}
    return {"@context": {"@version": 1.1, **spaces, **names}}


def _datatypes(shapes: Graph) -> dict[URIRef, set[str]]:
    """The datatypes shapes ask of each property; a choice between several counts as several."""
    found: dict[URIRef, set[str]] = defaultdict(set)
    for shape, path in shapes.subject_objects(SH.path):
        either = Tree(shapes).items(shapes.value(path, SH.alternativePath) or path)
        asked = {str(datatype) for datatype in shapes.objects(shape, SH.datatype)}
        if (shape, SH["or"], None) in shapes:
            asked |= {"one", "or another"}
        for name in either or [path]:
            if isinstance(name, URIRef):
                found[name] |= asked
    return found
