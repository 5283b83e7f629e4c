"""The queries that run now, by id: so that who started one can stop it, and an operator any.

Hides nothing but the table. An id is a secret: it is random, or chosen by the client, who must not choose one
that others guess; whoever knows it may stop the query and nothing else.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from kg.errors import ParameterError

_ID = re.compile(r"[A-Za-z0-9._~-]{16,64}")


@dataclass(eq=False)
class Running:
    """A query from its arrival to the last byte of its answer; `stop` ends it where somebody cancels it."""

    id: str
    hash: str  # of its text
    snapshot: str
    started: float = field(default_factory=time.monotonic)
    sending: bool = False  # its answer has begun
    sent: int = 0  # bytes of the answer so far, before compression
    cancelled: bool = False
    stop: Callable[[], object] = field(default=lambda: None, repr=False)

    @property
    def seconds(self) -> float:
        """How long it has been here."""
        return time.monotonic() - self.started


class Register:
    """The queries that run now."""

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Running]:
        return iter(tuple(self._running.values()))

    def add(self, running: Running) -> None:
        """Enter a query; raises ParameterError where its id is that of another one."""
        if running.id in self._running:
            raise ParameterError("a query with this id is running; choose another id, or let us choose")
        self._running[running.id] = running

    def remove(self, running: Running) -> None:
        """Strike a query off; safe to call more than once."""
        self._running.pop(running.id, None)

    def cancel(self, id: str) -> bool:
        """Stop the query with an id; whether there is one."""
        running = self._running.get(id)
        if running is None:
            return False
        running.cancelled = True
        running.stop()
        return True


def new_id(proposed: str | None) -> str:
    """The id that a client proposes, or a new one; raises ParameterError for one that is easy to guess."""
    if not proposed:
        return secrets.token_urlsafe(16)
    if not _ID.fullmatch(proposed):
        raise ParameterError(
            "X-Stroma-Query-Id is 16 to 64 letters, digits or ._~- that nobody guesses, such as a UUID; "
            "without it we choose one"
        )
    return proposed
