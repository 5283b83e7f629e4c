"""Puts a snapshot on another SPARQL server, graph by graph, and marks what stands there.

Hides the two ways: the Graph Store Protocol (a PUT replaces a graph), and Virtuoso's own loader (a graph is
loaded beside the old one, counted, then moved over it; a large one takes its place at once). A mark (a graph
of its own, `graph:published`) says for each graph which content stands there, and for all which snapshot,
once it is whole. So a publication that was cut goes on where it was, a graph that did not change is not sent
again, and an engine knows what it asks. Graphs that are not ours are never touched.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import httpx

from kg.dump import Dump, DumpFile, write_dump
from kg.errors import EndpointError, UsageError
from kg.settings import reached
from kg.snapshot import Snapshot
from kg.terms import BASE

MARK = BASE + "graph/published"
_OURS = BASE + "graph/"
_CHECKSUM = "http://spdx.org/rdf/terms#checksumValue"
_TRIPLES = "http://rdfs.org/ns/void#triples"
_PUBLICATION = MARK + "#publication"
_ASK_MARK = f"SELECT ?what ?sum WHERE {{ GRAPH <{MARK}> {{ ?what <{_CHECKSUM}> ?sum }} }}"
_ASK_STATE = (
    f"SELECT ?what ?sum WHERE {{ GRAPH <{MARK}> {{ ?what <{_CHECKSUM}> ?sum "
    f"FILTER (?what IN (<{MARK}>, <{_PUBLICATION}>, <{BASE}>)) }} }}"
)
_ASK_COUNTS = (
    f"SELECT ?what ?sum WHERE {{ GRAPH <{MARK}> {{ ?what <{_CHECKSUM}> ?text ; <{_TRIPLES}> ?sum }} }}"
)
# Counted, not DISTINCT: for that Virtuoso 7.2.5 took minutes where it counted in 0.1 s (2026-11-30).
_ASK_GRAPHS = "SELECT ?g (COUNT(*) AS ?n) WHERE { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g"
_JSON = "application/sparql-results+json"
# A PUT of a large graph, or its load, is answered only at its end.
PATIENCE = 3600.0
# Virtuoso commits rows as they come, without a log; the checkpoint afterwards makes them last.
_IN_PIECES = "log_enable(2);"
# More is not moved. In one transaction Virtuoso 7.2.5 moved 0.5 million quads, and broke off at 2 million
# after four minutes (SR325: TransactionAfterImageLimit is 50 MB); in pieces, MOVE left some of the old
# statements there and lost some of the new (2026-11-29).
_AT_ONCE = 250_000
_NUMBER = re.compile(rb'"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)"\^\^<http://www\.w3\.org/2001/XMLSchema#')


@dataclass(frozen=True)
class Mark:
    """What a server holds: `complete` is the snapshot's hash, "" while it is being loaded; `graphs` maps the
    IRI of each graph to the SHA-256 of its sorted N-Triples; `publication` is new with each publication;
    `counts` are the statements of each graph as that server counted them when they had come."""

    complete: str = ""
    graphs: Mapping[str, str] = field(default_factory=dict)
    publication: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    def triples(self) -> list[str]:
        """The mark as N-Triples lines."""
        rows = list(self.graphs.items())
        if self.publication:
            rows.append((_PUBLICATION, self.publication))
        if self.complete:
            rows.append((MARK, self.complete))  # the last: what is written in pieces is not complete before
        # A mark without graphs still has to be there: it says that loading has begun.
        # Counts are texts: a server may spell a number in its own way.
        counts = [f'<{iri}> <{_TRIPLES}> "{count}" .' for iri, count in self.counts.items()]
        return counts + (
            [f'<{iri}> <{_CHECKSUM}> "{text}" .' for iri, text in rows]
            or [f'<{BASE}> <{_CHECKSUM}> "begun" .']
        )


def _mark_of(rows: list[tuple[str, str]]) -> Mark | None:
    if not rows:
        return None
    said = dict(rows)
    complete = said.pop(MARK, "")
    said.pop(BASE, None)
    publication = said.pop(_PUBLICATION, "")
    # A server that reads while the mark is replaced may give rows of both; then nothing is known to be whole.
    return Mark(complete if len({what for what, _ in rows}) == len(rows) else "", said, publication)


async def read_counts(client: httpx.AsyncClient, url: str) -> dict[str, int]:
    """How many statements of each graph the mark says are there; raises as `read_mark`."""
    rows, _ = await _asked(client, url, _ASK_COUNTS)
    return {iri: int(count) for iri, count in rows if count.isdigit()}


async def read_mark(client: httpx.AsyncClient, url: str) -> tuple[Mark | None, str]:
    """The mark on a server, without its graphs, and the Server header; None where it has no mark.

    Raises EndpointError where it does not answer, or with something that is no SPARQL result. Its message
    speaks of "it" and does not name the server, for clients may see it.
    """
    rows, server = await _asked(client, url, _ASK_STATE)
    return _mark_of(rows), server


async def _asked(client: httpx.AsyncClient, url: str, query: str) -> tuple[list[tuple[str, str]], str]:
    try:
        response = await client.post(url, data={"query": query}, headers={"Accept": _JSON})
    except httpx.HTTPError as problem:
        raise _silent("it", type(problem).__name__) from problem
    rows = [(row[0], row[1]) for row in _rows(response, "it", "what", "sum")]
    return rows, response.headers.get("server", "")


def _silent(url: str, problem: str) -> EndpointError:
    return EndpointError(f"{url} does not answer ({problem}); is it running, is the address right?")


def _lost(url: str, what: str, patience: float, problem: httpx.HTTPError) -> EndpointError:
    """What a publication says of a server that it lost, or waits for no longer."""
    if isinstance(problem, httpx.ReadTimeout | httpx.WriteTimeout):
        return _too_silent(url, what, patience)
    return _silent(url, f"{type(problem).__name__}: {problem}")


def _too_silent(who: str, what: str, patience: float) -> EndpointError:
    return EndpointError(
        f"{who} said nothing for {patience:g} s ({what}), so we wait no longer. Nothing is lost, and nothing "
        "there is taken for complete. Look whether it is well, or allow it more (KG_PUBLISH_SECONDS), and "
        "publish again; it goes on from here"
    )


def _rows(response: httpx.Response, url: str, *names: str) -> list[tuple[str, ...]]:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code in (401, 403):
        raise EndpointError(
            f"{url} refuses us (status {response.status_code}): KG_REMOTE_USER and KG_REMOTE_PASSWORD "
            "have to say who we are there, and that one may read"
        )
    if response.status_code != 200 or kind not in (_JSON, "application/json"):
        raise EndpointError(
            f"{url} answered with status {response.status_code} and {kind or 'no media type'}, not with a "
            "SPARQL result; give the address of its query endpoint"
        )
    try:
        bindings = json.loads(response.content)["results"]["bindings"]
        return [tuple(row[name]["value"] for name in names) for row in bindings]
    except (ValueError, KeyError, TypeError) as problem:
        raise EndpointError(f"{url}: its SPARQL JSON cannot be read ({problem!r})") from problem


# ------------------------------------------------------------------------------------------ publishing


def access(user: str, password: str) -> httpx.BasicAuth | None:
    """How each request says who we are; None for nobody."""
    return httpx.BasicAuth(user, password) if user or password else None


class Target(Protocol):
    """A way to put graphs on a server."""

    def replace(self, dump: Dump, file: DumpFile) -> None:
        """Put a graph there in place of what it holds."""
        ...

    def remove(self, graph: str) -> None:
        """Take a graph away."""
        ...

    def mark(self, mark: Mark) -> None:
        """Write the mark in place of the one before."""
        ...


class Told(Protocol):
    """What hears of the progress; see `kg.report.Progress`."""

    def __call__(self, graph: str, quads: int) -> None: ...


def _quiet(graph: str, quads: int) -> None:
    return None


def publish_to(
    snapshot: Snapshot,
    url: str,
    target: Target,
    *,
    user: str = "",
    password: str = "",
    told: Told = _quiet,
    patience: float = PATIENCE,
) -> int:
    """Put a snapshot on the server with the query endpoint `url`; returns how many graphs were sent.

    `user` and `password` are for what is read there; what is written goes by `target`. An answer that is read
    may keep silent for `patience` seconds.

    Raises EndpointError where the server fails or another publication to it begins, UsageError where one runs
    here; what is there then is marked as half loaded, and the same call goes on with what is missing.
    """
    dump = write_dump(snapshot)
    files = {file.graph: file for file in dump.files.values() if file.graph and file.content_sha256}
    wanted = {graph: file.content_sha256 or "" for graph, file in files.items()}
    url, user, password = reached(url, user, password)
    publication = secrets.token_hex(8)
    with (
        _alone(url),
        httpx.Client(
            trust_env=False, timeout=httpx.Timeout(60, read=patience), auth=access(user, password)
        ) as client,
    ):

        def ask(query: str, *names: str) -> list[tuple[str, ...]]:
            try:
                response = client.post(url, data={"query": query}, headers={"Accept": _JSON})
            except httpx.HTTPError as problem:
                raise _lost(url, "a query of what stands there", patience, problem) from problem
            return _rows(response, url, *names)

        def read(query: str) -> Mark | None:
            return _mark_of([(row[0], row[1]) for row in ask(query, "what", "sum")])

        def at(graph: str) -> int:
            return int(ask(f"SELECT (COUNT(*) AS ?n) WHERE {{ GRAPH <{graph}> {{ ?s ?p ?o }} }}", "n")[0][0])

        before = read(_ASK_MARK)

        def go_on() -> None:
            """Another machine may have begun one since; two would mix their graphs under one mark."""
            mark = read(_ASK_STATE)
            if mark is None or (before is not None and mark.publication == before.publication):
                raise EndpointError(
                    f"{url}: what is written does not come there, though it was taken. Are both addresses "
                    "those of one server, and does no proxy stand before it? Mend that and publish again"
                )
            if mark.publication != publication:
                raise EndpointError(
                    f"{url}: another publication to it has begun, so this one stopped. When that one has "
                    "ended, publish again what should stand there"
                )

        told_counts = {row[0]: row[1] for row in ask(_ASK_COUNTS, "what", "sum")}
        there = {row[0]: row[1] for row in ask(_ASK_GRAPHS, "g", "n")}
        # Of a graph that is about to change nothing is said: where this is cut, nobody knows what it holds.
        # One that somebody else changed since does not have the statements that it had.
        held = {
            graph: text
            for graph, text in (before.graphs.items() if before else ())
            if graph in there and wanted.get(graph) == text and there[graph] == told_counts.get(graph)
        }
        if before is not None and before.complete == snapshot.hash and held == wanted:
            return 0
        counts = {graph: int(told_counts[graph]) for graph in held}
        target.mark(Mark("", held, publication, counts))
        # What goes, goes first: it makes room, and so does what a publication left that was cut.
        for graph in sorted(there):
            if graph.startswith(_OURS) and graph not in wanted and graph != MARK:
                go_on()
                target.remove(graph)
        sent = 0
        for graph in sorted(wanted):
            if graph not in held:
                go_on()
                target.replace(dump, files[graph])
                counts[graph] = _whole(url, dump, files[graph], at(graph))
                held[graph] = wanted[graph]
                go_on()
                target.mark(Mark("", held, publication, counts))
                sent += 1
            told(graph, files[graph].quads)
        go_on()
        target.mark(Mark(snapshot.hash, held, publication, counts))
        last = read(_ASK_STATE)
        if last is None or last.complete != snapshot.hash:
            raise EndpointError(f"{url}: all is there but the mark that says so; publish again, it goes on")
    return sent


def _whole(url: str, dump: Dump, file: DumpFile, count: int) -> int:
    """The count, where it can be that of a graph that was sent; EndpointError where it cannot."""
    if count != file.quads and not _distinct_values(dump.path(file.name)) <= count <= file.quads:
        raise EndpointError(
            f"{url} has {count} of the {file.quads} statements of <{file.graph}>, though it took them all. "
            "Nobody is told that it is whole. Are both addresses of one server? Publish again, it goes on"
        )
    return count


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Keep a second publication to a server out while one runs for this user of this machine."""
    name = f"stroma-publish-{os.getuid()}-{hashlib.sha256(url.encode()).hexdigest()[:16]}.lock"
    with open(Path(tempfile.gettempdir()) / name, "a", opener=_not_followed) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{url}: another publication to it runs on this machine; wait until it has ended"
            ) from None
        yield


