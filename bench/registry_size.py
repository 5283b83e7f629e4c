"""The build, the store and the questions at the size of the registry, and at tenths of it.

    python -m bench registry --studies 560000 --folder /somewhere/large --stages build,bulk,serve,queries

Stages, in this order; each keeps what it found in bench/results/registry.json under the number of studies,
and leaves what is there of the others, so a run can be cut into several:

  build     the input (see bench/registry.py), then `kg build` over it in a process of its own: wall clock,
            steps, memory of all its processes, sizes
  bulk      the peer: pyoxigraph's own bulk load of the same N-Quads, uncompressed, in a process of its own
  serve     the store on disk written; a server started on it; a change to another snapshot under load
  queries   every question at its defaults on the disk engine, over HTTP, nothing cached
  virtuoso  (only when asked for) the same snapshot loaded into Virtuoso, and the same questions
  spark     (only when asked for) the input's records loaded by processes and by Apache Spark, in turns

A stage that stands in the results is not run again without `--again`.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench import registry
from bench.hostile import memory, server_of, tree
from bench.peers import OverHttp
from bench.workload import JSON, TRIPLES, Query, questions
from kg.engine.disk import STORE
from kg.errors import StromaError, UsageError
from kg.snapshot import MANIFEST, PUBLISHED, Snapshot, current, open_snapshot, publish
from kg.terms import ROOT
from tests.peers import free_port, spark, virtuoso

STAGES = ("build", "bulk", "serve", "queries")
RUNS = 3  # of each question, unless it takes long
LONG = 10.0  # seconds for one question's runs together; it is asked once more only within them
STARTS = 3
CLIENTS = 2  # at the change of snapshot
TURNS = 3  # of each who loads, one after the other
OURS, LOCAL, CLUSTER = "processes:2", "local[2]", "spark://, two workers"
WHO = (OURS, LOCAL, CLUSTER)
PART = 2_000_000  # quads in a file for Virtuoso: one is loaded in minutes, and only one is on disk
_PLAIN, _STORED = 250, 350  # bytes a quad, as N-Quads and in the peer's store: 209 and 317, and some room
_IDLE = 15.0  # seconds until a master and workers of Spark have started and wait
_LOOK = 0.5  # seconds between two looks at memory
_LOOKS = 240  # kept of them
_BULK = """import sys, time
from pyoxigraph import RdfFormat, Store
began = time.perf_counter()
store = Store(sys.argv[2])
store.bulk_load(path=sys.argv[1], format=RdfFormat.N_QUADS)
store.flush()
print(time.perf_counter() - began)
"""
Found = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a size's files are: input, `var` of the build, and what stages need for a while."""

    folder: Path
    studies: int
    build_options: Sequence[str] = ()
    patience: float = 60.0  # seconds for one question
    processes: int = 2  # that write the input
    tell: Callable[[str], None] = field(default=lambda said: print(said, flush=True))

    @property
    def var(self) -> Path:
        """KG_VAR of the build and of servers."""
        return self.folder / "var"

    def snapshot(self) -> Snapshot:
        """The snapshot that was built; raises UsageError before the stage build."""
        found = current(self.var)
        if found is None:
            raise UsageError(f"{self.var} holds no graph yet: run the stage build first")
        return found

    def environment(self, **settings: object) -> dict[str, str]:
        """Of a process of ours that works on this place."""
        told = {f"KG_{name.upper()}": str(value) for name, value in settings.items()}
        return {**os.environ, "KG_VAR": str(self.var), **told}


# ------------------------------------------------------------------------------------------ the build


