"""What speaks for and against a proposition: who counts, who does not, and where each stands."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from pyoxigraph import RdfFormat, parse
from typer.testing import CliRunner

from kg.bearing import STANCES, Bearing, as_json, as_text, as_turtle, bearings
from kg.cli import app
from kg.engine import Limits
from kg.engine.memory import MemoryEngine
from kg.errors import UsageError
from kg.evidence.derivation import derive
from kg.evidence.lines import quads
from kg.evidence.reported import read
from kg.names import Names
from kg.snapshot import Snapshot, line_of, read_lines, write_snapshot
from kg.terms import BASE, OBO, ROOT, STROMA, expand

O = f"{BASE}ontology/"  # noqa: E741
ROS, SURVIVAL = expand("CHEBI:26523").value, f"{O}MSCSurvival"
TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"


def asked(snapshot: Snapshot, iri: str) -> tuple[list[Bearing], Names]:
    async def run() -> tuple[list[Bearing], Names]:
        async with MemoryEngine(snapshot, workers=1) as engine:
            return await bearings(engine, iri, Limits())

    return asyncio.run(run())


def claim(name: str, subject: str, relation: str, value: str, polarity: str = "Positive") -> str:
    """A planted claim of one proposition, as N-Quads."""
    own, proposition = f"<{BASE}claim/{name}>", f"<{BASE}proposition/{name}>"
    graph = f"<{BASE}graph/literature> ."
    return "".join(
        f"{line} {graph}\n"
        for line in (
            f"{own} {TYPE} <{O}Claim>",
            f'{own} <http://purl.org/dc/terms/identifier> "{name}"',
            f"{own} <{O}asserts> {proposition}",
            f"{own} <{O}modality> <{O}ModalityHedged>",
            f"{own} <{O}statementLevel> <{O}LevelStated>",
            f"{proposition} {TYPE} <{O}Proposition>",
            f"{proposition} <{O}propositionSubject> <{subject}>",
            f"{proposition} <{O}propositionPredicate> <{O}{relation}>",
            f"{proposition} <{O}propositionObject> <{value}>",
            f"{proposition} <{O}polarity> <{O}Polarity{polarity}>",
        )
    )


@pytest.fixture(scope="module")
def planted(embedded: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The embedded graph with four claims more: two against A255, two that are not about the same."""
    more = (
        claim("OPPOSITE", ROS, "enhances", SURVIVAL)
        + claim("DENIAL", ROS, "impairs", SURVIVAL, "Negative")
        + claim("OTHER", ROS, "enhances", f"{O}MSCMigration")
        + claim("ANOTHER", f"{O}Hypoxia", "enhances", SURVIVAL)
    )
    return with_more(embedded, more, tmp_path_factory.mktemp("planted"))


def with_more(embedded: Snapshot, more: str, folder: Path) -> Snapshot:
    """The embedded graph with statements more, and the evidence lines that they give."""
    old = f" <{BASE}graph/evidence-lines> .\n".encode()
    kept = [line for line in read_lines(embedded) if not line.endswith(old)]
    told = [*kept, *(line.encode() + b"\n" for line in more.splitlines())]
    known = read(told)
    lines = map(line_of, quads(known, derive(known)[0], told))
    return write_snapshot([*told, *lines], folder, version=embedded.version)


def test_who_denies_it_and_who_says_the_opposite_speaks_against_it_and_nobody_else(planted: Snapshot) -> None:
    found, _ = asked(planted, f"{BASE}claim/A255")
    own = next(each for each in found if each.proposition.subject == ROS)
    against = {line.saying.id for line in own.lines if line.stance == "against" and line.saying}
    assert against == {"OPPOSITE", "DENIAL"}
    assert {line.saying.id for line in own.lines if line.stance == "for" and line.saying} == {"A255"}
    assert own.counted()["against"] == {(STROMA.LevelStated.value, STROMA.ModalityHedged.value): 2}


def test_the_other_side_sees_the_first_as_against_it(planted: Snapshot) -> None:
    (denied,), _ = asked(planted, f"{BASE}proposition/DENIAL")
    assert {line.saying.id for line in denied.lines if line.stance == "against" and line.saying} == {"A255"}
    (opposite,), _ = asked(planted, f"{BASE}proposition/OPPOSITE")
    assert "A255" in {line.saying.id for line in opposite.lines if line.stance == "against" and line.saying}


