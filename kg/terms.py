"""Names: the one prefix map, CURIEs, and how our own IRIs are minted.

Hides where the prefix map lives and how an identifier becomes a safe IRI. Callers never build an
IRI by joining strings.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
BASE = "https://w3id.org/stroma/"


class Namespace:
    """A vocabulary: `STROMA.hasArm` or `OBO("CL_0000134")` gives the term's NamedNode."""

    def __init__(self, base: str) -> None:
        self._base = base

    def __call__(self, local: str) -> NamedNode:
        return NamedNode(self._base + local)

    def __getattr__(self, local: str) -> NamedNode:
        if local.startswith("__"):
            raise AttributeError(local)
        term = NamedNode(self._base + local)
        self.__dict__[local] = term  # the next time it is an ordinary attribute
        return term


STROMA = Namespace(BASE + "ontology/")
OBO = Namespace("http://purl.obolibrary.org/obo/")
RDF = Namespace("http://www.w3.org/1999/02/22-rdf-syntax-ns#")
RDFS = Namespace("http://www.w3.org/2000/01/rdf-schema#")
OWL = Namespace("http://www.w3.org/2002/07/owl#")
XSD = Namespace("http://www.w3.org/2001/XMLSchema#")
SKOS = Namespace("http://www.w3.org/2004/02/skos/core#")
DCTERMS = Namespace("http://purl.org/dc/terms/")
PROV = Namespace("http://www.w3.org/ns/prov#")
VOID = Namespace("http://rdfs.org/ns/void#")

# The kinds of thing we mint IRIs for (`arm/NCT01547091/1`); docs/data-model.md tells each.
KINDS = frozenset(
    {
        "activity",
        "agent",
        "arm",
        "axiom",
        "claim",
        "collection",
        "comparison",
        "condition",
        "derived",
        "document",
        "event",
        "finding",
        "graph",
        "group",
        "inference",
        "link",
    }
    | {
        "location",
        "mapping",
        "nanopub",
        "observation",
        "organization",
        "outcome",
        "product",
        "proposition",
        "publication",
        "query",
        "record",
        "reference",
    }
    | {"regimen", "rule", "scheme", "snapshot", "source", "span", "trial"}
)


@lru_cache(maxsize=1)
def prefixes() -> Mapping[str, str]:
    """The prefix map of `ontology/prefixes.json`: prefix -> namespace IRI."""
    loaded: dict[str, str] = json.loads((ROOT / "ontology" / "prefixes.json").read_text(encoding="utf-8"))
    return loaded


def expand(curie: str) -> NamedNode:
    """The IRI of a CURIE such as `CL:0000134` or `stroma:hasArm`; a full http(s) IRI passes unchanged.

    Raises UsageError for an unknown prefix, naming it.
    """
    if curie.startswith(("http://", "https://")):
        return NamedNode(curie)
    prefix, colon, local = curie.partition(":")
    if not colon or prefix not in prefixes():
        raise UsageError(f"{curie!r} is not a CURIE of a known prefix; ontology/prefixes.json lists them")
    return NamedNode(prefixes()[prefix] + local)


@lru_cache(maxsize=1)
def _namespaces_longest_first() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(((iri, prefix) for prefix, iri in prefixes().items()), key=lambda p: -len(p[0])))


def compress(iri: str) -> str:
    """The CURIE of an IRI by the longest matching namespace, or the IRI itself when none matches."""
    for namespace, prefix in _namespaces_longest_first():
        if iri.startswith(namespace):
            return f"{prefix}:{iri[len(namespace) :]}"
    return iri


def mint(kind: str, *parts: str | int) -> NamedNode:
    """Our IRI for a thing: `mint("arm", "NCT01547091", 1)` -> `<https://w3id.org/stroma/arm/NCT01547091/1>`.

    Parts are identifiers, never labels; each is percent-encoded. Raises ValueError for an unknown kind
    or an empty part: both are bugs of the caller.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; kg.terms.KINDS lists them")
    encoded = [quote(str(part), safe="-._~") for part in parts]
    if not encoded or not all(encoded):
        raise ValueError(f"mint({kind!r}, {parts!r}): every part must be a non-empty identifier")
    return NamedNode(BASE + kind + "/" + "/".join(encoded))


def digest(*parts: str) -> str:
    """A short stable identifier (20 hex digits of SHA-256) of a natural key, for `mint`."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]


def proposition(
    subject: NamedNode, predicate: NamedNode, value: NamedNode | Literal, *, positive: bool = True
) -> NamedNode:
    """The IRI of an edge taken as a statement: a digest of subject, predicate, object and polarity."""
    polarity = "positive" if positive else "negative"
    return mint("proposition", digest(str(subject), str(predicate), str(value), polarity))


def artifact_code(quads: Iterable[Quad], written: str) -> str:
    """The code that ends the IRI of a nanopublication and fixes its content: "RA" and 43 characters.

    `written` is the code, or what holds its place, in the IRIs of the quads. Raises ValueError for a blank
    node. Source: trusty URIs, module RA (Kuhn and Dumontier, 2014).
    """
    content = hashlib.sha256(signed_text(quads, written).encode()).digest()
    return "RA" + base64.urlsafe_b64encode(content).decode().rstrip("=")


def signed_text(quads: Iterable[Quad], written: str) -> str:
    """The text that stands for quads in any order: what a trusty URI hashes and a signature signs.

    `written` is left blank in every IRI: a code cannot depend on itself.
    """
    statements = sorted({tuple(_sortable(term, written) for term in _parts(quad)) for quad in quads})
    return "".join(f"{line}\n" for statement in statements for *_, line in statement)


def _parts(quad: Quad) -> tuple[object, object, object, object]:
    return quad.graph_name, quad.subject, quad.predicate, quad.object


def _sortable(term: object, written: str) -> tuple[bool, bytes, str, str, str]:
    """A term by which statements sort (names before literals, those by their text first), and its line."""
    if isinstance(term, NamedNode):
        iri = term.value.replace(written, " ")
        return False, iri.encode(), "", "", iri
    if not isinstance(term, Literal):
        raise ValueError(f"{term} is a blank node or a triple; a trusty URI covers names and literals only")
    language = term.language or ""
    datatype = "" if language else term.datatype.value
    text = term.value.replace("\\", "\\\\").replace("\n", "\\n")
    line = f"@{language.lower()} {text}" if language else f"^{datatype} {text}"
    return True, term.value.encode(), datatype, language, line
