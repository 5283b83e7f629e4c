"""Records load in partitions: whoever loads them, whatever was kept, they give the same lines."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import loading, spark
from kg.build import build
from kg.errors import BuildError, SourceError, UsageError
from kg.parts import Loaded, Partition, Unit
from kg.report import Progress, Quiet
from kg.settings import Settings
from kg.snapshot import Snapshot, current, read_lines
from kg.terms import ROOT
from loaders import catalog
from tests.peers import SparkCluster, free_port
from tests.peers import spark as spark_cluster

INFO = catalog.describe("clinicaltrials")
STUDIES = 120


@pytest.fixture(scope="module")
def studies(shared: Path) -> list[bytes]:
    """Lines of archived records: enough for several partitions."""
    with gzip.open(shared / "data" / "clinicaltrials" / "classic-msc-1241.jsonl.gz") as file:
        return [next(file) for _ in range(STUDIES)]


@pytest.fixture
def records(studies: list[bytes], tmp_path: Path) -> Path:
    file = tmp_path / "studies.jsonl"
    file.write_bytes(b"".join(studies))
    return file


@pytest.fixture(scope="module")
def expected(studies: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines of `records`, loaded without partitions."""
    file = tmp_path_factory.mktemp("expected") / "studies.jsonl"
    file.write_bytes(b"".join(studies))
    return plain(file)


@pytest.fixture(scope="module")
def whole(studies: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Snapshot]:
    """The settings and the snapshot of one build of `records`, for tests that only read it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "studies.jsonl").write_bytes(b"".join(studies))
    settings = Settings(var=folder / "var")
    return settings, build(settings, sources={"clinicaltrials": [folder / "studies.jsonl"]}, on="processes:1")


@pytest.fixture(scope="module")
def master() -> Iterator[SparkCluster]:
    with spark_cluster(workers=0) as running:
        yield running


@pytest.fixture
def cluster(master: SparkCluster) -> SparkCluster:
    """A cluster with two workers; a test may lose them."""
    while len(master.workers) < 2:
        master.add_worker()
    return master


def load(file: Path, var: Path, on: str = "processes:1", progress: Progress | None = None) -> loading.Source:
    """The source with one file beside its embedded data."""
    work = var / f"work-{time.monotonic_ns()}"
    work.mkdir(parents=True)
    with loading.workers(on) as them:
        return loading.load(INFO, [file], var, work, them, progress or Quiet())


def lines(source: loading.Source) -> list[bytes]:
    with source.file.open("rb") as file:
        return list(loading.read_lines(file))


def plain(file: Path) -> list[bytes]:
    """What the loader gives without partitions."""
    parts = [catalog.load(INFO.name), catalog.load(INFO.name, [file])]
    return sorted({str(quad).encode() + b" .\n" for part in parts for quad in part.quads})


def partitions(var: Path) -> set[str]:
    return {path.name for path in (var / loading.FOLDER / INFO.name).glob("*.json")}


def account(source: loading.Source) -> dict[str, object]:
    told = asdict(source.told)
    del told["seconds"]
    return told


# -------------------------------------------------------------------------------------- whoever loads


@pytest.mark.parametrize("on", ["processes:1", "processes:2", "spark"])
def test_whoever_loads_gives_the_lines_and_the_account_of_one_process(
    on: str, records: Path, expected: list[bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = request.getfixturevalue("cluster").master if on == "spark" else on
    found = load(records, tmp_path / "var", where)
    assert lines(found) == expected
    assert len(partitions(tmp_path / "var")) > 3
    one = load(records, tmp_path / "other")
    assert account(found) == account(one)
    assert sorted(found.terms) == sorted(one.terms)


@pytest.mark.parametrize("on", ["processes:2", "spark"])
def test_a_bad_record_is_named_whoever_loads_it(
    on: str, studies: list[bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = request.getfixturevalue("cluster").master if on == "spark" else on
    file = tmp_path / "studies.jsonl"
    file.write_bytes(b"".join([*studies[:90], studies[90][:-200] + b"\n", *studies[91:]]))
    with pytest.raises(SourceError, match=r"studies\.jsonl:91.*the JSON does not parse"):
        load(file, tmp_path / "var", where)
    assert partitions(tmp_path / "var"), "what came before it is kept"


def test_a_whole_build_is_the_same_on_spark(
    records: Path, whole: tuple[Settings, Snapshot], tmp_path: Path, cluster: SparkCluster
) -> None:
    there = build(Settings(var=tmp_path), sources={"clinicaltrials": [records]}, on=cluster.master)
    assert there.hash == whole[1].hash


def test_spark_leaves_nothing_that_keeps_the_steps_after_it_from_forking() -> None:
    program = """
