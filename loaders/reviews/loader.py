"""Curators' reviews of findings: the status each was given, with a note, by whom (a role) and when.

Hides the table's words for statuses. Whether a finding of that name exists is for the build to see: that
depends on what the rules find in all sources together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pyoxigraph import Quad

from kg.errors import UnknownValue, UsageError
from kg.parts import SourceInfo
from kg.terms import BASE, STROMA, XSD, expand
from loaders.emit import Graph, date, lang, string
from loaders.record import Record
from loaders.tables import rows

_STATUS = {
    "open": STROMA.FindingOpen,
    "explained": STROMA.FindingExplained,
    "source error": STROMA.FindingSourceError,
}


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """One record for each row of the table; its id is the finding."""
    for path in files:
        for row in rows(path, source=info.name):
            yield Record(info.name, row.fields.get("finding", ""), row.fields, file=path.name, line=row.line)


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """What one row decides; raises UnknownValue for a status, BadValue for a name or date, that cannot be."""
    name = record.require("finding")
    try:
        finding = expand(name)
    except UsageError as problem:
        raise record.bad("finding", name, f"is not a name: {problem}") from problem
    if not finding.value.startswith(f"{BASE}finding/"):
        raise record.bad("finding", name, "names no finding", "kg findings lists their names")
    status = record.require("status")
    if status not in _STATUS:
        raise UnknownValue(
            f"should be one of {', '.join(_STATUS)}",
            value=status, advice="A finding that is mended is gone: remove its row", **record.place("status"),
        )  # fmt: skip
    decided = date(record, "date", record.require("date"))
    if decided.datatype != XSD.date:
        raise record.bad("date", decided.value, "should be a day")
    yield graph.quad(finding, STROMA.findingStatus, _STATUS[status])
    yield graph.quad(finding, STROMA.judgedSummary, lang(record.require("summary"), "en"))
    yield graph.quad(finding, STROMA.explanation, lang(record.require("note"), "en"))
    yield graph.quad(finding, STROMA.decidedBy, string(record.require("role")))
    yield graph.quad(finding, STROMA.decidedDate, decided)
