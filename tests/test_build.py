"""A build gives the same hash for the same input, says what it did, and never spoils what is published."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from pyoxigraph import Literal, NamedNode, RdfFormat, Store, parse

import loaders.catalog
from kg.build import build, files_of
from kg.engine.disk import open_store
from kg.errors import BuildError, CountMismatch, OntologyError, ShapeViolation, SourceError, UsageError
from kg.search import INDEX
from kg.settings import Settings
from kg.snapshot import Snapshot, current, publish, read_lines, write_snapshot
from kg.terms import ROOT, VOID, mint

DOCUMENT = '<https://w3id.org/stroma/publication/old> <http://purl.org/dc/terms/title> "Before" <{}> .\n'


def small_world(folder: Path, patch: pytest.MonkeyPatch, source: str = "publications") -> Settings:
    """One source alone, with the real ontology."""
    shutil.copytree(ROOT / "loaders" / source, folder / "loaders" / source)
    patch.setattr(loaders.catalog, "FOLDER", folder / "loaders")
    shutil.copytree(ROOT / "ontology", folder / "root" / "ontology")
    return Settings(root=folder / "root", var=folder / "var")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A small world of a test's own, to be spoilt."""
    return small_world(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Snapshot]]:
    """A small world and its snapshot, for tests that only read it."""
    with pytest.MonkeyPatch.context() as patch:
        world = small_world(tmp_path_factory.mktemp("world"), patch)
        yield world, build(world)


def published_before(settings: Settings) -> Snapshot:
    line = DOCUMENT.format(mint("graph", "publications").value).encode()
    snapshot = write_snapshot([line], settings.var, version="2020-01-01")
    publish(snapshot, settings.var)
    return snapshot


def plant(settings: Settings, file: str, turtle: str) -> None:
    prefixes = (
        "@prefix stroma: <https://w3id.org/stroma/ontology/> . @prefix sh: <http://www.w3.org/ns/shacl#> . "
        "@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix dcterms: <http://purl.org/dc/terms/> . "
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . "
    )
    (settings.root / "ontology" / file).write_text(prefixes + turtle, encoding="utf-8")


class Watch:
    """Progress that is remembered."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)

    def advance(self, count: int, left: float | None = None, kept: tuple[int, int] = (0, 0)) -> None:
        assert count >= 0
        assert left is None or left >= 0

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_the_same_input_gives_the_same_hash(built: tuple[Settings, Snapshot], tmp_path: Path) -> None:
    settings, first = built
    Store(str(tmp_path / "other"))  # from now on RocksDB has threads here, which a fork would not have
    again = build(replace(settings, var=tmp_path, engine="disk"), on="processes:2")
    assert first.hash == again.hash
    assert first == current(settings.var)
    # A server of these settings only opens what the build has written.
    assert len(open_store(again)) == again.quads
    assert not (first.folder / "store").exists()


def test_an_unchanged_input_is_not_built_again(built: tuple[Settings, Snapshot]) -> None:
    settings, first = built
    watch = Watch()
    assert first == build(settings, progress=watch)
    assert watch.steps == []
    assert watch.notes == [f"unchanged: {first.name} is up to date"]


def test_another_version_is_built_anew_and_the_old_one_comes_back_without_a_build(
    built: tuple[Settings, Snapshot],
) -> None:
    settings, first = built
    assert build(settings, version="2027-01-01").name.startswith("2027-01-01-")
    watch = Watch()
    assert first == build(settings, progress=watch) == current(settings.var)
    assert watch.steps == []


def test_a_changed_question_is_a_new_snapshot(settings: Settings) -> None:
    # The questions are in the graph (graph:examples), so they are an input like any other.
    shutil.copytree(ROOT / "queries" / "dosing", settings.root / "queries" / "dosing")
    first = build(settings)
    file = settings.root / "queries" / "dosing" / "routes.rq"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("#+ summary: ", "#+ summary: Once more, ", 1), encoding="utf-8")
    second = build(settings)
    assert second.hash != first.hash
    assert current(settings.var) == second


def test_the_version_is_the_newest_date(built: tuple[Settings, Snapshot]) -> None:
    header = (ROOT / "ontology" / "stroma.ttl").read_text(encoding="utf-8")
    assert f'owl:versionInfo "{built[1].version}"' in header


def test_the_metadata_count_what_the_snapshot_holds(built: tuple[Settings, Snapshot]) -> None:
    snapshot = built[1]
    lines = b"".join(line for line in read_lines(snapshot) if VOID.triples.value.encode() in line)
    stated = {
        quad.subject: int(quad.object.value)
        for quad in parse(lines, format=RdfFormat.N_QUADS)
        if isinstance(quad.object, Literal)
    }
    assert snapshot.graphs == {graph: stated[NamedNode(graph)] for graph in snapshot.graphs}
    assert snapshot.quads == stated[mint("snapshot", snapshot.version)]
    assert stated[mint("graph", "publications")] == stated[mint("source", "publications")]


def test_the_report_accounts_for_every_field(built: tuple[Settings, Snapshot]) -> None:
    report = built[1].report
    (source,) = report["sources"]
    header = (ROOT / "loaders" / "publications" / "source.toml").read_text(encoding="utf-8")
    assert f"records = {source['records']}" in header
    assert source["unread"] == {}
    assert source["taken"]["id"] > 0
    steps = [step["name"] for step in report["steps"]]
    loaded, then = steps[: steps.index("check shapes")], steps[steps.index("check shapes") :]
    assert loaded
    assert all(name.startswith("load ") for name in loaded)
    assert then == ["check shapes", "infer", "evidence", "describe", "write", "dump", "index", "changes"]
    assert report["graphs"]["graph:publications"] == source["quads"]
    assert "| publications |" in (built[1].folder / "report.md").read_text(encoding="utf-8")


def built_apart(settings: Settings, processes: int, *, most_bytes: int = 2**40) -> dict[str, Any]:
    """The report of a build in a process of its own, which has no threads and may fork; or its error."""
    script = """
