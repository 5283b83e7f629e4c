"""What changed between two versions of the ontology, in words a curator reads.

Hides how two versions are compared: term by term, statement by statement, whatever the order of the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rdflib import OWL, RDFS, SKOS, Graph, Literal, URIRef

from kg.errors import UsageError
from kg.release import rdf
from kg.release import source as sources
from kg.release.owl import Axiom, Axioms, Expression, render
from kg.release.rdf import curie
from kg.release.source import DEFINITION, OBO_IN_OWL, OURS, REPLACED_BY, ours

PRODUCT = "stroma.ttl"
_MATCHES = {
    SKOS.exactMatch: "exact match",
    SKOS.closeMatch: "close match",
    SKOS.broadMatch: "broader match",
    SKOS.narrowMatch: "narrower match",
    SKOS.relatedMatch: "related match",
}
_WORDS = {
    RDFS.label: "label",
    SKOS.prefLabel: "preferred label",
    SKOS.altLabel: "synonym",
    SKOS.hiddenLabel: "hidden label",
    DEFINITION: "definition",
    URIRef(rdf.OBO + "IAO_0000119"): "source of the definition",
    RDFS.comment: "comment",
    URIRef(OURS + "abbreviation"): "abbreviation",
    **{
        URIRef(f"{OBO_IN_OWL}has{scope}Synonym"): f"{scope.lower()} synonym"
        for scope in ("Exact", "Broad", "Narrow", "Related")
    },
    OWL.deprecated: "deprecated",
    REPLACED_BY: "replaced by",
}
_KINDS = ["Class", "ObjectProperty", "DataProperty", "AnnotationProperty", "NamedIndividual", "Datatype"]
_KIND_WORDS = {
    "ObjectProperty": "object property",
    "DataProperty": "data property",
    "AnnotationProperty": "annotation property",
    "NamedIndividual": "individual",
}


@dataclass(frozen=True)
class Edition:
    """One version of the ontology, ready to be compared."""

    version: str
    kinds: dict[URIRef, str]
    labels: dict[URIRef, str]
    statements: dict[URIRef | None, dict[tuple[str, str], set[str]]]  # term -> (what, language) -> values
    mappings: set[tuple[str, str, str]]
    replaced: dict[URIRef, list[URIRef]]  # deprecated terms and what to use instead


@dataclass(frozen=True)
class Difference:
    """What changed from one version to the next. `vanished`: own terms that are gone without deprecation."""

    text: str
    vanished: tuple[str, ...] = field(default=())
    same: bool = False


def open_edition(path: Path) -> Edition:
    """An edition from the folder of the modules, a release's folder, or a released Turtle file.

    Raises UsageError where there is none, and OntologyError naming file and line where it does not parse.
    """
    if path.is_dir() and (path / "modules").is_dir():
        source = sources.read(path)
        return edition(source.merged(source.version), source.version, source.mappings)
    file = path / PRODUCT if path.is_dir() else path
    if not file.is_file():
        raise UsageError(
            f"{path}: holds no ontology. Give a release's folder (with {PRODUCT}), a released Turtle file, "
            "or the folder of the modules"
        )
    graph = rdf.parse_file(file)
    versions = sorted(map(str, graph.objects(None, OWL.versionInfo)))
    return edition(
        graph,
        versions[-1] if versions else "unversioned",
        sorted((file.parent / "mappings").glob("*.sssom.tsv")),
    )


def edition(graph: Graph, version: str, mappings: Iterable[Path]) -> Edition:
    """The edition of a merged product and its mapping tables."""
    axioms = Axioms(graph)
    kinds = {t: next(k for k in _KINDS if k in said) for t, said in axioms.kinds.items() if said}
    labels = {s: str(o) for s, o in graph.subject_objects(RDFS.label) if isinstance(s, URIRef)}
    statements: dict[URIRef | None, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    rows = {row for path in mappings for row in _rows(path)}
    for axiom in axioms:
        if axiom[0] == "AnnotationAssertion" and axiom[1] in _MATCHES:
            rows.add((curie(str(axiom[2])), _MATCHES[URIRef(str(axiom[1]))], curie(str(axiom[3]))))
        elif axiom[0] != "Declaration":
            subject, what, language, value = _statement(axiom, labels)
            statements[subject if subject in kinds else None][what, language].add(value)
    replaced = {
        s: sorted(o for o in graph.objects(s, REPLACED_BY) if isinstance(o, URIRef))
        for s, o in graph.subject_objects(OWL.deprecated)
        if isinstance(s, URIRef) and str(o) in ("true", "1")
    }
    return Edition(version, kinds, labels, statements, rows, replaced)


def _rows(path: Path) -> list[tuple[str, str, str]]:
    """Subject, predicate and object of each row of an SSSOM table."""
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    if not lines:
        return []
    head = lines[0].split("\t")
    try:
        columns = [head.index(name) for name in ("subject_id", "predicate_id", "object_id")]
    except ValueError as problem:
        raise UsageError(
            f"{path.name}: is no SSSOM table ({problem}). Its first row names the columns"
        ) from None
    matches = {curie(str(iri)): words for iri, words in _MATCHES.items()}
    found = []
    for line in lines[1:]:
        cells = line.split("\t")
        if len(cells) <= max(columns):
            raise UsageError(f"{path.name}: the row {line[:60]!r} is cut off. Give it all its columns")
        subject, predicate, value = (cells[column] for column in columns)
        found.append((subject, matches.get(predicate, predicate), value))
    return found


def _statement(axiom: Axiom, labels: Mapping[URIRef, str]) -> tuple[URIRef | None, str, str, str]:
    """The term an axiom is about, what it says, in which language, and the value."""
    if axiom[0] == "AnnotationAssertion" and not isinstance(axiom[1], tuple):
        predicate, subject, value = URIRef(str(axiom[1])), URIRef(str(axiom[2])), axiom[3]
        what = _WORDS.get(predicate) or labels.get(predicate) or curie(predicate)
        if isinstance(value, Literal):
            return subject, what, value.language or "", str(value)
        return subject, what, "", curie(str(value))
    parts = [part for part in axiom[1:] if not (isinstance(part, tuple) and part[0] == "Annotation")]
    if axiom[0] in ("SubClassOf", "ClassAssertion") and all(isinstance(part, URIRef) for part in parts):
        below, parent = parts if axiom[0] == "SubClassOf" else parts[::-1]
        return URIRef(str(below)), "parent" if axiom[0] == "SubClassOf" else "type", "", curie(str(parent))
    own = [term for part in parts if isinstance(part, URIRef) for term in [part]]
    about = own[0] if axiom[0] not in ("DisjointClasses", "DifferentIndividuals") and own else None
    if axiom[0] == "ObjectPropertyAssertion" or axiom[0] == "DataPropertyAssertion":
        about = own[1]
    return about, "axiom", "", words(axiom)


def words(expression: Expression) -> str:
    """An axiom or expression as people read it: `A SubClassOf p some (B and C)`."""
    if not isinstance(expression, tuple):
        return render(expression, curie)
    head, *parts = expression
    texts = [f"({words(p)})" if isinstance(p, tuple) and p[0] != "Annotation" else words(p) for p in parts]
    for ending, word in (("SomeValuesFrom", "some"), ("AllValuesFrom", "only"), ("HasValue", "value")):
        if str(head).endswith(ending):
            return f"{texts[0]} {word} {texts[1]}"
    for ending, word in (("IntersectionOf", "and"), ("UnionOf", "or"), ("PropertyChain", "o")):
        if str(head).endswith(ending):
            return f" {word} ".join(texts if word == "o" else sorted(texts, key=_simple_first))
    if head in ("SubClassOf", "SubObjectPropertyOf", "EquivalentClasses") and len(texts) == 2:
        word = "EquivalentTo" if head == "EquivalentClasses" else str(head)
        return f"{texts[0]} {word} {texts[1]}"
    return render(expression, curie)


def _simple_first(text: str) -> tuple[bool, str]:
    """The order of an intersection's parts means nothing; in words it is always the same."""
    return text.startswith("("), text


