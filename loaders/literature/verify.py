"""Check the claims against the documents: that each span still says what it said when it was read.

Hides how a span is found in a file. Nothing here needs the wording itself: the tables keep its hash only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from kg.errors import SourceError
from loaders import emit, tables
from loaders.record import Record

SOURCE = "literature"
RECORDS = Path(__file__).resolve().parent / "records"


def verify(documents: Path, records: Path = RECORDS) -> list[SourceError]:
    """What does not agree between the claims in `records` and the files in the folder `documents`.

    Empty when every document has its recorded SHA-256 and every span its line and SHA-256. A span's
    offsets count Unicode code points of the file as stored: 0-based, end exclusive.
    """
    problems: list[SourceError] = []
    texts: dict[str, tuple[str, str]] = {}  # document id -> file name, text
    for row in tables.rows(records / "documents.tsv", source=SOURCE):
        record = Record(SOURCE, row.fields["id"], row.fields, file="documents.tsv", line=row.line)
        try:
            text, difference = _open(documents, record)
        except SourceError as problem:
            problems.append(problem)
            continue
        texts[record.id] = record.require("file"), text
        if difference is not None:
            problems.append(difference)
    for row in tables.rows(records / "claims.tsv", source=SOURCE):
        record = Record(SOURCE, row.fields["id"], row.fields, file="claims.tsv", line=row.line)
        document = record.require("document")
        if document in texts:
            problems.extend(_spans(record, *texts[document]))
    return problems


def _open(documents: Path, record: Record) -> tuple[str, SourceError | None]:
    """A document's text, and how it differs from the one that was read, if it does."""
    name = record.require("file")
    try:
        data = (documents / name).read_bytes()
    except OSError as problem:
        raise SourceError(
            f"the document cannot be read ({problem.strerror})",
            source=SOURCE, file=name, record=f"document {record.id}",
            advice="Give the folder that holds the documents",
        ) from problem  # fmt: skip
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise SourceError(
            f"the document is not UTF-8 (byte {problem.start} is {data[problem.start]:#04x})",
            source=SOURCE, file=name, record=f"document {record.id}",
            advice="Save it as UTF-8, or restore the original file",
        ) from problem  # fmt: skip
    actual, expected = hashlib.sha256(data).hexdigest(), record.require("sha256")
    if actual == expected:
        return text, None
    return text, SourceError(
        f"the document has changed: its SHA-256 is {actual}, recorded is {expected}",
        source=SOURCE, file=name, record=f"document {record.id}",
        advice="Restore the original, or read its claims anew and record the new hash",
    )  # fmt: skip


def _spans(record: Record, name: str, text: str) -> Iterator[SourceError]:
    """The problems of one claim's span; at most one."""
    line, start, end = (
        int(emit.integer(record, f, record.require(f)).value) for f in ("line", "start", "end")
    )
    place = f"claim {record.id}, characters {start} to {end}"
    if not 0 <= start < end <= len(text):
        yield SourceError(
            f"the span lies outside the document, which has {len(text)} characters",
            source=SOURCE, file=f"{name}:{line}", record=place,
            advice="Mend the offsets in claims.tsv, or restore the document",
        )  # fmt: skip
        return
    actual_line = text.count("\n", 0, start) + 1
    actual, expected = hashlib.sha256(text[start:end].encode()).hexdigest(), record.require("sha256")
    if actual != expected:
        yield SourceError(
            f"the span no longer says what was read: its SHA-256 is {actual}, recorded is {expected}",
            source=SOURCE, file=f"{name}:{line}", record=place,
            advice="Find the sentence again and record its offsets and hash, or restore the document",
        )  # fmt: skip
    elif actual_line != line or "\n" in text[start:end]:
        yield SourceError(
            f"the span stands in line {actual_line}, not in line {line} alone",
            source=SOURCE, file=f"{name}:{line}", record=place,
            advice="Mend the line in claims.tsv",
        )  # fmt: skip
