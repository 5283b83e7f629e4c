"""One bad query hurts nobody else: deadlines, memory, stack, network, clients that leave, dead processes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from kg.engine import Figures, Limits, query_hash
from kg.engine.body import Spool
from kg.engine.crashes import Crashes
from kg.engine.formats import BY_KEY
from kg.engine.lanes import Lane
from kg.engine.memory import DiskEngine, MemoryEngine
from kg.errors import (
    QueryFailed,
    QueryOutOfMemory,
    QueryRefused,
    QueryTimeout,
    ServerBusy,
    SnapshotError,
    UsageError,
)
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.web.app import run

# 2,000 things in every combination of three: 8,000,000,000 rows.
ENDLESS = "SELECT * { ?a <https://example.org/number> ?x . ?b ?p ?y . ?c ?q ?z }"
SORTED = ENDLESS + " ORDER BY ?z ?y ?x"
# Four million pairs: a second or so before the only row.
SLOW = "SELECT (COUNT(*) AS ?n) { ?a <https://example.org/number> ?x . ?b <https://example.org/number> ?y }"
SLOW_ANSWER = b"n\r\n4000000\r\n"
LARGE = "SELECT * { ?a <https://example.org/number> ?x . VALUES ?i { " + "7 " * 200 + "} }"
LARGE_ROWS = 400_000
SMALL = "SELECT ?x { <https://example.org/n7> ?p ?x }"
ANSWER = b"x\r\n7\r\n"


async def ask(engine: MemoryEngine, query: str, **limits: Any) -> bytes:
    answer = await engine.query(query, accept=BY_KEY["csv"], limits=Limits(**limits))
    return await answer.read()


def with_engine(
    snapshot: Snapshot,
    claim: Callable[[MemoryEngine], Awaitable[None]],
    kind: type[MemoryEngine] = MemoryEngine,
    **sizes: Any,
) -> None:
    """Run a claim on a started engine; afterwards none of its processes is left."""

    async def run() -> set[int]:
        async with kind(snapshot, **sizes) as engine:
            await claim(engine)
            return {*engine.pids, engine.keeper_pid or 0}

    pids = asyncio.run(run())
    assert eventually(lambda: not any(alive(pid) for pid in pids))


def alive(pid: int) -> bool:
    try:
        # A zombie is dead; the init of a container may be slow to bury it.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def processor_time(pid: int) -> int:
    """Clock ticks a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().split()[13:15]
    return int(user) + int(system)


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


KINDS = pytest.mark.parametrize("kind", [MemoryEngine, DiskEngine], ids=["memory", "disk"])


@KINDS
@pytest.mark.parametrize("query", [ENDLESS, SORTED], ids=["while streaming", "before the first row"])
def test_a_query_is_stopped_at_its_deadline(tiny: Snapshot, query: str, kind: type[MemoryEngine]) -> None:
    async def claim(engine: MemoryEngine) -> None:
        started = time.monotonic()
        with pytest.raises(QueryTimeout, match=r"0\.4 seconds"):
            await ask(engine, query, seconds=0.4)
        assert time.monotonic() - started < 1.5
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, kind, workers=1)


@KINDS
def test_a_greedy_query_dies_alone(tiny: Snapshot, kind: type[MemoryEngine]) -> None:
    async def claim(engine: MemoryEngine) -> None:
        greedy = asyncio.create_task(ask(engine, SORTED, memory_bytes=64 * 1024 * 1024))
        while not greedy.done():
            assert await ask(engine, SMALL) == ANSWER
        with pytest.raises(QueryOutOfMemory):
            await greedy
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, kind, workers=2)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { FILTER(" + "(" * 20_000 + "1" + ")" * 20_000 + ") }",
        "SELECT * " + "{" * 20_000 + "}" * 20_000,
        "SELECT * { FILTER(" + "!" * 45_000 + "1) }",
    ],
    ids=["parentheses", "braces", "negations"],
)
def test_a_stack_bomb_hurts_no_other_query(tiny: Snapshot, query: str) -> None:
    async def claim(engine: MemoryEngine) -> None:
        # Past the guard, which would stop the first two: the worker has to stand it, or to die alone.
        with suppress(QueryFailed, QueryTimeout):
            await ask(engine, query, query_nesting=100_000, query_tokens=100_000, seconds=1)
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, workers=1)