def compare(old: Edition, new: Edition) -> Difference:
    """What changed from one edition to the next, as Markdown."""
    added = sorted(t for t in new.kinds if t not in old.kinds)
    gone = sorted(t for t in old.kinds if t not in new.kinds)
    obsoleted = sorted(t for t in new.replaced if t not in old.replaced)
    vanished = [t for t in gone if ours(t)]
    changed = {
        t: lines
        for t in sorted(old.kinds.keys() & new.kinds.keys())
        if t not in obsoleted and (lines := _changes(old, new, t))
    }
    several = _changes(old, new, None)
    mapped = sorted(new.mappings - old.mappings), sorted(old.mappings - new.mappings)
    sections: list[tuple[str, list[str]]] = [
        ("Terms added", [_introduced(new, t) for t in added if ours(t)]),
        ("Terms changed", [_entry(new, t, lines) for t, lines in changed.items()]),
        ("Terms obsoleted", [_obsoleted(new, t) for t in obsoleted]),
        ("Terms gone without deprecation", [f"- {_named(old, t)}" for t in vanished]),
        ("Public terms now used", [f"- {_named(new, t)}" for t in added if not ours(t)]),
        ("Public terms no longer used", [f"- {_named(old, t)}" for t in gone if not ours(t)]),
        ("Statements about several terms", [f"- {line}" for line in several]),
        ("Mappings added", [f"- {s} {p} {o}" for s, p, o in mapped[0]]),
        ("Mappings removed", [f"- {s} {p} {o}" for s, p, o in mapped[1]]),
    ]
    parts = [f"# Changes from {old.version} to {new.version}"]
    counts = [f"{title.lower()}: {len(lines)}" for title, lines in sections if lines]
    parts.append("; ".join(counts).capitalize() + "." if counts else "Nothing changed.")
    parts += [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections if lines]
    return Difference("\n\n".join(parts) + "\n", tuple(curie(t) for t in vanished), not counts)


