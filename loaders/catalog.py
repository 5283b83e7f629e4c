"""The sources: find them, and load one as a Part.

A source is a folder with `source.toml` and `loader.py`. The loader has two functions:

    read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]      # parsing only
    quads(record: Record, graph: Graph) -> Iterator[Quad]                  # pure

A loader of large files may offer two more, so that records are loaded apart, in processes or on other
machines (`divide`, `load_partition`):

    units(files: Sequence[Path], info: SourceInfo) -> Iterator[Unit]       # the files in pieces
    of_unit(unit: Unit, info: SourceInfo) -> Iterator[Record]              # the records of a piece

What such a loader gives depends on the piece and on the code alone, never on other files: what was loaded is
kept by a hash of both.

Its embedded data is `records/*`, sorted by name, or what `embedded` of `source.toml` names: a pattern of
paths below the project's root.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, cast
from zlib import crc32

import zstandard
from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import SourceError, UsageError
from kg.parts import Account, Expectation, Loaded, Part, Partition, SourceInfo, Unit, dated
from kg.terms import RDF, ROOT, STROMA, XSD, mint
from loaders.emit import Graph
from loaders.record import Record

FOLDER = Path(__file__).resolve().parent
_ROOMS = ("terms", "parts", "errors")  # what loaders see of `kg`

# They read what loaders read: another version may read it otherwise.
_PACKAGES = ("pyoxigraph", "pyyaml", "obonet", "py-horned-owl")

# A partition ends after a unit whose bytes say so, which is one in so many: a unit that comes, goes or
# changes spoils the partition it is in, and leaves the next ones as they were.
_UNITS = 32
_MOST_UNITS = 4 * _UNITS
_MOST_BYTES = 16 * 2**20

NO_FILE = "the same input"  # where a record does not say which file it comes from

# What a source's graph can be: stroma:LevelStated, LevelRecorded, LevelCurated, LevelDefined.
_LEVELS = ("stated", "recorded", "curated", "defined")


class Loader(Protocol):
    """What `loaders/<source>/loader.py` offers."""

    def read(self, files: Sequence[Path], info: SourceInfo) -> Iterator[Record]: ...
    def quads(self, record: Record, graph: Graph) -> Iterator[Quad]: ...


class Divisible(Loader, Protocol):
    """What the loader of large files offers besides."""

    def units(self, files: Sequence[Path], info: SourceInfo) -> Iterator[Unit]: ...
    def of_unit(self, unit: Unit, info: SourceInfo) -> Iterator[Record]: ...


def find_sources() -> dict[str, SourceInfo]:
    """Every source by name, in alphabetical order."""
    return {path.parent.name: describe(path.parent.name) for path in sorted(FOLDER.glob("*/source.toml"))}


def describe(name: str) -> SourceInfo:
    """The description of one source; raises UsageError for an unknown name, SourceError for a faulty file."""
    path = FOLDER / name / "source.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in FOLDER.glob("*/source.toml")))
        raise UsageError(f"no source is called {name!r}; there are: {known}")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        expected = data.get("expected", {})
        return SourceInfo(
            name=name,
            title=data["title"],
            description=data["description"],
            kind=data["kind"],
            level=_level(data["level"]),
            url=data["url"],
            licence=data["licence"],
            version=data["version"],
            graph=mint("graph", name),
            ignored=data.get("ignored", {}),
            embedded=data.get("embedded", f"loaders/{name}/records/*"),
            expected=Expectation(records=expected.get("records"), counts=expected.get("counts", {})),
        )
    except (tomllib.TOMLDecodeError, KeyError, ValueError) as problem:
        raise SourceError(f"cannot be read: {problem}", source=name, file="source.toml") from problem


def _level(text: str) -> str:
    if text not in _LEVELS:
        raise ValueError(f"level {text!r} is none of {', '.join(_LEVELS)}")
    return text


def load(name: str, files: Sequence[Path] = ()) -> Part:
    """A source's quads as a Part; without `files`, of its embedded data. Nothing is read until iterated.

    A record that comes twice raises SourceError: two records of one identifier would silently merge.
    """
    info = describe(name)
    embedded = not files
    chosen = tuple(files) or embedded_files(info)
    loader = _loader(name)
    account, graph, seen = Account(), _graph(info), dict[str, tuple[str, str]]()
    quads = (
        quad
        for record in loader.read(chosen, info)
        for quad in _quads(loader, info, record, graph, account, seen)
    )
    return Part(info, chosen, embedded, quads, account)


def embedded_files(info: SourceInfo) -> tuple[Path, ...]:
    """The files of a source's embedded data, sorted by name."""
    return tuple(sorted(path for path in ROOT.glob(info.embedded) if path.is_file()))


# --------------------------------------------------------------------------------------- partitions


def divide(name: str, files: Sequence[Path]) -> Iterator[Partition]:
    """The records of files in partitions, in order; of a loader that does not divide them, in one.

    Raises SourceError where a file is too damaged to be divided.
    """
    info, loader, by = describe(name), _loader(name), code(name)
    if not hasattr(loader, "units"):
        yield Partition(name, by, files=tuple(files))
        return
    for units in divided(cast(Divisible, loader).units(files, info)):
        yield Partition(name, by, units)


def divided(units: Iterable[Unit]) -> Iterator[tuple[Unit, ...]]:
    """Units in groups, in order; where a group ends is for its own units to say."""
    gathered: list[Unit] = []
    size = 0
    for unit in units:
        gathered.append(unit)
        size += len(unit.data)
        if crc32(unit.data) % _UNITS == 0 or len(gathered) == _MOST_UNITS or size >= _MOST_BYTES:
            yield tuple(gathered)
            gathered, size = [], 0
    if gathered:
        yield tuple(gathered)


