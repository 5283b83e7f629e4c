"""Stopping queries: by who started one, at a public address, or by an operator, at a port of this machine.

Hides the operator's port: it listens on loopback only, answers no web page (a browser on this machine could
be made to ask by a page from elsewhere), and there is none unless a setting names it.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kg.engine.running import Running
from kg.engine.served import Served
from kg.web.asked import served_of
from kg.web.problems import NotFound


def router() -> APIRouter:
    """`DELETE /queries/running/<id>`."""
    routes = APIRouter(tags=["questions"])

    @routes.delete(
        "/queries/running/{id}",
        summary="Stop a query by the id in its X-Stroma-Query-Id header",
        status_code=204,
        response_class=Response,
    )
    async def cancel(id: str, request: Request) -> Response:
        if not served_of(request).running.cancel(id):
            raise NotFound("No query with this id is running; it may be done")
        return Response(None, 204)

    return routes


def admin_app(served: Served) -> ASGIApp:
    """What the operator's port answers: the running queries, stopping one, looking for a new snapshot."""

    async def running(request: Request) -> Response:
        queries = sorted(served.running, key=lambda each: each.started)
        return JSONResponse([_told(each) for each in queries])

    async def cancel(request: Request) -> Response:
        done = served.running.cancel(request.path_params["id"])
        return Response(None, 204) if done else PlainTextResponse("no such query is running\n", 404)

    async def reload(request: Request) -> Response:
        new = await served.reload()
        return JSONResponse({"snapshot": served.now.engine.snapshot.name, "new": new})

    routes = [
        Route("/queries/running", running),
        Route("/queries/running/{id}", cancel, methods=["DELETE"]),
        Route("/reload", reload, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_NoWebPage)])


def _told(query: Running) -> dict[str, Any]:
    return {
        "id": query.id,
        "query": query.hash,
        "snapshot": query.snapshot,
        "seconds": round(query.seconds, 3),
        "state": "sending" if query.sending else "waiting or evaluating",
        "sent": query.sent,
    }


_PORT = re.compile(r":[0-9]+$")


class _NoWebPage:
    """Refuses what a browser sends for a page: an Origin, or a Host that is not this machine."""

    _HOSTS = ("localhost", "127.0.0.1", "[::1]")

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Request(scope).headers
            host = _PORT.sub("", headers.get("host", ""))
            if "origin" in headers or host not in self._HOSTS:
                await PlainTextResponse("not for web pages\n", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)
