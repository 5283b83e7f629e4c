"""Search: a thing is found by any of its names, in any of three languages, misspelt or half written."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import ParameterError
from kg.search import INDEX, KIND_NAMES, REACH, Index, write_index, writing
from kg.search.folding import fold
from kg.search.writing import _literal
from kg.snapshot import Snapshot, line_of, open_snapshot
from kg.terms import BASE, STROMA, expand

CHINESE = st.sampled_from("间充质干细胞類風濕性關節炎臍帶")


@pytest.fixture(scope="module")
def index(embedded: Snapshot) -> Index:
    return Index.of(embedded)


def first(index: Index, text: str, **options: object) -> str:
    return index.search(text, **options).hits[0].curie  # type: ignore[arg-type]


def test_words_that_are_put_down_and_merged_give_the_same_bytes(
    embedded: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_index(embedded)
    shutil.copytree(embedded.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("dump", "store", INDEX))
    copy = open_snapshot(tmp_path / "copy")
    monkeypatch.setattr(writing, "_WORDS", 100)
    assert write_index(copy).read_bytes() == (embedded.folder / INDEX).read_bytes()
    assert not list(copy.folder.glob(f".{INDEX}*"))


@pytest.mark.parametrize(
    ("text", "curie"),
    [
        ("umbilical cord", "UBERON:0002331"),
        ("UMBILICAL  Cord", "UBERON:0002331"),
        ("ACR20", "stroma:MeasureACR20"),
        ("acr 20", "stroma:MeasureACR20"),
        ("IFN-γ", "PR:000000017"),
        ("ifn gamma", "PR:000000017"),
        ("IFNγ", "PR:000000017"),
        ("NCT01547091", "trial:NCT01547091"),
        ("MONDO:0008383", "MONDO:0008383"),
        (f"{BASE}ontology/UCMSCProduct", "stroma:UCMSCProduct"),
        ("A321", "claim:A321"),
    ],
)
def test_a_name_an_identifier_or_an_abbreviation_finds_its_thing_first(
    index: Index, text: str, curie: str
) -> None:
    assert first(index, text) == curie


@pytest.mark.parametrize(
    ("simplified", "traditional", "curie"),
    [
        ("干细胞", "幹細胞", "CL:0000034"),
        ("凋亡", "凋亡", "GO:0006915"),  # two characters
        ("泼尼松", "潑尼松", "CHEBI:8382"),
        ("类风湿关节炎", "類風濕關節炎", "MONDO:0008383"),
    ],
)
def test_either_chinese_script_finds_the_same_things(
    index: Index, simplified: str, traditional: str, curie: str
) -> None:
    one, other = index.search(simplified), index.search(traditional)
    assert curie in {hit.curie for hit in one.hits[:3]}
    assert [hit.iri for hit in one.hits] == [hit.iri for hit in other.hits]


def test_a_printed_misform_finds_what_was_meant_and_is_never_shown(index: Index) -> None:
    hits = index.search("間充質干細胞").hits  # 干 for 幹, as document 002 prints it
    assert "CL:0000134" in {hit.curie for hit in hits[:10]}
    assert not any("干細胞" in label for hit in hits for label in hit.labels.values())


def test_languages_may_be_mixed_in_one_search(index: Index) -> None:
    found = {hit.curie for hit in index.search("類風濕 MSC").hits}
    assert "stroma:MSCTherapyForRAStudy" in found


@pytest.mark.parametrize(
    ("misspelt", "word", "curie"),
    [
        ("metotrexate", "methotrexate", "CHEBI:44185"),
        ("rheumatiod artritis", "arthritis", "MONDO:0008383"),
        ("macrohpage", "macrophage", "CL:0000235"),
    ],
)
def test_a_misspelt_word_finds_what_was_meant_and_says_so(
    index: Index, misspelt: str, word: str, curie: str
) -> None:
    results = index.search(misspelt)
    assert results.hits[0].curie == curie
    assert word in {near for words in results.corrected.values() for near in words}


def test_a_number_is_found_whole_or_begun_and_never_taken_for_another(index: Index) -> None:
    number = "NCT01547091"
    for begun in (number, number[:-1]):
        results = index.search(begun)
        assert number in " ".join(hit.matched for hit in results.hits), begun
    results = index.search(number[:-1] + "x")
    assert (results.total, dict(results.corrected)) == (0, {})


def test_a_word_that_is_still_being_written_already_finds(index: Index) -> None:
    assert "CL:0000235" in {hit.curie for hit in index.search("macroph", typing=True).hits[:5]}
    assert index.search("a", typing=True).total > 0


def test_a_kind_keeps_only_its_things_and_the_counts_tell_of_the_others(index: Index) -> None:
    every = index.search("umbilical cord")
    trials = index.search("umbilical cord", kinds=["trial"])
    assert {hit.kind for hit in trials.hits} == {"trial"}
    assert trials.total == every.kinds["trial"] < every.total
    assert sum(every.kinds.values()) == every.total


def test_pages_follow_each_other_without_gap_or_repeat(index: Index) -> None:
    whole = index.search("cell", limit=30)
    pages = [index.search("cell", limit=10, offset=offset) for offset in (0, 10, 20)]
    assert [hit.iri for page in pages for hit in page.hits] == [hit.iri for hit in whole.hits]
    assert {page.total for page in pages} == {whole.total}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"kinds": ["trail"]}, "trial"),
        ({"limit": 0}, str(REACH)),
        ({"limit": 20, "offset": REACH}, str(REACH)),
        ({"offset": -1}, str(REACH)),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(
    index: Index, options: dict[str, object], names: str
) -> None:
    with pytest.raises(ParameterError, match=names):
        index.search("cell", **options)  # type: ignore[arg-type]


@given(st.text(max_size=400))
def test_no_text_breaks_a_search(index: Index, text: str) -> None:
    results = index.search(text, limit=5)
    assert len(results.hits) <= results.total
    assert (results.total == 0) or fold(text)


@pytest.mark.parametrize(
    "text",
    ['"', "*", "a OR b", "NEAR(a b, 2)", "names:cell", '"; DROP TABLE things; --', "x" * 100_000, "\0"],
)
def test_the_words_of_the_index_s_own_language_are_words_like_any_other(index: Index, text: str) -> None:
    index.search(text)
    assert first(index, "umbilical cord") == "UBERON:0002331"


@given(st.text(), st.none() | st.sampled_from(["en", "zh-Hans", "zh-hant", "en-GB"]))
def test_a_literal_is_read_as_the_parser_reads_it(text: str, language: str | None) -> None:
    name = NamedNode("https://example.org/x")
    quad = Quad(name, name, Literal(text, language=language), name)
    tag = (language or "en").lower().replace("hans", "Hans").replace("hant", "Hant")
    assert _literal(line_of(quad).split(b" ", 2)[2].rsplit(b" ", 2)[0]) == (text.strip(), tag)


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_letters_fold_as_all_others_do(text: str) -> None:
    assert fold("\N{LATIN SMALL LETTER E WITH ACUTE} " + text) == ["e", *fold(text)]


@given(st.text(), st.lists(CHINESE, min_size=1).map("".join))
def test_folding_twice_is_folding_once(text: str, chinese: str) -> None:
    for each in (text, chinese):
        once = fold(each)
        assert fold(" ".join(once)) == once


def test_every_term_of_the_ontology_and_every_trial_and_claim_is_in_the_index(
    index: Index, embedded: Snapshot
) -> None:
    kinds = index.kinds()
    assert set(kinds) <= set(KIND_NAMES)
    assert kinds["claim"] == 974
    found = index.find([STROMA.UCMSCProduct.value, expand("trial:NCT01547091").value, "https://example.org/"])
    assert [hit.kind for hit in found.values()] == ["class", "trial"]
    assert found[STROMA.UCMSCProduct.value].label("zh-Hant") != found[STROMA.UCMSCProduct.value].label(
        "zh-Hans"
    )


def test_without_words_a_search_lists_all_of_a_kind(index: Index) -> None:
    trials = index.search("", kinds=["trial"], limit=100)
    assert trials.total == len(trials.hits) == index.kinds()["trial"]
    names = [hit.label().lower() for hit in trials.hits]
    assert names == sorted(names)
    assert index.search(" ", kinds=["trial"], limit=3, offset=2).hits == trials.hits[2:5]
    assert index.search("").total == index.search("。", kinds=["trial"]).total == 0


def test_many_threads_may_search_at_once(index: Index) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: first(index, "umbilical cord"), range(64)))
    assert set(found) == {"UBERON:0002331"}


def test_the_index_is_written_once_and_again_when_its_form_is_old(tiny: Snapshot, tmp_path: Path) -> None:
    file = write_index(tiny)
    assert file == tiny.folder / INDEX
    before = file.stat().st_mtime_ns
    assert write_index(tiny).stat().st_mtime_ns == before
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 0")
    assert write_index(tiny).stat().st_mtime_ns != before
    assert Index.of(tiny).search("类风湿").total == 0  # ex:t1 has a label, but is no kind of thing we know
