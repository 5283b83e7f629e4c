"""ClinicalTrials.gov records to quads: API v2, the archived classic form, and our tables of RA trials.

Hides the three forms; a trial has the same IRI in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pyoxigraph import Quad

from kg.parts import SourceInfo
from loaders.clinicaltrials import classic, statements, table, v2
from loaders.clinicaltrials import read as reading
from loaders.emit import Graph
from loaders.record import Record


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """The records of the files, streamed; an exact repeat of a record comes once.

    Raises SourceError or BadValue naming file, line and record for damaged input.
    """
    yield from reading.records(files, info.name)


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """All statements of one record; raises UnknownValue or BadValue naming record and field."""
    if record.count("protocolSection"):
        yield from statements.quads(v2.read(record), record, graph)
    elif record.count("NCTId"):
        yield from statements.quads(classic.read(record), record, graph)
    else:
        yield from table.quads(record, graph)
