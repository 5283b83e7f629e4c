"""Links: which publications are about which trials, by which method, and how sure that is.

Hides how a link comes about: a number in a text, a reference of a registry record (and that most references
of the kind "result" are older than the trial, so no results of it), a curator's comparison, a rule
(`kg.evidence.likeness`). A background reference never becomes a report.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

from pyoxigraph import Literal, NamedNode, Quad

from kg.evidence.likeness import Description, Sought, Trials, is_protocol, words
from kg.evidence.reported import Claim, Level, Proposition, Reported, Thing, Value
from kg.terms import BASE, DCTERMS, OBO, PROV, RDF, RDFS, STROMA, digest, mint, proposition

GRAPH = mint("graph", "links")
ACTIVITY = mint("activity", "linking")

_NUMBER = re.compile(
    r"\bNCT\d{8}\b|\bChiCTR-?[A-Z-]*\d{8,10}\b|\bISRCTN\d{8}\b|\bEUCTR\d{4}-\d{6}-\d{2}\b|\bIRCT\d{8,}[A-Z0-9]*\b"
    r"|\bJPRN-[A-Za-z0-9]+\b|\bKCT\d{7}\b|\bACTRN\d{14}\b|\bDRKS\d{8}\b|\bCTRI/\d{4}/\d{2,3}/\d{6}\b"
)  # fmt: skip
_RANK = (
    STROMA.ConfidenceLow,
    STROMA.ConfidenceLowMedium,
    STROMA.ConfidenceMedium,
    STROMA.ConfidenceMediumHigh,
    STROMA.ConfidenceHigh,
)
# How sure a rule is; decision 0028 has what was measured.
_OF_RULE = {
    STROMA.LinkMethodTitle: STROMA.ConfidenceMediumHigh,
    STROMA.LinkMethodAcronym: STROMA.ConfidenceMediumHigh,
    STROMA.LinkMethodDescription: STROMA.ConfidenceLowMedium,
}


@dataclass(frozen=True, slots=True)
class Link:
    """One publication, one trial, one method.

    `says` is stroma:hasPublication (it reports the trial), stroma:hasProtocolPublication, or
    dcterms:references (the record cites it, no more). `evidence` is what it rests on: references, claims,
    publications.
    """

    trial: NamedNode
    publication: NamedNode
    says: NamedNode
    method: NamedNode
    confidence: NamedNode
    basis: str
    evidence: tuple[NamedNode, ...]

    @property
    def iri(self) -> NamedNode:
        """`link/<digest>` of publication, trial and method."""
        return mint("link", digest(self.trial.value, self.publication.value, self.method.value))

    @property
    def reports(self) -> bool:
        """Whether it says that the publication is about the trial, be it by its protocol."""
        return self.says != DCTERMS.references

    @property
    def asserted(self) -> bool:
        """Whether it is sure enough to stand as a plain edge."""
        return _RANK.index(self.confidence) >= _RANK.index(STROMA.ConfidenceMediumHigh)


@dataclass(frozen=True)
class Links:
    """All links, sorted; and the publications that are one article under several names."""

    links: tuple[Link, ...]
    same: Mapping[NamedNode, NamedNode]  # a publication -> the name its article goes by, where another

    @cached_property
    def _reporting(self) -> dict[NamedNode, list[Link]]:
        found: dict[NamedNode, list[Link]] = {}
        for link in self.links:
            if link.reports:
                found.setdefault(link.trial, []).append(link)
        return found

    def reporting(self, trial: NamedNode) -> list[Link]:
        """The links that say a publication is about a trial."""
        return self._reporting.get(trial, [])


@dataclass(frozen=True)
class Told:
    """What some trials tell of links: those that say themselves what they are about, and what rules, which
    compare all trials, have to know of these."""

    links: tuple[Link, ...]
    described: Mapping[NamedNode, Description]  # the trials that rules can come across
    diseases: frozenset[str]


def find(reported: Reported) -> Links:
    """Every link that references, numbers, curators and rules give.

    Rules speak only of articles for which nothing surer does.
    """
    articles = Articles(reported)
    told = of_trials(reported, articles)
    linked = {link.publication for link in told.links if link.reports and link.asserted}
    ruled = by_rules(articles, linked, told.described, told.diseases)
    return Links(merged((*told.links, *ruled)), articles.same)


def of_trials(reported: Reported, articles: Articles) -> Told:
    """What the trials that are reported tell, whatever others do."""
    described, registered, diseases = {}, {}, set[str]()
    for trial, description in _all_registered(reported).items():
        registered[trial] = description.first
        diseases |= articles.sought.diseases(description)
        if articles.sought.may_be(description):
            described[trial] = description
    told = (
        *_references(reported, articles, registered),
        *_curated(reported, articles),
        *_numbers(reported, articles),
    )
    return Told(merged(told), described, frozenset(diseases))


def merged(links: Iterable[Link]) -> tuple[Link, ...]:
    """Links sorted; of those of one trial, publication and method the surest, or the first of such."""
    found: dict[tuple[NamedNode, NamedNode, NamedNode], Link] = {}
    for link in links:
        key = (link.trial, link.publication, link.method)
        if key not in found or _surer(link, found[key]):
            found[key] = link
    kept = sorted(found.values(), key=lambda link: (link.trial.value, link.publication.value, link.iri.value))
    return tuple(kept)


def by_rules(
    articles: Articles,
    linked: Container[NamedNode],
    described: Mapping[NamedNode, Description],
    diseases: frozenset[str],
) -> tuple[Link, ...]:
    """What the rules say of articles that are not `linked` by something surer.

    `described` and `diseases` are those of all that is told of trials.
    """
    return tuple(_ruled((one for one in articles if one.iri not in linked), Trials(described, diseases)))


def by_rule(reported: Reported) -> list[Link]:
    """What the rules alone say, of all articles: for measuring them against what is known otherwise."""
    articles = Articles(reported)
    told = of_trials(reported, articles)
    return list(by_rules(articles, (), told.described, told.diseases))


def _surer(one: Link, other: Link) -> bool:
    def rank(link: Link) -> tuple[bool, int]:
        return link.reports, _RANK.index(link.confidence)

    return rank(one) > rank(other)


# ---------------------------------------------------------------------------------------------- articles


@dataclass(frozen=True, slots=True)
class _Article:
    """An article under the name it goes by, and what its names together tell of it."""

    iri: NamedNode
    described: Description
    texts: tuple[str, ...]


class Articles:
    """Publications, with those that are one article taken together.

    `reported` has all of them, and all that documents and curators tell of studies.
    """

    def __init__(self, reported: Reported) -> None:
        self._reported = reported
        named: dict[tuple[str, ...], NamedNode] = {}
        parent: dict[NamedNode, NamedNode] = {}

        def root(iri: NamedNode) -> NamedNode:
            while parent[iri] != iri:
                iri = parent[iri]
            return iri

        # In this order the name of an article is that by its PubMed number, else by its DOI.
        things = sorted(reported.of_kind("publication"), key=lambda thing: _name_rank(thing.iri))
        for thing in things:
            parent[thing.iri] = thing.iri
            for key in _keys(thing):
                if key in named:
                    ours, theirs = root(thing.iri), root(named[key])
                    keep, drop = sorted((ours, theirs), key=_name_rank)
                    parent[drop] = keep
                else:
                    named[key] = thing.iri
        self._members: dict[NamedNode, list[Thing]] = {}
        for thing in things:
            self._members.setdefault(root(thing.iri), []).append(thing)
        self.same = {
            thing.iri: iri for iri, members in self._members.items() for thing in members if thing.iri != iri
        }
        self._studies: dict[NamedNode, list[Thing]] = {}
        for trial in reported.of_kind("trial"):
            for publication in trial.nodes(STROMA.hasPublication):
                self._studies.setdefault(self.name(publication), []).append(trial)
        # What rules look for in trials.
        self.sought = Sought(article.described for article in self)
        # By registry number, in capitals: the articles that give it, each with its place among all numbers
        # that are given, and the number as printed.
        self.numbers: dict[str, list[tuple[int, NamedNode, str]]] = {}
        given = (
            (article.iri, number)
            for article in self
            for text in article.texts
            for number in _NUMBER.findall(text)
        )
        for place, (iri, number) in enumerate(given):
            self.numbers.setdefault(number.upper(), []).append((place, iri, number))

    def is_of_a_study(self, article: NamedNode) -> bool:
        """Whether documents or curators know a study that an article reports."""
        return article in self._studies

    def name(self, publication: NamedNode) -> NamedNode:
        """The name an article goes by."""
        return self.same.get(publication, publication)

    def year(self, publication: NamedNode) -> int | None:
        """The year an article appeared."""
        return min(
            (y for thing in self._members.get(self.name(publication), ()) if (y := _year(thing))),
            default=None,
        )

    def titles(self, publication: NamedNode) -> tuple[str, ...]:
        """What an article is called."""
        members = self._members.get(self.name(publication), ())
        return tuple(dict.fromkeys(t for thing in members if (t := thing.text(DCTERMS.title))))

    def __iter__(self) -> Iterator[_Article]:
        for iri, members in self._members.items():
            texts = tuple(
                value.text
                for thing in members
                for predicate in (DCTERMS.title, STROMA.citation, RDFS.label, DCTERMS.abstract)
                for value in thing.all(predicate)
            )
            yield _Article(iri, self._describe(iri), texts)

    def _describe(self, iri: NamedNode) -> Description:
        """What the articles' curators compiled of the study; a registry's own facts say nothing here."""
        year = self.year(iri)
        told = _told(self._reported, self._studies.get(iri, ()), (Level.COMPILED, Level.STATED))
        return replace(told, titles=self.titles(iri), first=year, last=year)


def _name_rank(iri: NamedNode) -> tuple[int, str]:
    local = iri.value.removeprefix(f"{BASE}publication/")
    return (0 if local.startswith("pmid-") else 1 if local.startswith("doi-") else 2), iri.value


def _keys(thing: Thing) -> Iterator[tuple[str, ...]]:
    """What tells one article: its numbers, or a title of six words with its year."""
    for predicate in (STROMA.pubmedId, STROMA.pmcId):
        yield from ((predicate.value, value.text) for value in thing.all(predicate))
    yield from (("doi", value.text.lower()) for value in thing.all(STROMA.doi))
    year = _year(thing)
    for value in thing.all(DCTERMS.title):
        named = words(value.text)
        if len(named) >= 6 and year is not None:
            # Online in one year, in print in the next.
            yield from (("title", *named, str(near)) for near in (year, year + 1))


def _year(thing: Thing) -> int | None:
    years = [int(value.text[:4]) for value in thing.all(STROMA.publicationYear) if value.text[:4].isdigit()]
    return min(years, default=None)


# ----------------------------------------------------------------------------------- descriptions of studies


def _all_registered(reported: Reported) -> dict[NamedNode, Description]:
    """The trials of which a registry's record is held."""
    return {
        trial.iri: _registered(reported, trial)
        for trial in reported.of_kind("trial")
        if any(value.level is Level.RECORDED for value in trial.all(PROV.wasDerivedFrom))
    }


