"""Links between trials and publications: each says how it was made; background never becomes a report.

The rules are measured on every real record beside the checkout: against the registry numbers that PubMed has
for an article, and against what was judged by hand where there is none (`tests/links/judged.tsv`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import NamedNode, Quad

from kg import ontology
from kg.build import files_of
from kg.evidence import links, reported
from kg.evidence.likeness import Description, Trials, diseases_of, in_time, is_protocol, words
from kg.evidence.links import Link
from kg.evidence.reported import Reported
from kg.snapshot import Snapshot, line_of, read_lines
from kg.terms import DCTERMS, RDF, ROOT, STROMA, compress, expand, mint
from loaders import catalog
from loaders.tables import rows

JUDGED = Path(__file__).parent / "links" / "judged.tsv"


def read(quads: Iterable[Quad]) -> Reported:
    return reported.read(sorted({line_of(quad) for quad in quads}))


@pytest.fixture(scope="module")
def embedded_links(embedded: Snapshot) -> tuple[Link, ...]:
    return links.find(reported.read(read_lines(embedded))).links


@pytest.fixture(scope="module")
def all_records(shared: Path) -> Reported:
    """What the registry's records, their citations and the review of published trials say together."""
    files, _ = files_of(shared / "data")
    quads: list[Quad] = [*ontology.read(ROOT / "ontology").quads]
    for name in ("clinicaltrials", "publications"):
        quads += catalog.load(name).quads
        quads += catalog.load(name, files[name]).quads
    return read(quads)


def of(found: Iterable[Link], trial: str, publication: str) -> dict[str, Link]:
    """The links of a trial and a publication by method."""
    return {
        compress(link.method.value).removeprefix("stroma:LinkMethod"): link
        for link in found
        if (link.trial, link.publication) == (expand(trial), expand(publication))
    }


# ---------------------------------------------------------------------------------- the embedded graph


def test_a_background_citation_is_never_a_report(embedded_links: tuple[Link, ...]) -> None:
    # NCT03333681 cites two trials of others as background; each is the report of its own trial.
    for pmid, own in (("27269294", "NCT01663116"), ("23941289", "NCT01547091")):
        cited = of(embedded_links, "trial:NCT03333681", f"publication:pmid-{pmid}")
        assert [link.says for link in cited.values()] == [DCTERMS.references]
        reports = of(embedded_links, f"trial:{own}", f"publication:pmid-{pmid}")
        assert {link.says for link in reports.values()} == {STROMA.hasPublication}


def test_the_links_agree_with_the_list_compiled_by_hand(
    embedded_links: tuple[Link, ...], shared: Path
) -> None:
    # An independent path: the table of published trials, compiled from abstracts by somebody else.
    compiled = {}
    for row in rows(shared / "data" / "publications" / "published_msc_ra_trials.tsv", source="by hand"):
        number = row.fields["registry_id"].strip("()").split(" ")[0]
        if row.fields["pmid"] and number.startswith(("NCT", "ChiCTR")):
            compiled[row.fields["pmid"]] = number
    assert len(compiled) == 7
    found = {
        link.publication.value.rpartition("pmid-")[2]: compress(link.trial.value).removeprefix("trial:")
        for link in embedded_links
        if link.reports
    }
    assert {pmid: found[pmid] for pmid in compiled} == compiled


def test_a_link_that_nobody_saw_the_number_of_is_not_stated_plainly(
    embedded: Snapshot, embedded_links: tuple[Link, ...]
) -> None:
    unsure = {(link.trial, link.publication) for link in embedded_links if link.reports and not link.asserted}
    sure = {(link.trial, link.publication) for link in embedded_links if link.reports and link.asserted}
    plain = {tuple(line.split(b" ", 3)[:3]) for line in read_lines(embedded) if b"hasPublication> " in line}
    for trial, publication in unsure - sure:
        edge = tuple(str(part).encode() for part in (trial, STROMA.hasPublication, publication))
        assert edge not in plain
    assert unsure - sure


# ------------------------------------------------------------------------------------ planted variants


