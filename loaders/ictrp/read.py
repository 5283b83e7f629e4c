"""The export's XML in pieces, a trial each, and these as records; streamed.

Hides the parser: nothing is kept but the trial being read, a document type declaration (the way to
entity bombs) is refused, and a monstrous field is refused before it is whole. A piece is the trial's fields
as JSON, so that what reads it needs neither the rest of the file nor the parser.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.parsers import expat

from kg.errors import BadValue, SourceError
from kg.parts import Unit
from loaders.record import Record
from loaders.tables import MAX_FIELD

ROOT_TAG = "Trials_downloaded_from_ICTRP"
_CHUNK = 1 << 16


def records(files: Sequence[Path], source: str) -> Iterator[Record]:
    """The trials of the exports, in order; an exact repeat of a trial, as in two exports, comes once.

    Raises SourceError naming file and line for damaged XML.
    """
    given: set[tuple[str, str]] = set()
    for unit in units(files, source):
        record = of_unit(unit, source)
        key = (record.id, record.sha256)
        if key not in given:
            given.add(key)
            yield record


def units(files: Sequence[Path], source: str) -> Iterator[Unit]:
    """The trials of the exports, one by one; raises SourceError naming file and line for damaged XML."""
    for path in files:
        export = _Export(path.name, source)
        with path.open("rb") as handle:
            chunk = b"-"
            while chunk:
                chunk = handle.read(_CHUNK)
                export.feed(chunk, final=not chunk)
                while export.done:
                    line, fields = export.done.popleft()
                    yield Unit(path.name, line, json.dumps(fields).encode(), handle.tell())


def of_unit(unit: Unit, source: str) -> Record:
    """The trial of a piece."""
    fields = json.loads(unit.data)
    return Record(source, fields["TrialID"].strip(), fields, file=unit.file, line=unit.line)


class _Export:
    """Takes the parser's events; `done` holds the finished trials: the line of each, and its fields."""

    def __init__(self, file: str, source: str) -> None:
        self.done: deque[tuple[int, Mapping[str, str]]] = deque()
        self._file, self._source = file, source
        self._path: list[str] = []
        self._fields: dict[str, str] = {}
        self._text: list[str] = []
        self._size = self._line = self._fed = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def feed(self, chunk: bytes, *, final: bool = False) -> None:
        self._fed += len(chunk)
        try:
            self._parser.Parse(chunk, final)
        except expat.ExpatError as problem:
            raise SourceError(
                f"the XML does not parse: {expat.ErrorString(problem.code)} in column {problem.offset + 1}",
                source=self._source,
                file=f"{self._file}:{problem.lineno}",
                record=self._fields.get("TrialID"),
                field=self._path[2] if len(self._path) > 2 else None,
                advice="The file is cut off or not in its stated encoding; export it again",
            ) from problem
        # Markup that never ends (an attribute, a comment) reaches no handler; it waits in the parser.
        if self._fed - self._parser.CurrentByteIndex > MAX_FIELD:
            raise self._too_long()

    def _place(self) -> str:
        return f"{self._file}:{self._parser.CurrentLineNumber}"

    def _doctype(self, name: str, *_: object) -> None:
        raise SourceError(
            "has a document type declaration, which an export never has",
            source=self._source, file=self._place(), field="DOCTYPE", value=name,
            advice="Do not use this file; export it again",
        )  # fmt: skip

    def _start(self, tag: str, _: dict[str, str]) -> None:
        self._path.append(tag)
        depth = len(self._path)
        if (depth == 1 and tag != ROOT_TAG) or (depth == 2 and tag != "Trial") or depth > 3:
            raise SourceError(
                f"<{tag}> is not expected inside <{self._path[-2] if depth > 1 else 'the document'}>",
                source=self._source, file=self._place(), record=self._fields.get("TrialID"),
                advice=f"Give the XML export of ICTRP: <{ROOT_TAG}> of <Trial> of plain fields",
            )  # fmt: skip
        if depth == 2:
            self._fields, self._line = {}, self._parser.CurrentLineNumber
        self._text, self._size = [], 0

    def _characters(self, text: str) -> None:
        if len(self._path) == 3:
            self._size += len(text)
            if self._size > MAX_FIELD:
                raise self._too_long()
            self._text.append(text)

    def _end(self, tag: str) -> None:
        self._path.pop()
        if len(self._path) == 2:
            if tag in self._fields:
                raise SourceError(
                    "the field occurs twice in one trial",
                    source=self._source, file=self._place(), record=self._fields.get("TrialID"), field=tag,
                    advice="Remove one of the two, or export the file again",
                )  # fmt: skip
            self._fields[tag] = "".join(self._text)
        elif len(self._path) == 1:
            if not self._fields.get("TrialID", "").strip():
                raise SourceError(
                    "a trial has no identifier",
                    source=self._source, file=f"{self._file}:{self._line}", field="TrialID",
                    advice="Every <Trial> needs a <TrialID>; export the file again",
                )  # fmt: skip
            self.done.append((self._line, self._fields))

    def _too_long(self) -> BadValue:
        return BadValue(
            f"is longer than {MAX_FIELD:,} characters",
            source=self._source, file=self._place(), record=self._fields.get("TrialID"),
            field=self._path[-1] if self._path else None,
            advice="The file is probably damaged; export it again",
        )  # fmt: skip
