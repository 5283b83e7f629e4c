"""An explanation as plain data, and how it reads: as text, as JSON, as RDF.

Hides the layout of a proof on paper and the vocabulary that says one in triples (`stroma:Inference` and its
neighbours in `ontology/modules/evidence-proofs.ttl`). `kg.why` makes explanations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, serialize

from kg.terms import PROV, RDF, RDFS, STROMA, XSD, compress, digest, expand, mint, prefixes

MAX_DEPTH = 24  # steps below each other on paper; deeper ones are counted, not shown

Statement = tuple[NamedNode, NamedNode, NamedNode | Literal]


@dataclass(frozen=True)
class Source:
    """Where something is stated: `kind` is "claim", "record", "module" or "graph".

    `id` is the CURIE of claim, record or graph, or the module's file; `text` is for people; `fields` for
    programs: document, line, start, end (offsets in code points), sha256, modality, confidence, ...
    """

    kind: str
    id: str
    graph: str
    text: str
    fields: Mapping[str, str | int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Axiom:
    """A written axiom: in words of labels, in CURIEs (Manchester syntax), and where it is written.

    Or a calculation, or what another rule of ours did: then `method` is its stroma:DerivationMethod, or the
    rule or method of linking, `relation` what leads to that from what it made, and `manchester` the numbers
    put in.
    """

    text: str
    manchester: str
    sources: tuple[Source, ...]
    method: NamedNode | None = None
    relation: NamedNode = STROMA.derivationMethod

    @property
    def kind(self) -> str:
        if self.method is None:
            return "axiom"
        return "calculation" if self.relation == STROMA.derivationMethod else "rule"


@dataclass(frozen=True)
class Step:
    """One line of a proof: a fact, with the axioms that give it from its premises, or its sources.

    `triple` is None where the fact is no triple ("every X impairs some Y and Z").
    """

    text: str
    triple: Statement | None
    axioms: tuple[Axiom, ...] = ()
    premises: tuple[Step, ...] = ()
    sources: tuple[Source, ...] = ()

    @property
    def stated(self) -> bool:
        """Whether the fact is stated rather than derived."""
        return not self.axioms and not self.premises


@dataclass(frozen=True)
class Reason:
    """One minimal justification: the axioms and stated facts, none of which can be left out, and a proof."""

    axioms: tuple[Axiom, ...]
    facts: tuple[Step, ...]
    proof: Step


@dataclass(frozen=True)
class Rule:
    """An inference rule in whose graph the statement stands."""

    graph: str
    label: str
    axiom: str


@dataclass(frozen=True)
class Explanation:
    """Why a statement is in the graph: who states it, or by which rules and from what it follows.

    `reasons` are minimal justifications, smallest first, then one match of each rule of ontology/rules;
    `complete` says that there is no other reason.
    """

    statement: Statement
    text: str
    sources: tuple[Source, ...]
    rules: tuple[Rule, ...]
    reasons: tuple[Reason, ...]
    complete: bool
    version: str = ""

    @property
    def computed(self) -> bool:
        """Whether a calculation or a rule of ours gives the statement, not a proof."""
        return any(axiom.method for reason in self.reasons for axiom in reason.proof.axioms)


FORMATS = ("text", "json", "turtle", "ntriples")


def rendered(explanation: Explanation, format: str) -> bytes:
    """The explanation in one of FORMATS, as UTF-8."""
    if format == "json":
        return (json.dumps(as_json(explanation), ensure_ascii=False, indent=1) + "\n").encode()
    if format == "text":
        return as_text(explanation).encode()
    triples = as_triples(explanation)
    if format == "ntriples":
        return _bytes(serialize(triples, format=RdfFormat.N_TRIPLES))
    used = {part.value for triple in triples for part in triple if isinstance(part, NamedNode)}
    wanted = {name: iri for name, iri in prefixes().items() if any(each.startswith(iri) for each in used)}
    return _bytes(serialize(triples, format=RdfFormat.TURTLE, prefixes=wanted))


def _bytes(written: bytes | None) -> bytes:
    assert written is not None  # None is for serialising into a file
    return written


# ------------------------------------------------------------------------------------------- text


def as_text(explanation: Explanation) -> str:
    """The explanation for a terminal: indented proof, each leaf with its source."""
    lines = [explanation.text, f"  {' '.join(compress(term.value) for term in explanation.statement)}"]
    if explanation.sources or explanation.rules:
        lines.append("")
    if explanation.sources:
        lines += ["Stated:", *(f"  {source.text}" for source in explanation.sources)]
    for rule in explanation.rules:
        more = "" if rule.axiom in rule.label else f": {rule.axiom}"
        lines.append(f"Inferred, {rule.graph}. {rule.label}{more}")
    for number, reason in enumerate(explanation.reasons, 1):
        kinds = sorted({axiom.kind for axiom in reason.axioms}) or ["axiom"]
        used = [_count(sum(axiom.kind == kind for axiom in reason.axioms), kind) for kind in kinds]
        size = ", ".join([*used, _count(len(reason.facts), "stated fact")])
        lines += ["", f"Because ({size}):" if number == 1 else f"Also because ({size}):"]
        lines += _lines(reason.proof, 1, set())
    if explanation.reasons and not explanation.computed:
        lines += ["", _said_of_others(explanation)]
    return "\n".join(lines) + "\n"


def _said_of_others(explanation: Explanation) -> str:
    shown = _count(len(explanation.reasons), "minimal justification")
    if explanation.complete:
        return f"{shown}; there is no other."
    return f"{shown}; there may be others (--limit, up to 20)."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _lines(step: Step, depth: int, shown: set[Step]) -> Iterator[str]:
    pad = "  " * depth
    if step.stated:
        yield f"{pad}- {step.text}"
        yield from (f"{pad}    {source.text}" for source in step.sources)
        return
    if step in shown:
        yield f"{pad}- {step.text} (as above)"
        return
    shown.add(step)
    yield f"{pad}- {step.text}, because"
    if depth >= MAX_DEPTH:
        yield f"{pad}    ... (a longer proof; --format json has all of it)"
        return
    for axiom in step.axioms:
        yield f"{pad}    {axiom.kind}: {axiom.text}"
        yield from (f"{pad}      {source.text}" for source in axiom.sources)
    for premise in step.premises:
        yield from _lines(premise, depth + 2, shown)


# ------------------------------------------------------------------------------------------- JSON


def as_json(explanation: Explanation) -> dict[str, object]:
    """The explanation as JSON values; axioms and facts once for each reason, its proof as a tree."""
    return {
        "version": explanation.version,
        "statement": _triple(explanation.statement),
        "text": explanation.text,
        "stated": [_source(source) for source in explanation.sources],
        "inferredBy": [
            {"graph": rule.graph, "label": rule.label, "axiom": rule.axiom} for rule in explanation.rules
        ],
        "justifications": [
            {
                "axioms": [_axiom(axiom) for axiom in reason.axioms],
                "facts": [_step(fact) for fact in reason.facts],
                "proof": _step(reason.proof),
            }
            for reason in explanation.reasons
        ],
        "complete": explanation.complete,
    }


def _triple(statement: Statement | None) -> list[str] | None:
    return None if statement is None else [compress(term.value) for term in statement]


def _source(source: Source) -> dict[str, object]:
    return {
        "kind": source.kind,
        "id": source.id,
        "graph": source.graph,
        "text": source.text,
        **source.fields,
    }


def _axiom(axiom: Axiom) -> dict[str, object]:
    return {
        "kind": axiom.kind,
        "text": axiom.text,
        "manchester": axiom.manchester,
        "sources": [_source(source) for source in axiom.sources],
    }


def _step(step: Step) -> dict[str, object]:
    told: dict[str, object] = {"text": step.text, "triple": _triple(step.triple), "stated": step.stated}
    if step.stated:
        return {**told, "sources": [_source(source) for source in step.sources]}
    axioms = [_axiom(axiom) for axiom in step.axioms]
    return {**told, "axioms": axioms, "premises": [_step(premise) for premise in step.premises]}


# -------------------------------------------------------------------------------------------- RDF


def proposition(statement: Statement) -> NamedNode:
    """The IRI of a positive proposition, the one under which claims assert the same edge."""
    return mint("proposition", digest(*map(str, statement), "positive"))


def as_triples(explanation: Explanation) -> list[Triple]:
    """The explanation in triples, each once, in a fixed order: inferences with premises, axioms, claims."""
    found = dict.fromkeys(_of_fact(explanation.statement, explanation.sources))
    for reason in explanation.reasons:
        _, triples = _of_step(reason.proof)
        found.update(dict.fromkeys(triples))
    return sorted(found, key=str)


def _of_step(step: Step) -> tuple[NamedNode, list[Triple]]:
    """The node that stands for a step, as a premise of another, and all that is said of it."""
    if step.stated and step.triple is not None:
        return proposition(step.triple), list(_of_fact(step.triple, step.sources))
    below = [_of_step(premise) for premise in step.premises]
    axioms = [axiom.method or _axiom_node(axiom) for axiom in step.axioms]
    key = [step.text, *sorted(node.value for node, _ in below), *sorted(node.value for node in axioms)]
    node = mint("inference", digest(*key))
    triples = [
        Triple(node, RDF.type, STROMA.Inference),
        Triple(node, RDFS.label, Literal(step.text, language="en")),
    ]
    if step.triple is not None:
        triples.append(Triple(node, STROMA.hasConclusion, proposition(step.triple)))
        triples += _of_fact(step.triple, ())
    for axiom, each in zip(axioms, step.axioms, strict=True):
        if each.method is not None:
            triples.append(Triple(node, each.relation, axiom))
            triples.append(Triple(node, STROMA.computation, Literal(each.manchester, language="en")))
            continue
        triples.append(Triple(node, STROMA.appliesAxiom, axiom))
        triples += _of_axiom(axiom, each)
    for premise, said in below:
        triples.append(Triple(node, STROMA.hasPremise, premise))
        triples += said
    return node, triples


def _of_fact(statement: Statement, sources: tuple[Source, ...]) -> Iterator[Triple]:
    node = proposition(statement)
    yield Triple(node, RDF.type, STROMA.Proposition)
    yield Triple(node, STROMA.propositionSubject, statement[0])
    yield Triple(node, STROMA.propositionPredicate, statement[1])
    yield Triple(node, STROMA.propositionObject, statement[2])
    yield Triple(node, STROMA.polarity, STROMA.PolarityPositive)
    for source in sources:
        if source.kind == "module":
            yield Triple(node, STROMA.writtenIn, Literal(source.text))
        elif source.kind == "claim":
            yield Triple(expand(source.id), STROMA.asserts, node)
            yield from _of_span(source)
        else:
            yield Triple(node, PROV.wasDerivedFrom, expand(source.id))


def _of_span(source: Source) -> Iterator[Triple]:
    if "span" not in source.fields:
        return
    span = expand(str(source.fields["span"]))
    yield Triple(expand(source.id), STROMA.statedAt, span)
    yield Triple(span, STROMA.inDocument, mint("document", source.fields["document"]))
    for name, relation in (("line", "lineNumber"), ("start", "startOffset"), ("end", "endOffset")):
        if name in source.fields:
            value = Literal(str(source.fields[name]), datatype=XSD.integer)
            yield Triple(span, STROMA(relation), value)


def _axiom_node(axiom: Axiom) -> NamedNode:
    return mint("axiom", digest(axiom.manchester, *sorted(source.id for source in axiom.sources)))


def _of_axiom(node: NamedNode, axiom: Axiom) -> Iterator[Triple]:
    yield Triple(node, RDF.type, STROMA.WrittenAxiom)
    yield Triple(node, RDFS.label, Literal(axiom.text, language="en"))
    yield Triple(node, STROMA.axiomText, Literal(axiom.manchester))
    for source in axiom.sources:
        if source.kind == "module":
            yield Triple(node, STROMA.writtenIn, Literal(source.text))
        elif source.kind == "claim":
            yield Triple(node, STROMA.derivedFromClaim, expand(source.id))
            yield from _of_span(source)
        else:
            yield Triple(node, PROV.wasDerivedFrom, expand(source.id))