def _registered(reported: Reported, trial: Thing) -> Description:
    """What the registry's records tell of a trial."""
    first = _years(trial, STROMA.startDate) or _years(trial, STROMA.firstPostedDate)
    ends = [*_years(trial, STROMA.completionDate), *_years(trial, STROMA.primaryCompletionDate)]
    titles = [
        value.text
        for predicate in (DCTERMS.title, STROMA.officialTitle)
        for value in trial.all(predicate)
        if value.level is Level.RECORDED
    ]
    return replace(
        _told(reported, (trial,), (Level.RECORDED,)),
        titles=tuple(dict.fromkeys(titles)),
        acronyms=frozenset(value.text.strip() for value in trial.all(STROMA.acronym)),
        first=min(first, default=None),
        last=max(ends, default=None),
    )


def _years(trial: Thing, predicate: NamedNode) -> list[int]:
    return [
        int(v.text[:4]) for v in trial.all(predicate) if v.level is Level.RECORDED and v.text[:4].isdigit()
    ]


def _told(reported: Reported, studies: Iterable[Thing], levels: tuple[Level, ...]) -> Description:
    """Condition, product, route, dose, size and place of studies, as far as these levels tell them."""

    def values(thing: Thing, *predicates: NamedNode) -> Iterator[Value]:
        for value in (value for predicate in predicates for value in thing.all(predicate)):
            # What curators put into a trial's table from its paper cannot speak for the paper.
            own = not value.claims or any("publication" not in claim.basis for claim in value.claims)
            if value.level in levels and (own or Level.RECORDED not in levels):
                yield value

    def nodes(thing: Thing, predicate: NamedNode) -> set[NamedNode]:
        return {v.term for v in values(thing, predicate) if isinstance(v.term, NamedNode)}

    def numbers(thing: Thing, *predicates: NamedNode) -> set[Decimal]:
        return {v.number for v in values(thing, *predicates) if v.number is not None}

    studies = list(studies)
    regimens = [regimen for study in studies for regimen in _regimens(reported, study, levels)]
    products = [reported.thing(p) for regimen in regimens for p in nodes(regimen, STROMA.administers)]
    doses: set[tuple[Decimal, str]] = set()
    ranges: set[tuple[Decimal, Decimal, str]] = set()
    for regimen in regimens:
        units = {value.text for value in values(regimen, STROMA.doseUnit)}
        if len(units) == 1:
            unit = units.pop()
            lows, highs = numbers(regimen, STROMA.doseLow), numbers(regimen, STROMA.doseHigh)
            doses |= {(amount, unit) for amount in (*numbers(regimen, STROMA.doseAmount), *lows, *highs)}
            if len(lows) == len(highs) == 1:
                ranges.add((lows.pop(), highs.pop(), unit))
    conditions = {c for study in studies for c in nodes(study, STROMA.studiesCondition)}
    return Description(
        conditions=frozenset(map(reported.label, conditions)),
        tissues=frozenset(t for product in products for t in nodes(product, STROMA.hasTissueSource)),
        donors=frozenset(d for regimen in regimens for d in nodes(regimen, STROMA.hasDonorRelation)),
        routes=frozenset(r for regimen in regimens for r in nodes(regimen, STROMA.hasRoute)),
        phases=frozenset(p for study in studies for p in nodes(study, STROMA.hasPhase)),
        countries=frozenset(v.text for study in studies for v in values(study, STROMA.inCountry)),
        sizes=frozenset(int(n) for study in studies for n in numbers(study, STROMA.enrollmentCount) if n),
        doses=frozenset(doses),
        dose_ranges=frozenset(ranges),
        infusions=frozenset(int(n) for r in regimens for n in numbers(r, STROMA.numberOfDoses)),
    )


