"""A snapshot's store on disk (RocksDB), for graphs that do not fit in memory, and which graphs do.

Hides when the store is written and what makes it valid: it is written once, by the build where a server with
the same settings would open it and else by the first that does, beside the snapshot's data, by a process of
its own (RocksDB's threads do not survive a fork), under a lock, and renamed to its name when it is complete.
It is never written again, so that any number of processes, of any number of servers, may read it at once.
Hides, too, how RocksDB comes to sort what it took in bulk, so that a lookup reads one place, and to compress
it.

    var/snapshots/2026-11-22-0a1b2c3d4e5f/store/    the store, and `store.json` that says what it holds
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Literal, cast

import pyoxigraph
from pyoxigraph import RdfFormat, Store, parse

from kg.errors import SnapshotError, StromaError
from kg.snapshot import Snapshot, load_store, open_snapshot

STORE = "store"
_SEAL = "store.json"
OPEN_FILES = 4096  # that a worker may hold; a store of 100 million quads has some hundred
BYTES_PER_QUAD = 400  # in memory, about; measured on the embedded graph and on ten times its size
# RocksDB compresses what it merges into an index that has half a gigabyte already, and not before: so many
# quads are sorted first, and the rest is merged into them. Read as fast, in half the bytes (0063).
_FIRST = 14_000_000
BYTES_WHILE_WRITTEN = 360  # a quad; it takes 320 in the end, of a large store 170; measured up to 40 million
_LOOK = 1.0  # seconds between two looks at whether the process that wants a store is there
_MEMORY_SHARE = 0.5  # of the memory that is free; the rest is for what queries need and for the next snapshot


@dataclass(frozen=True)
class Choice:
    """Which engine holds a snapshot, and why, in a sentence for people."""

    engine: Literal["memory", "disk"]
    why: str


def choose(snapshot: Snapshot, wanted: str = "auto", *, free_bytes: int | None = None) -> Choice:
    """The engine for a snapshot: the one that is wanted, or for "auto" memory where it fits well.

    `free_bytes` is the memory that can be had; by default what the system and this process's limits leave.
    """
    if wanted != "auto":
        return Choice("disk" if wanted == "disk" else "memory", f"KG_ENGINE={wanted} says so")
    free = free_memory() if free_bytes is None else free_bytes
    needed = snapshot.quads * BYTES_PER_QUAD
    said = f"{snapshot.quads:,} quads need about {_megabytes(needed)}"
    if free is None:
        return Choice("memory", f"{said}, and the system does not tell how much memory is free")
    share = int(free * _MEMORY_SHARE)
    if needed <= share:
        return Choice("memory", f"{said}, and {_megabytes(share)} (half of what is free) can be had")
    return Choice("disk", f"{said}, more than {_megabytes(share)}, half of the memory that is free")


def free_memory() -> int | None:
    """Bytes of memory this process could still use, in the system and its control group; None if unknown."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text())
            found.append(max(0, int(limit) - used))
    except (OSError, ValueError, IndexError):
        pass
    return min(found, default=None)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


# -------------------------------------------------------------------------------------- writing, opening