import json, multiprocessing, resource, sys
from pathlib import Path
import loaders.catalog
from kg.build import build
from kg.errors import StromaError
from kg.settings import Settings

root, var, loaders.catalog.FOLDER, on, most = *map(Path, sys.argv[1:4]), sys.argv[4], int(sys.argv[5])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
try:
    told = dict(build(Settings(root=root, var=var, engine="disk"), on=on).report)
except StromaError as problem:
    told = {"error": type(problem).__name__, "says": str(problem)}
print(json.dumps({**told, "left": len(multiprocessing.active_children())}))
"""
    folders = [settings.root, settings.var, settings.root.parent / "loaders"]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, folders), f"processes:{processes}", str(most_bytes)],
        cwd=ROOT,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return cast(dict[str, Any], json.loads(done.stdout))


def test_the_last_steps_write_the_same_beside_each_other_as_in_turn(
    settings: Settings, tmp_path: Path
) -> None:
    found: list[dict[str, str]] = []
    for processes in (1, 2):
        there = replace(settings, var=tmp_path / f"var{processes}")
        report = built_apart(there, processes)
        last = report["steps"][-4:]
        assert [step["name"] for step in last] == ["store", "dump", "index", "changes"]
        beside = [
            one["name"]
            for one, other in itertools.pairwise(last)
            if other["begins"] < one["begins"] + one["seconds"] - 0.01  # more than what is rounded
        ]
        assert bool(beside) == (processes > 1)
        snapshot = current(there.var)
        assert snapshot is not None
        assert len(open_store(snapshot)) == snapshot.quads
        files = [snapshot.folder / INDEX, *(snapshot.folder / "dump").rglob("*.*")]
        found.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
    assert len(found[0]) > 4
    assert found[0] == found[1]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_disk_that_is_full_at_the_end_publishes_nothing_and_the_next_build_goes_on_there(
    settings: Settings, processes: int
) -> None:
    before = published_before(settings)
    # All files of the steps before are smaller, the index is larger.
    told = built_apart(settings, processes, most_bytes=12_000_000)
    assert (told["error"], told["left"]) == ("BuildError", 0)
    assert f"{INDEX}: " in told["says"]
    assert "as it was" in told["says"]
    assert before == current(settings.var)
    (written,) = set((settings.var / "snapshots").iterdir()) - {before.folder}
    assert not list(written.glob(f".{INDEX}*"))

    again = built_apart(settings, processes)
    whole = current(settings.var)
    assert whole is not None
    assert whole.folder == written
    assert {path.name for path in written.iterdir()} >= {INDEX, "dump", "store", "changes.json"}
    # Nothing was loaded, nor written, again; its last steps are told of with the first.
    names = [step["name"] for step in again["steps"]]
    assert names.count("write") == 1
    assert names[-5:] == ["write", "store", "dump", "index", "changes"]
    assert "| changes |" in (written / "report.md").read_text(encoding="utf-8")


def test_the_time_of_the_build_does_not_reach_the_graph(built: tuple[Settings, Snapshot]) -> None:
    day = built[1].created[:10].encode() + b"T"
    assert not any(day in line for line in read_lines(built[1]))
    times = {line.split(b" ")[2] for line in read_lines(built[1]) if b"generatedAtTime" in line}
    assert times == {b'"2026-11-22T00:00:00Z"^^<http://www.w3.org/2001/XMLSchema#dateTime>'}


PLANTED_SHAPE = """
    stroma:PlantedShape a sh:NodeShape ; sh:targetClass stroma:CuratedStatement ;
        sh:property [ sh:path stroma:confidence ; sh:maxCount 0 ; sh:message "A planted shape." ] .
"""
PLANTED_CLASS = """
    stroma:PlantedClass a owl:Class ; rdfs:label "planted"@en ;
        rdfs:subClassOf stroma:CellTherapyProduct, stroma:TrialArm .
    stroma:CellTherapyProduct owl:disjointWith stroma:TrialArm .
