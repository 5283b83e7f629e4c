"""The broker: the one process that asks other endpoints, and that holds no graph.

Hides HTTP, name resolution, and what keeps a request to the endpoint it is for: only to an address that was
checked, no redirects, no proxies, no credentials, bounded in seconds and bytes. Run as
`python -m kg.engine.broker <descriptor>` by `kg.engine.federation`.

Over its socket go messages: two lengths of four bytes, then JSON, then bytes. To it: an `Order`, its query as
the bytes, or {"drop": id}. From it: {"ready": lock}; for each order {"id", "format"}, any number of {"id"}
with pieces of the body, then {"id", "end": true}; or at any point {"id", "failed": why, "kind"}. It ends
when the socket closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import ssl
import struct
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from typing import Any

import httpx

from kg.engine import sandbox
from kg.services import may_ask

LENGTHS = struct.Struct("!II")
MOST_HEAD = 64 * 1024  # bytes of a message's JSON
MOST_BODY = 256 * 1024  # and of the bytes behind it, from the broker

_MEMORY_BYTES = 512 * 1024**2
_CONNECT_SECONDS = 5.0  # for one of a host's addresses
_LOOK_UPS = 16  # names being resolved at once
_SAID = 300  # characters of what an endpoint says of an error
_ACCEPT = "application/sparql-results+json, application/sparql-results+xml;q=0.9, application/json;q=0.5"
_FORMATS = {
    "application/sparql-results+json": "json",
    "application/json": "json",
    "application/sparql-results+xml": "xml",
    "application/xml": "xml",
    "text/xml": "xml",
}

LookUp = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True)
class Order:
    """What to ask of whom: an endpoint of the list, the networks it may be in besides public ones, the
    seconds it may take and the bytes it may answer, uncompressed."""

    id: int
    endpoint: str
    networks: tuple[str, ...]
    seconds: float
    bytes: int


class Refused(Exception):
    """A request that gives no answer: str() says what is wrong, `kind` is "failed", "late", "too-large", or
    "refused" where it was not sent."""

    def __init__(self, problem: str, kind: str = "failed") -> None:
        super().__init__(problem)
        self.kind = kind


def message(head: dict[str, Any], body: bytes = b"") -> bytes:
    """A message as it goes over the socket."""
    line = json.dumps(head).encode()
    return LENGTHS.pack(len(line), len(body)) + line + body


def order_message(order: Order, query: str) -> bytes:
    """The message that orders a request."""
    return message(asdict(order), query.encode("utf-8", "replace"))


# -------------------------------------------------------------------------------------- one request


async def ask(
    order: Order, query: str, context: ssl.SSLContext, look_up: LookUp
) -> AsyncGenerator[bytes | str, None]:
    """Ask an endpoint; gives the format of its answer ("json" or "xml"), then the body's pieces, unpacked.

    Raises Refused.
    """
    try:
        asked = _asked(order, query, context, look_up)
        async with asyncio.timeout(order.seconds), contextlib.aclosing(asked) as pieces:
            async for piece in pieces:
                yield piece
    except TimeoutError:
        raise Refused(f"it did not answer within {order.seconds:g} seconds", "late") from None
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise Refused(_explained(problem)) from problem


async def _asked(
    order: Order, query: str, context: ssl.SSLContext, look_up: LookUp
) -> AsyncGenerator[bytes | str, None]:
    url = httpx.URL(order.endpoint)
    addresses = await _checked(url, order.networks, look_up)
    # A client for each request: a connection kept open to one name must not serve another at its address.
    client = httpx.AsyncClient(
        verify=context,
        trust_env=False,  # no proxies, no .netrc
        timeout=httpx.Timeout(order.seconds, connect=_CONNECT_SECONDS),
    )
    async with client:
        response = await _sent(client, url, addresses, query)
        try:
            yield await _format_of(response)
            async for piece in _unpacked(response, order.bytes):
                yield piece
        finally:
            await response.aclose()


async def _checked(url: httpx.URL, networks: Sequence[str], look_up: LookUp) -> list[str]:
    """The addresses of the URL's host that may be asked: looked up once, so what is checked is used."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await look_up(url.host, port)
    except OSError as problem:
        raise Refused(f"the name {url.host} is not known: {problem.strerror or problem}") from problem
    allowed = [address for address in found if may_ask(address, networks)]
    if not allowed:
        raise Refused(
            f"{url.host} is at {', '.join(sorted(set(found))[:3]) or 'no address'}, which is not public and "
            "not listed behind the endpoint in the list of services (docs/operations.md)",
            "refused",
        )
    return allowed


async def _sent(
    client: httpx.AsyncClient, url: httpx.URL, addresses: Sequence[str], query: str
) -> httpx.Response:
    last: httpx.HTTPError | None = None
    for address in dict.fromkeys(addresses):
        request = client.build_request(
            "POST",
            url.copy_with(host=address),
            data={"query": query},
            headers={
                "Host": url.netloc.decode("ascii"),
                "Accept": _ACCEPT,
                "Accept-Encoding": "gzip",
                "User-Agent": f"stroma-kg/{metadata.version('stroma-kg')} (SPARQL federation)",
            },
            # The certificate has to be for the name, not for the address.
            extensions={"sni_hostname": url.host},
        )
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
            last = problem
    assert last is not None
    raise last


async def _format_of(response: httpx.Response) -> str:
    status = response.status_code
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.has_redirect_location:
        raise Refused(
            f"it answers {status} and sends to {response.headers['location'][:200]!r}, and redirects are not "
            "followed. If that is its address now, list that one"
        )
    if status != 200:
        again = response.headers.get("retry-after", "")
        later = f", and asks to come back in {again[:40]} seconds" if again.isdigit() else ""
        raise Refused(f"it answers {status}{later}{await _said(response, media_type)}")
    if media_type in _FORMATS:
        return _FORMATS[media_type]
    if media_type in ("text/html", "application/xhtml+xml"):
        raise Refused("it answers with a web page; is this the address of its SPARQL endpoint?")
    raise Refused(f"it answers in {media_type[:80] or 'an unnamed format'}, not in SPARQL JSON or XML")


