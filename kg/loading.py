"""The loading step of a build: a source's records, loaded in partitions, merged into one sorted file.

    var/partitions/<source>/<key>.nq.zst     the sorted lines of a partition, wherever in a file it stands
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
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, groupby, islice
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import IO, Protocol

import zstandard

from kg.errors import BuildError, CountMismatch, UsageError
from kg.parts import Account, Loaded, Partition, SourceInfo, Unit
from kg.report import Progress, SourceReport
from kg.terms import RDF, expand
from kg.workers import end_with_parent
from loaders import catalog
from loaders.record import reason_to_ignore

FOLDER = "partitions"
_FORMAT = 3  # of a kept partition
_AT_ONCE = 128  # partitions sorted in memory together: 1.1 million lines of trials, 270 MB
_LOOK = 1.0  # seconds between two looks at whether those who load are still there
_PROCESSES = re.compile(r"processes(?::([1-9]\d{0,3}))?")
_MASTER = re.compile(r"spark://\S+:\d+(,\S+:\d+)*|local\[([1-9]\d*|\*)\]")
_RECENT = 64  # partitions that tell how fast loading is
_TOLD_FROM = 8  # of these it takes to tell anything
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

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        if error is not None:
            # A pool that broke ends the processes it knows. One that was starting while another died is not
            # known yet: it would wait for the pool for ever, and the pool for it.
            for process in active_children():
                process.kill()
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
    """A partition that was loaded: where its lines stand, and what is known of it (`kg.parts.Loaded`)."""

    lines: Path
    quads: int
    records: Mapping[str, tuple[str, str]]
    terms: tuple[bytes, ...]
    account: Account
    standing: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class _Piece:
    """A partition to be merged: its lines, how many, and those that say where its records stand (zlib).

    There may be tens of thousands: all else that is known of a partition is let go.
    """

    lines: Path
    quads: int
    placed: bytes


class _Damaged(BuildError):
    """A partition that was damaged after it had been looked at."""

    def __init__(self, source: str, piece: _Piece, problem: str) -> None:
        self.piece = piece
        super().__init__(
            f"source {source}: partition {piece.lines.name.partition('.')[0]} was damaged after it had been "
            f"loaded: {problem}. Nothing was published. Run the same command again, which loads this one "
            f"again and keeps the others; where it comes back, look at the disk of {piece.lines.parent}"
        )


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
    give other numbers than `source.toml` expects, BuildError where those who load are gone, or where what is
    kept is damaged while it is used, again and again.
    """
    started = time.perf_counter()
    for last in (False, True):
        try:
            source = _load(info, extra, var, work, them, progress)
            break
        except _Damaged as problem:
            for path in (_told_in(problem.piece.lines), problem.piece.lines):
                path.unlink(missing_ok=True)
            if last:
                raise
            progress.note(f"{str(problem).partition('. Nothing')[0]}. It is loaded again")
    source.told.seconds = round(time.perf_counter() - started, 3)
    return source


def _load(
    info: SourceInfo, extra: Sequence[Path], var: Path, work: Path, them: Workers, progress: Progress
) -> Source:
    told = SourceReport(info.name, info.title, info.version, info.licence)
    every: list[_Piece] = []
    terms: dict[tuple[bytes, bytes], bytes] = {}
    loaded = 0
    for files, embedded in ((catalog.embedded_files(info), True), (tuple(extra), False)):
        pieces: list[_Piece] = []
        account = Account()
        if files:
            # Embedded data are few: they are loaded before others would have started.
            those = _Processes(1) if embedded else them
            for partition, one in _loaded(
                info.name, files, var / FOLDER / info.name, those, progress, loaded
            ):
                placed = b"".join(
                    catalog.line_of_record(info, record, line)
                    for record, number in one.standing
                    if (line := partition.units[number].line) is not None
                )
                pieces.append(_Piece(one.lines, one.quads, zlib.compress(placed, 1)))
                account.add(one.account)
                loaded += one.quads
                terms |= {_term(line): line for line in one.terms}
        if embedded:
            _check_counts(info, account, pieces)
        elif files and not account.records + account.repeated:
            named = ", ".join(path.name for path in files)
            progress.note(f"source {info.name}: there is no record in {named}")
        else:
            for name in sorted(account.empty):
                progress.note(f"source {info.name}: there is no record in {name}, or in a part of it")
        if files or embedded:
            told.add(info, files, account, reason_to_ignore, embedded=embedded)
        every += pieces
    file = work / f"{info.name}.nq.zst"
    told.quads = _merge(info.name, every, file, work)
    return Source(info, file, told, tuple(terms.values()))


def _term(line: bytes) -> tuple[bytes, bytes]:
    """The predicate of a line, and of one that gives a type the class."""
    _, predicate, value = line.split(b" ", 2)
    return predicate, value.split(b" ", 1)[0] if predicate == _TYPE else b""


