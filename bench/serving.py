"""Queries over HTTP against the same queries in process: what the endpoint costs."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from pyoxigraph import QueryResultsFormat, QuerySolutions, Store

from kg.build import build
from kg.canned import Catalogue
from kg.settings import Settings
from kg.snapshot import load_store
from kg.terms import ROOT

Row = tuple[str, float | int | str, str]
CLIENTS = 8
SECONDS = 2.0  # of each load
PORT = 8765
_ACCEPT = "Accept: application/sparql-results+json"

# What a linked-data client asks for one thing.
LOOKUP = "SELECT ?p ?o WHERE { <https://w3id.org/stroma/trial/NCT03691909> ?p ?o }"


def queries_over_http() -> Iterator[Row]:
    """Each canned query and a point look-up, in process and over HTTP, with one and with eight clients.

    In process, a client is a thread that evaluates and serialises (pyoxigraph releases the GIL while it
    evaluates); over HTTP it is a kept-alive connection that reads the whole answer. Clients and server share
    the machine. The text is the same each time, as a canned query's is: the server keeps its judgement of a
    text's tokens, but no result.
    """
    queries = {"point look-up": LOOKUP}
    queries |= {id: question.text for id, question in Catalogue.read(ROOT / "queries").items()}
    with tempfile.TemporaryDirectory() as folder:
        store = load_store(build(Settings(var=Path(folder))))
        server = subprocess.Popen(
            [sys.executable, "-m", "kg", "serve", "--port", str(PORT)],
            env={**os.environ, "KG_VAR": folder},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            server.stdout.readline()  # the address: it is ready
            for name, text in queries.items():
                for clients in (1, CLIENTS):
                    inside, inside_pace = _in_process(store, text, clients)
                    outside, outside_pace = asyncio.run(_over_http(text, clients))
                    label = f"{name}, {clients} client{'s' if clients > 1 else ''}"
                    yield f"{label}: median in process", inside, "ms"
                    yield f"{label}: median over HTTP", outside, "ms"
                    yield f"{label}: median, HTTP over in process", outside / inside, "x"
                    yield f"{label}: throughput, HTTP over in process", outside_pace / inside_pace, "x"
        finally:
            server.terminate()
            server.wait()


def _in_process(store: Store, text: str, clients: int) -> tuple[float, float]:
    def client(_: int) -> list[float]:
        times: list[float] = []
        while time.perf_counter() < until:
            began = time.perf_counter()
            solutions = store.query(text, use_default_graph_as_union=True)
            assert isinstance(solutions, QuerySolutions)
            solutions.serialize(format=QueryResultsFormat.JSON)
            times.append(time.perf_counter() - began)
        return times

    started = time.perf_counter()
    until = started + SECONDS / 2
    with ThreadPoolExecutor(clients) as pool:
        times = [each for client_times in pool.map(client, range(clients)) for each in client_times]
    return statistics.median(times) * 1000, len(times) / (time.perf_counter() - started)


async def _over_http(text: str, clients: int) -> tuple[float, float]:
    times: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(_client(text, started + SECONDS, times) for _ in range(clients)))
    return statistics.median(times) * 1000, len(times) / (time.perf_counter() - started)


async def _client(text: str, until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    head = f"GET /sparql?query={quote(text)} HTTP/1.1\r\nHost: bench\r\n{_ACCEPT}\r\n\r\n"
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(head.encode())
        status = await reader.readuntil(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 200"), status
        if length := re.search(rb"content-length: (\d+)", status, re.I):
            await reader.readexactly(int(length[1]))
        else:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        times.append(time.perf_counter() - began)
    writer.close()