def build(place: Place) -> Found:
    """Seconds, seconds by step, peak memory, quads, and bytes of what stands on disk afterwards."""
    began = time.perf_counter()
    files = registry.write(place.folder / "input", place.studies, processes=place.processes, told=place.tell)
    generated = time.perf_counter() - began
    command = [sys.executable, "-m", "kg", "build", *place.build_options]
    for file in files:
        command += ["--source", f"clinicaltrials={file}"]
    if current(place.var) is not None:
        shutil.rmtree(place.var)  # with it there would be nothing to build
    resumed = place.var.is_dir()
    ran = watched(command, place.environment())
    snapshot = place.snapshot()
    report = snapshot.report
    return {
        "options": list(place.build_options),
        "input": {
            "files": len(files),
            "bytes": sum(file.stat().st_size for file in files),
            "seconds to write": round(generated, 1),
        },
        # Where an earlier run was broken off, seconds may be less than those of a whole build.
        "resumed": resumed,
        "seconds": round(ran.seconds, 2),
        "of processors, s": round(ran.of_processors, 2),
        "peak memory, MiB": ran.peak,
        "steps": _steps(snapshot, ran),
        "memory, s:MiB": " ".join(f"{at:g}:{mib}" for at, mib in ran.looks),
        "quads": snapshot.quads,
        "records": sum(source["records"] for source in report["sources"]),
        "bytes": _sizes(snapshot.folder),
    }