from kg import loading
from kg.workers import can_fork
from loaders import catalog
files = catalog.embedded_files(catalog.describe("clinicaltrials"))
with loading.workers("local[2]") as them:
    print(them.submit(next(catalog.divide("clinicaltrials", files))).result().quads > 100)
    print(can_fork())
print(can_fork())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "False", "True"], done.stderr


def test_a_worker_of_spark_that_is_lost_costs_nothing(
    records: Path, expected: list[bytes], tmp_path: Path, cluster: SparkCluster
) -> None:
    steps = Steps(2, cluster.lose_worker)
    work = tmp_path / "work"
    work.mkdir()
    with loading.workers(cluster.master) as them:
        found = loading.load(INFO, [records], tmp_path, work, them, steps)
    assert not steps.waiting
    assert lines(found) == expected


def test_a_cluster_without_workers_is_named_and_what_was_loaded_is_kept(
    records: Path,
    expected: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cluster: SparkCluster,
) -> None:
    work = tmp_path / "work"
    work.mkdir()

    cluster.lose_worker()  # the other one does not do the rest before it is lost, too

    def lose() -> None:
        cluster.lose_worker()
        monkeypatch.setattr(spark, "_PATIENCE", 2.0)

    steps = Steps(2, lose)
    with (
        pytest.raises(BuildError, match=r"no worker for 2 s.*Start workers"),
        loading.workers(cluster.master) as them,
    ):
        loading.load(INFO, [records], tmp_path, work, them, steps)
    kept = partitions(tmp_path)
    assert kept
    assert lines(load(records, tmp_path)) == expected
    assert kept < partitions(tmp_path)


def test_a_worker_with_other_code_is_refused(records: Path) -> None:
    partition = next(catalog.divide(INFO.name, [records]))
    told = spark._load(replace(partition, code="another"))
    assert isinstance(told, BuildError)
    assert "another version of stroma-kg" in str(told)


@pytest.mark.parametrize(
    ("on", "kind", "message"),
    [
        ("spark", UsageError, r"'spark' is nobody who loads: processes, processes:4, spark://"),
        ("processes:0", UsageError, "nobody who loads"),
        ("local[0]", UsageError, "nobody who loads"),
        ("spark://127.0.0.1:{port}", BuildError, "no master of Spark answers"),
    ],
)
def test_who_loads_must_be_there(on: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message), loading.workers(on.format(port=free_port())):
        pass


def test_a_word_that_names_nobody_is_refused_though_nothing_is_to_be_done(
    records: Path, whole: tuple[Settings, Snapshot]
) -> None:
    settings, sources = whole[0], {"clinicaltrials": [records]}
    assert build(settings, sources=sources) == whole[1]
    with pytest.raises(UsageError, match="'nobody' is nobody who loads"):
        build(settings, sources=sources, on="nobody")


