"""The engine that the settings choose for a snapshot: one place for the server and for all else that asks.

Hides which engine takes which of the settings, and that another server holds the current snapshot only.
"""

from __future__ import annotations

import logging

from kg.engine import Engine, Figures
from kg.engine.body import Spool
from kg.engine.crashes import Crashes
from kg.engine.disk import choose
from kg.engine.federation import Federation
from kg.engine.memory import DiskEngine, MemoryEngine
from kg.engine.remote import RemoteEngine
from kg.settings import Settings, is_remote
from kg.snapshot import Snapshot

log = logging.getLogger(__name__)


def engine_for(
    snapshot: Snapshot,
    settings: Settings,
    *,
    workers: int | None = None,
    old: bool = False,
    spool: Spool | None = None,
    crashes: Crashes | None = None,
    figures: Figures | None = None,
    federation: Federation | None = None,
) -> Engine:
    """The engine for a snapshot, to be started by `async with`; `Status.why` says why it is this one.

    `workers` stand in the place of the settings' number. An `old` snapshot is not the current one: it is held
    on this machine and asked at a low priority. The others may be shared by engines.
    """
    workers = settings.workers if workers is None else workers
    if is_remote(settings.engine) and not old:
        return RemoteEngine(
            snapshot,
            settings.engine,
            user=settings.remote_user,
            password=settings.remote_password,
            workers=workers,
            queue=settings.queue,
            keep_bytes=settings.cache_answer_bytes,
            spool=spool,
            figures=figures,
            why="the setting KG_ENGINE names it",
        )
    choice = choose(snapshot, settings.engine_here)
    log.info("engine", extra={"snapshot": snapshot.name, "engine": choice.engine, "why": choice.why})
    return {"memory": MemoryEngine, "disk": DiskEngine}[choice.engine](
        snapshot,
        workers=workers,
        queue=settings.queue,
        long_queries=settings.long_queries,
        long_seconds=settings.long_seconds,
        worker_queries=settings.worker_queries,
        keep_bytes=settings.cache_answer_bytes,
        spool=spool,
        crashes=crashes,
        figures=figures,
        why=choice.why,
        federation=federation,
        behind=old,
    )
