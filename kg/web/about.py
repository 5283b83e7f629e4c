"""What the endpoint says of itself to people: the front page and `/about`.

Hides the markup of these pages. `kg.web.service` has what it says to programs, `kg.web.health` how it is.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib import metadata

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from kg import describe
from kg.dump import dump_of
from kg.engine import Engine
from kg.errors import SnapshotError
from kg.services import networks
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.terms import mint
from kg.web import signposts
from kg.web.asked import engine_of, index_of, served_of
from kg.web.documents import address, document
from kg.web.formats import choose
from kg.web.language import VARY, language_of
from kg.web.openapi import HTML, JSON, described
from kg.web.pages import page, render
from kg.web.responder import joined
from kg.web.service import limits

_HELD = {"memory": "in memory", "disk": "on disk", "remote": "by another server"}
_OFFERED = (("text/html", "application/xhtml+xml"), ("application/json",))


def router(settings: Settings) -> APIRouter:
    """`/` and `/about`."""
    routes = APIRouter(tags=["about"])

    @routes.get("/", summary="The front page", **described(HTML, "application/ld+json"))
    async def home(request: Request) -> Response:
        engine = engine_of(request)
        snapshot = engine.snapshot
        links = {"Link": signposts.landing(dump_of(snapshot))}
        found = choose(joined(request, "accept"), (*_OFFERED, ("application/ld+json",)))
        if found is not None and found[0]:
            body = _json(_for_catalogues(snapshot, address(request, "")))
            return document(request, body, "application/ld+json", links)
        try:
            kinds = (await index_of(request)).kinds()
        except SnapshotError:  # replaced a moment ago; its engine still answers
            kinds = {}
        # A script of data: no browser runs it, and a "<" could only end it.
        told = json.dumps(_for_catalogues(snapshot, address(request, "")), ensure_ascii=False)
        catalogued = Markup(told.replace("<", "\\u003c"))
        body = render(
            request, "home.html", snapshot.version, title=describe.TITLE[language_of(request)],
            quads=snapshot.quads, graphs=len(snapshot.graphs), kinds=kinds, catalogued=catalogued,
        )  # fmt: skip
        return document(request, body, "text/html; charset=utf-8", {**links, "Vary": VARY})

    @routes.get(
        "/about",
        summary="Version, licence, citation, limits, and the locks that hold",
        **described(HTML, JSON),
    )
    async def about(request: Request) -> Response:
        engine = engine_of(request)
        links = {"Link": signposts.landing(dump_of(engine.snapshot))}
        found = choose(joined(request, "accept"), _OFFERED)
        if found is not None and found[0]:
            body = _json(_facts(engine, settings, _locks(request)))
            return document(request, body, "application/json", links)
        body = page("About", _about(engine, settings, _locks(request)), engine.snapshot.version, request)
        return document(request, body, "text/html; charset=utf-8", links)

    return routes


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def citation(snapshot: Snapshot) -> str:
    """How to cite what a snapshot says."""
    year = snapshot.version[:4]
    name = mint("snapshot", snapshot.version).value
    return (
        f"{describe.PUBLISHER} ({year}). {describe.TITLE['en']}. Snapshot {snapshot.name} [Data set]. {name}"
    )


def _bibtex(snapshot: Snapshot) -> str:
    return (
        f"@misc{{stroma-{snapshot.version},\n"
        f"  author = {{{{{describe.PUBLISHER}}}}},\n"
        f"  title = {{{{{describe.TITLE['en']}}}}},\n"
        f"  year = {{{snapshot.version[:4]}}},\n"
        f"  version = {{{snapshot.name}}},\n"
        f"  url = {{{mint('snapshot', snapshot.version).value}}}\n}}"
    )


def _facts(engine: Engine, settings: Settings, locks: Mapping[str, str]) -> dict[str, object]:
    """What `/about` says, for programs. No time and no load: those are `/health` and `/metrics`."""
    snapshot = engine.snapshot
    return {
        "title": describe.TITLE,
        "description": describe.DESCRIPTION,
        "snapshot": {
            "name": snapshot.name,
            "version": snapshot.version,
            "hash": snapshot.hash,
            "created": snapshot.created,
            "quads": snapshot.quads,
            "graphs": len(snapshot.graphs),
        },
        "sources": list(snapshot.manifest["sources"]),
        "software": {"name": "stroma-kg", "version": metadata.version("stroma-kg")},
        "licence": {"data": describe.LICENCE, "code": "Apache-2.0"},
        "citation": citation(snapshot),
        "limits": [
            {"setting": each.setting, "bounds": each.bounds, "most": each.most, "unit": each.unit}
            for each in limits(settings)
        ],
        "engine": {
            "holds": engine.status.holds,
            "why": engine.status.why,
            "differs": list(engine.status.differs),
        },
        "services": list(networks(settings.services)),
        "locks": locks,
    }


def _for_catalogues(snapshot: Snapshot, base: str) -> dict[str, object]:
    """The dataset in schema.org's words, which search engines for datasets and FAIR checkers read."""
    name = mint("snapshot", snapshot.version).value
    publisher = {"@type": "Organization", "name": describe.PUBLISHER}
    return {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "@id": name,
        "identifier": [name, snapshot.hash],
        "name": describe.TITLE["en"],
        "alternateName": [describe.TITLE["zh-Hans"], describe.TITLE["zh-Hant"]],
        "description": describe.DESCRIPTION["en"],
        "url": f"{base}/",
        "version": snapshot.version,
        "datePublished": snapshot.version,
        "dateModified": snapshot.version,
        "inLanguage": list(describe.TITLE),
        "keywords": list(describe.KEYWORDS),
        "license": describe.LICENCE,
        "isAccessibleForFree": True,
        "creator": publisher,
        "publisher": publisher,
        "distribution": [
            {
                "@type": "DataDownload",
                "name": file.name,
                "contentUrl": f"{base}/dump/{snapshot.name}/{file.name}",
                "encodingFormat": [file.media_type, "application/gzip"],
                "contentSize": f"{file.bytes} B",
                "sha256": file.sha256,
            }
            for file in dump_of(snapshot).files.values()
            if file.graph is None
        ],
        "subjectOf": {
            "@type": "DataDownload",
            "contentUrl": f"{base}/.well-known/void",
            "encodingFormat": "text/turtle",
        },
    }


