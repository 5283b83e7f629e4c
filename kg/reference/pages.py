"""The browsable reference: one static page a term, with indexes, pictures and a search.

Hides the templates, how pages link each other, and how a folder of pages is replaced as a whole. Pages need
no server and no network, say nothing of the day they were written, and are the same for the same ontology.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from pyoxigraph import Literal, NamedNode

from kg import ontology as ontologies
from kg.canned import Catalogue
from kg.errors import UsageError
from kg.ontology import Ontology
from kg.reasoning import inferred_quads
from kg.reference.pictures import Picture, read_pictures
from kg.reference.terms import LANGUAGE_NAMES, LANGUAGES, Term, gather
from kg.terms import BASE, DCTERMS, compress

TEMPLATES = Path(__file__).parent / "templates"
_MARK = "stroma-reference"  # in each index.html; says that a folder is ours to replace
_KIND_TITLES = {
    "class": "Classes",
    "object property": "Object properties",
    "data property": "Data properties",
    "annotation property": "Annotation properties",
    "individual": "Individuals",
}


@dataclass(frozen=True)
class Written:
    """What was written: the folder, how many pages, how many terms."""

    folder: Path
    pages: int
    terms: int


def write_reference(root: Path, to: Path) -> Written:
    """Write the reference of the ontology in `root` as static pages into the folder `to`.

    An empty or absent folder is filled, an earlier reference replaced as a whole. Raises UsageError for a
    folder that holds something else, OntologyError for an ontology that does not read or is inconsistent.
    """
    _refuse_foreign(to)
    ontology = ontologies.read(root / "ontology")
    questions = Catalogue.read(root / "queries")
    inferred = inferred_quads(ontology, (), root / "ontology" / "rules")
    terms = gather(ontology, inferred, root / "ontology", questions)
    pictures = read_pictures(root / "docs" / "diagrams")
    for picture in pictures:
        for iri in sorted(picture.terms(), key=str):
            if iri in terms:
                terms[iri].pictures.append(picture.name)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".reference-") as folder:
        work = Path(folder) / "pages"
        written = 0
        for path, text in _pages(ontology, terms, questions, pictures):
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text, encoding="utf-8", newline="\n")
            written += path.endswith(".html")
        for picture in pictures:
            (work / "diagrams").mkdir(exist_ok=True)
            shutil.copyfile(picture.file, work / "diagrams" / picture.file.name)
        if to.exists():
            os.replace(to, Path(folder) / "before")
        os.replace(work, to)
    return Written(to, written, len(terms))


def _refuse_foreign(to: Path) -> None:
    if to.is_dir() and not any(to.iterdir()):
        return
    index = to / "index.html"
    if to.exists() and not (index.is_file() and _MARK in index.read_text(encoding="utf-8")):
        raise UsageError(f"{to}: holds something other than a reference; give an empty or new folder")


def _pages(
    ontology: Ontology,
    terms: Mapping[NamedNode, Term],
    questions: Catalogue,
    pictures: tuple[Picture, ...],
) -> Iterator[tuple[str, str]]:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["curie"] = lambda iri: compress(iri.value)
    environment.filters["in_terms"] = terms.__getitem__
    environment.tests["term"] = lambda piece: isinstance(piece, NamedNode)
    script = (TEMPLATES / "search.js").read_text(encoding="utf-8")
    environment.globals.update(
        terms=terms,
        title=_header(ontology, DCTERMS.title),
        description=_header(ontology, DCTERMS.description),
        version=ontology.version,
        mark=_MARK,
        languages=tuple(LANGUAGES.values()),
        language_names=LANGUAGE_NAMES,
        modules=_grouped(terms.values(), "module"),
        kinds=_kinds(terms.values()),
        kind_titles=_KIND_TITLES,
        questions=questions,
        pictures={picture.name: picture for picture in pictures},
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )

    def page(template: str, root: str = "", **values: Any) -> str:
        return environment.get_template(template).render(root=root, **values)

    yield "style.css", (TEMPLATES / "style.css").read_text(encoding="utf-8")
    yield "index.html", page("index.html")
    yield "classes.html", page("classes.html", roots=_roots(terms, "class"))
    yield "properties.html", page("properties.html", roots=_property_roots(terms))
    yield "individuals.html", page("individuals.html", groups=_individuals(terms))
    yield "modules.html", page("modules.html")
    for language in LANGUAGES.values():
        letters = _letters(terms.values(), language)
        yield f"a-z.{language}.html", page("letters.html", language=language, letters=letters)
    used = {
        name: [term for term in terms.values() if name in term.questions]
        for name in questions
    }  # fmt: skip
    yield "questions.html", page("questions.html", used=used)
    yield "diagrams.html", page("diagrams.html")
    yield "search.html", page("search.html")
    for term in terms.values():
        yield term.path, page("term.html", "../", term=term, trail=_trail(terms, term))


def _header(ontology: Ontology, predicate: NamedNode) -> str:
    header = NamedNode(BASE + "ontology")
    said = [q.object for q in ontology.quads if q.subject == header and q.predicate == predicate]
    return next((o.value for o in said if isinstance(o, Literal)), "")


def _grouped(terms: Iterable[Term], by: str) -> dict[str, list[Term]]:
    ordered = sorted(terms, key=lambda term: str(getattr(term, by)))
    return {name: list(group) for name, group in groupby(ordered, key=lambda term: str(getattr(term, by)))}


def _kinds(terms: Iterable[Term]) -> dict[str, list[Term]]:
    found = _grouped(terms, "kind")
    return {kind: found[kind] for kind in _KIND_TITLES if kind in found}


def _roots(terms: Mapping[NamedNode, Term], kind: str) -> list[Term]:
    return [term for term in terms.values() if term.kind == kind and not term.parents]


def _property_roots(terms: Mapping[NamedNode, Term]) -> dict[str, list[Term]]:
    kinds = [kind for kind in _KIND_TITLES if kind.endswith("property")]
    return {kind: _roots(terms, kind) for kind in kinds}


def _individuals(terms: Mapping[NamedNode, Term]) -> list[Term]:
    """The classes that have individuals."""
    return [term for term in terms.values() if term.instances]


def _trail(terms: Mapping[NamedNode, Term], term: Term) -> list[Term]:
    """The way down to a term from a root, by its first stated parent; a cycle ends where it closes."""
    trail: list[Term] = []
    while term.parents and terms[term.parents[0]] not in trail:
        term = terms[term.parents[0]]
        trail.append(term)
    return trail[::-1]


def _letters(terms: Iterable[Term], language: str) -> dict[str, list[tuple[str, Term]]]:
    """Labels and synonyms of a language by their first character, in the order of Unicode.

    For Chinese that is about the order of radicals and strokes (the CJK block follows a dictionary's).
    """
    entries = {(name, term.iri.value): (name, term) for term in terms for name in _names(term, language)}
    ordered = sorted(entries.values(), key=lambda entry: (entry[0].casefold(), entry[1].iri.value))
    return {letter: list(group) for letter, group in groupby(ordered, key=lambda entry: _letter(entry[0]))}


def _letter(name: str) -> str:
    first = name[:1].upper()
    return first if first.isalpha() else "#"


def _names(term: Term, language: str) -> Iterator[str]:
    if language == "en":
        yield term.label
    elif language in term.labels:
        yield term.labels[language]
    for words in term.synonyms:
        if words.language == language and words.kind != "printed form":
            yield words.text