def test_nothing_in_the_sources_speaks_against_it_unless_planted(embedded: Snapshot) -> None:
    found, known = asked(embedded, f"{BASE}claim/A255")
    own = next(each for each in found if each.proposition.subject == ROS)
    assert not own.counted()["against"]
    # A kind of it stands beside, and is not counted for it.
    beside = {line.saying.id for line in own.lines if line.stance == "beside" and line.saying}
    assert "A311" in beside
    text = as_text(found, known)
    assert "reactive oxygen species impairs (reported) MSC survival" in text
    assert "A255, document 000, line 67, characters 4177-4222" in text
    assert "narrative review" in text
    assert "medium confidence" in text


def test_what_is_inferred_speaks_against_a_claim_of_the_opposite(
    embedded: Snapshot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """That a compound enhances MSC survival follows from two claims; here a third says that it impairs it."""
    inferred = next(
        line.decode().split(" ")
        for line in read_lines(embedded)
        if b"/graph/inferred/relation>" in line and f" <{O}enhances> <{SURVIVAL}> ".encode() in line
    )
    compound = inferred[0].strip("<>")
    more = claim("HARM", compound, "impairs", SURVIVAL)
    planted = with_more(embedded, more, tmp_path_factory.mktemp("harm"))
    (found,), _ = asked(planted, f"{BASE}proposition/HARM")
    (voice,) = (line for line in found.lines if line.stance == "against")
    assert (voice.level, voice.saying) == (STROMA.LevelInferred.value, None)
    assert voice.who.endswith("/graph/inferred/relation")


def test_a_proposition_in_two_documents_has_a_voice_for_each(embedded: Snapshot) -> None:
    # ChiCTR-INR-17012462 has randomized allocation (see said-by-several-sources).
    found, _ = asked(embedded, f"{BASE}trial/ChiCTR-INR-17012462")
    (allocation,) = (
        each
        for each in found
        if each.proposition.predicate == f"{O}hasAllocation" and each.proposition.positive
    )
    places = Counter(
        line.saying.place.document
        for line in allocation.lines
        if line.stance == "for" and line.saying and line.saying.place
    )
    assert places == {"001": 2, "002": 1}


def test_a_finding_is_shown_with_the_proposition_it_involves(embedded: Snapshot) -> None:
    involved = next(
        line.split(b" ")[2].decode().strip("<>")
        for line in read_lines(embedded)
        if line.startswith(f"<{BASE}finding/".encode())
        and f"<{O}involves> <{BASE}proposition/".encode() in line
    )
    (found,), _ = asked(embedded, involved)
    assert found.findings


def test_numbers_and_others_comparisons_bear_on_a_comparison(embedded: Snapshot) -> None:
    """Document 001, line 52: significant at year five (B267); not significant, no year named (B264)."""
    comparison = "observation/001-52-yang2025-msc-vs-yang2025-msc-ifng-DAS28Remission-60m"
    found, known = asked(embedded, f"{BASE}{comparison}")
    (significant,) = (each for each in found if each.proposition.predicate == f"{O}isSignificant")
    (against,) = (line for line in significant.lines if line.stance == "against")
    assert against.saying is not None
    assert against.saying.id == "B264"
    assert against.proposition is not None
    assert (against.proposition.predicate, against.proposition.object.value) == (f"{O}isSignificant", "false")
    (number,) = (line for line in significant.lines if line.saying is None)
    assert (number.stance, number.proposition) == ("for", None)
    assert number.words.endswith(": 7 of 28 against 2 of 69")
    (favoured,) = (each for each in found if each.proposition.predicate == f"{O}favoursGroup")
    assert "B264" in {
        line.saying.id for line in favoured.lines if line.stance == "inconclusive" and line.saying
    }
    assert "inconclusive B264, document 001, line 52, characters 4473-4499" in as_text(found, known)


def test_what_bears_on_a_proposition_is_what_the_graph_s_lines_say(embedded: Snapshot) -> None:
    """An independent path: all lines of the graph, read as text; every proposition that has one is asked."""
    names = {"07": "for", "08": "against", "09": "inconclusive"}
    held: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for line in read_lines(embedded):
        subject, predicate, value = (part.strip("<>") for part in line.decode().split(" ", 3)[:3])
        if predicate.startswith("http://purl.obolibrary.org/obo/SEPIO_00000"):
            held[subject].add((names[predicate[-2:]], value))
    assert len(held) > 50

    async def run() -> dict[str, set[tuple[str, str]]]:
        told = {}
        async with MemoryEngine(embedded, workers=1) as engine:
            for iri in sorted(held)[::4]:
                ((one,), _) = await bearings(engine, iri, Limits())
                asserted = {saying.claim for saying in one.proposition.sayings}
                told[iri] = {
                    (line.stance, line.who)
                    for line in one.lines
                    if line.stance != "beside" and line.who not in asserted
                }
        return told

    told = asyncio.run(run())
    assert told == {iri: held[iri] for iri in told}


def test_json_and_turtle_say_the_same_as_the_text(planted: Snapshot) -> None:
    found, known = asked(planted, f"{BASE}claim/A255")
    told = json.loads(as_json(found, known))
    own = next(each for each in told["propositions"] if each["subject"] == ROS)
    assert {line["id"] for line in own["lines"] if line["stance"] == "against"} == {"OPPOSITE", "DENIAL"}
    assert {line["place"]["line"] for line in own["lines"] if line["id"] == "A255"} == {67}
    triples = list(parse(as_turtle(found), format=RdfFormat.TURTLE))
    asserted = {(t.subject.value, t.object.value) for t in triples if t.predicate == STROMA.asserts}
    assert (f"{BASE}claim/OPPOSITE", f"{BASE}proposition/OPPOSITE") in asserted
    disputing = {t.object.value for t in triples if t.predicate == OBO.SEPIO_0000008}
    assert disputing == {f"{BASE}claim/OPPOSITE", f"{BASE}claim/DENIAL"}


def test_a_thing_nobody_relates_to_another_is_told_with_the_way_out(embedded: Snapshot) -> None:
    with pytest.raises(UsageError, match=r"nothing is proposed of it.*/search finds them"):
        asked(embedded, f"{O}Nothing")


def test_opposite_relations_name_each_other(embedded: Snapshot) -> None:
    lines = (line.decode().split(" ") for line in read_lines(embedded))
    pairs = {(line[0], line[2]) for line in lines if line[1] == f"<{O}oppositeOf>"}
    assert len(pairs) == 12  # four pairs of relations, two of values
    assert pairs == {(b, a) for a, b in pairs}


def test_the_page_has_both_sides_in_three_languages(site: str) -> None:
    def get(accept: str, language: str = "en", about: str = "claim:A255") -> str:
        headers = {"Accept": accept, "Accept-Language": language}
        request = urllib.request.Request(f"{site}/evidence?about={about}", headers=headers)
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())

    page = get("text/html")
    assert "<h1>Evidence" in page
    assert "4177–4222" in page
    assert "<svg" in page
    assert "支持" in get("text/html", "zh-CN")
    assert "證據" in get("text/html", "zh-TW")
    assert json.loads(get("application/json"))["propositions"]
    assert "stroma:asserts" in get("text/turtle")


