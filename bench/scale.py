"""One, ten and a hundred times the embedded graph: time to load, memory, time of a query.

A larger graph has the ontology once, and many copies of everything said of single things, with other names.
"""

from __future__ import annotations

import gzip
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from bench.hostile import memory
from bench.peers import LIMIT, OURS, InProcess, OverHttp, Peer
from bench.workload import Query, look_ups, shapes
from kg.build import build
from kg.settings import Settings
from kg.snapshot import Snapshot, load_store, read_lines, write_snapshot
from kg.terms import BASE
from tests.peers import ours, oxigraph

TIMES = (1, 10, 100)
ASKED = 5  # times each query, taking turns; once where it takes longer than a few seconds
PATIENCE = 60.0
# What is said of terms and of the snapshot itself is there once, whatever the size.
_ONCE = tuple(f"{BASE}graph/{name}" for name in ("ontology", "obo", "metadata", "prefixes", "examples"))
_LOADS = """import sys, time, psutil
from pathlib import Path
from kg.snapshot import load_store, open_snapshot
own, began = psutil.Process(), time.perf_counter()
before = own.memory_full_info().uss
store = load_store(open_snapshot(Path(sys.argv[1])))
print(time.perf_counter() - began, own.memory_full_info().uss - before)
"""
_NAME = re.compile(rb"<[^<>\s]*>|_:\S+")


def larger(snapshot: Snapshot, times: int) -> Iterator[bytes]:
    """The lines of a graph of so many times the quads; the first copy is the snapshot itself."""
    lines = list(read_lines(snapshot))
    once = {f"<{graph}>".encode() for graph in _ONCE}
    declared = {line.split(b" ", 1)[0] for line in lines if line.rsplit(b" ", 2)[1] in once}
    many = [line for line in lines if line.rsplit(b" ", 2)[1] not in once]
    things = {line.split(b" ", 1)[0] for line in many} - declared
    copied = [line for line in many if any(name in things for name in _NAME.findall(line))]
    yield from lines
    copies = round((times - 1) * len(lines) / max(1, len(copied)))
    for copy in range(copies):

        def renamed(name: re.Match[bytes], copy: int = copy) -> bytes:
            found = name[0]
            if found not in things:
                return found
            return b"%s-%d>" % (found[:-1], copy) if found.startswith(b"<") else b"%sx%d" % (found, copy)

        for line in copied:
            # The graph stays: copies are more of the same sources.
            statement, graph, end = line.rsplit(b" ", 2)
            yield _NAME.sub(renamed, statement) + b" " + graph + b" " + end


def as_it_grows() -> dict[str, Any]:
    """By size and peer: seconds to load, MiB, and the median of each query in ms.

    Ours holds the graph in memory; Oxigraph has it on disk, written by `oxigraph load`, which is how its
    server gets a large graph; in process it is in memory.
    """
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        embedded = build(Settings(var=Path(folder)))
        points = look_ups(load_store(embedded), 5)
        for times in TIMES:
            with tempfile.TemporaryDirectory() as space:
                grown = write_snapshot(larger(embedded, times), Path(space), version="2026-01-01")
                found[str(times)] = {
                    "quads": grown.quads,
                    **_measured(grown, Path(space), [*shapes(), *points]),
                }
    return found


def _measured(snapshot: Snapshot, space: Path, queries: list[Query]) -> dict[str, Any]:
    data = space / "data.nq"
    with gzip.open(snapshot.data) as packed, data.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    load: dict[str, float] = {}
    size: dict[str, float] = {}
    with ExitStack() as stack:
        own = psutil.Process()
        # In a process of its own, since memory that this one gave back would not show as new.
        said = subprocess.run(
            [sys.executable, "-c", _LOADS, str(snapshot.folder)], capture_output=True, text=True, check=True
        ).stdout.split()
        load[LIMIT], size[LIMIT] = float(said[0]), float(said[1]) / 2**20
        there: list[Peer] = [InProcess(load_store(snapshot))]
        began = time.perf_counter()
        url = stack.enter_context(ours(snapshot, cache_bytes=0, engine="memory"))
        load[OURS] = time.perf_counter() - began
        size[OURS] = sum(map(memory, own.children())) / 2**20
        there.append(OverHttp(OURS, f"{url}/sparql", patience=PATIENCE))
        began = time.perf_counter()
        running = stack.enter_context(oxigraph("--location", str(space / "oxigraph"), data=data))
        load["Oxigraph"] = time.perf_counter() - began
        there.append(OverHttp("Oxigraph", running.query, patience=PATIENCE))
        times: dict[str, dict[str, list[float]]] = {query.name: {} for query in queries}
        for _ in range(ASKED):
            for query in queries:
                for peer in there:
                    taken = times[query.name].setdefault(peer.name, [])
                    if sum(taken) > 5:
                        continue
                    try:
                        taken.append(peer.ask(query)[0])
                    except TimeoutError:
                        taken.append(PATIENCE)
        size["Oxigraph"] = sum(map(memory, own.children())) / 2**20 - size[OURS]
    return {
        "load, s": {name: round(value, 2) for name, value in load.items()},
        "memory, MiB": {name: round(value) for name, value in size.items()},
        "median, ms": {
            query: {peer: round(statistics.median(each) * 1000, 3) for peer, each in by_peer.items()}
            for query, by_peer in times.items()
        },
    }
