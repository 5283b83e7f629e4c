"""Large results as they come: the first byte, and the memory of the server while the rest is on its way."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bench.clients import Client, Reply, post, run
from bench.hostile import memory, server_of
from bench.scale import larger
from bench.workload import CSV, JSON, TRIPLES, Query
from kg.build import build
from kg.settings import Settings
from kg.snapshot import Snapshot, write_snapshot
from tests.peers import ours

TIMES = (1, 10)
ASKED = 15  # times each query, in turns
ROWS = (10_000, 100_000, 1_000_000)
ROUNDS = 3
EVERY = 0.02  # seconds between two looks at the memory

# As many rows as are wanted of the same statements, so that no more of the graph is read for more rows.
_SOME = f"{{ SELECT ?s ?p WHERE {{ ?s ?p ?o }} LIMIT {ROWS[0]} }}"
_FORMS = (
    ("CSV", "SELECT ?s ?p ?n", CSV),
    ("JSON", "SELECT ?s ?p ?n", JSON),
    ("CONSTRUCT, N-Triples", "CONSTRUCT { ?s ?p ?n }", TRIPLES),
)
_ALL = "WHERE { ?s ?p ?o }"
LARGE = (
    Query("CSV", f"SELECT ?s ?p ?o {_ALL}", CSV),
    Query("JSON", f"SELECT ?s ?p ?o {_ALL}", JSON),
    Query("CONSTRUCT, N-Triples", f"CONSTRUCT {{ ?s ?p ?o }} {_ALL}", TRIPLES),
    Query("CONSTRUCT, Turtle", f"CONSTRUCT {{ ?s ?p ?o }} {_ALL}", "text/turtle"),
)


def as_they_come() -> dict[str, Any]:
    """By size of the graph: ms to the first byte and to the last of each query, MiB by number of rows.

    Answers are not kept, so each is evaluated. Memory is the most that was seen while an answer came: the
    own (USS) of the process that holds the connections, and of all processes of the server (PSS). The first
    round is not counted.
    """
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        embedded = build(Settings(var=Path(folder)))
        for times in TIMES:
            with tempfile.TemporaryDirectory() as space:
                grown = write_snapshot(larger(embedded, times), Path(space), version="2026-01-01")
                found[str(times)] = _measured(grown, memory_too=times == TIMES[0])
    return found


def _measured(snapshot: Snapshot, *, memory_too: bool) -> dict[str, Any]:
    with ours(snapshot, cache_bytes=0, engine="memory") as address:
        url = f"{address}/sparql"
        first: dict[str, list[float]] = {query.name: [] for query in LARGE}
        last: dict[str, list[float]] = {query.name: [] for query in LARGE}
        sizes: dict[str, int] = {}
        for _ in range(ASKED):
            for query in LARGE:
                reply: Reply = run(partial(_asked, url, query))
                first[query.name].append(reply.first * 1000)
                last[query.name].append(reply.seconds * 1000)
                sizes[query.name] = reply.size
        return {
            "quads": snapshot.quads,
            "bytes": sizes,
            "first byte, ms": {name: _spread(times) for name, times in first.items()},
            "last byte, ms": {name: _spread(times) for name, times in last.items()},
            **({"memory, MiB": _memory(url)} if memory_too else {}),
        }


def _spread(times: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(times), 2), "most": round(max(times), 2)}


async def _asked(url: str, query: Query) -> Reply:
    client = Client(url)
    try:
        await client.ask(post("/sparql", "ASK {}", JSON))  # the connection is there
        reply = await client.ask(post("/sparql", query.text, query.accept))
    finally:
        client.close()
    if reply.status != 200:
        raise OSError(f"{query.name}: status {reply.status}")
    return reply


def _memory(url: str) -> dict[str, dict[str, dict[str, float]]]:
    """By query and number of rows: the most that was seen of each in a round, the median of the rounds."""
    server = server_of(url)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, head, accept in _FORMS:
        seen: dict[int, list[dict[str, float]]] = {rows: [] for rows in ROWS}
        for turn in range(ROUNDS + 1):
            for rows in ROWS:
                each = " ".join(map(str, range(rows // ROWS[0])))
                query = Query(name, f"{head} WHERE {{ {_SOME} VALUES ?n {{ {each} }} }}", accept)
                peak = run(partial(_watched, url, server, query))
                if turn:
                    seen[rows].append(peak)
        found[name] = {
            str(rows): {of: round(statistics.median(peak[of] for peak in peaks), 1) for of in peaks[0]}
            for rows, peaks in seen.items()
        }
    return found


async def _watched(url: str, server: psutil.Process, query: Query) -> dict[str, float]:
    most = {"server": 0.0, "all": 0.0}
    asked = asyncio.ensure_future(_asked(url, query))
    while not asked.done():
        with suppress(psutil.Error):
            for name, now in (("server", server.memory_full_info().uss), ("all", memory(server))):
                most[name] = max(most[name], now / 2**20)
        await asyncio.wait([asked], timeout=EVERY)
    await asked
    return most
