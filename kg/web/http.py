"""HTTP/1.1 on the wire: uvicorn's protocol, but for offers to speak another one, requests to no host, and
clients that hold a connection without asking.

What a connection may hold is bounded: the bytes and seconds of a request's head, the seconds of its body, and
how many there may be. (How slowly an answer may be taken, the engine says.)

Hides what the parser makes of an Upgrade header. Java's HttpClient, and so Jena, offers `Upgrade: h2c` with
every request to an http: address. The parser takes such a message to end with its head, so a POST would lose
its body and be told that its query is empty. A server may ignore the offer (RFC 9110, 7.8): the request is
read without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kg.settings import Settings

_OFFER = (b"connection", b"upgrade", b"http2-settings")
_HEADERS = 200  # of one request
_PATH_BYTES = 8 * 1024  # of an address before its `?`; the longest of ours has some hundred
_JOINED_BYTES = 64 * 1024  # of a body that goes out in one piece with its head
_IGNORED_BYTES = 2**20  # of a body that goes on when its request has been answered


@dataclass(frozen=True)
class Bounds:
    """What a connection may hold; `refused` is told why one was closed that held more."""

    connections: int = 1000
    head_bytes: int = 256 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    refused: Callable[[str], None] = lambda why: None

    @classmethod
    def of(cls, settings: Settings, refused: Callable[[str], None]) -> Bounds:
        """The bounds that the settings state."""
        return cls(
            settings.connections, settings.head_bytes, settings.head_seconds, settings.body_seconds, refused
        )


class _Out:
    """What an answer is written to: the head waits for the first of the body, and both are one packet.

    Not beyond this round of the event loop. What is written to a connection that has ended is for nobody.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._begun = False
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write, or keep what comes first for a moment."""
        if not self._begun:
            self._begun = True
            self._head = data
            self._loop.call_soon(self._flush)
            return
        if self._head and len(data) <= _JOINED_BYTES:
            data, self._head = self._head + data, b""
        self._flush()
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """End the connection when all is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self.is_closing():
            self._transport.write(head)


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    _passed_over = False  # whether the message in hand is read again, or was refused
    _late: asyncio.TimerHandle | None = None  # ends the wait for the rest of a head or a body
    _head = 0  # bytes of a head so far
    _ignored = 0  # bytes of a body that nobody reads any more
    _asked = False  # whether anything came over this connection

    def __init__(self, *arguments: Any, bounds: Bounds | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._bounds = bounds or Bounds()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here; see `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > self._bounds.connections:
            self._refuse(503, "connections", "Too many connections are open here; come back in a moment")
        else:
            self._wait(self._bounds.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has left, or we closed."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; see `asyncio.Protocol`."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._asked = True
        self._head += len(data)
        self._feed(data)
        if self._head > self._bounds.head_bytes and not self.transport.is_closing():
            self._refuse_head()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.parser.get_method() == b"CONNECT":
                self.send_400_response("This is no proxy.")
                return
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
            self._feed(head + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.headers if name not in _OFFER]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    # --------------------------------------------------------------------------------- waiting

    def _wait(self, seconds: float) -> None:
        """Give the client so long for what it has to send next."""
        self._stop_waiting()
        self._late = self.loop.call_later(seconds, self._too_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        answering = self.cycle is not None and self.cycle.response_started
        if answering and not self.cycle.response_complete:
            self._wait(self._bounds.head_seconds)  # an answer is on its way: not in the middle of it
            return
        if self._asked:
            self._refuse(408, "late", "The request did not arrive in time")
        else:
            self._bounds.refused("late")
            self._give_up()
            self.transport.close()

    def _refuse_head(self) -> None:
        most = f"{self._bounds.head_bytes:,} bytes or {_HEADERS} headers"
        self._refuse(431, "head", f"A request's address and headers are at most {most}; POST a long query")

    def _give_up(self) -> None:
        """Tell who answers a request, or reads its body, that the client is gone."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and end the connection."""
        self._give_up()
        super().send_400_response(msg)

    def _refuse(self, status: int, why: str, message: str) -> None:
        self._stop_waiting()
        self._give_up()
        self._bounds.refused(why)
        body = f"{message}\n".encode()
        phrase = HTTPStatus(status).phrase
        self.transport.write(
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: "
            f"{len(body)}\r\nretry-after: 5\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        self.transport.close()

    # ------------------------------------------------------------------------ what the parser calls

    def on_message_begin(self) -> None:
        """A message begins."""
        self._passed_over = False
        self._ignored = 0
        if self._late is None:
            self._wait(self._bounds.head_seconds)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is here: a request begins, unless it is to be read again or has not one host."""
        self._head = 0
        self._wait(self._bounds.body_seconds)
        hosts = sum(name == b"host" for name, _ in self.headers)
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if self.url.find(b"?", 0, _PATH_BYTES) < 0 and len(self.url) > _PATH_BYTES:
            self._passed_over = True
            self._refuse(414, "head", f"A path has at most {_PATH_BYTES:,} bytes")
        elif len(self.headers) > _HEADERS or size > self._bounds.head_bytes:
            self._passed_over = True
            self._refuse_head()
        elif self.parser.should_upgrade():
            self._passed_over = True
        elif hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._passed_over = True
            self.send_400_response("A request names one host (RFC 9112, 3.2).")
        else:
            super().on_headers_complete()
            self.cycle.transport = cast(asyncio.Transport, _Out(self.transport, self.loop))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._head = 0
        if self.cycle is not None and self.cycle.response_complete:
            self._ignored += len(body)
            if self._ignored > _IGNORED_BYTES:
                self._give_up()
                self.transport.close()
        if not self._passed_over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The message ends."""
        self._stop_waiting()
        self._head = 0
        if not self._passed_over:
            super().on_message_complete()
