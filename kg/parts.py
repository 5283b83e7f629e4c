"""What goes between `loaders` and the build: a Part with its source and account; partitions, what they gave.

Plain data; neither side looks inside the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyoxigraph import Literal, NamedNode, Quad

from kg.terms import XSD


@dataclass(frozen=True)
class Expectation:
    """What a source should give; the build compares and stops on a difference.

    `records` is the exact number of records. `counts` maps the CURIE of a class to the exact number of
    its instances asserted in the source's graph.
    """

    records: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceInfo:
    """A source as its `source.toml` describes it."""

    name: str
    title: str
    description: str
    kind: str  # registry, literature, terminology
    level: str  # of what its graph states: stated, recorded, curated, defined (stroma:StatementLevel)
    url: str
    licence: str
    version: str  # of the embedded data; a date or the publisher's own version
    graph: NamedNode
    ignored: Mapping[str, str]  # field pattern -> why it is out of scope
    expected: Expectation  # holds for the embedded data only
    embedded: str = ""  # the embedded files, as a pattern of paths below the project's root


@dataclass
class Account:
    """What became of a source's fields: how often each was taken, ignored with a reason, or left unread.

    `left_out` counts single values of fields that were taken ("LocationFacility: may name a person");
    `unreadable` counts where a rule looked for a value and found none, or several ("dose: not in any text").
    `repeated` are records left out for being the same as one before. Of a partition, `units` are how many it
    has, and `empty` those of each file that hold no record (an empty page of an API).
    """

    records: int = 0
    quads: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    units: int = 0
    empty: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Account:
        """The account of its fields by name."""
        counts = {name: Counter(value) for name, value in told.items() if isinstance(value, Mapping)}
        return cls(told["records"], told["quads"], repeated=told["repeated"], units=told["units"], **counts)

    def add(self, other: Account) -> None:
        """Take over what became of the fields of other records."""
        self.records += other.records
        self.quads += other.quads
        self.repeated += other.repeated
        self.units += other.units
        for mine, theirs in (
            (self.taken, other.taken),
            (self.ignored, other.ignored),
            (self.unread, other.unread),
            (self.left_out, other.left_out),
            (self.unreadable, other.unreadable),
            (self.empty, other.empty),
        ):
            mine.update(theirs)


@dataclass(frozen=True)
class Part:
    """One source's quads, streamed. `account` is complete once `quads` is exhausted."""

    source: SourceInfo
    files: tuple[Path, ...]
    embedded: bool  # True when the files are the source's own `records/`
    quads: Iterator[Quad]
    account: Account


@dataclass(frozen=True)
class Unit:
    """Bytes of a source's file that can be read without the rest: a line, a document, a table.

    `line` is 1-based where the file has a record a line; `end` is how far the file had been read, in bytes
    of the file as it stands on disk.
    """

    file: str
    line: int | None
    data: bytes
    end: int


@dataclass(frozen=True)
class Partition:
    """Some records of a source, to be loaded together, in whatever process or on whatever machine.

    `code` names the code that is to load them (`loaders.catalog.code`).
    `units` hold them; a source whose loader does not divide its files has `files` instead, and one
    partition. Records named in `left_out` stand in an earlier partition too, and come from there.
    """

    source: str
    code: str
    units: tuple[Unit, ...] = ()
    files: tuple[Path, ...] = ()
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Loaded:
    """What a partition gave, plain and small enough to be sent.

    `lines` are the sorted unique N-Quads lines, compressed with zstd, and `quads` their number; `records` the
    SHA-256 of each record and its file, by identifier; `terms` a line for each predicate and class that is
    used. `standing` are the things that stand on a line of a file: IRI, and which of the partition's units
    (from 0) is that line. The quads that give its number are left out of `lines`, so that these stay as they
    are when records before them come or go.
    """

    lines: bytes
    quads: int
    records: Mapping[str, tuple[str, str]]
    terms: tuple[bytes, ...]
    account: Account
    standing: tuple[tuple[str, int], ...] = ()


def dated(version: str) -> Literal | None:
    """The time a version stands for: midnight (UTC) of one that is a date, else None.

    Never the clock: the same sources must give the same snapshot.
    """
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", version) is None:
        return None
    return Literal(f"{version}T00:00:00Z", datatype=XSD.dateTime)
