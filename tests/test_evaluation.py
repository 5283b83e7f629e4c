"""What is computed from the evidence is the same in groups of any size, and needs no more memory for more."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from pyoxigraph import NamedNode

from kg import evaluation
from kg.build import build, files_of
from kg.evaluation import evaluate
from kg.evidence import derivation, derived, findings, lines, links, registered, reported, statistics
from kg.evidence.rules import RULES
from kg.settings import Settings
from kg.snapshot import line_of, read_lines
from kg.terms import ROOT, STROMA, mint

# Of these trials no document and no curator speaks; their results are in their records.
AGED, CITED = "NCT03117738", "NCT03101033"
GRAPHS = ("derived", "evidence-lines", "findings", "links")
_TITLE = b"<http://purl.org/dc/terms/title> "


@pytest.fixture(scope="module")
def stated(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """All quads, in their order, of a graph with 300 real records more; and in them, what a trial that would
    be of no interest by itself has in common with others only across groups."""
    folder = tmp_path_factory.mktemp("evaluated")
    with gzip.open(shared / "data" / "clinicaltrials" / "classic-msc-1241.jsonl.gz") as file:
        records = file.readlines()
    chosen = dict.fromkeys([*records[::5], *(line for line in records if AGED.encode() in line)])
    (folder / "chosen.jsonl").write_bytes(b"".join(chosen))
    files, _ = files_of(shared / "data")
    v2 = shared / "data" / "clinicaltrials" / "v2-studies-80.json"
    sources = {"clinicaltrials": [folder / "chosen.jsonl", v2], "publications": files["publications"]}
    snapshot = build(Settings(root=ROOT, var=folder / "var"), sources=sources)
    return planted(list(read_lines(snapshot)))


def planted(stated: Sequence[bytes]) -> list[bytes]:
    """An age of thousands of years; a trial with the title of an article, and one whose number another
    article's title gives, both articles being of studies that curators compiled."""

    def title(publication: str) -> bytes:
        start = b"<https://w3id.org/stroma/publication/%b> %b" % (publication.encode(), _TITLE)
        return next(line[len(start) :].split(b'"')[1] for line in stated if line.startswith(start))

    ages = {line.split(b" ")[0] for line in stated if b"/MeasureAge>" in line and AGED.encode() in line}
    aged = min(ages)
    alike, naming = title("pmid-30551438"), title("pmid-31908418")
    found = []
    for line in stated:
        subject = line.split(b" ", 1)[0]
        if subject == aged and b"/meanValue>" in line:
            line = re.sub(rb'"(\d+)\.(\d)"', rb'"\g<1>\g<2>00.0"', line)
        elif subject == b"<https://w3id.org/stroma/trial/%b>" % AGED.encode() and _TITLE in line:
            line = line.replace(line.split(b'"')[1], alike)
        elif naming in line:
            line = line.replace(naming, naming + b" " + CITED.encode())
        found.append(line)
    assert sum(one != other for one, other in zip(stated, found, strict=True)) >= 3
    return found


def computed(stated: Sequence[bytes], folder: Path, **options: int) -> list[bytes]:
    folder.mkdir(exist_ok=True)
    found = evaluate(lambda: iter(stated), folder, strict=False, **options)
    return sorted({each if isinstance(each, bytes) else line_of(each) for each in found})


def at_once(stated: Sequence[bytes]) -> list[bytes]:
    """The same by another path: everything in memory, nothing divided."""
    known = reported.read(stated)
    numbers, assessments = derivation.derive(known)
    linked = links.find(known)
    quads = [
        *findings.quads(known, findings.find(known, RULES)),
        *derived.quads(numbers, assessments),
        *links.quads(linked),
        *registered.quads(registered.compare(known, linked)),
        *lines.quads(known, numbers, stated),
    ]
    return sorted({line_of(quad) for quad in quads})


@pytest.fixture(scope="module")
def whole(stated: list[bytes]) -> list[bytes]:
    return at_once(stated)


