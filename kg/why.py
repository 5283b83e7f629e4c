"""Why a statement is in the graph: who states it, or from which axioms and stated facts it follows.

Hides where claims, spans, records and modules stand in a snapshot, which of its triples are axioms, and how a
proof becomes lines a person can read. Works on a snapshot's store and the ontology's files (for file and
line); asks no reasoner: `kg.proofs` keeps every derivation, which a classifier does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from pyoxigraph import Literal, NamedNode, Quad, QuerySolutions, Store

from kg.axioms import PROPERTY_AXIOMS, VOCABULARY, Axioms, Expression, Some, read_each
from kg.computed import COMPUTED, Computed
from kg.errors import ParameterError, UsageError
from kg.explanation import Axiom, Explanation, Reason, Source, Statement, Step, proposition
from kg.proofs import Any_, Edge, Fact, Is, Node, Proof, justify
from kg.provenance import INFERRED, METADATA, ONTOLOGY, Provenance, is_inferred, text_of, written
from kg.terms import OWL, RDF, RDFS, STROMA, compress, expand

_KINDS = (OWL.Class, OWL.ObjectProperty, OWL.TransitiveProperty, OWL.AllDisjointClasses)
_LITERAL = re.compile(r"""["']|[-+]?[0-9.]+$|(true|false)$""")
MAX_LIMIT = 20


def statement(subject: str, predicate: str, object: str) -> Statement:
    """A statement out of CURIEs or IRIs; `a` is rdf:type, the object may be a literal: 44.9, true, "a text".

    A literal stands for the one of that value in the graph, whatever its datatype, language and last zeros.
    Raises ParameterError naming the part at fault.
    """
    if predicate == "a":
        predicate = "rdf:type"
    value: NamedNode | Literal
    if _LITERAL.match(object):
        quoted = object[:1] in "\"'" and len(object) > 1 and object[-1] == object[0]
        value = Literal(object[1:-1] if quoted else object)
    else:
        value = _term("object", object)
    return _term("subject", subject), _term("predicate", predicate), value


def own_statement(store: Store, thing: str) -> Statement:
    """The statement that says what a finding, a link, a derived number or a comparison came to.

    Raises ParameterError for any other thing, of which a statement has to be given.
    """
    node = _term("subject", thing)
    found = Computed(store, Provenance(store, Path())).result(node)
    if found is None:
        raise ParameterError(
            f"{thing[:100]} is no finding, link, comparison or derived number; give the predicate and the "
            "object of a statement too"
        )
    return found


def _term(part: str, text: str) -> NamedNode:
    shown = text if len(text) <= 100 else f"{text[:97]}..."
    if _LITERAL.match(text):
        raise ParameterError(f"{part} {shown!r} is a literal; only the object of a statement may be one")
    curie = text[1:-1] if text.startswith("<") and text.endswith(">") else text
    try:
        return NamedNode(expand(curie).value)
    except UsageError as problem:
        raise ParameterError(f"{part}: {problem}") from None
    except ValueError:
        raise ParameterError(f"{part} {shown!r} is no IRI; write a CURIE such as stroma:hasArm") from None


