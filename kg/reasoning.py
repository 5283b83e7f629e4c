"""What follows from the ontology and the facts, each inference in a graph named after the rule that gave it.

Hides the classifier, the model of individuals, the parts in which facts come (`kg.facts`, which keeps memory
flat and says why that loses nothing), and the order of the steps. The everyday path: no Java.

pyelk classifies the axioms; individuals are realised here. pyelk could realise them too, but takes 78 s for
48,100 individuals, this 1 s (measured 2026-11-22). The two steps lose nothing: without inverses, nominals
and ranges, which the reader of axioms sets aside as beyond EL, what is above a class never depends on an
individual, so individuals need only the hierarchy.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, parse

from kg.axioms import And, Hierarchy, read_axioms
from kg.checks import Places
from kg.errors import OntologyError
from kg.facts import CLAIM_WORDS, SHARES, TYPE, Edge, Parts, Stated, term, token
from kg.model import Model, rule_texts
from kg.ontology import Ontology
from kg.rules import Rule, construct, read_by
from kg.snapshot import line_of
from kg.terms import OBO, OWL, RDF, RDFS, STROMA, compress, digest, mint
from kg.workers import in_order

CLAIMS_DERIVED = mint("graph", "claims-derived")
METADATA = mint("graph", "metadata")
AT_ONCE = 10_000  # things with edges in one part: about 20 MB

# Relations that textbooks state between classes. Of our own, those that data state between classes join
# them; `administers` between two classes would answer questions about regimens with a class.
_TEXTBOOK = (
    OBO("BFO_0000050"),  # part of
    OBO("BFO_0000051"),  # has part
    OBO("RO_0000056"),  # participates in
    OBO("RO_0000057"),  # has participant
    OBO("RO_0000087"),  # has role
    OBO("RO_0002215"),  # capable of
    OBO("RO_0002304"),  # causally upstream of, positive effect
    OBO("RO_0002305"),  # causally upstream of, negative effect
    OBO("RO_0002411"),  # causally upstream of
)
# What upper ontologies hold, and what other public ones mark as upper level in their own files.
_UPPER = tuple(token(name)[:-1] for name in (OBO("BFO_"), OBO("COB_")))
_IN_SUBSET = NamedNode("http://www.geneontology.org/formats/oboInOwl#inSubset")
_UPPER_LEVEL = OBO("uberon/core#upper_level")
_OURS = token(STROMA(""))[:-1]


@dataclass(frozen=True)
class Inferences:
    """What the build adds, told in numbers; the quads are in the file given to `infer`."""

    counts: Mapping[str, int]  # rule -> quads in its graph
    graphs: Mapping[str, int]  # IRI of a graph -> quads added to it
    seconds: Mapping[str, float]  # step -> wall clock
    beyond_el: tuple[str, ...]  # axioms only the referee (HermiT) reads
    whole: Mapping[str, str]  # rule that had to see everything at once -> why


def infer(
    ontology: Ontology,
    quads: Iterable[Quad | bytes],
    rules: Path,
    target: Path,
    *,
    at_once: int = AT_ONCE,
    processes: int = 1,
) -> Inferences:
    """Write everything entailed and not asserted: subclasses, types, class relations, edges, rules' results;
    with them the axioms that claims give, and the description of the graphs.

    `quads` are all sources' quads or their lines, read once; `rules` a folder of CONSTRUCT rules `<name>.rq`,
    run after the reasoner, in the order of their names, each seeing the results of those before it; what one
    reads that looks further than from one thing to what it leads to is held in memory. `target` becomes an
    N-Quads file; `at_once` is how many things are reasoned over at a time, and changes nothing but the order
    of lines; `processes` how many reason, and changes nothing. Raises OntologyError for an unsatisfiable
    class, a cycle of subclasses or an inconsistent individual, with the statements it follows from.
    """
    clock = _Clock()
    constructs = [Rule.read(path) for path in sorted(rules.glob("*.rq"))]
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix="reasoning-") as name,
        (Path(name) / "inferred.nq").open("wb") as file,
    ):
        folder = Path(name)
        stated = Stated(ontology, read_by(constructs), folder)
        stated.read(quads)
        derived = claims_derived(ontology, stated.claims_about_classes())
        stated.class_relations |= {
            token(q.object)
            for q in derived
            if q.predicate == OWL.onProperty and isinstance(q.object, NamedNode)
        }
        clock.lap("read")

        hierarchy = Hierarchy(read_axioms([*ontology.quads, *stated.axioms, *derived]))
        unsatisfiable = hierarchy.classify()
        clock.lap("classify")
        if unsatisfiable:
            explained = Model(hierarchy, hierarchy.told(), explaining=True)
            place = Places(ontology.files)[compress(unsatisfiable[0].value)]
            raise OntologyError(
                f"{place}{len(unsatisfiable)} class(es) can have no instance: {_listed(unsatisfiable)}. "
                f"{explained.explain_class(unsatisfiable[0])}. "
                "Correct one of these axioms in ontology/modules/"
            )
        _refuse_cycles(ontology, hierarchy)

        found = _Found(file)
        classes = _Classes(hierarchy)
        model = Model(hierarchy, hierarchy.above)
        _about_classes(model, classes, stated, found, _worth_naming(ontology, classes, hierarchy))
        _about_individuals(model, classes, stated, found, folder, at_once, processes)
        clock.lap("realise")
        if constructs:
            stated.add_for_rules(chain(found.lines(), map(line_of, derived)))
        for rule in constructs:
            fresh = construct(rule, stated.for_rules(rule.wanted), folder, at_once)
            stated.add_for_rules(found.added(rule.path.stem, fresh))
        clock.lap("rules")
        added = [*derived, *_describe(found.counts, hierarchy, constructs)]
        file.writelines(map(line_of, added))
        file.flush()
        Path(file.name).replace(target)
    graphs = Counter(quad.graph_name.value for quad in added if isinstance(quad.graph_name, NamedNode))
    graphs.update({mint("graph", "inferred", rule).value: count for rule, count in found.counts.items()})
    counts = dict(sorted(found.counts.items()))
    whole = {rule.path.stem: rule.why_whole for rule in constructs if rule.reach is None}
    return Inferences(counts, graphs, clock.laps, hierarchy.axioms.beyond_el, whole)


def inferred_quads(ontology: Ontology, quads: Iterable[Quad | bytes], rules: Path) -> list[Quad]:
    """What `infer` writes, in memory and sorted: for the ontology alone, or with few quads."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "inferred.nq"
        infer(ontology, quads, rules, file)
        return sorted(parse(path=file), key=str)


