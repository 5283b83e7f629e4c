"""What must follow and what must not, in every reasoner we have; and that the axioms rows rest on are needed.

entailments.tsv is the table. A row asks of the modules and entailments.ttl together; one with `given` plants
those statements beside them. `design` is the number of the entailment in the design's list (patterns.md,
section 12). `differs` names a reasoner that answers otherwise, with the reason: where it comes to agree, its
test fails and the entry goes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
from pyoxigraph import BlankNode, NamedNode, Quad, RdfFormat, parse

from kg.errors import OntologyError, UsageError
from kg.ontology import Ontology, read
from kg.reasoning import claims_derived, inferred_quads
from kg.referees import REFEREES, Classification, axioms_as_classes, entailed
from kg.terms import OWL, RDF, RDFS, ROOT, compress, expand, mint

HERE = Path(__file__).parent
RULES = ROOT / "ontology" / "rules"
GRAPH = mint("graph", "literature")
EXAMPLE = "https://example.org/"
SERVED = "materialisation"
PREFIXES = sorted({"BFO", "CHEBI", "CL", "GO", "IAO", "PR", "RO", "UBERON", "owl", "rdfs", "stroma"})
THINGS = ("group", "observation", "product", "regimen")


def term(curie: str) -> NamedNode:
    return NamedNode(EXAMPLE + curie[8:]) if curie.startswith("example:") else expand(curie)


def quads_of(turtle: str) -> list[Quad]:
    header = "".join(f"@prefix {name}: <{expand(name + ':').value}> .\n" for name in (*PREFIXES, *THINGS))
    parsed = parse(f"{header}@prefix example: <{EXAMPLE}> .\n{turtle}", RdfFormat.TURTLE)
    return [Quad(q.subject, q.predicate, q.object, GRAPH) for q in parsed]


@dataclass(frozen=True)
class Row:
    """One line of entailments.tsv."""

    subject: str
    relation: str
    object: str
    expected: str
    why: str
    given: str
    design: str
    differs: str
    line: int

    @property
    def between_classes(self) -> bool:
        return self.relation == "subClassOf" or self.subject.startswith(
            ("CHEBI:", "CL:", "PR:", "UBERON:", "stroma:")
        )

    @property
    def triple(self) -> tuple[NamedNode, NamedNode, NamedNode]:
        words = {"subClassOf": RDFS.subClassOf, "type": RDF.type}
        return term(self.subject), words.get(self.relation) or term(self.relation), term(self.object)

    @property
    def probe(self) -> NamedNode:
        """The class that stands for *relation some object* where a referee is asked of a relation."""
        return NamedNode(f"{EXAMPLE}probe/{self.relation}/{self.object}")

    @cached_property
    def planted(self) -> tuple[Quad, ...]:
        """What has to be told to ask this row: what is given, and the probe with its definition."""
        quads = quads_of(self.given)
        if self.relation == "subClassOf":
            return tuple(quads + [Quad(q.subject, RDF.type, OWL.Class, GRAPH) for q in quads])
        if self.relation == "type":
            return tuple(quads)
        _, relation, object_ = self.triple
        filler = object_
        if not self.between_classes:  # a class of its own marks the one individual
            filler = NamedNode(f"{EXAMPLE}is/{self.object}")
            quads += [Quad(filler, RDF.type, OWL.Class, GRAPH), Quad(object_, RDF.type, filler, GRAPH)]
        some = BlankNode()
        quads += [
            Quad(self.probe, RDF.type, OWL.Class, GRAPH),
            Quad(self.probe, OWL.equivalentClass, some, GRAPH),
            Quad(some, RDF.type, OWL.Restriction, GRAPH),
            Quad(some, OWL.onProperty, relation, GRAPH),
            Quad(some, OWL.someValuesFrom, filler, GRAPH),
        ]
        return tuple(quads)

    @property
    def asked(self) -> tuple[NamedNode, NamedNode]:
        """The pair (class or individual, class above it) that a referee is asked for."""
        return term(self.subject), term(self.object) if self.relation in (
            "subClassOf",
            "type",
        ) else self.probe

    def due(self, reasoner: str) -> bool:
        """What this reasoner is to answer."""
        named = {entry.split(": ")[0] for entry in self.differs.split("; ")}
        return (self.expected == "yes") != (reasoner in named)

    def __str__(self) -> str:
        given = f"given {self.given} " if self.given else ""
        return (
            f"{given}{self.subject} {'' if self.expected == 'yes' else 'not '}{self.relation} {self.object}"
        )


def rows() -> Iterator[Row]:
    """The rows of the table; ValueError names the line of one that is none."""
    with (HERE / "entailments.tsv").open(encoding="utf-8") as table:
        cells = csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE, restval="")
        for number, line in enumerate(cells, start=2):
            row = Row(**line, line=number)
            place = f"tests/entailments.tsv, line {number}"
            if row.expected not in ("yes", "no") or not row.why:
                raise ValueError(
                    f"{place}: write subject, relation, object, yes or no, and why, with tabs between them"
                )
            try:
                assert row.triple
                assert row.planted is not None
            except (UsageError, ValueError, SyntaxError) as problem:
                known = ", ".join(f"{name}:" for name in (*PREFIXES, *THINGS))
                raise ValueError(f"{place}: {problem}. Prefixes of `given` are {known} example:") from problem
            yield row


ROWS = list(rows())
# An impossible class leaves all else as it was; an impossible thing makes all impossible and stands alone.
ALONE = [row for row in ROWS if row.given and row.relation == "type" and row.expected == "yes"]
TOGETHER = [row for row in ROWS if row not in ALONE]
WORLDS: Mapping[str, list[Row]] = {"together": TOGETHER, **{row.given: [row] for row in ALONE}}


def otherwise(row: Row, reasoner: str, ontology: Ontology, abox: Iterable[Quad]) -> str:
    """What to say where a reasoner answers a row otherwise than it is due."""
    found = "does not follow" if row.due(reasoner) else "follows"
    said = [f"tests/entailments.tsv, line {row.line}: {row} ({row.why}). By {reasoner} it {found}."]
    described = {quad.subject for quad in (*abox, *row.planted)}
    for name in (row.subject, row.object):
        if name.startswith("stroma:") and term(name) not in ontology.declared:
            near = ", ".join(ontology.nearest(term(name))) or "nothing like it"
            said.append(f"{name} is declared in no module (declared: {near}).")
        elif name.partition(":")[0] in THINGS and term(name) not in described:
            said.append(f"{name} is described neither in tests/entailments.ttl nor in `given`.")
    return " ".join([*said, "Correct the definition, or the row"])


def told(ontology: Ontology, rows: Iterable[Row]) -> tuple[Ontology, list[Quad]]:
    """The ontology with what the rows plant between classes, and the facts with what they plant of things."""
    planted = [quad for row in rows for quad in row.planted]
    classes = {q.subject for q in planted if q.object == OWL.Class and isinstance(q.subject, NamedNode)}
    facts = [q for q in planted if q.subject not in classes and not isinstance(q.subject, BlankNode)]
    axioms = [q for q in planted if q not in facts]
    declared = {**ontology.declared, **{name: frozenset({"class"}) for name in classes}}
    return replace(ontology, quads=(*ontology.quads, *axioms), declared=declared), facts


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return read(ROOT / "ontology")


@pytest.fixture(scope="module")
def abox() -> list[Quad]:
    parsed = parse(path=HERE / "entailments.ttl")
    return [Quad(q.subject, q.predicate, q.object, GRAPH) for q in parsed]


@pytest.fixture(scope="module")
def answers(ontology: Ontology, abox: list[Quad]) -> dict[tuple[str, str], Classification]:
    """By referee and world, what the referee says of it."""
    found = {}
    for world, rows in WORLDS.items():
        wider, facts = told(ontology, rows)
        facts += [] if rows[0] in ALONE else [*abox, *claims_derived(ontology, abox)]
        for name, classify in REFEREES.items():
            found[name, world] = classify(wider, facts)
    return found


@pytest.fixture(scope="module")
def served(ontology: Ontology, abox: list[Quad]) -> set[tuple[object, ...]]:
    """The statements a query sees."""
    quads = [*ontology.quads, *abox, *inferred_quads(ontology, abox, RULES)]
    return {(q.subject, q.predicate, q.object) for q in quads}


# ---------------------------------------------------------------- the table


def test_the_table_holds_what_the_issue_asks_for() -> None:
    impossible = [row for row in ROWS if row.object == "owl:Nothing" and row.expected == "yes"]
    refused = [row for row in ROWS if row.expected == "no"]
    by_design = {row.design for row in ROWS}

    assert len(ROWS) - len(impossible) - len(refused) >= 25
    assert len(impossible) + len(refused) >= 15
    # All of the list but 21, "monotherapy": it needs closure and is a query, never an axiom.
    assert by_design - {""} == {str(number) for number in range(1, 21)}
    assert len({(row.given, row.triple) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("reasoner", REFEREES)
def test_a_referee_agrees_with_the_table(
    reasoner: str,
    row: Row,
    answers: dict[tuple[str, str], Classification],
    ontology: Ontology,
    abox: list[Quad],
) -> None:
    result = answers[reasoner, row.given if row in ALONE else "together"]
    if row.object == "owl:Nothing":
        answer = not result.consistent or term(row.subject) in result.unsatisfiable
    else:
        answer = row.asked in result.subsumptions | result.types

    if answer != row.due(reasoner):
        pytest.fail(otherwise(row, reasoner, ontology, abox), pytrace=False)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.given], ids=str)
def test_the_graph_that_is_served_agrees_with_the_table(
    row: Row, served: set[tuple[object, ...]], ontology: Ontology, abox: list[Quad]
) -> None:
    if (row.triple in served) != row.due(SERVED):
        pytest.fail(otherwise(row, SERVED, ontology, abox), pytrace=False)


@pytest.mark.parametrize("row", [row for row in ROWS if row.given], ids=str)
def test_the_build_stops_where_the_table_sees_a_contradiction(row: Row, ontology: Ontology) -> None:
    wider, facts = told(ontology, [row])
    if row.due(SERVED):
        with pytest.raises(OntologyError, match=row.subject.replace("example:", "")):
            inferred_quads(wider, facts, RULES)
    else:
        inferred_quads(wider, facts, RULES)


def test_no_referee_finds_an_impossible_class_among_ours(
    ontology: Ontology, answers: dict[tuple[str, str], Classification]
) -> None:
    for reasoner in REFEREES:
        result = answers[reasoner, "together"]
        assert result.consistent, reasoner
        assert ontology.classes.isdisjoint(result.unsatisfiable), reasoner


def test_the_graph_that_is_served_holds_what_hermit_finds_and_no_more(
    ontology: Ontology, abox: list[Quad], served: set[tuple[object, ...]]
) -> None:
    referee = REFEREES["HermiT"](ontology, [*abox, *claims_derived(ontology, abox)])
    things = {q.subject for q in [*ontology.quads, *abox] if q.predicate == RDF.type and ontology.is_fact(q)}

    def pairs(relation: NamedNode) -> set[tuple[object, object]]:
        ends = {(s, o) for s, p, o in served if p == relation and isinstance(o, NamedNode) and s != o}
        return {pair for pair in ends if pair[1] != OWL.NamedIndividual}

    assert referee.subsumptions == pairs(RDFS.subClassOf)
    # Facets included: the rules say for numbers what EL cannot.
    assert {pair for pair in referee.types if pair[0] in things} == {
        pair for pair in pairs(RDF.type) if pair[0] in things
    }


def test_referees_find_the_same_in_all_but_what_has_a_facet(
    answers: dict[tuple[str, str], Classification],
) -> None:
    facets = {term(row.object) for row in ROWS if "facet" in row.differs}
    whole = answers["HermiT", "together"]
    rustdl, pyelk = answers["rustdl", "together"], answers["pyelk", "together"]

    assert (whole.subsumptions, whole.types) == (rustdl.subsumptions, rustdl.types)
    assert {pair for pair in whole.types if pair[1] not in facets} == pyelk.types
    # pyelk skips the axiom with the facet whole, so it misses as well what is above such a class.
    assert {pair for pair in whole.subsumptions if not {*pair} & facets} == pyelk.subsumptions


# ---------------------------------------------------------------- mutation


@dataclass(frozen=True)
class Axioms:
    """The logical axioms of the modules, those the rows plant or the facts state, and the rows' questions."""

    ours: tuple[str, ...]
    rest: tuple[str, ...]
    questions: tuple[tuple[NamedNode, NamedNode], ...]

    def answers_without(self, removed: Iterable[str] = ()) -> list[bool]:
        """What becomes of the questions when some axioms are gone."""
        left = frozenset(self.ours).difference(removed)
        return entailed([*self.rest, *left], self.questions)

    def relied_on(self, among: tuple[str, ...]) -> set[str]:
        """Those among some axioms without any one of which a question's answer is no longer yes.

        What follows only grows with the axioms: a half that can go as a whole holds none of them.
        """
        if not among or all(self.answers_without(among)):
            return set()
        if len(among) == 1:
            return {*among}
        half = len(among) // 2
        return self.relied_on(among[:half]) | self.relied_on(among[half:])


