"""Hostile requests beside ordinary ones: what becomes of the ordinary ones, and of the server.

`python -m bench.hostile` with an address is the attacker: a process of its own, so that its work is not in
the times of the ordinary clients. The same seed gives the same requests in the same order.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import psutil
from pyoxigraph import QueryResultsFormat, QueryTriples, Store

from bench.clients import Client, Load, post, run
from bench.workload import CSV, look_ups, questions
from kg.build import build
from kg.settings import Settings
from kg.snapshot import load_store
from kg.terms import ROOT
from tests.peers import whole_site

REQUESTS = 2000
ATTACKERS = 12  # at once
ORDINARY = 4  # clients at once, each with a pause after each answer
PAUSE = 0.03
PATIENCE = 3.0  # seconds, then an attacker leaves; a test has less
SEED = 20_261_122

_RDFS = "PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> "
_HEAD = b"Host: localhost\r\n"


# ------------------------------------------------------------------------------------------ the attacks


@dataclass(frozen=True)
class Target:
    """Whom to attack: the address of its `/sparql`, the trap's port, seconds until an attacker leaves."""

    url: str
    trap: int
    patience: float


Attack = Callable[[random.Random, Target], Awaitable[str]]


async def _asked(to: Target, query: str, *, patience: float | None = None) -> str:
    """Post a query; the status of the answer, or how it ended otherwise."""
    client = Client(to.url)
    try:
        reply = await client.ask(post("/sparql", query, "*/*"), patience=patience or to.patience)
    except TimeoutError:
        return "left"
    except OSError:
        return "closed"
    finally:
        client.close()
    return str(reply.status)


async def _said(to: Target, sent: bytes) -> str:
    """Send bytes and read what comes; the first status, or how it ended otherwise."""
    parts = urlsplit(to.url)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError:
        return "not let in"
    try:
        async with asyncio.timeout(to.patience):
            writer.write(sent)
            with suppress(ConnectionError):
                await writer.drain()
            got = await reader.read(4096)
            return got[9:12].decode("latin-1") if got.startswith(b"HTTP/1.1 ") else "closed"
    except TimeoutError:
        return "left"
    except OSError:
        return "closed"
    finally:
        writer.transport.abort()


async def _nesting(chance: random.Random, to: Target) -> str:
    depth = int(10 ** chance.uniform(2.3, 5))
    query = chance.choice(
        [
            "SELECT * { FILTER(" + "(" * depth + "1" + ")" * depth + ") }",
            "SELECT * " + "{" * depth + "}" * depth,
            "SELECT * { FILTER(" + "!" * depth + "1) }",
            "SELECT * { ?s " + "^(" * depth + "<p>" + ")" * depth + " ?o }",
            "SELECT * { FILTER(" + "1=1||" * depth + "1=1) }",
            "SELECT * { " + "?s ?p [ " * depth + "] " * depth + "}",
            "SELECT * { " + "OPTIONAL { ?s ?p ?o " * depth + "} " * depth + "}",
            "SELECT * { " + "{ SELECT * " * depth + "{}" + "} " * depth + "}",
        ]
    )
    return await _asked(to, query)


