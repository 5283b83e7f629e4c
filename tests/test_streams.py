"""Large answers over real HTTP: early, in flat memory, compressed, stopped by id, never cut in silence."""

from __future__ import annotations

import csv
import gzip
import io
import json
import socket
import subprocess
import time
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import QueryResultsFormat, RdfFormat, parse, parse_query_results
from rdflib import Graph

from kg.engine.formats import BY_KEY, FORMATS, Kind
from kg.web.encoding import Encoder, choose_coding
from kg.web.incomplete import last_words

ENDLESS = "SELECT * { ?a <https://example.org/number> ?x . ?b ?p ?y . ?c ?q ?z }"
ENDLESS_GRAPH = "CONSTRUCT { ?a ?x ?c } WHERE { ?a ?p ?o . ?x <https://example.org/number> ?y . ?c ?q ?z }"
ROWS = "SELECT ?a ?x ?i { ?a <https://example.org/number> ?x . VALUES ?i { %s } }"
KEYS = [format.key for format in FORMATS]


def rows(thousands: int) -> str:
    """A query with 2,000 rows for each of the values it joins them with."""
    return ROWS % " ".join(str(number) for number in range(thousands // 2))


def endless(key: str) -> str:
    return ENDLESS_GRAPH if Kind.GRAPH in BY_KEY[key].kinds and key != "html" else ENDLESS


@pytest.fixture(scope="module")
def url(serve: Any) -> str:
    address: str = serve(workers=2, query_seconds=20, cache_bytes=0)
    return f"{address}/sparql"


@pytest.fixture(scope="module")
def hasty(serve: Any) -> str:
    """A server that stops a query after a quarter of a second."""
    address: str = serve(workers=2, query_seconds=0.25)
    return f"{address}/sparql"


# ------------------------------------------------------------------ an answer that fails after its start


def received(
    address: str, query: str, key: str, version: str = "1.1", headers: str = ""
) -> tuple[bytes, bytes]:
    """What a client with a bare socket gets: the head of the response, and all bytes after it."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as client:
        target = f"{parts.path}?format={key}&query={quote(query)}"
        client.sendall(f"GET {target} HTTP/{version}\r\nHost: here\r\n{headers}\r\n".encode())
        pieces = []
        while piece := client.recv(1 << 20):
            pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    return head, body


def dechunked(body: bytes) -> tuple[bytes, bool]:
    """The content of a chunked body, and whether it came to its end."""
    pieces = []
    while body:
        size, _, body = body.partition(b"\r\n")
        if int(size, 16) == 0:
            return b"".join(pieces), True
        pieces.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return b"".join(pieces), False


def read_json(body: bytes) -> None:
    json.loads(body)


def read_xml(body: bytes) -> None:
    ElementTree.fromstring(body)


def read_csv(body: bytes) -> None:
    list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))


def read_tsv(body: bytes) -> None:
    list(parse_query_results(body, format=QueryResultsFormat.TSV))  # type: ignore[arg-type]


def read_rdf(key: str) -> Callable[[bytes], None]:
    format = RdfFormat.from_media_type(BY_KEY[key].media_type)
    return lambda body: [*parse(body, format=format)].clear()


PARSERS: dict[str, Callable[[bytes], None]] = {
    "json": read_json,
    "xml": read_xml,
    "csv": read_csv,
    "tsv": read_tsv,
    **{key: read_rdf(key) for key in ("turtle", "ntriples", "nquads", "trig", "rdfxml", "jsonld")},
}


@pytest.mark.parametrize("key", KEYS)
def test_an_answer_that_fails_later_is_cut_with_a_reason_in_every_format(hasty: str, key: str) -> None:
    head, raw = received(hasty, endless(key), key)
    assert head.startswith(b"HTTP/1.1 200 ")
    body, ended = dechunked(raw)
    assert not ended  # what every HTTP client looks at
    assert b"The answer is not complete: The query ran longer than 0.25 seconds" in body[-400:]
    assert len(body) > 10_000
    if key in PARSERS:
        with pytest.raises((ValueError, SyntaxError, csv.Error)):
            PARSERS[key](body)


@pytest.mark.parametrize("key", KEYS)
def test_httpx_tells_that_an_answer_is_cut(hasty: str, key: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        httpx.get(hasty, params={"query": endless(key), "format": key}, timeout=20)


@pytest.mark.parametrize("key", KEYS)
def test_curl_tells_that_an_answer_is_cut(hasty: str, key: str) -> None:
    arguments = ["curl", "-sSG", hasty, "--data-urlencode", f"query={endless(key)}", "-d", f"format={key}"]
    done = subprocess.run(arguments, capture_output=True, timeout=20, check=False)
    assert done.returncode == 18, done.stderr  # "partial file"
    assert b"The answer is not complete" in done.stdout[-400:]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_compressed_answer_that_fails_says_so_and_does_not_end(hasty: str, coding: str) -> None:
    head, raw = received(hasty, ENDLESS, "csv", headers=f"Accept-Encoding: {coding}\r\n")
    assert f"content-encoding: {coding}".encode() in head
    body, ended = dechunked(raw)
    assert not ended
    if coding == "gzip":
        with pytest.raises(EOFError):
            gzip.decompress(body)
        decoder = zlib.decompressobj(31)
        plain = decoder.decompress(body)
        assert not decoder.eof
    else:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        plain = decompressor.decompress(body)
        assert not decompressor.eof
    assert b"The answer is not complete" in plain[-400:]


def test_an_old_client_gets_a_length_or_an_error(hasty: str) -> None:
    """HTTP/1.0 has no chunks, so its clients would take a cut answer for a whole one."""
    head, body = received(hasty, rows(20), "csv", version="1.0")
    assert b"transfer-encoding" not in head.lower()
    assert body.count(b"\r\n") == 20_001
    assert received(hasty, ENDLESS, "csv", version="1.0")[0].split()[1] in (b"503", b"505")


@pytest.mark.parametrize("key", sorted(PARSERS))
@given(data=st.data())
@settings(max_examples=60)
def test_no_parser_takes_a_cut_answer_for_a_whole_one(key: str, data: st.DataObject) -> None:
    """Wherever the bytes stop, the last words make sure: a prefix alone is valid CSV, TSV and N-Triples."""
    whole = WHOLE[key]
    cut = data.draw(st.integers(0, len(whole) - 1))
    body = whole[:cut] + last_words(BY_KEY[key], 'it "stopped" <here> -- by itself\nat a line')
    with pytest.raises((ValueError, SyntaxError, csv.Error)):
        PARSERS[key](body)


_GRAPH = Graph().parse(
    data='@prefix : <https://example.org/> . :a :p "one, \\"two\\"\\n三"@en ; :q 1.5, _:b . '
    "_:b :r <https://a/?x#y> .",
    format="turtle",
)
WHOLE: dict[str, bytes] = {
    "csv": 'a,b\r\nhttps://example.org/,"one, ""two"""\r\n三,2\r\n'.encode(),
    "tsv": b'?a\t?b\n<https://example.org/>\t"one\\t\\"two\\""@en\n_:b\t2.5\n',
    "json": b'{"head":{"vars":["a"]},"results":{"bindings":[{"a":{"type":"literal","value":"x]}"}}]}}',
    "xml": b'<?xml version="1.0"?><sparql xmlns="http://www.w3.org/2005/sparql-results#"><head>'
    b'<variable name="a"/></head><results><result><binding name="a"><literal>x &lt; y</literal></binding>'
    b"</result></results></sparql>",
    "turtle": _GRAPH.serialize(format="turtle", encoding="utf-8"),
    "trig": _GRAPH.serialize(format="turtle", encoding="utf-8"),
    "ntriples": _GRAPH.serialize(format="nt", encoding="utf-8"),
    "nquads": _GRAPH.serialize(format="nt", encoding="utf-8"),
    "rdfxml": _GRAPH.serialize(format="xml", encoding="utf-8"),
    "jsonld": _GRAPH.serialize(format="json-ld", encoding="utf-8"),
}


# ------------------------------------------------------------------------------- early, in flat memory


def memory(pid: int) -> int:
    """Bytes of memory of one process, shared pages not counted."""
    _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(resident) - int(shared)) * 4096


