"""Which engine answers: the current snapshot's, or that of an older version somebody asks for.

Hides when an engine is loaded, replaced and dropped. A request takes hold of one engine and lets it go when
its answer is sent; a new snapshot is loaded beside the old one, then new requests get it, while the old one
finishes what it has. An older version is loaded when it is asked for and dropped when nobody asks any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from kg.engine import Engine, Figures
from kg.engine.body import Spool
from kg.engine.cache import AnswerCache
from kg.engine.chosen import engine_for
from kg.engine.crashes import Crashes
from kg.engine.federation import Federation
from kg.engine.running import Register
from kg.errors import ParameterError, ServerBusy, SnapshotError, StromaError, VersionGone
from kg.settings import Settings, is_remote
from kg.snapshot import Snapshot, published

log = logging.getLogger(__name__)

# A date, a snapshot's name (date and 12 digits of its hash), or the hash, at least 12 digits of it.
_VERSION = re.compile(r"(?P<date>\d{4}-\d{2}-\d{2})?(?:(?(date)-)(?P<hash>[0-9a-f]{12,64}))?")
_OLD_WORKERS = 1  # queries at once on a version that is not the current one


@dataclass(eq=False)
class Held:
    """An engine and how many requests use it: `with held as engine:` keeps it running meanwhile."""

    engine: Engine
    old: bool  # made for an older version
    unused: Callable[[Held], None] = field(repr=False)
    users: int = 0
    uses: int = 0  # since it was made
    started: asyncio.Task[None] | None = field(default=None, repr=False)

    def __enter__(self) -> Engine:
        self.users += 1
        self.uses += 1
        return self.engine

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.users -= 1
        if self.users == 0:
            self.unused(self)


class Served:
    """The engines of one server. Used as `async with served:`; a request does `with served.now as engine:`.

    `find` gives the snapshot that should be current, for `reload`; without it there is nothing to reload.
    `figures` count for all engines together; `spool`, `cache`, `running` and `federation` (None where no
    other endpoint may be asked) are theirs together, too.
    """

    def __init__(
        self, snapshot: Snapshot, settings: Settings, *, find: Callable[[], Snapshot | None] | None = None
    ) -> None:
        self._settings = settings
        self._find = find
        self.figures = Figures()
        self.spool = Spool(settings.spool_bytes)
        self.cache = AnswerCache(settings.cache_bytes, settings.cache_answer_bytes)
        self.running = Register()
        self.federation: Federation | None = None
        if settings.services:
            self.federation = Federation(
                settings.services, queries=settings.service_queries, figures=self.figures
            )
        self._crashes = Crashes(settings.var / "crashes.jsonl")
        self._held: dict[str, Held] = {}  # by the snapshot's name; the current one is among them
        self._current = self._hold(snapshot)
        self._failed = ""  # the snapshot that did not load; unasked only another server is tried again
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> Held:
        """The engine of the current snapshot."""
        return self._current

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Every engine that is loaded or loading, the current one first; for operators."""
        others = [held.engine for held in self._held.values() if held is not self._current]
        return (self._current.engine, *others)

    async def __aenter__(self) -> Served:
        """Start the current snapshot's engine; raises SnapshotError if it cannot be loaded."""
        if self.federation is not None:
            await self.federation.__aenter__()
        try:
            await self._start(self._current)
        except BaseException:
            if self.federation is not None:
                await self.federation.__aexit__()
            raise
        if self._find is not None and self._settings.watch_seconds:
            self._run(self._watch(self._settings.watch_seconds))
        return self

    async def __aexit__(self, *problem: object) -> None:
        """Stop all engines; answers in progress fail."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for held in list(self._held.values()):
            await self._stop(held)
        if self.federation is not None:
            await self.federation.__aexit__()

    # -------------------------------------------------------------------------------- older versions

    async def version(self, text: str) -> Held:
        """The engine of a version: a date, a snapshot's name or its hash (12 digits or more).

        The newest of that date, where there are several. Waits while it is loaded. Raises VersionGone where
        no such snapshot is kept, ParameterError where `text` is no version, ServerBusy where as many older
        versions as may be loaded are in use.
        """
        asked = _VERSION.fullmatch(text)
        if asked is None or not text:
            raise ParameterError(
                f"{text[:80]!r} is no version: it is a date such as 2026-11-22, or a snapshot's name, which "
                "stands in the header X-Stroma-Snapshot of each answer"
            )
        if _is(self._current.engine.snapshot, asked):
            return self._current
        if not self._settings.old_versions:
            raise self._gone(text, [])
        kept = await asyncio.to_thread(published, self._settings.var)
        wanted = next((snapshot for snapshot in kept if _is(snapshot, asked)), None)
        if wanted is None:
            raise self._gone(text, kept)
        held = self._held.get(wanted.name)
        if held is None:
            await self._make_room()
            # What came in while we made room may have loaded it.
            held = self._held.get(wanted.name) or self._hold(wanted, old=True)
        try:
            with held:
                await self._start(held)
        except SnapshotError:
            if wanted.folder.exists():
                raise
            raise self._gone(text, kept) from None  # a build removed it this moment
        return held

    def _gone(self, text: str, kept: list[Snapshot]) -> VersionGone:
        names = list(dict.fromkeys([self._current.engine.snapshot.name, *(each.name for each in kept)]))
        return VersionGone(
            f"The version {text} is not kept here. There are: {', '.join(names)}; without a version the "
            "current one answers",
            names,
        )

    async def _make_room(self) -> None:
        old = [held for held in self._held.values() if held is not self._current]
        if len(old) >= self._settings.old_versions and not await self._stop_unused():
            raise ServerBusy(
                f"{len(old)} older version{'s are' if len(old) > 1 else ' is'} being asked, which is the "
                "limit; ask again in a moment, or ask the current version",
                5,
            )

    async def _stop_unused(self) -> bool:
        """Drop the older versions that nobody uses; whether there was one."""
        idle = [held for held in self._held.values() if held is not self._current and not held.users]
        for held in idle:
            await self._stop(held)
        return bool(idle)

    # ---------------------------------------------------------------------------------------- reload

    async def reload(self) -> bool:
        """Load the snapshot that should be current and answer from it; whether there was a new one.

        Never raises for a snapshot that cannot be loaded: the log says why, and what was served stays.
        """
        return await self._reload(again=True)

    async def _watch(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._reload(again=False)

    async def _reload(self, *, again: bool) -> bool:
        """`again` tries a snapshot that failed before."""
        async with self._reloading:
            before = self._current
            if self._find is None:
                log.warning("nothing to reload: files are served, not what is published")
                return False
            name = ""
            try:
                snapshot = await asyncio.to_thread(self._find)
                if snapshot is None or snapshot.name == before.engine.snapshot.name:
                    self._failed = ""
                    return False
                name = snapshot.name
                known = name == self._failed and not again
                # What is damaged stays so; another server gets the snapshot when somebody publishes to it.
                if known and not is_remote(self._settings.engine):
                    return False
                if not known:
                    log.info("loading a snapshot", extra={"snapshot": name})
                    await self._stop_unused()
                held = self._held.get(name)
                if held is None or held.old:
                    held = self._hold(snapshot)
                await self._start(held)
            except (StromaError, OSError) as problem:
                if again or name != self._failed or not name:
                    log.error(
                        "reload failed; the old snapshot is still served",
                        extra={
                            "snapshot": before.engine.snapshot.name,
                            "failed": name,
                            "problem": str(problem),
                        },
                    )
                self._failed = name
                return False
            self._failed = ""
            self._current = held
            log.info("snapshot served", extra={"snapshot": name, "before": before.engine.snapshot.name})
            if not before.users:
                self._unused(before)
            return True

    # ------------------------------------------------------------------------------- starting, ending

    def _hold(self, snapshot: Snapshot, *, old: bool = False) -> Held:
        """Make the engine of a snapshot; `old` is for an older version, which fewer ask."""
        before = self._held.get(snapshot.name)
        held = self._held[snapshot.name] = Held(self._engine(snapshot, old), old, self._unused)
        if before is not None and not before.users:
            self._unused(before)
        return held

    def _engine(self, snapshot: Snapshot, old: bool) -> Engine:
        return engine_for(
            snapshot,
            self._settings,
            workers=_OLD_WORKERS if old else None,
            old=old,
            spool=self.spool,
            crashes=self._crashes,
            figures=self.figures,
            federation=self.federation,
        )

    async def _start(self, held: Held) -> None:
        """Start an engine once, for all who wait for it; one that cannot start is forgotten."""
        if held.started is None:
            held.started = asyncio.create_task(_entered(held.engine))
        try:
            await asyncio.shield(held.started)
        except StromaError:
            if self._held.get(held.engine.snapshot.name) is held:
                del self._held[held.engine.snapshot.name]
            raise

    async def _stop(self, held: Held) -> None:
        if self._held.get(held.engine.snapshot.name) is held:
            del self._held[held.engine.snapshot.name]
        if held.started is not None:
            held.started.cancel()
            with contextlib.suppress(asyncio.CancelledError, StromaError):
                await held.started
            await held.engine.__aexit__(None, None, None)

    def _unused(self, held: Held) -> None:
        """Nobody uses this engine now: where it is not the current one, drop it if that lasts."""
        if held is not self._current:
            forgotten = self._held.get(held.engine.snapshot.name) is not held
            keep = self._settings.old_versions and not forgotten
            self._run(self._drop(held, held.uses, self._settings.old_version_seconds if keep else 0))

    async def _drop(self, held: Held, uses: int, after: float) -> None:
        await asyncio.sleep(after)
        if held.uses == uses and not held.users and held is not self._current:
            name = held.engine.snapshot.name
            await self._stop(held)
            log.info("old snapshot dropped", extra={"snapshot": name})

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _entered(engine: Engine) -> None:
    await engine.__aenter__()


def _is(snapshot: Snapshot, asked: re.Match[str]) -> bool:
    date, digits = asked["date"], asked["hash"]
    return (not date or snapshot.version == date) and (not digits or snapshot.hash.startswith(digits))