def _not_followed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)  # anybody may put a link into that folder


class GraphStore:
    """A server with the SPARQL 1.1 Graph Store Protocol at `url`; `user` and `password` for basic access.

    It may neither take nor send anything for `patience` seconds before it is given up.
    """

    def __init__(self, url: str, user: str = "", password: str = "", *, patience: float = PATIENCE) -> None:
        self._url, user, password = reached(url, user, password)
        self._patience = patience
        self._client = httpx.Client(
            trust_env=False,
            auth=access(user, password),
            timeout=httpx.Timeout(30.0, read=patience, write=patience),
        )

    def __enter__(self) -> GraphStore:
        return self

    def __exit__(self, *problem: object) -> None:
        self._client.close()

    def replace(self, dump: Dump, file: DumpFile) -> None:
        """PUT a graph's N-Triples, as a stream."""

        def pieces() -> Iterator[bytes]:
            with gzip.open(dump.path(file.name), "rb") as lines:
                while piece := lines.read(1 << 20):
                    yield piece

        self._send("PUT", file.graph or "", pieces())

    def remove(self, graph: str) -> None:
        """DELETE a graph."""
        self._send("DELETE", graph)

    def mark(self, mark: Mark) -> None:
        """PUT the mark."""
        self._send("PUT", MARK, ("\n".join(mark.triples()) + "\n").encode())

    def _send(self, method: str, graph: str, content: bytes | Iterator[bytes] | None = None) -> None:
        try:
            response = self._client.request(
                method,
                self._url,
                params={"graph": graph},
                content=content,
                headers={} if content is None else {"Content-Type": "application/n-triples"},
            )
        except httpx.HTTPError as problem:
            raise _lost(self._url, f"{method} of <{graph}>", self._patience, problem) from problem
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.is_success and kind == "text/html" and response.content.strip():
            # Virtuoso calls its empty answers so too.
            raise EndpointError(
                f"{self._url}: {method} of <{graph}> was answered with a page ({response.status_code}, "
                "text/html): it may be where one logs in, or no Graph Store. Mend that and publish again; it "
                "goes on"
            )
        if response.status_code not in (200, 201, 204) and not (
            method == "DELETE" and response.status_code == 404
        ):
            said = " ".join(response.text.split())[:300].rstrip(".") or "it does not say why"
            raise EndpointError(
                f"{self._url}: {method} of <{graph}> gave status {response.status_code}. {said}. Mend that "
                "(disk space, a permission, the address of its Graph Store) and publish again; it goes on"
            )


