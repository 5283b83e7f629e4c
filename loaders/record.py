"""A source record whose every field is taken or accounted for.

Hides the bookkeeping: a loader asks for fields by name; whatever it did not ask for is reported as
ignored (with the reason in `source.toml`) or unread, never dropped in silence. What a loader keeps out of a
field it took, and what its rules could not read, it says with `leave_out` and `unreadable`.

Field patterns are dotted paths in which `[]` stands for "each item of the list":
`protocolSection.armsInterventionsModule.armGroups[].label`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from kg.errors import BadValue, SourceError
from kg.parts import Account, SourceInfo


@dataclass
class _Notes:
    """What a record and all views of it share: the fields taken, and what became of single values."""

    taken: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)


class Record:
    """One record of a source, or an object nested in one; all nested views share the top record's account.

    `id` names the record in messages; `file` and `line` (1-based, where the format has lines) say where
    it stands.
    """

    def __init__(
        self,
        source: str,
        id: str,
        fields: Mapping[str, Any],
        *,
        file: str | None = None,
        line: int | None = None,
        _path: str = "",
        _notes: _Notes | None = None,
    ) -> None:
        self.source, self.id, self.file, self.line = source, id, file, line
        self._fields, self._path = fields, _path
        self._notes = _Notes() if _notes is None else _notes

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the record's fields as JSON with sorted keys: the same whatever file they came in."""
        text = json.dumps(self._fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def take(self, name: str) -> Any:
        """The value of a field, or None when it is absent or empty ("" , [], {} and blanks are empty).

        Taking a field whose value is an object or a list of objects takes everything inside it.
        """
        self._notes.taken.add(self._path + name)
        value = self._fields.get(name)
        if isinstance(value, str):
            value = value.strip()
        return None if value in ("", [], {}, None) else value

    def text(self, name: str) -> str | None:
        """`take`, for a field that must be a string."""
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            raise self.bad(name, value, "should be text")
        return value

    def require(self, name: str) -> str:
        """`text`, for a field that must be there."""
        value = self.text(name)
        if value is None:
            raise SourceError("required field is missing or empty", **self.place(name))
        return value

    def texts(self, name: str) -> list[str]:
        """`take`, for a list of strings; a single string is a list of one; None when absent becomes []."""
        value = self.take(name)
        if value is None:
            return []
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.bad(name, value, "should be a list of texts")
        return [item.strip() for item in value]

    def count(self, name: str) -> int:
        """How many items a list field has (1 for a single value, 0 when absent), without taking it."""
        value = self._fields.get(name)
        if isinstance(value, list):
            return len(value)
        return 0 if value in ("", None) else 1

    def peek(self, name: str) -> list[str]:
        """The texts of a field without taking it: for what must be known only to be kept out."""
        value = self._fields.get(name)
        return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]

    def leave_out(self, name: str, reason: str) -> None:
        """Say that a value of a field that is taken was kept out of the graph, and why."""
        self._notes.left_out[f"{self._path}{name}: {reason}"] += 1

    def unreadable(self, what: str, problem: str, times: int = 1) -> None:
        """Say that a rule looked for something ("dose") and found no value, or several."""
        self._notes.unreadable[f"{what}: {problem}"] += times

    def within(self, name: str) -> Record:
        """A view of a nested object; an empty one when the field is absent."""
        value = self._fields.get(name)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.bad(name, value, "should be an object")
        return self._view(value, f"{name}.")

    def each(self, name: str) -> Iterator[Record]:
        """Views of the objects in a nested list; none when the field is absent."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, list):
            raise self.bad(name, value, "should be a list of objects")
        for item in value or []:
            if not isinstance(item, Mapping):
                raise self.bad(name, item, "should be a list of objects")
            yield self._view(item, f"{name}[].")

    def _view(self, value: Mapping[str, Any], step: str) -> Record:
        return Record(
            self.source, self.id, value,
            file=self.file, line=self.line, _path=self._path + step, _notes=self._notes,
        )  # fmt: skip

    def place(self, name: str) -> dict[str, Any]:
        """Keyword arguments that tell a SourceError where this field stands."""
        file = self.file if self.line is None else f"{self.file}:{self.line}"
        return {"source": self.source, "file": file, "record": self.id, "field": self._path + name}

    def bad(self, name: str, value: object, problem: str, advice: str = "") -> BadValue:
        """A BadValue for this field, to raise."""
        return BadValue(problem, value=value, advice=advice, **self.place(name))

    def settle(self, source: SourceInfo, account: Account) -> None:
        """Write into `account` what became of every non-empty leaf of this record."""
        account.records += 1
        account.left_out.update(self._notes.left_out)
        account.unreadable.update(self._notes.unreadable)
        taken = self._notes.taken
        for leaf in _leaves(self._fields):
            if not taken.isdisjoint(_places(leaf)):  # it, or an object or list it lies in
                account.taken[leaf] += 1
            elif reason_to_ignore(leaf, source) is not None:
                account.ignored[leaf] += 1
            else:
                account.unread[leaf] += 1


def reason_to_ignore(leaf: str, source: SourceInfo) -> str | None:
    """Why `source.toml` puts a field, or what it lies in, out of scope; None where it does not."""
    return next((source.ignored[place] for place in _places(leaf) if place in source.ignored), None)


def _leaves(fields: Mapping[str, Any]) -> set[str]:
    """The place of every value that is not empty."""
    found: set[str] = set()
    pending: list[tuple[str, Any]] = [("", fields)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, str):
            if value:
                found.add(path)
        elif isinstance(value, Mapping):
            pending += [(f"{path}.{name}" if path else str(name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            nested = any(isinstance(item, Mapping | list) for item in value)
            pending += [(f"{path}[]" if nested else path, item) for item in value]
        elif value is not None:
            found.add(path)
    return found


@lru_cache(maxsize=4096)
def _places(leaf: str) -> tuple[str, ...]:
    """A leaf and every object and list it lies in: `a[].b` -> `a[].b`, `a`, `a[]`."""
    return (leaf, *(leaf[: match.start()] for match in re.finditer(r"\.|\[\]", leaf)))
