"""A snapshot is the same for the same content, refuses damage by name, and survives a kill."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import (
    DefaultGraph,
    Literal,
    NamedNode,
    Quad,
    QueryResultsFormat,
    QuerySolutions,
    RdfFormat,
    parse,
)

import kg.snapshot
from kg.errors import BuildError, SnapshotError, SourceError, UsageError
from kg.snapshot import (
    Snapshot,
    current,
    draft,
    line_of,
    load_store,
    open_snapshot,
    publish,
    read_lines,
    snapshot_of_files,
    snapshots,
    sorted_unique,
    write_snapshot,
)
from kg.terms import ROOT, STROMA, XSD, mint

TRIALS = mint("graph", "clinicaltrials")


def enrolment(trial: str, count: str) -> Quad:
    return Quad(mint("trial", trial), STROMA.enrollmentCount, Literal(count, datatype=XSD.integer), TRIALS)


QUADS = [enrolment("NCT01547091", "172"), enrolment("NCT01663116", "53"), enrolment("NCT03691909", "20")]


def write(var: Path, quads: list[Quad] | None = None) -> Snapshot:
    return write_snapshot(QUADS if quads is None else quads, var, version="2026-11-22")


def test_order_and_repetition_of_quads_do_not_change_the_hash(tmp_path: Path) -> None:
    one = write(tmp_path / "one")
    other = write(tmp_path / "other", [*reversed(QUADS), *QUADS])
    assert one.hash == other.hash
    assert one.data.read_bytes() == other.data.read_bytes()
    assert (3, {TRIALS.value: 3}) == (other.quads, other.graphs)


def test_what_is_sorted_is_whole_however_few_files_may_be_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kg.snapshot, "_RUNS", 3)
    lines = [b"%d\n" % (number * 7919 % 500) for number in range(1_000)]
    before = len(os.listdir("/proc/self/fd"))
    found, opened = [], 0
    for line in sorted_unique(lines, tmp_path, at_once=20):  # 50 runs
        found.append(line)
        opened = max(opened, len(os.listdir("/proc/self/fd")) - before)
    assert found == sorted(set(lines))
    assert 1 <= opened <= 3
    assert list(tmp_path.iterdir()) == []


def test_every_load_of_a_snapshot_answers_with_the_same_bytes(tmp_path: Path) -> None:
    graph = TRIALS.value
    lines = "\n".join(
        f"<https://example.org/n{n}> <https://example.org/p> _:b{n} <{graph}> ." for n in range(500)
    )
    snapshot = write(tmp_path, [*parse(lines, format=RdfFormat.N_QUADS)])

    def answer() -> bytes:
        solutions = load_store(snapshot).query("SELECT * { ?s ?p ?o }", use_default_graph_as_union=True)
        assert isinstance(solutions, QuerySolutions)
        return bytes(solutions.serialize(format=QueryResultsFormat.TSV) or b"")

    assert answer() == answer()
    assert b"_:b7\t" in answer()  # labels are those of the file, so that a link to an answer stays true


def test_another_value_is_another_hash(tmp_path: Path) -> None:
    assert write(tmp_path).hash != write(tmp_path, [*QUADS[:2], enrolment("NCT03691909", "21")]).hash


def test_the_hash_is_that_of_the_sorted_lines(tmp_path: Path) -> None:
    lines = sorted(line_of(quad) for quad in QUADS)
    assert hashlib.sha256(b"".join(lines)).hexdigest() == write(tmp_path).hash


def test_lexical_forms_are_kept_though_a_store_would_change_them(tmp_path: Path) -> None:
    snapshot = write(tmp_path, [enrolment("NCT01547091", "0172")])
    assert b'"0172"^^' in next(read_lines(snapshot))


def test_the_sort_on_disk_gives_what_a_sort_in_memory_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quads = [enrolment(f"NCT{number:08}", str(number % 7)) for number in range(500)]
    in_memory = write(tmp_path / "memory", quads)
    monkeypatch.setattr(kg.snapshot, "_RUN_LINES", 64)
    random.Random(1).shuffle(quads)
    assert in_memory.hash == write(tmp_path / "disk", quads * 2).hash


def test_lines_that_come_in_order_are_not_sorted_again_and_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = sorted(line_of(quad) for quad in QUADS)
    sorted_here = write_snapshot(lines, tmp_path / "sorted", version="2026-11-22")
    for at_once in (1, 2, 10_000):
        monkeypatch.setattr("kg.snapshot._AT_ONCE", at_once)
        twice = [line for line in lines for _ in range(2)]
        given = write_snapshot(twice, tmp_path / f"given{at_once}", version="2026-11-22", are_sorted=True)
        assert (given.hash, given.graphs) == (sorted_here.hash, sorted_here.graphs)
        assert given.data.read_bytes() == sorted_here.data.read_bytes()
        with pytest.raises(ValueError, match="come sorted"):
            write_snapshot(lines[::-1], tmp_path / "wrong", version="2026-11-22", are_sorted=True)


def test_a_quad_without_a_named_graph_is_refused(tmp_path: Path) -> None:
    lost = Quad(mint("trial", "NCT01547091"), STROMA.acronym, Literal("x"), DefaultGraph())
    with pytest.raises(ValueError, match="named graph"):
        write(tmp_path, [lost])


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back_as_it_went_in(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    quad = Quad(mint("trial", "NCT01547091"), STROMA.acronym, Literal(text), TRIALS)
    snapshot = write(tmp_path_factory.mktemp("var"), [quad])
    assert [quad] == list(parse(b"".join(read_lines(snapshot)), format=RdfFormat.N_QUADS))
    assert {TRIALS.value: 1} == snapshot.graphs


@pytest.mark.parametrize("version", ["next", "2026-02-31", "20261122", "../2026-11-22"])
def test_a_version_is_a_date(tmp_path: Path, version: str) -> None:
    with pytest.raises(UsageError, match="is not a version"):
        write_snapshot(QUADS, tmp_path, version=version)


def test_a_published_snapshot_is_current_and_loads(tmp_path: Path) -> None:
    assert current(tmp_path) is None
    snapshot = write(tmp_path)
    publish(snapshot, tmp_path)
    assert snapshot == current(tmp_path)
    assert f"snapshots/{snapshot.name}" == os.readlink(tmp_path / "current")
    assert len(load_store(snapshot)) == 3


def test_the_newest_snapshots_stay_and_older_ones_go(tmp_path: Path) -> None:
    made = [write(tmp_path, [enrolment("NCT01547091", str(number))]) for number in range(4)]
    for number, snapshot in enumerate(made):  # created in the same second: tell them apart
        manifest = {**snapshot.manifest, "created": f"2026-11-22T12:00:0{number}+00:00"}
        (snapshot.folder / "manifest.json").write_text(json.dumps(manifest))
    publish(made[3], tmp_path, keep=2)
    assert [made[3].name, made[2].name] == [snapshot.name for snapshot in snapshots(tmp_path)]


def test_the_same_content_again_keeps_the_folder_and_takes_the_new_reports(tmp_path: Path) -> None:
    first = write_snapshot(QUADS, tmp_path, version="2026-11-22", reports={"report.json": '{"seconds": 1}'})
    again = write_snapshot(QUADS, tmp_path, version="2026-11-22", reports={"report.json": '{"seconds": 2}'})
    assert (first.folder, {"seconds": 2}) == (again.folder, again.report)


def test_a_truncated_file_is_refused_by_name(tmp_path: Path) -> None:
    snapshot = write(tmp_path)
    snapshot.data.write_bytes(snapshot.data.read_bytes()[:-20])
    with pytest.raises(SnapshotError, match=r"data\.nq\.gz.*bytes"):
        open_snapshot(snapshot.folder)
    with pytest.raises(SnapshotError, match=r"data\.nq\.gz"):
        list(read_lines(snapshot))


def test_a_changed_byte_is_refused_before_the_store_is_loaded(tmp_path: Path) -> None:
    snapshot = write(tmp_path)
    changed = bytearray(snapshot.data.read_bytes())
    changed[len(changed) // 2] ^= 1
    snapshot.data.write_bytes(changed)
    with pytest.raises(SnapshotError, match=r"data\.nq\.gz.*SHA-256.*kg build"):
        load_store(snapshot)


def test_writing_again_replaces_a_damaged_snapshot(tmp_path: Path) -> None:
    snapshot = write(tmp_path)
    snapshot.data.write_bytes(b"")
    assert len(load_store(write(tmp_path))) == 3


@pytest.mark.parametrize("text", ["{", "{}", '{"format": 1}', "[]"])
def test_a_broken_manifest_is_refused_by_name(tmp_path: Path, text: str) -> None:
    snapshot = write(tmp_path)
    (snapshot.folder / "manifest.json").write_text(text)
    with pytest.raises(SnapshotError, match=r"manifest\.json.*cannot be read"):
        open_snapshot(snapshot.folder)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    snapshot = write(tmp_path)
    (snapshot.folder / "manifest.json").write_text(json.dumps({**snapshot.manifest, "format": 2}))
    with pytest.raises(SnapshotError, match=r"format 2 .* Upgrade"):
        open_snapshot(snapshot.folder)


def test_an_absent_snapshot_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="kg build"):
        open_snapshot(tmp_path / "nothing")


WRITE_MANY = """
    import resource, sys
    from pathlib import Path
    from pyoxigraph import Literal, NamedNode, Quad
    from kg.errors import StromaError
    from kg.snapshot import publish, write_snapshot

    def quads():
        print("started", flush=True)
        for number in range(int(sys.argv[2])):
            yield Quad(NamedNode(f"https://w3id.org/stroma/trial/{number}"), NamedNode("http://x.org/p"),
                       Literal(str(number * 7919)), NamedNode("https://w3id.org/stroma/graph/clinicaltrials"))

    if len(sys.argv) > 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    try:
        publish(write_snapshot(quads(), Path(sys.argv[1]), version="2026-11-22"), Path(sys.argv[1]))
    except StromaError as problem:
        print(f"{type(problem).__name__}: {problem}", flush=True)
        sys.exit(problem.exit_code)
