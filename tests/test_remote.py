"""A snapshot on another server: how it gets there, when it may be asked, what it answers, how it fails."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from kg.canned import Catalogue
from kg.dump import Dump, DumpFile
from kg.engine import Engine, Limits, guard
from kg.engine.dialects import VIRTUOSO
from kg.engine.formats import BY_KEY, Kind
from kg.engine.memory import MemoryEngine
from kg.engine.publishing import GraphStore, Mark, VirtuosoLoader, publish_to
from kg.engine.remote import RemoteEngine
from kg.engine.served import Served
from kg.errors import (
    EndpointError,
    QueryError,
    QueryFailed,
    QueryTimeout,
    QueryUnsupported,
    ServerBusy,
    SnapshotError,
    UsageError,
)
from kg.settings import Settings
from kg.snapshot import Snapshot, current, publish, write_snapshot
from kg.terms import ROOT
from tests.peers import (
    NO_VIRTUOSO,
    Oxigraph,
    Virtuoso,
    free_port,
    has_virtuoso,
    ours,
    oxigraph,
    virtuoso,
    whole_site,
)

G = "https://w3id.org/stroma/graph/"
FIRST = f'<http://a> <http://p> "1" <{G}one> .\n<http://b> <http://p> "2" <{G}two> .\n'
SECOND = f'<http://a> <http://p> "1" <{G}one> .\n<http://b> <http://p> "3" <{G}three> .\n'
COUNT = "SELECT ?g (COUNT(*) AS ?n) WHERE { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g ORDER BY ?g"


def snapshot(text: str, var: Path) -> Snapshot:
    lines = [line.encode() + b"\n" for line in text.strip().split("\n")]
    return write_snapshot(lines, var, version="2026-11-22")


def answers(engine: Engine, *queries: str, accept: str = "csv", seconds: float = 60) -> list[bytes]:
    async def asked() -> list[bytes]:
        async with engine:
            out = []
            for text in queries:
                answer = await engine.query(text, accept=BY_KEY[accept], limits=Limits(seconds=seconds))
                out.append(await answer.read())
            return out

    return asyncio.run(asked())


@pytest.fixture(scope="module")
def box() -> Iterator[Oxigraph]:
    with oxigraph() as running:
        yield running


def put(box: Oxigraph, what: Snapshot) -> int:
    with GraphStore(box.store) as target:
        return publish_to(what, box.query, target)


def graphs(box: Oxigraph) -> set[str]:
    rows = httpx.get(box.query, params={"query": COUNT}, headers={"Accept": "text/csv"}).text.split()[1:]
    return {row.split(",")[0] for row in rows}


# ------------------------------------------------------------------------------------------- publishing


def test_only_what_changed_is_sent_and_what_is_not_ours_stays(box: Oxigraph, tmp_path: Path) -> None:
    httpx.put(
        box.store,
        params={"graph": "https://example.org/theirs"},
        content='<http://x> <http://y> "z" .',
        headers={"Content-Type": "text/turtle"},
    ).raise_for_status()
    first, second = snapshot(FIRST, tmp_path), snapshot(SECOND, tmp_path)
    assert put(box, first) == 2
    assert put(box, first) == 0
    assert put(box, second) == 1
    assert graphs(box) == {"https://example.org/theirs", f"{G}one", f"{G}three", f"{G}published"}


class Cut(GraphStore):
    """A Graph Store that is lost after the first graph."""

    sent = 0

    def replace(self, dump: Dump, file: DumpFile) -> None:
        if self.sent:
            raise EndpointError("the cable was cut")
        self.sent += 1
        super().replace(dump, file)


def test_a_publication_that_was_cut_is_not_asked_and_goes_on(tmp_path: Path) -> None:
    with oxigraph() as box:
        _cut_and_go_on(box, tmp_path)


def _cut_and_go_on(box: Oxigraph, tmp_path: Path) -> None:
    three = snapshot(FIRST + f'<http://c> <http://p> "9" <{G}zwei> .', tmp_path)
    with Cut(box.store) as target, pytest.raises(EndpointError, match="cable"):
        publish_to(three, box.query, target)
    with pytest.raises(SnapshotError, match=r"it is half loaded: .*kg publish --to URL` again"):
        answers(RemoteEngine(three, box.query), "ASK {}")
    assert put(box, three) == 2
    assert answers(RemoteEngine(three, box.query), 'ASK { ?s ?p "9" }') == [b"true"]


def test_a_server_whose_disk_is_full_says_so_is_not_asked_and_takes_the_rest_later(tmp_path: Path) -> None:
    large = (f'<http://t{n}> <http://p{n}> "number {n * 7919}" <{G}two> .' for n in range(20_000))
    whole = snapshot("\n".join([*FIRST.strip().split("\n"), *large]), tmp_path)
    where = ("--location", str(tmp_path / "oxigraph"))
    with oxigraph(*where, file_bytes=400_000) as full:
        with pytest.raises(
            EndpointError, match=r"PUT of <.*two> gave status 500.*disk space.* publish again"
        ):
            put(full, whole)
        with pytest.raises(SnapshotError, match="it is half loaded"):
            answers(RemoteEngine(whole, full.query), "ASK {}")
        assert graphs(full) == {f"{G}one", f"{G}published"}
    with oxigraph(*where) as roomy:
        assert put(roomy, whole) == 1
        count = f"SELECT (COUNT(*) AS ?n) FROM <{G}two> {{ ?s ?p ?o }}"
        assert answers(RemoteEngine(whole, roomy.query), count) == [b"n\r\n20001\r\n"]


class Unheard(GraphStore):
    """A Graph Store that takes a graph, and is lost before that can be written down."""

    marks = 0

    def mark(self, mark: Mark) -> None:
        self.marks += 1
        if self.marks > 1:
            raise EndpointError("the cable was cut")
        super().mark(mark)


def test_a_graph_that_came_there_unheard_is_sent_again_when_the_old_one_is_wanted(
    box: Oxigraph, tmp_path: Path
) -> None:
    old, new = snapshot(FIRST, tmp_path), snapshot(FIRST.replace('"2"', '"3"'), tmp_path)
    put(box, old)
    with Unheard(box.store) as target, pytest.raises(EndpointError, match="cable"):
        publish_to(new, box.query, target)
    assert put(box, old) == 1
    query = "SELECT ?o { ?s <http://p> ?o } ORDER BY ?o"
    assert answers(RemoteEngine(old, box.query), query) == [b"o\r\n1\r\n2\r\n"]


def test_a_graph_that_somebody_else_changed_is_not_asked_and_is_sent_again(
    box: Oxigraph, tmp_path: Path
) -> None:
    made = snapshot(FIRST, tmp_path)
    put(box, made)
    more = "<http://b> <http://p> <http://theirs> ."
    headers = {"Content-Type": "application/n-triples"}
    httpx.post(box.store, params={"graph": f"{G}two"}, content=more, headers=headers).raise_for_status()
    with pytest.raises(SnapshotError, match=r"has 2 statements in <.*two>, and had 1 .* publish to it again"):
        answers(RemoteEngine(made, box.query), "ASK {}")
    assert put(box, made) == 1
    assert answers(RemoteEngine(made, box.query), "ASK { ?s ?p <http://theirs> }") == [b"false"]


PAGE = b"<html><form>Log in</form></html>"


@pytest.mark.parametrize("which", ["the mark", "a graph"])
def test_a_store_that_answers_with_a_page_has_taken_nothing(
    empty_box: Oxigraph, tmp_path: Path, which: str
) -> None:
    made = snapshot(FIRST, tmp_path)

    def login(request: Between, graph: str) -> bool:
        if (graph == f"{G}published") == (which == "the mark"):
            send(request, 200, "text/html; charset=utf-8", PAGE)
            return True
        return False

    with (
        store_before(empty_box, login) as store,
        GraphStore(store) as target,
        pytest.raises(EndpointError, match=r"answered with a page .*text/html\).*publish again"),
    ):
        publish_to(made, empty_box.query, target)
    with pytest.raises(SnapshotError, match="holds no snapshot" if which == "the mark" else "half loaded"):
        answers(RemoteEngine(made, empty_box.query), "ASK {}")
    assert put(empty_box, made) == 2


@pytest.mark.parametrize(
    ("which", "says"),
    [
        ("published", "what is written does not come there, though it was taken"),
        ("two", "has 0 of the 1 statements of <.*two>, though it took them all"),
    ],
)
def test_a_store_that_says_yes_and_keeps_nothing_is_found_out(
    empty_box: Oxigraph, tmp_path: Path, which: str, says: str
) -> None:
    made = snapshot(FIRST, tmp_path)

    def swallow(request: Between, graph: str) -> bool:
        if graph == G + which:
            send(request, 204, "text/plain", b"")
        return graph == G + which

    with (
        store_before(empty_box, swallow) as store,
        GraphStore(store) as target,
        pytest.raises(EndpointError, match=says),
    ):
        publish_to(made, empty_box.query, target)
    assert put(empty_box, made) == (2 if which == "published" else 1)


def test_a_page_in_place_of_the_endpoint_is_told_to_who_publishes_and_at_the_start(
    empty_box: Oxigraph, tmp_path: Path
) -> None:
    made = snapshot(FIRST, tmp_path)

    class Welcome(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            send(self, 200, "text/html", PAGE)

        def log_message(self, *words: object) -> None:
            return

    running = ThreadingHTTPServer(("127.0.0.1", 0), Welcome)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{running.server_port}/sparql"
    try:
        with GraphStore(empty_box.store) as target, pytest.raises(EndpointError, match="not with a SPARQL"):
            publish_to(made, url, target)
        with pytest.raises(
            SnapshotError, match=r"200 and text/html, not with a SPARQL result; give the address"
        ):
            answers(RemoteEngine(made, url), "ASK {}")
    finally:
        running.shutdown()
        running.server_close()
    assert graphs(empty_box) == set()


def test_an_oxigraph_without_the_union_is_refused_at_the_start(tmp_path: Path) -> None:
    made = snapshot(FIRST, tmp_path)
    with oxigraph(union=False) as box:
        put(box, made)
        with pytest.raises(SnapshotError, match="Start it with --union-default-graph"):
            answers(RemoteEngine(made, box.query), "ASK {}")


def test_a_virtuoso_that_sorts_too_little_is_refused_at_the_start(tmp_path: Path) -> None:
    if not has_virtuoso():
        pytest.skip(NO_VIRTUOSO)
    made = snapshot(FIRST, tmp_path)
    folder = tmp_path / "virtuoso"
    folder.mkdir()
    with virtuoso(folder, sorted_rows=10_000) as running:
        load(running, made)
        with pytest.raises(SnapshotError, match=r"SR353.*Set MaxSortedTopRows = 1000000"):
            answers(RemoteEngine(made, running.sparql), "ASK {}")


def test_of_two_publications_at_once_one_stops(box: Oxigraph, tmp_path: Path) -> None:
    first, second = snapshot(FIRST, tmp_path), snapshot(SECOND, tmp_path)
    put(box, first)

    class Overtaken(GraphStore):
        """Another machine begins while a graph is sent."""

        def replace(self, dump: Dump, file: DumpFile) -> None:
            super().replace(dump, file)
            with pytest.raises(UsageError, match="another publication to it runs on this machine"):
                put(box, first)
            super().mark(Mark("", {}, "theirs"))

    with Overtaken(box.store) as target, pytest.raises(EndpointError, match="has begun, so this one stopped"):
        publish_to(second, box.query, target)
    with pytest.raises(SnapshotError, match="half loaded"):
        answers(RemoteEngine(second, box.query), "ASK {}")
    assert put(box, second) == 2
    assert answers(RemoteEngine(second, box.query), "ASK {}") == [b"true"]


def test_another_version_is_not_asked(box: Oxigraph, tmp_path: Path) -> None:
    first, second = snapshot(FIRST, tmp_path), snapshot(SECOND, tmp_path)
    put(box, second)
    with pytest.raises(
        SnapshotError, match=f"it holds the snapshot {second.hash[:12]}, not {first.hash[:12]}"
    ):
        answers(RemoteEngine(first, box.query), "ASK {}")


def test_a_server_without_our_snapshot_is_not_asked(tmp_path: Path) -> None:
    with (
        oxigraph() as empty,
        pytest.raises(SnapshotError, match="holds no snapshot of ours; publish to it with"),
    ):
        answers(RemoteEngine(snapshot(FIRST, tmp_path), empty.query), "ASK {}")


def test_when_another_snapshot_is_published_under_it_the_engine_stops_answering(
    box: Oxigraph, tmp_path: Path
) -> None:
    first, second = snapshot(FIRST, tmp_path), snapshot(SECOND, tmp_path)
    put(box, first)

    async def asked() -> None:
        engine = RemoteEngine(first, box.query, look_seconds=0.05)
        async with engine:
            await asyncio.to_thread(put, box, second)
            while engine.status.ready:
                await asyncio.sleep(0.02)
            with pytest.raises(ServerBusy, match=r"it holds the snapshot|it is half loaded"):
                await engine.query("ASK {}", accept=BY_KEY["csv"], limits=Limits())
            await asyncio.to_thread(put, box, first)
            while not engine.status.ready:
                await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(asked(), 20))


def test_no_row_of_another_snapshot_is_given_under_this_ones_name(box: Oxigraph, tmp_path: Path) -> None:
    """Though the engine does not look meanwhile: neither whole, nor written anew, nor as a stream."""
    first, second = snapshot(FIRST, tmp_path), snapshot(SECOND, tmp_path)
    put(box, first)
    wide = "SELECT ?o { ?s <http://p> ?o . VALUES ?a { " + "1 " * 300 + "} VALUES ?b { " + "2 " * 300 + "} }"

    async def asked() -> None:
        for text in ("SELECT ?o { ?s <http://p> ?o }", wide):
            for format in ("csv", "html"):
                async with RemoteEngine(first, box.query, look_seconds=60, keep_bytes=10**9) as engine:
                    assert engine.status.ready
                    await asyncio.to_thread(put, box, second)
                    try:
                        with pytest.raises(ServerBusy, match=r"was replaced while .*; ask again"):
                            await engine.query(text, accept=BY_KEY[format], limits=Limits())
                        assert not engine.status.ready
                    finally:
                        await asyncio.to_thread(put, box, first)

    asyncio.run(asyncio.wait_for(asked(), 60))


def test_an_answer_that_was_under_way_when_the_graph_was_replaced_breaks_off(
    box: Oxigraph, tmp_path: Path
) -> None:
    first, second = snapshot(FIRST, tmp_path), snapshot(SECOND, tmp_path)
    put(box, first)
    wide = (
        "SELECT ?o { ?s <http://p> ?o . VALUES ?a { " + "1 " * 1000 + "} VALUES ?b { " + "2 " * 1000 + "} }"
    )

    async def asked() -> None:
        async with RemoteEngine(first, box.query, look_seconds=60, keep_bytes=10**9) as engine:
            answer = await engine.query(wide, accept=BY_KEY["csv"], limits=Limits())
            assert answer.whole is None
            got = await anext(answer.chunks)
            await asyncio.to_thread(put, box, second)
            # The same snapshot as before, again: what was read between is still of nobody knows which.
            await asyncio.to_thread(put, box, first)
            with pytest.raises(ServerBusy, match="it holds this one again"):
                got += b"".join([chunk async for chunk in answer.chunks])
            assert answer.complete is not None
            assert isinstance(answer.complete.exception(), ServerBusy)
            again = await engine.query("ASK {}", accept=BY_KEY["csv"], limits=Limits())
            assert await again.read() == b"true"
            await answer.aclose()

    asyncio.run(asyncio.wait_for(asked(), 60))


def test_no_answer_of_another_snapshot_is_kept(box: Oxigraph, tmp_path: Path) -> None:
    first, second = snapshot(FIRST, tmp_path), snapshot(SECOND, tmp_path)
    put(box, first)
    query = {"query": "SELECT ?o { ?s <http://p> ?o } ORDER BY ?o", "format": "csv"}
    with ours(first, engine=box.query) as address:
        put(box, second)
        told = httpx.get(f"{address}/sparql", params=query)
        assert (told.status_code, told.headers.get("etag")) == (503, None)
        put(box, first)
        for _ in range(200):
            told = httpx.get(f"{address}/sparql", params=query)
            if told.status_code == 200:
                break
            time.sleep(0.05)
        assert told.text.split() == ["o", "1", "2"]


def test_a_built_then_published_snapshot_takes_over_by_itself(
    box: Oxigraph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = snapshot(FIRST, tmp_path)
    publish(first, tmp_path)
    put(box, first)
    settings = Settings(var=tmp_path, engine=box.query, watch_seconds=0.05)

    async def value(served: Served) -> bytes:
        with served.now as engine:
            query = "SELECT ?o { <http://b> <http://p> ?o }"
            answer = await engine.query(query, accept=BY_KEY["csv"], limits=Limits())
            return await answer.read()

    async def asked() -> None:
        async with Served(first, settings, find=lambda: current(tmp_path)) as served:
            assert await value(served) == b"o\r\n2\r\n"
            second = snapshot(SECOND, tmp_path)
            publish(second, tmp_path)
            while not any("reload failed" in record.message for record in caplog.records):
                await asyncio.sleep(0.02)
            assert await value(served) == b"o\r\n2\r\n"  # the first still stands there
            await asyncio.to_thread(put, box, second)
            while served.now.engine.snapshot != second:
                await asyncio.sleep(0.02)
            assert await value(served) == b"o\r\n3\r\n"

    asyncio.run(asyncio.wait_for(asked(), 20))
    assert len([record for record in caplog.records if "reload failed" in record.message]) == 1


def kg_publish(var: Path, *options: str, **who: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kg", "publish", *options],
        env=os.environ | {"KG_VAR": str(var)} | who,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def empty_box() -> Iterator[Oxigraph]:
    with oxigraph() as running:
        yield running


def test_kg_publish_puts_it_there_and_shows_no_password(empty_box: Oxigraph, tmp_path: Path) -> None:
    box = empty_box
    made = snapshot(FIRST, tmp_path)
    publish(made, tmp_path)
    me = box.query.replace("//", "//me:s3cret@")
    done = kg_publish(tmp_path, "--to", me, "--store", box.store.replace("//", "//me:s3cret@"))
    assert (done.returncode, done.stdout) == (0, f"{made.name}: 2 of 2 graphs sent; {box.query} holds it\n")
    assert answers(RemoteEngine(made, box.query), 'ASK { ?s ?p "2" }') == [b"true"]
    nowhere = f"http://me:s3cret@127.0.0.1:{free_port()}/"
    lost = kg_publish(tmp_path, "--to", nowhere, "--store", nowhere)
    assert lost.returncode == 7
    assert "does not answer" in lost.stderr
    assert "Traceback" not in lost.stderr
    assert "s3cret" not in done.stderr + lost.stdout + lost.stderr


def test_kg_publish_guesses_nobody_for_virtuoso(tmp_path: Path) -> None:
    publish(snapshot(FIRST, tmp_path), tmp_path)
    options = ("--to", "http://127.0.0.1:9/sparql", "--isql", "127.0.0.1:9", "--folder", str(tmp_path))
    done = kg_publish(tmp_path, *options, KG_REMOTE_USER="", KG_REMOTE_PASSWORD="")
    assert done.returncode == 2
    assert "--isql needs KG_REMOTE_USER and KG_REMOTE_PASSWORD" in done.stderr


def test_a_store_that_refuses_is_told_with_its_words(box: Oxigraph, tmp_path: Path) -> None:
    one = snapshot(f'<http://a> <http://p> "new" <{G}new> .', tmp_path)
    with GraphStore(box.query) as wrong, pytest.raises(EndpointError, match=r"PUT of <.*gave status 4"):
        publish_to(one, box.query, wrong)


class Between(BaseHTTPRequestHandler):
    """A Graph Store that hands what `reply` did not answer on to the real one `behind`."""

    behind: str
    reply: Callable[[Between, str], bool]

    def _answer(self) -> None:
        size = self.headers.get("Content-Length")
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        content = self.rfile.read(int(size or 0)) + (b"".join(self._chunks()) if chunked else b"")
        graph = parse_qs(urlsplit(self.path).query)["graph"][0]
        if not type(self).reply(self, graph):
            headers = {"Content-Type": self.headers.get("Content-Type", "")}
            done = httpx.request(
                self.command, self.behind, params={"graph": graph}, content=content, headers=headers
            )
            send(self, done.status_code, "text/plain", done.content)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    do_PUT = do_DELETE = _answer

    def log_message(self, *words: object) -> None:
        return


@contextmanager
def store_before(box: Oxigraph, reply: Callable[[Between, str], bool]) -> Iterator[str]:
    """A Graph Store before that of a server; `reply(request, graph)` says whether it has answered itself."""
    kind = type("BetweenOne", (Between,), {"behind": box.store, "reply": staticmethod(reply)})
    running = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/store"
    finally:
        running.shutdown()
        running.server_close()


def test_a_store_that_takes_a_graph_and_never_answers_is_given_up(
    empty_box: Oxigraph, tmp_path: Path
) -> None:
    made, done = snapshot(FIRST, tmp_path), threading.Event()
    publish(made, tmp_path)

    def never(request: Between, graph: str) -> bool:
        return graph == f"{G}two" and done.wait(20)

    with store_before(empty_box, never) as store:
        began = time.monotonic()
        cut = kg_publish(tmp_path, "--to", empty_box.query, "--store", store, KG_PUBLISH_SECONDS="0.7")
        assert time.monotonic() - began < 15
        done.set()
    assert cut.returncode == 7
    said = rf"{store} said nothing for 0\.7 s \(PUT of <.*two>\).*Nothing is lost.*publish again"
    assert re.search(said, " ".join(cut.stderr.split())), cut.stderr
    with pytest.raises(SnapshotError, match="it is half loaded"):
        answers(RemoteEngine(made, empty_box.query), "ASK {}")
    assert put(empty_box, made) == 1


def test_an_endpoint_that_never_says_what_stands_there_is_given_up(tiny: Snapshot) -> None:
    with (
        server(tiny.hash, lambda h: None, before=lambda: time.sleep(2)) as url,
        GraphStore(url) as target,
        pytest.raises(EndpointError, match=r"said nothing for 0\.3 s \(a query of what stands there\)"),
    ):
        publish_to(tiny, url, target, patience=0.3)


def test_a_virtuoso_that_takes_the_call_and_says_nothing_is_given_up(
    empty_box: Oxigraph, tmp_path: Path
) -> None:
    if not has_virtuoso():
        pytest.skip(NO_VIRTUOSO)
    publish(snapshot(FIRST, tmp_path), tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sql = f"127.0.0.1:{silent.getsockname()[1]}"
        options = ("--to", empty_box.query, "--isql", sql, "--folder", str(tmp_path))
        who = {"KG_REMOTE_USER": "dba", "KG_REMOTE_PASSWORD": "s3cr3t-word", "KG_PUBLISH_SECONDS": "0.7"}
        cut = kg_publish(tmp_path, *options, **who)
    assert cut.returncode == 7
    assert f"Virtuoso at {sql} said nothing for 0.7 s" in cut.stderr
    assert "s3cr3t-word" not in cut.stdout + cut.stderr
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if sql in _text(each)]  # isql is gone


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # it ended meanwhile


# ------------------------------------------------------------------------------------ Virtuoso's loader


@pytest.fixture(scope="module")
def empty_virtuoso(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Virtuoso]:
    if not has_virtuoso():
        pytest.skip(NO_VIRTUOSO)
    folder = tmp_path_factory.mktemp("virtuoso-published")
    with virtuoso(folder) as running:
        yield running


def loader(running: Virtuoso) -> VirtuosoLoader:
    return VirtuosoLoader(f"127.0.0.1:{running.port}", running.folder, "dba", "dba")


def load(running: Virtuoso, what: Snapshot) -> int:
    return publish_to(what, running.sparql, loader(running), user="dba", password="dba")


def edition(number: int, var: Path) -> Snapshot:
    """Two graphs whose 3,000 things all say which edition they are of, and one of this edition only."""
    lines = [f'<http://t{n}> <http://p> "{number}" <{G}{n % 2}> .' for n in range(3000)]
    return snapshot("\n".join([*lines, f"<http://t> <http://p> <http://only> <{G}only{number}> ."]), var)


EDITIONS = "SELECT ?o (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?o ORDER BY ?o"


def test_virtuoso_takes_one_edition_after_another_while_somebody_reads(
    empty_virtuoso: Virtuoso, tmp_path: Path
) -> None:
    """Each graph is replaced, one comes and one goes; no answer has rows of two editions."""
    editions = [edition(number, tmp_path) for number in range(3)]
    assert load(empty_virtuoso, editions[0]) == 3

    async def read(number: int, until: asyncio.Event) -> tuple[set[bytes], int]:
        seen, refused = set(), 0
        engine = RemoteEngine(
            editions[number], empty_virtuoso.sparql, user="dba", password="dba", look_seconds=0.02
        )
        async with engine:
            while not until.is_set():
                try:
                    answer = await engine.query(EDITIONS, accept=BY_KEY["csv"], limits=Limits())
                    seen.add(await answer.read())
                except ServerBusy:
                    refused += 1
                await asyncio.sleep(0.02)
        return seen, refused

    async def asked() -> None:
        for number in (0, 1):
            over = asyncio.Event()
            reader = asyncio.create_task(read(number, over))
            await asyncio.sleep(0.3)
            assert await asyncio.to_thread(load, empty_virtuoso, editions[number + 1]) == 3
            over.set()
            seen, refused = await reader
            assert seen == {f"o,n\r\n{number},3000\r\nhttp://only,1\r\n".encode()}
            assert refused > 0

    asyncio.run(asyncio.wait_for(asked(), 120))
    last = RemoteEngine(editions[2], empty_virtuoso.sparql)
    where = "SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g"
    rows, there = answers(last, EDITIONS, where)
    assert rows.split() == [b"o,n", b"2,3000", b"http://only,1"]
    assert there.decode().split() == ["g", f"{G}0", f"{G}1", f"{G}only2"]
    held = httpx.get(empty_virtuoso.sparql, params={"query": where}, headers={"Accept": "text/csv"}).text
    assert {f"{G}only0", f"{G}only1"}.isdisjoint(held.replace('"', "").split())
    assert "#loading" not in held


class Asking(threading.Thread):
    """Asks a server the same without a pause until it is told to end; `seen` are its answers in turn."""

    def __init__(self, url: str, query: str) -> None:
        super().__init__(daemon=True)
        self._url, self._query = url, query
        self._over = threading.Event()
        self.seen: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._over.is_set():
                asked = {"query": self._query}
                answer = client.post(self._url, data=asked, headers={"Accept": "text/csv"}).raise_for_status()
                self.seen.append(" ".join(sorted(answer.text.replace('"', "").split()[1:])))

    def end(self) -> list[str]:
        self._over.set()
        self.join(60)
        return [answer for answer, _ in itertools.groupby(self.seen)]


@pytest.mark.parametrize("maker", ["oxigraph", "virtuoso"])
def test_whoever_asks_that_server_sees_a_graph_whole_while_it_is_replaced(
    request: pytest.FixtureRequest, box: Oxigraph, tmp_path: Path, maker: str
) -> None:
    """The old, then the new; between, for who asked at that moment, on Virtuoso perhaps rows of both."""
    before, after = edition(0, tmp_path), edition(1, tmp_path)

    def put_there(what: Snapshot) -> int:
        return (
            put(box, what) if maker == "oxigraph" else load(request.getfixturevalue("empty_virtuoso"), what)
        )

    put_there(before)
    url = box.query if maker == "oxigraph" else request.getfixturevalue("empty_virtuoso").sparql
    graph = f"SELECT ?o (COUNT(*) AS ?n) {{ GRAPH <{G}0> {{ ?s ?p ?o }} }} GROUP BY ?o"
    mark = f"SELECT (COUNT(*) > 0 AS ?there) {{ GRAPH <{G}published> {{ ?s ?p ?o }} }}"
    readers, looks = [Asking(url, graph) for _ in range(2)], Asking(url, mark)
    for each in (*readers, looks):
        each.start()
    try:
        assert put_there(after) == 3
    finally:
        over = [each.end() for each in (*readers, looks)]
    for first, *between, last in over[:-1]:
        assert (first, last) == ("0,1500", "1,1500")
        assert len(between) <= (maker == "virtuoso"), between
    assert over[-1] in (["true"], ["1"])  # at no moment is there no mark
    assert min(len(each.seen) for each in (*readers, looks)) > 10


def test_a_graph_too_large_for_one_transaction_is_loaded_in_its_place(
    empty_virtuoso: Virtuoso, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = edition(0, tmp_path), edition(1, tmp_path)
    load(empty_virtuoso, first)
    monkeypatch.setattr("kg.engine.publishing._AT_ONCE", 100)
    assert load(empty_virtuoso, second) == 3
    (rows,) = answers(RemoteEngine(second, empty_virtuoso.sparql), EDITIONS)
    assert rows.split() == [b"o,n", b"1,3000", b"http://only,1"]


def test_what_came_short_is_not_moved_over_what_is_there(empty_virtuoso: Virtuoso, tmp_path: Path) -> None:
    good = snapshot(FIRST, tmp_path)
    load(empty_virtuoso, good)

    class Short(VirtuosoLoader):
        """As if a statement were lost on the way."""

        def run(self, *statements: str) -> str:
            said = super().run(*statements)
            for beside in re.findall(rf"TTLP.*'({G}two#loading-\w+)'", "\n".join(statements)):
                super().run(f"SPARQL DELETE WHERE {{ GRAPH <{beside}> {{ ?s ?p ?o }} }};")
            return said

    short = Short(f"127.0.0.1:{empty_virtuoso.port}", empty_virtuoso.folder, "dba", "dba")
    other = snapshot(FIRST.replace('"2"', '"3"'), tmp_path)
    with pytest.raises(EndpointError, match=r"has 0 of the 1 statements of <.*two>.* is as it was"):
        publish_to(other, empty_virtuoso.sparql, short)
    asked = f"SELECT ?o FROM <{G}two> {{ ?s ?p ?o }}"
    found = httpx.get(empty_virtuoso.sparql, params={"query": asked}, headers={"Accept": "text/csv"})
    assert found.text.split() == ['"o"', '"2"']
    with pytest.raises(SnapshotError, match="half loaded"):
        answers(RemoteEngine(other, empty_virtuoso.sparql), "ASK {}")
    assert load(empty_virtuoso, other) == 1
    assert answers(RemoteEngine(other, empty_virtuoso.sparql), 'ASK { ?s ?p "3" }') == [b"true"]


def test_a_virtuoso_that_dies_as_its_files_may_not_grow_goes_on_when_they_may(tmp_path: Path) -> None:
    if not has_virtuoso():
        pytest.skip(NO_VIRTUOSO)
    old = edition(0, tmp_path)
    many = (f'<http://t{n}> <http://p{n}> "number {n} {"long " * 50}" <{G}0> .' for n in range(30_000))
    large = snapshot("\n".join(many), tmp_path)
    folder = tmp_path / "virtuoso"
    folder.mkdir()
    with virtuoso(folder) as running:
        load(running, old)
        size = (folder / "virtuoso.db").stat().st_size
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        with pytest.raises(EndpointError, match=r"Lost connection to server.* publish again; it goes on"):
            load(running, large)
    (folder / "virtuoso.lck").unlink(missing_ok=True)  # of the dead process
    with virtuoso(folder) as running:
        with pytest.raises(SnapshotError, match="half loaded"):
            answers(RemoteEngine(large, running.sparql), "ASK {}")
        asked = {"query": f"SELECT (COUNT(*) AS ?n) {{ GRAPH <{G}0> {{ ?s ?p ?o }} }}"}
        found = httpx.get(running.sparql, params=asked, headers={"Accept": "text/csv"}).text
        assert found.replace('"', "").split() == ["n", "1500"]
        assert load(running, large) == 1
        assert answers(RemoteEngine(large, running.sparql), "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }") == [
            b"n\r\n30000\r\n"
        ]


def test_numbers_of_one_value_are_one_statement_there_and_nothing_is_missing(
    empty_virtuoso: Virtuoso, tmp_path: Path
) -> None:
    decimal = "^^<http://www.w3.org/2001/XMLSchema#decimal>"
    two = snapshot(
        f'<http://a> <http://p> "1.0"{decimal} <{G}numbers> .\n'
        f'<http://a> <http://p> "1.00"{decimal} <{G}numbers> .\n'
        f'<http://a> <http://q> "1.0"{decimal} <{G}numbers> .',
        tmp_path,
    )
    assert load(empty_virtuoso, two) == 1
    assert answers(RemoteEngine(two, empty_virtuoso.sparql), "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }") == [
        b"n\r\n2\r\n"
    ]


def test_virtuoso_loads_nothing_of_others_and_says_whom_it_does_not_know(
    empty_virtuoso: Virtuoso, tmp_path: Path
) -> None:
    theirs = empty_virtuoso.folder / "theirs.nt"
    theirs.write_text("<http://x> <http://y> <http://z> .\n")
    empty_virtuoso.run(f"ld_dir('{theirs.parent}', '{theirs.name}', 'http://theirs');\n")
    load(empty_virtuoso, snapshot(SECOND, tmp_path))
    pending = f"SELECT ll_state FROM DB.DBA.load_list WHERE ll_file = '{theirs}';\n"
    assert "0" in empty_virtuoso.run(pending).split()
    wrong = VirtuosoLoader(f"127.0.0.1:{empty_virtuoso.port}", empty_virtuoso.folder, "dba", "no")
    with pytest.raises(EndpointError, match=r"(?i)login"):
        publish_to(snapshot(FIRST, tmp_path), empty_virtuoso.sparql, wrong)


# --------------------------------------------------------------------------- every question, elsewhere

# Questions whose rows Virtuoso 7.2.5 gives otherwise, and why. What could be mended is (kg.engine.dialects).
_TEXT = "CONCAT, COALESCE and GROUP_CONCAT take what is unbound for an empty text, and drop languages"
_LARGE = (
    "a query of many alternatives (UNION, VALUES, paths) with its dataset written out can be refused: SQ074"
)
_SLOW = "a query that joins many with many can take far longer, and then ends at its limit of seconds"
VIRTUOSO_DIFFERS = {
    "effect-sizes": _TEXT,
    "responders-with-intervals": _TEXT,
    "what-may-be-pooled": _TEXT,
    "products-of-a-tissue": _TEXT,
    "evidence-for-and-against": _LARGE,
    "statements-that-differ": _SLOW,
}


def publish_as_documented(running: Virtuoso, what: Snapshot) -> subprocess.CompletedProcess[str]:
    """Run the command of docs/operations.md that publishes to Virtuoso, with this server's addresses."""
    (command,) = re.findall(r"^ *kg (publish .*--isql.*)$", (ROOT / "docs/operations.md").read_text(), re.M)
    for documented, here in (
        ("http://127.0.0.1:8890/sparql", running.sparql),
        ("127.0.0.1:1111", f"127.0.0.1:{running.port}"),
        ("/var/lib/virtuoso/load", str(running.folder)),
    ):
        assert documented in command
        command = command.replace(documented, here)
    _, *options = command.split()
    who = {"KG_REMOTE_USER": "dba", "KG_REMOTE_PASSWORD": "dba"}
    return kg_publish(running.folder, *options, "--snapshot", str(what.folder), **who)


