"""Findings for readers: read back from a graph, as text, and as the page docs/contradictions.md.

Hides how a finding's statements lead to characters of documents and fields of records. Everything shown comes
out of the graph, so that the page of another snapshot is made in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from kg.evidence import reported
from kg.evidence.findings import GRAPH
from kg.evidence.reported import Claim, Comparison, Observation, Reported, Result
from kg.terms import BASE, DCTERMS, PROV, RDF, RDFS, STROMA, compress

Term = NamedNode | Literal
_GRAPH = str(GRAPH).encode()


@dataclass(frozen=True)
class Statement:
    """One statement a finding rests on: what is said, its value, and every place that says it."""

    what: str
    value: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A finding as the graph has it; `note`, `role` and `date` are of its review, empty without one."""

    name: str  # finding:<kind>/<digest>
    kind: str
    severity: str
    status: str
    summary: str
    computation: str
    statements: tuple[Statement, ...]
    note: str
    role: str
    date: str


@dataclass(frozen=True)
class RuleRun:
    """A rule, how many comparisons it made, and how many of them it called a contradiction."""

    title: str
    description: str
    compared: int
    found: int


@dataclass(frozen=True)
class Contents:
    """All findings and rules of a graph; findings sorted by kind, severity and summary."""

    findings: tuple[Shown, ...]
    rules: tuple[RuleRun, ...]


def read(lines: Iterable[bytes]) -> Contents:
    """The findings of a graph, from its N-Quads lines."""
    own: list[bytes] = []

    def passing() -> Iterator[bytes]:
        for line in lines:
            if line.rsplit(b" ", 2)[1] == _GRAPH:
                own.append(line)
            yield line

    known = reported.read(passing())
    facts: dict[NamedNode, dict[NamedNode, list[Term]]] = {}
    for quad in parse(b"".join(own), RdfFormat.N_QUADS):
        if isinstance(quad.subject, NamedNode) and isinstance(quad.object, NamedNode | Literal):
            facts.setdefault(quad.subject, {}).setdefault(quad.predicate, []).append(quad.object)
    reader = _Reader(known, facts)
    found = [reader.finding(iri) for iri in facts if STROMA.Discrepancy in facts[iri].get(RDF.type, ())]
    found.sort(key=lambda f: (f.kind, f.severity, f.summary, f.name))
    by_rule = Counter(rule for about in facts.values() for rule in about.get(STROMA.foundByRule, ()))
    rules = [
        RuleRun(
            _text(about, RDFS.label),
            _text(about, DCTERMS.description),
            int(_text(about, STROMA.comparisonsMade)),
            by_rule[iri],
        )
        for iri, about in facts.items()
        if STROMA.ContradictionRule in about.get(RDF.type, ())
    ]
    return Contents(tuple(found), tuple(sorted(rules, key=lambda rule: rule.title)))


class _Reader:
    """What each node of `graph:findings` leads to in the sources' graphs."""

    def __init__(self, known: Reported, facts: dict[NamedNode, dict[NamedNode, list[Term]]]) -> None:
        self._known, self._facts = known, facts
        self._propositions = {proposition.iri: proposition for proposition in known.propositions}
        self._results: dict[NamedNode, Result] = {
            result.iri: result for result in (*known.observations, *known.comparisons)
        }

    def finding(self, iri: NamedNode) -> Shown:
        about = self._facts[iri]
        review = self._known.reviews.get(iri)
        status = review.status if review else _node(about, STROMA.findingStatus)
        statements = [
            self._statement(node)
            for node in about.get(STROMA.involves, ())
            if isinstance(node, NamedNode) and node.value.startswith(BASE + "proposition/")
        ]
        return Shown(
            compress(iri.value),
            self._known.label(_node(about, STROMA.discrepancyKind)),
            self._known.label(_node(about, STROMA.severity)).partition(" ")[0],
            self._known.label(status).removesuffix(" finding"),
            _text(about, RDFS.label),
            _text(about, STROMA.computation),
            tuple(sorted(statements, key=lambda s: (s.places, s.what, s.value))),
            review.note if review else "",
            review.role if review else "",
            review.date if review else "",
        )

    def _statement(self, iri: NamedNode) -> Statement:
        told = self._propositions.get(iri)
        if told is not None:
            subject, predicate, value = told.subject, told.predicate, told.object
            places = tuple(_place(claim) for claim in told.claims)
            denied = "" if told.positive else "not "
        else:
            about = self._facts[iri]
            subject, predicate = (
                _node(about, STROMA.propositionSubject),
                _node(about, STROMA.propositionPredicate),
            )
            value, denied = about[STROMA.propositionObject][0], ""
            field = predicate.value.rpartition("/")[2]
            records = [node for node in about.get(PROV.wasDerivedFrom, ()) if isinstance(node, NamedNode)]
            places = tuple(f"registry record {self._record(record)}, {field}" for record in records)
        shown = self._known.label(value) if isinstance(value, NamedNode) else value.value
        what = f"{self._about(subject)}: {denied}{self._known.label(predicate).removeprefix('has ')}"
        return Statement(what, shown, tuple(sorted(places)))

    def _record(self, record: NamedNode) -> str:
        name = self._known.thing(record).text(DCTERMS.identifier) or record.value.rpartition("/")[2]
        source = record.value.removeprefix(BASE + "record/").partition("/")[0]
        return f"{name} ({source})"

    def _about(self, subject: NamedNode) -> str:
        result = self._results.get(subject)
        if result is None:
            return self._known.thing(subject).text(DCTERMS.identifier) or self._known.label(subject)
        parts = [self._known.label(result.measure) if result.measure else result.title]
        if isinstance(result, Observation):
            parts.append(self._known.label(result.group))
        if isinstance(result, Comparison):
            parts.append(" against ".join(map(self._known.label, result.groups)))
        if result.months is not None:
            parts.append("baseline" if result.months == 0 else f"month {result.months.normalize():f}")
        elif result.label:
            parts.append(result.label)
        if result.analysis_set is not None:
            parts.append(self._known.label(result.analysis_set))
        return ", ".join(parts)