def load_partition(partition: Partition) -> Loaded:
    """Load the records of a partition; what it gives depends on nothing but its key.

    Raises SourceError, as `load` does, and where nothing comes of a line.
    """
    info, loader = _described(partition.source, partition.code), _loader(partition.source)
    account, graph = Account(), _graph(info)
    records: dict[str, tuple[str, str]] = {}
    lines: set[bytes] = set()
    terms: dict[NamedNode, bytes] = {}
    standing: dict[tuple[str, int], None] = {}
    for number, record in _records(loader, info, partition, account):
        for quad in _quads(loader, info, record, graph, account, records):
            if number is not None and quad.predicate == STROMA.recordLine:
                subject = cast(NamedNode, quad.subject).value
                standing[subject, number] = None
                line = line_of_record(info, subject, 1)
            else:
                line = str(quad).encode() + b" .\n"
                lines.add(line)
            if quad.predicate not in terms:
                terms[quad.predicate] = line
            if quad.predicate == RDF.type and isinstance(quad.object, NamedNode) and quad.object not in terms:
                terms[quad.object] = line
    packed = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(b"".join(sorted(lines)))
    return Loaded(packed, len(lines), records, tuple(terms.values()), account, tuple(standing))


@lru_cache(maxsize=1)
def _described(name: str, code: str) -> SourceInfo:
    """A source's description, read once for all partitions of one code, which names its bytes."""
    return describe(name)


def line_of_record(info: SourceInfo, record: str, line: int) -> bytes:
    """The N-Quads line that says on which line (1-based) of its file a record stands."""
    value = Literal(str(line), datatype=XSD.integer)
    return str(Quad(NamedNode(record), STROMA.recordLine, value, info.graph)).encode() + b" .\n"


def key(partition: Partition) -> str:
    """What a partition and the code of its loader are known by: a SHA-256.

    On which lines it stands says nothing of what it gives, but for `Loaded.standing`.
    """
    seen = hashlib.sha256(f"{partition.source} {partition.code} {sorted(partition.left_out)}".encode())
    for unit in partition.units:
        kind = "document" if unit.line is None else "line"
        seen.update(f"\n{unit.file} {kind} {len(unit.data)}\n".encode())
        seen.update(unit.data)
    for path in partition.files:
        seen.update(f"\n{path.name} {_digest(path)}".encode())
    return seen.hexdigest()


def code(name: str) -> str:
    """A SHA-256 of all that decides what a loader makes of a record; the same on every machine.

    Of a loader that divides its files that is code and `source.toml`; any other may look at the ontology and
    at the tables of other sources.
    """
    inputs = [*FOLDER.rglob("*"), *(ROOT / "kg" / f"{room}.py" for room in _ROOMS)]
    if hasattr(_loader(name), "units"):
        own = FOLDER / name / "source.toml"
        inputs = [path for path in inputs if path.suffix == ".py" or path == own]
        inputs.append(ROOT / "ontology" / "prefixes.json")
    else:
        inputs += (ROOT / "ontology").rglob("*")
    packages = [f"{package} {version(package)}" for package in _PACKAGES]
    seen = hashlib.sha256(f"{sys.version_info[:2]} {packages}".encode())
    for path in sorted(path for path in inputs if path.is_file() and path.suffix != ".pyc"):
        seen.update(f"{path.parent.name}/{path.name} {_digest(path)}\n".encode())
    return seen.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _loader(name: str) -> Loader:
    return cast(Loader, importlib.import_module(f"loaders.{name}.loader"))


def _records(
    loader: Loader, info: SourceInfo, partition: Partition, account: Account
) -> Iterator[tuple[int | None, Record]]:
    """The records of a partition, each with which of its units is the line that it stands on, if one is.

    Whatever a unit gives is a record or a repeat, or the unit is counted as empty; a line must give some.
    """
    if partition.files:
        yield from ((None, record) for record in loader.read(partition.files, info))
    given: set[tuple[str, str]] = set()
    for number, unit in enumerate(partition.units):
        account.units += 1
        found = 0
        for record in cast(Divisible, loader).of_unit(unit, info):
            found += 1
            # An exact repeat is the same record and comes once.
            if record.id in partition.left_out or (same := (record.id, record.sha256)) in given:
                account.repeated += 1
                continue
            given.add(same)
            yield None if unit.line is None else number, record
        if not found and unit.line is not None:
            raise SourceError(
                f"the loader gives no record of this line (partition {key(partition)[:12]})",
                source=info.name, file=f"{unit.file}:{unit.line}",
                advice="Remove the line where it holds none; else mend the loader",
            )  # fmt: skip
        if not found:
            account.empty[unit.file] += 1


def _graph(info: SourceInfo) -> Graph:
    return Graph(info.graph, mint("activity", info.name), dated(info.version))


def _quads(
    loader: Loader,
    info: SourceInfo,
    record: Record,
    graph: Graph,
    account: Account,
    seen: dict[str, tuple[str, str]],
) -> Iterator[Quad]:
    """The quads of a record, which is settled in `account` and noted in `seen`, with SHA-256 and file."""
    refuse_twice(info.name, record.id, record.file, seen)
    seen[record.id] = (record.sha256, record.file or NO_FILE)
    for quad in loader.quads(record, graph):
        account.quads += 1
        yield quad
    record.settle(info, account)


def refuse_twice(source: str, record: str, file: str | None, seen: Mapping[str, tuple[str, str]]) -> None:
    """Raise SourceError for a record whose identifier another one has."""
    if record in seen:
        raise SourceError(
            f"the identifier also stands in {seen[record][1]}",
            source=source, file=file, record=record,
            advice="Remove one of the two, or give the loader only one of the files",
        )  # fmt: skip
