"""A thousand hostile values for each type of parameter: none changes what a query asks.

Each value is either refused, with the parameter named, or stands in the query as one term in its VALUES
block. That is compared three ways: token by token, by the algebra that rdflib's parser makes, and by what
pyoxigraph gives back.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import rdflib
from pyoxigraph import Literal, NamedNode, QuerySolutions, Store
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parser import parseQuery
from rdflib.plugins.sparql.parserutils import CompValue

from kg.canned import Catalogue, Question
from kg.engine import Limits, guard
from kg.engine.guard import tokens
from kg.errors import ParameterError
from kg.terms import ROOT

CATALOGUE = Catalogue.read(ROOT / "queries")
# Of each type a question of ours that takes it; `values` is an enumeration.
TAKERS = {
    "iri": ("findings-about", "thing"),
    "unbound iri": ("evidence-of-a-statement", "object"),
    "integer": ("trials-started-since", "least"),
    "decimal": ("doses-for-body-weight", "weight"),
    "date": ("trials-started-since", "since"),
    "language": ("terms-called", "language"),
    "text": ("terms-called", "word"),
    "values": ("doses-in-cells", "weight"),
}
MANY = 1000

# What may break out of a term, and what would do harm outside of one.
PIECES = json.loads((Path(__file__).parent / "hostile.json").read_text(encoding="utf-8"))
BREAKS, ATTACKS = PIECES["breaks"], PIECES["attacks"]


@cache
def corpus() -> Sequence[str]:
    """A thousand strings, the same ones each time: attacks, what breaks out of a term, and both mixed."""
    chance = random.Random(41)
    found = dict.fromkeys([*ATTACKS, *BREAKS, "", " ", "a" * 70_000, "}" * 3000, "'\"" * 500, "\\" * 999])
    while len(found) < MANY:
        parts = chance.choices([*BREAKS, *ATTACKS], k=chance.randint(2, 5))
        found["".join(part + chance.choice(["", "", " "]) for part in parts)] = None
    return list(found)


def shape(text: str) -> list[tuple[str, str]]:
    """The tokens of a query that mean something."""
    return [(each.kind, each.text) for each in tokens(text) if each.kind not in ("space", "comment")]


def term_of(text: str, name: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The tokens in a parameter's VALUES block, and all others."""
    found = shape(text)
    starts = [
        at
        for at in range(len(found) - 2)
        if found[at][1].upper() == "VALUES" and found[at + 1][1] == f"?{name}" and found[at + 2][1] == "{"
    ]
    assert len(starts) == 1, "a VALUES block came or went"
    begin = starts[0] + 3
    end = next(at for at in range(begin, len(found)) if found[at][1] == "}")
    return found[begin:end], found[:begin] + found[end:]


def algebra(text: str) -> Any:
    """The algebra of a query, with every term in a VALUES block left out."""

    def without_terms(part: Any) -> Any:
        if isinstance(part, CompValue):
            if part.name == "values":
                return ("values", [sorted(map(str, row)) for row in part.res])
            return (part.name, [(key, without_terms(value)) for key, value in sorted(part.items())])
        if isinstance(part, list | tuple):
            return [without_terms(each) for each in part]
        if isinstance(part, set | frozenset):
            return sorted(map(str, part))
        return part.n3() if isinstance(part, rdflib.term.Identifier) else repr(part)

    return without_terms(translateQuery(parseQuery(text)).algebra)


@pytest.mark.parametrize("type", TAKERS)
def test_a_thousand_values_of_each_type_are_refused_or_are_one_term(type: str) -> None:
    id, name = TAKERS[type]
    question = CATALOGUE[id]
    _, before = term_of(question.text, name)
    judged = guard.inspect(question.text, Limits())
    taken = refused = 0
    for value in corpus():
        bound = _bound(question, name, value)
        if bound is None:
            with pytest.raises(ParameterError, match=f"parameter {name}=") as problem:
                question.bind({name: value})
            assert problem.value.parameter == name
            refused += 1
            continue
        taken += 1
        term, rest = term_of(bound, name)
        assert rest == before, value
        kinds = [kind for kind, _ in term]
        assert kinds in (["iri"], ["string"], ["string", "mark", "mark", "iri"]), (value, term)
        after = guard.inspect(bound, Limits(query_bytes=2**20))
        assert (after.kind, after.dataset, after.calls) == (judged.kind, judged.dataset, judged.calls)
    assert taken + refused == len(corpus()) == MANY
    assert taken > 0, "the corpus has values that fit, too"
    assert refused > 0


@pytest.mark.parametrize("type", TAKERS)
def test_the_algebra_of_the_query_is_the_same_but_for_the_term(type: str) -> None:
    id, name = TAKERS[type]
    question = CATALOGUE[id]

    def told(value: str) -> Any:
        return algebra(question.bind({name: value}))

    fitting = [value for value in corpus() if len(value) < 500 and _bound(question, name, value)]
    for value in random.Random(7).sample(fitting, min(12, len(fitting))):
        term = question.parameters[name].term(value)
        placed = str(rdflib.URIRef(term.value) if isinstance(term, NamedNode) else rdflib.Literal(term.value))
        plain = told(fitting[0])
        other = question.parameters[name].term(fitting[0])
        swapped = repr(told(value)).replace(repr(placed), "TERM")
        assert swapped == repr(plain).replace(repr(str(other.value)), "TERM"), value


def _bound(question: Question, name: str, value: str) -> str | None:
    try:
        return question.bind({name: value})
    except ParameterError:
        return None


def test_every_text_comes_back_from_the_engine_as_it_was_given() -> None:
    question = CATALOGUE["terms-called"]
    begin = question.text.index("VALUES ?word")
    echo = Question(
        **{**question.__dict__, "text": "SELECT ?word { " + question.text[begin:].split("\n")[0] + " }"}
    )
    store = Store()
    for value in corpus():
        if "\x00" in value:
            continue
        rows = store.query(echo.bind({"word": value}))
        assert isinstance(rows, QuerySolutions)
        assert [row["word"] for row in rows] == [Literal(value.strip())]
