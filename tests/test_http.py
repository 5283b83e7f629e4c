"""HTTP/1.1 on the wire: what clients send beside the SPARQL protocol, byte by byte."""

from __future__ import annotations

import socket
from typing import Any

import pytest

QUERY = b"SELECT (1 AS ?x) {}"
ROWS = "x\r\n1\r\n"
H2C = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
)
CSV = b"Host: localhost\r\nAccept: text/csv\r\n"
DIRECT = CSV + b"Content-Type: application/sparql-query\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n9\r\nSELECT (1\r\na\r\n AS ?x) {}\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def port(serve: Any) -> int:
    return int(serve().rpartition(":")[2])


def said(port: int, *sent: bytes, answers: int = 1) -> list[tuple[int, str]]:
    """The status and body of each answer to what is sent, in pieces, over one connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        for piece in sent:
            client.sendall(piece)
        file = client.makefile("rb")
        got = []
        for _ in range(answers):
            status = int(file.readline().split()[1])
            length = 0
            while (line := file.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            got.append((status, file.read(length).decode()))
        return got


POST = b"POST /sparql HTTP/1.1\r\n" + DIRECT
GET = b"GET /sparql?query=SELECT%20(1%20AS%20%3Fx)%20%7B%7D HTTP/1.1\r\n" + CSV
LENGTH = b"Content-Length: 19\r\n\r\n" + QUERY


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(POST + H2C + LENGTH, id="post"),
        pytest.param(POST + H2C + CHUNKED, id="post-chunked"),
        pytest.param(GET + H2C + b"\r\n", id="get"),
        pytest.param(GET + H2C + b"Content-Length: 0\r\n\r\n", id="get-with-an-empty-body"),
        pytest.param(GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", id="websocket"),
        pytest.param(POST + b"Expect: 100-continue\r\n" + H2C + LENGTH, id="expect"),
    ],
)
def test_an_offer_to_speak_another_protocol_is_passed_over(port: int, request_: bytes) -> None:
    if b"Expect" in request_:
        assert said(port, request_, answers=2) == [(100, ""), (200, ROWS)]
        return
    assert said(port, request_) == [(200, ROWS)]
    # However the request falls into packets, and whatever follows it on the same connection.
    for cut in range(1, len(request_), 17):
        assert said(port, request_[:cut], request_[cut:] + GET + b"\r\n", answers=2) == [(200, ROWS)] * 2


def test_requests_in_one_packet_are_answered_in_their_order(port: int) -> None:
    assert said(port, POST + LENGTH + GET + b"\r\n" + POST + CHUNKED, answers=3) == [(200, ROWS)] * 3


def test_an_old_client_names_no_host(port: int) -> None:
    old = GET.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: localhost\r\n", b"")
    assert said(port, old + b"\r\n") == [(200, ROWS)]


def test_the_whole_address_may_stand_in_the_request(port: int) -> None:
    whole = GET.replace(b"GET /", b"GET http://example.org/")
    assert said(port, whole + b"\r\n") == [(200, ROWS)]


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"GET /sparql\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /sparql?query=ASK%20{} HTTP/1.1\r\n\r\n",
        b"POST /sparql HTTP/1.1\r\nContent-Length: 6\r\n\r\nASK {}",
        GET + b"Host: elsewhere\r\n\r\n",
        b"BREW /sparql HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        POST + b"Content-Length: 19\r\nTransfer-Encoding: chunked\r\n\r\n" + QUERY,
    ],
)
def test_what_is_no_request_is_400_and_the_server_goes_on(port: int, request_: bytes) -> None:
    ((status, _),) = said(port, request_)
    assert status == 400
    assert said(port, POST + LENGTH) == [(200, ROWS)]
