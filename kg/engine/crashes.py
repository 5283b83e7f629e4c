"""The crash journal: which query ended a worker, when, of what; and which queries are not tried again.

Hides the journal's file. A line names a query by its hash, never by its text.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import time
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path

from kg.engine import query_hash
from kg.errors import QueryRefused

log = logging.getLogger(__name__)

_JOURNAL_BYTES = 512 * 1024  # then the journal is renamed to .1, in place of an older one
_TIMES = 2  # a query that ended so many workers is refused
_SECONDS = 600.0  # for so long after the last time
_REMEMBERED = 1000  # queries


class Crashes:
    """Workers that ended while they evaluated: a journal at `path`, and a short memory for repeated ones."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: OrderedDict[str, list[float]] = OrderedDict()  # by query hash: when

    def record(self, text: str, status: int | None, cause: str, snapshot: str) -> None:
        """Note that a worker ended with `status` (negative: a signal) of `cause` while it evaluated a query.

        A kill from outside (SIGKILL: an operator, the kernel short of memory), and an end that nobody saw
        (None: the keeper ended), are in the journal and do not count against the query.
        """
        query = query_hash(text)
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "query": query,
            "signal": None if status is None or status >= 0 else _signal(-status),
            "status": status,
            "cause": cause,
            "snapshot": snapshot,
        }
        log.warning(
            "a query ended its worker", extra={key: value for key, value in entry.items() if key != "time"}
        )
        if status not in (None, -signal.SIGKILL):
            times = self._seen.setdefault(query, [])
            times.append(time.monotonic())
            del times[:-_TIMES]
            self._seen.move_to_end(query)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        if self._path is not None:
            try:
                self._write(self._path, json.dumps(entry, ensure_ascii=False) + "\n")
            except OSError as problem:
                log.error("cannot write the crash journal", extra={"problem": str(problem)})

    def check(self, text: str) -> None:
        """Raise QueryRefused for a query that ended two workers lately; it would only end another one."""
        if not self._seen:
            return
        query = query_hash(text)
        times = self._seen.get(query)
        if times is None or len(times) < _TIMES:
            return
        left = times[-1] + _SECONDS - time.monotonic()
        if left <= 0:
            del self._seen[query]
            return
        raise QueryRefused(
            f"This query ended the process that evaluated it {_TIMES} times, so it is not tried again for "
            f"{math.ceil(left / 60)} minutes. Change it: fewer patterns, less nesting, a LIMIT"
        )

    @staticmethod
    def _write(path: Path, line: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _JOURNAL_BYTES:
            os.replace(path, path.with_name(f"{path.name}.1"))
        with path.open("a", encoding="utf-8") as file:
            file.write(line)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
