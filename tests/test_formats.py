"""Which representation a client gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.engine.formats import FORMATS, Kind, formats_for, named_format
from kg.errors import UsageError
from kg.web.formats import NotAcceptable, accepted, choose, negotiate


@pytest.mark.parametrize(
    ("accept", "kind", "media_type"),
    [
        (None, Kind.SOLUTIONS, "application/sparql-results+json"),
        ("", Kind.SOLUTIONS, "application/sparql-results+json"),
        ("*/*", Kind.GRAPH, "text/turtle; charset=utf-8"),
        ("text/csv", Kind.SOLUTIONS, "text/csv; charset=utf-8"),
        ("TEXT/CSV; Q=0.5", Kind.SOLUTIONS, "text/csv; charset=utf-8"),
        # The higher q wins, wherever it stands.
        (
            "text/csv;q=0.5, application/sparql-results+xml;q=0.9",
            Kind.BOOLEAN,
            "application/sparql-results+xml",
        ),
        # What is named is meant, although */* has the same q.
        ("*/*, text/tab-separated-values", Kind.SOLUTIONS, "text/tab-separated-values; charset=utf-8"),
        # A more specific range overrides a broader one, also downwards.
        ("text/*, text/csv;q=0", Kind.SOLUTIONS, "text/tab-separated-values; charset=utf-8"),
        ("application/sparql-results+json;q=0, */*", Kind.SOLUTIONS, "application/sparql-results+xml"),
        # Another name for a format, and the answer is called by it.
        ("application/json", Kind.SOLUTIONS, "application/json"),
        ("application/json", Kind.GRAPH, "application/json"),
        ("text/rdf+n3, text/n3", Kind.GRAPH, "text/rdf+n3; charset=utf-8"),
        ("text/plain", Kind.GRAPH, "text/plain; charset=utf-8"),
        ('application/ld+json;profile="a,b;q=0"', Kind.GRAPH, "application/ld+json"),
        # Firefox, and what Java sends by default.
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Kind.SOLUTIONS,
            "text/html; charset=utf-8",
        ),
        ("text/html, image/gif, *; q=.2, */*; q=.2", Kind.GRAPH, "text/html; charset=utf-8"),
    ],
)
def test_an_accept_header_gets_what_it_asks_for(accept: str | None, kind: Kind, media_type: str) -> None:
    assert media_type == negotiate(accept, None, kind)[1]


def test_a_named_format_wins_over_the_header() -> None:
    assert negotiate("application/sparql-results+json", "csv", Kind.SOLUTIONS)[0].key == "csv"


def test_one_name_means_the_format_that_fits_the_result() -> None:
    assert named_format("json", Kind.SOLUTIONS).key == "json"
    assert named_format("json", Kind.GRAPH).key == "jsonld"
    assert named_format("XML", Kind.GRAPH).key == "rdfxml"


@pytest.mark.parametrize(("accept", "name"), [("image/png", None), ("*/*;q=0", None), (None, "turtle")])
def test_what_we_do_not_have_is_refused_with_a_list(accept: str | None, name: str | None) -> None:
    with pytest.raises(NotAcceptable, match="csv"):
        negotiate(accept, name, Kind.SOLUTIONS)


@pytest.mark.parametrize("kind", Kind)
def test_every_format_is_reached_by_each_of_its_names(kind: Kind) -> None:
    for format in formats_for(kind):
        for name in (format.key, format.suffix, format.media_type):
            assert format == named_format(name, kind)
        assert format == negotiate(format.media_type, None, kind)[0]


def test_an_unknown_name_lists_the_formats_for_the_result() -> None:
    with pytest.raises(UsageError, match="SELECT query; there are: json, xml, csv, tsv, html"):
        named_format("docx", Kind.SOLUTIONS)


TYPES = [format.media_type for format in FORMATS]
RANGES = st.sampled_from([*TYPES, "*/*", "text/*", "application/*", "image/png"])
QUALITIES = st.sampled_from(["", ";q=0", ";q=0.2", "; q=0.25", ";q=1.000", ";q=0.999"])
HEADERS = st.lists(st.builds(str.__add__, RANGES, QUALITIES), min_size=1, max_size=6).map(", ".join)


def quality(media_type: str, header: str) -> float:
    """RFC 9110, 12.5.1, read plainly: the most specific range that matches says it."""
    kind = media_type.split("/")[0]
    for name in (media_type, f"{kind}/*", "*/*"):
        found = [each.quality for each in accepted(header) if f"{each.type}/{each.subtype}" == name]
        if found:
            return max(found)
    return 0.0


@given(HEADERS)
def test_the_choice_has_the_highest_quality_there_is(header: str) -> None:
    best = max(quality(media_type, header) for media_type in TYPES)
    found = choose(header, [(media_type,) for media_type in TYPES])
    if best == 0:
        assert found is None
    else:
        assert found is not None
        assert best == quality(found[1], header)


@given(st.text(alphabet='*/;,=q.01 "\\textcsvhml', max_size=60))
def test_no_header_breaks_the_negotiation(header: str) -> None:
    found = choose(header, [(media_type,) for media_type in TYPES])
    assert found is None or found[1] in TYPES
