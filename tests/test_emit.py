"""Printed values to RDF terms: every form we read, and nothing guessed."""

from __future__ import annotations

import calendar
import datetime
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import Literal, Store

from kg.errors import BadValue
from kg.terms import XSD, mint
from loaders import emit
from loaders.record import Record

RECORD = Record("registry", "NCT01547091", {}, file="page-1.json", line=7)

days = st.dates(min_value=datetime.date(1000, 1, 1))


@given(days)
def test_a_day_is_the_same_in_every_form_it_is_printed_in(day: datetime.date) -> None:
    month, short = calendar.month_name[day.month], calendar.month_abbr[day.month]
    for text in (
        day.isoformat(),
        f"{day:%Y%m%d}",
        f"{month} {day.day}, {day.year}",
        f"{short} {day.day} {day.year}",
        f"{day.day} {month} {day.year}",
        f"{day.day:02d}/{day.month:02d}/{day.year}",
        f"  {day.day}  {month.upper()}  {day.year} ",
    ):
        expected = Literal(day.isoformat(), datatype=XSD.date)
        assert emit.date(RECORD, "start", text) == expected, text


@given(days)
def test_a_month_or_a_year_stays_as_exact_as_it_was_printed(day: datetime.date) -> None:
    month = Literal(f"{day.year:04d}-{day.month:02d}", datatype=XSD.gYearMonth)
    assert emit.date(RECORD, "start", f"{calendar.month_name[day.month]} {day.year}") == month
    assert emit.date(RECORD, "start", f"{day.year}-{day.month:02d}") == month
    assert emit.date(RECORD, "start", str(day.year)) == Literal(f"{day.year:04d}", datatype=XSD.gYear)


@given(st.text() | st.from_regex(r"[0-9A-Za-z]{1,9}[-/ ,]{1,2}[0-9A-Za-z]{1,9}[-/ ,]{0,2}[0-9]{0,5}"))
def test_any_text_gives_a_date_that_exists_or_an_error(text: str) -> None:
    try:
        literal = emit.date(RECORD, "start", text)
    except BadValue:
        return
    year, month, day = (*map(int, literal.value.split("-")), 1, 1)[:3]
    assert datetime.date(year, month, day)


@pytest.mark.parametrize(
    "text",
    [
        "31 February 2020", "2019-02-29", "February 30, 2020", "2020-13", "00/01/2020", "20200230", "0999",
        "Mai 2011", "soon", "",
    ],
)  # fmt: skip
def test_a_date_that_does_not_exist_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(BadValue, match=re.escape("source registry, file page-1.json:7, record NCT01547091")):
        emit.date(RECORD, "start", text)


@given(st.integers(min_value=-(10**30), max_value=10**30))
def test_a_whole_number_is_read_with_or_without_commas(number: int) -> None:
    expected = Literal(str(number), datatype=XSD.integer)
    for value in (number, str(number), f" {number:,} ", f"{number:+d}"):
        assert emit.integer(RECORD, "count", value) == expected


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6))
def test_a_decimal_keeps_the_digits_it_was_printed_with(number: Decimal) -> None:
    assert emit.decimal(RECORD, "mean", f"{number:f}").value == f"{number:f}"
    assert Decimal(emit.decimal(RECORD, "mean", f"{number:,f}").value) == number
    assert Decimal(emit.decimal(RECORD, "mean", f"{number:e}").value) == number


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30))
def test_a_json_number_is_read_as_it_is_written(number: float) -> None:
    if number == 0 or abs(number) > 1e-60:
        assert float(emit.decimal(RECORD, "mean", number).value) == number


@given(st.text(alphabet="0123456789+-.,eE_ ٣½", max_size=12) | st.text())
def test_any_text_gives_a_number_that_a_store_understands_or_an_error(text: str) -> None:
    for read in (emit.integer, emit.decimal):
        try:
            literal = read(RECORD, "count", text)
        except BadValue:
            continue
        assert Decimal(literal.value).is_finite()
        # "5,7" is five point seven to many; it must never become 57.
        assert not re.fullmatch(r"\s*[+-]?\d+,\d{1,2}\s*", text)


@pytest.mark.parametrize(
    "value",
    ["5,7", "1,2", "12,34", "NaN", "Infinity", "1e999999999", "9" * 5000, "1_000", "", "about 5", True, None],
)
def test_what_only_looks_like_a_number_is_refused(value: object) -> None:
    with pytest.raises(BadValue, match="field count"):
        emit.decimal(RECORD, "count", value)
    with pytest.raises(BadValue, match="field count"):
        emit.integer(RECORD, "count", value)


def test_a_fraction_is_no_count() -> None:
    with pytest.raises(BadValue, match="whole number"):
        emit.integer(RECORD, "count", 5.0)
    with pytest.raises(BadValue, match="whole number"):
        emit.integer(RECORD, "count", "5.0")


def test_zero_is_a_value() -> None:
    assert emit.integer(RECORD, "count", 0) == Literal("0", datatype=XSD.integer)
    assert emit.decimal(RECORD, "percent", "0.0") == Literal("0.0", datatype=XSD.decimal)


@given(st.text(min_size=1))
def test_a_name_always_gives_a_key_that_makes_an_iri(name: str) -> None:
    key = emit.slug(name)
    assert re.fullmatch(r"[a-z0-9-]+", key)
    assert key == emit.slug(name)
    store = Store()
    graph = emit.Graph(mint("graph", "registry"))
    store.add(graph.quad(mint("condition", key), mint("trial", "x"), emit.lang(name, "en")))
    assert len(store) == 1


def test_two_long_names_that_differ_at_their_end_keep_two_keys() -> None:
    hospital = "Tongji Hospital, Tongji Medical College, Huazhong University of Science and Technology"
    assert emit.slug(hospital) != emit.slug(hospital + ", Wuhan, China")


def test_one_article_has_one_name_whoever_cites_it() -> None:
    assert emit.publication(pmid="35241141", doi="10.1186/x") == emit.publication(pmid="35241141")
    assert emit.publication(doi="10.2147/DDDT.S225613") == emit.publication(doi="10.2147/dddt.s225613")
    assert emit.publication(citation="a") != emit.publication(citation="b")
