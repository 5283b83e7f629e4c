"""Propositions: one typed edge that any number of claims may assert.

Hides how a proposition's IRI is made, so that two sources that say the same thing meet in one proposition.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyoxigraph import Literal, NamedNode, Quad

from kg.terms import RDF, STROMA, digest, mint
from loaders.emit import Graph


def proposition(
    subject: NamedNode, predicate: NamedNode, value: NamedNode | Literal, *, positive: bool = True
) -> NamedNode:
    """The IRI of an edge taken as a statement: a digest of subject, predicate, object and polarity."""
    polarity = "positive" if positive else "negative"
    return mint("proposition", digest(str(subject), str(predicate), str(value), polarity))


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
