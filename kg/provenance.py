"""Who states a triple of a snapshot, and where an axiom is written.

Hides how claims, spans, records and graphs hang together in a snapshot, and how the files of the ontology are
searched for what stands in `graph:ontology`. Labels are here too: every explanation needs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, RdfFormat, Store, parse

from kg.axioms import And, Axioms, Expression, Some, read_each
from kg.explanation import Rule, Source, Statement, proposition
from kg.terms import OWL, PROV, RDFS, STROMA, compress, expand, mint

INFERRED = mint("graph", "inferred").value + "/"
METADATA = mint("graph", "metadata")
DERIVED = mint("graph", "derived")
ONTOLOGY = mint("graph", "ontology")
# What a claim says of an edge is no way up from a thing to its record.
_CLAIM_WORDS = (STROMA.propositionSubject, STROMA.propositionObject, STROMA.propositionPredicate)
_OF_A_CLAIM = (
    "modality",
    "confidence",
    "confidenceBasis",
    "basis",
    "linkMethod",
    "extractionRule",
    "matchedText",
    "curatorNote",
)
_STEPS_TO_RECORD = 4  # outcome <- arm <- trial -> record


class Provenance:
    """Sources and labels in a snapshot's store; `ontology` is the folder of the modules."""

    def __init__(self, store: Store, ontology: Path) -> None:
        self.store = store
        self._modules = _Modules(ontology)
        self._names: dict[NamedNode, str] = {}

    def rule(self, graph: str) -> Rule:
        """An inference rule by the IRI of its graph."""
        node = NamedNode(graph)
        return Rule(compress(graph), self._text(node, RDFS.label), self._text(node, STROMA.fromAxiom))

    def sources(self, triple: Statement) -> tuple[Source, ...]:
        """Who states a triple: its claims; else module, record or graph."""
        found = {
            source
            for quad in self.store.quads_for_pattern(*triple, None)
            if not is_inferred(quad) and quad.graph_name != DERIVED
            for source in self._stated_in(quad)
        }
        return tuple(sorted(found, key=lambda source: (source.graph, source.kind, source.id, source.text)))

    def _stated_in(self, quad: Quad) -> list[Source]:
        """Who states a triple in the quad's graph."""
        if quad.graph_name == ONTOLOGY:
            return [self._modules.source(quad)]
        graph = _name(quad.graph_name)
        assert isinstance(quad.subject, NamedNode)
        assert isinstance(quad.object, NamedNode | Literal)
        node = self._proposition(quad)
        # What an observation is about has no proposition: the claims that give its numbers stand for it.
        told = self.claims(node) or self._claiming(STROMA.hasEvidence, quad.subject)
        claims = [source for claim, where in told if where == graph for source in self.claim(claim, graph)]
        return claims or [*self._records(quad)] or [self._of_graph(quad)]

    def _proposition(self, quad: Quad) -> NamedNode:
        """The proposition of a triple. Of a number its IRI has the digits as printed, which a store drops."""
        assert isinstance(quad.subject, NamedNode)
        assert isinstance(quad.object, NamedNode | Literal)
        if isinstance(quad.object, Literal):
            for found in self.store.quads_for_pattern(None, STROMA.propositionObject, quad.object, None):
                node = found.subject
                if isinstance(node, NamedNode) and all(
                    any(self.store.quads_for_pattern(node, word, part, None))
                    for word, part in (
                        (STROMA.propositionSubject, quad.subject),
                        (STROMA.propositionPredicate, quad.predicate),
                        (STROMA.polarity, STROMA.PolarityPositive),
                    )
                ):
                    return node
        return proposition((quad.subject, quad.predicate, quad.object))

    def claims(self, node: NamedNode) -> list[tuple[NamedNode, str]]:
        """The claims that assert a proposition, each with its graph."""
        return self._claiming(STROMA.asserts, node)

    def _claiming(self, relation: NamedNode, node: NamedNode) -> list[tuple[NamedNode, str]]:
        return sorted(
            (
                (quad.subject, _name(quad.graph_name))
                for quad in self.store.quads_for_pattern(None, relation, node, None)
                if isinstance(quad.subject, NamedNode) and not is_inferred(quad)
            ),
            key=str,
        )

    def claim(self, claim: NamedNode, graph: str) -> Iterator[Source]:
        """A claim, once for each span at which it is stated; once without."""
        fields: dict[str, str | int] = {}
        for name in _OF_A_CLAIM:
            value = self._text(claim, STROMA(name))
            if value:
                fields[name] = value
        grounds = [
            quad.object for quad in self.store.quads_for_pattern(claim, PROV.wasDerivedFrom, None, None)
        ]
        records = dict.fromkeys(self._ground(each) for each in sorted(grounds, key=str))
        # What stands in so many words is not worth a word.
        plain = "confidenceBasis" in fields and fields["confidence"] == self.label(STROMA.ConfidenceHigh)
        extra = "; ".join(
            f"{words} {fields[name]}".strip()
            for name, words in (
                ("confidence", ""),
                ("confidenceBasis", "read:"),
                ("linkMethod", "by"),
                ("basis", "basis:"),
                ("extractionRule", "rule"),
                ("curatorNote", "note:"),
            )
            if name in fields and not (plain and name in ("confidence", "confidenceBasis"))
        )
        modality = str(fields.get("modality", ""))
        tail = f" ({extra})" if extra else ""
        firm = f" [{modality}]" if modality not in ("", "asserted") else ""
        spans = self._spans(claim)
        for where, place in spans:
            yield Source(
                "claim",
                compress(claim.value),
                graph,
                f"{compress(claim.value)}{firm}: {place}{tail}",
                {**fields, **where},
            )
        if not spans:
            origin = f": from {', '.join(records)}" if records else ""
            if records:
                fields["record"] = ", ".join(records)
            yield Source(
                "claim", compress(claim.value), graph, f"{compress(claim.value)}{firm}{origin}{tail}", fields
            )

    def _spans(self, claim: NamedNode) -> list[tuple[dict[str, str | int], str]]:
        """The places at which a claim is stated: as fields, and in words."""
        found = []
        for quad in self.store.quads_for_pattern(claim, STROMA.statedAt, None, None):
            span = quad.object
            assert isinstance(span, NamedNode)
            document = self._node(span, STROMA.inDocument)
            where: dict[str, str | int] = {"span": compress(span.value)}
            where["document"] = document.value.rsplit("/", 1)[-1] if document else ""
            for name, word in (("line", "lineNumber"), ("start", "startOffset"), ("end", "endOffset")):
                where[name] = int(self._text(span, STROMA(word)) or 0)
            where["sha256"] = self._text(span, STROMA.sha256)
            place = (
                f"document {where['document']}, line {where['line']}, "
                f"characters {where['start']}-{where['end']}"
            )
            found.append((where, place))
        return found

    def _ground(self, thing: object) -> str:
        """What a claim was derived from: a record; or another claim, with its places and the note on it."""
        if not isinstance(thing, NamedNode):
            return str(thing)
        places = " and ".join(place for _, place in self._spans(thing))
        note = self._text(thing, STROMA.curatorNote)
        said = f" ({places}{f'; note: {note}' if note else ''})" if places else ""
        return f"{compress(thing.value)}{said}"

    def activity(self, node: NamedNode) -> Source:
        """What computed a thing: its activity, with the programs and their versions."""
        made_by = self._node(node, PROV.wasGeneratedBy)
        if made_by is None:
            return Source("graph", "graph:derived", "graph:derived", "graph:derived")
        agents = self.store.quads_for_pattern(made_by, PROV.wasAssociatedWith, None, None)
        programs = sorted(self.label(quad.object) for quad in agents if isinstance(quad.object, NamedNode))
        name = compress(made_by.value)
        by = f", by {', '.join(programs)}" if programs else ""
        return Source("activity", name, "graph:derived", f"{name}{by}")

    def _records(self, quad: Quad) -> Iterator[Source]:
        """The record a statement was read from: its subject's, or that of the thing it belongs to."""
        studies = self.store.quads_for_pattern(quad.subject, STROMA.producedByStudy, None, quad.graph_name)
        # Nothing points at an observation of a registry's results: its study has the record.
        level = [quad.subject, *(each.object for each in studies if isinstance(each.object, NamedNode))]
        seen = set(level)
        for _ in range(_STEPS_TO_RECORD):
            records = {
                found.object
                for thing in level
                for found in self.store.quads_for_pattern(thing, PROV.wasDerivedFrom, None, quad.graph_name)
                if isinstance(found.object, NamedNode)
            }
            if records:
                yield from (self._record(record, quad) for record in sorted(records, key=str))
                return
            above = {
                found.subject
                for thing in level
                for found in self.store.quads_for_pattern(None, None, thing, quad.graph_name)
                if found.predicate not in _CLAIM_WORDS and isinstance(found.subject, NamedNode)
            }
            level = sorted(above - seen, key=str)
            seen |= above

    def _record(self, record: NamedNode, quad: Quad) -> Source:
        fields: dict[str, str | int] = {}
        for name, word in (("file", "recordFile"), ("line", "recordLine"), ("sha256", "sha256")):
            value = self._text(record, STROMA(word))
            if value:
                fields[name] = int(value) if name == "line" else value
        retrieved = self._text(record, STROMA.retrievedDate)
        if retrieved:
            fields["retrieved"] = retrieved
        place = f" ({fields['file']}, line {fields['line']})" if {"file", "line"} <= fields.keys() else ""
        text = f"{compress(record.value)}{place}"
        if retrieved:
            text += f", retrieved {retrieved}"
        return Source("record", compress(record.value), _name(quad.graph_name), text, fields)

    def _of_graph(self, quad: Quad) -> Source:
        graph = _name(quad.graph_name)
        origin = self._text(quad.subject, STROMA.importedFrom) if graph == "graph:obo" else ""
        title = self._text(NamedNode(expand(graph).value), RDFS.label) or graph
        text = f"{graph}: {title}{f', {origin}' if origin else ''}"
        return Source("graph", graph, graph, text, {"importedFrom": origin} if origin else {})

    def _text(self, subject: object, predicate: NamedNode) -> str:
        """The first value as text: a literal's own, a vocabulary value's label, else a CURIE."""
        if not isinstance(subject, NamedNode):
            return ""
        values = [
            quad.object.value if isinstance(quad.object, Literal) else self._value(quad.object)
            for quad in self.store.quads_for_pattern(subject, predicate, None, None)
            if isinstance(quad.object, Literal | NamedNode) and not is_inferred(quad)
        ]
        return min(values, default="")

    def _value(self, term: NamedNode) -> str:
        curie = compress(term.value)
        return self.label(term) if curie.startswith("stroma:") else curie

    def _node(self, subject: NamedNode, predicate: NamedNode) -> NamedNode | None:
        quad = next(self.store.quads_for_pattern(subject, predicate, None, None), None)
        return quad.object if quad is not None and isinstance(quad.object, NamedNode) else None

    def of_axiom(self, head: Quad, text: str) -> Iterator[Source]:
        """Where an axiom is written, by one of its head triples and its text in CURIEs."""
        graph = _name(head.graph_name)
        if head.graph_name == ONTOLOGY:
            yield self._modules.source(head, text)
            return
        if not isinstance(head.object, BlankNode):
            yield from self._stated_in(head)
            return
        claims = [
            found.object
            for axiom in self.store.quads_for_pattern(None, OWL.annotatedTarget, head.object, None)
            for found in self.store.quads_for_pattern(axiom.subject, STROMA.derivedFromClaim, None, None)
        ]
        for claim in sorted((claim for claim in claims if isinstance(claim, NamedNode)), key=str):
            yield from self.claim(claim, graph)
        if not claims:
            yield self._of_graph(head)

    def label(self, term: NamedNode) -> str:
        """A term's English label, or its CURIE."""
        if term not in self._names:
            found = [
                (quad.graph_name != ONTOLOGY, quad.object.language != "en", quad.object.value)
                for quad in self.store.quads_for_pattern(term, RDFS.label, None, None)
                if isinstance(quad.object, Literal)
            ]
            self._names[term] = min(found)[2] if found else compress(term.value)
        return self._names[term]

    def quoted(self, term: NamedNode) -> str:
        """A label as Manchester syntax quotes it."""
        label = self.label(term)
        return f"'{label}'" if re.search(r"\W", label) else label