def test_about_names_every_kind_of_difference_that_a_question_meets_on_virtuoso() -> None:
    assert set(VIRTUOSO_DIFFERS.values()) <= set(VIRTUOSO.differs)


@pytest.fixture(scope="session")
def virtuoso_with_it(embedded: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Virtuoso]:
    if not has_virtuoso():
        pytest.skip(NO_VIRTUOSO)
    folder = tmp_path_factory.mktemp("virtuoso-embedded")
    with virtuoso(folder, buffers=40_000) as running:
        done = publish_as_documented(running, embedded)
        count = len(embedded.graphs)
        said = f"{embedded.name}: {count} of {count} graphs sent; {running.sparql} holds it\n"
        assert (done.returncode, done.stdout) == (0, said), done.stderr
        yield running


@pytest.fixture(scope="session")
def oxigraph_with_it(embedded: Snapshot) -> Iterator[Oxigraph]:
    with oxigraph() as running:
        put(running, embedded)
        yield running


def rows(body: bytes) -> Counter[tuple[tuple[str, str], ...]]:
    """The rows of SPARQL JSON, however they are ordered and their numbers spelled."""

    def spelled(term: dict[str, str]) -> str:
        kind = term.get("datatype", "").rpartition("#")[2]
        if kind in ("decimal", "double", "float", "integer"):
            return f"{Decimal(term['value']):.9g}"
        if term["type"] == "bnode":
            return "_:"
        return f"{term['value']}@{term.get('xml:lang', '').lower()}^{kind}"

    found = json.loads(body)["results"]["bindings"]
    return Counter(tuple(sorted((name, spelled(term)) for name, term in row.items())) for row in found)


