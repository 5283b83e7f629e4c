"""The remote engine: any SPARQL 1.1 server that holds a snapshot of ours, asked over HTTP.

For what outgrows one machine. Hides the protocol, the server's dialect (`kg.engine.dialects`) and how it
fails. The guard, the deadline, the queue and the caps of the other engines hold here too; what only the
server itself could promise is said in `Status.locks`. `kg.engine.publishing` puts a snapshot there and leaves
a mark, by which we know that the server holds the snapshot we speak of, whole. It is read again after each
answer and before its first byte leaves: where it moved, there is no answer, or what has begun breaks off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlencode, urlsplit

import httpx

from kg.engine import Answer, Dataset, Figures, Limits, Status, guard
from kg.engine.body import Body, Spool
from kg.engine.dialects import STANDARD, Dialect, asked_as, converted, dialect_of
from kg.engine.extensions import unsupported
from kg.engine.formats import BY_KEY, Format, Kind
from kg.engine.publishing import Mark, access, read_counts, read_mark
from kg.engine.worker import explained
from kg.errors import (
    EndpointError,
    QueryError,
    QueryFailed,
    QueryRefused,
    QuerySyntaxError,
    QueryTimeout,
    QueryTooLarge,
    ServerBusy,
    SnapshotError,
    StromaError,
)
from kg.settings import reached
from kg.snapshot import Snapshot
from kg.terms import BASE

log = logging.getLogger(__name__)

_CONVERTED_BYTES = 256 * 1024**2  # of an answer that we have to write anew; beyond that it is refused
_SMALL = 256 * 1024  # an answer that is all here within a moment leaves in one piece
_MOMENT = 0.005
_LATE = 3
_CHUNK = 64 * 1024
# How servers say that there is no such function, or that it is called with other arguments.
_FUNCTION = re.compile(
    r"custom function <(?P<unknown>[^>]*)> is not supported"
    r"|Undefined procedure DB\.DBA\.(?P<theirs>\S+)\."
    r"|function <?(?P<wrong>[^\s>()]+)>?(?:\(\))? requires (?P<needs>[^.]*)"
)
_PROVE_SECONDS = 600.0  # a large graph takes long to count; then we go on without
_COUNT = "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }"
_COUNT_ALL = "SELECT (COUNT(*) AS ?n) WHERE { { SELECT ?s WHERE { ?s ?p ?o } LIMIT 1 } }"
# What our questions and pages are made of; 50,000 is the largest LIMIT of a page's query.
_TRIED = """SELECT ?said WHERE {
  { SELECT ?k (SUM(?n) AS ?sum) (COUNT(DISTINCT ?n) AS ?many) WHERE {
    VALUES (?k ?n) { ("a" 1) ("a" 2) ("b" 4) }
    MINUS { VALUES ?k { "b" } }
  } GROUP BY ?k HAVING (COUNT(*) > 1) }
  BIND (IF(REGEX(STR(?k), "^A$", "i"), CONCAT(STR(?k), STR(?sum), STR(?many)), "no") AS ?said)
} ORDER BY ?said LIMIT 50000"""
_TRIED_GIVES = "a32"
_NOBODY = BASE + "graph/none"  # a graph that is empty: what a dataset without a default graph names


class RemoteEngine:
    """A snapshot on another server; at most `workers` queries at once are there, up to `queue` wait here.

    `url` is the server's query endpoint; `user` and `password` say who we are there, or stand in it. What
    clients see names neither the server nor us: that is the operator's business. Answers that clients take
    slowly wait in `spool`; those of at most `keep_bytes` can be had whole. The server is looked at every
    `look_seconds`; where it is silent for `patience` seconds three times in a row, no query is sent.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        url: str,
        *,
        user: str = "",
        password: str = "",
        workers: int = 8,
        queue: int = 64,
        keep_bytes: int = 0,
        spool: Spool | None = None,
        figures: Figures | None = None,
        why: str = "",
        look_seconds: float = 5.0,
        patience: float = 10.0,
    ) -> None:
        self._snapshot = snapshot
        self._url, user, password = reached(url, user, password)
        self._access = access(user, password)
        # A short one may be an ordinary word, as dba is at Virtuoso: leaving that out would tell it.
        secrets = (f"{user}:{password}", password if len(password) >= 8 else "") if password else ()
        self._private = tuple(filter(None, (self._url, urlsplit(self._url).hostname, *secrets)))
        self._size = workers
        self._queue = queue
        self._keep_bytes = keep_bytes
        self._spool = spool or Spool(0)
        self._figures = figures or Figures()
        self._why = why
        self._look_seconds = look_seconds
        self._patience = patience
        self._dialect: Dialect = STANDARD
        self._unwell = "it was not looked at yet"  # why no query is sent; "" when all is well
        self._late = 0  # looks in a row that got no answer in time
        self._publication = ""  # by which the snapshot came there, as last seen
        self._busy = self._waiting = 0
        self._turns = asyncio.Semaphore(workers)
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is asked."""
        return self._snapshot

    @property
    def url(self) -> str:
        """The server's query endpoint, without who we are there; not for clients."""
        return self._url

    @property
    def dialect(self) -> Dialect:
        """How the server speaks; known once the engine has started."""
        return self._dialect

    @property
    def status(self) -> Status:
        """Ready while the server answers and holds the snapshot."""
        theirs = "none of ours (what the other server has of its own holds there)"
        return Status(
            ready=not self._unwell,
            workers=self._size,
            busy=self._busy,
            waiting=self._waiting,
            locks={"network": theirs, "memory": theirs},
            holds="remote",
            why=self._why,
            differs=self._dialect.differs,
            # Oxigraph's too: of another version it may be, and where all is asked for, it shows our mark.
            spelling=self._dialect.name,
        )

    async def __aenter__(self) -> RemoteEngine:
        """Look at the server; SnapshotError where it does not answer or does not hold the snapshot."""
        # No proxy of the environment and no redirect: a query goes to the server that was named.
        self._client = httpx.AsyncClient(
            auth=self._access,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._patience),
        )
        try:
            await self._look()
            if self._unwell:
                raise SnapshotError(f"{self._url}: {self._unwell}")
            await self._prove()
        except BaseException:
            await self.__aexit__()
            raise
        self._run(self._watch())
        return self

    async def __aexit__(self, *problem: object) -> None:
        """Give up all queries; the server is told by the closed connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._unwell = "it is not asked any more"
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    # -------------------------------------------------------------------------------- what is there

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            before = self._unwell
            await self._look()
            if self._unwell != before:
                said = self._unwell or "answers, and holds the snapshot"
                log.warning("remote engine", extra={"url": self._url, "state": said})

    async def _look(self) -> None:
        """Ask for the mark, and learn the dialect from the answer's header."""
        assert self._client is not None
        try:
            mark, server = await read_mark(self._client, self._url)
        except StromaError as problem:
            # A busy server may be slow to say it once; each answer is confirmed anyway.
            self._late = self._late + 1 if isinstance(problem.__cause__, httpx.TimeoutException) else _LATE
            if self._unwell or self._late >= _LATE:
                self._unwell = str(problem)
            return
        self._late = 0
        self._dialect = dialect_of(server)
        self._found(mark)

    async def _prove(self) -> None:
        """SnapshotError where the server bears the mark, and yet would not answer as the snapshot does.

        Somebody may have changed a graph, or copied the mark elsewhere; another version or another server may
        stand at the address, or take no notice of a dataset. A mark without counts is not looked into.
        """
        assert self._client is not None
        again = "publish to it again with `kg publish --to URL`"
        try:
            async with asyncio.timeout(_PROVE_SECONDS):
                counts = await read_counts(self._client, self._url)
                counts = {iri: counts[iri] for iri in self._snapshot.graphs if iri in counts}
                for iri, count in counts.items():
                    found = await self._value(_COUNT, Dataset((iri,), ()))
                    if found != str(count):
                        raise SnapshotError(
                            f"{self._url}: it has {found} statements in <{iri}>, and had {count} when they "
                            "were published: somebody changed them, or it takes no notice of a dataset; "
                            f"{again}"
                        )
                if any(counts.values()) and await self._value(_COUNT_ALL, None) == "0":
                    raise SnapshotError(
                        f"{self._url}: its default graph is not the union of all. {self._dialect.needs}"
                    )
                if counts and (said := await self._value(_TRIED, None)) != _TRIED_GIVES:
                    raise SnapshotError(
                        f"{self._url}: {self._dialect.name} answers {said!r} and not {_TRIED_GIVES!r} to a "
                        "query of SPARQL 1.1; use another version of it"
                    )
        except TimeoutError:
            log.warning("remote engine", extra={"url": self._url, "state": "was not counted in time"})
        except (QueryError, EndpointError, httpx.HTTPError, ValueError, LookupError) as problem:
            said = self._dialect.needs or "Use a version of it that has SPARQL 1.1"
            raise SnapshotError(
                f"{self._url}: {self._dialect.name} bears the mark, but does not answer what we ask of it "
                f"({problem}). {said}"
            ) from problem

    async def _value(self, text: str, dataset: Dataset | None) -> str:
        """The one value of a query's one row."""
        form = BY_KEY["json"]
        async with self._sent(text, form, dataset) as response:
            await self._check(response, form, text)
            answer = json.loads(converted(self._dialect, await _read(response), Kind.SOLUTIONS, form))
        ((value,),) = (tuple(row.values()) for row in answer["results"]["bindings"])
        return str(value["value"])

    def _found(self, mark: Mark | None) -> None:
        self._unwell = _unfit(mark, self._snapshot)
        self._publication = mark.publication if mark is not None else ""

    async def _confirm(self, since: str) -> None:
        """ServerBusy unless the server holds the snapshot still, by the publication `since`.

        Each publication begins with a mark of its own, before it changes a graph. So what the server answered
        between two looks that saw the same publication complete is of that snapshot, all of it.
        """
        assert self._client is not None
        try:
            mark, _ = await read_mark(self._client, self._url)
        except EndpointError as problem:
            raise ServerBusy(
                f"The server that holds the graph answered, but not which snapshot that was of: {problem}", 5
            ) from problem
        self._found(mark)
        if self._unwell or self._publication != since:
            said = self._unwell or "it holds this one again"
            raise ServerBusy(
                f"The graph was replaced while the server that holds it answered ({said}); ask again", 5
            )

    # ------------------------------------------------------------------------------------- a query

    async def query(
        self, text: str, *, accept: Format, dataset: Dataset | None = None, limits: Limits
    ) -> Answer:
        """See `kg.engine.Engine.query`; QueryTooLarge also for an answer that we would have to write anew."""
        try:
            inspection = guard.inspect(text, limits)
            if inspection.calls:
                raise QueryRefused(guard.NO_SERVICE)  # that server would ask whom it likes
            chosen = dataset or inspection.dataset
            if chosen is not None:
                guard.check_graphs(chosen, self._snapshot.graphs)
            if inspection.kind not in accept.kinds:
                raise QueryFailed(f"{accept.label} cannot hold this result")
            if self._unwell:
                raise ServerBusy(f"The server that holds the graph cannot be asked: {self._unwell}", 5)
            return await self._asked(text, inspection.kind, accept, chosen, limits)
        except StromaError as problem:
            self._figures.answers[problem.slug] += 1
            raise
        except asyncio.CancelledError:
            self._figures.answers["gone"] += 1
            raise

    async def _asked(
        self, text: str, kind: Kind, accept: Format, dataset: Dataset | None, limits: Limits
    ) -> Answer:
        asked = time.perf_counter()
        await self._turn(limits)
        began = time.perf_counter()
        room = asyncio.Event()
        body = Body(self._spool, keep_bytes=self._keep_bytes, on_room=room.set)
        head: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = self._run(self._fetch(text, kind, accept, dataset, limits, body, room, head))
        try:
            await head
        except BaseException:
            task.cancel()
            body.close()
            raise
        times = {"queue": (began - asked) * 1000, "evaluate": (time.perf_counter() - began) * 1000}
        whole = body.whole()
        if whole is not None:
            return Answer(accept, _once(whole), whole, milliseconds=times)

        async def close() -> None:
            if not body.ended and not task.done():
                self._figures.answers["gone"] += 1
            task.cancel()
            body.close()

        return Answer(accept, body.take(), None, body.completed(), times, close)

    async def _turn(self, limits: Limits) -> None:
        if self._turns.locked() and self._waiting >= self._queue:
            raise ServerBusy(f"{self._waiting} queries wait already, which is the limit; ask again later", 5)
        self._waiting += 1
        try:
            await asyncio.wait_for(self._turns.acquire(), limits.seconds)
        except TimeoutError:
            raise ServerBusy(
                f"The other queries took more than {limits.seconds:g} seconds; ask again later", 10
            ) from None
        finally:
            self._waiting -= 1
        self._busy += 1

    async def _fetch(
        self,
        text: str,
        kind: Kind,
        accept: Format,
        dataset: Dataset | None,
        limits: Limits,
        body: Body,
        room: asyncio.Event,
        head: asyncio.Future[None],
    ) -> None:
        """Ask the server and fill the body; `head` is set when it is known whether there is an answer."""
        problem: QueryError
        since = self._publication

        async def begin() -> None:
            await self._confirm(since)
            if not head.done():
                head.set_result(None)

        try:
            async with asyncio.timeout(limits.seconds):
                form = asked_as(self._dialect, accept, kind)
                async with self._sent(text, form, dataset) as response:
                    await self._check(response, form, text)
                    if form is accept and accept.key in self._dialect.passed:
                        await _pass_on(response.aiter_bytes(), body, room, begin)
                        # What has left by now cannot be taken back; an end would say that it was right.
                        await self._confirm(since)
                    else:
                        whole = await _read(response)
                        await self._confirm(since)
                        written = await asyncio.to_thread(converted, self._dialect, whole, kind, accept)
                        await _pass_on(_pieces(written), body, room, begin)
            body.end()
            self._figures.answers["complete"] += 1
            if not head.done():
                head.set_result(None)
            return
        except TimeoutError:
            problem = QueryTimeout(
                f"The query ran longer than {limits.seconds:g} seconds, which is the limit. Narrow the query "
                "(LIMIT, fewer patterns), or download the data and query it locally"
            )
        except QueryError as told:
            problem = told
        except httpx.ConnectError as lost:
            problem = ServerBusy(
                f"The server that holds the graph does not answer ({type(lost).__name__}); ask again later",
                5,
            )
        except (httpx.HTTPError, ValueError, SyntaxError) as lost:
            problem = QueryFailed(
                f"The answer of {self._dialect.name} ended or cannot be read "
                f"({self._without_names(f'{type(lost).__name__}: {lost}', text)}); ask again"
            )
        except Exception as bug:
            log.exception("remote engine")
            problem = QueryFailed(
                f"The answer of {self._dialect.name} could not be handed on: {type(bug).__name__}"
            )
        finally:
            self._busy -= 1
            self._turns.release()
        if head.done():
            self._figures.answers[problem.slug] += 1
        else:
            head.set_exception(problem)
        body.fail(problem)

    @contextlib.asynccontextmanager
    async def _sent(self, text: str, form: Format, dataset: Dataset | None) -> AsyncIterator[httpx.Response]:
        assert self._client is not None
        if dataset is None and not self._dialect.union:
            everything = tuple(self._snapshot.graphs)
            dataset = Dataset(everything, everything)
        fields = [("query", guard.standing_alone(text))]
        if dataset is not None:
            fields += [("default-graph-uri", iri) for iri in dataset.default or (_NOBODY,)]
            fields += [("named-graph-uri", iri) for iri in dataset.named or (_NOBODY,)]
        async with self._client.stream(
            "POST",
            self._url,
            content=urlencode(fields, errors="surrogatepass").encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": form.media_type},
            timeout=httpx.Timeout(10.0, read=None),
        ) as response:
            yield response

    async def _check(self, response: httpx.Response, form: Format, query: str) -> None:
        """Raise what a status that is no success means, or a body that is no answer."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code == 200:
            if kind not in (form.media_type, *form.aliases):
                raise QueryFailed(
                    f"The server that holds the graph answered with {kind or 'no media type'} instead of "
                    f"{form.media_type}: its address may be no SPARQL endpoint, or a proxy's page stands "
                    "before it"
                )
            return
        text = self._without_names((await response.aread()).decode("utf-8", "replace"), query)
        said = " ".join(text.split()) if kind.startswith("text/plain") else ""
        if said and (response.status_code == 400 or _FUNCTION.search(said)):
            raise _refused(text)
        server = "The server that holds the graph"
        if response.status_code == 400:
            raise QuerySyntaxError(f"{server} does not take it, and does not say why")
        if response.status_code in (429, 502, 503, 504):
            raise ServerBusy(f"{server} is busy (status {response.status_code})", 10)
        if response.status_code in (401, 403):
            raise QueryFailed(
                f"{server} refuses us (status {response.status_code}): it needs to let queries in"
            )
        raise QueryFailed(f"{server} answered with status {response.status_code}. {said[:300]}".strip())

    def _without_names(self, text: str, query: str) -> str:
        """What that server or a library said, fit for clients: without its address and the password.

        What stands in the query stays, for a server may repeat the query: else one could try passwords.
        """
        for name in self._private:
            if name.casefold() not in query.casefold():
                text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "(not shown)", text)
        return text

    def _run(self, work: object) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _unfit(mark: Mark | None, snapshot: Snapshot) -> str:
    """Why a server with this mark cannot answer for a snapshot; "" where it can."""
    way_out = "publish to it with `kg publish --to URL`"
    if mark is None:
        return f"it holds no snapshot of ours; {way_out}"
    if not mark.complete:
        return f"it is half loaded: a publication to it has not ended; {way_out} again"
    if mark.complete != snapshot.hash:
        return f"it holds the snapshot {mark.complete[:12]}, not {snapshot.hash[:12]}; {way_out}"
    return ""


def _refused(text: str) -> QueryError:
    """What a server says of a query that it does not take, with its place where that can be known."""
    flat = " ".join(text.partition("\n\nSPARQL query:")[0].split())
    function = _FUNCTION.search(flat)
    if function is not None:
        iri = next(filter(None, function.group("unknown", "theirs", "wrong")))
        return unsupported(iri, f"requires {function['needs']}" if function["needs"] else "")
    if flat.startswith("Virtuoso "):
        # Virtuoso counts lines of its own before ours, so its number would mislead.
        return QuerySyntaxError(
            re.sub(r"^Virtuoso \w+ Error \w+: (?:SPARQL compiler(?:, line \d+)?: )?", "", flat)
        )
    said = explained(flat)
    column = said["column"]
    if said["line"] == 1 and column is not None:
        column = max(1, column - len(f"BASE <{BASE}> "))
    return QuerySyntaxError(said["problem"][:500], said["line"], column)


async def _pass_on(
    pieces: AsyncIterator[bytes], body: Body, room: asyncio.Event, begin: Callable[[], Awaitable[None]]
) -> None:
    """Feed the body; `begin` is awaited once, when there is more than leaves in one piece."""
    first, begun = 0.0, False
    async for piece in pieces:
        body.feed(piece)
        first = first or time.monotonic()
        if not begun and (body.full or body.size > _SMALL or time.monotonic() - first > _MOMENT):
            await begin()
            begun = True
        while body.full:
            room.clear()
            await room.wait()


async def _read(response: httpx.Response) -> bytes:
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > _CONVERTED_BYTES:
            raise QueryTooLarge(
                f"The answer is larger than {_CONVERTED_BYTES // 1024**2} MB, and this format of it has "
                "to be written anew. Narrow the query (LIMIT, fewer columns)"
            )
    return b"".join(pieces)


async def _pieces(whole: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(whole), _CHUNK):
        yield whole[at : at + _CHUNK]
        await asyncio.sleep(0)  # others' turn; and the first pieces leave before the last are here


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
