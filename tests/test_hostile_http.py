"""Clients that mean harm on the wire: slow ones, many, large heads, requests that say two things at once."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

SECONDS = 0.5
CONNECTIONS = 12


@pytest.fixture(scope="module")
def url(serve: Any) -> str:
    """A server that waits half a second for a head or a body, lets twelve in, and reads 4 KiB of head."""
    address: str = serve(
        head_seconds=SECONDS, body_seconds=SECONDS, connections=CONNECTIONS, head_bytes=4096, workers=1
    )
    return address


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as opened:
        yield opened


def read(opened: socket.socket) -> bytes:
    """All that comes until the server closes."""
    got = b""
    try:
        while piece := opened.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


def said(url: str, sent: bytes) -> bytes:
    with connection(url) as opened:
        opened.sendall(sent)
        return read(opened)


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def answers(url: str) -> bool:
    return httpx.get(f"{url}/sparql", params={"query": "ASK {}"}).json() == {"head": {}, "boolean": True}


HEAD = b"GET /sparql?query=ASK%7B%7D HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /sparql HTTP/1.1\r\nHost: h\r\nContent-Type: application/sparql-query\r\n"


# ------------------------------------------------------------------------------------------ slow clients


@pytest.mark.parametrize(
    "sent",
    [b"GET", HEAD, HEAD + b"X-Slow: ", POST + b"Content-Length: 9\r\n\r\nASK",
     POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nASK\r\n"],
    ids=["address", "head", "header", "body", "chunks"],
)  # fmt: skip
def test_a_request_that_does_not_arrive_is_ended(url: str, sent: bytes) -> None:
    started = time.monotonic()
    assert statuses(said(url, sent)) == [408]
    assert SECONDS * 0.9 < time.monotonic() - started < SECONDS + 4


def test_a_client_that_asks_nothing_is_left(url: str) -> None:
    assert said(url, b"") == b""


def test_dripping_bytes_does_not_win_time(url: str) -> None:
    with connection(url) as opened:
        started = time.monotonic()
        got = b""
        opened.setblocking(False)
        opened.sendall(HEAD + b"X-Slow: ")
        while b"\r\n\r\n" not in got and time.monotonic() - started < 5:
            time.sleep(0.05)
            try:
                opened.send(b"a")
                got += opened.recv(65536)
            except (BlockingIOError, ConnectionError):
                continue
    assert statuses(got) == [408]


def test_a_query_whose_body_stays_away_costs_no_worker(url: str) -> None:
    with connection(url) as opened:
        opened.sendall(POST + b"Content-Length: 9\r\n\r\nASK")
        started = time.monotonic()
        assert answers(url)  # there is one worker
        assert time.monotonic() - started < SECONDS
        assert statuses(read(opened)) == [408]


# ------------------------------------------------------------------------------------- many, and large


def test_more_connections_than_may_be_are_told_to_come_back(url: str) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(connection(url)) for _ in range(CONNECTIONS)]
        time.sleep(0.1)
        refused = said(url, HEAD + b"\r\n")
        assert statuses(refused) == [503]
        assert b"retry-after: 5" in refused
        assert len(opened) == CONNECTIONS
    time.sleep(0.1)
    assert answers(url)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        HEAD + b"X-Large: " + b"a" * 5000,
        HEAD + b"X-A: b\r\n" * 201 + b"\r\n",
    ],
    ids=["address", "header", "many headers"],
)
def test_a_head_that_is_too_large_is_refused(url: str, sent: bytes) -> None:
    assert statuses(said(url, sent)) == [431]
    assert answers(url)


def test_a_path_that_is_too_long_is_refused(serve: Any) -> None:
    # Where a long head is allowed: to decode the escapes of a long path would hold up everybody.
    url = serve(head_bytes=262_144)
    assert statuses(said(url, b"GET /" + b"%41" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")) == [414]
    assert answers(url)


@pytest.fixture(scope="module")
def roomy(serve: Any) -> str:
    """A server that reads as long a head as ours do by default."""
    address: str = serve(head_bytes=262_144)
    return address


_NAMES = ("Accept", "Accept-Encoding", "Accept-Language", "Cookie", "If-None-Match", "Range", "Content-Type",
          "X-Stroma-Query-Id", "X-Forwarded-For", "Host")  # fmt: skip
_PIECES = (
    b"a",
    b"a,",
    b"a;",
    b"*/*;q=0.1,",
    b'"',
    b'"a",',
    b"\\",
    b"\\1",
    b" ",
    b"a=b;",
    b"-a",
    b";",
    b"0-1,",
)


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("path", ["/sparql?query=ASK%7B%7D", "/", "/graphs?format=turtle"])
def test_a_giant_header_is_read_in_one_pass(roomy: str, name: str, path: str) -> None:
    # Work that grows with the square of its length would take minutes, in which nobody gets an answer: the
    # socket gives up after ten seconds.
    for piece in _PIECES:
        long = piece * (200_000 // len(piece))
        for value in (long + b"(", b'a="' + long + b'"')[: 1 + (name == "Cookie")]:
            for accept in (b"", b"Accept: text/html\r\n"):
                lines = b"%s: %s\r\n" % (name.encode(), value) + (b"" if name == "Accept" else accept)
                lines += b"" if name == "Host" else b"Host: h\r\n"
                head = b"GET " + path.encode() + b" HTTP/1.1\r\nConnection: close\r\n" + lines + b"\r\n"
                assert set(statuses(said(roomy, head))) <= {200, 206, 304, 400, 406, 416, 431}
    assert answers(roomy)


def test_what_is_sent_at_length_is_not_kept(roomy: str) -> None:
    # What is known of one request helps with the next; not where it could fill the memory.
    def resident() -> float:
        told = re.search(r"(?m)^process_resident_memory_bytes (\S+)$", httpx.get(f"{roomy}/metrics").text)
        assert told is not None
        return float(told[1])

    def send(number: int) -> None:
        long = {"Accept": "text/csv", "Accept-Encoding": f"x{number}" + "a" * 200_000}
        assert httpx.get(f"{roomy}/sparql", params={"query": "ASK {}"}, headers=long).status_code == 200
        graph = {"query": "ASK {}", "default-graph-uri": f"https://example.org/{number}" + "a" * 400_000}
        assert httpx.post(f"{roomy}/sparql", data=graph).status_code == 404
        named = {"query": "ASK {}", "format": f"json,{number}" + "a" * 400_000}
        assert httpx.post(f"{roomy}/sparql", data=named).status_code == 200

    for number in range(10):
        send(number)
    before = resident()
    for number in range(10, 60):
        send(number)
    assert resident() - before < 20e6


def test_what_stands_around_chunks_is_bounded_as_a_head_is(url: str) -> None:
    with connection(url) as opened:
        opened.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n5;")
        for _ in range(3):
            time.sleep(0.05)
            opened.sendall(b"a" * 2000)
        assert statuses(read(opened)) == [431]


def test_a_body_without_end_is_not_read_to_its_end(url: str) -> None:
    with connection(url) as opened:
        opened.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        try:
            while sent < 64 * 2**20:
                opened.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass  # the server closed
        got = read(opened)
    assert sent < 64 * 2**20
    assert set(statuses(got)) <= {413, 408}
    assert answers(url)


# ------------------------------------------------------------------ requests that say two things at once

SMUGGLED = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"X-Folded: a\r\n Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\rX: y\r\n",
        b"X-Null: a\x00b\r\n",
        b": no name\r\n",
        b"no colon\r\n",
        b"Host: other\r\n",
    ],
)  # fmt: skip
def test_a_request_whose_length_or_host_is_in_doubt_ends_the_connection(url: str, head: bytes) -> None:
    answer = said(url, POST + head + b"\r\n0\r\n\r\n" + SMUGGLED)
    # One refusal, and nothing of what stood behind it was taken for a request.
    assert [status for status in statuses(answer) if status != 408] in ([400], [501])
    assert b'"live"' not in answer
    assert answers(url)


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nHost: h\r\n\r\n", b"\x00" * 100,
     b"GET http://h:99999999/ HTTP/1.1\r\nHost: h\r\n\r\n", b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
     b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
     b"GET / HTTP/1.1\r\n\r\n"],
    ids=["TLS", "no address", "version", "zeros", "port", "proxy", "no text", "HTTP/2", "no host"],
)  # fmt: skip
def test_what_is_no_request_gets_400_and_nothing_else(url: str, sent: bytes) -> None:
    answer = said(url, sent)
    assert statuses(answer)[:1] == [400]
    assert b"Traceback" not in answer
    assert answers(url)


@pytest.mark.parametrize(
    "path",
    [b"/x%0d%0aSet-Cookie:%20a=b", b"/trial/%0d%0aX-Evil:%201", b"/language?to=en&back=%0d%0aX-Evil:%201",
     b"/dump/%0d%0aX-Evil:%201", b"/sparql?query=ASK%7B%7D&format=%0d%0aX-Evil:%201"],
)  # fmt: skip
def test_a_line_break_in_an_address_adds_no_header(url: str, path: bytes) -> None:
    answer = said(url, b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nx-evil" not in head
    assert b"\r\nset-cookie: a=b" not in head
    assert statuses(answer)[0] in (303, 400, 404, 406)


def test_a_host_that_is_none_does_not_come_back_in_an_answer(url: str) -> None:
    head = b'GET /graphs HTTP/1.1\r\nHost: h"><script>\r\nAccept: text/turtle\r\nConnection: close\r\n\r\n'
    answer = said(url, head)
    assert statuses(answer) == [400]
    assert b"<script>" not in answer


def test_forwarding_headers_of_a_stranger_do_not_change_an_answer(url: str) -> None:
    # A cache keeps an answer by its address: what a header says besides must not be in it.
    plain = httpx.get(f"{url}/", headers={"Accept": "application/ld+json"})
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "X-Original-URL": "/evil",
               "X-Rewrite-URL": "/evil", "Forwarded": "host=evil.example"}  # fmt: skip
    other = httpx.get(f"{url}/", headers={"Accept": "application/ld+json", **headers})
    assert other.content == plain.content
    assert b"evil" not in other.content