def _named(edition: Edition, term: URIRef) -> str:
    label = edition.labels.get(term)
    return f"`{curie(term)}`" + (f" “{label}”" if label else "")


def _kind(edition: Edition, term: URIRef) -> str:
    kind = edition.kinds[term]
    return _KIND_WORDS.get(kind, kind.lower())


def _introduced(new: Edition, term: URIRef) -> str:
    said = new.statements[term]
    definition = " ".join(sorted(said["definition", "en"]))
    parents = sorted(said["parent", ""] | said["type", ""])
    below = f", below {', '.join(f'`{p}`' for p in parents)}" if parents else ""
    return f"- {_kind(new, term)} {_named(new, term)}{below}" + (f": {definition}" if definition else "")


def _obsoleted(new: Edition, term: URIRef) -> str:
    instead = ", ".join(_named(new, t) for t in new.replaced[term])
    return f"- {_named(new, term)}: use {instead} instead" if instead else f"- {_named(new, term)}"


def _entry(new: Edition, term: URIRef, lines: list[str]) -> str:
    return "\n".join([f"- {_named(new, term)}", *(f"  - {line}" for line in lines)])


def _changes(old: Edition, new: Edition, term: URIRef | None) -> list[str]:
    before, after = old.statements[term], new.statements[term]
    lines = []
    if term is not None and old.kinds[term] != new.kinds[term]:
        lines.append(f"was {_kind(old, term)}, is {_kind(new, term)}")
    for what, language in sorted(before.keys() | after.keys()):
        lost = sorted(before[what, language] - after[what, language])
        won = sorted(after[what, language] - before[what, language])
        name = f"{what} ({language})" if language not in ("", "en") else what
        if len(lost) == len(won) == 1:
            lines.append(f"{name}: {_shown(what, lost[0])} became {_shown(what, won[0])}")
            continue
        lines += [f"{name} removed: {_shown(what, value)}" for value in lost]
        lines += [f"{name} added: {_shown(what, value)}" for value in won]
    return lines


def _shown(what: str, value: str) -> str:
    return f"`{value}`" if what in ("parent", "type", "axiom", "replaced by") else f"“{value}”"
