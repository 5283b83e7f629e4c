"""Snapshots: one immutable build, as a folder. Write, verify, publish, open, load.

    var/current -> snapshots/2026-11-22-0a1b2c3d4e5f     swapped atomically
    var/snapshots/2026-11-22-0a1b2c3d4e5f/
        manifest.json    format, version, hash, created, quads, graphs, sources, files
        data.nq.gz       the graph: sorted unique N-Quads
        report.json, report.md, ...    how it was built; not part of what the hash names
        published        empty: it is or was the current one, and may be asked for as an older version

Hides the folder's layout, the sort on disk that keeps memory flat, and how a kill or a full disk at any
moment leaves `current` as it was: everything is written in a draft folder, then renamed. The canonical
hash is the SHA-256 of the sorted unique lines, so it does not depend on compression, order or time.
"""

from __future__ import annotations

import fcntl
import glob
import gzip
import hashlib
import heapq
import json
import os
import re
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BufferedReader, RawIOBase
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from pyoxigraph import BlankNode, DefaultGraph, Quad, RdfFormat, Store, Triple, parse

from kg.errors import BuildError, SnapshotError, SourceError, UsageError
from kg.packing import packed
from kg.terms import mint

FORMAT = 1  # of the folder; raised when an older version of this module could not read it
DATA = "data.nq.gz"
MANIFEST = "manifest.json"
PUBLISHED = "published"  # an empty file: this snapshot was the current one
KEPT = 3  # snapshots that stay after a publish, the current one included

_FORMATS = {
    ".ttl": RdfFormat.TURTLE,
    ".trig": RdfFormat.TRIG,
    ".nt": RdfFormat.N_TRIPLES,
    ".nq": RdfFormat.N_QUADS,
    ".rdf": RdfFormat.RDF_XML,
    ".owl": RdfFormat.RDF_XML,
    ".jsonld": RdfFormat.JSON_LD,
    ".n3": RdfFormat.N3,
}
_AT_ONCE = 10_000  # lines hashed and compressed at once
_RUN_LINES = 200_000  # lines sorted in memory at once: about 60 MB
_RUNS = 100  # files merged at once; a process may have 1,024 open


@dataclass(frozen=True)
class Snapshot:
    """A snapshot folder, opened. `graphs` maps a graph's IRI to its number of quads."""

    folder: Path
    version: str  # a date, "2026-11-22"
    hash: str  # 64 hex digits; names the content
    quads: int
    graphs: Mapping[str, int]
    created: str  # ISO 8601, UTC
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The folder's name: version and the first 12 digits of the hash."""
        return f"{self.version}-{self.hash[:12]}"

    @property
    def data(self) -> Path:
        """The gzipped N-Quads file."""
        return self.folder / DATA

    @property
    def report(self) -> Mapping[str, Any]:
        """The build's report; empty for a snapshot of files."""
        try:
            loaded = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return cast(Mapping[str, Any], loaded)


def line_of(quad: Quad) -> bytes:
    """The canonical N-Quads line of a quad, newline included; lexical forms are kept as they are."""
    return str(quad).encode() + b" .\n"


# ---------------------------------------------------------------------------------------- writing


@contextmanager
def draft(var: Path) -> Iterator[Path]:
    """A temporary folder beside the snapshots, removed at the end of the block.

    One that a killed process left is removed when the next draft begins; one in use is left alone.
    A full disk, or any other refusal of the system inside the block, raises BuildError.
    """
    try:
        snapshots = var / "snapshots"
        snapshots.mkdir(parents=True, exist_ok=True)
        with locked_folder(snapshots, ".draft-") as folder:
            yield folder
    except OSError as problem:
        where = problem.filename or var
        raise BuildError(
            f"{where}: {problem.strerror or problem}. Nothing was published, the served snapshot is as it "
            f"was. Mend that (disk space, a path, a permission) and run the same command again"
        ) from problem


@contextmanager
def locked_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder of this process alone, below `parent` and with a name of that prefix; removed at the end.

    Others of that prefix go where the process that made them is dead.
    """
    _remove_dead(parent, prefix)
    folder, lock = _new_locked(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _new_locked(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the open descriptor that holds its lock for as long as we live."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Between mkdtemp and flock another process may have taken it for a dead one's and removed it.
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_dead(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # in use by a living process
        finally:
            os.close(lock)


def check_version(version: str) -> None:
    """Raise UsageError where a version is no date."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", version) is not None and date.fromisoformat(version):
            return
    except ValueError:
        pass
    raise UsageError(f"{version!r} is not a version: it is a date such as 2026-11-22")