def _regimens(reported: Reported, study: Thing, levels: tuple[Level, ...]) -> Iterator[Thing]:
    """The regimens of a study's arms as these levels know the arms, and those it tests without an arm."""
    for arm in study.all(STROMA.hasArm):
        if arm.level in levels and isinstance(arm.term, NamedNode):
            for regimen in reported.thing(arm.term).nodes(STROMA.hasIntervention):
                yield reported.thing(regimen)
    for value in study.all(STROMA.testsIntervention):
        if value.level in levels and isinstance(value.term, NamedNode):
            yield reported.thing(value.term)


# --------------------------------------------------------------------------------------------- methods


def _references(
    reported: Reported, articles: Articles, begun: Mapping[NamedNode, int | None]
) -> Iterator[Link]:
    """The references of registry records, each for what it is; `begun` has the years of registered trials."""
    for trial in reported.of_kind("trial"):
        for reference in map(reported.thing, trial.nodes(STROMA.hasReference)):
            kind = reference.text(STROMA.referenceType)
            for publication in reference.nodes(DCTERMS.references):
                article = articles.name(publication)
                year = articles.year(article)
                says, method, confidence, basis = _reference(kind, begun.get(trial.iri), year)
                if says != DCTERMS.references:
                    says = _reports(articles.titles(article))
                yield Link(trial.iri, article, says, method, confidence, basis, (reference.iri,))