def kind(axiom: str) -> str:
    """What kind of axiom a line in functional syntax is."""
    if "ObjectPropertyChain(" in axiom:
        return "property chain"
    names = {
        "EquivalentClasses": "defined class",
        "DisjointClasses": "disjointness",
        "TransitiveObjectProperty": "transitive property",
        "SubObjectPropertyOf": "sub-property",
    }
    if (head := axiom.split("(")[0]) in names:
        return names[head]
    return "necessary condition" if "SomeValuesFrom(" in axiom else "subclass or type"


def axioms_of(ontology: Ontology, abox: list[Quad]) -> Axioms:
    wider, facts = told(ontology, TOGETHER)
    whole = axioms_as_classes(wider, [*facts, *abox, *claims_derived(ontology, abox)])
    ours = {line for line in axioms_as_classes(ontology) if not line.startswith("Declaration(")}
    asked = tuple(row.asked for row in TOGETHER if row.expected == "yes")
    return Axioms(tuple(sorted(ours)), tuple(line for line in whole if line not in ours), asked)


@pytest.fixture(scope="module")
def axioms(ontology: Ontology, abox: list[Quad]) -> Axioms:
    return axioms_of(ontology, abox)


def test_every_row_that_expects_yes_is_answered_with_all_axioms(axioms: Axioms) -> None:
    assert all(axioms.answers_without())


@pytest.mark.parametrize(
    "wanted", ["defined class", "property chain", "disjointness", "transitive property", "sub-property"]
)
def test_removing_any_one_such_axiom_changes_a_row(wanted: str, axioms: Axioms) -> None:
    these = [axiom for axiom in axioms.ours if kind(axiom) == wanted]
    idle = [axiom for axiom in these if all(axioms.answers_without([axiom]))]

    assert len(these) > 2
    if idle:
        shown = (re.sub(r"<([^<> ]+)>", lambda iri: compress(iri[1]), axiom) for axiom in idle)
        pytest.fail(
            "no row of tests/entailments.tsv needs these; add a yes for each: " + "; ".join(shown),
            pytrace=False,
        )
