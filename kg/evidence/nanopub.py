"""A claim of the graph as a nanopublication: head, assertion, provenance and publication info.

Hides which quads of a snapshot go into which of the four graphs, and the trusty IRI that fixes their content.
`loaders.nanopubs` reads what is written here, and what others write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, Triple, parse, serialize

from kg.errors import SnapshotError, UsageError
from kg.terms import (
    BASE,
    DCTERMS,
    PROV,
    RDF,
    RDFS,
    STROMA,
    XSD,
    Namespace,
    artifact_code,
    compress,
    expand,
    mint,
    prefixes,
)

NP, NPX, FOAF, DCAT = (Namespace(prefixes()[name]) for name in ("np", "npx", "foaf", "dcat"))
LICENCE = NamedNode("https://creativecommons.org/licenses/by/4.0/")
CREATOR = mint("organization", "stroma")
GRAPHS = ("Head", "assertion", "provenance", "pubinfo")
_UNSEALED = "RA" + "-" * 43  # holds the place of the code until it is known
_KINDS = (
    "claim", "link", "proposition", "span", "document", "record", "reference", "observation", "comparison",
    "publication",
)  # fmt: skip
_DATED = ("source", "snapshot", "graph")
_WANTED = tuple(f"<{BASE}{kind}/".encode() for kind in (*_KINDS, *_DATED))
_INFERRED = f" <{BASE}graph/inferred/".encode()
_EDGE = (STROMA.propositionSubject, STROMA.propositionPredicate, STROMA.propositionObject, STROMA.polarity)
_Term = NamedNode | Literal


@dataclass(frozen=True)
class Nanopublication:
    """Four graphs under one trusty IRI: whoever changes a character has to change the IRI."""

    iri: NamedNode
    claim: NamedNode
    quads: tuple[Quad, ...]


class Claims(Mapping[NamedNode, Nanopublication]):
    """The claims of a snapshot, in order of their IRIs, each as a nanopublication.

    One is made when it is asked for, and is the same, byte for byte, whatever else the snapshot holds.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        """From the N-Quads lines of a snapshot: a store would change how numbers were printed."""
        wanted = b"".join(line for line in lines if line.startswith(_WANTED) and _INFERRED not in line)
        self._facts: dict[NamedNode, dict[NamedNode, list[_Term]]] = {}
        self._graph: dict[NamedNode, NamedNode] = {}
        for quad in parse(wanted, format=RdfFormat.N_QUADS):
            if isinstance(quad.subject, NamedNode) and isinstance(quad.object, NamedNode | Literal):
                about = self._facts.setdefault(quad.subject, {})
                about.setdefault(quad.predicate, []).append(quad.object)
                if quad.predicate == RDF.type and isinstance(quad.graph_name, NamedNode):
                    self._graph[quad.subject] = quad.graph_name
        self._claimed: dict[_Term, set[tuple[_Term, _Term]]] = {}  # of an observation, its values
        for subject in self._facts:
            if self._all(subject, STROMA.propositionSubject):
                edge = self._edge(subject)
                self._claimed.setdefault(edge[0], set()).add(edge[1:3])
        self._snapshots = [s for s in self._facts if s.value.startswith(BASE + "snapshot/")]
        claims = (
            subject
            for subject, facts in self._facts.items()
            if STROMA.asserts in facts or STROMA.notFormalisedBecause in facts
        )
        self._claims = dict.fromkeys(sorted(claims, key=lambda claim: claim.value))

    def __getitem__(self, claim: NamedNode) -> Nanopublication:
        if claim not in self._claims:
            raise KeyError(claim)
        return self._nanopublication(claim)

    def __iter__(self) -> Iterator[NamedNode]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)

    def find(self, text: str) -> NamedNode:
        """A claim by its identifier ("C047"), CURIE or IRI; UsageError, with near ones, for any other."""
        given = text[1:-1] if text.startswith("<") and text.endswith(">") else text
        try:
            claim = expand(given if re.match(r"\w+:", given) else f"claim:{given}")
        except (UsageError, ValueError):
            claim = None
        if claim in self._claims:
            return claim
        names = {_name(each): compress(each.value) for each in self._claims}
        near = get_close_matches(given.removeprefix("claim:"), names, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"there is no claim {text[:80]!r} in the graph{hint}")

    def is_text(self, claim: NamedNode) -> bool:
        """Whether the claim is kept as a sentence, without a proposition."""
        return not self._all(claim, STROMA.asserts)

    # ------------------------------------------------------------ what goes where

    def _nanopublication(self, claim: NamedNode) -> Nanopublication:
        this = mint("nanopub", _UNSEALED)
        head, assertion, provenance, info = (NamedNode(f"{this.value}#{part}") for part in GRAPHS)
        parts = {
            head: [
                Triple(this, RDF.type, NP.Nanopublication),
                Triple(this, NP.hasAssertion, assertion),
                Triple(this, NP.hasProvenance, provenance),
                Triple(this, NP.hasPublicationInfo, info),
            ],
            assertion: self._assertion(claim),
            provenance: self._provenance(claim, assertion),
            info: self._info(claim, this),
        }
        quads = [
            Quad(triple.subject, triple.predicate, triple.object, graph)
            for graph, triples in parts.items()
            for triple in sorted(set(triples), key=str)
        ]
        code = artifact_code(quads, _UNSEALED)
        return Nanopublication(_sealed(this, code), claim, tuple(_sealed_quad(quad, code) for quad in quads))

    def _assertion(self, claim: NamedNode) -> Iterator[Triple]:
        """Each proposition as a node, its plain edge where the source states it without reserve, and the
        scope of an observation (group, measure, time); of a text claim its sentence."""
        plain = STROMA.ModalityAsserted in self._all(claim, STROMA.modality)
        evidence = self._all(claim, STROMA.hasEvidence)
        for node in self._all(claim, STROMA.asserts):
            yield from self._said(node)
            subject, predicate, object, polarity = self._edge(node)
            assert isinstance(subject, NamedNode)
            assert isinstance(predicate, NamedNode)
            if plain and polarity == STROMA.PolarityPositive:
                yield Triple(subject, predicate, object)
            if subject in evidence:
                claimed = self._claimed[subject]
                yield from (t for t in self._said(subject) if (t.predicate, t.object) not in claimed)
        if self.is_text(claim):
            for word in (STROMA.claimText, STROMA.claimSubject, STROMA.notFormalisedBecause):
                yield from (Triple(claim, word, value) for value in self._all(claim, word))

    def _provenance(self, claim: NamedNode, assertion: NamedNode) -> Iterator[Triple]:
        """Who says it and where: the claim, its span's characters, the document or record they stand in."""
        yield Triple(assertion, PROV.wasDerivedFrom, claim)
        yield from self._said(claim)
        for span in self._all(claim, STROMA.statedAt):
            yield from self._said(span)
        for origin in self._all(claim, PROV.wasDerivedFrom):
            yield Triple(assertion, PROV.wasDerivedFrom, origin)
            yield from self._said(origin)
            for publication in self._all(origin, STROMA.digestOf):
                for doi in self._all(publication, STROMA.doi):
                    assert isinstance(origin, NamedNode)
                    yield Triple(origin, PROV.wasDerivedFrom, NamedNode(f"https://doi.org/{doi.value}"))

    def _info(self, claim: NamedNode, this: NamedNode) -> Iterator[Triple]:
        """Whose nanopublication it is (an organisation's: people stay out), since when, and its licence."""
        made = Literal(self._made_on(claim), datatype=XSD.dateTime)
        text = min((text.value for text in self._all(claim, STROMA.claimText)), default="")
        label = f"{_name(claim)}: {text}" if text else _name(claim)
        yield Triple(this, RDFS.label, Literal(label, language="en"))
        yield Triple(this, NPX.hasNanopubType, STROMA.Claim)
        yield Triple(this, PROV.generatedAtTime, made)
        yield Triple(this, DCTERMS.created, made)
        yield Triple(this, DCTERMS.creator, CREATOR)
        yield Triple(this, DCTERMS.license, LICENCE)
        yield Triple(CREATOR, RDF.type, PROV.Organization)
        yield Triple(CREATOR, RDF.type, FOAF.Organization)
        yield Triple(CREATOR, RDFS.label, Literal("Stroma curators", language="en"))

    def _made_on(self, claim: NamedNode) -> str:
        """When the claim was made, or its source: a later build gives the same nanopublication."""
        for time in self._all(claim, PROV.generatedAtTime):
            return time.value
        sources = self._all(self._graph.get(claim), DCTERMS.source)
        for thing in [*sources, *self._snapshots]:
            for version in self._all(thing, DCAT.version):
                if re.fullmatch(r"\d{4}-\d{2}-\d{2}", version.value):
                    return f"{version.value}T00:00:00Z"
        raise SnapshotError(f"neither the source of {compress(claim.value)} nor the snapshot has a date")

    # ------------------------------------------------------------ what the snapshot says

    def _said(self, thing: object) -> Iterator[Triple]:
        if isinstance(thing, NamedNode):
            for predicate, objects in self._facts.get(thing, {}).items():
                yield from (Triple(thing, predicate, object) for object in objects)

    def _all(self, subject: object, predicate: NamedNode) -> list[_Term]:
        return self._facts.get(subject, {}).get(predicate, []) if isinstance(subject, NamedNode) else []

    def _edge(self, proposition: object) -> tuple[_Term, _Term, _Term, _Term]:
        """Subject, predicate, object and polarity."""
        subject, predicate, object, polarity = (self._all(proposition, word)[0] for word in _EDGE)
        return subject, predicate, object, polarity


