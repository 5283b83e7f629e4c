"""Hours of ordinary use in minutes: does anything grow that should not?

Ordinary clients without pause, one that means harm, and a new snapshot published every minute, so that
engines come and go. What is watched: memory, file descriptors, processes and threads of the server.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.clients import run
from bench.hostile import Ordinary, Steady, Target, attack, memory, server_of, steady, trapped, tree
from kg.build import build
from kg.settings import Settings
from kg.snapshot import Snapshot, load_store, publish, read_lines, write_snapshot
from kg.terms import BASE, ROOT
from tests.peers import free_port

MINUTES = float(os.environ.get("MINUTES", "15"))
EVERY = 5.0  # seconds between two looks
RELOAD = 60.0  # seconds between two snapshots
_FIGURES = ("memory, MiB", "server's own memory, MiB", "descriptors", "processes", "threads")


def soak() -> dict[str, Any]:
    """Use a server for MINUTES; every figure when looked at, and its growth.

    Growth is the median of the last fifth of the looks over that of the second fifth: the first fifth fills
    the cache. `ordinary` says how many answers there were, and what was wrong with which.
    """
    with tempfile.TemporaryDirectory() as folder:
        first = build(Settings(var=Path(folder)))
        second = _another(first, Path(folder))
        # The two differ in a date that no ordinary query asks for, so the answers are the same.
        ordinary = Ordinary.of(load_store(first))
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, "-m", "kg", "serve", "--port", str(port)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
            # A cache that is full long before the first fifth is over.
            env={**os.environ, "KG_VAR": folder, "KG_WATCH_SECONDS": "1", "KG_CACHE_BYTES": str(2**21)},
        )  # fmt: skip
        try:
            assert server.stdout is not None
            server.stdout.readline()  # its address: it is ready
            found = run(
                lambda: _used(f"http://127.0.0.1:{port}/sparql", ordinary, [second, first], Path(folder))
            )
        finally:
            server.terminate()
            server.communicate(timeout=60)
        return {"minutes": MINUTES, "quads": first.quads, "exit": server.returncode, **found}


def _another(snapshot: Snapshot, var: Path) -> Snapshot:
    """The same snapshot but for one line."""
    name = f"<{BASE}soak>"
    line = f'{name} <http://purl.org/dc/terms/title> "another" {name} .\n'.encode()
    return write_snapshot([*read_lines(snapshot), line], var, version=snapshot.version)


async def _used(url: str, ordinary: Ordinary, snapshots: list[Snapshot], var: Path) -> dict[str, Any]:
    server = server_of(url)
    until = time.monotonic() + MINUTES * 60
    over = lambda: time.monotonic() > until  # noqa: E731
    attacks: Counter[str] = Counter()
    with trapped() as (trap, came):

        async def harm() -> None:
            chance = random.Random(7)
            while not over():
                attacks.update(
                    await attack(Target(url, trap, 1.0), seed=chance.randrange(2**32), count=5, clients=1)
                )

        async def reload() -> None:
            while not over():
                await asyncio.sleep(RELOAD)
                await asyncio.to_thread(publish, snapshots[0], var)
                snapshots.reverse()

        work = [asyncio.ensure_future(each) for each in (harm(), reload())]
        used = asyncio.ensure_future(steady(url, ordinary, over, 3))
        looks = []
        while not over():
            await asyncio.sleep(EVERY)
            looks.append(
                {
                    "seconds": round(MINUTES * 60 - until + time.monotonic()),
                    **await asyncio.to_thread(_look, server),
                }
            )
        done: Steady = await used
        for task in work:
            task.cancel()
        visitors = came()
    return {
        "looks": looks,
        "growth": {name: _growth([look[name] for look in looks]) for name in _FIGURES},
        "ordinary": {"answers": len(done.load.times), "wrong": dict(done.wrong)},
        "attacks": attacks.total(),
        "reloads": int(MINUTES * 60 // RELOAD),
        "came to the trap": visitors,
    }


def _look(server: psutil.Process) -> dict[str, float]:
    processes = tree(server)
    descriptors = threads = 0
    for each in processes:
        with suppress(psutil.Error):
            descriptors += each.num_fds()
            threads += each.num_threads()
    return {
        "memory, MiB": round(memory(server) / 2**20, 1),
        "server's own memory, MiB": round(server.memory_full_info().uss / 2**20, 1),
        "descriptors": descriptors,
        "processes": len(processes),
        "threads": threads,
    }


def _growth(values: list[float]) -> float:
    fifth = max(1, len(values) // 5)
    return round(statistics.median(values[-fifth:]) / statistics.median(values[fifth : 2 * fifth]), 3)