def bulk(place: Place) -> Found:
    """Seconds, quads a second and peak memory of the peer's bulk load, and the bytes of its store.

    Where the disk has no room for the whole as text and as a store, of as many quads as it has room for.
    """
    snapshot = place.snapshot()
    plain, store = place.folder / "data.nq", place.folder / "bulk"
    shutil.rmtree(store, ignore_errors=True)
    quads = min(snapshot.quads, shutil.disk_usage(place.folder).free // (_PLAIN + _STORED))
    try:
        with gzip.open(snapshot.data) as lines, plain.open("wb") as file:
            file.writelines(itertools.islice(lines, quads))
        ran = watched([sys.executable, "-c", _BULK, str(plain), str(store)], dict(os.environ))
        seconds = float(ran.said)
        return {
            "quads": quads,
            "seconds": round(seconds, 2),
            "of processors, s": round(ran.of_processors, 2),
            "quads/s": round(quads / seconds),
            "peak memory, MiB": ran.peak,
            "input, bytes": plain.stat().st_size,
            "store, bytes": _bytes(store),
        }
    finally:
        plain.unlink(missing_ok=True)
        shutil.rmtree(store, ignore_errors=True)


# ------------------------------------------------------------------------------------------ the server


def serve(place: Place) -> Found:
    """Seconds to write the store and its bytes; to start on it; to change, with what failed meanwhile.

    The snapshot that is changed to has the same content under a later date, in hard links: what is measured
    is the change, and not the reading of a store that the system has not seen.
    """
    snapshot = place.snapshot()
    there = (snapshot.folder / STORE).is_dir()
    ran = watched([sys.executable, "-m", "kg.engine.disk", str(snapshot.folder)], dict(os.environ))
    written = None if there else {"seconds": round(ran.seconds, 2), "peak memory, MiB": ran.peak}
    starts, worked, first = [], [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        with _server(place) as address:
            starts.append(time.perf_counter() - began)
            worked.append(sum(_by_process([server_of(address)]).values()))
            httpx.get(f"{address}/sparql", params={"query": "ASK {?s ?p ?o}"}).raise_for_status()
            first.append(time.perf_counter() - began)
    return {
        "store": {"bytes": _bytes(snapshot.folder / STORE), "written": written},
        "start, s": [round(each, 3) for each in starts],
        "start, of processors, s": [round(each, 3) for each in worked],
        "first answer, s": [round(each, 3) for each in first],
        "change": _change(place, snapshot),
    }


@contextmanager
def _server(place: Place) -> Iterator[str]:
    """`kg serve`, which follows the link `current`; `tests.peers.whole_site` stays on one snapshot."""
    port = free_port()
    settings = place.environment(
        engine="disk", watch_seconds=0.1, cache_bytes=0, query_seconds=place.patience, log=""
    )
    with subprocess.Popen(
        [sys.executable, "-m", "kg", "serve", "--port", str(port)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env=settings,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        try:
            if str(port) not in server.stdout.readline():
                raise RuntimeError("the server did not start; what it said stands above")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.communicate(timeout=60)


def _change(place: Place, snapshot: Snapshot) -> Found:
    later = _later(snapshot)
    stop = threading.Event()
    answers: list[tuple[float, str]] = []
    failed: Counter[str] = Counter()
    query = {"query": "SELECT ?s { ?s a <https://w3id.org/stroma/ontology/TrialArm> } LIMIT 5"}
    try:
        with _server(place) as address:

            def client() -> None:
                with httpx.Client(base_url=address, timeout=30) as session:
                    while not stop.is_set():
                        try:
                            answer = session.get("/sparql", params=query)
                        except httpx.HTTPError as problem:
                            failed[type(problem).__name__] += 1
                            continue
                        if answer.status_code != 200:
                            failed[str(answer.status_code)] += 1
                        answers.append((time.perf_counter(), answer.headers.get("x-stroma-version", "")))

            clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
            for each in clients:
                each.start()
            time.sleep(2)
            told = time.perf_counter()
            publish(later, place.var)
            deadline = told + 60
            while time.perf_counter() < deadline and not any(of == later.version for _, of in answers):
                time.sleep(0.01)
            time.sleep(1)
            stop.set()
            for each in clients:
                each.join()
        new = [at for at, of in answers if of == later.version]
        gaps = [after - before for (before, _), (after, _) in itertools.pairwise(answers)]
        return {
            "seconds": round(min(new) - told, 3) if new else None,
            "watched every, s": 0.1,
            "answers": len(answers),
            "failed": dict(failed),
            "longest gap between answers, s": round(max(gaps), 3),
        }
    finally:
        publish(snapshot, place.var)
        shutil.rmtree(later.folder)


def _later(snapshot: Snapshot) -> Snapshot:
    """The same content under a later date, in hard links."""
    version = f"{int(snapshot.version[:4]) + 1}{snapshot.version[4:]}"
    folder = snapshot.folder.with_name(snapshot.name.replace(snapshot.version, version))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(snapshot.folder, folder, copy_function=os.link)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | {"version": version}
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    (folder / PUBLISHED).unlink(missing_ok=True)
    return open_snapshot(folder)


# --------------------------------------------------------------------------------------- the questions


def queries(place: Place) -> Found:
    """By question: seconds of the first time and the median, rows; or why there is no answer."""
    with _server(place) as address:
        return _asked(OverHttp("ours", f"{address}/sparql", patience=place.patience + 5), place.tell)


def on_virtuoso(place: Place) -> Found:
    """Seconds to load the snapshot, bytes of the database, and the questions as in `queries`."""
    folder = place.folder / "virtuoso"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    buffers = min(400_000, psutil.virtual_memory().available // 4 // 8192)
    try:
        with virtuoso(folder, buffers=buffers) as running:
            began = time.perf_counter()
            for number, part in enumerate(_parts(place.snapshot(), folder)):
                running.load(part, "urn:none")
                part.unlink()
                place.tell(f"Virtuoso: {(number + 1) * PART:,} quads, {time.perf_counter() - began:.0f} s")
            seconds = time.perf_counter() - began
            peer = OverHttp("Virtuoso", running.sparql, form=True, patience=place.patience + 5)
            return {
                "load, s": round(seconds, 1),
                "buffers, MiB": buffers * 8192 // 2**20,
                "database, bytes": (folder / "virtuoso.db").stat().st_size,
                "questions": _asked(peer, place.tell),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parts(snapshot: Snapshot, folder: Path) -> Iterator[Path]:
    with gzip.open(snapshot.data, "rb") as lines:
        number = 0
        while True:
            part = folder / f"part-{number:05d}.nq"
            with part.open("wb") as file:
                count = 0
                for count, line in enumerate(lines, 1):
                    file.write(line)
                    if count == PART:
                        break
            if not count:
                part.unlink()
                return
            yield part
            number += 1


def _asked(peer: OverHttp, tell: Callable[[str], None]) -> Found:
    found: Found = {}
    for query in questions():
        took: list[float] = []
        try:
            while not took or (len(took) < RUNS and sum(took) + took[-1] < LONG):
                seconds, body = peer.ask(query)
                took.append(seconds)
            found[query.name] = {
                "first, s": round(took[0], 4),
                "median, s": round(statistics.median(took), 4),
                "runs": len(took),
                "rows": _rows(query, body),
            }
        except TimeoutError:
            found[query.name] = {"failed": f"not within {peer.patience:g} s"}
        except (OSError, ValueError) as problem:
            found[query.name] = {"failed": str(problem)[:200]}
        tell(f"{peer.name}: {query.name}: {found[query.name]}")
    return found


def _rows(query: Query, body: bytes) -> int:
    if query.accept == TRIPLES:
        return body.count(b"\n")
    assert query.accept == JSON
    said = json.loads(body, strict=False)
    return 1 if "boolean" in said else len(said["results"]["bindings"])


# ------------------------------------------------------------------------------------- who loads


def on_spark(place: Place) -> Found:
    """By who loads: the turns of each (see `bench.loading`), their seconds of processors and memory.

    Of Spark's cluster, master and workers were there before; what they use while it loads counts.
    """
    files = registry.write(place.folder / "input", place.studies, processes=place.processes, told=place.tell)
    var = place.folder / "loading"
    turns: dict[str, list[Found]] = {who: [] for who in WHO}
    for _ in range(TURNS):
        for who, found in turns.items():
            shutil.rmtree(var, ignore_errors=True)
            try:
                with _beside(who) as (on, others):
                    command = [sys.executable, "-m", "bench.loading", on, str(var), *map(str, files)]
                    ran = watched(command, dict(os.environ), others)
            finally:
                shutil.rmtree(var, ignore_errors=True)
            found.append(
                json.loads(ran.said)
                | {"of processors, s": round(ran.of_processors, 2), "peak memory, MiB": ran.peak}
            )
            place.tell(f"{who}: {found[-1]}")
    return {"turns": turns}


@contextmanager
def _beside(who: str) -> Iterator[tuple[str, list[psutil.Process]]]:
    """What is given to `--on`, and the processes that belong to it and are no children of the build's."""
    if who != CLUSTER:
        yield who, []
        return
    with spark(workers=2) as cluster:
        others = [psutil.Process(each.pid) for each in (cluster.running, *cluster.workers)]
        time.sleep(_IDLE)
        yield cluster.master, others


# --------------------------------------------------------------------------- processes and their memory


@dataclass(frozen=True)
class Ran:
    """A process that ended well: its seconds, the last line it said, and memory of it and its children."""

    seconds: float
    said: str
    peak: int  # MiB
    looks: list[tuple[float, int]]  # (seconds since its start, MiB), the highest of each interval
    ended: float  # time.time()
    of_processors: float  # seconds, of it and of those of its processes that ended before it


def watched(
    command: Sequence[str], environment: Mapping[str, str], others: Sequence[psutil.Process] = ()
) -> Ran:
    """Run a command to its end and look at its memory (PSS of all its processes) twice a second.

    `others` work for it meanwhile: what they and theirs use counts, too. Raises RuntimeError with the end of
    what it said where it fails.
    """
    looks: list[tuple[float, int]] = []
    before = _of_children()
    idle = sum(_by_process(others).values())
    # By process, as it was last seen: what Java starts ends without leaving its time to anybody.
    worked: dict[int, float] = {}
    beside: dict[int, float] = {}
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        own = psutil.Process(process.pid)
        said: deque[bytes] = deque(maxlen=20)
        reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
        reader.start()
        while process.poll() is None:
            try:
                looks.append((time.perf_counter() - began, sum(map(memory, [own, *others])) // 2**20))
                worked |= _by_process([own])
                beside |= _by_process(others)
            except psutil.Error:
                break
            time.sleep(_LOOK)
        process.wait()
        seconds = time.perf_counter() - began
        reader.join()
    if process.returncode != 0:
        end = b"".join(said).decode(errors="replace")
        raise RuntimeError(f"{' '.join(command[:5])} … ended with {process.returncode}: {end}")
    last = said[-1].decode().strip() if said else ""
    peak = max((mib for _, mib in looks), default=0)
    used = max(_of_children() - before, sum(worked.values())) + sum(beside.values()) - idle
    return Ran(seconds, last, peak, _fewer(looks), time.time(), used)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _by_process(servers: Sequence[psutil.Process]) -> dict[int, float]:
    """Seconds of processors of each process of some servers."""
    found = {}
    for process in itertools.chain.from_iterable(map(tree, servers)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    return found


def _fewer(looks: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    size = -(-len(looks) // _LOOKS) or 1
    slices = [looks[at : at + size] for at in range(0, len(looks), size)]
    return [(round(each[0][0], 1), max(mib for _, mib in each)) for each in slices]


def _steps(snapshot: Snapshot, ran: Ran) -> list[Found]:
    """Name, beginning, seconds and most memory of each step; memory is that of all that ran meanwhile.

    The last steps run beside each other, so that seconds together are more than those that went by.
    """
    told = [(step["name"], step["begins"], step["seconds"]) for step in snapshot.report["steps"]]
    done = until = 0.0
    for _, begins, seconds in sorted(told, key=lambda step: step[1]):
        done += max(0.0, begins + seconds - max(begins, until))
        until = max(until, begins + seconds)
    # Steps count from when the build has read its ontology; what comes before is taken for what is left over.
    before = ran.seconds - until
    steps: list[Found] = []
    for name, begins, seconds in told:
        # A look stands for the time until the next.
        apart = max(_LOOK, ran.seconds / _LOOKS)
        begin = before + begins
        within = [mib for at, mib in ran.looks if begin - apart <= at <= begin + seconds]
        steps.append(
            {
                "name": name,
                "begins, s": round(begin, 3),
                "seconds": seconds,
                "peak memory, MiB": max(within, default=None),
            }
        )
    steps.append(
        {
            "name": "start, end",
            "begins, s": 0.0,
            "seconds": round(ran.seconds - done, 3),
            "peak memory, MiB": max((mib for at, mib in ran.looks if at <= before), default=None),
        }
    )
    return steps


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sizes(folder: Path) -> dict[str, int]:
    found = {path.name: _bytes(path) if path.is_dir() else path.stat().st_size for path in folder.iterdir()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


# ---------------------------------------------------------------------------------------- command line

_RUN: dict[str, Callable[[Place], Found]] = {
    "build": build,
    "bulk": bulk,
    "serve": serve,
    "queries": queries,
    "virtuoso": on_virtuoso,
    "spark": on_spark,
}


def main(arguments: Sequence[str], results: Path, stamp: Mapping[str, str]) -> int:
    """Run stages at one size and write what each finds into `results` (registry.json); an exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench registry", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--studies", type=int, default=registry.STUDIES, help="how many; default: %(default)s"
    )
    parser.add_argument("--folder", type=Path, required=True, help="for input, snapshot and stores")
    parser.add_argument(
        "--stages", default=",".join(STAGES), help=f"of {', '.join(_RUN)}; default: %(default)s"
    )
    parser.add_argument("--virtuoso", action="store_true", help="the stage virtuoso, too")
    parser.add_argument("--again", action="store_true", help="run stages that stand in the results, too")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for one question; default: 60")
    parser.add_argument(
        "--build-options",
        default="",
        help="for kg build, in one argument: --build-options='--on processes:2'",
    )
    told = parser.parse_args(arguments)
    stages = [*filter(None, told.stages.split(",")), *(["virtuoso"] if told.virtuoso else [])]
    unknown = [stage for stage in stages if stage not in _RUN]
    if unknown:
        parser.error(f"no stage is called {unknown[0]!r}; there are: {', '.join(_RUN)}")
    place = Place(
        told.folder.resolve() / str(told.studies), told.studies, told.build_options.split(), told.patience
    )
    for stage in stages:
        if stage in _read(results).get(str(told.studies), {}) and not told.again:
            print(f"{stage} at {told.studies:,} studies stands in the results; --again runs it again")
            continue
        print(f"{stage} at {told.studies:,} studies", flush=True)
        try:
            found = {**stamp, **_RUN[stage](place)}
        except (StromaError, RuntimeError) as problem:
            print(f"{stage}: {problem}. The stages before it are kept.", file=sys.stderr)
            return 1
        known = _read(results)
        known.setdefault(str(told.studies), {})[stage] = found
        ordered = dict(sorted(known.items(), key=lambda item: int(item[0])))
        results.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(
            json.dumps({key: value for key, value in found.items() if key != "memory, s:MiB"}, indent=1)[
                :4000
            ]
        )
    return 0


def _read(results: Path) -> Found:
    if not results.is_file():
        return {}
    found: Found = json.loads(results.read_text(encoding="utf-8"))
    return found
