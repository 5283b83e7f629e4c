"""ClinicalTrials.gov records to quads: API v2, the archived classic form, and our tables of RA trials.

Hides the three forms; a trial has the same IRI in each. No name, telephone number or e-mail
address of a person leaves this room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pyoxigraph import Quad

from kg.parts import SourceInfo, Unit
from loaders import privacy
from loaders.clinicaltrials import classic, statements, table, v2
from loaders.clinicaltrials import read as reading
from loaders.clinicaltrials.protocol import people
from loaders.emit import Graph
from loaders.record import Record


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """The records of the files, streamed; an exact repeat of a record comes once.

    Raises SourceError or BadValue naming file, line and record for damaged input.
    """
    yield from reading.records(files, info.name)


def units(files: Sequence[Path], info: SourceInfo) -> Iterator[Unit]:
    """The files in pieces that `of_unit` reads one by one; raises SourceError for damaged input."""
    yield from reading.units(files, info.name)


def of_unit(unit: Unit, info: SourceInfo) -> Iterator[Record]:
    """The records of a piece; raises SourceError or BadValue naming file, line and record."""
    yield from reading.of_unit(unit, info.name)


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """All statements of one record; raises UnknownValue or BadValue naming record and field."""
    if record.count("protocolSection"):
        found, named = statements.quads(v2.read(record), record, graph), people(record, classic=False)
    elif record.count("NCTId"):
        found, named = statements.quads(classic.read(record), record, graph), people(record, classic=True)
    else:
        found, named = table.quads(record, graph), frozenset()
    yield from privacy.scrub(found, named)
