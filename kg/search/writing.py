"""Writes the index of a snapshot: one SQLite file beside its data.

Hides the tables. The lines of a snapshot are sorted, so all that is said of one thing stands together: one
pass, in memory that grows neither with the things nor with the words used.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, parse

from kg.errors import SnapshotError
from kg.search.folding import fold, is_chinese
from kg.snapshot import Snapshot, merge_runs, read_lines
from kg.terms import DCTERMS, OBO, OWL, RDF, RDFS, SKOS, STROMA, Namespace, compress

INDEX = "search.sqlite"
FORMAT = 1  # raised when an older file cannot be read: it is written again
LANGUAGES = ("en", "zh-Hans", "zh-Hant")
_OBOINOWL = Namespace("http://www.geneontology.org/formats/oboInOwl#")
_FOAF = Namespace("http://xmlns.com/foaf/0.1/")

# What a thing is to a person who searches; the first class that fits decides.
KINDS: tuple[tuple[str, tuple[NamedNode, ...]], ...] = (
    ("trial", (STROMA.ClinicalStudy, OBO("OBI_0003699"), OBO("OBI_0004001"))),
    ("finding", (STROMA.Discrepancy,)),
    ("claim", (STROMA.Claim,)),
    ("publication", (STROMA.Publication,)),
    ("document", (STROMA.SourceDocument,)),
    ("measure", (STROMA.OutcomeMeasure,)),
    ("regimen", (STROMA.InterventionRegimen,)),
    ("product", (STROMA.TherapeuticProduct, STROMA.CellTherapyProduct, STROMA.DrugProduct)),
    ("group", (STROMA.AnalysisGroup, STROMA.TrialArm, STROMA.Population, STROMA.StudyCollection)),
    ("outcome", (STROMA.PlannedOutcome,)),
    ("organization", (_FOAF.Organization,)),
    ("place", (STROMA.StudyLocation,)),
    ("condition", (OBO("MONDO_0000001"), OBO("MONDO_0008383"))),
    ("class", (OWL.Class,)),
    ("property", (OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty)),
    ("value", (OWL.NamedIndividual,)),
)
_KINDS = tuple((kind, frozenset(str(each).encode() for each in classes)) for kind, classes in KINDS)
# How much a match on such a name counts: 0 most.
_NAMES: dict[NamedNode, int] = {
    RDFS.label: 0,
    SKOS.prefLabel: 0,
    STROMA.claimText: 0,
    DCTERMS.title: 1,
    STROMA.acronym: 1,
    STROMA.abbreviation: 1,
    _OBOINOWL.hasExactSynonym: 1,
    STROMA.officialTitle: 2,
    SKOS.altLabel: 2,
    _OBOINOWL.hasNarrowSynonym: 2,
    _OBOINOWL.hasBroadSynonym: 2,
    _OBOINOWL.hasRelatedSynonym: 2,
    SKOS.hiddenLabel: 3,
}
_IDENTIFIERS = frozenset(
    {DCTERMS.identifier, STROMA.secondaryId, STROMA.doi, STROMA.pubmedId, STROMA.pmcId, STROMA.meshId}
)
_DESCRIPTIONS = (
    OBO("IAO_0000115"),
    STROMA.briefSummary,
    DCTERMS.description,
    STROMA.explanation,
    STROMA.citation,
    STROMA.keyword,
)
# The same by the tokens of a canonical line: nothing is parsed that is not wanted.
_TYPE = str(RDF.type).encode()
_RANKS = {str(predicate).encode(): rank for predicate, rank in _NAMES.items()}
_NUMBERS = frozenset(str(predicate).encode() for predicate in _IDENTIFIERS)
_TEXTS = tuple(str(predicate).encode() for predicate in _DESCRIPTIONS)
_WANTED = frozenset({_TYPE, *_RANKS, *_NUMBERS, *_TEXTS})
_BEST, _TITLE = str(SKOS.prefLabel).encode(), str(DCTERMS.title).encode()
_AT_ONCE = 2_000  # things written at once
_WORDS = 200_000  # counted in memory; more are put down, sorted, and merged in the end
_LONGEST_NAME = 400  # characters; a longer one is text
_LONGEST_JOINED = 40
_SENTENCES = ("claim", "finding", "trial", "publication")  # their words are not what a typo is corrected to
_TYPO_LEAST = 4  # letters of a word that may be misspelt by one, and by two from 8 on


def write_index(snapshot: Snapshot) -> Path:
    """Write the index of a snapshot into its folder, in one step, unless it is there; returns its file.

    Raises SnapshotError where the snapshot has gone meanwhile, OSError where the file cannot be written.
    """
    target = snapshot.folder / INDEX
    if target.exists() and _format_of(target) == FORMAT:
        return target
    draft = target.with_name(f".{INDEX}-{os.getpid()}-{threading.get_ident()}")
    try:
        draft.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(draft, isolation_level=None)) as database,
            tempfile.TemporaryDirectory(dir=snapshot.folder, prefix=f".{INDEX}-words-") as folder,
        ):
            _write(database, _things(read_lines(snapshot)), _Words(Path(folder)))
        os.replace(draft, target)
    except (FileNotFoundError, sqlite3.OperationalError) as problem:
        if snapshot.folder.exists():
            if isinstance(problem, OSError):
                raise
            raise OSError(errno.EIO, str(problem), str(target)) from problem  # a full disk, above all
        raise SnapshotError(
            f"{snapshot.folder}: the snapshot is gone; a newer one took its place"
        ) from problem
    finally:
        draft.unlink(missing_ok=True)
    return target


def _format_of(file: Path) -> int:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        found: int = database.execute("PRAGMA user_version").fetchone()[0]
        return found


@dataclass
class _Thing:
    iri: str
    types: set[bytes] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    identifiers: set[str] = field(default_factory=set)
    texts: dict[bytes, dict[str, str]] = field(default_factory=dict)

    def take(self, predicate: bytes, value: bytes) -> None:
        """One statement about the thing, by the tokens of its line."""
        if not value.startswith(b'"'):
            if predicate == _TYPE:
                self.types.add(value)
            return
        text, language = _literal(value)
        if predicate in _NUMBERS:
            self.identifiers.add(text)
        elif predicate in _RANKS and len(text) <= _LONGEST_NAME:
            rank = _RANKS[predicate]
            self.names[text] = min(rank, self.names.get(text, rank))
            names_it = rank == 0 or (predicate == _TITLE and "en" not in self.labels)
            if names_it and (predicate == _BEST or language not in self.labels):
                self.labels[language] = text
        else:
            self.texts.setdefault(predicate, {}).setdefault(language, text)

    @property
    def kind(self) -> str | None:
        """What it is to a person who searches, or None for what nobody looks for by name."""
        return _kind(frozenset(self.types))

    def description(self) -> str:
        """The text that says most of it."""
        for predicate in _TEXTS:
            if predicate in self.texts:
                said = self.texts[predicate]
                return said.get("en") or next(iter(said.values()))
        return next((name for name, rank in self.names.items() if rank == 1), "")


@lru_cache(maxsize=4096)
def _kind(types: frozenset[bytes]) -> str | None:
    return next((kind for kind, tokens in _KINDS if not types.isdisjoint(tokens)), None)


def _literal(token: bytes) -> tuple[str, str]:
    """The text of a literal of a canonical line, stripped, and its language; "en" where it has none."""
    if b"\\" in token:
        (quad,) = parse(b"<x:> <x:> " + token + b" .", format=RdfFormat.N_QUADS)
        assert isinstance(quad, Quad)
        assert isinstance(quad.object, Literal)
        return quad.object.value.strip(), _tag(quad.object.language)
    end = token.rindex(b'"')
    after = token[end + 1 :]
    language = after[1:].partition(b"--")[0].decode() if after.startswith(b"@") else None
    return token[1:end].decode().strip(), _tag(language)


def _tag(language: str | None) -> str:
    tag = (language or "en").lower()
    return {"zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}.get(tag, tag)


def _things(lines: Iterable[bytes]) -> Iterator[_Thing]:
    """What the graph says of each thing that has an IRI, one thing after the other."""
    thing = _Thing("")
    before = b""
    for line in lines:
        subject, predicate, rest = line.split(b" ", 2)
        if predicate not in _WANTED:
            continue
        if subject != before:
            if thing.kind is not None and (thing.labels or thing.names):
                yield thing
            before, thing = subject, _Thing(subject.decode()[1:-1])
        if subject.startswith(b"<"):
            thing.take(predicate, rest.rsplit(b" ", 2)[0])
    if thing.kind is not None and (thing.labels or thing.names):
        yield thing


class _Words:
    """How often each word is used, counted in flat memory: runs of them stand in a folder meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._runs = folder, 0
        self._uses: dict[str, int] = {}

    def add(self, word: str) -> None:
        """One more use of a word."""
        self._uses[word] = self._uses.get(word, 0) + 1
        if len(self._uses) >= _WORDS:
            self._put()

    def _put(self) -> None:
        with (self._folder / str(self._runs)).open("wb") as run:
            # With its number, so that two runs that say the same of a word are two lines.
            run.writelines(
                f"{word} {uses} {self._runs}\n".encode() for word, uses in sorted(self._uses.items())
            )
        self._runs += 1
        self._uses.clear()

    def counted(self) -> Callable[[], Iterator[tuple[str, int]]]:
        """What gives each word and its uses, sorted by word, as often as it is called; it comes last."""
        if not self._runs:
            held = sorted(self._uses.items())
            return lambda: iter(held)
        self._put()
        merged = self._folder / "merged"
        with merged.open("wb") as file:
            lines = (
                line.split(b" ") for line in merge_runs([self._folder / str(n) for n in range(self._runs)])
            )
            for word, some in groupby(lines, key=lambda line: line[0]):
                file.write(b"%b %d\n" % (word, sum(int(uses) for _, uses, _ in some)))

        def again() -> Iterator[tuple[str, int]]:
            with merged.open("rb") as file:
                for line in file:
                    word, uses = line.split()
                    yield word.decode(), int(uses)

        return again