def explain(
    store: Store,
    ontology: Path,
    subject: NamedNode,
    predicate: NamedNode,
    object: NamedNode | Literal,
    *,
    limit: int = 3,
    version: str = "",
) -> Explanation:
    """Why a statement is in a snapshot's store, with up to `limit` minimal justifications.

    `ontology` is the folder of the modules (for file and line). A stated statement gives its sources and no
    proof; one that we compute (a derived number, a finding, a link, an evidence line) the rule or method, the
    computation, and what went in, down to the characters. Raises UsageError for one that is not in the graph,
    with what is said of its subject.
    """
    graph = _Graph(store, ontology)
    triple: Statement = (subject, predicate, object)
    if isinstance(object, Literal):
        triple = (subject, predicate, graph.stored(subject, predicate, object))
    graphs = [quad.graph_name for quad in store.quads_for_pattern(*triple, None)]
    if not graphs:
        raise UsageError(graph.instead_of(triple))
    inferred = sorted(g.value for g in graphs if isinstance(g, NamedNode) and g.value.startswith(INFERRED))
    reasons = graph.computed(triple) if set(graphs) <= COMPUTED else ()
    told = len(inferred) < len(graphs) and not reasons
    complete = True
    if not told and not reasons:
        reasons, complete = graph.reasons(triple, min(max(limit, 1), MAX_LIMIT))
        by_rules = [graph.by_rule(triple, name.removeprefix(INFERRED)) for name in inferred]
        matched = tuple(reason for reason in by_rules if reason is not None)
        reasons, complete = reasons + matched, complete and not matched
    return Explanation(
        triple,
        graph.said(triple),
        graph.known.sources(triple) if told else (),
        tuple(graph.known.rule(name) for name in inferred),
        reasons,
        complete,
        version,
    )


