"""The publications source: what is published, how sure we are, and how damage is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pyoxigraph import Dataset, Literal, NamedNode, Quad, Store

from kg.errors import BadValue, SourceError, UnknownValue
from kg.terms import RDF, STROMA, compress, expand, mint, prefixes
from loaders import catalog

RECORDS = catalog.FOLDER / "publications" / "records"


@pytest.fixture(scope="module")
def store() -> Store:
    store = Store()
    store.extend(catalog.load("publications").quads)
    return store


def ask(store: Store, query: str) -> list[tuple[str, ...]]:
    """Rows of a query over the union of graphs, as CURIEs and plain text."""
    found = store.query(query, prefixes=dict(prefixes()), use_default_graph_as_union=True)
    return [
        tuple(compress(term.value) if isinstance(term, NamedNode) else term.value for term in row)
        for row in found  # type: ignore[union-attr]
    ]


def test_the_embedded_source_holds_what_its_description_expects() -> None:
    part = catalog.load("publications")
    dataset = Dataset(part.quads)
    assert part.account.records == part.source.expected.records
    assert part.account.unread == Counter()
    types = Counter(
        compress(quad.object.value)
        for quad in dataset
        if quad.predicate == RDF.type and isinstance(quad.object, NamedNode)
    )
    counted = {name: types[name] for name in part.source.expected.counts}
    assert counted == part.source.expected.counts


def test_twelve_trials_are_published_and_three_could_stand_among_them(store: Store) -> None:
    rows = ask(store, "SELECT ?c (COUNT(?p) AS ?n) { ?c stroma:hasMember ?p } GROUP BY ?c ORDER BY ?c")
    assert rows == [
        ("collection:published-msc-ra", "12"),
        ("collection:published-msc-ra-alternatives", "3"),
    ]


def test_a_probable_link_is_claimed_with_its_doubt_but_not_asserted(store: Store) -> None:
    claims = ask(
        store,
        """SELECT ?trial ?label ?confidence ?field {
             ?claim stroma:modality stroma:ModalityHedged ; stroma:confidence ?confidence ;
               stroma:unverifiedField ?field ; stroma:asserts ?edge .
             ?edge stroma:propositionPredicate stroma:hasPublication ;
               stroma:propositionSubject ?trial ; stroma:propositionObject ?publication .
             ?publication rdfs:label ?label .
           } ORDER BY ?trial""",
    )
    assert claims == [
        ("trial:NCT01547091", "Wang L 2019", "stroma:ConfidenceMedium", "registry number"),
        ("trial:NCT03333681", "Ghoryani 2019", "stroma:ConfidenceMedium", "registry number"),
    ]
    links = ask(store, "SELECT ?p { trial:NCT01547091 stroma:hasPublication ?p }")
    assert links == [("publication:pmid-23941289",)]  # Wang 2013 only


def test_every_published_trial_has_its_doubts_stated(store: Store) -> None:
    rows = ask(
        store,
        """SELECT ?label ?field {
             ?claim a stroma:CuratedStatement ; stroma:unverifiedField ?field ; stroma:asserts ?edge .
             ?edge stroma:propositionPredicate stroma:hasMember ; stroma:propositionObject ?publication .
             ?publication rdfs:label ?label .
           } ORDER BY ?label ?field""",
    )
    assert ("Park 2018", "DOI") in rows
    assert ("Ra 2011", "number of RA patients") in rows
    assert not [row for row in rows if row[0] == "Vij 2022"]  # nothing in it is unverified


def test_acr20_after_cx611_is_told_by_arm_and_month(store: Store) -> None:
    rows = ask(
        store,
        """SELECT ?arm ?months ?percent ?n {
             ?o stroma:forMeasure stroma:MeasureACR20 ; stroma:aboutArm ?arm ;
               stroma:timepointMonths ?months ; stroma:percentage ?percent ; stroma:sampleSize ?n ;
               stroma:producedByStudy trial:NCT01663116 .
           } ORDER BY ?months ?arm""",
    )
    assert [(months, percent, n) for _, months, percent, n in rows] == [
        ("1", "45", "20"), ("1", "20", "20"), ("1", "33", "6"), ("1", "29", "7"),
        ("3", "25", "20"), ("3", "15", "20"), ("3", "17", "6"), ("3", "0", "7"),
    ]  # fmt: skip


def test_interferon_gamma_and_msc_did_better_than_msc_in_he_2020(store: Store) -> None:
    rows = ask(
        store,
        """SELECT ?label ?percent {
             ?o stroma:forMeasure stroma:MeasureACR20 ; stroma:timepointMonths 3.0 ;
               stroma:producedByStudy trial:ChiCTR-INR-17012462 ; stroma:percentage ?percent ;
               stroma:aboutArm/rdfs:label ?label .
           } ORDER BY ?percent""",
    )
    assert rows == [
        ("He 2020: umbilical cord MSC", "53.3"),
        ("He 2020: umbilical cord MSC and interferon gamma", "93.3"),
    ]


def test_an_implied_donor_is_not_asserted(store: Store) -> None:
    regimen = "<https://w3id.org/stroma/regimen/wang-l-2013/1/1>"
    assert ask(store, f"SELECT ?d {{ {regimen} stroma:hasDonorRelation ?d }}") == []
    claimed = f"""SELECT ?d ?m {{ ?c stroma:asserts ?e ; stroma:modality ?m .
        ?e stroma:propositionSubject {regimen} ; stroma:propositionPredicate stroma:hasDonorRelation ;
          stroma:propositionObject ?d }}"""
    assert ask(store, claimed) == [("stroma:DonorAllogeneic", "stroma:ModalityHedged")]


def test_every_number_of_an_observation_leads_to_a_claim(store: Store) -> None:
    loose = ask(
        store,
        """SELECT ?o ?p {
             ?o a stroma:Observation ; ?p ?v .
             FILTER (?p IN (stroma:percentage, stroma:numberAffected, stroma:sampleSize, stroma:eventCount,
               stroma:meanValue, stroma:pValue, stroma:numericValue))
             FILTER NOT EXISTS { ?claim stroma:asserts/stroma:propositionSubject ?o ; stroma:hasEvidence ?o }
           }""",
    )
    assert loose == []


def test_a_publication_with_a_pubmed_number_or_doi_is_named_by_it(store: Store) -> None:
    rows = ask(store, "SELECT ?p ?pmid { ?p stroma:pubmedId ?pmid }")
    assert len(rows) == 10
    assert all(name == f"publication:pmid-{pmid}" for name, pmid in rows)


def test_the_citations_of_registry_records_are_read_whole(shared: Path) -> None:
    path = shared / "data" / "publications" / "ctgov_references_from_mapClinical.tsv"
    part = catalog.load("publications", [path])
    quads = set(part.quads)
    assert part.account.records == 2798
    assert part.account.unread == Counter()
    # What a reference says of a publication, its kind tells; the trial is said to have none.
    assert not {q for q in quads if q.predicate == STROMA.hasPublication}
    graph, cites = part.source.graph, expand("dcterms:references")
    for trial, pmid, kind in (
        ("NCT05003934", "30551438", "background"),
        ("NCT03691909", "35241141", "derived"),
    ):
        reference, article = mint("reference", trial, f"pmid-{pmid}"), expand(f"publication:pmid-{pmid}")
        assert Quad(mint("trial", trial), STROMA.hasReference, reference, graph) in quads
        assert Quad(mint("trial", trial), cites, article, graph) in quads
        assert Quad(reference, cites, article, graph) in quads
        assert Quad(reference, STROMA.referenceType, Literal(kind), graph) in quads


def test_the_review_of_published_trials_is_read_with_every_column_accounted(shared: Path) -> None:
    part = catalog.load(
        "publications", [shared / "data" / "publications" / "checked_processed_aw_corrections.csv"]
    )
    quads = list(part.quads)
    assert part.account.records == 84
    assert part.account.unread == Counter()
    tissues = Counter(q.object for q in quads if q.predicate == STROMA.hasTissueSource)
    assert tissues == {STROMA.TissueBoneMarrow: 51, STROMA.TissueAdipose: 17, STROMA.TissueUmbilicalCord: 16}
    donors = Counter(q.object for q in quads if q.predicate == STROMA.hasDonorRelation)
    assert donors == {STROMA.DonorAutologous: 43, STROMA.DonorAllogeneic: 39}  # two rows say "Both"
    assert Literal("Heart failure") in {q.object for q in quads}


def changed(folder: Path, table: str, old: str, new: str) -> Path:
    """A copy of an embedded table with one piece of text replaced."""
    text = (RECORDS / f"{table}.tsv").read_text(encoding="utf-8")
    assert old in text
    path = folder / f"{table}.tsv"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("table", "old", "new", "error", "field"),
    [
        ("studies", "Phase1Phase2\tIb/IIa", "Phase9\tIb/IIa", UnknownValue, "phase"),
        ("studies", "\t53\t", "\tfifty-three\t", BadValue, "enrollment"),
        ("studies", "randomised", "alternating", UnknownValue, "design"),
        ("publications", "\t2017\t", "\t2017-02-31\t", BadValue, "year"),
        ("publications", "\t2017\t", "\t\t", SourceError, "year"),
        ("publications", "\tlow-medium\t", "\tso-so\t", UnknownValue, "confidence"),
        ("observations", "month 1\t\t20\t\t\t45", "month 1\t\t20\t\t\t145", BadValue, "percentage"),
        ("observations", "week 12\t\t52\t28", "week 12\t\t20\t28", BadValue, "affected"),
        ("observations", "stroma:MeasureACR20", "acr:20", BadValue, "measure"),
        ("regimens", "\t40000000\t", "\t4e7 cells\t", BadValue, "dose"),
        ("regimens", "\tdonor\t", "\tdoner\t", UnknownValue, "hedged"),
        ("products", "umbilical cord blood MSC", "", SourceError, "label"),
    ],
)
def test_a_value_we_cannot_read_stops_with_its_place(
    tmp_path: Path, table: str, old: str, new: str, error: type[SourceError], field: str
) -> None:
    path = changed(tmp_path, table, old, new)
    with pytest.raises(error) as caught:
        list(catalog.load("publications", [path]).quads)
    assert caught.value.source == "publications"
    assert str(caught.value.file).startswith(f"{table}.tsv:")
    assert str(caught.value.record).startswith(f"{table} ")
    assert caught.value.field == field


def test_a_table_that_ends_in_the_middle_of_a_row_is_refused(tmp_path: Path) -> None:
    text = (RECORDS / "studies.tsv").read_text(encoding="utf-8")
    (tmp_path / "studies.tsv").write_text(text[:1200], encoding="utf-8")
    with pytest.raises(SourceError, match=r"studies\.tsv:\d+.*columns, the header 13.*truncated"):
        list(catalog.load("publications", [tmp_path / "studies.tsv"]).quads)


def test_a_row_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "groups.tsv"
    lines = (RECORDS / path.name).read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1]]), encoding="utf-8")
    with pytest.raises(SourceError, match=r"record groups group:alvaro-gracia-2017/all: .*stands in groups"):
        list(catalog.load("publications", [path]).quads)


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "studies.tsv"
    text = (RECORDS / "studies.tsv").read_text(encoding="utf-8").replace("Phase", "Phäse")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=r"studies\.tsv.*is not utf-8"):
        list(catalog.load("publications", [path]).quads)


def test_a_field_of_a_hundred_megabytes_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "studies", "compassionate use", "x" * 100_000_000)
    with pytest.raises(BadValue, match=r"studies\.tsv:2, record ra-2011.*field phase_text.*10,000,000"):
        list(catalog.load("publications", [path]).quads)


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "anything.tsv"
    path.write_text("gene\tprotein\tscore\na\tb\t1\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"anything\.tsv.*gene, protein, score.*no table known"):
        list(catalog.load("publications", [path]).quads)


def test_the_review_in_the_wrong_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_text('Reference number,Title\n1,"never closed\n', encoding="cp1252")
    with pytest.raises(SourceError, match=r"review\.csv:2.*does not parse as CSV"):
        list(catalog.load("publications", [path]).quads)