"""


def writer(*arguments: object) -> subprocess.Popen[str]:
    """A process of its own that writes and publishes ARGUMENTS[1] quads into ARGUMENTS[0]."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITE_MANY), *map(str, arguments)],
        cwd=ROOT, env={"PYTHONDONTWRITEBYTECODE": "1"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_kill_in_the_middle_leaves_current_and_its_leftovers_go_at_the_next_start(tmp_path: Path) -> None:
    before = write(tmp_path)
    publish(before, tmp_path)
    with writer(tmp_path, 50_000_000) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)  # the sort writes its runs from now on
        process.send_signal(signal.SIGKILL)
    assert before == current(tmp_path)
    assert list((tmp_path / "snapshots").glob(".draft-*"))
    with draft(tmp_path) as mine:
        assert [mine] == list((tmp_path / "snapshots").glob(".draft-*"))
    assert list((tmp_path / "snapshots").glob(".draft-*")) == []


PUBLISH_FOREVER = """
    import itertools, sys
    from pathlib import Path
    from kg.snapshot import publish, write_snapshot

    line = '<http://x.org/s> <http://x.org/p> "%d" <https://w3id.org/stroma/graph/clinicaltrials> .'
    for number in itertools.count():
        lines = [(line % (number * 1000 + n)).encode() + b"\\n" for n in range(1000)]
        publish(write_snapshot(lines, Path(sys.argv[1]), version="2026-11-22"), Path(sys.argv[1]))
        print(number, flush=True)
"""