def server_pid(address: str) -> int:
    """The process that listens at an address of this machine."""
    import psutil

    port = urlsplit(address).port
    for connection in psutil.net_connections("tcp4"):
        if connection.status == "LISTEN" and connection.laddr.port == port and connection.pid:
            return int(connection.pid)
    raise AssertionError("nobody listens")


def test_the_servers_memory_is_flat_from_ten_thousand_rows_to_a_million(url: str) -> None:
    pid = server_pid(url)

    def peak(query: str, expected: int) -> int:
        most = count = 0
        asked = {"query": query, "format": "csv"}
        plain = {"Accept-Encoding": "identity"}
        with httpx.stream("GET", url, params=asked, headers=plain, timeout=60) as response:
            for piece in response.iter_raw():
                count += piece.count(b"\n")
                most = max(most, memory(pid))
        assert count == expected + 1
        return most

    small = peak(rows(10), 10_000)
    assert peak(rows(1000), 1_000_000) < small + 32 * 1024 * 1024


def test_a_slow_client_costs_no_memory_and_no_worker(url: str) -> None:
    pid = server_pid(url)
    before = memory(pid)
    parts = urlsplit(url)
    clients = []
    for _ in range(4):
        client = socket.create_connection((parts.hostname, parts.port))
        client.sendall(
            f"GET {parts.path}?format=csv&query={quote(rows(200))} HTTP/1.1\r\nHost: here\r\n\r\n".encode()
        )
        clients.append(client)
    health = url.replace("/sparql", "/health")
    deadline = time.monotonic() + 15
    while httpx.get(health).json()["workers"]["busy"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert memory(pid) < before + 32 * 1024 * 1024
    # All four are done, as far as the workers are concerned; a fifth gets its turn at once.
    assert httpx.get(url, params={"query": "ASK {}", "format": "csv"}).text == "true"
    total = bytearray()
    while not total.endswith(b"0\r\n\r\n"):
        total += clients[0].recv(1 << 20)
    assert dechunked(bytes(total).partition(b"\r\n\r\n")[2])[0].count(b"\r\n") == 200_001
    for client in clients:
        client.close()


def test_a_client_that_takes_nothing_is_left(serve: Any) -> None:
    address = f"{serve(client_seconds=0.5, spool_bytes=0, workers=1)}/sparql"
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port)) as client:
        client.sendall(f"GET {parts.path}?query={quote(ENDLESS)} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        started = time.monotonic()
        # The only worker waits for this client, until the client is left.
        assert httpx.get(address, params={"query": "ASK {}", "format": "csv"}, timeout=20).text == "true"
        assert time.monotonic() - started < 5


# --------------------------------------------------------------------------------------- content codings


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        ("GZip;Q=0.3", "gzip"),
        ("*", "zstd"),
        ("*;q=0", "identity"),
        ("zstd;q=0, *", "gzip"),
        ("identity;q=1, gzip;q=0.5", "identity"),
        ("gzip;q=0", "identity"),
        ("br", "identity"),
        ("gzip;q=nonsense", "identity"),
        (" gzip ; q = 0.5 ; x=1 , , br", "gzip"),
        ("(, gzip (), zstd", "zstd"),
    ],
)
def test_the_clients_quality_chooses_the_coding(header: str | None, coding: str) -> None:
    assert choose_coding(header) == coding


