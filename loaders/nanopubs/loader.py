"""Nanopublications: what the assertion says, as claims that keep who said it and where.

Hides the two forms an assertion may have: that of `kg nanopub export`, in which propositions are nodes with
their polarity, and that of others, in which each triple of the assertion is a positive proposition.

An imported statement never changes what a word means: a triple about the vocabulary (`rdfs:subClassOf`) or of
a vocabulary we do not use stays a proposition, without its plain edge; one about claims is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, RdfFormat, parse

from kg.parts import SourceInfo
from kg.terms import BASE, DCTERMS, OBO, PROV, RDF, RDFS, STROMA, compress, digest, expand, mint, proposition
from loaders import privacy
from loaders.claims import IMPORTED, asserts, generation, rests_on
from loaders.emit import Graph, lang, string
from loaders.nanopubs.envelope import NP, Envelope, envelopes
from loaders.record import Record

Term = NamedNode | Literal
Edge = tuple[NamedNode, NamedNode, Term]

_EDGE = (STROMA.propositionSubject, STROMA.propositionPredicate, STROMA.propositionObject, STROMA.polarity)
# Words in which the graph says who claims what: no assertion of a nanopublication may forge that.
_CLAIM_WORDS = frozenset(
    {
        STROMA.asserts, STROMA.statedAt, STROMA.hasEvidence, STROMA.modality, STROMA.hasTopic,
        STROMA.claimText, STROMA.claimSubject, STROMA.claimPopulation, STROMA.claimTimepoint,
        STROMA.confidence, STROMA.basis, STROMA.notFormalisedBecause,
        STROMA.unverifiedField, STROMA.derivedFromClaim, STROMA.involves, STROMA.discrepancyKind,
        STROMA.findingStatus, STROMA.severity, STROMA.extractionRule, STROMA.matchedText, STROMA.inField,
        STROMA.inDocument, STROMA.lineNumber, STROMA.startOffset, STROMA.endOffset, STROMA.sha256,
        STROMA.recordFile, STROMA.recordLine, STROMA.fromAxiom, STROMA.readsAs, *_EDGE,
    }
)  # fmt: skip
# What a claim of ours says of itself and the imported one says anew, or not at all.
_SAID_ANEW = frozenset(
    {
        RDF.type, DCTERMS.identifier, STROMA.asserts, STROMA.hasEvidence, PROV.wasDerivedFrom,
        STROMA.statedAt, STROMA.modality, STROMA.statementLevel, STROMA.evidenceType,
        PROV.wasGeneratedBy, PROV.generatedAtTime,
    }
)  # fmt: skip
_SPAN = (
    PROV.wasQuotedFrom,
    STROMA.inDocument,
    STROMA.lineNumber,
    STROMA.startOffset,
    STROMA.endOffset,
    STROMA.sha256,
)
_ORIGINS = (PROV.wasDerivedFrom, PROV.hadPrimarySource, PROV.wasQuotedFrom, DCTERMS.source)
_ABOUT_IT = (DCTERMS.license, DCTERMS.rights, DCTERMS.created, PROV.generatedAtTime)
_TITLES = (RDFS.label, DCTERMS.title, DCTERMS.description)
_MAKERS = (DCTERMS.creator, DCTERMS.contributor, DCTERMS.publisher, PROV.wasAttributedTo)
_ORGANISATIONS = (expand("foaf:Organization"), PROV.Organization, expand("schema:Organization"))
_WEB = ("http://", "https://")
_OUR_WORDS = (STROMA("").value, OBO("").value)  # the vocabularies whose plain edges may be imported


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """Each nanopublication of the files as a Record, after its IRI and signature were checked.

    Raises SourceError for a file that holds none, or one that is malformed, changed or falsely signed.
    """
    for path in files:
        for envelope in envelopes(path, info.name):
            yield Record(info.name, envelope.code or envelope.iri.value, _fields(envelope), file=path.name)


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """The claim a nanopublication makes, its propositions, and the plain edges they allow."""
    yield from privacy.scrub(_quads(record, graph))


# ---------------------------------------------------------------- what a record holds


def _fields(envelope: Envelope) -> dict[str, object]:
    """Triples as N-Triples lines: those of the assertion, and the others by what they speak of."""
    assertion = envelope.assertion[0].graph_name
    claims = {q.subject for q in envelope.provenance if q.predicate == STROMA.asserts or _is(q, STROMA.Claim)}
    spans = {q.subject for q in envelope.provenance if _is(q, STROMA.TextSpan)}
    makers = {q.subject for q in envelope.pubinfo if q.predicate == RDF.type and q.object in _ORGANISATIONS}
    of: Mapping[str, Collection[object]] = {"assertion": {assertion}, "claim": claims, "span": spans}
    return {
        "iri": envelope.iri.value,
        "code": envelope.code or "",
        "signature": "RSA" if envelope.signed else "",
        "statements": [_line(quad) for quad in envelope.assertion],
        "provenance": _by_subject(envelope.provenance, of),
        "pubinfo": _by_subject(envelope.pubinfo, {"it": {envelope.iri}, "maker": makers}),
    }


def _is(quad: Quad, kind: NamedNode) -> bool:
    return quad.predicate == RDF.type and quad.object == kind


def _by_subject(
    quads: Sequence[Quad], groups: Mapping[str, Collection[object]]
) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for quad in quads:
        group = next((name for name, members in groups.items() if quad.subject in members), "other")
        found.setdefault(group, {}).setdefault(compress(quad.predicate.value), []).append(_line(quad))
    return found


def _line(quad: Quad) -> str:
    # The parser names blank nodes anew each time; a record has to stay the same.
    subject, object = ("_:b" if isinstance(t, BlankNode) else str(t) for t in (quad.subject, quad.object))
    return f"{subject} {quad.predicate} {object} ."


def _triples(lines: Sequence[str]) -> list[tuple[object, NamedNode, object]]:
    found = parse("\n".join(lines), format=RdfFormat.N_TRIPLES)
    return sorted(((quad.subject, quad.predicate, quad.object) for quad in found), key=str)


def _all(view: Record, group: str) -> list[tuple[object, NamedNode, Term]]:
    """The triples of a group, all taken; what is no name and no literal is left out."""
    triples = _triples([line for lines in (view.take(group) or {}).values() for line in lines])
    kept = [(s, p, o) for s, p, o in triples if isinstance(o, NamedNode | Literal)]
    for _ in range(len(triples) - len(kept)):
        view.leave_out(group, "a blank node")
    return kept


def _taken(view: Record, predicate: NamedNode) -> list[tuple[object, Term]]:
    """Subject and object of each triple of a predicate; what is no name and no literal is left out."""
    name = compress(predicate.value)
    triples = _triples(view.texts(name))
    kept = [(subject, object) for subject, _, object in triples if isinstance(object, NamedNode | Literal)]
    for _ in range(len(triples) - len(kept)):
        view.leave_out(name, "a blank node")
    return kept


# ---------------------------------------------------------------- what a record says


def _quads(record: Record, graph: Graph) -> Iterator[Quad]:
    this, code = NamedNode(record.require("iri")), record.text("code")
    provenance, info = record.within("provenance"), record.within("pubinfo")
    claim = mint("claim", "nanopubs", code or digest(this.value))
    yield graph.quad(this, RDF.type, NP.Nanopublication)
    yield graph.quad(this, DCTERMS.identifier, string(record.id))
    yield graph.quad(this, STROMA.sha256, string(record.sha256))
    yield graph.quad(this, STROMA.recordFile, string(record.file or ""))
    yield from _about(this, info, graph)
    yield graph.quad(claim, RDF.type, STROMA.Claim)
    yield graph.quad(claim, DCTERMS.identifier, string(record.id))
    yield graph.quad(claim, PROV.wasDerivedFrom, this)
    for predicate in _ORIGINS:
        for _, origin in _taken(provenance.within("assertion"), predicate):
            if isinstance(origin, NamedNode) and origin.value.startswith(_WEB):
                yield graph.quad(claim, PROV.wasDerivedFrom, origin)
    for _, time in _taken(provenance.within("assertion"), PROV.generatedAtTime):
        yield graph.quad(claim, DCTERMS.created, time)
    yield from _said_of_claim(record, claim, provenance, info, graph)
    modality = _modality(record, provenance)
    yield graph.quad(claim, STROMA.modality, modality)
    yield from _asserted(record, claim, modality == STROMA.ModalityAsserted, graph)


def _about(this: NamedNode, info: Record, graph: Graph) -> Iterator[Quad]:
    """Licence and dates of a nanopublication, and the organisations that made it; people stay out."""
    it, maker = info.within("it"), info.within("maker")
    _taken(it, RDF.type)
    organisations = {subject for subject, _ in _taken(maker, RDF.type)}
    _taken(maker, RDFS.label)
    for predicate in _ABOUT_IT:
        for _, value in _taken(it, predicate):
            yield graph.quad(this, predicate, value)
    for predicate in _MAKERS:
        for _, made_by in _taken(it, predicate):
            if made_by in organisations:
                yield graph.quad(this, DCTERMS.creator, made_by)
            else:
                it.leave_out(compress(predicate.value), "a person, or nobody said to be an organisation")


def _said_of_claim(
    record: Record, claim: NamedNode, provenance: Record, info: Record, graph: Graph
) -> Iterator[Quad]:
    """Words, place and scope of the claim; one of ours says them, of any other the title is what there is."""
    sealed = "its content fits its trusty IRI" if record.text("code") else "its IRI does not fix its content"
    signed = "its signature holds" if record.text("signature") else "it is not signed"
    yield graph.quad(claim, STROMA.basis, string(f"the assertion of a nanopublication; {sealed}; {signed}"))
    span_facts = provenance.within("span")
    ours = _all(provenance, "claim")
    evidence = [o for _, p, o in ours if p == STROMA.evidenceType and isinstance(o, NamedNode)]
    yield from rests_on(graph, claim, STROMA.LevelStated, evidence[0] if evidence else IMPORTED)
    yield from generation(graph, claim)
    for _, predicate, value in ours:
        if predicate not in _SAID_ANEW and predicate.value.startswith(_OUR_WORDS):
            yield graph.quad(claim, predicate, value)
    worded = any(predicate == STROMA.claimText for _, predicate, _ in ours)
    titles = [value.value for word in _TITLES for _, value in _taken(info.within("it"), word)]
    if titles and not worded:
        yield graph.quad(claim, STROMA.claimText, lang(titles[0], "en"))
    spans = {o for _, p, o in ours if p == STROMA.statedAt and isinstance(o, NamedNode)}
    _taken(span_facts, RDF.type)
    for span in sorted(spans, key=str):
        if not span.value.startswith(BASE + "span/"):
            raise record.bad("provenance", span.value, "is no span of a document")
        yield graph.quad(claim, STROMA.statedAt, span)
        yield graph.quad(span, RDF.type, STROMA.TextSpan)
    for predicate in _SPAN:
        for subject, value in _taken(span_facts, predicate):
            if isinstance(subject, NamedNode) and subject in spans:
                yield graph.quad(subject, predicate, value)


def _modality(record: Record, provenance: Record) -> NamedNode:
    found = {o for _, p, o in _all(provenance, "claim") if p == STROMA.modality}
    if len(found) > 1 or any(not isinstance(each, NamedNode) for each in found):
        raise record.bad("provenance", ", ".join(map(str, found)), "is not one modality")
    modality = next(iter(found), STROMA.ModalityAsserted)
    assert isinstance(modality, NamedNode)
    return modality


def _asserted(record: Record, claim: NamedNode, plain: bool, graph: Graph) -> Iterator[Quad]:
    """Propositions, plain edges where allowed, and the scope of the observations they are about."""
    triples = [_edge(triple) for triple in _triples(record.texts("statements"))]
    nodes = {s for s, predicate, o in triples if predicate == RDF.type and o == STROMA.Proposition}
    scope: list[Edge] = []
    if nodes:
        edges = _propositions(record, triples, nodes)
        scope = [edge for edge in triples if edge[0] not in nodes and (edge, True) not in edges]
    elif any(predicate == STROMA.notFormalisedBecause for _, predicate, _ in triples):
        return  # a sentence; its provenance says it too
    else:
        edges = [(edge, True) for edge in triples]
    for (subject, predicate, object), positive in edges:
        if predicate in _CLAIM_WORDS:
            raise record.bad(
                "statements", compress(predicate.value), "says who claims what", "That is for the provenance"
            )
        allowed = plain and predicate.value.startswith(_OUR_WORDS)
        yield from asserts(graph, claim, subject, predicate, object, positive=positive, plain=allowed)
        if _is_observed(subject):
            yield graph.quad(claim, STROMA.hasEvidence, subject)
    about = {edge[0] for edge, _ in edges}
    for subject, predicate, object in scope:
        if subject not in about or not _is_observed(subject) or not _is_scope(predicate, object):
            raise record.bad(
                "statements", f"{compress(subject.value)} {compress(predicate.value)}",
                "is neither a proposition of the assertion nor the scope of an observation in it",
                "Make a proposition of it, with subject, predicate, object and polarity",
            )  # fmt: skip
        yield graph.quad(subject, predicate, object)


def _propositions(
    record: Record, triples: Sequence[Edge], nodes: Collection[NamedNode]
) -> list[tuple[Edge, bool]]:
    """The propositions that are nodes of the assertion, each under the IRI that its parts give it."""
    found = []
    for node in sorted(nodes, key=str):
        said = {word: [o for s, p, o in triples if s == node and p == word] for word in _EDGE}
        if any(len(values) != 1 for values in said.values()):
            raise record.bad(
                "statements", compress(node.value), "is no whole proposition",
                "Give it subject, predicate, object and polarity, each once",
            )  # fmt: skip
        subject, predicate, object, polarity = (said[word][0] for word in _EDGE)
        if not isinstance(subject, NamedNode) or not isinstance(predicate, NamedNode):
            raise record.bad("statements", compress(node.value), "is a proposition about a literal")
        positive = polarity == STROMA.PolarityPositive
        if not positive and polarity != STROMA.PolarityNegative:
            raise record.bad("statements", str(polarity), "is no polarity")
        if node != proposition(subject, predicate, object, positive=positive):
            raise record.bad(
                "statements", compress(node.value), "is not the IRI of this proposition",
                "It is a digest of subject, predicate, object and polarity: loaders/claims.py makes it",
            )  # fmt: skip
        found.append(((subject, predicate, object), positive))
    return found


def _edge(triple: tuple[object, NamedNode, object]) -> Edge:
    subject, predicate, object = triple
    assert isinstance(subject, NamedNode)  # the envelope was checked
    assert isinstance(object, NamedNode | Literal)
    return subject, predicate, object


def _is_observed(subject: NamedNode) -> bool:
    return subject.value.startswith((BASE + "observation/", BASE + "comparison/"))


def _is_scope(predicate: NamedNode, object: Term) -> bool:
    """Whether a triple may say what an observation is about: in our words, and not who claims it."""
    if predicate == RDF.type:
        return object.value.startswith(_OUR_WORDS)
    return predicate not in _CLAIM_WORDS and predicate.value.startswith((*_OUR_WORDS, PROV("").value))