@pytest.mark.parametrize("milliseconds", [3, 17, 40, 71])
def test_a_kill_at_any_moment_leaves_a_whole_snapshot_published(tmp_path: Path, milliseconds: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PUBLISH_FOREVER), str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGKILL)
    published = current(tmp_path)
    assert published is not None
    assert len(load_store(published)) == 1000


def test_a_full_disk_leaves_current_and_nothing_behind(tmp_path: Path) -> None:
    before = write(tmp_path)
    publish(before, tmp_path)
    with writer(tmp_path, 30_000, 50_000) as process:  # no file may grow beyond 50,000 bytes
        output, _ = process.communicate()
    assert process.returncode == 4
    assert "BuildError" in output
    assert "File too large" in output
    assert "as it was" in output
    assert before == current(tmp_path)
    assert [before.name] == [path.name for path in (tmp_path / "snapshots").iterdir()]


def test_a_draft_in_use_is_left_alone(tmp_path: Path) -> None:
    with draft(tmp_path) as mine, draft(tmp_path) as other:
        assert mine.is_dir()
        assert mine != other


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where a folder should be")
    with pytest.raises(BuildError, match="var"):
        write(tmp_path / "var")


def test_rdf_files_become_a_snapshot_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text("@prefix x: <http://x.org/> . x:arm x:dose [ x:value 1.50 ] .")
    (tmp_path / "b.nq").write_text("<http://x.org/s> <http://x.org/p> _:dose <http://x.org/g> .\n")
    with gzip.open(tmp_path / "c.nt.gz", "wt") as file:
        file.write("<http://x.org/s> <http://x.org/p> _:dose .\n")
    names = ["a.ttl", "b.nq", "c.nt.gz"]
    one = snapshot_of_files([tmp_path / name for name in names], tmp_path / "one")
    other = snapshot_of_files([tmp_path / name for name in reversed(names)], tmp_path / "other")
    file_graph = "https://w3id.org/stroma/graph/file/"
    assert {file_graph + "a.ttl": 2, "http://x.org/g": 1, file_graph + "c.nt.gz": 1} == one.graphs
    assert one.hash == other.hash
    assert b"1.50" in b"".join(read_lines(one))
    assert len(set(b"".join(read_lines(one)).split()) & {b"_:f0b0", b"_:f1b0", b"_:f2b0"}) == 3


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("a.ttl", "<http://x.org/a> <http://x.org/b> .\n", SourceError, r"a\.ttl:1.*not a valid"),
        ("a.nt", "\n<http://x.org/a> <http://x.org/b\n", SourceError, r"a\.nt:2"),
        ("a.txt", "", UsageError, r"a\.txt: the suffix does not tell an RDF format; known: \.ttl"),
        ("a.ttl.gz", "not gzip", SourceError, r"a\.ttl\.gz"),
    ],
)
def test_a_file_that_is_no_rdf_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=message):
        snapshot_of_files([tmp_path / name], tmp_path / "var")
    assert current(tmp_path / "var") is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.ttl: there is no such file"):
        snapshot_of_files([tmp_path / "gone.ttl"], tmp_path / "var")


def test_a_named_node_is_counted_by_its_graph_whatever_the_object_says(tmp_path: Path) -> None:
    tricky = Literal('ends like a graph <http://x.org/g> .\n"')
    quad = Quad(NamedNode("http://x.org/s"), NamedNode("http://x.org/p"), tricky, TRIALS)
    assert {TRIALS.value: 1} == write(tmp_path, [quad]).graphs