@contextmanager
def _engines(here: Engine, there: Engine) -> Iterator[Any]:
    with asyncio.Runner() as runner:

        async def enter() -> None:
            await here.__aenter__()
            await there.__aenter__()

        async def leave() -> None:
            await here.__aexit__(None, None, None)
            await there.__aexit__(None, None, None)

        runner.run(enter())
        try:
            yield runner.run
        finally:
            runner.run(leave())


def test_the_command_that_publishes_to_virtuoso_sends_nothing_twice(
    virtuoso_with_it: Virtuoso, embedded: Snapshot
) -> None:
    """The first time it ran for the tests around this one."""
    again = publish_as_documented(virtuoso_with_it, embedded)
    said = f"{embedded.name}: 0 of {len(embedded.graphs)} graphs sent; {virtuoso_with_it.sparql} holds it\n"
    assert (again.returncode, again.stdout) == (0, said), again.stderr


@pytest.mark.parametrize("maker", ["oxigraph", "virtuoso"])
def test_every_question_has_the_same_rows_on_another_server(
    request: pytest.FixtureRequest, embedded: Snapshot, maker: str
) -> None:
    running = request.getfixturevalue(f"{maker}_with_it")
    url = running.query if maker == "oxigraph" else running.sparql
    here, there = MemoryEngine(embedded), RemoteEngine(embedded, url)
    wrong: dict[str, str] = {}
    compared = 0
    with _engines(here, there) as run:
        known = {} if maker == "oxigraph" else VIRTUOSO_DIFFERS
        # The slow ones last: a server may go on with what we gave up.
        questions = Catalogue.read(ROOT / "queries").values()
        for question in sorted(questions, key=lambda each: known.get(each.id) == _SLOW):
            limits = Limits(seconds=10 if known.get(question.id) == _SLOW else 60)
            kind = guard.inspect(question.text, Limits()).kind
            accept = BY_KEY["json" if kind is Kind.SOLUTIONS else "ntriples"]

            async def ask(
                engine: Engine, text: str = question.text, accept: Any = accept, limits: Limits = limits
            ) -> bytes:
                answer = await engine.query(text, accept=accept, limits=limits)
                return await answer.read()

            mine = run(ask(here))
            try:
                theirs = run(ask(there))
            except QueryError as problem:
                wrong[question.id] = str(problem)[:300]
                continue
            compared += 1
            if kind is Kind.SOLUTIONS:
                less, more = rows(mine) - rows(theirs), rows(theirs) - rows(mine)
                if less or more:
                    wrong[question.id] = f"missing {list(less)[:1]}, more {list(more)[:1]}"
            elif len(mine.splitlines()) != len(theirs.splitlines()):
                wrong[question.id] = (
                    f"{len(mine.splitlines())} triples here, {len(theirs.splitlines())} there"
                )
    new = {name: said for name, said in wrong.items() if name not in known}
    assert not new, json.dumps(new, indent=1, ensure_ascii=False)
    # A difference that is no more has to leave the table; how slow a machine is, it does not tell.
    differing = {name for name, why in known.items() if why != _SLOW}
    assert differing <= set(wrong)
    assert compared > 40


