"""A pattern with words to look for first: nothing that it would find is missed."""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import privacy
from loaders.clinicaltrials import dosing_rules, outcome_rules, text_rules
from loaders.clinicaltrials.read import records
from loaders.patterns import Hinted, folded, stands
from tests.test_registry import texts

_STUDIES = 150  # a pattern tried everywhere is slow: that is why it has words


def _hinted(value: object) -> list[Hinted]:
    """The patterns in a module's table, however deep."""
    if isinstance(value, Hinted):
        return [value]
    return [found for item in value for found in _hinted(item)] if isinstance(value, tuple) else []


@cache
def _texts(shared: Path) -> frozenset[str]:
    file = shared / "data" / "clinicaltrials" / "classic-msc-1241.jsonl.gz"
    found = islice(records([file], "clinicaltrials"), _STUDIES)
    return frozenset(text for record in found for text in texts(record._fields))


@pytest.mark.parametrize("module", [text_rules, dosing_rules, outcome_rules], ids=lambda m: m.__name__)
def test_every_match_in_real_texts_has_one_of_the_words(module: object, shared: Path) -> None:
    patterns = [pattern for value in vars(module).values() for pattern in _hinted(value)]
    matches = 0
    for text in _texts(shared):
        for hinted in patterns:
            if match := hinted.pattern.search(text):
                matches += 1
                assert stands(hinted.words, folded(match.group(0))), (match.group(0), hinted.words)
    assert matches > 30


def test_real_texts_are_cleaned_as_if_every_pattern_were_tried(shared: Path) -> None:
    changed = 0
    for text in _texts(shared):
        cleaned = privacy._MAIL.sub("[e-mail removed]", text)
        cleaned = privacy._PHONE.sub(privacy._without_number, cleaned)
        for pattern in (privacy._TITLED, privacy._DEGREE, privacy._LABELLED):
            cleaned = pattern.sub(privacy._without_name, cleaned)
        assert privacy.clean(text) == cleaned
        changed += cleaned != text
    assert changed


@given(st.text(alphabet="iIıİsSſkKKµμß", max_size=4))
def test_a_word_is_found_whatever_letters_a_regular_expression_takes_for_its_own(text: str) -> None:
    for word in ("i", "k", "s"):
        if re.search(word, text, re.IGNORECASE):
            assert word in folded(text)
