"""What `kg check` looks at: the ontology's syntax, annotations and consistency, and the published graph.

Hides which annotations a term must have and which graphs hold what sources state. Each check gives a Finding;
one that fails does not stop the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kg import ontology as ontologies
from kg import reasoning, validation
from kg.errors import OntologyError
from kg.ontology import Ontology
from kg.snapshot import Snapshot, read_lines
from kg.terms import BASE, OBO, RDFS, SKOS, STROMA, compress

# What every term of ours carries; a language of None accepts any. Languages as the parser writes them.
REQUIRED = {
    "rdfs:label": (RDFS.label, None),
    "label in English": (SKOS.prefLabel, "en"),
    "label in simplified Chinese": (SKOS.prefLabel, "zh-hans"),
    "label in traditional Chinese": (SKOS.prefLabel, "zh-hant"),
    "definition": (OBO("IAO_0000115"), "en"),
    "source of the definition": (OBO("IAO_0000119"), None),
}
_ADDED = tuple(
    f"<{BASE}graph/{name}".encode() for name in ("ontology>", "claims-derived>", "inferred/", "metadata>")
)


@dataclass(frozen=True)
class Finding:
    """One check: whether it holds, and what was seen."""

    check: str
    holds: bool
    detail: str


def check(root: Path, snapshot: Snapshot | None, *, hermit: bool = False) -> Iterator[Finding]:
    """Every check in turn, over the ontology in `root` and, where there is one, a snapshot."""
    try:
        ontology = ontologies.read(root / "ontology")
    except OntologyError as problem:
        yield Finding("syntax", False, str(problem))
        return
    yield Finding("syntax", True, f"{len(ontology.files)} files, {len(ontology.declared)} declared terms")
    yield _annotations(ontology)
    yield _consistency(ontology, snapshot, root / "ontology" / "rules")
    if hermit:
        yield _referee(ontology)
    if snapshot is None:
        yield Finding("shapes", True, "not checked: no graph is published yet (kg build)")
    else:
        yield _shapes(snapshot, root / "ontology" / "shapes")


def _annotations(ontology: Ontology) -> Finding:
    having: dict[str, set[object]] = {name: set() for name in REQUIRED}
    for quad in ontology.quads:
        for name, (predicate, language) in REQUIRED.items():
            if quad.predicate == predicate and language in (None, getattr(quad.object, "language", None)):
                having[name].add(quad.subject)
    ours = [term for term in ontology.declared if term.value.startswith(STROMA("").value)]
    missing = []
    for name, terms in having.items():
        without = sorted(compress(term.value) for term in ours if term not in terms)
        if without:
            more = f" and {len(without) - 5} more" if len(without) > 5 else ""
            missing.append(f"no {name}: {', '.join(without[:5])}{more}")
    return Finding(
        "annotations", not missing, "; ".join(missing) or f"{len(ours)} terms of ours are complete"
    )


def _consistency(ontology: Ontology, snapshot: Snapshot | None, rules: Path) -> Finding:
    stated = _stated(snapshot) if snapshot else iter(())
    try:
        with tempfile.TemporaryDirectory() as folder:
            inferences = reasoning.infer(ontology, stated, rules, Path(folder) / "inferred.nq")
    except OntologyError as problem:
        return Finding("consistency", False, str(problem))
    over = "the ontology and the published graph" if snapshot else "the ontology"
    seconds = sum(inferences.seconds.values())
    return Finding("consistency", True, f"{over}: nothing contradicts; EL reasoner, {seconds:.1f} s")


def _referee(ontology: Ontology) -> Finding:
    try:
        result = ontologies.classify_with_hermit(ontology)
    except OntologyError as problem:
        return Finding("HermiT", False, str(problem))
    if result.consistent and not result.unsatisfiable:
        return Finding("HermiT", True, f"consistent, no unsatisfiable class; {result.seconds:.1f} s")
    names = ", ".join(compress(term.value) for term in result.unsatisfiable)
    return Finding("HermiT", False, f"unsatisfiable: {names}" if names else "the ontology is inconsistent")


def _shapes(snapshot: Snapshot, shapes: Path) -> Finding:
    try:
        results = validation.validate(read_lines(snapshot), shapes)
    except OntologyError as problem:
        return Finding("shapes", False, str(problem))
    broken = [result for result in results if result.severity == "Violation"]
    warnings = len(results) - len(broken)
    if broken:
        shown = "; ".join(map(str, broken[:5]))
        return Finding("shapes", False, f"{len(broken)} violations: {shown}")
    return Finding("shapes", True, f"{snapshot.name}: no violation, {warnings} warnings")


def _stated(snapshot: Snapshot) -> Iterator[bytes]:
    """The lines of what the sources state: every graph but those the build adds."""
    for line in read_lines(snapshot):
        if not line.rsplit(b" ", 2)[1].startswith(_ADDED):
            yield line
