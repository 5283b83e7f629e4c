"""Facts of a compiled row, and the curated statement that makes them.

Hides how confidence, basis and unverified fields are attached, and that a hedged fact is claimed
without being asserted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode, Quad

from kg.terms import RDF, STROMA
from loaders.claims import BY_CURATOR_FROM_ARTICLE, asserts, rests_on
from loaders.emit import Graph, string

# The column a fact stands in, and the edge. Facts of no column ("") name and type things: nobody claims them.
Fact = tuple[str, NamedNode, NamedNode, NamedNode | Literal]


@dataclass(frozen=True)
class Statement:
    """Who believes a row, how much and why; `hedged` names the columns that are implied only."""

    claim: NamedNode
    confidence: NamedNode
    basis: str
    unverified: Sequence[str] = ()
    hedged: Collection[str] = ()
    address: str | None = None
    evidence: NamedNode | None = None  # the observation the row is about

    def quads(self, graph: Graph, facts: Sequence[Fact]) -> Iterator[Quad]:
        """The facts, asserted by the claim; those of hedged columns by a hedged claim beside it."""
        for column, subject, predicate, value in facts:
            if not column:
                yield graph.quad(subject, predicate, value)
        sure = [fact for fact in facts if fact[0] and fact[0] not in self.hedged]
        implied = [fact for fact in facts if fact[0] in self.hedged]
        yield from self._claim(graph, self.claim, STROMA.ModalityAsserted, sure)
        beside = NamedNode(self.claim.value + "/hedged")
        yield from self._claim(graph, beside, STROMA.ModalityHedged, implied)

    def _claim(
        self, graph: Graph, claim: NamedNode, modality: NamedNode, facts: Sequence[Fact]
    ) -> Iterator[Quad]:
        if not facts:
            return
        yield graph.quad(claim, RDF.type, STROMA.CuratedStatement)
        yield from rests_on(graph, claim, STROMA.LevelCurated, BY_CURATOR_FROM_ARTICLE)
        yield graph.quad(claim, STROMA.confidence, self.confidence)
        yield graph.quad(claim, STROMA.basis, string(self.basis))
        yield graph.quad(claim, STROMA.modality, modality)
        for field in self.unverified:
            yield graph.quad(claim, STROMA.unverifiedField, string(field))
        if self.evidence is not None:
            yield graph.quad(claim, STROMA.hasEvidence, self.evidence)
        if self.address is not None:
            yield graph.quad(claim, STROMA.sourceAddress, string(self.address))
        for _, subject, predicate, value in facts:
            plain = modality == STROMA.ModalityAsserted
            yield from asserts(graph, claim, subject, predicate, value, plain=plain)
