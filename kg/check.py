"""What `kg check` looks at: the ontology's syntax, coverage, checks and consistency, and the published graph.

Hides what is run on what, and which graphs hold what sources state. Each gives a Finding; one that fails does
not stop the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyoxigraph import Store

from kg import checks, reasoning, referees, validation
from kg import ontology as ontologies
from kg.errors import OntologyError, StromaError
from kg.evidence import page
from kg.ontology import Ontology
from kg.snapshot import Snapshot, read_lines
from kg.terms import BASE, compress, expand

_ADDED = tuple(
    f"<{BASE}graph/{name}".encode()
    for name in ("ontology>", "claims-derived>", "inferred/", "metadata>", "findings>", "derived>")
)


@dataclass(frozen=True)
class Finding:
    """One check: whether it holds, and what was seen."""

    check: str
    holds: bool
    detail: str


def check(
    root: Path,
    snapshot: Snapshot | None,
    *,
    hermit: bool = False,
    mappings: Callable[[], Sequence[StromaError]] | None = None,
    imports: Callable[[], Sequence[StromaError]] | None = None,
    claims: Callable[[], Mapping[str, tuple[int, int]]] | None = None,
) -> Iterator[Finding]:
    """Every check in turn, over the ontology in `root` and, where there is one, a snapshot.

    `mappings` says what is wrong with the mappings to other vocabularies, `imports` with the lists of public
    terms, `claims` how many rows of the ledger of claims are formalised and how many text, by kind: a
    loader's business, so handed in.
    """
    try:
        ontology = ontologies.read(root / "ontology")
    except OntologyError as problem:
        yield Finding("syntax", False, str(problem))
        return
    yield Finding("syntax", True, f"{len(ontology.files)} files, {len(ontology.declared)} declared terms")
    places = checks.Places(ontology.files)
    yield _coverage(root / "ontology" / "coverage.tsv", ontology)
    if mappings is not None:
        yield _tables("mappings", mappings(), "form, labels and verified ids hold")
    if imports is not None:
        yield _tables("imports", imports(), "every public term is listed and embedded")
    if claims is not None:
        yield _claims(claims)
    yield from _checks("source", root / "ontology", checks.store_of_modules(ontology.files), places, ontology)
    yield _consistency(ontology, snapshot, root / "ontology" / "rules", places)
    if hermit:
        yield _referee(ontology)
    if snapshot is None:
        yield Finding("shapes", True, "not checked: no graph is published yet (kg build)")
    else:
        graph = checks.store_of_graph(read_lines(snapshot))
        yield from _checks("product", root / "ontology", graph, places, ontology)
        yield _shapes(snapshot, root / "ontology" / "shapes")
        found = page.read(read_lines(snapshot)).findings
        yield Finding("findings", True, page.counts(found))


def _coverage(table: Path, ontology: Ontology) -> Finding:
    """How many entities of the claims ledger have a term, and how many a reason why not, by kind."""
    kinds: dict[str, list[int]] = {}
    undeclared = []
    entities = []
    try:
        for line, entity, kind, terms, _reason in checks.coverage(table):
            entities.append(entity)
            counts = kinds.setdefault(kind, [0, 0])
            counts[0 if terms else 1] += 1
            for term in terms:
                if expand(term) not in ontology.declared:
                    near = ", ".join(ontology.nearest(expand(term))) or "nothing like it"
                    undeclared.append(
                        f"{table.name}, line {line}: {term} stands for {entity!r} and no module declares it "
                        f"(declared: {near})"
                    )
    except StromaError as problem:
        return Finding("coverage", False, str(problem))
    if undeclared:
        return Finding("coverage", False, f"{'; '.join(undeclared)}. Correct the name, or declare the term")
    if checks.ledger(entities) not in table.read_text(encoding="utf-8").splitlines():
        return Finding(
            "coverage",
            False,
            f"{table.name}: its {len(entities)} rows are not the ledger's entities, whose number and digest "
            "stand in the comment above them. Bring back the row that was removed or renamed; if the ledger "
            f"itself changed, write {checks.ledger(entities)!r}",
        )
    covered, reasoned = (sum(counts[n] for counts in kinds.values()) for n in (0, 1))
    by_kind = ", ".join(f"{kind} {a}/{b}/{a + b}" for kind, (a, b) in sorted(kinds.items()))
    return Finding(
        "coverage",
        True,
        f"{covered + reasoned} entities of the ledger: {covered} have terms, {reasoned} a reason why not "
        f"(by kind, terms/reason/all: {by_kind})",
    )


def _tables(name: str, problems: Sequence[StromaError], sound: str) -> Finding:
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        return Finding(name, False, "; ".join(map(str, problems[:5])) + more)
    return Finding(name, True, sound)


def _claims(account: Callable[[], Mapping[str, tuple[int, int]]]) -> Finding:
    """How many rows of the claims ledger became statements, and how many are text with a reason, by kind."""
    try:
        kinds = account()
    except StromaError as problem:
        return Finding("claims", False, str(problem))
    formal, text = (sum(counts[n] for counts in kinds.values()) for n in (0, 1))
    by_kind = ", ".join(f"{kind} {a}/{b}/{a + b}" for kind, (a, b) in kinds.items())
    return Finding(
        "claims",
        True,
        f"{formal + text} claims of the ledger: {formal} formalised, {text} kept as text with the reason "
        f"(by kind, formalised/text/all: {by_kind})",
    )


def _checks(
    scope: str, folder: Path, store: Store, places: checks.Places, ontology: Ontology
) -> Iterator[Finding]:
    """The checks of `ontology/checks/` over a store: a finding for each that fails, then one for all."""
    try:
        every = checks.read(folder / "checks")
        table = folder / "checks" / "explained.tsv"
        result = checks.report(every, store, checks.explained(table), source=scope == "source")
    except OntologyError as problem:
        yield Finding(f"{scope} checks", False, str(problem))
        return
    for check, faults in result.failed.items():
        what = checks.described(faults, places) + _nearest(faults, ontology)
        found = f"{check.problem} {what}. {check.solution}"
        yield Finding(f"{scope} {check.name}", False, f"{check.severity}: {found}")
    if result.stale:
        found = f"explains warnings that no longer occur: {', '.join(result.stale)}. Remove the lines"
        yield Finding(f"{scope} checks", False, f"{table.name} {found}")
    if not result.failed and not result.stale:
        run = sum(not check.source_only or scope == "source" for check in every)
        seen = f"{result.explained} warnings, each explained, {result.notes} notes"
        yield Finding(f"{scope} checks", True, f"{run} checks: no error, {seen}")


def _nearest(faults: Sequence[checks.Fault], ontology: Ontology) -> str:
    """What is spelt like the faulty terms that no module declares, as a part of a message."""
    near: dict[str, None] = {}
    for fault in faults[:5]:
        if fault.term.startswith("stroma:") and expand(fault.term) not in ontology.declared:
            near |= dict.fromkeys(ontology.nearest(expand(fault.term)))
    return f" (declared: {', '.join(near)})" if near else ""


def _consistency(
    ontology: Ontology, snapshot: Snapshot | None, rules: Path, places: checks.Places
) -> Finding:
    stated = _stated(snapshot) if snapshot else iter(())
    try:
        with tempfile.TemporaryDirectory() as folder:
            inferences = reasoning.infer(ontology, stated, rules, Path(folder) / "inferred.nq")
    except OntologyError as problem:
        return Finding("consistency", False, str(problem))
    over = "the ontology and the published graph" if snapshot else "the ontology"
    seconds = sum(inferences.seconds.values())
    beyond = _beyond_el(inferences.beyond_el, places)
    return Finding(
        "consistency", True, f"{over}: nothing contradicts; EL reasoner, {seconds:.1f} s; {beyond}"
    )


def _beyond_el(axioms: tuple[str, ...], places: checks.Places) -> str:
    """The axioms that only the referee reads, each with the place of the term it is about."""
    if not axioms:
        return "nothing set aside as beyond EL"
    # An axiom about an expression begins with "(an expression)", which stands nowhere by name.
    placed = (axiom if axiom.startswith("(") else f"{places[axiom.split()[0]]}{axiom}" for axiom in axioms)
    return f"set aside as beyond EL: {len(axioms)} ({'; '.join(placed)})"


def _referee(ontology: Ontology) -> Finding:
    try:
        result = referees.classify_with_hermit(ontology)
    except OntologyError as problem:
        return Finding("HermiT", False, str(problem))
    if result.consistent and not result.unsatisfiable:
        return Finding("HermiT", True, f"consistent, no unsatisfiable class; {result.seconds:.1f} s")
    names = ", ".join(compress(term.value) for term in result.unsatisfiable)
    return Finding("HermiT", False, f"unsatisfiable: {names}" if names else "the ontology is inconsistent")


def _shapes(snapshot: Snapshot, shapes: Path) -> Finding:
    try:
        results = validation.validate(lambda: read_lines(snapshot), shapes)
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
