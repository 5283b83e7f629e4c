"""Claims in quads: how a claim asserts a proposition, one typed edge that any number of claims may assert.

Hides in which words a proposition is written, and in which a node says its level and kind of evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyoxigraph import Literal, NamedNode, Quad

from kg.terms import OBO, PROV, RDF, STROMA, proposition
from loaders.emit import Graph


def asserts(
    graph: Graph,
    claim: NamedNode,
    subject: NamedNode,
    predicate: NamedNode,
    value: NamedNode | Literal,
    *,
    positive: bool = True,
    plain: bool = True,
) -> Iterator[Quad]:
    """`claim` asserts the edge: its proposition, and the edge itself when it is positive and `plain`.

    `plain` is False for a hedged or recommended statement, which must not read as a fact.
    """
    named = proposition(subject, predicate, value, positive=positive)
    polarity = STROMA.PolarityPositive if positive else STROMA.PolarityNegative
    yield graph.quad(claim, STROMA.asserts, named)
    yield graph.quad(named, RDF.type, STROMA.Proposition)
    yield graph.quad(named, STROMA.propositionSubject, subject)
    yield graph.quad(named, STROMA.propositionPredicate, predicate)
    yield graph.quad(named, STROMA.propositionObject, value)
    yield graph.quad(named, STROMA.polarity, polarity)
    if positive and plain:
        yield graph.quad(subject, predicate, value)


# Kinds of evidence (Evidence and Conclusion Ontology); labels: ontology/modules/imports-evidence.ttl.
BY_CURATOR = OBO.ECO_0000305  # curator inference
BY_CURATOR_FROM_ARTICLE = OBO.ECO_0007758
BY_CURATOR_FROM_DATABASE = OBO.ECO_0007759
IMPORTED = OBO.ECO_0000313  # taken over from elsewhere, nobody looked
BY_PATTERN = OBO.ECO_0008023  # a regular expression, nobody looked


def rests_on(graph: Graph, node: NamedNode, level: NamedNode, evidence: NamedNode) -> Iterator[Quad]:
    """The level of a node whose level is not its graph's, and the kind of evidence behind it."""
    yield graph.quad(node, STROMA.statementLevel, level)
    yield graph.quad(node, STROMA.evidenceType, evidence)


def generation(graph: Graph, node: NamedNode) -> Iterator[Quad]:
    """Which loading made a node, and the time its source's version stands for, as far as known."""
    if graph.activity is not None:
        yield graph.quad(node, PROV.wasGeneratedBy, graph.activity)
    if graph.generated is not None:
        yield graph.quad(node, PROV.generatedAtTime, graph.generated)


def stated(quads: Iterable[Quad]) -> list[tuple[NamedNode, NamedNode, NamedNode | Literal, bool]]:
    """The propositions among quads, sorted: subject, predicate, object, and whether it is positive."""
    words = (
        STROMA.propositionSubject,
        STROMA.propositionPredicate,
        STROMA.propositionObject,
        STROMA.polarity,
    )
    found: dict[object, dict[NamedNode, object]] = {}
    for quad in quads:
        if quad.predicate in words:
            found.setdefault(quad.subject, {})[quad.predicate] = quad.object
    edges = []
    for about in found.values():
        subject, predicate, value, polarity = (about[word] for word in words)
        assert isinstance(subject, NamedNode)
        assert isinstance(predicate, NamedNode)
        assert isinstance(value, NamedNode | Literal)
        edges.append((subject, predicate, value, polarity == STROMA.PolarityPositive))
    return sorted(edges, key=str)
