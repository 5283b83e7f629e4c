"""Every question gives the same rows in pyoxigraph, rdflib and Virtuoso: it is SPARQL, not a dialect.

Where one differs, `tests/engines.tsv` names the question, the engine and the reason; a difference that is
named and gone fails too. What no engine promises is not compared: the order of rows, or of what GROUP_CONCAT
joins, and how a number is written.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
import resource
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import httpx
import pyoxigraph as ox
import pytest
import rdflib

from kg.canned import Catalogue, Question
from kg.snapshot import Snapshot, load_store
from kg.terms import ROOT
from tests.peers import NO_VIRTUOSO, Virtuoso, has_virtuoso, virtuoso

# rdflib calls what it has itself deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Dataset:DeprecationWarning")

CATALOGUE = Catalogue.read(ROOT / "queries")
XSD = "http://www.w3.org/2001/XMLSchema#"
Row = tuple[Any, ...]


def known() -> Mapping[tuple[str, str], str]:
    """The differences that are named: (question, engine) -> reason."""
    with (Path(__file__).parent / "engines.tsv").open(encoding="utf-8", newline="") as file:
        return {
            (row["question"], row["engine"]): row["reason"] for row in csv.DictReader(file, delimiter="\t")
        }


KNOWN = known()


# --------------------------------------------------------------------------------- rows that compare


def literal(value: str, language: str | None, datatype: str | None) -> Row:
    """A literal by what it says: a number by its value, whatever its type."""
    if language:
        return ("text", value, language.lower())
    if datatype == f"{XSD}boolean":
        return ("truth", value in ("true", "1"))
    if datatype and re.search(r"#(integer|decimal|double|float|int|nonNegativeInteger)$", datatype):
        try:
            return ("number", Decimal(value).normalize())
        except InvalidOperation:
            return ("text", value, datatype)
    return ("text", value, "" if datatype in (None, f"{XSD}string") else datatype)


def joined(question: Question) -> Mapping[str, str]:
    """The columns that GROUP_CONCAT makes, with what it joins by."""
    found = re.findall(r'GROUP_CONCAT\(.*?separator="([^"]*)"\) AS \?(\w+)', question.text)
    return {name: separator for separator, name in found}


def rows_of(question: Question, rows: Iterable[Mapping[str, Row | None]]) -> Counter[Row]:
    """Rows as they are compared; an empty text is as good as none, for what joins nothing."""
    separators = joined(question)

    def cell(name: str, term: Row | None) -> Row | None:
        if term is not None and name in separators:
            return tuple(sorted(term[1].split(separators[name]))) if term[1] else None
        return term

    return Counter(tuple(cell(name, row.get(name)) for name in question.columns) for row in rows)


def ours(store: ox.Store, question: Question) -> Counter[Row]:
    def term(node: Any) -> Row | None:
        if node is None:
            return None
        if isinstance(node, ox.Literal):
            return literal(node.value, node.language, node.datatype.value)
        return ("name", node.value)

    found = store.query(question.text, use_default_graph_as_union=True)
    if isinstance(found, ox.QueryTriples):
        names = list(question.columns)
        return rows_of(
            question, ({n: term(t) for n, t in zip(names, each, strict=True)} for each in set(found))
        )
    assert isinstance(found, ox.QuerySolutions)
    names = [variable.value for variable in found.variables]
    return rows_of(question, ({name: term(row[name]) for name in names} for row in found))


def rdflib_s(dataset: rdflib.Dataset, question: Question) -> Counter[Row]:
    def term(node: Any) -> Row | None:
        if node is None:
            return None
        if isinstance(node, rdflib.Literal):
            return literal(str(node), node.language, node.datatype and str(node.datatype))
        return ("name", str(node))

    found = dataset.query(question.text)
    if found.type == "CONSTRUCT":
        names: list[str] = list(question.columns)
        assert found.graph is not None
        return rows_of(
            question, ({n: term(t) for n, t in zip(names, each, strict=True)} for each in found.graph)
        )
    names = [str(variable) for variable in found.vars or ()]
    return rows_of(question, ({n: term(row[n]) for n in names} for row in found))  # type: ignore[index]


def virtuoso_s(peer: Virtuoso, question: Question) -> Counter[Row]:
    graph = "CONSTRUCT" in question.text
    accept = "application/n-triples" if graph else "application/sparql-results+json"
    answer = httpx.post(peer.sparql, data={"query": question.text}, headers={"Accept": accept}, timeout=60)
    answer.raise_for_status()
    if graph:
        store = ox.Store()
        store.load(answer.content, format=ox.RdfFormat.N_TRIPLES)
        whole = Question(**{**question.__dict__, "text": "CONSTRUCT WHERE { ?s ?p ?o }"})
        return ours(store, whole)

    def term(cell: Mapping[str, str]) -> Row:
        if cell["type"] in ("literal", "typed-literal"):
            return literal(cell["value"], cell.get("xml:lang"), cell.get("datatype"))
        return ("name", cell["value"])

    bindings = answer.json()["results"]["bindings"]
    return rows_of(question, ({name: term(cell) for name, cell in row.items()} for row in bindings))


# ------------------------------------------------------------------------------------------- engines


@pytest.fixture(scope="module")
def store(embedded: Snapshot) -> ox.Store:
    return load_store(embedded)


@pytest.fixture(scope="module")
def dataset(store: ox.Store) -> rdflib.Dataset:
    """The same quads in rdflib, every literal as it is written."""
    found = rdflib.Dataset(default_union=True)
    graphs: dict[str, rdflib.Graph] = {}

    def term(node: Any) -> Any:
        if isinstance(node, ox.NamedNode):
            return rdflib.URIRef(node.value)
        if isinstance(node, ox.BlankNode):
            return rdflib.BNode(node.value)
        if node.language:
            return rdflib.Literal(node.value, lang=node.language)
        datatype = node.datatype.value
        if datatype == f"{XSD}string":
            return rdflib.Literal(node.value)
        return rdflib.Literal(node.value, datatype=rdflib.URIRef(datatype), normalize=False)

    for quad in store:
        name = quad.graph_name.value
        if name not in graphs:
            graphs[name] = found.graph(rdflib.URIRef(name))
        found.store.add((term(quad.subject), term(quad.predicate), term(quad.object)), graphs[name])
    return found


@pytest.fixture(scope="module")
def peer(embedded: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Virtuoso]:
    if not has_virtuoso():
        pytest.skip(NO_VIRTUOSO)
    folder = tmp_path_factory.mktemp("virtuoso")
    with virtuoso(folder) as running:
        data = folder / "data.nq"
        with gzip.open(embedded.folder / "data.nq.gz") as packed, data.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        # 512: N-Quads
        running.run(f"DB.DBA.TTLP_MT(file_to_string_output('{data}'), '', 'http://example.org/', 512);\n")
        yield running


def compare(id: str, engine: str, own: Counter[Row], other: Counter[Row]) -> None:
    if (id, engine) in KNOWN:
        if own == other:
            pytest.fail(f"{engine} gives the same rows for {id} now; take it out of tests/engines.tsv")
    elif own != other:
        more, less = list((other - own).items()), list((own - other).items())
        pytest.fail(f"only {engine}, {len(more)}: {more[:3]}\nonly ours, {len(less)}: {less[:3]}")


@pytest.mark.parametrize(
    "id", [id for id in CATALOGUE if not KNOWN.get((id, "rdflib"), "").startswith("slow")]
)
def test_rdflib_gives_the_same_rows(store: ox.Store, dataset: rdflib.Dataset, id: str) -> None:
    compare(id, "rdflib", ours(store, CATALOGUE[id]), rdflib_s(dataset, CATALOGUE[id]))


@pytest.mark.parametrize("id", [id for id in CATALOGUE if KNOWN.get((id, "rdflib"), "").startswith("slow")])
def test_what_is_named_slow_still_takes_rdflib_more_than_three_seconds_of_a_processor(
    dataset: rdflib.Dataset, id: str
) -> None:
    child = os.fork()
    if not child:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (3, 3))  # the system ends it then
            rdflib_s(dataset, CATALOGUE[id])
            code = 0
        finally:
            os._exit(code)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended != 0, f"rdflib answers {id} in three seconds now; take it out of tests/engines.tsv"
    assert ended < 0, f"rdflib fails at {id}; name that in tests/engines.tsv"


@pytest.mark.parametrize("id", CATALOGUE)
def test_virtuoso_gives_the_same_rows(store: ox.Store, peer: Virtuoso, id: str) -> None:
    try:
        theirs = virtuoso_s(peer, CATALOGUE[id])
    except httpx.HTTPStatusError:
        assert (id, "Virtuoso") in KNOWN
        return
    compare(id, "Virtuoso", ours(store, CATALOGUE[id]), theirs)


def test_every_named_difference_is_of_a_question_and_an_engine() -> None:
    for id, engine in KNOWN:
        assert id in CATALOGUE
        assert engine in ("rdflib", "Virtuoso")
        assert KNOWN[id, engine]
