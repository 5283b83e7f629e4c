"""`/health`: whether the process lives, and whether it answers.

Hides what both mean. Live: the event loop answers at all; a supervisor restarts a process that does not.
Ready: a worker can take a query; a load balancer sends no requests to a process that is not.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kg.web.asked import engine_of
from kg.web.openapi import JSON, described

_NO_STORE = {"Cache-Control": "no-store"}
_BUSY = {503: "Not now"}


def router() -> APIRouter:
    """`/health`, `/health/live` and `/health/ready`."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/health/live", summary="Does the process answer?", **described(JSON))
    async def live() -> Response:
        return JSONResponse({"live": True}, headers=_NO_STORE)

    @routes.get("/health/ready", summary="Can a query be answered now?", **described(JSON, statuses=_BUSY))
    async def ready(request: Request) -> Response:
        state = engine_of(request).status.ready
        return JSONResponse({"ready": state}, 200 if state else 503, _NO_STORE)

    @routes.get(
        "/health",
        summary="Both, with what is served and how busy it is",
        **described(JSON, statuses=_BUSY),
    )
    async def health(request: Request) -> Response:
        engine = engine_of(request)
        status = engine.status
        state: dict[str, Any] = {
            "live": True,
            "ready": status.ready,
            "version": engine.snapshot.version,
            "snapshot": engine.snapshot.name,
            "hash": engine.snapshot.hash,
            "quads": engine.snapshot.quads,
            "workers": {
                "alive": status.workers,
                "busy": status.busy,
                "long": status.long,
                "waiting": status.waiting,
            },
            "locks": dict(status.locks),
        }
        return JSONResponse(state, 200 if status.ready else 503, _NO_STORE)

    return routes
