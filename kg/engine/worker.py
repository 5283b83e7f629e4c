"""The worker's side: one query at a time, evaluated and written to a socket in frames.

Hides pyoxigraph's evaluation and its messages. A worker is a fork of the keeper: the store is shared with it
and with every other worker. It may die of a query at any moment, and nothing but that query is lost.

A frame is one byte of kind, four of length, then the payload: to the worker a request (a line of JSON, then
what other endpoints answered); from the worker READY, HEAD (both JSON), any number of BODY, and END (JSON),
which an ERROR may come before.

What other endpoints answered is read here and nowhere else: its bytes are a stranger's.
"""

from __future__ import annotations

import html
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

from pyoxigraph import (
    Literal,
    NamedNode,
    QueryBoolean,
    QueryResultsFormat,
    QuerySolutions,
    QueryTriples,
    RdfFormat,
    Store,
)

from kg.engine import answers, sandbox
from kg.engine.formats import BY_KEY, Kind
from kg.terms import BASE

# "The custom function <iri> is not supported", "… requires between 1 and 1 arguments, but 0 were given"
_FUNCTION = re.compile(r"The custom function <(.*)> (.*)", re.DOTALL)

FRAME = struct.Struct("!cI")
REQUEST, READY, HEAD, BODY, END, ERROR = b"Q", b"R", b"H", b"B", b"Z", b"E"
VARIABLES = "variables"  # in place of a format: the names of the columns, as JSON, and no row

# The parser and the evaluator recurse, and every level takes stack: at 8 MiB 4,600 parentheses or 9,000 `||`
# end the process, at 256 MiB whatever fits into the cap on tokens goes through (tried 2026-11).
_STACK_BYTES = 256 * 1024 * 1024
# An answer that is written within so many seconds and bytes leaves in one piece; a longer one in chunks.
_QUICK = 0.005
_SMALL = 256 * 1024
_CHUNK = 64 * 1024

_TABLE_FORMATS = {
    "json": QueryResultsFormat.JSON,
    "xml": QueryResultsFormat.XML,
    "csv": QueryResultsFormat.CSV,
    "tsv": QueryResultsFormat.TSV,
}
_GRAPH_FORMATS = {
    "turtle": RdfFormat.TURTLE,
    "ntriples": RdfFormat.N_TRIPLES,
    "nquads": RdfFormat.N_QUADS,
    "trig": RdfFormat.TRIG,
    "rdfxml": RdfFormat.RDF_XML,
    "jsonld": RdfFormat.JSON_LD,
}


def run(store: Store, channel: socket.socket, files: int) -> None:
    """Lock this process down to `files` open files, then answer requests from the channel until it closes."""
    sandbox.die_first()
    sandbox.limit_files(files)
    locks = {"network": sandbox.deny_network()}
    threading.stack_size(_STACK_BYTES)
    thread = threading.Thread(target=_serve, args=(store, channel, locks))
    thread.start()
    thread.join()


def _serve(store: Store, channel: socket.socket, locks: dict[str, str]) -> None:
    base = sandbox.private_memory()
    locks["memory"] = "RLIMIT_DATA" if base is not None else "none (the system does not tell)"
    _send(channel, READY, {"pid": os.getpid(), "thread": threading.get_native_id(), "locks": locks})
    allowed = 0
    while True:
        received = _receive(channel)
        if received is None:
            return
        request, bodies = received
        if request["memory_bytes"] != allowed:
            allowed = request["memory_bytes"]
            sandbox.allow_memory(base, allowed)
        started = time.perf_counter()
        try:
            rest = _answer(store, channel, request, bodies)
        except _Gone:
            return  # the server closed the channel: it does not want this answer, nor this worker
        except MemoryError:
            rest = _error("memory")
        grown = 0
        if base is not None and time.perf_counter() - started > _QUICK:
            grown = (sandbox.private_memory() or base) - base
        # One write for the rest of the answer and its end: a small answer is one message.
        channel.sendall(rest + _frame(END, json.dumps({"grown": grown}).encode()))


