"""The loading step of a build: a source's records, loaded in partitions, merged into one sorted file.

    var/partitions/<source>/<key>.nq.zst     the sorted lines of a partition
    var/partitions/<source>/<key>.json       its account, records and terms; written last

Hides what was loaded before (a partition is known by a hash of its bytes and of the code that loads it), who
loads the rest (this process, processes beside it, Apache Spark), and the merge in flat memory. What was
loaded stays when a build fails or is killed: the next one goes on from there.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, groupby, islice
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Protocol

import zstandard

from kg.errors import BuildError, CountMismatch, UsageError
from kg.parts import Account, Loaded, Partition, SourceInfo
from kg.report import Progress, SourceReport
from kg.terms import RDF, expand
from kg.workers import end_with_parent
from loaders import catalog
from loaders.record import reason_to_ignore

FOLDER = "partitions"
_FORMAT = 1  # of a kept partition
_AT_ONCE = 128  # partitions sorted in memory together: 1.1 million lines of trials, 270 MB
_LOOK = 1.0  # seconds between two looks at whether those who load are still there
_PROCESSES = re.compile(r"processes(?::([1-9]\d{0,3}))?")
_MASTER = re.compile(r"spark://\S+:\d+(,\S+:\d+)*|local\[([1-9]\d*|\*)\]")
_UNUSED = timedelta(days=7)
_TYPE = str(RDF.type).encode()


class Workers(Protocol):
    """Those who load partitions, in any order and number."""

    @property
    def at_once(self) -> int:
        """How many partitions may wait for them, beside the one that is asked for."""

    @property
    def processes(self) -> int:
        """How many processes of this machine the build may use, for loading or for its other steps."""

    def submit(self, partition: Partition) -> Future[Loaded]:
        """Load a partition some time."""

    def check(self) -> None:
        """Raise BuildError when nobody is left who could load anything."""


def check_workers(on: str) -> None:
    """Raise UsageError where a text names nobody who loads."""
    if not _PROCESSES.fullmatch(on) and not _MASTER.fullmatch(on):
        raise UsageError(
            f"{on!r} is nobody who loads: processes, processes:4, spark://host:7077 or local[2] (Spark)"
        )


@contextmanager
def workers(on: str) -> Iterator[Workers]:
    """Who loads: `processes` (one for each processor), `processes:N`, or the master of a Spark cluster.

    A master is `spark://host:port`, or `local[N]` for Spark on this machine. Raises UsageError for anything
    else, and where pyspark is not installed; BuildError where the cluster does not answer.
    """
    check_workers(on)
    if number := _PROCESSES.fullmatch(on):
        with _Processes(int(number[1] or os.cpu_count() or 1)) as processes:
            yield processes
    else:
        from kg import spark

        with spark.cluster(on) as there:
            yield there


class _Processes:
    """Processes of this machine, started when there is more than one partition to load."""

    def __init__(self, number: int) -> None:
        self.processes = number
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    @property
    def at_once(self) -> int:
        return 2 * self.processes if self.processes > 1 else 0

    def submit(self, partition: Partition) -> Future[Loaded]:
        if self.processes == 1:
            return _here(partition)
        if self._pool is None:
            # Not forked: this process may have threads by now.
            self._pool = ProcessPoolExecutor(self.processes, get_context("spawn"), end_with_parent)
        try:
            return self._pool.submit(catalog.load_partition, partition)
        except BrokenProcessPool:
            raise _lost(partition) from None

    def check(self) -> None: ...


def _here(partition: Partition) -> Future[Loaded]:
    done: Future[Loaded] = Future()
    done.set_result(catalog.load_partition(partition))
    return done


def _lost(partition: Partition) -> BuildError:
    return BuildError(
        f"source {partition.source}: a process that loads records ended, or was killed, perhaps for want of "
        "memory. Nothing was published; what was loaded is kept. Run the same command again, with fewer "
        "processes (--on processes:1)"
    )


# ------------------------------------------------------------------------------------------ one source


@dataclass(frozen=True)
class _Kept:
    """A partition that was loaded: where its lines stand, and what is known of it."""

    lines: Path
    quads: int
    records: Mapping[str, tuple[str, str]]
    terms: tuple[bytes, ...]
    account: Account


@dataclass(frozen=True)
class Source:
    """A source, loaded: `file` holds its lines, sorted and unique (zstd); `told` what became of its fields.

    `terms` are a line for each predicate and class that it uses.
    """

    info: SourceInfo
    file: Path
    told: SourceReport
    terms: tuple[bytes, ...]


def load(
    info: SourceInfo, extra: Sequence[Path], var: Path, work: Path, them: Workers, progress: Progress
) -> Source:
    """Load a source's embedded data and some files more; what is loaded already is taken as it is.

    Raises SourceError for a record that cannot be read or comes twice, CountMismatch where the embedded data
    give other numbers than `source.toml` expects, BuildError where those who load are gone.
    """
    started = time.perf_counter()
    told = SourceReport(info.name, info.title, info.version, info.licence)
    every: list[_Kept] = []
    loaded = 0
    for files, embedded in ((catalog.embedded_files(info), True), (tuple(extra), False)):
        kept: list[_Kept] = []
        account = Account()
        if files:
            # Embedded data are few: they are loaded before others would have started.
            those = _Processes(1) if embedded else them
            for one in _loaded(info.name, files, var / FOLDER / info.name, those, progress, loaded):
                kept.append(one)
                account.add(one.account)
                loaded += one.quads
        if embedded:
            _check_counts(info, account, kept)
        if files or embedded:
            told.add(info, files, account, reason_to_ignore, embedded=embedded)
        every += kept
    file = work / f"{info.name}.nq.zst"
    if len(every) == 1:
        shutil.copyfile(every[0].lines, file)
        told.quads = every[0].quads
    else:
        told.quads = _merge([one.lines for one in every], file, work)
    told.seconds = round(time.perf_counter() - started, 3)
    terms = {line.split(b" ", 2)[1]: line for one in every for line in one.terms}
    classes = {line.split(b" ", 3)[2]: line for one in every for line in one.terms if _is_type(line)}
    return Source(info, file, told, (*terms.values(), *classes.values()))


def _is_type(line: bytes) -> bool:
    return line.split(b" ", 2)[1] == _TYPE


def _loaded(
    name: str, files: Sequence[Path], folder: Path, them: Workers, progress: Progress, before: int
) -> Iterator[_Kept]:
    """The partitions of files, in order. One that is not kept yet is loaded, and kept from then on."""
    seen: dict[str, tuple[str, str]] = {}
    done = before
    left = _Left(files)
    for partition, found in _each(catalog.divide(name, files), folder, them):
        twice = found.records.keys() & seen.keys()
        if twice:
            for record in sorted(twice):
                sha256, file = found.records[record]
                if sha256 != seen[record][0]:
                    catalog.refuse_twice(name, record, file, seen)
            partition = replace(partition, left_out=frozenset(twice))
            path = folder / catalog.key(partition)
            found = _read(path) or _keep(path, catalog.load_partition(partition))
        seen.update(found.records)
        done += found.quads
        progress.advance(done, left.seconds(partition))
        yield found


class _Left:
    """How long the rest of some files will take, told from how far they have been read."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._sizes = {path.name: path.stat().st_size for path in files}
        self._total = sum(self._sizes.values())
        self._passed = 0
        self._file = ""
        self._begun = time.monotonic()

    def seconds(self, partition: Partition) -> float | None:
        """For the rest, when a partition is done; None where that cannot be told yet."""
        if not partition.units:
            return None
        unit = partition.units[-1]
        for file in dict.fromkeys(unit.file for unit in partition.units):
            if file != self._file:
                self._passed += self._sizes.get(self._file, 0)
                self._file = file
        read = self._passed + unit.end
        took = time.monotonic() - self._begun
        return max(0, self._total - read) * took / read if read and took > 1 else None