def _reference(
    kind: str, begun: int | None, published: int | None
) -> tuple[NamedNode, NamedNode, NamedNode, str]:
    """What a reference of a kind says: what of the publication, by which method, how sure, on what basis."""
    record = STROMA.LinkMethodRegistryReference
    if kind == "derived":
        return (
            STROMA.hasPublication,
            STROMA.LinkMethodRegistryNumber,
            STROMA.ConfidenceHigh,
            "the registry found the trial's number in the PubMed entry of the article (reference derived)",
        )
    if kind == "result":
        if begun is None or published is None:
            return (
                STROMA.hasPublication, record, STROMA.ConfidenceLowMedium,
                "the sponsor entered it as a result; the years to check that are not known",
            )  # fmt: skip
        if published > begun:
            return (
                STROMA.hasPublication, record, STROMA.ConfidenceMediumHigh,
                f"the sponsor entered it as a result, and it appeared ({published}) after the start "
                f"({begun})",
            )  # fmt: skip
        return (
            DCTERMS.references, record, STROMA.ConfidenceHigh,
            f"the sponsor entered it as a result, but it appeared ({published}) before the trial "
            f"({begun}) can have had any",
        )  # fmt: skip
    told = f"reference {kind}" if kind else "reference of no stated kind"
    return DCTERMS.references, record, STROMA.ConfidenceHigh, f"the record cites it ({told})"


