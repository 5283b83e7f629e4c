"""What the endpoint says of itself to people: the front page, and `/health`.

Hides the markup of these pages. `kg.web.service` has what it says to programs.
"""

from __future__ import annotations

import html
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kg.engine import Engine
from kg.settings import Settings
from kg.terms import compress
from kg.web.asked import engine_of
from kg.web.pages import page
from kg.web.service import limits


def router(settings: Settings) -> APIRouter:
    """`/` and `/health`."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        engine = engine_of(request)
        content = _home(engine, settings)
        body = page("MSC therapy for rheumatoid arthritis", content, engine.snapshot.version)
        return Response(body, media_type="text/html")

    @routes.get("/health", tags=["about"], summary="Is the service up, and does it answer?")
    async def health(request: Request) -> Response:
        engine = engine_of(request)
        status = engine.status
        state: dict[str, Any] = {
            "live": True,
            "ready": status.ready,
            "version": engine.snapshot.version,
            "hash": engine.snapshot.hash,
            "quads": engine.snapshot.quads,
            "workers": {"alive": status.workers, "busy": status.busy, "waiting": status.waiting},
            "locks": dict(status.locks),
        }
        return JSONResponse(state, 200 if status.ready else 503, {"Cache-Control": "no-store"})

    return routes


def _home(engine: Engine, settings: Settings) -> str:
    snapshot = engine.snapshot
    graphs = "".join(
        f'<tr><td>{html.escape(compress(iri))}</td><td class="number">{quads:,}</td></tr>'
        for iri, quads in sorted(snapshot.graphs.items(), key=lambda graph: (-graph[1], graph[0]))
    )
    bounds = "".join(f"<tr><td>{limit.bounds}</td><td>{limit.said}</td></tr>" for limit in limits(settings))
    locks = ", ".join(f"{name}: {lock}" for name, lock in engine.status.locks.items())
    return f"""<h1>What is known of mesenchymal stromal cells in rheumatoid arthritis</h1>
<p class="lead">A knowledge graph of cell therapy for rheumatoid arthritis: mechanisms, the joint's
microenvironment, trials, doses and routes, outcomes and safety, each statement with where it was said.</p>
<div class="facts"><div><b>{snapshot.quads:,}</b>statements</div>
<div><b>{len(snapshot.graphs)}</b>named graphs</div>
<div><b>{html.escape(snapshot.version)}</b>snapshot</div></div>
<p><a href="/queries">Answered questions</a> are the quickest way in. To ask your own,
use the <a href="/sparql">SPARQL form</a>, or any client at <code>/sparql</code>.</p>
<h2>Graphs</h2><div class="wide"><table><thead><tr><th>graph</th><th>statements</th></tr></thead>
<tbody>{graphs}</tbody></table></div>
<h2 id="limits">Limits</h2><div class="wide"><table><tbody>{bounds}</tbody></table></div>
<p class="soft">A query that reaches a limit is told which. Locks on its process: {html.escape(locks)}.</p>
<h2>From a terminal</h2>
<pre>curl -H 'Accept: text/csv' --data-urlencode 'query=SELECT * {{ ?s ?p ?o }} LIMIT 5' …/sparql</pre>"""