class Notes(Quiet):
    """What was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


class Steps(Quiet):
    """Does something once, when so many partitions are done."""

    def __init__(self, after: int, what: object) -> None:
        self.waiting, self._what = after, what

    def advance(self, count: int, left: float | None = None, kept: tuple[int, int] = (0, 0)) -> None:
        if self.waiting:
            self.waiting -= 1
            if not self.waiting:
                assert callable(self._what)
                self._what()


# ----------------------------------------------------------------------------------- what is kept


def test_only_what_changed_is_loaded_again(records: Path, studies: list[bytes], tmp_path: Path) -> None:
    var = tmp_path / "var"
    load(records, var)
    before = partitions(var)
    study = json.loads(studies[60])
    study["BriefTitle"] = ["A corrected title"]
    records.write_bytes(b"".join([*studies[:60], json.dumps(study).encode() + b"\n", *studies[61:]]))
    found = load(records, var)
    assert len(partitions(var) - before) in (1, 2), "its own, and a neighbour where its end has moved"
    assert lines(found) == plain(records)
    assert account(found) == account(load(records, tmp_path / "fresh"))


@pytest.mark.parametrize("change", ["inserted", "deleted", "a blank line"])
def test_a_line_that_comes_or_goes_costs_its_partition_and_not_those_behind_it(
    change: str, records: Path, studies: list[bytes], tmp_path: Path
) -> None:
    var = tmp_path / "var"
    without = [*studies[:4], *studies[5:]]
    before, after = {
        "inserted": (without, studies),
        "deleted": (studies, without),
        "a blank line": (studies, [*studies[:4], b"\n", *studies[4:]]),
    }[change]
    records.write_bytes(b"".join(before))
    load(records, var)
    kept = partitions(var)
    records.write_bytes(b"".join(after))
    found = load(records, var)
    assert len(partitions(var) - kept) == (0 if change == "a blank line" else 1)
    assert lines(found) == plain(records), "with the lines on which records stand now"
    assert account(found) == account(load(records, tmp_path / "fresh"))


def test_records_of_two_files_of_lines_in_one_partition_stand_where_they_stand(
    studies: list[bytes], tmp_path: Path
) -> None:
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_bytes(b"".join(studies[:3]))
    other.write_bytes(b"\n" + b"".join(studies[3:6]))
    assert len(list(catalog.divide(INFO.name, [one, other]))) == 1
    var = tmp_path / "var"
    (var / "work").mkdir(parents=True)
    with loading.workers("processes:1") as them:
        found = loading.load(INFO, [one, other], var, var / "work", them, Quiet())
    parts = [catalog.load(INFO.name), catalog.load(INFO.name, [one, other])]
    assert lines(found) == sorted({str(quad).encode() + b" .\n" for part in parts for quad in part.quads})


def test_a_record_that_is_gone_is_gone_from_the_graph(
    records: Path, studies: list[bytes], tmp_path: Path
) -> None:
    var = tmp_path / "var"
    load(records, var)
    gone = json.loads(studies[-1])["NCTId"][0].encode()
    before = partitions(var)
    records.write_bytes(b"".join(studies[:-1]))
    found = lines(load(records, var))
    assert not [line for line in found if b"/trial/" + gone + b">" in line.split(b" ")[0]]
    assert found == plain(records)
    assert len(partitions(var) - before) == 1


def test_a_whole_build_after_a_change_is_that_of_a_fresh_one(
    records: Path, studies: list[bytes], whole: tuple[Settings, Snapshot], tmp_path: Path
) -> None:
    settings = Settings(var=tmp_path / "var")
    sources = {"clinicaltrials": [records]}
    records.write_bytes(b"".join([*studies[:50], *studies[52:], studies[50]]))
    first = build(settings, sources=sources)
    records.write_bytes(b"".join(studies))
    second = build(settings, sources=sources)
    assert second.hash != first.hash
    assert second.hash == whole[1].hash


def test_a_damaged_partition_is_loaded_again(records: Path, expected: list[bytes], tmp_path: Path) -> None:
    var = tmp_path / "var"
    load(records, var)
    folder = var / loading.FOLDER / INFO.name
    cut, changed, lost, untold = sorted(folder.glob("*.nq.zst"))[:4]
    cut.write_bytes(cut.read_bytes()[:-100])
    changed.write_bytes(changed.read_bytes()[:-1] + b"\0")
    lost.unlink()
    untold.with_name(untold.name.replace(".nq.zst", ".json")).write_text("{", encoding="utf-8")
    assert lines(load(records, var)) == expected


def test_a_line_of_which_a_loader_gives_nothing_is_named(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = catalog._loader(INFO.name)
    of_unit = loader.of_unit  # type: ignore[attr-defined]
    monkeypatch.setattr(
        loader, "of_unit", lambda unit, info: iter(()) if unit.line == 77 else of_unit(unit, info)
    )
    with pytest.raises(
        SourceError, match=r"studies\.jsonl:77.*gives no record of this line \(partition [0-9a-f]{12}\)"
    ):
        load(records, tmp_path)
    assert partitions(tmp_path), "what came before it is kept"


@pytest.mark.parametrize("lost", ["a record", "a unit"])
def test_what_comes_back_without_a_record_that_was_expected_is_refused(
    lost: str, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_partition = catalog.load_partition

    def without(partition: Partition) -> Loaded:
        loaded = load_partition(partition)
        if partition.units and partition.units[0].line is not None:
            if lost == "a unit":
                return load_partition(replace(partition, units=partition.units[:-1]))
            loaded.account.records -= 1
            return replace(loaded, records=dict(list(loaded.records.items())[1:]))
        return loaded

    monkeypatch.setattr(catalog, "load_partition", without)
    told = {"a record": r"\d+ records or more were expected, \d+ were loaded", "a unit": "units were read"}
    where = r"missing from partition [0-9a-f]{64} \(studies\.jsonl:1 to "
    with pytest.raises(BuildError, match=where + ".*" + told[lost]):
        load(records, tmp_path)


def test_a_kept_partition_whose_account_leaves_units_out_is_loaded_again(
    records: Path, expected: list[bytes], tmp_path: Path
) -> None:
    var = tmp_path / "var"
    load(records, var)
    folder = var / loading.FOLDER / INFO.name
    # Of lines, each of which is a record. What embedded tables hold is known from `source.toml`.
    fewer, unread = [
        path
        for path in sorted(folder.glob("*.json"))
        if len(told := json.loads(path.read_bytes())["records"]) > 1
        and all(file == records.name for _, file in told.values())
    ][:2]
    for path in (fewer, unread):
        told = json.loads(path.read_bytes())
        if path == fewer:
            told["records"].pop(next(iter(told["records"])))
            told["account"]["records"] -= 1
        else:
            told["account"]["units"] -= 1
        path.write_text(json.dumps(told), encoding="utf-8")
    before = {path: path.read_bytes() for path in (fewer, unread)}
    found = load(records, var)
    assert lines(found) == expected
    assert all(path.read_bytes() != old for path, old in before.items())


def test_the_report_says_how_many_records_were_found_loaded_and_repeated(
    studies: list[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "studies.jsonl"
    file.write_bytes(b"".join([*studies, studies[3], studies[-1]]))
    one = load(file, tmp_path / "var").told
    embedded = catalog.describe(INFO.name).expected.records
    assert embedded is not None
    assert (one.records, one.repeated) == (embedded + STUDIES, 2)
    assert one.found == one.records + one.repeated
    again = load(file, tmp_path / "var").told
    assert (again.found, again.records, again.repeated) == (one.found, one.records, one.repeated)


@pytest.mark.parametrize("form", [".jsonl", ".jsonl.gz", ".json"])
def test_a_file_that_is_cut_is_named(form: str, studies: list[bytes], tmp_path: Path) -> None:
    file = tmp_path / f"studies{form}"
    whole = b"".join(studies[:40])
    if form == ".json":
        whole = b"[" + b",".join(studies[:40]) + b"]"
    whole = gzip.compress(whole) if form.endswith(".gz") else whole
    file.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(SourceError, match=rf"studies\{form}.*(does not parse|damaged)"):
        load(file, tmp_path / "var")


def test_a_page_without_records_is_named_beside_others_that_have_some(
    studies: list[bytes], tmp_path: Path
) -> None:
    full, empty = tmp_path / "a.json", tmp_path / "b.json"
    full.write_bytes(studies[0])
    empty.write_text('{"studies": []}', encoding="utf-8")
    noted, var = Notes(), tmp_path / "var"
    (var / "work").mkdir(parents=True)
    with loading.workers("processes:1") as them:
        loading.load(INFO, [full, empty], var, var / "work", them, noted)
    assert noted.notes == ["source clinicaltrials: there is no record in b.json, or in a part of it"]


def test_files_without_a_record_are_named(tmp_path: Path) -> None:
    blank = tmp_path / "blank.jsonl"
    blank.write_text("\n \n", encoding="utf-8")
    noted = Notes()
    load(blank, tmp_path / "var", progress=noted)
    assert noted.notes == ["source clinicaltrials: there is no record in blank.jsonl"]


def test_a_partition_that_gives_other_than_its_account_says_is_loaded_again(
    records: Path, expected: list[bytes], tmp_path: Path
) -> None:
    var = tmp_path / "var"
    load(records, var)
    fewer, more, miscounted = sorted((var / loading.FOLDER / INFO.name).glob("*.json"))[:3]
    for path, change in ((fewer, -1), (more, 1)):
        told = json.loads(path.read_bytes())
        told["quads"] += change
        path.write_text(json.dumps(told), encoding="utf-8")
        noted = Notes()
        assert lines(load(records, var, progress=noted)) == expected
        (note,) = noted.notes
        key = path.name.removesuffix(".json")
        assert f"partition {key} was damaged after it had been loaded: it has " in note
        assert f"its account says {told['quads']:,}. It is loaded again" in note
    told = json.loads(miscounted.read_bytes())
    told["account"]["records"] += 1
    miscounted.write_text(json.dumps(told), encoding="utf-8")
    assert account(load(records, var)) == account(load(records, tmp_path / "fresh"))


@pytest.mark.parametrize("damage", ["lost", "cut", "changed"])
def test_a_partition_that_is_damaged_while_the_others_load_is_loaded_again(
    damage: str, records: Path, expected: list[bytes], tmp_path: Path
) -> None:
    folder = tmp_path / loading.FOLDER / INFO.name

    def spoil() -> None:
        _damage(max(folder.glob("*.nq.zst")), damage)

    assert lines(load(records, tmp_path, progress=Steps(3, spoil))) == expected


def test_a_disk_that_damages_what_it_keeps_is_named(records: Path, tmp_path: Path) -> None:
    folder = tmp_path / loading.FOLDER / INFO.name

    class Always(Quiet):
        def advance(self, count: int, left: float | None = None, kept: tuple[int, int] = (0, 0)) -> None:
            for path in folder.glob("*.nq.zst"):
                _damage(path, "cut")

    with pytest.raises(BuildError, match=r"partition [0-9a-f]{64} was damaged.*look at the disk of .*trials"):
        load(records, tmp_path, progress=Always())
    assert plain(records) == lines(load(records, tmp_path))


def _damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(data[:-100] if how == "cut" else data[:-200] + bytes(100) + data[-100:])


def test_a_build_that_is_killed_goes_on_where_it_was(
    records: Path, expected: list[bytes], tmp_path: Path
) -> None:
    var = tmp_path / "var"
    with kg_build(var, records) as process:
        while len(partitions(var)) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    folder = var / loading.FOLDER / INFO.name
    told = (folder / name for name in partitions(var))  # the account is written last
    files = [path.with_name(path.name.replace(".json", ".nq.zst")) for path in told]
    kept = {path: path.stat().st_mtime_ns for path in files}
    assert lines(load(records, var)) == expected
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "none of them was written again"
    assert len(partitions(var)) > len(kept)


def test_a_loading_process_that_is_killed_is_named(
    records: Path, expected: list[bytes], tmp_path: Path
) -> None:
    var = tmp_path / "var"
    with kg_build(var, records, "--on", "processes:2") as process:
        loaders: list[psutil.Process] = []
        while len(loaders) < 2:
            assert process.poll() is None
            time.sleep(0.01)
            loaders = [child for child in psutil.Process(process.pid).children() if _loads(child)]
        loaders[0].kill()
        _, errors = process.communicate()
    assert process.returncode == BuildError.exit_code
    assert "a process that loads records ended" in errors
    assert "what was loaded is kept" in errors
    assert lines(load(records, var)) == expected


def _loads(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())


def test_two_builds_at_once_give_the_same(
    records: Path, whole: tuple[Settings, Snapshot], tmp_path: Path
) -> None:
    with kg_build(tmp_path, records) as one, kg_build(tmp_path, records) as other:
        errors = one.communicate()[1] + other.communicate()[1]
    assert (one.returncode, other.returncode) == (0, 0), errors
    published = current(tmp_path)
    assert published is not None
    assert list(read_lines(published)) == list(read_lines(whole[1]))


@contextmanager
def kg_build(var: Path, records: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "kg", "build", "--source", f"clinicaltrials={records}", *arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "KG_VAR": str(var)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_no_build_used_for_long_is_forgotten_and_what_a_kill_left(records: Path, tmp_path: Path) -> None:
    load(records, tmp_path)
    folder = tmp_path / loading.FOLDER / INFO.name
    used = set(folder.iterdir())
    old = min(used)
    gone = {path for path in used if path.name.startswith(old.name.partition(".")[0])}
    assert len(gone) == 2
    left = {folder / ".ab.nq.zst-1", folder / "ab.nq.zst"}
    for path in left:
        path.touch()
    for path in gone | left:
        os.utime(path, (0, 0))
    loading.forget(tmp_path, datetime(2026, 1, 1, tzinfo=UTC))
    assert set(folder.iterdir()) == used - gone


# ----------------------------------------------------------------------------- how long it takes


def estimates(history: list[tuple[float, str]], parts: int) -> list[float | None]:
    """What is told after each of `parts` partitions of 10 bytes; `history` is how long each took, and how."""
    left, now, told = loading._Left({"a.jsonl": 10 * parts}, 1000.0), 1000.0, []
    for number, (took, how) in enumerate(history, 1):
        now += took
        unit = Unit("a.jsonl", number, b"", 10 * number)
        told.append(left.seconds(Partition(INFO.name, "code", (unit,)), now, kept=how == "kept"))
    return told


def test_nothing_is_told_before_some_were_loaded_however_many_were_kept() -> None:
    assert estimates([(0.01, "kept")] * 900, 1000) == [None] * 900
    told = estimates([(0.01, "kept")] * 900 + [(2.0, "loaded")] * 8, 1000)
    assert told[:-1] == [None] * 907
    assert told[-1] == pytest.approx(92 * 2.0)


def test_a_build_that_was_stopped_is_told_by_what_it_loads_and_not_by_what_it_kept() -> None:
    told = estimates([(0.01, "kept")] * 1900 + [(3.0, "loaded")] * 50, 2000)
    assert told[-1] == pytest.approx(50 * 3.0)


def test_where_few_records_changed_most_of_the_rest_is_taken_to_be_kept() -> None:
    few = [(2.0, "loaded"), *[(0.0, "kept")] * 19] * 10
    assert estimates(few, 2000)[-1] == pytest.approx(1800 / 20 * 2.0)


def test_the_pace_is_that_of_late() -> None:
    told = estimates([(9.0, "loaded")] * 100 + [(1.0, "loaded")] * 64, 200)
    assert told[99] == pytest.approx(100 * 9.0)
    assert told[-1] == pytest.approx(36 * 1.0)


def test_nothing_is_left_at_the_end_and_of_what_has_no_units_nothing_is_told() -> None:
    assert estimates([(1.0, "loaded")] * 20, 20)[-1] == 0
    whole = Partition("obo", "code", files=(Path("a.obo"),))
    assert loading._Left({"a.obo": 10}, 0.0).seconds(whole, 5.0, kept=False) is None


def test_the_files_before_count_as_read() -> None:
    left, told = loading._Left({"a": 100, "b": 100}, 0.0), []
    for number in range(1, 16):
        file, end = ("a", 10 * number) if number <= 10 else ("b", 10 * (number - 10))
        units = (Unit(file, number, b"", end),)
        told.append(left.seconds(Partition(INFO.name, "code", units), float(number), kept=False))
    assert told[-1] == pytest.approx(5.0)


def test_what_was_kept_is_told_apart_from_what_was_loaded(records: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    class Parts(Quiet):
        def advance(self, count: int, left: float | None = None, kept: tuple[int, int] = (0, 0)) -> None:
            seen.append(kept)

    load(records, tmp_path, progress=Parts())
    assert {kept for kept, _ in seen} == {0}
    number = seen[-1][1]
    min((tmp_path / loading.FOLDER / INFO.name).glob("*.json")).unlink()
    seen.clear()
    load(records, tmp_path, progress=Parts())
    assert seen[-1][1] == number
    assert sum(kept for kept, _ in _last_of_each(seen)) == len(seen) - 1


def _last_of_each(seen: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The last word about each set of files: its count begins anew."""
    after = [*seen[1:], (0, 1)]
    return [each for each, following in zip(seen, after, strict=True) if following[1] == 1]