def test_a_killed_worker_fails_one_query_and_is_replaced(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        (pid,) = engine.pids
        doomed = asyncio.create_task(ask(engine, SORTED))
        await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(QueryFailed, match="Ask again"):
            await doomed
        assert await ask(engine, SMALL) == ANSWER
        assert engine.pids != (pid,)

    with_engine(tiny, claim, workers=1)


def test_an_idle_worker_that_dies_is_replaced(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        before = engine.pids
        os.kill(before[0], signal.SIGKILL)
        await asyncio.sleep(0.3)
        assert engine.status.workers == 2
        assert set(before) - set(engine.pids) == {before[0]}
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, workers=2)


def test_a_query_that_ended_its_worker_twice_is_refused_for_a_while(tiny: Snapshot, tmp_path: Path) -> None:
    crashes = Crashes(tmp_path / "crashes.jsonl")

    async def claim(engine: MemoryEngine) -> None:
        for number in (signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT):
            doomed = asyncio.create_task(ask(engine, SLOW))
            await asyncio.sleep(0.15)
            os.kill(engine.pids[0], number)
            with pytest.raises(QueryFailed):
                await doomed
            assert await ask(engine, SMALL) == ANSWER
        # A kill from outside does not count against the query; the other two do.
        with pytest.raises(QueryRefused, match="10 minutes"):
            await ask(engine, SLOW)
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, workers=1, crashes=crashes)
    lines = [json.loads(line) for line in (tmp_path / "crashes.jsonl").read_text().splitlines()]
    assert [line["signal"] for line in lines] == ["SIGSEGV", "SIGKILL", "SIGABRT"]
    assert {line["query"] for line in lines} == {query_hash(SLOW)}
    assert {line["snapshot"] for line in lines} == {tiny.name}
    assert all(line["time"].startswith("20") and line["cause"] for line in lines)


def test_the_crash_journal_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "var" / "crashes.jsonl"
    crashes = Crashes(path)
    for number in range(2000):
        crashes.record(f"query {number}", -6, "words " * 60, "2026-11-22-0123456789ab")
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 1.1 * 1024 * 1024
    assert query_hash("query 1999") in path.read_text()


def test_a_worker_is_replaced_after_so_many_queries(tiny: Snapshot) -> None:
    figures = Figures()

    async def claim(engine: MemoryEngine) -> None:
        pids: set[int] = set()
        for _ in range(7):
            pids.update(engine.pids)
            assert await ask(engine, SMALL) == ANSWER
        assert len(pids) >= 3
        assert figures.replaced == {"recycled": 3}
        assert figures.answers == {"complete": 7}

    with_engine(tiny, claim, workers=1, worker_queries=2, figures=figures)


