"""THE SERVING FLOW: an engine, some routers, one address.

Hides FastAPI, uvicorn and the headers that every response carries.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from types import FrameType
from typing import Any, cast
from urllib.parse import parse_qsl

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kg.engine import Status, guard
from kg.engine.served import Served
from kg.errors import StromaError, UsageError
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.web import (
    about,
    changes,
    download,
    editor,
    graphs,
    health,
    metrics,
    openapi,
    running,
    search,
    site,
    sparql,
)
from kg.web.asked import IS_HEAD, Asked, engine_of, note
from kg.web.http import Bounds, Protocol
from kg.web.language import without_cookies
from kg.web.pages import CONTENT_SECURITY_POLICY
from kg.web.problems import BadRequest, MethodNotAllowed, NotFound, answer_to
from kg.web.watching import Watched, seen_of

RouterFactory = Callable[[Served, Settings], APIRouter]


def create_app(served: Served, settings: Settings, *, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """The web application over started engines; `routers` add resources to it.

    A router finds the engine of a request by `kg.web.asked.engine_of(request)`.
    """
    app = FastAPI(
        title="Stroma",
        version=metadata.version("stroma-kg"),
        description="MSC therapy for rheumatoid arthritis: a knowledge graph with a SPARQL endpoint.",
        openapi_url=None,  # kg.web.openapi serves it, and FastAPI's pages would load scripts from a CDN
        redirect_slashes=False,  # the pages of things see to that
    )
    app.state.indexes = {}
    app.state.memories = {}
    app.state.hierarchies = {}
    app.state.metrics = figures = metrics.Metrics(served)
    knowing = [router for router in routers if isinstance(router, openapi.KnowingRouter)]
    openapi.install(app, settings, sparql.operations(settings), knowing)
    routes = [*app.routes]
    own = (
        about.router(settings),
        changes.router(),
        health.router(),
        metrics.router(figures),
        site.router(),
        search.router(),
        editor.router(settings),
        graphs.router(settings),
        download.router(settings),
        running.router(),
    )
    # The pages of things come last among `routers`: their paths are any two words.
    for router in (*own, *routers):
        app.include_router(router)
        routes += router.routes

    def problem(request: Request, error: StromaError) -> Response:
        return answer_to(error, request, engine_of(request).snapshot.version)

    async def on_stroma(request: Request, error: Exception) -> Response:
        assert isinstance(error, StromaError)
        return problem(request, error)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            missing = NotFound(f"There is nothing at {request.url.path[:200]}; / says what there is")
            missing.others = await search.near(request, request.url.path)
            return problem(request, missing)
        if error.status_code == 405:
            allowed = _methods(routes, request.scope)
            said = f"{request.method} is not for {request.url.path}; use {allowed}"
            if request.method in ("PUT", "POST", "PATCH", "DELETE"):
                said += f". {guard.NO_UPDATE}"
            response = problem(request, MethodNotAllowed(said))
            response.headers["Allow"] = allowed
            return response
        return problem(request, BadRequest(str(error.detail)))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return problem(request, BadRequest(said))

    async def on_bug(request: Request, error: Exception) -> Response:
        return problem(request, StromaError("An error of ours; it is in the log. Please report the request"))

    app.add_exception_handler(StromaError, on_stroma)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_bug)
    app.add_middleware(_Front, sparql=sparql.SparqlEndpoint(settings), routes=routes, served=served)
    app.add_middleware(Watched, metrics=figures, settings=settings)
    return app


def _methods(routes: Sequence[BaseRoute], scope: Scope) -> str:
    """The methods of the resource that a request names, as an Allow header has them; "" for no resource."""
    methods: set[str] = set()
    for route in routes:
        if route.matches(scope)[0] != Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join([*sorted(methods), "OPTIONS"]) if methods else ""


class _Front:
    """Chooses the engine that a request asks, and keeps it running until the answer is sent.

    Sends `/sparql` straight to its endpoint, which needs no routing, and everything else to the routes.
    Every response gets the snapshot's version, CORS for reading, and a strict policy.
    """

    _HEADERS = (
        (b"access-control-allow-origin", b"*"),
        (
            b"access-control-expose-headers",
            b"ETag, Link, Retry-After, Server-Timing, X-Total-Count, X-Stroma-Problem, X-Stroma-Query-Id, "
            b"X-Stroma-Silenced, X-Stroma-Snapshot, X-Stroma-Version",
        ),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
    )
    _POLICY = (b"content-security-policy", CONTENT_SECURITY_POLICY.encode())  # unless a page has its own
    _PREFLIGHT = (
        (b"access-control-allow-headers", b"Accept, Content-Type, If-None-Match, *"),
        (b"access-control-max-age", b"86400"),
    )

    def __init__(self, app: ASGIApp, sparql: ASGIApp, routes: Sequence[BaseRoute], served: Served) -> None:
        self._app = app
        self._sparql = sparql
        self._routes = routes
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["headers"] = without_cookies(scope["headers"])
        held, version, refused = self._served.now, None, None
        if b"version=" in scope["query_string"]:
            try:
                version = _version(scope["query_string"])
                if version is not None:
                    held = await self._served.version(version)
            except StromaError as error:
                refused = error
        with held as engine:
            # A date may come to mean a later snapshot of the same day; a name or a hash never does.
            permanent = version is not None and len(version) > len("2026-11-22")
            note(scope, Asked(engine, self._served, permanent))
            send = self._with_headers(scope, send, engine.snapshot)
            if refused is not None:
                response = answer_to(refused, Request(scope), engine.snapshot.version)
                await response(scope, receive, send)
            else:
                await self._route(scope, receive, send)

    def _with_headers(self, scope: Scope, send: Send, snapshot: Snapshot) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"x-stroma-version", snapshot.version.encode()),
                    (b"x-stroma-snapshot", snapshot.name.encode()),
                    *self._HEADERS,
                ]
                if not any(name == b"content-security-policy" for name, _ in message["headers"]):
                    message["headers"].append(self._POLICY)
                if scope["method"] == "OPTIONS":
                    message["headers"] += self._PREFLIGHT
            await send(message)

        return send_with_headers

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in sparql.PATHS:
            seen_of(scope).route = "/sparql"
            await self._sparql(scope, receive, send)
        elif scope["method"] == "OPTIONS" and (allowed := _methods(self._routes, scope)):
            methods = [
                (b"allow", allowed.encode()),
                (b"access-control-allow-methods", allowed.encode()),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": methods})
            await send({"type": "http.response.body", "body": b""})
        elif scope["method"] == "HEAD":
            # The routes know GET only; the headers are those of GET, and the body is left out.
            async def send_head(message: Message) -> None:
                if message["type"] == "http.response.body":
                    message = {**message, "body": b""}
                await send(message)

            as_get = {**scope, "method": "GET", IS_HEAD: True}
            await self._app(as_get, receive, send_head)
            seen_of(scope).route = getattr(as_get.get("route"), "path", "")
        else:
            await self._app(scope, receive, send)


def _version(query_string: bytes) -> str | None:
    """The value of the parameter `version`, None where it is not given; raises BadRequest if given twice."""
    given = [value for name, value in parse_qsl(query_string.decode("latin-1"), True) if name == "version"]
    if len(given) > 1:
        raise BadRequest("version is given twice; give it once")
    return given[0] if given else None


class _Server(uvicorn.Server):
    """uvicorn, telling when it listens; a signal ends it, and does not end the process before the engine."""

    interrupted = False

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In place of uvicorn's own, which sends the signal to itself again when it has stopped."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._told) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = self.interrupted or number == signal.SIGINT
        self.handle_exit(number, frame)


class _Quiet(uvicorn.Server):
    """A server beside the main one, which hears the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear none."""
        yield


def run(
    snapshot: Snapshot,
    settings: Settings,
    *,
    routers: Sequence[RouterFactory] = (),
    on_ready: Callable[[Status], None] | None = None,
    find: Callable[[], Snapshot | None] | None = None,
) -> None:
    """Serve a snapshot until the process is told to stop; prints nothing itself.

    `routers` make further resources from what is served and the settings; `on_ready` is called once requests
    are answered, with how the engine does. `find` gives the snapshot that should be served now: it is asked
    every `watch_seconds` and on SIGHUP. Returns on SIGTERM, raises KeyboardInterrupt on SIGINT, both after a
    graceful stop. Raises UsageError when the address cannot be had, SnapshotError when the snapshot cannot.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listening(settings, settings.host, settings.port))
        admin = None
        if settings.admin_port is not None:
            admin = stack.enter_context(_listening(settings, "127.0.0.1", settings.admin_port))
        # What runs beside the loop in a thread (a long text is judged) lets it in this soon.
        sys.setswitchinterval(0.001)
        runner = stack.enter_context(asyncio.Runner(loop_factory=_fast_loop))
        served = Served(snapshot, settings, find=find)
        runner.run(_serve(served, settings, routers, on_ready, listener, admin))


