"""A question's parameters are terms: no text of a reader can change what a query asks."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import Literal, Store
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parser import parseQuery

from kg.canned import Catalogue, Parameter
from kg.errors import OntologyError, ParameterError, UsageError
from kg.terms import ROOT

OURS = Catalogue.read(ROOT / "queries")
ECHO = """\
#+ summary: Which value was given?
#+ summary_zh-Hans: 给了什么值？
#+ summary_zh-Hant: 給了什麼值？
#+ description: Gives its parameters back.
#+ tags: [test]
#+ params:
#+   - {name: word, type: text, default: null, description: Any text}
#+   - {name: weight, type: decimal, default: "70.0", minimum: 0, description: Kilograms}
#+   - {name: condition, type: iri, default: "MONDO:0008383", description: A disease}
#+ columns: {word: The text, weight: The weight, condition: The disease}
PREFIX MONDO: <http://purl.obolibrary.org/obo/MONDO_>
SELECT ?word ?weight ?condition WHERE {
  VALUES ?word { UNDEF }
  VALUES ?weight { 70.0 }
  VALUES ?condition { MONDO:0008383 }
}
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "echo.rq").write_text(ECHO, encoding="utf-8")
    return Catalogue.read(tmp_path)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("queries") / "test"
    folder.mkdir()
    (folder / "echo.rq").write_text(ECHO, encoding="utf-8")
    return Catalogue.read(folder.parent)


@given(word=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_any_text_comes_back_unchanged_as_one_literal(echo: Catalogue, word: str) -> None:
    rows = list(Store().query(echo["echo"].bind({"word": word})))  # type: ignore[arg-type]
    assert [row["word"] for row in rows] == [Literal(word.strip())]


def test_a_text_that_looks_like_another_parameter_stays_a_text(tmp_path: Path) -> None:
    two = ECHO.replace(
        'name: weight, type: decimal, default: "70.0", minimum: 0', "name: weight, type: text, default: null"
    )
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "two.rq").write_text(two.replace("{ 70.0 }", "{ UNDEF }"), encoding="utf-8")
    hostile = "VALUES ?weight { q }"
    query = Catalogue.read(tmp_path)["two"].bind({"word": hostile, "weight": " } SERVICE <http://a/> { "})
    (row,) = Store().query(query)  # type: ignore[union-attr]
    assert row["word"] == Literal(hostile)


@given(value=st.text(max_size=40))
def test_an_iri_parameter_gives_one_iri_or_a_clear_refusal(echo: Catalogue, value: str) -> None:
    try:
        query = echo["echo"].bind({"condition": value})
    except ParameterError as refusal:  # most texts are no IRI; that is the promise
        assert "condition" in str(refusal)  # noqa: PT017
    else:
        assert len(list(Store().query(query))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "hostile",
    [
        "> } DELETE WHERE { ?s ?p ?o } #",
        "http://a/> } SERVICE <http://b/> {",
        "MONDO:1 } UNION {",
        "http://a/\n}",
        "x y:z",
    ],
)
def test_an_iri_that_would_leave_its_brackets_is_refused(catalogue: Catalogue, hostile: str) -> None:
    with pytest.raises(ParameterError, match="condition"):
        catalogue["echo"].bind({"condition": hostile})


@pytest.mark.parametrize("value", ["", "seventy", "0", "-3", "1e5", "٧٠", "70 }", "NaN", "1" * 40])
def test_a_weight_that_is_no_positive_decimal_is_refused(catalogue: Catalogue, value: str) -> None:
    with pytest.raises(ParameterError, match="weight"):
        catalogue["echo"].bind({"weight": value})


def test_a_parameter_that_a_sibling_takes_is_refused_with_the_sibling_s_name() -> None:
    with pytest.raises(
        ParameterError,
        match=r"papers-of-trials has no parameter 'trial'; ask papers-of-a-trial by it \(it takes: cond",
    ):
        OURS["papers-of-trials"].bind({"trial": "trial:NCT01547091"})
    # No question takes it; questions of other subjects do.
    for name in ("nothing", "weight"):
        with pytest.raises(ParameterError) as refused:
            OURS["papers-of-trials"].bind({name: "1"})
        assert "ask " not in str(refused.value)


def test_an_unknown_parameter_names_its_near_match(catalogue: Catalogue) -> None:
    with pytest.raises(ParameterError, match="did you mean weight"):
        catalogue["echo"].bind({"wieght": "70"})


def test_an_unknown_query_names_its_near_match(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="did you mean echo"):
        catalogue["eco"]


def test_an_enumeration_takes_only_its_values() -> None:
    parameter = Parameter("phase", "iri", None, "Phase", values=("stroma:Phase1", "stroma:Phase2"))
    assert str(parameter.term("stroma:Phase2")) == "<https://w3id.org/stroma/ontology/Phase2>"
    with pytest.raises(ParameterError, match="did you mean stroma:Phase"):
        parameter.term("stroma:Phase3")


@pytest.mark.parametrize(("value", "taken"), [("60", True), ("60.0", True), ("+70.00", True), ("65", False)])
def test_numbers_of_an_enumeration_are_numbers(value: str, taken: bool) -> None:
    parameter = Parameter("weight", "decimal", "60", "Weight", values=("60", "70"))
    if taken:
        assert Decimal(parameter.term(value).value) in (60, 70)
    else:
        with pytest.raises(ParameterError, match="one of 60, 70"):
            parameter.term(value)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (("name: word", "name: limit"), "cannot be called limit"),
        (("#+ columns:", "#+ labels: [wrod]\n#+ columns:"), "labels are given for wrod"),
        (("weight: The weight,", "weight: {unit: kg},"), "column weight has to say its meaning as text"),
        (("minimum: 0,", 'minimum: 0, examples: ["-1"],'), "an example of its own is wrong"),
        (("type: decimal", "type: number"), "unknown parameter type"),
        (("VALUES ?word { UNDEF }\n", ""), "exactly one VALUES ?word".replace("?", r"\?")),
        (("VALUES ?weight { 70.0 }", "VALUES ?weight { 80.0 }"), "is not the default"),
        (("#+ summary: ", "#+ sumary: "), "summary"),
    ],
)
def test_a_faulty_header_is_refused_by_file_name(
    tmp_path: Path, fault: tuple[str, str], message: str
) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "faulty.rq").write_text(ECHO.replace(*fault), encoding="utf-8")
    with pytest.raises(OntologyError, match=f"faulty.rq.*{message}"):
        Catalogue.read(tmp_path)


@pytest.mark.parametrize("id", OURS)
def test_grlc_reads_every_header_and_finds_no_parameter_of_its_own(id: str) -> None:
    # As grlc's gquery.py has it: lines that start with #+ are YAML; the rest is parsed by rdflib; a variable
    # that starts with an underscore would be a parameter that has to be given.
    rows = OURS[id].text.split("\n")
    decorators = yaml.safe_load("\n".join(row.lstrip("#+") for row in rows if row.startswith("#+")))
    assert isinstance(decorators["summary"], str)
    assert isinstance(decorators["description"], str)
    assert all(isinstance(tag, str) for tag in decorators["tags"])
    assert not {"endpoint", "pagination", "enumerate", "transform", "method", "mime"} & set(decorators)
    algebra = translateQuery(parseQuery(OURS[id].text)).algebra
    assert algebra.name in ("SelectQuery", "ConstructQuery")
    own = [variable for variable in algebra["_vars"] if variable.startswith("_")]
    assert not [variable for variable in own if not re.fullmatch(r"__agg_\d+__", variable)]
