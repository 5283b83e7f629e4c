"""The sources: find them, and load one as a Part.

A source is a folder with `source.toml` and `loader.py`. The loader has two functions:

    read(files: Sequence[Path], info: SourceInfo) -> Iterator[Record]      # parsing only
    quads(record: Record, graph: Graph) -> Iterator[Quad]                  # pure

Its embedded data is `records/*`, sorted by name, or what `embedded` of `source.toml` names: a pattern of
paths below the project's root.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

from pyoxigraph import Quad

from kg.errors import SourceError, UsageError
from kg.parts import Account, Expectation, Part, SourceInfo, dated
from kg.terms import ROOT, mint
from loaders.emit import Graph
from loaders.record import Record

FOLDER = Path(__file__).resolve().parent

# What a source's graph can be: stroma:LevelStated, LevelRecorded, LevelCurated, LevelDefined.
_LEVELS = ("stated", "recorded", "curated", "defined")


class Loader(Protocol):
    """What `loaders/<source>/loader.py` offers."""

    def read(self, files: Sequence[Path], info: SourceInfo) -> Iterator[Record]: ...
    def quads(self, record: Record, graph: Graph) -> Iterator[Quad]: ...


def find_sources() -> dict[str, SourceInfo]:
    """Every source by name, in alphabetical order."""
    return {path.parent.name: describe(path.parent.name) for path in sorted(FOLDER.glob("*/source.toml"))}


def describe(name: str) -> SourceInfo:
    """The description of one source; raises UsageError for an unknown name, SourceError for a faulty file."""
    path = FOLDER / name / "source.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in FOLDER.glob("*/source.toml")))
        raise UsageError(f"no source is called {name!r}; there are: {known}")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        expected = data.get("expected", {})
        return SourceInfo(
            name=name,
            title=data["title"],
            description=data["description"],
            kind=data["kind"],
            level=_level(data["level"]),
            url=data["url"],
            licence=data["licence"],
            version=data["version"],
            graph=mint("graph", name),
            ignored=data.get("ignored", {}),
            embedded=data.get("embedded", f"loaders/{name}/records/*"),
            expected=Expectation(records=expected.get("records"), counts=expected.get("counts", {})),
        )
    except (tomllib.TOMLDecodeError, KeyError, ValueError) as problem:
        raise SourceError(f"cannot be read: {problem}", source=name, file="source.toml") from problem


def _level(text: str) -> str:
    if text not in _LEVELS:
        raise ValueError(f"level {text!r} is none of {', '.join(_LEVELS)}")
    return text


def load(name: str, files: Sequence[Path] = ()) -> Part:
    """A source's quads as a Part; without `files`, of its embedded data. Nothing is read until iterated.

    A record that comes twice raises SourceError: two records of one identifier would silently merge.
    """
    info = describe(name)
    embedded = not files
    chosen = tuple(files) or embedded_files(info)
    loader = cast(Loader, importlib.import_module(f"loaders.{name}.loader"))
    account = Account()
    return Part(info, chosen, embedded, _stream(loader, info, chosen, account), account)


def embedded_files(info: SourceInfo) -> tuple[Path, ...]:
    """The files of a source's embedded data, sorted by name."""
    return tuple(sorted(path for path in ROOT.glob(info.embedded) if path.is_file()))


def _stream(loader: Loader, info: SourceInfo, files: tuple[Path, ...], account: Account) -> Iterator[Quad]:
    graph = Graph(info.graph, mint("activity", info.name), dated(info.version))
    seen: dict[str, str] = {}
    for record in loader.read(files, info):
        if record.id in seen:
            raise SourceError(
                f"the identifier also stands in {seen[record.id]}",
                source=info.name, file=record.file, record=record.id,
                advice="Remove one of the two, or give the loader only one of the files",
            )  # fmt: skip
        seen[record.id] = record.file or "the same input"
        for quad in loader.quads(record, graph):
            account.quads += 1
            yield quad
        record.settle(info, account)