PAGES = (
    "/",
    "/queries",
    "/graphs",
    "/changes",
    "/findings",
    "/findings?severity=stroma%3ASeverityMajor",
    "/finding/registry-status/00deffdd0e5cd2f3413f",
    "/ontology",
    "/ontology/MSCImmunomodulation",
    "/ontology/MeasureACR20",
    "/thing?iri=MONDO%3A0008383",
    "/trial/NCT01547091",
    "/search?q=MSC",
    "/search?kind=condition",
    "/queries/registered-by-phase-and-status",
    "/.well-known/void",
)


def shown(page: httpx.Response) -> Counter[str]:
    """The pieces of a page between its tags, and the tags, in any order: that of equals is the server's."""
    text = re.sub(r'<script type="application/ld.json">.*?</script>', "", page.text, flags=re.S)
    return Counter(re.findall(r"[^<>]+", text.replace(f":{page.url.port}", "")))


@pytest.mark.parametrize("maker", ["oxigraph", "virtuoso"])
def test_the_whole_site_runs_on_another_server(
    request: pytest.FixtureRequest, embedded: Snapshot, maker: str
) -> None:
    """Its pages say the same as from the engine here, and a question has the same rows."""
    running = request.getfixturevalue(f"{maker}_with_it")
    url = running.query if maker == "oxigraph" else running.sparql
    question = "/queries/registered-by-phase-and-status?format=csv"
    with whole_site(embedded, engine=url) as there, whole_site(embedded) as here:
        about = httpx.get(f"{there}/about", headers={"Accept": "application/json"}).json()
        assert (about["engine"]["holds"], about["snapshot"]["hash"]) == ("remote", embedded.hash)
        mine, theirs = (httpx.get(f"{each}{question}") for each in (here, there))
        assert len(mine.text.splitlines()) > 5
        assert mine.text.splitlines() == theirs.text.splitlines()
        differ = {}
        for page in PAGES:
            pages = [
                httpx.get(f"{each}{page}", headers={"Accept": "text/html"}, timeout=60, follow_redirects=True)
                for each in (here, there)
            ]
            if pages[1].status_code != 200 or shown(pages[0]) != shown(pages[1]):
                less, more = shown(pages[0]) - shown(pages[1]), shown(pages[1]) - shown(pages[0])
                differ[page] = [pages[1].status_code, list(less)[:5], list(more)[:5]]
        assert not differ, json.dumps(differ, indent=1, ensure_ascii=False)