def claims_derived(ontology: Ontology, quads: Iterable[Quad]) -> tuple[Quad, ...]:
    """The axioms *every X p some Y* that accepted claims give, each annotated with its claims.

    A claim is accepted here when it is asserted (not hedged, not recommended) and its proposition positive;
    a proposition is about classes when subject and object are declared classes. Whether it is meant of every
    X is for the ontology to say: its predicate is marked `stroma:readsAs "every"`, and no class above X
    "report". All other claims stay what a source reports (docs/decisions/0007-what-claims-may-imply.md).
    """
    every, report = _readings(ontology)
    subjects, relations = ontology.classes - report, ontology.object_properties & every
    asserted: set[NamedNode] = set()
    claims: dict[NamedNode, list[NamedNode]] = {}
    says: dict[NamedNode, dict[NamedNode, NamedNode]] = {}
    for q in quads:
        if q.predicate not in CLAIM_WORDS or not isinstance(q.subject, NamedNode):
            continue
        if not isinstance(q.object, NamedNode):
            continue
        if q.predicate == STROMA.asserts:
            claims.setdefault(q.object, []).append(q.subject)
        elif q.predicate == STROMA.modality:
            if q.object == STROMA.ModalityAsserted:
                asserted.add(q.subject)
        else:
            says.setdefault(q.subject, {})[q.predicate] = q.object
    found: list[Quad] = []
    for proposition, words in sorted(says.items(), key=lambda pair: pair[0].value):
        accepted = sorted({c for c in claims.get(proposition, ()) if c in asserted}, key=lambda c: c.value)
        edge = [words.get(STROMA(f"proposition{part}")) for part in ("Subject", "Predicate", "Object")]
        if (
            accepted
            and words.get(STROMA.polarity) == STROMA.PolarityPositive
            and edge[0] in subjects
            and edge[1] in relations
            and edge[2] in ontology.classes
        ):
            found += _axiom(edge[0], edge[1], edge[2], accepted)
    return tuple(found)