def write_snapshot(
    quads: Iterable[Quad | bytes],
    var: Path,
    *,
    version: str,
    sources: Sequence[Mapping[str, Any]] = (),
    reports: Mapping[str, str] | None = None,
    are_sorted: bool = False,
) -> Snapshot:
    """Write quads as a snapshot in `var/snapshots`, verify what stands on disk, and open it; publish nothing.

    `quads` may hold canonical lines (`line_of`) instead of quads; with `are_sorted` it holds nothing else and
    they come sorted, some perhaps twice, so that they are not sorted again: ValueError where one does not.
    Every quad has a named graph: ValueError otherwise. `version` is a date; `sources` goes into the
    manifest; `reports` are further files by name.
    The same content gives the same folder: where it exists, only its reports are replaced.
    Raises BuildError for a full disk, UsageError for a version that is no date.
    """
    check_version(version)
    with draft(var) as work:
        folder = work / "snapshot"
        folder.mkdir()
        digest, graphs = _write_sorted(
            cast(Iterable[bytes], quads) if are_sorted else sorted_unique(quads, work), folder / DATA
        )
        manifest = {
            "format": FORMAT,
            "version": version,
            "hash": digest,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "quads": sum(graphs.values()),
            "graphs": dict(sorted(graphs.items())),
            "sources": list(sources),
            "files": {DATA: _fingerprint(folder / DATA)},
        }
        _write(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        for name, text in (reports or {}).items():
            _write(folder / name, text)
        _sync(folder)
        open_snapshot(folder, verify=True)
        final = var / "snapshots" / f"{version}-{digest[:12]}"
        _settle(folder, final, work)
    return open_snapshot(final)


def replace_reports(snapshot: Snapshot, reports: Mapping[str, str]) -> None:
    """Put further files of a snapshot, by name, in the place of those that it has; each at once."""
    for name, text in reports.items():
        fresh = snapshot.folder / f"{name}.new"
        _write(fresh, text)
        fresh.replace(snapshot.folder / name)
    _sync(snapshot.folder)


def _write_sorted(lines: Iterable[bytes], target: Path) -> tuple[str, Counter[str]]:
    """Compress sorted lines, each once; return the canonical hash and the quads of each graph."""
    digest = hashlib.sha256()
    by_graph: Counter[bytes] = Counter()
    with packed(target) as file:
        for some in _once_each(lines):
            text = b"".join(some)
            digest.update(text)
            by_graph.update(line[line.rindex(b" ", 0, -3) + 1 : -3] for line in some)
            file.write(text)
    _sync(target)
    return digest.hexdigest(), Counter({graph.decode().strip("<>"): n for graph, n in by_graph.items()})


def _once_each(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Some lines at a time, each once; ValueError for one that does not come sorted."""
    rest, last = iter(lines), b""
    while some := list(islice(rest, _AT_ONCE)):
        some = list(dict.fromkeys(some))
        if some[0] == last:
            del some[0]
        # A list in order is compared once from end to end, and not moved.
        if some and (some[0] < last or some != sorted(some)):
            raise ValueError(f"the lines of a snapshot come sorted; these do not, from {some[0]!r} on")
        if some:
            last = some[-1]
            yield some


def sort_quads(quads: Iterable[Quad | bytes], target: Path) -> int:
    """Write the sorted unique lines of quads, or lines, to a file, in flat memory; return how many."""
    count = 0
    with target.open("wb") as file:
        for line in sorted_unique(quads, target.parent):
            file.write(line)
            count += 1
    return count


def sorted_unique(quads: Iterable[Quad | bytes], work: Path, at_once: int | None = None) -> Iterator[bytes]:
    """Canonical lines, sorted, each once, in flat memory: runs of `at_once` lines stand in `work` meanwhile.

    Lines may be of anything; each ends with a newline.
    """
    at_once = at_once or _RUN_LINES
    with tempfile.TemporaryDirectory(dir=work) as folder:
        runs: list[Path] = []

        def put(lines: set[bytes]) -> None:
            run = Path(folder) / str(len(runs))
            with run.open("wb") as file:
                file.writelines(sorted(lines))
            runs.append(run)

        lines: set[bytes] = set()
        for quad in quads:
            if not isinstance(quad, bytes):
                if isinstance(quad.graph_name, DefaultGraph):
                    raise ValueError(f"a snapshot keeps every quad in a named graph; this has none: {quad}")
                quad = line_of(quad)
            lines.add(quad)
            if len(lines) >= at_once:
                put(lines)
                lines = set()
        yield from merge_runs(runs, sorted(lines))


def merge_runs(runs: Sequence[Path], more: Iterable[bytes] = ()) -> Iterator[bytes]:
    """The lines of sorted files, which are removed, and of `more`, sorted, each once.

    At most `_RUNS` are open at once: of more, so many at a time are first merged into one beside them.
    """
    while len(runs) > _RUNS:
        fewer = []
        for start in range(0, len(runs), _RUNS):
            some = runs[start : start + _RUNS]
            merged = some[0].with_name(f"{some[0].name}-")
            with merged.open("wb") as file:
                file.writelines(merge_runs(some))
            fewer.append(merged)
        runs = fewer
    with ExitStack() as stack:
        opened = [stack.enter_context(run.open("rb")) for run in runs]
        for run in runs:
            run.unlink()
        previous = b""
        for line in heapq.merge(*opened, more):
            if line != previous:
                yield line
                previous = line


def by_subject(lines: Iterable[bytes], at_once: int) -> Iterator[list[bytes]]:
    """Sorted lines in lists of `at_once` or few more: those of one subject are in one list."""
    lines = iter(lines)
    rest: list[bytes] = []
    while group := rest + list(islice(lines, at_once)):
        last, rest = group[-1].split(b" ", 1)[0], []
        for line in lines:
            if line.split(b" ", 1)[0] != last:
                rest = [line]
                break
            group.append(line)
        yield group
        del group  # before the next one is made


def _settle(folder: Path, final: Path, work: Path) -> None:
    """Rename a finished folder to its name; content that is already there stays and gets the new reports."""
    if final.exists():
        try:
            open_snapshot(final, verify=True)
        except SnapshotError:
            final.rename(work / "damaged")
        else:
            for path in folder.iterdir():
                if path.name not in (DATA, MANIFEST):
                    path.replace(final / path.name)
            return
    folder.rename(final)
    _sync(final.parent)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


# ------------------------------------------------------------------------------ opening, publishing


def open_snapshot(path: Path, *, verify: bool = False) -> Snapshot:
    """Open a snapshot folder (or a link to one); `verify` also compares its files with their hashes.

    Raises SnapshotError naming the file that is missing, damaged, or of a newer format.
    """
    folder = path.resolve()
    file = folder / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        if manifest["format"] > FORMAT:
            raise SnapshotError(
                f"{file}: format {manifest['format']} was written by a newer version; this one reads up to "
                f"{FORMAT}. Upgrade stroma-kg, or build again with `kg build`"
            )
        snapshot = Snapshot(
            folder=folder,
            version=manifest["version"],
            hash=manifest["hash"],
            quads=manifest["quads"],
            graphs=manifest["graphs"],
            created=manifest["created"],
            manifest=manifest,
        )
        listed = manifest["files"]
        size = listed[DATA]["bytes"]
    except FileNotFoundError as problem:
        raise SnapshotError(f"{file}: there is no snapshot here. Build one with `kg build`") from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise _damaged(file, f"the manifest cannot be read ({problem!r})") from problem
    if not snapshot.data.is_file():
        raise _damaged(snapshot.data, "is missing")
    if snapshot.data.stat().st_size != size:
        raise _damaged(snapshot.data, f"has {snapshot.data.stat().st_size} bytes, not {size}")
    if verify:
        for name, expected in listed.items():
            if not (folder / name).is_file() or _fingerprint(folder / name) != expected:
                raise _damaged(folder / name, "is not the file that was written (its SHA-256 differs)")
    return snapshot


def _damaged(file: Path, problem: str) -> SnapshotError:
    return SnapshotError(f"{file}: {problem}; the snapshot is damaged. Run `kg build`, which replaces it")


def publish(snapshot: Snapshot, var: Path, *, keep: int = KEPT) -> None:
    """Make a snapshot the current one, in one atomic step; then remove all but the newest `keep`."""
    (snapshot.folder / PUBLISHED).touch()
    link = var / f".current-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(snapshot.folder, var))
    os.replace(link, var / "current")
    _sync(var)
    prune(var, keep=keep, spare=snapshot)


def current(var: Path) -> Snapshot | None:
    """The published snapshot, or None where nothing was published; SnapshotError when it is damaged."""
    link = var / "current"
    return open_snapshot(link) if link.is_symlink() or link.exists() else None


def snapshots(var: Path) -> list[Snapshot]:
    """Every readable snapshot under `var`, newest first."""
    found = []
    for file in (var / "snapshots").glob(f"[!.]*/{MANIFEST}"):
        try:
            found.append(open_snapshot(file.parent))
        except SnapshotError:
            continue
    return sorted(found, key=lambda snapshot: (snapshot.created, snapshot.name), reverse=True)


def published(var: Path) -> list[Snapshot]:
    """The snapshots under `var` that are or were the current one, newest first.

    A snapshot of somebody's files (`kg serve --data`) lies beside them and is not among them.
    """
    return [snapshot for snapshot in snapshots(var) if (snapshot.folder / PUBLISHED).exists()]


def prune(var: Path, *, keep: int, spare: Snapshot) -> None:
    """Remove all snapshots but the newest `keep`; never `spare` nor the current one."""
    link = var / "current"
    wanted = {spare.folder.resolve(), link.resolve()}
    for snapshot in snapshots(var):
        if snapshot.folder not in wanted and len(wanted) >= keep:
            # Renamed first: a kill in the middle leaves a dead draft, not half a snapshot.
            doomed = snapshot.folder.with_name(f".draft-{snapshot.folder.name}")
            snapshot.folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
        wanted.add(snapshot.folder)


# ------------------------------------------------------------------------------------------ reading


def read_lines(snapshot: Snapshot) -> Iterator[bytes]:
    """The snapshot's N-Quads lines in canonical order; SnapshotError for a damaged file."""
    try:
        # Lines are cut by the outer buffer, which is in C: those of a GzipFile cost as much as to decompress.
        with BufferedReader(cast(RawIOBase, gzip.open(snapshot.data, "rb")), 1 << 18) as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error, FileNotFoundError) as problem:
        raise _damaged(snapshot.data, str(problem)) from problem


def load_store(snapshot: Snapshot) -> Store:
    """The snapshot in a new in-memory store, after its file was compared with its hash.

    A store normalises literals ("1.50" becomes "1.5"); `read_lines` gives them as they were built.
    Every load gives the same order of quads and the same blank-node labels, so that an answer has the same
    bytes after a restart and on another machine; `Store.load` and `bulk_load` relabel and race (0.5, tried).
    """
    open_snapshot(snapshot.folder, verify=True)
    store = Store()
    try:
        with gzip.open(snapshot.data, "rb") as file:
            store.bulk_extend(parse(cast(IO[bytes], file), format=RdfFormat.N_QUADS))
    except (EOFError, gzip.BadGzipFile, zlib.error, SyntaxError) as problem:
        raise _damaged(snapshot.data, str(problem)) from problem
    return store


def snapshot_of_files(files: Sequence[Path], var: Path) -> Snapshot:
    """A snapshot of RDF files as they are (Turtle, TriG, N-Triples, N-Quads, RDF/XML, JSON-LD; also `.gz`).

    Triples without a graph come into `graph:file/<file name>`. Its version is the date of the newest file.
    Raises UsageError for an unknown suffix or a missing file, SourceError naming file and line where one
    does not parse.
    """
    formats = {path: _format_of(path) for path in files}
    newest = max(path.stat().st_mtime for path in files) if files else 0.0
    ordered = sorted(formats, key=lambda path: (path.name, str(path)))
    quads = (quad for number, path in enumerate(ordered) for quad in _quads_of(path, formats[path], number))
    snapshot = write_snapshot(
        quads,
        var,
        version=datetime.fromtimestamp(newest, UTC).date().isoformat(),
        sources=[{"file": path.name, **_fingerprint(path)} for path in ordered],
    )
    prune(var, keep=KEPT, spare=snapshot)
    return snapshot


def _format_of(path: Path) -> RdfFormat:
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix not in _FORMATS:
        known = " ".join(_FORMATS)
        raise UsageError(
            f"{path}: the suffix does not tell an RDF format; known: {known}, each also with .gz"
        )
    return _FORMATS[suffix]


def _quads_of(path: Path, format: RdfFormat, number: int) -> Iterator[Quad]:
    graph = mint("graph", "file", path.name)
    labels: dict[str, BlankNode] = {}

    def relabelled(node: Any) -> Any:
        # By first appearance, so that one file always gives the same labels and two never share one.
        if isinstance(node, Triple):
            return Triple(relabelled(node.subject), node.predicate, relabelled(node.object))
        if not isinstance(node, BlankNode):
            return node
        return labels.setdefault(node.value, BlankNode(f"f{number}b{len(labels)}"))

    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for quad in parse(cast(IO[bytes], file), format=format, base_iri=graph.value):
                name = graph if isinstance(quad.graph_name, DefaultGraph) else relabelled(quad.graph_name)
                yield Quad(relabelled(quad.subject), quad.predicate, relabelled(quad.object), name)
    except SyntaxError as problem:
        place = str(path) if problem.lineno is None else f"{path}:{problem.lineno}"
        raise SourceError(problem.msg, source="--data", file=place, advice="Mend the file") from problem
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise SourceError(
            str(problem), source="--data", file=str(path), advice="Copy the file again"
        ) from problem