def test_a_tag_promises_no_bytes_of_another_server_and_still_spares_an_answer(
    oxigraph_with_it: Oxigraph, embedded: Snapshot
) -> None:
    query = {"query": "SELECT ?s { ?s ?p ?o } LIMIT 3", "format": "csv"}
    with ours(embedded, engine=oxigraph_with_it.query) as address:
        first = httpx.get(f"{address}/sparql", params=query)
        again = httpx.get(f"{address}/sparql", params=query, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert first.headers["etag"].startswith('W/"')
    with ours(embedded) as address:
        here = httpx.get(f"{address}/sparql", params=query, headers={"If-None-Match": first.headers["etag"]})
    assert here.status_code == 200
    assert here.headers["etag"].startswith('"')


# ------------------------------------------------------------------------------------- servers that fail


@contextmanager
def server(
    hash: str,
    reply: Any,
    access: str = "",
    before: Callable[[], None] = lambda: None,
    rows: list[dict[str, Any]] | None = None,
) -> Iterator[str]:
    """A server that has the mark of a snapshot and answers every other query by `reply(handler)`.

    `access` are user and password, with a colon, that each request has to bring; `before` is done before the
    mark is told; `rows` is the mark where it is another one.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            brought = self.headers.get("Authorization", "").removeprefix("Basic ")
            if access and base64.b64decode(brought).decode() != access:
                send(self, 401, "text/plain", b"who are you?")
                return
            if "checksumValue" not in body:
                reply(self)
                return
            before()
            found = [{"what": {"value": f"{G}published"}, "sum": {"value": hash}}]
            said = json.dumps({"results": {"bindings": rows or found}}).encode()
            send(self, 200, "application/sparql-results+json", said)

        def log_message(self, *words: object) -> None:
            return

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/sparql"
    finally:
        running.shutdown()
        running.server_close()


def send(
    handler: BaseHTTPRequestHandler, status: int, kind: str, body: bytes, length: int | None = None
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    with suppress(ConnectionError):  # who waits no longer has left
        handler.wfile.write(body)


JSON = "application/sparql-results+json"


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (
            lambda h: send(h, 200, "text/html", b"<html>Welcome</html>"),
            QueryFailed,
            "answered with text/html instead of application/sparql-results.json: .* may be no SPARQL",
        ),
        (lambda h: send(h, 503, "text/plain", b"later"), ServerBusy, "busy"),
        (lambda h: send(h, 507, "text/plain", b"disk full"), QueryFailed, "status 507. disk full"),
        (lambda h: send(h, 401, "text/plain", b""), QueryFailed, "refuses us"),
        (
            lambda h: send(h, 200, JSON, b'{"head": {', 1000),
            QueryFailed,
            "ended or cannot be read.*ask again",
        ),
        (lambda h: send(h, 200, JSON, b"no json at all"), QueryFailed, "cannot be read"),
        (lambda h: time.sleep(3), QueryTimeout, r"longer than 0\.5 seconds"),
        (lambda h: send(h, 302, "text/html", b""), QueryFailed, "status 302"),
    ],
    ids=["a page", "busy", "disk full", "refused", "cut", "rubbish", "slow", "redirect"],
)
def test_a_server_that_fails_is_told_clearly(
    tiny: Snapshot, reply: Any, error: type[QueryError], says: str
) -> None:
    # CSV has to be written anew from JSON, so its whole answer is read first.
    with server(tiny.hash, reply) as url, pytest.raises(error, match=says):
        answers(RemoteEngine(tiny, url), "SELECT * { ?s ?p ?o }", seconds=0.5)


def test_a_server_that_is_down_is_told_at_the_start_and_while_it_is_asked(tiny: Snapshot) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/sparql"
    with pytest.raises(SnapshotError, match=r"does not answer.*is it running, is the address right"):
        answers(RemoteEngine(tiny, nowhere), "ASK {}")

    async def asked() -> None:
        with server(tiny.hash, lambda h: send(h, 200, JSON, YES)) as url:
            engine = RemoteEngine(tiny, url)
            await engine.__aenter__()
            answer = await engine.query("ASK {}", accept=BY_KEY["json"], limits=Limits())
            assert json.loads(await answer.read())["boolean"] is True
        try:
            with pytest.raises(QueryError, match=r"does not answer|ended"):
                await engine.query("ASK {}", accept=BY_KEY["json"], limits=Limits())
        finally:
            await engine.__aexit__()

    asyncio.run(asked())


def test_one_slow_look_stops_nothing_and_a_server_that_stays_silent_is_not_asked(tiny: Snapshot) -> None:
    silent = threading.Event()
    looks: list[float] = []

    def slow() -> None:
        if silent.is_set():
            looks.append(0)
            time.sleep(0.4)

    async def asked() -> None:
        with server(tiny.hash, lambda h: send(h, 200, JSON, YES), before=slow) as url:
            async with RemoteEngine(tiny, url, look_seconds=0.02, patience=0.1) as engine:
                silent.set()
                while len(looks) < 2:
                    await asyncio.sleep(0.005)
                assert engine.status.ready
                while engine.status.ready:
                    await asyncio.sleep(0.02)
                assert len(looks) >= 3
                silent.clear()
                while not engine.status.ready:
                    await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(asked(), 20))


def test_an_answer_that_breaks_off_in_the_middle_is_an_error_and_not_an_end(tiny: Snapshot) -> None:
    """JSON that is passed on as it comes: what was sent is out, and what is missing raises."""

    def half(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, JSON, b'{"head":{"vars":["x"]},"results":{"bindings":[' + b" " * 300_000, 10**6)

    async def asked() -> bytes:
        with server(tiny.hash, half) as url:
            async with RemoteEngine(tiny, url) as engine:
                answer = await engine.query("SELECT * {}", accept=BY_KEY["json"], limits=Limits(seconds=5))
                return await answer.read()

    with pytest.raises(QueryFailed, match="ended or cannot be read"):
        asyncio.run(asked())


def test_a_client_that_leaves_closes_the_request_to_the_other_server(tiny: Snapshot) -> None:
    asked, closed = threading.Event(), threading.Event()

    def waits(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        handler.connection.settimeout(10)
        if handler.connection.recv(1) == b"":
            closed.set()

    async def leave() -> None:
        with server(tiny.hash, waits) as url:
            async with RemoteEngine(tiny, url, workers=1) as engine:
                query = engine.query("ASK {}", accept=BY_KEY["json"], limits=Limits(seconds=30))
                client = asyncio.create_task(query)
                assert await asyncio.to_thread(asked.wait, 10)
                client.cancel()
                assert await asyncio.to_thread(closed.wait, 5)
                await asyncio.wait((client,))
                assert (engine.status.busy, engine.status.waiting) == (0, 0)

    asyncio.run(asyncio.wait_for(leave(), 30))


def test_a_late_query_to_another_server_gives_the_error_that_it_gives_here(
    empty_box: Oxigraph, tiny: Snapshot, tmp_path: Path
) -> None:
    own = tmp_path / "snapshots" / tiny.name  # publishing makes the files for download
    shutil.copytree(tiny.folder, own)
    put(empty_box, replace(tiny, folder=own))
    late = "SELECT * { ?a ?p ?x . ?b ?q ?y . ?c ?r ?z } ORDER BY ?z ?y ?x"
    said = set()
    for engine in (MemoryEngine(tiny), RemoteEngine(tiny, empty_box.query)):
        with pytest.raises(QueryTimeout) as problem:
            answers(engine, late, seconds=0.5)
        said.add(str(problem.value))
    assert len(said) == 1, said


def test_the_queue_is_bounded(tiny: Snapshot) -> None:
    async def asked() -> None:
        with server(tiny.hash, lambda h: time.sleep(1)) as url:
            async with RemoteEngine(tiny, url, workers=1, queue=1) as engine:

                async def one() -> None:
                    await engine.query("ASK {}", accept=BY_KEY["json"], limits=Limits(seconds=0.4))

                tasks = [asyncio.create_task(one()) for _ in range(2)]
                await asyncio.sleep(0.05)
                assert (engine.status.busy, engine.status.waiting) == (1, 1)
                with pytest.raises(ServerBusy, match="wait already, which is the limit"):
                    await one()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert (engine.status.busy, engine.status.waiting) == (0, 0)

    asyncio.run(asked())


# ------------------------------------------------------------------------------------- who we are there

YES = b'{"head": {}, "boolean": true}'


def _told(address: str, path: str, accept: str) -> str:
    """An answer whatever its status: headers and body."""
    answer = httpx.get(f"{address}{path}", headers={"Accept": accept})
    return f"{answer.status_code} {answer.headers} {answer.text}"


def _stranger(handler: BaseHTTPRequestHandler) -> None:
    """A proxy that tells whom it asked, and how."""
    host = handler.headers["Host"]
    said = f"upstream http://{host}/sparql on {host.partition(':')[0]} with Us:s3cr%t-word is gone"
    send(handler, 500, "text/plain", said.encode())


def test_no_page_shows_where_the_other_server_is_or_who_we_are_there(tiny: Snapshot) -> None:
    with server(tiny.hash, _stranger, "Us:s3cr%t-word") as url:
        host = url.split("/")[2]
        with ours(tiny, engine=url.replace("//", "//Us:s3cr%25t-word@")) as address:
            told = [
                _told(address, path, accept)
                for path in ("/about", "/health", "/sparql?query=ASK%20%7B%7D", "/metrics")
                for accept in ("application/json", "text/html")
            ]
            assert "remote" in told[0]
            assert told[2].startswith("200")
            assert "is gone" in told[4]
    with server("0" * 64, _stranger, "Us:s3cr%t-word") as other:
        engine = RemoteEngine(tiny, other, user="Us", password="s3cr%t-word")
        with pytest.raises(SnapshotError, match="it holds the snapshot 000") as problem:
            answers(engine, "ASK {}")
    assert "s3cr" not in str(problem.value)
    for text in told:
        assert not re.search(rf"s3cr|Us[:@]|{host}|:{host.partition(':')[2]}", text), text


def test_a_query_that_is_repeated_tells_no_password_by_what_is_left_out(tiny: Snapshot) -> None:
    """Whoever guesses it sees the same as with any other word."""

    def repeats(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 400, "text/plain", b"near: correct-horse wrong-horse localhost")

    async def asked() -> list[str]:
        said = []
        with server(tiny.hash, repeats) as url:
            engine = RemoteEngine(
                tiny, url.replace("127.0.0.1", "localhost"), user="us", password="correct-horse"
            )
            async with engine:
                for words in ("correct-horse wrong-horse localhost", "nothing"):
                    text = f"SELECT * {{}} # {words}"
                    with pytest.raises(QueryError) as problem:
                        await engine.query(text, accept=BY_KEY["json"], limits=Limits())
                    said.append(str(problem.value))
        return said

    guessed, other = asyncio.run(asked())
    assert "near: correct-horse wrong-horse localhost" in guessed
    assert "near: (not shown) wrong-horse (not shown)" in other


@pytest.mark.parametrize("password", ["", "dba"])
def test_virtuosos_words_are_understood_whatever_the_password_is(
    empty_virtuoso: Virtuoso, tmp_path: Path, password: str
) -> None:
    made = snapshot(FIRST, tmp_path)
    load(empty_virtuoso, made)
    engine = RemoteEngine(made, empty_virtuoso.sparql, user="dba" if password else "", password=password)
    with pytest.raises(QueryUnsupported, match="no function <http://f> here"):
        answers(engine, "SELECT (<http://f>(1) AS ?x) {}")


def test_about_says_of_any_server_what_it_cannot_promise(tiny: Snapshot) -> None:
    """This one tells no maker."""
    with server(tiny.hash, _stranger) as url, ours(tiny, engine=url) as address:
        told = httpx.get(f"{address}/about", headers={"Accept": "application/json"}).json()
        pages = {
            language: httpx.get(
                f"{address}/about", headers={"Accept": "text/html", "Accept-Language": language}
            ).text
            for language in ("en", "zh-Hans", "zh-Hant")
        }
        described = httpx.get(f"{address}/sparql", headers={"Accept": "text/turtle"}).text
    said = told["engine"]["not_promised"]
    for each, what in zip(said, ("memory", "may run on", "network", "SERVICE", "mark"), strict=True):
        assert what in each
    assert not {"worker_memory_bytes", "long_queries"} & {each["setting"] for each in told["limits"]}
    for text in (described, *pages.values()):
        assert str(2 * 1024**3) not in text
        assert "2 GiB" not in text
    for language, (memory, stops) in {
        "en": ("no limit of ours holds", "may run on there"),
        "zh-Hans": ("内存", "可能仍在那里运行"),
        "zh-Hant": ("記憶體", "可能仍在那裡執行"),
    }.items():
        assert memory in pages[language]
        assert stops in pages[language]


def test_an_engine_here_leaves_no_promise_out(tiny: Snapshot) -> None:
    with ours(tiny) as address:
        told = httpx.get(f"{address}/about", headers={"Accept": "application/json"}).json()
    assert (told["engine"]["holds"], told["engine"]["not_promised"]) == ("memory", [])
    assert {"worker_memory_bytes", "long_queries"} < {each["setting"] for each in told["limits"]}


def test_what_a_client_hears_of_a_lost_server_does_not_name_it(tiny: Snapshot) -> None:
    async def asked() -> list[str]:
        said = []
        with server(tiny.hash, lambda h: send(h, 200, JSON, YES), "us:secret") as url:
            engine = RemoteEngine(tiny, url, user="us", password="secret", look_seconds=0.05)
            await engine.__aenter__()
        try:
            for _ in range(2):
                with pytest.raises(QueryError, match="does not answer") as problem:
                    await engine.query("ASK {}", accept=BY_KEY["json"], limits=Limits())
                said.append(str(problem.value))
                while engine.status.ready:
                    await asyncio.sleep(0.02)
        finally:
            await engine.__aexit__()
        return said

    for text in asyncio.run(asyncio.wait_for(asked(), 20)):
        assert not re.search("127|http|secret|us:", text), text


@pytest.mark.parametrize("how", ["settings", "address"])
def test_each_request_says_who_we_are(tiny: Snapshot, how: str) -> None:
    with server(tiny.hash, lambda h: send(h, 200, JSON, YES), "us:sec:ret/@") as url:
        named = url if how == "settings" else url.replace("//", "//us:sec%3Aret%2F%40@")
        user, password = ("us", "sec:ret/@") if how == "settings" else ("", "")
        engine = RemoteEngine(tiny, named, user=user, password=password)
        assert answers(engine, "ASK {}", accept="json") == [YES]
        # What `kg publish` reads: it is let in, to a server that says Yes to whatever is asked.
        with GraphStore(url) as target:
            with pytest.raises(EndpointError, match="its SPARQL JSON cannot be read"):
                publish_to(tiny, named, target, user=user, password=password)
            with pytest.raises(EndpointError, match=r"refuses us .*KG_REMOTE_USER and KG_REMOTE_PASSWORD"):
                publish_to(tiny, url, target)
        with pytest.raises(SnapshotError, match=r"it refuses us .*KG_REMOTE_USER"):
            answers(RemoteEngine(tiny, url), "ASK {}")


def test_settings_keep_a_password_out_of_the_address() -> None:
    settings = Settings.from_environ({"KG_ENGINE": "https://me:pass%20word@host:1/x?y"})
    assert (settings.engine, settings.remote_user) == ("https://host:1/x?y", "me")
    assert settings.remote_password == "pass word"
    assert "pass word" not in repr(settings)
    given = {"KG_ENGINE": "http://h/", "KG_REMOTE_USER": "you", "KG_REMOTE_PASSWORD": "p"}
    settings = Settings.from_environ(given)
    assert (settings.engine, settings.remote_user, settings.remote_password) == ("http://h/", "you", "p")


@pytest.mark.parametrize(
    "address", ["http://me:se/cret@h/", "http://", "http://me:secret@", "ttp://me:secret@h"]
)
def test_an_address_that_cannot_be_read_is_not_repeated(address: str) -> None:
    with pytest.raises(UsageError) as problem:
        Settings(engine=address)
    assert "cret" not in str(problem.value)


# ---------------------------------------------------------------------------------- a query, as it is sent


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("SELECT * FROM <a> {}", "SELECT *  {}"),
        ("SELECT * FROM NAMED <a> FROM x:y WHERE {}", "SELECT *   WHERE {}"),
        ("select * from # why\n named # so\n <a>\n{}", "select * # why\n  # so\n \n{}"),
        ("SELECT * { ?s ?p 'FROM <a>' }", "SELECT * { ?s ?p 'FROM <a>' }"),
    ],
)
def test_a_query_is_sent_with_our_base_and_without_its_dataset(text: str, sent: str) -> None:
    assert re.sub(r"\s+", " ", guard.standing_alone(text)) == re.sub(
        r"\s+", " ", f"BASE <https://w3id.org/stroma/> {sent}"
    )
    own = "BASE <http://mine/> " + text
    assert guard.standing_alone(own).startswith("BASE <http://mine/>")


def test_rows_of_two_marks_say_that_nothing_is_complete(tiny: Snapshot) -> None:
    said = {"#publication": "one", "#publication ": "two", "": tiny.hash}
    mark = [
        {"what": {"value": f"{G}published{what.strip()}"}, "sum": {"value": text}}
        for what, text in said.items()
    ]
    with (
        server(tiny.hash, lambda h: None, rows=mark) as url,
        pytest.raises(SnapshotError, match="half loaded"),
    ):
        answers(RemoteEngine(tiny, url), "ASK {}")


def test_a_mark_without_graphs_is_still_a_mark() -> None:
    assert Mark().triples()
    assert len(Mark("abc", {"http://g": "x"}).triples()) == 2
