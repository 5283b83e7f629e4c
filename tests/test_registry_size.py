"""The bench at registry size measures what it says: processes, servers, the fitted exponent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench import figures, registry_size
from bench.registry_size import Place, watched
from kg.engine.disk import STORE
from kg.snapshot import Snapshot, current
from tests.test_replicas import copied


@pytest.fixture
def place(tiny: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(registry_size, "STARTS", 1)
    copied(tiny, tmp_path / "var")
    # Other tests may have had the store written; here it is written by who is measured.
    shutil.rmtree(tmp_path / "var" / "snapshots" / tiny.name / STORE, ignore_errors=True)
    return Place(tmp_path, studies=1, tell=lambda said: None)


def test_the_memory_of_a_command_is_that_of_all_its_processes() -> None:
    program = (
        "import os, time\n"
        "child = os.fork()\n"
        "held = os.urandom(60_000_000)\n"  # each its own
        "time.sleep(1.5)\n"
        "if child: os.waitpid(child, 0); print('done')\n"
    )
    ran = watched([sys.executable, "-c", program], dict(os.environ))
    assert ran.said == "done"
    assert 0 < ran.of_processors < ran.seconds * (os.cpu_count() or 1)
    assert 110 < ran.peak < 200
    assert max(mib for _, mib in ran.looks) == ran.peak


def test_a_command_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(RuntimeError, match="ended with 3: no space left"):
        watched([sys.executable, "-c", "print('no space left'); raise SystemExit(3)"], dict(os.environ))


def test_the_bulk_load_of_the_peer_leaves_nothing_behind(place: Place, tiny: Snapshot) -> None:
    before = sorted(place.folder.iterdir())
    found = registry_size.bulk(place)
    assert found["input, bytes"] > 50 * tiny.quads
    assert found["quads/s"] == pytest.approx(tiny.quads / found["seconds"], rel=0.5)
    assert found["quads"] == tiny.quads
    assert sorted(place.folder.iterdir()) == before


def test_the_bulk_load_is_of_as_many_quads_as_the_disk_has_room_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = shutil.disk_usage(place.folder)._replace(free=500_100)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room)
    found = registry_size.bulk(place)
    assert 500 < found["quads"] < 2_000
    assert 0 < found["input, bytes"] < 500_100, "as text, beside which the store has to have room"


def test_the_change_of_snapshot_fails_no_request_and_is_taken_back(place: Place, tiny: Snapshot) -> None:
    found = registry_size.serve(place)
    assert found["store"]["written"] is not None
    assert len(found["start, s"]) == 1
    assert found["change"]["seconds"] is not None
    assert found["change"]["failed"] == {}
    assert found["change"]["answers"] > 10
    now = current(place.var)
    assert now is not None
    assert now.name == tiny.name
    assert [folder.name for folder in (place.var / "snapshots").iterdir()] == [tiny.name]
    # What was written stays for the next stage.
    assert registry_size.serve(place)["store"]["written"] is None


def test_every_question_is_asked_of_the_store_on_disk(place: Place) -> None:
    found = registry_size.queries(place)
    assert len(found) > 30
    assert not [name for name, each in found.items() if "failed" in each]
    assert found["conditions-studied"]["rows"] == 0  # nothing of the kind is in this graph


def test_spark_and_processes_load_the_same_from_empty_partitions_and_leave_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    monkeypatch.setattr(registry_size, "TURNS", 1)
    monkeypatch.setattr(registry_size, "WHO", (registry_size.OURS, registry_size.LOCAL))
    turns = registry_size.on_spark(replace(place, studies=60))["turns"]
    (ours,), (theirs,) = turns.values()
    assert ours["quads"] == theirs["quads"] > 0
    assert ours["partitions"] == theirs["partitions"] > 1
    assert ours["peak memory, MiB"] < theirs["peak memory, MiB"], "that of Java counts"
    assert ours["of processors, s"] < theirs["of processors, s"]
    assert not (place.folder / "loading").exists()


def test_what_works_for_a_command_beside_it_counts() -> None:
    busy = "x = bytes(60_000_000).replace(b'\\0', b'x')\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", busy]) as other:
        try:
            idle = watched([sys.executable, "-c", "import time; time.sleep(2)"], dict(os.environ))
            both = watched(
                [sys.executable, "-c", "import time; time.sleep(2)"],
                dict(os.environ),
                [psutil.Process(other.pid)],
            )
        finally:
            other.kill()
    assert both.of_processors > idle.of_processors
    assert both.peak > idle.peak + 50


def test_a_stage_that_was_measured_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[int] = []
    monkeypatch.setitem(
        registry_size._RUN, "bulk", lambda place: {"seconds": ran.append(place.studies) or len(ran)}
    )
    results = tmp_path / "registry.json"
    stamp = {"date": "2026-11-29", "commit": "0a1b2c3", "machine": "2 cores, 23 GiB"}
    for studies in ("124000", "1240", "1240"):
        arguments = ["--studies", studies, "--folder", str(tmp_path), "--stages", "bulk"]
        assert registry_size.main(arguments, results, stamp) == 0
    assert ran == [124_000, 1_240]
    assert "--again" in capsys.readouterr().out
    kept = json.loads(results.read_text(encoding="utf-8"))
    assert list(kept) == ["1240", "124000"]
    assert kept["1240"]["bulk"] == {**stamp, "seconds": 2}


def test_a_stage_that_cannot_run_says_why_and_leaves_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--studies", "7", "--folder", str(tmp_path), "--stages", "bulk"]
    assert registry_size.main(arguments, tmp_path / "x.json", {}) == 1
    assert "run the stage build first" in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_an_unknown_stage_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        registry_size.main(["--folder", str(tmp_path), "--stages", "bild"], tmp_path / "x.json", {})
    assert (
        "no stage is called 'bild'; there are: build, bulk, serve, queries, virtuoso, spark"
        in capsys.readouterr().err
    )


def test_the_exponent_is_that_of_a_power_and_short_times_have_none() -> None:
    sizes = [1_000, 10_000, 100_000]
    assert figures.fitted(sizes, [10, 100, 1000]) == pytest.approx(1)
    assert figures.fitted(sizes, [10, 1000, 100_000]) == pytest.approx(2)
    assert figures.fitted(sizes, [7, 7, 7]) == pytest.approx(0)
    assert figures.fitted(sizes, [0.1, 10, 100]) == pytest.approx(1)  # the first tells nothing
    assert figures.fitted(sizes, [10, None, 1000]) == pytest.approx(1)
    assert figures.exponent(sizes, [0.1, 0.2, 4.9]) == "too short"
    assert figures.exponent(sizes[:1], [70]) == "one size"
