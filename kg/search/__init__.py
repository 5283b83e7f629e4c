"""Search: things of the graph by name, synonym, identifier or definition, in three languages.

Hides the index (`kg.search.writing`, one SQLite file in a snapshot's folder), how words are folded
(`kg.search.folding`), and how what was found is ranked. Either Chinese script finds both, a misspelt word
finds what was meant, and no search runs longer than its deadline.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rapidfuzz.distance import OSA

from kg.errors import ParameterError, QueryTimeout
from kg.search.folding import as_words, fold, is_chinese
from kg.search.writing import INDEX, KINDS, LANGUAGES, shortened, typos_of, write_index
from kg.snapshot import Snapshot
from kg.terms import compress

__all__ = ["INDEX", "KIND_NAMES", "LANGUAGES", "Hit", "Index", "Results", "as_words", "write_index"]

KIND_NAMES = tuple(kind for kind, _ in KINDS)
REACH = 400  # results that are ranked; what lies beyond wants a narrower search
_WORDS = 12  # of a search that count
_CHARACTERS = 300
_SECONDS = 0.25
_CORRECTIONS = 4  # words tried for one that nobody wrote

# Of what is equally near the words, first what most people mean.
_FIRST = {
    kind: place
    for place, kind in enumerate(
        ("class", "condition", "trial", "measure", "value", "product", "publication", "regimen", "group")
    )
}
_RANKED = (1.0, 0.97, 0.9, 0.85)  # a name of rank 0, 1, 2, 3


@dataclass(frozen=True)
class Hit:
    """A thing that was found: `labels` by language, `matched` the name that fits best, `score` 0 to 1."""

    iri: str
    curie: str
    kind: str
    labels: Mapping[str, str]
    description: str
    matched: str
    score: float

    def label(self, language: str = "en") -> str:
        """The label in a language, or else in English."""
        return self.labels.get(language) or self.labels["en"]


@dataclass(frozen=True)
class Results:
    """What a search found: how many in all, one page of them, how many of each kind, and the words that were
    taken instead of misspelt ones."""

    total: int
    hits: Sequence[Hit]
    kinds: Mapping[str, int]
    corrected: Mapping[str, Sequence[str]]


class Index:
    """The index of one snapshot, open for reading; may be used from any thread."""

    def __init__(self, file: Path) -> None:
        # One connection, opened now: it reads on when a build has removed the snapshot's folder.
        self._database = sqlite3.connect(
            f"file:{file}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        self._lock = threading.Lock()

    @classmethod
    def of(cls, snapshot: Snapshot) -> Index:
        """The index of a snapshot, which is written where an older version left none."""
        return cls(write_index(snapshot))

    def search(
        self, text: str, *, kinds: Sequence[str] = (), limit: int = 20, offset: int = 0, typing: bool = False
    ) -> Results:
        """Find things by what they are called or how they are described, best first.

        `kinds` keeps only those; `typing` takes the last word as one that is still being written. An empty
        text finds all things of `kinds`, by their English names; without kinds nothing. Raises
        ParameterError for an unknown kind or a page out of reach, QueryTimeout after a quarter of a second.
        """
        if unknown := set(kinds) - set(KIND_NAMES):
            raise ParameterError(
                f"kind {', '.join(sorted(unknown))!r} is unknown; there are: {', '.join(KIND_NAMES)}"
            )
        if not (1 <= limit <= REACH and offset >= 0 and limit + offset <= REACH):
            raise ParameterError(
                f"limit {limit} with offset {offset}: only the first {REACH} results can be read; add a word"
            )
        if text.strip().startswith(("http://", "https://")):
            text = compress(text.strip())
        words = fold(text[:_CHARACTERS])[:_WORDS]
        if not words:
            return (
                self._all_of(kinds, limit, offset) if kinds and not text.strip() else Results(0, (), {}, {})
            )
        with self._lock:
            started = time.monotonic()
            self._database.set_progress_handler(lambda: time.monotonic() - started > _SECONDS, 10_000)
            try:
                return self._search(self._database, words, kinds, limit, offset, typing)
            except sqlite3.OperationalError as problem:
                if "interrupted" not in str(problem):
                    raise
                raise QueryTimeout(
                    f"The search took longer than {_SECONDS:g} seconds; use longer or fewer words"
                ) from problem
            finally:
                self._database.set_progress_handler(None, 0)

    def _all_of(self, kinds: Sequence[str], limit: int, offset: int) -> Results:
        counts = self.kinds()
        total = sum(counts.get(kind, 0) for kind in set(kinds))
        with self._lock:
            rows = self._database.execute(
                "SELECT iri, curie, kind, labels, description FROM things "
                f"WHERE kind IN ({', '.join('?' * len(kinds))}) "
                "ORDER BY json_extract(labels, '$.en') COLLATE NOCASE, iri LIMIT ? OFFSET ?",
                (*kinds, limit, offset),
            )
            return Results(total, [_hit(row, "", 1.0) for row in rows], counts, {})

    def find(self, iris: Iterable[str]) -> dict[str, Hit]:
        """The things with these IRIs, as far as the index has them."""
        found = {}
        with self._lock:
            for iri in iris:
                for row in self._database.execute(
                    "SELECT iri, curie, kind, labels, description FROM things WHERE iri = ?", (iri,)
                ):
                    found[iri] = _hit(row, "", 1.0)
        return found

    def kinds(self) -> Mapping[str, int]:
        """How many things of each kind there are."""
        with self._lock:
            return dict(self._database.execute("SELECT kind, things FROM kinds ORDER BY things DESC"))

    # ------------------------------------------------------------------------------------- finding

    def _search(
        self,
        database: sqlite3.Connection,
        words: list[str],
        kinds: Sequence[str],
        limit: int,
        offset: int,
        typing: bool,
    ) -> Results:
        corrected: dict[str, list[str]] = {}
        match = _match([[word] for word in words], "AND", typing)
        counts = _counts(database, match)
        if not counts:
            corrected = {word: near for word in words if (near := _near(database, word))}
            if corrected:
                match = _match([corrected.get(word, [word]) for word in words], "AND", typing)
                counts = _counts(database, match)
        if not counts and len(words) > 1:
            match = _match([corrected.get(word, [word]) for word in words], "OR", typing)
            counts = _counts(database, match)
        kept = {kind: count for kind, count in counts.items() if not kinds or kind in kinds}
        meant = [corrected.get(word, [word])[0] for word in words]
        ranked = _ranked(database, _candidates(database, match, meant, kinds), meant)
        total = max(sum(kept.values()), len(ranked))
        return Results(total, ranked[offset : offset + limit], counts, corrected)


def _match(alternatives: Sequence[Sequence[str]], operator: str, typing: bool) -> str:
    """The FTS5 expression: Chinese characters that stand together stay together, other words may go on."""
    parts: list[str] = []
    run: list[str] = []
    for words in [*alternatives, [""]]:
        if words[0] and is_chinese(words[0]):
            run.append(words[0])
            continue
        if run and operator == "OR" and len(run) > 2:  # any two that stand together
            parts.extend(f'"{one} {two}"' for one, two in pairwise(run))
        elif run:
            parts.append(f'"{" ".join(run)}"')
        run = []
        if words[0]:
            parts.append("(" + " OR ".join(_word(word, typing) for word in words) + ")")
    expression = f" {operator} ".join(parts)
    first = [words[0] for words in alternatives]
    if len(first) > 1 and not any(map(is_chinese, first)):
        expression = f'({expression}) OR "{"".join(first)}"*'
    return expression


def _word(word: str, typing: bool) -> str:
    # `20` is not the beginning of 2025, unless one is still typing.
    goes_on = typing or (len(word) > 2 and not word.isdigit())
    return f'"{word}"*' if goes_on else f'"{word}"'


def _counts(database: sqlite3.Connection, match: str) -> dict[str, int]:
    return dict(
        database.execute(
            "SELECT kind, count(*) FROM found JOIN things ON things.id = found.rowid"
            " WHERE found MATCH ? GROUP BY kind ORDER BY count(*) DESC",
            (match,),
        )
    )


def _near(database: sqlite3.Connection, word: str) -> list[str]:
    """The words most like one that stands nowhere, nearest and most used first."""
    most = typos_of(word)
    if (
        most == 0
        or database.execute(
            "SELECT 1 FROM words WHERE word >= ? AND word < ? LIMIT 1", (word, word + "\U0010ffff")
        ).fetchone()
    ):
        return []
    spellings = sorted(shortened(word))
    marks = ", ".join("?" * len(spellings))
    candidates = database.execute(
        "SELECT DISTINCT words.word, uses FROM misspellings JOIN words USING (word)"
        f" WHERE spelling IN ({marks})",
        spellings,
    )
    near = sorted(
        (distance, -uses, other)
        for other, uses in candidates
        if (distance := OSA.distance(word, other, score_cutoff=most)) <= most
    )
    return [other for _, _, other in near[:_CORRECTIONS]]


def _candidates(database: sqlite3.Connection, match: str, words: list[str], kinds: Sequence[str]) -> set[int]:
    """Things worth ranking: with just this name, with a name that begins so, and the best of the others."""
    whole, joined = " ".join(words), "".join(words)
    only = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
    found: set[int] = set()
    for statement, values in (
        ("SELECT thing FROM names JOIN things ON things.id = thing WHERE folded IN (?, ?)", (whole, joined)),
        (
            "SELECT thing FROM names JOIN things ON things.id = thing WHERE folded >= ? AND folded < ?",
            (whole, whole + "\U0010ffff"),
        ),
        ("SELECT things.id FROM found JOIN things ON things.id = found.rowid WHERE found MATCH ?", (match,)),
    ):
        order = " ORDER BY bm25(found, 10.0, 1.0)" if "MATCH" in statement else ""
        rows = database.execute(f"{statement}{only}{order} LIMIT {REACH}", (*values, *kinds))
        found.update(row[0] for row in rows)
    return found


def _ranked(database: sqlite3.Connection, candidates: set[int], words: list[str]) -> list[Hit]:
    marks = ", ".join("?" * len(candidates))
    best: dict[int, tuple[float, str]] = {}
    ids = sorted(candidates)
    for thing, rank, text, folded in database.execute(
        f"SELECT thing, rank, text, folded FROM names WHERE thing IN ({marks})", ids
    ):
        score = _likeness(folded, words) * _RANKED[rank]
        if score > best.get(thing, (0.0, ""))[0]:
            best[thing] = (score, text)
    hits = []
    for id, *row in database.execute(
        f"SELECT id, iri, curie, kind, labels, description FROM things WHERE id IN ({marks})", ids
    ):
        score, matched = best.get(id, (0.0, ""))
        hits.append(_hit(row, matched, round(max(score, 0.1), 4)))
    hits.sort(key=lambda hit: (-hit.score, _FIRST.get(hit.kind, len(_FIRST)), len(hit.label()), hit.iri))
    return hits[:REACH]


def _likeness(folded: str, words: list[str]) -> float:
    """How near a name is to the words asked for: 1 is the same, below 0.5 some words are missing."""
    whole = " ".join(words)
    if folded in (whole, "".join(words)):
        return 1.0
    share = min(1.0, len(whole) / len(folded))
    if folded.startswith(whole):
        return (0.8 if folded[len(whole)] == " " else 0.75) + 0.15 * share
    if f" {whole}" in folded:
        return 0.6 + 0.15 * share
    own = folded.split(" ")
    there = sum(any(each.startswith(word) for each in own) for word in words)
    if there == len(words):
        return 0.5 + 0.1 * share
    return 0.4 * there / len(words)


def _hit(row: Sequence[str], matched: str, score: float) -> Hit:
    iri, curie, kind, labels, description = row
    return Hit(iri, curie, kind, json.loads(labels), description, matched, score)
