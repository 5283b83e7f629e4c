"""Files to records: JSON (a study, a list, a page or response of the API), JSON lines, tables; also `.gz`.

Hides the envelopes, the encodings and the guards: JSON lines and tables are read a line at a time, and a
field over 10 MB is refused by its name.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from kg.errors import BadValue, SourceError
from kg.parts import Unit
from loaders.record import Record
from loaders.tables import rows_of

MAX_FIELD = 10_000_000  # characters; a longer field is damage, not data
MAX_LINE = 4 * MAX_FIELD  # characters of one record; the longest of 1,257 real ones has 0.2 million
MAX_WHOLE = 1_000_000  # bytes of a JSON document; a larger one is divided into its studies
MAX_FILE = 2_000_000_000  # bytes of one JSON document; more belongs in JSON lines
_AGAIN = "Fetch the file again; a broken transfer is the usual cause"


def records(files: Sequence[Path], source: str) -> Iterator[Record]:
    """The records of the files in order; an exact repeat of a record is the same record and comes once.

    Archives overlap: pages fetched twice, a selection beside the whole. Two records of one identifier that
    differ are both given, and the caller refuses them. Raises SourceError naming file, line and record.
    """
    given: set[tuple[str, str]] = set()
    for unit in units(files, source):
        for record in of_unit(unit, source):
            key = (record.id, record.sha256)
            if key not in given:
                given.add(key)
                yield record


def units(files: Sequence[Path], source: str) -> Iterator[Unit]:
    """The files in pieces that can be read one by one: lines, documents (large ones by study), tables.

    Raises SourceError naming the file, for damage that keeps it from being divided.
    """
    for path in files:
        name = path.name.removesuffix(".gz")
        try:
            with path.open("rb") as raw, _unpacked(raw, path) as handle:
                if name.endswith((".jsonl", ".ndjson")):
                    yield from _lines(handle, raw, path.name, source)
                elif name.endswith((".json", ".tsv")):
                    yield from _document(handle, raw, path.name, source)
                else:
                    raise SourceError(
                        "the suffix does not tell the form", source=source, file=path.name,
                        advice="Known are .json, .jsonl (each also .gz) and .tsv",
                    )  # fmt: skip
        except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
            raise SourceError(
                f"the gzip file is damaged: {problem}", source=source, file=path.name, advice=_AGAIN
            ) from problem


def of_unit(unit: Unit, source: str) -> Iterator[Record]:
    """The records of a piece; raises SourceError naming file, line and record."""
    if unit.file.removesuffix(".gz").endswith(".tsv"):
        for row in rows_of(io.BytesIO(unit.data), unit.file, source=source):
            yield Record(source, row.fields["record"], row.fields, file=unit.file, line=row.line)
        return
    place = unit.file if unit.line is None else f"{unit.file}:{unit.line}"
    for study in _studies(_parse(unit.data, place, source), place, source):
        # What is short as a whole has no field that is too long.
        yield _record(study, source, unit.file, unit.line, whole=len(unit.data))


def _unpacked(raw: IO[bytes], path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(raw, "rb")) if path.suffix == ".gz" else raw


def _lines(handle: IO[bytes], raw: IO[bytes], file: str, source: str) -> Iterator[Unit]:
    number = 0
    # Read in bounded pieces, so that one line of a gigabyte cannot fill the memory first.
    while line := handle.readline(MAX_LINE):
        number += 1
        if len(line) >= MAX_LINE:
            raise _too_long(source, f"{file}:{number}", _identifier(line), _open_field(line))
        if line.strip():
            yield Unit(file, number, line, raw.tell())


def _document(handle: IO[bytes], raw: IO[bytes], file: str, source: str) -> Iterator[Unit]:
    data = handle.read(MAX_FILE)
    if len(data) >= MAX_FILE:
        raise SourceError(
            f"is over {MAX_FILE:,} bytes, too much to hold at once",
            source=source, file=file, advice="Write one study a line into a .jsonl file",
        )  # fmt: skip
    if len(data) < MAX_WHOLE or not file.removesuffix(".gz").endswith(".json"):
        yield Unit(file, None, data, raw.tell())
        return
    for study in _studies(_parse(data, file, source), file, source):
        yield Unit(file, None, json.dumps(study).encode(), raw.tell())


def _parse(raw: bytes, place: str, source: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        raise SourceError(
            f"is not UTF-8: byte {problem.start} is {problem.object[problem.start]:#04x}",
            source=source, file=place, advice="Save it as UTF-8, or fetch it again",
        ) from problem  # fmt: skip
    except json.JSONDecodeError as problem:
        raise SourceError(
            f"the JSON does not parse: {problem.msg} (line {problem.lineno}, column {problem.colno})",
            source=source, file=place, record=_identifier(raw), advice=_AGAIN,
        ) from problem  # fmt: skip
    except RecursionError as problem:
        raise SourceError(
            "the JSON is nested too deeply", source=source, file=place, advice=_AGAIN
        ) from problem


def _studies(value: Any, place: str, source: str) -> Iterator[Mapping[str, Any]]:
    """The studies inside whatever stands around them."""
    if isinstance(value, list):
        found = value
    elif isinstance(value, dict) and "studies" in value:
        found = value["studies"]
    elif isinstance(value, dict) and "StudyFieldsResponse" in value:
        found = value["StudyFieldsResponse"].get("StudyFields", [])
    elif isinstance(value, dict) and ("protocolSection" in value or "NCTId" in value):
        found = [value]
    else:
        found = None
    if not isinstance(found, list) or not all(isinstance(study, dict) for study in found):
        raise SourceError(
            "holds no studies, neither of API v2 (protocolSection) nor of the classic form (NCTId)",
            source=source, file=place, advice="Give a download of ClinicalTrials.gov as JSON",
        )  # fmt: skip
    yield from found


def _record(study: Mapping[str, Any], source: str, file: str, line: int | None, *, whole: int) -> Record:
    """A study as a record; `whole` is the number of bytes it was parsed from, alone or with others."""
    # The classic form writes absent fields as empty lists; left in, one record would have two digests.
    fields = {name: value for name, value in study.items() if value not in ([], "", None)}
    if "protocolSection" in fields:
        identifier = fields["protocolSection"].get("identificationModule", {}).get("nctId")
    else:
        identifier = fields.get("NCTId")
        if isinstance(identifier, list) and len(identifier) == 1:
            identifier = identifier[0]
    if not isinstance(identifier, str) or not re.fullmatch(r"NCT\d{8}", identifier):
        place = file if line is None else f"{file}:{line}"
        raise BadValue(
            "a study has no identifier of the form NCT01234567",
            source=source, file=place, field="nctId", value=identifier, advice=_AGAIN,
        )  # fmt: skip
    record = Record(source, identifier, fields, file=file, line=line)
    if whole > MAX_FIELD:
        _refuse_monsters(record, fields, "")
    return record


def _refuse_monsters(record: Record, value: Any, path: str) -> None:
    if isinstance(value, str):
        if len(value) > MAX_FIELD:
            place = record.file if record.line is None else f"{record.file}:{record.line}"
            raise _too_long(record.source, place, record.id, path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            _refuse_monsters(record, inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            _refuse_monsters(record, inner, f"{path}[]")


def _too_long(source: str, place: str | None, record: str | None, field: str | None) -> BadValue:
    return BadValue(
        f"is longer than {MAX_FIELD:,} characters",
        source=source, file=place, record=record, field=field,
        advice="The file is probably damaged; fetch it again",
    )  # fmt: skip


def _identifier(raw: bytes) -> str | None:
    """The record a damaged text is about: its last identifier before the damage, as far as can be told."""
    found = re.findall(rb'"(?:nctId|NCTId)"\s*:\s*\[?\s*"(NCT\d{8})"', raw[:MAX_FIELD])
    return found[-1].decode() if found else None


def _open_field(raw: bytes) -> str | None:
    """The name of the field whose text never ended."""
    found = re.search(rb'"(\w+)"\s*:\s*\[?\s*"[^"]*$', raw[: MAX_FIELD // 10])
    return found.group(1).decode() if found else None
