"""What a stranger finds of a SPARQL endpoint: is it there, found, usable, fresh. Any endpoint, not only ours.

Asks what the public monitors ask (SPARQLES, YummyData's Umaka score, the LOD cloud, FAIR checkers), and says
for each point why it was given or not. Hides the requests, and what keeps them harmless: they are few, each
with a deadline and a cap on what is read; what is sent changes nothing; no other host is asked than the
endpoint's own, wherever its description or a redirect may lead.
"""

from __future__ import annotations

import asyncio
import csv
import io
import ipaddress
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from importlib import metadata
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from pyoxigraph import NamedNode, QueryResultsFormat, QuerySolutions, RdfFormat, Store, parse_query_results

from kg.errors import UsageError
from kg.terms import prefixes

ASPECTS = ("availability", "discoverability", "interoperability", "freshness")
RANKS = ((80, "A"), (60, "B"), (40, "C"), (20, "D"), (-1, "E"))  # above so many points of 100: Umaka's ranks

_MOST_BYTES = 16 * 2**20  # read of one answer
_MOST_REQUESTS = 120
_JSON = "application/sparql-results+json"
_RDF = "text/turtle, application/n-triples;q=0.9, application/rdf+xml;q=0.8, application/ld+json;q=0.7"
_PREFIXES = "".join(
    f"PREFIX {name}: <{prefixes()[name]}> "
    for name in ("void", "sd", "dcat", "dcterms", "foaf", "sh", "schema", "owl", "rdf", "rdfs", "xsd", "skos")
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: the points it got, of how many, and why."""

    aspect: str
    name: str
    points: float
    of: float
    reason: str

    @property
    def counts(self) -> bool:
        """False for what could not be looked at here; the reason says why."""
        return self.of > 0


@dataclass(frozen=True)
class Verdict:
    """What was found of an endpoint; scores are of 100."""

    url: str
    findings: Sequence[Finding]
    requests: int
    seconds: float

    def aspect(self, name: str) -> float:
        """The score of an aspect: its points of those that could be had."""
        mine = [each for each in self.findings if each.aspect == name]
        most = sum(each.of for each in mine)
        return 100 * sum(each.points for each in mine) / most if most else 0.0

    @property
    def score(self) -> float:
        """The mean of the aspects."""
        return sum(map(self.aspect, ASPECTS)) / len(ASPECTS)

    @property
    def rank(self) -> str:
        """A to E."""
        return next(letter for above, letter in RANKS if self.score > above)

    @property
    def answers(self) -> bool:
        """Whether the endpoint answers a query at all."""
        return any(each.points for each in self.findings if each.name == "answers")

    def json(self) -> str:
        """For programs."""
        told = {
            "url": self.url,
            "score": round(self.score, 1),
            "rank": self.rank,
            "aspects": {name: round(self.aspect(name), 1) for name in ASPECTS},
            "findings": [
                {
                    "aspect": each.aspect,
                    "name": each.name,
                    "points": round(each.points, 2),
                    "of": each.of,
                    "reason": each.reason,
                }
                for each in self.findings
            ],
            "requests": self.requests,
            "seconds": round(self.seconds, 2),
        }
        return json.dumps(told, indent=1, ensure_ascii=False)

    def text(self) -> str:
        """For people: what was missed stands with its reason, and so does what was found."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.url}: {self.score:.0f} of 100, rank {self.rank}"
        for name in ASPECTS:
            yield ""
            yield f"{name}: {self.aspect(name):.0f}"
            for each in self.findings:
                if each.aspect == name:
                    points = f"{each.points:.3g}/{each.of:.3g}" if each.counts else "–"
                    yield f"  {points:>7}  {each.name}: {each.reason}"
        yield ""
        yield f"{self.requests} requests, {self.seconds:.1f} seconds"


def selfcheck(url: str, *, timeout: float = 10.0, seconds: float = 120.0) -> Verdict:
    """Look at an endpoint from outside; `timeout` is of one request, `seconds` of them all.

    Never raises for what the endpoint does: that is a finding. Raises UsageError for a URL that is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is no address of an endpoint: give it as https://host/sparql")
    started = time.monotonic()
    agent = f"stroma-kg/{metadata.version('stroma-kg')} selfcheck"
    # One request after the other; a loop only because there a whole request can be given a deadline, not
    # just each of its reads.
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(headers={"User-Agent": agent})
        probe = _Probe(url, client, runner, timeout, started + seconds)
        try:
            findings = [_found(probe, each) for each in _CHECKS]
        finally:
            runner.run(client.aclose())
    return Verdict(url, findings, probe.requests, time.monotonic() - started)


# ----------------------------------------------------------------------------------------- asking


@dataclass(frozen=True)
class _Reply:
    """An HTTP answer, or why there was none (`problem`); status 0 then."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    milliseconds: float = 0.0
    problem: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def said(self) -> str:
        return self.problem or f"HTTP {self.status}" + (f" {self.media_type}" if self.ok else "")


class _Probe:
    """The endpoint as it is asked; what it says of itself is read once."""

    def __init__(
        self, url: str, client: httpx.AsyncClient, runner: asyncio.Runner, timeout: float, deadline: float
    ) -> None:
        self.url = url
        self.requests = 0
        self._client = client
        self._runner = runner
        self._timeout = timeout
        self._deadline = deadline
        self._unreachable = False

    def send(
        self,
        method: str,
        url: str,
        *,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
        redirects: int = 3,
        **more: Any,
    ) -> _Reply:
        """One request, bounded in time and bytes; redirects are followed on the same host only."""
        if self._unreachable:
            return _Reply(problem="not asked: the first request got no answer")
        left = self._deadline - time.monotonic()
        if left <= 0 or self.requests >= _MOST_REQUESTS:
            return _Reply(problem="not asked: the time or the requests of this check are used up")
        self.requests += 1
        # Compressed answers are not asked for and not read: a small one can be made to fill the memory.
        sent = {"Accept": accept, "Accept-Encoding": "identity", **(headers or {})}
        request = self._client.build_request(method, url, headers=sent, **more)
        started = time.monotonic()
        reply = self._runner.run(self._reply(request, min(self._timeout, left)))
        self._unreachable = self.requests == 1 and not reply.status
        if reply.status in (301, 302, 303, 307, 308) and redirects and method in ("GET", "HEAD"):
            target = urljoin(url, reply.headers.get("location", ""))
            if urlsplit(target).netloc == urlsplit(self.url).netloc:
                return self.send(method, target, accept=accept, headers=headers, redirects=redirects - 1)
        return replace(reply, milliseconds=(time.monotonic() - started) * 1000)

    async def _reply(self, request: httpx.Request, seconds: float) -> _Reply:
        body = bytearray()
        try:
            async with asyncio.timeout(seconds):
                response = await self._client.send(request, stream=True)
                try:
                    if response.headers.get("content-encoding", "identity") != "identity":
                        return _Reply(problem="compressed, which was not asked for")
                    async for piece in response.aiter_raw():
                        body += piece
                        if len(body) > _MOST_BYTES:
                            return _Reply(problem=f"more than {_MOST_BYTES:,} bytes")
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            return _Reply(problem=f"not complete after {seconds:.3g} seconds")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as problem:
            return _Reply(problem=f"{type(problem).__name__}: {problem}"[:200])
        return _Reply(response.status_code, response.headers, bytes(body))

    def ask(self, query: str, accept: str = _JSON, *, post: bool = False, **more: Any) -> _Reply:
        """A query by GET, or as a posted form."""
        text = _PREFIXES + query if ":" in query else query
        if post:
            return self.send("POST", self.url, accept=accept, data={"query": text}, **more)
        return self.send("GET", self.url, accept=accept, params={"query": text}, **more)

    def rows(self, query: str) -> tuple[list[dict[str, str]], str]:
        """The rows of a SELECT query; and why there are none, if something went wrong."""
        reply = self.ask(query)
        if not reply.ok:
            return [], reply.said
        try:
            told = json.loads(reply.body)["results"]["bindings"]
            return [{name: str(term["value"]) for name, term in row.items()} for row in told], ""
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return [], f"no SPARQL JSON but {reply.media_type or 'something untyped'}"

    def holds(self, query: str) -> bool | None:
        """The answer of an ASK query; None where there is none."""
        reply = self.ask(query)
        try:
            answer = json.loads(reply.body)["boolean"] if reply.ok else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return answer if isinstance(answer, bool) else None

    # ------------------------------------------------------------------- what it says of itself

    def at(self, path: str) -> str:
        """The address of a path on the endpoint's host."""
        return urljoin(self.url, path)

    @cached_property
    def description(self) -> tuple[Store, str]:
        """The service description, and what came instead."""
        return self.rdf(self.send("GET", self.url, accept=_RDF))

    @cached_property
    def void(self) -> tuple[Store, str]:
        """The VoID at its well-known address, and what came instead."""
        return self.rdf(self.send("GET", self.at("/.well-known/void"), accept=_RDF))

    @cached_property
    def inside(self) -> tuple[Store, str]:
        """What the endpoint's own graphs say of datasets, and what came instead."""
        query = (
            "CONSTRUCT { ?it ?p ?o } WHERE { { ?it a void:Dataset } UNION { ?it a dcat:Dataset } ?it ?p ?o } "
            "LIMIT 20000"
        )
        return self.rdf(self.ask(query, _RDF))

    @cached_property
    def all(self) -> Store:
        """All three together."""
        together = Store()
        for store, _ in (self.description, self.void, self.inside):
            together.extend(iter(store))
        return together

    def says(self, pattern: str) -> list[dict[str, str]]:
        """The matches of a pattern in what the endpoint says of itself."""
        found = self.all.query(f"{_PREFIXES} SELECT * {{ {pattern} }} LIMIT 1000")
        assert isinstance(found, QuerySolutions)
        names = [variable.value for variable in found.variables]
        return [{name: row[name].value for name in names if row[name] is not None} for row in found]

    def rdf(self, reply: _Reply) -> tuple[Store, str]:
        """A reply's triples; and why there are none."""
        store = Store()
        if not reply.ok:
            return store, reply.said
        format = RdfFormat.from_media_type(reply.media_type)
        if format is None:
            return store, f"no RDF but {reply.media_type or 'something untyped'}"
        if format == RdfFormat.RDF_XML and b"<!doctype" in reply.body.lower():
            return store, "RDF/XML with a DOCTYPE, which is not read: entities can be made to explode"
        try:
            store.load(reply.body, format=format, base_iri=self.url)
        except (SyntaxError, ValueError) as problem:
            return Store(), f"{reply.media_type} that does not parse: {problem}"[:160]
        return store, "" if len(store) else f"an empty {reply.media_type} document"


# ------------------------------------------------------------------------------------- the checks

_Outcome = tuple[float | None, str]  # the share of the points, None: cannot be looked at here; and why


@dataclass(frozen=True)
class _Check:
    aspect: str
    name: str
    of: float
    look: Callable[[_Probe], _Outcome]


_CHECKS: list[_Check] = []


def _check(aspect: str, name: str, of: float) -> Callable[[Callable[[_Probe], _Outcome]], None]:
    def register(look: Callable[[_Probe], _Outcome]) -> None:
        _CHECKS.append(_Check(aspect, name, of, look))

    return register


def _found(probe: _Probe, check: _Check) -> Finding:
    share, reason = check.look(probe)
    if share is None:
        return Finding(check.aspect, check.name, 0, 0, reason)
    return Finding(check.aspect, check.name, share * check.of, check.of, reason)


@_check("availability", "answers", 4)
def _answers(probe: _Probe) -> _Outcome:
    reply = probe.ask("ASK {}")
    try:
        right = reply.ok and json.loads(reply.body)["boolean"] is True
    except (ValueError, KeyError, TypeError, RecursionError):
        right = False
    return (1, f"ASK {{}} is true, in {reply.milliseconds:.0f} ms") if right else (0, reply.said)


@_check("availability", "has data", 2)
def _has_data(probe: _Probe) -> _Outcome:
    found, problem = probe.rows("SELECT ?s ?p ?o { ?s ?p ?o } LIMIT 1")
    return (1, "a statement comes") if found else (0, problem or "no statement in the default graph")


@_check("availability", "takes a query by POST", 2)
def _takes_post(probe: _Probe) -> _Outcome:
    form = probe.ask("ASK {}", post=True)
    typed = {"Content-Type": "application/sparql-query"}
    direct = probe.send("POST", probe.url, accept=_JSON, content=b"ASK {}", headers=typed)
    ways = {"as a form": form.ok, "as application/sparql-query": direct.ok}
    return _share(ways, "both ways")


@_check("availability", "answers quickly", 1)
def _answers_quickly(probe: _Probe) -> _Outcome:
    replies = [probe.ask("SELECT ?s { ?s ?p ?o } LIMIT 1") for _ in range(3)]
    if not all(reply.ok for reply in replies):
        return 0, next(reply.said for reply in replies if not reply.ok)
    middle = sorted(reply.milliseconds for reply in replies)[1]
    return float(middle < 1000), f"a first statement takes {middle:.0f} ms (the limit is 1000)"


@_check("availability", "says what was wrong with a query", 1)
def _tells_errors(probe: _Probe) -> _Outcome:
    reply = probe.ask("SELECT WHERE WHERE")
    right = 400 <= reply.status < 500 and len(reply.body) > 0
    return float(right), f"a query that does not parse gets {reply.said}"


@_check("availability", "is reached by TLS", 1)
def _has_tls(probe: _Probe) -> _Outcome:
    host = urlsplit(probe.url).hostname or ""
    if _is_local(host):
        return None, f"{host} is this machine or its network; TLS is for whoever publishes it"
    return float(probe.url.startswith("https://")), probe.url.partition(":")[0]


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host


# discoverability ------------------------------------------------------------------------------------


@_check("discoverability", "has a service description", 3)
def _has_description(probe: _Probe) -> _Outcome:
    store, problem = probe.description
    if not any(store.quads_for_pattern(None, None, NamedNode(prefixes()["sd"] + "Service"), None)):
        return 0, problem or "RDF without an sd:Service"
    named = _objects(store, prefixes()["sd"] + "endpoint")
    if probe.url in named:
        return 1, f"an sd:Service, {len(store)} triples, which names this address"
    return 0.7, f"an sd:Service, but its sd:endpoint is {', '.join(named) or 'not said'}"


def _objects(store: Store, predicate: str) -> list[str]:
    quads = store.quads_for_pattern(None, NamedNode(predicate), None, None)
    return sorted({quad.object.value for quad in quads if isinstance(quad.object, NamedNode)})


@_check("discoverability", "has VoID at its well-known address", 2)
def _has_void(probe: _Probe) -> _Outcome:
    store, problem = probe.void
    datasets = list(store.quads_for_pattern(None, None, NamedNode(prefixes()["void"] + "Dataset"), None))
    return (1, f"{len(store):,} triples") if datasets else (0, problem or "RDF without a void:Dataset")


@_check("discoverability", "describes itself in its own graphs", 2)
def _has_void_inside(probe: _Probe) -> _Outcome:
    store, problem = probe.inside
    datasets = {quad.subject for quad in store}
    return (
        (1, f"{len(datasets)} datasets") if datasets else (0, problem or "no void:Dataset, no dcat:Dataset")
    )


@_check("discoverability", "its own graphs name this address", 1)
def _names_itself_inside(probe: _Probe) -> _Outcome:
    store, _ = probe.inside
    here = NamedNode(probe.url)
    if any(store.quads_for_pattern(None, None, here, None)):
        return 1, "a dataset leads to this address"
    named = _objects(store, prefixes()["void"] + "sparqlEndpoint")
    if not named:
        return 0, "no dataset has a void:sparqlEndpoint"
    return 0.5, f"they name {', '.join(named)}, not {probe.url}"


@_check("discoverability", "counts its classes and properties", 1)
def _has_partitions(probe: _Probe) -> _Outcome:
    ways = {
        "void:classPartition": bool(probe.says("?d void:classPartition ?part")),
        "void:propertyPartition": bool(probe.says("?d void:propertyPartition ?part")),
    }
    return _share(ways, "both kinds of partition")


@_check("discoverability", "says its licence", 2)
def _has_licence(probe: _Probe) -> _Outcome:
    found = probe.says("?it dcterms:license|dcterms:rights|schema:license ?licence")
    found.sort(key=lambda row: not row["licence"].startswith("http"))
    return (1, found[0]["licence"]) if found else (0, "no dcterms:license")


@_check("discoverability", "says what it is and whose", 1)
def _has_title(probe: _Probe) -> _Outcome:
    ways = {
        "dcterms:title": bool(probe.says("?it dcterms:title ?title")),
        "dcterms:description": bool(probe.says("?it dcterms:description ?description")),
        "dcterms:publisher or creator": bool(probe.says("?it dcterms:publisher|dcterms:creator ?who")),
    }
    return _share(ways, "title, description and publisher")


@_check("discoverability", "can be downloaded", 2)
def _has_dump(probe: _Probe) -> _Outcome:
    found = probe.says("?it void:dataDump|dcat:downloadURL ?url")
    addresses = sorted({row["url"] for row in found})
    here = [url for url in addresses if urlsplit(url).netloc == urlsplit(probe.url).netloc]
    if not addresses:
        return 0, "no void:dataDump, no dcat:downloadURL"
    if not here:
        return 0.5, f"{addresses[0]} is on another host, which is not asked"
    reply = probe.send("HEAD", here[0])
    return float(reply.ok), f"{here[0]}: {reply.said}"


@_check("discoverability", "its downloads can be checked", 1)
def _has_checksums(probe: _Probe) -> _Outcome:
    checksum = "<http://spdx.org/rdf/terms#checksum>/<http://spdx.org/rdf/terms#checksumValue>"
    found = probe.says(f"?it dcat:downloadURL ?url ; {checksum} ?sum")
    return (1, "spdx:checksum beside the download") if found else (0, "no spdx:checksum")


@_check("discoverability", "links to other datasets", 1)
def _has_linksets(probe: _Probe) -> _Outcome:
    found = probe.says("?it a void:Linkset ; void:objectsTarget ?target ; void:triples ?n")
    links = sum(int(row["n"]) for row in found if row["n"].isdigit())
    # The LOD cloud takes a dataset with 50 links or more.
    return float(links >= 50), f"{links:,} links to {len({row['target'] for row in found})} datasets"


@_check("discoverability", "has examples", 1)
def _has_examples(probe: _Probe) -> _Outcome:
    found, problem = probe.rows(
        "SELECT (COUNT(DISTINCT ?it) AS ?n) { ?it a sh:SPARQLExecutable ; rdfs:comment ?said ; "
        "sh:select|sh:ask|sh:construct ?text }"
    )
    number = int(found[0]["n"]) if found and found[0].get("n", "").isdigit() else 0
    return float(number > 0), problem or f"{number} sh:SPARQLExecutable in its graphs"


@_check("discoverability", "declares its prefixes", 1)
def _has_prefixes(probe: _Probe) -> _Outcome:
    found = probe.holds("ASK { ?it sh:prefix ?prefix ; sh:namespace ?namespace }")
    return float(bool(found)), "sh:declare in its graphs" if found else "no sh:prefix with sh:namespace"


@_check("discoverability", "its front page has typed links", 1)
def _has_signposts(probe: _Probe) -> _Outcome:
    reply = probe.send("GET", probe.at("/"), accept="text/html")
    relations = set(re.findall(r'rel="?([\w-]+)', reply.headers.get("link", "")))
    wanted = ("cite-as", "describedby", "license", "item", "type")
    return _share({name: name in relations for name in wanted}, "FAIR Signposting")


@_check("discoverability", "its front page has schema.org data", 1)
def _has_schema(probe: _Probe) -> _Outcome:
    reply = probe.send("GET", probe.at("/"), accept="text/html")
    blocks = re.findall(rb"<script[^>]*application/ld\+json[^>]*>(.*?)</script>", reply.body, re.DOTALL)
    for block in blocks:
        try:
            told = json.loads(block)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and told.get("@type") in ("Dataset", "DataCatalog"):
            return 1, f"a schema:{told['@type']}"
    return 0, "no JSON-LD of a schema:Dataset" if reply.ok else reply.said


@_check("discoverability", "tells crawlers where to look", 1)
def _has_sitemap(probe: _Probe) -> _Outcome:
    robots = probe.send("GET", probe.at("/robots.txt"))
    found = re.search(rb"(?im)^sitemap:\s*(\S+)", robots.body) if robots.ok else None
    if found is None:
        return 0, f"no Sitemap in robots.txt ({robots.said})"
    target = urljoin(probe.url, found[1].decode("latin-1"))
    if urlsplit(target).netloc != urlsplit(probe.url).netloc:
        return 0.5, f"its sitemap is on another host, which is not asked: {target}"
    return float(probe.send("GET", target).ok), target


# interoperability -----------------------------------------------------------------------------------

# What SPARQLES tries, with answers that do not depend on the data.
_FEATURES: dict[str, tuple[str, list[list[str]]]] = {
    "FILTER": ("SELECT ?x { VALUES ?x { 1 2 3 } FILTER(?x > 2) }", [["3"]]),
    "OPTIONAL": ("SELECT ?x ?y { VALUES ?x { 1 } OPTIONAL { VALUES (?x ?y) { (1 2) } } }", [["1", "2"]]),
    "UNION": ("SELECT ?x { { BIND(1 AS ?x) } UNION { BIND(2 AS ?x) } } ORDER BY ?x", [["1"], ["2"]]),
    "ORDER BY, LIMIT, OFFSET": (
        "SELECT ?x { VALUES ?x { 1 2 3 } } ORDER BY DESC(?x) LIMIT 1 OFFSET 1",
        [["2"]],
    ),
    "DISTINCT": ("SELECT DISTINCT ?x { VALUES ?x { 1 1 } }", [["1"]]),
    "REGEX": ('SELECT ?x { VALUES ?x { "ab" "b" } FILTER(REGEX(?x, "^A", "i")) }', [["ab"]]),
    "LANG": ('SELECT ?x { VALUES ?x { "ab"@en "b" } FILTER(LANGMATCHES(LANG(?x), "en")) }', [["ab"]]),
    "aggregates": ("SELECT (COUNT(*) AS ?n) (SUM(?x) AS ?s) { VALUES ?x { 1 2 } }", [["2", "3"]]),
    "GROUP BY, HAVING": (
        "SELECT ?g (COUNT(*) AS ?n) { VALUES (?g ?x) { (1 1) (1 2) (2 1) } } "
        "GROUP BY ?g HAVING(COUNT(*) > 1)",
        [["1", "2"]],
    ),
    "GROUP_CONCAT": ('SELECT (GROUP_CONCAT(?x; separator="|") AS ?all) { VALUES ?x { "a" } }', [["a"]]),
    "BIND, IF, COALESCE": ('SELECT ?x { BIND(IF(COALESCE(?no, 1) = 1, "y", "n") AS ?x) }', [["y"]]),
    "VALUES": ('SELECT ?x { VALUES (?x ?y) { ("a" UNDEF) } }', [["a"]]),
    "subqueries": ("SELECT ?n { { SELECT (MAX(?x) AS ?n) { VALUES ?x { 1 2 } } } }", [["2"]]),
    "MINUS": ("SELECT ?x { VALUES ?x { 1 2 } MINUS { VALUES ?x { 1 } } }", [["2"]]),
    "NOT EXISTS": ("SELECT ?x { VALUES ?x { 1 } FILTER NOT EXISTS { ?x <urn:x:no> ?y } }", [["1"]]),
    "string functions": ('SELECT (CONCAT(UCASE("a"), STRAFTER("b-c", "-")) AS ?x) {}', [["Ac"]]),
    "hash functions": ('SELECT (MD5("") AS ?x) {}', [["d41d8cd98f00b204e9800998ecf8427e"]]),
    "dates": ('SELECT (YEAR("2026-11-22T00:00:00Z"^^xsd:dateTime) AS ?x) {}', [["2026"]]),
    "UTF-8": ('SELECT ?x { BIND("类风湿关节炎 é 🦴"@zh AS ?x) }', [["类风湿关节炎 é 🦴"]]),
    "property paths": (
        "SELECT ?x { VALUES ?x { 1 } OPTIONAL { <urn:x:1> (<urn:x:2>|^<urn:x:3>)+/!<urn:x:4>? ?o } }",
        [["1"]],
    ),
    "GRAPH": ("SELECT ?x { VALUES ?x { 1 } OPTIONAL { GRAPH ?g { ?s <urn:x:no> ?o } } }", [["1"]]),
}  # fmt: skip


@_check("interoperability", "SPARQL 1.1", 4)
def _has_features(probe: _Probe) -> _Outcome:
    ways: dict[str, bool] = {}
    for name, (query, expected) in _FEATURES.items():
        reply = probe.ask(query)
        try:
            told = json.loads(reply.body)
            names, bindings = told["head"]["vars"], told["results"]["bindings"]
            rows = [[row[name]["value"] for name in names if name in row] for row in bindings]
            ways[name] = reply.ok and rows == expected
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            ways[name] = False
    return _share(ways, f"all {len(ways)} features that were tried")


@_check("interoperability", "graphs as answers", 1)
def _has_graph_forms(probe: _Probe) -> _Outcome:
    ways = {}
    for form, query in (
        ("CONSTRUCT", "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o } LIMIT 1"),
        ("DESCRIBE", "DESCRIBE ?s WHERE { { SELECT ?s { ?s ?p ?o FILTER(ISIRI(?s)) } LIMIT 1 } }"),
    ):
        reply = probe.ask(query, _RDF)
        ways[form] = reply.ok and RdfFormat.from_media_type(reply.media_type) is not None
    return _share(ways, "CONSTRUCT and DESCRIBE")


_TABLES = {
    _JSON: QueryResultsFormat.JSON,
    "application/sparql-results+xml": QueryResultsFormat.XML,
    "text/tab-separated-values": QueryResultsFormat.TSV,
    "text/csv": None,
}


@_check("interoperability", "results in every standard format", 2)
def _has_result_formats(probe: _Probe) -> _Outcome:
    ways = {}
    for media_type, format in _TABLES.items():
        reply = probe.ask('SELECT ("a,b" AS ?x) {}', media_type)
        ways[media_type] = reply.ok and reply.media_type == media_type and _has_cell(reply.body, format)
    return _share(ways, "JSON, XML, TSV and CSV")


def _has_cell(body: bytes, format: QueryResultsFormat | None) -> bool:
    """Whether the body is a table of the one cell `a,b`."""
    try:
        if format is None:
            return list(csv.reader(io.StringIO(body.decode()))) == [["x"], ["a,b"]]
        if b"<!DOCTYPE" in body:
            return False
        found = parse_query_results(body, format=format)
        return isinstance(found, QuerySolutions) and [row["x"].value for row in found] == ["a,b"]
    except (SyntaxError, ValueError, TypeError, AttributeError, KeyError):
        return False


_GRAPHS = ("text/turtle", "application/n-triples", "application/rdf+xml", "application/ld+json")


@_check("interoperability", "graphs in every standard format", 2)
def _has_graph_formats(probe: _Probe) -> _Outcome:
    query = "CONSTRUCT { <urn:x:s> <urn:x:p> ?o } WHERE { BIND(1 AS ?o) }"
    ways = {}
    for media_type in _GRAPHS:
        reply = probe.ask(query, media_type)
        store, problem = probe.rdf(reply)
        ways[media_type] = reply.media_type == media_type and not problem and len(store) == 1
    return _share(ways, "Turtle, N-Triples, RDF/XML and JSON-LD")


@_check("interoperability", "negotiates by quality", 1)
def _negotiates(probe: _Probe) -> _Outcome:
    xml = "application/sparql-results+xml"
    reply = probe.ask("SELECT (1 AS ?x) {}", f"text/csv;q=0.1, {xml}, {_JSON};q=0.5")
    right = reply.ok and reply.media_type == xml
    return float(right), f"asked for XML before JSON before CSV, got {reply.said}"


@_check("interoperability", "is open to pages of other sites", 2)
def _has_cors(probe: _Probe) -> _Outcome:
    origin = {"Origin": "https://example.org"}
    reply = probe.send("GET", probe.url, accept=_JSON, headers=origin, params={"query": "ASK {}"})
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = probe.send("OPTIONS", probe.url, headers={**origin, **asked})
    allowed = ("*", "https://example.org")
    name = "access-control-allow-origin"
    ways = {
        "Access-Control-Allow-Origin": reply.headers.get(name) in allowed,
        "an answer to the preflight request": preflight.ok and preflight.headers.get(name) in allowed,
    }
    return _share(ways, "CORS, with preflight")


@_check("interoperability", "refuses updates", 1)
def _refuses_updates(probe: _Probe) -> _Outcome:
    # An update that changes nothing wherever it is let in.
    nothing = "DELETE WHERE { <urn:x:no> <urn:x:no> <urn:x:no> }"
    reply = probe.send("POST", probe.url, data={"update": nothing})
    if reply.ok:
        return 0, f"an update by a stranger is accepted: {reply.said}"
    return float(400 <= reply.status < 500), f"an update gets {reply.said}"


@_check("interoperability", "its names lead to data", 2)
def _dereferences(probe: _Probe) -> _Outcome:
    examples = [row["it"] for row in probe.says("?d void:exampleResource ?it")]
    here = [iri for iri in examples if urlsplit(iri).netloc == urlsplit(probe.url).netloc]
    if not here:
        others = sorted({urlsplit(iri).netloc for iri in examples})
        if not others:
            return 0, "no void:exampleResource that could be tried"
        return None, f"its names are on {', '.join(others[:3])}, which is not asked"
    reply = probe.send("GET", here[0], accept=_RDF)
    store, problem = probe.rdf(reply)
    return float(bool(len(store))), f"{here[0]}: {problem or f'{len(store)} triples'}"


# freshness ------------------------------------------------------------------------------------------

_DATES = (
    "dcterms:modified", "dcterms:issued", "dcterms:created", "dcterms:date", "schema:dateModified",
    "<http://purl.org/pav/lastUpdateOn>", "<http://purl.org/pav/createdOn>",
)  # fmt: skip


def _newest(probe: _Probe) -> date | None:
    found = []
    for row in probe.says(f"?it {'|'.join(_DATES)} ?day"):
        try:
            found.append(datetime.fromisoformat(row["day"]).date())
        except ValueError:
            continue
    return max(found, default=None)


@_check("freshness", "says when it was updated", 3)
def _has_date(probe: _Probe) -> _Outcome:
    newest = _newest(probe)
    return (1, newest.isoformat()) if newest else (0, "no dcterms:modified or issued")


@_check("freshness", "was updated within a year", 2)
def _is_recent(probe: _Probe) -> _Outcome:
    newest = _newest(probe)
    if newest is None:
        return 0, "no date is said"
    days = (datetime.now(UTC).date() - newest).days
    if days < -1:
        return 0, f"{newest} is in the future"
    return float(days <= 366), f"{max(days, 0)} days ago"


@_check("freshness", "says its version", 2)
def _has_version(probe: _Probe) -> _Outcome:
    words = "dcat:version|dcterms:hasVersion|owl:versionInfo|<http://purl.org/pav/version>"
    found = probe.says(f"?it {words} ?version OPTIONAL {{ ?it void:sparqlEndpoint ?endpoint }}")
    found.sort(key=lambda row: "endpoint" not in row)
    return (1, found[0]["version"]) if found else (0, "no dcat:version, no dcterms:hasVersion")


@_check("freshness", "spares what has not changed", 2)
def _validates(probe: _Probe) -> _Outcome:
    query = "SELECT ?s { ?s ?p ?o } LIMIT 1"
    first = probe.ask(query)
    tag, day = first.headers.get("etag"), first.headers.get("last-modified")
    if not tag and not day:
        return 0, "an answer has neither ETag nor Last-Modified"
    again = probe.ask(query, headers={"If-None-Match": tag} if tag else {"If-Modified-Since": day or ""})
    return (1, "304") if again.status == 304 else (0.5, f"a conditional request gets {again.said}, not 304")


@_check("freshness", "its description fits its data", 2)
def _description_fits(probe: _Probe) -> _Outcome:
    found = probe.says("?it a void:Dataset ; void:triples ?n")
    stated = [int(row["n"]) for row in found if row["n"].isdigit()]
    if not stated:
        return 0, "no void:triples"
    found, problem = probe.rows("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }")
    if not found or not found[0].get("n", "").isdigit():
        return 0, f"the statements could not be counted: {problem}"
    counted, most = int(found[0]["n"]), max(stated)
    near = abs(counted - most) <= 0.01 * max(counted, 1)
    return float(near), f"VoID says {most:,} statements, counted are {counted:,}"


def _share(ways: Mapping[str, bool], all_of: str) -> _Outcome:
    """The share of ways that hold, naming those that do not."""
    missing = [name for name, holds in ways.items() if not holds]
    return 1 - len(missing) / len(ways), f"missing: {', '.join(missing)}" if missing else all_of
