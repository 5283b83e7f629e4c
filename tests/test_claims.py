"""Who says what: propositions with every place that says them, and findings with both of their sides."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from pyoxigraph import NamedNode, RdfFormat, parse

from kg import claims
from kg.claims import Found, Said
from kg.engine import Limits
from kg.engine.memory import MemoryEngine
from kg.snapshot import Snapshot, write_snapshot
from kg.terms import OBO, STROMA, expand

CONTRADICTION = expand("finding:different-values/2f8413c8cef00ff2a919").value  # bDMARD use: 13 or 10


@pytest.fixture(scope="module")
def asked(embedded: Snapshot) -> dict[str, object]:
    async def ask() -> dict[str, object]:
        async with MemoryEngine(embedded, workers=1) as engine:
            of = expand("claim:C047").value
            return {
                "said": await claims.said_by(engine, of, Limits()),
                "place": await claims.place(engine, of, Limits()),
                "nowhere": await claims.place(engine, expand("claim:nothing").value, Limits()),
                "involved": await claims.involved_in(engine, CONTRADICTION, Limits()),
                "all": await claims.findings(engine, Limits()),
                "about": await claims.findings(engine, Limits(), about=expand("trial:NCT01873625").value),
                "choices": await claims.choices(engine, Limits()),
                "rule": await claims.rule(engine, expand("rule:different-values").value, Limits()),
            }

    return asyncio.run(ask())


def said(asked: dict[str, object], name: str) -> list[Said]:
    found = asked[name]
    assert isinstance(found, list)
    return found


def test_a_claim_says_a_proposition_at_characters_of_a_document(asked: dict[str, object]) -> None:
    (one,) = said(asked, "said")
    assert (one.subject, one.predicate, one.object, one.positive) == (
        expand("PR:000000017").value,
        STROMA.enhances.value,
        STROMA.MSCActivation,
        True,
    )
    (saying,) = one.sayings
    assert saying.id == "C047"
    assert saying.place == asked["place"]
    assert saying.place is not None
    assert (saying.place.document, saying.place.line, len(saying.place.sha256)) == ("002", 17, 64)
    assert asked["nowhere"] is None


def test_a_finding_has_two_sides_with_the_values_that_differ(asked: dict[str, object]) -> None:
    one, other = claims.sides(said(asked, "involved"))
    values = [
        {each.predicate: Decimal(each.object.value) for each in side} for side in (one, other)
    ]  # "line 36 prints 13 (46 %), line 63 prints 10 (36 %)", docs/contradictions.md
    affected, percent = STROMA.numberAffected.value, STROMA.percentage.value
    assert {(each[affected], each[percent]) for each in values} == {(13, 46), (10, 36)}
    lines = {
        saying.place.line for side in (one, other) for each in side for saying in each.sayings if saying.place
    }
    assert lines == {36, 63}


def test_findings_are_listed_whole_or_about_a_thing_each_once(asked: dict[str, object]) -> None:
    every, about = asked["all"], asked["about"]
    assert isinstance(every, list)
    assert isinstance(about, list)
    assert len({each.iri for each in every}) == len(every) == 21
    assert 0 < len(about) < len(every)
    assert all(expand("trial:NCT01873625").value in each.about for each in about)
    assert every == sorted(every, key=lambda each: (each.kind, each.severity, each.summary))
    own = next(each for each in every if each.iri == CONTRADICTION)
    assert (own.status, own.rule) == (STROMA.FindingExplained.value, expand("rule:different-values").value)


def test_what_a_filter_may_be_is_told_also_where_no_finding_is_so(asked: dict[str, object]) -> None:
    there = asked["choices"]
    assert isinstance(there, dict)
    assert STROMA.FindingResolved.value in there["status"]
    assert set(there["severity"]) == {STROMA.SeverityMajor.value, STROMA.SeverityMinor.value}


def test_what_others_deny_stands_against_a_claim(tmp_path: Path) -> None:
    example = "https://example.org/"
    lines = []
    for name, polarity in (("yes", "PolarityPositive"), ("no", "PolarityNegative")):
        facts = {
            "propositionSubject": f"<{example}cell>", "propositionPredicate": f"<{STROMA.enhances.value}>",
            "propositionObject": f"<{example}growth>", "polarity": f"<{STROMA(polarity).value}>",
        }  # fmt: skip
        lines += [f"<{example}{name}> <{STROMA(p).value}> {o} <{example}g> ." for p, o in facts.items()]
        lines.append(f"<{example}says-{name}> <{STROMA.asserts.value}> <{example}{name}> <{example}g> .")
    disputing = OBO.SEPIO_0000008.value
    lines.append(f"<{example}yes> <{disputing}> <{example}says-no> <{example}g> .")
    quads = parse("\n".join(lines), format=RdfFormat.N_QUADS)
    snapshot = write_snapshot(quads, tmp_path, version="2026-11-22")

    async def ask() -> list[Said]:
        async with MemoryEngine(snapshot, workers=1) as engine:
            return await claims.said_against(engine, f"{example}says-yes", Limits())

    (one,) = asyncio.run(ask())
    assert (one.iri, one.positive) == (f"{example}no", False)
    assert [saying.claim for saying in one.sayings] == [f"{example}says-no"]


def test_a_rule_tells_what_it_compares(asked: dict[str, object]) -> None:
    rule = asked["rule"]
    assert isinstance(rule, claims.Rule)
    assert rule.compared >= 3
    assert all(rule.paragraphs)


def test_sides_of_one_thing_are_its_propositions_one_by_one() -> None:
    def edge(subject: str, value: str) -> Said:
        return Said(f"p{value}", subject, "p", NamedNode(f"https://example.org/{value}"), positive=True)

    same = [edge("a", "1"), edge("a", "2")]
    assert claims.sides(same) == [[same[0]], [same[1]]]
    differ = [edge("a", "1"), edge("b", "2"), edge("a", "3")]
    assert claims.sides(differ) == [[differ[0], differ[2]], [differ[1]]]
    assert claims.sides([]) == []


def test_everything_a_reader_meets_is_named() -> None:
    found = Found("f", "text", "kind", "severity", "status", "", ("x",))
    assert claims.mentioned([], [found]) == {"kind", "severity", "status", "x"}