# ---------------------------------------------------------------------------------------- twice


def test_a_record_that_comes_again_in_another_partition_comes_once(
    records: Path, studies: list[bytes], tmp_path: Path
) -> None:
    again = tmp_path / "again.jsonl"
    again.write_bytes(b"".join(studies) + b"".join(studies[:3]))
    found = load(again, tmp_path / "var")
    records.rename(again)
    assert lines(found) == plain(again)
    assert found.told.records == STUDIES + embedded_records()


def embedded_records() -> int:
    part = catalog.load(INFO.name)
    assert list(part.quads)
    return part.account.records


def test_a_record_that_comes_again_and_differs_is_refused(studies: list[bytes], tmp_path: Path) -> None:
    study = json.loads(studies[0])
    study["BriefTitle"] = ["Another title"]
    file = tmp_path / "studies.jsonl"
    file.write_bytes(b"".join(studies) + json.dumps(study).encode() + b"\n")
    with pytest.raises(SourceError, match=r"NCT\d{8}: the identifier also stands in studies\.jsonl"):
        load(file, tmp_path / "var")


# ------------------------------------------------------------------------------------- dividing


@pytest.mark.parametrize("source", ["clinicaltrials", "ictrp"])
def test_a_loader_that_divides_its_files_reads_nothing_else(source: str, records: Path, shared: Path) -> None:
    """What is kept is known by the partition and the code: so nothing else may matter."""
    file = records if source == INFO.name else shared / "data" / "ictrp" / "ICTRP-Results_18Mar2020.xml"
    program = f"""
import sys
from pathlib import Path
from loaders import catalog
partitions = list(catalog.divide({source!r}, [Path({str(file)!r})]))
catalog.load_partition(partitions[0])  # imports, and what is read once
opened = []
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)
catalog.load_partition(partitions[1])
print(*opened, sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert [name for name in done.stdout.split("\n") if name and not name.endswith("source.toml")] == []


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=400), st.data())
def test_a_unit_that_comes_moves_the_ends_of_two_partitions_at_most(
    pieces: list[bytes], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(pieces)))
    more = [*pieces[:at], data.draw(st.binary(min_size=1, max_size=20)), *pieces[at:]]
    before, after = (
        {tuple(unit.data for unit in part) for part in catalog.divided(map(unit_of, some))}
        for some in (pieces, more)
    )
    assert len(after - before) <= 2
    assert sum(map(len, catalog.divided(map(unit_of, more)))) == len(more)


def unit_of(data: bytes) -> Unit:
    return Unit("a.jsonl", None, data, 0)


def test_the_key_of_a_partition_is_of_its_bytes_their_file_and_the_code() -> None:
    partition = Partition("clinicaltrials", "code", (Unit("a.jsonl", 1, b"{}", 2),))
    unit = partition.units[0]
    others = [
        replace(partition, code="other"),
        replace(partition, left_out=frozenset({"NCT00000001"})),
        *(
            replace(partition, units=(changed,))
            for changed in (replace(unit, data=b"{} "), replace(unit, line=None), replace(unit, file="b"))
        ),
        replace(partition, units=(unit, unit)),
    ]
    keys = {catalog.key(one) for one in (partition, *others)}
    assert len(keys) == 1 + len(others)
    moved = replace(partition, units=(replace(unit, line=2, end=9),))
    assert catalog.key(moved) == catalog.key(partition), "where in its file it stands is none of it"
