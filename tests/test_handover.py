"""Files for other systems: each form gives the same graph back, parts share no blank node, damage is told."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pyarrow.dataset
import pytest
import rdflib
from pyoxigraph import CanonicalizationAlgorithm, Dataset, Quad, RdfFormat, parse

from kg.build import build
from kg.errors import SnapshotError, UsageError
from kg.handover import FORMS, PATCH, hand_over, lines_of, manifest_of
from kg.snapshot import Snapshot, line_of, read_lines, write_snapshot
from kg.terms import BASE, ROOT
from tests.test_build import small_world


@pytest.fixture(scope="module")
def handed(embedded: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded graph in every form, in parts of 30,000 quads."""
    folder = tmp_path_factory.mktemp("handed") / "over"
    hand_over(embedded, folder, part_quads=30_000)
    return folder


EACH = ("nquads", "jsonld", "parquet", "graphs .trig.gz", "graphs .ttl.gz", "graphs .nt.gz")


@pytest.mark.parametrize("each", EACH)
def test_every_form_gives_the_same_graph_back(
    handed: Path, embedded: Snapshot, each: str, tmp_path: Path
) -> None:
    form, _, suffix = each.partition(" ")
    again = write_snapshot(lines_of(handed, form, suffix=suffix), tmp_path, version=embedded.version)
    assert (again.hash, again.quads) == (embedded.hash, embedded.quads)


# ------------------------------------------------------------------------- read by a library that is not ours


