"""A description says all that the graph says of a thing, who says it, and what is only hedged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pyoxigraph import NamedNode, RdfFormat, parse

from kg.engine import Limits
from kg.engine.memory import MemoryEngine
from kg.names import LANGUAGES, named, names
from kg.rows import rows
from kg.snapshot import Snapshot, write_snapshot
from kg.terms import BASE, RDF, STROMA, XSD, expand
from kg.things import FIRST, Description, Standing, Statement, describe, referring_to, standing, values_of


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


EX = "https://example.org/"
HUB = f"{EX}hub"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A thing that 10,000 others lead to by one relation and 3 by another, and that has 2,500 values."""
    lines = [f"<{EX}a{n:05}> <{EX}at> <{HUB}> <{EX}g> ." for n in range(10_000)]
    lines += [f"<{EX}b{n}> <{EX}near> <{HUB}> <{EX}g> ." for n in range(3)]
    lines += [f'<{HUB}> <{EX}number> "{n:05}" <{EX}g> .' for n in range(2_500)]
    lines += [f"<{HUB}> <{EX}part> _:b{n} <{EX}g> ." for n in range(5)]
    lines.append(
        f'<{EX}old> <http://www.w3.org/2002/07/owl#deprecated> "true"^^<{XSD.boolean.value}> <{EX}g> .'
    )
    quads = parse("\n".join(lines), format=RdfFormat.N_QUADS)
    return write_snapshot(quads, tmp_path_factory.mktemp("crowded"), version="2026-11-22")


def test_of_a_crowded_thing_the_first_of_each_relation_are_read_and_all_are_counted(
    crowded: Snapshot,
) -> None:
    async def ask() -> Description:
        async with MemoryEngine(crowded, workers=1) as engine:
            return await describe(engine, HUB, Limits())

    description = asyncio.run(ask())
    assert description.incoming_counts == {f"{EX}at": 10_000, f"{EX}near": 3}
    assert [edge.predicate for edge in description.incoming].count(f"{EX}at") == FIRST
    assert [edge.predicate for edge in description.incoming].count(f"{EX}near") == 3
    assert description.counts == {f"{EX}number": 2_500}, "what has no name leads nowhere"
    assert [node.value for node in description.values(f"{EX}number")] == [f"{n:05}" for n in range(FIRST)]


def test_the_pages_of_a_long_list_follow_each_other_without_gap_or_repeat(crowded: Snapshot) -> None:
    async def ask() -> tuple[list[str], list[str], set[int]]:
        coming: list[str] = []
        values: list[str] = []
        totals = set()
        async with MemoryEngine(crowded, workers=1) as engine:
            for offset in range(0, 10_500, 2_100):
                page = await referring_to(engine, HUB, f"{EX}at", Limits(), offset=offset, limit=2_100)
                coming += [edge.subject for edge in page.incoming]
                totals.add(page.total)
            for offset in range(0, 3_000, 700):
                listing = await values_of(engine, HUB, f"{EX}number", Limits(), offset=offset, limit=700)
                values += [each.object.value for each in listing.statements]
        return coming, values, totals

    coming, values, totals = asyncio.run(ask())
    assert coming == [f"{EX}a{n:05}" for n in range(10_000)]
    assert values == [f"{n:05}" for n in range(2_500)]
    assert totals == {10_000}


def test_whether_a_thing_is_known_or_obsolete_is_one_small_question(crowded: Snapshot) -> None:
    async def ask() -> list[Standing]:
        async with MemoryEngine(crowded, workers=1) as engine:
            return [await standing(engine, f"{EX}{name}", Limits()) for name in ("hub", "old", "part", "x")]

    assert asyncio.run(ask()) == [
        Standing(known=True, obsolete=False),
        Standing(known=True, obsolete=True),
        Standing(known=False, obsolete=False),
        Standing(known=False, obsolete=False),
    ]


@pytest.mark.parametrize(
    ("curie", "english", "traditional"),
    [
        ("stroma:enhances", "enhances (reported)", "增強"),
        (
            "observation:000-75-ifng-trial-combination-ACR20-3m",
            "ACR20 response, Umbilical cord MSCs plus IFN-γ (phase 1/2 IFN-γ trial), month 3",
            "第 3 個月",
        ),
        ("record:clinicaltrials/NCT01873625", "record NCT01873625 (clinicaltrials)", "記錄 NCT01873625"),
        ("record:clinicaltrials/NCT01851070/status/2022-10-07", "completed study (2022-10-07)", "已完成"),
        ("span:A321", "document 000, line ", "文獻 000，第 "),
        ("claim:curated/NCT01547091%2Farm-3%2F3/product", "UC-MSC+DMARDS has active ingredient ", "組織來源"),
    ],
)
def test_what_has_no_label_is_called_by_what_it_is_about(
    embedded: Snapshot, curie: str, english: str, traditional: str
) -> None:
    iri = expand(curie).value

    async def ask() -> dict[str, dict[str, str]]:
        async with MemoryEngine(embedded, workers=1) as engine:
            return await names(engine, [iri, f"{BASE}observation/none"], Limits())

    known = asyncio.run(ask())
    assert set(known) == {iri}
    assert named(known, iri).startswith(english)
    assert traditional in named(known, iri, "zh-Hant")


def test_a_denied_proposition_is_called_what_it_denies(embedded: Snapshot) -> None:
    async def ask() -> dict[str, dict[str, str]]:
        async with MemoryEngine(embedded, workers=1) as engine:
            description = await describe(engine, expand("CL:0000134").value, Limits())
            denied = next(each for each in description.statements if not each.positive)
            (row,) = await rows(
                engine,
                f"""SELECT ?proposition WHERE {{ ?proposition stroma:polarity stroma:PolarityNegative ;
                  stroma:propositionSubject {expand("CL:0000134")} ; stroma:propositionObject {denied.object}
                }}""",
                Limits(),
            )
            return await names(engine, [row["proposition"].value], Limits())

    ((_, called),) = asyncio.run(ask()).items()
    assert set(called) == set(LANGUAGES)
    assert called["en"].startswith("not: mesenchymal stem cell ")
    assert called["zh-Hans"].startswith("否定：")


def test_what_the_graph_does_not_know_is_told(described: dict[str, Description]) -> None:
    assert not described["stroma:NoSuchThing"].known
    assert described["PR:000000017"].known
