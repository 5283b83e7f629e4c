"""The files for download are the snapshot's own content, whole and by graph, and can be checked."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyoxigraph import RdfFormat, parse

from kg.dump import dump_of, write_dump
from kg.snapshot import Snapshot, line_of, open_snapshot, read_lines, write_snapshot

ODD = b'<https://example.org/s> <https://example.org/p> "a \\n b"@en <https://example.org/?a=/../../etc> .\n'
BLANK = b"_:x <https://example.org/p> _:y _:g .\n"


@pytest.fixture(scope="module")
def snapshot(tiny: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The tiny snapshot with graphs whose names are no file names."""
    lines = [*read_lines(tiny), ODD, BLANK]
    return write_snapshot(lines, tmp_path_factory.mktemp("dump"), version="2026-11-22")


def test_each_file_has_the_bytes_and_checksums_that_are_stated(snapshot: Snapshot) -> None:
    dump = write_dump(snapshot)
    assert len(dump.files) == 2 + 2 * len(snapshot.graphs)
    for name, file in dump.files.items():
        packed = dump.path(name).read_bytes()
        assert (file.bytes, file.sha256) == (len(packed), hashlib.sha256(packed).hexdigest())
        if file.content_sha256:
            assert file.content_sha256 == hashlib.sha256(gzip.decompress(packed)).hexdigest()
    assert dump.files["stroma.nq.gz"].content_sha256 == snapshot.hash


@pytest.mark.parametrize("suffix", [".trig.gz", ".nt.gz", ".ttl.gz", ".nq.gz"])
@pytest.mark.parametrize("which", ["snapshot", "embedded"])
def test_each_format_read_again_is_the_same_graph_with_its_blank_nodes(
    which: str, suffix: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    given: Snapshot = request.getfixturevalue(which)
    dump = write_dump(given)
    assert any(line.startswith(b"_:") for line in read_lines(given))

    def lines() -> Iterator[bytes]:
        for file in dump.files.values():
            if not file.name.endswith(suffix):
                continue
            format = RdfFormat.from_extension(suffix.split(".")[1])
            assert format is not None
            graph = "" if file.graph is None else file.graph if file.graph[:2] == "_:" else f"<{file.graph}>"
            for quad in parse(gzip.decompress(dump.path(file.name).read_bytes()), format=format):
                yield line_of(quad)[:-2] + f"{graph} .\n".encode() if graph else line_of(quad)

    again = write_snapshot(lines(), tmp_path, version=given.version)
    assert (again.hash, again.quads) == (given.hash, given.quads)


def test_a_graphs_name_never_leads_out_of_the_folder(snapshot: Snapshot) -> None:
    dump = write_dump(snapshot)
    for name in dump.files:
        assert dump.path(name).resolve().is_relative_to(snapshot.folder)
    with pytest.raises(KeyError):
        dump.path("../manifest.json")


def test_files_are_made_once_and_the_same_way(snapshot: Snapshot, tmp_path: Path) -> None:
    first = write_dump(snapshot)
    made = (snapshot.folder / "dump" / "index.json").stat().st_mtime_ns
    assert write_dump(snapshot) == first
    assert (snapshot.folder / "dump" / "index.json").stat().st_mtime_ns == made
    other = open_snapshot(Path(shutil.copytree(snapshot.folder, tmp_path / "copy")))
    shutil.rmtree(other.folder / "dump")
    assert write_dump(other).checksums == first.checksums


def test_without_its_files_a_snapshot_offers_the_one_it_is_made_of(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    ignore = shutil.ignore_patterns("dump")
    folder = Path(shutil.copytree(snapshot.folder, tmp_path / "snapshots" / "copy", ignore=ignore))
    copy = replace(snapshot, folder=folder)
    assert set(dump_of(copy).files) == {"stroma.nq.gz"}
    assert dump_of(copy).path("stroma.nq.gz").read_bytes() == snapshot.data.read_bytes()
    assert len(write_dump(copy).files) > 1


def test_what_a_killed_process_left_is_removed(snapshot: Snapshot, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(snapshot.folder, tmp_path / "snapshots" / "copy"))
    shutil.rmtree(folder / "dump")
    half = tmp_path / "snapshots" / ".draft-killed" / "dump"
    half.mkdir(parents=True)
    write_dump(replace(snapshot, folder=folder))
    assert not half.exists()


def test_checksums_are_lines_for_sha256sum(snapshot: Snapshot) -> None:
    dump = write_dump(snapshot)
    first = dump.checksums.splitlines()[0]
    assert first == f"{hashlib.sha256(snapshot.data.read_bytes()).hexdigest()}  stroma.nq.gz"
    assert len(dump.checksums.splitlines()) == len(dump.files)


def test_a_build_makes_the_files(embedded: Snapshot) -> None:
    names = set(dump_of(embedded).files)
    assert {"stroma.nq.gz", "stroma.trig.gz", "graph/literature.nt.gz", "graph/inferred/type.ttl.gz"} <= names
    literature = gzip.decompress(dump_of(embedded).path("graph/literature.ttl.gz").read_bytes())
    assert b"\n@prefix stroma: <https://w3id.org/stroma/ontology/> .\n" in literature
    triples = list(parse(literature, format=RdfFormat.TURTLE))
    assert len(triples) == embedded.graphs["https://w3id.org/stroma/graph/literature"]
