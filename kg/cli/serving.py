"""Verbs about endpoints: serve one, look at any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kg.cli.common import (
    current_snapshot,
    settings_here,
    verb,
)
from kg.errors import EndpointError, UsageError
from kg.services import read as read_services
from kg.settings import Settings

if TYPE_CHECKING:
    from kg.engine import Status
    from kg.snapshot import Snapshot


@verb(
    "Serve a graph over HTTP.",
    "kg serve",
    "kg serve --port 9000",
    "kg serve --services https://sparql.uniprot.org/sparql",
    "kg serve --data trials.ttl --data more.nq.gz",
)
def serve(
    data: Annotated[
        list[Path] | None,
        typer.Option(help="An RDF file to serve instead of the published graph; may be repeated."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Default: HOST, or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: PORT, or 8000.")] = None,
    services: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL|FILE",
            help="An endpoint that SERVICE may ask, or a file of them; may be repeated. Default: "
            "KG_SERVICES, or none.",
        ),
    ] = None,
) -> None:
    """Serve the published graph, or RDF files as they are, until Ctrl-C.

    A graph that is published meanwhile (`kg build`) is loaded beside the old one and takes over; no request
    fails. SIGHUP makes it look at once.
    """
    from kg.snapshot import current, snapshot_of_files

    settings = settings_here()
    if host is not None:
        settings = replace(settings, host=host)
    if port is not None:
        settings = replace(settings, port=port)
    if services:
        settings = replace(settings, services=read_services(" ".join(services)))
    if data:
        run_server(snapshot_of_files(data, settings.var), settings)
    else:
        run_server(current_snapshot(settings), settings, find=partial(current, settings.var))


def run_server(
    snapshot: Snapshot, settings: Settings, *, find: Callable[[], Snapshot | None] | None = None
) -> None:
    """Serve a snapshot with all that the site has, until Ctrl-C; `find` tells which is the current one."""
    from kg.canned import Catalogue
    from kg.web import app as web
    from kg.web import claims, discovery, logs, ontology, queries, reconcile, things
    from kg.web import evidence as evidence_pages
    from kg.web import why as explanations

    catalogue = Catalogue.read(settings.root / "queries")

    def ready(status: Status) -> None:
        address = f"http://{settings.host}:{settings.port}"
        print(f"Serving {snapshot.name} ({snapshot.quads:,} quads) at {address}")
        held = {"memory": "in memory", "disk": "on disk", "remote": "by another server"}[status.holds]
        print(f"Held {held}: {status.why}")
        print(f"Try:  curl -G {address}/sparql -H 'Accept: text/csv' --data-urlencode \\")
        print(
            "      'query=SELECT ?graph (COUNT(*) AS ?quads) { GRAPH ?graph { ?s ?p ?o } } GROUP BY ?graph'"
        )
        print("Stop it with Ctrl-C.", flush=True)

    routers: list[web.RouterFactory] = [
        lambda _, settings: queries.router(catalogue, settings),
        lambda _, settings: explanations.router(settings),
        lambda _, settings: discovery.router(catalogue),
        lambda _, settings: claims.router(settings),
        lambda _, settings: evidence_pages.router(settings),
        lambda _, settings: ontology.router(settings),
        lambda _, settings: reconcile.router(settings),
        lambda _, settings: things.router(catalogue, settings),
    ]
    with logs.written_to(settings.log):
        web.run(snapshot, settings, routers=routers, on_ready=ready, find=find)


@verb(
    "Look at a SPARQL endpoint as the public monitors do.",
    "kg selfcheck http://127.0.0.1:8000/sparql",
    "kg selfcheck https://sparql.uniprot.org/sparql --format json",
    "kg selfcheck http://127.0.0.1:8000/sparql --least 90",
)
def selfcheck(
    url: Annotated[str, typer.Argument(metavar="URL", help="The endpoint's address; any endpoint.")],
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
    least: Annotated[float, typer.Option(help="Fail below this score, of 100.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds that one request may take.")] = 10,
) -> None:
    """Say how available, discoverable, interoperable and fresh an endpoint is, with a reason for each point.

    Sends about 60 requests, none of which changes anything. Fails where it does not answer at all.
    """
    from kg.selfcheck import selfcheck as run

    if format not in ("text", "json"):
        raise UsageError(f"--format {format}: there is no such format; there are: text, json")
    verdict = run(url, timeout=timeout)
    print(verdict.json() if format == "json" else verdict.text())
    if not verdict.answers:
        raise EndpointError(
            f"{url} does not answer a SPARQL query; see above. A site's endpoint is often at its /sparql"
        )
    if verdict.score < least:
        raise EndpointError(f"{url} scores {verdict.score:.1f}, below the {least:g} asked for; see above")
