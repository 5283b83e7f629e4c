"""A body gives out what was fed, in order, however the two sides take turns and wherever the bytes wait."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.engine.body import Body, Spool
from kg.errors import QueryFailed

KIB = 1024


@given(
    sizes=st.lists(st.integers(0, 400 * KIB), max_size=30),
    turns=st.lists(st.integers(0, 3), max_size=30),
    room=st.sampled_from([0, 100 * KIB, 4 * KIB * KIB, 1024 * KIB * KIB]),
)
def test_what_comes_out_is_what_was_fed(sizes: list[int], turns: list[int], room: int) -> None:
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    spool = Spool(room)

    async def claim() -> None:
        calls = 0

        def on_room() -> None:
            nonlocal calls
            calls += 1

        body = Body(spool, keep_bytes=300 * KIB, on_room=on_room)
        taken: list[bytes] = []
        reader = body.take()
        stops = 0
        for number, piece in enumerate(pieces):
            was_full = body.full
            body.feed(piece)
            stops += body.full and not was_full
            for _ in range(turns[number] if number < len(turns) else 0):
                if sum(map(len, taken)) < body.size:
                    taken.append(await anext(reader))
        complete = body.completed()
        body.end()
        taken += [piece async for piece in reader]
        fed = b"".join(pieces)
        assert b"".join(taken) == fed
        assert await complete == (fed if len(fed) <= 300 * KIB else None)
        assert calls <= stops

    asyncio.run(claim())
    assert spool.used == 0


def test_a_slow_reader_costs_disk_and_then_the_feeder_waits() -> None:
    spool = Spool(8 * 1024 * KIB)

    async def claim() -> None:
        body = Body(spool, keep_bytes=0, on_room=lambda: None)
        fed = 0
        while not body.full:
            body.feed(b"x" * 64 * KIB)
            fed += 64 * KIB
        # Half a MiB in memory, a quarter of the room on disk, and the piece that was one too many.
        assert fed == (512 + 2048 + 64) * KIB
        assert spool.used == 2048 * KIB
        reader = body.take()
        while body.full:
            fed -= len(await anext(reader))
        assert spool.used == 0
        body.close()

    asyncio.run(claim())


def test_a_body_nobody_wants_gives_its_room_back() -> None:
    spool = Spool(64 * 1024 * KIB)

    async def claim() -> None:
        body = Body(spool, keep_bytes=0, on_room=lambda: None)
        for _ in range(20):
            body.feed(b"x" * 64 * KIB)
        assert spool.used > 0
        body.close()
        body.feed(b"more")  # what was on its way
        assert spool.used == 0

    asyncio.run(claim())


def test_a_failure_comes_after_what_was_fed() -> None:
    async def claim() -> None:
        body = Body(Spool(0), keep_bytes=100, on_room=lambda: None)
        body.feed(b"some")
        complete = body.completed()
        body.fail(QueryFailed("late"))
        reader = body.take()
        assert await anext(reader) == b"some"
        with pytest.raises(QueryFailed, match="late"):
            await anext(reader)
        with pytest.raises(QueryFailed):
            await complete

    asyncio.run(claim())


def test_without_a_disk_the_feeder_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))

    async def claim() -> None:
        body = Body(Spool(1024 * 1024 * KIB), keep_bytes=0, on_room=lambda: None)
        for _ in range(9):
            body.feed(b"x" * 64 * KIB)
        assert body.full
        body.end()
        assert len(b"".join([piece async for piece in body.take()])) == 9 * 64 * KIB

    asyncio.run(claim())
