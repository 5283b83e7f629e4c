"""The body of an answer on its way from the evaluator to a client, however slow the client is.

Hides where bytes wait: a little in memory, more in a temporary file without a name, and beyond the room for
such files the evaluator itself waits. So a slow client costs disk, not a worker; and memory stays flat.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable

from kg.errors import QueryError

log = logging.getLogger(__name__)

_AHEAD_BYTES = 512 * 1024  # of one answer in memory, not yet taken by the client
_READ_BYTES = 256 * 1024
_SHARE = 4  # one answer may take a quarter of the room on disk


class Spool:
    """Room on disk for the answers that clients are slow to take: `limit` bytes for all together.

    The files are in the system's temporary folder (TMPDIR) and go away with the process, however it ends.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int, held: int) -> bool:
        """Take room for `size` bytes more of an answer that holds `held`; False where there is none."""
        if self.used + size > self.limit or held + size > self.limit // _SHARE:
            return False
        self.used += size
        return True

    def give(self, size: int) -> None:
        """Give room back."""
        self.used -= size


class Body:
    """Bytes that one side feeds and the other takes in its own time; `take` is for one reader.

    `full` tells the feeder to stop until `on_room` is called.
    """

    def __init__(self, spool: Spool, *, keep_bytes: int, on_room: Callable[[], None]) -> None:
        self.full = False
        self.size = 0
        self._spool = spool
        self._keep_bytes = keep_bytes
        self._complete: asyncio.Future[bytes | None] | None = None
        self._on_room = on_room
        self._kept: list[bytes] | None = []
        # In the order in which they are read: pieces in memory, the file, pieces for which it had no room.
        self._pieces: deque[bytes] = deque()
        self._file = -1
        self._written = self._read = 0  # in the file
        self._tail: deque[bytes] = deque()
        self._ahead = 0  # bytes in memory
        self._ended = False
        self._closed = False
        self._problem: QueryError | None = None
        self._more: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------------------------ the feeder

    def feed(self, piece: bytes) -> None:
        """Add bytes; never refuses, but `full` may be set afterwards."""
        if self._closed or self._problem is not None:
            return
        self.size += len(piece)
        if self._kept is not None:
            self._kept.append(piece)
            if self.size > self._keep_bytes:
                self._give_up_keeping()
        if self._file < 0 and not self.full and self._ahead + len(piece) <= _AHEAD_BYTES:
            self._pieces.append(piece)
            self._ahead += len(piece)
        elif self.full or not self._put(piece):
            (self._pieces if self._file < 0 else self._tail).append(piece)
            self._ahead += len(piece)
            self.full = True
        self._wake()

    def end(self) -> None:
        """All of it was fed."""
        if self._ended or self._problem is not None:
            return
        self._ended = True
        self.full = False
        if self._complete is not None and self._kept is not None:
            self._complete.set_result(b"".join(self._kept))
            self._kept = None
        self._wake()

    def fail(self, problem: QueryError) -> None:
        """It ends here, incomplete; what was fed is still given out first."""
        if self._ended or self._problem is not None:
            return
        self._problem = problem
        self._kept = None
        if self._complete is not None and not self._complete.done():
            self._complete.set_exception(problem)
        self._wake()

    @property
    def ended(self) -> bool:
        """Whether all of it was fed."""
        return self._ended

    # ------------------------------------------------------------------------------------ the reader

    def whole(self) -> bytes | None:
        """All of it, if it has ended and is still in memory."""
        if not self._ended or self._file >= 0:
            return None
        return b"".join(self._pieces)

    def completed(self) -> asyncio.Future[bytes | None]:
        """Becomes the whole body when all of it was fed, None once it is too large for that or unwanted.

        Raises what the body failed with.
        """
        if self._complete is None:
            self._complete = asyncio.get_running_loop().create_future()
            # Where nobody asks, a failure is no news: the reader gets it.
            self._complete.add_done_callback(lambda complete: complete.cancelled() or complete.exception())
            if self._problem is not None:
                self._complete.set_exception(self._problem)
            elif self._kept is None:
                self._complete.set_result(None)
            elif self._ended:
                self._complete.set_result(b"".join(self._kept))
        return self._complete

    async def take(self) -> AsyncIterator[bytes]:
        """The bytes as they come; raises what it failed with, after the bytes that came before."""
        while True:
            while (piece := self._next()) is not None:
                yield piece
            if self._problem is not None:
                raise self._problem
            if self._ended or self._closed:
                return
            self._more = asyncio.get_running_loop().create_future()
            await self._more

    def close(self) -> None:
        """Forget what nobody will take; safe to call more than once."""
        self._closed = True
        self._give_up_keeping()
        self._pieces.clear()
        self._ahead = 0
        self._drop_file()
        self._wake()

    # ---------------------------------------------------------------------------------------- inside

    def _put(self, piece: bytes) -> bool:
        """Write to the file; False where there is no room for it."""
        if not self._spool.take(len(piece), self._written):
            return False
        try:
            if self._file < 0:
                self._file = _nameless_file()
            # To the page cache: microseconds, unless the disk cannot follow at all.
            written = os.pwrite(self._file, piece, self._written)
            if written < len(piece):
                raise OSError("no space left")
        except OSError as problem:
            log.warning("cannot spool an answer", extra={"problem": str(problem)})
            self._spool.give(len(piece))
            if self._file >= 0 and not self._written:
                self._drop_file()
            return False
        self._written += len(piece)
        return True

    def _next(self) -> bytes | None:
        if self._pieces:
            piece = self._pieces.popleft()
            self._ahead -= len(piece)
        elif self._file >= 0:
            piece = os.pread(self._file, min(_READ_BYTES, self._written - self._read), self._read)
            self._read += len(piece)
            if self._read == self._written:
                self._drop_file()
                self._pieces, self._tail = self._tail, self._pieces
        else:
            return None
        if self.full and self._file < 0 and self._ahead < _AHEAD_BYTES // 2:
            self.full = False
            self._on_room()
        return piece

    def _drop_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._spool.give(self._written)
            self._file, self._written, self._read = -1, 0, 0

    def _give_up_keeping(self) -> None:
        self._kept = None
        if self._complete is not None and not self._complete.done():
            self._complete.set_result(None)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


def _nameless_file() -> int:
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())