def _readings(ontology: Ontology) -> tuple[set[NamedNode], set[NamedNode]]:
    """The terms marked `stroma:readsAs "every"`; those marked "report", with all classes told below."""
    every, report = (
        {
            q.subject
            for q in ontology.quads
            if q.predicate == STROMA.readsAs and q.object == Literal(how) and isinstance(q.subject, NamedNode)
        }
        for how in ("every", "report")
    )
    told: dict[NamedNode, list[NamedNode]] = {}
    for sub, sup in read_axioms(ontology.quads).subclasses:
        for parent in sup.parts if isinstance(sup, And) else (sup,):
            if isinstance(sub, NamedNode) and isinstance(parent, NamedNode):
                told.setdefault(parent, []).append(sub)
    todo = list(report)
    while todo:
        below = set(told.get(todo.pop(), ())) - report
        report |= below
        todo += below
    return every, report


def _axiom(
    sub: NamedNode, relation: NamedNode, sup: NamedNode, claims: Iterable[NamedNode]
) -> Iterator[Quad]:
    key = digest(sub.value, relation.value, sup.value)
    restriction, axiom = BlankNode(f"claims-some-{key}"), BlankNode(f"claims-axiom-{key}")
    g = CLAIMS_DERIVED
    yield Quad(sub, RDFS.subClassOf, restriction, g)
    yield Quad(restriction, RDF.type, OWL.Restriction, g)
    yield Quad(restriction, OWL.onProperty, relation, g)
    yield Quad(restriction, OWL.someValuesFrom, sup, g)
    yield Quad(axiom, RDF.type, OWL.Axiom, g)
    yield Quad(axiom, OWL.annotatedSource, sub, g)
    yield Quad(axiom, OWL.annotatedProperty, RDFS.subClassOf, g)
    yield Quad(axiom, OWL.annotatedTarget, restriction, g)
    for claim in claims:
        yield Quad(axiom, STROMA.derivedFromClaim, claim, g)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.laps[step], self._last = now - self._last, now


# ---------------------------------------------------------------- results

_SUBCLASS = token(RDFS.subClassOf)
_TEXTS = {
    "subclass": (
        "Subclasses the EL reasoner found",
        "OWL 2 EL classification of graph:ontology and graph:claims-derived",
    ),
    "type": ("Types the EL reasoner found", "OWL 2 EL realisation of the individuals"),
    "relation": ("Relations between classes", "an entailed axiom: every X ... some Y"),
}
_Types = list[tuple[bytes, list[int]]]  # individual, numbers of its stated classes


class _Found:
    """Inferred quads on their way into a file, counted."""

    def __init__(self, file: IO[bytes]) -> None:
        self.counts: Counter[str] = Counter()
        self._file = file

    def add(self, rule: str, s: bytes, p: bytes, o: bytes) -> None:
        """One more; no triple may come twice for a rule."""
        self.counts[rule] += 1
        self._file.write(b"%s %s %s %s .\n" % (s, p, o, _graph(rule)))

    def take(self, path: Path, counts: Counter[str]) -> None:
        """Take over what another has written."""
        with path.open("rb") as file:
            shutil.copyfileobj(file, self._file)
        path.unlink()
        self.counts.update(counts)

    def added(self, rule: str, triples: Iterable[bytes]) -> Iterator[bytes]:
        """Add lines `subject predicate object` and a space; and give them back as N-Quads."""
        end = b"%s .\n" % _graph(rule)
        for triple in triples:
            line = triple[:-1] + end
            self.counts[rule] += 1
            self._file.write(line)
            yield line

    def lines(self) -> Iterator[bytes]:
        """What was written so far."""
        self._file.flush()
        with open(self._file.name, "rb") as file:
            yield from file