def _curated(reported: Reported, articles: Articles) -> Iterator[Link]:
    """What curators compiled: that a publication reports a registered trial, with a method."""
    for edge in reported.propositions:
        if edge.predicate != STROMA.hasPublication or not edge.positive:
            continue
        for claim in edge.claims:
            if claim.method is not None:
                yield _of_claim(edge, claim, articles)


def _reports(titles: Sequence[str]) -> NamedNode:
    """What an article with these titles is to the trial that it is about."""
    return STROMA.hasProtocolPublication if is_protocol(titles) else STROMA.hasPublication


def _of_claim(edge: Proposition, claim: Claim, articles: Articles) -> Link:
    assert isinstance(edge.object, NamedNode)
    assert claim.method is not None
    article = articles.name(edge.object)
    says = _reports(articles.titles(article))
    confidence = claim.confidence or STROMA.ConfidenceMedium
    return Link(edge.subject, article, says, claim.method, confidence, claim.basis, (claim.iri,))


def _numbers(reported: Reported, articles: Articles) -> Iterator[Link]:
    """Registry numbers that stand in what is known of a publication's words."""
    for trial in reported.of_kind("trial"):
        own = {value.text.upper() for value in trial.all(DCTERMS.identifier)}
        given = sorted(place for number in own for place in articles.numbers.get(number, ()))
        for _, article, number in given:
            says = _reports(articles.titles(article))
            basis = f"its title or citation gives the number {number}"
            yield Link(
                trial.iri, article, says, STROMA.LinkMethodRegistryNumber,
                STROMA.ConfidenceHigh, basis, (article,),
            )  # fmt: skip


def _ruled(articles: Iterable[_Article], trials: Trials) -> Iterator[Link]:
    for article in articles:
        for likely in trials.likely(article.described):
            says = _reports(article.described.titles)
            yield Link(
                likely.trial, article.iri, says, likely.method,
                _OF_RULE[likely.method], likely.basis, (article.iri, likely.trial),
            )  # fmt: skip


# ------------------------------------------------------------------------------------------------ quads

# By the kind of thing a link rests on: a record's reference, a curator's claim; anything else is a rule's.
_LEVEL = {
    "reference": (STROMA.LevelRecorded, OBO.ECO_0000313),  # imported information
    "claim": (STROMA.LevelCurated, OBO.ECO_0000305),  # curator inference
}
_BY_RULE = (STROMA.LevelRecomputed, OBO.ECO_0007669)  # computational evidence


def quads(found: Links) -> Iterator[Quad]:
    """The links as claims of `graph:links`, with what they rest on, and the activity that made them."""
    yield from _about(
        ACTIVITY,
        (RDF.type, PROV.Activity),
        (RDFS.label, Literal("linking of publications to trials", language="en")),
    )
    for link in found.links:
        yield from _link(link)
    for publication, article in sorted(found.same.items(), key=lambda pair: pair[0].value):
        yield Quad(publication, STROMA.correspondsTo, article, GRAPH)


def _link(link: Link) -> Iterator[Quad]:
    rests_on = link.evidence[0].value.removeprefix(BASE).partition("/")[0]
    level, evidence = _LEVEL.get(rests_on, _BY_RULE)
    edge = proposition(link.trial, link.says, link.publication)
    yield from _about(
        link.iri,
        (RDF.type, STROMA.PublicationLink),
        (STROMA.asserts, edge),
        (STROMA.linkMethod, link.method),
        (STROMA.confidence, link.confidence),
        (STROMA.basis, Literal(link.basis)),
        (STROMA.modality, STROMA.ModalityAsserted if link.asserted else STROMA.ModalityHedged),
        (STROMA.hasTopic, STROMA.TopicBibliographic),
        (STROMA.statementLevel, level),
        (STROMA.evidenceType, evidence),
        (PROV.wasGeneratedBy, ACTIVITY),
        *((PROV.wasDerivedFrom, source) for source in link.evidence),
    )
    yield from _about(
        edge,
        (RDF.type, STROMA.Proposition),
        (STROMA.propositionSubject, link.trial),
        (STROMA.propositionPredicate, link.says),
        (STROMA.propositionObject, link.publication),
        (STROMA.polarity, STROMA.PolarityPositive),
    )
    if link.asserted:
        yield Quad(link.trial, link.says, link.publication, GRAPH)


def _about(node: NamedNode, *facts: tuple[NamedNode, NamedNode | Literal]) -> Iterator[Quad]:
    for predicate, value in facts:
        yield Quad(node, predicate, value, GRAPH)
