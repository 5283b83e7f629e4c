"""A new snapshot takes over without a failed or mixed answer; older versions answer while they are kept."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyoxigraph import RdfFormat, parse

from kg.engine import Limits
from kg.engine.formats import BY_KEY
from kg.engine.memory import MemoryEngine
from kg.engine.served import Held, Served
from kg.errors import ParameterError, ServerBusy, VersionGone
from kg.settings import Settings
from kg.snapshot import Snapshot, current, publish, write_snapshot
from kg.terms import ROOT

COUNT = "SELECT (COUNT(*) AS ?n) { ?thing <https://example.org/edition> ?edition }"
EDITIONS = "SELECT DISTINCT ?edition { ?thing <https://example.org/edition> ?edition }"


def edition(var: Path, number: int) -> Snapshot:
    """A snapshot of its own date, in which 500 things all say which edition they are of."""
    e = "https://example.org/"
    lines = (f'<{e}n{n}> <{e}edition> "{number}" <{e}things> .' for n in range(500 + number))
    quads = parse("\n".join(lines), format=RdfFormat.N_QUADS)
    return write_snapshot(quads, var, version=f"2026-11-{number:02}")


async def ask(held: Held, query: str = EDITIONS) -> str:
    with held as engine:
        answer = await engine.query(query, accept=BY_KEY["csv"], limits=Limits())
        return (await answer.read()).decode().split()[1]


@dataclass
class House:
    """A folder with editions in it, and what serves them."""

    var: Path
    editions: list[Snapshot] = field(default_factory=list)

    def add(self) -> Snapshot:
        made = edition(self.var, len(self.editions) + 1)
        self.editions.append(made)
        return made

    def publish(self) -> Snapshot:
        made = self.add()
        publish(made, self.var)
        return made

    def served(self, **settings: Any) -> Served:
        chosen = Settings(var=self.var, workers=1, watch_seconds=0, **settings)
        now = current(self.var)
        assert now is not None
        return Served(now, chosen, find=lambda: current(self.var))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_reload_lets_old_answers_finish_and_gives_new_ones_from_the_new(house: House) -> None:
    house.publish()

    async def claim() -> None:
        async with house.served() as served:
            with served.now as before:
                house.publish()
                assert await served.reload()
                assert await ask(served.now) == "2"
                answer = await before.query(EDITIONS, accept=BY_KEY["csv"], limits=Limits())
                assert await answer.read() == b"edition\r\n1\r\n"
            assert not await served.reload()  # nothing new

    asyncio.run(claim())


def test_an_engine_that_nobody_uses_is_dropped(house: House) -> None:
    house.publish()

    async def claim() -> None:
        async with house.served(old_version_seconds=0.05) as served:
            house.publish()
            await served.reload()
            assert len(served.engines) == 2
            await asyncio.sleep(0.3)
            assert [engine.snapshot for engine in served.engines] == [house.editions[1]]

    asyncio.run(claim())


def test_a_snapshot_that_does_not_load_changes_nothing_and_is_told(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.publish()

    async def claim() -> None:
        async with house.served() as served:
            broken = house.publish()
            data = bytearray(broken.data.read_bytes())
            data[len(data) // 2] ^= 1
            broken.data.write_bytes(data)
            assert not await served.reload()
            assert await ask(served.now) == "1"
            mended = edition(house.var, 2)
            publish(mended, house.var)
            assert await served.reload()
            assert await ask(served.now) == "2"

    asyncio.run(claim())
    (told,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "reload failed" in told.message
    assert "damaged" in told.__dict__["problem"]


def test_an_older_version_answers_while_it_is_kept(house: House) -> None:
    first, second = house.publish(), house.publish()

    async def claim() -> None:
        async with house.served() as served:
            for name in (first.version, first.name, first.hash, first.hash[:12]):
                assert await ask(await served.version(name)) == "1"
            assert await served.version(second.version) is served.now
            assert len(served.engines) == 2
            publish(second, house.var, keep=1)
            await served._stop_unused()
            with pytest.raises(VersionGone, match=second.name) as gone:
                await served.version(first.version)
            assert gone.value.kept == (second.name,)
            with pytest.raises(ParameterError, match="no version"):
                await served.version("yesterday")

    asyncio.run(claim())


def test_an_older_version_is_loaded_and_asked_at_a_low_priority(house: House) -> None:
    # Who asks for one and another in turn has each of them loaded, beside those who ask the current one.
    first, _ = house.publish(), house.publish()

    async def claim() -> None:
        async with house.served() as served:
            assert await ask(await served.version(first.name)) == "1"
            current, old = (
                [os.getpriority(os.PRIO_PROCESS, pid) for pid in (engine.keeper_pid, *engine.pids)]
                for engine in served.engines
                if isinstance(engine, MemoryEngine)
            )
            assert max(current) < min(old)

    asyncio.run(claim())


def test_only_what_was_published_is_an_older_version(house: House) -> None:
    hidden = house.add()
    house.publish()

    async def claim() -> None:
        async with house.served() as served:
            with pytest.raises(VersionGone):
                await served.version(hidden.name)

    asyncio.run(claim())


def test_no_more_older_versions_are_loaded_than_the_setting_says(house: House) -> None:
    first, second, _ = house.publish(), house.publish(), house.publish()

    async def claim() -> None:
        async with house.served() as served:
            with (
                await served.version(first.name),
                pytest.raises(ServerBusy, match="1 older version is being asked"),
            ):
                await served.version(second.name)
            # Nobody uses the first any more, so it makes room.
            assert await ask(await served.version(second.name)) == "2"
            assert len(served.engines) == 2

    asyncio.run(claim())


# ------------------------------------------------------------------------- over HTTP, a real server


@pytest.fixture
def server(house: House) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`kg serve` on the first edition, watching for the next."""
    house.publish()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "kg", "serve", "--port", str(port)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "KG_VAR": str(house.var), "KG_WATCH_SECONDS": "0.2", "KG_WORKERS": "2"},
    )  # fmt: skip
    assert process.stdout is not None
    assert str(port) in process.stdout.readline()
    yield f"http://127.0.0.1:{port}", process
    process.terminate()
    process.communicate(timeout=20)