def test_when_the_keeper_dies_a_query_that_gave_nothing_yet_is_asked_again(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        running = [asyncio.create_task(ask(engine, SLOW)) for _ in range(2)]
        await asyncio.sleep(0.15)
        os.kill(engine.keeper_pid or 0, signal.SIGKILL)
        assert await ask(engine, SMALL) == ANSWER
        assert await asyncio.gather(*running) == [SLOW_ANSWER] * 2

    with_engine(tiny, claim, workers=2)


def test_when_the_keeper_dies_an_answer_in_progress_ends_with_an_error(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        answer = await engine.query(ENDLESS, accept=BY_KEY["csv"], limits=Limits())
        os.kill(engine.keeper_pid or 0, signal.SIGKILL)
        with pytest.raises(QueryFailed, match="ask again"):
            await answer.read()
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, workers=1)


@KINDS
def test_whatever_is_killed_at_any_moment_one_request_fails_at_most(
    tiny: Snapshot, kind: type[MemoryEngine]
) -> None:
    """Workers and keepers killed at random beside a steady load; the seed is told when it fails."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    failed: list[str] = []
    wrong: list[bytes] = []
    kills = {"worker": 0, "keeper": 0}

    async def claim(engine: MemoryEngine) -> None:
        began = time.monotonic()

        def goes_on() -> bool:
            seconds = time.monotonic() - began
            return seconds < 4 or (kills["worker"] <= 3 and seconds < 40)

        async def client(number: int) -> None:
            while goes_on():
                big = number == 0
                try:
                    answer = await ask(engine, LARGE if big else SMALL, seconds=15)
                except (QueryFailed, ServerBusy) as problem:
                    failed.append(str(problem))
                else:
                    if (answer.count(b"\n") != LARGE_ROWS + 1) if big else (answer != ANSWER):
                        wrong.append(answer[:100])

        async def killer() -> None:
            while goes_on():
                await asyncio.sleep(chance.uniform(0.0, 0.25))
                if chance.random() < 0.15:
                    victim, role = engine.keeper_pid, "keeper"
                else:
                    victim, role = chance.choice(engine.pids or (None,)), "worker"
                if victim:
                    with suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                        kills[role] += 1

        await asyncio.gather(killer(), *(client(number) for number in range(4)))
        await asyncio.sleep(0.5)  # the last kill may have hit a worker that still waits for a query
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, kind, workers=2)
    assert not wrong, f"seed {seed}"
    # A killed worker costs its own query; a killed keeper costs the answers that had begun.
    assert kills["worker"] > 3
    assert len(failed) <= kills["worker"] + 2 * kills["keeper"], f"seed {seed}: {failed}"


def test_a_full_queue_says_when_to_come_back(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        tasks = [asyncio.create_task(ask(engine, SORTED, seconds=0.5)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(ServerBusy) as refused:
            await ask(engine, SMALL)
        assert refused.value.retry_after > 0
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, workers=1, queue=1, long_seconds=10)  # none makes room for the next


def test_long_queries_keep_no_short_one_waiting(tiny: Snapshot) -> None:
    figures = Figures()

    async def claim(engine: MemoryEngine) -> None:
        # More than there are places for, of both kinds: with rows at once, and with none until the end.
        long = [asyncio.create_task(ask(engine, query, seconds=30)) for query in [ENDLESS, SORTED] * 3]
        for _ in range(20):
            assert await ask(engine, SMALL) == ANSWER
            await asyncio.sleep(0.02)
        assert not any(task.done() for task in long)
        assert engine.status.long == 2
        for task in long:
            task.cancel()
        await asyncio.gather(*long, return_exceptions=True)
        assert (engine.status.long, engine.status.waiting) == (0, 0)
        assert await ask(engine, SMALL) == ANSWER

    with_engine(tiny, claim, workers=1, long_queries=2, long_seconds=0.05, figures=figures)
    assert figures.replaced["crashed"] == 0


def held(engine: MemoryEngine) -> int:
    return sum(each.lane is Lane.HELD for each in engine._workers.values())


def test_a_long_query_without_a_place_waits_for_one_and_is_answered(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        answers = await asyncio.gather(*(ask(engine, f"{SLOW} # {number}") for number in range(4)))
        assert answers == [SLOW_ANSWER] * 4
        assert (engine.status.long, engine.status.waiting) == (0, 0)

    with_engine(tiny, claim, workers=2, long_queries=1, long_seconds=0.05)


def test_an_answer_that_has_begun_stands_still_until_there_is_a_place(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        first = await engine.query(ENDLESS, accept=BY_KEY["csv"], limits=Limits())
        while not engine.status.long:
            await asyncio.sleep(0.01)
        # Nobody reads it yet, so it does not end in time.
        second = await engine.query(LARGE, accept=BY_KEY["csv"], limits=Limits())
        while not held(engine):
            await asyncio.sleep(0.01)
        third = await engine.query(f"{LARGE} # third", accept=BY_KEY["csv"], limits=Limits())
        while held(engine) < 2:
            await asyncio.sleep(0.01)
        # Two stand still, which is as many as may wait; a further one is told to come back.
        with pytest.raises(ServerBusy, match=r"take long|are waiting"):
            await (await engine.query(f"{LARGE} # fourth", accept=BY_KEY["csv"], limits=Limits())).read()
        await third.aclose()
        await first.aclose()
        assert (await second.read()).count(b"\n") == LARGE_ROWS + 1

    with_engine(tiny, claim, workers=1, queue=2, long_queries=1, long_seconds=0.1)


def test_a_long_query_has_a_low_priority(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        (pid,) = engine.pids
        answer = await engine.query(ENDLESS, accept=BY_KEY["csv"], limits=Limits())
        while not engine.status.long:
            await asyncio.sleep(0.01)
        threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
        own = os.getpriority(os.PRIO_PROCESS, 0)
        nice = {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}
        assert nice == {own, min(own + 5, 19)}
        await answer.aclose()

    with_engine(tiny, claim, workers=1, long_seconds=0.01)


def test_giving_up_an_answer_frees_its_worker(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        answer = await engine.query(ENDLESS, accept=BY_KEY["csv"], limits=Limits())
        await anext(aiter(answer))
        await answer.aclose()
        waiting = asyncio.create_task(ask(engine, SORTED))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait((waiting,))
        assert await asyncio.wait_for(ask(engine, SMALL), 2) == ANSWER

    with_engine(tiny, claim, workers=1)


def test_a_slow_reader_stops_the_worker_not_the_memory(tiny: Snapshot) -> None:
    async def claim(engine: MemoryEngine) -> None:
        (pid,) = engine.pids
        answer = await engine.query(ENDLESS, accept=BY_KEY["csv"], limits=Limits())
        await asyncio.sleep(0.3)
        # Nobody reads, so the worker comes to do nothing: it waits for room.
        for _ in range(30):
            used = processor_time(pid)
            await asyncio.sleep(0.3)
            if processor_time(pid) == used:
                break
        else:
            pytest.fail("the worker goes on")
        await answer.aclose()

    with_engine(tiny, claim, workers=1)


def test_a_slow_reader_does_not_hold_a_worker(tiny: Snapshot) -> None:
    spool = Spool(256 * 1024 * 1024)

    async def claim(engine: MemoryEngine) -> None:
        slow = [await engine.query(LARGE, accept=BY_KEY["csv"], limits=Limits(seconds=20)) for _ in range(3)]
        while engine.status.busy:
            await asyncio.sleep(0.02)
        assert spool.used > 10_000_000
        assert await ask(engine, SMALL) == ANSWER
        bodies = [await answer.read() for answer in slow]
        assert {body.count(b"\n") for body in bodies} == {LARGE_ROWS + 1}
        assert spool.used == 0

    with_engine(tiny, claim, workers=1, spool=spool)


def test_a_damaged_snapshot_is_told_at_the_start(tiny: Snapshot, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "damaged"))
    data = bytearray((folder / "data.nq.gz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "data.nq.gz").write_bytes(data)

    async def start() -> None:
        async with MemoryEngine(replace(tiny, folder=folder)):
            pass

    with pytest.raises(SnapshotError, match=r"data\.nq\.gz.*kg build"):
        asyncio.run(start())


def test_a_worker_cannot_reach_the_network() -> None:
    """The second lock: a process as locked as a worker, asked a SERVICE that no guard has seen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        program = (
            "from kg.engine.sandbox import deny_network\n"
            "from pyoxigraph import Store\n"
            "assert deny_network() == 'seccomp'\n"
            f"query = 'SELECT * {{ SERVICE <http://127.0.0.1:{port}/> {{ ?s ?p ?o }} }}'\n"
            "try:\n    list(Store().query(query))\n"
            "except OSError as problem:\n    print(problem)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=10, check=True
        )
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert "not permitted" in done.stdout


# ------------------------------------------------------------------------- over HTTP, a real server


@pytest.fixture(scope="module")
def url(serve: Any) -> str:
    address: str = serve(workers=1, queue=1, query_seconds=1.2)
    return f"{address}/sparql"


def ready(url: str) -> bool:
    health = httpx.get(url.replace("/sparql", "/health")).json()
    return bool(health["ready"]) and health["workers"]["busy"] == 0


def test_a_late_query_gets_503_naming_the_limit(url: str) -> None:
    response = httpx.get(url, params={"query": SORTED})
    assert response.status_code == 503
    assert response.json()["type"].endswith("query-timeout")
    assert "1.2 seconds" in response.json()["detail"]


def test_an_answer_cut_short_is_never_taken_for_whole(url: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        httpx.get(url, params={"query": ENDLESS})
    assert eventually(lambda: ready(url))


@pytest.mark.parametrize("query", [ENDLESS, SORTED], ids=["while streaming", "while evaluating"])
def test_a_client_that_leaves_frees_its_worker_within_a_second(url: str, query: str) -> None:
    assert eventually(lambda: ready(url))
    with (
        suppress(httpx.ReadTimeout),
        httpx.stream("GET", url, params={"query": query}, timeout=0.15) as response,
    ):
        next(response.iter_bytes())  # and leave
    started = time.monotonic()
    assert httpx.get(url, params={"query": SMALL}, headers={"Accept": "text/csv"}).content == ANSWER
    assert time.monotonic() - started < 1


def test_a_full_server_says_when_to_come_back(url: str) -> None:
    async def load() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=10) as client:
            # Four queries: the same one would be evaluated once, for all who ask.
            queries = [f"{SORTED} # {number}" for number in range(4)]
            return await asyncio.gather(*(client.get(url, params={"query": each}) for each in queries))

    assert eventually(lambda: ready(url))
    responses = asyncio.run(load())
    busy = [each for each in responses if each.json()["type"].endswith("server-busy")]
    assert {each.status_code for each in responses} == {503}
    assert len(busy) >= 2
    assert int(busy[0].headers["retry-after"]) > 0


def test_a_taken_port_says_how_to_choose_another(tiny: Snapshot) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"PORT={port + 1}"):
            run(tiny, Settings(port=port))
