"""Records and the catalog: no field is lost, no record merges with another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import BadValue, SourceError, UsageError
from kg.parts import Account, Expectation, SourceInfo
from kg.terms import mint
from loaders import catalog
from loaders.record import Record
from loaders.tables import MAX_FIELD, rows


def source(**ignored: str) -> SourceInfo:
    return SourceInfo(
        "registry", "A registry", "", "registry", "recorded", "", "", "1", mint("graph", "registry"),
        {pattern.replace("__", "."): why for pattern, why in ignored.items()}, Expectation(),
    )  # fmt: skip


def record(fields: Mapping[str, Any]) -> Record:
    return Record("registry", "NCT01547091", fields, file="page-1.json", line=7)


def settled(taken: Record, info: SourceInfo) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    account = Account()
    taken.settle(info, account)
    assert account.records == 1
    return dict(account.taken), dict(account.ignored), dict(account.unread)


STUDY: Mapping[str, Any] = {
    "id": "NCT01547091",
    "status": {"overall": "COMPLETED", "verified": "2013-01"},
    "arms": [{"label": "MSC", "type": "EXPERIMENTAL"}, {"label": "Placebo"}],
    "contacts": [{"name": "somebody", "phone": "1"}],
    "keywords": ["RA", "MSC"],
    "nothing": "", "none": None, "empty": [],
}  # fmt: skip


def test_each_field_is_taken_ignored_or_unread() -> None:
    study = record(STUDY)
    study.require("id")
    study.within("status").text("overall")
    assert [arm.require("label") for arm in study.each("arms")] == ["MSC", "Placebo"]
    taken, ignored, unread = settled(study, source(contacts="personal data", status__verified="not used"))
    assert taken == {"id": 1, "status.overall": 1, "arms[].label": 1}
    assert ignored == {"status.verified": 1, "contacts[].name": 1, "contacts[].phone": 1}
    assert unread == {"arms[].type": 1, "keywords": 1}  # nothing, none and empty hold no value


def test_taking_an_object_takes_everything_inside_it() -> None:
    study = record(STUDY)
    study.take("status")
    study.take("arms")
    taken, _, _ = settled(study, source())
    assert taken == {"status.overall": 1, "status.verified": 1, "arms[].label": 1, "arms[].type": 1}


def test_a_field_nobody_listed_is_unread_however_it_begins() -> None:
    study = record({"CD73 value": "95", "CD73 new": "x"})
    _, ignored, unread = settled(study, source(**{"CD73 value": "markers"}))
    assert (ignored, unread) == ({"CD73 value": 1}, {"CD73 new": 1})


def test_a_value_left_out_or_unreadable_is_counted_from_any_view() -> None:
    study, account = record(STUDY), Account()
    for arm in study.each("arms"):
        arm.leave_out("label", "may name a person")
    study.unreadable("dose", "in no text", 2)
    study.settle(source(), account)
    assert set(account.left_out) == {"arms[].label: may name a person"}
    assert account.unreadable == {"dose: in no text": 2}


def test_a_field_is_not_ignored_for_starting_like_one_that_is() -> None:
    _, ignored, unread = settled(record({"contact": "a", "contactless": "b"}), source(contact="personal"))
    assert (ignored, unread) == ({"contact": 1}, {"contactless": 1})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
        max_leaves=20,
    )
)
def test_every_leaf_of_any_json_is_in_exactly_one_account(value: Any) -> None:
    untouched = settled(record({"a": value}), source())
    assert untouched[0] == {} == untouched[1]
    took = record({"a": value})
    took.take("a")
    assert settled(took, source()) == (untouched[2], {}, {})
    assert settled(record({"a": value}), source(a="why")) == ({}, untouched[2], {})


def test_blank_is_absent_but_zero_and_false_are_values() -> None:
    fields = record({"blank": "  ", "zero": 0, "no": False, "list": []})
    assert fields.take("blank") is None
    assert fields.take("list") is None
    assert fields.take("zero") == 0
    assert fields.take("no") is False


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("number", Record.text),
        ("object", Record.text),
        ("mixed", Record.texts),
        ("number", Record.texts),
        ("number", Record.within),
        ("text", Record.within),
        ("number", lambda r, name: list(r.each(name))),
        ("text", lambda r, name: list(r.each(name))),
        ("object", lambda r, name: list(r.each(name))),
        ("mixed", lambda r, name: list(r.each(name))),
    ],
)
def test_a_field_of_another_form_is_refused_with_its_place(field: str, ask: Any) -> None:
    fields = record({"number": 5, "object": {"a": 1}, "text": "five", "mixed": ["a", 5]})
    with pytest.raises(BadValue) as caught:
        ask(fields, field)
    assert (caught.value.file, caught.value.record) == ("page-1.json:7", "NCT01547091")
    assert caught.value.field == field


def test_a_required_field_that_is_blank_is_missing() -> None:
    with pytest.raises(SourceError, match=r"record NCT01547091, field status\.overall: required field"):
        record({"status": {"overall": " "}}).within("status").require("overall")


def test_a_nested_field_is_named_by_its_whole_path() -> None:
    arm = next(record(STUDY).each("arms"))
    with pytest.raises(BadValue, match=r"field arms\[\]\.label, value 'MSC': is odd"):
        raise arm.bad("label", "MSC", "is odd")


@given(st.dictionaries(st.text(), st.text()))
def test_a_record_has_one_digest_whatever_the_order_of_its_fields(fields: dict[str, str]) -> None:
    turned = dict(reversed(fields.items()))
    assert record(fields).sha256 == Record("other", "x", turned).sha256
    assert record({**fields, "one more": "x"}).sha256 != record(fields).sha256


def test_every_source_describes_itself_and_its_embedded_data_is_whole() -> None:
    for name, info in catalog.find_sources().items():
        assert info.name == name
        assert info.graph == mint("graph", name)
        assert all(info.ignored.values()), f"{name} ignores a field without a reason"
        # What is written here, row by row, is not counted: the number would be of the table itself.
        counted = info.expected.records is not None
        assert counted == (name not in ("mappings", "obo")), f"{name} expects no number of records"


def test_an_unknown_source_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'pubmed'; there are: .*ictrp, .*obo"):
        catalog.load("pubmed")


def test_nothing_is_read_before_the_quads_are_asked_for(tmp_path: Path) -> None:
    part = catalog.load("publications", [tmp_path / "absent.tsv"])
    assert not part.embedded
    assert part.account.records == 0


def test_one_identifier_in_two_files_is_refused(tmp_path: Path) -> None:
    groups = catalog.FOLDER / "publications" / "records" / "groups.tsv"
    copy = tmp_path / "again.tsv"
    copy.write_bytes(groups.read_bytes())
    with pytest.raises(SourceError, match=r"file again\.tsv, record groups .*also stands in groups\.tsv"):
        list(catalog.load("publications", [groups, copy]).quads)


def test_the_same_records_give_the_same_quads_in_the_same_order() -> None:
    for name in ("publications", "obo"):
        assert list(catalog.load(name).quads) == list(catalog.load(name).quads)


def table(folder: Path, content: str) -> Iterator[dict[str, str]]:
    path = folder / "table.tsv"
    path.write_text(content, encoding="utf-8")
    return (row.fields for row in rows(path, source="registry"))


def test_a_table_keeps_quotes_and_skips_comments(tmp_path: Path) -> None:
    found = list(table(tmp_path, '# a comment\nid\ttext\n\n1\t"as printed"\n2\t\n'))
    assert found == [{"id": "1", "text": '"as printed"'}, {"id": "2", "text": ""}]


@given(st.lists(st.lists(st.text("ab #\"'é", max_size=5), min_size=2, max_size=2)))
def test_a_table_gives_back_every_row_that_is_not_a_comment(
    tmp_path_factory: pytest.TempPathFactory, written: list[list[str]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    body = "".join("\t".join(["x" + row[0], row[1]]) + "\n" for row in written)
    found = list(table(folder, "id\ttext\n" + body))
    assert found == [{"id": "x" + first, "text": second} for first, second in written]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id\ttext\n1\n", r"table\.tsv:2, record 1: the row has 1 columns, the header 2"),
        ("id\ttext\n1\ta\tb\n", r"table\.tsv:2, record 1: the row has 3 columns, the header 2"),
        ("id\tid\n1\t2\n", r"table\.tsv: two columns are called 'id'"),
        (f"id\ttext\n1\t{'x' * MAX_FIELD}\n", r"table\.tsv:2, record 1, field text: is longer than"),
    ],
)
def test_a_damaged_table_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        list(table(tmp_path, content))


def test_accounts_of_many_records_add_up() -> None:
    account, info = Account(), source(b="not used")
    for number in range(3):
        study = record({"a": "x", "b": "y", **({"c": "z"} if number else {})})
        study.take("a")
        study.settle(info, account)
    assert account.records == 3
    assert (account.taken, account.ignored, account.unread) == (
        Counter(a=3), Counter(b=3), Counter(c=2),
    )  # fmt: skip
