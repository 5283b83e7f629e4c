"""Which engine a request asks: chosen once, when the request comes in, and the same for all of its answer.

Hides where that is noted. A router is made once and outlives every snapshot, so it keeps no engine and no
version: it asks `engine_of(request)` for each request.
"""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.requests import Request
from starlette.types import Scope

from kg.engine import Engine
from kg.search import Index

_KEY = "stroma.engine"
IS_HEAD = "stroma.head"  # in the scope of a HEAD request, which its route sees as a GET


def note(scope: Scope, engine: Engine) -> None:
    """Note the engine that a request asks."""
    scope[_KEY] = engine


def engine_of(request: Request) -> Engine:
    """The engine that a request asks; its snapshot is what every part of the answer speaks of."""
    return cast(Engine, request.scope[_KEY])


async def index_of(request: Request) -> Index:
    """The search index of the snapshot that a request asks; written now where a snapshot has none."""
    snapshot = engine_of(request).snapshot
    indexes: dict[str, Index] = request.app.state.indexes
    if snapshot.name not in indexes:
        indexes[snapshot.name] = await asyncio.to_thread(Index.of, snapshot)
    return indexes[snapshot.name]
