"""Findings: where statements disagree with each other or with arithmetic, as resources of `graph:findings`.

Hides how a finding is named, so that a curator's review survives rebuilds and renamed rows: by its kind, by
what its statements are about, and by their values. Another value gives another finding, and a review of the
old one points nowhere.
The rules that find them are in `kg.evidence.rules`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import SourceError
from kg.evidence.reported import Reported, Result, Review, Value
from kg.terms import BASE, DCTERMS, PROV, RDF, RDFS, STROMA, XSD, digest, mint, proposition

GRAPH = mint("graph", "findings")


@dataclass(frozen=True)
class Used:
    """One statement that a finding rests on: an edge, who states it, and with which polarity.

    `scope` tells what a result is about; rows of tables are renamed, what they are about is not.
    """

    subject: NamedNode
    value: Value
    positive: bool = True
    scope: str = ""

    @classmethod
    def of(cls, result: Result, value: Value) -> Used:
        """A value of a result."""
        return cls(result.iri, value, scope=result.scope)

    @property
    def proposition(self) -> NamedNode:
        """The statement's own IRI: that of its proposition, whether or not somebody claims it."""
        return proposition(self.subject, self.value.predicate, self.value.term, positive=self.positive)

    @property
    def key(self) -> str:
        """What the statement says, by names that last: its scope and value, or its proposition."""
        if not self.scope:
            return self.proposition.value
        return digest(self.scope, self.value.predicate.value, str(self.value.term))


@dataclass(frozen=True)
class Finding:
    """A disagreement: in which way, what is said (`uses`), how that was computed, and how much it matters.

    `kind` names a stroma:Discrepancy… individual; `about` are the groups, measures and trials concerned.
    `key` are the statements that name the finding, where not all of `uses` do: what is counted over many
    records must not rename the finding when a record is added. Texts are in English, ours.
    """

    kind: str
    major: bool  # could change a conclusion
    summary: str
    computation: str
    uses: tuple[Used, ...]
    about: tuple[NamedNode, ...] = ()
    key: tuple[Used, ...] = ()

    @cached_property
    def iri(self) -> NamedNode:
        """`finding/<kind>/<digest>`."""
        named = sorted({used.key for used in self.key or self.uses})
        return mint("finding", slug(self.kind), digest(*named))


@dataclass(frozen=True)
class Across:
    """A comparison of all studies with each other: what to take from some of them, and what follows of what
    was taken from all, in whatever parts."""

    gather: Callable[[Reported], Any]
    judge: Callable[[Iterable[Any]], Iterator[Finding | None]]


@dataclass(frozen=True)
class Rule:
    """A function that compares statements: a Finding for each disagreement, None for each agreement.

    It compares what hangs together, so that studies may be given to it one by one; where it does not,
    `across` says how the same comes of parts.
    """

    compare: Callable[[Reported], Iterator[Finding | None]]
    across: Across | None = None

    @property
    def name(self) -> str:
        return self.compare.__name__.replace("_", "-")

    @property
    def doc(self) -> str:
        """What it compares and what it leaves alone: the function's docstring, one line a paragraph."""
        paragraphs = (self.compare.__doc__ or "").split("\n\n")
        return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


@dataclass(frozen=True)
class Found:
    """What a rule found, and how many comparisons it made."""

    rule: Rule
    compared: int
    findings: tuple[Finding, ...]


def slug(kind: str) -> str:
    """ "PercentAgainstCount" -> "percent-against-count"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()


def uses(result: Result, *predicates: NamedNode) -> tuple[Used, ...]:
    """Every value of a result's predicates, as statements; all its values when no predicate is named."""
    wanted = predicates or tuple(dict.fromkeys(value.predicate for value in result.values))
    return tuple(Used.of(result, value) for predicate in wanted for value in result.all(predicate))


def find(reported: Reported, rules: Sequence[Rule]) -> tuple[Found, ...]:
    """Run every rule; findings are sorted by IRI, each once."""
    return tuple(collect(rule, rule.compare(reported)) for rule in rules)


def collect(rule: Rule, made: Iterable[Finding | None]) -> Found:
    """The comparisons that a rule made, with its findings sorted by IRI, each once."""
    compared = list(made)
    each = {finding.iri: finding for finding in compared if finding is not None}
    return Found(rule, len(compared), tuple(sorted(each.values(), key=lambda one: one.iri.value)))


