"""Files compressed with gzip, of which the same content always gives the same bytes.

Hides that blocks are compressed beside each other, in threads (zlib lets go of the interpreter): each block
ends where the next can begin, so that together they are one gzip member, which every reader understands; and
so that a block may stand in several files, compressed once.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_BLOCK = 1 << 20  # bytes; where blocks end depends on nothing but the content
_LEVEL = 5  # of what level 6 takes two thirds of the time, and 3 % more bytes; measured on N-Triples
_THREADS = min(os.cpu_count() or 1, 8)
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # RFC 1952: no name, no time, no system
_END = b"\x03\x00"  # RFC 1951: an empty last block


class Packer:
    """What is written to it comes compressed into a file, in memory of some blocks for each thread."""

    def __init__(self, file: IO[bytes], pool: ThreadPoolExecutor) -> None:
        self._file, self._pool = file, pool
        self._held = bytearray()
        self._waiting: deque[Future[bytes]] = deque()
        self._crc = self._size = 0
        file.write(_HEADER)

    def write(self, data: bytes) -> int:
        """Take bytes, any number of them; returns how many."""
        self._held += data
        for block in _whole_blocks(self._held):
            self._give(block)
        return len(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Take one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing: a block that is not full yet stays."""

    def end(self) -> None:
        """Write what is held, and the end of the file's content."""
        last = bytes(self._held)
        self._count(last)
        while self._waiting:
            self._file.write(self._waiting.popleft().result())
        # Here and not in a thread: a file that is smaller than a block needs none.
        self._file.write(_deflated(last) + _END + struct.pack("<LL", self._crc, self._size & 0xFFFFFFFF))

    def cut(self) -> None:
        """End a block here, so that what comes next may be shared."""
        if self._held:
            self._give(bytes(self._held))
            self._held.clear()

    def deflate(self, block: bytes) -> Future[bytes]:
        """A block compressed, some time."""
        return self._pool.submit(_deflated, block)

    def take(self, block: bytes, deflated: Future[bytes]) -> None:
        """Take a block of which all that was written before has been cut."""
        self._count(block)
        self._waiting.append(deflated)
        while len(self._waiting) > 2 * _THREADS:
            self._file.write(self._waiting.popleft().result())

    def _give(self, block: bytes) -> None:
        self.take(block, self.deflate(block))

    def _count(self, block: bytes) -> None:
        self._crc = zlib.crc32(block, self._crc)
        self._size += len(block)


class Shared:
    """What is written to it comes into several files, at the same time and compressed once."""

    def __init__(self, files: Sequence[Packer]) -> None:
        self._files = files
        self._held = bytearray()
        for file in files:
            file.cut()

    def write(self, data: bytes) -> int:
        """Take bytes, any number of them; returns how many."""
        self._held += data
        for block in _whole_blocks(self._held):
            self._give(block)
        return len(data)

    def end(self) -> None:
        """Give the files what is held; they go on by themselves."""
        self._give(bytes(self._held))
        self._held.clear()

    def _give(self, block: bytes) -> None:
        deflated = self._files[0].deflate(block)
        for file in self._files:
            file.take(block, deflated)


def _whole_blocks(held: bytearray) -> Iterator[bytes]:
    """The full blocks that are held, which are then held no more."""
    whole = len(held) // _BLOCK * _BLOCK
    for start in range(0, whole, _BLOCK):
        yield bytes(held[start : start + _BLOCK])
    if whole:
        del held[:whole]


def _deflated(block: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)


@contextmanager
def packed(path: Path) -> Iterator[Packer]:
    """A gzip file at a path, complete when the block ends; OSError where it cannot be."""
    with path.open("wb") as file, ThreadPoolExecutor(_THREADS) as pool:
        packer = Packer(file, pool)
        yield packer
        packer.end()
