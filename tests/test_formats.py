"""Which representation a client gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.engine.formats import FORMATS, Kind, formats_for, named_format
from kg.errors import ParameterError, UsageError
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
        # The registered name where it is wanted as well: SPARQLWrapper.
        ("application/turtle,text/turtle", Kind.GRAPH, "text/turtle; charset=utf-8"),
        ("application/json, text/plain, */*", Kind.SOLUTIONS, "application/json"),
        ('application/ld+json;profile="a,b;q=0"', Kind.GRAPH, "application/ld+json"),
        # A parameter we do not hold to rules a range out; one we do not know is passed over.
        ("text/csv;charset=iso-8859-1, text/*;q=0.1", Kind.SOLUTIONS, "text/csv; charset=utf-8"),
        ("text/csv;header=absent, */*;q=0.1", Kind.BOOLEAN, "application/sparql-results+json"),
        ('text/csv; charset="UTF-8";q=0.5, text/csv;q=0.1', Kind.SOLUTIONS, "text/csv; charset=utf-8"),
        ("text/turtle;version=1.2", Kind.GRAPH, "text/turtle; charset=utf-8"),
        # A weight that is no number says nothing.
        ("text/csv;q=high", Kind.SOLUTIONS, "text/csv; charset=utf-8"),
        ("text/csv;q=nan, */*;q=0.5", Kind.SOLUTIONS, "text/csv; charset=utf-8"),
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


def test_several_names_must_mean_one_format() -> None:
    assert negotiate(None, "tsv,text/tab-separated-values", Kind.SOLUTIONS)[0].key == "tsv"
    # SPARQLWrapper sends its whole Accept header as a further value; what is no name is passed over.
    assert negotiate(None, "json-ld,application/x-json+ld", Kind.GRAPH)[0].key == "jsonld"
    # A plus that was not percent-encoded.
    assert negotiate(None, "application/sparql-results xml", Kind.BOOLEAN)[0].key == "xml"
    with pytest.raises(ParameterError, match="csv and json; name one"):
        negotiate(None, "csv,json", Kind.SOLUTIONS)


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


# ---------------------------------------------------------------------------------- against an oracle
#
# A header is made from ranges that we know, so the oracle reads no header: it goes through the ranges as
# RFC 9110, 12.5.1 tells, with sets and sorting, and shares no code with what it judges.


class Wanted(NamedTuple):
    """A media range as the client means it: name, parameters, and q as it is written (None: left out)."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    q: str | None


OFFERED = [(format.media_type, *format.aliases) for format in FORMATS]
NAMES = sorted({name for names in OFFERED for name in names})
HELD = {"charset": "utf-8", "header": "present"}

names = st.sampled_from([*NAMES, *NAMES, "*/*", "text/*", "application/*", "image/png", "text/x"])
parameters = st.lists(
    st.sampled_from(
        [
            ("charset", "utf-8"),
            ("charset", "iso-8859-1"),
            ("header", "present"),
            ("header", "absent"),
            ("profile", "http://www.w3.org/ns/json-ld#expanded, a;b=c"),
            ("version", "1.1"),
        ]
    ),
    max_size=2,
    unique_by=lambda parameter: parameter[0],
).map(tuple)
qualities = st.sampled_from([None, None, "0", "0.0", "0.000", "0.001", "0.2", "0.25", "0.999", "1", "1.000"])
wanted = st.builds(Wanted, names, parameters, qualities)
spaces = st.sampled_from(["", " ", "\t", "  "])


@st.composite
def headers(draw: st.DrawFn) -> tuple[list[Wanted], str]:
    """What a client wants, and one of the many ways to write it down."""
    ranges = draw(st.lists(wanted, min_size=1, max_size=6))
    written = []
    for each in ranges:
        text = draw(st.sampled_from([each.name, each.name.upper(), each.name.title()]))
        quoted = [f'{key}="{value}"' for key, value in each.parameters]
        bare = [f"{key}={value}" for key, value in each.parameters]
        keep = [pair if draw(st.booleans()) or "," in pair else bare[at] for at, pair in enumerate(quoted)]
        if each.q is not None:
            keep.insert(draw(st.integers(0, len(keep))), f"{draw(st.sampled_from('qQ'))}={each.q}")
        for pair in keep:
            text += f"{draw(spaces)};{draw(spaces)}{pair}"
        written.append(draw(spaces) + text + draw(spaces))
    empty = draw(st.sampled_from(["", ",", " ,"]))  # a recipient passes over empty elements: RFC 9110, 5.6.1
    return ranges, empty + ",".join(written)


def said_of(name: str, ranges: list[Wanted]) -> tuple[float, int] | None:
    """The quality that the most specific range gives a media type, and how specific it is; None for none."""
    covers = {name: 2, name.split("/")[0] + "/*": 1, "*/*": 0}
    met = [
        (covers[each.name] + (len(met_parameters) if each.name == name else 0), float(each.q or "1"))
        for each in ranges
        if each.name in covers
        for met_parameters in [{key for key, value in each.parameters if HELD.get(key) == value}]
        if not {key for key, value in each.parameters if key in HELD} - met_parameters
    ]
    specific, quality = max(met, default=(-1, 0.0))
    return (quality, specific) if met else None


def may_be_called(names: Sequence[str], name: str, ranges: list[Wanted]) -> bool:
    """Whether a name is acceptable; one that is not a representation's own has to be named by the client."""
    said = said_of(name, ranges)
    return said is not None and said[0] > 0 and (name == names[0] or said[1] >= 2)


@settings(max_examples=500)
@given(headers(), st.permutations(OFFERED))
def test_the_choice_is_the_one_the_standard_asks_for(
    header: tuple[list[Wanted], str], offered: list[tuple[str, ...]]
) -> None:
    ranges, text = header
    acceptable = {
        (index, name)
        for index, names in enumerate(offered)
        for name in names
        if may_be_called(names, name, ranges)
    }
    found = choose(text, offered)
    if not acceptable:
        assert found is None
        return
    assert found in acceptable
    quality, specific = said_of(found[1], ranges) or (0.0, 0)
    best = max(said_of(name, ranges) or (0.0, 0) for _, name in acceptable)
    assert (quality, specific) == best


@given(headers())
def test_a_header_split_in_two_lines_means_the_same(header: tuple[list[Wanted], str]) -> None:
    # RFC 9110, 5.3: several lines of a list header are one, joined by commas.
    assert choose(header[1], OFFERED) == choose(header[1] + ", ", OFFERED)


@given(st.text(alphabet='*/;,=q.01 "\\\\textcsvhml', max_size=80))
def test_no_header_breaks_the_negotiation(header: str) -> None:
    found = choose(header, OFFERED)
    assert found is None or found[1] in NAMES
    assert all(0 <= each.quality <= 1 for each in accepted(header))


@pytest.mark.parametrize(
    "header", ['"\\' * 20_000, '"\\"' * 20_000, "text/csv;" * 20_000, "a/b," * 20_000, ";,=" * 20_000]
)
def test_a_giant_header_is_read_once(header: str) -> None:
    # Quadratic work here would take minutes, and pytest would be seen to hang.
    assert choose(f"{header},text/csv;q=1", OFFERED) is not None or header.startswith('"')
