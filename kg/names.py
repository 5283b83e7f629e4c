"""What a thing is called, in three languages: by its label, or else by what it is about.

Hides which annotation names what, and how things without a label are put in words: a reported number by its
measure, group and time, a proposition by its three parts, a claim by what it asserts, a place by document and
line. Every page of a graph says names, so no reader meets a digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation

from pyoxigraph import Literal, NamedNode

from kg.engine import Engine, Limits
from kg.rows import Facts, Node, facts, language_of, listed, rows
from kg.terms import BASE, DCTERMS, OWL, RDFS, STROMA, compress

Names = Mapping[str, Mapping[str, str]]  # IRI -> language -> name

LANGUAGES = ("en", "zh-Hans", "zh-Hant")
_AT_ONCE = 500
_MOST = 50_000  # statements
_DEEP = 3  # a claim is named by a proposition, that by a number, that by a measure
# A union, because a block of VALUES for the predicates takes thirty times as long.
_LABELS = " UNION ".join(
    f"{{ ?s {predicate} ?l BIND({rank} AS ?rank) }}"
    for rank, predicate in enumerate(("skos:prefLabel", "rdfs:label", "dcterms:title", "stroma:claimText"))
)
_BASELINE = {"en": "baseline", "zh-Hans": "基线", "zh-Hant": "基線"}
_MONTH = {"en": "month {}", "zh-Hans": "第 {} 个月", "zh-Hant": "第 {} 個月"}
_NOT = {"en": "not: {}", "zh-Hans": "否定：{}", "zh-Hant": "否定：{}"}
_LINE = {"en": "document {}, line {}", "zh-Hans": "文献 {}，第 {} 行", "zh-Hant": "文獻 {}，第 {} 行"}
_RECORD = {"en": "record {}", "zh-Hans": "记录 {}", "zh-Hant": "記錄 {}"}

Say = Callable[[Node | None, str], str]  # a term and a language -> its name


def named(names: Names, iri: str, language: str = "en") -> str:
    """A name in a language, else in English, else any, else the CURIE."""
    own = names.get(iri, {})
    return own.get(language) or own.get("en") or next(iter(own.values()), compress(iri))


async def names(engine: Engine, iris: Iterable[str], limits: Limits) -> dict[str, dict[str, str]]:
    """The names of things by language; a thing that nothing is said of has none."""
    return await _names(engine, set(iris), limits, _DEEP)


async def _names(engine: Engine, iris: set[str], limits: Limits, deep: int) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    wanted = sorted(iri for iri in iris if iri)
    for at in range(0, len(wanted), _AT_ONCE):
        for row in await rows(
            engine,
            f"""SELECT ?s ?l ?rank WHERE {{
              VALUES ?s {{ {listed(wanted[at : at + _AT_ONCE])} }}
              {_LABELS}
            }} ORDER BY ?s ?rank ?l""",
            limits,
        ):
            label = row["l"]
            if isinstance(label, Literal):
                found.setdefault(row["s"].value, {}).setdefault(language_of(label), label.value)
    nameless = [iri for iri in wanted if iri not in found and _way(iri) is not None]
    if nameless and deep:
        found |= await _described(engine, nameless, limits, deep)
    return found


async def _described(engine: Engine, iris: list[str], limits: Limits, deep: int) -> dict[str, dict[str, str]]:
    told: dict[str, Facts] = {}
    for at in range(0, len(iris), _AT_ONCE):
        things = f"VALUES ?thing {{ {listed(iris[at : at + _AT_ONCE])} }}"
        told |= await facts(engine, things, (each.value for each in _TOLD), limits, most=_MOST)
    mentioned = {
        node.value
        for own in told.values()
        for nodes in own.values()
        for node in nodes
        if isinstance(node, NamedNode)
    }
    known = await _names(engine, mentioned, limits, deep - 1)

    def say(node: Node | None, language: str) -> str:
        if node is None:
            return ""
        return named(known, node.value, language) if isinstance(node, NamedNode) else node.value

    described: dict[str, dict[str, str]] = {}
    for iri, own in told.items():
        way = _way(iri)
        said = {} if way is None else {language: way(iri, own, say, language) for language in LANGUAGES}
        if said.get("en"):
            described[iri] = said
    return described


# ------------------------------------------------------------------ how each kind is put in words


def _first(own: Facts, *predicates: NamedNode) -> Node | None:
    return next((own[predicate.value][0] for predicate in predicates if predicate.value in own), None)


def _number(iri: str, own: Facts, say: Say, language: str) -> str:
    """A reported number: measure, group or groups, time, analysis set."""
    groups = own.get(STROMA.comparesGroup.value) or own.get(STROMA.aboutGroup.value, [])
    what = _first(own, STROMA.forMeasure, STROMA.eventTerm, STROMA.forOutcome, STROMA.statisticName)
    parts = [
        say(what, language),
        " / ".join(say(group, language) for group in groups),
        say(_first(own, STROMA.categoryText), language),
        _time(own, say, language),
    ]
    return ", ".join(part for part in parts if part)


def _time(own: Facts, say: Say, language: str) -> str:
    months = _first(own, STROMA.timepointMonths)
    if months is None:
        return say(_first(own, STROMA.timepointLabel, STROMA.periodLabel), language)
    try:
        number = Decimal(months.value).normalize()
    except InvalidOperation:
        return months.value
    return _BASELINE[language] if number == 0 else _MONTH[language].format(f"{number:f}")


def _proposition(iri: str, own: Facts, say: Say, language: str) -> str:
    parts = [
        say(_first(own, predicate), language)
        for predicate in (STROMA.propositionSubject, STROMA.propositionPredicate, STROMA.propositionObject)
    ]
    if not all(parts):
        return ""
    whole = " ".join(parts)
    denied = own.get(STROMA.polarity.value) == [STROMA.PolarityNegative]
    return _NOT[language].format(whole) if denied else whole


def _claim(iri: str, own: Facts, say: Say, language: str) -> str:
    asserted = [say(each, language) for each in own.get(STROMA.asserts.value, [])]
    return "; ".join(asserted[:2]) + ("; …" if len(asserted) > 2 else "")


def _span(iri: str, own: Facts, say: Say, language: str) -> str:
    document, line = _first(own, STROMA.inDocument), _first(own, STROMA.lineNumber)
    if document is None or line is None:
        return ""
    return _LINE[language].format(compress(document.value).partition(":")[2], line.value)


def _record(iri: str, own: Facts, say: Say, language: str) -> str:
    """A registry's record, or the status it once gave."""
    status, day = _first(own, STROMA.hasStatus), _first(own, STROMA.statusAsOf)
    if status is not None:
        return f"{say(status, language)} ({day.value})" if day is not None else say(status, language)
    source = iri.removeprefix(f"{BASE}record/").partition("/")[0]
    identifier = _first(own, DCTERMS.identifier)
    return "" if identifier is None else _RECORD[language].format(f"{identifier.value} ({source})")