@cache
def _graph(rule: str) -> bytes:
    return token(mint("graph", "inferred", rule))


class _Classes:
    """The named classes of a hierarchy by number, without owl:Thing and owl:Nothing; and back."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.number = {token(e): n for e, n in hierarchy.number.items() if isinstance(e, NamedNode)}
        self.named = {n: name for name, n in self.number.items() if n > 1}

    def numbers(self, names: Iterable[bytes]) -> list[int]:
        """The numbers of those that the hierarchy knows."""
        return [self.number[name] for name in names if name in self.number]

    def new(self, numbers: Iterable[int], stated: frozenset[bytes]) -> list[bytes]:
        """The names of those that are not stated."""
        return sorted(self.named[n] for n in numbers if n in self.named and self.named[n] not in stated)


def _refuse_cycles(ontology: Ontology, hierarchy: Hierarchy) -> None:
    """OntologyError when two classes of ours came out as one and no axiom says so of just the two names.

    `ontology/checks/` sees a cycle of stated subclasses; one that closes through a definition, only this.
    """
    meant = {frozenset((q.subject, q.object)) for q in ontology.quads if q.predicate == OWL.equivalentClass}
    same = [
        pair
        for pair in hierarchy.same()
        if frozenset(pair) not in meant and all(name.value.startswith(STROMA("").value) for name in pair)
    ]
    if not same:
        return
    places = Places(ontology.files)
    named = [tuple(compress(name.value) for name in pair) for pair in same]
    shown = "; ".join(" and ".join(f"{places[name]}{name}" for name in pair) for pair in named[:10])
    more = f"; and {len(named) - 10} more" if named[10:] else ""
    explained = Model(hierarchy, hierarchy.told(), explaining=True)
    # Definitions built on a cycle close cycles of their own: the pair with the least to tell is the cause.
    whys = {explained.explain_same(*pair): pair for pair in same[:50]}
    why = min(whys, key=len)
    one, other = (compress(name.value) for name in whys[why])
    raise OntologyError(
        f"{len(named)} pair(s) of classes are subclasses of each other, so each pair is one class: "
        f"{shown}{more}. "
        f"For {one} and {other}: {why}. "
        "Take one of these axioms out of ontology/modules/; where the two are meant to be the same, keep one "
        "term, or state owl:equivalentClass between the two names"
    )


def _about_classes(
    model: Model, classes: _Classes, stated: Stated, found: _Found, worth_naming: set[int]
) -> None:
    """What is above each class, and what relates it to others that are worth naming."""
    hierarchy, named = model.hierarchy, classes.named
    already = stated.edges_of(classes.number)
    relations = _class_relations(stated, hierarchy)
    for n, lower in named.items():
        for m in hierarchy.above[n]:
            if m != n and m in named and (lower, _SUBCLASS, named[m]) not in already:
                found.add("subclass", lower, _SUBCLASS, named[m])
        for p, successors in model.out[n].items():
            if p in relations:
                fillers = {m for successor in successors for m in model.types[successor]} & worth_naming
                for m in sorted(fillers):
                    if (lower, p, named[m]) not in already:
                        found.add("relation", lower, p, named[m])


def _class_relations(stated: Stated, hierarchy: Hierarchy) -> set[bytes]:
    """The properties whose edges between classes are read off: textbook ones, stated ones, and wider ones."""
    found = {*map(token, _TEXTBOOK), *stated.class_relations}
    todo = list(found)
    while todo:
        p = todo.pop()
        wider = {token(sup) for sub, sup in hierarchy.axioms.subproperties if token(sub) == p} - found
        found |= wider
        todo += wider
    return found


def _worth_naming(ontology: Ontology, classes: _Classes, hierarchy: Hierarchy) -> set[int]:
    """The classes worth naming as the other end of a relation: "has part some material anatomical entity" is
    true and says nothing, so the upper level is left out: upper ontologies, what a public ontology marks as
    upper level, and the roots that public ontologies hang below these."""
    upper = {n for n, name in classes.named.items() if name.startswith(_UPPER)}
    marked = {
        classes.number[token(q.subject)]
        for q in ontology.quads
        if q.predicate == _IN_SUBSET and q.object == _UPPER_LEVEL and isinstance(q.subject, NamedNode)
    }
    return {
        n
        for n, name in classes.named.items()
        if n not in upper | marked
        and (
            name.startswith(_OURS)
            or any(m in classes.named and m not in upper and m != n for m in hierarchy.above[n])
        )
    }


def _about_individuals(
    base: Model,
    classes: _Classes,
    stated: Stated,
    found: _Found,
    folder: Path,
    at_once: int,
    processes: int,
) -> None:
    """What each individual is, and leads to; OntologyError for the first ones seen that cannot be."""
    own, own_edges = stated.own()
    own_types = [(name, classes.numbers(types)) for name, types in own.items()]

    def conclude(
        found: _Found,
        model: Model,
        known: Mapping[bytes, frozenset[bytes]],
        types: _Types,
        edges: list[Edge],
    ) -> None:
        """Add facts to a model; write what follows of the things whose types are `known`."""
        model.add(types, edges)
        if model.clashing:
            explained = Model(model.hierarchy, model.hierarchy.told(), explaining=True)
            explained.add([*own_types, *types], [*own_edges, *edges])
            names = sorted(model.name(n) for n in model.clashing)
            raise OntologyError(
                f"{len(names)} thing(s) or more contradict the ontology: {_listed(map(term, names))}. "
                f"{explained.explain_individual(names[0])}. Correct the source's statement, or the axiom"
            )
        for name, already in known.items():
            for class_ in classes.new(model.types[model.index[name]], already):
                found.add("type", name, TYPE, class_)
        for edge in model.why_edge.keys() - model.stated:
            n, p, m = edge
            for rule in model.why_edge[edge]:
                found.add(rule, model.name(n), p, model.name(m))

    conclude(found, base, own, own_types, own_edges)
    parts = Parts(stated.facts(base.telling()), folder, at_once, processes)
    numbers = [classes.numbers(profile) for profile in parts.profiles]
    new: dict[int, list[bytes]] = {}  # profile -> what a thing without edges is besides

    def conclude_share(share: int) -> tuple[Path, Counter[str]]:
        path = folder / f"found-{share}"
        with path.open("wb") as file:
            here = _Found(file)
            for name, profile in parts.alone(share):
                if profile not in new:
                    model = base.copy()
                    conclude(here, model, {}, [(name, numbers[profile])], [])
                    new[profile] = classes.new(model.types[model.index[name]], parts.profiles[profile])
                for class_ in new[profile]:
                    here.add("type", name, TYPE, class_)
            for part in parts.parts(share):
                known = {name: parts.profiles[profile] for name, profile in part.things.items()}
                met = chain(part.things.items(), part.ends.items())
                types = [(name, numbers[profile]) for name, profile in met]
                conclude(here, base.copy(), known, types, part.edges)
        return path, here.counts

    for path, counts in in_order(conclude_share, range(SHARES), processes):
        found.take(path, counts)


def _listed(names: Iterable[NamedNode]) -> str:
    curies = [compress(name.value) for name in names]
    return f"{', '.join(curies[:10])} and {len(curies) - 10} more" if curies[10:] else ", ".join(curies)


def _describe(found: Iterable[str], hierarchy: Hierarchy, rules: Iterable[Rule]) -> Iterator[Quad]:
    texts = _TEXTS | rule_texts(hierarchy.axioms)
    texts |= {rule.path.stem: (rule.summary, f"ontology/rules/{rule.path.name}") for rule in rules}
    for name in sorted(found):
        graph, (label, axiom) = mint("graph", "inferred", name), texts[name]
        yield Quad(graph, RDF.type, STROMA.InferenceRule, METADATA)
        yield Quad(graph, RDFS.label, Literal(label, language="en"), METADATA)
        yield Quad(graph, STROMA.fromAxiom, Literal(axiom), METADATA)
