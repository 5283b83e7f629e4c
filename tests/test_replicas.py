"""Servers on copies of one snapshot behind a proxy answer as one, also while they change over in turn."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from kg.snapshot import Snapshot, open_snapshot, publish
from kg.terms import ROOT
from tests.peers import free_port
from tests.test_served import COUNT, EDITIONS, edition, eventually

REPLICAS = 3


@contextmanager
def replica(var: Path) -> Iterator[str]:
    """`kg serve` on what is published in a folder; its address."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "kg", "serve", "--port", str(port)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "KG_VAR": str(var), "KG_WATCH_SECONDS": "0.1"},
    ) as server:  # fmt: skip
        assert server.stdout is not None
        assert str(port) in server.stdout.readline()
        yield f"127.0.0.1:{port}"
        server.terminate()
        server.communicate(timeout=20)
        assert server.returncode == 0


@contextmanager
def proxy(addresses: Sequence[str]) -> Iterator[str]:
    """A proxy that knows nothing of us: each connection goes to the next server in turn. Its address."""
    turns = itertools.cycle(addresses)

    def carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve(client: socket.socket, address: str) -> None:
        host, _, port = address.partition(":")
        with client, socket.create_connection((host, int(port))) as server:
            back = threading.Thread(target=carry, args=(server, client))
            back.start()
            carry(client, server)
            back.join()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(client, next(turns)), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def copied(snapshot: Snapshot, var: Path) -> None:
    """A copy of a snapshot's folder in another place, published there."""
    folder = shutil.copytree(snapshot.folder, var / "snapshots" / snapshot.name)
    publish(open_snapshot(folder), var)


@pytest.fixture
def built(tmp_path: Path) -> list[Snapshot]:
    return [edition(tmp_path / "built", number) for number in (1, 2)]


def test_replicas_agree_and_change_over_one_after_another_without_a_failed_or_mixed_answer(
    built: list[Snapshot], tmp_path: Path
) -> None:
    places = [tmp_path / f"replica-{number}" for number in range(REPLICAS)]
    for place in places:
        copied(built[0], place)
    stop = threading.Event()
    seen: list[tuple[str, str, str]] = []  # version as told, edition in the rows, ETag
    failed: list[str] = []

    with ExitStack() as stack:
        servers = [stack.enter_context(replica(place)) for place in places]
        url = stack.enter_context(proxy(servers))
        # A connection for each request, so that every one may come to another server.
        no_keeping = httpx.Limits(max_keepalive_connections=0)

        def client() -> None:
            with httpx.Client(base_url=url, timeout=20, limits=no_keeping) as session:
                while not stop.is_set():
                    for query in (EDITIONS, COUNT):
                        answer = session.get(
                            "/sparql", params={"query": query}, headers={"Accept": "text/csv"}
                        )
                        if answer.status_code != 200:
                            failed.append(f"{answer.status_code} {answer.text[:200]}")
                            continue
                        rows = answer.text.split()[1].removeprefix("50")
                        seen.append((answer.headers["x-stroma-version"][-1], rows, answer.headers["etag"]))

        clients = [threading.Thread(target=client) for _ in range(3)]
        for each in clients:
            each.start()
        try:
            assert eventually(lambda: len(seen) > 30)
            for place, address in zip(places, servers, strict=True):
                before = len(seen)
                copied(built[1], place)
                assert eventually(
                    lambda at=address: httpx.get(f"http://{at}/health").headers["x-stroma-version"][-1] == "2"
                )
                assert eventually(lambda before=before: len(seen) > before + 30)
            done = len(seen)
            assert eventually(lambda: len(seen) > done + 30)
            # Who named a version still gets it, from every replica.
            named = [
                httpx.get(
                    f"http://{address}/sparql",
                    params={"query": EDITIONS, "version": built[0].name},
                    headers={"Accept": "text/csv"},
                )
                for address in servers
            ]
        finally:
            stop.set()
            for each in clients:
                each.join(20)
        time.sleep(0.1)

    assert failed == []
    assert all(version == rows for version, rows, _ in seen)  # no answer mixes two snapshots
    # The same question of the same snapshot has one ETag, whoever answers.
    tags = Counter((version, tag) for version, _, tag in seen)
    assert {version for version, _ in tags} == {"1", "2"}
    assert len(tags) == 2 * 2
    assert {version for version, _, _ in seen[done + 10 :]} == {"2"}
    assert [answer.text.split()[1] for answer in named] == ["1"] * REPLICAS
    assert len({answer.headers["etag"] for answer in named}) == 1
