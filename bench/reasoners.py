"""What follows from the ontology: HermiT, pyelk, rustdl and our materialisation over the same input."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from pyoxigraph import Quad, parse

from kg.ontology import read
from kg.reasoning import claims_derived, infer
from kg.referees import REFEREES
from kg.terms import ROOT
from loaders import catalog
from tests import test_entailments as table

Row = tuple[str, float | int | str, str]

RULES = ROOT / "ontology" / "rules"


def reasoners() -> Iterator[Row]:
    """Seconds of each reasoner over the modules, over the table of entailments, and over the embedded graph.

    HermiT and rustdl are not asked of the embedded graph: their time grows faster than the things in it.
    """
    ontology = read(ROOT / "ontology")
    embedded = list(chain.from_iterable(catalog.load(name).quads for name in catalog.find_sources()))
    inputs: dict[str, tuple[list[Quad], tuple[str, ...]]] = {
        "modules": ([], tuple(REFEREES)),
        "modules and table": (_quads_of_the_table(), tuple(REFEREES)),
        "embedded graph": (embedded, ("pyelk",)),
    }
    for what, (quads, names) in inputs.items():
        claims = claims_derived(ontology, quads)  # the materialisation derives them itself
        things = {q.subject for q in [*ontology.quads, *quads] if ontology.is_fact(q)}
        yield what, len(things), "things"
        for name in names:
            started = time.perf_counter()
            found = REFEREES[name](ontology, [*quads, *claims])
            yield f"{what}, {name}", time.perf_counter() - started, "s"
            yield f"{what}, {name}", len(found.subsumptions) + len(found.types), "subclasses and types"
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            told = infer(ontology, iter(quads), RULES, Path(folder) / "inferred.nq")
            yield f"{what}, materialisation", time.perf_counter() - started, "s"
            yield f"{what}, materialisation", sum(told.counts.values()), "statements added"


def axioms_that_rows_need() -> Iterator[Row]:
    """By kind, how many logical axioms of the modules change a row of the table when taken away."""
    ontology = read(ROOT / "ontology")
    axioms = table.axioms_of(ontology, _quads_of_the_table())
    started = time.perf_counter()
    needed = Counter(map(table.kind, axioms.relied_on(axioms.ours)))
    yield "all axioms taken away in turn", time.perf_counter() - started, "s"
    for kind, count in sorted(Counter(map(table.kind, axioms.ours)).items()):
        yield kind, needed[kind], f"of {count}"


def _quads_of_the_table() -> list[Quad]:
    parsed = parse(path=ROOT / "tests" / "entailments.ttl")
    return [Quad(q.subject, q.predicate, q.object, table.GRAPH) for q in parsed]
