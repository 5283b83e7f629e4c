"""A description says all that the graph says of a thing, who says it, and what is only hedged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pyoxigraph import NamedNode

from kg.engine import Limits
from kg.engine.memory import MemoryEngine
from kg.snapshot import Snapshot
from kg.terms import RDF, STROMA, expand
from kg.things import Description, Statement, describe


@pytest.fixture(scope="module")
def described(embedded: Snapshot) -> dict[str, Description]:
    async def ask() -> dict[str, Description]:
        async with MemoryEngine(embedded, workers=1) as engine:
            return {
                curie: await describe(engine, expand(curie).value, Limits())
                for curie in ("PR:000000017", "trial:NCT01547091", "stroma:NoSuchThing", "CL:0000134")
            }

    return asyncio.run(ask())


def edges(description: Description, predicate: NamedNode, value: str) -> Iterator[Statement]:
    for statement in description.statements:
        if statement.predicate == predicate.value and statement.object == expand(value):
            yield statement


def test_a_reported_edge_leads_to_the_characters_that_say_it(described: dict[str, Description]) -> None:
    (statement,) = edges(described["PR:000000017"], STROMA.enhances, "stroma:MSCActivation")
    assert [(each.id, each.document, each.line) for each in statement.support] == [("C047", "002", 17)]
    assert all(each.start is not None and each.start < (each.end or 0) for each in statement.support)
    assert not statement.inferred


def test_an_inferred_edge_says_that_it_is(described: dict[str, Description]) -> None:
    (statement,) = edges(described["trial:NCT01547091"], RDF.type, "stroma:MSCTherapyForRAStudy")
    assert statement.inferred
    assert statement.support == ()


def test_what_is_only_hedged_or_denied_is_kept_apart(described: dict[str, Description]) -> None:
    only_said = [each for each in described["CL:0000134"].statements if not each.held]
    assert any(not each.positive for each in only_said), "document 002 denies non-specific suppression"
    assert all(each.support for each in only_said)


def test_everything_mentioned_has_its_name_in_the_language_asked(described: dict[str, Description]) -> None:
    description = described["PR:000000017"]
    names = {description.name(description.iri, language) for language in ("en", "zh-Hans", "zh-Hant")}
    assert {"interferon gamma"} < names
    assert len(names) == 3
    assert description.name(STROMA.enhances.value) == "enhances (reported)"
    assert description.name("https://example.org/unknown") == "https://example.org/unknown"


def test_incoming_edges_are_counted_over_all_and_listed(described: dict[str, Description]) -> None:
    description = described["CL:0000134"]
    assert sum(description.incoming_counts.values()) >= len(description.incoming) > 0
    assert STROMA.propositionSubject.value not in description.incoming_counts


def test_what_the_graph_does_not_know_is_told(described: dict[str, Description]) -> None:
    assert not described["stroma:NoSuchThing"].known
    assert described["PR:000000017"].known
