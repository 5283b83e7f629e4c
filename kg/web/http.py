"""HTTP/1.1 on the wire: uvicorn's protocol, but for offers to speak another one and requests to no host.

Hides what the parser makes of an Upgrade header. Java's HttpClient, and so Jena, offers `Upgrade: h2c` with
every request to an http: address. The parser takes such a message to end with its head, so a POST would lose
its body and be told that its query is empty. A server may ignore the offer (RFC 9110, 7.8): the request is
read without it.
"""

from __future__ import annotations

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OFFER = (b"connection", b"upgrade", b"http2-settings")


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    _passed_over = False  # whether the message in hand is read again, or was refused

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; see `asyncio.Protocol`."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.parser.get_method() == b"CONNECT":
                self.send_400_response("This is no proxy.")
                return
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
            self.data_received(head + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.headers if name not in _OFFER]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    # ------------------------------------------------------------------------ what the parser calls

    def on_message_begin(self) -> None:
        """A message begins."""
        self._passed_over = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is here: a request begins, unless it is to be read again or has not one host."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        if self.parser.should_upgrade():
            self._passed_over = True
        elif hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._passed_over = True
            self.send_400_response("A request names one host (RFC 9112, 3.2).")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._passed_over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The message ends."""
        if not self._passed_over:
            super().on_message_complete()
