"""Two tables made by others: citations of registry records, and a review's list of published MSC trials.

Hides their columns and spellings. The review's table has a second header line, Windows encoding, and
"NA" or "Not stated" where it knows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyoxigraph import NamedNode, Quad

from kg.errors import SourceError, UnknownValue
from kg.terms import DCTERMS, OBO, RDF, RDFS, STROMA, mint
from loaders.emit import Graph, date, decimal, publication, reference, slug, string
from loaders.publications.statements import Fact, Statement
from loaders.record import Record
from loaders.tables import rows

_NUMBER = "Reference number"
_NOTHING = frozenset({"", "NA", "Not stated", "Multiple"})

_PHASE = {
    "I": STROMA.Phase1,
    "Ib": STROMA.Phase1,
    "I/II": STROMA.Phase1Phase2,
    "I/IIa": STROMA.Phase1Phase2,
    "II": STROMA.Phase2,
    "IIa": STROMA.Phase2,
    "IIb": STROMA.Phase2,
    "II/III": STROMA.Phase2Phase3,
    "III": STROMA.Phase3,
}
_ROUTE = {
    "Intravenous": STROMA.RouteIntravenous,
    "Intraarticular": STROMA.RouteIntraArticular,
    "Intraosseous": STROMA.RouteIntraosseous,
    "Intrathecal": STROMA.RouteIntrathecal,
    "Intramuscular": STROMA.RouteIntramuscular,
    "Intracoronary": STROMA.RouteIntracoronary,
    "Subcutaneous": STROMA.RouteSubcutaneous,
    "Topical": STROMA.RouteTopical,
    "Intracardiac": STROMA.RouteIntramyocardial,
    "Local injection": STROMA.RouteIntralesional,
    "Implant": STROMA.RouteSurgical,
}
_TISSUE = {
    "Bone marrow": STROMA.TissueBoneMarrow,
    "Adipose": STROMA.TissueAdipose,
    "Umbilical cord": STROMA.TissueUmbilicalCord,
}
_DONOR = {
    "Autologous": STROMA.DonorAutologous,
    "Allogeneic": STROMA.DonorAllogeneic,
    # Two regimens in one row: which donor had which effect is not told, so neither is stated.
    "Both": None,
}
_REFERENCES = ("background", "derived", "result")  # kinds, as the registry has them
# "Roe J, Doe A. Title. Journal. 2010 Mar;1(2):3-4. doi: 10.1/x": as PubMed prints it; the names come first.
_CITATION = re.compile(
    r"[^.]+\.\s+(?P<title>\S.*?[.?!\]])\s+(?P<journal>[^.?!]{2,80})\.\s+(?P<year>(?:19|20)\d\d)\b", re.DOTALL
)
_DOI = re.compile(r"\bdoi:\s*(10\.\d{4,9}/\S+?)[.,;]?(?=\s|$)", re.IGNORECASE)
_OPERATOR = {"greater than": ">", "minimum": ">=", "average": "~"}


def records(path: Path, source: str) -> Iterator[Record]:
    """The review's rows; raises SourceError for a CSV of other columns."""
    for row in rows(path, source=source, delimiter=",", encoding="cp1252"):
        if _NUMBER not in row.fields:
            raise SourceError(
                f"has no column {_NUMBER!r}",
                source=source, file=path.name, advice="The one CSV read here is the review's table",
            )  # fmt: skip
        number = row.fields[_NUMBER]
        if number != "ref_number":  # the second header line
            yield Record(source, f"review {number}", row.fields, file=path.name, line=row.line)


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """One published trial of the review: its publication, study, arm, regimen and product."""
    number = record.require(_NUMBER)
    statement = Statement(
        mint("claim", record.source, "review", number),
        STROMA.ConfidenceMedium,
        "a review's table of published MSC trials, made by others",
    )
    yield from statement.quads(graph, list(_facts(record, number)))


def _facts(record: Record, number: str) -> Iterator[Fact]:
    study, arm = mint("trial", f"review-{number}"), mint("arm", f"review-{number}", 1)
    regimen, product = mint("regimen", f"review-{number}", 1), mint("product", f"review-{number}")
    yield from _article(record, study)
    yield "", study, RDF.type, STROMA.ClinicalStudy
    yield "", study, RDF.type, OBO("OBI_0003699")
    yield "phase", study, STROMA.phaseText, string(record.require("Clinical trial phase (detail)"))
    if phase := _word(record, "Clinical trial phase (detail)", _PHASE):
        yield "phase", study, STROMA.hasPhase, phase
    country = record.text("Country in which trial conducted")
    if country and country not in _NOTHING:
        for name in country.split(" & "):
            yield "country", study, STROMA.inCountry, string(name)
    indication = record.require("Given indication")
    condition = mint("condition", slug(indication))
    yield "indication", study, STROMA.studiesCondition, condition
    yield "", condition, RDFS.label, string(indication)
    yield "arm", study, STROMA.hasArm, arm
    author = record.require("First author")
    yield "", study, RDFS.label, string(f"{author} {record.require('Year')}: the study reported")
    yield "", arm, RDF.type, STROMA.TrialArm
    yield "", arm, RDFS.label, string(f"{author} {record.require('Year')}: MSC")
    yield "arm", arm, STROMA.hasIntervention, regimen
    yield "", regimen, RDF.type, STROMA.InterventionRegimen
    yield "", regimen, RDFS.label, string(f"{record.require('Source of MSC')} MSC")
    yield "arm", regimen, STROMA.administers, product
    yield "", product, RDF.type, STROMA.CellTherapyProduct
    yield "arm", product, OBO("RO_0002248"), STROMA.CellMesenchymalStem
    source = record.require("Source of MSC")
    yield "", product, RDFS.label, string(f"{source} MSC")
    if tissue := _word(record, "Source of MSC", _TISSUE):
        yield "source", product, STROMA.hasTissueSource, tissue
    if donor := _word(record, "Allogeneic or autologous", _DONOR):
        yield "donor", regimen, STROMA.hasDonorRelation, donor
    yield "donor", regimen, STROMA.donorText, string(record.require("Allogeneic or autologous"))
    if route := _word(record, "Route of administration", _ROUTE):
        yield "route", regimen, STROMA.hasRoute, route
    yield "route", regimen, STROMA.routeText, string(record.require("Route of administration"))
    yield from _viability(record, number, arm)


