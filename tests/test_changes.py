"""What changed between two snapshots: counted by kind, told in words, and as a patch."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.changes import as_json, as_text, changes, note_changes, noted_changes, patched, write_patch
from kg.errors import SnapshotError
from kg.snapshot import Snapshot, publish, read_lines, write_snapshot

S = "https://w3id.org/stroma/"
LABEL = "<http://www.w3.org/2000/01/rdf-schema#label>"
TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
OLD = f"""
<{S}trial/a> {LABEL} "Trial A"@en <{S}graph/clinicaltrials> .
<{S}trial/a> <{S}ontology/enrollment> "20" <{S}graph/clinicaltrials> .
<{S}trial/gone> {LABEL} "Trial gone"@en <{S}graph/clinicaltrials> .
<{S}ontology/enrollment> {LABEL} "enrolment"@en <{S}graph/ontology> .
<{S}claim/C1> {LABEL} "Claim"@en <{S}graph/literature> .
<{S}trial/a> {TYPE} <{S}ontology/Trial> <{S}graph/inferred/type> .
<{S}snapshot/1> {LABEL} "one"@en <{S}graph/metadata> .
"""
NEW = f"""
<{S}trial/a> {LABEL} "Trial A"@en <{S}graph/clinicaltrials> .
<{S}trial/a> <{S}ontology/enrollment> "24" <{S}graph/clinicaltrials> .
<{S}trial/new> {LABEL} "Trial new"@en <{S}graph/clinicaltrials> .
<{S}ontology/enrollment> {LABEL} "enrolment"@en <{S}graph/ontology> .
<{S}claim/C1> {LABEL} "Claim"@en <{S}graph/publications> .
<{S}trial/new> {TYPE} <{S}ontology/Trial> <{S}graph/inferred/type> .
<{S}snapshot/2> {LABEL} "two"@en <{S}graph/metadata> .
"""


def snapshot(text: str, var: Path) -> Snapshot:
    lines = [line.encode() + b"\n" for line in text.strip().splitlines()]
    return write_snapshot(lines, var, version="2026-11-22")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Snapshot, Snapshot]:
    return snapshot(OLD, tmp_path), snapshot(NEW, tmp_path)


def test_things_are_gained_lost_or_changed_and_inferences_are_counted_apart(
    pair: tuple[Snapshot, Snapshot],
) -> None:
    found = changes(*pair)
    assert found.kinds == {"trial": {"gained": 1, "lost": 1, "changed": 1}, "claim": {"changed": 1}}
    assert found.rules == {"type": {"gained": 1, "lost": 1}}
    assert found.itself == {"gained": 1, "lost": 1}


def test_words_name_things_and_give_old_and_new_values(pair: tuple[Snapshot, Snapshot]) -> None:
    text = as_text(changes(*pair))
    assert "- **gained** Trial new (`" in text
    assert "**lost** Trial gone" in text
    assert '  - enrolment: "20" became "24"' in text
    # The same words in another graph are no other words.
    assert "is said in other graphs" in text
    assert "- type: 1 gained, 1 lost" in text
    assert "snapshot/1" not in text


def test_json_has_what_the_words_have(pair: tuple[Snapshot, Snapshot]) -> None:
    read = json.loads(as_json(changes(*pair)))
    assert read["kinds"]["trial"] == {"gained": 1, "lost": 1, "changed": 1}
    (changed,) = (each for each in read["things"] if each["change"] == "changed" and each["kind"] == "trial")
    (enrolment,) = changed["properties"]
    assert (enrolment["gone"], enrolment["new"]) == (['"20"'], ['"24"'])


def test_few_are_shown_all_are_counted(tmp_path: Path) -> None:
    many = "\n".join(f'<{S}trial/n{n}> {LABEL} "{n}" <{S}graph/clinicaltrials> .' for n in range(50))
    found = changes(snapshot(OLD, tmp_path), snapshot(OLD + many, tmp_path), most=3)
    assert found.kinds == {"trial": {"gained": 50}}
    assert len(found.things) == 3
    assert "- and 47 more gained" in as_text(found)


def test_the_same_content_has_no_changes(pair: tuple[Snapshot, Snapshot]) -> None:
    found = changes(pair[0], pair[0])
    assert found.nothing
    assert "Nothing: both say the same." in as_text(found)


def content(lines: list[bytes]) -> str:
    return hashlib.sha256(b"".join(lines)).hexdigest()


def patch_of(old: Snapshot, new: Snapshot) -> list[bytes]:
    file = io.BytesIO()
    write_patch(old, new, file)
    return file.getvalue().splitlines(keepends=True)


def test_a_patch_makes_the_new_snapshot_of_the_old_one(
    pair: tuple[Snapshot, Snapshot], embedded: Snapshot, tmp_path: Path
) -> None:
    old, new = pair
    assert content(list(patched(read_lines(old), patch_of(old, new)))) == new.hash
    assert content(list(patched(read_lines(new), patch_of(new, old)))) == old.hash
    # The real graph without a tenth of its lines, and with others in their place.
    fewer = write_snapshot(
        [line for number, line in enumerate(read_lines(embedded)) if number % 10]
        + [line.encode() + b"\n" for line in OLD.strip().splitlines()],
        tmp_path / "fewer",
        version="2026-11-22",
    )
    assert content(list(patched(read_lines(fewer), patch_of(fewer, embedded)))) == embedded.hash


@given(
    st.sets(st.integers(0, 30)).map(sorted),
    st.sets(st.integers(0, 30)).map(sorted),
)
def test_whatever_two_sets_of_lines_a_patch_leads_from_one_to_the_other(
    old: list[int], new: list[int]
) -> None:
    before, after = ([f"<s{n:03}> <p> <o> <g> .\n".encode() for n in numbers] for numbers in (old, new))
    entries = sorted(
        [(line, b"D") for line in before if line not in after]
        + [(line, b"A") for line in after if line not in before]
    )
    patch = [b"TX .\n", *(way + b" " + line for line, way in entries), b"TC .\n"]
    assert list(patched(before, patch)) == after


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda patch: patch[:-1], r"ends before its commit \(TC\)"),
        (lambda patch: [*patch[:4], patch[5], patch[4], *patch[6:]], "out of order"),
        (lambda patch: [*patch[:4], b"X nonsense\n", *patch[4:]], "no line of an RDF Patch"),
        (lambda patch: [line.replace(b"D ", b"A ", 1) for line in patch], "to be added and is there"),
        (lambda patch: [line.replace(b"A ", b"D ", 1) for line in patch], "to be removed and is not there"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_by_its_line(
    pair: tuple[Snapshot, Snapshot], spoil: Callable[[list[bytes]], list[bytes]], says: str
) -> None:
    old, new = pair
    with pytest.raises(SnapshotError, match=rf"patch, line \d+: .*{says}"):
        list(patched(read_lines(old), spoil(patch_of(old, new))))


def test_a_build_notes_what_changed_and_the_server_shows_it_in_three_languages(
    pair: tuple[Snapshot, Snapshot], tmp_path: Path, serve: Callable[..., str]
) -> None:
    old, new = pair
    note_changes(old, tmp_path)
    assert noted_changes(old) is None  # nothing was published before it
    publish(old, tmp_path)
    note_changes(new, tmp_path)
    address = serve(new)

    def get(accept: str, language: str = "en") -> str:
        headers = {"Accept": accept, "Accept-Language": language}
        with urllib.request.urlopen(urllib.request.Request(f"{address}/changes", headers=headers)) as answer:
            return str(answer.read().decode())

    assert json.loads(get("application/json"))["kinds"]["trial"]["changed"] == 1
    page = get("text/html")
    assert "What changed" in page
    assert "Trial new" in page
    assert "&#34;20&#34;" in page
    assert "有哪些变化" in get("text/html", "zh-CN")
    assert "有哪些變化" in get("text/html", "zh-TW")


def test_the_first_snapshot_says_that_nothing_is_known_to_have_changed(serve: Callable[..., str]) -> None:
    asked = urllib.request.Request(f"{serve()}/changes", headers={"Accept": "text/html"})
    with urllib.request.urlopen(asked) as answer:
        assert "this is the first snapshot here" in answer.read().decode()
