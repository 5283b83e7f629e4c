"""Where a thing's page is: at the path of its own IRI for what is ours, else at `/thing?iri=…`.

Hides which IRIs are ours, and what may be a link at all: a graph can hold `javascript:` for an IRI.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from kg.terms import BASE, KINDS, compress

_IN_ADDRESSES = "/?%:@!$&'()*+,;=~-._#"  # what stands in an address as it is (RFC 3986)
# Of the kinds we mint, those whose IRIs are no page of a thing: a graph is read at /graph/….
PAGES = (KINDS | {"ontology"}) - {"graph"}


def path_of_thing(iri: str) -> str:
    """The path of a thing's page on this server."""
    if iri.startswith(BASE) and iri.removeprefix(BASE).partition("/")[0] in KINDS | {"ontology"}:
        return "/" + quote(iri.removeprefix(BASE), safe="/-._~%")
    return "/thing?" + urlencode({"iri": compress(iri)})


def location(path: str) -> str:
    """A path of ours as a Location or a link takes it: whatever it is, it leads to no other host.

    `//host` and `/\\host` would; so would a tab between the two, which browsers pass over.
    """
    return "/" + quote(path.lstrip("/\\"), safe=_IN_ADDRESSES)


def home_of(iri: str) -> str | None:
    """The IRI as a link to follow, or None where it is not one of the web."""
    return iri if urlsplit(iri).scheme in ("http", "https") else None


def path_of_reason(subject: str, predicate: str, value: str) -> str:
    """The path of the page that says why a statement is in the graph; `value` is a CURIE or IRI."""
    return "/why?" + urlencode(
        {"subject": compress(subject), "predicate": compress(predicate), "object": compress(value)}
    )