def decoded(body: bytes, coding: str) -> bytes:
    """What a decoder makes of the start of a body, or of all of it."""
    if coding == "gzip":
        return zlib.decompressobj(31).decompress(body)
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(cuts=st.lists(st.integers(0, 300_000), max_size=12))
@settings(max_examples=30)
def test_an_encoder_gives_the_same_bytes_however_its_input_is_cut(coding: str, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(SAMPLE)]
    encoder = Encoder(coding)
    made = b"".join(encoder.encode_now(SAMPLE[a:b]) for a, b in pairwise(places))
    made += encoder.finish()
    whole = Encoder(coding)
    assert made == whole.encode_now(SAMPLE) + whole.finish()
    assert decoded(made, coding) == SAMPLE


SAMPLE = "".join(f"https://example.org/n{n},{n * 7919 % 1000},三\r\n" for n in range(9000)).encode()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_large_answers_stream_compressed_from_the_first_rows_on(url: str, coding: str) -> None:
    asked = {"query": rows(100), "format": "csv"}
    plain = httpx.get(url, params=asked, headers={"Accept-Encoding": "identity"})
    with httpx.stream("GET", url, params=asked, headers={"Accept-Encoding": coding}) as response:
        assert response.headers["content-encoding"] == coding
        pieces = list(response.iter_raw())
    assert len(pieces) > 3
    body = b"".join(pieces)
    assert len(body) < len(plain.content) / 4
    assert decoded(body, coding) == plain.content
    first = decoded(pieces[0], coding)
    assert plain.content.startswith(first)
    assert first.count(b"\r\n") > 50
    assert response.headers["etag"] == f'{plain.headers["etag"][:-1]}-{coding}"'
    assert response.headers["vary"] == plain.headers["vary"] == "Accept, Accept-Encoding"


