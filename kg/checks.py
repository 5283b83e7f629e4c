"""The checks of `ontology/checks/`: queries that find what no reasoner sees, on the modules and on a graph.

Hides their headers, the store they run in, which warnings are explained, and where in which file a term
stands. Callers see Faults.

A check is a SELECT of `?term` and, where it helps, `?detail`, headed by

    #+ problem: what is wrong with a term that it finds
    #+ solution: the way out
    #+ severity: error (fails), warning (fails unless `explained.tsv` says why it stays) or info
    #+ scope: source (optional: only the modules, not the published graph)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyoxigraph import Literal, NamedNode, QuerySolutions, RdfFormat, Store

from kg.errors import OntologyError
from kg.ontology import GRAPH
from kg.terms import STROMA, compress, prefixes

SEVERITIES = ("error", "warning", "info")
_HEADER = re.compile(r"^#\+ (\w+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """One query of `ontology/checks/` with what its header says."""

    name: str
    problem: str
    solution: str
    severity: str
    source_only: bool
    query: str

    @staticmethod
    def read(path: Path) -> Check:
        """The check of a file; raises OntologyError naming the header line that is missing or wrong."""
        query = path.read_text(encoding="utf-8")
        header = dict(_HEADER.findall(query))
        for word in ("problem", "solution", "severity"):
            if not header.get(word):
                raise OntologyError(f"{path}: has no line `#+ {word}: ...`; kg/checks.py says what each says")
        if header["severity"] not in SEVERITIES:
            raise OntologyError(
                f"{path}: severity {header['severity']!r} is none of {', '.join(SEVERITIES)}; correct it"
            )
        only = header.get("scope", "") == "source"
        return Check(path.stem, header["problem"], header["solution"], header["severity"], only, query)


@dataclass(frozen=True, order=True)
class Fault:
    """A term that a check found; `detail` says what about it."""

    term: str  # CURIE
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.term} ({self.detail})" if self.detail else self.term


def read(folder: Path) -> tuple[Check, ...]:
    """The checks of `ontology/checks/`, by name; raises OntologyError when there is none."""
    checks = tuple(Check.read(path) for path in sorted(folder.glob("*.rq")))
    if not checks:
        raise OntologyError(f"{folder}: holds no check (*.rq); give the folder ontology/checks")
    return checks


def explained(path: Path) -> dict[tuple[str, str], str]:
    """The warnings that stay, with the reason: (check, term) -> why.

    The file has a header `check<TAB>term<TAB>why`; raises OntologyError naming a line without all three.
    """
    found: dict[tuple[str, str], str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith(("#", "check\t")) or not line:
            continue
        cells = line.split("\t")
        if len(cells) != 3 or not all(cell.strip() for cell in cells):
            raise OntologyError(f"{path}, line {number}: write check, term and why, with tabs between them")
        found[cells[0], cells[1]] = cells[2]
    return found


def store_of_modules(files: Iterable[Path]) -> Store:
    """The modules in one store, each in a graph named by its module IRI."""
    store = Store()
    for path in files:
        name = STROMA(f"module/{path.stem}") if path.parent.name == "modules" else STROMA(path.stem)
        store.bulk_load(path=path, format=RdfFormat.TURTLE, to_graph=name)
    return store


def store_of_graph(lines: Iterable[bytes]) -> Store:
    """`graph:ontology` of a published graph's N-Quads lines, in a store."""
    mark = f" <{GRAPH.value}> .".encode()
    store = Store()
    store.bulk_load(b"".join(line for line in lines if line.rstrip().endswith(mark)), RdfFormat.N_QUADS)
    return store


def run(check: Check, store: Store) -> tuple[Fault, ...]:
    """What a check finds, in order; raises OntologyError when its query does not parse or has no `?term`."""
    try:
        solutions = store.query(check.query, use_default_graph_as_union=True)
    except SyntaxError as problem:
        raise OntologyError(f"{check.name}.rq: does not parse: {problem}. Mend the check") from problem
    if not isinstance(solutions, QuerySolutions) or "term" not in {v.value for v in solutions.variables}:
        raise OntologyError(f"{check.name}.rq: is no SELECT of ?term. Mend the check")
    has_detail = "detail" in {v.value for v in solutions.variables}
    faults = set()
    for solution in solutions:
        detail = solution["detail"] if has_detail else None
        faults.add(Fault(_text(solution["term"]), _text(detail) if detail is not None else ""))
    return tuple(sorted(faults))