def study(name: str, **told: object) -> tuple[NamedNode, Description]:
    """A registered trial of umbilical cord MSCs in RA, with what a test says otherwise."""
    plain = Description(
        titles=("Umbilical cord mesenchymal stem cells for rheumatoid arthritis",),
        conditions=frozenset({"Rheumatoid Arthritis"}),
        tissues=frozenset({STROMA.TissueUmbilicalCord}),
        routes=frozenset({STROMA.RouteIntravenous}),
        phases=frozenset({STROMA.Phase1}),
        doses=frozenset({(Decimal(40_000_000), "{cells}")}),
        infusions=frozenset({4}),
        first=2013,
        last=2014,
    )
    return mint("trial", name), replace(plain, **told)  # type: ignore[arg-type]


ARTICLE = Description(
    conditions=frozenset({"rheumatoid arthritis (condition)"}),
    tissues=frozenset({STROMA.TissueUmbilicalCord}),
    routes=frozenset({STROMA.RouteIntravenous}),
    phases=frozenset({STROMA.Phase1Phase2}),
    doses=frozenset({(Decimal("4E7"), "{cells}")}),
    first=2019,
    last=2019,
)


def named(article: Description, *trials: tuple[NamedNode, Description]) -> list[str]:
    diseases = frozenset().union(*(diseases_of(description) for _, description in trials))
    return [compress(likely.trial.value) for likely in Trials(dict(trials), diseases).likely(article)]


def test_a_description_that_fits_one_trial_names_it() -> None:
    assert named(ARTICLE, study("NCT00000001")) == ["trial:NCT00000001"]


def test_two_trials_that_fit_name_none() -> None:
    assert named(ARTICLE, study("NCT00000001"), study("NCT00000002")) == []


@pytest.mark.parametrize(
    "other",
    [
        {"tissues": frozenset({STROMA.TissueAdipose})},
        {"routes": frozenset({STROMA.RouteIntraArticular})},
        {"doses": frozenset({(Decimal(20_000_000), "{cells}")})},
        {"phases": frozenset({STROMA.Phase3})},
        {"conditions": frozenset({"Osteoarthritis, Knee"})},
        {"first": 2020, "last": 2021},  # began after the article
        {"first": 1999, "last": 2001},  # ended long before it
    ],
)
def test_a_trial_that_differs_in_one_thing_is_not_named(other: dict[str, object]) -> None:
    assert named(ARTICLE, study("NCT00000001", **other)) == []


def test_a_single_infusion_is_not_a_trial_of_four() -> None:
    # Park 2018 gave one dose; NCT03618784 gives the same product, in equal doses, three times.
    assert named(replace(ARTICLE, infusions=frozenset({1})), study("NCT00000001")) == []


def test_what_both_have_in_common_with_many_trials_names_none() -> None:
    assert named(replace(ARTICLE, doses=frozenset()), study("NCT00000001", doses=frozenset())) == []


def test_an_equal_title_names_its_trial_and_a_similar_one_does_not() -> None:
    title = (
        "Umbilical cord mesenchymal stem cell treatment for Crohn's disease: a randomized controlled trial"
    )
    trial = study("NCT02445547", titles=(title.upper(),), first=2012, last=2015)
    article = Description(titles=(title,), first=2018, last=2018)
    assert named(article, trial) == ["trial:NCT02445547"]
    assert named(replace(article, titles=(title.replace("Crohn's disease", "lupus"),)), trial) == []
    assert named(replace(article, first=2010, last=2010), trial) == []


def test_an_acronym_names_a_study_unless_it_is_a_disease() -> None:
    trial = study("NCT00768066", acronyms=frozenset({"TAC-HFT"}), conditions=frozenset({"Heart failure"}))
    covid = study("NCT04256395", acronyms=frozenset({"COVID-19"}), conditions=frozenset({"COVID-19"}))
    article = Description(titles=("Cells in cardiomyopathy: the TAC-HFT randomized trial",), first=2014)
    assert named(article, trial, covid) == ["trial:NCT00768066"]
    assert named(replace(article, titles=("Convalescent plasma as a therapy for COVID-19",)), covid) == []
    twice = study("NCT00000003", acronyms=frozenset({"tac-hft"}))
    assert named(article, trial, twice) == ["trial:NCT00768066"]  # written small it is a word