def write_store(snapshot: Snapshot, *, free_bytes: int | None = None) -> Path:
    """Write the store of a snapshot into its folder, unless it is there; returns its folder.

    `free_bytes` is what the disk has for it, by default what is free now. Waits where another process writes
    it. Raises SnapshotError for data that are damaged, and where the disk has no room for a store or the
    folder cannot be written; what is half written is removed, now or by the next writer.
    """
    target = snapshot.folder / STORE
    if is_written(snapshot):
        return target
    try:
        lock = os.open(snapshot.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_written(snapshot):
                for dead in snapshot.folder.glob(f".{STORE}-*"):
                    shutil.rmtree(dead, ignore_errors=True)
                shutil.rmtree(target, ignore_errors=True)
                work = Path(tempfile.mkdtemp(prefix=f".{STORE}-", dir=snapshot.folder))
                try:
                    _fill(snapshot, work, free_bytes)
                    work.rename(target)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
        finally:
            os.close(lock)
    except OSError as problem:
        raise SnapshotError(
            f"{target}: the store cannot be written ({problem}). Mend that (disk space, a permission) and "
            "start again; or set KG_ENGINE=memory, which writes nothing"
        ) from problem
    return target


def prepare(snapshot: Snapshot) -> None:
    """Have a process of its own write the store, unless it is there; raises SnapshotError if it cannot be."""
    # Not in this process, for a writer's threads would not survive our forks; and not in a fork of one that
    # ever had a store open, where RocksDB would wait for threads that it has in name only.
    written = subprocess.run(
        [sys.executable, "-m", "kg.engine.disk", str(snapshot.folder)], stderr=subprocess.PIPE, text=True
    )
    if written.returncode:
        raise SnapshotError(
            written.stderr.strip() or f"{snapshot.folder}: the process that writes the store ended"
        )


def _fill(snapshot: Snapshot, folder: Path, free_bytes: int | None) -> None:
    open_snapshot(snapshot.folder, verify=True)
    free = shutil.disk_usage(folder).free if free_bytes is None else free_bytes
    needed = snapshot.quads * BYTES_WHILE_WRITTEN
    if needed > free:
        # Said before: RocksDB does not say so where it has no room to sort what it took.
        raise SnapshotError(
            f"{folder.parent}: the store of {snapshot.quads:,} quads needs {_megabytes(needed)} while it is "
            f"written, and the disk has {_megabytes(free)} free. Make room and start again; or set "
            "KG_ENGINE=memory, which writes nothing"
        )
    store = Store(str(folder))
    try:
        with gzip.open(snapshot.data, "rb") as file:
            # As in memory (`kg.snapshot.load_store`): labels of blank nodes stay as they are.
            quads = parse(cast(IO[bytes], file), format=RdfFormat.N_QUADS)
            store.bulk_extend(islice(quads, _FIRST))
            store.optimize()
            store.bulk_extend(quads)
    except (EOFError, gzip.BadGzipFile, zlib.error, SyntaxError) as problem:
        raise SnapshotError(f"{snapshot.data}: {problem}; run `kg build`, which replaces it") from problem
    store.optimize()
    store.flush()
    (folder / _SEAL).write_text(json.dumps(_seal(snapshot)) + "\n", encoding="utf-8")


def _seal(snapshot: Snapshot) -> dict[str, object]:
    return {"hash": snapshot.hash, "quads": snapshot.quads, "pyoxigraph": pyoxigraph.__version__}


def is_written(snapshot: Snapshot) -> bool:
    """Whether a complete store of this content stands, written by the version that would read it."""
    try:
        told = json.loads((snapshot.folder / STORE / _SEAL).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(told == _seal(snapshot))


def open_store(snapshot: Snapshot) -> Store:
    """The store that `write_store` wrote, to be read. Raises SnapshotError where it cannot be opened."""
    try:
        return Store.read_only(str(snapshot.folder / STORE))
    except OSError as problem:
        raise SnapshotError(
            f"{snapshot.folder / STORE}: the store cannot be opened ({problem}). Remove that folder; the "
            "next start writes it again"
        ) from problem


def store_of(snapshot: Snapshot, wanted: str = "auto") -> Store:
    """A snapshot to be read in this process: its store on disk where that stands, in memory where it fits.

    `wanted` is as for `choose`; where that is the disk and the store does not stand, it is written first.
    Raises SnapshotError as loading, writing and opening do.
    """
    if not is_written(snapshot):
        if choose(snapshot, wanted).engine == "memory":
            return load_store(snapshot)
        prepare(snapshot)
    return open_store(snapshot)


def main(arguments: list[str]) -> int:
    """Write the store of the snapshot in the folder that is the first argument."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        write_store(open_snapshot(Path(arguments[0])))
    except StromaError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


def _end_with(parent: int) -> None:
    """End when the process that began this one does, even where it is killed and cannot say so."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