class _Modules:
    """Where a statement of graph:ontology is written: file, and line of its subject's block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._texts: dict[Path, str] = {}

    @cached_property
    def files(self) -> tuple[Path, ...]:
        return tuple(
            path
            for path in (self.folder / "stroma.ttl", *sorted((self.folder / "modules").glob("*.ttl")))
            if path.is_file()
        )

    @cached_property
    def _heads(self) -> list[tuple[Path, Quad]]:
        return [(path, quad) for path in self.files for quad in parse(path=path, format=RdfFormat.TURTLE)]

    @cached_property
    def _triples(self) -> dict[object, Path]:
        return {quad.triple: path for path, quad in reversed(self._heads)}

    @cached_property
    def _axioms(self) -> dict[str, Path]:
        """By text: a blank node of the snapshot has another label than in its file."""
        found: dict[str, Path] = {}
        for head, axioms in read_each(quad for _, quad in self._heads):
            if isinstance(head.object, BlankNode) or isinstance(head.subject, BlankNode):
                found.setdefault(written(head, axioms, _curie), self._triples[head.triple])
        return found

    def source(self, quad: Quad, text: str | None = None) -> Source:
        """The file and line of a statement, of an axiom by its `text` in CURIEs; of the graph alone, where
        no module of this checkout has it."""
        path = self._triples.get(quad.triple) or (self._axioms.get(text) if text else None)
        if path is None:
            missing = "graph:ontology of the snapshot; no module of this checkout has it"
            return Source("graph", "graph:ontology", "graph:ontology", missing)
        place = f"ontology/{path.relative_to(self.folder).as_posix()}"
        line = self._line(path, quad.subject)
        fields: dict[str, str | int] = {"file": place, **({"line": line} if line else {})}
        return Source("module", place, "graph:ontology", f"{place}, line {line}" if line else place, fields)

    def _line(self, path: Path, subject: object) -> int | None:
        if not isinstance(subject, NamedNode):
            return None
        if path not in self._texts:
            self._texts[path] = path.read_text(encoding="utf-8")
        text = self._texts[path]
        names = [re.escape(subject.value)]
        for prefix, namespace in re.findall(r"^@prefix\s+(\S*):\s+<([^>]+)>", text, re.MULTILINE):
            if subject.value.startswith(namespace):
                names.append(re.escape(f"{prefix}:{subject.value[len(namespace) :]}"))
        found = re.search(rf"^<?(?:{'|'.join(names)})>?\s", text, re.MULTILINE)
        return text.count("\n", 0, found.start()) + 1 if found else None


def is_inferred(quad: Quad) -> bool:
    return isinstance(quad.graph_name, NamedNode) and quad.graph_name.value.startswith(INFERRED)


def _curie(term: NamedNode) -> str:
    return compress(term.value)


def _name(graph: object) -> str:
    return compress(graph.value) if isinstance(graph, NamedNode) else ""


# ---------------------------------------------------------------- Manchester syntax


def text_of(expression: Expression, name: Callable[[NamedNode], str]) -> str:
    if isinstance(expression, Some):
        return f"({name(expression.property)} some {text_of(expression.filler, name)})"
    if isinstance(expression, And):
        # The kind first, then what sets it apart.
        parts = sorted(expression.parts, key=lambda part: isinstance(part, Some))
        return " and ".join(text_of(part, name) for part in parts)
    return name(expression)


def written(head: Quad, axioms: Axioms, name: Callable[[NamedNode], str]) -> str:
    """A written axiom: the EL part of it, where a part is beyond EL."""
    if head.predicate == RDFS.domain and axioms.subclasses:
        (lower, upper), *_ = axioms.subclasses
        assert isinstance(lower, Some)
        return f"{name(lower.property)} Domain {text_of(upper, name)}"
    if head.predicate == OWL.equivalentClass and len(axioms.subclasses) == 2:
        whole = head.subject
        for lower, upper in axioms.subclasses:
            if lower == whole:
                return f"{text_of(lower, name)} EquivalentTo {text_of(upper, name)}"
    said = [f"{text_of(lower, name)} SubClassOf {text_of(upper, name)}" for lower, upper in axioms.subclasses]
    said += [f"{name(sub)} SubPropertyOf {name(sup)}" for sub, sup in axioms.subproperties]
    for chain in axioms.chains:
        if chain.first == chain.second == chain.result:
            said.append(f"{name(chain.result)} Characteristics Transitive")
        else:
            said.append(f"{name(chain.first)} o {name(chain.second)} SubPropertyOf {name(chain.result)}")
    return ", ".join(said)