async def _said(response: httpx.Response, media_type: str) -> str:
    """What an endpoint says of an error, if it says so in plain words: the beginning, in one line."""
    if media_type not in ("text/plain", "application/json", "application/problem+json"):
        return ""
    said = b""
    with contextlib.suppress(httpx.HTTPError, Refused):
        async for piece in _unpacked(response, MOST_BODY):
            said += piece
            if len(said) > 4096:
                break
    text = said.decode("utf-8", "replace")
    if media_type.endswith("json"):
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(text)
            text = str(told.get("detail") or text) if isinstance(told, dict) else text
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return f": {line[:_SAID]}" if line else ""


async def _unpacked(response: httpx.Response, most: int) -> AsyncIterator[bytes]:
    """The body's pieces, unpacked, none larger than MOST_BODY; raises Refused beyond `most` bytes."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise Refused(f"it answers in the coding {coding[:40]!r}, which was not asked for")
    gunzip = _Gunzip() if coding.endswith("gzip") else None
    received = size = 0
    async for raw in response.aiter_raw():
        received += len(raw)
        for piece in [raw] if gunzip is None else gunzip.feed(raw):
            size += len(piece)
            if max(received, size) > most:
                raise Refused(f"its answer has more than {most:,} bytes, which is the limit", "too-large")
            yield piece
    if gunzip is not None and not gunzip.whole:
        raise Refused("its answer broke off")


class _Gunzip:
    """What was packed by gzip, a piece at a time, so that a little cannot become too much at once."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def whole(self) -> bool:
        return self._inflater.eof

    def feed(self, raw: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = self._inflater.decompress(raw, MOST_BODY)
            except zlib.error as problem:
                raise Refused(f"its answer is no gzip: {problem}") from problem
            if piece:
                yield piece
            if self._inflater.eof and self._inflater.unused_data:  # one more member of the file
                raw = self._inflater.unused_data
                self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
            elif piece and not self._inflater.eof:
                raw = self._inflater.unconsumed_tail
            else:
                return


def _explained(problem: Exception) -> str:
    said = " ".join(str(problem).split())[:200]
    if isinstance(problem, httpx.ConnectTimeout):
        return f"it cannot be reached within {_CONNECT_SECONDS:g} seconds"
    if isinstance(problem, httpx.TimeoutException):
        return "it stopped answering"
    if isinstance(problem, httpx.ConnectError):
        return f"it cannot be reached: {_innermost(problem) or said}"
    if isinstance(problem, httpx.RemoteProtocolError | httpx.ReadError):
        return f"its answer broke off: {said}"
    return f"it cannot be asked: {said or type(problem).__name__}"


def _innermost(problem: BaseException | None) -> str:
    """What the system says of a connection that failed, "" where it says nothing."""
    while problem is not None:
        if isinstance(problem, ExceptionGroup):
            problem = problem.exceptions[0]
        if isinstance(problem, ssl.SSLCertVerificationError):
            return f"its certificate does not hold, {problem.verify_message}"
        if isinstance(problem, OSError) and problem.errno and not isinstance(problem, ssl.SSLError):
            return os.strerror(problem.errno)
        problem = problem.__cause__ or problem.__context__
    return ""


# -------------------------------------------------------------------------------------- the process


class _Broker:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._running: dict[int, asyncio.Task[None]] = {}
        self._context = httpx.create_ssl_context(trust_env=False)
        self._context.load_default_certs()  # and those of this machine

    async def serve(self, lock: str) -> None:
        """Take orders until the socket closes."""
        await self._tell({"ready": lock})
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head, body = LENGTHS.unpack(await self._reader.readexactly(LENGTHS.size))
                said = json.loads(await self._reader.readexactly(head))
                query = (await self._reader.readexactly(body)).decode()
                if "drop" in said:
                    if said["drop"] in self._running:
                        self._running[said["drop"]].cancel()
                    continue
                order = Order(**{**said, "networks": tuple(said["networks"])})
                task = asyncio.create_task(self._carry_out(order, query))
                self._running[order.id] = task
                task.add_done_callback(partial(self._forget, order.id))

    def _forget(self, id: int, task: asyncio.Task[None]) -> None:
        del self._running[id]

    async def _carry_out(self, order: Order, query: str) -> None:
        try:
            async with contextlib.aclosing(ask(order, query, self._context, _look_up)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        await self._tell({"id": order.id, "format": piece})
                    else:
                        await self._tell({"id": order.id}, piece)
            await self._tell({"id": order.id, "end": True})
        except Refused as problem:
            await self._tell({"id": order.id, "failed": str(problem), "kind": problem.kind})
        except MemoryError:
            await self._tell(
                {"id": order.id, "failed": "there is no memory for its answer", "kind": "failed"}
            )

    async def _tell(self, head: dict[str, Any], body: bytes = b"") -> None:
        self._writer.write(message(head, body))
        await self._writer.drain()


async def _look_up(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


async def _main(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_LOOK_UPS))
    with socket.socket(fileno=descriptor) as channel:
        reader, writer = await asyncio.open_unix_connection(sock=channel)
        # No thread runs yet; those that will have the lock too.
        await _Broker(reader, writer).serve(sandbox.deny_programs())


def main(arguments: list[str]) -> int:
    """Take orders over the socket whose number is the first argument."""
    sandbox.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when we end
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    asyncio.run(_main(int(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
