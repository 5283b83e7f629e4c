"""What machines look for at well-known addresses: VoID and DCAT, examples, prefixes, robots, sitemap, links.

Hides how a graph that a snapshot says of itself becomes a document of this server: the same statements, and
those that only a server can make, such as its own address and the checksums of its files. They are worked
out once for each snapshot, format and address, in a thread, and kept.
"""

from __future__ import annotations

import asyncio
import gzip
import html
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from fastapi import APIRouter
from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse, serialize
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kg.canned import Catalogue
from kg.dump import dump_of
from kg.engine.formats import Kind
from kg.snapshot import Snapshot
from kg.terms import DCTERMS, RDF, VOID, XSD, compress, expand, mint, prefixes
from kg.web import signposts
from kg.web.asked import engine_of
from kg.web.documents import address, document
from kg.web.formats import joined, negotiate
from kg.web.language import VARY, language_of, texts
from kg.web.openapi import described, format_parameter, media_types
from kg.web.pages import page

_IANA = "https://www.iana.org/assignments/media-types/"
_GRAPH = described(
    *media_types(Kind.GRAPH),
    parameters=[format_parameter(Kind.GRAPH)],
    statuses={303: "The page for people is elsewhere"},
)
_KEPT = 24  # documents, of some 100 kB each

# Pages for people and programs that a sitemap lists, besides the questions.
_PAGES = (
    "/",
    "/about",
    "/queries",
    "/ontology",
    "/findings",
    "/editor",
    "/graphs",
    "/dump",
    "/.well-known/void",
)


def router(catalogue: Catalogue) -> APIRouter:
    """`/.well-known/void`, `/.well-known/sparql-examples`, `/.well-known/prefixes`, `/robots.txt`,
    `/sitemap.xml` and `/linkset`."""
    routes = APIRouter(tags=["discovery"])
    documents = _Documents()

    async def told(request: Request, graph: str) -> Response:
        snapshot = engine_of(request).snapshot
        format = ",".join(each for each in request.query_params.getlist("format") if each) or None
        chosen, content_type = negotiate(joined(request, "accept"), format, Kind.GRAPH)
        base = address(request, "")
        links = {"Link": signposts.description()}
        if chosen.key == "html" and graph == "examples":
            return RedirectResponse("/queries", 303, {"Vary": "Accept"})
        if chosen.key == "html":
            language = language_of(request)
            content = await documents.written(snapshot, graph, language, chosen.media_type)
            title = texts(language, "lists")["counts" if graph == "metadata" else "prefixes"]
            body = page(title, content.decode(), snapshot.version, request)
            return document(request, body, content_type, {**links, "Vary": VARY})
        body = await documents.written(snapshot, graph, base, chosen.media_type)
        return document(request, body, content_type, links)

    @routes.get(
        "/.well-known/void", summary="What is served, in VoID and DCAT, with counts and checksums", **_GRAPH
    )
    async def void(request: Request) -> Response:
        return await told(request, "metadata")

    @routes.get(
        "/.well-known/sparql-examples", summary="The questions with their SPARQL, in SHACL's words", **_GRAPH
    )
    async def sparql_examples(request: Request) -> Response:
        return await told(request, "examples")

    @routes.get("/.well-known/prefixes", summary="The prefixes, in SHACL's words", **_GRAPH)
    async def prefix_map(request: Request) -> Response:
        return await told(request, "prefixes")

    @routes.get(
        "/linkset",
        summary="Where everything is, as a link set (RFC 9264)",
        **described("application/linkset+json"),
    )
    async def linkset(request: Request) -> Response:
        links = signposts.linkset(dump_of(engine_of(request).snapshot), address(request, ""))
        body = json.dumps(links, indent=1).encode() + b"\n"
        return document(request, body, "application/linkset+json")

    @routes.get("/robots.txt", include_in_schema=False)
    async def robots(request: Request) -> Response:
        lines = [
            "User-agent: *",
            "Disallow: /sparql?*query=",
            "Disallow: /editor?",
            "Disallow: /why?",
            "Disallow: /queries/*?",
            "Allow: /",
            "",
            f"Sitemap: {address(request, '/sitemap.xml')}",
        ]
        return document(request, "\n".join([*lines, ""]).encode(), "text/plain; charset=utf-8")

    @routes.get("/sitemap.xml", include_in_schema=False)
    async def sitemap(request: Request) -> Response:
        base, version = address(request, ""), engine_of(request).snapshot.version
        urls = "".join(
            f"<url><loc>{escape(base + path)}</loc><lastmod>{version}</lastmod></url>\n"
            for path in (*_PAGES, *(f"/queries/{id}" for id in catalogue))
        )
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'
        )
        return document(request, body.encode(), "application/xml")

    return routes


