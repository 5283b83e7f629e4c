"""What is watched of every request: how many, how long, how they ended; for `/metrics` and for the log.

Hides where in the flow a request is watched (around everything), and what a log line may hold: a query's text
and a client's whole address only where a setting asks for them. A client that asks too often is told so here.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kg.engine import query_hash
from kg.settings import Settings
from kg.web.metrics import Metrics
from kg.web.problems import TooManyRequests, answer_to
from kg.web.rates import Rates

log = logging.getLogger("kg.access")

_KEY = "stroma.seen"
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"})
_ALWAYS = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})  # whoever watches is let in
_LONGEST = 200  # characters of a path in the log


@dataclass
class Seen:
    """What becomes known of a request while it is answered."""

    query: str = ""  # the text of the query it asks
    calls: int = 0  # its SERVICE clauses
    route: str = ""  # the template of its address: "/queries/{id}"


def seen_of(scope: MutableMapping[str, Any]) -> Seen:
    """Where to note what becomes known of a request; what nobody watches is noted for nobody."""
    return cast(Seen, scope.setdefault(_KEY, Seen()))


class Watched:
    """An application with each of its requests counted, timed and logged."""

    def __init__(self, app: ASGIApp, metrics: Metrics, settings: Settings) -> None:
        self._app = app
        self._metrics = metrics
        self._settings = settings
        self._logs = bool(settings.log)
        self._rates = Rates(settings.client_rate, settings.client_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        seen = seen_of(scope)
        status, sent, ended, problem, snapshot = 0, 0, False, "", ""

        async def watched(message: Message) -> None:
            nonlocal status, sent, ended, problem, snapshot
            if message["type"] == "http.response.start":
                status = message["status"]
                for name, value in message["headers"]:
                    if name == b"x-stroma-problem":
                        problem = value.decode("latin-1")
                    elif name == b"x-stroma-snapshot":
                        snapshot = value.decode("latin-1")
            else:
                sent += len(message.get("body", b""))
                ended = not message.get("more_body", False)
            await send(message)

        self._metrics.in_progress.inc()
        try:
            client = (scope.get("client") or ("unknown",))[0]
            wait = 0.0 if scope["path"] in _ALWAYS else self._rates.wait(client, time.monotonic())
            if wait:
                await self._slow_down(wait)(scope, receive, watched)
            else:
                await self._app(scope, receive, watched)
        except ClientDisconnect:
            status = status or 499  # it left before its request was whole
        except BaseException:
            status = status or 500
            raise
        finally:
            self._metrics.in_progress.dec()
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = seen.route or getattr(scope.get("route"), "path", "") or "none"
            self._metrics.request(method, route, status, seconds, sent)
            if self._logs:
                outcome = "complete" if ended else ("gone" if status in (0, 499) else "cut")
                log.info(
                    "request",
                    extra={
                        "method": method,
                        "path": scope["path"][:_LONGEST],
                        "route": route,
                        "status": status,
                        "milliseconds": round(seconds * 1000, 2),
                        "bytes": sent,
                        "outcome": outcome,
                        **({"problem": problem} if problem else {}),
                        **({"snapshot": snapshot} if snapshot else {}),
                        **self._query(seen),
                        **self._client(scope),
                    },
                )

    def _slow_down(self, wait: float) -> Response:
        rate = f"{self._settings.client_rate:g} requests a second, {self._settings.client_burst} at once"
        problem = TooManyRequests(f"A client may send {rate}; come back in {wait:.1f} seconds")
        problem.retry_after = math.ceil(wait)
        return answer_to(problem, None, "")

    def _query(self, seen: Seen) -> dict[str, str | int]:
        if not seen.query:
            return {}
        told: dict[str, str | int] = {"query": query_hash(seen.query)}
        if seen.calls:
            told["services"] = seen.calls
        if self._settings.log_queries == "text":
            told["text"] = seen.query
        return told

    def _client(self, scope: Scope) -> dict[str, str]:
        client = scope.get("client")
        if self._settings.log_clients == "off" or not client:
            return {}
        return {"client": client[0] if self._settings.log_clients == "whole" else coarse(client[0])}


def coarse(address: str) -> str:
    """An address as its network: 24 bits of IPv4, 48 of IPv6; "unknown" for what is none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    bits = 24 if found.version == 4 else 48
    return str(ipaddress.ip_network((found, bits), strict=False))
