"""Small queries over HTTP against the same queries in process: what the endpoint costs."""

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
from pathlib import Path
from urllib.parse import quote

from pyoxigraph import QueryResultsFormat

from kg.build import build
from kg.settings import Settings
from kg.snapshot import load_store
from kg.terms import ROOT

Row = tuple[str, float | int | str, str]
CLIENTS = 8
REQUESTS = 4_000
PORT = 8765
_ACCEPT = "Accept: application/sparql-results+json"

# A point look-up: what a linked-data client asks for one thing.
LOOKUP = "SELECT ?p ?o WHERE { <https://w3id.org/stroma/trial/NCT03691909> ?p ?o }"
QUERIES = {
    "point look-up": LOOKUP,
    "response by arm and time": (ROOT / "queries/efficacy/response-by-arm-and-time.rq").read_text("utf-8"),
}


def small_query_over_http() -> Iterator[Row]:
    """Median milliseconds of small queries: in process, and over HTTP with one and with eight clients.

    The clients speak HTTP/1.1 over kept-alive sockets and read the whole answer; they share the machine with
    the server. Each request carries its own comment, so that no cache of the same text could help.
    """
    with tempfile.TemporaryDirectory() as folder:
        snapshot = build(Settings(var=Path(folder)))
        store = load_store(snapshot)
        inside = {}
        for name, text in QUERIES.items():
            times = []
            for _ in range(400):
                started = time.perf_counter()
                store.query(text, use_default_graph_as_union=True).serialize(format=QueryResultsFormat.JSON)  # type: ignore[union-attr]
                times.append(time.perf_counter() - started)
            inside[name] = statistics.median(times) * 1000
            yield f"{name}, in process, median", inside[name], "ms"

        server = subprocess.Popen(
            [sys.executable, "-m", "kg", "serve", "--port", str(PORT)],
            env={**os.environ, "KG_VAR": folder},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            server.stdout.readline()  # the address: it is ready
            for name, text in QUERIES.items():
                for clients in (1, CLIENTS):
                    times, seconds = asyncio.run(_load(text, clients, REQUESTS // (1 if clients > 1 else 4)))
                    median = statistics.median(times) * 1000
                    label = f"{name}, HTTP, {clients} client{'s' if clients > 1 else ''}"
                    yield f"{label}, median", median, "ms"
                    yield f"{label}, p99", statistics.quantiles(times, n=100)[98] * 1000, "ms"
                    yield f"{label}, throughput", len(times) / seconds, "requests/s"
                    yield f"{label}, median over in process", median / inside[name], "x"
                    # One evaluation at a time per core is the engine's own limit for many clients.
                    waiting = max(1.0, clients / 2)
                    yield (
                        f"{label}, median over in process at two cores",
                        median / (inside[name] * waiting),
                        "x",
                    )
        finally:
            server.terminate()
            server.wait()


async def _load(text: str, clients: int, requests: int) -> tuple[list[float], float]:
    times: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(_client(text, n, requests // clients, times) for n in range(clients)))
    return times, time.perf_counter() - started


async def _client(text: str, number: int, requests: int, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    for request in range(requests):
        query = quote(f"{text}\n# {number}.{request}")
        head = f"GET /sparql?query={query} HTTP/1.1\r\nHost: bench\r\n{_ACCEPT}\r\n\r\n"
        started = time.perf_counter()
        writer.write(head.encode())
        status = await reader.readuntil(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 200"), status
        if length := re.search(rb"content-length: (\d+)", status, re.I):
            await reader.readexactly(int(length[1]))
        else:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        times.append(time.perf_counter() - started)
    writer.close()
