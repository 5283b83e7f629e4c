"""Content codings of answers: which one a client gets, and bytes in it as they come.

Hides zlib and zstandard. An encoder gives the same bytes however its input is cut into pieces, so that one
strong ETag names them: it flushes at fixed places of the input, early for the first byte, then now and then.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from functools import lru_cache
from typing import Protocol

import zstandard

IDENTITY = "identity"
_CODINGS = ("zstd", "gzip")  # preferred first
_NAMES = {"x-gzip": "gzip"}
# Of one element; possessive throughout, so that no header, however long, is read twice.
_PART = re.compile(r"\s*+([!#$%&'*+.^_`|~0-9A-Za-z-]++)\s*+(?:;\s*+[qQ]\s*+=\s*+([^;\s]*+)\s*+)?(?:;.*+)?")

SMALL = 1024  # bytes; a smaller body gains nothing
_FIRST_FLUSH = 4 * 1024
_FLUSH_EVERY = 64 * 1024
_GZIP_LEVEL, _ZSTD_LEVEL = 5, 3
_IN_THREAD = 16 * 1024  # a larger piece takes longer than handing it to a thread


def choose_coding(header: str | None) -> str:
    """The coding for an Accept-Encoding header (RFC 9110, 12.5.3): the client's quality, then ours.

    Without a header, and where nothing on offer is acceptable, it is identity.
    """
    if not header:
        return IDENTITY
    return _chosen_again(header) if len(header) <= 1024 else _chosen(header)


def _chosen(header: str) -> str:
    qualities: dict[str, float] = {}
    for element in header.split(","):
        found = _PART.fullmatch(element)
        if found is None:
            continue
        name, given = found.groups("")
        called = _NAMES.get(name.lower(), name.lower())
        try:
            qualities.setdefault(called, min(float(given), 1.0) if given else 1.0)
        except ValueError:
            qualities.setdefault(called, 0.0)
    others = qualities.get("*", 0.0)
    best, chosen = qualities.get(IDENTITY, 0.0), IDENTITY
    for coding in reversed(_CODINGS):
        quality = qualities.get(coding, others)
        if quality > 0 and quality >= best:
            best, chosen = quality, coding
    return chosen


_chosen_again = lru_cache(maxsize=256)(_chosen)


class _Compressor(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def flush(self, mode: int = ..., /) -> bytes: ...


class Encoder:
    """One body in a coding, piece by piece: `encode` each, then `finish`."""

    def __init__(self, coding: str) -> None:
        self._fed = 0
        self._next_flush = _FIRST_FLUSH
        if coding == "gzip":
            self._compressor: _Compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
            self._flush_mode, self._finish_mode = zlib.Z_SYNC_FLUSH, zlib.Z_FINISH
        else:
            self._compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
            self._flush_mode = zstandard.COMPRESSOBJ_FLUSH_BLOCK
            self._finish_mode = zstandard.COMPRESSOBJ_FLUSH_FINISH

    async def encode(self, piece: bytes) -> bytes:
        """What is ready after a piece; may be empty. A large piece does not hold up other requests."""
        if len(piece) > _IN_THREAD:
            return await asyncio.to_thread(self.encode_now, piece)
        return self.encode_now(piece)

    def encode_now(self, piece: bytes) -> bytes:
        """As `encode`, here and now."""
        ready = []
        at = 0
        while at < len(piece):
            part = piece[at : at + self._next_flush - self._fed]
            at += len(part)
            self._fed += len(part)
            ready.append(self._compressor.compress(part))
            if self._fed == self._next_flush:
                ready.append(self._compressor.flush(self._flush_mode))
                self._next_flush += _FLUSH_EVERY
        return b"".join(ready)

    def finish(self) -> bytes:
        """The rest, and the end of the coding."""
        return self._compressor.flush(self._finish_mode)

    def break_off(self, last: bytes) -> bytes:
        """The rest and some last words, without the end of the coding: decoders see that it is not whole."""
        return self._compressor.compress(last) + self._compressor.flush(self._flush_mode)


async def encoded(body: bytes, coding: str) -> bytes:
    """A whole body in a coding."""
    encoder = Encoder(coding)
    return await encoder.encode(body) + encoder.finish()