def test_a_result_older_than_its_trial_is_no_report() -> None:
    graph, trial = mint("graph", "clinicaltrials"), mint("trial", "NCT03673748")

    def told(started: str, kind: str) -> Link:
        article, reference = mint("publication", "pmid-27661661"), mint("reference", "NCT03673748", "1")
        record = mint("record", "clinicaltrials", "NCT03673748")
        edges = [
            (trial, expand("prov:wasDerivedFrom"), record),
            (trial, STROMA.hasReference, reference),
            (reference, DCTERMS.references, article),
            (article, RDF.type, STROMA.Publication),
        ]
        literals = ((trial, "startDate", started), (article, "publicationYear", "2017"))
        lines = [line_of(Quad(*edge, graph)) for edge in edges]
        lines += [f'{node} {STROMA(name)} "{text}" {graph} .\n'.encode() for node, name, text in literals]
        lines += [f'{reference} {STROMA.referenceType} "{kind}" {graph} .\n'.encode()]
        (link,) = links.find(reported.read(lines)).links
        return link

    assert told("2018-06", "result").says == DCTERMS.references
    assert told("2017-06", "result").says == DCTERMS.references  # in one year none can have had results
    assert told("2014-06", "result").says == STROMA.hasPublication
    assert told("2014-06", "background").says == DCTERMS.references
    assert told("2018-06", "derived").says == STROMA.hasPublication  # the article gives the number


@pytest.mark.parametrize(
    ("title", "protocol"),
    [
        ("Rationale and design of the SENECA trial", True),
        ("Stem cells in Achilles tendinopathy: protocol for a phase IIA study", True),
        ("MSCs for xerostomia: study protocol for a randomized controlled trial", True),
        ("Design, synthesis and results of a trial", False),
        ("Results of a trial with a strict protocol", False),
    ],
)
def test_a_title_says_whether_it_describes_a_protocol(title: str, protocol: bool) -> None:
    assert is_protocol([title]) is protocol


@given(st.text())
def test_any_text_gives_words_in_small_letters(text: str) -> None:
    assert all(word == word.lower() and word.isalnum() for word in words(text))


@given(st.integers(1900, 2100), st.integers(1900, 2100))
def test_no_article_is_older_than_its_trial(year: int, first: int) -> None:
    assert in_time(year, Description(first=first)) <= (year >= first)


# ---------------------------------------------------------------------------- measured on real records


def test_every_link_that_a_rule_makes_is_right_as_far_as_was_judged(all_records: Reported) -> None:
    """The figures of docs/decisions/0028-links.md: precision of each rule, and how many it finds."""
    judged = {
        (row.fields["trial"], row.fields["publication"]): row.fields["verdict"]
        for row in rows(JUDGED, source="tests")
    }
    numbered: dict[NamedNode, set[NamedNode]] = {}
    for link in links.find(all_records).links:
        if link.reports and link.method == STROMA.LinkMethodRegistryNumber:
            numbered.setdefault(link.publication, set()).add(link.trial)
    verdicts: Counter[tuple[str, str]] = Counter()
    made = {(link.trial, link.publication, link.method) for link in links.by_rule(all_records)}
    for trial, publication, method in made:
        rule = compress(method.value).removeprefix("stroma:LinkMethod")
        if publication in numbered:
            verdict = "by number" if trial in numbered[publication] else "wrong"
        else:
            verdict = judged[compress(trial.value), compress(publication.value)]
        verdicts[rule, verdict] += 1
    assert verdicts == {
        ("Acronym", "by number"): 19,
        ("Acronym", "right"): 12,
        ("Description", "by number"): 5,
        ("Description", "right"): 4,
        ("Description", "probable"): 3,
        ("Title", "by number"): 4,
        ("Title", "right"): 3,
    }
    pairs = {(trial, article) for article, trials in numbered.items() for trial in trials}
    found = {(trial, article) for trial, article, _ in made}
    assert (len(found & pairs), len(pairs)) == (28, 368)


def test_most_references_of_the_kind_result_are_no_reports(all_records: Reported) -> None:
    says = Counter(
        (compress(link.says.value), compress(link.confidence.value).removeprefix("stroma:Confidence"))
        for link in links.find(all_records).links
        if link.method == STROMA.LinkMethodRegistryReference and "as a result" in link.basis
    )
    older = says["dcterms:references", "High"]
    younger = (
        says["stroma:hasPublication", "MediumHigh"] + says["stroma:hasProtocolPublication", "MediumHigh"]
    )
    assert (older, younger) == (175, 35)