def _mapping(iri: str, own: Facts, say: Say, language: str) -> str:
    parts = (_first(own, each) for each in (OWL.annotatedSource, OWL.annotatedProperty, OWL.annotatedTarget))
    return " ".join(say(part, language) for part in parts if part is not None)


def _query(iri: str, own: Facts, say: Say, language: str) -> str:
    comments = [each for each in own.get(RDFS.comment.value, []) if isinstance(each, Literal)]
    return next((each.value for each in comments if language_of(each) == language), "")


_WAYS: Mapping[str, Callable[[str, Facts, Say, str], str]] = {
    "claim": _claim,
    "comparison": _number,
    "event": _number,
    "mapping": _mapping,
    "observation": _number,
    "proposition": _proposition,
    "query": _query,
    "record": _record,
    "span": _span,
}
_TOLD = (
    STROMA.forMeasure, STROMA.eventTerm, STROMA.forOutcome, STROMA.statisticName, STROMA.comparesGroup,
    STROMA.aboutGroup, STROMA.categoryText, STROMA.timepointMonths, STROMA.timepointLabel, STROMA.periodLabel,
    STROMA.propositionSubject, STROMA.propositionPredicate, STROMA.propositionObject, STROMA.polarity,
    STROMA.asserts, STROMA.inDocument, STROMA.lineNumber, STROMA.hasStatus, STROMA.statusAsOf,
    DCTERMS.identifier, OWL.annotatedSource, OWL.annotatedProperty, OWL.annotatedTarget, RDFS.comment,
)  # fmt: skip


def _way(iri: str) -> Callable[[str, Facts, Say, str], str] | None:
    return _WAYS.get(iri.removeprefix(BASE).partition("/")[0]) if iri.startswith(BASE) else None