def _answer(store: Store, channel: socket.socket, request: dict[str, Any], bodies: bytes) -> bytes:
    """Evaluate and send; what comes back are the last frames, still to be sent."""
    started = time.perf_counter()
    dataset = request["dataset"]
    text = request["text"]
    silenced: list[str] = []
    try:
        if "calls" in request:
            text, silenced = answers.filled(text, request["calls"], bodies)
        result = store.query(
            text,
            base_iri=BASE,
            use_default_graph_as_union=dataset is None,
            default_graph=None if dataset is None else [NamedNode(iri) for iri in dataset["default"]],
            named_graphs=None if dataset is None else [NamedNode(iri) for iri in dataset["named"]],
        )
    except answers.BadAnswer as problem:
        return _error("service", problem=str(problem))
    except SyntaxError as problem:
        return _error("syntax", **explained(str(problem)))
    except (OSError, ValueError, RuntimeError) as problem:
        function = _FUNCTION.match(str(problem))
        if function is not None:
            return _error("function", iri=function[1], problem=function[2])
        return _error("failed", problem=str(problem))
    head: dict[str, Any] = {"evaluate": (time.perf_counter() - started) * 1000}
    if silenced:
        head["silenced"] = silenced
    output = _Output(channel, head)
    if request["format"] == VARIABLES:
        names = [each.value for each in result.variables] if isinstance(result, QuerySolutions) else []
        output.write(json.dumps(names).encode())
        return output.rest()
    format = BY_KEY[request["format"]]
    if _kind(result) not in format.kinds:
        return _error("failed", problem=f"{format.label} cannot hold this result")
    try:
        if format.key == "html":
            _write_table(result, output)
        elif isinstance(result, QueryTriples):
            result.serialize(cast(Any, output), format=_GRAPH_FORMATS[format.key])
        else:
            result.serialize(cast(Any, output), format=_TABLE_FORMATS[format.key])
    except (OSError, ValueError, RuntimeError) as problem:
        return _error("failed", problem=str(problem))
    return output.rest()


def _kind(result: QuerySolutions | QueryBoolean | QueryTriples) -> Kind:
    if isinstance(result, QueryBoolean):
        return Kind.BOOLEAN
    return Kind.SOLUTIONS if isinstance(result, QuerySolutions) else Kind.GRAPH


class _Gone(Exception):
    """The channel closed while we wrote: an error of the channel, not of the evaluator."""


class _Output:
    """The file a serialiser writes to: frames of a good size, the first one soon."""

    def __init__(self, channel: socket.socket, head: dict[str, Any]) -> None:
        self._channel = channel
        self._head: bytes = _frame(HEAD, json.dumps(head).encode())
        self._held = bytearray()
        self._hurry: float | None = time.perf_counter() + _QUICK

    def write(self, piece: bytes) -> int:
        if self._hurry is None:
            full = len(self._held) >= _CHUNK
        else:
            full = len(self._held) >= _SMALL or (bool(self._held) and time.perf_counter() > self._hurry)
        if full:
            self._flush()
            self._hurry = None
        self._held += piece
        return len(piece)

    def flush(self) -> None:
        """What the serialiser calls at its end; `rest` has what is left."""

    def rest(self) -> bytes:
        """The frames not yet sent. A head that comes after its body says: this is all of it."""
        return _frame(BODY, bytes(self._held)) + self._head

    def _flush(self) -> None:
        try:
            self._channel.sendall(self._head + _frame(BODY, bytes(self._held)))
        except OSError as problem:
            raise _Gone from problem
        self._head = b""
        self._held.clear()