def test_a_small_answer_is_not_compressed_and_a_page_is(url: str) -> None:
    codings = {"Accept-Encoding": "gzip"}
    small = httpx.get(url, params={"query": "ASK {}", "format": "json"}, headers=codings)
    assert "content-encoding" not in small.headers
    page = httpx.get(url, params={"query": "ASK {}", "format": "html"}, headers=codings)
    assert page.headers["content-encoding"] == "gzip"
    assert "<strong>Yes</strong>" in page.text
    curl = subprocess.run(
        ["curl", "-sS", "--compressed", "-G", url, "-d", "format=csv",
         "--data-urlencode", f"query={rows(10)}"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert curl.stdout.count(b"\r\n") == 10_001


# ------------------------------------------------------------------------------------ stopped by its id


@pytest.fixture(scope="module")
def administered(serve: Any) -> tuple[str, str]:
    """A server with one worker, and its operators' port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return serve(workers=1, query_seconds=20, admin_port=port), f"http://127.0.0.1:{port}"


SORTED = ENDLESS + " ORDER BY ?z ?y ?x"


@pytest.mark.parametrize("query", [ENDLESS, SORTED], ids=["while streaming", "before the first byte"])
def test_who_started_a_query_stops_it_by_its_id(administered: tuple[str, str], query: str) -> None:
    base, admin = administered
    id = f"chosen-by-the-client-{time.monotonic_ns()}"
    process = subprocess.Popen(
        ["curl", "-sSG", f"{base}/sparql", "-H", f"X-Stroma-Query-Id: {id}", "-d", "format=csv",
         "--data-urlencode", f"query={query}", "-D", "/dev/stderr", "--limit-rate", "1M"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert eventually(lambda: any(each["id"] == id for each in httpx.get(f"{admin}/queries/running").json()))
    time.sleep(0.2)
    started = time.monotonic()
    assert httpx.delete(f"{base}/queries/running/{id}").status_code == 204
    assert httpx.get(f"{base}/sparql", params={"query": "ASK {}", "format": "csv"}).text == "true"
    assert time.monotonic() - started < 1
    body, head = process.communicate(timeout=20)
    assert f"x-stroma-query-id: {id}".encode() in head
    assert b"stopped by its id" in body[-400:]
    assert (b" 503 " in head.splitlines()[0]) == (query == SORTED)
    gone = httpx.delete(f"{base}/queries/running/{id}")
    assert (gone.status_code, gone.json()["title"]) == (404, "There is nothing here")


def test_a_waiting_query_is_stopped_too(administered: tuple[str, str]) -> None:
    base, admin = administered
    ids = [f"{name}-{time.monotonic_ns()}" for name in ("the-one-that-runs", "the-one-that-waits")]
    processes = [
        subprocess.Popen(
            ["curl", "-sSG", f"{base}/sparql", "-H", f"X-Stroma-Query-Id: {id}", "--data-urlencode",
             f"query={SORTED} # {id}"],
            stdout=subprocess.PIPE,
        )
        for id in ids
    ]  # fmt: skip
    assert eventually(lambda: len(httpx.get(f"{admin}/queries/running").json()) == 2)
    assert httpx.delete(f"{base}/queries/running/{ids[1]}").status_code == 204
    assert json.loads(processes[1].communicate(timeout=2)[0])["type"].endswith("query-cancelled")
    assert processes[0].poll() is None
    assert httpx.delete(f"{admin}/queries/running/{ids[0]}").status_code == 204
    processes[0].communicate(timeout=2)


def test_an_operator_sees_and_stops_any_query_and_web_pages_do_not(administered: tuple[str, str]) -> None:
    base, admin = administered
    with httpx.stream("GET", f"{base}/sparql", params={"query": ENDLESS, "format": "csv"}) as response:
        pieces = response.iter_raw()
        next(pieces)
        id = response.headers["x-stroma-query-id"]
        (told,) = httpx.get(f"{admin}/queries/running").json()
        assert (told["id"], told["state"]) == (id, "sending")
        assert "?a" not in json.dumps(told)  # a hash, not the text
        for headers in ({"Origin": "https://example.org"}, {"Host": "example.org"}):
            assert httpx.delete(f"{admin}/queries/running/{id}", headers=headers).status_code == 403
        assert httpx.delete(f"{admin}/queries/running/{id}").status_code == 204
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
    assert httpx.get(f"{admin}/queries/running").json() == []
    assert httpx.get(f"{base}/queries/running").status_code in (404, 405)  # no list for everybody


def test_an_id_is_refused_that_others_guess_or_that_is_taken(administered: tuple[str, str]) -> None:
    base, _ = administered
    short = httpx.get(f"{base}/sparql", params={"query": "ASK {}"}, headers={"X-Stroma-Query-Id": "1"})
    assert (short.status_code, short.json()["type"].rpartition("/")[2]) == (400, "parameter")
    id = {"X-Stroma-Query-Id": "a-very-particular-query"}
    with httpx.stream("GET", f"{base}/sparql", params={"query": ENDLESS}, headers=id):
        taken = httpx.get(f"{base}/sparql", params={"query": "ASK { ?s ?p 7 }"}, headers=id)
        assert taken.status_code == 400
    first, second = (httpx.get(f"{base}/sparql", params={"query": "ASK {}"}) for _ in range(2))
    assert len({each.headers["x-stroma-query-id"] for each in (first, second)}) == 2


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
