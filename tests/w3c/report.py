"""What a run of the suite says: docs/conformance.md for people, docs/conformance.ttl (EARL) for programs.

Hides their layout. Both are made of the outcomes and of `gaps.tsv`, so the same run writes the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from kg.terms import BASE, ROOT
from tests.w3c.protocol import PROTOCOL, SERVICE
from tests.w3c.runs import FAILED, PASSED, REFUSED, Outcome
from tests.w3c.suite import ENTAILMENT, FEDERATION, QUERY, RESULTS, UPDATE, Test, cases

PAGE = ROOT / "docs" / "conformance.md"
EARL = ROOT / "docs" / "conformance.ttl"
GAPS = Path(__file__).parent / "gaps.tsv"

_NOT_ASKED = {
    UPDATE: "Each is refused, in process and over HTTP: knowledge enters by builds, which check it.",
    FEDERATION: (
        "SERVICE is off by default: refused before anything is looked up. With a list of endpoints, four of "
        "the seven evaluations pass and three are refused (tests/test_federation.py)."
    ),
    ENTAILMENT: "Not run: we claim simple entailment. What follows is a plain triple, made by the build.",
}


def gaps() -> dict[str, str]:
    """The known gaps of the evaluator: test -> reason."""
    lines = [line for line in GAPS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("\t") for line in lines[1:])  # type: ignore[misc]


def outcome(outcomes: Sequence[Outcome]) -> str:
    """What both ways of one test come to: the worse of the two."""
    statuses = {each.status for each in outcomes}
    return next(status for status in (FAILED, REFUSED, PASSED) if status in statuses)


def grouped(outcomes: Sequence[Outcome]) -> dict[Test, list[Outcome]]:
    """The outcomes of each test, in the order of the suite."""
    by_test: dict[Test, list[Outcome]] = {}
    for each in outcomes:
        by_test.setdefault(each.test, []).append(each)
    return by_test


def page(outcomes: Sequence[Outcome], folder: Path) -> str:
    """docs/conformance.md; `folder` is the suite's, for what was not run."""
    tests = grouped(outcomes)
    return "\n".join(
        [
            *_HEAD.format(version=metadata.version("pyoxigraph")).splitlines(),
            "",
            *_areas(tests, folder),
            "",
            "## Query and results, by suite",
            "",
            "| suite | tests | pass | known gaps |",
            "|---|---:|---:|---:|",
            *_suites(tests),
            "",
            f"## Known gaps of the evaluator (pyoxigraph {metadata.version('pyoxigraph')})",
            "",
            "| test | what it does instead |",
            "|---|---|",
            *(f"| `{test}` | {reason} |" for test, reason in sorted(gaps().items())),
            "",
        ]
    )


_HEAD = """# Conformance with SPARQL 1.1

Written by `make conformance` from a run of the W3C's test suite. `tests/test_conformance.py` runs it again in
CI, case by case, and fails where a case changes in either direction or this page is out of date. As EARL:
[conformance.ttl](conformance.ttl).

Every case is asked in process, through the engine's seam, and over HTTP of a real server, with other formats
and all three forms of request. Both ways evaluate in the same sandboxed workers as any other query. Results
are read by a reader of the tests' own and compared as bags of rows up to the names of blank nodes; literals
of one datatype are the same where their values are, because the store (pyoxigraph {version}) keeps numbers
and times in canonical form."""


def _areas(tests: Mapping[Test, Sequence[Outcome]], folder: Path) -> Iterator[str]:
    statuses: dict[str, Counter[str]] = {}
    for test, outcomes in tests.items():
        statuses.setdefault(test.area, Counter())[outcome(outcomes)] += 1
    yield "| part of the standard | tests | pass | known gaps | not offered |"
    yield "|---|---:|---:|---:|---|"
    for area in (QUERY, RESULTS, PROTOCOL, SERVICE):
        count = statuses[area]
        yield f"| {area} | {count.total()} | {count[PASSED]} | {count[FAILED]} | |"
    unasked = Counter(case.area for case in cases(folder))
    for area, why in _NOT_ASKED.items():
        yield f"| {area} | {unasked[area]} | | | {why} |"
    yield (
        "| Graph Store Protocol | 10 | | | Each test begins with a write, so none can be run whole. "
        "The read side has tests of its own: `tests/test_graph_store.py`. |"
    )
    yield ""
    yield (
        "The protocol's tests are those of the query side, with every update that has to be refused; "
        "the seven that want an update done are left out."
    )


def _suites(tests: Mapping[Test, Sequence[Outcome]]) -> Iterator[str]:
    statuses: dict[str, Counter[str]] = {}
    for test, outcomes in tests.items():
        if test.area in (QUERY, RESULTS):
            statuses.setdefault(test.suite, Counter())[outcome(outcomes)] += 1
    for suite, count in sorted(statuses.items()):
        yield f"| {suite} | {count.total()} | {count[PASSED]} | {count[FAILED] or ''} |"


def earl(outcomes: Sequence[Outcome], folder: Path) -> str:
    """docs/conformance.ttl: the W3C's Evaluation and Report Language, one assertion a test."""
    reasons = gaps()
    lines = _PREFIXES.format(
        base=BASE, version=metadata.version("pyoxigraph"), code=metadata.version("stroma-kg")
    ).splitlines()
    for test, ways in grouped(outcomes).items():
        status = outcome(ways)
        if status == REFUSED:
            lines += _assertion(test, "inapplicable", _NOT_ASKED[test.area])
        else:
            lines += _assertion(test, status, reasons.get(test.id, ""))
    for case in cases(folder):
        if case.area == ENTAILMENT:
            lines += _assertion(case, "untested", _NOT_ASKED[ENTAILMENT])
    return "\n".join(lines) + "\n"


_PREFIXES = """@prefix dcterms: <http://purl.org/dc/terms/> .
@prefix doap: <http://usefulinc.com/ns/doap#> .
@prefix earl: <http://www.w3.org/ns/earl#> .

<{base}> a doap:Project , earl:Software , earl:TestSubject ;
  doap:name "Stroma" ;
  doap:release [ doap:revision "{code}" ] ;
  dcterms:description "SPARQL endpoint; evaluates with pyoxigraph {version}."@en .

<{base}conformance#tests> a earl:Software , earl:Assertor ;
  dcterms:title "Stroma's conformance tests"@en ."""


def _assertion(test: Test, status: str, why: str) -> list[str]:
    said = f' ; dcterms:description "{why}"@en' if why else ""
    return [
        "",
        f"[] a earl:Assertion ; earl:test <{test.iri}> ; earl:mode earl:automatic ;",
        f"  earl:subject <{BASE}> ; earl:assertedBy <{BASE}conformance#tests> ;",
        f"  earl:result [ a earl:TestResult ; earl:outcome earl:{status}{said} ] .",
    ]