def _each(partitions: Iterator[Partition], folder: Path, them: Workers) -> Iterator[tuple[Partition, _Kept]]:
    """Each partition with what it gave. One without a second is loaded here, too."""
    first = list(islice(partitions, 2))
    waiting: deque[tuple[Partition, Path, _Kept | Future[Loaded]]] = deque()

    def done() -> tuple[Partition, _Kept]:
        partition, path, found = waiting.popleft()
        kept = found if isinstance(found, _Kept) else _keep(path, _result(partition, found, them))
        return partition, kept

    try:
        for partition in chain(first, partitions):
            path = folder / catalog.key(partition)
            found = _read(path) or (them.submit(partition) if len(first) > 1 else _here(partition))
            waiting.append((partition, path, found))
            if len(waiting) > them.at_once:
                yield done()
        while waiting:
            yield done()
    finally:
        # After an error: what others have loaded meanwhile is kept, too.
        for _, path, found in waiting:
            if isinstance(found, Future) and found.done() and not found.cancelled() and not found.exception():
                _keep(path, found.result())


def _result(partition: Partition, future: Future[Loaded], them: Workers) -> Loaded:
    while True:
        try:
            return future.result(timeout=_LOOK)
        except TimeoutError:
            them.check()
        except BrokenProcessPool:
            raise _lost(partition) from None


