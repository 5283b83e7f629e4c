"""The suite, run: in process through the engine's seam, and over HTTP from a real server.

Hides how hundreds of datasets become one. Both ways ask one snapshot that holds every file of data as a
graph, and name a case's files as the dataset of its query. So one load serves all, and what runs is what
serves people: the guard, the workers, the writers and, over HTTP, the dataset parameters and the three forms.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
from pyoxigraph import Literal, NamedNode, Quad

from kg.engine import Dataset, Engine, Limits, guard
from kg.engine.formats import BY_KEY
from kg.engine.formats import Kind as Gives
from kg.engine.memory import MemoryEngine
from kg.errors import QueryRefused, QuerySyntaxError, StromaError
from kg.snapshot import Snapshot, write_snapshot
from tests.peers import ours
from tests.w3c import protocol
from tests.w3c.results import difference, read
from tests.w3c.suite import ENTAILMENT, RESULTS, W3C, Case, Kind, Test, cases, quads

ENGINE, HTTP = "engine", "http"
PASSED, FAILED, REFUSED = "passed", "failed", "refused"

# The format that a table and a graph are asked for in, unless a case is about one.
_FORMATS = {ENGINE: ("json", "ntriples"), HTTP: ("xml", "turtle")}
_OF_SUFFIX = {".srx": "xml", ".srj": "json", ".csv": "csv", ".tsv": "tsv"}
_NOTHING = W3C + "nothing"  # a graph to name where a case has no data: its default graph is empty then
_UNKNOWN_FUNCTION = re.compile(r"no function <http://example/function>")


@dataclass(frozen=True)
class Outcome:
    """What came of a test, one way: PASSED, FAILED with the reason, or REFUSED as the query's kind is."""

    test: Test
    way: str  # ENGINE or HTTP
    status: str
    why: str = ""


@dataclass(frozen=True)
class _Said:
    """An answer (body and suffix of its format), or an error: "syntax", "refused", or its message."""

    body: bytes = b""
    suffix: str = ""
    error: str = ""


def run(folder: Path, work: Path) -> list[Outcome]:
    """Run every test that a query can be made of, both ways; `work` is an empty folder to write in.

    `folder` is a copy of the suite's folder `sparql11`. The entailment regimes are left out: we claim none.
    """
    every = [case for case in cases(folder) if case.area != ENTAILMENT]
    nothing = NamedNode(_NOTHING)
    filler = Quad(nothing, NamedNode("http://purl.org/dc/terms/title"), Literal("nothing"), nothing)
    data = [*quads(folder, every), *protocol.quads(), filler]
    snapshot = write_snapshot(data, work, version="2013-03-21")
    outcomes = asyncio.run(_in_process(snapshot, every))
    with ours(snapshot) as address, httpx.Client(timeout=60) as client:
        outcomes += [_judged(case, HTTP, _fetched(client, address, snapshot, case)) for case in every]
        for test, why in protocol.run(client, address):
            outcomes.append(Outcome(test, HTTP, FAILED if why else PASSED, why or ""))
    return outcomes


async def _in_process(snapshot: Snapshot, every: list[Case]) -> list[Outcome]:
    async with MemoryEngine(snapshot) as engine:
        return [_judged(case, ENGINE, await _evaluated(engine, case)) for case in every]


async def _evaluated(engine: Engine, case: Case) -> _Said:
    try:
        inspection = guard.inspect(case.query, Limits())
        format = BY_KEY[_formats(case, ENGINE)[inspection.kind is Gives.GRAPH]]
        dataset = _dataset(engine.snapshot, case)
        answer = await engine.query(case.query, accept=format, dataset=dataset, limits=Limits())
        return _Said(await answer.read(), format.suffix)
    except QuerySyntaxError:
        return _Said(error="syntax")
    except QueryRefused:
        return _Said(error="refused")
    except StromaError as error:
        return _Said(error=str(error))


def _fetched(client: httpx.Client, address: str, snapshot: Snapshot, case: Case) -> _Said:
    formats = [BY_KEY[key] for key in _formats(case, HTTP)]
    dataset = _dataset(snapshot, case)
    graphs: dict[str, list[str]] = {}
    if dataset is not None:
        graphs = {"default-graph-uri": list(dataset.default), "named-graph-uri": list(dataset.named)}
    url = f"{address}/sparql"
    headers = {"Accept": ", ".join(format.media_type for format in formats)}
    request: dict[str, Any]
    match "update" if case.kind is Kind.UPDATE else crc32(case.id.encode()) % 3:
        case "update":
            request = {"method": "POST", "content": case.query}
            headers["Content-Type"] = "application/sparql-update"
        case 0:
            request = {"method": "GET", "params": {"query": case.query, **graphs}}
        case 1:
            request = {"method": "POST", "data": {"query": case.query, **graphs}}
        case _:
            request = {"method": "POST", "params": graphs, "content": case.query}
            headers["Content-Type"] = "application/sparql-query"
    response = client.request(url=url, headers=headers, **request)
    if response.status_code == 200:
        (format,) = (each for each in formats if each.content_type == response.headers["content-type"])
        return _Said(response.content, format.suffix)
    problem = response.json()
    if (response.status_code, problem["type"].rpartition("/")[2]) == (400, "query-syntax"):
        return _Said(error="syntax")
    if (response.status_code, problem["type"].rpartition("/")[2]) == (403, "query-refused"):
        return _Said(error="refused")
    return _Said(error=f"{response.status_code} {problem['detail']}")


def _formats(case: Case, way: str) -> tuple[str, str]:
    """The formats for a table and for a graph."""
    table, graph = _FORMATS[way]
    if case.area == RESULTS and case.result is not None:
        table = _OF_SUFFIX[case.result.suffix]
    return table, graph


def _dataset(snapshot: Snapshot, case: Case) -> Dataset | None:
    if case.kind is Kind.EVALUATION and not case.data and re.search(r"(?i)\bFROM\s+<", case.text):
        return None  # the query says it itself
    # A file without a triple leaves no graph, here as in every dataset of ours.
    default = tuple(iri for iri in case.data if iri in snapshot.graphs)
    named = tuple(iri for iri in case.named if iri in snapshot.graphs)
    return Dataset(default, named) if default or named else Dataset((), (_NOTHING,))


def _judged(case: Case, way: str, said: _Said) -> Outcome:
    if said.error == "refused" or (case.kind is Kind.UPDATE and said.error == "syntax"):
        return Outcome(case, way, REFUSED)
    if case.kind is Kind.NEGATIVE_SYNTAX:
        if said.error == "syntax":
            return Outcome(case, way, PASSED)
        return Outcome(case, way, FAILED, said.error or "it was answered, and is no query")
    if case.kind is Kind.POSITIVE_SYNTAX and _UNKNOWN_FUNCTION.search(said.error):
        return Outcome(case, way, PASSED)  # it was read; what it calls is an example and nowhere defined
    if said.error:
        return Outcome(case, way, FAILED, said.error)
    if case.kind is Kind.EVALUATION:
        assert case.result is not None
        base = case.base.rpartition("/")[0] + "/" + case.result.name
        expected = read(case.result.read_bytes(), case.result.suffix[1:], base)
        try:
            why = difference(expected, read(said.body, said.suffix))
        except (AssertionError, ValueError) as problem:
            why = f"the answer cannot be read: {problem}"
        return Outcome(case, way, FAILED if why else PASSED, why or "")
    return Outcome(case, way, PASSED)
