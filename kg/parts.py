"""What a loader hands over: a Part, its source's description, and the account of its fields.

Plain data between `loaders` and `kg.build`; neither looks inside the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
    """

    records: int = 0
    quads: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Part:
    """One source's quads, streamed. `account` is complete once `quads` is exhausted."""

    source: SourceInfo
    files: tuple[Path, ...]
    embedded: bool  # True when the files are the source's own `records/`
    quads: Iterator[Quad]
    account: Account


def dated(version: str) -> Literal | None:
    """The time a version stands for: midnight (UTC) of one that is a date, else None.

    Never the clock: the same sources must give the same snapshot.
    """
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", version) is None:
        return None
    return Literal(f"{version}T00:00:00Z", datatype=XSD.dateTime)
