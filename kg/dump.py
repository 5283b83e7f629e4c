"""The files of a snapshot for download: all of it, and each graph, with their checksums.

    snapshots/2026-11-22-0a1b2c3d4e5f/dump/
        index.json          for each file its name, media type, bytes, SHA-256
        stroma.trig.gz      all graphs as TriG
        graph/<name>.nt.gz, graph/<name>.ttl.gz

Hides where they stand (`stroma.nq.gz` is the snapshot's own file) and how they are made: once, in flat memory
and in one step, so that a folder is complete or not there. Names come from the snapshot's graphs; a file that
is asked for is looked up in the index, and what was asked never becomes part of a path.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

from pyoxigraph import RdfFormat, parse, serialize

from kg.packing import Packer, Shared, packed
from kg.snapshot import Snapshot, draft, read_lines
from kg.terms import BASE, digest, prefixes

FOLDER = "dump"
FORMAT = 1  # of the folder
_INDEX = "index.json"
_QUADS = "stroma.nq.gz"
_OPEN = 200  # graphs written at once: open files
_AT_ONCE = 1_000  # lines of a graph written at once
_PREFIX = b"@prefix "


@dataclass(frozen=True)
class DumpFile:
    """One file: its name below the dump, what is in it, and how to check it.

    `content_sha256` is that of the sorted lines before compression: it does not depend on the compressor,
    and is there for N-Quads (where it is the snapshot's hash) and N-Triples.
    """

    name: str
    media_type: str  # of what is compressed
    graph: str | None  # None: all graphs
    quads: int
    bytes: int
    sha256: str
    content_sha256: str | None = None


@dataclass(frozen=True)
class Dump:
    """The files of a snapshot, by name."""

    snapshot: Snapshot
    files: Mapping[str, DumpFile]

    def path(self, name: str) -> Path:
        """Where a file stands; KeyError for a name that is not among `files`."""
        file = self.files[name]
        return self.snapshot.data if file.name == _QUADS else self.snapshot.folder / FOLDER / file.name

    @property
    def checksums(self) -> str:
        """The lines that `sha256sum --check` reads."""
        return "".join(f"{file.sha256}  {file.name}\n" for file in self.files.values())


def write_dump(snapshot: Snapshot) -> Dump:
    """Make the files of a snapshot, in one step, unless they are there; returns them."""
    target = snapshot.folder / FOLDER
    if _index_of(target) is None:
        with draft(snapshot.folder.parent.parent) as work:
            folder = work / FOLDER
            folder.mkdir()
            index = {"format": FORMAT, "files": [asdict(file) for file in _write_graphs(snapshot, folder)]}
            (folder / _INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)  # of an older format
            folder.rename(target)
    return dump_of(snapshot)


def dump_of(snapshot: Snapshot) -> Dump:
    """The files of a snapshot that there are: all, or only N-Quads where `write_dump` did not run."""
    told = snapshot.manifest["files"][snapshot.data.name]
    quads = DumpFile(
        _QUADS, "application/n-quads", None, snapshot.quads, told["bytes"], told["sha256"], snapshot.hash
    )
    return Dump(snapshot, {_QUADS: quads, **(_index_of(snapshot.folder / FOLDER) or {})})


def _index_of(folder: Path) -> dict[str, DumpFile] | None:
    """What stands in a folder of files; None where it is not there or of another format."""
    try:
        return _read_index(folder / _INDEX, (folder / _INDEX).stat().st_mtime_ns)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=8)
def _read_index(file: Path, changed: int) -> dict[str, DumpFile] | None:
    index = json.loads(file.read_text(encoding="utf-8"))
    if index["format"] != FORMAT:
        return None
    return {entry["name"]: DumpFile(**entry) for entry in index["files"]}


def _write_graphs(snapshot: Snapshot, folder: Path) -> Iterator[DumpFile]:
    """Each graph's files, and TriG, which needs the graphs one after the other."""
    digests = _divide(snapshot, folder)
    found: list[DumpFile] = []
    with packed(folder / "stroma.trig.gz") as trig:
        trig.writelines(f"@prefix {name}: <{iri}> .\n".encode() for name, iri in prefixes().items())
        for graph, name in _names(snapshot).items():
            with gzip.open(folder / f"{name}.nt.gz") as lines, packed(folder / f"{name}.ttl.gz") as turtle:
                # What Turtle says after its prefixes, TriG says within the braces of a graph.
                trig.write(f"{_term(graph)} {{\n".encode())
                both = _Both(turtle, trig)
                serialize(
                    parse(cast(IO[bytes], lines), format=RdfFormat.N_TRIPLES),
                    cast(IO[bytes], both),
                    format=RdfFormat.TURTLE,
                    prefixes=dict(prefixes()),
                )
                both.end()
                trig.write(b"}\n")
            number, digest = snapshot.graphs[graph], digests[graph]
            found += [
                _described(folder, f"{name}.nt.gz", "application/n-triples", graph, number, digest),
                _described(folder, f"{name}.ttl.gz", "text/turtle", graph, number),
            ]
    yield _described(folder, "stroma.trig.gz", "application/trig", None, snapshot.quads)
    yield from found


class _Both:
    """What is written to it goes to one file, and without the prefixes at its head to another."""

    def __init__(self, whole: Packer, rest: Packer) -> None:
        self._whole, self._rest = whole, rest
        self._head = b""
        self._body: Shared | None = None

    def write(self, data: bytes) -> int:
        """Take bytes; returns how many."""
        if self._body is not None:
            return self._body.write(data)
        self._head += data
        while self._head.startswith(_PREFIX) and b"\n" in self._head:
            prefix, newline, self._head = self._head.partition(b"\n")
            self._whole.write(prefix + newline)
        if not _PREFIX.startswith(self._head[: len(_PREFIX)]):
            self._body = Shared((self._whole, self._rest))
            self._body.write(self._head)
        return len(data)

    def end(self) -> None:
        """Give the files what is held."""
        if self._body is not None:
            self._body.end()

    def flush(self) -> None:
        """Nothing: the files are ended by who began them."""


def _names(snapshot: Snapshot) -> dict[str, str]:
    """The file name, without suffix, of each graph: its own where that is plain, else a digest of its IRI."""
    names = {}
    for graph in snapshot.graphs:
        own = graph.removeprefix(f"{BASE}graph/")
        plain = own != graph and re.fullmatch(r"[\w-]+(?:[./][\w-]+)*", own, re.ASCII)
        names[graph] = f"graph/{own if plain else digest(graph)}"
    return names


@dataclass
class _Triples:
    """The N-Triples of a graph, on their way to a file: written, and hashed, some at a time."""

    file: Packer
    graph: str
    digest: Any = field(default_factory=hashlib.sha256)
    held: list[bytes] = field(default_factory=list)

    def write(self) -> None:
        text = b"".join([b" .\n".join(self.held), b" .\n" if self.held else b""])
        self.file.write(text)
        self.digest.update(text)
        self.held.clear()


def _divide(snapshot: Snapshot, folder: Path) -> dict[str, str]:
    """Write each graph's N-Triples; returns the SHA-256 of their lines."""
    digests: dict[str, str] = {}
    names = _names(snapshot)
    graphs = list(names)
    for start in range(0, len(graphs), _OPEN):
        with ExitStack() as stack:
            files: dict[bytes, _Triples] = {}
            for graph in graphs[start : start + _OPEN]:
                path = folder / f"{names[graph]}.nt.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                files[f" {_term(graph)} .\n".encode()] = _Triples(stack.enter_context(packed(path)), graph)
            for line in read_lines(snapshot):
                graph_from = line.rindex(b" ", 0, -3)
                if (found := files.get(line[graph_from:])) is not None:
                    found.held.append(line[:graph_from])
                    if len(found.held) >= _AT_ONCE:
                        found.write()
            for each in files.values():
                each.write()
                digests[each.graph] = each.digest.hexdigest()
    return digests


def _term(graph: str) -> str:
    return graph if graph.startswith("_:") else f"<{graph}>"


def _described(
    folder: Path, name: str, media_type: str, graph: str | None, quads: int, content: str | None = None
) -> DumpFile:
    path = folder / name
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return DumpFile(name, media_type, graph, quads, path.stat().st_size, sha256, content)