def _fast_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def _serve(
    served: Served,
    settings: Settings,
    routers: Sequence[RouterFactory],
    on_ready: Callable[[Status], None] | None,
    listener: socket.socket,
    admin: socket.socket | None,
) -> None:
    async with served:
        app = create_app(served, settings, routers=[make(served, settings) for make in routers])
        bounds = Bounds.of(settings, lambda why: app.state.metrics.refused.labels(why).inc())
        ready = None if on_ready is None else partial(on_ready, served.now.engine.status)
        server = _Server(_config(app, settings, bounds), ready)
        async with asyncio.TaskGroup() as group:
            operators = _Quiet(_config(running.admin_app(served), settings, bounds))
            if admin is not None:
                group.create_task(operators.serve(sockets=[admin]))
            with _reload_on_hangup(served):
                await server.serve(sockets=[listener])
            operators.should_exit = True
    if server.interrupted:
        raise KeyboardInterrupt


def _config(app: ASGIApp, settings: Settings, bounds: Bounds) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast(Any, partial(Protocol, bounds=bounds)),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.stop_seconds),
    )


@contextmanager
def _reload_on_hangup(served: Served) -> Iterator[None]:
    """Meanwhile SIGHUP makes the server look for a new snapshot; where there are no signals, nothing does."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = loop.create_task(served.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in reloads:
            task.cancel()


def _listening(settings: Settings, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # What waits in the kernel for a client that takes nothing is dropped, and its connection.
            listener.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.client_seconds * 1000)
            )
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as problem:
        listener.close()
        raise UsageError(
            f"{host}:{port} cannot be listened on: {problem.strerror or problem}. "
            f"Choose another port, such as PORT={port + 1}, or another HOST"
        ) from problem
    return listener
