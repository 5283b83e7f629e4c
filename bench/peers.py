"""Our server beside its peers, on the same data, in one run, taking turns.

Peers: the Oxigraph server (in memory), Virtuoso 7, rdflib-endpoint, and pyoxigraph in this process, which is
the limit: no network, no other process. Each is first asked every query alone. What it answers wrongly, with
an error, or too late is named, and is in no mix that it is measured on.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from pyoxigraph import QueryResultsFormat, QueryTriples, RdfFormat, Store

from bench.clients import Client, Load, closed_loop, post, run
from bench.workload import CSV, JSON, LARGE, Query, look_ups, questions, shapes
from kg.build import build
from kg.settings import Settings
from kg.snapshot import Snapshot, load_store
from tests.peers import oxigraph, rdflib_endpoint, virtuoso, whole_site

PATIENCE = 3.0  # seconds for one query when it is asked alone
CLIENTS = (1, 8, 32)
SECONDS = 1.0  # of one slice
SLICES = 5  # of each peer at each number of clients, in turns
MEDIAN_OF = 9  # times each query is asked alone of each peer

OURS, CACHED, LIMIT = "ours", "ours, cache on", "in process"


class Peer(Protocol):
    """Something that answers queries."""

    name: str

    def ask(self, query: Query) -> tuple[float, bytes]:
        """Seconds and bytes of an answer; raises OSError (TimeoutError is one) where there is none."""
        ...

    def load(self, queries: Sequence[Query], clients: int, seconds: float) -> Load:
        """Whole rounds of the queries from so many clients."""
        ...


class InProcess:
    """pyoxigraph in this process: a client is a thread, and evaluation releases the interpreter's lock."""

    name = LIMIT

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, query: Query) -> tuple[float, bytes]:
        """See Peer."""
        began = time.perf_counter()
        result = self._store.query(query.text, use_default_graph_as_union=True)
        if isinstance(result, QueryTriples):
            body = result.serialize(format=RdfFormat.N_TRIPLES)
        else:
            body = result.serialize(
                format=QueryResultsFormat.CSV if query.accept == CSV else QueryResultsFormat.JSON
            )
        assert body is not None
        return time.perf_counter() - began, body

    def load(self, queries: Sequence[Query], clients: int, seconds: float) -> Load:
        """See Peer."""
        load = Load()
        turn = iter(range(10**9))
        began = time.perf_counter()

        def client(_: int) -> None:
            for number in turn:  # one step of a range: no two threads get the same
                if number % len(queries) == 0 and time.perf_counter() - began >= seconds:
                    stop.append(number)
                if stop:
                    return
                load.times.append((number % len(queries), self.ask(queries[number % len(queries)])[0]))

        stop: list[int] = []
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(client, range(clients)))
        load.seconds = time.perf_counter() - began
        return load


@dataclass
class OverHttp:
    """A server. Virtuoso 7.2.5 does not answer a query that is posted directly, so it is sent a form."""

    name: str
    url: str
    form: bool = False
    patience: float = PATIENCE
    restart: Callable[[], None] = lambda: None

    def _post(self, query: Query) -> bytes:
        path = "/" + self.url.split("/", 3)[3]
        return post(path, query.text, query.accept, form=self.form)

    def ask(self, query: Query) -> tuple[float, bytes]:
        """See Peer."""

        async def once() -> tuple[float, bytes]:
            client = Client(self.url)
            try:
                await client.ask(self._post(Query("", "ASK {}")))  # the connection is there
                reply = await client.ask(self._post(query), patience=self.patience, keep=True)
            finally:
                client.close()
            if reply.status != 200:
                raise OSError(
                    f"status {reply.status}: {' '.join(reply.body.decode('utf-8', 'replace').split())[:120]}"
                )
            return reply.seconds, reply.body

        try:
            found: tuple[float, bytes] = run(once)
        except TimeoutError:
            self.restart()
            raise
        return found

    def load(self, queries: Sequence[Query], clients: int, seconds: float) -> Load:
        """See Peer."""
        requests = [self._post(query) for query in queries]
        load: Load = run(lambda: closed_loop(self.url, requests, clients=clients, seconds=seconds))
        return load