@pytest.fixture(scope="module")
def some(embedded: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A few graphs of the embedded one, with blank nodes, both Chinese scripts and numbers of all types."""
    ends = tuple(
        f" <{BASE}graph/{name}> .\n".encode()
        for name in ("clinicaltrials", "claims-derived", "derived", "obo", "inferred/alternative-label")
    )
    lines = (line for line in read_lines(embedded) if line.endswith(ends))
    return write_snapshot(lines, tmp_path_factory.mktemp("some"), version=embedded.version)


@pytest.fixture(scope="module")
def some_handed(some: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("some") / "over"
    hand_over(some, folder, part_quads=5_000)
    return folder


def canonical_hash(quads: Iterable[Quad]) -> str:
    """SHA-256 of the sorted lines, blank nodes named by RDFC-1.0: a reader may name them anew."""
    dataset = Dataset(quads)
    dataset.canonicalize(CanonicalizationAlgorithm.RDFC_1_0)
    return hashlib.sha256(b"".join(sorted(map(line_of, dataset)))).hexdigest()


def by_rdflib(folder: Path, form: str, suffix: str) -> Iterator[Quad]:
    """The quads of the files of a form, as rdflib reads them."""
    read = rdflib.Dataset()
    for file in manifest_of(folder)["files"]:
        if file["form"] == form and file["name"].endswith(suffix):
            into = read if file["graph"] is None else read.graph(rdflib.URIRef(file["graph"]))
            into.parse(
                data=gzip.decompress((folder / file["name"]).read_bytes()),
                format={".nq.gz": "nquads", ".jsonld.gz": "json-ld", ".trig.gz": "trig", ".ttl.gz": "turtle",
                        ".nt.gz": "nt"}[suffix],
            )  # fmt: skip
    text = read.serialize(format="nquads", encoding="utf-8")
    return cast(Iterator[Quad], parse(text, format=RdfFormat.N_QUADS))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # rdflib 7.6 warns of what it does itself
@pytest.mark.parametrize(
    ("form", "suffix"),
    [("nquads", ".nq.gz"), ("jsonld", ".jsonld.gz"), ("graphs", ".trig.gz"), ("graphs", ".ttl.gz"),
     ("graphs", ".nt.gz")],
)  # fmt: skip
def test_rdflib_reads_the_same_graph_out_of_the_files(
    some: Snapshot, some_handed: Path, form: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By default rdflib writes "1.50" as it likes; what is compared is what stands in the file.
    monkeypatch.setattr(rdflib, "NORMALIZE_LITERALS", False)
    lines = b"".join(read_lines(some))
    expected = canonical_hash(cast(Iterator[Quad], parse(lines, format=RdfFormat.N_QUADS)))
    assert lines.count(b"_:") > 300
    assert lines.count(b"@zh-han") > 100
    assert canonical_hash(by_rdflib(some_handed, form, suffix)) == expected


# -------------------------------------------------------------------------------------------------- the patch


@pytest.fixture(scope="module")
def two(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Snapshot, Snapshot]]:
    """Two builds of real records of the registry: of three trials, and of two of these and another one."""
    records = sorted((shared / "data" / "clinicaltrials" / "classic-msc-ra").glob("*.json"))
    with pytest.MonkeyPatch.context() as patch:
        settings = small_world(tmp_path_factory.mktemp("two"), patch, "clinicaltrials")
        yield (
            build(settings, sources={"clinicaltrials": records[:3]}),
            build(settings, sources={"clinicaltrials": records[1:4]}),
        )


def test_the_exported_patch_makes_the_newer_snapshot_of_the_older_one(
    two: tuple[Snapshot, Snapshot], tmp_path: Path
) -> None:
    old, new = two
    (file,) = hand_over(new, tmp_path / "over", [PATCH], since=old)
    told = manifest_of(tmp_path / "over")
    assert (told["since"]["hash"], told["hash"]) == (old.hash, new.hash)
    entries = gzip.decompress((tmp_path / "over" / file.name).read_bytes()).splitlines()
    assert file.quads == sum(entry.startswith((b"A ", b"D ")) for entry in entries)
    assert any(entry.startswith(b"D ") for entry in entries)
    made = hashlib.sha256(b"".join(lines_of(tmp_path / "over", PATCH, older=read_lines(old))))
    assert made.hexdigest() == new.hash
    # A reader without us: take the removed away, add the new, sort.
    lines = set(b"".join(read_lines(old)).splitlines())
    lines -= {entry[2:] for entry in entries if entry.startswith(b"D ")}
    lines |= {entry[2:] for entry in entries if entry.startswith(b"A ")}
    assert hashlib.sha256(b"".join(line + b"\n" for line in sorted(lines))).hexdigest() == new.hash


def test_a_patch_of_another_snapshot_or_a_damaged_one_is_refused(
    two: tuple[Snapshot, Snapshot], tmp_path: Path
) -> None:
    old, new = two
    (file,) = hand_over(new, tmp_path / "over", [PATCH], since=old)
    with pytest.raises(SnapshotError, match="the patch is"):
        list(lines_of(tmp_path / "over", PATCH, older=read_lines(new)))
    path = tmp_path / "over" / file.name
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SnapshotError, match="is not the file that was handed over"):
        list(lines_of(tmp_path / "over", PATCH, older=read_lines(old)))


def test_a_patch_and_the_snapshot_it_starts_from_are_asked_for_together(
    two: tuple[Snapshot, Snapshot], tmp_path: Path
) -> None:
    for forms, since in (([PATCH], None), (["nquads"], two[0])):
        with pytest.raises(UsageError, match="--form patch and --since SNAPSHOT go together"):
            hand_over(two[1], tmp_path / "over", forms, since=since)


# -------------------------------------------------------------------------------------------- parts and files


def test_triples_for_other_formats_are_made_as_the_decision_on_hdt_says(
    some: Snapshot, some_handed: Path, tmp_path: Path
) -> None:
    text = (ROOT / "docs/decisions/0064-no-hdt.md").read_text("utf-8")
    commands = [line for line in text.splitlines() if line.startswith("gunzip")]
    (tmp_path / "handover").symlink_to(some_handed)
    done = subprocess.run(
        ["bash", "-ec", "\n".join(commands)], cwd=tmp_path, capture_output=True, env={"LC_ALL": "C"}
    )
    assert (done.returncode, done.stderr, len(commands)) == (0, b"", 2)
    assert (tmp_path / "clinicaltrials.nt").read_bytes().count(b"\n") == some.graphs[
        BASE + "graph/clinicaltrials"
    ]
    expected = {line[: line.rindex(b" ", 0, -3)] + b" .\n" for line in read_lines(some)}
    assert (tmp_path / "all.nt").read_bytes() == b"".join(sorted(expected))


def test_only_axioms_have_blank_nodes_so_the_part_that_holds_them_does_not_grow_with_records(
    handed: Path,
) -> None:
    first = gzip.decompress((handed / "nquads/part-00000.nq.gz").read_bytes()).splitlines()
    graphs = {line.rsplit(b" ", 2)[1].decode().strip("<>") for line in first}
    # The ontology's axioms, and those that documents' claims imply: no graph of a registry, none computed.
    assert graphs == {BASE + "graph/ontology", BASE + "graph/claims-derived"}


def test_no_blank_node_is_in_two_parts_and_no_part_is_too_large(handed: Path) -> None:
    parts = sorted((handed / "nquads").iterdir())
    blank: list[set[bytes]] = []
    for part in parts:
        lines = gzip.decompress(part.read_bytes()).splitlines()
        assert lines == sorted(lines)
        assert part == parts[0] or len(lines) <= 30_000
        # Outside of literals: a text can say "_:x" as well.
        blank.append(
            {name for line in lines for name in re.findall(rb"_:\w+", re.sub(rb'"[^"]*"', b"", line))}
        )
    assert len(parts) > 3
    assert blank[0]
    assert not any(blank[1:])


def test_checksums_are_as_sha256sum_reads_them(handed: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=handed, capture_output=True)
    assert done.returncode == 0, done.stdout
    told = manifest_of(handed)
    counts = {form: sum(f["quads"] for f in told["files"] if f["form"] == form) for form in FORMS}
    assert counts["nquads"] == counts["jsonld"] == counts["parquet"] == told["quads"]


def test_tables_are_read_with_their_predicate_as_other_tools_read_them(handed: Path) -> None:
    tables = pyarrow.dataset.dataset(handed / "parquet", partitioning="hive")
    types = tables.to_table(
        filter=pyarrow.dataset.field("predicate") == "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
        columns=["subject", "object", "kind"],
    )
    assert types.num_rows > 1_000
    assert set(types["kind"].to_pylist()) == {"iri"}


def test_the_same_snapshot_gives_the_same_bytes(embedded: Snapshot, handed: Path, tmp_path: Path) -> None:
    hand_over(embedded, tmp_path / "again", ["nquads", "jsonld", "parquet"], part_quads=30_000)
    for file in manifest_of(tmp_path / "again")["files"]:
        assert hashlib.sha256((handed / file["name"]).read_bytes()).hexdigest() == file["sha256"], file[
            "name"
        ]


def test_a_text_that_looks_like_a_blank_node_is_none(tmp_path: Path) -> None:
    lines = [
        b'<http://a> <http://p> "_:b <http://x> _:c ." <http://g> .\n',
        b"<http://a> <http://p> _:b <http://g> .\n",
        b'<http://a> <http://p> "x" _:g .\n',
    ]
    snapshot = write_snapshot(lines, tmp_path, version="2026-11-22")
    hand_over(snapshot, tmp_path / "over", ["nquads"])
    parts = [gzip.decompress(path.read_bytes()) for path in sorted((tmp_path / "over/nquads").iterdir())]
    assert [part.count(b"\n") for part in parts] == [2, 1]
    assert set(lines_of(tmp_path / "over", "nquads")) == set(read_lines(snapshot))


@pytest.mark.parametrize("spoil", ["cut", "changed", "gone"])
def test_a_spoilt_file_is_named_before_anything_of_it_is_read(
    tiny: Snapshot, tmp_path: Path, spoil: str
) -> None:
    hand_over(tiny, tmp_path / "over", ["nquads"])
    part = tmp_path / "over/nquads/part-00001.nq.gz"
    content = part.read_bytes()
    if spoil == "gone":
        part.unlink()
    else:
        part.write_bytes(content[:-20] if spoil == "cut" else content[:-20] + bytes(20))
    with pytest.raises(SnapshotError, match=r"part-00001\.nq\.gz: is not the file.*copy it again"):
        list(lines_of(tmp_path / "over", "nquads"))


def test_a_folder_that_holds_something_is_left_alone(tiny: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        hand_over(tiny, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_folder_one_stands_in_is_not_replaced(
    tiny: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"is the folder you are in; give a new one, such as .*/handover"):
        hand_over(tiny, Path(), ["nquads"])


def test_an_empty_folder_is_taken_and_nothing_stays_beside_it(tiny: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "over").mkdir()
    hand_over(tiny, tmp_path / "over", ["nquads"])
    assert [path.name for path in tmp_path.iterdir()] == ["over"]
    assert (tmp_path / "over").stat().st_mode & 0o777 == (tmp_path / "over/nquads").stat().st_mode & 0o777


def test_two_exports_to_one_folder_give_it_to_one_and_tell_the_other(
    embedded: Snapshot, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "kg", "export", str(tmp_path / "over"), "--form", "nquads",
               "--snapshot", str(embedded.folder)]  # fmt: skip
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(each.communicate()[1] for each in both)
    assert said[0] == ""
    assert said[1].startswith(f"kg: {tmp_path / 'over'}: ")
    assert said[1].count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["over"]
    assert len(list(lines_of(tmp_path / "over", "nquads"))) == embedded.quads


def test_a_draft_that_a_killed_export_left_is_cleared_away(tiny: Snapshot, tmp_path: Path) -> None:
    (tmp_path / ".over.draft-killed").mkdir()
    (tmp_path / ".over.draft-killed/half").write_text("half")
    hand_over(tiny, tmp_path / "over", ["nquads"])
    assert [path.name for path in tmp_path.iterdir()] == ["over"]


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_without_room_is_told_in_one_line_and_leaves_nothing(
    embedded: Snapshot, tmp_path: Path, form: str
) -> None:
    # No file may grow beyond 100 KB: the system refuses as on a full disk.
    command = f"ulimit -f 100; exec {sys.executable} -m kg export {tmp_path}/over --form {form}"
    done = subprocess.run(
        ["bash", "-c", f"{command} --snapshot {embedded.folder}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == SnapshotError.exit_code
    assert re.fullmatch(
        r"kg: \S+/over: cannot be written \(.*\); nothing .* Free space.*run again\n", done.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tiny: Snapshot) -> None:
    with pytest.raises(SnapshotError, match=r"/proc/over: cannot be written \(.*give another folder"):
        hand_over(tiny, Path("/proc/over"), ["nquads"])


def test_an_unknown_form_and_one_not_handed_over_are_told(tiny: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hdt: there is no such form; there are: nquads, graphs"):
        hand_over(tiny, tmp_path / "over", ["hdt"])
    hand_over(tiny, tmp_path / "over", ["nquads"])
    with pytest.raises(UsageError, match="holds no parquet; hand it over with"):
        list(lines_of(tmp_path / "over", "parquet"))