class _Graph:
    """What an explanation needs of a store: its axioms, what it states, labels, and sources."""

    def __init__(self, store: Store, ontology: Path) -> None:
        self.store, self.ontology = store, ontology
        self.known = Provenance(store, ontology)
        self.made = Computed(store, self.known)
        self._axioms: dict[int, Axiom] = {}

    # ------------------------------------------------------------ axioms and facts

    @cached_property
    def written(self) -> Sequence[tuple[list[Quad], Axioms]]:
        """The written axioms, each with its head triples: one, or more where two graphs state the same."""
        quads = [
            quad
            for word in sorted(VOCABULARY, key=str)
            for quad in self.store.quads_for_pattern(None, word, None, None)
            if not is_inferred(quad) and (word not in PROPERTY_AXIOMS or quad.graph_name == ONTOLOGY)
        ]
        for kind in _KINDS:
            quads += self.store.quads_for_pattern(None, RDF.type, kind, None)
        heads: dict[object, tuple[list[Quad], Axioms]] = {}
        for head, axioms in read_each(quads):
            if axioms.subclasses or axioms.subproperties or axioms.chains:
                heads.setdefault(head.triple, ([], axioms))[0].append(head)
        # A store has blank nodes and an order of its own; the text of an axiom is always the same.
        return sorted(heads.values(), key=lambda each: (_in_curies(each[0][0], each[1]), str(each[0][0])))

    @property
    def axioms(self) -> Sequence[Axioms]:
        return [axioms for _, axioms in self.written]

    @cached_property
    def classes(self) -> frozenset[object]:
        return self.declared(OWL.Class)

    @cached_property
    def object_properties(self) -> frozenset[object]:
        return self.declared(OWL.ObjectProperty)

    def declared(self, kind: NamedNode) -> frozenset[object]:
        return frozenset(quad.subject for quad in self.store.quads_for_pattern(None, RDF.type, kind, None))

    def stated(self, individual: NamedNode) -> Iterator[Fact]:
        """The facts stated of an individual that a reasoner reads (as `Ontology.is_fact`)."""
        if individual in self.classes:
            return
        for quad in self.store.quads_for_pattern(individual, None, None, None):
            if is_inferred(quad) or quad.graph_name == METADATA or not isinstance(quad.object, NamedNode):
                continue
            if quad.predicate == RDF.type:
                if not quad.object.value.startswith((OWL("").value, RDF("").value, RDFS("").value)):
                    yield Is(individual, quad.object)
            elif quad.predicate in self.object_properties and quad.object not in self.classes:
                yield Edge(individual, quad.predicate, quad.object)

    def goal(self, triple: Statement) -> Fact | None:
        """What has to follow for a triple to be inferred; None where no axiom can give such a triple."""
        subject, predicate, object = triple
        if not isinstance(object, NamedNode):
            return None
        if predicate == RDFS.subClassOf:
            return Is(Any_(subject), object)
        if predicate == RDF.type:
            return Is(subject, object)
        if predicate not in self.object_properties:
            return None
        if subject in self.classes:
            return Is(Any_(subject), Some(predicate, object))
        return Edge(subject, predicate, object)

    def reasons(self, triple: Statement, limit: int) -> tuple[tuple[Reason, ...], bool]:
        """Minimal justifications of a triple, smallest first, and whether there is no other."""
        goal = self.goal(triple)
        if goal is None:
            return (), True
        found = justify(goal, self.axioms, self.stated, limit=limit)
        reasons = tuple(
            Reason(
                tuple(self.axiom(number) for number in sorted(each.axioms)),
                tuple(self.step(Proof(fact, stated=True)) for fact in sorted(each.facts, key=str)),
                self.step(each.proof),
            )
            for each in found.found
        )
        return reasons, found.complete

    def by_rule(self, triple: Statement, name: str) -> Reason | None:
        """What a rule of ontology/rules built a triple from; None where no such rule's file is there.

        The first of its solutions. A premise that is itself inferred comes with its own shortest proof.
        """
        path = self.ontology / "rules" / f"{name}.rq"
        if not path.is_file():
            return None
        place = f"ontology/rules/{path.name}"
        rule = Axiom(f"rule {name}", place, (Source("module", place, "", place, {"file": place}),))
        premises = tuple(self.known_step(each) for each in _matched(self.store, path, triple))
        proof = Step(self.said(triple), triple, (rule,), premises)
        facts, axioms = dict.fromkeys(_leaves(proof)), dict.fromkeys(_axioms(proof))
        return Reason(tuple(axioms), tuple(facts), proof)

    def known_step(self, triple: Statement) -> Step:
        """A triple of the graph as a line: with its sources where it is stated, else with its proof."""
        sources = self.known.sources(triple)
        reasons = () if sources else self.reasons(triple, 1)[0]
        return reasons[0].proof if reasons else Step(self.said(triple), triple, sources=sources)

    # ------------------------------------------------------------ what was computed

    def computed(self, triple: Statement) -> tuple[Reason, ...]:
        """How a statement of a graph that we compute came about; nothing where it only names a thing."""
        found = self.made.steps(triple, self.said(triple))
        return tuple(
            Reason(tuple(dict.fromkeys(_axioms(step))), tuple(dict.fromkeys(_leaves(step))), step)
            for step in found
        )

    def stored(self, subject: NamedNode, predicate: NamedNode, value: Literal) -> Literal:
        """The literal of the graph that has this value; the literal itself where none has."""
        found = (term for term in self.made.literals(subject, predicate) if _same_value(term, value))
        return next(found, value)

    # ------------------------------------------------------------ lines of a proof

    def step(self, proof: Proof) -> Step:
        """A proof with the turns that need no reason left out: taking a conjunction apart and together."""
        fact = proof.fact
        triple = _triple(fact)
        if proof.stated:
            assert triple is not None
            return Step(self.phrase(fact), triple, sources=self.known.sources(triple))
        axioms: list[Axiom] = []
        while proof.axiom is not None:
            axioms.append(self.axiom(proof.axiom))
            below = proof.premises[0]
            # A run of subclass axioms reads best as one step.
            if len(proof.premises) > 1 or below.axiom is None or not _is_about(below.fact, fact):
                break
            proof = below
        premises = dict.fromkeys(self.step(each) for each in _premises(proof))
        return Step(self.phrase(fact), triple, tuple(reversed(axioms)), tuple(premises))

    def axiom(self, number: int) -> Axiom:
        """A written axiom as text, with where it is written."""
        if number not in self._axioms:
            heads, axioms = self.written[number]
            text = _in_curies(heads[0], axioms)
            sources = dict.fromkeys(source for head in heads for source in self.known.of_axiom(head, text))
            self._axioms[number] = Axiom(
                written(heads[0], axioms, self.known.quoted), text, tuple(sorted(sources, key=_by_id))
            )
        return self._axioms[number]

    def phrase(self, fact: Fact) -> str:
        """A fact in words: "every drug product that ..." of a class, "prednisone is ..." of a thing."""
        who = self._who(fact.subject)
        if isinstance(fact, Edge):
            end = fact.object
            other = f"some {self._words(end.of)}" if isinstance(end, Any_) else self.known.label(end)
            return f"{who} {self.known.label(fact.property)} {other}"
        if isinstance(fact.what, Some):
            return f"{who} {self.known.label(fact.what.property)} some {self._words(fact.what.filler)}"
        return f"{who} is {self._words(fact.what)}"

    def _who(self, node: Node) -> str:
        return f"every {self._words(node.of)}" if isinstance(node, Any_) else self.known.label(node)

    def _words(self, expression: Expression) -> str:
        return text_of(expression, self.known.quoted)

    def said(self, triple: Statement) -> str:
        """A triple in labels; one that only reports says nothing of every member of a class."""
        goal = self.goal(triple)
        if goal is not None and not self._only_reports(goal, triple):
            return self.phrase(goal)
        return " ".join(self.known.label(t) if isinstance(t, NamedNode) else t.value for t in triple)

    def _only_reports(self, goal: Fact, triple: Statement) -> bool:
        """Whether sources claim an edge between classes by a relation that does not read as *every*."""
        if not (isinstance(goal, Is) and isinstance(goal.what, Some)):
            return False
        every = Quad(triple[1], STROMA.readsAs, Literal("every"), ONTOLOGY)
        return bool(self.known.claims(proposition(triple))) and every not in self.store

    # ------------------------------------------------------------ what there is instead

    def instead_of(self, triple: Statement) -> str:
        """The message for a statement that is not in the graph: who says it in part, and what is there."""
        shown = " ".join(compress(term.value) for term in triple)
        subject, predicate, object = triple
        claims = [*self.known.claims(proposition(triple))]
        if claims:
            said = "; ".join(
                source.text for claim, graph in claims[:3] for source in self.known.claim(claim, graph)
            )
            return f"{shown} is not in the graph as a statement; it is only claimed: {said}"
        same = self._near(self.store.quads_for_pattern(subject, predicate, None, None))
        converse = (
            self._near(self.store.quads_for_pattern(object, predicate, subject, None))
            if isinstance(object, NamedNode)
            else []
        )
        others = self._near(self.store.quads_for_pattern(subject, None, object, None))
        near = [*others, *converse, *same][:5]
        if near:
            return f"{shown} is not in the graph; these statements are: {'; '.join(near)}"
        predicates = {
            compress(quad.predicate.value)
            for quad in self.store.quads_for_pattern(subject, None, None, None)
            if isinstance(quad.object, NamedNode)
        }
        if predicates:
            return (
                f"{shown} is not in the graph; these relations of {compress(subject.value)} are: "
                f"{', '.join(sorted(predicates)[:12])}"
            )
        return (
            f"{shown} is not in the graph, which says nothing of {compress(subject.value)}; "
            "look it up by its label with `kg query`"
        )

    def _near(self, quads: Iterable[Quad]) -> list[str]:
        found = {
            " ".join(compress(term.value) for term in (quad.subject, quad.predicate, quad.object))
            for quad in quads
            if isinstance(quad.subject, NamedNode)
            and isinstance(quad.object, NamedNode | Literal)
            and len(quad.object.value) < 200  # a long text says nothing here
        }
        return sorted(found)