async def _giant_text(chance: random.Random, to: Target) -> str:
    size = int(10 ** chance.uniform(4, 6.5))
    query = chance.choice(
        [
            f'SELECT * {{ FILTER("{"a" * size}" = "b") }}',
            f'SELECT * {{ FILTER("{"a" * size}) }}',
            "SELECT * { FILTER('''" + "''a" * (size // 3) + "''') }",
            'SELECT * { FILTER("' + "\\u0041" * (size // 6) + "\" = 'b') }",
            f"SELECT * {{ ?s ?p <{'a' * size}> }}",
            f"SELECT * {{ ?{'a' * size} ?p ?o }}",
            "SELECT * { VALUES ?s { " + "<a> " * (size // 4) + "} }",
            "#" * size + "\nASK {}",
            "SELECT * { ?s ?p a" + ".a" * (size // 2) + " }",
            "PREFIX a: <b> " * (size // 14) + "ASK {}",
        ]
    )
    return await _asked(to, query)


async def _giant_form(chance: random.Random, to: Target) -> str:
    size = int(10 ** chance.uniform(4, 6))
    body = chance.choice([b"query=" + b"%41" * (size // 3), b"query=" + b"%" * size, b"a=b&" * (size // 4)])
    return await _said(
        to,
        b"POST /sparql HTTP/1.1\r\n" + _HEAD + b"Content-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body,
    )  # fmt: skip


_DOUBLED = " ".join(f"BIND(CONCAT(?x{n}, ?x{n}) AS ?x{n + 1})" for n in range(40))
_ENDLESS = {
    "cross product": [
        "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
        "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f }",
        "SELECT DISTINCT ?c ?f { ?a ?b ?c . ?d ?e ?f }",
        "CONSTRUCT { ?a ?e ?i } { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
        "SELECT * { ?a ?b ?c . ?d ?e ?f FILTER(?c = ?f && ?a != ?d) }",
    ],
    "path explosion": [
        "SELECT * { ?a (!<x>|^!<x>)* ?b }",
        "SELECT (COUNT(*) AS ?n) { ?a (!<x>|^!<x>)+ ?b }",
        "SELECT * { ?a (!<x>/!<x>/!<x>/!<x>)* ?b }",
        _RDFS + "SELECT * { ?a (rdfs:subClassOf|^rdfs:subClassOf)* ?b . ?b (!<x>)* ?c }",
        "ASK { ?a ((!<x>)*/(^!<x>)*)* <nowhere> }",
    ],
    "expression": [
        'SELECT * { ?s ?p ?o FILTER(REGEX(STR(?o), "(a+)+(b+)+(c+)+$")) }',
        'SELECT * { ?s ?p ?o FILTER(REGEX(STR(?o), "(.{1,1000}){1,1000}")) }',
        'SELECT * { ?s ?p ?o FILTER(REGEX(STR(?o), "(' + "|".join(["[a-z]+[0-9]*"] * 400) + ')")) }',
        'SELECT (REPLACE(STR(?o), "(.)", "$1$1$1$1$1$1$1$1") AS ?x) { ?s ?p ?o }',
        "SELECT (SHA512(CONCAT(STR(?o), STR(?c))) AS ?x) { ?s ?p ?o . ?a ?b ?c }",
    ],
    "memory bomb": [
        "SELECT * { ?a ?b ?c . ?d ?e ?f } ORDER BY ?c ?f",
        "SELECT DISTINCT * { ?a ?b ?c . ?d ?e ?f }",
        "SELECT (GROUP_CONCAT(CONCAT(STR(?c), STR(?f))) AS ?x) { ?a ?b ?c . ?d ?e ?f }",
        f'SELECT (STRLEN(?x40) AS ?n) {{ BIND("0123456789abcdef" AS ?x0) {_DOUBLED} }}',
        "SELECT ?a ?d (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f } GROUP BY ?a ?d",
    ],
}


def _endless(queries: Sequence[str]) -> Attack:
    """One of a few queries, made another one each time, so that no answer is shared."""

    async def send(chance: random.Random, to: Target) -> str:
        number = chance.randrange(10**9)
        return await _asked(to, f"{chance.choice(queries)} # {number}")

    return send


async def _malformed(chance: random.Random, to: Target) -> str:
    ask = b"GET /sparql?query=ASK%7B%7D HTTP/1.1\r\n" + _HEAD
    sent = chance.choice(
        [
            chance.randbytes(int(10 ** chance.uniform(0, 4))),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(200),
            ask + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ask + b"Content-Length: -1\r\n\r\n",
            ask + b"X: " + b"a" * 400_000 + b"\r\n\r\n",
            ask + b"".join(b"X-%d: a\r\n" % n for n in range(2000)) + b"\r\n",
            b"GET /sparql?query=%FF%FE HTTP/1.1\r\n" + _HEAD + b"\r\n",
            b"GET /sparql?query=" + b"%" * 5000 + b" HTTP/1.1\r\n" + _HEAD + b"\r\n",
            b"GET /" + b"../" * 2000 + b" HTTP/1.1\r\n" + _HEAD + b"\r\n",
            b"DELETE /sparql HTTP/1.1\r\n" + _HEAD + b"\r\n",
            b"POST /sparql HTTP/1.1\r\n" + _HEAD + b"Content-Type: application/sparql-update\r\n"
            b"Content-Length: 9\r\n\r\nCLEAR ALL",
            b"POST /sparql HTTP/1.1\r\n" + _HEAD + b"Content-Type: application/sparql-query\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
            b"GET /dump HTTP/1.1\r\n" + _HEAD + b"Range: bytes=" + b"0-1," * 5000 + b"\r\n\r\n",
            ask.replace(b"1.1", b"9.9") + b"\r\n",
            (ask + b"\r\n") * 50,
        ]
    )
    return await _said(to, sent)


async def _slow(chance: random.Random, to: Target) -> str:
    """A client that sends, or reads, a little at a time; it leaves when it has had its time."""
    parts = urlsplit(to.url)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError:
        return "not let in"
    query = quote(f"SELECT * {{ ?s ?p ?o }} # {chance.randrange(10**9)}")
    whole = f"GET /sparql?query={query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/csv\r\n\r\n".encode()
    reads = chance.random() < 0.5
    try:
        async with asyncio.timeout(to.patience):
            if reads:
                writer.write(whole)
                while await reader.read(1024):
                    await asyncio.sleep(0.05)
            else:
                for at in range(len(whole)):
                    writer.write(whole[at : at + 1])
                    await asyncio.sleep(0.05)
        return "closed"
    except TimeoutError:
        return "left"
    except OSError:
        return "closed"
    finally:
        writer.transport.abort()


async def _leaves(chance: random.Random, to: Target) -> str:
    """Asks much and leaves at once, some of them with a reset in the middle of a packet."""
    query = f"SELECT * {{ ?a ?b ?c . ?d ?e ?f }} ORDER BY ?c # {chance.randrange(10**9)}"
    if chance.random() < 0.5:
        return await _asked(to, query, patience=chance.uniform(0.001, 0.3))
    parts = urlsplit(to.url)
    whole = post("/sparql", query, "*/*")
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        opened.sendall(whole[: chance.randrange(len(whole))] if chance.random() < 0.5 else whole)
        await asyncio.sleep(chance.uniform(0, 0.05))
    return "left"


async def _reaches_out(chance: random.Random, to: Target) -> str:
    """Wants the server to ask another one: the trap, which counts who comes."""
    there = f"<http://127.0.0.1:{to.trap}/{chance.randrange(10**9)}>"
    query = chance.choice(
        [
            f"SELECT * {{ SERVICE {there} {{ ?s ?p ?o }} }}",
            f"SELECT * {{ serVICE SILENT{there} {{ ?s ?p ?o }} }}",
            f"SELECT * {{ \\u0053ERVICE {there} {{ ?s ?p ?o }} }}",
            f"SELECT * {{ VALUES ?g {{ {there} }} SERVICE ?g {{ ?s ?p ?o }} }}",
            f"SELECT * FROM {there} {{ ?s ?p ?o }}",
            f"SELECT * FROM NAMED {there} {{ GRAPH ?g {{ ?s ?p ?o }} }}",
            f"LOAD {there}",
        ]
    )
    return await _asked(to, query)


async def _elsewhere(chance: random.Random, to: Target) -> str:
    """The other resources, asked what they are not made for."""
    text = quote("".join(chance.choices("a\"'<>{}\\%\u4e2d\u202e\x00 ", k=chance.randrange(1, 400))))
    path = chance.choice(
        [f"/search?q={text}", f"/queries/{text}", f"/trial/{text}", f"/graphs?graph={text}", f"/{text}",
         f"/queries/arms-of-a-trial?trial={text}", f"/language?to={text}&back={text}", f"/dump/{text}",
         f"/sparql?query=ASK%7B%7D&default-graph-uri={text}", f"/sparql.{text}?query=ASK%7B%7D",
         f"/why?subject={text}&predicate={text}&object={text}", "/metrics", "/"]
    )  # fmt: skip
    return await _said(to, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


ATTACKS: dict[str, Attack] = {
    "nesting": _nesting,
    "giant text": _giant_text,
    "giant form": _giant_form,
    **{kind: _endless(queries) for kind, queries in _ENDLESS.items()},
    "malformed HTTP": _malformed,
    "slow client": _slow,
    "disconnect": _leaves,
    "request elsewhere": _reaches_out,
    "other resources": _elsewhere,
}


async def attack(to: Target, *, seed: int, count: int, clients: int) -> Counter[str]:
    """Send so many attacks, so many at once; counts by kind and outcome ("nesting: 400")."""
    chance = random.Random(seed)
    # Each has a seed of its own, so it is the same whoever comes first.
    waiting = iter([(chance.choice(list(ATTACKS)), chance.randrange(2**32)) for _ in range(count)])
    ended: Counter[str] = Counter()

    async def attacker() -> None:
        for kind, own in waiting:
            try:
                how = await ATTACKS[kind](random.Random(own), to)
            except OSError:
                how = "closed"
            ended[f"{kind}: {how}"] += 1

    await asyncio.gather(*(attacker() for _ in range(clients)))
    return ended


# ---------------------------------------------------------------------------------- the ordinary clients


@dataclass
class Ordinary:
    """Ordinary queries and the lines of their answers, as the store gives them in process."""

    requests: list[bytes]
    answers: list[list[bytes]]
    names: list[str]

    @classmethod
    def of(cls, store: Store) -> Ordinary:
        """The published questions, and as many look-ups."""
        found = cls([], [], [])
        asked = questions()
        for query in asked + look_ups(store, len(asked)):
            result = store.query(query.text, use_default_graph_as_union=True)
            if not isinstance(result, QueryTriples):
                body = result.serialize(format=QueryResultsFormat.CSV) or b""
                found.requests.append(post("/sparql", query.text, CSV))
                found.answers.append(sorted(body.split(b"\r\n")))
                found.names.append(query.name)
        return found


@dataclass
class Steady:
    """A steady load of ordinary queries: their times, and what was wrong with which."""

    load: Load = field(default_factory=Load)
    wrong: Counter[str] = field(default_factory=Counter)


async def steady(url: str, ordinary: Ordinary, until: Callable[[], bool], seed: int) -> Steady:
    """Ordinary clients at work, in an order by chance, until told to stop."""
    found = Steady()

    async def client(number: int) -> None:
        mine = Client(url)
        chance = random.Random(f"{seed} {number}")
        while not until():
            which = chance.randrange(len(ordinary.requests))
            try:
                reply = await mine.ask(ordinary.requests[which], patience=60, keep=True)
            except (TimeoutError, OSError) as problem:
                found.wrong[f"{ordinary.names[which]}: {type(problem).__name__} {problem}"] += 1
            else:
                found.load.times.append((which, reply.seconds))
                if reply.status != 200:
                    said = reply.body.decode("utf-8", "replace")[:200]
                    found.wrong[f"{ordinary.names[which]}: {reply.status} {said}"] += 1
                elif sorted(reply.body.split(b"\r\n")) != ordinary.answers[which]:
                    found.wrong[f"{ordinary.names[which]}: other rows"] += 1
            await asyncio.sleep(PAUSE)
        mine.close()

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(ORDINARY)))
    found.load.seconds = time.perf_counter() - began
    return found


# ---------------------------------------------------------------------------------------- the server seen


def server_of(url: str) -> psutil.Process:
    """The process that this one started and that listens at an address."""
    port = urlsplit(url).port
    for child in psutil.Process().children(recursive=True):
        for each in child.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                return child
    raise LookupError(f"no child of this process listens at {url}")


def tree(server: psutil.Process) -> list[psutil.Process]:
    """A server and its processes."""
    return [server, *server.children(recursive=True)]


def memory(server: psutil.Process) -> int:
    """Bytes of a server and its processes; what several share counts once (PSS)."""
    total = 0
    for process in tree(server):
        with suppress(OSError, ValueError, IndexError):
            rolled = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            total += int(rolled.split("\nPss:")[1].split()[0]) * 1024
    return total


def outbound(server: psutil.Process, port: int) -> list[str]:
    """Connections of a server that are not those of its clients."""
    found = []
    for process in tree(server):
        with suppress(psutil.Error):
            for each in process.net_connections("inet"):
                if each.laddr and each.laddr.port != port:
                    found.append(f"{each.laddr} -> {each.raddr} {each.status}")
    return found


@contextmanager
def trapped() -> Iterator[tuple[int, Callable[[], int]]]:
    """A listener that nobody should come to: its port, and how many came."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        listener.setblocking(False)

        def came() -> int:
            count = 0
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    count += 1
            return count

        yield listener.getsockname()[1], came


# --------------------------------------------------------------------------------------------- the siege


async def siege(
    url: str,
    ordinary: Ordinary,
    *,
    count: int,
    quiet: float,
    seed: int = SEED,
    clients: int = ATTACKERS,
    patience: float = PATIENCE,
) -> dict[str, Any]:
    """Ordinary clients for `quiet` seconds alone, then beside so many attacks; what happened.

    Of the server: whether it is the same process and has nothing left to do, workers replaced by why, most
    memory and memory afterwards as a ratio to that before. Of the ordinary clients: how many asked, what was
    wrong, p50 and p99 in ms and as ratios under attack to quiet. Of connections: outbound ones seen, and how
    many came to the trap.
    """
    server = server_of(url)
    before = await _settled(url, server)
    until = time.monotonic() + quiet
    alone = await steady(url, ordinary, lambda: time.monotonic() > until, seed)
    before = max(before, await _settled(url, server))
    seen: set[str] = set()
    most = 0
    with trapped() as (trap, came):
        attacker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.hostile", url, str(trap), str(patience), str(seed), str(count),
            str(clients), cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip
        ended = asyncio.ensure_future(attacker.communicate())
        began = time.monotonic()
        beside = asyncio.ensure_future(steady(url, ordinary, ended.done, seed + 1))
        while not beside.done():
            seen.update(await asyncio.to_thread(outbound, server, urlsplit(url).port or 0))
            most = max(most, await asyncio.to_thread(memory, server))
            await asyncio.sleep(0.5)
        seconds = time.monotonic() - began
        attacked = await beside
        visitors = came()
    said, _ = await ended
    after = await _settled(url, server)
    for _ in range(20):
        if after <= before * 1.05:
            break
        await asyncio.sleep(0.5)
        after = memory(server)
    return {
        "attacks": count,
        "seed": seed,
        "seconds": round(seconds, 1),
        "ended": json.loads(said) if attacker.returncode == 0 else {},
        "server": {
            "alive": server.is_running() and server.status() != psutil.STATUS_ZOMBIE,
            "replaced": _replaced(url),
            "memory before, MiB": before >> 20,
            "memory at most": round(most / before, 2),
            "memory after": round(after / before, 3),
        },
        "ordinary": {
            "quiet": len(alone.load.times),
            "under attack": len(attacked.load.times),
            "wrong": dict(alone.wrong + attacked.wrong),
            **_percentiles(alone.load, attacked.load),
        },
        "outbound": sorted(seen),
        "came to the trap": visitors,
    }


def _percentiles(alone: Load, attacked: Load) -> dict[str, float]:
    told: dict[str, float] = {}
    for percent in (50, 99):
        quiet, loud = alone.percentile(percent) * 1000, attacked.percentile(percent) * 1000
        told |= {f"p{percent} quiet, ms": round(quiet, 2), f"p{percent} under attack, ms": round(loud, 2)}
        told[f"p{percent} under attack / quiet"] = round(loud / quiet, 2)
    return told


async def _settled(url: str, server: psutil.Process) -> int:
    """Wait until the server has nothing to do, at most for as long as one query may run; its memory."""
    async with httpx.AsyncClient() as client:
        for _ in range(700):
            workers = (await client.get(f"{url.removesuffix('/sparql')}/health")).json()["workers"]
            if not workers["busy"] and not workers["waiting"]:
                break
            await asyncio.sleep(0.1)
        else:
            raise TimeoutError(f"the server does not come to rest: {workers}")
    await asyncio.sleep(0.5)
    return memory(server)


def _replaced(url: str) -> dict[str, int]:
    lines = httpx.get(f"{url.removesuffix('/sparql')}/metrics").text.splitlines()
    found = [line.split() for line in lines if line.startswith("stroma_workers_replaced_total{")]
    return {name.split('"')[1]: int(float(value)) for name, value in found}


def hostile() -> dict[str, Any]:
    """The siege of a server as it is started by `kg serve`, but for the cache, which would answer for it."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = build(Settings(var=Path(folder)))
        ordinary = Ordinary.of(load_store(snapshot))
        with whole_site(snapshot, cache_bytes=0) as url:
            found: dict[str, Any] = run(lambda: siege(f"{url}/sparql", ordinary, count=REQUESTS, quiet=30))
    return {"quads": snapshot.quads, **found}


def main(arguments: Sequence[str]) -> int:
    """Attack, and print how it ended."""
    os.nice(19)  # attackers have machines of their own
    url, trap, patience, seed, count, clients = arguments
    to = Target(url, int(trap), float(patience))
    ended = run(lambda: attack(to, seed=int(seed), count=int(count), clients=int(clients)))
    print(json.dumps(dict(sorted(ended.items()))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
