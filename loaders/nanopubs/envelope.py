"""Nanopublications out of a file: four graphs each, their content checked against IRI and signature.

Hides the layout of a nanopublication (nanopub.net, "Nanopublication Guidelines"). What is malformed, too
large, changed after it got its IRI, or falsely signed is refused before any of its statements is looked at.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, parse

from kg.errors import SourceError
from kg.terms import RDF, Namespace, artifact_code, prefixes, signed_text

NP, NPX = (Namespace(prefixes()[name]) for name in ("np", "npx"))
MAX_BYTES = 100_000_000  # of a file
MAX_QUADS = 1_200  # of one nanopublication; the network of nanopublication servers takes no more
_FORMATS = {".trig": RdfFormat.TRIG, ".nq": RdfFormat.N_QUADS}
_PARTS = {"assertion": NP.hasAssertion, "provenance": NP.hasProvenance, "pubinfo": NP.hasPublicationInfo}
_TRUSTY = re.compile(r"RA[A-Za-z0-9_-]{43}$")
_SIGNATURE = (NPX.hasSignature, NPX.hasPublicKey, NPX.hasAlgorithm, NPX.hasSignatureTarget)
_SMALLEST_KEY = 1024  # bits


@dataclass(frozen=True)
class Envelope:
    """One nanopublication: its IRI, the quads of its three parts, and what vouches for them.

    `code` is the trusty code its content was found to fit, or None; `signed` says that its signature holds.
    """

    iri: NamedNode
    assertion: Sequence[Quad]
    provenance: Sequence[Quad]
    pubinfo: Sequence[Quad]
    code: str | None
    signed: bool


def envelopes(path: Path, source: str) -> Iterator[Envelope]:
    """The nanopublications of a TriG or N-Quads file, each checked; SourceError says what is wrong."""
    graphs = _graphs(path, source)
    heads = [
        (quad.subject, name)
        for name, quads in graphs.items()
        for quad in quads
        if quad.predicate == RDF.type and quad.object == NP.Nanopublication
    ]
    if not heads:
        raise SourceError(
            "holds no nanopublication: nothing in it is an np:Nanopublication",
            source=source, file=path.name, advice="Give TriG with head, assertion, provenance and pubinfo",
        )  # fmt: skip
    left = set(graphs)
    for iri, head in heads:
        yield _Reader(source, path.name, str(iri)).envelope(iri, head, graphs, left)
    if left:
        raise SourceError(
            f"graph {min(left, key=str)} belongs to no nanopublication of the file",
            source=source, file=path.name, advice="A nanopublication is four graphs and nothing beside them",
        )  # fmt: skip


def _graphs(path: Path, source: str) -> dict[NamedNode, list[Quad]]:
    def refused(problem: str) -> SourceError:
        return SourceError(problem, source=source, file=path.name, advice="Mend the file; nothing was read")

    format = _FORMATS.get(path.suffix.lower())
    if format is None:
        raise refused(f"its suffix is none of {', '.join(_FORMATS)}")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise refused(f"it has {size:,} bytes, over {MAX_BYTES:,}; divide it")
    graphs: dict[NamedNode, list[Quad]] = {}
    try:
        for quad in parse(path=path, format=format):
            if not isinstance(quad.graph_name, NamedNode):
                raise refused("a statement stands in no named graph")
            graphs.setdefault(quad.graph_name, []).append(quad)
    except (SyntaxError, ValueError) as problem:  # a wrong encoding is a ValueError
        raise refused(f"it does not parse: {' '.join(str(problem).split())[:300]}") from problem
    return graphs


@dataclass(frozen=True)
class _Reader:
    """Checks one nanopublication; knows where it stands for what it has to say."""

    source: str
    file: str
    record: str

    def envelope(
        self, iri: object, head: NamedNode, graphs: Mapping[NamedNode, list[Quad]], left: set[NamedNode]
    ) -> Envelope:
        if not isinstance(iri, NamedNode):
            raise self.refused("it has no IRI", "Give it one; a blank node cannot be cited")
        names = {"head": head}
        for part, word in _PARTS.items():
            named = [q.object for q in graphs[head] if q.subject == iri and q.predicate == word]
            if len(named) != 1 or not isinstance(named[0], NamedNode):
                raise self.refused(f"its head names {len(named)} {part} graphs", "Name exactly one")
            names[part] = named[0]
        parts = {}
        for part, name in names.items():
            if name not in left:
                why = "is empty" if name not in graphs else "serves twice"
                raise self.refused(f"its {part} graph {name} {why}", "Give each part a graph of its own")
            left.remove(name)
            parts[part] = graphs[name]
        every = [quad for quads in parts.values() for quad in quads]
        if len(every) > MAX_QUADS:
            raise self.refused(f"it has {len(every):,} statements, over {MAX_QUADS:,}", "Divide it")
        if not any(quad.subject == names["assertion"] for quad in parts["provenance"]):
            raise self.refused(
                "its provenance says nothing of its assertion", "Say where the assertion is from"
            )
        if not any(quad.subject == iri for quad in parts["pubinfo"]):
            raise self.refused("its pubinfo says nothing of it", "Say who made it, when, under which licence")
        for quad in parts["assertion"]:
            if not isinstance(quad.subject, NamedNode) or not isinstance(quad.object, NamedNode | Literal):
                raise self.refused(
                    "its assertion has a blank node or a triple as a term", "Name every thing by an IRI"
                )
        code = self.code(iri, every)
        signed = self.signed(iri, parts["pubinfo"], every, code)
        return Envelope(iri, parts["assertion"], parts["provenance"], parts["pubinfo"], code, signed)

    def code(self, iri: NamedNode, every: Sequence[Quad]) -> str | None:
        """The trusty code of the IRI, which the content must fit; None where the IRI has none."""
        match = _TRUSTY.search(iri.value)
        if match is None:
            return None
        try:
            found = artifact_code(every, match[0])
        except ValueError as problem:
            raise self.refused(f"its IRI is trusty, and {problem}") from problem
        if found != match[0]:
            raise self.refused(
                f"its content was changed after it got its IRI: it fits {found}",
                "Fetch it again from where it was published",
            )
        return found

    def signed(
        self, iri: NamedNode, pubinfo: Sequence[Quad], every: Sequence[Quad], code: str | None
    ) -> bool:
        """Whether it is signed; a signature that is there must hold (RSA, SHA-256, over all but itself)."""
        said = {word: [quad.object for quad in pubinfo if quad.predicate == word] for word in _SIGNATURE}
        if not any(said.values()):
            return False
        if any(len(values) != 1 for values in said.values()):
            raise self.refused(
                "it claims a signature and has no whole one",
                "Give npx:hasSignature, hasPublicKey, hasAlgorithm and hasSignatureTarget, each once",
            )
        signature, key, algorithm = (str(getattr(said[word][0], "value", "")) for word in _SIGNATURE[:3])
        if said[NPX.hasSignatureTarget] != [iri]:
            raise self.refused("its signature is of something else", "npx:hasSignatureTarget is its own IRI")
        if algorithm != "RSA":
            raise self.refused(
                f"its signature is of the algorithm {algorithm[:20]!r}", "Only RSA can be checked"
            )
        if code is None:
            raise self.refused(
                "it is signed, but its IRI has no trusty code", "A signed one ends with its code"
            )
        text = signed_text((quad for quad in every if quad.predicate != NPX.hasSignature), code)
        try:
            public = RSA.import_key(b64decode(key))
            if public.size_in_bits() < _SMALLEST_KEY:
                raise ValueError(f"a key of {public.size_in_bits()} bits proves nothing")
            pkcs1_15.new(public).verify(SHA256.new(text.encode()), b64decode(signature))
        except (ValueError, IndexError, TypeError, binascii.Error) as problem:
            raise self.refused(
                f"its signature does not hold: {problem}", "Somebody changed it, or signed something else"
            ) from problem
        return True

    def refused(self, problem: str, advice: str = "") -> SourceError:
        return SourceError(problem, source=self.source, file=self.file, record=self.record, advice=advice)