@pytest.mark.parametrize(
    ("groups", "processes", "at_once"), [(1, 1, 1_000_000), (7, 2, 20_000), (900, 1, 100_000)]
)
def test_groups_of_any_size_give_what_the_whole_gives(
    stated: list[bytes], whole: list[bytes], tmp_path: Path, groups: int, processes: int, at_once: int
) -> None:
    found = computed(stated, tmp_path, groups=groups, processes=processes, at_once=at_once)
    assert found == whole
    assert {line.rsplit(b" ", 2)[1] for line in found} == {
        str(mint("graph", name)).encode() for name in GRAPHS
    }


def test_what_is_planted_across_groups_is_found(whole: list[bytes]) -> None:
    text = b"".join(whole)
    assert re.search(rb"finding/implausible-magnitude/\w+> \S+label> \"[^\n]* above the greatest", text)
    for trial in (AGED, CITED):
        edge = rb"trial/%b> \S+/hasPublication> \S+/pmid-3(0551438|1908418)> \S+graph/links>" % trial.encode()
        assert re.search(edge, text)
        assert re.search(rb"comparison/registry/\w+> \S+subject> \S+/trial/%b>" % trial.encode(), text)


def test_most_trials_stand_in_groups_and_those_of_the_subject_in_none(
    stated: list[bytes], tmp_path: Path
) -> None:
    divided = evaluation._Divided(lambda: iter(stated), tmp_path, 900)
    trials = [
        set(re.findall(rb"^<\S+/trial/(NCT\d+)>", b"\n".join(lines), re.M))
        for lines in (
            [*divided.lines(evaluation._CORE)],
            [line for group in divided.groups for line in divided.lines(group)],
        )
    ]
    of_ra = {
        match[1]
        for line in stated
        if (match := re.match(rb"<\S+/trial/(NCT\d+)> .*/MSCTherapyForRAStudy>", line))
    }
    assert of_ra <= trials[0]
    assert {name.encode() for name in (AGED, CITED)} <= trials[1] - trials[0]
    assert not trials[0] & trials[1]


def test_trials_that_their_records_relate_stand_in_one_group(stated: list[bytes], tmp_path: Path) -> None:
    one, other = (f"<https://w3id.org/stroma/trial/{name}>" for name in (AGED, CITED))
    graph = mint("graph", "clinicaltrials")
    related = f"{one} {STROMA.correspondsTo} {other} {graph} .\n".encode()
    divided = evaluation._Divided(lambda: iter([*stated, related]), tmp_path, 900)
    alone = divided.lines_of([NamedNode(one[1:-1])])
    assert alone == divided.lines_of([NamedNode(other[1:-1])])
    assert {AGED.encode(), CITED.encode()} <= set(re.findall(rb"NCT\d{8}", b"".join(alone)))


def test_four_times_the_trials_need_no_more_memory(stated: list[bytes], tmp_path: Path) -> None:
    """Copies of trials under numbers of their own; what they refer to is left out, which is held."""
    plain = evaluation._Divided(lambda: iter(stated), tmp_path, 1)
    lines = [line for line in plain.lines(0) if b"/publication/" not in line][:20_000]
    rest = [line for line in plain.lines(evaluation._CORE) if b"/graph/ontology> ." in line]
    # In a process of its own: threads that other tests left here would be counted, too.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        few, many = (other.submit(peak, rest, lines, copies, tmp_path).result() for copies in (1, 4))
    # Of each result of a measure a little is kept; all lines at once would be four times as much, and more.
    assert many < 1.5 * few, (few, many)


def peak(rest: Sequence[bytes], lines: Sequence[bytes], copies: int, folder: Path) -> int:
    """The bytes of memory that evaluating so many copies of lines needs, and the rest once."""

    def stated() -> Iterator[bytes]:
        yield from rest
        for copy in range(copies):
            for line in lines:
                yield re.sub(rb"NCT\d(\d{7})", rb"NCT%d\1" % copy, line)

    statistics.load()  # once, and kept
    tracemalloc.start()
    for _ in evaluate(stated, folder, strict=False, groups=16 * copies, at_once=5_000):
        pass
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found
