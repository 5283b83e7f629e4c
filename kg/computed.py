"""How what we compute came about: a derived number, a finding, a link, a comparison, an evidence line.

Hides which triples of a computed graph lead to the rule or method, the computation and what went in. Every
step ends at claims with document, line and characters, or at records.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyoxigraph import Literal, NamedNode, Store

from kg.explanation import Axiom, Source, Statement, Step, proposition
from kg.provenance import DERIVED, Provenance
from kg.terms import BASE, OBO, PROV, RDF, STROMA, compress, mint

_FINDINGS, _LINKS = mint("graph", "findings"), mint("graph", "links")
_LINES = mint("graph", "evidence-lines")
COMPUTED = frozenset({DERIVED, _FINDINGS, _LINKS, _LINES})  # graphs

# The numbers of a record that a calculation may have used.
_NUMBERS = tuple(
    STROMA(name)
    for name in (
        "numberAffected", "sampleSize", "percentage", "eventCount", "ratePer100PatientYears", "meanValue",
        "sdValue", "doseAmount", "doseLow", "doseHigh",
    )
)  # fmt: skip
_ABOUT = (
    STROMA.forMeasure, STROMA.forOutcome, STROMA.aboutArm, STROMA.aboutGroup, STROMA.comparesGroup,
)  # fmt: skip
_DIRECTIONS = (OBO.SEPIO_0000007, OBO.SEPIO_0000008, OBO.SEPIO_0000009)
# What leads from a computed thing to the rule or method that gave it, and to what went in.
_WAYS = (
    (STROMA.derivationMethod, PROV.wasDerivedFrom),
    (STROMA.foundByRule, STROMA.involves),
    (STROMA.linkMethod, PROV.wasDerivedFrom),
    (STROMA.comparisonResult, PROV.wasDerivedFrom),
)
_GRAPH, _CLAIM = f"{BASE}graph/", f"{BASE}claim/"


class Computed:
    """What was computed, in a snapshot's store; `known` has sources and labels."""

    def __init__(self, store: Store, known: Provenance) -> None:
        self.store, self.known = store, known

    def steps(self, triple: Statement, said: str) -> tuple[Step, ...]:
        """The ways in which a statement of a computed graph came about, with `said` as its words.

        More than one where several links give it; none where nothing was computed, as of a label of a rule.
        """
        subject, predicate, value = triple
        if predicate in _DIRECTIONS and isinstance(value, NamedNode):
            return (self._line(subject, predicate, value, said),)
        if self._way(subject) is not None:
            edge = self._words(triple) if predicate == STROMA.asserts else said
            return (self._step(subject, triple, edge),)
        links = (claim for claim, graph in self.known.claims(proposition(triple)) if graph == "graph:links")
        return tuple(self._step(link, triple, said) for link in links)

    def result(self, node: NamedNode) -> Statement | None:
        """The statement that says what a computed thing came to; None of any other thing."""
        for word in (STROMA.derivedValue, STROMA.derivedLow, STROMA.ciLow):
            if values := self.literals(node, word):
                return node, word, values[0]
        for word in (
            STROMA.asserts,
            STROMA.discrepancyKind,
            STROMA.comparisonResult,
            STROMA.derivationMethod,
        ):
            if (nodes := self._nodes(node, word)) and self._way(node) is not None:
                return node, word, nodes[0]
        return None

    def literals(self, subject: NamedNode, predicate: NamedNode) -> list[Literal]:
        """The literals that a thing has, in order."""
        held = (quad.object for quad in self.store.quads_for_pattern(subject, predicate, None, None))
        return sorted({term for term in held if isinstance(term, Literal)}, key=str)

    def _nodes(self, subject: NamedNode, predicate: NamedNode) -> list[NamedNode]:
        held = (quad.object for quad in self.store.quads_for_pattern(subject, predicate, None, None))
        return sorted({term for term in held if isinstance(term, NamedNode)}, key=str)

    def _way(self, node: NamedNode) -> tuple[NamedNode, NamedNode, NamedNode] | None:
        """What leads to the rule or method of a computed thing, that itself, and what leads to its inputs."""
        for relation, inputs in _WAYS:
            if found := self._nodes(node, relation):
                return relation, found[0], inputs
        return None

    def _step(self, node: NamedNode, triple: Statement, said: str) -> Step:
        """A statement with the rule or method behind a computed thing, and the statements that went in."""
        way = self._way(node)
        assert way is not None
        relation, method, leads = way
        words = [
            literal.value
            for word in (STROMA.computation, STROMA.explanation, STROMA.basis)
            for literal in self.literals(node, word)
        ]
        computation = words[0] if words else ""
        grades = self._nodes(node, STROMA.confidence)
        graded = "".join(f" ({self.known.label(grade)})" for grade in grades)
        text = f"{self.known.label(method)}: {computation}{graded}"
        sources = (self.known.activity(node),) if self._nodes(node, PROV.wasGeneratedBy) else ()
        applied = Axiom(text, computation, sources, method, relation)
        inputs = self._nodes(node, leads)
        asserted = {each: told for each in inputs if (told := self._asserted(each)) is not None}
        # A finding names the things and the claims of its statements too, a number the results they are of.
        of_those = {told[0] for told in asserted.values()}
        if leads == STROMA.involves and asserted:
            inputs = [each for each in inputs if each in asserted]
        premises = [step for each in inputs if each not in of_those for step in self._premises(each)]
        return Step(said, triple, (applied,), tuple(dict.fromkeys(premises)))

    def _line(self, about: NamedNode, direction: NamedNode, evidence: NamedNode, said: str) -> Step:
        """An evidence line: what its relation means, the statement it is of, and the evidence."""
        meaning = (each.value for each in self.literals(direction, OBO.IAO_0000115) if each.language == "en")
        text = ": ".join([self.known.label(direction), *meaning])
        written = self.known.sources((direction, RDF.type, self._nodes(direction, RDF.type)[0]))
        premises = [*self._premises(about)]
        edge = self._asserted(about)
        kept = edge is not None and any(self.store.quads_for_pattern(*edge, None))
        if edge is not None and kept and evidence.value.startswith((_GRAPH, f"{BASE}record/")):
            # The edge stands there without a claim.
            where = compress(evidence.value)
            source = Source("graph", where, where, f"{where}: {self.known.label(evidence)}")
            premises.append(Step(f"{self._words(edge)}, as {where} has it", edge, sources=(source,)))
        else:
            premises += self._premises(evidence)
        triple: Statement = (about, direction, evidence)
        applied = Axiom(text, compress(direction.value), written)
        return Step(said, triple, (applied,), tuple(dict.fromkeys(premises)))

    # ------------------------------------------------------------ what went in

    def _premises(self, node: NamedNode) -> Iterator[Step]:
        """What a thing that went in says: a proposition, a computed thing, a claim, a result, a record."""
        told = self._asserted(node)
        if told is not None:
            yield self._reported(told, node)
        elif self._way(node) is not None and not node.value.startswith(_CLAIM):
            result = self.result(node) or (node, RDF.type, self._nodes(node, RDF.type)[0])
            yield self._step(node, result, self._words(result))
        elif asserted := self._nodes(node, STROMA.asserts):
            texts = self.literals(node, STROMA.claimText)
            text = texts[0].value if texts else self._words(self._asserted(asserted[0]))
            yield Step(text, (node, STROMA.asserts, asserted[0]), sources=self._of_claim(node))
        else:
            # The numbers of a registry's result have no claims of their own.
            numbers = [(node, word, value) for word in _NUMBERS for value in self.literals(node, word)]
            yield from (self._reported(number) for number in numbers)
            if not numbers and (types := self._nodes(node, RDF.type)):
                kinds = [(node, RDF.type, kind) for kind in types]
                first = next((kind for kind in kinds if self.known.sources(kind)), kinds[0])
                yield Step(self._words(first), first, sources=self.known.sources(first))

    def _asserted(self, node: NamedNode) -> Statement | None:
        """The edge that a proposition is; None of anything else."""
        subjects = self._nodes(node, STROMA.propositionSubject)
        predicates = self._nodes(node, STROMA.propositionPredicate)
        word = STROMA.propositionObject
        values: list[NamedNode | Literal] = [*self._nodes(node, word), *self.literals(node, word)]
        if not (subjects and predicates and values):
            return None
        return subjects[0], predicates[0], values[0]

    def _of_claim(self, claim: NamedNode) -> tuple[Source, ...]:
        graphs = self.store.quads_for_pattern(claim, STROMA.asserts, None, None)
        graph = next(compress(quad.graph_name.value) for quad in graphs)  # type: ignore[union-attr]
        return tuple(self.known.claim(claim, graph))

    def _reported(self, triple: Statement, node: NamedNode | None = None) -> Step:
        """A reported statement in words, with who reports it; of a proposition, whoever claims that."""
        denied = node is not None and STROMA.PolarityNegative in self._nodes(node, STROMA.polarity)
        text = f"not: {self._words(triple)}" if denied else self._words(triple)
        claims = self.known.claims(node) if node is not None else []
        sources = tuple(source for claim, graph in claims for source in self.known.claim(claim, graph))
        if not denied and any(self.store.quads_for_pattern(*triple, None)):
            return Step(text, triple, sources=self.known.sources(triple) or sources)
        # A hedged or denied edge is no statement of the graph; that it is claimed is.
        said: Statement | None = (claims[0][0], STROMA.asserts, node) if claims and node is not None else None
        return Step(text, said, sources=sources)

    def _words(self, triple: Statement | None) -> str:
        """A statement in words: what a result is of, instead of its name."""
        if triple is None:
            return ""
        node, predicate, value = triple
        if predicate == STROMA.asserts and isinstance(value, NamedNode):
            return f"{self.known.label(node)}: {self._words(self._asserted(value))}"
        about = [self.known.label(each) for word in _ABOUT for each in self._nodes(node, word)]
        about += [each.value for each in self.literals(node, STROMA.timepointLabel)]
        thing = ", ".join(dict.fromkeys(about)) or self.known.label(node)
        shown = value.value if isinstance(value, Literal) else self.known.label(value)
        return f"{thing}: {self.known.label(predicate)} {shown}"