def _article(record: Record, study: NamedNode) -> Iterator[Fact]:
    title, author, printed = (record.require(name) for name in ("Title", "First author", "Year"))
    address = record.require("Reference URL").partition("?")[0]
    doi = re.search(r"\b10\.\d{4,9}/[^\s?#]+", address)
    article = publication(doi=doi[0] if doi else None, citation=title)
    yield "publication", study, STROMA.hasPublication, article
    yield "", article, RDF.type, STROMA.Publication
    yield "", article, RDFS.label, string(f"{author} {printed}")
    yield "publication", article, DCTERMS.title, string(title)
    yield "publication", article, STROMA.journal, string(record.require("Journal"))
    yield "publication", article, STROMA.publicationYear, date(record, "Year", printed)
    yield "publication", article, STROMA.sourceAddress, string(address)
    if doi:
        yield "publication", article, STROMA.doi, string(doi[0])


def _viability(record: Record, number: str, arm: NamedNode) -> Iterator[Fact]:
    """Viability of the cells in percent, where the row has a number (not "d" or "I")."""
    value, qualifier = record.text("Viability value"), record.text("Viability qualifier")
    if value is None or not value[0].isdigit() or qualifier is None:
        record.unreadable("Viability value", "no number with its qualifier")
        return
    observation = mint("observation", f"review-{number}", "viability")
    yield "", observation, RDF.type, STROMA.Observation
    yield "viability", observation, STROMA.aboutArm, arm
    yield "viability", observation, STROMA.forMeasure, STROMA.MeasureCellViability
    yield "viability", observation, STROMA.percentage, decimal(record, "Viability value", value)
    if qualifier not in _NOTHING:
        if qualifier not in _OPERATOR:
            raise _unknown(record, "Viability qualifier", qualifier, _OPERATOR)
        yield "viability", observation, STROMA.valueOperator, string(_OPERATOR[qualifier])


def citation(record: Record, graph: Graph) -> Iterator[Quad]:
    """A publication that a registry record cites; one that reports the trial is its publication too.

    Of the citation's text only title, journal, year and DOI are kept: it begins with the names of authors.
    """
    trial = mint("trial", record.require("nct_id"))
    pmid, text, kind = record.text("pmid"), record.text("citation"), record.text("reference_type")
    if pmid is not None and not re.fullmatch(r"\d{1,9}", pmid):
        raise record.bad("pmid", pmid, "should be a PubMed number")
    if pmid is None and text is None:
        raise record.bad("citation", text, "is missing, and so is the PubMed number")
    if kind is not None and kind not in _REFERENCES:
        raise _unknown(record, "reference_type", kind, _REFERENCES)
    article = publication(pmid=pmid, citation=text)
    yield from reference(graph, trial, record.require("nct_id"), article, kind)
    if text is not None:
        yield from _cited(record, graph, article, text)
    if pmid is not None:
        yield graph.quad(article, STROMA.pubmedId, string(pmid))


def _cited(record: Record, graph: Graph, article: NamedNode, text: str) -> Iterator[Quad]:
    if match := _CITATION.match(text):
        yield graph.quad(article, DCTERMS.title, string(match["title"].removesuffix(".").strip()))
        yield graph.quad(article, STROMA.journal, string(match["journal"].strip()))
        yield graph.quad(article, STROMA.publicationYear, date(record, "citation", match["year"]))
        record.leave_out("citation", "names of authors")
    else:
        yield graph.quad(article, RDFS.label, string(f"publication cited by {record.require('nct_id')}"))
        record.unreadable("citation", "title and journal cannot be told from the authors")
    if doi := _DOI.search(text):
        yield graph.quad(article, STROMA.doi, string(doi[1]))


def _word(
    record: Record, column: str, table: dict[str, NamedNode] | dict[str, NamedNode | None]
) -> NamedNode | None:
    text = record.text(column)
    if text is None or text in _NOTHING:
        record.unreadable(column, "the row does not say" if text != "Multiple" else "several, not told apart")
        return None
    if text not in table:
        raise _unknown(record, column, text, table)
    return table[text]


def _unknown(record: Record, column: str, text: str, known: Iterable[str]) -> UnknownValue:
    return UnknownValue(
        f"should be one of {', '.join(known)}",
        value=text, advice="Mend the row, or add the word to loaders/publications/review.py",
        **record.place(column),
    )  # fmt: skip
