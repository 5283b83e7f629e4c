"""What the endpoint says of itself to people: the front page and `/about`.

Hides the markup of these pages. `kg.web.service` has what it says to programs, `kg.web.health` how it is.
"""

from __future__ import annotations

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
from kg.terms import expand, mint
from kg.web import signposts
from kg.web.asked import engine_of, index_of, served_of
from kg.web.documents import address, document
from kg.web.formats import choose, joined
from kg.web.language import VARY, language_of, text, texts
from kg.web.links import path_of_thing
from kg.web.openapi import HTML, JSON, described
from kg.web.pages import render
from kg.web.service import limits

# Where a reader may start; what a snapshot does not have is left out.
_STARTS = (
    "MONDO:0008383", "PR:000000017", "stroma:MSCImmunomodulation", "stroma:UCMSCProduct", "trial:NCT01547091",
    "stroma:MeasureACR20", "CHEBI:44185",
)  # fmt: skip
# What no server of others can promise, whoever made it.
_NOT_PROMISED = ("remote-memory", "remote-stops", "remote-isolation", "remote-service", "remote-mark")
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
            index = await index_of(request)
            kinds, starts = index.kinds(), index.find(expand(curie).value for curie in _STARTS)
        except SnapshotError:  # replaced a moment ago; its engine still answers
            kinds, starts = {}, {}
        # A script of data: no browser runs it, and a "<" could only end it.
        told = json.dumps(_for_catalogues(snapshot, address(request, "")), ensure_ascii=False)
        catalogued = Markup(told.replace("<", "\\u003c"))
        body = render(
            request, "home.html", snapshot.version, title=describe.TITLE[language_of(request)],
            quads=snapshot.quads, graphs=len(snapshot.graphs), kinds=kinds, catalogued=catalogued,
            starts=starts.values(), sources=snapshot.manifest["sources"], created=snapshot.created[:10],
            path_of=path_of_thing,
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
        body = _about(request, settings, _locks(request))
        return document(request, body, "text/html; charset=utf-8", {**links, "Vary": VARY})

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
            "not_promised": _not_promised(engine, "en"),
        },
        "services": list(networks(settings.services)),
        "locks": locks,
    }


def _not_promised(engine: Engine, language: str) -> list[str]:
    """What an engine here promises and this one cannot, in words."""
    return [text(language, key) for key in _NOT_PROMISED] if engine.status.holds == "remote" else []


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


def _about(request: Request, settings: Settings, locks: Mapping[str, str]) -> bytes:
    engine, language = engine_of(request), language_of(request)
    bounds, units = texts(language, "limits"), texts(language, "units")
    return render(
        request,
        "about.html",
        engine.snapshot.version,
        title=text(language, "about"),
        described=describe.DESCRIPTION[language],
        snapshot=engine.snapshot,
        software=metadata.version("stroma-kg"),
        sources=engine.snapshot.manifest["sources"],
        citation=citation(engine.snapshot),
        bibtex=_bibtex(engine.snapshot),
        licence_iri=describe.LICENCE,
        limits=[
            (bounds.get(each.setting, each.bounds), number, units.get(unit, unit))
            for each in limits(settings)
            for number, unit in [each.parts]
        ],
        services=networks(settings.services) if settings.services else (),
        engine=engine.status,
        not_promised=_not_promised(engine, language),
        locks=locks,
    )