def _write(database: sqlite3.Connection, things: Iterable[_Thing], words: _Words) -> None:
    database.executescript(f"""
        PRAGMA journal_mode = OFF;
        PRAGMA synchronous = OFF;
        PRAGMA cache_size = -65536; -- 64 MB: misspellings come in no order
        PRAGMA user_version = {FORMAT};
        CREATE TABLE things (
            id INTEGER PRIMARY KEY, iri TEXT, curie TEXT, kind TEXT, labels TEXT, description TEXT);
        CREATE TABLE names (thing INTEGER, rank INTEGER, text TEXT, folded TEXT);
        CREATE TABLE kinds (kind TEXT PRIMARY KEY, things INTEGER);
        CREATE TABLE words (word TEXT PRIMARY KEY, uses INTEGER) WITHOUT ROWID;
        CREATE TABLE misspellings (spelling TEXT, word TEXT, PRIMARY KEY (spelling, word)) WITHOUT ROWID;
        CREATE VIRTUAL TABLE found USING fts5(
            names, texts, content='', detail=full, tokenize="unicode61 remove_diacritics 0", prefix='2 3 4');
        BEGIN;
    """)
    described, named, found = list[Sequence[object]](), list[Sequence[object]](), list[Sequence[object]]()

    def insert() -> None:
        for sql, rows in (
            ("INSERT INTO things VALUES (?, ?, ?, ?, ?, ?)", described),
            ("INSERT INTO names VALUES (?, ?, ?, ?)", named),
            ("INSERT INTO found (rowid, names, texts) VALUES (?, ?, ?)", found),
        ):
            database.executemany(sql, rows)
            rows.clear()

    for number, thing in enumerate(things, 1):
        curie = compress(thing.iri)
        labels = {language: thing.labels[language] for language in LANGUAGES if language in thing.labels}
        if "en" not in labels:
            labels["en"] = next(iter(thing.labels.values()), None) or next(iter(thing.names))
        names = dict(thing.names)
        for identifier in (curie, *sorted(thing.identifiers)):
            names.setdefault(identifier, 0)
        rows: set[tuple[int, int, str, str]] = set()
        for text, rank in names.items():
            folded = fold(text)
            rows.add((number, rank, text, " ".join(folded)))
            rows.add((number, rank, text, _joined(folded)))
            if rank < 2 and thing.kind not in _SENTENCES:
                for word in filter(typos_of, folded):
                    words.add(word)
        described.append(
            (
                number,
                thing.iri,
                curie,
                thing.kind,
                json.dumps(labels, ensure_ascii=False),
                thing.description(),
            )
        )
        rows = {row for row in rows if row[3]}
        named += sorted(rows)
        texts = " ".join(" ".join(fold(text)) for said in thing.texts.values() for text in said.values())
        found.append((number, " | ".join(sorted({row[3] for row in rows})), texts))
        if number % _AT_ONCE == 0:
            insert()
    insert()
    counted = words.counted()
    database.executemany("INSERT INTO words VALUES (?, ?)", counted())
    database.executemany(
        "INSERT OR IGNORE INTO misspellings VALUES (?, ?)",
        ((spelling, word) for word, _ in counted() for spelling in sorted(shortened(word))),
    )
    database.executescript("""
        INSERT INTO kinds SELECT kind, count(*) FROM things GROUP BY kind;
        CREATE INDEX names_folded ON names (folded);
        CREATE INDEX names_thing ON names (thing);
        CREATE UNIQUE INDEX things_iri ON things (iri);
        INSERT INTO found (found) VALUES ('optimize');
        ANALYZE;
    """)


def _json(labels: Mapping[str, str]) -> str:
    return json.dumps(labels, ensure_ascii=False)


def _joined(folded: list[str]) -> str:
    """The words as one, for who writes IFNγ or UCMSC; nothing where that makes no sense."""
    joined = "".join(folded)
    plain = not any(is_chinese(word) for word in folded)
    return joined if plain and len(folded) > 1 and len(joined) <= _LONGEST_JOINED else ""


def typos_of(word: str) -> int:
    """How many letters of a word may be wrong; none where it has a digit."""
    # One number is not meant by another; and their spellings grow with the records, as words do not.
    if len(word) < _TYPO_LEAST or is_chinese(word) or any(map(str.isdigit, word)):
        return 0
    return 1 if len(word) < 8 else 2


def shortened(word: str) -> set[str]:
    """A word with up to `typos_of` letters left out: words that share one of these may be meant as one."""
    found = {word}
    for _ in range(typos_of(word)):
        found |= {each[:at] + each[at + 1 :] for each in found for at in range(len(each))}
    return found
