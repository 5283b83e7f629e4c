"""Tables of text (TSV, CSV) as rows with their line numbers.

Hides delimiters, quoting, encodings and limits: a row with too few columns, a wrong encoding or a
monstrous field raises SourceError naming file and line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from kg.errors import BadValue, SourceError

MAX_FIELD = 10_000_000  # characters; a longer field is damage, not data


@dataclass(frozen=True)
class Row:
    """One row: its fields by column name, in order, and the 1-based line it starts at."""

    line: int
    fields: dict[str, str]


def rows(path: Path, *, source: str, delimiter: str = "\t", encoding: str = "utf-8") -> Iterator[Row]:
    """The rows of a table whose first line names the columns; comment lines start with "#" (TSV only).

    A tab-separated table has no quoting; any other is CSV with double quotes. Raises SourceError for a
    wrong encoding, a repeated column name or a row of another width, BadValue for a field over MAX_FIELD.
    """
    with path.open("rb") as handle:
        yield from rows_of(handle, path.name, source=source, delimiter=delimiter, encoding=encoding)


def rows_of(
    handle: BinaryIO, file: str, *, source: str, delimiter: str = "\t", encoding: str = "utf-8"
) -> Iterator[Row]:
    """`rows`, of an open file; `file` is its name in messages."""
    text = io.TextIOWrapper(handle, encoding=encoding, newline="")
    try:
        if delimiter == "\t":
            yield from _tabbed(text, file, source)
        else:
            yield from _quoted(text, file, source, delimiter)
    except UnicodeDecodeError as problem:
        raise SourceError(
            f"is not {encoding}: byte {problem.start} of its block is {problem.object[problem.start]:#04x}",
            source=source, file=file, advice="Save it in that encoding, or fetch it again",
        ) from problem  # fmt: skip
    finally:
        text.detach()


def _tabbed(handle: TextIO, file: str, source: str) -> Iterator[Row]:
    header: list[str] | None = None
    line = 0
    # A line is read in bounded pieces, so that one of a gigabyte cannot fill the memory first.
    while text := handle.readline(MAX_FIELD):
        line += 1
        values = text.rstrip("\r\n").split("\t")
        if len(text) >= MAX_FIELD:
            longest = max(range(len(values)), key=lambda n: len(values[n]))
            name = header[longest] if header and longest < len(header) else f"column {longest + 1}"
            raise _too_long(source, f"{file}:{line}", values[0][:40], name)
        if text.startswith("#") or not text.strip():
            continue
        if header is None:
            header = _columns(values, file, source)
        else:
            yield Row(line, _fields(header, values, f"{file}:{line}", source))


def _quoted(handle: TextIO, file: str, source: str, delimiter: str) -> Iterator[Row]:
    header: list[str] | None = None
    reader = csv.reader(_bounded(handle, file, source), delimiter=delimiter, strict=True)
    start = 1
    try:
        for values in reader:
            if header is None:
                header = _columns(values, file, source)
            else:
                yield Row(start, _fields(header, values, f"{file}:{start}", source))
            start = reader.line_num + 1
    except csv.Error as problem:
        raise SourceError(
            f"the row does not parse as CSV: {problem}",
            source=source, file=f"{file}:{start}", advice="Mend the row's quotes, or fetch the file again",
        ) from problem  # fmt: skip


def _bounded(handle: TextIO, file: str, source: str) -> Iterator[str]:
    line = 0
    while text := handle.readline(MAX_FIELD):
        line += 1
        if len(text) >= MAX_FIELD:
            raise _too_long(source, f"{file}:{line}", text[:40], "of this row")
        yield text


def _too_long(source: str, place: str, record: str, field: str) -> BadValue:
    return BadValue(
        f"is longer than {MAX_FIELD:,} characters",
        source=source, file=place, record=record, field=field,
        advice="The file is probably damaged; fetch it again",
    )  # fmt: skip


def _columns(values: list[str], file: str, source: str) -> list[str]:
    doubled = sorted({name for name in values if values.count(name) > 1})
    if doubled:
        raise SourceError(
            f"two columns are called {doubled[0]!r}",
            source=source, file=file, advice="Name each column once",
        )  # fmt: skip
    return values


def _fields(header: list[str], values: list[str], place: str, source: str) -> dict[str, str]:
    if len(values) != len(header):
        raise SourceError(
            f"the row has {len(values)} columns, the header {len(header)}",
            source=source, file=place, record=values[0],
            advice="Mend the row; a truncated file is the usual cause",
        )  # fmt: skip
    return dict(zip(header, values, strict=True))