def _place(claim: Claim) -> str:
    if claim.span is not None:
        return f"{claim.span} (claim {claim.name})"
    if claim.field:
        return f"registry field {claim.field} (claim {claim.name})"
    return f"compiled: {claim.basis} (claim {claim.name})"


def _text(about: dict[NamedNode, list[Term]], predicate: NamedNode) -> str:
    return min((term.value for term in about.get(predicate, ())), default="")


def _node(about: dict[NamedNode, list[Term]], predicate: NamedNode) -> NamedNode:
    return next(term for term in about.get(predicate, ()) if isinstance(term, NamedNode))


# -------------------------------------------------------------------------------------------- text


def as_text(finding: Shown) -> str:
    """A finding in full, for a terminal."""
    lines = [
        f"{finding.name}  ({finding.kind}; {finding.severity}; {finding.status})",
        f"  {finding.summary}",
        f"  computation: {finding.computation}",
    ]
    for statement in finding.statements:
        lines.append(f"  - {statement.what} = {statement.value}")
        lines += [f"      {place}" for place in statement.places]
    if finding.note:
        lines.append(f"  note ({finding.role}, {finding.date}): {finding.note}")
    return "\n".join(lines)


def counts(findings: Sequence[Shown]) -> str:
    """How many findings there are by status, and by kind and status, in a line."""
    by_status = Counter(finding.status for finding in findings)
    by_kind: dict[str, Counter[str]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, Counter())[finding.status] += 1
    shown = "; ".join(f"{kind}: {_counted(found)}" for kind, found in sorted(by_kind.items()))
    return f"{len(findings)} findings: {_counted(by_status)}" + (f" ({shown})" if shown else "")


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items()))


_INTRODUCTION = """\
# Contradictions

Where the sources of the graph disagree with each other, with a registry, or with arithmetic. Every item was
found by a rule that compares statements of the graph, none was written by hand; a curator then read the
places it points at and gave it a status. Nothing is mended: all sides stay in the graph as they are printed.

*Generated from the graph by `kg findings --page`; do not edit. Statuses and notes are in
`loaders/reviews/records/findings.tsv`.*

- **Places**: `document 001, line 52, characters 4501-4537 (claim B265)`: code points from the start of the
  document, the end exclusive. `kg verify --documents DIR` compares each span with its SHA-256.
- **Severity**: *major* could change a conclusion, *minor* could not.
- **Status**: *open*, nobody has explained it; *explained*, its cause is known and it stands; *source error*,
  what is printed cannot be right.
"""

_PRECISION = """\
## How far the rules can be trusted

False alarms are worse than silence. Every finding of the embedded graph and every further finding of a build
over all our records (1,884 registered trials) was judged by reading its sources on 2026-11-24;
[decision 0020](decisions/0020-findings.md) has the numbers, and what was left out for the sake of precision.
What no rule looks for is not here: silence proves nothing.
"""


def as_page(contents: Contents) -> str:
    """The page, in Markdown."""
    found = contents.findings
    lines = [_INTRODUCTION, "## Summary", "", "| kind | major | minor | open | explained | source error |"]
    lines.append("|---|---|---|---|---|---|")
    for kind in (*sorted({finding.kind for finding in found}), "all"):
        those = [finding for finding in found if kind in (finding.kind, "all")]
        cells = [
            sum(finding.severity == severity for finding in those) for severity in ("major", "minor")
        ] + [sum(f.status == status for f in those) for status in ("open", "explained", "source error")]
        lines.append(f"| {kind} | {' | '.join(map(str, cells))} |")
    lines += ["", _PRECISION, "## Findings"]
    number = 0
    for kind in sorted({finding.kind for finding in found}):
        lines += ["", f"### {kind[0].upper()}{kind[1:]}"]
        for finding in found:
            if finding.kind == kind:
                number += 1
                lines += ["", *_item(number, finding)]
    lines += [
        "",
        "## Rules",
        "",
        "What each rule compared in this graph, and how often the statements disagreed.",
    ]
    for rule in contents.rules:
        lines += ["", f"**{rule.title}** {_comparisons(rule)}", ""]
        lines.append(rule.description.replace("\n", "\n\n"))
    return "\n".join(lines).rstrip() + "\n"


def _comparisons(rule: RuleRun) -> str:
    compared = f"{rule.compared} comparison{'' if rule.compared == 1 else 's'}"
    return f"({compared}, {rule.found} finding{'' if rule.found == 1 else 's'})"


def _item(number: int, finding: Shown) -> Iterator[str]:
    yield f"#### {number}. {_plain(finding.summary)}"
    yield ""
    yield f"`{finding.name}`, {finding.severity}, **{finding.status}**"
    yield ""
    yield "| what is said | value | where |"
    yield "|---|---|---|"
    for statement in finding.statements:
        places = "<br>".join(map(_plain, statement.places))
        yield f"| {_plain(statement.what)} | {_plain(statement.value)} | {places} |"
    yield ""
    yield f"Computation: {_plain(finding.computation)}"
    if finding.note:
        yield ""
        yield f"Note ({finding.role}, {finding.date}): {_plain(finding.note)}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
