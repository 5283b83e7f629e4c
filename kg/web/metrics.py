"""`/metrics`: figures for Prometheus, and where they come from.

Hides prometheus-client. What happens to requests is counted as it happens; what engines, caches and processes
are is read when somebody asks. Labels are routes, methods, statuses, outcomes: a few of each, whatever is
asked; never a query, a client or a path.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from fastapi import APIRouter
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from kg.engine.served import Served
from kg.web.openapi import TEXT, described

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class _Processes(Protocol):
    """An engine that tells its processes."""

    @property
    def pids(self) -> tuple[int, ...]: ...

    @property
    def keeper_pid(self) -> int | None: ...


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self, served: Served) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second time series for each, which nothing here needs
        self.registry = CollectorRegistry()
        self.in_progress = Gauge(
            "stroma_requests_in_progress", "Requests being answered", registry=self.registry
        )
        self._requests = Counter(
            "stroma_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "stroma_request_seconds",
            "From a request's head to the last byte of its answer",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._bytes = Counter(
            "stroma_response_bytes", "Bytes of answers, without heads", ("route",), registry=self.registry
        )
        self.refused = Counter(
            "stroma_connections_refused",
            "Connections that were closed before they were answered, by why",
            ("why",),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(_Engines(served))

    def request(self, method: str, route: str, status: int, seconds: float, sent: int) -> None:
        """Count one request that has ended."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._bytes.labels(route).inc(sent)


class _Engines(Collector):
    """What engines, cache, spool and snapshots are now."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def describe(self) -> Iterator[Metric]:
        """Nothing: reading them at registration would ask engines that have not started."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read everything."""
        served = self._served
        engine = served.now.engine
        snapshot, status = engine.snapshot, engine.status
        yield InfoMetricFamily(
            "stroma_snapshot",
            "The snapshot that is served",
            {"version": snapshot.version, "name": snapshot.name},
        )
        yield _gauge("stroma_snapshot_quads", "Statements of the snapshot", snapshot.quads)
        built = datetime.fromisoformat(snapshot.created).timestamp()
        yield _gauge("stroma_snapshot_created_seconds", "When the snapshot was built, Unix time", built)
        yield _gauge("stroma_snapshots_loaded", "Snapshots in memory", len(served.engines))
        yield _gauge("stroma_ready", "Whether a query can be answered now", status.ready)
        workers = GaugeMetricFamily("stroma_workers", "Processes that evaluate queries", labels=("state",))
        workers.add_metric(("busy",), status.busy)
        workers.add_metric(("idle",), status.workers - status.busy)
        yield workers
        yield _gauge("stroma_queries_long", "Queries that take long, among the busy", status.long)
        yield _gauge("stroma_queries_waiting", "Queries that wait for a worker", status.waiting)
        yield _counter("stroma_answers", "Queries answered", "outcome", served.figures.answers)
        yield _counter("stroma_workers_replaced", "Workers replaced", "why", served.figures.replaced)
        yield from self._cached()
        if served.federation is not None:
            yield from self._federated()
        yield self._memory()

    def _cached(self) -> Iterator[Metric]:
        yield _gauge("stroma_spool_bytes", "Bytes on disk for slow clients", self._served.spool.used)
        cache = self._served.cache
        yield _gauge("stroma_cache_bytes", "Bytes of answers kept", cache.bytes)
        yield _gauge("stroma_cache_limit_bytes", "Bytes of answers that may be kept", cache.limit)
        yield _counter("stroma_cache_answers", "What the cache was asked for", "outcome", vars(cache.figures))

    def _federated(self) -> Iterator[Metric]:
        """Of the endpoints that may be asked and of no others, so there are as many labels as in the list."""
        figures = self._served.figures
        calls = CounterMetricFamily(
            "stroma_service_calls", "Requests to other endpoints, for SERVICE", labels=("endpoint", "outcome")
        )
        for (endpoint, outcome), count in sorted(figures.calls.items()):
            calls.add_metric((endpoint, outcome), count)
        yield calls
        yield _counter(
            "stroma_service_seconds", "Waiting for other endpoints", "endpoint", figures.call_seconds
        )
        yield _counter("stroma_service_bytes", "Bytes of their answers", "endpoint", figures.call_bytes)

    def _memory(self) -> Metric:
        family = GaugeMetricFamily(
            "stroma_memory_bytes",
            "Memory of processes; what several share is divided among them (PSS)",
            labels=("process",),
        )
        family.add_metric(("server",), _memory_of(os.getpid()))
        keepers = workers = 0
        for engine in self._served.engines:
            processes: _Processes = engine  # type: ignore[assignment]  # those that have processes tell them
            keepers += _memory_of(getattr(processes, "keeper_pid", None) or 0)
            workers += sum(map(_memory_of, getattr(processes, "pids", ())))
        family.add_metric(("keeper",), keepers)
        family.add_metric(("workers",), workers)
        if self._served.federation is not None:
            family.add_metric(("broker",), _memory_of(self._served.federation.broker_pid or 0))
        return family


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value)


def _counter(name: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, what, labels=(label,))
    for key, value in sorted(values.items()):
        family.add_metric((key,), value)
    return family


def _memory_of(pid: int) -> int:
    """A process's share of memory in bytes; 0 where the system does not tell, or the process is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def router(metrics: Metrics) -> APIRouter:
    """`/metrics`."""
    routes = APIRouter(tags=["operations"])

    @routes.get(
        "/metrics", summary="Figures for Prometheus", **described(TEXT, "application/openmetrics-text")
    )
    async def figures(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = await asyncio.to_thread(encode, metrics.registry)  # reads files of /proc
        return Response(body, 200, {"Cache-Control": "no-store", "Content-Type": content_type})

    return routes
