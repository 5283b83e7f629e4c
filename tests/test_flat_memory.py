"""What a build does once all quads are known needs no more memory for five times the quads."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg import census, dump, packing, snapshot
from kg.describe import metadata
from kg.dump import write_dump
from kg.search import write_index, writing
from kg.snapshot import Snapshot, write_snapshot
from kg.totals import Totals


def lines(trials: int) -> Iterator[bytes]:
    """Trials with a type, a name and a condition, each a claim too that asserts what no other does; sorted
    as a snapshot is."""
    for number in range(trials):
        trial = b"<https://w3id.org/stroma/trial/NCT%08d>" % number
        graph = b"<https://w3id.org/stroma/graph/clinicaltrials> .\n"
        kind = b"<https://w3id.org/stroma/ontology/ClinicalStudy>"
        yield b'%b <http://purl.org/dc/terms/title> "MSC in %d"@en %b' % (trial, number % 50, graph)
        yield b"%b <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> %b %b" % (trial, kind, graph)
        ours = b"%b <https://w3id.org/stroma/ontology/%b> %b %b"
        proposition = b"<https://w3id.org/stroma/proposition/%d>" % number
        yield ours % (trial, b"asserts", proposition, graph)
        yield ours % (trial, b"hasCondition", b'"RA"', graph)
        yield ours % (trial, b"modality", b"<https://w3id.org/stroma/ontology/ModalityAsserted>", graph)
        yield ours % (trial, b"statementLevel", b"<https://w3id.org/stroma/ontology/LevelStated>", graph)


def peaks(folder: Path, trials: int) -> dict[str, int]:
    """The most bytes that each step held."""
    found: dict[str, int] = {}
    folder.mkdir()
    made: list[Snapshot] = []
    for name, step in {
        "census": lambda: census.count(lines(trials), folder, at_once=500),
        "write": lambda: made.append(
            write_snapshot(lines(trials), folder, version="2026-11-22", are_sorted=True)
        ),
        "index": lambda: write_index(made[0]),
        "dump": lambda: write_dump(made[0]),
    }.items():
        tracemalloc.start()
        step()
        found[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert made[0].quads == 6 * trials
    return found


def test_five_times_the_quads_need_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that what is held at once is full with few quads, too.
    monkeypatch.setattr(packing, "_BLOCK", 1 << 12)
    monkeypatch.setattr(snapshot, "_RUN_LINES", 500)
    monkeypatch.setattr(snapshot, "_AT_ONCE", 500)
    for module in (writing, dump):
        monkeypatch.setattr(module, "_AT_ONCE", 100)
    peaks(tmp_path / "first", 100)  # what is read once, and kept
    few, many = peaks(tmp_path / "few", 2_000), peaks(tmp_path / "many", 10_000)
    assert {name: many[name] < 1.3 * few[name] + 200_000 for name in few} == dict.fromkeys(few, True), (
        few,
        many,
    )


def test_ten_times_the_conditions_need_no_more_memory_to_be_described() -> None:
    def peak(number: int) -> int:
        named = (f"https://w3id.org/stroma/condition/{each}" for each in range(number))
        counted = census.Census({}, {}, {}, {}, {}, 0, Totals(studies=Counter(named)))
        tracemalloc.start()
        quads = sum(1 for _ in metadata("2026-11-22", [], counted, 0))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert quads > 3 * number
        return held

    peak(1_000)  # what is read once, and kept
    assert peak(10_000) < 1.3 * peak(1_000) + 200_000


def test_ten_times_the_words_of_the_index_need_no_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_WORDS", 1_000)

    def peak(number: int) -> int:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        tracemalloc.start()
        words = writing._Words(folder)
        for each in range(2 * number):
            words.add(f"word{each % number}")
        counted = words.counted()
        assert sum(uses for _, uses in counted()) == 2 * number
        assert sum(1 for _ in counted()) == number
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    peak(3_000)  # what is read once, and kept
    assert peak(30_000) < 1.3 * peak(3_000) + 200_000