@contextmanager
def peers(snapshot: Snapshot, store: Store) -> Iterator[list[Peer]]:
    """All of them, loaded and waiting."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = folder / "data.nq"
        with gzip.open(snapshot.data) as packed, data.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        uncached = stack.enter_context(whole_site(snapshot, cache_bytes=0))
        cached = stack.enter_context(whole_site(snapshot))
        ox = stack.enter_context(oxigraph(data=data)).query
        (folder / "virtuoso").mkdir()
        v = stack.enter_context(virtuoso(folder / "virtuoso", buffers=40_000))
        v.load(Path(shutil.copy(data, v.folder)), "urn:none")
        address, restart = stack.enter_context(rdflib_endpoint(data))
        yield [
            InProcess(store),
            OverHttp(OURS, f"{uncached}/sparql"),
            OverHttp(CACHED, f"{cached}/sparql"),
            OverHttp("Oxigraph", ox),
            OverHttp("Virtuoso", v.sparql, form=True),
            OverHttp("rdflib-endpoint", address, restart=restart),
        ]


def against_peers(tell: Callable[[str], None] = lambda said: None) -> dict[str, Any]:
    """Throughput and times of every peer on every workload, each also as a ratio of ours to it.

    In the result: `refused` by peer and query, why it is left out; `mixes` by name, the queries that all of
    the mix's peers answer; `medians` by query and peer, in ms, one client; `loads`, a row for each mix,
    number of clients and peer: answers a second, p50 and p99 in ms, and each as `ours / peer`, the median of
    slices in which both were measured within seconds of each other.
    """
    with tempfile.TemporaryDirectory() as folder:
        snapshot = build(Settings(var=Path(folder)))
        store = load_store(snapshot)
        queries = [*questions(), *shapes(), LARGE]
        points = look_ups(store, 200)
        with peers(snapshot, store) as there:
            limit = there[0]
            rows = {query.name: _rows(query, limit.ask(query)[1]) for query in queries}
            refused = {}
            for peer in there[1:]:
                why = refused[peer.name] = _refused(peer, queries, rows)
                tell(f"{peer.name} answers {len(queries) - len(why)} of {len(queries)} queries")
            medians = _medians(there, queries, refused)
            mixes = _mixes(there, queries, points, refused)
            loads = []
            for mix, (asked, who) in mixes.items():
                for clients in CLIENTS:
                    rows_of = _taking_turns([each for each in there if each.name in who], asked, clients)
                    loads += [{"mix": mix, "clients": clients, **row} for row in rows_of]
                    for row in rows_of:
                        ratio = row[f"pace, {OURS} / peer"]
                        tell(f"{mix}, {clients}: {row['peer']} {row['pace']}/s, ours {ratio} times that")
        return {
            "quads": snapshot.quads,
            "versions": _versions(),
            "seconds": {"patience": PATIENCE, "slice": SECONDS},
            "rows": rows,
            "refused": refused,
            "mixes": {
                mix: {
                    "queries": [query.name for query in asked] if mix != "look-ups" else len(asked),
                    "peers": who,
                }
                for mix, (asked, who) in mixes.items()
            },
            "medians": medians,
            "loads": loads,
        }


def _versions() -> dict[str, str]:
    found = {name: metadata.version(name) for name in ("pyoxigraph", "oxigraph", "rdflib-endpoint", "rdflib")}
    return {**found, "virtuoso": "7.2.5 (Debian)"}


def _rows(query: Query, body: bytes) -> int:
    """How many rows or triples an answer has: peers write terms differently, so this is what is compared."""
    if query.accept == JSON:
        said = json.loads(body, strict=False)
        return 1 if "boolean" in said else len(said["results"]["bindings"])
    return body.count(b"\n") - (query.accept == CSV)


def _refused(peer: Peer, queries: Sequence[Query], rows: Mapping[str, int]) -> dict[str, str]:
    why = {}
    for query in queries:
        try:
            peer.ask(query)  # the first time it may read from disk, plan, judge
            got = _rows(query, peer.ask(query)[1])
        except TimeoutError:
            why[query.name] = f"not within {PATIENCE:g} s"
        except (OSError, ValueError) as problem:
            why[query.name] = str(problem)
        else:
            if got != rows[query.name]:
                why[query.name] = f"{got} rows, not {rows[query.name]}"
    return why


def _medians(
    there: Sequence[Peer], queries: Sequence[Query], refused: Mapping[str, dict[str, str]]
) -> dict[str, dict[str, float]]:
    """By query and peer, in ms: asked alone, peers taking turns at each query."""
    times: dict[str, dict[str, list[float]]] = {query.name: {} for query in queries}
    for number in range(MEDIAN_OF):
        for query in queries:
            for peer in there:
                taken = times[query.name].setdefault(peer.name, [])
                slow = number >= 3 and sum(taken) > 0.3 * number
                if query.name in refused.get(peer.name, {}) or slow:
                    continue
                try:
                    taken.append(peer.ask(query)[0])
                except OSError:
                    # It was in time before, and is not always.
                    refused[peer.name][query.name] = f"not within {PATIENCE:g} s"
    return {
        query: {
            peer: round(statistics.median(taken) * 1000, 3)
            for peer, taken in by_peer.items()
            if query not in refused.get(peer, {})
        }
        for query, by_peer in times.items()
    }


def _mixes(
    there: Sequence[Peer],
    queries: Sequence[Query],
    points: list[Query],
    refused: Mapping[str, Mapping[str, str]],
) -> dict[str, tuple[list[Query], list[str]]]:
    """By name: the queries, and who is asked them. Shuffled, the same way for all."""
    canned = {query.name for query in questions()}
    everybody = [peer.name for peer in there]
    fast = [name for name in everybody if name not in ("Virtuoso", "rdflib-endpoint")]

    def answered(who: Sequence[str], of_ours: bool) -> list[Query]:
        chosen = [
            query
            for query in queries
            if query is not LARGE
            and (query.name in canned) == of_ours
            and not any(query.name in refused.get(name, {}) for name in who)
        ]
        random.Random(5).shuffle(chosen)
        return chosen

    return {
        "questions": (answered(fast, True), fast),
        "questions that every peer answers": (answered(everybody, True), everybody),
        "other shapes that every peer answers": (answered(everybody, False), everybody),
        "look-ups": (points, everybody),
        "large CSV": ([LARGE], fast),
    }


def _taking_turns(there: Sequence[Peer], queries: Sequence[Query], clients: int) -> list[dict[str, Any]]:
    slices: dict[str, list[Load]] = {peer.name: [] for peer in there}
    for number in range(SLICES):
        for peer in there:
            # A peer whose rounds take long has one slice, which is long enough.
            done = slices[peer.name]
            if number and done[0].seconds > 4 * SECONDS:
                done.append(done[0])
            else:
                done.append(peer.load(queries, clients, SECONDS))
    figures: dict[str, Callable[[Load], float]] = {
        "pace": lambda load: load.pace,
        "p50": lambda load: load.percentile(50) * 1000,
        "p99": lambda load: load.percentile(99) * 1000,
    }
    rows = []
    for peer in there:
        row: dict[str, Any] = {
            "peer": peer.name,
            "wrong": sum(len(load.wrong) for load in slices[peer.name]),
            "answers": sum(len(load.times) for load in slices[peer.name]),
        }
        for name, figure in figures.items():
            row[name] = _short(statistics.median(map(figure, slices[peer.name])))
            for mine in (OURS, CACHED):
                ratios = [figure(a) / figure(b) for a, b in zip(slices[mine], slices[peer.name], strict=True)]
                row[f"{name}, {mine} / peer"] = _short(statistics.median(ratios))
        rows.append(row)
    return rows


def _short(value: float) -> float:
    return float(f"{value:.4g}")