@pytest.mark.parametrize(
    ("query", "says"),
    [("", "give about="), ("about=nope:x", "is refused"), ("about=claim:A255&format=pdf", "is not offered")],
)
def test_a_wrong_request_says_what_to_give(site: str, query: str, says: str) -> None:
    with pytest.raises(urllib.request.HTTPError) as refused:
        urllib.request.urlopen(f"{site}/evidence?{query}")
    assert refused.value.code == 400
    assert says in refused.value.read().decode()


def test_the_command_line_says_it_too(embedded: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_VAR", str(embedded.folder.parent.parent))
    done = CliRunner().invoke(app, ["evidence", "claim:A255"])
    assert done.exit_code == 0, done.output
    assert "for: 1 (1 stated level, asserted)" in done.output


def test_the_counts_by_level_are_those_of_the_lines_themselves(embedded: Snapshot) -> None:
    """An independent path: lines are read as text, without SPARQL and without the store."""
    level: dict[str, str] = {}
    modality: dict[str, str] = {}
    asserted: dict[str, set[str]] = defaultdict(set)
    for line in read_lines(embedded):
        subject, predicate, value = line.decode().split(" ", 3)[:3]
        if predicate == f"<{O}statementLevel>":
            level[subject] = value.rpartition("/")[2].strip("<>")
        elif predicate == f"<{O}modality>":
            modality[subject] = value.rpartition("/")[2].strip("<>")
        elif predicate == f"<{O}asserts>":
            asserted[subject].add(value)
    claims: Counter[tuple[str, str]] = Counter()
    propositions: dict[tuple[str, str], set[str]] = defaultdict(set)
    for subject, how in modality.items():
        if subject in level:
            key = level[subject].removeprefix("Level").lower(), how.removeprefix("Modality").lower()
            claims[key] += 1
            propositions[key] |= asserted[subject]
    table = (ROOT / "tests/queries/supports-by-level.tsv").read_text().splitlines()[1:]
    expected = {
        (row[0].removesuffix(" level"), row[1]): (int(row[2]), int(row[3]))
        for row in (line.split("\t") for line in table)
    }
    assert expected == {key: (claims[key], len(propositions[key])) for key in claims}
    assert set(STANCES) == {"for", "against", "inconclusive", "beside"}
