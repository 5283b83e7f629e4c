"""What a snapshot says about itself, as graphs in it: `graph:metadata`, `graph:examples`, `graph:prefixes`.

Hides the words for it: DCAT for the dataset, its sources and how to get it; VoID for what is in it, by
graph, class and property, and for its links; our own for counts by value; SHACL for questions and prefixes,
as SIB's endpoints have them.
Nothing here changes from run to run, so that it does not change the hash; times stand in the report.
Addresses are those below https://w3id.org/stroma/, whichever server answers: a snapshot may move.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version as package_version

from pyoxigraph import Literal, NamedNode, Quad

from kg.canned import Question
from kg.census import Census, Counts, Slice
from kg.engine.guard import tokens
from kg.parts import SourceInfo, dated
from kg.report import SourceReport
from kg.terms import (
    BASE,
    DCTERMS,
    OBO,
    PROV,
    RDF,
    RDFS,
    STROMA,
    VOID,
    XSD,
    compress,
    digest,
    expand,
    mint,
    prefixes,
)
from kg.totals import Totals

METADATA = mint("graph", "metadata")
EXAMPLES = mint("graph", "examples")
PREFIXES = mint("graph", "prefixes")

TITLE = {
    "en": "Stroma: mesenchymal stromal cell therapy for rheumatoid arthritis",
    "zh-Hans": "Stroma：间充质基质细胞治疗类风湿关节炎知识图谱",
    "zh-Hant": "Stroma：間充質基質細胞治療類風濕關節炎知識圖譜",
}
DESCRIPTION = {
    "en": "A knowledge graph of cell therapy for rheumatoid arthritis: mechanisms, the joint's "
    "microenvironment, trials, doses and routes, outcomes and safety, each statement with where it was said.",
    "zh-Hans": "类风湿关节炎细胞治疗知识图谱：作用机制、关节微环境、临床试验、"
    "剂量与给药途径、疗效与安全性，每条陈述均注明出处。",
    "zh-Hant": "類風濕關節炎細胞治療知識圖譜：作用機制、關節微環境、臨床試驗、"
    "劑量與給藥途徑、療效與安全性，每條陳述均註明出處。",
}
KEYWORDS = ("mesenchymal stromal cell", "mesenchymal stem cell", "rheumatoid arthritis", "cell therapy",
            "clinical trial", "knowledge graph")  # fmt: skip
LICENCE = "https://creativecommons.org/licenses/by/4.0/"
PUBLISHER = "The Stroma contributors"
CATALOGUE = NamedNode(BASE)
ENDPOINT = NamedNode(BASE + "sparql")
DUMP = BASE + "dump/"  # the newest snapshot's files

# docs/data-model.md, "Graphs"; the graphs of sources carry their source's title, those of rules their rule's.
_GRAPHS = {
    "ontology": "The ontology: our modules with the stubs of public terms",
    "claims-derived": "Axioms generated from accepted claims, each annotated with its claims",
    "derived": "Numbers computed from reported numbers, each with its method and inputs",
    "links": "Which publications are about which trials, and what was registered beside what is reported",
    "evidence-lines": "Evidence lines: what speaks for or against a statement without making it",
    "findings": "Findings: where statements disagree, and the rules that found them",
    "metadata": "Description of the snapshot, its sources, graphs and inference rules",
    "examples": "Questions with their SPARQL, as examples",
    "prefixes": "Prefixes for queries",
}
# What the graphs that the build adds state; those of sources say it in their source.toml.
_LEVELS = {
    "ontology": STROMA.LevelDefined,
    "claims-derived": STROMA.LevelInferred,
    "inferred": STROMA.LevelInferred,
    "findings": STROMA.LevelRecomputed,
    "links": STROMA.LevelRecomputed,
    "derived": STROMA.LevelRecomputed,
    "evidence-lines": STROMA.LevelRecomputed,
    "metadata": STROMA.LevelDescribed,
    "examples": STROMA.LevelDescribed,
    "prefixes": STROMA.LevelDescribed,
}
# The kind of evidence (Evidence and Conclusion Ontology) of a whole graph, where one holds of it all.
_EVIDENCE = {
    STROMA.LevelRecorded: OBO.ECO_0000313,  # imported information
    STROMA.LevelInferred: OBO.ECO_0000363,  # computational inference
    STROMA.LevelRecomputed: OBO.ECO_0007669,  # computational evidence
}
_FORMS = {"SELECT": "Select", "ASK": "Ask", "CONSTRUCT": "Construct", "DESCRIBE": "Describe"}

Statement = tuple[NamedNode, NamedNode, NamedNode | Literal]


def metadata(
    version: str,
    sources: Sequence[tuple[SourceInfo, SourceReport]],
    counted: Census,
    already: int,
) -> Iterator[Quad]:
    """`graph:metadata`: the snapshot, its sources and graphs, and all that `counted` tells of them.

    `counted` leaves this graph out; `already` is how many quads of others stand in it. Of itself it tells
    its triples only, and the snapshot's triples include them. Each quad comes once, in no order.
    """
    found = [
        *_dataset(version, sources),
        *_service(version),
        *(statement for info, told in sources for statement in _source(version, info, told)),
        *_graphs(version, sources, counted),
        *_partitions(version, counted),
        *_linksets(version, counted),
    ]
    # A registry names more conditions than would be held: these are made twice, and are of no other thing.
    totals = sum(1 for _ in _totals(version, counted.totals))
    own = already + len(set(found)) + totals + 2  # and the two that follow
    total = counted.slices.get(Slice(), Counts(0, 0, 0)).triples
    found += [
        (METADATA, VOID.triples, _number(own)),
        (mint("snapshot", version), VOID.triples, _number(total + own)),
    ]
    yield from _in(METADATA, found)
    yield from (Quad(*statement, METADATA) for statement in _totals(version, counted.totals))


def examples(questions: Iterable[Question]) -> list[Quad]:
    """`graph:examples`: every question, its SPARQL as it runs, and what it asks in three languages."""
    shacl, schema = prefixes()["sh"], prefixes()["schema"]
    found: list[Statement] = []
    for question in questions:
        node = mint("query", question.id)
        text = "\n".join(line for line in question.text.splitlines() if not line.startswith("#+")) + "\n"
        form = next(word.text.upper() for word in tokens(text) if word.text.upper() in _FORMS)
        found += [
            (node, RDF.type, expand("sh:SPARQLExecutable")),
            (node, RDF.type, NamedNode(f"{shacl}SPARQL{_FORMS[form]}Executable")),
            (node, NamedNode(shacl + form.lower()), Literal(text)),
            (node, expand("sh:prefixes"), PREFIXES),
            (node, NamedNode(schema + "target"), ENDPOINT),
            (node, DCTERMS.identifier, Literal(question.id)),
            (node, DCTERMS.description, Literal(question.description.strip(), language="en")),
            (node, RDFS.seeAlso, NamedNode(f"{BASE}queries/{question.id}")),
            (node, RDFS.comment, Literal(question.summary, language="en")),
        ]
        found += [(node, RDFS.comment, Literal(t, language=tag)) for tag, t in question.summaries.items()]
        keywords = sorted({question.topic, *question.tags})
        found += [(node, NamedNode(schema + "keywords"), Literal(keyword)) for keyword in keywords]
    return _in(EXAMPLES, found)


def prefix_declarations() -> list[Quad]:
    """`graph:prefixes`: the prefix map, for editors that complete queries."""
    found: list[Statement] = []
    for prefix, namespace in prefixes().items():
        node = NamedNode(f"{BASE}.well-known/prefixes#{prefix}")
        found += [
            (PREFIXES, expand("sh:declare"), node),
            (node, expand("sh:prefix"), Literal(prefix)),
            (node, expand("sh:namespace"), Literal(namespace, datatype=XSD.anyURI)),
        ]
    return _in(PREFIXES, found)


# ------------------------------------------------------------------------------------------- the dataset


def _dataset(version: str, sources: Sequence[tuple[SourceInfo, SourceReport]]) -> Iterator[Statement]:
    snapshot = mint("snapshot", version)
    publisher = NamedNode(BASE + "about#contributors")
    day = Literal(version, datatype=XSD.date)
    yield from ((snapshot, RDF.type, kind) for kind in (expand("dcat:Dataset"), VOID.Dataset))
    yield from ((snapshot, DCTERMS.title, Literal(text, language=tag)) for tag, text in TITLE.items())
    yield from (
        (snapshot, DCTERMS.description, Literal(text, language=tag)) for tag, text in DESCRIPTION.items()
    )
    yield from ((snapshot, expand("dcat:keyword"), Literal(keyword, language="en")) for keyword in KEYWORDS)
    yield from ((snapshot, DCTERMS.subject, expand(term)) for term in ("MONDO:0008383", "CL:0000134"))
    yield from ((snapshot, DCTERMS.language, Literal(tag)) for tag in TITLE)
    yield from (
        (snapshot, expand("dcat:version"), Literal(version)),
        (snapshot, DCTERMS.issued, day),
        (snapshot, DCTERMS.modified, day),
        (snapshot, DCTERMS.license, NamedNode(LICENCE)),
        (snapshot, DCTERMS.accessRights, NamedNode("http://publications.europa.eu/resource/authority/access-right/PUBLIC")),
        (snapshot, DCTERMS.publisher, publisher),
        (snapshot, DCTERMS.creator, publisher),
        (publisher, RDF.type, expand("foaf:Group")),
        (publisher, expand("foaf:name"), Literal(PUBLISHER)),
        (snapshot, expand("dcat:landingPage"), CATALOGUE),
        (snapshot, expand("foaf:homepage"), CATALOGUE),
        (snapshot, VOID.sparqlEndpoint, ENDPOINT),
        (snapshot, VOID.uriSpace, Literal(BASE)),
        (snapshot, VOID.dataDump, NamedNode(DUMP + "stroma.nq.gz")),
    )  # fmt: skip
    for name, media_type, what in (
        ("stroma.nq.gz", "application/n-quads", "All graphs as sorted N-Quads"),
        ("stroma.trig.gz", "application/trig", "All graphs as TriG"),
    ):
        yield from _distribution(version, snapshot, name, media_type, what)
    yield from ((snapshot, PROV.wasDerivedFrom, mint("source", info.name)) for info, _ in sources)


def _distribution(version: str, of: NamedNode, name: str, media_type: str, title: str) -> Iterator[Statement]:
    node = mint("snapshot", version, "distribution", name)
    iana = "https://www.iana.org/assignments/media-types/"
    yield from (
        (of, expand("dcat:distribution"), node),
        (node, RDF.type, expand("dcat:Distribution")),
        (node, DCTERMS.title, _english(title)),
        (node, expand("dcat:mediaType"), NamedNode(iana + media_type)),
        (node, expand("dcat:compressFormat"), NamedNode(iana + "application/gzip")),
        (node, expand("dcat:downloadURL"), NamedNode(DUMP + name)),
        (node, DCTERMS.license, NamedNode(LICENCE)),
    )


def _service(version: str) -> Iterator[Statement]:
    document = NamedNode(BASE + ".well-known/void")
    snapshot = mint("snapshot", version)
    yield from (
        (CATALOGUE, RDF.type, expand("dcat:Catalog")),
        (CATALOGUE, DCTERMS.title, _english("Stroma")),
        (CATALOGUE, expand("dcat:dataset"), snapshot),
        (CATALOGUE, expand("dcat:service"), ENDPOINT),
        (ENDPOINT, RDF.type, expand("dcat:DataService")),
        (ENDPOINT, DCTERMS.title, _english("SPARQL endpoint")),
        (ENDPOINT, expand("dcat:endpointURL"), ENDPOINT),
        (ENDPOINT, expand("dcat:endpointDescription"), ENDPOINT),
        (ENDPOINT, expand("dcat:servesDataset"), snapshot),
        (ENDPOINT, DCTERMS.conformsTo, NamedNode("http://www.w3.org/TR/sparql11-protocol/")),
        (document, RDF.type, VOID.DatasetDescription),
        (document, DCTERMS.title, _english("Description of the snapshot")),
        (document, expand("foaf:primaryTopic"), snapshot),
    )


def _source(version: str, info: SourceInfo, told: SourceReport) -> Iterator[Statement]:
    source = mint("source", info.name)
    relation, licence = _rights(info)
    yield (source, relation, licence)
    yield from (
        (source, RDF.type, expand("dcat:Dataset")),
        (source, DCTERMS.title, _english(info.title)),
        (source, DCTERMS.description, _english(info.description)),
        (source, DCTERMS.type, Literal(info.kind)),
        (source, expand("dcat:version"), Literal(info.version)),
        (source, VOID.entities, _number(told.records)),
        (source, VOID.triples, _number(told.quads)),
        (info.graph, DCTERMS.source, source),
    )
    if re.match(r"https?://\S+$", info.url):
        yield (source, expand("dcat:landingPage"), NamedNode(info.url))
    for file in told.files:
        node = mint("source", info.name, "file", digest(file["name"], file["sha256"]))
        yield from (
            (source, expand("dcat:distribution"), node),
            (node, RDF.type, expand("dcat:Distribution")),
            (node, DCTERMS.title, Literal(file["name"])),
            (node, expand("dcat:byteSize"), _number(file["bytes"])),
        )
        yield from _checksum(version, node, file["sha256"])


def _rights(info: SourceInfo) -> tuple[NamedNode, NamedNode | Literal]:
    if re.match(r"https?://\S+$", info.licence):
        return DCTERMS.license, NamedNode(info.licence)
    return DCTERMS.rights, Literal(info.licence)


def _checksum(version: str, of: NamedNode, sha256: str) -> Iterator[Statement]:
    node = mint("snapshot", version, "checksum", sha256)
    yield from (
        (of, expand("spdx:checksum"), node),
        (node, RDF.type, expand("spdx:Checksum")),
        (node, expand("spdx:algorithm"), expand("spdx:checksumAlgorithm_sha256")),
        (node, expand("spdx:checksumValue"), Literal(sha256, datatype=XSD.hexBinary)),
    )


# -------------------------------------------------------------------------------- graphs and partitions


def _graphs(
    version: str, sources: Sequence[tuple[SourceInfo, SourceReport]], counted: Census
) -> Iterator[Statement]:
    of_source = {info.graph.value: info for info, _ in sources}
    for iri in sorted({slice.graph for slice in counted.slices if slice.graph} | {METADATA.value}):
        graph, name = NamedNode(iri), compress(iri).removeprefix("graph:")
        info = of_source.get(iri)
        yield (mint("snapshot", version), VOID.subset, graph)
        yield from ((graph, RDF.type, kind) for kind in (VOID.Dataset, expand("dcat:Dataset")))
        relation, licence = _rights(info) if info else (DCTERMS.license, NamedNode(LICENCE))
        yield (graph, relation, licence)
        level = STROMA(f"Level{info.level.capitalize()}") if info else _LEVELS[name.partition("/")[0]]
        yield graph, STROMA.statementLevel, level
        if evidence := _EVIDENCE.get(level):
            yield graph, STROMA.evidenceType, evidence
        yield from _made(graph, info, version)
        if label := info.title if info else _GRAPHS.get(name):
            yield (graph, RDFS.label, _english(label))
        file = f"graph/{name}"
        yield from _distribution(version, graph, f"{file}.nt.gz", "application/n-triples", "Sorted N-Triples")
        yield from _distribution(version, graph, f"{file}.ttl.gz", "text/turtle", "Turtle")
        if iri in counted.digests:
            yield from _checksum(version, graph, counted.digests[iri])


def _made(graph: NamedNode, info: SourceInfo | None, version: str) -> Iterator[Statement]:
    """What made a graph: an activity, its program, and the time that the version of its input stands for."""
    activity = mint("activity", info.name if info else "build")
    program = mint("agent", "stroma-kg", package_version("stroma-kg"))
    yield graph, PROV.wasGeneratedBy, activity
    if time := dated(info.version if info else version):
        yield graph, PROV.generatedAtTime, time
    yield activity, RDF.type, PROV.Activity
    yield activity, RDFS.label, _english(f"Loading of: {info.title}" if info else "Build of the snapshot")
    yield activity, PROV.wasAssociatedWith, program
    yield program, RDF.type, PROV.SoftwareAgent
    yield program, RDFS.label, _english("stroma-kg, the program that loads, checks and infers")
    yield program, expand("dcat:version"), Literal(package_version("stroma-kg"))
    if info:
        yield graph, PROV.wasDerivedFrom, mint("source", info.name)
        yield activity, PROV.used, mint("source", info.name)


def _partitions(version: str, counted: Census) -> Iterator[Statement]:
    """Counts of every slice, and the slices below each other: a graph's, a class's."""
    numbers: dict[tuple[str, str], int] = {}
    for slice, counts in counted.slices.items():
        graph, type, name = slice
        node = _node(version, slice)
        if name:
            yield (_node(version, Slice(graph, type)), VOID.propertyPartition, node)
            yield (node, VOID.property, NamedNode(name))
        elif type:
            yield (_node(version, Slice(graph)), VOID("classPartition"), node)
            yield (node, VOID("class"), NamedNode(type))
            yield (node, VOID.entities, _number(counts.subjects))
        if not type or not name:
            kind = "properties" if name else "classes"
            numbers[graph, kind] = numbers.get((graph, kind), 0) + bool(name or type)
        if slice != Slice():  # the snapshot's own triples include those of this graph
            yield (node, VOID.triples, _number(counts.triples))
        yield (node, VOID.distinctSubjects, _number(counts.subjects))
        yield (node, VOID.distinctObjects, _number(counts.objects))
    for (graph, kind), found in numbers.items():
        yield (_node(version, Slice(graph)), VOID(kind), _number(found))
    for graph, entities in counted.entities.items():
        yield (_node(version, Slice(graph)), VOID.entities, _number(entities))
        yield (_node(version, Slice(graph)), VOID.exampleResource, NamedNode(counted.examples[graph]))
    for namespace in sorted(_vocabularies(counted)):
        yield (mint("snapshot", version), VOID.vocabulary, NamedNode(namespace))


def _node(version: str, slice: Slice) -> NamedNode:
    if slice == Slice():
        return mint("snapshot", version)
    if slice == Slice(slice.graph):
        return NamedNode(slice.graph)
    return mint("snapshot", version, "partition", digest(*slice))


def _vocabularies(counted: Census) -> set[str]:
    """The namespaces of the prefix map that properties and classes of the data are of."""
    used = {iri for slice in counted.slices for iri in (slice.property, slice.type) if iri}
    curies = {compress(iri).partition(":") for iri in used}
    return {prefixes()[prefix] for prefix, _, _ in curies if prefix in prefixes()}


def _linksets(version: str, counted: Census) -> Iterator[Statement]:
    by_namespace: Mapping[str, str] = {namespace: prefix for prefix, namespace in prefixes().items()}
    snapshot = mint("snapshot", version)
    for (relation, namespace), triples in counted.links.items():
        node = mint("snapshot", version, "linkset", digest(relation, namespace))
        prefix = by_namespace.get(namespace)
        # bioregistry.io has a page for each vocabulary of the prefix map, by its lower-case prefix.
        name = "https://bioregistry.io/" + prefix.partition(".")[0].lower() if prefix else namespace
        target = NamedNode(name)
        yield from (
            (snapshot, VOID.subset, node),
            (node, RDF.type, VOID.Linkset),
            (node, VOID.linkPredicate, NamedNode(relation)),
            (node, VOID.subjectsTarget, snapshot),
            (node, VOID.objectsTarget, target),
            (node, VOID.triples, _number(triples)),
            (target, RDF.type, VOID.Dataset),
            (target, VOID.uriSpace, Literal(namespace)),
        )


def _totals(version: str, totals: Totals) -> Iterator[Statement]:
    """Counts of claims and studies by their values, which VoID has no words for."""
    for kind, claims in totals.claims.items():
        evidence, study = kind
        node = mint("snapshot", version, "count", digest("evidence", evidence, study))
        yield node, RDF.type, STROMA.ClaimCount
        yield node, STROMA.countedEvidenceType, NamedNode(evidence)
        if study:
            yield node, STROMA.countedStudyType, NamedNode(study)
        yield node, STROMA.numberOfClaims, _number(claims)
        yield node, STROMA.numberOfHedgedClaims, _number(totals.hedged[kind])
    for kind, claims in totals.said.items():
        level, modality = kind
        node = mint("snapshot", version, "count", digest("level", level, modality))
        yield node, RDF.type, STROMA.ClaimCount
        yield node, STROMA.countedLevel, NamedNode(level)
        yield node, STROMA.countedModality, NamedNode(modality)
        yield node, STROMA.numberOfClaims, _number(claims)
        yield node, STROMA.numberOfPropositions, _number(totals.propositions[kind])
    for condition, studies in totals.studies.items():
        node = mint("snapshot", version, "count", digest("condition", condition))
        yield node, RDF.type, STROMA.StudyCount
        yield node, STROMA.countedCondition, NamedNode(condition)
        yield node, STROMA.numberOfStudies, _number(studies)


def _in(graph: NamedNode, statements: Iterable[Statement]) -> list[Quad]:
    return [Quad(*statement, graph) for statement in dict.fromkeys(statements)]


def _english(text: str) -> Literal:
    return Literal(text, language="en")


def _number(value: int) -> Literal:
    return Literal(str(value), datatype=XSD.integer)