"""


@pytest.mark.parametrize(
    ("file", "turtle", "error", "message"),
    [
        (
            "shapes/planted.ttl",
            PLANTED_SHAPE,
            ShapeViolation,
            r"source publications: .*A planted shape",
        ),
        ("modules/planted.ttl", PLANTED_CLASS, OntologyError, r"PlantedClass"),
        ("modules/planted.ttl", "stroma:A a owl:Class", OntologyError, r"planted\.ttl, line 1"),
        ("modules/routes.ttl", "", OntologyError, r"source publications: .*stroma:Route.*declared"),
    ],
)
def test_a_fault_in_ontology_or_shapes_publishes_nothing(
    settings: Settings, file: str, turtle: str, error: type[Exception], message: str
) -> None:
    before = published_before(settings)
    plant(settings, file, turtle)
    with pytest.raises(error, match=message):
        build(settings)
    assert before == current(settings.var)
    assert [before.name] == [path.name for path in (settings.var / "snapshots").iterdir()]


def test_other_numbers_than_expected_publish_nothing(settings: Settings, tmp_path: Path) -> None:
    before = published_before(settings)
    header = tmp_path / "loaders" / "publications" / "source.toml"
    text = header.read_text(encoding="utf-8").replace("records = ", "records = 1")
    header.write_text(text, encoding="utf-8")
    with pytest.raises(CountMismatch, match=r"source publications: records: expected 1\d+, found \d+"):
        build(settings)
    assert before == current(settings.var)


def test_a_source_that_fails_publishes_nothing(settings: Settings, tmp_path: Path) -> None:
    before = published_before(settings)
    (tmp_path / "broken.tsv").write_text("nct\tpmid\nNCT01547091", encoding="utf-8")
    with pytest.raises(SourceError, match=r"source publications, file broken\.tsv"):
        build(settings, sources={"publications": [tmp_path / "broken.tsv"]})
    assert before == current(settings.var)


def test_an_unknown_source_or_a_missing_or_empty_file_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'pubmed'; there are: publications"):
        build(settings, sources={"pubmed": []})
    with pytest.raises(UsageError, match=r"gone\.tsv: there is no such file"):
        build(settings, sources={"publications": [tmp_path / "gone.tsv"]})
    (tmp_path / "none.jsonl").touch()
    with pytest.raises(UsageError, match=r"none\.jsonl: the file is empty; it was given for source pub"):
        build(settings, sources={"publications": [tmp_path / "none.jsonl"]})


def test_the_order_in_which_files_are_given_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    settings = small_world(tmp_path, monkeypatch, "clinicaltrials")
    records = sorted((shared / "data" / "clinicaltrials" / "classic-msc-ra").glob("*.json"))[:3]
    one = build(settings, sources={"clinicaltrials": records})
    assert one == build(settings, sources={"clinicaltrials": records[::-1]})
    trials = {str(mint("trial", path.stem)).encode() for path in records}
    assert trials <= {line.split(b" ", 1)[0] for line in read_lines(one)}


def test_the_files_of_a_data_folder_find_their_loader(shared: Path) -> None:
    found, rest = files_of(shared / "data")
    assert {"clinicaltrials", "ictrp", "obo", "publications"} == set(found)
    assert len(found["clinicaltrials"]) == 18  # 16 single records, 1,241 in one file, 80 in API v2 form
    assert rest["mechanisms/omni_resource.csv"] == "no loader reads it"
    assert "one by one" in rest["clinicaltrials/classic-api-responses/page-1.json"]
    assert sorted(found["obo"]) == sorted((shared / "data" / "ontologies").iterdir())
    with pytest.raises(UsageError, match=r"claims: holds no file .* --source"):
        files_of(shared / "claims")


def kg_build(var: Path, *, most_bytes: int | None = None) -> subprocess.Popen[str]:
    """`kg build` as a process of its own; no file it writes may grow beyond `most_bytes`."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes},) * 2); "
    # A suite that runs in the background of a shell ignores Ctrl-C, and so would its children.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    run = "import sys; sys.argv = ['kg', 'build']; from kg.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", heed + (limit if most_bytes else "") + run],
        cwd=ROOT,
        # Under the limit Python would leave truncated byte code behind, in the checkout.
        env={"KG_VAR": str(var), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_full_disk_publishes_nothing_and_says_so(settings: Settings) -> None:
    before = published_before(settings)
    with kg_build(settings.var, most_bytes=20_000) as process:
        output, errors = process.communicate()
    assert BuildError.exit_code == process.returncode
    assert output == ""
    assert "File too large" in errors
    assert "as it was" in errors
    assert before == current(settings.var)
    assert [before.name] == [path.name for path in (settings.var / "snapshots").iterdir()]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_kill_or_ctrl_c_in_the_middle_publishes_nothing(
    settings: Settings, sent: signal.Signals, code: int
) -> None:
    before = published_before(settings)
    with kg_build(settings.var) as process:
        while not list((settings.var / "snapshots").glob(".draft-*/*.nq.zst")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(sent)
        _, errors = process.communicate()
    assert (code, "") == (process.returncode, errors)
    assert before == current(settings.var)