def _same_value(one: Literal, other: Literal) -> bool:
    """Whether two literals read alike, or are the same number."""
    if one.value == other.value:
        return True
    try:
        return Decimal(one.value) == Decimal(other.value)
    except ArithmeticError:
        return False


def _in_curies(head: Quad, axioms: Axioms) -> str:
    return written(head, axioms, lambda term: compress(term.value))


def _by_id(source: Source) -> tuple[str, str]:
    return source.graph, source.id


def _is_about(one: Fact, other: Fact) -> bool:
    return isinstance(one, Is) and isinstance(other, Is) and one.subject == other.subject


def _premises(proof: Proof) -> Iterator[Proof]:
    """The premises that need a line: facts of an axiom or a source, beneath the turns that need none."""
    for each in proof.premises:
        if each.stated or each.axiom is not None:
            yield each
        else:
            yield from _premises(each)


def _triple(fact: Fact) -> Statement | None:
    """The triple of the graph that says a fact, where there is one."""
    subject = fact.subject.of if isinstance(fact.subject, Any_) else fact.subject
    if not isinstance(subject, NamedNode):
        return None
    if isinstance(fact, Edge):
        if isinstance(fact.subject, Any_) != isinstance(fact.object, Any_):
            return None
        end = fact.object.of if isinstance(fact.object, Any_) else fact.object
        return (subject, fact.property, end) if isinstance(end, NamedNode) else None
    if isinstance(fact.what, NamedNode):
        return (subject, RDFS.subClassOf if isinstance(fact.subject, Any_) else RDF.type, fact.what)
    if isinstance(fact.what, Some) and isinstance(fact.subject, Any_):
        filler = fact.what.filler
        return (subject, fact.what.property, filler) if isinstance(filler, NamedNode) else None
    return None


