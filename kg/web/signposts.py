"""Signposting: typed links in headers, by which a machine finds what, whose and where (signposting.org).

Hides the relations and their order. A landing page leads to the data, its description, licence and persistent
name; a data file leads back. The same links, for all resources at once, are a link set (RFC 9264).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kg.describe import LICENCE
from kg.dump import Dump, DumpFile
from kg.terms import BASE, mint

DATASET = "https://schema.org/Dataset"
_RDF = ("text/turtle", "application/ld+json", "application/rdf+xml", "application/n-triples")
_MEDIA_TYPE = "application/gzip"
AUTHOR = BASE + "about#contributors"


class Link(NamedTuple):
    """A typed link: what it leads to, how, and the media type there."""

    target: str
    relation: str
    type: str = ""

    def __str__(self) -> str:
        return f'<{self.target}>; rel="{self.relation}"' + (f'; type="{self.type}"' if self.type else "")


def _landing(dump: Dump) -> Iterator[Link]:
    yield Link(mint("snapshot", dump.snapshot.version).value, "cite-as")
    yield Link(DATASET, "type")
    yield Link("https://schema.org/AboutPage", "type")
    yield Link(LICENCE, "license")
    yield Link(AUTHOR, "author")
    yield from (Link("/.well-known/void", "describedby", media_type) for media_type in _RDF)
    yield Link("/sparql", "describedby", "text/turtle")
    for file in dump.files.values():
        if file.graph is None:
            yield Link(f"/dump/{dump.snapshot.name}/{file.name}", "item", _MEDIA_TYPE)


def _item(dump: Dump, file: DumpFile) -> Iterator[Link]:
    yield Link("/", "collection", "text/html")
    yield Link(mint("snapshot", dump.snapshot.version).value, "cite-as")
    yield Link(DATASET, "type")
    yield Link(LICENCE, "license")
    yield Link("/.well-known/void", "describedby", "text/turtle")


def _description() -> Iterator[Link]:
    yield Link("/", "describes", "text/html")


def landing(dump: Dump) -> str:
    """The Link header of a page about the whole snapshot."""
    return ", ".join(map(str, (*_landing(dump), Link("/linkset", "linkset", "application/linkset+json"))))


def item(dump: Dump, file: DumpFile) -> str:
    """The Link header of a file."""
    return ", ".join(map(str, _item(dump, file)))


def description() -> str:
    """The Link header of the description of the snapshot."""
    return ", ".join([*map(str, _description()), f'<{LICENCE}>; rel="license"'])


def thing(iri: str, forms: Iterable[tuple[str, str]]) -> str:
    """The Link header of a page about a thing: its persistent name, and its documents by media type."""
    links = [Link(iri, "cite-as"), *(Link(path, "alternate", type) for path, type in forms)]
    return ", ".join(map(str, (*links, Link(LICENCE, "license"), Link("/sparql", "describedby"))))


def linkset(dump: Dump, base: str) -> dict[str, object]:
    """All of these links as a link set; `base` is the server's address, without a slash at its end."""
    contexts = {"/": list(_landing(dump)), "/.well-known/void": list(_description())}
    for file in dump.files.values():
        if file.graph is None:
            contexts[f"/dump/{dump.snapshot.name}/{file.name}"] = list(_item(dump, file))

    def absolute(target: str) -> str:
        return base + target if target.startswith("/") else target

    found = []
    for anchor, links in contexts.items():
        context: dict[str, object] = {"anchor": absolute(anchor)}
        for link in links:
            target = {"href": absolute(link.target)} | ({"type": link.type} if link.type else {})
            of_relation = context.setdefault(link.relation, [])
            assert isinstance(of_relation, list)
            of_relation.append(target)
        found.append(context)
    return {"linkset": found}
