"""What a request asks: the engine that is chosen when it comes in, and what that engine is one of.

Hides where that is noted. A router is made once and outlives every snapshot, so it keeps no engine and no
version: it asks `engine_of(request)` for each request, and `served_of(request)` for what all engines share.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

from starlette.requests import Request
from starlette.types import Scope

from kg.engine import Engine, Limits
from kg.engine.served import Served
from kg.hierarchy import Hierarchy, hierarchy
from kg.search import Index

_KEY = "stroma.asked"
_KEPT = 3
IS_HEAD = "stroma.head"  # in the scope of a HEAD request, which its route sees as a GET


class Asked(NamedTuple):
    """The engine of one request; `permanent` where the address names its snapshot beyond doubt."""

    engine: Engine
    served: Served
    permanent: bool = False


def note(scope: Scope, asked: Asked) -> None:
    """Note what a request asks."""
    scope[_KEY] = asked


def asked_of(request: Request) -> Asked:
    """What a request asks."""
    return cast(Asked, request.scope[_KEY])


def engine_of(request: Request) -> Engine:
    """The engine that a request asks; its snapshot is what every part of the answer speaks of."""
    return asked_of(request).engine


def served_of(request: Request) -> Served:
    """All engines, and what they share: figures, cache, the queries that run."""
    return asked_of(request).served


async def hierarchy_of(request: Request, limits: Limits) -> Hierarchy:
    """The terms of the snapshot that a request asks, as trees; kept for the last snapshots."""
    engine = engine_of(request)
    kept: dict[str, Hierarchy] = request.app.state.hierarchies
    name = engine.snapshot.name
    if name not in kept:
        found = await hierarchy(engine, limits)
        while len(kept) >= _KEPT:
            del kept[next(iter(kept))]
        kept[name] = found
    return kept[name]


async def index_of(request: Request) -> Index:
    """The search index of the snapshot that a request asks; written now where a snapshot has none."""
    snapshot = engine_of(request).snapshot
    indexes: dict[str, Index] = request.app.state.indexes
    if snapshot.name not in indexes:
        indexes[snapshot.name] = await asyncio.to_thread(Index.of, snapshot)
    return indexes[snapshot.name]


def whole_number(text: str, least: int, most: int) -> int | None:
    """A parameter's text as a whole number within bounds, None where it is none.

    Nine ASCII digits at most, read whole: `int` takes other digits and signs, and refuses very long texts.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return None
    number = int(text)
    return number if least <= number <= most else None
