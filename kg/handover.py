"""Files by which a snapshot is handed over to another system, with a manifest and checksums.

    <folder>/manifest.json       the snapshot, and each file: form, graph, quads, bytes, SHA-256
    <folder>/SHA256SUMS          for `sha256sum --check`
    nquads/part-00000.nq.gz      canonical sorted N-Quads; the first part holds every quad with a blank node
    graph/…, stroma.trig.gz      each graph as N-Triples and Turtle, all as TriG (`kg.dump`)
    jsonld/stroma.jsonld.gz      all graphs, expanded JSON-LD
    parquet/predicate=<IRI>/part-00000.parquet    a table for each predicate (Hive partitions)
    patch/<older>-<newer>.rdfp.gz                 what makes it of an older snapshot, as an RDF Patch

Hides how each is made in flat memory, and that a folder is complete or not there. Parts can be loaded in any
order and by different machines: no blank node is in two of them. The first part has no bound of its own, but
only axioms have blank nodes, of the ontology and of documents' claims: it does not grow with records.
`lines_of` reads each form back.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path
from types import ModuleType
from typing import IO, Any, cast
from urllib.parse import quote, unquote

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, RdfFormat, parse, serialize

from kg.changes import patched, write_patch
from kg.dump import write_dump
from kg.errors import SnapshotError, UsageError
from kg.packing import packed
from kg.snapshot import Snapshot, line_of, locked_folder, read_lines, sorted_unique

FORMS = ("nquads", "graphs", "jsonld", "parquet")
PATCH = "patch"  # the form that needs an older snapshot
PART_QUADS = 1_000_000
_MANIFEST = "manifest.json"
NO_PYARROW = "it needs the package pyarrow (pip install pyarrow, in this Python)"
_ROWS = 50_000  # of a table at once in memory
_READ_AS = {
    ".trig.gz": RdfFormat.TRIG,
    ".ttl.gz": RdfFormat.TURTLE,
    ".nt.gz": RdfFormat.N_TRIPLES,
    ".jsonld.gz": RdfFormat.JSON_LD,
}


@dataclass(frozen=True)
class HandedFile:
    """One file of a hand-over; `name` is its path below the folder.

    `graph` is the one graph it is of, None where it is of all; `quads` of a patch what it adds and removes.
    """

    name: str
    form: str
    quads: int
    bytes: int
    sha256: str
    graph: str | None = None


def available() -> tuple[str, ...]:
    """The forms that can be written with what is installed."""
    return tuple(form for form in FORMS if form != "parquet" or find_spec("pyarrow") is not None)


def hand_over(
    snapshot: Snapshot,
    folder: Path,
    forms: Sequence[str] = FORMS,
    *,
    part_quads: int = PART_QUADS,
    since: Snapshot | None = None,
) -> tuple[HandedFile, ...]:
    """Write a snapshot into a new folder in the given forms; all of it stands there, or nothing.

    `part_quads` is the most that one part of N-Quads holds, but for the first; `since` is the older snapshot
    that a patch starts from. Raises UsageError for an unknown form, a patch without `since` or the reverse, a
    folder that is not empty, or a form whose package is missing; SnapshotError where it cannot be written.
    """
    folder = folder.resolve()  # "." has no name, and a draft stands beside the folder to be
    for form in forms:
        if form not in (*FORMS, PATCH):
            raise UsageError(f"{form}: there is no such form; there are: {', '.join((*FORMS, PATCH))}")
    if (PATCH in forms) != (since is not None):
        raise UsageError(
            "a patch starts from an older snapshot: --form patch and --since SNAPSHOT go together"
        )
    if "parquet" in forms:
        _pyarrow()
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: is a file; give a new folder")
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder}: is not empty; give a new folder")
        if folder == Path.cwd():  # it would be replaced under the shell that stands in it
            raise UsageError(
                f"{folder}: is the folder you are in; give a new one, such as {folder / 'handover'}"
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked_folder(folder.parent, f".{folder.name}.draft-") as work:
            draft = work / folder.name
            draft.mkdir()
            files = [
                file
                for form in dict.fromkeys(forms)
                if form != PATCH
                for file in _WRITERS[form](snapshot, draft, part_quads)
            ]
            if since is not None:
                files.append(_patch(since, snapshot, draft))
            told = _named(snapshot) | {"files": [asdict(file) for file in files]}
            if since is not None:
                told["since"] = _named(since)
            (draft / _MANIFEST).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            (draft / "SHA256SUMS").write_text("".join(f"{file.sha256}  {file.name}\n" for file in files))
            draft.rename(folder)  # onto nothing or an empty folder; refused where another export was first
    except OSError as problem:
        raise SnapshotError(
            f"{folder}: cannot be written ({problem}); nothing was handed over. Free space, mend a "
            "permission or give another folder, and run again"
        ) from problem
    return tuple(files)


def manifest_of(folder: Path) -> Mapping[str, Any]:
    """The manifest of a hand-over; SnapshotError where there is none that can be read."""
    try:
        read: Mapping[str, Any] = json.loads((folder / _MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise SnapshotError(f"{folder / _MANIFEST}: cannot be read ({problem}); hand over again") from problem
    return read


def lines_of(
    folder: Path, form: str, *, suffix: str = ".trig.gz", older: Iterable[bytes] = ()
) -> Iterator[bytes]:
    """The canonical lines of a hand-over, read back from one form and in no order.

    Of `graphs`, the files with this suffix are read: `.trig.gz`, `.ttl.gz`, `.nt.gz` (each holds everything).
    A patch is applied to `older`, the sorted lines of the snapshot that it starts from.
    Each file is compared with its checksum before it is read. Raises SnapshotError naming a file that is cut
    or damaged, or where `older` is another snapshot; UsageError where that form was not handed over.
    """
    files = [HandedFile(**each) for each in manifest_of(folder)["files"] if each["form"] == form]
    if form == "graphs":
        files = [file for file in files if file.name.endswith(suffix)]
    if not files:
        raise UsageError(f"{folder}: holds no {form}; hand it over with `kg export --form {form}`")
    for file in files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.bytes or _sha256(path) != file.sha256:
            raise SnapshotError(f"{path}: is not the file that was handed over; copy it again")
        if form == "nquads":
            with gzip.open(path, "rb") as lines:
                yield from lines
        elif form == "parquet":
            yield from _lines_of_table(path)
        elif form == PATCH:
            with gzip.open(path, "rb") as entries:
                yield from patched(older, entries)
        else:
            format = next(each for end, each in _READ_AS.items() if path.name.endswith(end))
            with gzip.open(path, "rb") as text:
                for quad in cast(Iterator[Quad], parse(cast(IO[bytes], text), format=format)):
                    graph = quad.graph_name if file.graph is None else _term(file.graph)
                    yield line_of(Quad(quad.subject, quad.predicate, quad.object, graph))


# --------------------------------------------------------------------------------------- N-Quads in parts


def _nquads(snapshot: Snapshot, folder: Path, part_quads: int) -> Iterator[HandedFile]:
    (folder / "nquads").mkdir()
    number = 0

    def part(lines: Iterable[bytes]) -> HandedFile | None:
        nonlocal number
        name = f"nquads/part-{number:05}.nq.gz"
        count = _packed(folder / name, lines)
        if not count and number:
            (folder / name).unlink()
            return None
        number += 1
        return _handed(folder, name, "nquads", count)

    blank = part(line for line in read_lines(snapshot) if _has_blank_node(line))
    assert blank is not None
    yield blank
    plain = (line for line in read_lines(snapshot) if not _has_blank_node(line))
    while True:
        file = part(islice(plain, part_quads))
        if file is None:
            return
        yield file


def _has_blank_node(line: bytes) -> bool:
    """Whether a canonical line has a blank node as its subject, object or graph."""
    if line.startswith(b"_:"):
        return True
    # Two words stand before the object; a literal can hold anything, an IRI no space.
    return line.split(b" ", 2)[2].startswith(b"_:") or line.rsplit(b" ", 2)[1].startswith(b"_:")


def _packed(path: Path, lines: Iterable[bytes]) -> int:
    """Write lines compressed."""
    count = 0
    with packed(path) as file:
        for count, line in enumerate(lines, 1):  # noqa: B007
            file.write(line)
    return count


# ------------------------------------------------------------------------------ Turtle, TriG, JSON-LD


def _graphs(snapshot: Snapshot, folder: Path, part_quads: int) -> Iterator[HandedFile]:
    dump = write_dump(snapshot)
    for file in dump.files.values():
        if file.name == snapshot.data.name or file.name.endswith(".nq.gz"):
            continue
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dump.path(file.name), target)
        yield _handed(folder, file.name, "graphs", file.quads, file.graph)


def _jsonld(snapshot: Snapshot, folder: Path, part_quads: int) -> Iterator[HandedFile]:
    name = "jsonld/stroma.jsonld.gz"
    (folder / "jsonld").mkdir()
    with (
        gzip.open(snapshot.data, "rb") as lines,
        packed(folder / name) as target,
    ):
        quads = parse(cast(IO[bytes], lines), format=RdfFormat.N_QUADS)
        serialize(quads, cast(IO[bytes], target), format=RdfFormat.JSON_LD)
    yield _handed(folder, name, "jsonld", snapshot.quads)


# ---------------------------------------------------------------------------------------------- Parquet


def _pyarrow() -> ModuleType:
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"parquet: {NO_PYARROW}; or leave that form out") from None
    return cast(ModuleType, pyarrow)


def _parquet(snapshot: Snapshot, folder: Path, part_quads: int) -> Iterator[HandedFile]:
    """Sorted by predicate on disk first, so that one table is written at a time."""
    pa = _pyarrow()
    schema = pa.schema(
        [
            ("subject", pa.string()),
            ("object", pa.string()),  # an IRI, a blank node's label, or a literal's lexical form
            ("kind", pa.dictionary(pa.int8(), pa.string())),  # iri, blank, literal
            ("datatype", pa.dictionary(pa.int16(), pa.string())),
            ("language", pa.dictionary(pa.int16(), pa.string())),
            ("graph", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    by_predicate = (line.split(b" ", 2)[1] + b" " + line for line in read_lines(snapshot))
    with ExitStack() as stack:
        lines = sorted_unique(by_predicate, folder)
        stack.callback(cast(Any, lines).close)
        for predicate, mine in groupby(lines, key=lambda line: line.split(b" ", 1)[0]):
            name = f"parquet/predicate={quote(predicate.decode().strip('<>'), safe='')}/part-00000.parquet"
            (folder / name).parent.mkdir(parents=True)
            count = 0
            with pa.parquet.ParquetWriter(folder / name, schema, compression="zstd") as writer:
                rows: list[dict[str, str | None]] = []
                for line in mine:
                    rows.append(_row(line.split(b" ", 1)[1]))
                    if len(rows) >= _ROWS:
                        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                        count, rows = count + len(rows), []
                if rows:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            yield _handed(folder, name, "parquet", count + len(rows))


def _row(line: bytes) -> dict[str, str | None]:
    (quad,) = parse(line, format=RdfFormat.N_QUADS)
    value = quad.object
    row = {"subject": _node(quad.subject), "graph": _node(cast(Any, quad).graph_name)}
    if isinstance(value, Literal):
        return {
            **row,
            "object": value.value,
            "kind": "literal",
            "datatype": None if value.language else value.datatype.value,
            "language": value.language,
        }
    kind = "blank" if isinstance(value, BlankNode) else "iri"
    return {**row, "object": _node(value), "kind": kind, "datatype": None, "language": None}


def _node(term: Any) -> str:
    return f"_:{term.value}" if isinstance(term, BlankNode) else str(term.value)


def _lines_of_table(path: Path) -> Iterator[bytes]:
    predicate = NamedNode(unquote(path.parent.name.removeprefix("predicate=")))
    for batch in _pyarrow().parquet.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            if row["kind"] == "literal":
                typed = None if row["datatype"] is None else NamedNode(row["datatype"])
                value: Any = Literal(row["object"], datatype=typed, language=row["language"])
            else:
                value = _term(row["object"])
            yield line_of(Quad(_term(row["subject"]), predicate, value, _term(row["graph"])))


def _term(text: str) -> Any:
    return BlankNode(text[2:]) if text.startswith("_:") else NamedNode(text)


# ---------------------------------------------------------------------------------------------- RDF Patch


def _patch(older: Snapshot, newer: Snapshot, folder: Path) -> HandedFile:
    name = f"patch/{older.hash[:12]}-{newer.hash[:12]}.rdfp.gz"
    (folder / PATCH).mkdir()
    with packed(folder / name) as file:
        changed = write_patch(older, newer, cast(IO[bytes], file))
    return _handed(folder, name, PATCH, changed)


# ---------------------------------------------------------------------------------------------- what all do


def _named(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "snapshot": snapshot.name,
        "hash": snapshot.hash,
        "version": snapshot.version,
        "quads": snapshot.quads,
    }


def _handed(folder: Path, name: str, form: str, quads: int, graph: str | None = None) -> HandedFile:
    return HandedFile(name, form, quads, (folder / name).stat().st_size, _sha256(folder / name), graph)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_WRITERS: Mapping[str, Callable[[Snapshot, Path, int], Iterator[HandedFile]]] = {
    "nquads": _nquads,
    "graphs": _graphs,
    "jsonld": _jsonld,
    "parquet": _parquet,
}
