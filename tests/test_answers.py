"""Questions put to a graph: cursors, cells as values, and what is learned of a snapshot once."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import QueryResultsFormat

from kg.answers import Asking, Memory, Rows, cursor_to, offset_of, plain
from kg.canned import Catalogue, Parameter, Question
from kg.errors import ParameterError, VersionGone
from kg.search import Index
from kg.snapshot import Snapshot, load_store
from kg.terms import ROOT

QUESTION = Catalogue.read(ROOT / "queries")["doses-for-body-weight"]


@pytest.fixture
def asked() -> list[str]:
    """The queries that `asking` has sent."""
    return []


@pytest.fixture
def asking(embedded: Snapshot, asked: list[str]) -> Asking:
    store = load_store(embedded)

    async def ask(text: str) -> Rows:
        asked.append(text)
        written = store.query(text, use_default_graph_as_union=True).serialize(format=QueryResultsFormat.JSON)
        assert isinstance(written, bytes)
        return Rows.read(written)

    return Asking(ask, Index.of(embedded), Memory())


@given(offset=st.integers(0, 2**63), weight=st.decimals("0.1", "500", places=2))
def test_a_cursor_leads_back_to_its_offset(tiny: Snapshot, offset: int, weight: Decimal) -> None:
    values = {"weight": str(weight)}
    assert offset_of(tiny, QUESTION, values, cursor_to(tiny, QUESTION, values, offset)) == offset


@given(data=st.data())
def test_a_cursor_that_is_changed_anywhere_is_refused(tiny: Snapshot, data: st.DataObject) -> None:
    cursor = cursor_to(tiny, QUESTION, {}, 48)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters(categories=["L", "N", "P"]))
    changed = cursor[:place] + other + cursor[place + 1 :]
    try:
        offset = offset_of(tiny, QUESTION, {}, changed)
    except ParameterError as refused:
        assert refused.parameter == "cursor"  # noqa: PT017
    else:  # the last letter has bits that stand for nothing
        assert offset == 48
        assert base64.urlsafe_b64decode(changed + "==") == base64.urlsafe_b64decode(cursor + "==")


@given(text=st.text(max_size=80))
def test_no_text_is_taken_for_a_cursor(tiny: Snapshot, text: str) -> None:
    with pytest.raises(ParameterError, match="leave the cursor out"):
        offset_of(tiny, QUESTION, {}, text)


def test_a_cursor_of_another_snapshot_text_or_value_is_told_apart(tiny: Snapshot) -> None:
    cursor = cursor_to(tiny, QUESTION, {"weight": "60"}, 10)
    newer = replace(tiny, hash="f" * 64)
    with pytest.raises(VersionGone, match="another snapshot") as gone:
        offset_of(newer, QUESTION, {"weight": "60"}, cursor)
    assert gone.value.kept == (newer.name,)
    with pytest.raises(VersionGone, match="has changed since"):
        offset_of(tiny, replace(QUESTION, text=QUESTION.text + "\n"), {"weight": "60"}, cursor)
    with pytest.raises(ParameterError, match="other parameters"):
        offset_of(tiny, QUESTION, {"weight": "61"}, cursor)
    # The same value, written in another way.
    assert offset_of(tiny, QUESTION, {"weight": "+60"}, cursor) == 10


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (None, None),
        ({"type": "uri", "value": "http://a/1"}, "http://a/1"),
        ({"type": "literal", "value": "7"}, "7"),
        ({"type": "literal", "value": "7", "datatype": "integer"}, 7),
        ({"type": "literal", "value": "7.50", "datatype": "decimal"}, 7.5),
        ({"type": "literal", "value": "1e3", "datatype": "double"}, 1000.0),
        ({"type": "literal", "value": "INF", "datatype": "double"}, "INF"),
        ({"type": "literal", "value": "NaN", "datatype": "double"}, "NaN"),
        ({"type": "literal", "value": "many", "datatype": "integer"}, "many"),
        ({"type": "literal", "value": "true", "datatype": "boolean"}, True),
        ({"type": "literal", "value": "2024-02", "datatype": "gYearMonth"}, "2024-02"),
        ({"type": "literal", "value": "细胞", "xml:lang": "zh-Hans"}, "细胞"),
    ],
)
def test_a_cell_is_a_value_of_python(cell: dict[str, str] | None, value: object) -> None:
    if cell and "datatype" in cell:
        cell["datatype"] = f"http://www.w3.org/2001/XMLSchema#{cell['datatype']}"
    assert plain(cell) == value
    assert type(plain(cell)) is type(value)


def test_the_labels_of_a_language_are_read_once(asking: Asking, asked: list[str]) -> None:
    question = Catalogue.read(ROOT / "queries")["routes"]
    rows = Rows(("route",), [{"route": {"type": "literal", "value": "intravenous administration"}}])
    for _ in range(3):
        told = asyncio.run(asking.translated(question, rows, "zh-Hant"))
        assert told.bindings[0]["route"]["value"] == "靜脈給藥"
    assert len(asked) == 1


def test_the_default_of_a_question_is_not_looked_up(asking: Asking, asked: list[str]) -> None:
    question = Catalogue.read(ROOT / "queries")["routes"]
    asyncio.run(asking.bound(question, {"condition": "MONDO:0008383"}))
    assert asked == []


def test_a_list_too_long_to_choose_from_is_not_drawn(asking: Asking) -> None:
    every = Parameter("term", "iri", None, "Any class", of="owl:Class")
    assert asyncio.run(asking.choices(every)) == ()


def test_a_property_path_says_which_values_are_meant(asking: Asking) -> None:
    tissues = Parameter("tissue", "iri", None, "Tissue", by="stroma:administers/stroma:hasTissueSource")
    found = {choice.label("en") for choice in asyncio.run(asking.choices(tissues))}
    assert "umbilical cord (tissue source)" in found


def test_a_value_that_fits_no_class_is_refused_with_the_way_out(asking: Asking) -> None:
    question: Question = Catalogue.read(ROOT / "queries")["arms-of-a-trial"]
    with pytest.raises(ParameterError) as refused:
        asyncio.run(asking.bound(question, {"trial": "trial:NCT0369190"}))
    assert refused.value.parameter == "trial"
    assert refused.value.near[0].startswith("trial:NCT03691909 (")
    assert "an instance of stroma:ClinicalStudy" in refused.value.takes