def _loaded(
    name: str, files: Sequence[Path], folder: Path, them: Workers, progress: Progress, before: int
) -> Iterator[tuple[Partition, _Kept]]:
    """The partitions of files, in order. One that is not kept yet is loaded, and kept from then on."""
    seen: dict[str, tuple[str, str]] = {}
    done = before
    left = _Left({path.name: path.stat().st_size for path in files}, time.monotonic())
    for partition, found, was_kept in _each(catalog.divide(name, files), folder, them):
        twice = found.records.keys() & seen.keys()
        if twice:
            for record in sorted(twice):
                sha256, file = found.records[record]
                if sha256 != seen[record][0]:
                    catalog.refuse_twice(name, record, file, seen)
            partition = replace(partition, left_out=frozenset(twice))
            path = folder / catalog.key(partition)
            found, was_kept = _found(path, partition)
        seen.update((record, (sha256, sys.intern(file))) for record, (sha256, file) in found.records.items())
        done += found.quads
        seconds = left.seconds(partition, time.monotonic(), kept=was_kept)
        progress.advance(done, seconds, (left.kept, left.parts))
        yield partition, found


class _Left:
    """How long the rest of some files will take, told from how far they have been read, and how fast of late.

    What an earlier build left takes no time to speak of. How much of the rest is such is taken to be as much
    as since the first that had to be loaded: where a build was stopped, nothing behind that; where a few
    records changed, most.
    """

    def __init__(self, sizes: Mapping[str, int], begun: float) -> None:
        self.parts = self.kept = 0
        self._sizes, self._total = sizes, sum(sizes.values())
        self._passed = 0  # bytes of the files before this one
        self._file = ""
        self._last = begun
        self._read = 0
        self._since: int | None = None  # bytes that had been read before the first that had to be loaded
        self._loaded = 0  # bytes
        self._recent: deque[tuple[float, int]] = deque(maxlen=_RECENT)  # seconds and bytes of those loaded

    def seconds(self, partition: Partition, now: float, *, kept: bool) -> float | None:
        """For the rest, when a partition is done; None where that cannot be told yet.

        `now` is in seconds of any clock that `begun` was of.
        """
        self.parts += 1
        self.kept += kept
        took, self._last = now - self._last, now
        if not partition.units:
            return None
        for file in dict.fromkeys(unit.file for unit in partition.units):
            if file != self._file:
                self._passed += self._sizes.get(self._file, 0)
                self._file = file
        before, self._read = self._read, self._passed + partition.units[-1].end
        if not kept:
            self._since = before if self._since is None else self._since
            self._loaded += self._read - before
            self._recent.append((took, self._read - before))
        size = sum(size for _, size in self._recent)
        if len(self._recent) < _TOLD_FROM or self._since is None or not size:
            return None
        share = self._loaded / (self._read - self._since)
        return max(0, self._total - self._read) * share * sum(took for took, _ in self._recent) / size


def _each(
    partitions: Iterator[Partition], folder: Path, them: Workers
) -> Iterator[tuple[Partition, _Kept, bool]]:
    """Each partition with what it gave, and whether that was kept. One without a second is loaded here."""
    first = list(islice(partitions, 2))
    waiting: deque[tuple[Partition, Path, _Kept | Future[Loaded]]] = deque()

    def done() -> tuple[Partition, _Kept, bool]:
        partition, path, found = waiting.popleft()
        if isinstance(found, _Kept):
            return partition, found, True
        return partition, _keep(path, partition, _result(partition, found, them)), False

    try:
        for partition in chain(first, partitions):
            path = folder / catalog.key(partition)
            found = _read(path, partition) or (them.submit(partition) if len(first) > 1 else _here(partition))
            waiting.append((partition, path, found))
            if len(waiting) > them.at_once:
                yield done()
        while waiting:
            yield done()
    finally:
        # After an error: what others have loaded meanwhile is kept, too.
        for partition, path, found in waiting:
            if isinstance(found, Future) and found.done() and not found.cancelled() and not found.exception():
                with suppress(BuildError):  # of records that are missing: the first error is the one to tell
                    _keep(path, partition, found.result())


def _found(path: Path, partition: Partition) -> tuple[_Kept, bool]:
    """What a partition gives, loaded here where it is not kept, and whether it was."""
    kept = _read(path, partition)
    return kept or _keep(path, partition, catalog.load_partition(partition)), kept is not None


def _result(partition: Partition, future: Future[Loaded], them: Workers) -> Loaded:
    while True:
        try:
            return future.result(timeout=_LOOK)
        except TimeoutError:
            them.check()
        except BrokenProcessPool:
            raise _lost(partition) from None


def _check_counts(info: SourceInfo, account: Account, pieces: Sequence[_Piece]) -> None:
    """CountMismatch where embedded data give other numbers than expected."""
    expected = info.expected
    instances: dict[bytes, set[bytes]] = {str(expand(curie)).encode(): set() for curie in expected.counts}
    if instances:
        for piece in pieces:
            with _reading(info.name, piece) as agree:
                number = 0
                for line in _lines_of(piece.lines):
                    number += 1
                    s, p, o, _ = line.split(b" ", 3)
                    if p == _TYPE and o in instances:
                        instances[o].add(s)
                agree(number)
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