def _write_table(result: QuerySolutions | QueryBoolean | QueryTriples, output: _Output) -> None:
    """An HTML table of a result, as a fragment of a page; only http(s) IRIs become links."""
    if isinstance(result, QueryBoolean):
        output.write(f"<p><strong>{'Yes' if result else 'No'}</strong></p>".encode())
        return
    if isinstance(result, QuerySolutions):
        names = [variable.value for variable in result.variables]
        rows = (tuple(solution) for solution in result)
    else:
        names = ["subject", "predicate", "object"]
        rows = ((triple.subject, triple.predicate, triple.object) for triple in result)
    for piece in table(names, rows):
        output.write(piece)


def table(names: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[bytes]:
    """The pieces of an HTML table: a head, then each row of terms (None: unbound), then their number."""
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    yield f'<div class="wide" tabindex="0"><table><thead><tr>{heads}</tr></thead><tbody>\n'.encode()
    count = 0
    for row in rows:
        yield f"<tr>{''.join(f'<td>{_cell(term)}</td>' for term in row)}</tr>\n".encode()
        count += 1
    yield f"</tbody></table></div><p>{count:,} row{'' if count == 1 else 's'}</p>".encode()


def _cell(term: object) -> str:
    if term is None:
        return ""
    if isinstance(term, NamedNode):
        text = html.escape(term.value)
        if term.value.startswith(("http://", "https://")):
            return f'<a href="{text}" rel="nofollow noreferrer">{text}</a>'
        return text
    if isinstance(term, Literal):
        language = f' lang="{html.escape(term.language)}"' if term.language else ""
        return f"<span{language}>{html.escape(term.value)}</span>"
    return html.escape(str(term))


def explained(message: str) -> dict[str, Any]:
    """pyoxigraph's message as place and problem: its lists of character classes help nobody.

    "error at 1:26: expected one of ",", "}", ['0' ..= '9' | …]" -> line 1, column 26, `expected "," or "}"`
    """
    found = re.match(r"(?s)error at (\d+):(\d+): expected (?:one of )?(.*)$", message)
    if found is None:
        return {"problem": message, "line": None, "column": None}
    wanted = re.sub(r"(?s)\[[^\[\]]*?(?:'\[' \.\.|'\]')?[^\[\]]*\]", "", found[3]).strip(" ,\n")
    items = [item.strip() for item in re.split(r",(?=\s|$)(?![\"'])", wanted) if item.strip()]
    sentences = [item for item in items if " " in item and '"' not in item]
    if sentences:
        problem = sentences[0]
    elif items and len(items) <= 12:
        problem = "expected " + " or ".join(items)
    else:
        problem = "something else is expected here"
    return {"problem": problem, "line": int(found[1]), "column": int(found[2])}


def _frame(kind: bytes, payload: bytes) -> bytes:
    return FRAME.pack(kind, len(payload)) + payload


def request_frame(request: dict[str, Any], bodies: bytes = b"") -> bytes:
    """A request as the worker reads it: text, format, dataset (or None), memory_bytes.

    With `calls`, `text` is what `kg.engine.answers.filled` takes, and `bodies` are the answers in a row.
    """
    return _frame(REQUEST, json.dumps(request).encode() + b"\n" + bodies)


def _error(kind: str, **said: Any) -> bytes:
    return _frame(ERROR, json.dumps({"kind": kind, **said}).encode())


def _send(channel: socket.socket, kind: bytes, message: dict[str, Any]) -> None:
    channel.sendall(_frame(kind, json.dumps(message).encode()))


def _receive(channel: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """The next request, or None when the channel closed. There is never more than one on its way."""
    received = bytearray()
    wanted = FRAME.size
    while len(received) < wanted:
        try:
            piece = channel.recv(1 << 18)
        except ConnectionError:
            return None
        if not piece:
            return None
        received += piece
        if wanted == FRAME.size and len(received) >= wanted:
            wanted += FRAME.unpack_from(received)[1]
    line, _, bodies = bytes(received[FRAME.size :]).partition(b"\n")
    return json.loads(line), bodies