def check_reviews(reviews: Mapping[NamedNode, Review], found: Iterable[Found]) -> None:
    """Raise SourceError for a review that points at no finding, with the findings most like it."""
    findings = {finding.iri: finding for each in found for finding in each.findings}
    for iri, review in reviews.items():
        if iri in findings:
            continue
        kind = iri.value.removeprefix(BASE).split("/")[1]
        alike = [f for f in findings.values() if slug(f.kind) == kind and f.iri not in reviews]
        near = difflib.get_close_matches(review.judged, [f.summary for f in alike], n=3, cutoff=0.3)
        shown = [f"{_short(f.iri)} ({f.summary})" for text in near for f in alike if f.summary == text]
        raise SourceError(
            "the review points at no finding; what it judged is gone or has other numbers now",
            source="reviews", file="findings.tsv", record=_short(iri), value=review.judged,
            advice=f"Nearest without a review: {'; '.join(shown) or 'none of its kind'}. "
            "Judge that one afresh, or remove the row",
        )  # fmt: skip


def quads(reported: Reported, found: Iterable[Found]) -> Iterator[Quad]:
    """The rules and their findings; a finding nobody reviewed is open."""
    for each in found:
        yield from rule_quads(each.rule, each.compared)
        yield from finding_quads(reported, each)


def rule_quads(rule: Rule, compared: int) -> Iterator[Quad]:
    """A rule, and how many comparisons it made in all."""
    title, _, rest = rule.doc.partition("\n")
    yield from _about(
        mint("rule", rule.name),
        (RDF.type, STROMA.ContradictionRule),
        (RDFS.label, _english(title.rstrip("."))),
        (DCTERMS.description, _english(rest or title)),
        (STROMA.comparisonsMade, Literal(str(compared), datatype=XSD.integer)),
    )


def finding_quads(reported: Reported, found: Found) -> Iterator[Quad]:
    """The findings of a rule."""
    for finding in found.findings:
        yield from _finding(finding, mint("rule", found.rule.name), reported)


def _finding(finding: Finding, rule: NamedNode, reported: Reported) -> Iterator[Quad]:
    yield from _about(
        finding.iri,
        (RDF.type, STROMA.Discrepancy),
        (RDFS.label, _english(finding.summary)),
        (STROMA.discrepancyKind, STROMA(f"Discrepancy{finding.kind}")),
        (STROMA.severity, STROMA.SeverityMajor if finding.major else STROMA.SeverityMinor),
        (STROMA.computation, _english(finding.computation)),
        (STROMA.foundByRule, rule),
        *((DCTERMS.subject, thing) for thing in dict.fromkeys(finding.about)),
    )
    if finding.iri not in reported.reviews:
        yield Quad(finding.iri, STROMA.findingStatus, STROMA.FindingOpen, GRAPH)
    involved: dict[NamedNode, None] = {}
    for used in finding.uses:
        involved |= dict.fromkeys((used.proposition, used.subject, *(c.iri for c in used.value.claims)))
        if not used.value.claims:
            yield from _unclaimed(used, reported)
    for thing in involved:
        yield Quad(finding.iri, STROMA.involves, thing, GRAPH)


def _unclaimed(used: Used, reported: Reported) -> Iterator[Quad]:
    """A statement that a registry's record itself makes: its proposition, and the record."""
    yield from _about(
        used.proposition,
        (RDF.type, STROMA.Proposition),
        (STROMA.propositionSubject, used.subject),
        (STROMA.propositionPredicate, used.value.predicate),
        (STROMA.propositionObject, used.value.term),
        (STROMA.polarity, STROMA.PolarityPositive if used.positive else STROMA.PolarityNegative),
        *((PROV.wasDerivedFrom, record) for record in reported.records(used.subject, used.value.graph)),
    )


def _about(node: NamedNode, *facts: tuple[NamedNode, NamedNode | Literal]) -> Iterator[Quad]:
    for predicate, value in facts:
        yield Quad(node, predicate, value, GRAPH)


def _english(text: str) -> Literal:
    return Literal(text, language="en")


def _short(iri: NamedNode) -> str:
    return iri.value.removeprefix(BASE).replace("finding/", "finding:", 1)