def _leaves(step: Step) -> Iterator[Step]:
    if step.stated:
        yield step
    for premise in step.premises:
        yield from _leaves(premise)


def _axioms(step: Step) -> Iterator[Axiom]:
    yield from step.axioms
    for premise in step.premises:
        yield from _axioms(premise)


# ---------------------------------------------------------------- rules


def _matched(store: Store, path: Path, triple: Statement) -> list[Statement]:
    """The triples that a rule's WHERE matched when its CONSTRUCT gave a triple."""
    from rdflib import Variable
    from rdflib.plugins.sparql import prepareQuery

    query = path.read_text(encoding="utf-8")
    algebra = prepareQuery(query).algebra
    where = re.search(r"\bWHERE\s*\{(.*)\}", query, re.DOTALL | re.IGNORECASE)
    prefixes = "\n".join(re.findall(r"^\s*PREFIX.*$", query, re.MULTILINE | re.IGNORECASE))
    for pattern in algebra["template"]:
        pairs = list(zip(pattern, triple, strict=True))
        if any(not isinstance(part, Variable) and str(part) != term.value for part, term in pairs):
            continue
        bound = {f"?{part}": str(term) for part, term in pairs if isinstance(part, Variable)}
        values = f"VALUES ({' '.join(bound)}) {{ ({' '.join(bound.values())}) }}" if bound else ""
        body = where.group(1) if where else ""
        answer = store.query(
            f"{prefixes}\nSELECT * WHERE {{ {values} {{ {body} }} }}", use_default_graph_as_union=True
        )
        assert isinstance(answer, QuerySolutions)
        solution = next(answer, None)
        if solution is None:
            continue
        found: dict[Statement, None] = {}
        for each in _patterns(algebra["p"]):
            s, p, o = (
                solution[str(part)] if isinstance(part, Variable) else NamedNode(str(part)) for part in each
            )
            # What only an OPTIONAL or a NOT EXISTS asks for may not be there.
            if (
                isinstance(s, NamedNode)
                and isinstance(p, NamedNode)
                and isinstance(o, NamedNode | Literal)
                and next(store.quads_for_pattern(s, p, o, None), None) is not None
            ):
                found[s, p, o] = None
        return list(found)
    return []


def _patterns(algebra: object) -> Iterator[tuple[object, ...]]:
    if isinstance(algebra, Mapping):
        for key, part in algebra.items():
            if key == "triples" and part:
                yield from part
            else:
                yield from _patterns(part)
    elif isinstance(algebra, list):
        for part in algebra:
            yield from _patterns(part)