def test_a_reload_under_load_fails_and_mixes_no_answer(
    house: House, server: tuple[str, subprocess.Popen[str]]
) -> None:
    url, process = server
    stop = threading.Event()
    seen: list[list[tuple[str, str]]] = [[], [], []]

    def client(mine: list[tuple[str, str]]) -> None:
        with httpx.Client(base_url=url, timeout=20) as session:
            while not stop.is_set():
                for query in (EDITIONS, COUNT):
                    answer = session.get("/sparql", params={"query": query}, headers={"Accept": "text/csv"})
                    assert answer.status_code == 200
                    number = answer.text.split()[1].removeprefix("50")
                    mine.append((answer.headers["x-stroma-version"][-1], number))
                page = session.get("/")
                assert page.headers["x-stroma-version"] in page.text
                health = session.get("/health")
                assert health.headers["x-stroma-snapshot"].endswith(health.json()["hash"][:12])

    clients = [threading.Thread(target=client, args=(mine,)) for mine in seen]
    for each in clients:
        each.start()
    try:
        for number in (2, 3):
            house.publish()
            if number == 3:
                process.send_signal(signal.SIGHUP)
            assert eventually(lambda n=number: all(mine and mine[-1][0] == str(n) for mine in seen))
    finally:
        stop.set()
        for each in clients:
            each.join(20)
    for mine in seen:
        assert all(version == number for version, number in mine)  # each answer is of the version it names
        assert [version for version, _ in mine] == sorted(version for version, _ in mine)
        assert {"1", "2", "3"} == {version for version, _ in mine}


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