def _check_counts(info: SourceInfo, account: Account, kept: Sequence[_Kept]) -> None:
    """CountMismatch where embedded data give other numbers than expected."""
    expected = info.expected
    instances: dict[bytes, set[bytes]] = {str(expand(curie)).encode(): set() for curie in expected.counts}
    if instances:
        for line in chain.from_iterable(_lines_of(one.lines) for one in kept):
            s, p, o, _ = line.split(b" ", 3)
            if p == _TYPE and o in instances:
                instances[o].add(s)
    found = [
        (curie, due, len(those))
        for (curie, due), those in zip(expected.counts.items(), instances.values(), strict=True)
    ]
    if expected.records is not None:
        found.insert(0, ("records", expected.records, account.records))
    if wrong := [f"{what}: expected {due}, found {is_}" for what, due, is_ in found if due != is_]:
        raise CountMismatch(
            f"source {info.name}: {'; '.join(wrong)}. Where the new numbers are right, "
            f"write them into [expected] of loaders/{info.name}/source.toml"
        )


# ------------------------------------------------------------------------------------- what is kept


def _keep(path: Path, loaded: Loaded) -> _Kept:
    """Put what a partition gave beside `path`, its lines first: without its account it does not count."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.with_name(f"{path.name}.nq.zst")
    _write(lines, loaded.lines)
    told = {
        "format": _FORMAT,
        "sha256": hashlib.sha256(loaded.lines).hexdigest(),
        "quads": loaded.quads,
        "records": loaded.records,
        "terms": [line.decode() for line in loaded.terms],
        "account": vars(loaded.account),
    }
    _write(path.with_name(f"{path.name}.json"), json.dumps(told, ensure_ascii=False).encode())
    return _Kept(lines, loaded.quads, loaded.records, loaded.terms, loaded.account)


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> _Kept | None:
    """What is kept of a partition; None where it is not, or is damaged and has to be loaded again."""
    told_in, lines = path.with_name(f"{path.name}.json"), path.with_name(f"{path.name}.nq.zst")
    try:
        told = json.loads(told_in.read_bytes())
        with lines.open("rb") as file:
            if told["format"] != _FORMAT or hashlib.file_digest(file, "sha256").hexdigest() != told["sha256"]:
                return None
        os.utime(told_in)  # used: see `forget`
        return _Kept(
            lines,
            told["quads"],
            {name: (sha256, file) for name, (sha256, file) in told["records"].items()},
            tuple(line.encode() for line in told["terms"]),
            Account.of(told["account"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(var: Path, oldest: datetime) -> None:
    """Remove what was kept of partitions that no build used for a week before a time, and what a kill left.

    The time is that of the oldest snapshot that is kept: going back to it, and on from it, stays quick.
    What cannot be removed stays: that is no reason for a build to fail.
    """
    limit = (oldest - _UNUSED).timestamp()
    for path in (var / FOLDER).glob("*/*"):
        told = path.with_name(path.name.removesuffix(".nq.zst").removesuffix(".json") + ".json")
        with suppress(OSError):
            if (told if told.exists() else path).stat().st_mtime < limit:
                path.unlink()


# ------------------------------------------------------------------------------------------- merging


def _lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from read_lines(file)


def read_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file that zstd has compressed."""
    rest = b""
    for chunk in zstandard.ZstdDecompressor().read_to_iter(file, read_size=2**18, write_size=2**20):
        lines = (rest + chunk).splitlines(keepends=True)
        rest = lines.pop() if not lines[-1].endswith(b"\n") else b""
        yield from lines


def _merge(files: Sequence[Path], target: Path, work: Path) -> int:
    """Write the lines of sorted files into one, sorted, each once; returns how many there are.

    In two rounds: some files at a time in memory, then the outcomes line by line. So no more files are open
    at once than there are groups of them.
    """
    with ExitStack() as stack:
        rounds: list[Iterator[bytes]] = []
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            # Sorted pieces one after the other: a sort merges them.
            lines = sorted(chain.from_iterable(map(_lines_of, some)))
            if len(files) <= _AT_ONCE:
                rounds.append(iter(lines))
                break
            draft = work / f".merge-{start}"
            _compress(lines, draft)
            stack.callback(draft.unlink, missing_ok=True)
            rounds.append(_lines_of(draft))
        return _compress((line for line, _ in groupby(heapq.merge(*rounds))), target)


def _compress(lines: Iterable[bytes], target: Path) -> int:
    count = 0
    with (
        target.open("wb") as raw,
        zstandard.ZstdCompressor(level=1, write_checksum=True).stream_writer(raw) as packed,
    ):
        piece: list[bytes] = []
        for line in lines:
            piece.append(line)
            if len(piece) == 10_000:
                packed.write(b"".join(piece))
                count += len(piece)
                piece = []
        packed.write(b"".join(piece))
    return count + len(piece)