class VirtuosoLoader:
    """Virtuoso with the loader of files in it, through its own client `isql`.

    Not by its list of files to load (`ld_dir`, `rdf_loader_run`): that one is everybody's.

    `server` is HOST:PORT of its SQL port. `folder` is one that Virtuoso may read (DirsAllowed) on its
    machine; files stand there only while they are loaded. The password goes to isql on its command line, as
    it wants it. A graph may take `patience` seconds; then isql is killed.
    """

    def __init__(
        self, server: str, folder: Path, user: str, password: str, *, patience: float = PATIENCE
    ) -> None:
        found = shutil.which("isql-vt") or shutil.which("isql-v")
        if found is None:
            raise UsageError(
                "isql-vt, Virtuoso's client, is not installed (Debian: virtuoso-opensource-7-bin)"
            )
        if not folder.is_dir():
            raise UsageError(
                f"{folder}: there is no such folder; give one that Virtuoso may read (DirsAllowed)"
            )
        self._command = [found, server, user, password, "VERBOSE=OFF", "BANNER=OFF", "ERRORS=STDOUT"]
        self._server = server
        self._folder = folder
        self._patience = patience

    def replace(self, dump: Dump, file: DumpFile) -> None:
        """Load a graph beside the old one, compare its size, and move it over; a large one in its own place.

        Raises EndpointError where less came there than was sent, with the old one as it was if it was moved.
        """
        graph = file.graph or ""
        moved = file.quads <= _AT_ONCE
        into = _beside(graph) if moved else graph
        with tempfile.TemporaryDirectory(prefix="stroma-", dir=self._folder) as folder:
            Path(folder).chmod(0o755)
            path = Path(folder) / f"{file.content_sha256}.nt.gz"
            shutil.copyfile(dump.path(file.name), path)
            path.chmod(0o644)
            quoted = str(path).replace("'", "''")
            self.run(
                _IN_PIECES,
                f"SPARQL CLEAR SILENT GRAPH <{into}>;",
                f"DB.DBA.TTLP(gz_file_open('{quoted}'), '', '{into}', 0);",
                "checkpoint;",
            )
            held = self.run(f"SPARQL SELECT COUNT(*) FROM <{into}> {{ ?s ?p ?o }};")
            if held != str(file.quads):
                least = _distinct_values(path)
                if not held.isdigit() or not least <= int(held) <= file.quads:
                    left = "as it was" if moved else "not whole, and not said to be"
                    raise EndpointError(
                        f"Virtuoso at {self._server} has {held or 'no'} of the {file.quads} statements of "
                        f"<{graph}> that were sent; the graph there is {left}. Its log may say why; "
                        "publish again, it goes on from here"
                    )
        if moved:  # and only now: moving nothing would empty the graph
            self.run(f"SPARQL MOVE GRAPH <{into}> TO GRAPH <{graph}>;", "checkpoint;")

    def remove(self, graph: str) -> None:
        """Drop a graph."""
        self.run(_IN_PIECES, f"SPARQL CLEAR SILENT GRAPH <{graph}>;", "checkpoint;")

    def mark(self, mark: Mark) -> None:
        """Write the mark's triples beside those before, and move them over: at no moment is there none."""
        lines, beside = mark.triples(), _beside(MARK)
        inserts = [
            f"SPARQL INSERT DATA {{ GRAPH <{beside}> {{ {' '.join(lines[at : at + 20])} }} }};"
            for at in range(0, len(lines), 20)  # isql takes no line that is very long
        ]
        self.run(*inserts, f"SPARQL MOVE GRAPH <{beside}> TO GRAPH <{MARK}>;")

    def run(self, *statements: str) -> str:
        """Run SQL statements; what isql prints without its prompts. Raises EndpointError where one fails."""
        try:
            done = subprocess.run(
                self._command,
                input="\n".join(statements) + "\n",
                capture_output=True,
                text=True,
                check=False,
                timeout=self._patience,
            )
        except subprocess.TimeoutExpired:  # its words would show the password
            what = " ".join(statements)[:80]
            raise _too_silent(f"Virtuoso at {self._server}", what, self._patience) from None
        except OSError as problem:
            raise EndpointError(f"{self._command[0]} cannot be run: {problem}") from problem
        printed = done.stdout.replace("SQL>", "").strip()
        if done.returncode != 0 or "*** Error" in printed:
            said = " ".join((printed or done.stderr).split())[:300]
            raise EndpointError(
                f"Virtuoso at {self._server}: {said}. Mend that and publish again; it goes on from here"
            )
        return printed


def _beside(graph: str) -> str:
    """A graph to load into that nobody else fills: a load that was given up may still be running there."""
    return f"{graph}#loading-{secrets.token_hex(4)}"


def _distinct_values(path: Path) -> int:
    """How many statements stay of a sorted file of N-Triples where numbers of one value are one.

    Virtuoso keeps a number's value and not its spelling: 1.0 and 1.00 of one thing are one statement.
    """
    count, subject = 0, b""
    values: set[tuple[bytes, Decimal]] = set()
    with gzip.open(path, "rb") as lines:
        for line in lines:
            first, predicate, value = line.split(b" ", 2)
            if first != subject:
                count += len(values)
                subject, values = first, set()
            number = _NUMBER.match(value)
            if number is None:
                count += 1
            else:
                values.add((predicate, Decimal(number[1].decode())))
    return count + len(values)