def _locks(request: Request) -> dict[str, str]:
    """The locks on the processes that a query meets, as found when they started."""
    locks = dict(engine_of(request).status.locks)
    federation = served_of(request).federation
    return locks if federation is None else {**locks, "programs of the broker": federation.lock}


def _services(settings: Settings) -> str:
    """Whom SERVICE may ask, for a page."""
    if not settings.services:
        return "No query can change the graph, and none makes this server ask another one."
    listed = "".join(
        f"<li><code>{html.escape(endpoint)}</code></li>" for endpoint in networks(settings.services)
    )
    return (
        "No query can change the graph. <code>SERVICE</code> may ask these endpoints and no others; what "
        f"they say is theirs, and an answer with some of it is not kept here:</p><ul>{listed}</ul><p>"
    )


def _about(engine: Engine, settings: Settings, held: Mapping[str, str]) -> str:
    snapshot = engine.snapshot
    sources = "".join(
        f"<tr><td>{html.escape(str(each.get('title') or each.get('file', '')))}</td>"
        f"<td>{html.escape(str(each.get('version', '')))}</td>"
        f"<td>{html.escape(str(each.get('licence', '')))}</td>"
        f'<td class="number">{each.get("records", "")}</td></tr>'
        for each in snapshot.manifest["sources"]
    )
    bounds = "".join(f"<tr><td>{limit.bounds}</td><td>{limit.said}</td></tr>" for limit in limits(settings))
    locks = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(lock)}</td></tr>" for name, lock in held.items()
    )
    differs = "".join(f"<li>{html.escape(each)}</li>" for each in engine.status.differs)
    differs = (
        f"<p>Its answers may differ from those of an engine here:</p><ul>{differs}</ul>" if differs else ""
    )
    return f"""<h1>About</h1>
<p class="lead">{html.escape(describe.DESCRIPTION["en"])}</p>
<h2 id="version">Version</h2>
<p>Snapshot <code>{html.escape(snapshot.name)}</code>, built {html.escape(snapshot.created)},
{snapshot.quads:,} statements. Its content has the hash <code>{snapshot.hash}</code>. Ask it by name with
<code>?version={html.escape(snapshot.name)}</code> while it is kept; a later snapshot may say otherwise.
Software: stroma-kg {html.escape(metadata.version("stroma-kg"))}. <a href="/changes">What changed since the
snapshot before</a>.</p>
<h2 id="sources">Sources</h2>
<div class="wide" tabindex="0"><table>
<thead><tr><th>source</th><th>version</th><th>terms</th><th>records</th></tr></thead>
<tbody>{sources}</tbody></table></div>
<h2 id="licence">Licence</h2>
<p>Data and ontology: <a rel="license" href="{describe.LICENCE}">CC BY 4.0</a>; what comes from a source keeps
that source's terms, which stand with its graph. Code: Apache-2.0. Not medical advice.</p>
<h2 id="citation">How to cite</h2>
<p id="contributors">{html.escape(citation(snapshot))}</p><pre>{html.escape(_bibtex(snapshot))}</pre>
<h2 id="limits">Limits</h2>
<div class="wide" tabindex="0"><table><tbody>{bounds}</tbody></table></div>
<p class="soft">A query that reaches a limit is told which; nothing is cut short silently.</p>
<h2 id="services">Other endpoints</h2>
<p>{_services(settings)}</p>
<h2 id="engine">Engine</h2>
<p>The graph is held {_HELD[engine.status.holds]}: {html.escape(engine.status.why)}.</p>{differs}
<h2 id="locks">Locks</h2>
<p>What keeps a query from the network and from memory that is not its own, as found when the workers
started:</p><div class="wide" tabindex="0"><table><tbody>{locks}</tbody></table></div>"""