def trig(nanopubs: Iterable[Nanopublication]) -> bytes:
    """Nanopublications as TriG, in the order given; UTF-8."""
    written = []
    for each in nanopubs:
        used = {term.value for quad in each.quads for term in quad if isinstance(term, NamedNode)}
        names = {
            prefix: iri for prefix, iri in prefixes().items() if any(term.startswith(iri) for term in used)
        }
        names |= {"this": each.iri.value, "sub": f"{each.iri.value}#"}
        made = serialize(each.quads, format=RdfFormat.TRIG, prefixes=names)
        assert made is not None  # None is for serialising into a file
        written.append(made)
    return b"\n".join(written)


def _name(claim: NamedNode) -> str:
    """ "C047"; of a link of a publication to a trial "link:…"."""
    return compress(claim.value).removeprefix("claim:")


def _sealed_quad(quad: Quad, code: str) -> Quad:
    object, graph = quad.object, quad.graph_name
    assert isinstance(quad.subject, NamedNode)
    assert isinstance(graph, NamedNode)
    return Quad(
        _sealed(quad.subject, code),
        quad.predicate,
        _sealed(object, code) if isinstance(object, NamedNode) else object,
        _sealed(graph, code),
    )


def _sealed(term: NamedNode, code: str) -> NamedNode:
    """A name with the code where its place was held."""
    return NamedNode(term.value.replace(_UNSEALED, code))
