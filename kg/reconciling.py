"""Reconciliation: which things of the graph the names in a table mean, and what the graph says of them.

Hides how a search becomes candidates, what makes a match (a thing is called exactly so, and no other has as
good a claim to the name), and how further values tell namesakes apart.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from pyoxigraph import NamedNode

from kg.engine import Engine, Limits
from kg.errors import UsageError
from kg.names import Names, names
from kg.rows import Facts, Node, facts, listed, rows
from kg.search import KIND_NAMES, Hit, Index
from kg.search.folding import fold
from kg.search.writing import KINDS

EXACT = 0.9  # from here on a thing is called exactly so: by a label, an identifier or a synonym
# Statements are sentences, no names: they are candidates only where a client asks for them.
DEFAULT_KINDS = tuple(kind for kind in KIND_NAMES if kind not in ("claim", "finding", "outcome"))
_MISSPELT = 0.85  # of its score is left to what is found by other words than those written
_LESS = 0.6  # of its score is left to a candidate that lacks a value that is wanted
_MOST = 20_000  # statements read for one question

Wanted = Mapping[str, set[str]]  # predicate -> values that fit: IRIs, and texts as `folded` gives them


@dataclass(frozen=True)
class Candidate:
    """A thing that a name may mean: `score` from 0 to 100, `match` where no other is meant.

    `fits` tells of each predicate that was wanted whether the thing has such a value.
    """

    hit: Hit
    score: float
    match: bool
    fits: Mapping[str, bool]


def folded(text: object) -> str:
    """A text as it is compared: without case, accents and script."""
    return " ".join(fold(str(text)))


def candidates(index: Index, name: str, *, kinds: Sequence[str] = (), limit: int = 5) -> list[Candidate]:
    """The things that a name may mean, best first; at most one of them is a match.

    Without `kinds` all but statements are meant. Raises what a search raises.
    """
    # One more than asked for: whether the best is alone depends on the next.
    results = index.search(name, kinds=kinds or DEFAULT_KINDS, limit=limit + 1)
    hits = results.hits
    certain = len(hits) == 1 or (len(hits) > 1 and hits[1].score < hits[0].score)
    sure = 1.0 if not results.corrected else _MISSPELT
    return [
        Candidate(
            hit,
            round(100 * hit.score * sure, 2),
            place == 0 and certain and hit.score * sure >= EXACT,
            {},
        )
        for place, hit in enumerate(hits[:limit])
    ]


async def matching(
    index: Index,
    engine: Engine,
    name: str,
    wanted: Wanted,
    limits: Limits,
    *,
    kinds: Sequence[str],
    limit: int,
) -> list[Candidate]:
    """As `candidates`, where the values that are `wanted` tell namesakes apart.

    A candidate that lacks one of them loses score and is no match; one that is called exactly so and has all
    is a match where no other does. Without a name: the things that have all values.
    """
    if not name:
        return await _having(index, engine, wanted, limits, kinds, limit)
    found = await asyncio.to_thread(candidates, index, name, kinds=kinds, limit=limit)
    if not wanted or not found:
        return found
    things = f"VALUES ?thing {{ {listed(each.hit.iri for each in found)} }}"
    told, called = await _told(engine, things, wanted, limits)
    weighed = []
    for one in found:
        said = told.get(one.hit.iri, {})
        fits = {each: _has(said.get(each, []), values, called) for each, values in wanted.items()}
        score = one.score if all(fits.values()) else round(one.score * _LESS, 2)
        weighed.append(replace(one, score=score, match=False, fits=fits))
    weighed.sort(key=lambda each: -each.score)
    exact = [each for each in weighed if all(each.fits.values()) and each.score >= 100 * EXACT]
    return [replace(each, match=exact == [each]) for each in weighed]


async def _having(
    index: Index, engine: Engine, wanted: Wanted, limits: Limits, kinds: Sequence[str], limit: int
) -> list[Candidate]:
    having: set[str] | None = None
    for predicate, values in wanted.items():
        told, called = await _told(engine, f"?thing {NamedNode(predicate)} ?any .", [predicate], limits)
        fit = {iri for iri, said in told.items() if _has(said.get(predicate, []), values, called)}
        having = fit if having is None else having & fit
    hits = [hit for hit in index.find(sorted(having or ())).values() if not kinds or hit.kind in kinds]
    return [Candidate(hit, 100.0, match=False, fits=dict.fromkeys(wanted, True)) for hit in hits[:limit]]


async def _told(
    engine: Engine, pattern: str, predicates: Iterable[str], limits: Limits
) -> tuple[dict[str, Facts], Names]:
    told = await facts(engine, pattern, predicates, limits, most=_MOST)
    ends = (node for said in told.values() for nodes in said.values() for node in nodes)
    return told, await names(engine, (end.value for end in ends if isinstance(end, NamedNode)), limits)


def _has(nodes: Sequence[Node], values: set[str], called: Names) -> bool:
    """Whether some value is among those wanted: by IRI, as text, or by any of its names."""
    return any(
        node.value in values
        or folded(node.value) in values
        or any(folded(name) in values for name in called.get(node.value, {}).values())
        for node in nodes
    )


# ---------------------------------------------------------------------------- what is said of things


async def properties_of(engine: Engine, kind: str, limits: Limits, *, limit: int) -> tuple[list[str], Names]:
    """The predicates that things of a kind have (of all kinds for ""), those most used first, with names.

    By the counts that the snapshot's description holds.
    """
    classes = [cls.value for name, of in KINDS for cls in of if kind in ("", name)]
    found = await rows(
        engine,
        f"""SELECT ?p (SUM(?n) AS ?times) WHERE {{
          VALUES ?class {{ {listed(classes)} }}
          ?part void:class ?class ; void:propertyPartition ?of . ?of void:property ?p ; void:triples ?n
        }} GROUP BY ?p ORDER BY DESC(?times) ?p LIMIT {limit}""",
        limits,
    )
    predicates = [row["p"].value for row in found]
    return predicates, await names(engine, predicates, limits)


async def values_of(
    engine: Engine, iris: Sequence[str], predicates: Sequence[str], limits: Limits
) -> tuple[Mapping[str, Facts], Names]:
    """The values of some predicates of some things, and the names of all that is mentioned."""
    if not iris or not predicates:
        return {}, await names(engine, predicates, limits)
    told, called = await _told(engine, f"VALUES ?thing {{ {listed(iris)} }}", predicates, limits)
    return told, {**called, **await names(engine, predicates, limits)}


# --------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True)
class Reconciled:
    """What became of a table: how many rows it has, and how they fared."""

    rows: int
    matched: int
    unsure: int  # with a candidate that is not certain
    empty: int  # without a name


def reconcile_csv(
    index: Index, text: str, column: str, out: TextIO, *, kinds: Sequence[str] = (), language: str = "en"
) -> Reconciled:
    """Write a table again with the columns id, label, score and match: the best candidate for `column`.

    Where it has a column of one of these names, the four are called after `column` (`drug_id`, …). Its own
    columns may be apart by commas, semicolons or tabs. Raises UsageError for a table without the column.
    """
    table = _rows(text)
    header = next(table, [])
    if column not in header:
        raise UsageError(f"there is no column {column!r}; there are: {', '.join(header) or 'none'}")
    place = header.index(column)
    added = ["id", "label", "score", "match"]
    if set(added) & set(header):
        added = [f"{column}_{name}" for name in added]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, *added])
    known: dict[str, Candidate | None] = {"": None}
    rows = matched = unsure = empty = 0
    for row in table:
        name = row[place].strip() if place < len(row) else ""
        if name not in known:
            known[name] = next(iter(candidates(index, name, kinds=kinds, limit=1)), None)
        best = known[name]
        rows, empty = rows + 1, empty + (not name)
        cells = ["", "", "", ""]
        if best is not None:
            matched, unsure = matched + best.match, unsure + (not best.match)
            label = best.hit.label(language)
            cells = [best.hit.curie, label, f"{best.score:g}", "true" if best.match else "false"]
        writer.writerow([*row, *[""] * (len(header) - len(row)), *cells])
    return Reconciled(rows, matched, unsure, empty)


def _rows(text: str) -> Iterator[list[str]]:
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    yield from csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