def _text(term: object) -> str:
    if isinstance(term, NamedNode):
        return compress(term.value)
    text = term.value if isinstance(term, Literal) else str(term)
    return " ".join(compress(word) if word.startswith("http") else word for word in text.split(" "))


class Places:
    """Where terms stand in some Turtle files: `places["stroma:Claim"]` is "evidence.ttl, line 97: "."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._lines = [(path.name, path.read_text(encoding="utf-8").splitlines()) for path in files]

    def all(self, term: str) -> list[str]:
        """Each file and line that declares a term (begins a line with it), else the first that uses it."""
        spelling = re.compile(rf"(?<![\w:/]){re.escape(_written(term))}(?![\w/])")
        uses: list[str] = []
        declared: list[str] = []
        for name, lines in self._lines:
            for number, line in enumerate(lines, start=1):
                if not spelling.search(line):
                    continue
                uses.append(f"{name}, line {number}")
                if spelling.match(line) and line[len(_written(term)) :].startswith(" a "):
                    declared.append(uses[-1])
        return declared or uses[:1]

    def __getitem__(self, term: str) -> str:
        found = self.all(term)
        return f"{' and '.join(found)}: " if found else ""


def _written(term: str) -> str:
    """A CURIE as the modules write it: OBO terms as obo:CL_0000134, IRIs of modules in full."""
    prefix, _, local = term.partition(":")
    iri = prefixes().get(prefix, "")
    if term.startswith("stroma:module/") or term.startswith("http"):
        return f"<{iri}{local}>" if iri else f"<{term}>"
    if iri.startswith("http://purl.obolibrary.org/obo/"):
        return f"obo:{prefix}_{local}"
    return term


@dataclass(frozen=True)
class Report:
    """What all checks found: the faults that fail, and how many explained warnings and notes beside."""

    failed: Mapping[Check, tuple[Fault, ...]]
    explained: int
    notes: int
    stale: tuple[str, ...]  # explanations of warnings that no longer occur


def report(
    checks: Iterable[Check], store: Store, known: Mapping[tuple[str, str], str], *, source: bool
) -> Report:
    """Run the checks over the modules (`source`) or a published graph."""
    failed: dict[Check, tuple[Fault, ...]] = {}
    notes = 0
    used: set[tuple[str, str]] = set()
    for check in checks:
        if check.source_only and not source:
            continue
        faults = run(check, store)
        if check.severity == "info":
            notes += len(faults)
            continue
        if check.severity == "warning":
            used |= {(check.name, fault.term) for fault in faults} & known.keys()
            faults = tuple(fault for fault in faults if (check.name, fault.term) not in known)
        if faults:
            failed[check] = faults
    stale = tuple(f"{name} {term}" for name, term in known if (name, term) not in used) if source else ()
    return Report(failed, len(used), notes, stale)


def described(faults: Iterable[Fault], places: Places, at_most: int = 5) -> str:
    """Faults with their places, at most some of them: "cells.ttl, line 12: stroma:X (detail); ..."."""
    listed = list(faults)
    shown = "; ".join(_placed(fault, places) for fault in listed[:at_most])
    return f"{shown}; and {len(listed) - at_most} more" if len(listed) > at_most else shown


def _placed(fault: Fault, places: Places) -> str:
    return f"{places[fault.term]}{fault}"


def ledger(entities: Iterable[str]) -> str:
    """The comment of `ontology/coverage.tsv` that says which entities the ledger has: number and digest."""
    names = sorted(entities)
    digest = hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()
    return f"# The ledger has {len(names)} entities; SHA-256 of their names, sorted, a line each: {digest}"


def coverage(path: Path) -> Iterator[tuple[int, str, str, tuple[str, ...], str]]:
    """The rows of `ontology/coverage.tsv`: line, entity, kind, terms (CURIEs), reason.

    Raises OntologyError naming a line that has neither or both of terms and reason, or repeats an entity.
    """
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith(("#", "entity\t")) or not line:
            continue
        cells = line.split("\t")
        if len(cells) != 4:
            raise OntologyError(f"{path}, line {number}: write entity, kind, terms and reason, with tabs")
        entity, kind, terms, reason = cells
        if bool(terms.split()) == bool(reason.strip()):
            raise OntologyError(
                f"{path}, line {number}: {entity} needs either terms that stand for it or the reason "
                "why it has none"
            )
        if (entity, kind) in seen:
            raise OntologyError(f"{path}, line {number}: {entity} ({kind}) has a row above; merge the two")
        seen.add((entity, kind))
        yield number, entity, kind, tuple(terms.split()), reason
