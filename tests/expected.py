"""The rows that each question of `queries/` must give at its defaults, for every test that asks it.

`tests/queries/<id>.tsv` holds them, read against the sources. A few questions are about the ontology's own
tables and change with every term and mapping: theirs are told from the files by another path (rdflib and csv,
no store and no SPARQL), so that who adds a term edits no table of counts.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import yaml
from rdflib import OWL, RDF, RDFS, SKOS, Graph, Literal, Namespace, URIRef

from kg.terms import ROOT, STROMA, compress

FOLDER = Path(__file__).parent / "queries"
Rows = list[dict[str, str]]

_OBO = Namespace("http://purl.obolibrary.org/obo/")
_KINDS = {
    "annotation property": OWL.AnnotationProperty,
    "class": OWL.Class,
    "datatype property": OWL.DatatypeProperty,
    "individual": OWL.NamedIndividual,
    "object property": OWL.ObjectProperty,
}


def expected(id: str) -> Rows:
    """The rows due, as text: CURIEs for IRIs, the lexical form of literals, "" for unbound."""
    return RECOMPUTED[id]() if id in RECOMPUTED else table(path(id), csv.QUOTE_MINIMAL)


def path(id: str) -> Path:
    """Where the rows of a question stand."""
    return FOLDER / f"{id}.tsv"


def table(file: Path, quoting: int = csv.QUOTE_NONE) -> Rows:
    """The rows of a tab-separated file; lines that start with "#" are left out."""
    with file.open(encoding="utf-8", newline="") as handle:
        lines = (line for line in handle if not line.startswith("#"))
        return list(csv.DictReader(lines, delimiter="\t", quoting=quoting))


def written(rows: Rows) -> str:
    """Rows as the text of their file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def difference(due: Rows, given: Rows) -> str:
    """What is given and not due (+), and due and not given (-), row by row."""
    lines = difflib.unified_diff(
        written(due).splitlines() if due else [],
        written(given).splitlines() if given else [],
        "due",
        "given",
        n=0,
        lineterm="",
    )
    return "\n".join(line for line in lines if not line.startswith("@@"))


# --- told from the files


@lru_cache(maxsize=1)
def modules() -> Graph:
    """Every Turtle file of the ontology, as one graph of rdflib."""
    graph = Graph()
    for file in (ROOT / "ontology" / "stroma.ttl", *sorted((ROOT / "ontology" / "modules").glob("*.ttl"))):
        graph.parse(file)
    return graph


def mapping_tables() -> Iterator[tuple[str, Rows]]:
    """Each table of mappings: the vocabulary its header names, and its rows."""
    for file in sorted((ROOT / "ontology" / "mappings").glob("*.sssom.tsv")):
        lines = file.read_text(encoding="utf-8").splitlines()
        header = yaml.safe_load("\n".join(line[1:] for line in lines if line.startswith("#")))
        yield header["object_source"], table(file)


def _labels_in_three_languages() -> Rows:
    languages = {
        (term, label.language.lower())
        for term, label in modules().subject_objects(SKOS.prefLabel)
        if isinstance(label, Literal) and label.language
    }
    rows = []
    for kind, type_ in sorted(_KINDS.items()):
        terms = {term for term in modules().subjects(RDF.type, type_) if isinstance(term, URIRef)}
        counts = {"terms": len(terms)}
        for column, language in (("en", "en"), ("zhHans", "zh-hans"), ("zhHant", "zh-hant")):
            counts[column] = sum((term, language) in languages for term in terms)
        counts["defined"] = sum((term, _OBO.IAO_0000115, None) in modules() for term in terms)
        rows.append({"kind": kind, **{column: str(count) for column, count in counts.items()}})
    return rows


def _terms_without_a_mapping() -> Rows:
    graph = modules()
    mapped = {row["subject_id"] for _, rows in mapping_tables() for row in rows}
    found = []
    for term in set(graph.subjects(RDF.type, OWL.Class)):
        if not str(term).startswith(STROMA("").value) or compress(str(term)) in mapped:
            continue
        above = graph.objects(term, RDFS.subClassOf)
        parents = [str(label) for up in above for label in graph.objects(up, RDFS.label)]
        (label,) = graph.objects(term, RDFS.label)
        found.append((str(label), str(term), min(parents, default="")))
    return [
        {"term": compress(term), "label": label, "parent": parent} for label, term, parent in sorted(found)
    ]


def _vocabularies_mapped_to() -> Rows:
    counted = []
    for vocabulary, rows in mapping_tables():
        confidences = sorted((row["confidence"] for row in rows), key=float)
        exact = sum(row["predicate_id"] == "skos:exactMatch" for row in rows)
        unverified = sum(not row["object_source_version"] for row in rows)
        counted.append((-len(rows), vocabulary, exact, unverified, confidences[0], confidences[-1]))
    columns = ("mappings", "vocabulary", "exact", "unverified", "lowest", "highest")
    rows = [dict(zip(columns, (str(-line[0]), *map(str, line[1:])), strict=True)) for line in sorted(counted)]
    return [{"vocabulary": row.pop("vocabulary"), **row} for row in rows]


RECOMPUTED: Mapping[str, Callable[[], Rows]] = {
    "labels-in-three-languages": _labels_in_three_languages,
    "terms-without-a-mapping": _terms_without_a_mapping,
    "vocabularies-mapped-to": _vocabularies_mapped_to,
}