class _Documents:
    """The documents as they are sent, and the contents of pages: made one at a time, the last ones kept."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._turn = asyncio.Lock()

    async def written(self, snapshot: Snapshot, graph: str, base: str, media_type: str) -> bytes:
        """A document for the address it is asked at; as HTML, for a language in its place, its content."""
        key = (snapshot.name, graph, base, media_type)
        async with self._turn:
            if key not in self._made:
                self._made[key] = await asyncio.to_thread(_written, snapshot, graph, base, media_type)
            self._made.move_to_end(key)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
            return self._made[key]


def _written(snapshot: Snapshot, graph: str, base: str, media_type: str) -> bytes:
    if media_type == "text/html":
        t = texts(base, "lists")
        return (_counts(snapshot, t) if graph == "metadata" else _prefix_table(t)).encode()
    stated = [*_stated(snapshot, graph)]
    if graph == "metadata":
        stated += _served(snapshot, base, described=bool(stated))
    elif graph == "examples":
        endpoint = NamedNode(f"{base}/sparql")
        target = expand("schema:target")
        stated += [Triple(each.subject, target, endpoint) for each in stated if each.predicate == target]
        stated += _stated(snapshot, "prefixes")
    body = serialize(
        dict.fromkeys(stated), format=RdfFormat.from_media_type(media_type), prefixes=dict(prefixes())
    )
    assert body is not None  # None where it writes to a file
    return body


def _stated(snapshot: Snapshot, graph: str) -> Iterator[Triple]:
    """What the snapshot says in one of its three graphs about itself; nothing where it has none."""
    dump = dump_of(snapshot)
    name = f"graph/{graph}.nt.gz"
    if name in dump.files:
        with gzip.open(dump.path(name), "rb") as file:
            for quad in parse(file.read(), format=RdfFormat.N_TRIPLES):
                yield quad.triple


def _served(snapshot: Snapshot, base: str, *, described: bool) -> Iterator[Triple]:
    """What only the server can say: its address, its files and their checksums.

    Where the snapshot does not describe itself (RDF files as they are), also what its manifest tells.
    """
    it, endpoint = mint("snapshot", snapshot.version), NamedNode(f"{base}/sparql")
    yield Triple(it, DCTERMS.identifier, Literal(snapshot.hash))
    yield Triple(it, VOID.sparqlEndpoint, endpoint)
    yield Triple(it, VOID.dataDump, NamedNode(f"{base}/dump/stroma.nq.gz"))
    yield Triple(endpoint, RDF.type, expand("dcat:DataService"))
    yield Triple(endpoint, DCTERMS.title, Literal("SPARQL endpoint", language="en"))
    yield Triple(endpoint, expand("dcat:endpointURL"), endpoint)
    yield Triple(endpoint, expand("dcat:endpointDescription"), endpoint)
    yield Triple(endpoint, expand("dcat:servesDataset"), it)
    dump = dump_of(snapshot)
    for file in dump.files.values():
        node = NamedNode(f"{base}/dump/{snapshot.name}/{file.name}")
        of = it if file.graph is None else NamedNode(file.graph)
        checksum = NamedNode(f"{node.value}#sha256")
        yield Triple(of, expand("dcat:distribution"), node)
        yield Triple(node, RDF.type, expand("dcat:Distribution"))
        yield Triple(node, expand("dcat:downloadURL"), node)
        yield Triple(node, expand("dcat:mediaType"), NamedNode(_IANA + file.media_type))
        yield Triple(node, expand("dcat:compressFormat"), NamedNode(_IANA + "application/gzip"))
        yield Triple(node, expand("dcat:byteSize"), _number(file.bytes))
        yield Triple(node, expand("spdx:checksum"), checksum)
        yield Triple(checksum, RDF.type, expand("spdx:Checksum"))
        yield Triple(checksum, expand("spdx:algorithm"), expand("spdx:checksumAlgorithm_sha256"))
        yield Triple(checksum, expand("spdx:checksumValue"), Literal(file.sha256, datatype=XSD.hexBinary))
    if described:
        return
    for kind in (VOID.Dataset, expand("dcat:Dataset")):
        yield Triple(it, RDF.type, kind)
    yield Triple(it, DCTERMS.title, Literal(f"RDF files of {snapshot.version}", language="en"))
    yield Triple(it, DCTERMS.modified, Literal(snapshot.version, datatype=XSD.date))
    yield Triple(it, VOID.triples, _number(snapshot.quads))
    for iri, quads in snapshot.graphs.items():
        if not iri.startswith("_:"):
            yield Triple(it, VOID.subset, NamedNode(iri))
            yield Triple(NamedNode(iri), RDF.type, VOID.Dataset)
            yield Triple(NamedNode(iri), VOID.triples, _number(quads))


def _number(value: int) -> Literal:
    return Literal(str(value), datatype=XSD.integer)


# -------------------------------------------------------------------------------------------- pages


def _counts(snapshot: Snapshot, t: Mapping[str, str]) -> str:
    """The content of a page of classes and properties with their counts, the most used first."""
    whole = mint("snapshot", snapshot.version)
    known: dict[NamedNode, dict[NamedNode, Literal | NamedNode]] = {}
    members: dict[NamedNode, list[NamedNode]] = {}
    for subject, predicate, value in _stated(snapshot, "metadata"):
        if isinstance(subject, NamedNode) and isinstance(value, NamedNode | Literal):
            known.setdefault(subject, {})[predicate] = value
            if subject == whole and isinstance(value, NamedNode):
                members.setdefault(predicate, []).append(value)
    tables = ""
    for title, what, count_of, relation, named, column in (
        ("classes", "class", "instances", VOID("classPartition"), VOID("class"), VOID.entities),
        ("properties", "property", "statements", VOID.propertyPartition, VOID.property, VOID.triples),
    ):
        rows = sorted(
            (
                (int(known[part][column].value), known[part][named].value)
                for part in members.get(relation, ())
            ),
            key=lambda row: (-row[0], row[1]),
        )
        cells = "".join(
            f'<tr><td>{html.escape(compress(iri))}</td><td class="number">{count:,}</td></tr>'
            for count, iri in rows
        )
        tables += (
            f'<h2>{t[title]}: {len(rows)}</h2><div class="wide" tabindex="0"><table><thead><tr>'
            f"<th>{t[what]}</th><th>{t[count_of]}</th></tr></thead><tbody>{cells}</tbody></table></div>"
        )
    return (
        f"<h1>{t['counts']}</h1><p class=lead>{t['counts-lead']} "
        + " · ".join(
            f'<a href="/.well-known/void?format={key}">{label}</a>'
            for key, label in (("turtle", "Turtle"), ("jsonld", "JSON-LD"), ("rdfxml", "RDF/XML"))
        )
        + f'. {t["counts-query"]} <a href="/graphs/metadata">graph:metadata</a>.</p>{tables}'
    )


def _prefix_table(t: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td><code>{html.escape(prefix)}:</code></td><td>{html.escape(iri)}</td></tr>"
        for prefix, iri in prefixes().items()
    )
    return (
        f'<h1>{t["prefixes"]}</h1><div class="wide" tabindex="0"><table><thead><tr><th>{t["prefix"]}</th>'
        f"<th>{t['namespace']}</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
