"""What curators decided: the status of findings, and which reported measure counts as a registered one.

Each row has a note, a role and a date. Hides the tables' words for statuses. Whether a finding of a name
exists is for the build to see: that depends on what the rules find in all sources together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pyoxigraph import Literal, Quad

from kg.errors import UnknownValue, UsageError
from kg.parts import SourceInfo
from kg.terms import BASE, STROMA, XSD, expand
from loaders.emit import Graph, date, lang, string
from loaders.record import Record
from loaders.tables import rows

# Only what is accepted is stated; the other rows tell the next curator what was thought of.
_COUNTS = {"accepted": True, "rejected": False, "open": False}
_STATUS = {
    "open": STROMA.FindingOpen,
    "explained": STROMA.FindingExplained,
    "source error": STROMA.FindingSourceError,
}


def read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]:
    """One record for each row of the tables; its id is the finding, or the pair of measures."""
    for path in files:
        for row in rows(path, source=info.name):
            named = (row.fields.get(column, "") for column in ("finding", "reported", "registered"))
            key = " ".join(filter(None, named))
            yield Record(info.name, key, row.fields, file=path.name, line=row.line)


def quads(record: Record, graph: Graph) -> Iterator[Quad]:
    """What one row decides; raises UnknownValue for a status, BadValue for a name or date, that cannot be."""
    if record.count("registered"):
        yield from _measures(record, graph)
        return
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
    decided = _day(record)
    yield graph.quad(finding, STROMA.findingStatus, _STATUS[status])
    yield graph.quad(finding, STROMA.judgedSummary, lang(record.require("summary"), "en"))
    yield graph.quad(finding, STROMA.explanation, lang(record.require("note"), "en"))
    yield graph.quad(finding, STROMA.decidedBy, string(record.require("role")))
    yield graph.quad(finding, STROMA.decidedDate, decided)


def _measures(record: Record, graph: Graph) -> Iterator[Quad]:
    """That results of one measure answer to an outcome of another, where that was accepted."""
    reported, registered = (STROMA(record.require(name)) for name in ("reported", "registered"))
    status = record.require("status")
    if status not in _COUNTS:
        raise UnknownValue(
            f"should be one of {', '.join(_COUNTS)}",
            value=status, advice="Mend the row", **record.place("status"),
        )  # fmt: skip
    for name in ("note", "role"):
        record.require(name)
    _day(record)
    if _COUNTS[status]:
        yield graph.quad(reported, STROMA.countsAs, registered)


def _day(record: Record) -> Literal:
    """When a row was decided."""
    decided = date(record, "date", record.require("date"))
    if decided.datatype != XSD.date:
        raise record.bad("date", decided.value, "should be a day")
    return decided
