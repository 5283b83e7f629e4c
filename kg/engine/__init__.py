"""The engine's seam: a query's text in, serialised results out.

Hides which store answers, where it runs and how a query is stopped. `kg.engine.memory` keeps a snapshot in
memory and evaluates in worker processes; every other engine has the same shape.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kg.engine.formats import Format
from kg.services import networks
from kg.settings import Settings
from kg.snapshot import Snapshot


@dataclass(frozen=True)
class Dataset:
    """The graphs a query sees: `default` are merged into its default graph, `named` are for GRAPH."""

    default: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def query_hash(text: str) -> str:
    """What names a query in logs and journals, which hold no text: 16 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Limits:
    """What one query may use; crossing a limit raises the error that names it."""

    seconds: float = 60.0  # wall clock, from the start of evaluation to the last byte
    memory_bytes: int = 2 * 1024**3  # over the shared store
    query_bytes: int = 256 * 1024  # length of the text in UTF-8
    query_tokens: int = 50_000
    query_nesting: int = 500  # brackets of any kind
    services: frozenset[str] = frozenset()  # endpoints that SERVICE may ask
    service_seconds: float = 20.0  # for one of them, of `seconds`
    service_bytes: int = 16 * 1024**2  # of what they answer together
    service_values: int = 1000  # of ours sent along with a call

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings state."""
        return cls(
            seconds=settings.query_seconds,
            memory_bytes=settings.worker_memory_bytes,
            query_bytes=settings.query_bytes,
            query_tokens=settings.query_tokens,
            query_nesting=settings.query_nesting,
            services=frozenset(networks(settings.services)),
            service_seconds=settings.service_seconds,
            service_bytes=settings.service_bytes,
            service_values=settings.service_values,
        )


@dataclass(frozen=True)
class Status:
    """How an engine is doing: whether it answers, how busy it is, and which locks hold its workers.

    `holds` is where it has the graph, "memory", "disk" or "remote"; `why` a sentence on why there; `differs`
    says how its answers may differ from those of the engines here; `spelling` names who spells and orders
    them otherwise, byte by byte, "" where they are as here.
    """

    ready: bool
    workers: int
    busy: int
    waiting: int
    locks: Mapping[str, str]  # "network" -> "seccomp", or "none" with the reason
    holds: str = "memory"
    why: str = ""
    differs: tuple[str, ...] = ()
    spelling: str = ""
    long: int = 0


@dataclass
class Figures:
    """Counts since the server started, for operators; they only grow, also over a reload.

    `answers` by outcome: "complete", "gone" (nobody wants it any more) or the slug of an error. `replaced`
    by why a worker was: "crashed", "deadline", "gone", "grown" (in memory), "long" (it had a long query),
    "recycled" (after many queries), "keeper" (its keeper died). `calls` are requests to other endpoints, by
    endpoint and outcome: "answered", "failed", "late", "too-large", "refused" (its address), "gone";
    `call_seconds` and `call_bytes` (of what they answered) are by endpoint.
    """

    answers: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    call_seconds: dict[str, float] = field(default_factory=dict)
    call_bytes: Counter[str] = field(default_factory=Counter)


async def _nothing() -> None:
    return None


@dataclass
class Answer:
    """The answer to one query: its format and its bytes, in chunks.

    Iterate once (`async for chunk in answer`), or read it all. `whole` is the complete body where it was
    small enough to arrive in one piece. A failure after the first chunk raises a QueryError out of the
    iteration: what was read until then is not the answer. `complete` becomes the whole body when evaluation
    ends, however slowly the chunks are taken, None if it is larger than the engine keeps, or the failure.
    `aclose()` frees the evaluator at any time.
    """

    format: Format
    chunks: AsyncIterator[bytes]
    whole: bytes | None = None
    complete: asyncio.Future[bytes | None] | None = None  # None where `whole` is there
    milliseconds: Mapping[str, float] = field(default_factory=dict)  # step -> time; for Server-Timing
    close: Callable[[], Awaitable[None]] = _nothing
    silenced: tuple[str, ...] = ()  # endpoints whose SERVICE SILENT failed, so that it gave nothing

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks

    async def read(self) -> bytes:
        """The whole body; raises what the iteration would raise."""
        try:
            return b"".join([chunk async for chunk in self.chunks])
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Give up whatever still works on this answer; safe to call more than once."""
        await self.close()


class Engine(Protocol):
    """What answers SPARQL queries about one snapshot. Used as `async with engine:`."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is asked."""
        ...

    @property
    def status(self) -> Status:
        """How the engine is doing now."""
        ...

    async def query(
        self, text: str, *, accept: Format, dataset: Dataset | None = None, limits: Limits
    ) -> Answer:
        """Answer a SPARQL query in a format that fits its kind.

        `dataset` overrides the query's own FROM clauses. Without either the default graph is the union of
        all graphs, and every graph can be named. A relative IRI is one below `kg.terms.BASE`. Raises
        QuerySyntaxError, QueryRefused, QueryTooLarge, QueryTimeout, QueryOutOfMemory, QueryFailed,
        ServiceFailed, ServerBusy, or UsageError for an unknown graph.
        """
        ...

    async def __aenter__(self) -> Engine: ...

    async def __aexit__(self, *problem: object) -> None: ...
