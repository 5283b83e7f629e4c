"""A snapshot's store on disk: written once, never half, read by many; and which snapshots get one."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kg.engine import Engine, Limits, disk
from kg.engine.disk import choose, write_store
from kg.engine.formats import BY_KEY
from kg.engine.memory import DiskEngine
from kg.errors import SnapshotError, UsageError
from kg.settings import Settings
from kg.snapshot import Snapshot, open_snapshot

COUNT = "SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } }"


@pytest.fixture
def own(tiny: Snapshot, tmp_path: Path) -> Snapshot:
    """A copy of the tiny snapshot that a test may spoil."""
    folder = tmp_path / tiny.folder.name
    shutil.copytree(tiny.folder, folder, ignore=shutil.ignore_patterns(disk.STORE))
    return open_snapshot(folder)


def answer(engine: Engine, query: str) -> bytes:
    async def asked() -> bytes:
        async with engine:
            return await (await engine.query(query, accept=BY_KEY["csv"], limits=Limits())).read()

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("wanted", "quads", "free", "expected"),
    [
        ("auto", 1_000_000, 8 * 10**9, "memory"),
        ("auto", 60_000_000, 8 * 10**9, "disk"),
        ("auto", 10_000_000, 8 * 10**9, "memory"),  # 4.0 of the 4.0 GB that can be had
        ("auto", 10_000_001, 8 * 10**9, "disk"),
        ("memory", 60_000_000, 8 * 10**9, "memory"),
        ("disk", 1, 8 * 10**9, "disk"),
    ],
)
def test_a_graph_is_held_in_memory_where_it_fits_into_half_of_what_is_free(
    tiny: Snapshot, wanted: str, quads: int, free: int, expected: str
) -> None:
    choice = choose(replace(tiny, quads=quads), wanted, free_bytes=free)
    assert choice.engine == expected
    assert (f"{quads:,} quads" in choice.why) == (wanted == "auto")


def test_what_is_free_is_known_on_linux() -> None:
    assert (disk.free_memory() or 0) > 10**7


def test_an_engine_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="engine is 'rocket'; it must be one of auto, memory, disk"):
        Settings.from_environ({"KG_ENGINE": "rocket"})


def test_the_store_is_written_once_and_then_only_opened(own: Snapshot) -> None:
    assert answer(DiskEngine(own), COUNT) == b"n\r\n2003\r\n"
    files = {path.name: path.stat().st_mtime_ns for path in (own.folder / disk.STORE).iterdir()}
    assert answer(DiskEngine(own), COUNT) == b"n\r\n2003\r\n"
    assert files == {path.name: path.stat().st_mtime_ns for path in (own.folder / disk.STORE).iterdir()}


def test_two_engines_read_one_store_at_once(own: Snapshot) -> None:
    async def both() -> list[bytes]:
        async with DiskEngine(own) as one, DiskEngine(own) as other:
            answers = [
                await each.query(COUNT, accept=BY_KEY["csv"], limits=Limits()) for each in (one, other)
            ]
            return [await each.read() for each in answers]

    assert asyncio.run(both()) == [b"n\r\n2003\r\n"] * 2


def test_writers_wait_for_each_other_and_one_writes(own: Snapshot) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-m", "kg.engine.disk", str(own.folder)], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    seal = own.folder / disk.STORE / "store.json"
    while not seal.exists() and any(writer.poll() is None for writer in writers):
        time.sleep(0.001)
    first = seal.stat().st_ino
    assert [(writer.wait(), writer.communicate()[1]) for writer in writers] == [(0, b"")] * 3
    assert seal.stat().st_ino == first  # a second writer would have put a folder of its own there
    assert answer(DiskEngine(own), COUNT) == b"n\r\n2003\r\n"


def test_what_a_killed_writer_left_is_removed_and_written_again(own: Snapshot) -> None:
    half = own.folder / f".{disk.STORE}-killed"
    half.mkdir()
    (half / "000001.sst").write_bytes(b"half")
    # A store without its seal is not complete, whatever its name.
    (own.folder / disk.STORE).mkdir()
    write_store(own)
    assert not half.exists()
    assert answer(DiskEngine(own), COUNT) == b"n\r\n2003\r\n"


def test_a_store_of_another_content_or_version_is_written_again(own: Snapshot) -> None:
    seal = write_store(own) / "store.json"
    seal.write_text(seal.read_text().replace('"pyoxigraph": "', '"pyoxigraph": "9'))
    write_store(own)
    assert '"pyoxigraph": "9' not in seal.read_text()


def test_a_store_of_which_some_quads_are_sorted_first_holds_all_of_them(
    own: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_FIRST", 500)
    write_store(own)
    assert answer(DiskEngine(own), COUNT) == b"n\r\n2003\r\n"


def test_a_disk_without_room_for_a_store_is_told_before_it_is_full(own: Snapshot) -> None:
    room = own.quads * disk.BYTES_WHILE_WRITTEN
    with pytest.raises(SnapshotError, match=r"2,003 quads needs 1 MB .*Make room.*KG_ENGINE=memory"):
        write_store(own, free_bytes=room - 1)
    assert not list(own.folder.glob("*store*"))
    write_store(own, free_bytes=room)


def test_damaged_data_are_told_and_leave_no_store(own: Snapshot) -> None:
    data = bytearray(own.data.read_bytes())
    data[len(data) // 2] ^= 1
    own.data.write_bytes(data)
    with pytest.raises(SnapshotError, match=r"data\.nq\.gz.*kg build"):
        answer(DiskEngine(own), COUNT)
    assert not list(own.folder.glob("*store*"))


def test_a_folder_that_cannot_be_written_is_told_with_the_way_out(own: Snapshot) -> None:
    (own.folder / disk.STORE).write_text("a file where the folder should be")
    with pytest.raises(SnapshotError, match=r"store cannot be written.*KG_ENGINE=memory"):
        answer(DiskEngine(own), COUNT)
