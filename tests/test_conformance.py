"""The W3C's SPARQL 1.1 suite, each test a test here: in process and over HTTP, with the known gaps pinned.

`python -m tests.w3c` (`make conformance`) writes what comes of it to docs/conformance.md and .ttl.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from hypothesis import given
from hypothesis import strategies as st
from rdflib import Graph, Namespace

from tests.w3c.__main__ import SUITE
from tests.w3c.protocol import REQUESTS
from tests.w3c.report import EARL, PAGE, earl, gaps, outcome, page
from tests.w3c.results import Row, Solutions, Term, difference, read
from tests.w3c.runs import ENGINE, FAILED, HTTP, PASSED, REFUSED, Outcome, run
from tests.w3c.suite import ENTAILMENT, FEDERATION, UPDATE, cases

GAPS = gaps()


def asked() -> Iterator[ParameterSet]:
    """Every test, each way; without the suite one that skips."""
    if not SUITE.is_dir():
        reason = "needs ../shared (the W3C's suite), which is not beside this checkout"
        yield pytest.param("", "", "", marks=pytest.mark.skip(reason=reason))
        return
    for case in cases(SUITE):
        if case.area != ENTAILMENT:
            expected = REFUSED if case.area in (UPDATE, FEDERATION) else FAILED if case.id in GAPS else PASSED
            for way in (ENGINE, HTTP):
                yield pytest.param(case.id, way, expected, id=f"{case.id}-{way}")
    for name in REQUESTS:
        yield pytest.param(name, HTTP, PASSED, id=name)


@pytest.fixture(scope="module")
def outcomes(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return run(SUITE, tmp_path_factory.mktemp("w3c"))


@pytest.fixture(scope="module")
def by_test(outcomes: list[Outcome]) -> dict[tuple[str, str], Outcome]:
    return {(each.test.id, each.way): each for each in outcomes}


@pytest.mark.parametrize(("test", "way", "expected"), list(asked()))
def test_w3c(by_test: dict[tuple[str, str], Outcome], test: str, way: str, expected: str) -> None:
    got = by_test[test, way]
    told = GAPS.get(test, "no known gap")
    assert got.status == expected, f"{got.status} ({got.why or 'nothing wrong'}); gaps.tsv says: {told}"


def test_every_gap_is_of_a_test_that_was_run(outcomes: list[Outcome]) -> None:
    assert set(GAPS) <= {each.test.id for each in outcomes}


def test_the_reports_say_what_the_run_says(outcomes: list[Outcome]) -> None:
    for file, text in ((PAGE, page(outcomes, SUITE)), (EARL, earl(outcomes, SUITE))):
        assert file.read_text(encoding="utf-8") == text, f"{file.name} is out of date: make conformance"


def test_the_earl_report_has_an_assertion_for_every_test(outcomes: list[Outcome]) -> None:
    earl = Namespace("http://www.w3.org/ns/earl#")
    graph = Graph().parse(EARL, format="turtle")
    reported = {
        str(test): str(graph.value(graph.value(assertion, earl.result), earl.outcome)).removeprefix(str(earl))
        for assertion, test in graph.subject_objects(earl.test)
    }
    assert set(reported) == {each.test.iri for each in outcomes} | {case.iri for case in cases(SUITE)}
    for each in outcomes:
        same = [other for other in outcomes if other.test == each.test]
        words = {PASSED: "passed", FAILED: "failed", REFUSED: "inapplicable"}
        assert reported[each.test.iri] == words[outcome(same)]


# ------------------------------------------------------------------- the judge itself, on easy cases

XSD = "http://www.w3.org/2001/XMLSchema#"
NUMBER: Term = ("literal", "1", f"{XSD}integer", "")
terms = st.sampled_from(
    [
        ("iri", "http://a"),
        ("iri", "http://b"),
        NUMBER,
        ("literal", "1", f"{XSD}decimal", ""),
        ("literal", "x", f"{XSD}string", ""),
        ("blank", "a"),
        ("blank", "b"),
        ("blank", "c"),
    ]
)
rows = st.dictionaries(st.sampled_from(["x", "y", "z"]), terms, max_size=3)
tables = st.lists(rows, max_size=6).map(lambda found: Solutions(("x", "y", "z"), tuple(found)))


def renamed(row: Row, names: dict[str, str]) -> dict[str, Term]:
    return {key: ("blank", names[term[1]]) if term[0] == "blank" else term for key, term in row.items()}


@given(tables, st.permutations(["p", "q", "r"]), st.randoms())
def test_the_order_of_rows_and_the_names_of_blank_nodes_mean_nothing(
    table: Solutions, labels: list[str], random: object
) -> None:
    given_rows = [renamed(row, dict(zip("abc", labels, strict=True))) for row in table.rows]
    random.shuffle(given_rows)  # type: ignore[attr-defined]
    assert difference(table, Solutions(("z", "x", "y"), tuple(given_rows))) is None


@given(tables, st.data())
def test_any_other_row_is_a_difference(table: Solutions, data: st.DataObject) -> None:
    other = Solutions(table.variables, (*table.rows, {"x": ("iri", "http://other")}))
    assert difference(table, other)
    assert difference(other, table)
    if table.rows:
        at = data.draw(st.integers(0, len(table.rows) - 1))
        fewer = Solutions(table.variables, table.rows[:at] + table.rows[at + 1 :])
        assert difference(table, fewer)
        changed = {**table.rows[at], "y": ("literal", "other", f"{XSD}string", "")}
        assert difference(table, Solutions(table.variables, (*fewer.rows, changed)))


def test_blank_nodes_that_are_one_are_not_two() -> None:
    def table(*labels: str) -> Solutions:
        return Solutions(("x", "y"), tuple({"x": ("blank", a), "y": ("blank", b)} for a, b in labels))

    assert difference(table("ab", "ab"), table("cd", "cd")) is None
    assert difference(table("ab", "cd"), table("ab", "ab"))
    assert difference(table("aa", "bb"), table("ab", "ba"))
    assert difference(table("ab", "bc"), table("ab", "cb"))


@pytest.mark.parametrize(
    ("format", "body"),
    [
        (
            "srx",
            b'<sparql xmlns="http://www.w3.org/2005/sparql-results#"><head><variable name="x"/>'
            b'<variable name="y"/></head><results><result><binding name="x"><literal datatype="http://www.w3.org/2001/XMLSchema#'
            b'integer">1</literal></binding><binding name="y"><literal xml:lang="en">a&lt;&#9;b</literal>'
            b"</binding></result></results></sparql>",
        ),
        (
            "srj",
            b'{"head": {"vars": ["x", "y"]}, "results": {"bindings": [{"x": {"type": "literal", "value": "1",'
            b' "datatype": "http://www.w3.org/2001/XMLSchema#integer"}, "y": {"type": "literal", "value":'
            b' "a<\\tb", "xml:lang": "en"}}]}}',
        ),
        ("tsv", b'?x\t?y\n1\t"a<\\tb"@en\n'),
    ],
)
def test_every_format_is_read_to_the_same_rows(format: str, body: bytes) -> None:
    text: Term = ("literal", "a<\tb", "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString", "en")
    assert read(body, format) == Solutions(("x", "y"), ({"x": NUMBER, "y": text},))


def test_values_are_compared_within_a_datatype_only() -> None:
    def table(text: str, datatype: str) -> Solutions:
        return Solutions(("x",), ({"x": ("literal", text, XSD + datatype, "")},))

    assert difference(table("1.50", "decimal"), table("1.5", "decimal")) is None
    assert difference(table("1.0E0", "double"), table("1", "double")) is None
    assert difference(table("1", "decimal"), table("1", "integer"))
    assert difference(table("1.5", "decimal"), table("1.51", "decimal"))
    assert difference(table("01", "string"), table("1", "string"))
    assert difference(True, table("true", "boolean"))