def _missing(partition: Partition, account: Account, records: int) -> str:
    """What of a partition its account does not account for; nothing where all of it is.

    Each unit is expected to give a record: one that is loaded, or the same as one before; or it is known to
    hold none. `records` is how many are named.
    """
    units, empty = len(partition.units), account.empty.total()
    if account.units != units:
        return f"{account.units:,} of its {units:,} units were read"
    if account.records != records:
        return f"{records:,} records are named, and {account.records:,} were loaded"
    if account.records + account.repeated < units - empty:
        return (
            f"{units - empty:,} records or more were expected, {account.records:,} were loaded and "
            f"{account.repeated:,} are the same as one before"
        )
    return ""


def _keep(path: Path, partition: Partition, loaded: Loaded) -> _Kept:
    """Put what a partition gave beside `path`, its lines first: without its account it does not count.

    Raises BuildError where records are missing.
    """
    if problem := _missing(partition, loaded.account, len(loaded.records)):
        ends = [_place(unit) for unit in (*partition.units[:1], *partition.units[-1:])]
        where = " to ".join(ends or [path.name for path in partition.files])
        raise BuildError(
            f"source {partition.source}: records are missing from partition {path.name} ({where}): {problem}."
            f" Nothing was published; mend loaders/{partition.source}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.with_name(f"{path.name}.nq.zst")
    _write(lines, loaded.lines)
    told = {
        "format": _FORMAT,
        "sha256": hashlib.sha256(loaded.lines).hexdigest(),
        "quads": loaded.quads,
        "records": loaded.records,
        "terms": [line.decode() for line in loaded.terms],
        "standing": loaded.standing,
        "account": vars(loaded.account),
    }
    _write(_told_in(lines), json.dumps(told, ensure_ascii=False).encode())
    return _Kept(lines, loaded.quads, loaded.records, loaded.terms, loaded.account, loaded.standing)


def _place(unit: Unit) -> str:
    return unit.file if unit.line is None else f"{unit.file}:{unit.line}"


def _told_in(lines: Path) -> Path:
    """Where the account of a partition stands, by where its lines do."""
    return lines.with_name(f"{lines.name.removesuffix('.nq.zst')}.json")


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path, partition: Partition) -> _Kept | None:
    """What is kept of a partition; None where it is not, or is damaged and has to be loaded again.

    Its account must say that every unit was read, as when it was loaded. That its lines are as many as it
    says is seen when they are merged.
    """
    lines = path.with_name(f"{path.name}.nq.zst")
    told_in = _told_in(lines)
    try:
        told = json.loads(told_in.read_bytes())
        with lines.open("rb") as file:
            if told["format"] != _FORMAT or hashlib.file_digest(file, "sha256").hexdigest() != told["sha256"]:
                return None
        found = _Kept(
            lines,
            told["quads"],
            {name: (sha256, file) for name, (sha256, file) in told["records"].items()},
            tuple(line.encode() for line in told["terms"]),
            Account.of(told["account"]),
            tuple((record, number) for record, number in told["standing"]),
        )
        if _missing(partition, found.account, len(found.records)):
            return None
        os.utime(told_in)  # used: see `forget`
        return found
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


@contextmanager
def _reading(source: str, piece: _Piece) -> Iterator[Callable[[int], None]]:
    """While a partition's lines are read; gives what is to be called with their number. Raises _Damaged."""

    def agree(number: int) -> None:
        if number != piece.quads:
            told = f"it has {number:,} quads, and its account says {piece.quads:,}"
            raise _Damaged(source, piece, told)

    try:
        yield agree
    except (OSError, zstandard.ZstdError) as problem:
        raise _Damaged(source, piece, f"its lines cannot be read ({problem})") from problem


def read_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file that zstd has compressed."""
    rest = b""
    for chunk in zstandard.ZstdDecompressor().read_to_iter(file, read_size=2**18, write_size=2**20):
        lines = (rest + chunk).splitlines(keepends=True)
        rest = lines.pop() if not lines[-1].endswith(b"\n") else b""
        yield from lines


def _merge(source: str, pieces: Sequence[_Piece], target: Path, work: Path) -> int:
    """Write the lines of partitions into one file, sorted, each once; returns how many there are.

    In two rounds: some partitions at a time in memory, then the outcomes line by line. So no more files are
    open at once than there are groups of them. Raises _Damaged.
    """
    if len(pieces) == 1 and not zlib.decompress(pieces[0].placed):
        with _reading(source, pieces[0]) as agree:
            agree(sum(1 for _ in _lines_of(pieces[0].lines)))
        shutil.copyfile(pieces[0].lines, target)
        return pieces[0].quads
    with ExitStack() as stack:
        rounds: list[Iterator[bytes]] = []
        for start in range(0, len(pieces), _AT_ONCE):
            # Sorted pieces one after the other: a sort merges them.
            lines: list[bytes] = []
            for piece in pieces[start : start + _AT_ONCE]:
                before = len(lines)
                with _reading(source, piece) as agree:
                    lines += _lines_of(piece.lines)
                    agree(len(lines) - before)
                lines += zlib.decompress(piece.placed).splitlines(keepends=True)
            lines.sort()
            if len(pieces) <= _AT_ONCE:
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
